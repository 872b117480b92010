"""Decoded pictures on disk: decode and resize once, then read rows of one memory-mapped array.

A cache is one file of bytes and `cache.json`, which names it and says what it was made from. The first is complete
before the second is written, and each takes its place by a rename, so that an interruption at any moment leaves the old
cache or the new one. It is rebuilt when a picture was changed, added or removed, or another size is asked for.

Its rows follow the sorted paths, whatever the order in which they are asked for: the folds of a set share one cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.files import read_json, write_json
from limbeck.images.decoding import Radiometric, try_image
from limbeck.records import from_json
from limbeck.reporting.progress import Progress
from limbeck.temporaries import remove_leftovers, temporary_file

# Anything that changes what a cache holds must change this.
FORMAT = 2
INDEX = "cache.json"
# Pictures decoded between two reports of progress; what is held in memory.
_BATCH = 256
Size: TypeAlias = tuple[int, int] | int  # height and width, or the shorter side
_TEMPORARY = "images-"


@dataclass(frozen=True, eq=False)
class DecodedImages:
    """Decoded pictures.

    Attributes:
        images: (readable pictures, height, width, 3) uint8 RGB, memory-mapped and read-only.
        rows: row of each path that was asked for; -1 for the corrupt ones that were skipped.
        corrupt: one line for each that was skipped.
        built: whether this call decoded them; False where the cache served.
    """

    images: NDArray[np.uint8]
    rows: NDArray[np.int64]
    corrupt: tuple[str, ...]
    built: bool


class RaggedImages:
    """Pictures of different sizes behind one another in one memory-mapped file.

    Args:
        values: (bytes,) uint8.
        shapes: (pictures, 2) height and width of each.

    Raises:
        ValueError: there are more or fewer bytes than the shapes say.
    """

    def __init__(self, values: NDArray[np.uint8], shapes: NDArray[np.int64]) -> None:
        self.ends = np.cumsum(3 * shapes.prod(axis=1))
        if len(values) != (self.ends[-1] if len(shapes) else 0):
            raise ValueError(f"{len(values)} bytes do not fit the shapes")
        self.values, self.shapes = values, shapes

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, row: int) -> NDArray[np.uint8]:
        """(height, width, 3) of one picture."""
        height, width = self.shapes[row].tolist()
        end = int(self.ends[row])
        return self.values[end - 3 * height * width : end].reshape(height, width, 3)


@dataclass(frozen=True, eq=False)
class DecodedPhotographs:
    """Decoded pictures that kept their shape; see `DecodedImages` for the rest.

    Attributes:
        images: of the readable pictures.
        rows: row of each path that was asked for; -1 for the corrupt ones that were skipped.
        corrupt: one line for each that was skipped.
        built: whether this call decoded them.
    """

    images: RaggedImages
    rows: NDArray[np.int64]
    corrupt: tuple[str, ...]
    built: bool


def decoded_photographs(
    root: Path,
    paths: Sequence[str],
    folder: Path,
    *,
    side: int,
    skip_corrupt: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> DecodedPhotographs:
    """Pictures whose shorter side has `side` pixels, from the cache in `folder`; all else is as of `decoded_images`."""
    held, rows, built = _decoded(root, paths, folder, side, skip_corrupt, None, workers, progress)
    assert isinstance(held.images, RaggedImages)
    return DecodedPhotographs(held.images, rows, held.corrupt, built)


def decoded_images(
    root: Path,
    paths: Sequence[str],
    folder: Path,
    *,
    size: tuple[int, int] = (288, 144),
    skip_corrupt: bool = False,
    radiometric: Radiometric | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> DecodedImages:
    """Pictures from the cache in `folder`, which is built first where it is not there or stale.

    Args:
        root: the folder that paths are relative to.
        paths: of the pictures, in any order; the cache is the same.
        folder: where the cache lies or is to lie; one cache per folder.
        size: (height, width) in pixels.
        skip_corrupt: leave unreadable pictures out, and list them, instead of refusing.
        radiometric: see `limbeck.images.decoding.read_image`.
        workers: threads that decode; default: all cores.
        progress: called with (pictures done, pictures in all) while building.

    Raises:
        InputError: a picture is missing, or some cannot be read and `skip_corrupt` is off; or there is none to keep.
        OSError: the disk is full or the folder cannot be written; an older cache is untouched.
    """
    held, rows, built = _decoded(root, paths, folder, size, skip_corrupt, radiometric, workers, progress)
    assert not isinstance(held.images, RaggedImages)
    return DecodedImages(held.images, rows, held.corrupt, built)


def _decoded(
    root: Path,
    paths: Sequence[str],
    folder: Path,
    size: Size,
    skip_corrupt: bool,
    radiometric: Radiometric | None,
    workers: int | None,
    progress: Progress | None,
) -> tuple[_Held, NDArray[np.int64], bool]:
    """The cache, the row of each path in it, and whether it was built."""
    if not paths:
        raise InputError(f"{root}: there are no pictures to decode")
    names = sorted(set(paths))
    fingerprint = _fingerprint(root, names, [FORMAT, size, skip_corrupt, radiometric])
    remove_leftovers(folder, _TEMPORARY)
    cached = _open(folder, fingerprint, len(names))
    held = cached or _build(root, names, folder, fingerprint, size, skip_corrupt, radiometric, workers, progress)
    place = {name: position for position, name in enumerate(names)}
    return held, held.rows[[place[path] for path in paths]], cached is None


class _Held(NamedTuple):
    """The pictures, the row of each of the sorted paths, and a line for each picture that it lacks."""

    images: NDArray[np.uint8] | RaggedImages
    rows: NDArray[np.int64]
    corrupt: tuple[str, ...]


def _build(
    root: Path,
    names: Sequence[str],
    folder: Path,
    fingerprint: str,
    size: Size,
    skip_corrupt: bool,
    radiometric: Radiometric | None,
    workers: int | None,
    progress: Progress | None,
) -> _Held:
    """Decode all pictures into a new cache, which takes the place of another."""
    folder.mkdir(parents=True, exist_ok=True)
    with temporary_file(folder, _TEMPORARY) as (descriptor, temporary):
        os.close(descriptor)
        readable, shapes, corrupt = _decode(root, names, temporary, size, skip_corrupt, radiometric, workers, progress)
        target = folder / f"images-{fingerprint[:16]}.bin"
        temporary.replace(target)
    index: dict[str, Any] = {
        "fingerprint": fingerprint,
        "file": target.name,
        "size": size,
        "kept": readable.tolist(),
        "corrupt": corrupt,
    }
    if not isinstance(size, tuple):
        index["shapes"] = shapes.tolist()
    write_json(folder / INDEX, index)
    _remove(folder, keep=target.name)
    return _Held(_map(target, size, shapes), _rows(readable, len(names)), corrupt)


def _fingerprint(root: Path, paths: Sequence[str], settings: Sequence[Any]) -> str:
    """A digest of everything that decides the array: sizes and times of the files stand for their bytes."""
    digest = hashlib.sha256(json.dumps(settings).encode())
    for path in paths:
        try:
            status = (root / path).stat()
        except OSError as error:
            raise InputError(f"{root / path}: {error.strerror}") from None
        digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _open(folder: Path, fingerprint: str, pictures: int) -> _Held | None:
    """The cache, if it is the one that is asked for and whole."""
    try:
        index = read_json(folder / INDEX)
        if index["fingerprint"] != fingerprint:
            return None
        readable = np.array(from_json(list[int], index["kept"]), np.int64)
        ragged = isinstance(index["size"], int)
        size: Size = from_json(int, index["size"]) if ragged else from_json(tuple[int, int], index["size"])
        height, width = (0, 0) if isinstance(size, int) else size
        sides = from_json(list[tuple[int, int]], index["shapes"]) if ragged else [(height, width)] * len(readable)
        shapes = np.array(sides, np.int64).reshape(-1, 2)
        # A name with a folder in it would read elsewhere.
        images = _map(folder / Path(index["file"]).name, size, shapes)
        return _Held(images, _rows(readable, pictures), from_json(tuple[str, ...], index["corrupt"]))
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None  # absent or damaged: it is built anew


def _rows(readable: NDArray[np.int64], pictures: int) -> NDArray[np.int64]:
    """The row of each picture, given those of the rows; -1: none."""
    rows = np.full(pictures, -1)
    rows[readable] = np.arange(len(readable))
    return rows


def _decode(
    root: Path,
    paths: Sequence[str],
    target: Path,
    size: Size,
    skip_corrupt: bool,
    radiometric: Radiometric | None,
    workers: int | None,
    progress: Progress | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[str, ...]]:
    """Write all readable pictures to `target`; their positions, heights and widths, and a line for each other one."""

    def read(path: str) -> NDArray[np.uint8] | str:
        return try_image(root / path, size, radiometric=radiometric)

    readable: list[int] = []
    shapes: list[tuple[int, int]] = []
    corrupt: list[str] = []
    with target.open("wb") as stream, ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(paths), _BATCH):
            batch = paths[start : start + _BATCH]
            for position, picture in enumerate(pool.map(read, batch), start=start):
                if isinstance(picture, str):
                    corrupt.append(picture)
                else:
                    readable.append(position)
                    shapes.append((picture.shape[0], picture.shape[1]))
                    stream.write(picture.tobytes())
            if progress is not None:
                progress(start + len(batch), len(paths))
        stream.flush()
        os.fsync(stream.fileno())
    if corrupt and not skip_corrupt:
        more = f" (and {len(corrupt) - 1} more)" if len(corrupt) > 1 else ""
        raise InputError(f"{corrupt[0]}{more}: {len(corrupt)} of {len(paths)} pictures; mend them, or skip them")
    if not readable:
        raise InputError(f"{root}: none of the {len(paths)} pictures can be read (first: {corrupt[0]})")
    return np.array(readable, np.int64), np.array(shapes, np.int64), tuple(corrupt)


def _map(file: Path, size: Size, shapes: NDArray[np.int64]) -> NDArray[np.uint8] | RaggedImages:
    """The pictures of a file: one array, or pictures of the shapes.

    Raises:
        ValueError: the file has another size.
    """
    shape = (len(shapes), *size, 3) if isinstance(size, tuple) else (int(3 * shapes.prod(axis=1).sum()),)
    if file.stat().st_size != math.prod(shape):
        raise ValueError(f"{file}: is not whole")
    values = np.memmap(file, np.uint8, "r", shape=shape)
    return values if isinstance(size, tuple) else RaggedImages(values, shapes)


def _remove(folder: Path, *, keep: str | None) -> None:
    """Delete arrays that nothing names any more."""
    for file in folder.glob("images-*.bin"):
        with contextlib.suppress(OSError):  # another process may still map it, or have been quicker
            if file.name != keep:
                file.unlink()
