"""What people see of the study of segmentation: tables with intervals, pictures, a JSON file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limbeck.files import write_json, write_text
from limbeck.reporting.formatting import format_difference, format_estimate
from limbeck.reporting.plots import paired_dots, save_plot
from limbeck.reporting.statistics import Estimate, difference_as_json, finite_or_none
from limbeck.reporting.tables import format_table
from limbeck.segmentation.evaluation import WITH, WITHOUT
from limbeck.segmentation.evaluators import PROTOCOLS, Protocol
from limbeck.segmentation.pictures import frame_figure
from limbeck.studies.published import TABLES_8_9
from limbeck.studies.segmentation.rows import APART, LIDAR, MEANING, REFERENCE, RowName
from limbeck.studies.segmentation.run import (
    EVALUATOR,
    Of,
    SegmentationStudyResult,
    SegmentationStudySettings,
    Sensor,
    paired,
)
from limbeck.studies.segmentation.trainings import LIGHTS
from limbeck.synthetic.streets import CLASSES, PAIRS

_KINDS = ("v", "z", "joint")
_POINTS: dict[Protocol, str] = {
    "all": "all points",
    "fov": "points in view of a camera",
    "outside": "points in view of no camera",
}
_FIGURES = ("mean", "colour", "shape", "both")
_SENSORS: tuple[Sensor, ...] = ("camera", "lidar", "both")


def write_report(result: SegmentationStudyResult, folder: Path) -> list[Path]:
    """Write `segmentation.json`, `segmentation.txt`, `segmentation.png`, and `segmentation-day.png`, `-night.png`.

    Returns:
        The files, in that order.

    Raises:
        OSError: the folder cannot be written.
    """
    files = [folder / f"segmentation.{suffix}" for suffix in ("json", "txt", "png")]
    write_json(files[0], as_json(result))
    write_text(files[1], format_report(result))
    save_plot(_picture(result), files[2])
    classes = tuple(known.name for known in CLASSES)
    for shown in result.shown:
        title = f"{shown.frame.name}, by {shown.light}, seed {result.settings.seeds[0]}: prediction by v"
        files.append(folder / f"segmentation-{shown.light}.png")
        save_plot(frame_figure(shown.frame, shown.predictions, classes, title=title), files[-1])
    return files


def format_report(result: SegmentationStudyResult, *, width: int = 240) -> str:
    """Mean ± sd over the seeds, paired differences, classes, and nats by sensor; protocol by protocol."""
    text = [_table(result, protocol, width) for protocol in PROTOCOLS]
    text += [_class_table(result, protocol, width) for protocol in PROTOCOLS]
    text.append(_pair_table(result, width))
    if APART in result.settings.rows:
        text.append(_information_table(result, width))
    return "\n".join([*text, *_answers(result), "", *_notes(result)]) + "\n"


def _table(result: SegmentationStudyResult, protocol: Protocol, width: int) -> str:
    rows = result.settings.rows
    references = [row for row in (LIDAR, REFERENCE) if row in rows and len(rows) > 1]
    headings = [
        "row",
        "of",
        "mean IoU",
        *(f"less {reference} [95 %]" for reference in references),
        "colour alone",
        "shape alone",
        "by day",
        "at night",
        "without cameras",
        "lost [95 %]",
    ]
    if protocol == "all":
        headings.append("nuScenes / SemanticKITTI")
    lines = [
        _cells(result, row, kind, protocol, references)
        for row in rows
        for kind in _KINDS
        if result.values(row, of=Of(kind, protocol))
    ]
    title = f"protocol {protocol}: {_POINTS[protocol]}; {_protocol(result.settings)}"
    return format_table(headings, lines, title=title, left=headings[:2], no_wrap=headings[:2], width=width)


def _cells(
    result: SegmentationStudyResult, row: RowName, kind: str, protocol: Protocol, references: list[RowName]
) -> list[str]:
    of = Of(kind, protocol)

    def mean(figure: str = "mean", of: Of = of) -> str:
        return _told(result.estimate(row, figure, of))

    cells = [
        row if kind == "v" else "",
        kind,
        mean(),
        *(format_difference(result.against(reference, row, of=of)) for reference in references),
        mean("colour"),
        mean("shape"),
        *(mean(of=replace(of, light=light)) for light in LIGHTS),
        mean(of=replace(of, cameras=WITHOUT)) if result.own_sight(row) == WITH else "",
        format_difference(result.lost_without(row, of=of)),
    ]
    if protocol == "all":
        paper = TABLES_8_9.get(row) if kind == "v" else None
        cells.append("" if paper is None else f"{paper[0]:.1f} / {paper[1]:.1f}")
    return cells


def _class_table(result: SegmentationStudyResult, protocol: Protocol, width: int) -> str:
    rows = result.settings.rows
    lines = [
        [
            known.name,
            _told_by(known.told_by),
            *(_told(result.estimate(row, known.name, Of(protocol=protocol))) for row in rows),
        ]
        for known in CLASSES
    ]
    title = f"IoU of every class by v, protocol {protocol}: {_POINTS[protocol]}"
    return format_table(["class", "told by", *rows], lines, title=title, left=("class", "told by"), width=width)


def _pair_table(result: SegmentationStudyResult, width: int) -> str:
    rows = result.settings.rows
    lines = [
        [
            " / ".join(pair),
            _told_by(told),
            protocol,
            *(_told(result.estimate(row, f"pair {pair[0]}", Of(protocol=protocol))) for row in rows),
        ]
        for pair, told in PAIRS.items()
        for protocol in ("fov", "outside")
    ]
    title = "of the points of a pair that got one of its two classes, the share that got its own, by v; chance is 50"
    headings = ["pair", "told by", "protocol", *rows]
    return format_table(headings, lines, title=title, left=headings[:3], width=width)


def _information_table(result: SegmentationStudyResult, width: int) -> str:
    lines = []
    for known in CLASSES:
        lines.append([known.name, _told_by(known.told_by), *_nats(result, known.name, pair=False), ""])
    for pair, told in PAIRS.items():
        cells = _nats(result, pair[0], pair=True)
        lines.append([f"{pair[0]} or {pair[1]}?", _told_by(told), *cells, result.verdict(pair[0])])
    headings = ["class", "told by", "camera", "LiDAR", "both", "camera less LiDAR [95 %]", "constructed"]
    title = (
        f"nats of the class, one against as many points of the others, that v of the row {APART} holds in view, at "
        "most 0.69; below, of which of a pair it is"
    )
    left = (*headings[:2], headings[-1])
    return format_table(headings, lines, title=title, left=left, no_wrap=headings[:1], width=width)


def _nats(result: SegmentationStudyResult, name: str, *, pair: bool) -> list[str]:
    held = {sensor: result.information(name, sensor, pair=pair) for sensor in _SENSORS}
    if not held["camera"]:
        return ["too few points", "", "", ""]
    cells = [_told(Estimate.from_values(values)) for values in held.values()]
    return [*cells, format_difference(paired(held["camera"], held["lidar"]))]


def _answers(result: SegmentationStudyResult) -> Iterator[str]:
    """What Tables 8 and 9 ask, in one line for each protocol."""
    rows = result.settings.rows
    if REFERENCE not in rows:
        return
    for row in rows:
        if row not in ("vcd", "vcd-to-lidar", "vcd-to-camera", "mv2d"):
            continue
        told = [
            f"{protocol} {difference}"
            for protocol in PROTOCOLS
            if (difference := format_difference(result.against(REFERENCE, row, of=Of(protocol=protocol))))
        ]
        paper = "; the paper, of vcd: +1.7 on nuScenes, +1.8 on SemanticKITTI" if row == "vcd" else ""
        if told:
            yield f"{row} less {REFERENCE}, mean IoU by v [95 %]: {', '.join(told)}{paper}."


def _notes(result: SegmentationStudyResult) -> Iterator[str]:
    for row in result.settings.rows:
        yield f"{row}: {MEANING[row]}."
    streets = result.settings.streets
    yield (
        f"Evaluator: {EVALUATOR}' rules, by which a class that is neither there nor predicted is left out of the mean. "
        "Every figure is of the protocol that is named with it; figures of different protocols are not to be compared."
    )
    yield (
        "Per cent but for nats; mean ± sd over seeds, each with streets, weights and batches of its own; differences "
        "are paired by seed, with Student's t interval, and not corrected for the number of rows. Scored are scenes "
        "nobody was trained on; the last network counts, nothing is selected, the validation scene is not looked at."
    )
    yield (
        f"{streets.ring} camera{'s' if streets.ring > 1 else ''} of {streets.width} x {streets.height} pixels. colour "
        "alone, shape alone: mean IoU of the classes that nothing else tells from their partner. without cameras: the "
        "same network, trained with pictures, sees none; lost: what that takes. Which points are in view "
        "stays the same then."
    )
    yield (
        "nats: read by held-out linear probes, lower bounds on what v holds; mean ± sd over seeds. A pair that colour "
        "tells apart is as constructed if the camera holds nats of which of the two it is and the LiDAR holds none; "
        "one that shape tells apart, if the LiDAR holds some, and more than the camera, which sees outlines."
    )
    yield (
        "nuScenes / SemanticKITTI: Tian et al. 2022, Tables 8 and 9; real streets, larger networks from pretrained "
        "weights, one training each, points not said: comparable in kind only."
    )


def as_json(result: SegmentationStudyResult) -> dict[str, Any]:
    """Every figure of every training, and the differences; per cent but for nats."""
    settings = result.settings
    return {
        "protocol": _protocol(settings),
        "evaluator": EVALUATOR,
        "figures": list(_figures_as_json(result)),
        "differences": [
            {"row": row, "reference": reference, "of": kind, "protocol": protocol, "figure": figure, **(found or {})}
            for reference in settings.rows
            for row in settings.rows
            for kind in _KINDS
            for protocol in PROTOCOLS
            for figure in _FIGURES
            if (found := difference_as_json(result.against(reference, row, figure, Of(kind, protocol))))
        ],
        "lost without cameras": [
            {"row": row, "of": kind, "protocol": protocol, **(found or {})}
            for row in settings.rows
            for kind in _KINDS
            for protocol in PROTOCOLS
            if (found := difference_as_json(result.lost_without(row, of=Of(kind, protocol))))
        ],
        "nats": [
            {
                "seed": seed,
                "classes": [asdict(one) for one in held.classes],
                "pairs": [asdict(one) for one in held.pairs],
            }
            for (row, seed), held in result.trainings.items()
            if row == APART
        ],
        "constructed": {pair[0]: result.verdict(pair[0]) for pair in PAIRS if APART in settings.rows},
        "trainings": [
            {"row": row, "seed": seed, "parameters": one.parameters, "seconds": one.seconds}
            for (row, seed), one in result.trainings.items()
        ],
        "settings": asdict(settings),
    }


def _figures_as_json(result: SegmentationStudyResult) -> Iterator[dict[str, Any]]:
    names = (*_FIGURES, *(known.name for known in CLASSES), *(f"pair {pair[0]}" for pair in PAIRS))
    for row in result.settings.rows:
        for cameras in (WITH, WITHOUT):
            for kind in _KINDS:
                for protocol in PROTOCOLS:
                    for light in (None, *LIGHTS):
                        of = Of(kind, protocol, light, cameras)
                        found = {name: result.values(row, name, of) for name in names}
                        if found["mean"]:
                            held = {name: [finite_or_none(one) for one in values] for name, values in found.items()}
                            yield {"row": row, **asdict(of), "values": held}


def _told(estimate: Estimate | None) -> str:
    return "" if estimate is None else format_estimate(estimate)


def _told_by(word: str) -> str:
    return {"colour": "colour alone", "shape": "shape alone", "both": "both"}[word]


def _protocol(settings: SegmentationStudySettings) -> str:
    streets, recipe = settings.streets, settings.recipe
    scenes = {part: len(numbers) for part, numbers in streets.splits().items()}
    steps = "" if recipe.data.steps_per_epoch is None else f" of {recipe.data.steps_per_epoch} steps"
    return (
        f"drawn streets, {scenes['train']} scenes of {streets.frames} scans to learn from, {scenes['test']} others "
        f"scored, {len(settings.seeds)} seeds; SPVCNN of width {recipe.network.width:g}, voxels of "
        f"{recipe.data.voxel:g} m, {recipe.training.epochs} epochs{steps}"
    )


def _picture(result: SegmentationStudyResult) -> Figure:
    """One dot a training, one line a seed, so that pairs can be followed; a panel for each protocol."""
    figure = Figure(figsize=(5.2 * len(PROTOCOLS), 4.4), layout="constrained")
    for axes, protocol in zip(figure.subplots(1, len(PROTOCOLS)), PROTOCOLS, strict=True):
        _panel(axes, result, protocol)
    figure.axes[0].set_ylabel("mean IoU by v, per cent")
    figure.suptitle("Segmentation of drawn streets; a line joins the trainings of a seed", fontsize=10)
    return figure


def _panel(axes: Axes, result: SegmentationStudyResult, protocol: Protocol) -> None:
    rows = result.settings.rows
    highlighted = rows.index(REFERENCE) if REFERENCE in rows else None
    paired_dots(axes, [result.values(row, of=Of(protocol=protocol)) for row in rows], highlighted=highlighted)
    axes.set_xticks(range(len(rows)), rows, fontsize=7, rotation=30)
    axes.set_title(f"{protocol}: {_POINTS[protocol]}", fontsize=10)
