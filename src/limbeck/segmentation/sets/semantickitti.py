"""SemanticKITTI: 22 drives of one car with a spinning LiDAR of 64 rings, and the colour pictures of KITTI's odometry.

Layout, in the folder or in its `dataset/`: `sequences/XX/velodyne/NNNNNN.bin` (float32 x, y, z, remission in [0, 1]),
`labels/NNNNNN.label` (uint32, the class in the lower 16 bits), `image_2/NNNNNN.png` (of the left colour camera, an
archive of its own), `calib.txt` with the lines `P2:` and `Tr:` of 12 numbers, `poses.txt`. What falls on pixel (u, v)
at depth w: P2 Tr (x, y, z, 1) = (uw, vw, w).

Source: Behley et al. 2019; Geiger et al. 2012.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.files import is_number, read_text
from limbeck.segmentation.cameras import Camera
from limbeck.segmentation.dataset import FileSource, Picture, SegmentationDataset, miscounted, picture_size
from limbeck.segmentation.labels import SEMANTIC_KITTI
from limbeck.segmentation.scans import Points, matrix_of, read_bin, read_labels, read_poses
from limbeck.segmentation.sets import SegmentationSet

SEQUENCES = {
    "train": ("00", "01", "02", "03", "04", "05", "06", "07", "09", "10"),
    "validation": ("08",),
    "test": ("11", "12", "13", "14", "15", "16", "17", "18", "19", "20", "21"),
}
OFFICIAL = {"train": 19130, "validation": 4071, "test": 20351}
CAMERA = "image_2"


def load_semantickitti(root: Path) -> SegmentationDataset:
    """Read what drives there are; the splits are the official "train", "validation" and "test".

    A drive without the folder `labels` has no labels, one without `image_2` no camera.

    Raises:
        InputError: there is no drive, or one of an unknown number, or pictures without a calibration.
    """
    home = next((root / one / "sequences" for one in (".", "dataset") if (root / one / "sequences").is_dir()), None)
    if home is None:
        raise InputError(f"{root}: holds no folder sequences/, nor its dataset/; give the folder that does")
    official = [number for numbers in SEQUENCES.values() for number in numbers]
    drives = sorted(place.name for place in home.iterdir() if place.is_dir() and is_number(place.name))
    strange = [number for number in drives if number not in official]
    if strange:
        raise InputError(f"{home / strange[0]}: the drives of SemanticKITTI are 00 to 21; take this one out")
    scans = [file for number in drives for file in sorted((home / number / "velodyne").glob("*.bin"))]
    scans = [file for file in scans if not file.name.startswith(".")]
    if not scans:
        raise InputError(f"{home}: holds no scan; they lie in XX/velodyne/NNNNNN.bin")
    for file in scans:
        if not is_number(file.stem):
            raise InputError(f"{file}: scans are named 000000.bin, 000001.bin, ...")
    sequences = tuple(file.parent.parent.name for file in scans)
    held = np.array(sequences)
    return SegmentationDataset(
        "semantickitti",
        home,
        tuple(f"{number}/{file.stem}" for number, file in zip(sequences, scans, strict=True)),
        sequences,
        {split: np.flatnonzero(np.isin(held, numbers)) for split, numbers in SEQUENCES.items()},
        SEMANTIC_KITTI,
        _Source(home, tuple(scans)),
        "semantickitti",
    )


class _Source(FileSource):
    def __init__(self, home: Path, scans: tuple[Path, ...]) -> None:
        self.home, self.scans = home, scans
        self._calibrations: dict[Path, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
        self._poses: dict[Path, NDArray[np.float64]] = {}
        self._drives = {
            drive: ((drive / "labels").is_dir(), _pictured(drive))
            for drive in sorted({file.parent.parent for file in scans})
        }

    def file(self, position: int) -> Path:
        return self.scans[position]

    def scan(self, position: int) -> Points:
        return read_bin(self.scans[position], 4)

    def labels(self, position: int, points: int) -> NDArray[np.int64] | None:
        file = self._beside(position, "labels", ".label")
        if not self._drives[self._drive(position)][0]:
            return None
        # The lower half is the class, the upper one the number of the thing.
        return SEMANTIC_KITTI.encode(read_labels(file, points) & 0xFFFF, file)

    def pictures(self, position: int) -> Sequence[Picture]:
        drive = self._drive(position)
        if not self._drives[drive][1]:
            return ()
        file = self._beside(position, CAMERA, ".png")
        projection, _ = self._calibration(drive)
        width, height = picture_size(file)
        return (Picture(Camera(CAMERA, projection, width, height), file),)

    def pose(self, position: int) -> NDArray[np.float64] | None:
        drive, file = self._drive(position), self.scans[position]
        if not (drive / "poses.txt").is_file() or not (drive / "calib.txt").is_file():
            return None
        if drive not in self._poses:
            self._poses[drive] = read_poses(drive / "poses.txt")
        poses, (_, to_camera) = self._poses[drive], self._calibration(drive)
        number = int(file.stem)
        if number >= len(poses):
            raise InputError(f"{drive / 'poses.txt'}: has {len(poses)} lines, none for {file.name}")
        # The file has the poses of camera 0.
        return np.asarray(np.linalg.inv(to_camera) @ poses[number] @ to_camera)

    def files(self, position: int) -> Sequence[Path]:
        drive = self._drive(position)
        labelled, pictured = self._drives[drive]
        found = [self.scans[position]]
        found += [self._beside(position, "labels", ".label")] if labelled else []
        found += [self._beside(position, CAMERA, ".png")] if pictured else []
        return found

    def settings(self) -> Sequence[Path]:
        found = [drive / name for drive in self._drives for name in ("calib.txt", "poses.txt")]
        return [file for file in found if file.is_file()]

    def _calibration(self, drive: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if drive not in self._calibrations:
            self._calibrations[drive] = calibration(drive / "calib.txt")
        return self._calibrations[drive]

    def _drive(self, position: int) -> Path:
        return self.scans[position].parent.parent

    def _beside(self, position: int, folder: str, suffix: str) -> Path:
        scan = self.scans[position]
        return scan.parent.parent / folder / f"{scan.stem}{suffix}"


def _pictured(drive: Path) -> bool:
    if not (drive / CAMERA).is_dir():
        return False
    if not (drive / "calib.txt").is_file():
        raise InputError(
            f"{drive}: has pictures in {CAMERA}/ but no calibration; put KITTI odometry's calib.txt of drive "
            f"{drive.name} there, or take {CAMERA}/ away to use the LiDAR alone"
        )
    return True


def calibration(file: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """P2 Tr, (3, 4), which projects a point of the LiDAR into `image_2`, and Tr, (4, 4), to the frame of camera 0.

    Raises:
        InputError: the file lacks a line, or it is damaged.
    """
    lines = dict(line.split(":", 1) for line in read_text(file).splitlines() if ":" in line)
    found = []
    for name in ("P2", "Tr"):
        if name not in lines:
            raise InputError(f"{file}: lacks the line {name}: of 12 numbers")
        found.append(matrix_of(lines[name], f"{file}: the line {name}:"))
    to_camera = np.vstack([found[1], [0, 0, 0, 1]])
    return found[0] @ to_camera, to_camera


SET = SegmentationSet(
    "semantickitti",
    "SemanticKITTI: a LiDAR of 64 rings and a camera; 19,130 scans to learn from, 4,071 to validate, 20,351 to test",
    load=load_semantickitti,
    check=lambda scans: [*miscounted(scans, OFFICIAL)],
)
