"""One's own scans in a folder, with labels, pictures and poses where there are any.

Layout, in the folder itself or in each of its `train/`, `validation/` and `test/`:

* `scans/NAME.bin`, `.npy` or `.ply`, or `scans/DRIVE/NAME...`, in metres. Float32 values in `.bin` are x, y, z,
  intensity and perhaps more: `scans.yaml` says how many (`columns: 4`), as a file of 5 a point may well be read as one
  of 4;
* `labels/NAME.label` (uint32, of which the lower 16 bits count) or `.npy`, where a scan has labels; `labels.yaml`
  beside `scans.yaml` says which number is which class, see `limbeck.segmentation.labels.read_label_map`;
* `poses.txt`, or `poses/DRIVE.txt`: 12 numbers a line, from the LiDAR's frame to the world's, the lines in the order of
  the names of the scans;
* pictures: `calibration.yaml` beside `scans.yaml`, or `calibration/DRIVE.yaml` beside `poses/` where drives differ,
  lists the cameras, and the folder where each has its `NAME.png` (`.jpg`, ...):

      cameras:
      - name: front
        pictures: image_front
        size: [1242, 375]                          # width and height in pixels
        projection: [[..4..], [..4..], [..4..]]    # LiDAR to pixels; or, in its place,
        intrinsics: [[..3..], [..3..], [..3..]]    # camera to pixels, and
        extrinsics: [[..4..], [..4..], [..4..]]    # LiDAR to camera (a fourth row 0 0 0 1 may follow)
        nearest: 0                                 # metres; what is nearer is not seen

`scans.yaml` holds `columns`, where there are `.bin` files, and `intensity`, the value of a full return (default 1; 255
where intensities go from 0 to 255): intensities are divided by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.images.listing import IMAGE_SUFFIXES
from limbeck.segmentation.cameras import Camera
from limbeck.segmentation.dataset import SPLITS, FileSource, Picture, SegmentationDataset
from limbeck.segmentation.labels import LabelMap, read_label_map
from limbeck.segmentation.scans import SCAN_SUFFIXES, Points, read_bin, read_labels, read_npy, read_ply, read_poses
from limbeck.segmentation.sets import SegmentationSet
from limbeck.yamlfiles import read_yaml

SCANS, LABELS, CALIBRATION = "scans.yaml", "labels.yaml", "calibration.yaml"
LABEL_SUFFIXES = (".label", ".npy")
_FEWEST_COLUMNS = 4


def load_folder(root: Path) -> SegmentationDataset:
    """Read the lists and settings of a folder; the splits are "train", "validation" and "test", or else "all".

    Raises:
        InputError: there is no scan, a setting is missing or wrong, or there are pictures or labels without their YAML.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give one with scans/ in it")
    parts = {split: root / split for split in SPLITS if (root / split / "scans").is_dir()} or {"all": root}
    listed = [(split, home, file) for split, home in parts.items() for file in _scans(home)]
    if not listed:
        raise InputError(f"{root}: there is no scan in scans/ ({', '.join(SCAN_SUFFIXES)})")
    prefix = {split: "" if split == "all" else f"{split}/" for split in parts}
    names, sequences = [], []
    for split, home, file in listed:
        inside = file.relative_to(home / "scans").with_suffix("")
        names.append(f"{prefix[split]}{inside.as_posix()}")
        drive = inside.parent.as_posix()
        sequences.append(f"{prefix[split]}{drive}" if drive != "." else split)
    twice = next((name for name, other in zip(sorted(names), sorted(names)[1:], strict=False) if name == other), None)
    if twice is not None:
        raise InputError(f"{root}: there are two scans of the name {twice}; keep one of the files")
    settings = _settings(root, any(file.suffix == ".bin" for _, _, file in listed))
    labelled = {home: (home / "labels").is_dir() for home in parts.values()}
    if any(labelled.values()) and not (root / LABELS).is_file():
        raise InputError(f"{root}: there are labels but no {LABELS}; write it, with lines like 'car: [10, 252]'")
    label_map = (
        read_label_map(root / LABELS) if (root / LABELS).is_file() else LabelMap("no labels", (), {}, (), ignored=0)
    )
    cameras = _calibrations(root, [(home, file) for _, home, file in listed])
    source = _Source(tuple((home, file) for _, home, file in listed), settings, label_map, labelled, cameras, root)
    held = np.array([split for split, _, _ in listed])
    return SegmentationDataset(
        root.name or str(root),
        root,
        tuple(names),
        tuple(sequences),
        {split: np.flatnonzero(held == split) for split in parts},
        label_map,
        source,
        "nuscenes",
    )


@dataclass(frozen=True)
class _Settings:
    columns: int
    intensity: float


class _Source(FileSource):
    def __init__(
        self,
        scans: tuple[tuple[Path, Path], ...],
        settings: _Settings,
        labels: LabelMap,
        labelled: Mapping[Path, bool],
        cameras: Sequence[Sequence[tuple[Camera, str]]],
        root: Path,
    ) -> None:
        self.root = root
        self.scans, self.described, self.label_map = scans, settings, labels
        self.labelled, self.calibrated = labelled, cameras
        self._lists: dict[Path, tuple[NDArray[np.float64], dict[Path, int]] | None] = {}

    def file(self, position: int) -> Path:
        return self.scans[position][1]

    def scan(self, position: int) -> Points:
        file = self.file(position)
        if file.suffix == ".bin":
            found = read_bin(file, self.described.columns)
        else:
            found = read_npy(file) if file.suffix == ".npy" else read_ply(file)
        intensity = found.intensity / np.float32(self.described.intensity)
        if len(intensity) and (intensity.max() > 1 or intensity.min() < 0):
            raise InputError(
                f"{file}: intensities go from {found.intensity.min():g} to {found.intensity.max():g}, outside of 0 to "
                f"{self.described.intensity:g}; say the value of a full return in {SCANS}, such as 'intensity: 255'"
            )
        return Points(found.position, intensity)

    def labels(self, position: int, points: int) -> NDArray[np.int64] | None:
        file = self._labels(position)
        if file is None:
            return None
        raw = read_labels(file, points)
        return self.label_map.encode(raw & 0xFFFF if file.suffix == ".label" else raw, file)

    def pictures(self, position: int) -> Sequence[Picture]:
        found = []
        for camera, folder in self.calibrated[position]:
            home, scan = self.scans[position]
            inside = scan.relative_to(home / "scans")
            stem = home / folder / inside.parent / scan.stem
            files = [
                file for suffix in sorted(IMAGE_SUFFIXES) if (file := stem.parent / f"{stem.name}{suffix}").is_file()
            ]
            if len(files) != 1:
                told = "there is no picture" if not files else "there are several pictures"
                raise InputError(f"{stem}: {told} of the camera {camera.name} for this scan; give one")
            found.append(Picture(camera, files[0]))
        return found

    def pose(self, position: int) -> NDArray[np.float64] | None:
        home, scan = self.scans[position]
        file = _of_drive(home, scan, "poses.txt")
        if file not in self._lists:
            self._lists[file] = None
            if file.is_file():
                order = [other for _, other in self.scans if other.parent == scan.parent]
                poses = read_poses(file)
                if len(poses) != len(order):
                    raise InputError(f"{file}: has {len(poses)} poses, but there are {len(order)} scans; give one each")
                self._lists[file] = poses, {other: number for number, other in enumerate(order)}
        known = self._lists[file]
        return None if known is None else known[0][known[1][scan]]

    def files(self, position: int) -> Sequence[Path]:
        labels = self._labels(position)
        found = [self.file(position), *([] if labels is None else [labels])]
        return [*found, *(picture.file for picture in self.pictures(position))]

    def settings(self) -> Sequence[Path]:
        homes = dict.fromkeys(home for home, _ in self.scans)
        names = [self.root / SCANS, self.root / CALIBRATION]
        for home in homes:
            for name in (CALIBRATION, "poses.txt"):
                stem, suffix = name.split(".")
                names += [home / name, *sorted((home / stem).rglob(f"*.{suffix}"))]
        return [file for file in dict.fromkeys(names) if file.is_file()]

    def _labels(self, position: int) -> Path | None:
        home, scan = self.scans[position]
        if not self.labelled[home]:
            return None
        inside = scan.relative_to(home / "scans")
        files = [home / "labels" / inside.parent / f"{scan.stem}{suffix}" for suffix in LABEL_SUFFIXES]
        found = [file for file in files if file.is_file()]
        if len(found) != 1:
            told = "there are no labels" if not found else "there are two files of labels"
            raise InputError(f"{files[0]}: {told} of the scan {scan.name}; give one, or none for any scan of a split")
        return found[0]


def _scans(home: Path) -> list[Path]:
    return sorted(
        file
        for file in (home / "scans").rglob("*")
        if file.suffix in SCAN_SUFFIXES and not file.name.startswith(".") and file.is_file()
    )


def _mapping(file: Path, keys: Sequence[str]) -> dict[str, Any]:
    held = read_yaml(file)
    if not isinstance(held, dict) or not set(held) <= set(keys):
        raise InputError(f"{file}: must have the keys {', '.join(keys)}, and no others")
    return held


def _settings(root: Path, binary: bool) -> _Settings:
    file = root / SCANS
    held = _mapping(file, ("columns", "intensity")) if file.is_file() else {}
    if binary and "columns" not in held:
        raise InputError(
            f"{file}: must say how many float32 values a point of the .bin files has, as in 'columns: 4' (x, y, z, "
            "intensity) or 'columns: 5'"
        )
    columns, intensity = held.get("columns", _FEWEST_COLUMNS), held.get("intensity", 1.0)
    if not isinstance(columns, int) or isinstance(columns, bool) or columns < _FEWEST_COLUMNS:
        raise InputError(f"{file}: columns must be a whole number of at least 4, not {columns!r}")
    if not isinstance(intensity, (int, float)) or not 0 < intensity < np.inf:
        raise InputError(f"{file}: intensity must be a number above 0, not {intensity!r}")
    return _Settings(columns, float(intensity))


def _of_drive(home: Path, scan: Path, name: str) -> Path:
    """A file about the drive of a scan: `poses/DRIVE.txt` for the name `poses.txt`, which it is without drives."""
    inside = scan.parent.relative_to(home / "scans")
    stem, suffix = name.split(".")
    return home / name if inside.as_posix() == "." else home / stem / inside.parent / f"{inside.name}.{suffix}"


def _calibrations(root: Path, scans: Sequence[tuple[Path, Path]]) -> list[list[tuple[Camera, str]]]:
    """The cameras of every scan: those of its drive, or else those of all."""
    known: dict[tuple[Path, Path], list[tuple[Camera, str]]] = {}
    found = []
    for home, scan in scans:
        own = _of_drive(home, scan, CALIBRATION)
        file = own if own.is_file() else root / CALIBRATION
        if (home, file) not in known:
            pictured = None if file.is_file() else _pictured(home)
            if pictured is not None:
                told = f"no {file}" + (f" or {own}" if own != file else "")
                raise InputError(
                    f"{pictured}: holds pictures, but there is {told}; write it, or take the pictures away to use "
                    "the LiDAR alone"
                )
            known[home, file] = _cameras(file) if file.is_file() else []
        found.append(known[home, file])
    return found


def _cameras(file: Path) -> list[tuple[Camera, str]]:
    rows = _mapping(file, ("cameras",)).get("cameras")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{file}: cameras must be a list, each with a name, pictures, size and projection")
    found = [_camera(row, f"{file}: camera {number}") for number, row in enumerate(rows, start=1)]
    names = [camera.name for camera, _ in found]
    if len(set(names)) != len(names):
        raise InputError(f"{file}: two cameras have the same name; give each its own")
    return found


def _pictured(home: Path) -> Path | None:
    """A folder beside the scans that holds pictures."""
    for place in sorted(one for one in home.iterdir() if one.is_dir() and one.name not in ("scans", "labels", *SPLITS)):
        if any(file.suffix.lower() in IMAGE_SUFFIXES for file in place.rglob("*")):
            return place
    return None


_KEYS = ("name", "pictures", "size", "projection", "intrinsics", "extrinsics", "nearest")


def _camera(row: Mapping[str, Any], where: str) -> tuple[Camera, str]:
    strange = sorted(set(map(str, row)) - set(_KEYS))
    missing = [key for key in ("name", "pictures", "size") if key not in row]
    if strange or missing:
        told = f"there is no key {strange[0]}" if strange else f"{missing[0]} is missing"
        raise InputError(f"{where}: {told}; the keys are {', '.join(_KEYS)}")
    direct, apart = "projection" in row, "intrinsics" in row and "extrinsics" in row
    if direct == apart or (direct and ("intrinsics" in row or "extrinsics" in row)):
        raise InputError(f"{where}: give its projection, or its intrinsics and extrinsics")
    if direct:
        projection = _matrix(row["projection"], 4, f"{where}: projection")
    else:
        inner, outer = (
            _matrix(row[key], size, f"{where}: {key}") for key, size in (("intrinsics", 3), ("extrinsics", 4))
        )
        projection = inner @ outer
    size, nearest = row["size"], row.get("nearest", 0.0)
    if not isinstance(size, list) or len(size) != 2 or not all(isinstance(one, int) and one > 0 for one in size):
        raise InputError(f"{where}: size must be [width, height] in pixels, not {size!r}")
    if not isinstance(nearest, (int, float)) or not nearest >= 0:
        raise InputError(f"{where}: nearest must be a number of metres of at least 0, not {nearest!r}")
    return Camera(str(row["name"]), projection, size[0], size[1], float(nearest)), str(row["pictures"])


def _matrix(given: Any, columns: int, where: str) -> NDArray[np.float64]:
    try:
        found = np.array(given, np.float64)
    except (TypeError, ValueError):
        found = np.zeros(0)
    if found.shape == (4, 4) and columns == 4 and found[3].tolist() == [0, 0, 0, 1]:
        found = found[:3]
    if found.shape != (3, columns) or not np.isfinite(found).all():
        raise InputError(f"{where} must be 3 rows of {columns} finite numbers")
    return found


SET = SegmentationSet(
    "scans",
    "your own scans: a folder with scans/, and labels/, pictures, poses and YAML files about them where there are any",
    load=load_folder,
    check=None,
)
