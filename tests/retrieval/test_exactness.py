"""Arrays and tensors give the figures of exact arithmetic, whatever scale, offset, ties and memory."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.retrieval.references import rank_all

from limbeck.retrieval.evaluation import evaluate
from limbeck.retrieval.exact import exact_similarities
from limbeck.retrieval.features import Features
from limbeck.retrieval.protocols import CrossModal, Market, Protocol
from limbeck.retrieval.ranking import Labels, Ranker
from limbeck.retrieval.similarity import Comparison, similarities

QUERIES, GALLERY, WIDTH = 16, 48, 6
PROTOCOLS: tuple[Protocol, ...] = (CrossModal("i2v"), Market())


def rational(query: NDArray[np.floating], gallery: NDArray[np.floating], kind: str) -> NDArray[np.float64]:
    """Similarities in rational numbers, rounded to float64 once."""
    asked, searched = ([[Fraction(float(value)) for value in row] for row in side] for side in (query, gallery))
    squares = [[sum(value * value for value in row) for row in side] for side in (asked, searched)]
    result = np.empty((len(asked), len(searched)))
    for q, one in enumerate(asked):
        for g, other in enumerate(searched):
            if kind == "euclidean":
                result[q, g] = -float(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)))
                continue
            dot = sum(a * b for a, b in zip(one, other, strict=True))
            if kind == "cosine":
                lengths = squares[0][q] * squares[1][g]
                square = dot * dot / lengths if lengths else Fraction(0)
                root = Fraction(math.isqrt(int(square * 2**400)), 2**200)
                dot = root if dot >= 0 else -root
            result[q, g] = float(dot)
    return result


def drawn(content: str, identities: int) -> Features:
    """Vectors around the origin: of a normal distribution, with many equal ones, or of +1 and -1."""
    generator = np.random.default_rng(identities)
    size = QUERIES + GALLERY
    vectors = generator.normal(size=(size, WIDTH))
    if content == "equal":
        vectors = vectors[generator.integers(0, 12, size)]
    elif content == "signs":
        vectors = np.where(vectors < 0, -1.0, 1.0)
    return Features.from_arrays(
        vectors,
        generator.integers(0, identities, size),
        camera=generator.integers(0, 3, size),
        modality=(np.arange(size) < QUERIES).astype(int),
        query=np.arange(size) < QUERIES,
    )


def figures(features: Features, protocol: Protocol, kind: str) -> list[NDArray[np.float64]]:
    """CMC, mAP and mINP of the sorted rational similarities."""
    (trial,) = protocol.trials(features)
    place = np.zeros(len(features), np.int64) if protocol.removal == "none" else features.camera
    found = rank_all(
        rational(features.feature[trial.queries], features.feature[trial.gallery], kind),
        (features.identity[trial.queries], place[trial.queries]),
        (features.identity[trial.gallery], place[trial.gallery]),
        removal=protocol.removal,
        unique_identity=protocol.unique_identity,
    )
    found = [one for one in found if one.matches]
    first = np.array([one.first for one in found])
    return [
        (first[:, None] <= np.arange(1, 51)).mean(axis=0),
        np.array(np.mean([one.average_precision for one in found])),
        np.array(np.mean([one.inverse_negative_penalty for one in found])),
    ]


@pytest.mark.parametrize("kind", ["cosine", "euclidean"])
@pytest.mark.parametrize(
    "scale", [pytest.param(s, marks=() if s == 1 else pytest.mark.slow) for s in (1e-25, 1e-10, 1, 1e10, 1e20)]
)
def test_arrays_and_tensors_equal_rational_arithmetic(scale: float, kind: str) -> None:
    for content in ("normal", "equal", "signs"):
        for identities in (3, 10):
            plain = drawn(content, identities)
            for offset in (0.0, 10.0, 1000.0, 1e6):
                features = Features.from_arrays(
                    scale * (plain.feature + offset),
                    plain.identity,
                    camera=plain.camera,
                    modality=plain.modality,
                    query=plain.query,
                )
                expected = [figures(features, protocol, kind) for protocol in PROTOCOLS]
                for device in (None, "cpu"):
                    for memory in (1, 5000, 2**28):
                        given = evaluate(features, PROTOCOLS, similarity=kind, device=device, memory=memory)  # type: ignore[arg-type]
                        for one, wanted in zip(given, expected, strict=True):
                            (trial,) = one.trials
                            found = (trial.cmc, trial.mean_average_precision, trial.mean_inverse_negative_penalty)
                            for value, right in zip(found, wanted, strict=True):
                                np.testing.assert_allclose(value, right, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["cosine", "euclidean", "dot"])
def test_exact_similarities_are_rational_ones_rounded_once(kind: str) -> None:
    generator = np.random.default_rng(0)
    query, gallery = generator.normal(size=(7, 11)), generator.normal(size=(150, 11))
    gallery[:3] = 3 * query[:3]
    gallery[3:6] = np.nextafter(query[:3], np.inf)
    gallery[6] = 0
    for offset in (0.0, 1e6):
        left, right = query + offset, np.where(gallery == 0, 0, gallery + offset)
        np.testing.assert_array_equal(exact_similarities(left, right, kind), rational(left, right, kind))


@pytest.mark.parametrize("kind", ["cosine", "euclidean", "dot"])
def test_products_stay_within_the_tolerance(kind: str) -> None:
    """Half of it bounds the error of one similarity, and the bound is not loose by orders of magnitude."""
    generator = np.random.default_rng(3)
    for offset in (0.0, 100.0):
        query, gallery = generator.normal(size=(20, 300)) + offset, generator.normal(size=(90, 300)) + offset
        comparison = Comparison(query, gallery, kind)  # type: ignore[arg-type]
        ((_, product),) = comparison.blocks(2**20)
        error = np.abs(product - comparison.exact(np.arange(20)))
        assert comparison.tolerance is not None
        assert (error <= comparison.tolerance[:, None] / 2).all()
        assert (comparison.tolerance < 1e-9 * np.abs(product).max()).all()


@pytest.mark.parametrize("tensor", [False, True])
def test_matches_near_another_item_are_doubtful(tensor: bool) -> None:
    import torch

    scores = np.array([[0.5, 0.5 + 1e-9, 0.2], [0.5, 0.4, 0.2], [0.5, 0.5 - 1e-9, 0.2], [0.1, 0.5, 0.2]])
    ranker = Ranker(Labels(np.array([1, 2, 3])))
    query = Labels(np.array([1, 1, 1, 4]))
    given = torch.from_numpy(scores) if tensor else scores
    for near, expected in ((1e-8, [True, False, True, False]), (1e-10, [False] * 4), (0.2, [True, True, True, False])):
        ranks, close = ranker.rank_within(given, query, np.full(4, near))
        assert close.tolist() == expected
        assert ranks.first.tolist() == [2, 1, 1, 0]
    assert ranker.rank_within(given, query, np.zeros(4))[1].tolist() == [False] * 4


def test_single_precision_moves_within_its_stated_bound_and_equal_vectors_tie() -> None:
    """Whatever the memory, every query's average precision lies between those of its worst and its best ties."""
    generator = np.random.default_rng(5)
    query, gallery = (generator.normal(size=(size, 64)).astype(np.float32) for size in (40, 400))
    gallery[100:200] = gallery[:100] * (1 + 2.0**-22 * generator.integers(-2, 3, (100, 64)).astype(np.float32))
    gallery[200:] = gallery[:200]
    identity, asked = generator.integers(0, 20, 400), generator.integers(0, 20, 40)
    features = Features.from_arrays(
        np.concatenate([query, gallery]), np.concatenate([asked, identity]), modality=(np.arange(440) < 40).astype(int)
    )
    exact, bound = rational(query[:8], gallery, "cosine"), 2 * 64 * 2.0**-23
    nowhere = np.zeros(400, np.int64)
    low, high = (
        np.array(
            [
                one.average_precision
                for one in rank_all(
                    exact + shift * (identity == asked[:8, None]),
                    (asked[:8], nowhere[:8]),
                    (identity, nowhere),
                    removal="none",
                    unique_identity=False,
                )
            ]
        )
        for shift in (-bound, bound)
    )
    for device in (None, "cpu"):
        for memory in (1, 5000, 50_000, 2**28):
            (one,) = evaluate(features, CrossModal("i2v"), memory=memory, device=device)
            found = one.ranks[0].average_precision[:8]
            assert (found >= low - 1e-12).all()
            assert (found <= high + 1e-12).all()
            for _, block in similarities(query, gallery, memory=memory):
                np.testing.assert_array_equal(block[:, 200:], block[:, :200])
    assert 0 < (high - low).max() < 0.1  # there are near ties, and the bound says something


def test_single_precision_directions_that_nearly_agree_are_compared_in_double() -> None:
    generator = np.random.default_rng(2)
    vectors = (generator.normal(size=(80, 8)) + 1000).astype(np.float32)
    comparison = Comparison(vectors[:20], vectors[20:], "cosine")
    assert comparison.dtype == np.float64
    assert comparison.tolerance is not None
    assert Comparison(vectors[:20] - 1000, vectors[20:] - 1000, "cosine").dtype == np.float32
    np.testing.assert_array_equal(comparison.exact(np.arange(20)), rational(vectors[:20], vectors[20:], "cosine"))


@pytest.mark.parametrize("scale", [1e-25, 1e20])
@pytest.mark.parametrize("kind", ["cosine", "euclidean", "dot"])
def test_single_precision_neither_overflows_nor_vanishes(kind: str, scale: float) -> None:
    generator = np.random.default_rng(4)
    vectors = generator.normal(size=(60, 8)).astype(np.float32)
    labels = {"identity": generator.integers(0, 6, 60), "modality": (np.arange(60) < 20).astype(int)}
    plain, scaled = (
        evaluate(Features.from_arrays(factor * vectors, **labels), CrossModal("i2v"), similarity=kind)[0].trials[0]  # type: ignore[arg-type]
        for factor in (np.float32(1), np.float32(2.0 ** np.round(np.log2(scale))))
    )
    assert scaled.mean_average_precision == plain.mean_average_precision
    np.testing.assert_array_equal(scaled.cmc, plain.cmc)
