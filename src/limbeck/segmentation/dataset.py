"""A set of LiDAR scans with pictures and labels; a frame is read when it is asked for."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.images.decoding import opened, read_image
from limbeck.segmentation.cameras import Camera, PointPixels, point_pixels
from limbeck.segmentation.labels import LabelMap
from limbeck.segmentation.scans import Points, read_bytes, refuse_unusable

SPLITS = ("train", "validation", "test")
Evaluator: TypeAlias = Literal["semantickitti", "nuscenes"]
"""Whose formulas score a prediction; see `limbeck.segmentation.evaluators`."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One scan, and what cameras saw at that time.

    Attributes:
        name: of the frame, unique in its set.
        points: (points, 3) float32 metres in the LiDAR's frame.
        intensity: (points,) float32 of the returns, in [0, 1].
        labels: (points,) int64 classes, -1 where ignored; None: nobody knows them.
        images: (height, width, 3) uint8 RGB, one a camera; none where they were not asked for.
        cameras: none: nothing is seen by a camera.
        sequence: the drive that it is of.
        pose: (4, 4) float64, from the LiDAR's frame to that of the world; None: unknown.
    """

    name: str
    points: NDArray[np.float32]
    intensity: NDArray[np.float32]
    labels: NDArray[np.int64] | None
    images: tuple[NDArray[np.uint8], ...]
    cameras: tuple[Camera, ...]
    sequence: str
    pose: NDArray[np.float64] | None = None


class Picture(NamedTuple):
    """The file of a picture, and the camera that took it."""

    camera: Camera
    file: Path


class FrameSource(Protocol):
    """What a layout on disk gives of a frame, by its position in the set.

    Methods:
        scan: the points, intensity in [0, 1].
        labels: classes of so many points, None where there are none.
        cameras: those of the frame.
        images: their pictures, in the order of the cameras.
        encoded: the same as the bytes of JPEG, PNG or BMP files, not decoded.
        pixels: where the points fall, if that is kept; None: it is to be computed.
        pose: see `Frame`.
        file: that a message about the points names.
        files: everything that the frame is read from.
        settings: files that decide how all frames are read, such as calibrations.
        digest: of the whole set, if that is kept; None: it is to be computed from the files.
    """

    def scan(self, position: int) -> Points: ...

    def labels(self, position: int, points: int) -> NDArray[np.int64] | None: ...

    def cameras(self, position: int) -> tuple[Camera, ...]: ...

    def images(self, position: int) -> tuple[NDArray[np.uint8], ...]: ...

    def encoded(self, position: int) -> tuple[bytes, ...]: ...

    def pixels(self, position: int) -> PointPixels | None: ...

    def pose(self, position: int) -> NDArray[np.float64] | None: ...

    def file(self, position: int) -> Path: ...

    def files(self, position: int) -> Sequence[Path]: ...

    def settings(self) -> Sequence[Path]: ...

    def digest(self) -> str | None: ...


@dataclass(frozen=True, eq=False)
class SegmentationDataset:
    """Labelled LiDAR scans.

    Attributes:
        name: what to call the set.
        root: where it lies.
        names: (frames,) of the frames.
        sequences: (frames,) the drive of each.
        splits: name of a split -> positions of its frames, ascending; "all" where the set has no division.
        labels: its classes.
        source: reads a frame.
        evaluator: whose formulas score it.
    """

    name: str
    root: Path
    names: tuple[str, ...]
    sequences: tuple[str, ...]
    splits: dict[str, NDArray[np.int64]]
    labels: LabelMap
    source: FrameSource = field(repr=False)
    evaluator: Evaluator = "nuscenes"

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, position: int) -> Frame:
        return self.frame(position)

    def split(self, name: str) -> NDArray[np.int64]:
        """Positions of the frames of a split.

        Raises:
            InputError: there is no such split.
        """
        if name not in self.splits:
            raise InputError(f"{self.name}: there is no split {name!r}; there are {', '.join(self.splits) or 'none'}")
        return self.splits[name]

    def frame(self, position: int, *, images: bool = True) -> Frame:
        """Read a frame.

        Args:
            position: from 0.
            images: decode its pictures too; without them it still has its cameras.

        Raises:
            InputError: one of its files cannot be used: the line names it and says why.
        """
        source, place = self.source, range(len(self))[position]
        scan = refuse_unusable(source.scan(place), source.file(place))
        return Frame(
            self.names[place],
            scan.position,
            scan.intensity,
            source.labels(place, len(scan.position)),
            source.images(place) if images else (),
            source.cameras(place),
            self.sequences[place],
            source.pose(place),
        )

    def pixels(self, position: int, frame: Frame | None = None) -> PointPixels:
        """The pixel of each point of a frame in the camera that sees it best; see `point_pixels`.

        They are of the points as they were read, before any augmentation.

        Args:
            position: from 0.
            frame: of that position, where it was read already.
        """
        place = range(len(self))[position]
        kept = self.source.pixels(place)
        if kept is not None:
            return kept
        if frame is None:
            frame = self.frame(place, images=False)
        return point_pixels(frame.points, frame.cameras)


class FileSource(ABC):
    """The base of sources whose pictures are files: they give `pictures`, and this decodes them.

    The cameras' sizes are compared with those of the decoded pictures.
    """

    @abstractmethod
    def pictures(self, position: int) -> Sequence[Picture]:
        """The pictures of a frame, with their cameras."""

    def cameras(self, position: int) -> tuple[Camera, ...]:
        return tuple(picture.camera for picture in self.pictures(position))

    def images(self, position: int) -> tuple[NDArray[np.uint8], ...]:
        found = []
        for camera, file in self.pictures(position):
            image = read_image(file)
            if image.shape[:2] != (camera.height, camera.width):
                raise InputError(
                    f"{file}: has {image.shape[1]} x {image.shape[0]} pixels, but the camera {camera.name} "
                    f"{camera.width} x {camera.height}; mend the calibration"
                )
            found.append(image)
        return tuple(found)

    def encoded(self, position: int) -> tuple[bytes, ...]:
        return tuple(read_bytes(picture.file) for picture in self.pictures(position))

    def pixels(self, position: int) -> PointPixels | None:
        del position
        return None

    def pose(self, position: int) -> NDArray[np.float64] | None:
        del position
        return None

    def settings(self) -> Sequence[Path]:
        return ()

    def digest(self) -> str | None:
        return None


def picture_size(file: Path) -> tuple[int, int]:
    """Width and height of a picture, from its header.

    Raises:
        InputError: it cannot be read.
    """
    with opened(file) as image:
        return image.size


def digest(scans: SegmentationDataset) -> str:
    """A digest of a set's frames, classes and calibrations; names and sizes of other files stand for their bytes.

    A packed set has the digest of what it was packed from.
    """
    kept = scans.source.digest()
    if kept is not None:
        return kept
    held = hashlib.sha256(json.dumps(scans.labels.as_json()).encode())
    for file in scans.source.settings():
        held.update(f"\0{file.name}\0{hashlib.sha256(read_bytes(file)).hexdigest()}".encode())
    if len(scans):
        for camera in scans.source.cameras(0):
            held.update(f"\0{camera.name}\0{camera.nearest}\0{camera.window}".encode())
    for name, members in scans.splits.items():
        held.update(f"\0{name}\0{members.tolist()}".encode())
    for position, name in enumerate(scans.names):
        held.update(f"\0{name}\0{scans.sequences[position]}".encode())
        for file in scans.source.files(position):
            held.update(f"\0{file.name}\0{file.stat().st_size}".encode())
    return held.hexdigest()


def describe(scans: SegmentationDataset) -> list[tuple[str, int, int, str]]:
    """(split, sequences, scans, names of the sequences) for every split; only the first few names."""
    rows = []
    for split, members in scans.splits.items():
        drives = sorted({scans.sequences[place] for place in members.tolist()})
        told = ", ".join(drives[:_SHOWN]) + (f", and {len(drives) - _SHOWN} more" if len(drives) > _SHOWN else "")
        rows.append((split, len(drives), len(members), told))
    return rows


_SHOWN = 11  # sequences that a description names


def miscounted(scans: SegmentationDataset, official: Mapping[str, int]) -> Iterator[str]:
    """A line for each split that has not the official number of scans."""
    for split, count in official.items():
        found = len(scans.splits.get(split, ()))
        if found != count:
            yield f"{split}: {found:,} scans, expected {count:,}"
