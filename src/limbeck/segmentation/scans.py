"""Reading files of points and of labels: every way in which one can be unusable is one clear line."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.files import check_regular, first_line, is_number, read_text

SCAN_SUFFIXES = (".bin", ".npy", ".ply")
_FLOAT = np.dtype("<f4")
# Names of PLY's kinds of numbers, the newer and the older ones.
_PLY_KINDS = {
    name: np.dtype(code).newbyteorder("<")
    for code, names in {
        "i1": ("char", "int8"),
        "u1": ("uchar", "uint8"),
        "i2": ("short", "int16"),
        "u2": ("ushort", "uint16"),
        "i4": ("int", "int32"),
        "u4": ("uint", "uint32"),
        "f4": ("float", "float32"),
        "f8": ("double", "float64"),
    }.items()
    for name in names
}


class Points(NamedTuple):
    """Points of a scan.

    Attributes:
        position: (points, 3) float32 metres.
        intensity: (points,) float32, as in the file; 0 where it has none.
    """

    position: NDArray[np.float32]
    intensity: NDArray[np.float32]


def read_bytes(file: Path) -> bytes:
    """The content of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        check_regular(file)
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or error})") from None


def read_bin(file: Path, columns: int) -> Points:
    """Read little-endian float32 values x, y, z, intensity and perhaps more, point after point.

    Args:
        file: a `.bin` file without a header.
        columns: values a point, at least 4; those after the fourth are left out.

    Raises:
        InputError: the file cannot be read, or its length is no whole number of points.
    """
    held = read_bytes(file)
    size = columns * _FLOAT.itemsize
    if len(held) % size:
        raise InputError(
            f"{file}: {len(held)} bytes are no whole number of points of {columns} float32 values: the file is cut "
            "off, or its points have another number of values"
        )
    values = np.frombuffer(held, _FLOAT).reshape(-1, columns)
    return Points(np.ascontiguousarray(values[:, :3], np.float32), np.ascontiguousarray(values[:, 3], np.float32))


def read_npy(file: Path) -> Points:
    """Read an array of (points, 3) x, y, z or (points, 4) x, y, z, intensity.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    values = _array(file)
    if values.ndim != 2 or values.shape[1] not in (3, 4) or values.dtype.kind not in "fiu":
        raise InputError(
            f"{file}: must be (points, 3) or (points, 4) numbers x, y, z, intensity, not {values.dtype} {values.shape}"
        )
    found = values.astype(np.float32)
    intensity = found[:, 3] if found.shape[1] == 4 else np.zeros(len(found), np.float32)
    return Points(np.ascontiguousarray(found[:, :3]), np.ascontiguousarray(intensity))


def read_ply(file: Path) -> Points:
    """Read the element `vertex` of a PLY file, ascii or binary_little_endian.

    Its properties x, y and z are needed, `intensity` is read where it is there, others are left out. Elements behind
    the vertices are not looked at.

    Raises:
        InputError: the file cannot be read, is cut off or no such PLY.
    """
    held = read_bytes(file)
    end = held.find(b"\nend_header")
    if not held.startswith(b"ply") or end < 0:
        raise InputError(f"{file}: has no PLY header; give a PLY file, ascii or binary_little_endian")
    stop = held.find(b"\n", end + 1)
    body = held[stop + 1 :] if stop >= 0 else b""
    form, count, names, kinds = _ply_header(file, held[:end].decode("ascii", "replace").splitlines())
    if form == "ascii":
        table = _ply_ascii(file, body, count, len(names))
    else:
        # Names of their own: a file may name two properties alike.
        kind = np.dtype([(f"{place}", one) for place, one in enumerate(kinds)])
        if len(body) < count * kind.itemsize:
            raise InputError(
                f"{file}: is cut off: {len(body)} bytes of points, but {count} points need {count * kind.itemsize}"
            )
        rows = np.frombuffer(body, kind, count)
        wanted = [names.index(name) for name in ("x", "y", "z", "intensity") if name in names]
        table = np.zeros((count, len(names)), np.float64)
        for place in wanted:
            table[:, place] = rows[f"{place}"]
    position = table[:, [names.index(name) for name in "xyz"]].astype(np.float32)
    has = "intensity" in names
    intensity = table[:, names.index("intensity")].astype(np.float32) if has else np.zeros(count, np.float32)
    return Points(position, intensity)


def read_labels(file: Path, points: int, kind: str = "<u4") -> NDArray[Any]:
    """Read one whole number a point.

    Args:
        file: an `.npy` array of (points,), or numbers without a header.
        points: of the scan.
        kind: of the numbers in a file without a header, NumPy's code.

    Raises:
        InputError: the file cannot be read, or holds more or fewer numbers.
    """
    if file.suffix == ".npy":
        found = _array(file)
        if found.ndim != 1 or found.dtype.kind not in "iu":
            raise InputError(f"{file}: must be (points,) whole numbers, not {found.dtype} {found.shape}")
    else:
        held, size = read_bytes(file), np.dtype(kind).itemsize
        if len(held) % size:
            raise InputError(
                f"{file}: {len(held)} bytes are no whole number of labels of {size} bytes: the file is cut off"
            )
        found = np.frombuffer(held, kind)
    if len(found) != points:
        raise InputError(f"{file}: holds {len(found)} labels, but its scan has {points} points; give the scan's own")
    return found


def refuse_unusable(points: Points, file: Path) -> Points:
    """The points, if there is one and all their numbers are finite.

    Raises:
        InputError: they are not; nothing is dropped, as labels belong to the points by their order.
    """
    if not len(points.position):
        raise InputError(f"{file}: the scan is empty; leave it out")
    for name, values in (("position", points.position), ("intensity", points.intensity)):
        wrong = ~np.isfinite(values)
        if wrong.any():
            lost = wrong.reshape(len(values), -1).any(axis=1)
            more = f" (and {int(lost.sum()) - 1} more)" if lost.sum() > 1 else ""
            raise InputError(
                f"{file}: the {name} of point {int(np.argmax(lost))}{more} is NaN or infinite; take such points out, "
                "with their labels"
            )
    return points


def read_poses(file: Path) -> NDArray[np.float64]:
    """(poses, 4, 4) of a file with 12 numbers a line, the first three rows of each.

    Raises:
        InputError: the file cannot be read, or a line is another.
    """
    lines = [line for line in read_text(file).splitlines() if line.strip()]
    poses = np.zeros((len(lines), 4, 4))
    poses[:, 3, 3] = 1
    for number, line in enumerate(lines):
        poses[number, :3] = matrix_of(line, f"{file}: line {number + 1}")
    return poses


def matrix_of(text: str, where: str) -> NDArray[np.float64]:
    """(3, 4) of 12 numbers, row after row.

    Raises:
        InputError: there are others.
    """
    try:
        found = np.array([float(word) for word in text.split()])
    except ValueError:
        raise InputError(f"{where} must be 12 numbers, not {text.strip()!r}") from None
    if len(found) != 12 or not np.isfinite(found).all():
        raise InputError(f"{where} must be 12 finite numbers, not {len(found)}")
    return found.reshape(3, 4)


def _array(file: Path) -> NDArray[Any]:
    try:
        return np.asarray(np.lib.format.read_array(io.BytesIO(read_bytes(file)), allow_pickle=False))
    except InputError:
        raise
    except Exception as error:  # a damaged header raises almost anything
        raise InputError(f"{file}: not an NPY file of plain numbers, or damaged ({first_line(error)})") from None


def _ply_header(file: Path, lines: Sequence[str]) -> tuple[str, int, list[str], list[np.dtype[Any]]]:
    """Format, number of vertices, and the names and kinds of their properties."""
    form, count, element = "", -1, ""
    names: list[str] = []
    kinds: list[np.dtype[Any]] = []
    for line in lines:
        words = line.split()
        if words[:1] == ["format"]:
            form = words[1] if len(words) > 1 else ""
        elif words[:1] == ["element"]:
            if len(words) != 3 or not is_number(words[2]):
                raise InputError(f"{file}: the header's line {line!r} must be like 'element vertex 100'")
            if words[1] != "vertex" and count < 0:
                raise InputError(f"{file}: the element {words[1]} stands before the vertices; write those first")
            element = words[1]
            count = int(words[2]) if element == "vertex" else count
        elif words[:1] == ["property"] and element == "vertex":
            if len(words) != 3 or words[1] not in _PLY_KINDS:
                raise InputError(f"{file}: the vertices' property {line!r} is no single number")
            names.append(words[2])
            kinds.append(_PLY_KINDS[words[1]])
    if form not in ("ascii", "binary_little_endian"):
        raise InputError(f"{file}: is of the format {form!r}; write it as ascii or binary_little_endian")
    if not {"x", "y", "z"} <= set(names):
        raise InputError(
            f"{file}: its vertices need the properties x, y and z; there are: {', '.join(names) or 'none'}"
        )
    return form, count, names, kinds


def _ply_ascii(file: Path, body: bytes, count: int, width: int) -> NDArray[np.float64]:
    lines = body.decode("ascii", "replace").splitlines()[:count]
    rows = [line.split() for line in lines]
    if len(rows) < count or any(len(row) != width for row in rows):
        raise InputError(f"{file}: is cut off or damaged: it must have {count} lines of {width} numbers")
    try:
        return np.array(rows, np.float64).reshape(count, width)
    except ValueError as error:
        raise InputError(f"{file}: holds a word that is no number ({first_line(error)})") from None
