"""What people see of the diagnoses side by side: tables, one picture per set, a page, plain values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from limbeck.files import safe_name, write_json, write_text
from limbeck.information.diagnosis import diagnosis_as_json, write_diagnosis
from limbeck.reporting.formatting import format_difference, format_estimate
from limbeck.reporting.html import Page
from limbeck.reporting.plots import plain, save_plot
from limbeck.reporting.statistics import difference_as_json, estimate_as_json
from limbeck.reporting.tables import format_table
from limbeck.studies.diagnosis.run import DiagnosisResult, Figure, SetResult

_PANELS = 4  # side by side


def format_report(result: DiagnosisResult, *, width: int = 150) -> str:
    """Two tables a set: every figure of every row, and what the reference has more than each other row.

    Args:
        result: of `run`.
        width: of the text.
    """
    text = ""
    for one in result.sets:
        for title, headings, lines in _tables(one):
            text += format_table(headings, lines, title=title, title_left=True, no_wrap=headings, width=width)
        text += f"{one.name}: {one.protocol}.\n{_warned(one)}; see the page.\n"
    return text + "\n".join(_notes(result)) + "\n"


def _tables(one: SetResult) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """(title, headings, lines) of the tables of a set."""
    runs = f"{len(one.runs)} {one.runs[0].split()[0]}{'s' * (len(one.runs) > 1)}"
    names = list(one.rows)
    lines = [
        [figure.name, *(format_estimate(one.estimate(row, figure), figure.digits) for row in names)]
        for figure in one.figures
    ]
    entropy = np.mean([found.entropy.nats for own in one.rows.values() for found in own])
    yield f"{one.name}, {runs}: nats, of H(y) = {entropy:.3f}", ["", *names], lines
    others = [row for row in names if one.against(row, one.figures[0]) is not None]
    if others:
        lines = [
            [figure.name, *(format_difference(one.against(row, figure), figure.digits) for row in others)]
            for figure in one.figures
        ]
        yield f"{one.name}, {runs}: {one.reference} less the row [95 %]", ["", *others], lines


def _warned(one: SetResult) -> str:
    found = [diagnosis for row in one.rows.values() for diagnosis in row]
    warned = sum(bool(diagnosis.warnings) for diagnosis in found)
    return f"{warned} of {len(found)} diagnoses bear warnings"


def _notes(result: DiagnosisResult) -> list[str]:
    settings = result.settings
    notes = [f"{name}: {meaning}." for name, meaning in _meanings(result).items()]
    notes += [
        f"Nats are read by {settings.probe} probes, {settings.probe_folds} folds, of samples that no probe was fitted "
        "to and no network learned from; single views and their figures are averaged over the views.",
        "Mean ± sd over folds or seeds; differences are paired, with the corrected resampled t interval for folds, "
        "which share samples, and Student's for seeds, which do not.",
        "A representation that holds nothing has gap I(v;y), and nothing that is only in this view: read them beside "
        "I(z;y) and joint. Probes read what is in z; the network's own head may read less or more.",
    ]
    return notes


def _meanings(result: DiagnosisResult) -> dict[str, str]:
    return {figure.name: figure.meaning for one in result.sets for figure in one.figures}


def as_json(result: DiagnosisResult) -> dict[str, Any]:
    """Settings, and for every set and row the figures, the paired differences and all diagnoses."""
    return {
        "study": "diagnosis",
        "settings": asdict(result.settings),
        "figures": _meanings(result),
        "sets": [
            {
                "name": one.name,
                "protocol": one.protocol,
                "reference": one.reference,
                "runs": list(one.runs),
                "rows": [_row_as_json(one, row) for row in one.rows],
            }
            for one in result.sets
        ],
    }


def _row_as_json(one: SetResult, row: str) -> dict[str, Any]:
    return {
        "name": row,
        "figures": {
            figure.name: estimate_as_json(one.estimate(row, figure)) | {"runs": one.values(row, figure)}
            for figure in one.figures
        },
        "reference_minus_this": {figure.name: difference_as_json(one.against(row, figure)) for figure in one.figures},
        "diagnoses": [diagnosis_as_json(found) for found in one.rows[row]],
    }


def diagnosis_picture(one: SetResult) -> Picture:
    """One panel per figure, one line and colour per row: one dot per run, and mean ± sd."""
    lines = -(-len(one.figures) // _PANELS)
    picture = Picture(figsize=(13, lines * (1.1 + 0.36 * len(one.rows))), layout="constrained")
    panels = picture.subplots(lines, _PANELS, sharey=True)
    for axes, figure in zip(panels.flat, one.figures, strict=False):
        _panel(axes, one, figure)
    for axes in panels.flat[len(one.figures) :]:
        axes.set_axis_off()
    picture.suptitle(f"{plain(one.name)}: a dot a {one.runs[0].split()[0]}; bars: mean ± sd", fontsize=11)
    return picture


def _panel(axes: Axes, one: SetResult, figure: Figure) -> None:
    colours = mpl.colormaps["tab10"]
    for place, row in enumerate(one.rows):
        values, colour = one.values(row, figure), colours(place % 10)
        found = one.estimate(row, figure)
        axes.plot(values, [place + 0.22] * len(values), ".", color=colour, alpha=0.5, markersize=6)
        axes.errorbar(found.mean, place, xerr=found.deviation, fmt="o", color=colour, capsize=4, markersize=6)
    axes.set_yticks(range(len(one.rows)), [plain(row) for row in one.rows])
    axes.locator_params(axis="x", nbins=4)
    axes.set_ylim(len(one.rows) - 0.4, -0.6)
    axes.set_title(figure.name if "%" in figure.name else f"{figure.name}, nats", fontsize=10)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def write_report(result: DiagnosisResult, folder: Path) -> list[Path]:
    """Write the report.

    `diagnosis.json`, `diagnosis.txt`, a picture `diagnosis-SET.png` for each set, the diagnosis of every row's first
    run in `diagnosis-SET/ROW`, and `index.html`, which shows the tables and pictures and leads to the rest.

    Returns:
        The files, the page last; of the folders of the diagnoses their pages.

    Raises:
        OSError: the folder cannot be written.
    """
    files = [folder / "diagnosis.json", folder / "diagnosis.txt"]
    write_json(files[0], as_json(result))
    write_text(files[1], format_report(result))
    page = Page("What trainings hold of the label, side by side")
    page.paragraph(
        "Networks of one shape, trained with different objectives, are diagnosed on samples that they did not learn "
        "from: how many nats of the label observations v and representations z tell, and how much of it several views "
        "share. All information is in nats (1 bit is 0.693 nats)."
    )
    for one in result.sets:
        files += _write_set(one, folder, page)
    page.heading("How to read this")
    page.bullets(_notes(result))
    page.links([("diagnosis.json", "every figure of every run"), ("diagnosis.txt", "the tables as text")])
    files.append(folder / "index.html")
    page.write(files[-1])
    return files


def _write_set(one: SetResult, folder: Path, page: Page) -> list[Path]:
    place = f"diagnosis-{safe_name(one.name)}"
    picture = folder / f"{place}.png"
    save_plot(diagnosis_picture(one), picture)
    page.heading(one.name)
    page.paragraph(f"{one.protocol[0].upper()}{one.protocol[1:]}.")
    page.picture(
        picture.read_bytes(), f"Figures of every row and {one.runs[0].split()[0]}, {one.name}", link=picture.name
    )
    for title, headings, lines in _tables(one):
        page.table(headings, lines, title)
    page.paragraph(f"In full, {one.runs[0]}:")
    pages = []
    for row, found in one.rows.items():
        pages.append(write_diagnosis(found[0], folder / place / row, title=f"{one.name}, {row}, {one.runs[0]}")[-1])
    page.links([(path.relative_to(folder).as_posix(), row) for path, row in zip(pages, one.rows, strict=True)])
    warnings = [f"{row}: {warning}" for row, found in one.rows.items() for warning in found[0].warnings]
    page.paragraph(f"{_warned(one)}{f'; those of {one.runs[0]}:' if warnings else '.'}")
    page.bullets(warnings)
    return [picture, *pages]
