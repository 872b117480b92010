"""The k nearest of a gallery: against a sort of exact similarities, whatever the parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from limbeck.errors import InputError
from limbeck.retrieval import top_k
from limbeck.retrieval.exact import exact_similarities

KINDS = ("cosine", "euclidean", "dot")


def naive(queries: Any, gallery: Any, k: int, kind: str) -> np.ndarray:
    return np.argsort(-exact_similarities(queries, gallery, kind), axis=1, kind="stable")[:, :k]


def worlds() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(1)
    plain = rng.normal(size=(300, 24))
    return {
        "plain": (plain[:7], plain),
        "signs": (np.sign(plain[:5, :6]), np.sign(plain[:, :6])),
        "offset": (plain[:4] + 1e6, plain + 1e6),
        "parallel": (1 + plain[:4] * 1e-6, 1 + plain * 1e-6),
        "equal": (np.ones((2, 5)), np.ones((300, 5))),
        "zero": (plain[:3], np.concatenate([np.zeros((20, 24)), plain])),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", [np.float32, np.float64])
@pytest.mark.parametrize("world", list(worlds()))
def test_equals_a_sort_of_exact_similarities(kind: Any, precision: type, world: str) -> None:
    queries, gallery = (side.astype(precision) for side in worlds()[world])
    wanted = naive(queries, gallery, 10, kind)
    for memory in (1, 10_000, 2**25):
        found = top_k(queries, gallery, 10, similarity=kind, memory=memory)
        np.testing.assert_array_equal(found.positions, wanted)
        exact = exact_similarities(queries, gallery, kind)
        np.testing.assert_allclose(found.similarity, np.take_along_axis(exact, wanted, axis=1), rtol=1e-15, atol=1e-20)


@pytest.mark.parametrize("scale", [1e-25, 1e25])
@pytest.mark.parametrize("kind", KINDS)
def test_squares_neither_overflow_nor_vanish(kind: Any, scale: float) -> None:
    queries, gallery = worlds()["plain"]
    found = top_k((queries * scale).astype(np.float32), (gallery * scale).astype(np.float32), 5, similarity=kind)
    wanted = top_k(queries.astype(np.float32), gallery.astype(np.float32), 5, similarity=kind)
    np.testing.assert_array_equal(found.positions, wanted.positions)


def test_small_galleries_tensors_and_refusals() -> None:
    vectors = torch.eye(3, dtype=torch.bfloat16)
    assert top_k(vectors, vectors, 9).positions.tolist() == [[0, 1, 2], [1, 0, 2], [2, 0, 1]]
    assert top_k(np.zeros((0, 3)), np.eye(3), 2).positions.shape == (0, 2)
    for given, words in (
        ((np.eye(3), np.eye(2)), "as many features"),
        ((np.eye(2), np.eye(2), 0), "k must be at least 1"),
        ((np.eye(2), np.full((2, 2), np.nan)), "gallery: 'vectors' holds NaN"),
        ((np.eye(2), np.array([["a", "b"]])), "gallery must hold real numbers"),
    ):
        with pytest.raises(InputError, match=words):
            top_k(*given)
