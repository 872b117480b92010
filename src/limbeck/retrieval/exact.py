"""Similarities as if computed with 106 bits and rounded once: what decides where float64 products do not.

Products and sums keep what rounding cuts off in a second number, without error (Dekker 1971; Knuth 1969): the result is
the real number rounded to float64, unless that lies within :math:`d^2 2^{-106}` times the lengths of a place where
rounding changes, d being the number of features (Ogita, Rump and Oishi 2005). Around 0, where products cancel one
another, it is rounded to multiples of about :math:`2^{-90}` times the lengths, so that vectors at a right angle tie.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from limbeck.cores import default_threads
from limbeck.jit import jit

# Items of the gallery that are compared at once, so that they and their sums stay in the cache.
_TILE = 64
# Multiplying by this and taking the difference leaves the upper half of a number's bits.
_SPLITTER = 2.0**27 + 1
# Added to a number below 1 and taken off again, this leaves a multiple of 2**-90, or the number where it is greater.
_COARSE = 1.5 * 2.0 ** (52 - 90)


def exact_similarities(
    query: NDArray[np.floating], gallery: NDArray[np.floating], kind: str, factors: tuple[float, float] = (1.0, 1.0)
) -> NDArray[np.float64]:
    r"""(queries, gallery) similarities, rounded once.

    Of vectors q and g: "dot" is :math:`q \cdot g`, "cosine" that over both lengths (0 where one is 0), "euclidean"
    :math:`-\|q - g\|^2`.

    Args:
        query: (queries, features).
        gallery: (gallery, features).
        kind: "cosine", "euclidean" or "dot".
        factors: powers of two that queries and gallery are multiplied by first; "cosine" does not depend on them.
    """
    left, right = np.ascontiguousarray(query, np.float64), np.ascontiguousarray(gallery, np.float64)
    shifts = (
        (_shifts(left), _shifts(right))
        if kind == "cosine"
        else tuple(np.full(len(side), factor) for side, factor in zip((left, right), factors, strict=True))
    )
    lengths = _lengths(left, shifts[0]), _lengths(right, shifts[1])
    size = np.ones(len(left)) if kind == "cosine" else lengths[0][0] * lengths[1][0].max(initial=0)
    coarse = _COARSE * np.ldexp(1.0, np.frexp(size)[1])
    result = np.empty((len(left), len(right)))

    def work(part: slice) -> None:
        _tiles(
            left,
            shifts[0],
            right[part],
            shifts[1][part],
            *lengths[0],
            lengths[1][0][part],
            lengths[1][1][part],
            ("dot", "cosine", "euclidean").index(kind),
            coarse,
            result[:, part],
        )

    threads = min(default_threads(), max(1, len(right) // _TILE))
    bounds = np.linspace(0, len(right), threads + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, [slice(a, b) for a, b in itertools.pairwise(bounds)]))
    return result


def _shifts(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """The power of two that brings each vector's largest magnitude near 1."""
    largest = np.abs(vectors).max(axis=1, initial=0)
    shifts: NDArray[np.float64] = np.ldexp(1.0, np.minimum(-np.frexp(largest)[1], 1000))
    return shifts


def _lengths(
    vectors: NDArray[np.float64], shifts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The Euclidean length of every shifted vector, in two parts."""
    high, low = np.empty(len(vectors)), np.empty(len(vectors))
    _length_rows(vectors, shifts, high, low)
    return high, low


@jit
def _split(value: float) -> tuple[float, float]:
    """Two numbers of 26 bits that add up to this one."""
    wide = value * _SPLITTER
    high = wide - (wide - value)
    return high, value - high


@jit
def _product(a: float, b: float) -> tuple[float, float]:
    """a * b, and what rounding cut off."""
    product = a * b
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


@jit
def _length_rows(
    vectors: NDArray[np.float64], shifts: NDArray[np.float64], high: NDArray[np.float64], low: NDArray[np.float64]
) -> None:
    for row in range(len(vectors)):
        total, rest = 0.0, 0.0
        for value in vectors[row]:
            square, cut = _product(value * shifts[row], value * shifts[row])
            added = total + square
            back = added - total
            rest += ((total - (added - back)) + (square - back)) + cut
            total = added
        root = np.sqrt(total + rest)
        high[row], low[row] = root, 0.0
        if root > 0:
            square, cut = _product(root, root)
            low[row] = ((total - square) - cut + rest) / (2 * root)


@jit
def _tiles(
    query: NDArray[np.float64],
    query_shift: NDArray[np.float64],
    gallery: NDArray[np.float64],
    gallery_shift: NDArray[np.float64],
    query_length: NDArray[np.float64],
    query_length_rest: NDArray[np.float64],
    gallery_length: NDArray[np.float64],
    gallery_length_rest: NDArray[np.float64],
    kind: int,
    coarse: NDArray[np.float64],
    result: NDArray[np.float64],
) -> None:
    """Fill `result`, a tile of the gallery at a time; kind 0 is "dot", 1 "cosine", 2 "euclidean"."""
    width = query.shape[1]
    tile, upper = np.empty((width, _TILE)), np.empty((width, _TILE))
    total, rest = np.empty(_TILE), np.empty(_TILE)
    for start in range(0, len(gallery), _TILE):
        count = min(_TILE, len(gallery) - start)
        for item in range(count):
            for feature in range(width):
                value = gallery[start + item, feature] * gallery_shift[start + item]
                tile[feature, item] = value
                upper[feature, item] = _split(value)[0]
        for row in range(len(query)):
            total[:], rest[:] = 0.0, 0.0
            for feature in range(width):
                value = query[row, feature] * query_shift[row]
                if kind == 2:
                    _add_squares(value, tile[feature], total, rest, count)
                else:
                    _add_products(value, tile[feature], upper[feature], total, rest, count)
            for item in range(count):
                if kind == 2:
                    result[row, start + item] = -(total[item] + rest[item])
                elif kind == 0:
                    result[row, start + item] = _coarsened(total[item] + rest[item], coarse[row])
                else:
                    cosine = _quotient(
                        total[item],
                        rest[item],
                        query_length[row],
                        query_length_rest[row],
                        gallery_length[start + item],
                        gallery_length_rest[start + item],
                    )
                    result[row, start + item] = _coarsened(cosine, coarse[row])


@jit
def _add_products(
    value: float,
    others: NDArray[np.float64],
    uppers: NDArray[np.float64],
    total: NDArray[np.float64],
    rest: NDArray[np.float64],
    count: int,
) -> None:
    high, low = _split(value)
    for item in range(count):
        product = value * others[item]
        upper = uppers[item]
        lower = others[item] - upper
        cut = ((high * upper - product) + high * lower + low * upper) + low * lower
        added = total[item] + product
        back = added - total[item]
        rest[item] += ((total[item] - (added - back)) + (product - back)) + cut
        total[item] = added


@jit
def _add_squares(
    value: float, others: NDArray[np.float64], total: NDArray[np.float64], rest: NDArray[np.float64], count: int
) -> None:
    for item in range(count):
        difference = value - others[item]
        back = difference - value
        lost = (value - (difference - back)) - (others[item] + back)
        square = difference * difference
        wide = difference * _SPLITTER
        high = wide - (wide - difference)
        low = difference - high
        cut = ((high * high - square) + 2 * high * low) + low * low + 2 * difference * lost
        added = total[item] + square
        back = added - total[item]
        rest[item] += ((total[item] - (added - back)) + (square - back)) + cut
        total[item] = added


@jit
def _coarsened(value: float, coarse: float) -> float:
    """The value, rounded to a multiple of the last bit of `coarse` where its own last bit is smaller."""
    return (value + coarse) - coarse if abs(value) < coarse / 3 else value


@jit
def _quotient(total: float, rest: float, a: float, a_rest: float, b: float, b_rest: float) -> float:
    """(total + rest) / ((a + a_rest) (b + b_rest)); 0 where a length is 0."""
    if a == 0 or b == 0:
        return 0.0
    high, low = _product(a, b)
    low += a * b_rest + a_rest * b
    dividend = total + rest
    rest = rest - (dividend - total)
    first = dividend / high
    back, cut = _product(first, high)
    return first + (((dividend - back) - cut + rest) - first * low) / high
