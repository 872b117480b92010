"""Several processes that fill one folder."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from limbeck.errors import InputError
from limbeck.processes import process_pool

Part = TypeVar("Part")
Done = TypeVar("Done")
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
    if workers == 1:
        yield from map(function, parts)
        return
    with process_pool(workers, initializer=_leave_interrupts_to_the_parent) as pool:
        yield from pool.map(function, parts)


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
