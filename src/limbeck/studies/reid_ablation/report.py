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
from limbeck.reporting.plots import ACCENT, PAPER, PLAIN, save_plot
from limbeck.reporting.statistics import Difference, Estimate, paired_difference
from limbeck.reporting.tables import format_table
from limbeck.studies.published import TABLE_4
from limbeck.studies.reid_ablation.run import MEANING, Table4Settings, Trained, figures_of

REFERENCES = ("VD", "E+B")
_FEATURES = ("v", "z")
_SHOWN = {"rank_1": "rank-1", "mean_average_precision": "mAP"}


def write_table4(trained: Sequence[Trained], settings: Table4Settings, folder: Path) -> list[Path]:
    """Write `table4.json`, `table4.txt` and `table4.png`."""
    files = [folder / "table4.json", folder / "table4.txt", folder / "table4.png"]
    write_json(files[0], as_json(trained, settings))
    write_text(files[1], format_table4(trained, settings))
    save_plot(_picture(trained, settings), files[2])
    return files


def format_table4(trained: Sequence[Trained], settings: Table4Settings, *, width: int = 150) -> str:
    """Mean ± sd over the seeds of rank-1 and mAP from v and z, paired differences, the paper's figures."""
    differences = (f"mAP: {row} less this [95 %]" for row in REFERENCES)
    headings = ("row", "of", "rank-1", "mAP", *differences, "paper: rank-1 / mAP", "parameters")
    lines = [
        _cells(trained, row, kind)
        for row in settings.rows
        for kind in _FEATURES
        if figures_of(trained, row, kind, "mean_average_precision")
    ]
    table = format_table(
        headings, lines, title=_protocol(settings), left=headings[:2], no_wrap=headings[:1], width=width
    )
    notes = [f"{row}: {MEANING[row]}." for row in settings.rows]
    notes += [
        "Per cent; mean ± sd over seeds, each with people, weights and batches of its own; differences are paired by "
        "seed, with Student's t interval.",
        "paper: Tian et al. 2022, Table 4, one training on SYSU-MM01 with ResNet-50: comparable in kind only.",
    ]
    return table + "\n".join(notes) + "\n"


def _cells(trained: Sequence[Trained], row: str, kind: str) -> list[str]:
    # The paper does not say which feature its Table 4 compares; its Table 3 of 2021 has v ahead.
    paper = TABLE_4.get(row) if kind == "v" else None
    return [
        row if kind == "v" else "",
        kind,
        *(format_estimate(Estimate.from_values(figures_of(trained, row, kind, figure))) for figure in _SHOWN),
        *(format_difference(against(trained, reference, row, kind)) for reference in REFERENCES),
        "" if paper is None else f"{paper[0]:.2f} / {paper[1]:.2f}",
        f"{_parameters(trained, row):,}" if kind == "v" else "",
    ]


def as_json(trained: Sequence[Trained], settings: Table4Settings) -> dict[str, Any]:
    """Every figure of every training, and the differences."""
    return {
        "protocol": _protocol(settings),
        "trainings": [asdict(one) for one in trained],
        "differences": [
            {"of": kind, "row": row, "reference": reference, "figure": "mAP", **asdict(difference)}
            for row in settings.rows
            for reference in REFERENCES
            for kind in _FEATURES
            if (difference := against(trained, reference, row, kind)) is not None and len(settings.seeds) > 1
        ],
        "settings": asdict(settings),
    }


def against(
    trained: Sequence[Trained], reference: str, row: str, kind: str, figure: str = "mean_average_precision"
) -> Difference | None:
    """The reference less a row, paired by seed; None where one of them has no such feature."""
    first, second = (figures_of(trained, name, kind, figure) for name in (reference, row))
    if row == reference or not first or len(first) != len(second):
        return None
    # Seeds share no people, so that nothing corrects the interval.
    return paired_difference(first, second, test_to_train=0.0)


def _parameters(trained: Sequence[Trained], row: str) -> int:
    return next(one.parameters for one in trained if one.row == row)


def _protocol(settings: Table4Settings) -> str:
    people, data = settings.people, settings.recipe.data
    steps = settings.recipe.training.epochs * (data.steps_per_epoch or 0)
    length = f"{steps} steps" if steps else f"{settings.recipe.training.epochs} epochs"
    return (
        f"procedural people, {people.difficulty}: {people.train_identities + people.validation_identities} to learn "
        f"from, {people.test_identities} others searched, {len(settings.seeds)} seeds; "
        f"{settings.recipe.network.encoder} encoder, {data.height} x {data.width}, {length} of "
        f"{2 * data.identities * data.pictures} pictures; sysu-all-single"
    )


def _picture(trained: Sequence[Trained], settings: Table4Settings) -> Figure:
    """A dot a training, a line a seed, so that pairs can be followed; v on the left, z on the right."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    for axes, kind in zip(figure.subplots(1, 2, sharey=True), _FEATURES, strict=True):
        _panel(axes, trained, [row for row in settings.rows if figures_of(trained, row, kind, "rank_1")], kind)
    figure.axes[0].set_ylabel("mAP, per cent")
    figure.suptitle(
        "mAP of infrared pictures that search visible ones; a line joins the trainings of a seed", fontsize=10
    )
    return figure


def _panel(axes: Axes, trained: Sequence[Trained], rows: Sequence[str], kind: str) -> None:
    columns = [figures_of(trained, row, kind, "mean_average_precision") for row in rows]
    for of_seed in zip(*columns, strict=False):
        axes.plot(range(len(rows)), of_seed, color=PAPER, linewidth=0.7, marker="o", markersize=3.5, zorder=1)
    for place, (row, values) in enumerate(zip(rows, columns, strict=True)):
        axes.plot(
            [place - 0.25, place + 0.25],
            [Estimate.from_values(values).mean] * 2,
            color=ACCENT if row == "VD" else PLAIN,
            linewidth=3,
            solid_capstyle="butt",
            zorder=2,
        )
    axes.set_xticks(range(len(rows)), [row.replace("-", "\n", 1) for row in rows], fontsize=8)
    axes.set_title(f"searched by {kind}", fontsize=10)
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
