"""Nearest neighbours equal a stable sort in float64, whatever the blocks and threads; the approximate ones nearly."""

from __future__ import annotations

import numpy as np
import pytest

from limbeck.errors import InputError
from limbeck.retrieval import neighbours as module
from limbeck.retrieval.neighbours import nearest_neighbours
from limbeck.retrieval.similarity import unit


def by_sorting(vectors: np.ndarray, k: int) -> np.ndarray:
    """Itself, then the others by cosine in float64; of equals the first position."""
    units = unit(vectors).astype(np.float64)
    rows = []
    for item in range(len(units)):
        cosine = [float(np.sum(units[item] * other)) for other in units]
        cosine[item] = np.inf
        rows.append(sorted(range(len(units)), key=lambda other: (-cosine[other], other))[:k])
    return np.array(rows, np.int64).reshape(len(units), min(k, len(units)))


def in_rounds(vectors: np.ndarray, k: int, groups: np.ndarray) -> np.ndarray:
    """The definition, item by item: (rank within the group, cosine)."""
    order = by_sorting(vectors, len(vectors))
    rows = []
    for ranked in order.tolist():
        seen = dict.fromkeys(groups.tolist(), 0)
        turns = []
        for place, other in enumerate(ranked):
            turns.append((seen[groups[other]], place, other))
            seen[groups[other]] += 1
        rows.append([other for *_, other in sorted(turns)][:k])
    return np.array(rows)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 2, 7, 59, 60, 100])
def test_equal_a_stable_sort(k: int, dtype: type) -> None:
    vectors = np.random.default_rng(0).normal(size=(60, 5)).astype(dtype)
    found = nearest_neighbours(vectors, k)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, by_sorting(vectors, k))


def test_equals_stand_in_the_order_of_the_items() -> None:
    # Small whole numbers: equal vectors and cosines, zero vectors, and far more equals than there are spare candidates.
    vectors = np.random.default_rng(1).integers(-1, 2, (200, 2)).astype(np.float32)
    vectors[::7] = 0
    for k in (3, 20, 150):
        np.testing.assert_array_equal(nearest_neighbours(vectors, k), by_sorting(vectors, k))


def test_all_equal_and_all_zero() -> None:
    for value in (0.0, 3.0):
        found = nearest_neighbours(np.full((40, 3), value), 5)
        np.testing.assert_array_equal(found[:5, 0], range(5))
        np.testing.assert_array_equal(found[7], [7, 0, 1, 2, 3])
        np.testing.assert_array_equal(found[2], [2, 0, 1, 3, 4])


def test_near_equals_that_float32_confuses_are_in_the_order_of_float64() -> None:
    generator = np.random.default_rng(2)
    vectors = generator.normal(size=(1, 64)) + 1e-4 * generator.normal(size=(150, 64))
    for data in (vectors, vectors.astype(np.float32)):
        units = unit(data).astype(np.float64)
        cosine = units @ units.T
        np.fill_diagonal(cosine, np.inf)
        found = nearest_neighbours(data, 10)
        best = -np.sort(-cosine, axis=1)[:, :10]
        np.testing.assert_allclose(np.take_along_axis(cosine, found, axis=1), best, rtol=0, atol=1e-14)


def test_tiles_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(3).normal(size=(300, 16)).astype(np.float32)
    groups = np.arange(300) % 3
    whole, shared = nearest_neighbours(vectors, 12, threads=1), nearest_neighbours(vectors, 12, groups=groups)
    monkeypatch.setattr(module, "_QUERIES", 37)
    monkeypatch.setattr(module, "_GALLERY", 41)
    monkeypatch.setattr(module, "_CROWDED", 1000)
    np.testing.assert_array_equal(nearest_neighbours(vectors, 12, threads=3), whole)
    np.testing.assert_array_equal(nearest_neighbours(vectors, 12, groups=groups, threads=2), shared)


@pytest.mark.parametrize("k", [1, 2, 6, 7, 25, 50, 80])
@pytest.mark.parametrize("sizes", [(25, 25), (40, 8, 2), (49, 1)])
def test_groups_share_the_neighbours_in_rounds(k: int, sizes: tuple[int, ...]) -> None:
    generator = np.random.default_rng(4)
    groups = generator.permutation(np.repeat(np.arange(len(sizes)) * 5, sizes))
    vectors = generator.normal(size=(50, 6)) + groups[:, None]
    found = nearest_neighbours(vectors, k, groups=groups)
    np.testing.assert_array_equal(found, in_rounds(vectors, k, groups))
    np.testing.assert_array_equal(found[:, 0], np.arange(50))


def test_every_head_of_a_row_is_balanced() -> None:
    generator = np.random.default_rng(5)
    modality = generator.permutation(np.repeat(["visible", "infrared"], 50))
    vectors = generator.normal(size=(100, 8)) + 4 * (modality == "visible")[:, None]
    found = modality[nearest_neighbours(vectors, 30, groups=modality)] == "visible"
    for head in range(2, 31, 2):
        assert (found[:, :head].sum(axis=1) == head // 2).all()
    alone = modality[nearest_neighbours(vectors, 30)] == "visible"
    assert alone[modality == "visible"].mean() > 0.9  # without groups hardly any neighbour is of the other modality


@pytest.mark.parametrize("items", [0, 1, 2])
def test_few_items(items: int) -> None:
    found = nearest_neighbours(np.ones((items, 3)), 5)
    np.testing.assert_array_equal(found, by_sorting(np.ones((items, 3)), 5))
    np.testing.assert_array_equal(nearest_neighbours(np.ones((items, 3)), 5, groups=np.zeros(items)), found)


def test_extreme_lengths_count_for_nothing() -> None:
    vectors = np.random.default_rng(6).normal(size=(30, 4)).astype(np.float32)
    scale = np.float32(10.0) ** np.random.default_rng(7).integers(-30, 30, (30, 1))
    np.testing.assert_array_equal(nearest_neighbours(vectors * scale, 6), nearest_neighbours(vectors, 6))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([[1.0]], 0), "k must be at least 1"),
        (([[1.0], [np.nan]], 1), "item 1 holds NaN"),
        (([1.0, 2.0], 1), "real numbers"),
        (([["a"]], 1), "real numbers"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: tuple, words: str) -> None:
    with pytest.raises(InputError, match=words):
        nearest_neighbours(*arguments)


def test_unknown_methods_and_short_groups_are_refused() -> None:
    with pytest.raises(InputError, match="exact, approximate"):
        nearest_neighbours([[1.0]], 1, method="fast")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="groups must be"):
        nearest_neighbours([[1.0], [2.0]], 1, groups=[1])


def test_a_missing_faiss_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(InputError, match=r"pip install 'limbeck\[faiss\]'"):
        nearest_neighbours([[1.0]], 1, method="approximate")


@pytest.mark.parametrize("features", [1, 3, 48])
def test_approximate_neighbours_are_nearly_the_exact_ones(features: int) -> None:
    faiss = pytest.importorskip("faiss", reason="faiss is not installed (extra 'faiss')")
    generator = np.random.default_rng(8)
    vectors = generator.normal(size=(100, features))[generator.integers(0, 100, 3000)]
    vectors = vectors + 0.5 * generator.normal(size=vectors.shape)
    threads = faiss.omp_get_max_threads()
    found = nearest_neighbours(vectors, 20, method="approximate")
    assert faiss.omp_get_max_threads() == threads
    np.testing.assert_array_equal(found[:, 0], np.arange(3000))
    assert (np.diff(np.sort(found, axis=1)) > 0).all()
    if features > 3:  # in few dimensions thousands are equal or nearly so
        exact = nearest_neighbours(vectors, 20)
        recall = np.mean([len(np.intersect1d(one, other)) for one, other in zip(found, exact, strict=True)]) / 20
        assert recall > 0.98
        groups = np.arange(3000) % 2
        shared = nearest_neighbours(vectors, 20, method="approximate", groups=groups)
        assert (groups[shared].sum(axis=1) == 10).all()


def test_approximate_neighbours_of_few_or_equal_items() -> None:
    pytest.importorskip("faiss", reason="faiss is not installed (extra 'faiss')")
    few = np.random.default_rng(9).normal(size=(200, 8))
    np.testing.assert_array_equal(nearest_neighbours(few, 9, method="approximate"), nearest_neighbours(few, 9))
    equal = nearest_neighbours(np.ones((1500, 8)), 9, method="approximate")
    np.testing.assert_array_equal(equal[:, 0], np.arange(1500))
