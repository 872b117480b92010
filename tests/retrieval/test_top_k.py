"""The head of a ranked list agrees with a full sort and with the ranks that count."""

from __future__ import annotations

import numpy as np
import pytest
from tests.retrieval.test_protocols import sysu_like

from limbeck.errors import InputError
from limbeck.retrieval.evaluation import evaluate
from limbeck.retrieval.features import Features
from limbeck.retrieval.protocols import LLCM, SYSU, CrossModal, Market, Protocol, RegDB
from limbeck.retrieval.reranking import KReciprocal
from limbeck.retrieval.similarity import Similarity
from limbeck.retrieval.top_k import ranked_lists


def rounded(features: Features) -> Features:
    """Small whole numbers: similarities without rounding, and many ties."""
    return Features.from_arrays(
        np.random.default_rng(1).integers(-1, 2, (len(features), 4)).astype(np.float32),
        features.identity,
        camera=features.camera,
        modality=features.modality,
        path=features.path,
    )


@pytest.mark.parametrize("protocol", [SYSU("all", 3), LLCM("v2i"), LLCM("i2v", swapped=True), Market(), RegDB("i2v")])
def test_a_full_stable_sort_gives_the_same(protocol: Protocol) -> None:
    features = rounded(sysu_like(5, 6, shuffled=True))
    trial = protocol.trials(features)[0]
    place = protocol.places(features)
    lists = ranked_lists(features, protocol, k=7, similarity="dot")
    assert [found.query for found in lists] == sorted(trial.queries.tolist())
    for found in lists:
        scores = features.feature[trial.gallery] @ features.feature[found.query]
        same = features.identity[trial.gallery] == features.identity[found.query]
        hidden = np.zeros(len(same), bool)
        if protocol.removal == "place":
            hidden = place[trial.gallery] == place[found.query]
        elif protocol.removal == "identity-and-place":
            hidden = same & (place[trial.gallery] == place[found.query])
        order = [column for column in np.argsort(-scores, kind="stable") if not hidden[column]][:7]
        np.testing.assert_array_equal(found.items, trial.gallery[order])
        np.testing.assert_array_equal(found.similarity, scores[order])
        np.testing.assert_array_equal(found.right, same[order])
        assert found.matched == bool((same & ~hidden).any())


@pytest.mark.parametrize("protocol", [Market(), RegDB("v2i"), CrossModal("i2v")])
def test_the_first_right_one_stands_where_the_ranks_say_even_among_ties(protocol: Protocol) -> None:
    features = rounded(sysu_like(6, 5, shuffled=True))
    (one,) = evaluate(features, protocol, similarity="dot")
    lists = ranked_lists(features, protocol, k=len(features), similarity="dot")
    assert [found.query for found in lists] == one.queries[0].tolist()
    assert [found.first for found in lists] == one.ranks[0].first.tolist()
    assert [int(found.right.sum()) for found in lists] == one.ranks[0].matches.tolist()


@pytest.mark.parametrize("kind", ["cosine", "euclidean"])
def test_lists_stand_where_the_ranks_say_even_where_products_round_ties_apart(kind: Similarity) -> None:
    plain = sysu_like(6, 5, shuffled=True)
    signs = np.where(plain.feature[:, :5] < 0, -1e-25, 1e-25)
    features = Features.from_arrays(signs, plain.identity, camera=plain.camera, modality=plain.modality)
    (one,) = evaluate(features, Market(), similarity=kind, memory=3000)
    for k in (len(features), 1):
        lists = ranked_lists(features, Market(), k=k, similarity=kind)
        found = [found.first for found in lists]
        assert found == [first if first <= k else 0 for first in one.ranks[0].first.tolist()]


def test_under_unique_identities_the_rank_counts_identities_of_the_list() -> None:
    features = rounded(sysu_like(6, 5, shuffled=True))
    (one,) = evaluate(features, SYSU("all", 2), similarity="dot")
    for trial in (0, 9):
        lists = ranked_lists(features, SYSU("all", 2), trial=trial, k=len(features), similarity="dot")
        counted = [len(set(features.identity[f.items[: f.first - 1]].tolist())) + 1 if f.matched else 0 for f in lists]
        assert counted == one.ranks[trial].first.tolist()


def test_reranked_lists_are_those_of_the_reranked_evaluation() -> None:
    features = sysu_like(5, 6)
    settings = KReciprocal(5, 2, 0.3)
    (one,) = evaluate(features, RegDB("i2v"), reranking=settings)
    chosen = one.queries[0][::-7]
    lists = ranked_lists(features, RegDB("i2v"), queries=chosen, k=len(features), reranking=settings)
    assert [found.query for found in lists] == chosen.tolist()
    assert [found.first for found in lists] == one.ranks[0].first[::-7].tolist()


def test_small_galleries_and_queries_without_a_match() -> None:
    features = Features.from_arrays(np.eye(4), [1, 2, 1, 3], camera=[1, 1, 2, 1], modality=[0, 0, 1, 1])
    first, second = ranked_lists(features, CrossModal("v2i"), k=10)
    assert (first.items.tolist(), first.right.tolist(), first.first, first.matched) == ([2, 3], [True, False], 1, True)
    assert (second.right.tolist(), second.first, second.matched) == ([False, False], 0, False)
    alone = Features.from_arrays(np.eye(2), [1, 1], camera=[1, 1])
    assert [found.items.tolist() for found in ranked_lists(alone, Market())] == [[], []]
    assert ranked_lists(features, CrossModal("v2i"), queries=[]) == []


def test_what_does_not_fit_is_refused() -> None:
    features = sysu_like(3, 3)
    with pytest.raises(InputError, match="k must be at least 1"):
        ranked_lists(features, RegDB(), k=0)
    with pytest.raises(InputError, match="trials 0 to 0"):
        ranked_lists(features, RegDB(), trial=1)
    with pytest.raises(InputError, match="not a query of regdb-i2v, trial 0"):
        ranked_lists(features, RegDB(), queries=[0])
    with pytest.raises(InputError, match="row of positions"):
        ranked_lists(features, RegDB(), queries=[0.5])
