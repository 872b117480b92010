"""MATLAB files of v5 to v7, looked through before scipy reads them: it takes kinds and numbers of parts on trust.

A part whose kind is none that there is makes scipy read beyond its own tables, and end the process. Behind 128 bytes of
heading come variables. A part is its kind and its length, 32 bits each, and its bytes, up to a multiple of 8; or, of at
most 4 bytes, kind and length in 16 bits each, and those. Kind 15 holds another part, packed; kind 14 is a matrix.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Callable, Container
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

_MATRIX, _PACKED = 14, 15  # kinds of parts
_NUMBERS = (1, 2, 3, 4, 5, 6, 7, 9, 12, 13)
_CHARACTERS = (1, 2, 3, 4, 16, 17, 18)
_NAMES = (1, 2, 16)
_CELLS, _STRUCT, _OBJECT, _TEXT, _SPARSE, _FUNCTION, _OPAQUE = 1, 2, 3, 4, 5, 16, 17  # classes of matrices
_NUMERIC = range(6, 16)
_COMPLEX = 0x800  # flag of a matrix
_MOST_DIMENSIONS = 32
_DEEPEST = 64  # matrices in one another
_AT_ONCE = 2**16  # bytes


def check_matlab(path: Path, unfolded: Callable[[int], None]) -> None:
    """Refuse a MATLAB file of v5 to v7 whose parts are not what scipy expects; of v4 nothing is looked at.

    Args:
        path: the file.
        unfolded: called with how many bytes the packed variables have had so far; it may refuse.

    Raises:
        ValueError: a part is of no kind that may stand there, longer than what holds it, or nested too deep.
        OSError: the file cannot be read.
        zlib.error: a packed part is damaged.
    """
    with path.open("rb") as stream:
        heading = stream.read(128)
        if len(heading) < 4 or 0 in heading[:4]:
            return
        orders: dict[bytes, Literal["little", "big"]] = {b"IM": "little", b"MI": "big"}
        order = orders.get(heading[126:])
        if order is None:
            raise ValueError("its heading does not say the order of bytes")
        size = path.stat().st_size
        total = 0

        def count(more: int) -> None:
            nonlocal total
            total += more
            unfolded(total)

        while stream.tell() < size:
            variable = _Walk(_Plain(stream), order)
            kind, length = variable.tag()
            end = stream.tell() + length
            if end > size:
                raise ValueError("a variable is longer than the file")
            if kind == _PACKED:
                variable = _Walk(_Unpacked(stream, length, count), order)
                kind, length = variable.tag()
            variable.matrix(kind, length)
            stream.seek(end)


class _Source(Protocol):
    """Bytes that are read once, from the first to the last."""

    def read(self, count: int) -> bytes: ...

    def skip(self, count: int) -> None: ...


class _Plain:
    """The bytes of a file."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream

    def read(self, count: int) -> bytes:
        found = self.stream.read(count)
        if len(found) < count:
            raise ValueError("the file is cut off")
        return found

    def skip(self, count: int) -> None:
        self.stream.seek(count, io.SEEK_CUR)


class _Unpacked:
    """What is packed in the next bytes of a stream; no more than a little of it is held."""

    def __init__(self, stream: BinaryIO, length: int, count: Callable[[int], None]) -> None:
        self.stream, self.left, self.count = stream, length, count
        self.unpack = zlib.decompressobj()
        self.held = b""

    def read(self, count: int) -> bytes:
        while len(self.held) < count:
            self.held += self._more()
        found, self.held = self.held[:count], self.held[count:]
        return found

    def skip(self, count: int) -> None:
        while count > len(self.held):
            count -= len(self.held)
            self.held = self._more()
        self.held = self.held[count:]

    def _more(self) -> bytes:
        part = self.unpack.unconsumed_tail
        if not part:
            part = self.stream.read(min(_AT_ONCE, self.left))
            self.left -= len(part)
        found = self.unpack.decompress(part, 16 * _AT_ONCE)
        if not part and not found:
            raise ValueError("a packed variable is cut off")
        self.count(len(found))
        return found


class _Within:
    """So many bytes of a source."""

    def __init__(self, source: _Source, length: int) -> None:
        self.source, self.left = source, length

    def read(self, count: int) -> bytes:
        self._take(count)
        return self.source.read(count)

    def skip(self, count: int) -> None:
        self._take(count)
        self.source.skip(count)

    def _take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise ValueError("a part is longer than what holds it")


class _Walk:
    """Goes from part to part of a source."""

    def __init__(self, source: _Source, order: Literal["little", "big"]) -> None:
        self.source, self.order = source, order

    def tag(self) -> tuple[int, int]:
        """Kind and length of a part that is not short."""
        kind, length = self._word(), self._word()
        return kind, length

    def matrix(self, kind: int, length: int, depth: int = 0) -> None:
        """Pass over a matrix whose tag was read."""
        if kind != _MATRIX:
            raise ValueError(f"a part of kind {kind} stands where a matrix is expected")
        if depth > _DEEPEST:
            raise ValueError(f"more than {_DEEPEST} cells or structs in one another")
        if length:
            inside = _Within(self.source, length)
            _Walk(inside, self.order)._content(depth)
            if depth and inside.left:  # scipy goes on where a nested one ends, and not where it says that it does
                raise ValueError("a cell is shorter than it says")

    def _content(self, depth: int) -> None:
        self.tag()
        flags = self._word()
        self._word()  # how many numbers a sparse one has room for
        kind = flags & 0xFF
        dimensions = [0]
        if kind != _OPAQUE:
            dimensions = self._integers()
            if not 2 <= len(dimensions) <= _MOST_DIMENSIONS or min(dimensions) < 0:
                raise ValueError(f"a matrix of dimensions {dimensions[:4]}")
        self._part(_NAMES, "a name")
        cells = math.prod(dimensions)
        values = 1 + bool(flags & _COMPLEX)
        if kind in _NUMERIC:
            self._parts(values, _NUMBERS, "numbers")
        elif kind == _TEXT:
            self._part(_CHARACTERS, "characters")
        elif kind == _SPARSE:
            self._parts(2 + values, _NUMBERS, "numbers")
        elif kind == _CELLS:
            self._matrices(cells, depth)
        elif kind in (_STRUCT, _OBJECT):
            if kind == _OBJECT:
                self._part(_NAMES, "the name of a class")
            (width,) = self._integers()[:1] or [0]
            names = self._part(_NAMES, "names of fields")
            if width < 1 or names % width:
                raise ValueError(f"names of fields of {width} characters in {names}")
            self._matrices(cells * (names // width), depth)
        elif kind == _FUNCTION:
            self._matrices(1, depth)
        elif kind == _OPAQUE:
            self._parts(2, _NAMES, "a name")
            self._matrices(1, depth)
        else:
            raise ValueError(f"a matrix of class {kind}")

    def _matrices(self, count: int, depth: int) -> None:
        for _ in range(count):  # each takes bytes, so that no number is too large to be tried
            kind, length = self.tag()
            self.matrix(kind, length, depth + 1)

    def _parts(self, count: int, kinds: Container[int], told: str) -> None:
        for _ in range(count):
            self._part(kinds, told)

    def _part(self, kinds: Container[int], told: str) -> int:
        """Pass over a part; how many bytes it has."""
        kind, length, room = self._begun()
        if kind not in kinds:
            raise ValueError(f"a part of kind {kind} stands where {told} should")
        self.source.skip(room)
        return length

    def _integers(self) -> list[int]:
        kind, length, room = self._begun()
        if kind not in (5, 6) or length > 4 * _MOST_DIMENSIONS:
            raise ValueError(f"a part of kind {kind} and {length} bytes stands where dimensions should")
        held = self.source.read(room)[:length]
        return [int.from_bytes(held[at : at + 4], self.order, signed=True) for at in range(0, length - 3, 4)]

    def _begun(self) -> tuple[int, int, int]:
        """Kind and length of a part that may be short, and the bytes that it takes behind its tag."""
        word = self._word()
        if word >> 16:
            kind, length = word & 0xFFFF, word >> 16
            if length > 4:
                raise ValueError(f"a short part of {length} bytes")
            return kind, length, 4
        length = self._word()
        return word, length, -(-length // 8) * 8

    def _word(self) -> int:
        return int.from_bytes(self.source.read(4), self.order)
