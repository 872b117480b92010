"""Expanded k-reciprocal neighbours: the sets that re-ranking and the Jaccard distance are made of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.jit import jit
from limbeck.retrieval.threads import by_rows


class Sets(NamedTuple):
    """A set of items for every item, as in a CSR matrix.

    Attributes:
        columns: the members of all sets, ascending within each.
        starts: (items + 1,) where each item's begin.
    """

    columns: NDArray[np.int64]
    starts: NDArray[np.int64]


def expanded_neighbours(nearest: NDArray[np.int64], half: int, *, threads: int | None = None) -> Sets:
    r"""The expanded k-reciprocal neighbours of every item.

    .. math:: R(i, w) = \{j \in N(i, w) : i \in N(j, w)\}, \qquad
        R^*(i) = R(i, k) \cup \bigcup_{c \in R(i, k),\ |R(c, h) \cap R(i, k)| > \frac23 |R(c, h)|} R(c, h)

    where :math:`N(i, w)` are the first w neighbours of i, k is the number of neighbours that are given and h is
    half + 1, or k where that is less.

    Args:
        nearest: (items, neighbours) positions, nearest first, each row without repetition.
        half: one less than how many neighbours the sets that are added come from.
        threads: default: the cores that this process may use.

    Source: Zhong et al. 2017, eq. 3-5.
    """
    size, width = nearest.shape
    mutual, counts = _mutual(nearest, width, threads)
    short, short_counts = _mutual(nearest, min(half + 1, width), threads)
    parts = by_rows(lambda rows: _expand(mutual, counts, short, short_counts, rows.start, rows.stop), size, threads)
    sizes = np.concatenate([lengths for _, lengths in parts])
    return Sets(np.concatenate([columns for columns, _ in parts]), np.concatenate([[0], np.cumsum(sizes)]))


def _mutual(nearest: NDArray[np.int64], width: int, threads: int | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of the first `width` neighbours of every item those that have it among theirs, nearest first, and how many."""
    mutual, counts = np.empty((len(nearest), width), np.int64), np.empty(len(nearest), np.int64)
    by_rows(lambda rows: _mutual_rows(nearest, rows.start, mutual[rows], counts[rows]), len(nearest), threads)
    return mutual, counts


@jit
def _mutual_rows(nearest: NDArray[np.int64], first: int, mutual: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
    rows, width = mutual.shape
    for row in range(rows):
        item, count = first + row, 0
        for other in nearest[item, :width]:
            held = False
            for place in range(width):
                held |= nearest[other, place] == item
            if held:
                mutual[row, count] = other
                count += 1
        counts[row] = count


@jit
def _expand(
    mutual: NDArray[np.int64],
    counts: NDArray[np.int64],
    short: NDArray[np.int64],
    short_counts: NDArray[np.int64],
    first: int,
    stop: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Columns and set sizes of the items from `first` to `stop`."""
    size, width = mutual.shape
    core_of = np.full(size, -1, np.int64)  # the item whose reciprocal neighbours hold it
    set_of = np.full(size, -1, np.int64)  # the item whose set holds it
    largest = width * (1 + short.shape[1])
    columns = np.empty(max((stop - first) * 2 * width, largest), np.int64)
    sizes = np.empty(stop - first, np.int64)
    end = 0
    for item in range(first, stop):
        if end + largest > len(columns):
            columns = np.concatenate((columns, np.empty(len(columns) // 2 + largest, np.int64)))
        begin = end
        for other in mutual[item, : counts[item]]:
            core_of[other] = set_of[other] = item
            columns[end] = other
            end += 1
        for candidate in mutual[item, : counts[item]]:
            found, shared = short_counts[candidate], 0
            for other in short[candidate, :found]:
                shared += core_of[other] == item
            if 3 * shared > 2 * found:
                for other in short[candidate, :found]:
                    if set_of[other] != item:
                        set_of[other] = item
                        columns[end] = other
                        end += 1
        columns[begin:end].sort()
        sizes[item - first] = end - begin
    return columns[:end].copy(), sizes
