"""Making a set of this library's form from the .mat, .npz and .csv files that the field passes round."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import io, sparse

from limbeck.errors import InputError
from limbeck.files import read_arrays
from limbeck.multiview.data import MultiViewData, assemble, save, stratified_folds

# The names in use, most telling first; compared without case.
VIEW_KEYS = ("X", "fea", "feas", "features", "data", "views", "view", "x_all", "feature")
LABEL_KEYS = (
    "Y",
    "gt",
    "gnd",
    "label",
    "labels",
    "truth",
    "truelabel",
    "target",
    "targets",
    "class",
    "y_true",
    "gt_label",
)

_HDF5 = b"\x89HDF\r\n\x1a\n"
_NUMBERED = re.compile(r"([a-z]+)_?(\d+)", re.IGNORECASE)


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    views_key: str | Sequence[str] | None = None,
    labels_key: str | None = None,
    view_names: Sequence[str] | None = None,
    name: str | None = None,
    folds: int = 5,
    seed: int = 0,
) -> MultiViewData:
    """Read views and labels from `source`, write them to `target` as an NPZ that `load` reads, and return them.

    * .mat (up to v7): a cell array of views (X, fea, data, ...) or numbered matrices (X1, X2, ...), and labels (Y, gt,
      gnd, label, ...). A view is turned so that its rows are the samples, by the number of labels.
    * .npz: `view_0`, `view_1`, ... or X1, X2, ... or one X, and labels as above. Stored folds are kept.
    * .csv: a header; the labels in a column `label` (or `y`, `class`, `target`), every other column named
      `view:feature` or `view.feature`. Empty cells throughout a view's columns mark a sample that lacks the view.

    Labels of any kind become 0 to classes - 1 in ascending order of their values, which `class_names` keeps.

    Args:
        source: the file to read; its ending tells the kind.
        target: the NPZ to write.
        views_key: the name of the array that holds the views, or the names of several, one a view (.mat, .npz).
        labels_key: the name of the array or column that holds the labels.
        view_names: one per view; taken from the file where absent.
        name: of the set; the stem of `source` where absent.
        folds: how many stratified folds to draw, where the file stores none.
        seed: of these folds.

    Raises:
        InputError: the file cannot be read, or what it holds cannot be told or does not fit; one line says what to do.
        OSError: `target` cannot be written; what stood there is untouched.
    """
    path = Path(source)
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a .mat, .npz or .csv file")
    kind = path.suffix.lower()
    stored: Any = None
    class_names: tuple[str, ...] | None = None
    views: dict[str, Any]
    if kind == ".csv":
        if views_key is not None:
            raise InputError("views_key is for .mat and .npz files; in a .csv the columns are named view:feature")
        views, values = _read_csv(path, labels_key)
    elif kind in {".mat", ".npz"}:
        arrays = _read_mat(path) if kind == ".mat" else read_arrays(path)
        labels_name = _labels_name(arrays, labels_key, path)
        values = _label_values(arrays[labels_name], f"{path}: {labels_name!r}")
        views = _find_views(arrays, views_key, labels_name, path)
        views = _orient(views, len(values), path)
        if kind == ".npz":
            stored = arrays.get("splits")
            class_names = _stored_names(arrays, "class_names")
            if view_names is None and (names := _stored_names(arrays, "view_names")) and len(names) == len(views):
                view_names = names
    else:
        raise InputError(f"{path}: the ending {path.suffix!r} tells no known kind; give a .mat, .npz or .csv file")
    if view_names is not None:
        if len(view_names) != len(views) or len(set(view_names)) != len(views):
            raise InputError(f"{path}: {len(views)} views ({', '.join(views)}) need as many different view_names")
        views = dict(zip(view_names, views.values(), strict=True))

    labels, found_names = _map_labels(values, path)
    if class_names is None or len(class_names) != len(found_names) or values.dtype.kind not in "iu":
        class_names = found_names
    if stored is None and len(found_names) > 1:
        try:
            stored = stratified_folds(values, folds, seed=seed)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
    data = assemble(name or path.stem, views, labels, class_names=class_names, folds=stored, origin=str(path))
    save(data, target)
    return data


def _read_mat(path: Path) -> dict[str, NDArray[Any]]:
    """The variables of a MATLAB file, as numbers, strings, structs and cells; scipy unpickles nothing for them."""
    try:
        with path.open("rb") as stream:
            head = stream.read(520)
        if head.startswith(_HDF5) or head[512:] == _HDF5 or head.startswith(b"MATLAB 7.3"):
            raise InputError(
                f"{path}: a MATLAB v7.3 (HDF5) file, which is not read here; save it in MATLAB with save(..., '-v7')"
            )
        content = io.loadmat(path, struct_as_record=True)
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"{path}: too large for this machine's memory, or damaged") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # on damaged files scipy lets through whatever its reader stumbled over
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{path}: not a MATLAB file, or a damaged or cut-off one ({reason})") from error
    return {key: value for key, value in content.items() if not key.startswith("__")}


def _labels_name(arrays: Mapping[str, Any], wanted: str | None, path: Path) -> str:
    if wanted is not None:
        if wanted not in arrays:
            raise InputError(f"{path}: there is no {wanted!r}; --labels_key may be one of {', '.join(arrays)}")
        return wanted
    lower = {key.lower(): key for key in arrays}
    for key in LABEL_KEYS:
        if key.lower() in lower:
            return lower[key.lower()]
    raise InputError(f"{path}: no labels found among {', '.join(arrays)}; name them with --labels_key")


def _label_values(array: Any, where: str) -> NDArray[Any]:
    """One label a sample, as numbers or strings, from a row, a column or a cell array."""
    values = np.asarray(array.toarray() if sparse.issparse(array) else array)
    if values.dtype == object:
        cells = [np.asarray(cell).reshape(-1) for cell in values.reshape(-1)]
        if any(cell.size != 1 or cell.dtype.kind not in "iufUb" for cell in cells):
            raise InputError(f"{where} does not hold one number or string per sample; choose another with --labels_key")
        values = np.array([cell[0] for cell in cells])
    values = values.squeeze() if values.ndim > 1 else values
    if values.ndim != 1 or not len(values):
        shape = np.shape(array)
        raise InputError(f"{where} has shape {shape}; labels must be one row or column, a number or string per sample")
    if values.dtype.kind not in "iufUb":
        raise InputError(f"{where} is {values.dtype}; labels must be numbers or strings")
    return values


def _map_labels(values: NDArray[Any], path: Path) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise InputError(
                f"{path}: label {int(np.argmin(np.isfinite(values)))} is NaN or infinite; drop that sample"
            )
        with np.errstate(invalid="ignore"):
            whole = values.astype(np.int64)
        if (whole == values).all():
            values = whole
    if values.dtype.kind == "U":
        values = np.char.strip(values)
    names, codes = np.unique(values, return_inverse=True)
    return codes.astype(np.int64), tuple(str(value) for value in names)


def _find_views(
    arrays: Mapping[str, Any], wanted: str | Sequence[str] | None, labels: str, path: Path
) -> dict[str, Any]:
    """The views among the arrays: as asked for, or else a cell array, numbered matrices, or one matrix X."""
    if wanted is not None:
        keys = [wanted] if isinstance(wanted, str) else list(wanted)
        for key in keys:
            if key not in arrays:
                raise InputError(f"{path}: there is no {key!r}; views_key may be among {', '.join(arrays)}")
        if len(keys) == 1:
            return _cells(arrays[keys[0]]) or {keys[0]: _plain(arrays[keys[0]], keys[0], path)}
        return {key: _plain(arrays[key], key, path) for key in keys}

    rest = {key: value for key, value in arrays.items() if key != labels}
    cells = {key: views for key, value in rest.items() if (views := _cells(value))}
    if chosen := _preferred(cells):
        return cells[chosen]
    if len(cells) == 1:
        return next(iter(cells.values()))
    if len(cells) > 1:
        raise InputError(f"{path}: several cell arrays could be the views, {', '.join(cells)}; choose with views_key")

    families: dict[str, dict[int, str]] = {}
    for key, value in rest.items():
        stem, part = key.removesuffix("_data"), key.endswith("_data")
        match = _NUMBERED.fullmatch(stem)
        if match and (part or _is_matrix(value)):
            families.setdefault(match[1].lower(), {})[int(match[2])] = stem
    if families:
        family = _preferred(families) or (next(iter(families)) if len(families) == 1 else None)
        if family is None:
            raise InputError(f"{path}: several families of arrays could be the views; choose with views_key")
        members = [families[family][number] for number in sorted(families[family])]
        return {member: _numbered(arrays, member, path) for member in members}

    matrices = {key: value for key, value in rest.items() if _is_matrix(value)}
    if chosen := _preferred(matrices):
        return {chosen: matrices[chosen]}
    raise InputError(f"{path}: no views found among {', '.join(rest) or 'nothing'}; name them with views_key")


def _preferred(candidates: Mapping[str, Any]) -> str | None:
    lower = {key.lower(): key for key in candidates}
    return next((lower[key.lower()] for key in VIEW_KEYS if key.lower() in lower), None)


def _is_matrix(value: Any) -> bool:
    return bool(value.ndim == 2 and value.dtype.kind in "iufb" and min(value.shape) > 0 and max(value.shape) > 1)


def _cells(value: Any) -> dict[str, Any]:
    """The matrices of a cell array (a cell may lie in a 1 x 1 cell of its own); nothing if it holds other things."""
    if sparse.issparse(value) or value.dtype != object:
        return {}
    found: dict[str, Any] = {}
    for index, cell in enumerate(value.reshape(-1)):
        if isinstance(cell, np.ndarray) and cell.dtype == object and cell.size == 1:
            cell = cell.reshape(-1)[0]  # noqa: PLW2901 - unwrapped
        if not (sparse.issparse(cell) or isinstance(cell, np.ndarray)) or not _is_matrix(cell):
            return {}
        found[f"view_{index}"] = cell
    return found


def _plain(value: Any, key: str, path: Path) -> Any:
    if not _is_matrix(value):
        raise InputError(f"{path}: {key!r} is not a matrix of numbers; views_key must name matrices or one cell array")
    return value


def _numbered(arrays: Mapping[str, Any], stem: str, path: Path) -> Any:
    """A numbered matrix, or a sparse one stored as CSR in four arrays."""
    if stem in arrays:
        return arrays[stem]
    try:
        parts = (arrays[f"{stem}_data"], arrays[f"{stem}_indices"], arrays[f"{stem}_indptr"])
        matrix = sparse.csr_array(parts, shape=tuple(int(size) for size in arrays[f"{stem}_shape"]))
        matrix.check_format(full_check=True)
    except (KeyError, ValueError, TypeError, IndexError, OverflowError) as error:
        raise InputError(f"{path}: {stem!r} is not a complete, valid CSR matrix") from error
    return matrix


def _orient(views: Mapping[str, Any], samples: int, path: Path) -> dict[str, Any]:
    """Turn every view so that its rows are the samples; a square one goes with the others."""
    for key, view in views.items():
        if samples not in view.shape:
            rows, columns = view.shape
            raise InputError(
                f"{path}: {key!r} is {rows} x {columns}, but there are {samples} labels; "
                "drop it, or name other arrays with --views_key and --labels_key"
            )
    clear = [view.shape[0] == samples for view in views.values() if view.shape[0] != view.shape[1]]
    square_is_turned = bool(clear) and not any(clear)
    turned = {}
    for key, view in views.items():
        square = view.shape[0] == view.shape[1]
        turned[key] = view.T if (square_is_turned if square else view.shape[0] != samples) else view
    return turned


def _stored_names(arrays: Mapping[str, NDArray[Any]], key: str) -> tuple[str, ...] | None:
    value = arrays.get(key)
    if value is None or value.ndim != 1 or value.dtype.kind != "U":
        return None
    return tuple(str(item) for item in value)


def _read_csv(path: Path, labels_key: str | None) -> tuple[dict[str, Any], NDArray[Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header = stream.readline()
            delimiter = max(",;\t", key=header.count)
            stream.seek(0)
            reader = csv.reader(stream, delimiter=delimiter)
            columns = [column.strip() for column in next(reader, [])]
            rows = [(reader.line_num, row) for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV file in UTF-8 ({error})") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not rows:
        raise InputError(f"{path}: no samples; a header and one line per sample are needed")
    if len(set(columns)) != len(columns):
        raise InputError(f"{path}: a column name appears twice in the header")
    place, groups = _csv_columns(columns, labels_key, path)

    table = np.empty((len(rows), len(columns)), np.float64)
    labels = []
    for number, (line, row) in enumerate(rows):
        if len(row) != len(columns):
            raise InputError(f"{path}, line {line}: {len(row)} cells, but the header has {len(columns)}")
        labels.append(row[place].strip())
        for index, cell in enumerate(row):
            table[number, index] = 0.0 if index == place else _number(cell, f"{path}, line {line}: {columns[index]!r}")
        if not labels[-1]:
            raise InputError(f"{path}, line {line}: the label is empty; fill it in, or drop the line")
    return {view: table[:, members] for view, members in groups.items()}, _numeric_if_whole(labels)


def _csv_columns(columns: list[str], label: str | None, path: Path) -> tuple[int, dict[str, list[int]]]:
    """Where the label column is, and which columns each view has."""
    if label is None:
        lower = {column.lower(): column for column in columns}
        label = next((lower[key.lower()] for key in ("label", *LABEL_KEYS) if key.lower() in lower), None)
    if label is None or label not in columns:
        raise InputError(f"{path}: no label column{'' if label is None else f' {label!r}'}; name it with --labels_key")
    place = columns.index(label)
    mark = ":" if any(":" in column for column in columns) else "."
    groups: dict[str, list[int]] = {}
    for index, column in enumerate(columns):
        if index == place:
            continue
        view, _, feature = column.partition(mark)
        if not view or not feature:
            raise InputError(f"{path}: column {column!r} belongs to no view; name it view:feature, or drop it")
        groups.setdefault(view, []).append(index)
    if not groups:
        raise InputError(f"{path}: no feature columns; name them view:feature")
    return place, groups


def _number(cell: str, where: str) -> float:
    text = cell.strip()
    if not text:
        return float("nan")
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{where} is {cell!r}, not a number") from error


def _numeric_if_whole(labels: list[str]) -> NDArray[Any]:
    """Labels that are all whole numbers sort as numbers (2 before 10), others as text."""
    if all(re.fullmatch(r"[+-]?\d{1,15}", label) for label in labels):
        return np.array([int(label) for label in labels], np.int64)
    return np.array(labels)
