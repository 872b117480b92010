"""What people see of a study: a table, pictures, a JSON file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.manifold import TSNE

from limbeck.files import write_json, write_text
from limbeck.reporting.formatting import format_difference, format_estimate
from limbeck.reporting.plots import ACCENT, PAPER, PLAIN, plain, save_plot
from limbeck.reporting.statistics import Estimate, difference_as_json, estimate_as_json
from limbeck.reporting.tables import format_table
from limbeck.studies.multiview_ablation.run import MultiviewAblationResult, RowResult
from limbeck.studies.published import TABLE_6_SVM, TABLE_7

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


def write_report(result: MultiviewAblationResult, folder: Path) -> list[Path]:
    """Write the study's JSON and text, `comparison.png`, `tsne.png` and, after a sweep, `dimension.png`.

    Returns:
        The files, in that order.

    Raises:
        OSError: the folder cannot be written.
    """
    files = [folder / name for name in ("multiview-ablation.json", "multiview-ablation.txt", "comparison.png")]
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


def format_report(result: MultiviewAblationResult, *, width: int = 150) -> str:
    """The comparison as text: one line per row, mean ± sd, paired differences to MV2D, published figures."""
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


def _cells(result: MultiviewAblationResult, row: RowResult) -> list[str]:
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


def _footnotes(result: MultiviewAblationResult) -> str:
    lines = [
        "mean ± sd over folds; differences are paired, in points, with the corrected resampled t interval.",
        "Missing views: networks leave the view's term out of the joint head; baselines get its training mean.",
    ]
    if any(published(result.data.name, row.name) is not None for row in result.rows):
        lines.append(
            "paper: Tian et al. 2022, Tables 6 and 7, mean of five runs; for Caltech its features are not ours."
        )
    lines += [f"Representation width {width}: {_per_cent(row.accuracy)} %" for width, row in result.sweep.items()]
    return "\n".join(lines)


def _protocol(result: MultiviewAblationResult) -> str:
    sizes = [int((result.folds[0] == code).sum()) for code in range(3)]
    return f"{len(result.folds)} folds of {sizes[0]} train, {sizes[1]} validation, {sizes[2]} test samples"


def as_json(result: MultiviewAblationResult) -> dict[str, Any]:
    """The result as plain values: settings, figures of every fold, means, paired differences, published figures."""
    return {
        "study": "ablation",
        "source": "Tian et al. 2022, Table 7",
        "data": {"name": result.data.name, "samples": result.data.samples, "classes": result.data.classes},
        "protocol": {
            "splits": len(result.folds),
            "train": int((result.folds[0] == 0).sum()),
            "validation": int((result.folds[0] == 1).sum()),
            "test": int((result.folds[0] == 2).sum()),
            "selection": "validation split of each fold",
            "interval": "95 %, corrected resampled t (Nadeau and Bengio 2003)",
        },
        "settings": asdict(result.settings),
        "rows": [_row_as_json(result, row) for row in result.rows],
        "dimension_sweep": {
            str(width): {"accuracy": row.accuracy, "missing_loss": row.missing_loss}
            for width, row in result.sweep.items()
        },
    }


def _row_as_json(result: MultiviewAblationResult, row: RowResult) -> dict[str, Any]:
    against = {
        figure: difference_as_json(result.against(row.name, getter))
        for figure, getter in (("accuracy", lambda r: r.accuracy), ("missing_loss", lambda r: r.missing_loss))
    }
    return {
        "name": row.name,
        "accuracy": _estimate(row.accuracy) | {"splits": row.accuracy},
        "cross_entropy": _estimate([one.cross_entropy for one in row.scores]),
        "calibration_error": _estimate([one.calibration_error for one in row.scores]),
        "accuracy_without_view": dict(zip(result.data.view_names, row.without.mean(axis=0).tolist(), strict=True)),
        "missing_loss": _estimate(row.missing_loss) | {"splits": row.missing_loss},
        "reference_minus_this": against,
        "published_accuracy": published(result.data.name, row.name),
        "seconds": row.seconds,
        "chosen": row.chosen,
    }


def published(data_name: str, row_name: str) -> float | None:
    """The paper's accuracy in per cent for this row on this set, if it prints one."""
    if row_name == "svm":
        return TABLE_6_SVM.get(data_name)
    return TABLE_7.get(data_name, {}).get(row_name)


def _estimate(values: Sequence[float]) -> dict[str, Any]:
    return estimate_as_json(Estimate.from_values(values))


def _comparison(result: MultiviewAblationResult) -> Figure:
    """Accuracy of every row, and what it loses with a view missing, with the folds as dots."""
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
    note = "dots: folds; bars: mean ± sd" + (
        "; diamonds: the paper" if any(published(result.data.name, n) for n in names) else ""
    )
    figure.suptitle(f"{plain(result.data.name)}: {len(result.folds)} folds ({note})", fontsize=11)
    return figure


def _dots(axes: Axes, values: np.ndarray, height: int, *, highlighted: bool) -> None:
    color = ACCENT if highlighted else PLAIN
    axes.plot(values, np.full(len(values), height), ".", color=color, alpha=0.35, markersize=5)
    found = Estimate.from_values(values.tolist())
    axes.errorbar(found.mean, height, xerr=found.deviation, fmt="o", color=color, capsize=4, markersize=6)


def _embeddings(result: MultiviewAblationResult) -> Figure:
    """t-SNE of the concatenated representations of the first fold's test split, row beside row (Fig. 9)."""
    rows = [row for row in result.rows if row.embedding is not None]
    test = np.flatnonzero(result.folds[0] == 2)
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
            axes.scatter(*points[own].T, s=9, color=colors(position), label=plain(str(result.data.class_names[label])))
        axes.set_title(row.name, fontsize=10)
        axes.set_xticks([])
        axes.set_yticks([])
    handles, texts = panels[0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=len(shown), fontsize=7, frameon=False)
    rest = f", the {len(shown)} largest of {len(classes)} classes" if len(classes) > len(shown) else ""
    figure.suptitle(f"{plain(result.data.name)}: t-SNE of the representations, test split of fold 0{rest}", fontsize=10)
    return figure


def _project(row: RowResult, keep: np.ndarray, *, seed: int) -> np.ndarray:
    assert row.embedding is not None
    points = row.embedding[keep]
    perplexity = min(30.0, max(2.0, (len(points) - 1) / 4))
    start = "pca" if points.shape[1] > 1 else "random"
    return np.asarray(TSNE(perplexity=perplexity, init=start, random_state=seed % 2**32).fit_transform(points))


def _sweep(result: MultiviewAblationResult) -> Figure:
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
    axes.set_title(f"{plain(result.data.name)}: {len(result.folds)} folds")
    axes.grid(alpha=0.3)
    return figure
