"""Clusters of the sparse matrix are those of the dense one, and do not depend on the order of the items."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import DBSCAN, HDBSCAN
from tests.retrieval.test_jaccard import dense, people

from limbeck.errors import InputError
from limbeck.retrieval.clustering import dbscan, hdbscan
from limbeck.retrieval.jaccard import jaccard_distances


def distances(items: int = 400, spread: float = 1.0, k1: int = 15) -> sparse.csr_array:
    return jaccard_distances(people(items, 32, spread), k1=k1, k2=4)


def by_first_member(labels: NDArray[np.int64]) -> list[int]:
    numbers: dict[int, int] = {-1: -1}
    for label in labels.tolist():
        numbers.setdefault(label, len(numbers) - 1)
    return [numbers[label] for label in labels.tolist()]


def dense_hdbscan(matrix: NDArray[np.floating], min_cluster_size: int, samples: int, selection: str) -> list[int]:
    """scikit-learn on the dense mutual reachability matrix, equal entries made different in the documented order."""
    matrix = matrix.astype(np.float64)
    core = np.sort(matrix, axis=1)[:, samples - 1]
    reach = np.maximum(np.maximum(core[:, None], core), matrix)
    np.fill_diagonal(reach, 2)
    _, part = connected_components(sparse.csr_array(np.where(reach < 1, 1, 0)))
    size = np.bincount(part)[part]
    smaller = np.where(reach < 1, 0, -np.minimum(size[:, None], size))
    larger = np.where(reach < 1, 0, -np.maximum(size[:, None], size))
    upper = np.triu_indices(len(matrix), 1)
    order = np.lexsort((matrix[upper], larger[upper], smaller[upper], reach[upper]))
    rising = reach[upper][order]
    rising = np.maximum(rising, 1e-300)
    for place in range(1, len(rising)):
        if rising[place] <= rising[place - 1]:
            rising[place] = np.nextafter(rising[place - 1], 2)
    distinct = np.zeros_like(matrix)
    distinct[upper[0][order], upper[1][order]] = rising
    distinct += distinct.T
    model = HDBSCAN(
        min_cluster_size=min_cluster_size,
        min_samples=1,
        metric="precomputed",
        cluster_selection_method=selection,
        copy=True,
    )
    return by_first_member(model.fit(distinct).labels_)


@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("min_samples", [1, 2, 4, 8])
def test_dbscan_is_that_of_the_dense_matrix(spread: float, min_samples: int) -> None:
    matrix = distances(spread=spread)
    for eps in (0.2, 0.4, 0.6, 0.8):
        model = DBSCAN(eps=eps, min_samples=min_samples, metric="precomputed").fit(dense(matrix))
        found = dbscan(matrix, eps=eps, min_samples=min_samples)
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, model.labels_)


@pytest.mark.parametrize("selection", ["eom", "leaf"])
@pytest.mark.parametrize(("min_cluster_size", "samples"), [(5, 5), (4, 1), (3, 2), (10, 6), (2, 20)])
@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
def test_hdbscan_is_that_of_the_dense_matrix(
    spread: float, min_cluster_size: int, samples: int, selection: str
) -> None:
    matrix = distances(200, spread)
    found = hdbscan(matrix, min_cluster_size=min_cluster_size, min_samples=samples, selection=selection)  # type: ignore[arg-type]
    assert found.tolist() == dense_hdbscan(dense(matrix), min_cluster_size, samples, selection)


def test_hdbscan_of_several_components_and_of_rows_with_few_entries() -> None:
    # Four blocks that share nothing, one of them too small, and items that have nobody.
    blocks = [jaccard_distances(people(n, 16, 1.0, n), k1=8, k2=3) for n in (60, 45, 30, 3)]
    matrix = sparse.csr_array(sparse.block_diag([*blocks, *[sparse.csr_array((1, 1))] * 6]))
    assert connected_components(matrix)[0] > 9
    for size, samples in ((4, 4), (5, 2), (8, 3)):
        found = hdbscan(matrix, min_cluster_size=size, min_samples=samples)
        assert found.tolist() == dense_hdbscan(dense(matrix) - np.eye(144) * dense(matrix), size, samples, "eom")
        assert (found[-6:] == -1).all()


def test_hdbscan_is_that_of_scikit_learn_where_nothing_is_equal() -> None:
    generator = np.random.default_rng(0)
    points = 0.02 * generator.normal(size=(90, 2)) + np.repeat([[0, 0], [0.3, 0.2], [0.1, 0.5]], 30, axis=0)
    matrix = np.sqrt(((points[:, None] - points) ** 2).sum(axis=2)).clip(max=1)
    model = HDBSCAN(min_cluster_size=5, min_samples=1, metric="precomputed", copy=True).fit(matrix)
    found = hdbscan(sparse.csr_array(matrix), min_cluster_size=5, min_samples=1)
    assert found.tolist() == by_first_member(model.labels_)
    assert found.max() >= 2


def test_hdbscan_does_not_depend_on_the_order_of_the_items() -> None:
    points = np.random.default_rng(1).normal(size=(150, 3))
    gaps = np.sqrt(((points[:, None] - points) ** 2).sum(axis=2))
    matrix = np.where(gaps < 0.9, gaps, 0)  # all that is farther is 1
    order = np.random.default_rng(2).permutation(150)
    for samples in (2, 5):
        found = hdbscan(sparse.csr_array(matrix), min_cluster_size=4, min_samples=samples)
        other = np.empty(150, np.int64)
        other[order] = hdbscan(sparse.csr_array(matrix[order][:, order]), min_cluster_size=4, min_samples=samples)
        assert found.tolist() == by_first_member(other)
        assert 0 < (found < 0).sum() < 150


def test_groups_of_equal_items_are_clusters() -> None:
    matrix = jaccard_distances(np.repeat(np.random.default_rng(0).normal(size=(20, 8)), 6, axis=0), k1=10, k2=3)
    assert (matrix.data == 0).sum() > 120  # distances of 0 off the diagonal
    expected = np.repeat(np.arange(20), 6).tolist()
    assert hdbscan(matrix, min_cluster_size=4).tolist() == expected
    assert dbscan(matrix, eps=0.3).tolist() == expected


def test_a_diagonal_may_be_stored_or_not_and_the_input_stays() -> None:
    matrix = distances(150)
    without = sparse.csr_array(matrix)
    without.eliminate_zeros()
    before = matrix.data.copy(), matrix.indices.copy()
    for cluster in (lambda m: dbscan(m, eps=0.5), lambda m: hdbscan(m, min_cluster_size=4)):
        assert cluster(matrix).tolist() == cluster(without).tolist()
        assert cluster(sparse.csr_matrix(matrix).tocoo()).tolist() == cluster(matrix).tolist()
    np.testing.assert_array_equal(matrix.data, before[0])
    np.testing.assert_array_equal(matrix.indices, before[1])


@pytest.mark.parametrize("items", [0, 1, 2, 3])
def test_few_items(items: int) -> None:
    apart = sparse.csr_array((items, items), dtype=np.float32)
    assert dbscan(apart, eps=0.5).tolist() == [-1] * items
    assert dbscan(apart, eps=0.5, min_samples=1).tolist() == list(range(items))
    assert hdbscan(apart, min_cluster_size=2).tolist() == [-1] * items
    assert hdbscan(apart, min_cluster_size=2, min_samples=50).tolist() == [-1] * items


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.zeros((2, 2)), "sparse matrix"),
        (sparse.csr_array((2, 3)), "sparse matrix"),
        (sparse.csr_array([[0, 0.5], [0.4, 0]]), "symmetric"),
        (sparse.csr_array([[0, 0.5], [0, 0]]), "symmetric"),
        (sparse.csr_array([[0, 1.5], [1.5, 0]]), "lie in"),
        (sparse.csr_array([[0, -0.5], [-0.5, 0]]), "lie in"),
        (sparse.csr_array([[0, np.nan], [np.nan, 0]]), "lie in"),
        (sparse.csr_array([[0.1, 0.5], [0.5, 0]]), "diagonal"),
    ],
)
def test_matrices_that_are_no_distances_are_refused(matrix: sparse.csr_array, words: str) -> None:
    for cluster in (lambda m: dbscan(m, eps=0.5), lambda m: hdbscan(m, min_cluster_size=2)):
        with pytest.raises(InputError, match=words):
            cluster(matrix)


def test_settings_out_of_range_are_refused() -> None:
    matrix = distances(20)
    for eps in (0, 1, 1.2, np.nan):
        with pytest.raises(InputError, match="eps must be in"):
            dbscan(matrix, eps=eps)
    with pytest.raises(InputError, match="min_samples"):
        dbscan(matrix, eps=0.5, min_samples=0)
    for size, samples in ((1, None), (2, 0)):
        with pytest.raises(InputError, match="HDBSCAN needs"):
            hdbscan(matrix, min_cluster_size=size, min_samples=samples)
    with pytest.raises(InputError, match="eom, leaf"):
        hdbscan(matrix, selection="best")  # type: ignore[arg-type]
