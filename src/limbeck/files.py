"""Files: written so that a crash, a full disk or Ctrl-C costs nothing that stood there; read without unpickling."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.temporaries import temporary_file

UNFOLDED = 2**30
"""Bytes that the content of a file may take in memory however small the file is: what a laptop can spare. A larger file
may take 32 times its size: matrices of counts with 95 in 100 zeros are packed to a twelfth, real numbers hardly at all,
what deflate can pack to a thousandth holds nothing."""
LONGEST_LINE = 2**22
"""Characters of a line of a table: some 300,000 numbers. A cell takes thirty times its characters while it is read."""
HEADER_ERRORS = (ValueError, TypeError, IndexError, OverflowError, SyntaxError, RecursionError, TokenError)
"""What NumPy raises of the header of an array, which it reads as a Python literal."""
DAMAGED_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    *HEADER_ERRORS,
    struct.error,
)
"""What zipfile raises of archives that are damaged, packed in a way that it does not know, or locked by a password."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) if hasattr(errno, "EDQUOT") else (errno.ENOSPC, errno.EFBIG)
_TIMES = 32  # see UNFOLDED
_PART = 2**24  # bytes read at once
_DENSE = "keep what is needed of it, and save that unpacked and dense (numpy.savez)"
MODEL = "model.safetensors"  # of a run folder, whatever was trained


@contextmanager
def atomic_writer(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a binary file that takes the place of `path` only once the block has ended well.

    The bytes go to a temporary file in the same folder (made when absent), which is flushed to disk and then renamed
    over `path`, or over the file that it links to. If anything fails on the way, `path` keeps what it held before and
    the temporary file is removed. What is no file, such as `/dev/null` or a pipe, keeps its place: the bytes go there
    one after the other.

    Raises:
        InputError: `path` is a disk, a socket, or a pipe that nobody reads.
        OSError: the folder cannot be made, or the disk is full; `path` is untouched.
    """
    if (mode := _special(path)) is not None:
        with _written_through(path, mode) as stream:
            yield stream
        return
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    with temporary_file(target.parent, f".{target.name}.") as (descriptor, temporary):
        with _named(path), os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
    _flush_folder(target.parent)


def _special(path: str | os.PathLike[str]) -> int | None:
    """The mode of what is neither a file nor a folder; None of these, and where there is nothing."""
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        return None
    return None if _plain(mode) else mode


def _plain(mode: int) -> bool:
    """Whether it is that of a file or a folder."""
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


@contextmanager
def _written_through(path: str | os.PathLike[str], mode: int) -> Iterator[BinaryIO]:
    """A terminal, a device or a pipe, open for writing."""
    if not (stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)):
        raise InputError(f"{path}: neither a file nor a pipe; name a file")
    try:
        # Without O_NONBLOCK a pipe that nobody reads would be waited for.
        descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise InputError(f"{path}: a pipe that nobody reads; begin reading it, or name a file") from None
        raise
    os.set_blocking(descriptor, True)
    with _named(path), io.BufferedWriter(_OneWay(descriptor, "w")) as stream:
        yield stream


class _OneWay(io.FileIO):
    """Without places to go back to: /dev/null has one, at 0, wherever one is."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise io.UnsupportedOperation("tell")

    def seek(self, offset: int, whence: int = 0, /) -> int:
        raise io.UnsupportedOperation("seek")


@contextmanager
def _named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Inside the block a disk that is full is said to be so with the file that was being written."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in _FULL:
            error.filename = str(path)
        raise


def _flush_folder(folder: Path) -> None:
    """Make a rename in `folder` durable, where the platform lets a folder be opened."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_writer(path) as stream:
        stream.write(text.encode())


def read_text(path: Path, *, encoding: str = "utf-8") -> str:
    """The content of a text file.

    Raises:
        InputError: it cannot be read, or is of another encoding.
    """
    try:
        check_regular(path)
        return path.read_text(encoding=encoding)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or f"not a text in {encoding.upper()}: save it as that"
        raise InputError(f"{path}: cannot be read ({reason})") from None


def check_regular(path: Path) -> None:
    """Refuse pipes, sockets and devices, which would be waited for without end.

    Raises:
        InputError: it is one.
        OSError: there is no such file.
    """
    if not _plain(path.stat().st_mode):
        raise InputError(f"{path}: is a pipe or a device, not a file; remove it, or put the file in its place")


def resolved(path: str | os.PathLike[str]) -> Path:
    """The absolute path that links lead to, with the home folder for `~`.

    Raises:
        InputError: the links lead round in a circle, there is no such home, or no file may be called so.
    """
    try:
        return Path(path).expanduser().resolve()
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{path}: cannot be found ({first_line(error)})") from None


def read_json(path: Path) -> Any:
    """What a JSON file holds, for callers who say what it is and what to do where it is damaged.

    Raises:
        ValueError: it is no JSON in UTF-8, or nested too deep.
        OSError: it cannot be read.
    """
    check_regular(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("its lists are nested too deep") from None


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN and infinity are refused: they are not JSON."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def safe_name(name: str) -> str:
    """A name as a part of file names: what is neither a letter of ASCII, a digit nor one of `._-` becomes `_`."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)


def check_unfolded(size: int, path: Path, remedy: str = _DENSE) -> None:
    """Refuse to hold far more in memory than a file is large: a few bytes may say that they stand for a terabyte.

    Args:
        size: bytes that would be held.
        path: of the file that they come from.
        remedy: what to do instead.

    Raises:
        InputError: they are more than 1 GiB and more than 32 times the file, see `UNFOLDED`.
    """
    most = max(UNFOLDED, _TIMES * path.stat().st_size)
    if size > most:
        raise InputError(
            f"{path}: would take {size / 2**20:,.0f} MiB of memory, more than the {most / 2**20:,.0f} that a file "
            f"of its size may; {remedy}"
        )


def bounded_lines(stream: IO[str], path: Path) -> Iterator[str]:
    """The lines of a text file, as iterating over it gives them.

    Raises:
        InputError: a line has more than `LONGEST_LINE` characters.
    """
    while line := stream.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise InputError(f"{path}: has a line of more than {LONGEST_LINE:,} characters; no table has")
        yield line


def is_number(word: str) -> bool:
    """Whether a word is a whole number in ASCII digits that fits int64; `str.isdigit` also takes superscripts."""
    return re.fullmatch(r"[0-9]{1,18}", word) is not None


class Arrays(Mapping[str, NDArray[Any]]):
    """The arrays of an NPZ file by name: each is read when it is asked for, once, whole, checked against the file's own
    checksum, and never unpickled.

    Args:
        path: of the file.
        hint: is added to the message where it is absent.

    Raises:
        InputError: the file is absent or no NPZ; and where an array is asked for: it is damaged, holds pickled objects,
            or all those asked for are more than `check_unfolded` lets pass.
    """

    def __init__(self, path: str | os.PathLike[str], *, hint: str = "") -> None:
        self._path, self._wanted = Path(path), f"not an NPZ file; give the path of an NPZ file{hint}"
        if self._path.is_dir():
            raise InputError(f"{self._path}: this is a folder; give an NPZ file in it")
        if not self._path.exists():
            raise InputError(f"{self._path}: no such file; give the path of an NPZ file{hint}")
        check_regular(self._path)
        with self._damage():
            self._archive = zipfile.ZipFile(self._path)
        self._members = {info.filename.removesuffix(".npy"): info for info in self._archive.infolist()}
        if self._members and not any(info.filename.endswith(".npy") for info in self._members.values()):
            raise InputError(f"{self._path}: is {described_kind(file_kind(self._path))}, {self._wanted}")
        self._read: dict[str, NDArray[Any]] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._read:
            info = self._members[name]
            check_unfolded(info.file_size + sum(array.nbytes for array in self._read.values()), self._path)
            with self._damage(), self._archive.open(info) as stream:
                self._read[name] = _read_member(stream, info.file_size, f"{self._path}: {info.filename}")
        return self._read[name]

    @contextmanager
    def _damage(self) -> Iterator[None]:
        path, wanted = self._path, self._wanted
        try:
            yield
        except InputError:
            raise
        except zipfile.BadZipFile as error:
            if (kind := file_kind(path)) not in ("NPZ", "ZIP", "unknown"):
                raise InputError(f"{path}: is {described_kind(kind)}, {wanted}") from error
            told = f"{path}: not an NPZ file, or a damaged or cut-off one ({error}); fetch it again"
            raise InputError(told) from error
        except (*DAMAGED_ZIP, KeyError) as error:
            if (kind := file_kind(path)) not in ("NPZ", "unknown"):
                raise InputError(f"{path}: is {described_kind(kind)}, {wanted}") from error
            raise InputError(f"{path}: damaged or cut off ({first_line(error)}); fetch it again") from error
        except MemoryError as error:
            raise InputError(
                f"{path}: an array is too large for this machine's memory, or its header is damaged"
            ) from error
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def file_kind(path: str | os.PathLike[str]) -> str:
    """What a file holds by its first bytes, whatever its ending says.

    Returns:
        "NPZ", "ZIP", "NPY", "PyTorch", "MATLAB", "HDF5", "safetensors", "text", "empty" or "unknown". A pickle is
        "PyTorch", which is read without unpickling or refused; a MATLAB v4 file, which begins with nothing of its own,
        is "unknown".

    Raises:
        InputError: there is no such file, it is a folder, or it cannot be read.
    """
    file = Path(path)
    if file.is_dir():
        raise InputError(f"{file}: this is a folder; give a file in it")
    if not file.exists():
        raise InputError(f"{file}: no such file")
    check_regular(file)
    try:
        with file.open("rb") as stream:
            head = stream.read(4096)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or error})") from error
    for magic, kind in _MAGIC:
        if head.startswith(magic) or (kind == "HDF5" and head[512:].startswith(magic)):  # MATLAB puts it behind its own
            return _zip_kind(file) if kind == "ZIP" else kind
    if head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= 2**27:
        return "safetensors"
    if not head:
        return "empty"
    if b"\0" in head:
        return "unknown"
    try:
        head[: len(head) - 4 if len(head) == 4096 else None].decode("utf-8")  # a letter may be cut at the end
    except UnicodeDecodeError as error:
        return "text" if error.start >= len(head) - 8 and len(head) == 4096 else "unknown"
    return "text"


_MAGIC = (
    (b"PK\x03\x04", "ZIP"),
    (b"PK\x05\x06", "ZIP"),
    (b"\x93NUMPY", "NPY"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"MATLAB 7.3", "HDF5"),
    (b"MATLAB ", "MATLAB"),
    (b"\x80\x02", "PyTorch"),
    (b"\x80\x03", "PyTorch"),
    (b"\x80\x04", "PyTorch"),
    (b"\x80\x05", "PyTorch"),
)


def _zip_kind(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
    except (OSError, *DAMAGED_ZIP):
        # Cut off, so that its table is lost: the first member's name is left.
        with path.open("rb") as stream:
            return "NPZ" if b".npy" in stream.read(300) else "ZIP"
    if any(name.rpartition("/")[2] == "data.pkl" for name in members):
        return "PyTorch"
    return "NPZ" if not members or all(name.endswith(".npy") for name in members) else "ZIP"


def described_kind(kind: str) -> str:
    """What `file_kind` says, as words of a sentence."""
    return {
        "text": "a text file (CSV?)",
        "empty": "empty",
        "NPY": "a single NPY array",
        "PyTorch": "a PyTorch file (or a pickle)",
    }.get(kind, f"a{'n' if kind[0] in 'HN' else ''} {kind} file")


def array_names(path: str | os.PathLike[str]) -> set[str]:
    """Names of the arrays of an NPZ file, without reading them; none where `Arrays` would say what is wrong."""
    try:
        check_regular(Path(path))
        with zipfile.ZipFile(path) as archive:
            return {member.removesuffix(".npy") for member in archive.namelist()}
    except (OSError, *DAMAGED_ZIP):
        return set()


def _read_member(stream: IO[bytes], size: int, origin: str) -> NDArray[Any]:
    """One NPY from a zip member; reading on to the end makes zipfile compare the checksum."""
    version = np.lib.format.read_magic(stream)
    if version not in {(1, 0), (2, 0)}:
        raise InputError(f"{origin} has NPY version {version[0]}.{version[1]}; save it with plain numeric arrays")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise InputError(f"{origin} holds pickled objects, which are never read; save it as plain numbers or strings")
    count = int(np.prod(shape, dtype=object))
    # The member's own length is known before anything is allocated, so that a header that lies about the shape costs
    # nothing; a part at a time, so that an array is held once.
    raw = bytearray()
    if count * dtype.itemsize <= size:
        raw = bytearray(count * dtype.itemsize)
        view, place = memoryview(raw), 0
        while place < len(raw) and (part := stream.read(min(_PART, len(raw) - place))):
            view[place : place + len(part)] = part
            place += len(part)
        view.release()
        raw = raw if place == len(raw) else bytearray()
    if len(raw) != count * dtype.itemsize or stream.read(1):
        raise InputError(f"{origin} is damaged: its length is not what its header says; fetch the file again")
    if not dtype.itemsize and count > size:  # strings without a letter: no byte says how many there are
        raise InputError(f"{origin} holds {count} strings without a letter; leave it out")
    array = np.frombuffer(raw, dtype=dtype) if dtype.itemsize else np.empty(count, dtype)
    return array.reshape(shape, order="F" if fortran else "C")


def first_line(error: BaseException) -> str:
    """What an exception says, in one line."""
    return (str(error) or type(error).__name__).splitlines()[0]
