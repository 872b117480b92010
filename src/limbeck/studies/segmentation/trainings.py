"""One training of the study: streets, network, counts of points by class and prediction, and nats by sensor."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.files import read_json, write_json
from limbeck.records import from_json, reading
from limbeck.reporting.console import quiet
from limbeck.segmentation.cameras import point_pixels
from limbeck.segmentation.dataset import SegmentationDataset
from limbeck.segmentation.diagnosis import ClassInformation, PointFeatures, class_information, point_features_of_run
from limbeck.segmentation.evaluation import WITH, WITHOUT
from limbeck.segmentation.evaluators import confusion
from limbeck.segmentation.prediction import predicted_classes
from limbeck.segmentation.recipe import SegmentationRecipe
from limbeck.segmentation.runs import SegmentationModel, load_run, train_run
from limbeck.segmentation.sets import load_scans
from limbeck.studies.essence import essence
from limbeck.studies.segmentation.rows import APART, RowName
from limbeck.synthetic.streets import PAIRS, StreetSettings, make_streets, read_factors
from limbeck.synthetic.streets.table import read_description

FIGURES = "figures.json"
Light: TypeAlias = Literal["day", "night"]
DAY: Light = "day"
NIGHT: Light = "night"
LIGHTS = (DAY, NIGHT)
Place: TypeAlias = tuple[str, str, str, str]
"""(with or without cameras, v or z or joint, day or night, fov or outside)."""
Counts: TypeAlias = dict[Place, list[list[int]]]
"""Place -> (classes, classes + 1) points of a class, by what was predicted of them."""


@dataclass(frozen=True)
class Wanted:
    """A training that the study asks for.

    Attributes:
        row: of the study's table.
        seed: of streets, weights and batches.
        recipe: everything that decides it.
        run: its folder.
        points: of each class that nats are read from.
    """

    row: RowName
    seed: int
    recipe: SegmentationRecipe
    run: Path
    points: int


@dataclass(frozen=True)
class Trained:
    """One training and its figures.

    Attributes:
        row: of the study's table.
        seed: of streets, weights and batches.
        counts: of points of test scans.
        classes: nats of each class that either sensor holds; of the row "apart" alone.
        pairs: the same of "which of the two?", by the name of a pair's first class.
        parameters: of the network.
        seconds: of processor time that the training took, or its last part where it was interrupted.
    """

    row: RowName
    seed: int
    counts: Counts
    classes: tuple[ClassInformation, ...]
    pairs: tuple[ClassInformation, ...]
    parameters: int
    seconds: float

    def matrix(self, cameras: str, kind: str, protocol: str, light: Light | None = None) -> NDArray[np.int64] | None:
        """(classes, classes + 1) counts, as of `confusion`; None where there is no such prediction.

        Args:
            cameras: WITH or WITHOUT.
            kind: v, z or joint.
            protocol: all, fov or outside.
            light: day or night; None: both.
        """
        protocols = ("fov", "outside") if protocol == "all" else (protocol,)
        lights = LIGHTS if light is None else (light,)
        places = [(cameras, kind, one, other) for one in lights for other in protocols]
        found = [self.counts[place] for place in places if place in self.counts]
        return np.sum(found, axis=0, dtype=np.int64) if found else None


def draw_streets(settings: StreetSettings, target: Path, workers: int) -> None:
    """The streets of a seed, unless they lie there already.

    Raises:
        InputError: streets of other settings lie there.
    """
    if not target.is_dir():
        make_streets(target, settings, "scans", workers=workers)
        return
    held, layout = read_description(target)
    if replace(held, cameras=settings.cameras) != settings or held.ring != settings.ring or layout != "scans":
        raise InputError(f"{target}: holds streets of other settings; name another folder with --out")


def dark_scans(streets: Path) -> set[str]:
    """Names of the scans at night."""
    frames = read_factors(streets).frames
    names = (str(path).replace("/scans/", "/").removesuffix(".bin") for path in frames["path"])
    return {name for name, dark in zip(names, frames["shot.light.night"].tolist(), strict=True) if dark}


def trained(wanted: Wanted) -> Trained:
    """Train and score, as far as that was not done before.

    Raises:
        InputError: the folder holds the training of another recipe, is damaged, or the training diverged.
        OSError: the folder cannot be written.
    """
    file = wanted.run / FIGURES
    if file.is_file():
        return _read(file, wanted)
    started = time.process_time()
    with quiet():
        fitted = train_run(wanted.recipe, wanted.run)
        if fitted.stopped:
            fitted.leave()
        seconds = time.process_time() - started
        model = load_run(wanted.run)
        scans = load_scans("scans", Path(wanted.recipe.data.root))
        counts = count_points(model, scans, dark_scans(scans.root))
        classes: tuple[ClassInformation, ...] = ()
        pairs: tuple[ClassInformation, ...] = ()
        if wanted.row == APART:
            features = point_features_of_run(
                wanted.run, root=wanted.recipe.data.root, split="test", most=wanted.points, seed=wanted.seed
            )
            classes = class_information(features, seed=wanted.seed)
            pairs = pair_information(features, seed=wanted.seed)
    parameters = sum(one.numel() for one in model.network.parameters())
    one = Trained(wanted.row, wanted.seed, counts, classes, pairs, parameters, seconds)
    held = asdict(replace(one, counts={}))
    held["counts"] = [[*place, matrix] for place, matrix in counts.items()]
    write_json(file, {"recipe": wanted.recipe.to_dict(), "points": wanted.points, **held})
    return one


def count_points(model: SegmentationModel, scans: SegmentationDataset, dark: set[str]) -> Counts:
    """Count the points of every test scan by class and prediction, with and without the cameras."""
    data = model.recipe.data
    sights = (WITH, WITHOUT) if data.cameras else (WITHOUT,)
    found: dict[Place, NDArray[np.int64]] = {}
    for position in scans.split("test").tolist():
        frame = scans.frame(position, images=data.cameras)
        assert frame.labels is not None
        seen = point_pixels(frame.points, frame.cameras).visible
        light = NIGHT if frame.name in dark else DAY
        for sight in sights:
            for kind, classes in predicted_classes(model.network, frame, data, cameras=sight == WITH).items():
                for protocol, chosen in (("fov", seen), ("outside", ~seen)):
                    counted = confusion(frame.labels[chosen], classes[chosen], len(model.classes))
                    place = (sight, kind, light, protocol)
                    found[place] = found.get(place, 0) + counted
    return {place: matrix.tolist() for place, matrix in found.items()}


def pair_information(features: PointFeatures, *, seed: int) -> tuple[ClassInformation, ...]:
    """Nats of "which of the two?" for every pair of classes that only one sensor can tell apart, at most ln 2."""
    found = []
    for pair in PAIRS:
        codes = [features.classes.index(name) for name in pair]
        chosen = np.isin(features.labels, codes)
        two = replace(
            features,
            observations=_rows(features.observations, chosen),
            representations=_rows(features.representations, chosen),
            labels=features.labels[chosen],
            scans=features.scans[chosen],
        )
        found += [one for one in class_information(two, seed=seed) if one.name == pair[0]]
    return tuple(found)


def _rows(
    pair: tuple[NDArray[np.float32], NDArray[np.float32]], chosen: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return pair[0][chosen], pair[1][chosen]


def _read(file: Path, wanted: Wanted) -> Trained:
    """The figures of a training that was done before, if it was this one."""
    with reading(file, "remove its folder to train again"):
        held = from_json(dict[str, Any], read_json(file))
        made, points = SegmentationRecipe.from_dict(held.pop("recipe")), held.pop("points")
        cells = from_json(list[tuple[str, str, str, str, list[list[int]]]], held.pop("counts"), "counts")
        counts = {cell[:4]: cell[4] for cell in cells}
        size = len(next(iter(counts.values()), []))
        if any(len(matrix) != size or any(len(row) != size + 1 for row in matrix) for matrix in counts.values()):
            raise ValueError("counts must be of every class, by every class and none")
        one = replace(from_json(Trained, {**held, "counts": {}}), counts=counts)
    if essence(made) != essence(wanted.recipe) or points != wanted.points:
        raise InputError(f"{file}: was trained or read in another way; name another folder with --out")
    return one
