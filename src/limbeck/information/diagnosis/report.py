"""A diagnosis as a folder: figures as JSON, pictures, and a page that opens from disk."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from limbeck.files import atomic_writer, write_json
from limbeck.information.diagnosis.results import Diagnosis, ViewDiagnosis
from limbeck.information.diagnosis.table import together, view_rows
from limbeck.reporting.html import Page

_READING = (
    "I(z;y): nats of the label that probes which never saw the sample read from z; at most H(y). A lower bound on what "
    "is there: the network's own head, or a larger probe, may read more.",
    "gap: what v told and z does not. 0 is sufficiency. Below 0: z is easier to read than v.",
    "only in this view: what the others cannot replace; lost where the view is missing. 0 is consistency, but a "
    "representation that holds nothing has 0 as well.",
    "consistent: the rest of I(z;y). Redundant: the others know it too. Synergy: it shows in several views together "
    "only; the consistent part is the redundant less the synergy, and may be negative.",
    "Intervals cover the draw of the samples and, of linear probes, what they are estimated to lose because they were "
    "fitted to finitely many.",
)


def write_diagnosis(found: Diagnosis, folder: str | os.PathLike[str], *, title: str = "Diagnosis") -> list[Path]:
    """Write `diagnosis.json`, `bars.png`, `venn.png` (two or three views), `plane.png` and `index.html`.

    Args:
        found: by `diagnose`.
        folder: made when absent.
        title: of the page.

    Returns:
        The files, the page last.

    Raises:
        OSError: the folder cannot be made, or the disk is full.
    """
    from limbeck.information.diagnosis.pictures import bars_figure, plane_figure, venn_figure  # noqa: PLC0415 - slow
    from limbeck.reporting.plots import png  # noqa: PLC0415 - to import, and `diagnose` needs neither

    folder = Path(folder)
    write_json(folder / "diagnosis.json", diagnosis_as_json(found))
    files, pictures = [folder / "diagnosis.json"], {}
    for old in ("venn.png", "plane.png"):  # of an earlier diagnosis, which may have had what this one has not
        (folder / old).unlink(missing_ok=True)
    for name, figure in (("bars", bars_figure(found)), ("venn", venn_figure(found)), ("plane", plane_figure(found))):
        if figure is not None:
            pictures[name] = png(figure)
            with atomic_writer(folder / f"{name}.png") as stream:
                stream.write(pictures[name])
            files.append(folder / f"{name}.png")
    _page(found, title, pictures, files).write(folder / "index.html")
    return [*files, folder / "index.html"]


def diagnosis_as_json(found: Diagnosis) -> dict[str, Any]:
    """All figures as plain values, in nats; regions of the Venn diagram as a list."""
    plain = dataclasses.asdict(found)
    plain["regions"] = [
        {"views": list(views), **dataclasses.asdict(interval)} for views, interval in found.regions.items()
    ]
    plain["retrieval"] = [
        {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in search.items()}
        for search in plain["retrieval"]
    ]
    return plain


def findings(found: Diagnosis) -> Iterator[str]:
    """What the figures say, a sentence each; nothing that an interval does not bear out."""
    if found.joint.low <= 0:
        yield "Nothing clear of the label can be read."
    elif len(found.views) > 1:
        share = 100 * found.joint.nats / found.entropy.nats
        yield (
            f"All views together tell {found.joint.nats:.3f} of the {found.entropy.nats:.3f} nats of the label "
            f"({share:.0f} %)."
        )
    for view in found.views:
        yield f"{view.name}: {'; '.join(_said_of(view))}."
    if found.overlap is not None and found.overlap.high < 0:
        yield f"The views tell more in company than each alone: {-found.overlap.nats:.3f} nats of synergy on balance."


def _said_of(view: ViewDiagnosis) -> Iterator[str]:
    told = view.representation
    yield f"z tells {told.nats:.3f} nats" if told.low > 0 else "z by itself tells nothing clear"
    if view.gap is not None:
        if view.gap.low > 0:
            yield f"loses {view.gap.nats:.3f} of what v tells"
        elif view.gap.high < 0:
            yield "is read more easily than v"
        else:
            yield "no clear loss against v"
    if view.specific is not None:
        if view.specific.low > 0:
            yield f"it adds {view.specific.nats:.3f} to what the others tell"
        else:
            yield "it adds nothing clear to what the others tell"


def _why_both(found: Diagnosis) -> str:
    """Why nats and retrieval may disagree."""
    share = 100 * found.joint.nats / found.entropy.nats
    precision = [100 * one.mean_average_precision for one in found.retrieval]
    return (
        f"Probes read {share:.0f} % of the label's nats, while searching one view with the other has a mAP of "
        f"{' and '.join(f'{value:.0f}' for value in precision)} %. These are different questions. A probe is fitted to "
        "other samples of the same classes and weighs directions as it needs: all nats can be read as soon as the "
        "classes lie apart in some directions. Retrieval learns nothing: it orders samples by plain cosine, in which "
        "every direction counts, between views whose clouds may lie apart, and mAP counts every match of a query, the "
        "farthest too. Many nats and a low mAP: what tells the classes is there, but distances do not go by it."
    )


def _page(found: Diagnosis, title: str, pictures: dict[str, bytes], files: list[Path]) -> Page:
    page = Page(title)
    page.paragraph(
        f"{found.samples} samples, {len(found.classes)} classes, {len(found.views)} "
        f"view{'s' * (len(found.views) != 1)}; {found.probe} probes, {found.folds} folds, "
        f"{100 * found.confidence:g} % intervals, seed {found.seed}. All information is in nats (1 bit is 0.693 nats)."
    )
    page.bullets(list(findings(found)))
    if found.warnings:
        page.heading("What the figures cannot bear")
        page.bullets(found.warnings)
    page.heading("What every view holds")
    rows = [[name.strip(), *cells] for name, *cells in view_rows(found.views)]
    page.table(["nats", *(view.name for view in found.views)], rows, "Figures with their intervals.")
    page.picture(
        pictures["bars"],
        "Bars of the nats of the label read from every view",
        "Nats of the label read from "
        + ("representations" if found.joint_observations is None else "observations and representations")
        + "; the dashed line is H(y), the most there is."
        + (" Hatched: what the view adds to the others." if len(found.views) > 1 else ""),
        link="bars.png",
    )
    page.heading("All views together" if len(found.views) == 1 else "What views have in common")
    if "venn" in pictures:
        page.picture(
            pictures["venn"],
            "Circles for what each view tells of the label, overlapping where views tell the same",
            "Within the label: areas are nats."
            + (" Where areas cannot follow the numbers count." if len(found.views) > 2 else "")
            + (
                " Regions whose figure is below 0, which no area can show, are named above the circles; their figures "
                "are in the table."
                if min(interval.nats for interval in found.regions.values()) < -5e-4
                else ""
            ),
            link="venn.png",
        )
    page.table(["all views", ""], [list(row) for row in together(found)])
    if found.retrieval:
        page.paragraph(_why_both(found))
    if "plane" in pictures:
        page.heading("Information plane")
        page.picture(
            pictures["plane"],
            "I(z;y) of every view over I(v;y)",
            "On the dotted line z keeps all of the label that v tells (or tells of the label all that it holds of v).",
            link="plane.png",
        )
    page.heading("How to read this")
    page.bullets(_READING)
    page.links([(file.name, "figures" if file.suffix == ".json" else "picture") for file in files])
    return page
