"""k-reciprocal re-ranking equals a dense float64 reference, and does what it is for."""

from __future__ import annotations

import numpy as np
import pytest
from tests.retrieval.references import dense_k_reciprocal

from limbeck.errors import InputError
from limbeck.retrieval.reranking import KReciprocal, k_reciprocal
from limbeck.retrieval.similarity import Similarity


def clouds(seed: int, identities: int = 8, each: int = 6) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(identities, 16))
    points = np.repeat(centres, each, axis=0) + 0.6 * generator.normal(size=(identities * each, 16))
    return points.astype(np.float32), np.repeat(np.arange(identities), each)


@pytest.mark.parametrize(("k1", "k2", "weight"), [(20, 6, 0.3), (5, 1, 0.0), (4, 3, 1.0), (7, 2, 0.5), (1, 1, 0.3)])
@pytest.mark.parametrize(("seed", "similarity"), [(0, "cosine"), (1, "cosine"), (1, "euclidean")])
def test_equals_the_dense_reference(k1: int, k2: int, weight: float, seed: int, similarity: Similarity) -> None:
    points, _ = clouds(seed)
    points *= np.linspace(0.5, 2, len(points), dtype=np.float32)[::-1, None]  # so that lengths matter
    again = k_reciprocal(points[::3], points[1::3], similarity, k1=k1, k2=k2, weight=weight)
    expected = -dense_k_reciprocal(points[::3], points[1::3], k1, k2, weight, similarity)
    np.testing.assert_allclose(again, expected, atol=2e-6)


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 512.0), (2.0**80, 0.0), (2.0**-90, 0.0)])
def test_offset_and_scale_change_no_distance(scale: float, offset: float) -> None:
    points = np.round(clouds(4)[0] * 256) / 256  # so that an offset loses no digits
    moved = (points + np.float32(offset)) * np.float32(scale)
    plain, found = (k_reciprocal(one[:20], one[20:], "euclidean") for one in (points, moved))
    np.testing.assert_allclose(found, plain, atol=1e-6)


def test_the_similarity_decides() -> None:
    points, _ = clouds(5)
    points *= np.linspace(0.2, 3, len(points), dtype=np.float32)[:, None]
    cosine, euclidean = (k_reciprocal(points[:20], points[20:], kind) for kind in ("cosine", "euclidean"))
    assert np.abs(cosine - euclidean).max() > 0.1
    with pytest.raises(InputError, match="dot product is none: choose cosine or euclidean"):
        k_reciprocal(points[:5], points[5:], "dot")
    with pytest.raises(InputError, match="must be one of cosine, euclidean, dot, not 'cosin'"):
        k_reciprocal(points[:5], points[5:], "cosin")  # type: ignore[arg-type]


def test_blocks_of_rows_change_nothing() -> None:
    points, _ = clouds(2)
    whole = k_reciprocal(points[:20], points[20:])
    np.testing.assert_allclose(k_reciprocal(points[:20], points[20:], memory=1200), whole, atol=1e-6)


def test_brings_matches_forward() -> None:
    points, identity = clouds(3, identities=20, each=8)
    points = points + 0.5 * np.random.default_rng(9).normal(size=points.shape).astype(np.float32)
    query, gallery = np.arange(0, 160, 4), np.setdiff1d(np.arange(160), np.arange(0, 160, 4))
    right = identity[query, None] == identity[gallery]

    def separation(scores: np.ndarray) -> float:
        ranks = scores.argsort(axis=1).argsort(axis=1)
        return float(ranks[right].mean() - ranks[~right].mean())

    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    assert separation(k_reciprocal(points[query], points[gallery])) > separation(unit[query] @ unit[gallery].T)


def test_fewer_items_than_neighbours_and_equal_items() -> None:
    points = np.ones((5, 3), np.float32)
    again = k_reciprocal(points[:2], points[2:])
    assert np.isfinite(again).all()
    assert np.ptp(again) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("settings", [{"k1": 0}, {"k2": 0}, {"weight": 1.5}, {"weight": -0.1}])
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    points, _ = clouds(0)
    with pytest.raises(InputError, match="re-ranking needs"):
        k_reciprocal(points[:5], points[5:], **settings)  # type: ignore[arg-type]


def test_its_name_says_the_settings() -> None:
    assert str(KReciprocal()) == "k-reciprocal re-ranking (k1 20, k2 6, weight 0.3)"
