"""Evaluations equal a naive one, share matrices without changing figures, and say what they did."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from tests.retrieval.references import dense_k_reciprocal, rank_all
from tests.retrieval.test_protocols import sysu_like

from limbeck.errors import InputError
from limbeck.retrieval.evaluation import evaluate
from limbeck.retrieval.features import Features
from limbeck.retrieval.metrics import summarise
from limbeck.retrieval.protocols import Market, Protocol, RegDB, named_protocols
from limbeck.retrieval.ranking import Ranks
from limbeck.retrieval.report.table import evaluations_as_json, format_evaluations
from limbeck.retrieval.reranking import KReciprocal

EVERY = [p for name in ("sysu", "regdb", "llcm", "llcm-v2i-deen-script", "market") for p in named_protocols(name)]


def naive(features: Features, protocol: Protocol) -> list[tuple[float, float, float, float]]:
    """(R1, R5, mAP, mINP) of every trial, from float64 lists."""
    place = protocol.places(features)
    place = np.zeros(len(features), np.int64) if place is None else place
    unit = features.feature / np.linalg.norm(features.feature, axis=1, keepdims=True)
    figures = []
    for trial in protocol.trials(features):
        found = rank_all(
            unit[trial.queries] @ unit[trial.gallery].T,
            (features.identity[trial.queries], place[trial.queries]),
            (features.identity[trial.gallery], place[trial.gallery]),
            removal=protocol.removal,
            unique_identity=protocol.unique_identity,
        )
        found = [one for one in found if one.matches]
        figures.append(
            (
                float(np.mean([one.first <= 1 for one in found])),
                float(np.mean([one.first <= 5 for one in found])),
                float(np.mean([one.average_precision for one in found])),
                float(np.mean([one.inverse_negative_penalty for one in found])),
            )
        )
    return figures


@pytest.mark.parametrize("device", [None, pytest.param("cpu", marks=pytest.mark.slow)])
def test_all_protocols_at_once_equal_the_naive_evaluation(device: str | None) -> None:
    features = sysu_like(identities=4, each=11, shuffled=True)
    together = evaluate(features, EVERY, device=device, memory=4000)
    for protocol, one in zip(EVERY, together, strict=True):
        expected = naive(features, protocol)
        found = [(t.rank(1), t.rank(5), t.mean_average_precision, t.mean_inverse_negative_penalty) for t in one.trials]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
        assert one.protocol == protocol.name
        assert one.rules.startswith(protocol.rules)
        assert "cosine similarity; no re-ranking" in one.rules


def test_rankings_belong_to_the_queries_that_are_named() -> None:
    features = sysu_like(identities=4, each=11, shuffled=True)
    (one,) = evaluate(features, named_protocols("llcm-v2i-deen-script"), memory=3000)
    for queries, ranks in zip(one.queries, one.ranks, strict=True):
        assert len(queries) == len(ranks.first)
        assert (np.diff(queries) > 0).all()
        unit = features.feature / np.linalg.norm(features.feature, axis=1, keepdims=True)
        gallery = np.flatnonzero(features.modality == 0)
        (expected,) = rank_all(
            unit[queries[:1]] @ unit[gallery].T,
            (features.identity[queries[:1]], features.camera[queries[:1]]),
            (features.identity[gallery], features.camera[gallery]),
            removal="identity-and-place",
            unique_identity=True,
        )
        assert ranks.first[0] == expected.first
        assert ranks.average_precision[0] == pytest.approx(expected.average_precision)


def test_several_sets_of_features_are_trials() -> None:
    first, second = sysu_like(4), sysu_like(5)
    (one,) = evaluate([first, second], RegDB("v2i"))
    alone = [evaluate(features, RegDB("v2i"))[0].trials[0] for features in (first, second)]
    assert [t.mean_average_precision for t in one.trials] == [t.mean_average_precision for t in alone]
    assert one.mean_average_precision.mean == pytest.approx(np.mean([t.mean_average_precision for t in alone]))


def test_reranking_is_named_and_equals_the_dense_reference() -> None:
    features = sysu_like(5, 6)
    (one,) = evaluate(features, RegDB("i2v"), reranking=KReciprocal(5, 2, 0.3))
    assert "k-reciprocal re-ranking (k1 5, k2 2, weight 0.3)" in one.rules
    queries, gallery = np.flatnonzero(features.modality == 1), np.flatnonzero(features.modality == 0)
    distance = dense_k_reciprocal(features.feature[queries], features.feature[gallery], 5, 2, 0.3)
    nowhere = np.zeros(len(features), np.int64)
    found = rank_all(
        -distance,
        (features.identity[queries], nowhere[queries]),
        (features.identity[gallery], nowhere[gallery]),
        removal="none",
        unique_identity=False,
    )
    assert one.mean_average_precision.mean == pytest.approx(np.mean([r.average_precision for r in found]), abs=2e-3)
    with pytest.raises(InputError, match="CPU only"):
        evaluate(features, RegDB("i2v"), reranking=KReciprocal(), device="cpu")


def test_unmatched_queries_are_left_out_and_counted() -> None:
    features = Features.from_arrays(np.eye(4), [1, 2, 1, 3], modality=[0, 0, 1, 1])
    (one,) = evaluate(features, RegDB("v2i"))
    assert (one.trials[0].queries, one.trials[0].unmatched) == (1, 1)
    with pytest.raises(InputError, match="no query with a match"):
        evaluate(Features.from_arrays(np.eye(2), [1, 2], modality=[0, 1]), RegDB("v2i"))


def test_nothing_to_do_is_refused() -> None:
    with pytest.raises(InputError, match="nothing to evaluate"):
        evaluate([], Market())
    with pytest.raises(InputError, match="nothing to evaluate"):
        evaluate(sysu_like(), [])


def test_progress_ends_at_all() -> None:
    heard: list[tuple[int, int]] = []
    evaluate(sysu_like(), EVERY[:5], memory=2000, progress=lambda done, total: heard.append((done, total)))
    assert heard[-1][0] == heard[-1][1]
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)


def test_cmc_by_hand() -> None:
    ranks = Ranks(np.array([1, 2, 2, 0, 70]), np.full(5, 0.5), np.full(5, 0.25), np.array([1, 1, 1, 0, 1]))
    figures = summarise(ranks)
    assert [figures.rank(k) for k in (1, 2, 50)] == [0.25, 0.75, 0.75]
    assert (figures.queries, figures.unmatched) == (4, 1)
    with pytest.raises(ValueError, match="from 1 to 50"):
        figures.rank(51)
    nothing = summarise(Ranks(np.array([0]), np.array([np.nan]), np.array([np.nan]), np.array([0])))
    assert math.isnan(nothing.rank(1))


def test_the_report_names_protocols_rules_and_spreads() -> None:
    together = evaluate(sysu_like(), named_protocols("sysu-all"))
    text = format_evaluations(together)
    for one in together:
        assert one.protocol in text
        assert one.rules in text
        assert f"{100 * one.cmc(1).mean:.2f} ± {100 * one.cmc(1).deviation:.2f}" in text
        assert f"({100 * one.mean_average_precision.standard_error:.2f})" in text
    values = json.loads(json.dumps(evaluations_as_json(together), allow_nan=False))
    assert values[0]["cmc"]["1"]["mean"] == together[0].cmc(1).mean
    assert len(values[0]["mean_average_precision"]["values"]) == 10
    single = evaluations_as_json(evaluate(sysu_like(), RegDB("v2i")))
    assert single[0]["cmc"]["1"]["deviation"] is None


def test_torchmetrics_agrees_where_its_rules_are_the_same() -> None:
    retrieval = pytest.importorskip("torchmetrics.functional.retrieval", reason="torchmetrics is not installed")
    import torch

    features = sysu_like(4, 5)
    (one,) = evaluate(features, RegDB("v2i"))
    unit = features.feature / np.linalg.norm(features.feature, axis=1, keepdims=True)
    gallery = np.flatnonzero(features.modality == 1)
    for position, query in enumerate(one.queries[0]):
        scores = torch.from_numpy(1 + unit[gallery] @ unit[query])  # torchmetrics drops matches with scores below 0
        target = torch.from_numpy(features.identity[gallery] == features.identity[query])
        expected = retrieval.retrieval_average_precision(scores, target)
        assert one.ranks[0].average_precision[position] == pytest.approx(float(expected), abs=1e-6)
        assert one.ranks[0].first[position] == round(1 / float(retrieval.retrieval_reciprocal_rank(scores, target)))
