"""Columns of texts as columns of 0 and 1, one a category, where somebody asks for it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.multiview.frames import Frame, Name, Names, column_names, row_labels

MARK = "="  # between a column and a category: `colour=red`


def one_hot(matrix: Any, fitted: Names | None, what: str, *, learn: bool) -> Any:
    """A frame whose columns of texts are columns `COLUMN=CATEGORY` of 0 and 1, one for each category.

    An empty cell (None, NaN) of such a column is NaN in all of them. A category that was not there when fitting is 0 in
    all of them.

    Args:
        matrix: anything; what has no names of columns, or no texts, is returned as it is.
        fitted: names of the columns when fitting, which say what the categories are; None when fitting: those that
            there are, sorted.
        what: that it is, for messages.
        learn: whether to make new categories when fitting.

    Raises:
        InputError: names of columns do not say what is a category.

    Warns:
        UserWarning: a category was not there when fitting.
    """
    names = column_names(matrix)
    if names is None or (fitted is None and not learn):
        return matrix
    if fitted is not None:
        known = set(fitted)
        chosen = {name: tuple(_categories_of(name, fitted)) for name in names if name not in known}
        chosen = {name: found for name, found in chosen.items() if found}
    else:
        chosen = {name: () for position, name in enumerate(names) if _is_text(matrix, position)}
        for name in chosen:
            twins = [other for other in names if str(other).startswith(f"{name}{MARK}")]
            if MARK in str(name) or twins:
                raise InputError(
                    f"{what}: categories of the column {name!r} would be columns `{name}{MARK}...`, which could be "
                    f"mistaken{f' for {twins[0]!r}' if twins else ''}: give it a name without {MARK!r}"
                )
    if not chosen:
        return matrix
    found: list[Name] = []
    columns: list[NDArray[np.float64]] = []
    for position, name in enumerate(names):
        cells = _column(matrix, position)
        if name not in chosen:
            found.append(name)
            columns.append(_numbers(cells, name, what))
            continue
        texts = np.array([_text(cell) for cell in cells], dtype=object)
        categories = chosen[name] or tuple(sorted({text for text in texts if text is not None}))
        _warn_of_others(texts, categories, name, what)
        empty = np.array([text is None for text in texts], bool)
        for category in categories:
            found.append(f"{name}{MARK}{category}")
            columns.append(np.where(empty, np.nan, texts == category))
    cells = np.column_stack(columns) if columns else np.empty((len(matrix), 0))
    return Frame(tuple(found), cells, matrix.row_names if isinstance(matrix, Frame) else row_labels(matrix))


def _categories_of(name: Name, fitted: Sequence[Name]) -> list[str]:
    start = f"{name}{MARK}"
    return [one.removeprefix(start) for one in fitted if isinstance(one, str) and one.startswith(start)]


def _column(matrix: Any, position: int) -> Any:
    if isinstance(matrix, Frame):
        return matrix.cells[:, position]
    return (
        matrix.iloc[:, position].to_numpy(dtype=object) if hasattr(matrix, "iloc") else matrix.to_numpy()[:, position]
    )


def _is_text(matrix: Any, position: int) -> bool:
    """Whether a column holds texts, or is one of categories by its type."""
    dtypes = getattr(matrix, "dtypes", None)
    if hasattr(matrix, "iloc") and dtypes is not None:
        kind = dtypes.iloc[position]
        if hasattr(kind, "categories"):
            return True
        if getattr(kind, "kind", "O") in "biuf":
            return False
    return any(isinstance(cell, str) for cell in _column(matrix, position))


def _text(cell: Any) -> str | None:
    """A category as text: 1, 1.0 and "1" are one; None for an empty cell."""
    if cell is None or type(cell).__name__ in ("NAType", "NaTType") or (isinstance(cell, float) and np.isnan(cell)):
        return None
    if isinstance(cell, (bool, np.bool_)):
        return str(bool(cell))
    if isinstance(cell, (int, float, np.number)) and float(cell).is_integer():
        return str(int(cell))
    return str(cell).strip() or None


def _numbers(cells: Any, name: Name, what: str) -> NDArray[np.float64]:
    try:
        return np.array([np.nan if cell is None else cell for cell in cells], np.float64)
    except (TypeError, ValueError):
        bad = next((cell for cell in cells if isinstance(cell, str)), "something else")
        raise InputError(f"{what}: the column {name!r} held numbers when fitting, and now holds {bad!r}") from None


def _warn_of_others(texts: NDArray[Any], categories: Sequence[str], name: Name, what: str) -> None:
    others = [text for text in texts if text is not None and text not in categories]
    if others:
        warnings.warn(
            f"{what}: {len(others)} cell{'s' * (len(others) > 1)} of the column {name!r} hold a category that was not "
            f"there when fitting, such as {others[0]!r}: it is none of those known",
            stacklevel=5,
        )
