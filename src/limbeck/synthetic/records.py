"""Records of factors as rows of a table: nested dataclasses as flat names, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import numpy as np
from numpy.typing import NDArray

from limbeck.csvfiles import open_csv
from limbeck.errors import InputError

Value = float | int | str
Record = TypeVar("Record")
_ARRAYS: dict[type, Any] = {float: np.float64, int: np.int64, str: np.str_}


def table_header(columns: Mapping[str, type]) -> str:
    """A table's first line."""
    return ",".join(columns) + "\n"


def table_row(columns: Mapping[str, type], flat: Mapping[str, Value]) -> str:
    """A line of a table."""
    return ",".join(str(flat[name]) for name in columns) + "\n"


def read_columns(path: Path, columns: Mapping[str, type]) -> dict[str, NDArray[Any]]:
    """A table: column -> `(rows,)` float64, int64 or str.

    Raises:
        InputError: it cannot be read, its columns are others, or a line or a cell is damaged.
    """
    with open_csv(path) as table:
        if table.header != list(columns):
            raise InputError(f"{path}: the columns are not those of this version's format")
        rows = [cells for _, cells in table.rows]
    read: dict[str, NDArray[Any]] = {}
    for place, (name, kind) in enumerate(columns.items()):
        try:
            read[name] = np.array([cells[place] for cells in rows], _ARRAYS[kind])
        except ValueError as error:
            raise InputError(f"{path}, column {name}: {error}") from error
    return read


def flatten(record: object, prefix: str = "") -> dict[str, Value]:
    """The fields of a record of factors, nested ones as `outer.inner`."""
    flat: dict[str, Value] = {}
    for field in fields(record):  # type: ignore[arg-type]
        value = getattr(record, field.name)
        if is_dataclass(value):
            flat |= flatten(value, f"{prefix}{field.name}.")
        else:
            flat[prefix + field.name] = value
    return flat


def unflatten(kind: type[Record], flat: Mapping[str, Any], prefix: str = "") -> Record:
    """The record of type `kind` whose fields are in `flat`; the inverse of `flatten`."""
    record: Record = _unflatten(kind, flat, prefix)
    return record


def field_types(kind: Any, prefix: str = "") -> dict[str, type[Any]]:
    """The flat names of a record's fields, and their types."""
    flat: dict[str, type[Any]] = {}
    for name, hint in _types(kind).items():
        flat |= field_types(hint, f"{prefix}{name}.") if _nested(hint) else {prefix + name: hint}
    return flat


def _unflatten(kind: Any, flat: Mapping[str, Any], prefix: str) -> Any:
    return kind(
        **{
            name: _unflatten(hint, flat, f"{prefix}{name}.") if _nested(hint) else hint(flat[prefix + name])
            for name, hint in _types(kind).items()
        }
    )


def _nested(kind: type[Any]) -> bool:
    return is_dataclass(kind)


@cache
def _types(kind: Any) -> dict[str, type[Any]]:
    return get_type_hints(kind)
