"""The k-reciprocal Jaccard distance between all items, as a sparse matrix: what pseudo-labels are clustered from."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from limbeck.errors import InputError
from limbeck.jit import jit
from limbeck.retrieval.neighbours import dot, nearest_neighbours, unit_vectors
from limbeck.retrieval.reciprocal import Sets, expanded_neighbours
from limbeck.retrieval.threads import by_rows


def jaccard_distances(
    vectors: ArrayLike,
    *,
    k1: int = 30,
    k2: int = 6,
    cutoff: float = 1.0,
    neighbours: ArrayLike | None = None,
    threads: int | None = None,
) -> sparse.csr_array:
    r"""The k-reciprocal Jaccard distances below 1 between all items, (items, items), float32; what is missing is 1.

    .. math:: J(i, j) = 1 - \frac{s_{ij}}{2 - s_{ij}}, \quad s_{ij} = \sum_c \min(V_{ic}, V_{jc}), \quad
        V_i = \frac{1}{k_2} \sum_{j \in N(i, k_2)} W_j, \quad W_{jc} = \frac{e^{-d(j, c)}}{\sum_{c' \in R^*(j)}
        e^{-d(j, c')}}

    for c in :math:`R^*(j)`, else :math:`W_{jc} = 0`. :math:`N(i, k)` are the k nearest of i by cosine, i itself
    included, :math:`d = 2 - 2 \cos` and :math:`R^*` the expanded k-reciprocal neighbours
    (`limbeck.retrieval.reciprocal.expanded_neighbours`) among :math:`N(i, k_1)`, with sets of the k1 / 2 + 1 nearest
    (half of k1 rounded to even) added.

    This is the distance that the published scripts of unsupervised re-identification cluster, term by term. It is not
    the one that `limbeck.retrieval.k_reciprocal` re-ranks with, which is that of the source:

    * there R is taken among the k1 + 1 nearest, the item itself and k1 others. The scripts ask for k1 + 1 of a list
      that holds k1, so that k1 counts the item itself. The sets that are added have k1 / 2 + 1 in both.
    * there d is divided by the item's greatest distance to anything. The scripts do not divide.

    Memory is O(items x (k1 + features)) and what is returned, in which an item meets those that share a neighbour's
    neighbour; `cutoff` bounds it. Every item has distance 0 from itself, which is stored, and the matrix is symmetric
    to the last bit.

    Args:
        vectors: (items, features) real numbers, finite; at length 0 the cosine with everything is 0.
        k1: how many neighbours are compared, the item itself included.
        k2: how many neighbours V is averaged over, at most k1, the item itself included; 1: no averaging.
        cutoff: distances above are left out. DBSCAN needs those up to its eps.
        neighbours: (items, k1 or more) positions, nearest first, each row with the item itself, as
            `nearest_neighbours` gives them: approximate ones, or shared equally among modalities. Default: exact ones.
        threads: default: the cores that this process may use.

    Returns:
        CSR with sorted indices. Its `toarray` writes 0 where 1 is meant; `dbscan` and `hdbscan` know.

    Raises:
        InputError: an argument does not fit.

    Source: Zhong et al. 2017, eq. 3-10, as changed by Ge et al. 2020 (SpCL), whose function others copied.

    Example:
        >>> distances = jaccard_distances([[1, 0], [1, 0.1], [0, 1]], k1=2, k2=1)
        >>> distances.indices, distances.data.round(2)
        (array([0, 1, 0, 1, 2], dtype=int32), array([0.  , 0.01, 0.01, 0.  , 0.  ], dtype=float32))
    """
    if k1 < 1 or k2 < 1 or not 0 <= cutoff <= 1:
        raise InputError(
            f"Jaccard distances need k1 and k2 of at least 1 and a cutoff in [0, 1], not {k1}, {k2} and {cutoff}"
        )
    units = unit_vectors(vectors)
    size = len(units)
    if size == 0:
        return sparse.csr_array((0, 0), dtype=np.float32)
    if neighbours is None:
        nearest = nearest_neighbours(vectors, k1, threads=threads)
    else:
        nearest = _checked(np.asarray(neighbours), size, min(k1, size))
    sets = expanded_neighbours(nearest, round(k1 / 2), threads=threads)
    weights = _weights(units, sets, threads)
    if k2 > 1:
        weights = _averaged(weights, nearest[:, :k2])
    return _distances(weights, np.float32(cutoff), threads)


def _checked(neighbours: NDArray[np.generic], size: int, width: int) -> NDArray[np.int64]:
    """The first `width` neighbours of every item, as int64."""
    if (
        neighbours.ndim != 2
        or neighbours.dtype.kind not in "iu"
        or len(neighbours) != size
        or neighbours.shape[1] < width
    ):
        raise InputError(
            f"neighbours must be positions ({size} items, at least {width}), not {neighbours.dtype} {neighbours.shape}"
        )
    nearest = np.ascontiguousarray(neighbours[:, :width], dtype=np.int64)
    if nearest.min() < 0 or nearest.max() >= size:
        raise InputError(f"neighbours must lie in 0 to {size - 1}: {nearest.min()} to {nearest.max()} were given")
    ordered = np.sort(nearest, axis=1)
    if (ordered[:, 1:] == ordered[:, :-1]).any():
        raise InputError("neighbours must not hold an item twice in a row")
    alone = (nearest != np.arange(size)[:, None]).all(axis=1)
    if alone.any():
        raise InputError(f"neighbours must hold the item itself: row {int(alone.argmax())} does not")
    return nearest


def _weights(units: NDArray[np.floating], sets: Sets, threads: int | None) -> sparse.csr_array:
    values = np.empty(len(sets.columns), np.float32)

    def work(rows: slice) -> None:
        _weights_rows(units, sets.columns, sets.starts, rows.start, rows.stop, values)

    by_rows(work, len(units), threads)
    return sparse.csr_array((values, sets.columns, sets.starts), shape=(len(units), len(units)))


def _averaged(weights: sparse.csr_array, nearest: NDArray[np.int64]) -> sparse.csr_array:
    """The mean of the rows of every item's neighbours."""
    size, width = nearest.shape
    starts = np.arange(0, size * width + 1, width)
    mean = sparse.csr_array((np.full(size * width, 1 / width, np.float32), nearest.ravel(), starts), shape=(size, size))
    return mean @ weights


def _distances(weights: sparse.csr_array, cutoff: np.float32, threads: int | None) -> sparse.csr_array:
    size = weights.shape[0]
    held = weights.tocsc()
    parts = by_rows(
        lambda rows: _overlaps(
            weights.data,
            weights.indices,
            weights.indptr,
            held.data,
            held.indices,
            held.indptr,
            rows.start,
            rows.stop,
            cutoff,
        ),
        size,
        threads,
    )
    counts = np.concatenate([lengths for *_, lengths in parts])
    starts = _starts(parts, counts)
    index = np.int32 if starts[-1] <= np.iinfo(np.int32).max else np.int64
    columns, values = np.empty(starts[-1], index), np.empty(starts[-1], np.float32)
    filled = starts[:-1].copy()
    first = 0
    while parts:
        above, distance, lengths = parts.pop(0)
        _mirror(above, distance, lengths, first, filled, columns, values)
        first += len(lengths)
    return sparse.csr_array((values, columns, starts.astype(index)), shape=(size, size))


def _starts(
    parts: list[tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int64]]], above: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Where the rows of the symmetric matrix begin, of which the parts hold what stands above the diagonal."""
    counts = above + 1
    for columns, *_ in parts:
        counts += np.bincount(columns, minlength=len(counts))
    return np.concatenate([[0], np.cumsum(counts)])


@jit
def _weights_rows(
    units: NDArray[np.floating],
    columns: NDArray[np.int64],
    starts: NDArray[np.int64],
    first: int,
    stop: int,
    values: NDArray[np.float32],
) -> None:
    """exp(-d) of some items and each member of their sets, divided by the item's sum."""
    weight = np.empty(0)
    for item in range(first, stop):
        begin, end = starts[item], starts[item + 1]
        if end - begin > len(weight):
            weight = np.empty(end - begin)
        total = 0.0
        for entry in range(begin, end):
            weight[entry - begin] = np.exp(2 * dot(units[item], units[columns[entry]]) - 2)
            total += weight[entry - begin]
        for entry in range(begin, end):
            values[entry] = weight[entry - begin] / total


@jit
def _overlaps(
    data: NDArray[np.float32],
    columns: NDArray[np.integer],
    starts: NDArray[np.integer],
    held_data: NDArray[np.float32],
    held_rows: NDArray[np.integer],
    held_starts: NDArray[np.integer],
    first: int,
    stop: int,
    cutoff: np.float32,
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int64]]:
    """Of some items the later items within the cutoff, ascending, their distances, and how many each has.

    The weights are given by rows and, `held`, by columns with ascending rows.
    """
    size = len(starts) - 1
    shared = np.zeros(size, np.float64)
    touched = np.empty(size, np.int32)
    above = np.empty(64 * (stop - first), np.int32)
    distances = np.empty(len(above), np.float32)
    counts = np.zeros(stop - first, np.int64)
    end = 0
    for item in range(first, stop):
        found = 0
        for entry in range(starts[item], starts[item + 1]):
            weight, column = data[entry], columns[entry]
            for place in range(held_starts[column + 1] - 1, held_starts[column] - 1, -1):
                other = held_rows[place]
                if other <= item:
                    break
                if shared[other] == 0:
                    touched[found] = other
                    found += 1
                shared[other] += min(weight, held_data[place])
        kept = 0
        for place in range(found):
            other = touched[place]
            distance = np.float32(max(1 - shared[other] / (2 - shared[other]), 0))
            if distance < 1 and distance <= cutoff:
                touched[kept] = other
                kept += 1
            else:
                shared[other] = 0
        touched[:kept].sort()
        if end + kept > len(above):
            room = len(above) // 2 + kept
            above = np.concatenate((above, np.empty(room, np.int32)))
            distances = np.concatenate((distances, np.empty(room, np.float32)))
        for other in touched[:kept]:
            above[end] = other
            distances[end] = max(1 - shared[other] / (2 - shared[other]), 0)
            shared[other] = 0
            end += 1
        counts[item - first] = kept
    return above[:end], distances[:end], counts


@jit
def _mirror(
    above: NDArray[np.int32],
    distances: NDArray[np.float32],
    counts: NDArray[np.int64],
    first: int,
    filled: NDArray[np.int64],
    columns: NDArray[np.integer],
    values: NDArray[np.float32],
) -> None:
    """Write some items' entries right of the diagonal into their rows and, mirrored, into the rows of the others.

    `filled` says where each row goes on. Earlier items have written left of the diagonal already, in order.
    """
    entry = 0
    for row in range(len(counts)):
        item = first + row
        columns[filled[item]] = item
        values[filled[item]] = 0
        filled[item] += 1
        for _ in range(counts[row]):
            other = above[entry]
            columns[filled[item]] = other
            values[filled[item]] = distances[entry]
            filled[item] += 1
            columns[filled[other]] = item
            values[filled[other]] = distances[entry]
            filled[other] += 1
            entry += 1
