"""Ranks by counting equal ranks by sorting: every rule, ties, missing matches, arrays and tensors."""

from __future__ import annotations

import itertools
from dataclasses import fields

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.retrieval.references import rank_all

from limbeck.retrieval.ranking import Labels, Ranker, Ranks

RULES = list(itertools.product(("none", "place", "identity-and-place"), (False, True)))


def draw(seed: int, queries: int, gallery: int, identities: int, levels: int | None) -> tuple[NDArray, Labels, Labels]:
    """Random similarities (few levels: many ties) and labels; some queries have no match."""
    generator = np.random.default_rng(seed)
    similarity = generator.normal(size=(queries, gallery))
    if levels is not None:
        similarity = generator.integers(0, levels, (queries, gallery)).astype(float)
    query = Labels(generator.integers(0, identities + 3, queries), generator.integers(0, 4, queries))
    return similarity, query, Labels(generator.integers(0, identities, gallery), generator.integers(0, 4, gallery))


def assert_equal(ranks: Ranks, reference: list) -> None:
    assert ranks.first.tolist() == [one.first for one in reference]
    assert ranks.matches.tolist() == [one.matches for one in reference]
    for name in ("average_precision", "inverse_negative_penalty", "r_precision", "average_precision_at_r"):
        expected = [getattr(one, name) for one in reference]
        np.testing.assert_allclose(getattr(ranks, name), expected, rtol=0, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("levels", [None, 2, 7])
@pytest.mark.parametrize(("removal", "unique"), RULES)
@pytest.mark.parametrize("kind", ["float64", "float32", "tensor", "tensor32"])
def test_equals_a_sort_of_everything(kind: str, removal: str, unique: bool, levels: int | None) -> None:
    for seed, (queries, gallery, identities) in enumerate([(23, 40, 5), (7, 1, 1), (5, 60, 60), (40, 300, 2)]):
        similarity, query, labels = draw(seed, queries, gallery, identities, levels)
        if kind.endswith("32"):
            similarity = similarity.astype(np.float32)
        ranker = Ranker(labels, removal=removal, unique_identity=unique)
        given = torch.from_numpy(similarity) if kind.startswith("tensor") else similarity
        reference = rank_all(similarity, query, labels, removal=removal, unique_identity=unique)
        assert_equal(ranker.rank(given, query), reference)


def test_is_the_same_for_any_number_of_threads_and_any_cut() -> None:
    similarity, query, labels = draw(0, 31, 50, 6, 5)
    ranker = Ranker(labels, removal="place", unique_identity=True)
    whole = ranker.rank(similarity, query, threads=1)
    parts = [
        ranker.rank(similarity[part], Labels(query.identity[part], query.place[part]), threads=3)
        for part in (slice(0, 1), slice(1, 30), slice(30, 31))
    ]
    for name in (one.name for one in fields(Ranks)):
        np.testing.assert_array_equal(getattr(Ranks.join(parts), name), getattr(whole, name))


@pytest.mark.parametrize("tensor", [False, True])
def test_columns_pick_a_gallery_out_of_a_wider_matrix(tensor: bool) -> None:
    similarity, query, labels = draw(1, 9, 30, 4, 3)
    chosen = np.random.default_rng(0).permutation(30)[:12]
    part = Labels(labels.identity[chosen], labels.place[chosen])
    given = torch.from_numpy(similarity) if tensor else similarity
    picked = Ranker(part, removal="place", columns=chosen).rank(given, query)
    alone = Ranker(part, removal="place").rank(similarity[:, chosen], query)
    np.testing.assert_allclose(picked.average_precision, alone.average_precision, rtol=1e-14)
    np.testing.assert_array_equal(picked.first, alone.first)


# -- five pictures, by hand -------------------------------------------------------------------------------------------
# Gallery in order of similarity: identities 2 1 2 1 3, places 2 2 4 4 5. The query is identity 1 from place 2.

FIVE = Labels(np.array([2, 1, 2, 1, 3]), np.array([2, 2, 4, 4, 5]))
SCORES = np.array([[0.9, 0.8, 0.7, 0.6, 0.5]])
QUERY = Labels(np.array([1]), np.array([2]))


@pytest.mark.parametrize(
    ("removal", "unique", "first", "precision", "penalty", "matches"),
    [
        ("none", False, 2, (1 / 2 + 2 / 4) / 2, 2 / 4, 2),  # 2 1 2 1 3
        ("none", True, 2, (1 / 2 + 2 / 4) / 2, 2 / 4, 2),  # CMC over 2 1 3
        ("place", False, 2, 1 / 2, 1 / 2, 1),  # 2 1 3, from places 4 4 5
        ("identity-and-place", False, 3, 1 / 3, 1 / 3, 1),  # 2 2 1 3
        ("identity-and-place", True, 2, 1 / 3, 1 / 3, 1),  # CMC over 2 1 3, precision over 2 2 1 3
    ],
)
def test_five_pictures(removal: str, unique: bool, first: int, precision: float, penalty: float, matches: int) -> None:
    ranks = Ranker(FIVE, removal=removal, unique_identity=unique).rank(SCORES, QUERY)
    assert (ranks.first[0], ranks.matches[0]) == (first, matches)
    assert ranks.average_precision[0] == pytest.approx(precision, abs=1e-15)
    assert ranks.inverse_negative_penalty[0] == pytest.approx(penalty, abs=1e-15)


def test_equal_similarities_keep_the_order_of_the_gallery() -> None:
    flat = np.zeros((1, 5))
    assert Ranker(FIVE).rank(flat, QUERY).first[0] == 2
    backwards = Labels(FIVE.identity[::-1].copy())
    assert Ranker(backwards).rank(flat, QUERY).first[0] == 2
    assert Ranker(Labels(np.array([1, 2, 2, 2, 2]))).rank(flat, QUERY).first[0] == 1
    assert Ranker(Labels(np.array([2, 2, 2, 2, 1]))).rank(flat, QUERY).first[0] == 5


def test_an_identity_that_the_gallery_lacks_has_no_rank() -> None:
    ranks = Ranker(FIVE).rank(SCORES, Labels(np.array([4])))
    assert ranks.first[0] == 0
    assert ranks.matches[0] == 0
    assert np.isnan(ranks.average_precision[0])
    assert np.isnan(ranks.inverse_negative_penalty[0])


@pytest.mark.parametrize("tensor", [False, True])
def test_an_empty_gallery_ranks_nothing(tensor: bool) -> None:
    empty = np.zeros((2, 0))
    query = Labels(np.array([1, 2]), np.array([1, 1]))
    for removal in ("none", "place", "identity-and-place"):
        ranker = Ranker(Labels(np.zeros(0, np.int64), np.zeros(0, np.int64)), removal=removal)  # type: ignore[arg-type]
        ranks = ranker.rank(torch.from_numpy(empty) if tensor else empty, query)
        assert ranks.first.tolist() == ranks.matches.tolist() == [0, 0]
        assert np.isnan(ranks.average_precision).all()
        assert np.isnan(ranks.inverse_negative_penalty).all()


@pytest.mark.parametrize("tensor", [False, True])
@pytest.mark.parametrize("hidden", [0, 1, 4])
def test_nan_is_refused(tensor: bool, hidden: int) -> None:
    scores = SCORES.copy()
    scores[0, hidden] = np.nan
    given = torch.from_numpy(scores) if tensor else scores
    for query in (QUERY, Labels(np.array([9]))):
        with pytest.raises(ValueError, match="NaN"):
            Ranker(FIVE).rank(given, query)


@pytest.mark.parametrize("tensor", [False, True])
def test_infinite_similarities_stand_at_the_ends(tensor: bool) -> None:
    scores = np.array([[-np.inf, -np.inf, np.inf, 0.0, -np.inf]])  # order: 2(c) 1(d) 2(a) 1(b) 3(e)
    given = torch.from_numpy(scores) if tensor else scores
    ranks = Ranker(FIVE).rank(given, QUERY)
    assert ranks.first[0] == 2
    assert ranks.average_precision[0] == pytest.approx((1 / 2 + 2 / 4) / 2)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="removal"):
        Ranker(FIVE, removal="camera")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="places of the gallery"):
        Ranker(Labels(FIVE.identity), removal="place")
    with pytest.raises(ValueError, match="places of the queries"):
        Ranker(FIVE, removal="place").rank(SCORES, Labels(np.array([1])))
    with pytest.raises(ValueError, match="4 columns"):
        Ranker(FIVE).rank(SCORES[:, :4], QUERY)
    with pytest.raises(ValueError, match="6 columns"):
        Ranker(FIVE).rank(np.zeros((1, 6)), QUERY)
    with pytest.raises(ValueError, match="shape"):
        Ranker(FIVE).rank(SCORES[0], QUERY)
    with pytest.raises(ValueError, match="places"):
        Ranker(Labels(FIVE.identity, FIVE.place[:2]))
    with pytest.raises(ValueError, match="columns"):
        Ranker(FIVE, columns=np.arange(3))
