"""A folder that appears once it is whole, filled by several processes."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from limbeck.errors import InputError

Part = TypeVar("Part")
Done = TypeVar("Done")


def check_workers(workers: object) -> None:
    """Refuse what is no number of processes.

    Raises:
        InputError: it is none.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise InputError(f"workers must be a whole number from 1, not {workers!r}")


def in_processes(function: Callable[[Part], Done], parts: Sequence[Part], workers: int) -> Iterator[Done]:
    """`map(function, parts)`, in order, by several processes; the result is the same."""
    if workers == 1:
        yield from map(function, parts)
        return
    pool = ProcessPoolExecutor(workers, initializer=_leave_interrupts_to_the_parent)
    try:
        yield from pool.map(function, parts)
    finally:
        # Waited for, so that nobody writes into the folder while it is being removed.
        pool.shutdown(wait=True, cancel_futures=True)


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def check_free(target: Path) -> None:
    """Refuse a folder that holds something.

    Raises:
        InputError: it does, or it is a file or a link.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputError(f"{target} exists and is not a folder")
    if target.is_dir() and any(target.iterdir()):
        raise InputError(f"{target} is not empty; name a new folder")


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A folder beside the target that takes its place once the block has ended well, and else is removed."""
    whole = target.absolute()
    whole.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{whole.name}.", suffix=".tmp", dir=whole.parent))
    try:
        yield beside
        umask = os.umask(0)
        os.umask(umask)
        beside.chmod(0o777 & ~umask)
        check_free(target)  # it may have been filled meanwhile
        beside.replace(target)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
