"""What people see of the study of training without labels: a table with intervals, a picture, a JSON file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limbeck.files import write_json, write_text
from limbeck.reporting.formatting import format_difference, format_estimate
from limbeck.reporting.plots import paired_dots, save_plot
from limbeck.reporting.tables import format_table
from limbeck.studies.unsupervised.run import (
    FULL,
    MEANING,
    REFERENCE,
    Overlap,
    RowName,
    UnsupervisedStudyResult,
    UnsupervisedStudySettings,
)

_REFERENCES: tuple[RowName, ...] = (REFERENCE, "hungarian")


def write_report(result: UnsupervisedStudyResult, folder: Path) -> list[Path]:
    """Write `unsupervised.json`, `unsupervised.txt` and `unsupervised.png`.

    Returns:
        The files, in that order.

    Raises:
        OSError: the folder cannot be written.
    """
    files = [folder / f"unsupervised.{suffix}" for suffix in ("json", "txt", "png")]
    write_json(files[0], as_json(result))
    write_text(files[1], format_report(result))
    save_plot(_picture(result), files[2])
    return files


def format_report(result: UnsupervisedStudyResult, *, width: int = 225) -> str:
    """Mean ± sd over the seeds of rank-1 and mAP, paired differences, and how right the pseudo-labels are."""
    text = []
    for overlap in result.settings.overlaps:
        rows = [row for row in result.settings.rows if result.values(overlap, row)]
        differences = [f"mAP: {reference} less this [95 %]" for reference in _REFERENCES if reference in rows]
        differences += ["mAP above untrained [95 %]", "of supervised mAP, %"]
        headings = ("row", "rank-1", "mAP", *differences, "clusters v / i", "ARI v", "ARI i", "matched %", "right %")
        lines = [_cells(result, overlap, row, [r for r in _REFERENCES if r in rows]) for row in rows]
        title = f"{overlap} overlap; {_protocol(result.settings)}"
        text.append(format_table(headings, lines, title=title, left=headings[:1], no_wrap=headings[:1], width=width))
    notes = [f"{row}: {MEANING[row]}." for row in result.settings.rows]
    notes += [
        "Per cent; mean ± sd over seeds, each with people, weights and batches of its own; differences are paired by "
        "seed, with Student's t interval. Infrared pictures of people nobody was trained on search visible ones.",
        "clusters, ARI (adjusted Rand index), matched (share of visible clusters) and right (share of matches whose "
        "clusters show mostly one person): of the last epoch, means over seeds; true names are used for these alone.",
        "half overlap: half of the people that are learned from are seen in one modality only.",
        "paper (arXiv 2407.12758): SYSU-MM01 without labels, rank-1 60.6; journal version 69.4; another set, another "
        "encoder, comparable in kind only.",
    ]
    return "\n".join([*text, *notes]) + "\n"


def _cells(result: UnsupervisedStudyResult, overlap: Overlap, row: RowName, references: list[RowName]) -> list[str]:
    def mean(figure: str, form: str, scale: float = 1) -> str:
        values = result.labels(overlap, row, figure)
        return format(scale * sum(values) / len(values), form) if values else ""

    share = result.share_of_supervised(overlap, row)
    clusters = " / ".join(mean(f"clusters_{word}", ".0f") for word in ("visible", "infrared"))
    return [
        row,
        format_estimate(result.estimate(overlap, row, "rank_1")),
        format_estimate(result.estimate(overlap, row)),
        *(format_difference(result.against(reference, overlap, row)) for reference in references),
        format_difference(result.above_untrained(overlap, row)),
        "" if share is None else format_estimate(share, digits=0),
        clusters.strip(" /"),
        mean("ari_visible", ".2f"),
        mean("ari_infrared", ".2f"),
        mean("matched_visible", ".0f", 100),
        mean("precision", ".0f", 100),
    ]


def as_json(result: UnsupervisedStudyResult) -> dict[str, Any]:
    """Every figure of every training, and the differences."""
    settings = result.settings
    return {
        "protocol": _protocol(settings),
        "trainings": [
            {"overlap": overlap, **asdict(one), "pseudo_labels": result.pseudo_labels[overlap, row, seed]}
            for (overlap, row, seed), one in result.trainings.items()
        ],
        "differences": [
            {"overlap": overlap, "row": row, "reference": reference, "figure": "mAP", **asdict(difference)}
            for overlap in settings.overlaps
            for row in settings.rows
            for reference in settings.rows
            if (difference := result.against(reference, overlap, row)) is not None
        ],
        "settings": asdict(settings),
    }


def _protocol(settings: UnsupervisedStudySettings) -> str:
    people, recipe = settings.people, settings.recipe
    steps = recipe.training.epochs * (recipe.data.steps_per_epoch or 0)
    return (
        f"procedural people, {people.difficulty}: {people.train_identities + people.validation_identities} to learn "
        f"from, {people.test_identities} others searched, {len(settings.seeds)} seeds; {recipe.network.encoder} "
        f"encoder, {recipe.data.height} x {recipe.data.width}, {steps} steps; sysu-all-single"
    )


def _picture(result: UnsupervisedStudyResult) -> Figure:
    """One dot a training, one line a seed, so that pairs can be followed; a panel for each overlap."""
    overlaps = result.settings.overlaps
    figure = Figure(figsize=(6.5 * len(overlaps), 4.6), layout="constrained")
    for axes, overlap in zip(figure.subplots(1, len(overlaps), sharey=True, squeeze=False)[0], overlaps, strict=True):
        _panel(axes, result, overlap, [row for row in result.settings.rows if result.values(overlap, row)])
    figure.axes[0].set_ylabel("mAP, per cent")
    figure.suptitle(
        "mAP of infrared pictures that search visible ones; a line joins the trainings of a seed", fontsize=10
    )
    return figure


def _panel(axes: Axes, result: UnsupervisedStudyResult, overlap: Overlap, rows: list[RowName]) -> None:
    columns = [result.values(overlap, row) for row in rows]
    paired_dots(axes, columns, highlighted=rows.index(REFERENCE) if REFERENCE in rows else None)
    axes.set_xticks(range(len(rows)), [row.replace("+", "\n+ ") for row in rows], fontsize=7, rotation=30)
    axes.set_title(
        "all people in both modalities" if overlap == FULL else "half of the people in one only", fontsize=10
    )
