"""What people see of the study of estimators: a table, a picture, plain values and a page."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure

from limbeck.files import atomic_writer, write_json, write_text
from limbeck.reporting.formatting import format_estimate
from limbeck.reporting.html import Page
from limbeck.reporting.plots import png
from limbeck.reporting.statistics import estimate_as_json
from limbeck.reporting.tables import format_table
from limbeck.studies.estimators.run import EstimatorRow, EstimatorsResult

_KNOWN, _OFTEN = "known ", 0.1
_HEADINGS = ("task", "truth", "estimator", "bound", "mean ± sd", "bias", "stated error", "within", "right side")


def format_report(result: EstimatorsResult, *, width: int = 150) -> str:
    """One line per estimator and task, how often intervals hold the truth, and what all of it comes to.

    Args:
        result: of `run`.
        width: of the text.
    """
    lines, last = [], None
    for row in result.rows:
        cells = _cells(row)
        lines.append(("", "", *cells[2:]) if row.task.name == last else cells)
        last = row.task.name
    left = ("task", "estimator", "bound")
    table = format_table(_HEADINGS, lines, title=_title(result), left=left, no_wrap=_HEADINGS, width=width)
    parts = [table, "\n".join((*_verdicts(result), *_NOTES)) + "\n"]
    for headings, coverage in coverage_tables(result):
        title = f"Seeds of {result.settings.seeds} whose 95 % interval holds the truth"
        parts.append(format_table(headings, coverage, title=title, no_wrap=headings, width=width))
    return "\n".join((*parts, "\n".join(_COVERAGE_NOTES) + "\n"))


_NOTES = (
    "Nats. within: share of the seeds whose figure less the truth is in the stated error; ! where that is below 95 %.",
    "fails: the stated error itself says that the truth is missed. right side: share of the seeds whose 95 % interval",
    "does not contradict the bound. sat.: the truth is above what the figure can reach.",
)


_COVERAGE_NOTES = (
    "≥, ≤: a lower, an upper bound, whose interval misses where all of it is on the wrong side of the truth; others",
    "miss where the truth is not in it. w: seeds with a warning. s: seeds on the right side, where that is not all.",
    "r: seeds that were refused. !: the interval misses without a warning in more than 10 % of the seeds. ~: a bound",
    "whose interval does not hold the truth, without a warning, in more than 10 % of the seeds.",
)


def coverage_tables(result: EstimatorsResult) -> Iterator[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Headings and cells: a row a task, a column an estimator; bounds of known densities in a table of their own."""
    for known in (False, True):
        rows = [row for row in result.rows if row.estimator.startswith(_KNOWN) == known]
        names = list(dict.fromkeys(row.estimator for row in rows))
        if not rows:
            continue
        bounds = {row.estimator: {"lower": " ≥", "upper": " ≤", "neither": ""}[row.bound] for row in rows}
        found = {(row.task.name, row.estimator): _coverage(row) for row in rows}
        tasks = {row.task.name: row.task.truth for row in rows}
        cells = [
            (task, f"{truth:.3f}", *(found.get((task, name), "") for name in names)) for task, truth in tasks.items()
        ]
        silent = [sum(row.silent > _OFTEN for row in rows if row.estimator == name) for name in names]
        cells.append(("silent misses, !", "", *map(str, silent)))
        yield ("task", "truth", *(name.removeprefix(_KNOWN) + bounds[name] for name in names)), cells


def _coverage(row: EstimatorRow) -> str:
    seeds = len(row.nats)
    words = [f"{round(row.covered * seeds)}"]
    if row.right is not None and row.right < 1:
        words.append(f"s{round(row.right * seeds)}")
    if row.warned:
        words.append(f"w{round(row.warned * seeds)}")
    if row.refused:
        words.append(f"r{row.refused}")
    if row.silent > _OFTEN:
        words.append("!")
    elif row.loose > _OFTEN:
        words.append("~")
    return " ".join(words)


def _title(result: EstimatorsResult) -> str:
    settings = result.settings
    return f"Estimators of mutual information: {settings.samples} samples, {settings.seeds} seeds"


def _cells(row: EstimatorRow) -> tuple[str, ...]:
    stated = f"{row.stated.low:+.2f} .. {row.stated.high:+.2f}" + (" fails" if row.stated.fails else "")
    return (
        row.task.name,
        f"{row.task.truth:.3f}",
        row.estimator,
        row.bound + (" sat." if row.saturated else ""),
        format_estimate(row.estimate, 3),
        f"{row.bias:+.3f}",
        stated,
        f"{100 * row.within:.0f} %" + ("" if row.holds else " !"),
        "" if row.right is None else f"{100 * row.right:.0f} %",
    )


def _verdicts(result: EstimatorsResult) -> list[str]:
    holding = sum(row.holds for row in result.rows)
    sides = ", ".join(f"{name} {100 * share:.1f} %" for name, share in result.right.items())
    lines = [f"{holding} of {len(result.rows)} rows are within their stated error."]
    silent = [f"{row.estimator} on {row.task.name}" for row in result.rows if row.silent > _OFTEN]
    told = f": {', '.join(silent)}" if silent else ""
    lines.append(f"{len(silent)} rows have intervals that miss in more than 10 % of the seeds without a warning{told}.")
    return [*lines, f"Figures on the right side of the truth, over all tasks: {sides}."] if sides else lines


def estimators_figure(result: EstimatorsResult) -> Figure:
    """Errors as colours: one row per task, one column per estimator; blue is below the truth, red above, white right.

    The number is the mean error in nats. A dot marks rows outside their stated error.
    """
    tasks = list(dict.fromkeys(row.task.name for row in result.rows))
    names = list(dict.fromkeys(row.estimator for row in result.rows))
    errors = np.full((len(tasks), len(names)), np.nan)
    for row in result.rows:
        errors[tasks.index(row.task.name), names.index(row.estimator)] = row.bias
    figure = Figure(figsize=(3.0 + 0.72 * len(names), 2.2 + 0.27 * len(tasks)), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(errors, cmap="RdBu_r", norm=SymLogNorm(0.1, vmin=-10, vmax=10), aspect="auto")
    for row in result.rows:
        place = names.index(row.estimator), tasks.index(row.task.name)
        text = f"{row.bias:+.2f}" if abs(row.bias) < 10 else f"{row.bias:+.0f}"
        axes.text(
            *place,
            text + ("" if row.holds else " •"),
            ha="center",
            va="center",
            fontsize=7,
            color="white" if abs(row.bias) > 1.5 else "black",
        )
    truths = {row.task.name: row.task.truth for row in result.rows}
    axes.set_yticks(range(len(tasks)), [f"{task}  {truths[task]:.2f}" for task in tasks], fontsize=8)
    axes.set_xticks(range(len(names)), [name.replace("known ", "known\n") for name in names], fontsize=8, rotation=45)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_facecolor("0.93")
    axes.spines[:].set_visible(False)
    figure.colorbar(picture, ax=axes, shrink=0.5, label="mean error, nats", ticks=[-10, -1, -0.1, 0, 0.1, 1, 10])
    figure.suptitle(f"{_title(result)}. Beside each task: the truth", fontsize=10)
    return figure


def as_json(result: EstimatorsResult) -> dict[str, Any]:
    """Settings and rows as plain values; what is infinite is null."""
    settings = result.settings
    return {
        "settings": {
            name: list(value) if isinstance(value, tuple) else value for name, value in vars(settings).items()
        },
        "right": result.right,
        "rows": [
            {
                "task": row.task.name,
                "kind": row.task.kind,
                "truth": row.task.truth,
                "truth_error": row.task.truth_error,
                "estimator": row.estimator,
                "bound": row.bound,
                "nats": list(row.nats),
                "low": list(row.low),
                "high": list(row.high),
                "warnings": [list(one) for one in row.warnings],
                "refused": row.refused,
                "covered": row.covered,
                "warned": row.warned,
                "missed": row.missed,
                "silent": row.silent,
                **estimate_as_json(row.estimate),
                "bias": row.bias,
                "stated": {
                    "low": row.stated.low,
                    "high": row.stated.high if math.isfinite(row.stated.high) else None,
                    "why": row.stated.why,
                },
                "within": row.within,
                "holds": row.holds,
                "right": row.right,
                "saturates": row.saturates,
                "seconds": row.seconds,
            }
            for row in result.rows
        ],
    }


def write_report(result: EstimatorsResult, folder: Path) -> list[Path]:
    """Write `estimators.json`, `estimators.txt`, `estimators.png` and `index.html`, which holds all of it.

    Returns:
        The files, in that order.

    Raises:
        OSError: the folder cannot be written.
    """
    files = [folder / name for name in ("estimators.json", "estimators.txt", "estimators.png", "index.html")]
    picture = png(estimators_figure(result))
    write_json(files[0], as_json(result))
    write_text(files[1], format_report(result))
    with atomic_writer(files[2]) as stream:
        stream.write(picture)
    page = Page(_title(result))
    for line in _verdicts(result):
        page.paragraph(line)
    page.picture(picture, "mean error of every estimator on every task, as colours and numbers", link=files[2].name)
    page.table(_HEADINGS, [_cells(row) for row in result.rows], " ".join(_NOTES))
    for headings, coverage in coverage_tables(result):
        page.table(headings, coverage, " ".join(_COVERAGE_NOTES))
    page.links([(files[0].name, "settings and every figure"), (files[1].name, "the table as text")])
    page.write(files[3])
    return files
