"""What DataFrames say beside their numbers, by which views are matched: names of columns and labels of rows."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError

Name: TypeAlias = str | int
Names: TypeAlias = tuple[Name, ...]
Order: TypeAlias = NDArray[np.int64]

_SHOWN = 3
_BY_POSITION = "arrays (`.to_numpy()`) are matched by position"


@dataclass(frozen=True, eq=False)
class Frame:
    """As much of a DataFrame as a classifier asks for, so that files of tables need no pandas.

    Attributes:
        columns: their names.
        cells: `(samples, columns)` numbers, or objects where some are texts.
        row_names: what messages call the rows; None: their positions. Rows of several frames are in one order.
    """

    columns: Names
    cells: NDArray[Any]
    row_names: Any = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.cells.shape

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, rows: Any) -> Frame:
        names = None if self.row_names is None else np.asarray(self.row_names, dtype=object)[rows]
        return Frame(self.columns, self.cells[rows], names)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.cells, dtype=dtype, copy=copy)

    def to_numpy(self) -> NDArray[Any]:
        return self.cells


def column_names(matrix: Any) -> Names | None:
    """Names of a DataFrame's columns, strings and whole numbers as they are, others as text; None: it is none."""
    if not (hasattr(matrix, "columns") and hasattr(matrix, "to_numpy")):
        return None
    return tuple(int(name) if isinstance(name, (int, np.integer)) else str(name) for name in matrix.columns)


def column_order(given: Names, fitted: Names, what: str) -> Order | None:
    """Where the columns that a view was fitted with are now; None: where they were.

    Args:
        given: names of the columns now.
        fitted: as they were when fitting.
        what: that has them, for messages.

    Raises:
        InputError: there are others, or one is missing or there twice.
    """
    if given == fitted:
        return None
    place = {name: position for position, name in enumerate(given)}
    known = set(fitted)
    missing = [name for name in fitted if name not in place]
    unknown = [name for name in given if name not in known]
    if missing or unknown:
        faults = [f"{_few(names)} {fault}" for names, fault in ((missing, "missing"), (unknown, "unknown")) if names]
        raise InputError(
            f"{what} has {len(given)} features, but had {len(fitted)} when fitting, and they are matched by name. "
            f"The feature names should match those that were passed during fit: {', '.join(faults)}"
        )
    if len(place) < len(given) or len(known) < len(fitted):
        repeated, _ = Counter(given + fitted).most_common(1)[0]
        raise InputError(f"{what} has several columns {repeated!r}, now in another order: give each its own name")
    return np.array([place[name] for name in fitted], np.int64)


def row_labels(given: Any) -> Any:
    """The index of a DataFrame or Series of pandas; None for anything else."""
    labels = getattr(given, "index", None)
    return labels if hasattr(labels, "get_indexer") else None


@dataclass(frozen=True, eq=False)
class Rows:
    """What the samples are called, and how rows are matched.

    Attributes:
        labels: the index of the first view that is a DataFrame, in whose order the samples are; None: there is none.
        owner: that view, for messages.
        matched: whether every view has an index without repeats, so that rows can be matched by label.
        mended: whether the views' rows came in different orders.
        whole: X is one matrix; then y is matched by position, as everything in scikit-learn does.
    """

    labels: Any = None
    owner: str = ""
    matched: bool = False
    mended: bool = False
    whole: bool = False

    def name(self, position: int | np.integer) -> str:
        """What a message calls a row: its label, or its position where it has none."""
        return str(position) if self.labels is None else repr(_plain(self.labels[position]))

    def align(self, values: Any, what: str) -> Any:
        """Values of the samples, such as labels, in the order of the samples.

        Args:
            values: with an index (a Series): they are matched by label. Without one: by position.
            what: they are, for messages.

        Raises:
            InputError: labels of rows disagree; or the views' rows came in different orders, and it is not known which
                of them the values follow.

        Warns:
            UserWarning: X is one DataFrame whose index is another.
        """
        if self.labels is None or values is None or np.isscalar(values):
            return values
        labels = row_labels(values)
        if labels is None or not hasattr(self.labels, "get_indexer"):
            if self.mended:
                raise InputError(
                    f"{what} must be a Series with the index of the views: their rows come in different orders, and "
                    f"{what} has no labels to say which of them it follows"
                )
            return values
        if self.labels.equals(labels):
            return values
        if self.whole:
            warnings.warn(
                f"{what} and X have different indices: rows are matched by position, as scikit-learn does", stacklevel=4
            )
            return values
        return values.iloc[_row_order(self, labels, what)]


NO_ROWS = Rows()


def read_rows(matrices: Mapping[str, Any]) -> tuple[Rows, dict[str, Order]]:
    """What samples are called, and where the rows of views are that come in another order.

    Args:
        matrices: of the views; those that are None say nothing.

    Returns:
        The rows, and for each view that must be mended the positions of its rows in their order.

    Raises:
        InputError: the views' labels of rows disagree; or some come in another order, and an array among the views
            does not say which of them it follows.
    """
    given = {name: row_labels(matrix) for name, matrix in matrices.items() if matrix is not None}
    frames = {name: labels for name, labels in given.items() if labels is not None}
    if not frames:
        told = next((one.row_names for one in matrices.values() if isinstance(one, Frame)), None)
        return (NO_ROWS if told is None else Rows(told)), {}
    owner, labels = next(iter(frames.items()))
    matched = len(frames) == len(given) and all(one.is_unique for one in frames.values())
    rows = Rows(labels, f"view {owner!r}", matched)
    orders = {
        name: _row_order(rows, other, f"view {name!r}") for name, other in frames.items() if not labels.equals(other)
    }
    return Rows(labels, rows.owner, matched, bool(orders)), orders


def _row_order(rows: Rows, labels: Any, what: str) -> Order:
    """Where the rows are among `labels`."""
    missing, unknown = rows.labels.difference(labels, sort=False), labels.difference(rows.labels, sort=False)
    if len(missing):
        mend = ", or `reindex` it: a row of NaN alone is a missing view" if what.startswith("view ") else ""
        raise InputError(
            f"{what} has no row {_plain(missing[0])!r}, which {rows.owner} has ({_rows(len(missing))}): rows are "
            f"matched by their index; give both the same{mend}; {_BY_POSITION}"
        )
    if len(unknown):
        raise InputError(
            f"{what} has a row {_plain(unknown[0])!r}, which {rows.owner} does not have ({_rows(len(unknown))}): rows "
            f"are matched by their index; give both the same; {_BY_POSITION}"
        )
    for owner, index in ((rows.owner, rows.labels), (what, labels)):
        if not index.is_unique:
            raise InputError(
                f"{owner} has several rows {_plain(index[index.duplicated()][0])!r}, and the rows of {what} come in "
                f"another order than those of {rows.owner}: give each row its own label; {_BY_POSITION}"
            )
    if not rows.matched:
        raise InputError(
            f"the rows of {what} come in another order than those of {rows.owner}, and another view has no labels to "
            "say which of them it follows: make every view a DataFrame with an index that repeats nothing"
        )
    return np.asarray(labels.get_indexer(rows.labels), np.int64)


def _rows(count: int) -> str:
    return "1 such row" if count == 1 else f"{count} such rows"


def _few(names: Sequence[Name]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label
