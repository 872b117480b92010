"""A folder that a generator wrote: what it says of itself, and how it differs from what was drawn into it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from limbeck.errors import InputError
from limbeck.files import read_json
from limbeck.records import from_json, reading

Settings = TypeVar("Settings")


def read_description(file: Path, kind: type[Settings], version: int) -> tuple[Settings, str]:
    """The settings and the layout that a folder was made with.

    Args:
        file: that describes it.
        kind: of the settings.
        version: of the generator and its files.

    Raises:
        InputError: the description cannot be read, is damaged, or is of another format.
    """
    with reading(file, "make the folder again"):
        held = from_json(dict[str, Any], read_json(file))
        made = held["format"]
        layout, settings = from_json(str, held["layout"], "layout"), from_json(dict[str, Any], held["settings"])
    if made != version:
        raise InputError(f"{file}: format {made!r} is not this version's {version}; make the folder again")
    with reading(file, "make the folder again"):
        return from_json(kind, settings), layout


def differences(folder: Path, whose: Mapping[str, str]) -> list[str]:
    """What is missing from, or was added to, a folder: a line each. Names that begin with a point are passed over.

    Args:
        folder: to compare.
        whose: path in it of every file that was drawn -> what it shows, such as "identity 3, camera 1"; "" for a table.
    """
    there = {
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*")
        if file.is_file() and not file.relative_to(folder).parts[0].startswith(".")
    }
    missing = [
        f"{shown}: {path} is missing" if (shown := whose[path]) else f"{path} is missing"
        for path in sorted(whose.keys() - there)
    ]
    return missing + [f"{path} was not drawn" for path in sorted(there - whose.keys())]
