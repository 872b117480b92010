"""What people see of the study: tables with intervals, a forest plot, a JSON file."""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from limbeck.files import write_json, write_text
from limbeck.reporting.formatting import format_difference, format_estimate
from limbeck.reporting.plots import ACCENT, PLAIN, plain, save_plot
from limbeck.reporting.statistics import Difference, Estimate, difference_as_json, paired_difference
from limbeck.reporting.tables import format_table
from limbeck.studies.multiview_peers.conditions import ALL
from limbeck.studies.multiview_peers.limbeck_rows import OWN
from limbeck.studies.multiview_peers.peers import PEERS, POINTS
from limbeck.studies.multiview_peers.run import (
    CHOSEN,
    REFERENCE,
    TRUTH,
    FigureName,
    MultiviewPeersResult,
)

# Name, heading, times which it is printed, digits, and whether more is better.
_FIGURES: dict[FigureName, tuple[str, float, int, bool]] = {
    "accuracy": ("accuracy, %", 100, 2, True),
    "cross_entropy": ("cross-entropy, nats", 1, 3, False),
    "calibration_error": ("expected calibration error, %", 100, 2, False),
}
_MEANING = {
    CHOSEN: "in each fold the tuned peer with the highest validation accuracy",
    TRUTH: "the posterior of the law that the samples are drawn from",
    **{name: row.meaning for name, row in OWN.items()},
    **{name: peer.meaning for name, peer in PEERS.items()},
}


def write_report(result: MultiviewPeersResult, folder: Path) -> list[Path]:
    """Write `multiview-peers.json` and `multiview-peers.txt`, and what there is to draw.

    `multiview-peers.png` is drawn where limbeck has a peer, `multiview-peers-shares.png` where random views are missing
    for several shares of the samples.

    Returns:
        The files, in that order.

    Raises:
        OSError: the folder cannot be written.
    """
    files = [folder / f"multiview-peers.{suffix}" for suffix in ("json", "txt")]
    write_json(files[0], as_json(result))
    write_text(files[1], format_report(result))
    if any(result.against(row, ALL) is not None for row in result.rows()):
        files.append(folder / "multiview-peers.png")
        save_plot(_forest(result), files[-1])
    if result.curves():
        files.append(folder / "multiview-peers-shares.png")
        save_plot(_shares(result), files[-1])
    return files


def format_report(result: MultiviewPeersResult, *, width: int = 230) -> str:
    """Tables of all views, each figure with views missing, each view, and curves; what is clear of zero; notes."""
    text = [_all_views(result, width)]
    if len(result.groups()) > 1:
        text += [_missing(result, figure, width) for figure in _FIGURES]
    if any(condition.startswith("no ") for group in result.groups().values() for condition in group):
        text.append(_each_view(result, width))
    text += [_curve(result, words, width) for words in result.curves()]
    return "".join(text) + "\n".join([*clear_of_zero(result), "", *_notes(result)]) + "\n"


def clear_of_zero(result: MultiviewPeersResult) -> list[str]:
    """For every comparison and figure: where limbeck is ahead, and where behind, with an interval clear of zero."""
    lines = []
    for group, conditions in result.groups().items():
        for figure, (heading, _, _, more_is_better) in _FIGURES.items():
            found: dict[str, list[str]] = {word: [] for word in _WORDS.values()}
            for row in result.rows():
                difference = result.against(row, conditions, figure) if row not in (REFERENCE, TRUTH) else None
                if difference is not None and math.isfinite(difference.low):
                    sign = _clear(difference)
                    found[_WORDS[sign if more_is_better or not sign else -sign]].append(row)
            words = "; ".join(f"{word} {', '.join(rows)}" for word, rows in found.items() if rows)
            if words:
                lines.append(f"{group}, {heading.split(',')[0]}: limbeck is {words}.")
    return lines


# Keys: the sign of limbeck's lead; None: the folds differ by the same number, often 0, and say nothing of its spread.
_WORDS = {
    1: "clearly better than",
    -1: "clearly worse than",
    0: "not clearly different from",
    None: "the same distance in every fold from",
}


def _clear(difference: Difference | None) -> int | None:
    """The sign of a difference whose interval does not hold zero, else 0; None where there is no interval.

    An interval without width, of folds that happen to differ by the same, is none: nothing is known of the spread.
    """
    if difference is None or not math.isfinite(difference.low) or difference.low == difference.high:
        return None
    return (difference.low > 0) - (difference.high < 0)


def _all_views(result: MultiviewPeersResult, width: int) -> str:
    headings = ["row"]
    for heading, *_ in _FIGURES.values():
        headings += [heading, "limbeck less this [95 %]"]
    headings += ["tuning", "fit", "predict, CPU s"]
    lines = []
    for row in result.rows():
        cells = [row]
        for figure, (_, scale, digits, _) in _FIGURES.items():
            cells += [_estimate(result, row, (ALL,), figure), _difference(result, row, (ALL,), figure, scale, digits)]
        seconds = result.seconds(row)
        cells += ["", "", ""] if seconds is None else [f"{seconds[0]:.1f}", f"{seconds[1]:.1f}", f"{seconds[2]:.2f}"]
        lines.append(cells)
    lines += [[peer, reason, *[""] * (len(headings) - 2)] for peer, reason in result.unavailable.items()]
    return _table(headings, lines, f"{result.name}: {_protocol(result)}; all views", width)


def _missing(result: MultiviewPeersResult, figure: FigureName, width: int) -> str:
    heading, scale, digits, _ = _FIGURES[figure]
    groups = {name: conditions for name, conditions in result.groups().items() if name != ALL}
    lines = []
    for row in result.rows():
        cells = [row]
        for conditions in groups.values():
            estimate = _estimate(result, row, conditions, figure)
            difference = _difference(result, row, conditions, figure, scale, digits)
            cells.append(f"{estimate}\n{difference}" if difference else estimate)
        lines.append(cells)
    return _table(["row", *groups], lines, f"{heading}: mean ± sd, below it limbeck less this [95 %]", width)


def _each_view(result: MultiviewPeersResult, width: int) -> str:
    lines = []
    for row in result.rows():
        cells = [row]
        for name in result.view_names:
            kinds = [result.values(row, f"{words} {name}") for words in ("no", "refitted without")]
            shown = [f"{100 * Estimate.from_values(values).mean:.2f}" for values in kinds if values]
            cells.append(" / ".join(dict.fromkeys(shown)))
        lines.append(cells)
    headings = ["row", *(f"no {name}" for name in result.view_names)]
    return _table(headings, lines, "accuracy, %, with one view missing at test / refitted without it", width)


def _curve(result: MultiviewPeersResult, words: str, width: int) -> str:
    points = result.curves()[words]
    lines = []
    for row in result.rows():
        cells = [row]
        for _, condition in points:
            values = result.values(row, condition)
            cells.append(_with_interval(_interval(result, values)) if values else "")
        lines.append(cells)
    headings = ["row", *(f"{share:.0%}" for share, _ in points)]
    return _table(headings, lines, f"accuracy, %, [95 %], by how many {words}", width)


def _with_interval(accuracy: Difference) -> str:
    mean, low, high = (f"{100 * value:.2f}" for value in (accuracy.mean, accuracy.low, accuracy.high))
    return f"{mean} [{low}, {high}]" if math.isfinite(accuracy.low) else mean


def _interval(result: MultiviewPeersResult, values: list[float]) -> Difference:
    """The mean over folds and its corrected resampled t interval: the difference from nothing."""
    return paired_difference(values, [0.0] * len(values), test_to_train=result.test_to_train)


def _table(headings: list[str], lines: list[list[str]], title: str, width: int) -> str:
    return format_table(headings, lines, title=title, left=headings[:1], no_wrap=headings[:1], width=width)


def _estimate(result: MultiviewPeersResult, row: str, conditions: tuple[str, ...], figure: FigureName) -> str:
    _, scale, digits, _ = _FIGURES[figure]
    values = result.values(row, conditions, figure)
    return format_estimate(Estimate.from_values(values), digits, scale=scale) if values else ""


def _difference(
    result: MultiviewPeersResult, row: str, conditions: tuple[str, ...], figure: FigureName, scale: float, digits: int
) -> str:
    return format_difference(result.against(row, conditions, figure), digits, scale=scale)


def _protocol(result: MultiviewPeersResult) -> str:
    sizes = result.sizes
    drawn = "" if result.settings.rows is None else ", drawn class by class"
    return (
        f"{sizes['samples']:,} samples, {sizes['classes']} classes, {len(result.view_names)} views; "
        f"{result.folds} folds of {sizes['training']:,} training and {sizes['validation']:,} validation samples"
        f"{drawn}, {sizes['test']:,} test"
    )


def _notes(result: MultiviewPeersResult) -> list[str]:
    notes = [f"{row}: {_MEANING[row]}." for row in result.rows()]
    notes += [
        f"limbeck's rows are not tuned. Each peer is fitted on training samples for {POINTS} points of a grid; "
        "validation samples choose (accuracy, then cross-entropy), and the chosen point is refitted on both together.",
        "Probabilities: scores divided by one temperature, fitted on what the model before the refit says of "
        "validation samples; limbeck's by its own calibration.",
        "Views are standardised on training samples and clipped to ± 10, sparse ones divided by one number. A missing "
        "view is its training mean; the mean of kernels and late fusion are taken over what is there; limbeck leaves "
        "its term out.",
        "Refitted: the peer is tuned and fitted again without the view; limbeck answers without it as it is.",
        "Expected calibration error: 15 bins of equal mass; of few samples it is above zero even for the truth.",
        "Differences are paired by fold, with the corrected resampled t interval at the folds' own test to training "
        "ratio. CPU seconds of all threads, mean over folds; tuning is of the whole grid.",
    ]
    return notes


def as_json(result: MultiviewPeersResult) -> dict[str, Any]:
    """Every figure of every fold, and the differences."""
    return {
        "data": {"name": result.name, **result.sizes, "views": list(result.view_names), "folds": result.folds},
        "settings": asdict(result.settings),
        "grids": {peer: list(PEERS[peer].grid) for peer in result.settings.peers if peer in PEERS},
        "unavailable": result.unavailable,
        "test_to_train": result.test_to_train,
        "trials": [
            {"peer": peer, "fit": fit, "fold": fold, **asdict(trial)}
            for (peer, fit), trials in result.trials.items()
            for fold, trial in enumerate(trials)
        ],
        "chosen_on_validation": [result.chosen_peer("complete", fold) for fold in range(result.folds)],
        "differences": [
            {"row": row, "conditions": group, "figure": figure, "limbeck_less_this": difference_as_json(difference)}
            for group, conditions in result.groups().items()
            for figure in _FIGURES
            for row in result.rows()
            if (difference := result.against(row, conditions, figure)) is not None
        ],
        "curves": [
            {"row": row, "share": share, "of": words, "accuracy": difference_as_json(_interval(result, values))}
            for words, points in result.curves().items()
            for share, condition in points
            for row in result.rows()
            if (values := result.values(row, condition))
        ],
        "clear_of_zero": clear_of_zero(result),
    }


def _forest(result: MultiviewPeersResult) -> Figure:
    """limbeck less each row in accuracy, a panel for each comparison: the mean and its interval."""
    groups = result.groups()
    rows = [row for row in result.rows() if row != REFERENCE]
    figure = Figure(figsize=(3.2 * len(groups) + 1.6, 1.6 + 0.34 * len(rows)), layout="constrained")
    for axes, (group, conditions) in zip(
        figure.subplots(1, len(groups), sharey=True, squeeze=False)[0], groups.items(), strict=True
    ):
        for height, row in enumerate(rows):
            found = result.against(row, conditions)
            if found is None:
                continue
            ends = [[100 * (found.mean - found.low)], [100 * (found.high - found.mean)]]
            finite = math.isfinite(found.low)
            axes.errorbar(
                100 * found.mean,
                height,
                xerr=ends if finite else None,
                fmt="o",
                color=ACCENT if finite and _clear(found) else PLAIN,
                capsize=3,
                markersize=5,
            )
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_title(group.replace(", ", ",\n"), fontsize=8)
        axes.set_xlabel("points of accuracy", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.grid(axis="x", alpha=0.3)
    figure.axes[0].set_yticks(range(len(rows)), rows)
    figure.axes[0].invert_yaxis()
    figure.suptitle(
        f"{plain(result.name)}: limbeck less each row, 95 % intervals; in red those clear of zero", fontsize=9
    )
    return figure


def _shares(result: MultiviewPeersResult) -> Figure:
    """Accuracy against the share of samples that lack a view, a panel a kind, a line a row, with its intervals."""
    curves, rows = result.curves(), result.rows()
    figure = Figure(figsize=(5.6 * len(curves) + 2.2, 4.6), layout="constrained")
    panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    others = [row for row in rows if row != REFERENCE]
    for axes, (words, points) in zip(panels, curves.items(), strict=True):
        spacing = min(after[0] - before[0] for before, after in itertools.pairwise(points))
        for number, row in enumerate(rows):
            values = [result.values(row, condition) for _, condition in points]
            if not all(values):
                continue
            found = [_interval(result, of_folds) for of_folds in values]
            # Side by side, so that one interval does not hide another.
            shift = 0.5 * spacing * (number / max(len(rows) - 1, 1) - 0.5)
            mine = row == REFERENCE
            finite = all(math.isfinite(one.low) for one in found)
            axes.errorbar(
                [100 * (share + shift) for share, _ in points],
                [100 * one.mean for one in found],
                yerr=[[100 * (one.mean - one.low) for one in found], [100 * (one.high - one.mean) for one in found]]
                if finite
                else None,
                color=ACCENT if mine else matplotlib.colormaps["tab20"](others.index(row) % 20),
                linewidth=2.2 if mine else 1.0,
                elinewidth=1.4 if mine else 0.7,
                marker="osv^D"[number % 5],
                markersize=5 if mine else 3.5,
                capsize=2,
                zorder=3 if mine else 2,
                label=row,
            )
        axes.set_xticks([100 * share for share, _ in points])
        axes.set_xlabel(f"% {words}")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("accuracy, %")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", fontsize=8, frameon=False)
    figure.suptitle(f"{plain(result.name)}: accuracy with random views missing, 95 % intervals over folds", fontsize=9)
    return figure
