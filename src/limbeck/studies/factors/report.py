"""What people see of the factors: a table and bars of nats, and plain values."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limbeck.errors import InputError
from limbeck.files import write_json, write_text
from limbeck.modalities import MODALITIES
from limbeck.reporting.formatting import format_estimate
from limbeck.reporting.plots import plain, save_plot
from limbeck.reporting.statistics import Estimate
from limbeck.reporting.tables import format_table
from limbeck.studies.factors.run import FactorRow, FactorsResult


@dataclass(frozen=True)
class _Cell:
    """The rows of one representation, modality and factor: one a run."""

    rows: tuple[FactorRow, ...]

    @property
    def nats(self) -> Estimate:
        return Estimate.from_values([row.nats for row in self.rows])

    @property
    def entropy(self) -> float:
        return float(np.mean([row.entropy for row in self.rows]))

    @property
    def ends(self) -> tuple[float, float]:
        """Of one run its interval; of several one standard deviation to each side."""
        if len(self.rows) == 1:
            return self.rows[0].low, self.rows[0].high
        return self.nats.mean - self.nats.deviation, self.nats.mean + self.nats.deviation

    def text(self) -> str:
        shown = format_estimate(self.nats)
        return f"{shown} [{self.ends[0]:z.2f}, {self.ends[1]:z.2f}]" if len(self.rows) == 1 else shown


_Group = tuple[str, dict[str, _Cell]]  # a factor, and representation -> cell


@dataclass(frozen=True)
class _Summary:
    """Rows by what they are of, everything in the order of its first row."""

    representations: tuple[str, ...]
    cells: dict[tuple[str, str], dict[str, _Cell]]  # (modality, factor) -> representation -> cell

    @property
    def runs(self) -> list[int]:
        return sorted({len(cell.rows) for cells in self.cells.values() for cell in cells.values()})

    @property
    def modalities(self) -> list[str]:
        return [shown for shown in MODALITIES if any(key[0] == shown for key in self.cells)]

    def of(self, modality: str) -> list[_Group]:
        return [(factor, cells) for (shown, factor), cells in self.cells.items() if shown == modality]

    def note(self) -> str:
        if self.runs == [1]:
            return "one run: held-out estimate and its interval"
        return f"mean ± standard deviation of {' or '.join(map(str, self.runs))} runs"


def _summary(rows: Sequence[FactorRow]) -> _Summary:
    if not rows:
        raise InputError("rows must hold at least one row")
    found: dict[tuple[str, str], dict[str, list[FactorRow]]] = {}
    for row in rows:
        found.setdefault((row.modality, row.factor), {}).setdefault(row.representation, []).append(row)
    cells = {key: {name: _Cell(tuple(own)) for name, own in inner.items()} for key, inner in found.items()}
    return _Summary(tuple(dict.fromkeys(row.representation for row in rows)), cells)


def format_report(result: FactorsResult, *, width: int = 150) -> str:
    """A table for each modality: one line per factor, one column per representation; nats.

    Several rows of the same representation, modality and factor are taken for several runs: they become a mean and the
    standard deviation between them.

    Args:
        result: of `run`.
        width: of the text.

    Raises:
        InputError: there are no rows.
    """
    summary = _summary(result.rows)
    text = io.StringIO()
    for modality in summary.modalities:
        title = f"{modality} pictures: nats read of each factor"
        lines = (_line(factor, cells, summary.representations) for factor, cells in summary.of(modality))
        headings = ("factor", "entropy", *summary.representations)
        text.write(format_table(headings, lines, title=title, title_left=True, no_wrap=headings[:1], width=width))
    text.write(f"{summary.note()[0].upper()}{summary.note()[1:]}.\n")
    text.write(
        "Nats are a lower bound on mutual information: what a probe reads of pictures it was not fitted to; of\n"
    )
    text.write(
        "people it was not fitted to, except for the identity. * not visible in these pictures: must be near 0.\n"
    )
    return text.getvalue()


def _line(factor: str, cells: dict[str, _Cell], representations: Sequence[str]) -> list[str]:
    first = next(iter(cells.values()))
    return [
        f"{factor} *" if first.rows[0].control else factor,
        f"{first.entropy:.2f}",
        *(cells[name].text() if name in cells else "" for name in representations),
    ]


def as_json(result: FactorsResult) -> list[dict[str, Any]]:
    """The rows as plain values."""
    return [asdict(row) for row in result.rows]


def factors_figure(result: FactorsResult) -> Figure:
    """Bars of nats: panels per modality, one group per factor, one bar per representation, a tick at the entropy.

    The identity, whose entropy is several times that of the others, has a panel and a scale of its own. Lines on the
    bars are the intervals of one run, or one standard deviation of several to each side. Factors that a modality does
    not show stand on grey.

    Raises:
        InputError: there are no rows.
    """
    summary = _summary(result.rows)
    lines = [(modality, _split(summary.of(modality))) for modality in summary.modalities]
    columns = max(len(parts) for _, parts in lines)
    ratios = [max(len(parts[column]) for _, parts in lines if column < len(parts)) + 0.3 for column in range(columns)]
    wide = max(7.0, 1.4 + sum(ratios) * (0.5 + 0.16 * len(summary.representations)))
    figure = Figure(figsize=(wide, 1.1 + 2.6 * len(lines)), layout="constrained")
    grid = figure.subplots(len(lines), columns, squeeze=False, width_ratios=ratios)
    for panels, (modality, parts) in zip(grid, lines, strict=True):
        for axes, groups in zip(panels, parts, strict=False):
            _draw_panel(axes, groups, summary.representations)
        for axes in panels[len(parts) :]:
            axes.set_axis_off()
        panels[0].set_title(plain(f"{modality} pictures"), fontsize=10, loc="left")
        panels[0].set_ylabel("nats")
    handles, texts = grid[0, 0].get_legend_handles_labels()
    handles, texts = handles[1:] + handles[:1], texts[1:] + texts[:1]  # the tick last
    figure.legend(handles, texts, loc="outside lower center", ncols=min(5, len(texts)), fontsize=9, frameon=False)
    figure.suptitle(f"What is read of each factor ({summary.note()})", fontsize=11)
    return figure


def _split(groups: list[_Group]) -> list[list[_Group]]:
    """The identity by itself, where there are other factors."""
    parts = ([group for group in groups if (group[0] == "identity") == alone] for alone in (True, False))
    return [part for part in parts if part]


def _draw_panel(axes: Axes, groups: Sequence[_Group], names: Sequence[str]) -> None:
    firsts = [next(iter(cells.values())) for _, cells in groups]
    middle = np.arange(len(groups))
    axes.hlines(
        [first.entropy for first in firsts],
        middle - 0.43,
        middle + 0.43,
        color="black",
        linewidth=1.2,
        linestyle=(0, (4, 2)),
        label="entropy of the factor",
    )
    colors, bar = mpl.colormaps["tab10"], 0.8 / len(names)
    for place, name in enumerate(names):
        shown = [(position, cells[name]) for position, (_, cells) in enumerate(groups) if name in cells]
        places = [position + (place - (len(names) - 1) / 2) * bar for position, _ in shown]
        axes.bar(places, [cell.nats.mean for _, cell in shown], 0.92 * bar, color=colors(place % 10), label=plain(name))
        ends = np.array([cell.ends for _, cell in shown]).reshape(-1, 2)
        axes.vlines(places, ends[:, 0], ends[:, 1], color="black", linewidth=1)
    texts = []
    for position, ((factor, _), first) in enumerate(zip(groups, firsts, strict=True)):
        control = first.rows[0].control
        texts.append(plain(factor).replace(" ", "\n", 1) + ("\n(control)" if control else ""))
        if control:
            axes.axvspan(position - 0.5, position + 0.5, color="0.92", zorder=0)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xticks(middle, texts, fontsize=9)
    axes.set_xlim(-0.5, len(groups) - 0.5)
    axes.tick_params(axis="x", length=0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)


def write_report(result: FactorsResult, folder: Path) -> list[Path]:
    """Write `factors.json`, `factors.txt` and `factors.png`.

    Returns:
        The files, in that order.

    Raises:
        InputError: there are no rows.
        OSError: the folder cannot be written.
    """
    files = [folder / "factors.json", folder / "factors.txt", folder / "factors.png"]
    text, figure = format_report(result), factors_figure(result)
    write_json(files[0], as_json(result))
    write_text(files[1], text)
    save_plot(figure, files[2])
    return files
