"""Temporary files and folders, each held by a lock of the kernel: it ends with its owner, so that leftovers are known.

A process that is killed leaves what it was writing. Whether a temporary file is such a leftover, or somebody is just
writing it, neither its name nor its age can say; its lock (`flock`) can. Where the platform or the file system has no
such locks, leftovers stay.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from limbeck.errors import InputError

if sys.platform != "win32":
    import fcntl

_SUFFIX = ".tmp"


@contextmanager
def temporary_file(folder: Path, prefix: str) -> Iterator[tuple[int, Path]]:
    """A new file that is removed if the block fails; if it ends well, it must have been renamed.

    Args:
        folder: where.
        prefix: of its name, which ends in `.tmp`; leftovers of the same prefix are removed before.

    Yields:
        An open descriptor, which the block closes, and the path.

    Raises:
        OSError: the file cannot be made.
    """
    remove_leftovers(folder, prefix)
    descriptor, path = -1, Path()

    def make() -> tuple[int, Path]:
        nonlocal descriptor
        descriptor, name = tempfile.mkstemp(prefix=prefix, suffix=_SUFFIX, dir=folder)
        return (-1 if sys.platform == "win32" else os.dup(descriptor)), Path(name)

    lock, path = _held(make, lambda: os.close(descriptor))
    try:
        yield descriptor, path
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        _close(lock)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A folder beside the target that takes its place once the block has ended well, and else is removed.

    Raises:
        InputError: the target has been filled meanwhile.
        OSError: the folder cannot be made.
    """
    whole = target.absolute()
    whole.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{whole.name}."
    remove_leftovers(whole.parent, prefix)

    def make() -> tuple[int, Path]:
        path = Path(tempfile.mkdtemp(prefix=prefix, suffix=_SUFFIX, dir=whole.parent))
        return (-1 if sys.platform == "win32" else os.open(path, os.O_RDONLY)), path

    lock, beside = _held(make, lambda: None)
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
    finally:
        _close(lock)


def check_free(target: Path) -> None:
    """Refuse a folder that holds something.

    Raises:
        InputError: it does, or it is a file or a link.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputError(f"{target} exists and is not a folder")
    if target.is_dir() and any(target.iterdir()):
        raise InputError(f"{target} is not empty; name a new folder")


def remove_leftovers(folder: Path, prefix: str, infix: str = "") -> None:
    """Remove temporary files and folders whose owner is gone.

    Args:
        folder: that they lie in.
        prefix: with which their names begin.
        infix: what their names also hold.
    """
    if sys.platform == "win32":
        return
    with suppress(FileNotFoundError), os.scandir(folder) as listed:
        for entry in listed:
            if entry.name.startswith(prefix) and entry.name.endswith(_SUFFIX) and infix in entry.name:
                _remove_dead(Path(entry.path))


def _remove_dead(path: Path) -> None:
    folder = path.is_dir() and not path.is_symlink()
    if not folder and not path.is_file():
        return
    try:
        descriptor = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
    except OSError:
        return  # gone meanwhile, or somebody else's
    try:
        if _lock(descriptor):
            if folder:
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _held(make: Callable[[], tuple[int, Path]], undo: Callable[[], None]) -> tuple[int, Path]:
    """What `make` makes, locked: a descriptor of the lock and the path."""
    while True:
        lock, path = make()
        locked = _lock(lock)
        # Between its making and its locking another process may have taken it for a leftover.
        if locked is None or (locked and _is_still(path, lock)):
            return lock, path
        _close(lock)
        undo()


def _lock(descriptor: int) -> bool | None:
    """Whether a lock could be had, at once; None: there are no locks."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
