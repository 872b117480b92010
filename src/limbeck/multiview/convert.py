"""Making a set of this library's form from the .mat, .npz and tables that the field passes round."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from limbeck.arrayfiles import dense, read_matlab
from limbeck.errors import InputError
from limbeck.files import Arrays
from limbeck.multiview.categories import one_hot
from limbeck.multiview.data import MultiViewData, assemble, save, save_unlabelled, stored_csr, stratified_folds
from limbeck.multiview.frames import Frame
from limbeck.multiview.tables import LABEL_KEYS, Layout, is_table, numbers_of, read_tables

# The names in use, most telling first; compared without case.
VIEW_KEYS = ("X", "fea", "feas", "features", "data", "views", "view", "x_all", "feature")

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
    * .csv, .tsv, .parquet: as `convert_tables` reads one table.

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
    if is_table(path):
        if views_key is not None or view_names is not None:
            raise InputError("views_key is for .mat and .npz files; in a .csv the columns are named view:feature")
        layout = Layout(labels_key=labels_key)
        data = convert_tables([path], target, layout, name=name, folds=folds, seed=seed).data
        assert data is not None
        return data
    if kind in {".mat", ".npz"}:
        arrays: Mapping[str, Any] = read_matlab(path) if kind == ".mat" else Arrays(path)
        labels_name = _labels_name(arrays, labels_key, path)
        values = _label_values(arrays[labels_name], f"{path}: {labels_name!r}", path)
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

    labels, found_names = map_labels(values, path)
    if class_names is None or len(class_names) != len(found_names) or values.dtype.kind not in "iu":
        class_names = found_names
    if stored is None:
        stored = draw_folds(values, path, folds, seed)
    data = assemble(name or path.stem, views, labels, class_names=class_names, folds=stored, origin=str(path))
    save(data, target)
    return data


@dataclass(frozen=True, eq=False)
class Converted:
    """What was made of tables.

    Attributes:
        data: the set; None where it has no labels.
        samples: how many there are.
        notes: what the user should know of it.
    """

    data: MultiViewData | None
    samples: int
    notes: tuple[str, ...]


def convert_tables(
    files: Sequence[str | os.PathLike[str]],
    target: str | os.PathLike[str],
    layout: Layout | None = None,
    *,
    categories: Literal["refuse", "one-hot"] = "refuse",
    name: str | None = None,
    folds: int = 5,
    seed: int = 0,
) -> Converted:
    """Read views from tables, write them to `target` as an NPZ with the names of columns and rows.

    Of several tables each is a view, named by its file. Of one, groups of its columns are: columns are named
    `view:feature` or `view.feature`, or a YAML file says which view has which. Empty cells throughout a view's columns
    mark a sample that lacks the view. Empty cells in rows that have others are kept, to be filled by the mean of
    training samples when a model is fitted (`missing_cells="mean"`).

    Args:
        files: .csv, .tsv or .parquet.
        target: the NPZ to write.
        layout: how tables say what is what.
        categories: "one-hot" makes a column of 0 and 1 of each text of a column of texts; "refuse" says where they are.
        name: of the set; the stem of `target` where absent, of the file where there is only one.
        folds: how many stratified folds to draw.
        seed: of these folds.

    Raises:
        InputError: a table cannot be read, or they do not fit each other; one line says what and where.
        OSError: `target` cannot be written; what stood there is untouched.
    """
    layout = layout or Layout()
    tables = read_tables(files, layout)
    path = Path(files[0])
    title = name or (path.stem if len(files) == 1 else Path(target).stem)
    notes, views, columns = list(tables.notes), {}, {}
    for view, given in tables.views.items():
        frame: Frame = one_hot(given, None, f"view {view!r}", learn=categories == "one-hot")
        views[view] = numbers_of(frame, f"{path if len(files) == 1 else view}")
        columns[view] = tuple(map(str, frame.columns))
        for column in (column for column in given.columns if column not in frame.columns):
            count = sum(str(one).startswith(f"{column}=") for one in frame.columns)
            notes.append(f"View {view!r}: the texts of {column!r} are {count} columns of 0 and 1.")
        gaps = np.isnan(views[view])
        count = int(gaps[~gaps.all(axis=1)].sum())
        if count:
            notes.append(
                f"View {view!r}: {count} empty cells in rows that have others: train with --recipe.missing_cells mean."
            )
    if tables.labels is None:
        save_unlabelled(target, title, views, columns=columns, rows=tables.rows)
        return Converted(None, len(next(iter(views.values()))), tuple(notes))
    labels, class_names = map_labels(tables.labels, path)
    data = assemble(
        title,
        views,
        labels,
        class_names=class_names,
        folds=draw_folds(tables.labels, path, folds, seed),
        origin=str(path),
        columns=columns,
        rows=tables.rows,
        gaps=True,
    )
    save(data, target)
    return Converted(data, data.samples, tuple(notes))


def draw_folds(values: NDArray[Any], path: Path, folds: int = 5, seed: int = 0) -> NDArray[np.int8] | None:
    """Stratified folds of a file's samples; None where all have the same label.

    Raises:
        InputError: a class has a single sample.
    """
    if len(np.unique(values)) < 2:
        return None
    try:
        return stratified_folds(values, folds, seed=seed)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


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


def _label_values(array: Any, where: str, path: Path) -> NDArray[Any]:
    """One label a sample, as numbers or strings, from a row, a column or a cell array."""
    if sparse.issparse(array) and min(array.shape) != 1:
        raise InputError(f"{where} has shape {array.shape}; labels must be one row or column")
    values = np.asarray(dense(array, path) if sparse.issparse(array) else array)
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


def map_labels(values: NDArray[Any], path: Path) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Labels as positions among those that occur, in ascending order, and these as texts."""
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
    return stored_csr(arrays, stem, str(path))


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
