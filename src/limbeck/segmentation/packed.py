"""Scans in one format on disk that is read fast: memory-mapped arrays instead of a file or more for every scan.

A packed set is a folder. `index.json` holds the names, splits, label map and cameras, and the digest of the set that it
was packed from; it is written last. All numbers are NPY arrays in which the frames lie behind one another:

=====================================  ===============================================================================
`offsets.npy`                          (frames + 1,) int64: frame i has the points from offsets[i] to offsets[i + 1]
`points.npy`, `intensity.npy`          (points, 3) and (points,) float32
`labels.npy`, `labelled.npy`           (points,) int16 classes; (frames,) bool: False where nobody knows them
`seen_offsets.npy`                     (frames + 1,) int64, of the following, which hold the points that a camera sees
`seen_points.npy`, `seen_cameras.npy`  (seen,) int32 place in the frame, and int8 number of the camera
`seen_pixels.npy`                      (seen, 3) float32 u, v, depth, as of `limbeck.segmentation.cameras.point_pixels`
`camera_offsets.npy`                   (frames + 1,) int64, of the following, which hold the cameras, frame by frame
`camera_kinds.npy`, `projections.npy`  (cameras,) int32 place in the index, and (cameras, 3, 4) float64
`poses.npy`                            (frames, 4, 4) float64; NaN where unknown
`images.bin`, `image_offsets.npy`      pictures, one a camera: the bytes of their files; or, of a stated size, uint8
`image_shapes.npy`                     (pictures, 2) int64 height and width
=====================================  ===============================================================================

Nothing is unpickled. Which points are in view is decided before pictures are resized.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from limbeck.errors import InputError
from limbeck.files import HEADER_ERRORS, check_regular, first_line, read_json, write_json
from limbeck.images.decoding import MAX_PIXELS
from limbeck.records import from_json
from limbeck.reporting.progress import Progress
from limbeck.segmentation.cameras import Camera, PointPixels
from limbeck.segmentation.dataset import Evaluator, SegmentationDataset, digest
from limbeck.segmentation.labels import IGNORED, LabelMap
from limbeck.segmentation.scans import Points
from limbeck.temporaries import whole_folder

FORMAT = "limbeck-scans-1"
INDEX, IMAGES = "index.json", "images.bin"
Size: TypeAlias = tuple[int, int] | int
"""Height and width in pixels, or the shorter side."""

# Name -> kind of number and shape of a row.
_ARRAYS: dict[str, tuple[DTypeLike, tuple[int, ...]]] = {
    "offsets": (np.int64, ()),
    "points": (np.float32, (3,)),
    "intensity": (np.float32, ()),
    "labels": (np.int16, ()),
    "labelled": (np.bool_, ()),
    "seen_offsets": (np.int64, ()),
    "seen_points": (np.int32, ()),
    "seen_cameras": (np.int8, ()),
    "seen_pixels": (np.float32, (3,)),
    "camera_offsets": (np.int64, ()),
    "camera_kinds": (np.int32, ()),
    "projections": (np.float64, (3, 4)),
    "poses": (np.float64, (4, 4)),
    "image_offsets": (np.int64, ()),
    "image_shapes": (np.int64, (2,)),
}


def pack_scans(
    scans: SegmentationDataset, target: Path, *, size: Size | None = None, progress: Progress | None = None
) -> str:
    """Write a set as one that `load_packed` reads.

    The folder takes its name only when it is complete: an interruption leaves nothing.

    Args:
        scans: any set; every frame is read and checked.
        target: a new folder.
        size: of the pictures, which are kept decoded, with their cameras resized; None: the files' own bytes are kept,
            which takes less room and more time to read.
        progress: called with (frames done, frames in all).

    Returns:
        One line that says what was written.

    Raises:
        InputError: a frame cannot be used, the folder exists, or the size is below 1 or too large.
        OSError: the disk is full.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target}: exists already; give a new folder")
    if size is not None and min(size if isinstance(size, tuple) else (size,)) < 1:
        raise InputError(f"size must be at least 1 pixel, not {size}")
    with whole_folder(target) as temporary:
        points = _write(scans, temporary, size, progress)
    room = sum(file.stat().st_size for file in target.iterdir()) / 2**20
    return f"{target}: {len(scans):,} scans of {points:,} points, {room:,.0f} MiB"


def load_packed(folder: Path) -> SegmentationDataset:
    """Read a packed set; its arrays are mapped, and read when a frame is asked for.

    Raises:
        InputError: the folder holds no packed set, or it is damaged.
    """
    try:
        index, source = _index(folder), _Packed(folder)
        if not len(index.names) == len(index.sequences) == len(source):
            raise ValueError(f"names {len(index.names)} of {len(source)} frames")
        splits = {name: np.array(members, np.int64) for name, members in index.splits.items()}
        if not all(_within(members, len(source)) for members in splits.values()):
            raise ValueError("splits name a frame that is not there")
        return SegmentationDataset(
            index.name, folder, index.names, index.sequences, splits, source.label_map, source, index.evaluator
        )
    except FileNotFoundError as error:
        raise InputError(
            f"{error.filename}: no such file; give a folder that `limbeck segmentation pack` wrote"
        ) from None
    except InputError:
        raise
    except (*HEADER_ERRORS, OSError, KeyError, AttributeError, EOFError) as error:
        raise InputError(f"{folder}: no packed set, or a damaged one ({first_line(error)}); pack it anew") from None


@dataclass(frozen=True)
class _Kind:
    """What the index says of cameras of one kind."""

    name: str
    width: int
    height: int
    nearest: float
    bounds: tuple[float, float, float, float] | None

    @property
    def camera(self) -> Camera:
        """What they share, with a projection of zeros."""
        return Camera(self.name, np.zeros((3, 4)), self.width, self.height, self.nearest, self.bounds)


@dataclass(frozen=True)
class _Index:
    """What `index.json` holds."""

    format: str
    name: str
    packed_from: str
    evaluator: Evaluator
    decoded: bool
    labels: dict[str, Any]
    cameras: tuple[_Kind, ...]
    names: tuple[str, ...]
    sequences: tuple[str, ...]
    splits: dict[str, tuple[int, ...]]


def _index(folder: Path) -> _Index:
    held = from_json(dict[str, Any], read_json(folder / INDEX))
    if held["format"] != FORMAT:
        raise InputError(f"{folder}: is of the format {held['format']!r}, not {FORMAT}; pack it anew")
    return from_json(_Index, held)


def _within(places: NDArray[np.integer], count: int) -> bool:
    return not len(places) or bool(places.min() >= 0 and places.max() < count)


class _Packed:
    """Frames of a packed set; another process opens its files anew instead of being sent what they hold."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        index = _index(folder)
        self.label_map = LabelMap.from_json(index.labels)
        self.decoded, self._digest = index.decoded, index.packed_from
        self._kinds = tuple(kind.camera for kind in index.cameras)
        self._arrays = {name: self._mapped(name) for name in _ARRAYS}
        places = {name: np.array(self._arrays[name]) for name in _ARRAYS if name.endswith("offsets")}
        self._points, self._seen = places["offsets"], places["seen_offsets"]
        self._cameras, self._bytes = places["camera_offsets"], places["image_offsets"]
        frames = len(self._points) - 1
        ends = {
            "points": self._points,
            "intensity": self._points,
            "labels": self._points,
            "seen_points": self._seen,
            "seen_cameras": self._seen,
            "seen_pixels": self._seen,
            "camera_kinds": self._cameras,
            "projections": self._cameras,
        }
        wrong = [name for name, place in ends.items() if len(self._arrays[name]) != place[-1]]
        wrong += [name for name in ("labelled", "poses") if len(self._arrays[name]) != frames]
        wrong += [name for name in ("image_shapes",) if len(self._arrays[name]) != len(self._bytes) - 1]
        wrong += [name for name, place in (("images", self._bytes),) if place[-1] != (folder / IMAGES).stat().st_size]
        wrong += [name for name, place in places.items() if place[0] != 0 or (np.diff(place) < 0).any()]
        wrong += [] if len(self._seen) == len(self._cameras) == frames + 1 else ["offsets"]
        if wrong:
            raise ValueError(f"{wrong[0]} has another length than the rest")
        if not np.isin(self._arrays["camera_kinds"], np.arange(len(self._kinds))).all():
            raise ValueError("camera_kinds names a camera that is not in the index")
        self._images = np.memmap(folder / IMAGES, np.uint8, "r") if self._bytes[-1] else np.zeros(0, np.uint8)

    def __reduce__(self) -> tuple[type[_Packed], tuple[Path]]:
        return _Packed, (self.folder,)

    def __len__(self) -> int:
        return len(self._points) - 1

    def scan(self, position: int) -> Points:
        chosen = _between(self._points, position)
        return Points(np.array(self._arrays["points"][chosen]), np.array(self._arrays["intensity"][chosen]))

    def labels(self, position: int, points: int) -> NDArray[np.int64] | None:
        del points  # the array was checked when it was opened
        if not self._arrays["labelled"][position]:
            return None
        return np.asarray(self._arrays["labels"][_between(self._points, position)].astype(np.int64))

    def cameras(self, position: int) -> tuple[Camera, ...]:
        chosen = _between(self._cameras, position)
        kinds, projections = self._arrays["camera_kinds"][chosen].tolist(), self._arrays["projections"][chosen]
        return tuple(
            replace(self._kinds[kind], projection=np.array(projection))
            for kind, projection in zip(kinds, projections, strict=True)
        )

    def images(self, position: int) -> tuple[NDArray[np.uint8], ...]:
        chosen = _between(self._cameras, position)
        return tuple(self._image(place) for place in range(chosen.start, chosen.stop))

    def encoded(self, position: int) -> tuple[bytes, ...]:
        if self.decoded:
            raise InputError(f"{self.folder}: its pictures were resized when it was packed; pack the set it came from")
        chosen = _between(self._cameras, position)
        places = [_between(self._bytes, place) for place in range(chosen.start, chosen.stop)]
        return tuple(self._images[place].tobytes() for place in places)

    def pixels(self, position: int) -> PointPixels:
        chosen, points = _between(self._seen, position), _between(self._points, position)
        count = points.stop - points.start
        place, cameras = self._arrays["seen_points"][chosen], self._arrays["seen_cameras"][chosen]
        sights = _between(self._cameras, position)
        if not (_within(place, count) and _within(cameras, sights.stop - sights.start)):
            raise InputError(f"{self.folder}: points or cameras that frame {position} has not; pack it anew")
        camera = np.full(count, -1, np.int8)
        camera[place] = cameras
        u, v, depth = (np.full(count, np.nan, np.float32) for _ in range(3))
        for column, values in enumerate((u, v, depth)):
            values[place] = self._arrays["seen_pixels"][chosen, column]
        return PointPixels(camera, u, v, depth)

    def pose(self, position: int) -> NDArray[np.float64] | None:
        found = np.array(self._arrays["poses"][position])
        return None if np.isnan(found).any() else found

    def file(self, position: int) -> Path:
        del position
        return self.folder / "points.npy"

    def files(self, position: int) -> Sequence[Path]:
        del position
        return [self.folder / INDEX]

    def settings(self) -> Sequence[Path]:
        return ()

    def digest(self) -> str:
        return self._digest

    def _image(self, place: int) -> NDArray[np.uint8]:
        held = self._images[_between(self._bytes, place)]
        height, width = self._arrays["image_shapes"][place].tolist()
        if self.decoded:
            return np.array(held).reshape(height, width, 3)
        try:
            with Image.open(io.BytesIO(held.tobytes()), formats=("JPEG", "PNG", "BMP")) as image:
                found = np.asarray(image.convert("RGB"))
        except Exception as error:  # they could be read when they were packed: whatever is wrong now is damage
            raise InputError(f"{self.folder / IMAGES}: is damaged ({first_line(error)}); pack it anew") from None
        return found

    def _mapped(self, name: str) -> NDArray[Any]:
        kind, row = _ARRAYS[name]
        check_regular(self.folder / f"{name}.npy")
        found = np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        if found.dtype != np.dtype(kind) or found.shape[1:] != row:
            raise ValueError(f"{name}.npy holds {found.dtype} {found.shape}")
        return np.asarray(found)


class _Growing:
    """An NPY file to which rows are added, of which nobody knows beforehand how many."""

    def __init__(self, file: Path, kind: DTypeLike, row: tuple[int, ...]) -> None:
        self.kind, self.row, self.count = np.dtype(kind).newbyteorder("<"), row, 0
        self.stream = file.open("wb")
        self._header()

    def add(self, rows: NDArray[Any] | Sequence[Any]) -> None:
        values = np.asarray(rows, self.kind).reshape(-1, *self.row)
        self.stream.write(np.ascontiguousarray(values).data)
        self.count += len(values)

    def close(self) -> None:
        start = self.stream.tell()
        self.stream.seek(0)
        self._header()
        assert self.stream.tell() == self.size  # NPY leaves room for the count to grow
        self.stream.seek(start)
        self.stream.flush()
        os.fsync(self.stream.fileno())
        self.stream.close()

    def _header(self) -> None:
        described = {"descr": self.kind.str, "fortran_order": False, "shape": (self.count, *self.row)}
        np.lib.format.write_array_header_1_0(self.stream, described)
        self.size = self.stream.tell()


class _Arrays:
    """All arrays of a packed set, open for writing."""

    def __init__(self, folder: Path) -> None:
        self.arrays = {name: _Growing(folder / f"{name}.npy", kind, row) for name, (kind, row) in _ARRAYS.items()}
        for name in _ARRAYS:
            if name.endswith("offsets"):
                self.add(name, [0])
        self.images = (folder / IMAGES).open("wb")

    def __enter__(self) -> _Arrays:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            for array in self.arrays.values():
                array.close()
            self.images.flush()
            os.fsync(self.images.fileno())
        for array in self.arrays.values():
            array.stream.close()
        self.images.close()

    def add(self, name: str, rows: NDArray[Any] | Sequence[Any]) -> None:
        self.arrays[name].add(rows)

    def count(self, name: str) -> int:
        return self.arrays[name].count


def _write(scans: SegmentationDataset, folder: Path, size: Size | None, progress: Progress | None) -> int:
    """Write all files; how many points there are."""
    packed_from = digest(scans)
    kinds: dict[_Kind, int] = {}
    with _Arrays(folder) as held:
        for position in range(len(scans)):
            # Decoding also checks every picture's size against its camera's.
            frame = scans.frame(position)
            pixels = scans.pixels(position, frame)
            count = len(frame.points)
            held.add("points", frame.points)
            held.add("intensity", frame.intensity)
            held.add("labels", np.full(count, IGNORED) if frame.labels is None else frame.labels)
            held.add("labelled", [frame.labels is not None])
            held.add("offsets", [held.count("points")])
            held.add("poses", np.full((4, 4), np.nan) if frame.pose is None else frame.pose)
            pictures: list[tuple[bytes, NDArray[np.uint8]]] = []
            if size is None:
                pictures = list(zip(scans.source.encoded(position), frame.images, strict=True))
                cameras = frame.cameras
            else:
                resized = [_resized(image, size) for image in frame.images]
                pictures = [(image.tobytes(), image) for image in resized]
                cameras = tuple(
                    camera.resized(image.shape[1], image.shape[0])
                    for camera, image in zip(frame.cameras, resized, strict=True)
                )
            for bytes_of_it, image in pictures:
                held.images.write(bytes_of_it)
                held.add("image_offsets", [held.images.tell()])
                held.add("image_shapes", [image.shape[:2]])
            for camera in cameras:
                kind = _Kind(camera.name, camera.width, camera.height, camera.nearest, camera.bounds)
                held.add("camera_kinds", [kinds.setdefault(kind, len(kinds))])
                held.add("projections", camera.projection)
            held.add("camera_offsets", [held.count("projections")])
            place = np.flatnonzero(pixels.visible)
            held.add("seen_points", place)
            held.add("seen_cameras", pixels.camera[place])
            held.add("seen_pixels", _moved(pixels, place, frame.cameras, cameras))
            held.add("seen_offsets", [held.count("seen_points")])
            if progress is not None:
                progress(position + 1, len(scans))
        points = held.count("points")
    index = _Index(
        FORMAT,
        scans.name,
        packed_from,
        scans.evaluator,
        size is not None,
        scans.labels.as_json(),
        tuple(kinds),
        tuple(scans.names),
        tuple(scans.sequences),
        {name: tuple(members.tolist()) for name, members in scans.splits.items()},
    )
    write_json(folder / INDEX, asdict(index))
    return points


def _resized(image: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    if isinstance(size, int):
        shorter = min(height, width)
        size = size * height // shorter, size * width // shorter
    if size[0] * size[1] > MAX_PIXELS:
        raise InputError(f"size must leave pictures of at most {MAX_PIXELS} pixels, not {size[1]} x {size[0]}")
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def _moved(
    pixels: PointPixels, place: NDArray[np.int64], before: Sequence[Camera], after: Sequence[Camera]
) -> NDArray[np.float32]:
    """(seen, 3) u, v and depth on the pictures of the cameras that were resized."""
    u, v, depth = (np.asarray(values[place], np.float64) for values in (pixels.u, pixels.v, pixels.depth))
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        if (old.width, old.height) != (new.width, new.height):
            its = pixels.camera[place] == number
            u[its] = (u[its] + 0.5) * (new.width / old.width) - 0.5
            v[its] = (v[its] + 0.5) * (new.height / old.height) - 0.5
    return np.stack([u, v, depth], axis=1).astype(np.float32)


def _between(offsets: NDArray[np.int64], position: int) -> slice:
    return slice(int(offsets[position]), int(offsets[position + 1]))
