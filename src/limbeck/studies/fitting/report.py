"""What people see of Figure 7: a table, a picture for each set, a page, and plain values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limbeck.errors import InputError
from limbeck.files import safe_name, write_json, write_text
from limbeck.information.curve import draw_band, finish_axes
from limbeck.reporting.formatting import format_estimate
from limbeck.reporting.html import Page
from limbeck.reporting.plots import ACCENT, PLAIN, plain, save_plot
from limbeck.reporting.statistics import Estimate, estimate_as_json
from limbeck.reporting.tables import format_table
from limbeck.studies.fitting.run import FittedRun, FittingResult, Series, series_of

_HEADINGS = ("of", "objective", "width", "I(v;y)", "I(z;y)", "gap", "H(y)", "epochs to 90 %")
_MOST_TICKS = 8


@dataclass(frozen=True)
class Summary:
    """One line of the table: means and standard deviations over the runs of one objective and width, in nats.

    Attributes:
        data: name of the set.
        scope: which v and z, see `series_of`.
        objective: of the training.
        width: of z.
        v: I(v; y) after the last step.
        z: I(z; y) after the last step.
        gap: their difference.
        entropy: of the label, mean over the runs.
        fitted_after: epochs until I(z; y) was at 90 % of its last value; None where that was not above 0 in every run.
        runs: how many.
    """

    data: str
    scope: str
    objective: str
    width: int
    v: Estimate
    z: Estimate
    gap: Estimate
    entropy: float
    fitted_after: Estimate | None
    runs: int


def summaries(runs: Sequence[FittedRun]) -> list[Summary]:
    """The lines of the table, set by set, scope by scope.

    Raises:
        InputError: there are no runs.
    """
    if not runs:
        raise InputError("runs must hold at least one")
    return [_summary(*key, own) for key, own in _grouped(runs).items()]


_Key = tuple[str, str, str, int]


def _grouped(runs: Sequence[FittedRun]) -> dict[_Key, list[Series]]:
    """(set, scope, objective, width) -> one series per run; sorted by set and scope in the order of their first run."""
    found: dict[_Key, list[Series]] = {}
    for run in runs:
        for scope, series in series_of(run).items():
            found.setdefault((run.data, scope, run.objective, run.width), []).append(series)
    scopes = list(dict.fromkeys(key[:2] for key in found))
    return {key: found[key] for key in sorted(found, key=lambda key: scopes.index(key[:2]))}


def _summary(data: str, scope: str, objective: str, width: int, own: Sequence[Series]) -> Summary:
    after = [series.fitted_after for series in own]
    return Summary(
        data,
        scope,
        objective,
        width,
        Estimate.from_values([float(series.v[-1]) for series in own]),
        Estimate.from_values([float(series.z[-1]) for series in own]),
        Estimate.from_values([series.gap for series in own]),
        float(np.mean([series.entropy for series in own])),
        None if any(map(math.isnan, after)) else Estimate.from_values(after),
        len(own),
    )


def format_report(result: FittingResult, *, width: int = 120) -> str:
    """A table for each set: what is read of the label from v and from z after the last step, and how soon from z.

    Args:
        result: of `run`.
        width: of the text.

    Raises:
        InputError: there are no runs.
    """
    lines = summaries(result.runs)
    text = ""
    for name, own in _by_set(result.runs):
        text += format_table(
            _HEADINGS,
            [_cells(line) for line in lines if line.data == name],
            title=_title(name, own),
            title_left=True,
            left=_HEADINGS[:2],
            no_wrap=_HEADINGS,
            width=width,
        )
    return text + "".join(f"{note}\n" for note in _notes(result.runs))


def _cells(line: Summary) -> list[str]:
    return [
        line.scope,
        line.objective,
        str(line.width),
        *(format_estimate(one, 3) for one in (line.v, line.z, line.gap)),
        f"{line.entropy:.3f}",
        "never" if line.fitted_after is None else format_estimate(line.fitted_after, 1),
    ]


def _by_set(runs: Sequence[FittedRun]) -> Iterator[tuple[str, list[FittedRun]]]:
    for name in dict.fromkeys(run.data for run in runs):
        yield name, [run for run in runs if run.data == name]


def _title(name: str, own: Sequence[FittedRun]) -> str:
    count = len({run.run for run in own})
    samples = "/".join(map(str, sorted({run.samples for run in own})))
    return (
        f"{name}: nats of the label read on {samples} held-out samples after {own[0].epochs} epochs, "
        f"{count} run{'s' if count > 1 else ''}"
    )


def _notes(runs: Sequence[FittedRun]) -> list[str]:
    notes = [
        "Mean ± sd over runs: folds of a set, or seeds with people, weights and batches of their own.",
        "Nats are lower bounds by a cross-fitted probe. Nothing was stopped or selected on the samples measured on.",
        "gap: I(v;y) - I(z;y). The true one is never below 0; what a probe reads may be more from the narrower z.",
        "epochs to 90 %: the first measurement with 90 % of the last I(z;y); it is no finer than the measurements.",
        "Tian et al. 2021, Fig. 7, draws such curves for SYSU-MM01 and prints no figure in nats to compare with.",
    ]
    if any("z specific" in {row.name for row in run.rows} for run in runs):
        notes.append(
            "people: the label is the identity, read of pictures of both modalities after others of the person."
        )
    return notes


def as_json(result: FittingResult) -> dict[str, Any]:
    """Settings, the lines of the table, and every measurement, as plain values.

    Raises:
        InputError: there are no runs.
    """
    return {
        "study": "fitting",
        "source": "Tian et al. 2021, Fig. 7, which prints no figures in nats",
        "settings": asdict(result.settings),
        "summary": [_summary_as_json(line) for line in summaries(result.runs)],
        "runs": [asdict(run) for run in result.runs],
    }


def _summary_as_json(line: Summary) -> dict[str, Any]:
    return {
        name: estimate_as_json(value) if isinstance(value, Estimate) else value for name, value in vars(line).items()
    }


def fitting_figure(runs: Sequence[FittedRun]) -> Figure:
    """The curves of one set: a line of panels for each v and z, one panel per objective, one colour per width.

    I(v; y) is solid, I(z; y) dashed; bands are one standard deviation of the runs to each side, H(y) is dotted. The
    last panel of a line is the gap after the last step over the width.

    Raises:
        InputError: there are no runs, or they are of several sets.
    """
    if len({run.data for run in runs}) != 1:
        raise InputError("runs must be of one set")
    groups = _grouped(runs)
    scopes, objectives = list(dict.fromkeys(key[1] for key in groups)), list(dict.fromkeys(key[2] for key in groups))
    widths = sorted({key[3] for key in groups})
    shades = mpl.colormaps["viridis"](np.linspace(0, 0.85, len(widths)))
    columns = len(objectives) + 1
    figure = Figure(figsize=(3.4 * columns + 1.2, 2.9 * len(scopes) + 0.8), layout="constrained")
    grid = figure.subplots(len(scopes), columns, squeeze=False)
    for line, scope in zip(grid, scopes, strict=True):
        for axes, objective in zip(line[:-1], objectives, strict=True):
            if axes is not line[0]:
                axes.sharey(line[0])
            own = {width: groups[runs[0].data, scope, objective, width] for width in widths}
            for shade, (width, series) in zip(shades, own.items(), strict=True):
                _draw_curves(axes, series, shade, f"width {width}")
            _finish_curves(axes, own[widths[0]][0])
            axes.set_title(plain(f"{scope}: {objective}"), fontsize=10)
        line[0].set_ylabel("nats of the label")
        _draw_gaps(line[-1], [one for one in summaries(runs) if one.scope == scope], objectives)
    handles, texts = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=len(widths) + 1, fontsize=8, frameon=False)
    figure.suptitle(f"{plain(_title(*next(_by_set(runs))))}\nsolid: I(v;y), dashed: I(z;y)", fontsize=10)
    return figure


def _draw_curves(axes: Axes, own: Sequence[Series], shade: object, label: str) -> None:
    epochs = own[0].epochs.tolist()
    for word in ("v", "z"):
        values = np.array([getattr(series, word) for series in own])
        middle, spread = values.mean(axis=0), values.std(axis=0, ddof=1) if len(own) > 1 else 0 * values[0]
        draw_band(
            axes,
            epochs,
            middle.tolist(),
            (middle - spread).tolist(),
            (middle + spread).tolist(),
            color=shade,
            dashed=word == "z",
            label=label if word == "v" else "_",
        )


def _finish_curves(axes: Axes, first: Series) -> None:
    finish_axes(axes)
    axes.axhline(first.entropy, color="black", linestyle=":", linewidth=1.2, label="H(y)")
    # Most of it happens in the first epochs.
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(-0.1, 1.1 * first.epochs[-1])
    if len(first.epochs) <= _MOST_TICKS:
        axes.set_xticks(first.epochs.tolist(), [f"{epoch:g}" for epoch in first.epochs])
        axes.minorticks_off()
    axes.set_xlabel("epochs")


def _draw_gaps(axes: Axes, lines: Sequence[Summary], objectives: Sequence[str]) -> None:
    widths = sorted({line.width for line in lines})
    for place, objective in enumerate(objectives):
        own = sorted((line for line in lines if line.objective == objective), key=lambda line: line.width)
        axes.errorbar(
            [widths.index(line.width) + 0.08 * place for line in own],
            [line.gap.mean for line in own],
            yerr=[line.gap.deviation for line in own],
            color=(PLAIN, ACCENT)[place] if place < 2 else f"C{place}",
            marker="o",
            markersize=4,
            capsize=3,
            linewidth=1.2,
            label=objective,
        )
    finish_axes(axes)
    axes.set_xticks(range(len(widths)), [str(width) for width in widths])
    axes.set_xlabel("width of z")
    axes.set_title("last gap I(v;y) - I(z;y), nats", fontsize=10)
    axes.legend(fontsize=8, frameon=False)


def write_report(result: FittingResult, folder: Path) -> list[Path]:
    """Write `fitting.json`, `fitting.txt`, a picture `fitting-SET.png` for each set, and `index.html` with all of it.

    Returns:
        The files, in that order.

    Raises:
        InputError: there are no runs.
        OSError: the folder cannot be written.
    """
    files = [folder / "fitting.json", folder / "fitting.txt"]
    write_json(files[0], as_json(result))
    write_text(files[1], format_report(result))
    page = Page("How I(z; y) approaches I(v; y)")
    page.paragraph(
        "For every set: how many nats of the label can be read from observations v and representations z of held-out "
        "samples while the networks learn, for several widths of z."
    )
    for name, own in _by_set(result.runs):
        picture = folder / f"fitting-{safe_name(name)}.png"
        save_plot(fitting_figure(own), picture)
        files.append(picture)
        page.heading(name)
        page.picture(picture.read_bytes(), f"Curves of I(v; y) and I(z; y) over epochs, {name}", link=picture.name)
        page.table(_HEADINGS, [_cells(line) for line in summaries(own)], _title(name, own))
    page.heading("How to read it")
    page.bullets(_notes(result.runs))
    page.links([("fitting.json", "every measurement"), ("fitting.txt", "the tables as text")])
    files.append(folder / "index.html")
    page.write(files[-1])
    return files
