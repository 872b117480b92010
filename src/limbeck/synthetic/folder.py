"""A folder that a generator fills: by several processes, what it says of itself, how it differs from what was drawn."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from limbeck.errors import InputError
from limbeck.files import read_json
from limbeck.processes import process_pool
from limbeck.records import from_json, reading

Part = TypeVar("Part")
Done = TypeVar("Done")
Settings = TypeVar("Settings")
_MOST_WORKERS = 1024


def check_workers(workers: object) -> None:
    """Refuse what is no number of processes.

    Raises:
        InputError: it is none.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= _MOST_WORKERS:
        raise InputError(f"workers must be a whole number from 1 to {_MOST_WORKERS:,}, not {workers!r}")


def in_processes(function: Callable[[Part], Done], parts: Sequence[Part], workers: int) -> Generator[Done, None, None]:
    """`map(function, parts)`, in order, by several processes, which end when it is closed; the result is the same."""
    if min(workers, len(parts)) <= 1:
        yield from map(function, parts)
        return
    with process_pool(min(workers, len(parts)), initializer=_leave_interrupts_to_the_parent) as pool:
        yield from pool.map(function, parts)


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def described_settings(file: Path, kind: type[Settings], version: int) -> tuple[Settings, str]:
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
