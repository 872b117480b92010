"""What pictures and cross-distillation bring to the segmentation of drawn streets, and to which classes.

Every seed draws streets of its own, trains every row on them and scores scenes nobody was trained on, so that the
deviation over seeds holds the luck of the streets, of the first weights and of the batches. Rows of one seed share all
three and are compared in pairs. The last network counts; nothing is selected, and nobody looks at validation scenes.

Three cameras look to the front, the front right and the front left, so that half of the points are in view: there is
enough to learn from in view, and as much outside to see what becomes of points without a pixel. With six cameras next
to nothing is outside, with one, as in SemanticKITTI, five points in six.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.reporting.console import quiet
from limbeck.reporting.statistics import Difference, Estimate, paired_difference
from limbeck.segmentation.dataset import Frame
from limbeck.segmentation.diagnosis import ClassInformation
from limbeck.segmentation.evaluation import WITH, WITHOUT
from limbeck.segmentation.evaluators import intersection_over_union, mean_intersection_over_union
from limbeck.segmentation.prediction import predicted_classes
from limbeck.segmentation.recipe import SegmentationRecipe, shipped_recipe
from limbeck.segmentation.runs import load_run
from limbeck.segmentation.sets import load_scans
from limbeck.settings import PositiveInt, Seed, check_settings
from limbeck.studies.segmentation.rows import APART, REFERENCE, ROWS, RowName, row_recipe
from limbeck.studies.segmentation.trainings import (
    LIGHTS,
    NIGHT,
    Light,
    Trained,
    Wanted,
    dark_scans,
    draw_streets,
    trained,
)
from limbeck.studies.side_by_side import side_by_side
from limbeck.synthetic.streets import CLASSES, LABELS, PAIRS, StreetSettings
from limbeck.training.recipes import read_recipe

logger = logging.getLogger(__name__)
EVALUATOR: Literal["nuscenes"] = "nuscenes"
"""Whose rules score: a class that is neither there nor predicted is left out of the mean."""
Sensor: TypeAlias = Literal["camera", "lidar", "both"]
_TWO: tuple[Sensor, Sensor] = ("camera", "lidar")
_SHOWN: tuple[RowName, ...] = ("vcd", REFERENCE, "lidar")  # in a picture, where they were run; errors are of the first


def small_recipe() -> SegmentationRecipe:
    """The shipped recipe "small", for processors."""
    return read_recipe(shipped_recipe("small"), SegmentationRecipe)


def study_streets() -> StreetSettings:
    """Ten scenes to learn from and three to be scored, half of the scans at night, three cameras to the front.

    The LiDAR's beams lie closer together than by default and its reach is shorter, so that small things get more
    points and the road fewer, and a camera sees as high and as low as the LiDAR.
    """
    return StreetSettings(
        scenes=14,
        frames=12,
        step=12.0,
        night=0.5,
        cameras=3,
        width=224,
        height=112,
        azimuths=600,
        lowest=-16.0,
        highest=5.0,
        reach=40.0,
    )


@dataclass(frozen=True)
class SegmentationStudySettings:
    """What the study runs.

    Attributes:
        rows: any of `limbeck.studies.segmentation.rows.ROWS`.
        seeds: of the streets, the weights and the batches.
        recipe: what every row starts from.
        streets: what is drawn; its seed is replaced.
        points: of each class, at most, from which nats are read.
        jobs: trainings side by side, each in a process of its own with its share of the cores.
    """

    rows: tuple[RowName, ...] = tuple(ROWS)
    seeds: tuple[Seed, ...] = (1, 2, 3, 4, 5)
    recipe: SegmentationRecipe = field(default_factory=small_recipe)
    streets: StreetSettings = field(default_factory=study_streets)
    points: PositiveInt = 400
    jobs: PositiveInt = 1

    def __post_init__(self) -> None:
        check_settings(self)
        for name, values in (("rows", self.rows), ("seeds", self.seeds)):
            if not values or len(set(values)) != len(values):
                raise InputError(f"{name} must name something, each once, not {list(values)}")


@dataclass(frozen=True)
class Of:
    """What a figure is of.

    Attributes:
        kind: v, z or joint.
        protocol: all, fov or outside.
        light: day or night; None: both.
        cameras: `WITH` or `WITHOUT`; None: as the row was trained.
    """

    kind: str = "v"
    protocol: str = "all"
    light: Light | None = None
    cameras: str | None = None


OF_ALL = Of()


@dataclass(frozen=True, eq=False)
class Shown:
    """A test scan, and what networks of one seed say of it.

    Attributes:
        light: day or night.
        frame: the scan, with its pictures.
        predictions: row -> (points,) classes by v.
    """

    light: Light
    frame: Frame
    predictions: dict[str, NDArray[np.int64]]


@dataclass(frozen=True)
class SegmentationStudyResult:
    """Every training.

    Attributes:
        settings: that were run.
        trainings: (row, seed) -> the training.
        shown: a scan by day and one at night, of the first seed.
    """

    settings: SegmentationStudySettings
    trainings: dict[tuple[RowName, int], Trained]
    shown: tuple[Shown, ...] = field(default=(), compare=False)

    def own_sight(self, row: RowName) -> str:
        """A row is scored with the cameras that it was trained with."""
        return WITHOUT if row == "lidar" else WITH

    def values(self, row: RowName, figure: str = "mean", of: Of = OF_ALL) -> list[float]:
        """A figure in per cent, one number a seed; empty where the row, or such a prediction, is not there.

        Args:
            row: of the table.
            figure: "mean": mean IoU; "colour", "shape" or "both": mean IoU of the classes that this tells apart; the
                name of a class: its IoU; "pair CLASS": of the points of this class that got it or its partner, the
                share that got it, averaged with the same of the partner: 50 is chance.
            of: which predictions of which points.
        """
        found = [self.trainings.get((row, seed)) for seed in self.settings.seeds]
        sight = of.cameras or self.own_sight(row)
        matrices = [None if one is None else one.matrix(sight, of.kind, of.protocol, of.light) for one in found]
        return [100 * _figure(matrix, figure) for matrix in matrices if matrix is not None]

    def estimate(self, row: RowName, figure: str = "mean", of: Of = OF_ALL) -> Estimate | None:
        """The mean over the seeds; None where there is nothing; arguments as of `values`."""
        values = self.values(row, figure, of)
        return Estimate.from_values(values) if values else None

    def against(self, reference: RowName, row: RowName, figure: str = "mean", of: Of = OF_ALL) -> Difference | None:
        """A row less the reference, paired by seed; None where one is missing or they are one; see `values`."""
        return None if row == reference else paired(self.values(row, figure, of), self.values(reference, figure, of))

    def lost_without(self, row: RowName, figure: str = "mean", of: Of = OF_ALL) -> Difference | None:
        """What hiding the cameras from a trained row takes from a figure; None for a row without cameras."""
        own, hidden = (self.values(row, figure, replace(of, cameras=cameras)) for cameras in (WITH, WITHOUT))
        return paired(own, hidden)

    def information(self, name: str, sensor: Sensor, *, pair: bool = False) -> list[float]:
        """Nats that a sensor holds of a class (or of which of a pair, by its first class), one number a seed."""
        found = []
        for seed in self.settings.seeds:
            one = self.trainings.get((APART, seed))
            rows: Sequence[ClassInformation] = () if one is None else (one.pairs if pair else one.classes)
            found += [getattr(row, sensor)[0] for row in rows if row.name == name]
        return found

    def verdict(self, first: str) -> str:
        """Whether a pair, named by its first class, is known to the sensors as it was constructed.

        A pair that colour tells apart: the camera holds nats of which of the two it is, and the LiDAR alone none. One
        that shape tells apart: the LiDAR holds nats of it, and more than the camera, which sees outlines.
        """
        camera, lidar = (self.information(first, sensor, pair=True) for sensor in _TWO)
        nothing = [0.0] * len(camera)
        found = [paired(camera, nothing), paired(lidar, nothing), paired(camera, lidar)]
        if None in found:
            return "not told: it takes two seeds"
        of_camera, of_lidar, more = (one for one in found if one is not None)
        told = next(told for pair, told in PAIRS.items() if pair[0] == first)
        if told == "colour":
            wrong = [] if of_camera.low > 0 else ["the camera is not seen to know it"]
            wrong += [] if of_lidar.low <= 0 else ["the LiDAR alone knows it too"]
        else:
            wrong = [] if of_lidar.low > 0 else ["the LiDAR is not seen to know it"]
            wrong += [] if more.high < 0 else ["the LiDAR is not seen to know more than the camera"]
        return "as constructed" if not wrong else f"not as constructed: {', '.join(wrong)}"


def paired(first: Sequence[float], second: Sequence[float]) -> Difference | None:
    """first less second, paired by seed; None where one is missing, or for a single seed."""
    if len(first) != len(second) or len(first) < 2:
        return None
    # Seeds share no streets, so that nothing corrects the interval.
    return paired_difference(first, second, test_to_train=0.0)


def run(settings: SegmentationStudySettings, folder: Path) -> SegmentationStudyResult:
    """Train and score every row with every seed.

    Args:
        settings: what to run.
        folder: gets streets and run folders; a second call goes on where one stopped.

    Raises:
        InputError: a folder holds something else, or a training diverged.
        OSError: the folder cannot be written.
    """
    wanted = []
    for seed in settings.seeds:
        streets = streets_folder(folder, seed)
        draw_streets(replace(settings.streets, seed=seed), streets, settings.jobs)
        for row in settings.rows:
            recipe = row_recipe(settings.recipe, row, seed, streets)
            wanted.append(Wanted(row, seed, recipe, run_folder(folder, row, seed), settings.points))
    found: dict[tuple[RowName, int], Trained] = {}
    with closing(side_by_side(trained, wanted, settings.jobs)) as trainings:
        for one, done in zip(wanted, trainings, strict=True):
            found[one.row, one.seed] = done
            result = SegmentationStudyResult(replace(settings, seeds=(one.seed,)), found)
            mean, seen = (result.values(one.row, of=Of(protocol=protocol))[0] for protocol in ("all", "fov"))
            logger.info(
                "%d/%d: %s, seed %d: mean IoU by v %.1f of all points, %.1f of those in view",
                len(found), len(wanted), one.row, one.seed, mean, seen,
            )  # fmt: skip
    return SegmentationStudyResult(settings, found, tuple(_shown(settings, folder)))


def streets_folder(folder: Path, seed: int) -> Path:
    """Where the streets of a seed lie."""
    return folder / "streets" / f"seed-{seed}"


def run_folder(folder: Path, row: RowName, seed: int) -> Path:
    """Where one training lies."""
    return folder / row / f"seed-{seed}"


def _shown(settings: SegmentationStudySettings, folder: Path) -> list[Shown]:
    """The first test scan by day and the first at night, of the first seed, as some rows segment them."""
    seed = settings.seeds[0]
    streets = streets_folder(folder, seed)
    scans, dark = load_scans("scans", streets), dark_scans(streets)
    rows = [row for row in _SHOWN if row in settings.rows] or [settings.rows[0]]
    with quiet():
        models = {row: load_run(run_folder(folder, row, seed)) for row in rows}
    found = []
    for light in LIGHTS:
        there = [place for place in scans.split("test").tolist() if (scans.names[place] in dark) == (light == NIGHT)]
        if there:
            frame = scans.frame(there[0])
            predictions: dict[str, NDArray[np.int64]] = {
                row: predicted_classes(model.network, frame, model.recipe.data)["v"] for row, model in models.items()
            }
            found.append(Shown(light, frame, predictions))
    return found


def _figure(matrix: NDArray[np.int64], figure: str) -> float:
    if figure.startswith("pair "):
        return _told_apart(matrix, figure.removeprefix("pair "))
    each = intersection_over_union(matrix, EVALUATOR)
    if figure in LABELS:
        return float(each[LABELS[figure]])
    chosen = [label for label, known in enumerate(CLASSES) if figure in ("mean", known.told_by)]
    return float(mean_intersection_over_union(each[chosen]))


def _told_apart(matrix: NDArray[np.int64], name: str) -> float:
    labels = [LABELS[name], LABELS[CLASSES[LABELS[name]].partner]]
    two = matrix[np.ix_(labels, labels)].astype(np.float64)
    total = two.sum(axis=1)
    return float(np.mean(np.diagonal(two) / total)) if total.all() else float("nan")
