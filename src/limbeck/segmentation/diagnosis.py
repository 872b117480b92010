"""What each sensor holds of the class of a point: features of points that the camera sees, and nats class by class."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.information.diagnosis import ViewFeatures
from limbeck.information.probes import Probe, cross_fitted_information
from limbeck.reporting.progress import Progress, progress_bar
from limbeck.reporting.tables import format_table
from limbeck.segmentation.batches import collated, sample_of
from limbeck.segmentation.dataset import Frame
from limbeck.segmentation.network import SegmentationNetwork
from limbeck.segmentation.recipe import DataSettings
from limbeck.segmentation.runs import load_run, place_of
from limbeck.segmentation.sets import load_scans
from limbeck.training import generator, to_device

CAMERA, LIDAR = "camera", "LiDAR"
_POINTS = 13  # second entry of the key that draws points
_LEAST = 20  # points of a class, and scans that show it, for figures of it


@dataclass(frozen=True, eq=False)
class PointFeatures:
    """Features of labelled points that a camera sees.

    Attributes:
        observations: v of the camera and of the LiDAR, (points, features) each.
        representations: z of both.
        labels: (points,) classes.
        scans: (points,) position of the scan that each is of.
        classes: names of all classes.
        fused: pictures have gone into the LiDAR branch's features, so that these are not of the LiDAR alone.
        origin: the run.
    """

    observations: tuple[NDArray[np.float32], NDArray[np.float32]]
    representations: tuple[NDArray[np.float32], NDArray[np.float32]]
    labels: NDArray[np.int64]
    scans: NDArray[np.int64]
    classes: tuple[str, ...]
    fused: bool
    origin: str

    def views(self) -> ViewFeatures:
        """As `diagnose` takes them; points of one scan stay together."""
        return ViewFeatures.from_arrays(
            self.representations,
            self.labels,
            observations=self.observations,
            names=[CAMERA, LIDAR],
            groups=self.scans,
            origin=self.origin,
        )


@dataclass(frozen=True)
class ClassInformation:
    """Nats of "is it this class?" that a probe reads, of as many points of it as of others: at most ln 2.

    Attributes:
        name: of the class.
        points: of it, among those drawn.
        camera: nats that v of the camera holds, and the interval.
        lidar: of the LiDAR,
        both: of both side by side.
    """

    name: str
    points: int
    camera: tuple[float, float, float]
    lidar: tuple[float, float, float]
    both: tuple[float, float, float]

    @property
    def known_to(self) -> str:
        """Whose interval lies above the other's: "camera", "LiDAR" or "both alike"."""
        if self.camera[1] > self.lidar[2]:
            return CAMERA
        return LIDAR if self.lidar[1] > self.camera[2] else "both alike"


def point_features_of_run(
    run: Path,
    *,
    root: str | None = None,
    split: str = "validation",
    most: int = 400,
    device: str = "cpu",
    seed: int = 0,
) -> PointFeatures:
    """Features of labelled points in a camera's view, as many of each class as there are, but no more than `most`.

    The label is thereby spread more evenly than on the street, and nats are of that spread.

    Args:
        run: a folder that `limbeck train segmentation` wrote, or its model file; trained with cameras.
        root: of the set; default: where it lay in training.
        split: of the set.
        most: points of a class.
        device: where to compute.
        seed: of the points that are drawn.

    Raises:
        InputError: the run or the set cannot be read, or has no cameras.
    """
    model = load_run(run, device=device)
    if not model.recipe.data.cameras:
        raise InputError(f"{run}: was trained without cameras: there are no two sensors to compare")
    data = replace(model.recipe.data, root=root or model.recipe.data.root)
    scans = load_scans(data.set, place_of(data))
    if scans.labels.classes != model.classes:
        raise InputError(f"{data.root}: its classes are not those that the model knows: {', '.join(model.classes)}")
    members = scans.split(split)
    truth = [_seen_labels(scans.frame(place), data).astype(np.int64) for place in members.tolist()]
    counts = np.array([len(one) for one in truth])
    label = np.concatenate(truth) if truth else np.zeros(0, np.int64)
    rng = generator(seed, _POINTS)
    drawn = [np.flatnonzero(label == code) for code in range(len(model.classes))]
    drawn = [rng.permutation(one)[:most] for one in drawn]
    chosen = np.sort(np.concatenate(drawn)) if drawn else np.zeros(0, np.int64)
    if not len(chosen):
        raise InputError(f"{scans.name}: split {split} has no labelled point in view of a camera")
    starts = np.cumsum([0, *counts])
    parts: list[list[NDArray[np.float32]]] = [[], [], [], []]
    which = []
    with progress_bar("scans") as advance:
        for number, place in enumerate(members.tolist()):
            own = chosen[(chosen >= starts[number]) & (chosen < starts[number + 1])] - starts[number]
            if len(own):
                for part, found in zip(parts, _features(model.network, scans.frame(place), data, own), strict=True):
                    part.append(found)
                which += [place] * len(own)
            advance(number + 1, len(members))
    v1, z1, v2, z2 = (np.concatenate(part) for part in parts)
    return PointFeatures(
        (v1, v2),
        (z1, z2),
        label[chosen],
        np.array(which, np.int64),
        model.classes,
        model.recipe.network.fusion != "none",
        str(run),
    )


def class_information(
    features: PointFeatures,
    *,
    probe: Probe = "linear",
    folds: int = 5,
    confidence: float = 0.95,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[ClassInformation, ...]:
    r"""How many nats of :math:`1[y = c]` each sensor's v holds, for every class c of which there are enough points.

    Of each class as many points are drawn as of all others together, or as there are, so that classes can be compared:
    :math:`H(1[y = c]) = \ln 2`. Points of a scan stay together in the probes' folds.

    Args:
        features: of points.
        probe: that reads, see `cross_fitted_information`.
        folds: of the cross-fitting.
        confidence: of the intervals.
        seed: of draws, folds and probes.
        progress: called with (classes done, classes in all).
    """
    found = []
    for code, name in enumerate(features.classes):
        own, other = np.flatnonzero(features.labels == code), np.flatnonzero(features.labels != code)
        size = min(len(own), len(other))
        if size >= _LEAST and len(np.unique(features.scans[own])) >= folds:
            rng = generator(seed, _POINTS, code)
            chosen = np.concatenate([rng.permutation(own)[:size], rng.permutation(other)[:size]])
            camera, lidar = (one[chosen] for one in features.observations)
            figures = []
            for matrix in (camera, lidar, np.concatenate([camera, lidar], axis=1)):
                read = cross_fitted_information(
                    matrix,
                    features.labels[chosen] == code,
                    groups=features.scans[chosen],
                    folds=folds,
                    probe=probe,
                    seed=seed,
                    confidence=confidence,
                    check=False,
                )
                figures.append((read.nats, read.low, read.high))
            found.append(ClassInformation(name, len(own), *figures))
        if progress is not None:
            progress(code + 1, len(features.classes))
    return tuple(found)


def format_class_information(found: tuple[ClassInformation, ...], *, fused: bool) -> str:
    """A table of the classes, and what to make of it."""
    rows = [
        [one.name, f"{one.points:,}", *(_interval(part) for part in (one.camera, one.lidar, one.both)), one.known_to]
        for one in found
    ]
    headings = ("class", "points", "camera", "LiDAR", "both", "known better to")
    title = f"nats of the class, one against the others in equal number, at most {math.log(2):.2f} [95 %]"
    return format_table(headings, rows, title=title, left=("class", "known better to")) + "\n".join(_notes(fused))


def _notes(fused: bool) -> Iterator[str]:
    yield "Read by a held-out probe from v of points in a camera's view; a lower bound on what v holds."
    if fused:
        yield (
            "Pictures are fused into the LiDAR branch of this model, so that its column holds what both saw; train "
            "with --network.fusion none to tell the sensors apart."
        )


def _interval(figure: tuple[float, float, float]) -> str:
    return f"{figure[0]:.2f} [{figure[1]:.2f}, {figure[2]:.2f}]"


def _seen_labels(frame: Frame, data: DataSettings) -> NDArray[np.int64]:
    """Classes of the points of a scan that the network sees and a camera too, with a label."""
    sample = sample_of(frame, data)
    return sample.labels[sample.seen & (sample.labels >= 0)]


@torch.no_grad()
def _features(
    network: SegmentationNetwork, frame: Frame, data: DataSettings, chosen: NDArray[np.int64]
) -> tuple[NDArray[np.float32], ...]:
    """v1, z1, v2 and z2 of the chosen ones of these points."""
    sample = sample_of(frame, data)
    found = network.represent(to_device(collated([sample]), next(network.parameters()).device))
    labelled = np.flatnonzero(sample.labels[sample.seen] >= 0)[chosen]
    rows = np.flatnonzero(sample.seen)[labelled]
    of = found.features
    return tuple(
        part.float().cpu().numpy()[place]
        for part, place in ((of.v1, labelled), (of.z1, labelled), (of.v2, rows), (of.z2, rows))
    )
