"""What each loss of deep metric learning reaches on unseen classes, with the same network, steps and tuning.

Every loss has a grid of as many points, a few learning rates and a few values of its own main parameter. Its points
are trained with the first seeds and scored on validation classes by MAP@R; the best point is trained with every seed
and scored on test classes. The best of the losses, by the mean over seeds of MAP@R on validation classes, is then
tuned and trained once more with a bottleneck behind its embedding, without and with VSD and VCD. Nothing is chosen by
test classes, which are not looked at before a point is chosen.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from limbeck.errors import InputError
from limbeck.images.photographs import PhotographSettings
from limbeck.metric.recipe import MetricRecipe, shipped_recipe
from limbeck.reporting.statistics import Difference, Estimate, paired_difference
from limbeck.settings import Items, PositiveInt, Range, Seed, check_settings
from limbeck.studies.losses.data import (
    PhotographsSettings,
    divide_photographs,
    draw_divided_people,
    read_photographs,
)
from limbeck.studies.losses.rows import (
    BOTTLENECK,
    DEFAULT,
    DISTILLATION,
    DISTILLATION_WEIGHTS,
    DISTILLED,
    REFERENCE,
    ROWS,
    UNTRAINED,
    GridName,
    Point,
    RowName,
    bottleneck_recipe,
    points,
    row_recipe,
)
from limbeck.studies.losses.trainings import Scored, Split, Wanted, scored
from limbeck.studies.side_by_side import side_by_side
from limbeck.synthetic.people import PeopleSettings
from limbeck.training.recipes import read_recipe

SetName = Literal["photographs", "people"]
logger = logging.getLogger(__name__)


def study_recipe() -> MetricRecipe:
    """The shipped recipe "small" in 250 steps."""
    small = read_recipe(shipped_recipe("small"), MetricRecipe)
    return replace(
        small,
        sampler=replace(small.sampler, steps_per_epoch=50),
        augmentation=PhotographSettings(scale=(0.4, 1.0)),
        training=replace(small.training, epochs=5, warmup_steps=25, keep=1),
    )


def study_people() -> PeopleSettings:
    """A hundred people to learn from."""
    return PeopleSettings(
        train_identities=100,
        validation_identities=30,
        test_identities=60,
        height=64,
        width=32,
        difficulty="standard",
        absent=0.0,
    )


@dataclass(frozen=True)
class LossesSettings:
    """What the study runs.

    Attributes:
        data: the photographs: an array that `limbeck metric pack` made, a folder of classes, or a ZIP of one.
        sets: "photographs", "people" (their visible pictures), or both.
        losses: any of `limbeck.studies.losses.rows.ROWS`.
        seeds: of the division of photographs, of the people, of weights and batches.
        grid: "small": 2 points a loss, "standard": 4, "large": 9.
        tuning_seeds: a grid is trained with the first so many seeds.
        distillation: also train the best loss with a bottleneck, without and with VSD and VCD.
        recipe: network, augmentation, batches and length, the same for every loss; its data, sampler.kind, loss.name,
            tuned parameters and learning rate are replaced.
        photographs: how they are divided.
        people: what is drawn; its seed is replaced.
        people_side: height and width that pictures of people are brought to.
        jobs: trainings side by side, each in a process of its own with its share of the cores.
    """

    data: str = ""
    sets: Annotated[tuple[SetName, ...], Items(empty=False, different=True)] = ("photographs", "people")
    losses: Annotated[tuple[RowName, ...], Items(empty=False, different=True)] = DEFAULT
    seeds: Annotated[tuple[Seed, ...], Items(empty=False, different=True)] = (1, 2, 3, 4, 5)
    grid: GridName = "standard"
    tuning_seeds: PositiveInt = 1
    distillation: bool = True
    recipe: MetricRecipe = field(default_factory=study_recipe)
    photographs: PhotographsSettings = field(default_factory=PhotographsSettings)
    people: PeopleSettings = field(default_factory=study_people)
    people_side: Annotated[int, Range(ge=8)] = 48
    jobs: PositiveInt = 1

    def __post_init__(self) -> None:
        check_settings(self)
        if self.tuning_seeds > len(self.seeds):
            raise InputError(f"tuning_seeds must be at most the {len(self.seeds)} seeds, not {self.tuning_seeds}")
        if self.recipe.training.select != "last":
            raise InputError("recipe.training.select must be last: it is the last network that is scored")
        if min(self.people.validation_identities, self.people.test_identities) < 2:
            raise InputError("people must have at least 2 validation_identities and 2 test_identities")


@dataclass(frozen=True)
class Tuned:
    """A point of a row's grid and its MAP@R on validation classes, in [0, 1], a tuning seed; NaN where it diverged."""

    point: Point
    map_at_r: tuple[float, ...]


@dataclass(frozen=True)
class SetResult:
    """What was found on one set.

    Attributes:
        name: of the set.
        pictures: their size, and how many classes and pictures are for what, in words.
        grids: row -> every point of its grid.
        chosen: row -> the point that was best on validation classes.
        best: the loss that was best on validation classes at its chosen point; None: it was not asked for.
        validation: (row, seed) -> figures on validation classes, at the chosen point.
        test: the same on test classes; of "untrained" too.
    """

    name: SetName
    pictures: str
    grids: dict[str, tuple[Tuned, ...]]
    chosen: dict[str, Point]
    best: RowName | None
    validation: dict[tuple[str, int], Scored]
    test: dict[tuple[str, int], Scored]

    def rows(self) -> list[str]:
        """In the order in which they were run."""
        return list(dict.fromkeys(row for row, _ in self.test))

    def values(self, row: str, figure: str = "map_at_r", *, kind: str = "v", split: Split = "test") -> list[float]:
        """One figure of a row, one number a seed; empty where there is none. Shares are per cent.

        Args:
            row: of the set.
            figure: a field of `limbeck.studies.losses.trainings.Score`, or "seconds".
            kind: "v" or "z".
            split: "validation" or "test".
        """
        trainings = [one for (name, _), one in getattr(self, split).items() if name == row]
        if figure == "seconds":
            return [one.seconds for one in trainings]
        scale = 1 if figure in ("nats", "entropy") else 100
        return [scale * float(getattr(one.scores[kind], figure)) for one in trainings if kind in one.scores]

    def against(
        self, reference: str, row: str, figure: str = "map_at_r", *, kinds: tuple[str, str] = ("v", "v")
    ) -> Difference | None:
        """A row less a reference on test classes, paired by seed; None where one is missing or they are one.

        Args:
            reference: a row.
            row: another one.
            figure: as of `values`.
            kinds: "v" or "z" of the row and of the reference.
        """
        own, other = self.values(row, figure, kind=kinds[0]), self.values(reference, figure, kind=kinds[1])
        if (row, kinds[0]) == (reference, kinds[1]) or not own or len(own) != len(other) or len(own) < 2:
            return None
        return paired_difference(own, other, test_to_train=0.0)

    def estimate(self, row: str, figure: str = "map_at_r", *, kind: str = "v", split: Split = "test") -> Estimate:
        """Such a figure over the seeds."""
        return Estimate.from_values(self.values(row, figure, kind=kind, split=split))


@dataclass(frozen=True)
class LossesResult:
    """What was found on every set."""

    settings: LossesSettings
    sets: tuple[SetResult, ...]


def run(settings: LossesSettings, folder: Path) -> LossesResult:
    """Tune, train and score every loss on every set.

    Args:
        settings: what to run.
        folder: gets divided pictures and run folders; a second call goes on where one stopped.

    Raises:
        InputError: the photographs cannot be read, or a folder holds something else.
        OSError: the folder cannot be written.
    """
    arrays: dict[SetName, dict[int, Path]] = {}
    # All data first, so that what is missing is said before hours of training.
    for name in settings.sets:
        if name == "photographs":
            held = read_photographs(settings.data, settings.photographs, folder)
            arrays[name] = divide_photographs(held, settings.photographs, settings.seeds, folder)
        else:
            arrays[name] = {
                seed: draw_divided_people(
                    settings.people, settings.people_side, seed, folder, workers=settings.jobs
                ).resolve()
                for seed in settings.seeds
            }
    return LossesResult(settings, tuple(_SetStudy(settings, name, arrays[name], folder).run() for name in arrays))


def best_point(grid: Sequence[Tuned]) -> Point:
    """The point with the highest mean MAP@R on validation classes, the first of equals; one that diverged never.

    Raises:
        InputError: all of them diverged.
    """
    means = [float(np.mean(one.map_at_r)) for one in grid]
    if all(np.isnan(means)):
        raise InputError(f"every point of the grid diverged: {'; '.join(str(one.point) for one in grid)}")
    return grid[int(np.nanargmax(means))].point


def best_row(means: Mapping[RowName, float]) -> RowName | None:
    """The loss with the highest MAP@R on validation classes, among those whose batches hold pairs; None: none does."""
    pairs = {row: value for row, value in means.items() if not ROWS[row].random and not np.isnan(value)}
    if not pairs:
        return None
    return max(pairs, key=pairs.__getitem__)


class _SetStudy:
    """The study on one set.

    Args:
        settings: of the study.
        name: of the set.
        arrays: seed -> its pictures.
        folder: of the study.
    """

    def __init__(self, settings: LossesSettings, name: SetName, arrays: dict[int, Path], folder: Path) -> None:
        self.settings, self.name, self.folder = settings, name, folder
        first = np.load(next(iter(arrays.values())), allow_pickle=False)
        side, split, labels = first["images"].shape[1], first["split"], first["labels"]
        self.pictures = f"{side} x {side}: " + ", ".join(
            f"{len(np.unique(labels[split == part]))} {words} ({int((split == part).sum()):,} pictures)"
            for part, words in (("train", "classes to learn from"), ("validation", "validation"), ("test", "test"))
        )
        self.bases = {
            seed: replace(
                settings.recipe,
                data=replace(
                    settings.recipe.data,
                    set="class-npz",
                    root=str(file.resolve()),
                    resize=int(side),
                    crop=int(side),
                    held_out=0,
                ),
            )
            for seed, file in arrays.items()
        }
        self.grids: dict[str, tuple[Tuned, ...]] = {}
        self.chosen: dict[str, Point] = {}
        self.validation: dict[tuple[str, int], Scored] = {}
        self.test: dict[tuple[str, int], Scored] = {}

    def run(self) -> SetResult:
        settings = self.settings
        untrained = points(settings.grid, ROWS[REFERENCE].parameter, ROWS[REFERENCE].values)[0]
        floor = [
            Wanted(
                f"{self.name}, {UNTRAINED}, seed {seed}",
                row_recipe(base, REFERENCE, untrained, seed),
                self.folder / self.name / UNTRAINED / f"seed-{seed}",
                "test",
                untrained=True,
            )
            for seed, base in self.bases.items()
        ]
        for seed, one in zip(self.bases, self._scored(floor), strict=True):
            self.test[UNTRAINED, seed] = one
        self._tune_and_train(
            {row: points(settings.grid, ROWS[row].parameter, ROWS[row].values) for row in settings.losses},
            {row: row for row in settings.losses},
        )
        best = None
        if settings.distillation:
            best = best_row({row: self._validated(row) for row in settings.losses})
        if best is not None:
            logger.info("%s: %s is best on validation classes", self.name, best)
            grids = {
                BOTTLENECK: points(settings.grid, ROWS[best].parameter, ROWS[best].values),
                DISTILLED: points(settings.grid, DISTILLATION, DISTILLATION_WEIGHTS),
            }
            self._tune_and_train(grids, dict.fromkeys(grids, best))
        return SetResult(self.name, self.pictures, self.grids, self.chosen, best, self.validation, self.test)

    def _tune_and_train(self, grids: Mapping[str, tuple[Point, ...]], losses: Mapping[str, RowName]) -> None:
        """Choose each row's point on validation classes of the tuning seeds, then train it with every seed."""
        tuning = self.settings.seeds[: self.settings.tuning_seeds]
        places = [(row, point, seed) for row, grid in grids.items() for point in grid for seed in tuning]
        found = self._scored([self._wanted(row, losses[row], point, seed, "validation") for row, point, seed in places])
        figures = {place: _map_at_r(one) for place, one in zip(places, found, strict=True)}
        for row, grid in grids.items():
            self.grids[row] = tuple(Tuned(point, tuple(figures[row, point, seed] for seed in tuning)) for point in grid)
            self.chosen[row] = best_point(self.grids[row])
            logger.info("%s, %s: chosen on validation classes: %s", self.name, row, self.chosen[row])
        for split in ("validation", "test"):
            ends = [(row, seed) for row in grids for seed in self.settings.seeds]
            wanted = [self._wanted(row, losses[row], self.chosen[row], seed, split) for row, seed in ends]
            for end, one in zip(ends, self._scored(wanted), strict=True):
                if not one.scores:
                    raise InputError(
                        f"{self.name}, {end[0]}: {self.chosen[end[0]]} was chosen, but diverged with seed {end[1]}: "
                        "set tuning_seeds to all seeds"
                    )
                getattr(self, split)[end] = one

    def _wanted(self, row: str, loss: RowName, point: Point, seed: int, split: Split) -> Wanted:
        base = self.bases[seed]
        recipe = row_recipe(base, loss, point, seed)
        parts = [row.replace("/", "+"), point.folder]
        if row in (BOTTLENECK, DISTILLED):
            recipe = bottleneck_recipe(base, loss, self.chosen[loss], point, seed)
            parts = [parts[0], loss, point.folder]
        run = self.folder.joinpath(self.name, *parts, f"seed-{seed}")
        return Wanted(f"{self.name}, {row}, {point}, seed {seed}", recipe, run, split)

    def _scored(self, wanted: Sequence[Wanted]) -> list[Scored]:
        found: list[Scored] = []
        with closing(side_by_side(scored, wanted, self.settings.jobs)) as done:
            for one, figures in zip(wanted, done, strict=True):
                found.append(figures)
                said = f"MAP@R {100 * _map_at_r(figures):.2f} of {one.split} classes" if figures.scores else "diverged"
                logger.info("%d/%d: %s: %s", len(found), len(wanted), one.name, said)
        return found

    def _validated(self, row: str) -> float:
        return float(np.mean([_map_at_r(self.validation[row, seed]) for seed in self.settings.seeds]))


def _map_at_r(one: Scored) -> float:
    return one.scores["v"].map_at_r if one.scores else float("nan")
