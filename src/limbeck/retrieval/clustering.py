"""Clusters of items from a sparse matrix of their distances, in which what is missing is 1, the greatest distance."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.cluster import DBSCAN, HDBSCAN

from limbeck.errors import InputError
from limbeck.jit import jit

Selection = Literal["eom", "leaf"]


def dbscan(
    distances: sparse.csr_array | sparse.csr_matrix, *, eps: float, min_samples: int = 4, threads: int | None = None
) -> NDArray[np.int64]:
    """Labels (items,) by DBSCAN: clusters from 0, numbered by their first core items; -1 for outliers.

    An item with at least `min_samples` items within `eps`, itself included, is a core item. Core items within eps of
    one another share a cluster; an item that is none joins the cluster of a core item within eps, of several the one
    whose first core item stands first, and is an outlier where there is none. scikit-learn
    finds them, and the labels are those that it gives for the dense matrix.

    Args:
        distances: (items, items), symmetric, in [0, 1], 0 on the diagonal, stored or not; what else is missing is 1.
            It must hold all distances up to eps, as `jaccard_distances` does with a cutoff of eps or more.
        eps: greatest distance of neighbours, in (0, 1).
        min_samples: neighbours of a core item, itself included.
        threads: default: one.

    Raises:
        InputError: an argument does not fit.

    Source: Ester et al. 1996.

    Example:
        >>> from limbeck.retrieval.jaccard import jaccard_distances
        >>> dbscan(jaccard_distances([[0, 1], [1, 0], [1, 0.1], [0.1, 1], [-1, -1]], k1=2), eps=0.5, min_samples=2)
        array([ 0,  1,  1,  0, -1])
    """
    if not 0 < eps < 1:
        raise InputError(f"eps must be in (0, 1), as missing distances are 1, not {eps}")
    if min_samples < 1:
        raise InputError(f"min_samples must be at least 1, not {min_samples}")
    matrix = _checked(distances)
    if matrix.shape[0] == 0:
        return np.zeros(0, np.int64)
    # float32 distances are compared with the nearest float32, as scikit-learn compares those of a dense matrix.
    near = matrix.data <= matrix.dtype.type(eps)
    starts = np.concatenate([[0], np.cumsum(near)])[matrix.indptr]
    matrix = sparse.csr_array((matrix.data[near], matrix.indices[near], starts), shape=matrix.shape)
    found = DBSCAN(eps=eps, min_samples=min_samples, metric="precomputed", n_jobs=threads).fit(matrix)
    labels: NDArray[np.int64] = found.labels_.astype(np.int64)
    return labels


def hdbscan(
    distances: sparse.csr_array | sparse.csr_matrix,
    *,
    min_cluster_size: int = 5,
    min_samples: int | None = None,
    selection: Selection = "eom",
) -> NDArray[np.int64]:
    r"""Labels (items,) by HDBSCAN: clusters from 0, numbered by their first members; -1 for outliers.

    The hierarchy is single linkage of the mutual reachability distance :math:`\max(c_i, c_j, d_{ij})`, where
    :math:`c_i` is the distance of i to its `min_samples`-th neighbour, itself included. scikit-learn condenses it and
    selects the clusters. It merges two at a time, and many mutual reachability distances are equal, so the order of
    equals decides labels. Here the lesser :math:`d_{ij}` comes first and, of parts at distance 1, the larger: what is
    at distance 1 from everything is an outlier. Given a dense matrix, scikit-learn alone leaves the order to chance;
    then labels depend on the order of the items.

    Args:
        distances: (items, items), symmetric, in [0, 1], 0 on the diagonal, stored or not; what else is missing is 1.
        min_cluster_size: fewest items of a cluster.
        min_samples: neighbours that make an item's core distance, itself included; default: `min_cluster_size`.
        selection: of clusters, "eom" (the most persistent ones) or "leaf" (the smallest ones).

    Raises:
        InputError: an argument does not fit.

    Source: Campello et al. 2013.

    Example:
        >>> from limbeck.retrieval.jaccard import jaccard_distances
        >>> distances = jaccard_distances([[0, 1], [1, 0], [1, 0.1], [0.1, 1], [-1, -1]], k1=2, k2=1)
        >>> hdbscan(distances, min_cluster_size=2)
        array([ 0,  1,  1,  0, -1])
    """
    samples = min_cluster_size if min_samples is None else min_samples
    if min_cluster_size < 2 or samples < 1:
        raise InputError(
            f"HDBSCAN needs a min_cluster_size of at least 2 and min_samples of at least 1, "
            f"not {min_cluster_size} and {min_samples}"
        )
    if selection not in get_args(Selection):
        raise InputError(f"selection must be one of {', '.join(get_args(Selection))}, not {selection!r}")
    matrix = _checked(distances)
    size = matrix.shape[0]
    if size < max(min_cluster_size, samples):
        return np.full(size, -1)
    core = _core_distances(matrix.data, matrix.indices, matrix.indptr, samples)
    rows = np.repeat(np.arange(size), np.diff(matrix.indptr))
    upper = matrix.indices > rows
    rows, columns = rows[upper], matrix.indices[upper]
    direct = matrix.data[upper]
    reach = np.maximum(np.maximum(core[rows], core[columns]), direct)
    order = np.lexsort((direct, reach))
    order = order[: np.searchsorted(reach[order], 1)]
    rows, columns = rows[order], columns[order]
    edges, roots, weight = _forest(rows, columns, size)
    roots = roots[np.argsort(-weight, kind="stable")]
    one = np.concatenate([rows[edges], np.full(len(roots) - 1, roots[0])])
    other = np.concatenate([columns[edges], roots[1:]])
    distance = np.concatenate([reach[order][edges].astype(np.float64), np.ones(len(roots) - 1)])
    # A tree whose edges all differ has one hierarchy, however it is sorted, and is its own mutual reachability.
    tree = sparse.coo_array((_ascending(distance), (one, other)), shape=matrix.shape)
    found = HDBSCAN(
        min_cluster_size=min_cluster_size,
        min_samples=1,
        metric="precomputed",
        cluster_selection_method=selection,
        copy=False,
    ).fit((tree + tree.T).tocsr())
    return _by_first_member(found.labels_)


def _checked(distances: sparse.csr_array | sparse.csr_matrix) -> sparse.csr_array:
    """The distances as CSR with sorted indices."""
    if not sparse.issparse(distances) or distances.shape[0] != distances.shape[-1] or distances.ndim != 2:
        raise InputError("distances must be a sparse matrix (items, items): what it does not hold is 1")
    matrix = sparse.csr_array(distances)
    if matrix.dtype not in (np.float32, np.float64):
        matrix = matrix.astype(np.float32)
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    if not ((matrix.data >= 0) & (matrix.data <= 1)).all():
        raise InputError("distances must lie in [0, 1]")
    if matrix.diagonal().any():
        raise InputError("distances must be 0 on the diagonal")
    mirrored = matrix.T.tocsr()
    if not (
        np.array_equal(matrix.indptr, mirrored.indptr)
        and np.array_equal(matrix.indices, mirrored.indices)
        and np.array_equal(matrix.data, mirrored.data)
    ):
        raise InputError("distances must be symmetric")
    return matrix


def _by_first_member(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Clusters numbered from 0 in the order of their first members; -1 stays."""
    known, first, codes = np.unique(labels, return_index=True, return_inverse=True)
    first[known < 0] = -1
    rank = np.argsort(np.argsort(first))
    return rank[codes] - int((known < 0).any())


def _ascending(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ascending distances, those equal or 0 raised by the least that makes all of them differ."""
    # Positive doubles are ordered as their bits are, read as integers.
    steps = np.arange(len(distance))
    return (np.maximum.accumulate(np.maximum(distance.view(np.int64), 1) - steps) + steps).view(np.float64)


@jit
def _core_distances(
    data: NDArray[np.floating], columns: NDArray[np.integer], starts: NDArray[np.integer], samples: int
) -> NDArray[np.floating]:
    """The distance of every item to its `samples`-th nearest, itself the first, at most 1."""
    core = np.empty(len(starts) - 1, data.dtype)
    least = np.empty(samples, data.dtype)  # ascending
    for item in range(len(core)):
        least[0] = 0
        least[1:] = 1
        for entry in range(starts[item], starts[item + 1]):
            if columns[entry] != item and data[entry] < least[-1]:
                place = samples - 1
                while least[place - 1] > data[entry]:
                    least[place] = least[place - 1]
                    place -= 1
                least[place] = data[entry]
        core[item] = least[-1]
    return core


@jit
def _root(parent: NDArray[np.int64], item: int) -> int:
    while parent[item] != item:
        parent[item] = parent[parent[item]]
        item = parent[item]
    return item


@jit
def _forest(
    rows: NDArray[np.integer], columns: NDArray[np.integer], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Which of the edges, taken in their order, join two parts (Kruskal); roots of the parts and how large they are."""
    parent = np.arange(size)
    weight = np.ones(size, np.int64)
    edges = np.empty(size, np.int64)
    count = 0
    for edge in range(len(rows)):
        one, other = _root(parent, rows[edge]), _root(parent, columns[edge])
        if one != other:
            if weight[one] < weight[other]:
                one, other = other, one
            parent[other] = one
            weight[one] += weight[other]
            edges[count] = edge
            count += 1
    roots = np.flatnonzero(parent == np.arange(size))
    return edges[:count], roots, weight[roots]
