"""What a run is trained on, scored on or asked about: NPZ files, embedded sets and tables, as views that have names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.files import Arrays, array_names
from limbeck.multiview.convert import draw_folds, map_labels
from limbeck.multiview.data import (
    EMBEDDED,
    SPLITS,
    MultiViewData,
    columns_of,
    load,
    missing_rows,
    rows_of,
    views_of,
)
from limbeck.multiview.frames import Frame
from limbeck.multiview.tables import Layout, is_table, read_tables


@dataclass(frozen=True, eq=False)
class Asked:
    """Samples that a model is asked about.

    Attributes:
        samples: their positions in the set.
        views: by name; DataFrame-like where their columns have names.
        labels: names of their classes; None: there are none.
        rows: names of all samples of the set; None: there are none.
    """

    samples: NDArray[np.int64]
    views: dict[str, Any]
    labels: NDArray[Any] | None
    rows: tuple[str, ...] | None


def read_set(
    source: str | os.PathLike[str], layout: Layout | None = None, *, views: Sequence[str] | None = None
) -> MultiViewData:
    """A set with labels; its views have names of columns and rows where the file has, and may have empty cells (NaN).

    Five stratified folds of a table are drawn with the seed 0, so that the same table has the same folds.

    Args:
        source: an NPZ file, the name of an embedded set, or a table.
        layout: how a table says what is what.
        views: names of views that are known, see `read_tables`.

    Raises:
        InputError: it cannot be read.
    """
    if not is_table(source):
        _refuse_layout(source, layout)
        data = load(source, gaps=True)
        return _with_views(data, _named(data.views, data.columns, data.rows))
    tables = read_tables([source], layout or Layout(), views=views)
    if tables.labels is None:
        raise InputError(f"{source}: has no labels to learn from or to score by: give --labels_key")
    labels, names = map_labels(tables.labels, Path(source))
    folds = draw_folds(tables.labels, Path(source))
    if folds is None:
        raise InputError(f"{source}: all samples have the same label; at least two classes are needed")
    frames: dict[str, Any] = dict(tables.views)
    return MultiViewData(Path(source).stem, frames, labels, names, folds, {}, tables.rows)


def read_asked(
    sources: Sequence[str | os.PathLike[str]],
    split: str,
    fold: int,
    layout: Layout | None = None,
    *,
    views: Sequence[str] | None = None,
) -> Asked:
    """Samples of a set, with labels or without.

    Args:
        sources: an NPZ file, the name of an embedded set, or tables.
        split: "train", "validation", "test", or "all".
        fold: which of the set's folds.
        layout: how tables say what is what.
        views: names of views that are known, see `read_tables`.

    Raises:
        InputError: they cannot be read, or there is no such split.
    """
    first, *others = sources
    if others and not all(map(is_table, sources)):
        raise InputError(f"{others[0]}: several files can only be tables, each of which is a view")
    if not is_table(first):
        stored = set() if first in EMBEDDED else array_names(first)
        if not stored or "y" in stored:
            return _labelled(read_set(first, layout), split, fold)
        _refuse_layout(first, layout)
        arrays, origin = Arrays(first), str(first)
        rows = rows_of(arrays, origin)
        found = _named(views_of(arrays, origin), columns_of(arrays, origin), rows)
    else:
        tables = read_tables(sources, layout or Layout(), views=views, optional_labels=True)
        if tables.labels is not None and len(sources) == 1 and split != "all":
            return _labelled(read_set(first, layout, views=views), split, fold)
        rows, found = tables.rows, dict(tables.views)
        if tables.labels is not None and split == "all":
            samples = np.arange(len(tables.labels))
            return Asked(samples, found, np.array([str(one) for one in tables.labels]), rows)
    if split != "all":
        raise InputError(f"{first}: has no labels and no folds: --split must be all, not {split}")
    return Asked(np.arange(len(missing_in(next(iter(found.values()))))), found, None, rows)


def split_of(data: MultiViewData, split: str, fold: int) -> tuple[dict[str, Any], NDArray[Any]]:
    """Views and class names of one split of a fold; "all" is every sample."""
    asked = _labelled(data, split, fold)
    assert asked.labels is not None
    return asked.views, asked.labels


def missing_in(view: Any) -> NDArray[np.bool_]:
    """Which samples lack a view, `(samples,)`."""
    return np.asarray(empty_cells(view).all(axis=1)) if isinstance(view, Frame) else missing_rows(view)


def empty_cells(view: Frame) -> NDArray[np.bool_]:
    """Which cells are empty, `(samples, columns)`."""
    if view.cells.dtype != object:
        return np.asarray(np.isnan(view.cells))
    return np.array([[isinstance(cell, float) and np.isnan(cell) for cell in row] for row in view.cells], bool)


def _labelled(data: MultiViewData, split: str, fold: int) -> Asked:
    if split not in (*SPLITS, "all"):
        raise InputError(f"there is no split {split!r}; choose one of {', '.join(SPLITS)}, or all")
    samples = np.arange(data.samples) if split == "all" else data.split(split, fold)
    names = np.array(data.class_names)[data.labels[samples]]
    return Asked(samples, {name: view[samples] for name, view in data.views.items()}, names, data.rows)


def _named(views: Any, columns: Any, rows: tuple[str, ...] | None) -> dict[str, Any]:
    """Views whose columns have names, as frames."""
    return {
        name: Frame(columns[name], view, rows) if name in columns and not scipy.sparse.issparse(view) else view
        for name, view in views.items()
    }


def _with_views(data: MultiViewData, views: dict[str, Any]) -> MultiViewData:
    return MultiViewData(data.name, views, data.labels, data.class_names, data.folds, data.columns, data.rows)


def _refuse_layout(source: str | os.PathLike[str], layout: Layout | None) -> None:
    if layout not in (None, Layout()):
        raise InputError(f"{source}: is no table: --labels_key, --index, --groups and --join say how tables are read")
