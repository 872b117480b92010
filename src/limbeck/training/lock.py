"""One training a folder: a second one, which would write the same files, is refused."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from limbeck.errors import InputError

if sys.platform != "win32":
    import fcntl

LOCK = ".lock"
_held: set[int] = set()  # descriptors


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the folder of a run for this process alone, as long as the block lasts.

    The lock is the kernel's: `flock` on the file `.lock` in the folder. It ends with the process, also where that is
    killed; a file left behind holds nobody up. Where the platform or the file system has no `flock` nothing is locked,
    without a word, and a second training goes unnoticed.

    Args:
        folder: of the run; made when absent.

    Raises:
        InputError: a training is under way there.
        OSError: the folder cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":
        yield
        return
    descriptor = _locked(folder / LOCK)
    _held.add(descriptor)
    try:
        yield
    finally:
        if descriptor in _held:  # not in a fork
            _held.remove(descriptor)
            (folder / LOCK).unlink(missing_ok=True)  # while it is held, so that it is nobody else's
            os.close(descriptor)


def _locked(path: Path) -> int:
    """The descriptor of a lock file, locked; to close it is to let go."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(descriptor, path.parent)
            # The holder before may have removed the file after it was opened here.
            if _is_still(path, descriptor):
                os.truncate(descriptor, 0)
                os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 200).decode(errors="replace") or "another process"
        raise InputError(
            f"{folder}: {holder} is training in this folder; wait for its end or use another folder"
        ) from None
    except OSError:
        pass  # this file system has no such locks


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _let_go() -> None:
    """In a fork: a process that loads data would hold the lock of a killed training until it ends too."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
