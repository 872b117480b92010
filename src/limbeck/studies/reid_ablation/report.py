"""What people see of the re-identification ablation: a table with intervals, a picture, a JSON file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limbeck.files import write_json, write_text
from limbeck.reporting.formatting import format_difference, format_estimate
from limbeck.reporting.plots import paired_dots, save_plot
from limbeck.reporting.tables import format_table
from limbeck.studies.people import MEANING
from limbeck.studies.published import TABLE_4
from limbeck.studies.reid_ablation.run import ReidAblationResult, ReidAblationSettings

REFERENCES = ("VD", "E+B")
_FEATURES = ("v", "z")
_SHOWN = {"rank_1": "rank-1", "mean_average_precision": "mAP"}


def write_report(result: ReidAblationResult, folder: Path) -> list[Path]:
    """Write `reid-ablation.json`, `reid-ablation.txt` and `reid-ablation.png`.

    Returns:
        The files, in that order.

    Raises:
        OSError: the folder cannot be written.
    """
    files = [folder / f"reid-ablation.{suffix}" for suffix in ("json", "txt", "png")]
    write_json(files[0], as_json(result))
    write_text(files[1], format_report(result))
    save_plot(_picture(result), files[2])
    return files


def format_report(result: ReidAblationResult, *, width: int = 150) -> str:
    """Mean ± sd over the seeds of rank-1 and mAP from v and z, paired differences, the paper's figures."""
    differences = (f"mAP: {row} less this [95 %]" for row in REFERENCES)
    headings = ("row", "of", "rank-1", "mAP", *differences, "paper: rank-1 / mAP", "parameters")
    lines = [
        _cells(result, row, kind)
        for row in result.settings.rows
        for kind in _FEATURES
        if result.values(row, kind, "mean_average_precision")
    ]
    table = format_table(
        headings, lines, title=_protocol(result.settings), left=headings[:2], no_wrap=headings[:1], width=width
    )
    notes = [f"{row}: {MEANING[row]}." for row in result.settings.rows]
    notes += [
        "Per cent; mean ± sd over seeds, each with people, weights and batches of its own; differences are paired by "
        "seed, with Student's t interval.",
        "paper: Tian et al. 2022, Table 4, one training on SYSU-MM01 with ResNet-50: comparable in kind only.",
    ]
    return table + "\n".join(notes) + "\n"


def _cells(result: ReidAblationResult, row: str, kind: str) -> list[str]:
    # The paper does not say which feature its Table 4 compares; its Table 3 of 2021 has v ahead.
    paper = TABLE_4.get(row) if kind == "v" else None
    return [
        row if kind == "v" else "",
        kind,
        *(format_estimate(result.estimate(row, kind, figure)) for figure in _SHOWN),
        *(format_difference(result.against(reference, row, kind)) for reference in REFERENCES),
        "" if paper is None else f"{paper[0]:.2f} / {paper[1]:.2f}",
        f"{result.parameters(row):,}" if kind == "v" else "",
    ]


def as_json(result: ReidAblationResult) -> dict[str, Any]:
    """Every figure of every training, and the differences."""
    settings = result.settings
    return {
        "protocol": _protocol(settings),
        "trainings": [asdict(one) for one in result.trainings],
        "differences": [
            {"of": kind, "row": row, "reference": reference, "figure": "mAP", **asdict(difference)}
            for row in settings.rows
            for reference in REFERENCES
            for kind in _FEATURES
            if (difference := result.against(reference, row, kind)) is not None and len(settings.seeds) > 1
        ],
        "settings": asdict(settings),
    }


def _protocol(settings: ReidAblationSettings) -> str:
    people, data = settings.people, settings.recipe.data
    steps = settings.recipe.training.epochs * (data.steps_per_epoch or 0)
    length = f"{steps} steps" if steps else f"{settings.recipe.training.epochs} epochs"
    return (
        f"procedural people, {people.difficulty}: {people.train_identities + people.validation_identities} to learn "
        f"from, {people.test_identities} others searched, {len(settings.seeds)} seeds; "
        f"{settings.recipe.network.encoder} encoder, {data.height} x {data.width}, {length} of "
        f"{2 * data.identities * data.pictures} pictures; sysu-all-single"
    )


def _picture(result: ReidAblationResult) -> Figure:
    """One dot per training, one line per seed, so that pairs can be followed; v on the left, z on the right."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    for axes, kind in zip(figure.subplots(1, 2, sharey=True), _FEATURES, strict=True):
        _panel(axes, result, [row for row in result.settings.rows if result.values(row, kind, "rank_1")], kind)
    figure.axes[0].set_ylabel("mAP, per cent")
    figure.suptitle(
        "mAP of infrared pictures that search visible ones; a line joins the trainings of a seed", fontsize=10
    )
    return figure


def _panel(axes: Axes, result: ReidAblationResult, rows: Sequence[str], kind: str) -> None:
    columns = [result.values(row, kind, "mean_average_precision") for row in rows]
    paired_dots(axes, columns, highlighted=rows.index("VD") if "VD" in rows else None)
    axes.set_xticks(range(len(rows)), [row.replace("-", "\n", 1) for row in rows], fontsize=8)
    axes.set_title(f"searched by {kind}", fontsize=10)
