"""Tables as people keep them, CSV, TSV or Parquet, one or several: views, labels and names of rows."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from limbeck.csvfiles import open_csv
from limbeck.errors import InputError
from limbeck.multiview.frames import Frame
from limbeck.yamlfiles import read_yaml

KINDS = (".csv", ".tsv", ".parquet")
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
UNLABELLED = "none"

Join: TypeAlias = Literal["exact", "outer"]

# What pandas and R write for an empty cell.
_EMPTY = frozenset({"", "nan", "na", "n/a", "null", "<na>", "none"})
_WHOLE = re.compile(r"[+-]?\d{1,15}")
_SHOWN = 3


@dataclass(frozen=True)
class Layout:
    """How tables say what is what.

    Attributes:
        labels: a table of the labels, "none" where there are none, or None: `labels_key`, or a column `label`, `y`,
            `class`, `target`, ... of the only table.
        labels_key: the column of the labels; None: the only column of the table of labels beside the index.
        index: the column that names the rows, by which tables are matched; None: the first column where it has no name,
            as pandas writes an index, or nothing: rows are matched by position.
        groups: a YAML file that maps each view to columns of the only table, or to patterns such as `lab_*`; None: they
            are named `view:column` or `view.column`.
        join: what to do where tables have different rows. "exact" says which; "outer" takes all: a row that a table
            lacks lacks that view.
    """

    labels: str | None = None
    labels_key: str | None = None
    index: str | None = None
    groups: str | None = None
    join: Join = "exact"


@dataclass(frozen=True, eq=False)
class Tables:
    """What was read.

    Attributes:
        views: name -> its columns; numbers, or objects where some hold texts. NaN is an empty cell.
        labels: one a sample, numbers or texts; None: there are none.
        rows: names of the rows; None: their positions.
        notes: what the user should know of how it was read.
    """

    views: dict[str, Frame]
    labels: NDArray[Any] | None
    rows: tuple[str, ...] | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Table:
    path: Path
    columns: dict[str, list[str]]
    lines: list[int]  # of the file, one a row

    @property
    def length(self) -> int:
        return len(self.lines)

    def without(self, *names: str | None) -> _Table:
        return dataclasses.replace(self, columns={k: v for k, v in self.columns.items() if k not in names})

    def where(self, row: int) -> str:
        return f"{self.path}, line {self.lines[row]}"


def is_table(source: str | os.PathLike[str]) -> bool:
    """Whether a word is the name of a table, be it there or not."""
    return Path(source).suffix.lower() in KINDS


def read_tables(
    files: Sequence[str | os.PathLike[str]],
    layout: Layout,
    *,
    views: Sequence[str] | None = None,
    optional_labels: bool = False,
) -> Tables:
    """Read views from tables: of several tables each is a view, named by the file; of one, groups of its columns are.

    Args:
        files: .csv, .tsv or .parquet.
        layout: how they say what is what.
        views: names of views that are known: a single table whose file bears one of these names is this view.
        optional_labels: labels may be absent.

    Raises:
        InputError: a file cannot be read, or tables do not fit each other; one line says what and where.
    """
    tables = [read_table(file) for file in files]
    whole = len(tables) > 1 or (layout.groups is None and tables[0].path.stem in (views or ()))
    if layout.groups is not None and len(tables) > 1:
        raise InputError(f"groups are of the columns of one table, but there are {len(tables)}: each is a view")
    names = [table.path.stem for table in tables]
    if len(set(names)) < len(names):
        raise InputError(f"two tables are called {max(names, key=names.count)!r}: each is a view, named by its file")
    indexed = [_split_index(table, layout.index) for table in tables]
    labels, key = _labels_table(layout)
    if labels is not None:
        indexed.append(labels)
    rows, orders, notes = _match([table for table, _ in indexed], [index for _, index in indexed], layout.join, labels)
    tables = [table for table, _ in indexed[: len(tables)]]
    values: NDArray[Any] | None = None
    if labels is not None:
        for table in tables:
            if key in table.columns:
                raise InputError(
                    f"{table.path}: has a column {key!r} too, which {labels[0].path} calls the label: drop it"
                )
        values = _label_values([labels[0].columns[key][row] for row in orders[-1]], labels[0], orders[-1])
    elif layout.labels != UNLABELLED:
        owner, key = _label_column(tables, layout.labels_key, optional=optional_labels)
        if owner is not None:
            place = tables.index(owner)
            if (orders[place] < 0).any():
                lacking = int(np.flatnonzero(orders[place] < 0)[0])
                raise InputError(f"{owner.path}: has the labels, but no row {(rows or ())[lacking]!r}: give --labels")
            values = _label_values([owner.columns[key][row] for row in orders[place]], owner, orders[place])
            tables[place] = owner.without(key)
    cells: dict[str, Frame] = {}
    for table, order in zip(tables, orders, strict=False):
        groups = {table.path.stem: list(table.columns)} if whole else _groups(table, layout.groups, notes)
        for view, members in groups.items():
            if not members:
                raise InputError(f"{table.path}: view {view!r} has no columns beside index and label")
            columns = tuple(name.removeprefix(f"{view}:").removeprefix(f"{view}.") for name in members)
            cells[view] = Frame(columns, _cells(table, members, order), rows)
    return Tables(cells, values, rows, tuple(notes))


def read_table(path: str | os.PathLike[str]) -> _Table:
    """The columns of a table, as texts.

    Raises:
        InputError: it cannot be read, has no rows, or a column name twice.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a table ({', '.join(KINDS)})")
    if path.suffix.lower() not in KINDS:
        raise InputError(f"{path}: the ending {path.suffix!r} tells no known kind of table; give {', '.join(KINDS)}")
    if path.suffix.lower() == ".parquet":
        return _read_parquet(path)
    with open_csv(path) as table:
        names = table.header
        cells: list[list[str]] = [[] for _ in names]
        lines = []
        for line, row in table.rows:
            for column, cell in zip(cells, row, strict=True):
                column.append(cell.strip())
            lines.append(line)
    if not lines:
        raise InputError(f"{path}: no samples; a header and one line per sample are needed")
    if len(set(names)) != len(names):
        raise InputError(f"{path}: a column name appears twice in the header")
    return _Table(path, dict(zip(names, cells, strict=True)), lines)


def _read_parquet(path: Path) -> _Table:
    try:
        from pyarrow import ArrowException, parquet  # noqa: PLC0415 - optional
    except ImportError:
        raise InputError(f"{path}: Parquet needs pyarrow: `pip install pyarrow`, or save the table as CSV") from None
    try:
        table = parquet.read_table(path)
    except (ArrowException, OSError) as error:
        raise InputError(f"{path}: not a Parquet file, or a damaged one ({str(error).splitlines()[0]})") from None
    if not table.num_rows:
        raise InputError(f"{path}: no samples")
    if len(set(table.column_names)) != len(table.column_names):
        raise InputError(f"{path}: a column name appears twice")
    columns = {
        "" if name == "__index_level_0__" else name: ["" if cell is None else str(cell) for cell in column.to_pylist()]
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    return _Table(path, columns, list(range(2, 2 + table.num_rows)))


def _split_index(table: _Table, index: str | None) -> tuple[_Table, list[str] | None]:
    """The table without the column that names its rows, and these names."""
    if index is None:
        if "" not in table.columns:
            return table, None
        index = ""
    if index not in table.columns:
        raise InputError(f"{table.path}: has no column {index!r} for the index; its columns are {_few(table.columns)}")
    names = table.columns[index]
    seen: set[str] = set()
    for row, name in enumerate(names):
        if not name:
            raise InputError(f"{table.where(row)}: the index {index!r} is empty")
        if name in seen:
            raise InputError(f"{table.where(row)}: {index!r} is {name!r} a second time: rows are matched by it")
        seen.add(name)
    return table.without(index), names


def _labels_table(layout: Layout) -> tuple[tuple[_Table, list[str] | None] | None, str]:
    """The table of the labels, with the names of its rows, and its column; nothing where there is none."""
    if layout.labels is None or layout.labels == UNLABELLED:
        return None, ""
    table, index = _split_index(read_table(layout.labels), layout.index)
    key = layout.labels_key or (next(iter(table.columns)) if len(table.columns) == 1 else None)
    if key is None:
        raise InputError(f"{table.path}: say by --labels_key which column has the labels: {_few(table.columns)}")
    if key not in table.columns:
        raise InputError(f"{table.path}: has no column {key!r}; its columns are {_few(table.columns)}")
    return (table, index), key


def _match(
    tables: Sequence[_Table], indices: Sequence[list[str] | None], join: Join, labels: Any
) -> tuple[tuple[str, ...] | None, list[NDArray[np.int64]], list[str]]:
    """Names of the samples, and where in each table each sample is (-1: not there)."""
    first = tables[0]
    if all(index is None for index in indices):
        for table in tables:
            if table.length != first.length:
                raise InputError(
                    f"{table.path} has {table.length} rows, but {first.path} has {first.length}: give --index, a "
                    "column that names the rows"
                )
        note = ["Rows are matched by position; --index names a column to match them by."] * (len(tables) > 1)
        return None, [np.arange(first.length) for _ in tables], note
    for table, index in zip(tables, indices, strict=True):
        if index is None:
            raise InputError(f"{table.path}: has no column that names its rows, as other tables do: give --index")
    known = [
        dict(zip(index or [], range(table.length), strict=True)) for table, index in zip(tables, indices, strict=True)
    ]
    of_views = known[:-1] if labels is not None else known
    names = list(dict.fromkeys(name for one in of_views for name in one))
    for table, one in zip(tables, known, strict=True):
        lacking = [name for name in names if name not in one]
        is_labels = labels is not None and table is labels[0]
        others = [name for name in one if name not in set(names)] if is_labels else []
        if others and join == "exact":
            raise InputError(
                f"{table.path}: has a row {others[0]!r}, which no view has ({len(others)} such): drop it, or "
                "--join outer leaves it out"
            )
        if lacking and (join == "exact" or is_labels):
            mend = "give it" if is_labels else "--join outer makes it a missing view"
            raise InputError(
                f"{table.path}: has no row {lacking[0]!r}, which others have ({len(lacking)} such): {mend}"
            )
    return tuple(names), [np.array([one.get(name, -1) for name in names]) for one in known], []


def _label_column(tables: Sequence[_Table], key: str | None, *, optional: bool) -> tuple[_Table | None, str]:
    """The table with the label column, and its name."""
    if key is not None:
        owners = [table for table in tables if key in table.columns]
        if len(owners) > 1:
            raise InputError(f"{key!r} is a column of {owners[0].path} and of {owners[1].path}: give --labels, a table")
        if not owners and not optional:
            raise InputError(f"{tables[0].path}: no label column {key!r}; name it with --labels_key")
        return (owners[0], key) if owners else (None, "")
    if len(tables) == 1:
        lower = {name.lower(): name for name in tables[0].columns}
        for word in ("label", *LABEL_KEYS):
            if word.lower() in lower:
                return tables[0], lower[word.lower()]
    if optional:
        return None, ""
    raise InputError(
        f"{tables[0].path}: no label column; name it with --labels_key, or give --labels, a table of them, or `none`"
    )


def _label_values(texts: list[str], table: _Table, order: NDArray[np.int64]) -> NDArray[Any]:
    """Labels that are all whole numbers sort as numbers (2 before 10), others as text."""
    for text, row in zip(texts, order, strict=True):
        if not text:
            raise InputError(f"{table.where(int(row))}: the label is empty; fill it in, or drop the line")
    if all(_WHOLE.fullmatch(text) for text in texts):
        return np.array([int(text) for text in texts], np.int64)
    numbers = _parsed(texts)
    if numbers.dtype != object and np.isfinite(numbers).all():
        if (np.abs(numbers) >= 2.0**53).any():  # from there on neighbours are one and the same float
            return np.array(texts)
        if (numbers == np.round(numbers)).all():
            return numbers.astype(np.int64)
        raise InputError(
            f"{table.path}: the labels are measurements such as {texts[int((numbers % 1 != 0).argmax())]}; this is "
            "classification only, one class a sample: cut them into classes, or use a regression"
        )
    return np.array(texts)


def _groups(table: _Table, file: str | None, notes: list[str]) -> dict[str, list[str]]:
    """View -> its columns, of one table."""
    if file is not None:
        return _groups_of_file(table, Path(file), notes)
    mark = ":" if any(":" in name for name in table.columns) else "."
    groups: dict[str, list[str]] = {}
    for name in table.columns:
        view, _, feature = name.partition(mark)
        if not view or not feature:
            raise InputError(
                f"{table.path}: column {name!r} belongs to no view; name it view:feature, drop it, or give --groups, a "
                "YAML file of views and their columns"
            )
        groups.setdefault(view, []).append(name)
    if not groups:
        raise InputError(f"{table.path}: no feature columns; name them view:feature")
    return groups


def _groups_of_file(table: _Table, file: Path, notes: list[str]) -> dict[str, list[str]]:
    content = read_yaml(file)
    if not isinstance(content, Mapping) or not content:
        raise InputError(f"{file}: must map each view to its columns, such as `blood: [iron, lab_*]`")
    groups: dict[str, list[str]] = {}
    owner: dict[str, str] = {}
    for view, patterns in content.items():
        groups[str(view)] = members = []
        for pattern in [patterns] if isinstance(patterns, str) else patterns or []:
            word = str(pattern)
            found = [word] if word in table.columns else [name for name in table.columns if fnmatchcase(name, word)]
            if not found:
                raise InputError(f"{file}: view {view!r}: {table.path} has no column {word!r}")
            for name in found:
                if owner.setdefault(name, str(view)) != str(view):
                    raise InputError(f"{file}: the column {name!r} is in the views {owner[name]!r} and {str(view)!r}")
                if name not in members:
                    members.append(name)
    left = [name for name in table.columns if name not in owner]
    if left:
        notes.append(f"Left out, being in no view of {file}: {_few(left)}.")
    return groups


def _cells(table: _Table, members: Sequence[str], order: NDArray[np.int64]) -> NDArray[Any]:
    """The cells of some columns, in the order of the samples; rows that are not there are empty."""
    columns = [_parsed(table.columns[name]) for name in members]
    kind = object if any(column.dtype == object for column in columns) else np.float64
    whole = np.empty((len(order), len(members)), kind)
    for place, column in enumerate(columns):
        whole[:, place] = column[order]
    whole[order < 0] = np.nan
    return whole


def _parsed(texts: Sequence[str]) -> NDArray[Any]:
    """Numbers where all cells are, or empty; else texts, with NaN where empty."""
    filled = ["nan" if text.lower() in _EMPTY else text for text in texts]
    try:
        return np.array([float(text) for text in filled])
    except ValueError:
        return np.array([float("nan") if text == "nan" else text for text in filled], dtype=object)


def numbers_of(frame: Frame, origin: str) -> NDArray[np.float64]:
    """The cells of a frame that has no texts.

    Raises:
        InputError: it has; the line says where.
    """
    if frame.cells.dtype != object:
        return frame.cells
    for (row, column), cell in np.ndenumerate(frame.cells):
        if not _is_number(cell):
            name = row if frame.row_names is None else repr(frame.row_names[row])
            raise InputError(
                f"{origin}, row {name}: {frame.columns[column]!r} is {cell!r}, not a number: mend it, drop the column, "
                "or make its texts columns of 0 and 1 by --categories one-hot"
            )
    return frame.cells.astype(np.float64)


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _few(names: Any) -> str:
    listed = list(map(repr, names))
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more
