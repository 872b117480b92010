"""Named arrays out of the files that people keep them in: NPZ, NPY, CSV, MATLAB, PyTorch; nothing is unpickled."""

from __future__ import annotations

import math
import os
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import io, sparse
from torch import Tensor

from limbeck.csvfiles import open_csv
from limbeck.errors import InputError
from limbeck.files import HEADER_ERRORS, Arrays, check_unfolded, file_kind, first_line
from limbeck.matfiles import check_matlab

ALONE = "array"
"""What the array of a file is called that holds one without a name: an NPY, a tensor."""
ENDINGS = (".npz", ".npy", ".csv", ".tsv", ".mat", ".pt", ".pth", ".tar")

_NUMBERED = re.compile(r"(.*?)[_\s]?(\d+)")


def read_array_file(path: str | os.PathLike[str]) -> Mapping[str, NDArray[Any]]:
    """Read the arrays of a file by name; what the file holds, not its ending, says how.

    * NPZ: its arrays, each read when it is asked for. NPY: one, called `array`.
    * CSV in UTF-8 with a header (`,`, `;` or tab): a column is an array of whole numbers, of numbers or of strings;
      columns `e0`, `e1`, ... (or `e_1`, ...; or `0`, `1`, ..., called `feature`) are one matrix `e`. A column without a
      name, such as the index that pandas writes, is left out. The quote of `limbeck.csvfiles.guarded` is not read.
    * MATLAB up to v7: numbers, strings, cells of strings or of single numbers; fields of a struct as `struct_field`.
    * PyTorch: what `torch.load(weights_only=True)` reads, and NumPy arrays of numbers and strings: a tensor is called
      `array`; the entries of dicts and lists in one another are called `outer_inner`, those of a list by their place
      from 0; a list of numbers or of strings is one array.

    What a file unfolds to is bounded by `limbeck.files.check_unfolded`.

    Raises:
        InputError: there is no such file, it is damaged, of another kind, or would have to be unpickled.
    """
    file = Path(path)
    kind = file_kind(file)
    if kind == "NPZ":
        return Arrays(file)
    if kind == "NPY":
        return {ALONE: _read_npy(file)}
    if kind == "PyTorch":
        return _named(_read_torch(file), file)
    if kind == "MATLAB" or (kind in ("unknown", "HDF5") and file.suffix == ".mat"):  # v4 begins with nothing of its own
        return _read_matlab(file)
    if kind == "text":
        return _read_csv(file)
    told = {"unknown": "of a kind that is not known here", "empty": "empty"}.get(kind, f"a {kind} file")
    raise InputError(f"{file}: is {told}; give an NPZ, NPY, CSV, MATLAB (.mat) or PyTorch (.pt) file with named arrays")


def _read_npy(path: Path) -> NDArray[Any]:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except MemoryError:
        raise InputError(f"{path}: too large for this machine's memory, or its header is damaged") from None
    except (*HEADER_ERRORS, EOFError, OSError) as error:
        if "allow_pickle" in str(error):
            raise InputError(
                f"{path}: holds pickled objects, which are never read; save it as numbers or strings"
            ) from None
        raise InputError(f"{path}: a damaged or cut-off NPY file ({first_line(error)}); fetch it again") from None


# -- PyTorch ----------------------------------------------------------------------------------------------------------


class _Kind:
    """Stands in for a pickled NumPy dtype: numbers and strings only, and none of NumPy's code is run to make it."""

    def __init__(self, code: str, *_: object) -> None:
        if not re.fullmatch(r"[biuf][1248]|U\d{1,6}|S\d{1,6}", code):
            raise ValueError(f"NumPy's {code!r} is neither numbers nor strings")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1]
        self.dtype = self.dtype.newbyteorder(order) if order in ("<", ">") else self.dtype


class _Array:
    """Stands in for a pickled NumPy array: its bytes, a shape and a `_Kind`."""

    values: NDArray[Any]

    def __init__(self, *_: object) -> None:
        self.values = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, raw = state
        if not isinstance(kind, _Kind) or not isinstance(raw, bytes):
            raise TypeError("an array of objects")
        self.values = np.frombuffer(raw, kind.dtype).reshape(shape, order="F" if fortran else "C")


class _Scalar:
    """Stands in for a pickled NumPy number."""

    def __init__(self, kind: _Kind, raw: bytes) -> None:
        self.values = np.frombuffer(raw, kind.dtype).reshape(())


def _array(*_: object) -> _Array:
    return _Array()


_STAND_INS: list[Any] = [
    (_Array, "numpy.ndarray"),
    (_Kind, "numpy.dtype"),
    *((_array, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    *((_Scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]


def _read_torch(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(_STAND_INS), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    check_unfolded(sum(info.file_size for info in archive.infolist()), path)
            return torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{path}: too large for this machine's memory, or damaged") from None
    except Exception as error:  # a damaged file raises almost anything
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        if wanted is None and "an array of objects" not in str(error):
            raise InputError(
                f"{path}: a damaged PyTorch file, or one that only unpickling reads ({_short(error)}); save tensors "
                "with torch.save({'feature': ..., 'identity': ...}, FILE)"
            ) from None
        held = wanted[1] if wanted else "arrays of objects"
        raise InputError(
            f"{path}: holds {held}, and nothing is unpickled here; save tensors, numbers and strings with "
            "torch.save({'feature': ..., 'identity': ...}, FILE)"
        ) from None


def _short(error: Exception) -> str:
    """The cause that torch names behind its advice, or what it says first."""
    text = str(error).rpartition("WeightsUnpickler error:")[2].strip() or type(error).__name__
    return text.splitlines()[0][:120]


def _named(value: Any, path: Path) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    for name, array in _entries(value, "", path):
        found[name] = array
        # A tensor may say that it repeats one number a million times.
        check_unfolded(sum(held.nbytes for held in found.values()), path)
    if not found:
        raise InputError(f"{path}: holds no array; save tensors with torch.save({{'feature': ..., ...}}, FILE)")
    return found


def _entries(value: Any, name: str, path: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays in what torch read, by name; what is no array and holds none is passed over."""
    inner = name + "_" if name else ""
    if isinstance(value, Tensor):
        if value.layout == torch.strided and not value.is_complex():
            held = value.detach()
            yield name or ALONE, (held.float() if held.dtype == torch.bfloat16 else held).numpy()
    elif isinstance(value, _Array | _Scalar):
        yield name or ALONE, value.values
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _entries(one, f"{inner}{key}", path)
    elif isinstance(value, list | tuple):
        plain = [one.values.item() if isinstance(one, _Scalar) else one for one in value]
        if plain and all(isinstance(one, str) for one in plain):
            yield name or ALONE, _words(plain, path)
        elif plain and all(isinstance(one, int | float) and abs(one) < 2**63 for one in plain):
            yield name or ALONE, np.array(plain)
        else:
            for place, one in enumerate(value):
                yield from _entries(one, f"{inner}{place}", path)


# -- MATLAB -----------------------------------------------------------------------------------------------------------


def read_matlab(path: Path) -> dict[str, Any]:
    """The variables of a MATLAB file as scipy gives them: matrices, sparse ones, structs and cells; none is unpickled.

    Raises:
        InputError: it cannot be read, is of MATLAB v7.3, damaged, or unfolds to more than `check_unfolded` lets pass.
    """
    if file_kind(path) == "HDF5":
        raise InputError(
            f"{path}: a MATLAB v7.3 (HDF5) file, which is not read here; save it in MATLAB with save(..., '-v7')"
        )
    try:
        check_matlab(path, lambda unfolded: check_unfolded(unfolded, path))
        content = io.loadmat(path, struct_as_record=True)
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{path}: too large for this machine's memory, or damaged") from None
    except Exception as error:  # on damaged files scipy lets through whatever its reader stumbled over
        raise InputError(
            f"{path}: not a MATLAB file, or a damaged or cut-off one ({first_line(error)}); fetch it again"
        ) from None
    for key, value in content.items():
        if sparse.issparse(value):
            _check_places(value, f"{path}: {key}")
    return {key: value for key, value in content.items() if not key.startswith("__")}


def _check_places(matrix: Any, told: str) -> None:
    """Refuse a sparse matrix whose numbers would lie beside it: scipy takes the file's places on trust."""
    try:
        if hasattr(matrix, "check_format"):
            matrix.check_format(full_check=True)
    except ValueError as error:
        raise InputError(f"{told}: a damaged sparse matrix ({first_line(error)}); fetch it again") from None


def dense(matrix: Any, path: Path) -> NDArray[Any]:
    """A sparse matrix of a file as an array.

    Raises:
        InputError: it would be larger than `check_unfolded` lets pass.
    """
    check_unfolded(math.prod(matrix.shape) * matrix.dtype.itemsize, path)
    _check_places(matrix, str(path))
    return np.asarray(matrix.toarray())


def _read_matlab(path: Path) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    for key, value in read_matlab(path).items():
        arrays |= _matlab_arrays(key, value, path)
    return arrays


def _matlab_arrays(name: str, value: Any, path: Path) -> dict[str, NDArray[Any]]:
    if sparse.issparse(value):
        return {name: dense(value, path)}
    if value.dtype.names:
        if value.size != 1:
            return {}
        fields = value.reshape(-1)[0]
        found: dict[str, NDArray[Any]] = {}
        for field in value.dtype.names:
            found |= _matlab_arrays(f"{name}_{field}", np.asarray(fields[field]), path)
        return found
    if value.dtype == object:
        cells = [np.asarray(cell).reshape(-1) for cell in value.reshape(-1)]
        if not cells or any(cell.size != 1 or cell.dtype.kind not in "iufbU" for cell in cells):
            return {}
        plain = [cell[0] for cell in cells]
        words = all(isinstance(one, str) for one in plain)
        value = (_words(plain, path) if words else np.array(plain)).reshape(value.shape)
    # Rows of a matrix of characters are padded with blanks.
    return {name: np.char.rstrip(value) if value.dtype.kind == "U" else value}


# -- CSV --------------------------------------------------------------------------------------------------------------


def _read_csv(path: Path) -> dict[str, NDArray[Any]]:
    with open_csv(path) as table:
        header = table.header
        families = _families(header)
        inside = {place for places in families.values() for place in places}
        single = [place for place, name in enumerate(header) if name and place not in inside]
        names = [header[place] for place in single] + list(families)
        twice = [name for name, times in Counter(names).items() if times > 1]
        if twice:
            raise InputError(f"{path}: the column {twice[0]!r} stands twice in the header")
        cells: list[list[str]] = [[] for _ in single]
        rows = 0
        for _, row in table.rows:
            rows += 1
            for column, place in zip(cells, single, strict=True):
                column.append(row[place].strip())
    if not rows:
        raise InputError(f"{path}: no rows; a header and one line an item are needed")
    arrays = {header[place]: _column(column, path) for place, column in zip(single, cells, strict=True)}
    for name, places in families.items():
        try:
            arrays[name] = np.loadtxt(
                path,
                dtype=np.float64,
                delimiter=table.delimiter,
                skiprows=1,
                usecols=places,
                ndmin=2,
                encoding="utf-8-sig",
                comments=None,
                quotechar='"',
            )
        except (ValueError, OSError) as error:
            raise InputError(
                f"{path}: columns {header[places[0]]!r} to {header[places[-1]]!r} must be numbers ({first_line(error)})"
            ) from None
    return arrays


def _families(header: list[str]) -> dict[str, list[int]]:
    """Name of a matrix -> its columns in order: names that differ in a number, from 0 or 1 without gaps."""
    found: dict[str, dict[int, int]] = {}
    for place, name in enumerate(header):
        match = _NUMBERED.fullmatch(name)
        if match:
            found.setdefault(match[1], {})[int(match[2])] = place
    whole = {}
    for stem, members in found.items():
        numbers = sorted(members)
        if len(numbers) > 1 and numbers[0] in (0, 1) and numbers[-1] - numbers[0] == len(numbers) - 1:
            whole[stem or "feature"] = [members[number] for number in numbers]
    return whole


def _column(cells: list[str], path: Path) -> NDArray[Any]:
    """Whole numbers, numbers or strings, whichever the cells all are.

    `007` is a string, as other such files say 7; so are whole numbers beyond 18 digits, which no number here can hold.
    """
    words = _words(cells, path)
    for kind in (np.int64, np.float64):
        if kind is np.int64 and not all(re.fullmatch(r"-?(0|[1-9]\d{0,17})", cell) for cell in cells):
            continue
        if kind is np.float64 and any(re.fullmatch(r"-?(0\d+|\d{19,})", cell) for cell in cells):
            continue
        try:
            return words.astype(kind)
        except ValueError:
            continue
    return words


def _words(words: list[str], path: Path) -> NDArray[Any]:
    """Strings as an array, in which each takes the room of the longest."""
    check_unfolded(4 * len(words) * max(map(len, words)), path)
    return np.array(words)
