r"""Similarities between queries and a gallery, a few queries at a time, so that memory stays bounded.

How exact they are:

* float64: two similarities that a matrix product cannot tell apart are computed again, as if with 106 bits, and rounded
  once (`limbeck.retrieval.exact`), wherever their order matters. So the order is that of real arithmetic rounded to
  float64: it depends neither on `memory` nor on the number of threads, the library behind the product, or the device.
* float32: products are single. A similarity of d features is off by at most :math:`d\,2^{-23}`, times the lengths of
  both vectors for "dot", times the square of their sum (seen from the middle of the gallery) for "euclidean", and two
  items whose similarities differ by less than twice that may stand either way round. Equal vectors tie exactly, and
  vectors that nearly all point one way are compared in float64. float16 and bfloat16 become float32.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal, TypeVar, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.errors import InputError
from limbeck.jit import jit
from limbeck.retrieval.arrays import floating
from limbeck.retrieval.exact import exact_similarities

Vectors = TypeVar("Vectors", NDArray[np.floating], Tensor)
Similarity = Literal["cosine", "euclidean", "dot"]

# Bytes of similarities, and of what ranks them, held at once when nobody says otherwise.
MEMORY = 2**28

# Mean cosine from which single precision no longer tells directions apart: it resolves 1e-7 of what is left to 1.
_PARALLEL = 1 - 2.0**-8
# Binary exponents of magnitudes whose squares and their sums stay far from overflow and from underflow.
SAFE_EXPONENT = {np.dtype(np.float32): 40, np.dtype(np.float64): 400}


def check_similarity(kind: str) -> None:
    """Raise InputError unless this is the name of a similarity."""
    if kind not in get_args(Similarity):
        raise InputError(f"similarity must be one of {', '.join(get_args(Similarity))}, not {kind!r}")


def similarities(
    query: Vectors,
    gallery: Vectors,
    kind: Similarity = "cosine",
    *,
    memory: int = MEMORY,
) -> Iterator[tuple[slice, Vectors]]:
    r"""Yield (which queries, their similarities to the whole gallery), in order.

    Of vectors q and g: "dot" is :math:`q \cdot g`; "cosine" the same after division by the lengths, and 0 for a vector
    of length 0; "euclidean" is :math:`-\|q - g\|^2`. Where squares would overflow or vanish in the vectors' precision,
    all similarities by "dot" or "euclidean" are multiplied by one power of two.

    Args:
        query: (queries, features) real numbers.
        gallery: (gallery, features), on the same device.
        kind: "cosine", "euclidean" or "dot".
        memory: bytes that a yielded block may take; it holds one query at least. The next block overwrites it.

    Raises:
        InputError: there is no such kind, or the vectors do not fit together.
    """
    device = query.device if isinstance(query, Tensor) else None  # so that tensors give tensors
    return cast(Iterator[tuple[slice, Vectors]], Comparison(query, gallery, kind).blocks(memory, device))


class Comparison:
    """Queries and a gallery, prepared so that one matrix product gives all similarities.

    Vectors are divided by their length for "cosine"; for "euclidean" the middle of the gallery is taken off first, as
    products of what is common to all would drown the differences. Preparation is done once, on the CPU, so that every
    device multiplies the same numbers.

    Args:
        query: (queries, features) real numbers, an array or a tensor.
        gallery: (gallery, features).
        kind: "cosine", "euclidean" or "dot".

    Attributes:
        tolerance: (queries,) differences of two similarities of a query up to which their order is not certain, and
            `exact` decides; None in single precision, where it does not.

    Raises:
        InputError: there is no such kind, or the vectors do not fit together.
    """

    def __init__(
        self, query: NDArray[np.floating] | Tensor, gallery: NDArray[np.floating] | Tensor, kind: Similarity
    ) -> None:
        check_similarity(kind)
        asked, searched = floating(query, "query"), floating(gallery, "gallery")
        if asked.ndim != 2 or searched.ndim != 2 or asked.shape[1] != searched.shape[1]:
            raise InputError(
                f"query and gallery must be matrices of as many features, not {asked.shape} and {searched.shape}"
            )
        common = np.result_type(asked, searched)
        self.kind: Similarity = kind
        self._raw = asked, searched
        self._factors = 1.0, 1.0
        if kind == "cosine":
            left = unit(asked.astype(common, copy=False))
            # All items among all: held once.
            right = left if searched is asked else unit(searched.astype(common, copy=False))
            if common == np.float32 and _mean_cosine(left, right) > _PARALLEL:
                left, right = unit(asked.astype(np.float64)), unit(searched.astype(np.float64))
            length = np.ones(len(left)), 1.0
        else:
            exponents = [safe_exponent(vectors, SAFE_EXPONENT[common]) for vectors in self._raw]
            if kind == "euclidean":
                exponents = [max(exponents, key=abs)] * 2
            self._factors = 2.0 ** -exponents[0], 2.0 ** -exponents[1]
            middle = middle_of(searched) if kind == "euclidean" else np.zeros(searched.shape[1])
            left, right = (
                _moved(vectors, middle, factor, common)
                for vectors, factor in zip(self._raw, self._factors, strict=True)
            )
            squares = _squares(left), _squares(right)
            length = np.sqrt(squares[0]), float(np.sqrt(squares[1].max(initial=0)))
            if kind == "euclidean":
                # -|q - g|^2 = 2 q.g - |g|^2 - |q|^2 as one product: two more columns.
                left *= 2
                left = np.column_stack([left, np.full_like(squares[0], -1, common), -squares[0].astype(common)])
                right = np.column_stack([right, squares[1].astype(common), np.ones_like(squares[1], common)])
        self.dtype = left.dtype
        self.tolerance: NDArray[np.float64] | None = None
        self._expand: NDArray[np.int64] | None = None
        if self.dtype == np.float64:
            # Twice the bound of one similarity's error: d products and sums, and the rounding of what went in.
            scale = (length[0] + length[1]) ** 2 if kind == "euclidean" else length[0] * length[1]
            self.tolerance = (4 * asked.shape[1] + 32) * 2.0**-53 * scale
        else:
            right, self._expand = _distinct(right)
        self._left, self._right = left, right

    def blocks(
        self, memory: int, device: torch.device | None = None
    ) -> Iterator[tuple[slice, NDArray[np.floating] | Tensor]]:
        """Yield (which queries, their similarities to the whole gallery), in order, as tensors where a device is named.

        Args:
            memory: bytes that a block and what it is made from may take; it holds one query at least. The next block
                overwrites it.
            device: where to multiply; None: NumPy.
        """
        size = len(self._raw[1])
        width = len(self._right) + (0 if self._expand is None else size)
        step = max(1, memory // max(width * self.dtype.itemsize, 1))
        step = min(step, max(len(self._left), 1))
        if device is None:
            yield from self._array_blocks(step)
            return
        left, right = (torch.from_numpy(side).to(device) for side in (self._left, self._right))
        expand = None if self._expand is None else torch.from_numpy(self._expand).to(device)
        # One block of memory serves all parts, and two never stand beside one another.
        product = torch.empty((step, len(right)), dtype=left.dtype, device=device)
        whole = None if expand is None else torch.empty((step, size), dtype=left.dtype, device=device)
        for part in parts_of(len(left), step):
            rows = part.stop - part.start
            found = torch.mm(left[part], right.T, out=product[:rows])
            if expand is not None and whole is not None:
                found = torch.index_select(found, 1, expand, out=whole[:rows])
            yield part, found

    def exact(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """(rows, gallery) similarities of some queries, computed as if with 106 bits and rounded once."""
        return exact_similarities(self._raw[0][rows], self._raw[1], self.kind, self._factors)

    def first(
        self, row: int, scores: NDArray[np.floating], among: NDArray[np.int64], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
        """Positions and similarities of a query's k nearest among some items, nearest first; of equals the first.

        Args:
            row: of the query.
            scores: (gallery,) its row of a block.
            among: positions in the gallery, ascending.
            k: how many, at most.
        """
        chosen = among[highest(scores[among], k)]
        if self.tolerance is None or not len(chosen):
            return chosen, scores[chosen]
        near = among[scores[among] >= scores[chosen[-1]] - self.tolerance[row]]
        if len(near) == len(chosen) and (np.diff(scores[chosen]) < -self.tolerance[row]).all():
            return chosen, scores[chosen]
        exact = exact_similarities(self._raw[0][row : row + 1], self._raw[1][near], self.kind, self._factors)[0]
        order = highest(exact, k)
        return near[order], exact[order]

    def _array_blocks(self, step: int) -> Iterator[tuple[slice, NDArray[np.floating]]]:
        transposed = self._right.T
        product = np.empty((step, len(self._right)), self.dtype)
        whole = None if self._expand is None else np.empty((step, len(self._expand)), self.dtype)
        for part in parts_of(len(self._left), step):
            rows = part.stop - part.start
            found = np.matmul(self._left[part], transposed, out=product[:rows])
            if self._expand is not None and whole is not None:
                # "clip" writes straight into `out`; every index is in range.
                found = np.take(found, self._expand, axis=1, out=whole[:rows], mode="clip")
            yield part, found


class Given(Comparison):
    """Similarities that were computed elsewhere, in the place of a `Comparison`; they are taken as they are.

    Args:
        matrix: (queries, gallery), larger is nearer.
        rows: of the queries that are asked.
        columns: of what they search.
    """

    def __init__(self, matrix: NDArray[np.floating], rows: NDArray[np.int64], columns: NDArray[np.int64]) -> None:
        self.dtype = matrix.dtype
        self.tolerance = None
        self._matrix, self._rows, self._columns = matrix, rows, columns

    def blocks(
        self, memory: int, device: torch.device | None = None
    ) -> Iterator[tuple[slice, NDArray[np.floating] | Tensor]]:
        """As `Comparison.blocks`."""
        step = max(1, memory // max(len(self._columns) * self.dtype.itemsize, 1))
        for part in parts_of(len(self._rows), step):
            # "take" is quicker than an index of both, and copies, as what ranks may write into its block.
            block = np.take(self._matrix[self._rows[part]], self._columns, axis=1)
            yield part, block if device is None else torch.from_numpy(block).to(device)

    def exact(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """As `Comparison.exact`: what was given."""
        return np.take(self._matrix[self._rows[rows]], self._columns, axis=1).astype(np.float64)


def unit(vectors: NDArray[np.floating]) -> NDArray[np.floating]:
    """Vectors (items, features) divided by their Euclidean length; zero vectors stay zero.

    Each is first multiplied by a power of two near the inverse of its largest magnitude, which is exact, so that
    squares neither overflow nor vanish.
    """
    held = floating(vectors, "vectors")
    result = np.empty(held.shape, held.dtype)
    unit_rows(held, result)
    return result


def distance_vectors(vectors: NDArray[np.floating], kind: Similarity) -> NDArray[np.floating]:
    """Vectors whose Euclidean distances stand for a similarity: of length 1 for "cosine", moved for "euclidean".

    What is moved are all by the same, so that what they have in common costs no digits, and multiplied by a power of
    two where their squares would overflow or vanish in float32.
    """
    if kind == "cosine":
        return unit(vectors)
    moved = _moved(vectors, middle_of(vectors), 1.0, np.dtype(np.float64))
    return moved * 2.0 ** -safe_exponent(moved, SAFE_EXPONENT[np.dtype(np.float32)])


def highest(scores: NDArray[np.floating], k: int) -> NDArray[np.int64]:
    """Positions of the k highest of a row of scores (all, where it is shorter), highest first; of equals the first."""
    candidates = np.arange(len(scores))
    if k < len(scores):
        # Everything as high as the k-th, so that equals at the edge are chosen by position and not by chance.
        edge = np.partition(scores, len(scores) - k)[len(scores) - k]
        candidates = np.flatnonzero(scores >= edge)
    return candidates[np.argsort(-scores[candidates], kind="stable")][:k]


def parts_of(size: int, step: int) -> Iterator[slice]:
    for start in range(0, size, step):
        yield slice(start, min(start + step, size))


def safe_exponent(vectors: NDArray[np.floating], safe: int) -> int:
    """The binary exponent of the largest magnitude, or 0 where its squares are safe."""
    if not vectors.size:
        return 0
    exponent = int(np.frexp(np.float64(max(vectors.max(), -vectors.min())))[1])
    # No further than powers of two go whose inverse is a float64 too.
    return min(max(exponent, -1022), 1022) if abs(exponent) > safe else 0


def _mean_cosine(left: NDArray[np.floating], right: NDArray[np.floating]) -> float:
    """Of all vectors of length 1, with one another."""
    middle = (left.sum(axis=0, dtype=np.float64) + right.sum(axis=0, dtype=np.float64)) / (len(left) + len(right))
    return float(middle @ middle)


def middle_of(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Something near the middle of the vectors, (features,), and 0 where that is near.

    A multiple of a power of two as large as their spread. Differences to it keep the few bits that whole numbers, or
    +1 and -1, have, so that their ties stay ties.
    """
    if not len(vectors):
        return np.zeros(vectors.shape[1])
    low, high = vectors.min(axis=0).astype(np.float64), vectors.max(axis=0).astype(np.float64)
    spread = high / 2 - low / 2
    grid = np.ldexp(1.0, np.minimum(np.frexp(spread)[1], 1023))
    middle: NDArray[np.float64] = np.where(spread > 0, np.round((low / 2 + high / 2) / grid) * grid, low)
    return middle


def _moved(
    vectors: NDArray[np.floating], middle: NDArray[np.float64], factor: float, kind: np.dtype[Any]
) -> NDArray[np.floating]:
    """(vectors - middle) * factor, contiguous and of this kind."""
    result = np.empty(vectors.shape, kind)
    move_rows(vectors, middle, factor, result)
    return result


def _squares(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    result = np.empty(len(vectors))
    square_rows(vectors, result)
    return result


def _distinct(vectors: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.int64] | None]:
    """The different rows, and which of them each row is; None where no two are equal."""
    keys = np.empty(len(vectors), np.uint64)
    _hash_rows(vectors.view(np.uint32), keys)
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    if len(first) == len(vectors):
        return vectors, None
    if not _rows_equal(vectors, first[which]):  # two rows share a key by chance
        _, first, which = np.unique(vectors, axis=0, return_index=True, return_inverse=True)
    return vectors[first], which.astype(np.int64)


@jit
def unit_rows(vectors: NDArray[np.floating], result: NDArray[np.floating]) -> None:
    for row in range(len(vectors)):
        largest = 0.0
        for value in vectors[row]:
            largest = max(largest, abs(np.float64(value)))
        factor = 2.0 ** min(float(-math.frexp(largest)[1]), 1000.0)
        square = 0.0
        for value in vectors[row]:
            scaled = np.float64(value) * factor
            square += scaled * scaled
        length = np.sqrt(square) if square > 0 else 1.0
        for column in range(vectors.shape[1]):
            # Adding 0 gives -0 the bits of 0.
            result[row, column] = np.float64(vectors[row, column]) * factor / length + 0.0


@jit
def move_rows(
    vectors: NDArray[np.floating], middle: NDArray[np.float64], factor: float, result: NDArray[np.floating]
) -> None:
    for row in range(len(vectors)):
        for column in range(vectors.shape[1]):
            result[row, column] = (np.float64(vectors[row, column]) - middle[column]) * factor + 0.0


@jit
def square_rows(vectors: NDArray[np.floating], result: NDArray[np.float64]) -> None:
    for row in range(len(vectors)):
        total = 0.0
        for value in vectors[row]:
            total += np.float64(value) * np.float64(value)
        result[row] = total


@jit
def _hash_rows(bits: NDArray[np.uint32], keys: NDArray[np.uint64]) -> None:
    for row in range(len(bits)):
        key = np.uint64(14695981039346656037)
        for value in bits[row]:
            key = (key ^ np.uint64(value)) * np.uint64(1099511628211)
            key ^= key >> np.uint64(29)
        keys[row] = key


@jit
def _rows_equal(vectors: NDArray[np.floating], others: NDArray[np.int64]) -> bool:
    """Whether each row equals that of its number in `others`."""
    for row in range(len(vectors)):
        for column in range(vectors.shape[1]):
            if vectors[row, column] != vectors[others[row], column]:
                return False
    return True
