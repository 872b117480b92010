"""Results of a study, stored with what made them: a study goes on where it stopped, and mixes in nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import limbeck
from limbeck.errors import InputError
from limbeck.files import read_json, write_json
from limbeck.records import from_json, reading

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Result = TypeVar("Result", bound="DataclassInstance")
_MADE_BY = "made_by"


def read_stored(kind: type[Result], file: Path, made_by: Mapping[str, Any], remedy: str) -> Result | None:
    """What `write_stored` wrote; None where there is no file.

    Args:
        kind: a dataclass.
        file: to read.
        made_by: settings and data that decide the result.
        remedy: what to do about a damaged file, such as "remove it to run the row again".

    Raises:
        InputError: the file is damaged, or its result was made by other settings, data or another version of limbeck.
    """
    if not file.is_file():
        return None
    with reading(file, remedy):
        held = from_json(dict[str, Any], read_json(file))
        of_then = held.pop(_MADE_BY)
        found = from_json(kind, held)
    if of_then != _with_version(made_by):
        raise InputError(
            f"{file}: was made by other settings or data, or another version of limbeck; name another folder with --out"
        )
    return found


def write_stored(file: Path, made_by: Mapping[str, Any], result: DataclassInstance) -> None:
    """Write a result for `read_stored`.

    Args:
        file: to write.
        made_by: settings and data that decide the result, as JSON can hold them.
        result: a dataclass whose fields JSON can hold.

    Raises:
        OSError: the file cannot be written.
    """
    write_json(file, {_MADE_BY: _with_version(made_by), **asdict(result)})


def _with_version(made_by: Mapping[str, Any]) -> Any:
    """As JSON gives it back."""
    return json.loads(json.dumps({**made_by, "limbeck": limbeck.__version__}))
