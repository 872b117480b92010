"""Several views of the same samples, with their labels and folds: reading, writing, checking, splitting."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from limbeck.errors import InputError
from limbeck.files import UNFOLDED, Arrays, atomic_writer, first_line

View: TypeAlias = "NDArray[np.float32] | sparse.csr_array"

SPLITS = ("train", "validation", "test")
EMBEDDED = ("digits",)

_MOST_FOLDS = 10_000
_SPARSE_PARTS = ("data", "indices", "indptr", "shape")


@dataclass(frozen=True, eq=False)
class MultiViewData:
    """Samples seen in several views.

    Make one with `assemble`, which checks it; the constructor itself checks nothing.

    Attributes:
        name: what to call the set in tables and messages.
        views: name -> `(samples, features)` float32, dense or CSR. A row that is NaN throughout marks a sample
            that lacks this view.
        labels: `(samples,)` int64, 0 to classes - 1, every class present.
        class_names: one name per class.
        folds: `(folds, samples)` int8: 0 train, 1 validation, 2 test; `(0, samples)` where there are none.
        columns: name -> names of its columns, of the views that have such.
        rows: names of the samples; None: there are none.
    """

    name: str
    views: dict[str, View]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    folds: NDArray[np.int8]
    columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rows: tuple[str, ...] | None = None

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return len(self.labels)

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    @property
    def view_names(self) -> tuple[str, ...]:
        """The views' names, in order."""
        return tuple(self.views)

    def split(self, name: str | int, fold: int = 0) -> NDArray[np.int64]:
        """The indices of the samples of one split of one fold, ascending.

        `name` is "train", "validation" or "test", or 0, 1 or 2.

        Raises:
            InputError: no such split, or no such fold.
        """
        if not 0 <= fold < len(self.folds):
            stored = f"folds 0 to {len(self.folds) - 1}" if len(self.folds) else "no folds"
            raise InputError(f"{self.name}: there is no fold {fold}; this set stores {stored}")
        if isinstance(name, str):
            if name not in SPLITS:
                raise InputError(f"there is no split {name!r}; choose one of {', '.join(SPLITS)}")
            name = SPLITS.index(name)
        elif name not in range(len(SPLITS)):
            raise InputError(f"there is no split {name}; 0 is train, 1 validation, 2 test")
        return np.flatnonzero(self.folds[fold] == name)


def load(source: str | os.PathLike[str], *, gaps: bool = False) -> MultiViewData:
    """Read a set from an NPZ file, or make an embedded one from its name (`digits`).

    The file holds `view_0`, `view_1`, ... `(samples, features)`, `y` `(samples,)` and `view_names`; it may hold
    `splits` `(folds, samples)`, `class_names`, `name`, `rows` `(samples,)`, names of the samples, and `columns_0`,
    `columns_1`, ..., names of the columns of views. A sparse view is stored as CSR in `view_0_data`,
    `view_0_indices`, `view_0_indptr` and `view_0_shape`. Views of any real type become float32. A row that is NaN
    throughout marks a sample that lacks the view. Nothing is ever unpickled. A file that happens to bear the name of
    an embedded set is read as `./digits`.

    Args:
        source: the file, or the name of an embedded set.
        gaps: let NaN stand in parts of the rows of dense views.

    Raises:
        InputError: there is no such file or set, or the file is damaged or holds something else.
    """
    if isinstance(source, str) and source in EMBEDDED:
        from limbeck.multiview.digits import digits  # noqa: PLC0415 - digits.py builds on this module

        return digits()
    path = Path(source)
    arrays = Arrays(path, hint=f"; or give the name of an embedded set: {', '.join(EMBEDDED)}")
    if "y" not in arrays:
        raise InputError(f"{path}: the array 'y' (labels) is missing; make the file with `limbeck data convert`")
    return assemble(
        _text(arrays, "name", path.stem),
        views_of(arrays, str(path)),
        arrays["y"],
        class_names=_names(arrays, "class_names", str(path)),
        folds=arrays.get("splits"),
        origin=str(path),
        columns=columns_of(arrays, str(path)),
        rows=rows_of(arrays, str(path)),
        gaps=gaps,
    )


def save(data: MultiViewData, path: str | os.PathLike[str]) -> None:
    """Write a set as an NPZ file that `load` reads; the file appears whole or not at all.

    Raises:
        InputError: `path` is a folder.
        OSError: the disk is full or the folder cannot be written; what stood at `path` is untouched.
    """
    labels = {"class_names": np.array(data.class_names), "y": data.labels, "splits": data.folds}
    _write(path, data.name, data.views, data.columns, data.rows, labels)


def save_unlabelled(
    path: str | os.PathLike[str],
    name: str,
    views: Mapping[str, Any],
    *,
    columns: Mapping[str, Sequence[str]],
    rows: Sequence[str] | None,
) -> None:
    """Write views without labels, which can be predicted.

    Raises:
        InputError: a view is none, or `path` is a folder.
        OSError: as `save`.
    """
    samples = len(next(iter(views.values())))
    checked = {key: _checked_view(view, key, samples, name, gaps=True) for key, view in views.items()}
    _write(path, name, checked, columns, rows, {})


def _write(
    path: str | os.PathLike[str],
    name: str,
    views: Mapping[str, View],
    columns: Mapping[str, Sequence[str]],
    rows: Sequence[str] | None,
    others: Mapping[str, Any],
) -> None:
    if Path(path).is_dir():
        raise InputError(f"{path}: this is a folder; give the name of a file in it")
    arrays: dict[str, Any] = {"name": np.array(name), "view_names": np.array(list(views)), **others}
    arrays |= {f"columns_{index}": np.array(columns[view]) for index, view in enumerate(views) if view in columns}
    if rows is not None:
        arrays["rows"] = np.array(rows)
    for index, view in enumerate(views.values()):
        if sparse.issparse(view):
            for part in _SPARSE_PARTS:
                arrays[f"view_{index}_{part}"] = np.asarray(getattr(view, part))
        else:
            arrays[f"view_{index}"] = view
    with atomic_writer(path) as stream:
        np.savez_compressed(stream, **arrays)


def digest(data: MultiViewData, folds: NDArray[np.int8]) -> str:
    """Sixteen hexadecimal digits of the labels, the folds and the views: what results of other data are told by."""
    total = hashlib.sha256()
    for array in (data.labels, folds, *(part for view in data.views.values() for part in _numbers(view))):
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()[:16]


def _numbers(view: View) -> Iterator[NDArray[Any]]:
    yield from [view] if isinstance(view, np.ndarray) else [view.data, view.indices, view.indptr]


def assemble(
    name: str,
    views: Mapping[str, Any],
    labels: ArrayLike,
    *,
    class_names: Sequence[str] | None = None,
    folds: ArrayLike | None = None,
    origin: str | None = None,
    columns: Mapping[str, Sequence[str]] | None = None,
    rows: Sequence[str] | None = None,
    gaps: bool = False,
) -> MultiViewData:
    """Check views, labels and folds against one another and put them together.

    Args:
        name: what to call the set.
        views: name -> `(samples, features)`, dense or sparse, of any real type.
        labels: `(samples,)` integers from 0, every class present.
        class_names: one per class; the numbers themselves where absent.
        folds: `(folds, samples)` of 0, 1 and 2; none where absent.
        origin: the file or argument that messages name; `name` where absent.
        columns: name -> names of its columns, of views that have such.
        rows: names of the samples.
        gaps: let NaN stand in parts of the rows of dense views.

    Raises:
        InputError: anything does not fit; the message names `origin` and the array.
    """
    origin = origin or name
    codes = _checked_labels(np.asarray(labels), origin)
    classes = int(codes.max()) + 1
    names = tuple(str(code) for code in range(classes)) if class_names is None else tuple(class_names)
    if len(names) != classes:
        raise InputError(f"{origin}: {len(names)} class names for labels from 0 to {classes - 1}")
    if not views:
        raise InputError(f"{origin}: there is no view; give at least one (view_0)")
    checked = {key: _checked_view(view, key, len(codes), origin, gaps=gaps) for key, view in views.items()}
    for key, titles in (columns or {}).items():
        if len(titles) != checked[key].shape[1] or len(set(titles)) < len(titles):
            raise InputError(f"{origin}: view {key!r} needs as many different names of columns as it has columns")
    if rows is not None and len(rows) != len(codes):
        raise InputError(f"{origin}: {len(rows)} names of samples for {len(codes)} labels")
    return MultiViewData(
        name,
        checked,
        codes,
        names,
        _checked_folds(folds, len(codes), origin),
        {key: tuple(titles) for key, titles in (columns or {}).items()},
        None if rows is None else tuple(rows),
    )


def stratified_folds(
    labels: ArrayLike,
    folds: int = 5,
    *,
    seed: int = 0,
    fractions: tuple[float, float, float] = (0.7, 0.2, 0.1),
) -> NDArray[np.int8]:
    """Draw folds, divisions into train, validation and test, class by class.

    Of a class of m samples, floor(0.7 m) go to train; of the r that remain, floor(2/3 r) to validation (the share
    0.2 / (0.2 + 0.1)) and the rest to test. This is the rule of the field's stored folds: 16 samples give 11, 3, 2.
    The shares are taken as exact fractions, so that no count hangs on rounding. Fold k depends on `seed` and k only.

    Args:
        labels: `(samples,)` of any comparable kind.
        folds: how many.
        seed: not negative.
        fractions: shares of train, validation and test; they add up to 1.

    Returns:
        `(folds, samples)` int8: 0 train, 1 validation, 2 test.

    Raises:
        InputError: a class has a single sample, or an argument is out of range.
    """
    values = np.asarray(labels)
    if values.ndim != 1 or not len(values):
        raise InputError(f"labels must be one row of at least one label, not of shape {values.shape}")
    if not 1 <= folds <= _MOST_FOLDS or seed < 0:
        raise InputError(f"folds must be in [1, {_MOST_FOLDS}] and seed at least 0, not {folds} and {seed}")
    train, validation, test = (Fraction(share).limit_denominator(10**6) for share in fractions)
    if train + validation + test != 1 or min(validation, test) < 0 or not 0 < train < 1:
        raise InputError(f"fractions must be a train share below 1 and two more that add up to 1, not {fractions}")
    codes = np.empty((folds, len(values)), np.int8)
    classes, inverse = np.unique(values, return_inverse=True)
    members = [np.flatnonzero(inverse == code) for code in range(len(classes))]
    for label, member in zip(classes, members, strict=True):
        if len(member) < 2:
            raise InputError(f"class {label} has one sample; drop it or add another, so that it can be split")
    for index in range(folds):
        generator = np.random.default_rng([seed, index])
        for member in members:
            first = int(train * len(member))
            second = first + int(validation / (validation + test) * (len(member) - first))
            order = generator.permutation(member)
            codes[index, order[:first]] = 0
            codes[index, order[first:second]] = 1
            codes[index, order[second:]] = 2
    return codes


def views_of(arrays: Mapping[str, NDArray[Any]], origin: str) -> dict[str, Any]:
    """The views `view_0`, `view_1`, ... among the arrays of an NPZ file, dense or CSR, under their stored names.

    Raises:
        InputError: there is none, or the parts or names do not fit together.
    """
    found: list[Any] = []
    while True:
        stem = f"view_{len(found)}"
        if stem in arrays:
            found.append(arrays[stem])
        elif f"{stem}_data" in arrays:
            found.append(stored_csr(arrays, stem, origin))
        else:
            break
    if not found:
        raise InputError(f"{origin}: there is no array 'view_0'; make the file with `limbeck data convert`")
    stored = {key for key in arrays if key.startswith("view_") and key != "view_names"}
    known = {f"view_{index}{tail}" for index in range(len(found)) for tail in ("", *(f"_{p}" for p in _SPARSE_PARTS))}
    if stored - known:
        raise InputError(f"{origin}: array {min(stored - known)!r} stands alone: there is no 'view_{len(found)}'")
    names = _names(arrays, "view_names", origin)
    if names is None:
        raise InputError(f"{origin}: the array 'view_names' is missing; make the file with `limbeck data convert`")
    if len(names) != len(found) or len(set(names)) != len(names):
        raise InputError(f"{origin}: {len(found)} views, but 'view_names' is {', '.join(names)}; name each once")
    return dict(zip(names, found, strict=True))


def columns_of(arrays: Mapping[str, NDArray[Any]], origin: str) -> dict[str, tuple[str, ...]]:
    """Names of the columns of the views that have such, under the views' stored names."""
    views = _names(arrays, "view_names", origin) or ()
    stored = {view: _names(arrays, f"columns_{index}", origin) for index, view in enumerate(views)}
    return {view: names for view, names in stored.items() if names is not None}


def rows_of(arrays: Mapping[str, NDArray[Any]], origin: str) -> tuple[str, ...] | None:
    """Names of the samples; None where there are none."""
    return _names(arrays, "rows", origin)


def missing_rows(view: View) -> NDArray[np.bool_]:
    """Which samples lack this view (their row is NaN throughout). `(samples,)`."""
    if not sparse.issparse(view):
        dense: NDArray[np.float32] = np.asarray(view)
        return np.asarray(np.isnan(dense).all(axis=1))
    csr: Any = view
    rows = np.repeat(np.arange(csr.shape[0]), np.diff(csr.indptr))
    nan = np.bincount(rows[np.isnan(csr.data)], minlength=csr.shape[0])
    return np.asarray(nan == csr.shape[1])


def stored_csr(arrays: Mapping[str, NDArray[Any]], stem: str, origin: str) -> Any:
    """Put a CSR matrix together from its stored parts, checking every index.

    Raises:
        InputError: a part is missing or does not fit.
    """
    try:
        parts = {part: arrays[f"{stem}_{part}"] for part in _SPARSE_PARTS}
    except KeyError as error:
        raise InputError(f"{origin}: {stem} is stored sparse, but {error.args[0]!r} is missing") from error
    for part in _SPARSE_PARTS[1:]:  # SciPy would cut 0.5 to 0, and drop imaginary parts
        if parts[part].dtype.kind not in "iu":
            raise InputError(f"{origin}: {stem}_{part} is {parts[part].dtype}; it must be whole numbers")
    try:
        shape = tuple(int(size) for size in parts["shape"])
        values = parts["data"]
        if values.dtype.kind == "f" and values.dtype.itemsize < 4:  # SciPy could do nothing with them
            values = values.astype(np.float32)
        matrix = sparse.csr_array((values, parts["indices"], parts["indptr"]), shape=shape)
        matrix.check_format(full_check=True)
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise InputError(f"{origin}: {stem} is not a valid CSR matrix ({first_line(error)})") from error
    return matrix


def _checked_labels(labels: NDArray[Any], origin: str) -> NDArray[np.int64]:
    if labels.ndim != 1:
        raise InputError(f"{origin}: the labels have shape {labels.shape}; they must be one row, (samples,)")
    if not len(labels):
        raise InputError(f"{origin}: there are no samples")
    if labels.dtype.kind not in "iu":
        raise InputError(f"{origin}: the labels are {labels.dtype}, not integers; map them with `convert`")
    low, high = int(labels.min()), int(labels.max())
    present = np.unique(labels)
    if low != 0 or high != len(present) - 1:
        raise InputError(
            f"{origin}: the labels run from {low} to {high} with {len(present)} values; "
            "they must be 0 to classes - 1 with none left out: map them with `convert`"
        )
    if len(present) < 2:
        raise InputError(f"{origin}: all samples have the same label; at least two classes are needed")
    return labels.astype(np.int64)


def _checked_view(view: Any, name: str, samples: int, origin: str, *, gaps: bool) -> View:
    where = f"{origin}: view {name!r}"
    is_sparse = bool(sparse.issparse(view))
    if not is_sparse:
        view = np.asarray(view)
    if view.ndim != 2 or view.shape[1] == 0:
        raise InputError(f"{where} has shape {view.shape}; it must be (samples, features)")
    if view.dtype.kind not in "fiub":
        raise InputError(f"{where} is {view.dtype}; it must be real numbers")
    if view.shape[1] > UNFOLDED // 8:  # what is computed of every column, such as its range, is held for all
        raise InputError(f"{where} has {view.shape[1]:,} columns, more than the {UNFOLDED // 8:,} that a view may have")
    if view.shape[0] != samples:
        raise InputError(f"{where} has {view.shape[0]} rows for {samples} labels")
    checked: View
    with np.errstate(over="ignore"):  # too large for float32 becomes inf, and that is refused below
        if is_sparse:
            checked = sparse.csr_array(view, dtype=np.float32, copy=True)
            checked.sum_duplicates()
            values = checked.data
            rows = np.repeat(np.arange(samples), np.diff(checked.indptr))
        else:
            checked = np.ascontiguousarray(view, dtype=np.float32)
            if not checked.flags.writeable:
                checked = checked.copy()
            values = checked
            rows = np.arange(samples)
    if np.isfinite(values).all():
        return checked
    bad = np.zeros(samples, bool)
    infinite = np.isinf(values) if is_sparse else np.isinf(values).any(axis=1)
    bad[rows[infinite]] = True
    if bad.any():
        raise InputError(f"{where}, row {int(bad.argmax())}: infinite, or too large for float32")
    if gaps and not is_sparse:
        return checked
    touched = np.isnan(values) if is_sparse else np.isnan(values).any(axis=1)
    bad[rows[touched]] = True
    bad &= ~missing_rows(checked)
    if bad.any():
        raise InputError(
            f"{where}, row {int(bad.argmax())}: NaN in part of the row; fill it in, "
            "or make the whole row NaN if the sample lacks this view"
        )
    return checked


def _checked_folds(folds: ArrayLike | None, samples: int, origin: str) -> NDArray[np.int8]:
    if folds is None:
        return np.empty((0, samples), np.int8)
    codes = np.asarray(folds)
    if codes.ndim != 2 or codes.shape[1] != samples:
        raise InputError(f"{origin}: 'splits' has shape {codes.shape}; it must be (folds, {samples})")
    if codes.dtype.kind not in "iu" or (codes.size and (codes.min() < 0 or codes.max() > 2)):
        raise InputError(f"{origin}: 'splits' holds something other than 0 train, 1 validation, 2 test")
    return codes.astype(np.int8)


def _names(arrays: Mapping[str, NDArray[Any]], key: str, origin: str) -> tuple[str, ...] | None:
    if key not in arrays:
        return None
    values = arrays[key]
    if values.ndim != 1 or values.dtype.kind != "U":
        raise InputError(f"{origin}: {key!r} is {values.dtype} of shape {values.shape}; it must be one row of strings")
    return tuple(str(value) for value in values)


def _text(arrays: Mapping[str, NDArray[Any]], key: str, default: str) -> str:
    value = arrays.get(key)
    return default if value is None or value.dtype.kind != "U" or value.ndim else str(value)
