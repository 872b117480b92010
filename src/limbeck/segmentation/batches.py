"""Scans as the network sees them: which points, where their voxels and pixels lie, and how all of it varies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from limbeck.errors import InputError
from limbeck.images.batches import ShuffledDraws
from limbeck.segmentation.cameras import point_pixels
from limbeck.segmentation.dataset import Frame, SegmentationDataset
from limbeck.segmentation.networks import Sight
from limbeck.segmentation.recipe import AugmentationSettings, DataSettings
from limbeck.training.keys import generator

_CHANGES, _BLIND = 11, 12  # second entries of the keys that change scans, and that take pictures away


class ScanBatch(NamedTuple):
    """Scans, their points one after another.

    Attributes:
        features: (points, 4) float32: x, y, z in metres, and intensity in [0, 1].
        voxels: (points, 3) float32: where each point lies, in voxels from the scan's lowest corner.
        scan: (points,) int64, from 0.
        labels: (points,) int64; -1: ignored.
        pictures: (pictures, 3, height, width) float32 in [0, 1]; none: (0, 3, 1, 1).
        sight: where they show the points.
    """

    features: Tensor
    voxels: Tensor
    scan: Tensor
    labels: Tensor
    pictures: Tensor
    sight: Sight


class Sample(NamedTuple):
    """A scan as the network sees it; arrays as of `ScanBatch` and `Sight`.

    Attributes:
        chosen: (points,) int64 positions in the frame.
        speaker: (points of the frame,) int64: which of the chosen points stands for it; empty in training.
    """

    features: NDArray[np.float32]
    voxels: NDArray[np.float32]
    labels: NDArray[np.int64]
    pictures: NDArray[np.float32]
    seen: NDArray[np.bool_]
    pixels: NDArray[np.float32]
    picture: NDArray[np.int64]
    chosen: NDArray[np.int64]
    speaker: NDArray[np.int64]


def sample_of(
    frame: Frame,
    data: DataSettings,
    augmentation: AugmentationSettings | None = None,
    rng: np.random.Generator | None = None,
) -> Sample:
    """A scan as the network sees it.

    Args:
        frame: the scan.
        data: how its points are chosen, how large its pictures are.
        augmentation: how it varies; None: as in evaluation, nothing is drawn and no point is left out.
        rng: what is drawn by; needed with `augmentation`.

    Raises:
        InputError: pictures of one scan differ in size, and the recipe gives none.
    """
    cameras, images = (frame.cameras, frame.images) if data.cameras else ((), ())
    if augmentation is not None:
        assert rng is not None
        # Drawn always, so that one change does not decide what another draws.
        mirrored, *drawn = rng.random(5)
    shown = []
    for camera, image in zip(cameras, images, strict=True):
        size = (data.height or image.shape[0], data.width or image.shape[1])
        shown.append((camera.resized(size[1], size[0]), _resized(image, size)))
    if len({image.shape for _, image in shown}) > 1:
        raise InputError(f"{frame.name}: its pictures differ in size; set data.height and data.width")
    found = point_pixels(frame.points, [camera for camera, _ in shown])
    points = frame.points.astype(np.float32)
    pictures: NDArray[np.float32] | None = None
    if shown:
        pictures = np.stack([image for _, image in shown]).astype(np.float32) / np.float32(255)
    if augmentation is not None:
        assert rng is not None
        points = _moved(points, augmentation, drawn[:2], rng)
        if pictures is not None:
            pictures = _coloured(pictures, augmentation, drawn[2:])
    voxels = points.astype(np.float64) / data.voxel
    voxels -= np.floor(voxels.min(axis=0, initial=np.inf)) if len(voxels) else 0.0
    chosen, speaker = _chosen(voxels, data, rng if augmentation is not None else None)
    seen = found.camera[chosen] >= 0
    pixels = np.zeros((len(chosen), 2), np.float32)
    if pictures is None:
        pictures = np.zeros((0, 1, 1, 3), np.float32)
    else:
        height, width = pictures.shape[1:3]
        # The centre of the top left pixel is (0, 0), and its outer corner -1, -1. What a camera's bounds let in beyond
        # the outermost centres is read at the edge.
        at = np.stack([(2 * found.u + 1) / width - 1, (2 * found.v + 1) / height - 1], axis=1)[chosen[seen]]
        pixels[seen] = np.clip(at, -1, 1)
        if augmentation is not None and mirrored < augmentation.picture_flip:
            pictures, pixels = pictures[:, :, ::-1], pixels * np.array([-1, 1], np.float32)
    labels = frame.labels if frame.labels is not None else np.full(len(points), -1, np.int64)
    return Sample(
        np.concatenate([points, frame.intensity[:, None].astype(np.float32)], 1)[chosen],
        voxels[chosen].astype(np.float32),
        labels[chosen],
        np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)),
        seen,
        pixels,
        np.maximum(found.camera[chosen], 0).astype(np.int64),
        chosen,
        speaker,
    )


def collated(samples: Sequence[Sample]) -> ScanBatch:
    """Scans as one batch.

    Raises:
        InputError: pictures of the scans differ in size.
    """
    sizes = {one.pictures.shape[2:] for one in samples if len(one.pictures)}
    if len(sizes) > 1:
        raise InputError("pictures of a batch differ in size; set data.height and data.width")
    firsts = np.cumsum([0, *(len(one.pictures) for one in samples)])
    size = sizes.pop() if sizes else (1, 1)
    pictures = [one.pictures for one in samples if len(one.pictures)] or [np.zeros((0, 3, *size), np.float32)]

    def joined(parts: Sequence[NDArray[np.generic]]) -> Tensor:
        return torch.from_numpy(np.concatenate(parts))

    return ScanBatch(
        joined([one.features for one in samples]),
        joined([one.voxels for one in samples]),
        joined([np.full(len(one.chosen), number, np.int64) for number, one in enumerate(samples)]),
        joined([one.labels for one in samples]),
        joined(pictures),
        Sight(
            joined([one.seen for one in samples]),
            joined([one.pixels for one in samples]),
            joined([one.picture + first for one, first in zip(samples, firsts, strict=False)]),
        ),
    )


class ScanBatches(Dataset[ScanBatch]):
    """The batch of every step, of one process of several: what it holds depends on the seed and the step alone.

    Args:
        scans: the set.
        members: positions of the scans that are learned from.
        data: how a scan is seen, how many a batch has.
        augmentation: how it varies.
        seed: of everything.
        share: (rank, processes): this process takes the rank-th of as many equal pieces.

    Attributes:
        steps_per_epoch: batches an epoch.

    Raises:
        InputError: there are fewer scans than a batch holds, or it does not divide by the number of processes.
    """

    def __init__(
        self,
        scans: SegmentationDataset,
        members: NDArray[np.int64],
        data: DataSettings,
        augmentation: AugmentationSettings,
        *,
        seed: int,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        if data.batch % share[1]:
            raise InputError(f"data.batch must divide by the number of processes, {share[1]}, not be {data.batch}")
        if len(members) < data.batch:
            raise InputError(f"data.batch must be at most the {len(members)} scans to learn from, not {data.batch}")
        each = data.batch // share[1]
        self._mine = slice(share[0] * each, (share[0] + 1) * each)
        self._draws = ShuffledDraws(len(members), data.batch, steps_per_epoch=data.steps_per_epoch, seed=seed)
        self.steps_per_epoch = self._draws.steps_per_epoch
        self._scans, self._members, self._data, self._augmentation = scans, members, data, augmentation
        self._seed = seed

    def __getitem__(self, step: int) -> ScanBatch:
        places = range(self._mine.start, self._mine.stop)
        drawn = self._members[self._draws.positions(step)[self._mine]]
        # For a whole step, so that all processes agree whether the image branch takes part.
        blind = generator(self._seed, _BLIND, step).random() < self._augmentation.no_pictures
        data = replace(self._data, cameras=self._data.cameras and not blind)
        return collated(
            [
                sample_of(
                    self._scans.frame(int(position), images=data.cameras),
                    data,
                    self._augmentation,
                    generator(self._seed, _CHANGES, step, place),
                )
                for place, position in zip(places, drawn, strict=True)
            ]
        )


def _chosen(
    voxels: NDArray[np.float64], data: DataSettings, rng: np.random.Generator | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The points that are seen, ascending, and for every point which of them speaks for it."""
    count = len(voxels)
    order = np.arange(count) if rng is None else rng.permutation(count)
    if data.points == "one-per-voxel" and count:
        cells = np.floor(voxels).astype(np.int64)
        spans = cells.max(axis=0) + 1
        keys = (cells[:, 0] * spans[1] + cells[:, 1]) * spans[2] + cells[:, 2]
        _, first, group = np.unique(keys[order], return_index=True, return_inverse=True)
        chosen, of = order[first], np.empty(count, np.int64)
        of[order] = group
    else:
        chosen, of = order, np.empty(count, np.int64)
        of[order] = np.arange(count)
    if rng is not None and data.most is not None and len(chosen) > data.most:
        # In training only, where nobody asks for whom a point speaks.
        chosen = chosen[rng.permutation(len(chosen))[: data.most]]
        return np.sort(chosen), np.zeros(0, np.int64)
    rank = np.argsort(chosen, kind="stable")
    place = np.empty(len(chosen), np.int64)
    place[rank] = np.arange(len(chosen))
    return chosen[rank], place[of]


def _moved(
    points: NDArray[np.float32], settings: AugmentationSettings, flips: Sequence[float], rng: np.random.Generator
) -> NDArray[np.float32]:
    angle = math.radians(settings.turn) * rng.uniform(-1, 1)
    factor = rng.uniform(*settings.scale)
    turn = np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    for axis, drawn in zip((1, 0), flips, strict=True):
        if drawn < settings.flip:
            turn[axis] *= -1
    return np.asarray(points.astype(np.float64) @ (factor * turn).T, np.float32)


def _coloured(
    pictures: NDArray[np.float32], settings: AugmentationSettings, drawn: Sequence[float]
) -> NDArray[np.float32]:
    """Each scan's pictures alike: they are taken in the same light."""
    brightness, contrast = (
        1 + strength * (2 * one - 1)
        for strength, one in zip((settings.brightness, settings.contrast), drawn, strict=True)
    )
    pictures = pictures * np.float32(brightness)
    grey = (pictures @ np.array([0.299, 0.587, 0.114], np.float32)).mean()
    return np.asarray(np.clip(grey + (pictures - grey) * np.float32(contrast), 0, 1), np.float32)


def _resized(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    if size == image.shape[:2]:
        return image
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
