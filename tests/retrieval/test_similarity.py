"""Similarities: values, blocks, degenerate vectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from limbeck.errors import InputError
from limbeck.retrieval.ranking import Labels, Ranker
from limbeck.retrieval.similarity import similarities, unit


def whole(query: object, gallery: object, kind: str, **options: int) -> np.ndarray:
    return np.concatenate([np.asarray(block).copy() for _, block in similarities(query, gallery, kind, **options)])  # type: ignore[type-var]


@pytest.mark.parametrize("tensor", [False, True])
@pytest.mark.parametrize("memory", [1, 200, 10**6])
def test_values_and_order(memory: int, tensor: bool) -> None:
    generator = np.random.default_rng(0)
    query, gallery = generator.normal(size=(7, 5)), generator.normal(size=(11, 5))
    given = (torch.from_numpy(query), torch.from_numpy(gallery)) if tensor else (query, gallery)
    np.testing.assert_allclose(whole(*given, "dot", memory=memory), query @ gallery.T)
    lengths = np.linalg.norm(query, axis=1)[:, None] * np.linalg.norm(gallery, axis=1)
    np.testing.assert_allclose(whole(*given, "cosine", memory=memory), query @ gallery.T / lengths)
    distance = np.linalg.norm(query[:, None] - gallery, axis=2)
    np.testing.assert_array_equal(
        whole(*given, "euclidean", memory=memory).argsort(axis=1), (-distance).argsort(axis=1)
    )


def test_blocks_are_bounded() -> None:
    query, gallery = np.ones((10, 2), np.float32), np.arange(200, dtype=np.float32).reshape(100, 2)
    sizes = [block.nbytes for _, block in similarities(query, gallery, memory=1000)]
    assert max(sizes) <= 1000
    assert len(sizes) == 5
    # Where rows are equal, what is expanded counts too.
    sizes = [block.nbytes for _, block in similarities(query, np.ones_like(gallery), memory=1000)]
    assert max(sizes) == 800


@pytest.mark.parametrize("tensor", [False, True])
def test_zero_vectors_are_similar_to_nothing(tensor: bool) -> None:
    zero, other = np.zeros((1, 3)), np.eye(3)
    given = (torch.from_numpy(zero), torch.from_numpy(other)) if tensor else (zero, other)
    assert whole(*given, "cosine").tolist() == [[0, 0, 0]]


def test_lengths_neither_overflow_nor_vanish() -> None:
    for scale in (1e-30, 1e30):
        vectors = np.array([[3, 4]], np.float32) * np.float32(scale)
        np.testing.assert_allclose(unit(vectors), [[0.6, 0.8]], rtol=1e-6)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.int32, torch.float64])
def test_tensors_of_any_precision_and_with_a_history(kind: torch.dtype) -> None:
    query, gallery = torch.tensor([[1.0, 2.0], [3.0, -4.0]]), torch.tensor([[0.5, 2.0], [1.0, 0.0], [2.0, 4.0]])
    query, gallery = query.to(kind), gallery.to(kind)
    expected = query.double() @ gallery.double().T
    if kind.is_floating_point:
        query.requires_grad_()
    np.testing.assert_allclose(whole(query, gallery, "dot"), expected)
    scores = torch.tensor([[3.0, 1.0, 2.0], [1.0, 2.0, 3.0]]).to(kind)
    if kind.is_floating_point:
        scores.requires_grad_()
    assert Ranker(Labels(np.array([1, 2, 3]))).rank(scores, Labels(np.array([3, 1]))).first.tolist() == [2, 3]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="as many features"):
        similarities(np.eye(2), np.eye(3))
    with pytest.raises(InputError, match="query must hold real numbers, not complex128"):
        similarities(np.eye(2) * 1j, np.eye(2))
    with pytest.raises(ValueError, match="real numbers"):
        Ranker(Labels(np.array([1, 2]))).rank(torch.eye(2, dtype=torch.complex64), Labels(np.array([1, 2])))


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match="manhattan"):
        next(similarities(np.eye(2), np.eye(2), "manhattan"))  # type: ignore[arg-type]
