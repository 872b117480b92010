"""The nearest items of a gallery to some queries, part by part, so that the gallery is held once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.retrieval.exact import exact_similarities
from limbeck.retrieval.neighbours import keep_highest
from limbeck.retrieval.similarity import (
    SAFE_EXPONENT,
    Similarity,
    highest,
    middle_of,
    move_rows,
    parts_of,
    safe_exponent,
    square_rows,
    unit_rows,
)

# Queries whose products with a part are held at once.
_QUERIES = 512
# Candidates beyond those asked for.
_SPARE = 8
# Candidates that are compared exactly at once.
_CANDIDATES = 4096


class TopK(NamedTuple):
    """The first items of some queries.

    Attributes:
        positions: (queries, k) in the gallery, nearest first.
        similarity: (queries, k) float64 of each.
    """

    positions: NDArray[np.int64]
    similarity: NDArray[np.float64]


def nearest(asked: NDArray[np.floating], searched: NDArray[np.floating], k: int, kind: Similarity, memory: int) -> TopK:
    """`limbeck.retrieval.top_k.top_k`, of arrays that were checked."""
    count = min(k, len(searched))
    positions = np.zeros((len(asked), count), np.int64)
    similarity = np.zeros((len(asked), count))
    if not count or not len(asked):
        return TopK(positions, similarity)
    screen = _Screen(asked, searched, kind, np.result_type(asked, searched))
    width = min(count + _SPARE, len(searched))
    best = np.full((len(asked), width), -np.inf, screen.precision)
    near = np.zeros((len(asked), width), np.int64)
    absent = np.full(len(asked), -1)
    for first, rows, products in screen.products(np.arange(len(asked)), memory):
        keep_highest(products, first, absent[rows], best[rows], near[rows])
    for query, candidates in enumerate(near):
        positions[query], similarity[query] = screen.first(query, np.sort(candidates), count)
    if width < len(searched):
        # What was left out has a product of at most the last that was kept, and that errs by at most `error`.
        crowded = np.flatnonzero(best[:, -1] + screen.error() >= similarity[:, -1])
        if len(crowded):
            _search_crowded(screen, crowded, memory, positions, similarity)
    # One after the other, as their product may be no float64 itself.
    with np.errstate(over="ignore", under="ignore"):
        given = similarity / screen.factors[0] / screen.factors[1]
    if not np.isfinite(given).all() or ((given == 0) & (similarity != 0)).any():
        raise InputError(
            f"the {kind} similarities of these vectors do not fit float64, whose numbers reach from 1e-308 to 1e308: "
            "multiply all vectors by one number, or compare them by cosine"
        )
    return TopK(positions, given)


def _search_crowded(
    screen: _Screen,
    crowded: NDArray[np.int64],
    memory: int,
    positions: NDArray[np.int64],
    similarity: NDArray[np.float64],
) -> None:
    """Search anew, in float64, for queries whose last neighbours products cannot tell from what was left out."""
    fine = _Screen(screen.asked, screen.searched, screen.kind, np.dtype(np.float64))
    fine.longest = screen.longest * (1 + 1e-6)  # was measured in the other precision
    error = fine.error()
    found: list[list[NDArray[np.int64]]] = [[] for _ in crowded]
    for first, rows, products in fine.products(crowded, memory):
        members = crowded[rows]
        least = similarity[members, -1] - error[members]
        for place, row, floor in zip(range(rows.start, rows.stop), products, least, strict=True):
            found[place].append(first + np.flatnonzero(row >= floor))
    for query, parts in zip(crowded.tolist(), found, strict=True):
        positions[query], similarity[query] = screen.first(query, np.concatenate(parts), positions.shape[1])


class _Screen:
    """Products that lie near the similarities, in one precision, part of the gallery by part.

    Args:
        asked: (queries, features).
        searched: (items, features).
        kind: of the similarity.
        precision: of the products.

    Attributes:
        factors: powers of two that both sides are multiplied by, so that no square overflows or vanishes; similarities
            are multiplied by both.
        longest: length of the longest item, as far as `products` has come.
    """

    def __init__(
        self, asked: NDArray[np.floating], searched: NDArray[np.floating], kind: Similarity, precision: np.dtype[Any]
    ) -> None:
        self.asked, self.searched, self.kind, self.precision = asked, searched, kind, precision
        self.factors = 1.0, 1.0
        if kind != "cosine":
            exponents = [safe_exponent(vectors, SAFE_EXPONENT[np.dtype(np.float32)]) for vectors in (asked, searched)]
            if kind == "euclidean":
                exponents = [max(exponents, key=abs)] * 2
            self.factors = 2.0 ** -exponents[0], 2.0 ** -exponents[1]
        self._middle = middle_of(searched) if kind == "euclidean" else np.zeros(searched.shape[1])
        self._left, self._squares = self._prepared(asked, self.factors[0])
        self.longest = 0.0

    def error(self) -> NDArray[np.float64]:
        """(queries,) what a product differs from its similarity by, at most: four times the bound of rounding."""
        bound = float(np.finfo(self.precision).eps) * (2 * self.searched.shape[1] + 16)
        if self.kind == "cosine":
            return np.full(len(self.asked), bound)
        lengths = np.sqrt(self._squares)
        size = lengths * self.longest if self.kind == "dot" else (lengths + self.longest) ** 2
        error: NDArray[np.float64] = bound * size
        return error

    def products(self, queries: NDArray[np.int64], memory: int) -> Iterator[tuple[int, slice, NDArray[np.floating]]]:
        """Yield (where a part begins, which of the queries, (queries, part) products); the next overwrites them."""
        row = self.precision.itemsize * (self.searched.shape[1] + min(len(queries), _QUERIES))
        for part in parts_of(len(self.searched), max(1, memory // row)):
            right, squares = self._prepared(self.searched[part], self.factors[1])
            if self.kind != "cosine":
                self.longest = max(self.longest, float(np.sqrt(squares.max())))
            for rows in parts_of(len(queries), _QUERIES):
                members = queries[rows]
                product = self._left[members] @ right.T
                if self.kind == "euclidean":
                    product *= 2
                    product -= squares.astype(self.precision)
                    product -= self._squares[members, None].astype(self.precision)
                yield part.start, rows, product

    def first(self, query: int, candidates: NDArray[np.int64], k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The k nearest of some items, ascending, to a query by exact similarities; of equals the first."""
        kept, values = np.zeros(0, np.int64), np.zeros(0)
        for part in parts_of(len(candidates), _CANDIDATES):
            chosen = candidates[part]
            exact = exact_similarities(self.asked[query : query + 1], self.searched[chosen], self.kind, self.factors)
            kept, values = np.concatenate([kept, chosen]), np.concatenate([values, exact[0]])
            order = highest(values, k)
            kept, values = kept[order], values[order]
        return kept, values

    def _prepared(
        self, vectors: NDArray[np.floating], factor: float
    ) -> tuple[NDArray[np.floating], NDArray[np.float64]]:
        """Vectors to multiply, and the squares of their lengths."""
        result = np.empty(vectors.shape, self.precision)
        squares = np.ones(len(vectors))
        if self.kind == "cosine":
            unit_rows(vectors, result)
        else:
            move_rows(vectors, self._middle, factor, result)
            square_rows(result, squares)
        return result, squares
