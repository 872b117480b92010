"""Whatever form the user's views come in, one form for the rest: named float32 matrices and a mask of what is there."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.multiview.categories import one_hot
from limbeck.multiview.frames import NO_ROWS, Frame, Names, Rows, column_names, column_order, read_rows, row_labels

Matrix: TypeAlias = NDArray[np.float32] | scipy.sparse.csr_array
ViewColumns: TypeAlias = Mapping[str, Sequence[Any] | slice] | Sequence[int]


class NotNumbersError(InputError, TypeError):
    """A view holds something that is no number: a `TypeError` too, as scikit-learn's own estimators raise."""


@dataclass(frozen=True)
class Views:
    """Several descriptions of the same samples.

    Attributes:
        names: one a view.
        matrices: one a view: (samples, features) float32, dense or CSR; None for a view that no sample has. Rows of
            samples that lack the view are zero.
        present: (views, samples) booleans: which sample has which view. Every sample has at least one.
        columns: as `read_views` found them, names of the columns of each view; None for one that is no DataFrame.
        rows: as `read_views` found them, what samples are called.
    """

    names: tuple[str, ...]
    matrices: tuple[Matrix | None, ...]
    present: NDArray[np.bool_]
    columns: tuple[Names | None, ...] = ()
    rows: Rows = NO_ROWS

    @property
    def samples(self) -> int:
        return int(self.present.shape[1])

    @property
    def gaps(self) -> dict[str, int]:
        """How many cells are empty in rows that have others, of each view that has such."""
        counts = {
            name: int(np.isnan(matrix).sum())
            for name, matrix in zip(self.names, self.matrices, strict=True)
            if isinstance(matrix, np.ndarray)
        }
        return {name: count for name, count in counts.items() if count}

    @property
    def complete(self) -> bool:
        """Whether no sample lacks any view."""
        return bool(self.present.all())


def read_views(
    given: Any,
    *,
    columns: ViewColumns | None = None,
    names: Sequence[str] | None = None,
    fitted: Sequence[Names | None] | None = None,
    categories: bool = False,
    gaps: bool = False,
) -> Views:
    """Read views given as a list, a dict or one matrix.

    Columns of DataFrames are matched by name with those of fitting. Rows of DataFrames with an index are matched by
    label: samples are in the order of the first. Arrays are matched by position.

    Args:
        given: a list or tuple with one matrix per view (None where a view is missing for all samples); a dict from name
            to matrix (a name that `names` knows and the dict lacks is missing for all samples); or one matrix whose
            columns are cut into views by `columns`. A matrix is an array, a SciPy sparse matrix or a DataFrame. A row
            of NaN alone says that the sample lacks the view.
        columns: for one matrix: widths of consecutive groups, or a dict from name to column positions, column names
            (DataFrame) or a slice. None: the matrix is the only view.
        names: names of the views as they were when fitting; None when fitting.
        fitted: names of the columns of each view as they were when fitting; None for a view that had no names, or when
            fitting.
        categories: when fitting, columns of texts become columns of 0 and 1, see `one_hot`; later those of `fitted` do.
        gaps: let NaN stand in parts of the rows of dense views.

    Raises:
        InputError: lengths differ, a value is infinite or a row partly NaN, a sample lacks all views, a view is
            unknown, DataFrames have other columns than when fitting or other rows than each other, or there is nothing.

    Warns:
        UserWarning: only now, or only when fitting, a view has names of columns, so that they are matched by position.
    """
    named = _name_views(given, columns, names)
    is_dict = isinstance(given, Mapping) and not scipy.sparse.issparse(given)
    # Of a dict the first view that is given leads, wherever it was when fitting.
    rows, orders = read_rows(given if is_dict else named)
    lengths = {name: _length(matrix, name) for name, matrix in named.items() if matrix is not None}
    if not lengths:
        raise InputError("X has no view: give at least one matrix that is not None")
    samples = next(iter(lengths.values()))
    for name, length in lengths.items():
        if length != samples:
            first = next(iter(lengths))
            raise InputError(
                f"view {name!r} has {length} samples, but view {first!r} has {samples}: they must be equal"
            )
    if samples == 0:
        raise InputError("X has 0 samples (found array with 0 sample(s)), while a minimum of 1 is required")
    matrices: list[Matrix | None] = []
    present = np.zeros((len(named), samples), dtype=bool)
    found: list[Names | None] = []
    for position, (name, given_matrix) in enumerate(named.items()):
        before = None if fitted is None else fitted[position]
        matrix = one_hot(given_matrix, before, f"view {name!r}", learn=categories)
        found.append(column_names(matrix))
        if matrix is None:
            matrices.append(None)
            continue
        clean, present[position] = _read_matrix(matrix, name, gaps=gaps)
        now = found[position]
        place = None if now is None or before is None else column_order(now, before, f"view {name!r}")
        if place is not None:
            clean = clean[:, place]
        if name in orders:
            clean, present[position] = clean[orders[name]], present[position][orders[name]]
        matrices.append(clean)
    lacking = np.flatnonzero(~present.any(axis=0))
    if len(lacking):
        raise InputError(
            f"sample {rows.name(lacking[0])} lacks every view ({len(lacking)} such sample{'s' * (len(lacking) > 1)}): "
            "drop it, nothing can be said of it"
        )
    if fitted is not None:
        _warn_of_names(dict(zip(named, zip(found, fitted, strict=True), strict=True)), matrices)
    return Views(
        tuple(named), tuple(matrices), present, tuple(found), dataclasses.replace(rows, whole=is_matrix(given))
    )


def select(views: Views, samples: NDArray[np.int64]) -> Views:
    """The views of some samples."""
    return Views(
        views.names,
        tuple(None if matrix is None else matrix[samples] for matrix in views.matrices),
        views.present[:, samples],
    )


def present_matrix(matrix: Matrix | None) -> Matrix:
    """The matrix of a view that some sample is known to have."""
    assert matrix is not None
    return matrix


def concatenate(first: Views, second: Views) -> Views:
    """The samples of `first`, then those of `second`; names must agree, and a view needs the same width in both."""
    matrices: list[Matrix | None] = []
    for name, above, below in zip(first.names, first.matrices, second.matrices, strict=True):
        known = above if above is not None else below
        if known is None:
            matrices.append(None)
            continue
        # Zeros stand for a view that one side lacks; `present` says so.
        empty = scipy.sparse.csr_array if scipy.sparse.issparse(known) else np.zeros
        halves = [
            empty((samples, known.shape[1]), dtype=np.float32) if half is None else half
            for half, samples in ((above, first.samples), (below, second.samples))
        ]
        if halves[0].shape[1] != halves[1].shape[1]:
            raise InputError(
                f"view {name!r} has {halves[0].shape[1]} features in one part and {halves[1].shape[1]} in the other"
            )
        sparse = any(scipy.sparse.issparse(half) for half in halves)
        matrices.append(scipy.sparse.vstack(halves, format="csr") if sparse else np.concatenate(halves))
    present = np.concatenate([first.present, second.present], axis=1)
    return Views(first.names, tuple(matrices), present, first.columns)


def is_matrix(given: Any) -> bool:
    """Whether `given` is one matrix (not a list or dict of views)."""
    if scipy.sparse.issparse(given):  # a DOK matrix is a dict
        return True
    if isinstance(given, Mapping):
        return False
    if isinstance(given, (list, tuple)):
        return len(given) > 0 and not any(view is None or hasattr(view, "shape") or _is_nested(view) for view in given)
    return True


def _is_nested(view: Any) -> bool:
    return isinstance(view, (list, tuple)) and len(view) > 0 and np.iterable(view[0]) and not isinstance(view[0], str)


def matrix_width(matrix: Any) -> int:
    """Number of columns of a matrix of any kind.

    Raises:
        InputError: it is not two-dimensional.
    """
    shape = _shape(matrix, "X")
    if len(shape) != 2:
        raise InputError(f"X must be a matrix (samples, features), got shape {shape}: Reshape your data")
    return int(shape[1])


def _name_views(given: Any, columns: ViewColumns | None, names: Sequence[str] | None) -> dict[str, Any]:
    if isinstance(given, Mapping) and not scipy.sparse.issparse(given):
        if columns is not None:
            raise InputError("view_columns cuts one matrix into views, but X is a dict of views: leave one of them out")
        unknown = [name for name in given if names is not None and name not in names]
        if unknown:
            raise InputError(f"view {unknown[0]!r} was not there when fitting; the views are {', '.join(names or ())}")
        return {name: given.get(name) for name in (names if names is not None else given)}
    if is_matrix(given):
        cut = _cut(given, columns)
    else:
        if columns is not None:
            raise InputError("view_columns cuts one matrix into views, but X is a list of views: leave one of them out")
        cut = {f"view_{position}": view for position, view in enumerate(given)}
    if names is None:
        return cut
    if len(cut) != len(names) and is_matrix(given):
        known = ", ".join(f"{name!r}: ..." for name in names)
        raise InputError(f"X is one matrix, but the model was fitted on {len(names)} views: give a dict {{{known}}}")
    if len(cut) != len(names):
        raise InputError(f"X has {len(cut)} views, but {len(names)} were there when fitting: {', '.join(names)}")
    return dict(zip(names, cut.values(), strict=True))


def _cut(matrix: Any, columns: ViewColumns | None) -> dict[str, Any]:
    """One matrix as a dict of views."""
    if not (scipy.sparse.issparse(matrix) or hasattr(matrix, "iloc")):
        _shape(matrix, "X")  # refuses ragged rows
        matrix = np.asarray(matrix)
    if columns is None:
        return {"view_0": matrix}
    width = matrix_width(matrix)
    if scipy.sparse.issparse(matrix):
        matrix = matrix.tocsc()
    if not isinstance(columns, Mapping):
        if any(size < 1 for size in columns) or sum(columns) != width:
            raise InputError(f"view_columns add up to {sum(columns)}, but X has {width} columns")
        edges = np.cumsum([0, *columns])
        columns = {f"view_{i}": slice(edges[i], edges[i + 1]) for i in range(len(columns))}
    cut = {}
    for name, chosen in columns.items():
        group = chosen if isinstance(chosen, slice) else list(chosen)
        try:
            if hasattr(matrix, "iloc"):
                by_name = not isinstance(group, slice) and any(isinstance(column, str) for column in group)
                cut[name] = matrix.loc[:, group] if by_name else matrix.iloc[:, group]
            else:
                cut[name] = matrix[:, group]
        except (IndexError, KeyError, TypeError) as error:
            raise InputError(f"view_columns[{name!r}] names a column that X does not have: {error}") from None
    return cut


def _warn_of_names(names: Mapping[str, tuple[Names | None, Names | None]], matrices: Sequence[Matrix | None]) -> None:
    """Say which views have names of columns only now, or had them only when fitting."""
    for when, other in ((0, 1), (1, 0)):
        views = [
            name
            for (name, pair), matrix in zip(names.items(), matrices, strict=True)
            if matrix is not None and pair[other] is None and not _only_count(pair[when])
        ]
        if views:
            warnings.warn(
                f"{'view' if len(views) == 1 else 'views'} {', '.join(map(repr, views))}: columns have names only "
                f"{('now', 'when fitting')[when]}, so that they are matched by position",
                stacklevel=5,
            )


def _only_count(names: Names | None) -> bool:
    """Whether names of columns say nothing but their positions."""
    return names is None or names == tuple(range(len(names)))


def _length(matrix: Any, name: str) -> int:
    shape = _shape(matrix, f"view {name!r}")
    if len(shape) != 2:
        hint = "Reshape your data" if len(shape) == 1 else "give one row per sample"
        raise InputError(f"view {name!r} must be a matrix (samples, features), got shape {shape}: {hint}")
    return int(shape[0])


def _shape(matrix: Any, what: str) -> tuple[int, ...]:
    if hasattr(matrix, "shape"):
        return tuple(matrix.shape)
    try:
        return np.asarray(matrix).shape
    except ValueError:
        raise InputError(f"{what} must be a matrix (samples, features), but its rows differ in length") from None


def _read_matrix(matrix: Any, name: str, *, gaps: bool) -> tuple[Matrix, NDArray[np.bool_]]:
    """A float32 matrix, without NaN but where gaps are let stand, and which rows were there."""
    labels = Rows(matrix.row_names if isinstance(matrix, Frame) else row_labels(matrix))
    given = matrix
    if hasattr(matrix, "to_numpy"):
        matrix = matrix.to_numpy()
    sparse = scipy.sparse.issparse(matrix)
    if np.iscomplexobj(matrix):
        raise InputError(f"view {name!r}: Complex data not supported")
    try:
        with np.errstate(over="ignore"):  # too large for float32 becomes an infinity, which is refused below
            clean: Any = (
                scipy.sparse.csr_array(matrix, dtype=np.float32, copy=True)
                if sparse
                else np.array(matrix, dtype=np.float32)
            )
    except (TypeError, ValueError) as error:
        kind = NotNumbersError if isinstance(error, TypeError) else InputError
        hint = "; categories='one-hot' makes columns of texts columns of 0 and 1" if column_names(given) else ""
        raise kind(f"view {name!r} does not hold numbers: {error}{hint}") from None
    rows, columns = clean.shape
    if columns == 0:
        raise InputError(f"view {name!r} has 0 feature(s) (shape={clean.shape}) while a minimum of 1 is required.")
    values: NDArray[np.float32] = clean.data if sparse else clean
    if np.isfinite(values).all():
        return clean, np.ones(rows, dtype=bool)
    # The row of each value, so that dense and stored sparse values are counted alike.
    row_of = np.repeat(np.arange(rows), np.diff(clean.indptr) if sparse else columns)
    infinite = np.isinf(values).ravel()
    if infinite.any():
        row = labels.name(row_of[infinite][0])
        raise InputError(f"view {name!r} has an infinity in row {row}: remove or replace it")
    missing = np.isnan(values).ravel()
    missing_count = np.bincount(row_of[missing], minlength=rows)
    absent = missing_count == columns
    partly = np.flatnonzero((missing_count > 0) & ~absent)
    if len(partly) and (sparse or not gaps):
        hint = "" if sparse else " (missing_cells='mean' does)"
        raise InputError(
            f"view {name!r} has NaN in row {labels.name(partly[0])} but not in all of it: impute it{hint}, "
            "or make the whole row NaN to say that the sample lacks the view"
        )
    if len(partly):
        clean[absent] = 0
    else:
        values[np.isnan(values)] = 0
    return clean, ~absent
