"""Curves of several evaluations: CMC, and the average precision of all queries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from limbeck.reporting.plots import plain
from limbeck.retrieval.evaluation import Evaluation
from limbeck.retrieval.report.style import COLOURS, MARKERS

_LINES = ("-", "--", ":")


def cmc_figure(evaluations: Sequence[Evaluation], *, longest: int = 20) -> Figure:
    """CMC of ranks 1 to `longest` in per cent: the mean, in a band of one standard deviation over models or galleries.

    Args:
        evaluations: a curve each; one without a spread has no band.
        longest: the last rank, at most the 50 that `Metrics` holds.
    """
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    ranks = np.arange(1, longest + 1)
    for index, one in enumerate(evaluations):
        spreads = [one.cmc(int(k)) for k in ranks]
        mean = 100 * np.array([spread.mean for spread in spreads])
        deviation = 100 * np.array([spread.deviation for spread in spreads])
        colour, line, marker = _look(index)
        trials = len(one.trials)
        axes.plot(
            ranks,
            mean,
            line,
            color=colour,
            marker=marker,
            markersize=4,
            label=plain(f"{one.protocol} (R1 {mean[0]:.1f} %, {trials} trial{'s' * (trials > 1)})"),
        )
        if np.isfinite(deviation).all():
            # No clipping to 100: the band is what it says, the axis cuts it.
            axes.fill_between(ranks, mean - deviation, mean + deviation, color=colour, alpha=0.18, linewidth=0)
    axes.set_xlim(0.5, longest + 0.5)
    axes.set_xticks([1, *range(5, longest + 1, 5)])
    axes.xaxis.set_minor_locator(MultipleLocator(1))
    axes.set_ylim(_lowest(axes), 101)
    axes.set_xlabel("rank k")
    axes.set_ylabel("queries with a match among the first k, %")
    _finish(axes)
    return figure


def precision_figure(evaluations: Sequence[Evaluation]) -> Figure:
    """Average precision of every query with a match, all trials together, sorted from the worst to the best."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for index, one in enumerate(evaluations):
        values = 100 * sorted_precision(one)
        colour, line, _ = _look(index)
        share = 100 * np.arange(len(values) + 1) / len(values)
        axes.stairs(values, share, baseline=None, color=colour, linestyle=line, linewidth=1.8)
        mean = 100 * one.mean_average_precision.mean
        axes.plot([], [], line, color=colour, label=plain(f"{one.protocol} (mAP {mean:.1f} %)"))
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 101)
    axes.set_xlabel("queries with a match, sorted by their average precision, %")
    axes.set_ylabel("average precision of the query, %")
    _finish(axes)
    return figure


def sorted_precision(evaluation: Evaluation) -> np.ndarray:
    """(queries with a match in all trials,) average precision in (0, 1], ascending."""
    values = np.concatenate([ranks.average_precision for ranks in evaluation.ranks])
    return np.sort(values[np.isfinite(values)])


def _look(index: int) -> tuple[str, str, str]:
    """Colour, line and marker of a curve: neighbours differ in all that they can."""
    return COLOURS[index % len(COLOURS)], _LINES[index // len(COLOURS) % len(_LINES)], MARKERS[index % len(MARKERS)]


def _lowest(axes: Axes) -> float:
    """Where the axis begins: at 0 unless all curves lie far above it."""
    low = axes.dataLim.y0
    return 0.0 if not np.isfinite(low) or low < 60 else float(10 * np.floor((low - 5) / 10))


def _finish(axes: Axes) -> None:
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure = axes.get_figure()
    assert figure is not None
    entries = len(axes.get_legend_handles_labels()[0])
    # Below the axes: there it hides no curve, whatever their shape.
    figure.legend(loc="outside lower center", ncols=1 if entries == 1 else 2, frameon=False, fontsize=9)
