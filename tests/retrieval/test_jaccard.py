"""The sparse Jaccard distance equals the dense functions, its convention included, within a bounded memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.dense_jaccard import dense_jaccard
from numpy.typing import NDArray
from scipy import sparse
from sklearn.cluster import DBSCAN
from tests.retrieval.references import dense_k_reciprocal

from limbeck.errors import InputError
from limbeck.retrieval.clustering import dbscan
from limbeck.retrieval.jaccard import jaccard_distances
from limbeck.retrieval.neighbours import nearest_neighbours
from limbeck.retrieval.reciprocal import expanded_neighbours


def people(items: int, features: int = 256, spread: float = 1.5, seed: int = 0) -> NDArray[np.float32]:
    """Vectors of length 1 around a centre for every dozen of them."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(max(1, items // 12), features))
    vectors = centres[generator.integers(0, len(centres), items)] + spread * generator.normal(size=(items, features))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def dense(distances: sparse.csr_array) -> NDArray[np.float32]:
    """What is missing is 1; what is stored stays, zeros too."""
    whole = np.ones(distances.shape, distances.dtype)
    whole[np.repeat(np.arange(len(whole)), np.diff(distances.indptr)), distances.indices] = distances.data
    return whole


def naive(vectors: NDArray[np.floating], k1: int, k2: int) -> NDArray[np.float64]:
    """The docstring's formula with Python sets, float64."""
    units = vectors.astype(np.float64)
    units = units / np.linalg.norm(units, axis=1, keepdims=True)
    gap = 2 - 2 * units @ units.T
    order = np.argsort(gap - 9 * np.eye(len(gap)), axis=1, kind="stable")[:, :k1]

    def reciprocal(width: int) -> list[set[int]]:
        lists = order[:, :width].tolist()
        return [{other for other in row if item in lists[other]} for item, row in enumerate(lists)]

    code = np.zeros_like(gap)
    cores, halves = reciprocal(k1), reciprocal(round(k1 / 2) + 1)
    for item, core in enumerate(cores):
        members = set(core)
        for candidate in core:
            more = halves[candidate]
            if 3 * len(more & core) > 2 * len(more):
                members |= more
        code[item, list(members)] = np.exp(-gap[item, list(members)])
        code[item] /= code[item].sum()
    code = np.stack([code[order[item, :k2]].mean(axis=0) for item in range(len(gap))])
    shared = np.minimum(code[:, None], code[None]).sum(axis=2)
    return 1 - shared / (2 - shared)


@pytest.mark.parametrize(("k1", "k2"), [(30, 6), (20, 6), (7, 1), (6, 3), (5, 9), (2, 2), (1, 1), (1, 4), (500, 6)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_the_formula(k1: int, k2: int, dtype: type) -> None:
    vectors = people(120, 16).astype(dtype)
    found = dense(jaccard_distances(vectors, k1=k1, k2=k2))
    expected = naive(vectors, k1, k2)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(("k1", "k2"), [(30, 6), (20, 1), (8, 4)])
def test_equals_the_published_function(k1: int, k2: int) -> None:
    vectors = people(400, 32)
    expected = dense_jaccard(vectors, k1=k1, k2=k2)
    found = dense(jaccard_distances(vectors, k1=k1, k2=k2))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_array_equal(found < 1, expected < 1)


@pytest.mark.slow
@pytest.mark.parametrize("items", [2000, 5000])
def test_cluster_labels_are_those_of_the_published_function(items: int) -> None:
    vectors = people(items)
    expected = dense_jaccard(vectors)
    found = jaccard_distances(vectors)
    # Its float32 sums err by 5e-7 where they are 1, and the distance by twice as much.
    assert np.abs(dense(found) - expected).max() < 2e-6
    for eps in (0.4, 0.6, 0.7):
        # Else rounding would decide, in the published function as here: many pairs lie at 1/2, where the sum is 2/3.
        assert np.abs(found.data - eps).min() > 1e-6
        labels = DBSCAN(eps=eps, min_samples=4, metric="precomputed").fit_predict(expected)
        ours = dbscan(jaccard_distances(vectors, cutoff=eps), eps=eps)
        np.testing.assert_array_equal(ours, labels)
        assert labels.max() > items // 40


def test_it_is_not_the_distance_of_re_ranking() -> None:
    points = people(60, 8)
    source = dense_k_reciprocal(points, points, 10, 3, 0.0)[:, :60]
    found = dense(jaccard_distances(points, k1=10, k2=3))
    np.fill_diagonal(source, 0)
    assert np.abs(found - source).max() > 0.01


def test_symmetric_to_the_bit_sorted_and_with_a_diagonal() -> None:
    found = jaccard_distances(people(700, 24))
    assert isinstance(found, sparse.csr_array)
    assert found.dtype == np.float32
    assert found.has_sorted_indices
    for begin, end in zip(found.indptr, found.indptr[1:], strict=False):
        assert (np.diff(found.indices[begin:end]) > 0).all()
    whole = dense(found)
    np.testing.assert_array_equal(whole, whole.T)
    assert (whole.diagonal() == 0).all()
    assert (found.data < 1).all()
    stored = sparse.csr_array((np.ones(found.nnz), found.indices, found.indptr))
    assert (stored.diagonal() == 1).all()


@pytest.mark.parametrize("cutoff", [0.0, 0.3, 0.6, 0.9])
def test_the_cutoff_leaves_out_what_is_above_and_nothing_else(cutoff: float) -> None:
    vectors = people(500, 24)
    whole = dense(jaccard_distances(vectors))
    np.testing.assert_array_equal(
        dense(jaccard_distances(vectors, cutoff=cutoff)), np.where(whole <= np.float32(cutoff), whole, 1)
    )


def test_threads_change_nothing() -> None:
    vectors = people(600, 24)
    one, three = jaccard_distances(vectors, threads=1), jaccard_distances(vectors, threads=3)
    for part in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(one, part), getattr(three, part))


def test_given_neighbours_replace_the_search() -> None:
    vectors = people(300, 16)
    whole = dense(jaccard_distances(vectors, k1=12, k2=4))
    given = nearest_neighbours(vectors, 20).astype(np.int32)
    np.testing.assert_array_equal(dense(jaccard_distances(vectors, k1=12, k2=4, neighbours=given)), whole)
    groups = np.arange(300) % 2
    shared = jaccard_distances(vectors, k1=12, k2=4, neighbours=nearest_neighbours(vectors, 12, groups=groups))
    assert (dense(shared) != whole).any()


def test_neighbours_shared_by_modalities_join_what_a_shift_parts() -> None:
    generator = np.random.default_rng(0)
    person, modality = np.repeat(np.arange(20), 20), np.tile([0, 1], 200)
    shift = 6 * generator.normal(size=16)
    vectors = 3 * generator.normal(size=(20, 16))[person] + np.outer(modality, shift) + generator.normal(size=(400, 16))
    same = (person[:, None] == person) & (modality[:, None] != modality)
    alone = dense(jaccard_distances(vectors, k1=20))
    shared = dense(jaccard_distances(vectors, k1=20, neighbours=nearest_neighbours(vectors, 20, groups=modality)))
    assert shared[same].mean() < alone[same].mean() - 0.2


@pytest.mark.parametrize("items", [0, 1, 2])
def test_few_items(items: int) -> None:
    found = jaccard_distances(np.eye(3)[:items])
    assert found.shape == (items, items)
    expected = naive(np.eye(3)[:items], 30, 6) if items else np.zeros((0, 0))
    np.testing.assert_allclose(dense(found), expected, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_equal_vectors_are_at_distance_0(value: float) -> None:
    np.testing.assert_array_equal(jaccard_distances(np.full((20, 4), value)).toarray(), np.zeros((20, 20)))


def test_duplicates_and_zero_vectors() -> None:
    vectors = np.repeat(people(40, 16), 3, axis=0)
    found = dense(jaccard_distances(vectors, k1=6, k2=3))
    same = np.arange(120)[:, None] // 3 == np.arange(120) // 3
    assert found[same].max() < 0.2
    assert found[~same].min() > found[same].max()
    vectors[:5] = 0
    assert np.isfinite(dense(jaccard_distances(vectors))).all()
    # Of more equals than k1, those that are nobody's neighbour keep to themselves or to the averages.
    many = dense(jaccard_distances(np.ones((50, 4)), k1=5, k2=1))
    np.testing.assert_array_equal(many[:5, :5], 0)
    np.testing.assert_array_equal(many[10:, 10:], 1 - np.eye(40))


def test_the_sets_are_those_of_the_definition() -> None:
    nearest = nearest_neighbours(people(200, 8), 10)
    for half in (0, 3, 5, 20):
        short = min(half + 1, 10)
        for threads in (1, 2):
            columns, starts = expanded_neighbours(nearest, half, threads=threads)
            for item in range(200):
                core = {j for j in nearest[item].tolist() if item in nearest[j]}
                expected = set(core)
                for c in core:
                    more = {j for j in nearest[c, :short].tolist() if c in nearest[j, :short]}
                    expected |= more if 3 * len(more & core) > 2 * len(more) else set()
                assert columns[starts[item] : starts[item + 1]].tolist() == sorted(expected)


@pytest.mark.parametrize("settings", [{"k1": 0}, {"k2": 0}, {"cutoff": -0.1}, {"cutoff": 1.1}, {"cutoff": np.nan}])
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match="Jaccard distances need"):
        jaccard_distances(np.eye(3), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("neighbours", "words"),
    [
        ([[0], [1]], "neighbours must be positions"),
        ([[0, 1], [1, 0]], "neighbours must be positions"),
        (np.eye(3), "neighbours must be positions"),
        ([[0, 1], [1, 2], [2, -1]], "lie in 0 to 2"),
        ([[0, 1], [1, 2], [2, 3]], "lie in 0 to 2"),
        ([[0, 0], [1, 2], [2, 0]], "twice"),
        ([[0, 1], [1, 2], [1, 0]], "row 2 does not"),
    ],
)
def test_neighbours_that_do_not_fit_are_refused(neighbours: list[list[int]], words: str) -> None:
    with pytest.raises(InputError, match=words):
        jaccard_distances(np.eye(3), k1=2, neighbours=neighbours)


MEASURED = """
import resource
import numpy as np
from limbeck.retrieval.clustering import dbscan
from limbeck.retrieval.jaccard import jaccard_distances
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
generator = np.random.default_rng(0)
few = generator.normal(size=(800, 64)).astype(np.float32)
dbscan(jaccard_distances(few, cutoff=0.6), eps=0.6)
vectors = few.repeat(25, axis=0)
for block in np.array_split(vectors, 100):
    block += generator.normal(size=block.shape).astype(np.float32)
before = peak()
distances = jaccard_distances(vectors, cutoff=0.6)
labels = dbscan(distances, eps=0.6)
print(peak() - before, distances.nnz, labels.max() + 1)
"""


@pytest.mark.slow
def test_memory_grows_with_the_neighbours_and_not_with_the_pairs() -> None:
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root / "src"), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True, env=environment, timeout=300
    )
    grown, stored, clusters = map(int, done.stdout.split())
    assert clusters > 500
    assert stored > 20_000 * 10
    # A dense float32 matrix takes 1,526 MiB; the published function holds two.
    assert grown < 150 * 2**20
