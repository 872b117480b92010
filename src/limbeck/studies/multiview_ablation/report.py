"""What people see of a study: a table, pictures, a JSON file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.manifold import TSNE

from limbeck.files import write_json, write_text
from limbeck.reporting.formatting import format_difference, format_estimate
from limbeck.reporting.plots import ACCENT, PAPER, PLAIN, save_plot
from limbeck.reporting.statistics import Estimate
from limbeck.reporting.tables import format_table
from limbeck.studies.multiview_ablation.run import AblationResult, RowResult, as_json, published

# Classes shown in the t-SNE: more colours than this cannot be told apart.
SHOWN_CLASSES = 10
_HEADINGS = (
    "row",
    "accuracy %",
    "MV2D less this [95 %]",
    "paper %",
    "one view missing: loses",
    "MV2D less this [95 %]",
    "calibration error %",
    "seconds",
)


def write_report(result: AblationResult, folder: Path) -> list[Path]:
    """Write `ablation.json`, `ablation.txt`, `comparison.png`, `tsne.png` and, after a sweep, `dimension.png`.

    Returns:
        The files, in that order.
    """
    files = [folder / "ablation.json", folder / "ablation.txt", folder / "comparison.png"]
    write_json(files[0], as_json(result))
    write_text(files[1], format_report(result))
    save_plot(_comparison(result), files[2])
    if any(row.embedding is not None for row in result.rows):
        files.append(folder / "tsne.png")
        save_plot(_embeddings(result), files[-1])
    if result.sweep:
        files.append(folder / "dimension.png")
        save_plot(_sweep(result), files[-1])
    return files


def format_report(result: AblationResult, *, width: int = 150) -> str:
    """The comparison as text: a line a row, mean ± sd, paired differences to MV2D, published figures."""
    compared = format_table(
        _HEADINGS,
        [_cells(result, row) for row in result.rows],
        title=f"{result.data.name}: {_protocol(result)}",
        width=width,
    )
    missing = format_table(
        ("row", *(f"no {name}" for name in result.data.view_names)),
        [[row.name, *(f"{100 * accuracy:.2f}" for accuracy in row.without.mean(axis=0))] for row in result.rows],
        title="Test accuracy % with one view missing",
        width=width,
    )
    return compared + missing + _footnotes(result) + "\n"


def _cells(result: AblationResult, row: RowResult) -> list[str]:
    paper = published(result.data.name, row.name)
    return [
        row.name,
        _per_cent(row.accuracy),
        format_difference(result.against(row.name, lambda r: r.accuracy), scale=100),
        "" if paper is None else f"{paper:.2f}",
        _per_cent(row.missing_loss),
        format_difference(result.against(row.name, lambda r: r.missing_loss), scale=100),
        _per_cent([one.calibration_error for one in row.scores]),
        f"{row.seconds:.0f}",
    ]


def _per_cent(values: Sequence[float]) -> str:
    return format_estimate(Estimate.from_values(values), scale=100)


def _footnotes(result: AblationResult) -> str:
    lines = [
        "mean ± sd over splits; differences are paired, in points, with the corrected resampled t interval.",
        "Missing views: networks leave the view's term out of the joint head; baselines get its training mean.",
    ]
    if any(published(result.data.name, row.name) is not None for row in result.rows):
        lines.append(
            "paper: Tian et al. 2022, Tables 6 and 7, mean of five runs; for Caltech its features are not ours."
        )
    lines += [f"Representation width {width}: {_per_cent(row.accuracy)} %" for width, row in result.sweep.items()]
    return "\n".join(lines)


def _protocol(result: AblationResult) -> str:
    parts = [int((result.splits[0] == code).sum()) for code in range(3)]
    return f"{len(result.splits)} splits of {parts[0]} train, {parts[1]} validation, {parts[2]} test samples"


def _comparison(result: AblationResult) -> Figure:
    """Accuracy of every row, and what it loses with a view missing, with the splits as dots."""
    names = [row.name for row in result.rows]
    figure = Figure(figsize=(11, 1.4 + 0.45 * len(names)), layout="constrained")
    accuracy, loss = figure.subplots(1, 2, sharey=True)
    for axes, values, title in (
        (accuracy, [row.accuracy for row in result.rows], "test accuracy, %"),
        (loss, [row.missing_loss for row in result.rows], "points lost when one view is missing (mean over views)"),
    ):
        for height, (row, figures) in enumerate(zip(result.rows, values, strict=True)):
            _dots(axes, 100 * np.asarray(figures), height, highlighted=row.name == "E+B+MV2D")
        axes.set_xlabel(title)
        axes.grid(axis="x", alpha=0.3)
    for height, name in enumerate(names):
        paper = published(result.data.name, name)
        if paper is not None:
            accuracy.plot(paper, height, marker="D", color=PAPER, fillstyle="none", linestyle="none")
    accuracy.set_yticks(range(len(names)), names)
    accuracy.invert_yaxis()
    note = "dots: splits; bars: mean ± sd" + (
        "; diamonds: the paper" if any(published(result.data.name, n) for n in names) else ""
    )
    figure.suptitle(f"{result.data.name}: {len(result.splits)} splits ({note})", fontsize=11)
    return figure


def _dots(axes: Axes, values: np.ndarray, height: int, *, highlighted: bool) -> None:
    color = ACCENT if highlighted else PLAIN
    axes.plot(values, np.full(len(values), height), ".", color=color, alpha=0.35, markersize=5)
    found = Estimate.from_values(values.tolist())
    axes.errorbar(found.mean, height, xerr=found.deviation, fmt="o", color=color, capsize=4, markersize=6)


def _embeddings(result: AblationResult) -> Figure:
    """t-SNE of the concatenated representations of the first split's test part, row beside row (Fig. 9)."""
    rows = [row for row in result.rows if row.embedding is not None]
    test = np.flatnonzero(result.splits[0] == 2)
    labels = result.data.labels[test]
    classes, sizes = np.unique(labels, return_counts=True)
    shown = np.sort(classes[np.argsort(-sizes, kind="stable")[:SHOWN_CLASSES]])
    keep = np.isin(labels, shown)
    figure = Figure(figsize=(3.4 * len(rows), 4.4), layout="constrained")
    panels = figure.subplots(1, len(rows), squeeze=False)[0]
    colors = mpl.colormaps["tab10"]
    for axes, row in zip(panels, rows, strict=True):
        points = _project(row, keep, seed=result.settings.seed)
        for position, label in enumerate(shown):
            own = labels[keep] == label
            axes.scatter(*points[own].T, s=9, color=colors(position), label=result.data.class_names[label])
        axes.set_title(row.name, fontsize=10)
        axes.set_xticks([])
        axes.set_yticks([])
    handles, texts = panels[0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=len(shown), fontsize=7, frameon=False)
    rest = f", the {len(shown)} largest of {len(classes)} classes" if len(classes) > len(shown) else ""
    figure.suptitle(f"{result.data.name}: t-SNE of the representations, test part of split 0{rest}", fontsize=10)
    return figure


def _project(row: RowResult, keep: np.ndarray, *, seed: int) -> np.ndarray:
    assert row.embedding is not None
    points = row.embedding[keep]
    perplexity = min(30.0, max(2.0, (len(points) - 1) / 4))
    start = "pca" if points.shape[1] > 1 else "random"
    return np.asarray(TSNE(perplexity=perplexity, init=start, random_state=seed).fit_transform(points))


def _sweep(result: AblationResult) -> Figure:
    """Accuracy against the width of the representation (Fig. 10)."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    widths = sorted(result.sweep)
    values = [Estimate.from_values(result.sweep[width].accuracy) for width in widths]
    axes.errorbar(
        widths,
        [100 * value.mean for value in values],
        yerr=[100 * value.deviation for value in values],
        fmt="o-",
        color=ACCENT,
        capsize=4,
    )
    axes.set_xscale("log", base=2)
    axes.set_xticks(widths, [str(width) for width in widths])
    axes.set_xlabel("width of the representation of one view")
    axes.set_ylabel("test accuracy, % (mean ± sd)")
    axes.set_title(f"{result.data.name}: {len(result.splits)} splits")
    axes.grid(alpha=0.3)
    return figure
