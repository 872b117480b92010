"""What people see of the study of losses: tables with intervals, the grids, a picture, a JSON file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limbeck.files import write_json, write_text
from limbeck.reporting.formatting import format_difference, format_estimate
from limbeck.reporting.plots import paired_dots, plain, save_plot
from limbeck.reporting.statistics import difference_as_json, finite_or_none
from limbeck.reporting.tables import format_table
from limbeck.studies.losses.rows import ADDED, BOTTLENECK, DISTILLED, GRIDS, REFERENCE, ROWS, UNTRAINED, points
from limbeck.studies.losses.run import LossesResult, LossesSettings, SetResult
from limbeck.studies.losses.trainings import RECALLS
from limbeck.studies.published import METRIC_LEARNING

_KINDS = ("v", "z")
_RECALLS = tuple(f"recall_{k}" for k in RECALLS)


def write_report(result: LossesResult, folder: Path) -> list[Path]:
    """Write `losses.json`, `losses.txt` and `losses.png`.

    Returns:
        The files, in that order.

    Raises:
        OSError: the folder cannot be written.
    """
    files = [folder / f"losses.{suffix}" for suffix in ("json", "txt", "png")]
    write_json(files[0], as_json(result))
    write_text(files[1], format_report(result))
    save_plot(_picture(result), files[2])
    return files


def format_report(result: LossesResult, *, width: int = 210) -> str:
    """Of every set: figures with their spread, paired differences, the answers, and the grids."""
    text = []
    for one in result.sets:
        text += [_table(one, result.settings, width), *_answers(one), "", _grids(one, width)]
    return "\n".join([*text, *_notes(result)]) + "\n"


def _table(one: SetResult, settings: LossesSettings, width: int) -> str:
    headings = (
        "row",
        "of",
        "Recall@1",
        "@2 / @4 / @8",
        "MAP@R",
        f"MAP@R less {REFERENCE} [95 %]",
        f"Recall@1 less {REFERENCE}",
        "nats",
        "validation MAP@R",
        "seconds",
        "CUB / Cars",
    )
    rows = [_cells(one, row, kind) for row in one.rows() for kind in _KINDS if one.values(row, kind=kind)]
    return format_table(headings, rows, title=_title(one, settings), left=headings[:2], no_wrap=headings, width=width)


def _cells(one: SetResult, row: str, kind: str) -> list[str]:
    paper = METRIC_LEARNING.get(row)
    recalls = " / ".join(f"{one.estimate(row, figure, kind=kind).mean:.1f}" for figure in _RECALLS[1:])
    validated = one.values(row, kind=kind, split="validation")
    return [
        row if kind == "v" else "",
        kind,
        format_estimate(one.estimate(row, "recall_1", kind=kind), digits=1),
        recalls,
        format_estimate(one.estimate(row, kind=kind)),
        format_difference(one.against(REFERENCE, row, kinds=(kind, "v"))),
        format_difference(one.against(REFERENCE, row, "recall_1", kinds=(kind, "v")), digits=1),
        format_estimate(one.estimate(row, "nats", kind=kind)),
        format_estimate(one.estimate(row, kind=kind, split="validation")) if validated else "",
        f"{np.mean(one.values(row, 'seconds')):.0f}" if kind == "v" and row != UNTRAINED else "",
        "" if paper is None or kind == "z" else f"{paper[0]:.1f} / {paper[1]:.1f}",
    ]


def _answers(one: SetResult) -> Iterator[str]:
    """What the bottleneck and its divergences add to the best loss."""
    if one.best is None:
        return
    yield f"Best on validation classes: {one.best} ({one.chosen[one.best]}). MAP@R of test classes, paired [95 %]:"
    for row, kind, reference, other in (
        (BOTTLENECK, "v", one.best, "v"),
        (DISTILLED, "v", one.best, "v"),
        (DISTILLED, "z", one.best, "v"),
        (DISTILLED, "v", BOTTLENECK, "v"),
        (DISTILLED, "z", BOTTLENECK, "z"),
    ):
        found = one.against(reference, row, kinds=(kind, other))
        if found is not None:
            yield f"  {row} by {kind} less {reference} by {other}: {format_difference(found)}"


def _grids(one: SetResult, width: int) -> str:
    rows = [
        [
            row if place == 0 else "",
            str(tuned.point),
            " / ".join("diverged" if np.isnan(value) else f"{100 * value:.2f}" for value in tuned.map_at_r),
            "chosen" if tuned.point == one.chosen[row] else "",
        ]
        for row, grid in one.grids.items()
        for place, tuned in enumerate(grid)
    ]
    headings = ("row", "point", "MAP@R of validation classes", "")
    title = f"{one.name}: the grids, on validation classes of the tuning seeds"
    return format_table(headings, rows, title=title, left=("row", "point", ""), no_wrap=("row",), width=width)


def _title(one: SetResult, settings: LossesSettings) -> str:
    recipe = settings.recipe
    steps = recipe.training.epochs * (recipe.sampler.steps_per_epoch or 0)
    length = f"{steps} steps" if steps else f"{recipe.training.epochs} epochs"
    what = "procedural people, visible pictures" if one.name == "people" else "photographs"
    return (
        f"{what} of {one.pictures}, {len(settings.seeds)} seeds; {recipe.network.encoder} encoder, {length} of "
        f"{recipe.sampler.batch} pictures; {len(points(settings.grid, '', (0, 0, 0)))} points a row"
    )


def _notes(result: LossesResult) -> Iterator[str]:
    settings = result.settings
    for row in settings.losses:
        yield f"{row}: {ROWS[row].meaning}; tuned: {ROWS[row].parameter}."
    for added, meaning in ADDED.items():
        if any(added in one.rows() for one in result.sets):
            yield f"{added}: {meaning}."
    rates = ", ".join(f"{rate:g}" for rate in GRIDS[settings.grid][0])
    tuning = "the first seed" if settings.tuning_seeds == 1 else f"the first {settings.tuning_seeds} seeds"
    yield (
        f"Equal effort: every row has a grid of as many points (rates {rates}; {GRIDS[settings.grid][1]} of its own "
        f"parameter), trained with {tuning} and scored by MAP@R of v on validation classes; the best point is trained "
        "with every seed. The last network counts. Nothing is chosen by test classes. A row with a bottleneck comes "
        "on top of the effort that its loss had."
    )
    yield (
        f"Batches: {settings.recipe.sampler.batch // settings.recipe.sampler.pictures} classes with "
        f"{settings.recipe.sampler.pictures} pictures each for every loss, since pairs need several pictures of a "
        "class; cross-entropy-random has batches drawn at random."
    )
    yield (
        "Per cent but for nats; mean ± sd over seeds, each with training and test classes (people), weights and "
        "batches of its own; the validation classes of photographs are the same in all. Differences are paired by "
        "seed, with Student's t interval; seeds share photographs, so that for these the intervals are "
        "somewhat too narrow for other sets of photographs. No interval is corrected for the number of rows."
    )
    yield (
        "Every test picture searches all others by cosine. nats: what a held-out linear probe reads of the test class "
        "in v or z, at most the entropy, "
        + ", ".join(f"{np.mean(one.values(UNTRAINED, 'entropy')):.2f} ({one.name})" for one in result.sets)
        + ". seconds: of one training at the chosen point, with other trainings beside it where jobs says so."
    )
    yield (
        "CUB / Cars: Boudiaf et al. 2020, Recall@1 of single trainings from ImageNet weights; ResNet-50 and 2,048 "
        "numbers for cross-entropy (random batches) and normalised softmax, BN-Inception and at most 512 for the "
        "others (of Proxy-Anchor: Kim et al. 2020). Each was tuned by its own authors, some on test classes. Neither "
        "height nor differences are comparable with ours, where nothing is pretrained; the order of losses is, in "
        "kind."
    )


def as_json(result: LossesResult) -> dict[str, Any]:
    """Every figure of every training, the grids, what was chosen, and the differences."""
    settings = result.settings
    return {
        "sets": [
            {
                "name": one.name,
                "protocol": _title(one, settings),
                "best": one.best,
                "grids": [
                    {
                        "row": row,
                        **asdict(tuned.point),
                        "validation MAP@R": [finite_or_none(value) for value in tuned.map_at_r],
                        "chosen": tuned.point == one.chosen[row],
                    }
                    for row, grid in one.grids.items()
                    for tuned in grid
                ],
                "trainings": [
                    {
                        "row": row,
                        "seed": seed,
                        "parameters": trained.parameters,
                        "seconds": trained.seconds,
                        "test": {kind: asdict(score) for kind, score in trained.scores.items()},
                        "validation": {
                            kind: asdict(score)
                            for kind, score in (
                                one.validation[row, seed].scores if (row, seed) in one.validation else {}
                            ).items()
                        },
                    }
                    for (row, seed), trained in one.test.items()
                ],
                "differences": [
                    {"row": row, "of": kind, "reference": reference, "figure": figure, **(found or {})}
                    for reference in dict.fromkeys((REFERENCE, one.best, BOTTLENECK))
                    if reference is not None
                    for row in one.rows()
                    for kind in _KINDS
                    for figure in ("map_at_r", *_RECALLS, "nats")
                    if (
                        found := difference_as_json(
                            one.against(reference, row, figure, kinds=(kind, kind if reference == BOTTLENECK else "v"))
                        )
                    )
                    is not None
                ],
            }
            for one in result.sets
        ],
        "settings": asdict(settings),
    }


def _picture(result: LossesResult) -> Figure:
    """One dot a training, one line a seed, so that pairs can be followed; a panel for each set."""
    figure = Figure(figsize=(11, 4.4 * len(result.sets)), layout="constrained")
    for axes, one in zip(figure.subplots(len(result.sets), 1, squeeze=False)[:, 0], result.sets, strict=True):
        _panel(axes, one)
    figure.suptitle("MAP@R of unseen classes by v; a line joins the trainings of a seed", fontsize=10)
    return figure


def _panel(axes: Axes, one: SetResult) -> None:
    rows = one.rows()
    highlighted = rows.index(REFERENCE) if REFERENCE in rows else None
    paired_dots(axes, [one.values(row) for row in rows], highlighted=highlighted)
    axes.set_xticks(range(len(rows)), [row.replace("-", "\n", 1).replace("+", "\n+ ") for row in rows], fontsize=7)
    axes.set_ylabel("MAP@R, per cent")
    axes.set_title(plain(one.name), fontsize=10)
