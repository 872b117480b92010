"""Evaluations equal a naive one, share matrices without changing figures, and say what they did."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from tests.retrieval.references import dense_k_reciprocal, rank_all
from tests.retrieval.test_protocols import sysu_like

from limbeck.errors import InputError
from limbeck.reporting.statistics import Estimate
from limbeck.retrieval.evaluation import evaluate
from limbeck.retrieval.features import Features
from limbeck.retrieval.metrics import summarise
from limbeck.retrieval.protocols import SYSU, CrossModal, Market, Protocol, RegDB, named_protocols
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
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
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
    assert (one.models, one.spread_over) == ([0, 1], "models")
    folds = evaluate([first] * 10, RegDB("v2i"))[0]
    assert (len(folds.trials), folds.models, folds.cmc(1).standard_error) == (10, list(range(10)), 0.0)


def with_rank_1(right: int, wrong: int) -> Features:
    """Infrared pictures of SYSU-MM01's cameras of which so many find their person first, and so many do not."""
    size = right + wrong
    visible = np.eye(size)
    infrared = np.concatenate([visible[:right], np.roll(visible[right:], 1, axis=0)])
    return Features.from_arrays(
        np.concatenate([infrared, visible, visible]),
        np.tile(np.arange(size), 3),
        camera=np.repeat([3, 1, 4], size),
        modality=np.repeat([1, 0, 0], size),
    )


def test_galleries_of_one_model_are_no_independent_trials_beside_those_of_another() -> None:
    """Two models of rank-1 .1875 and .75 with ten galleries each: pooled, twenty trials would promise .065."""
    weak, strong = with_rank_1(3, 13), with_rank_1(12, 4)
    (one,) = evaluate([weak, strong], SYSU())
    values = [trial.rank(1) for trial in one.trials]
    assert values == [0.1875] * 10 + [0.75] * 10
    assert Estimate.from_values(values).standard_error == pytest.approx(0.0645, abs=1e-4)
    found = one.cmc(1)
    assert found.mean == pytest.approx(0.46875)
    assert found.standard_error == pytest.approx((0.75 - 0.1875) / 2)
    assert found.deviation == pytest.approx((0.75 - 0.1875) / math.sqrt(2))
    text = format_evaluations([one])
    assert "(28.12)" in text
    assert "2 x 10" in text
    assert "Spread: over 2 models, the galleries of each averaged first." in text
    (values,) = evaluations_as_json([one])
    assert values["cmc"]["1"]["standard_error"] == found.standard_error
    assert (values["models"], values["spread_over"]) == ([0] * 10 + [1] * 10, "models")


def test_with_one_model_the_spread_says_that_it_is_of_the_galleries() -> None:
    galleries, alone = evaluate(sysu_like(), [SYSU(), RegDB("v2i")])
    assert (galleries.spread_over, alone.spread_over) == ("galleries", "nothing")
    assert galleries.cmc(1) == Estimate.from_values([trial.rank(1) for trial in galleries.trials])
    text = format_evaluations([galleries, alone])
    assert "over 10 galleries of one model: the luck of their draw alone, not how another model would fare." in text
    assert "Spread: none, of one model and one gallery." in text


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


def test_reranking_computes_with_the_similarity_that_it_prints() -> None:
    plain = sysu_like(5, 6)
    features = Features.from_arrays(
        plain.feature * np.linspace(0.2, 3, len(plain))[::-1, None], plain.identity, modality=plain.modality
    )
    queries, gallery = np.flatnonzero(features.modality == 1), np.flatnonzero(features.modality == 0)
    nowhere, found = np.zeros(len(features), np.int64), {}
    for kind in ("cosine", "euclidean"):
        (one,) = evaluate(features, RegDB("i2v"), similarity=kind, reranking=KReciprocal(5, 2, 0.3))  # type: ignore[arg-type]
        assert f"{kind} similarity; k-reciprocal re-ranking" in one.rules
        found[kind] = one.ranks[0].average_precision
        reference = rank_all(
            -dense_k_reciprocal(features.feature[queries], features.feature[gallery], 5, 2, 0.3, kind),
            (features.identity[queries], nowhere[queries]),
            (features.identity[gallery], nowhere[gallery]),
            removal="none",
            unique_identity=False,
        )
        assert np.mean(found[kind]) == pytest.approx(np.mean([r.average_precision for r in reference]), abs=2e-3)
    assert np.abs(found["cosine"] - found["euclidean"]).max() > 0.05
    for reranking in (None, KReciprocal()):
        with pytest.raises(InputError, match="must be one of cosine, euclidean, dot, not 'cosin'"):
            evaluate(features, RegDB("i2v"), similarity="cosin", reranking=reranking)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="dot product is none"):
        evaluate(features, RegDB("i2v"), similarity="dot", reranking=KReciprocal())


def test_unmatched_queries_are_left_out_and_counted() -> None:
    features = Features.from_arrays(np.eye(4), [1, 2, 1, 3], modality=[0, 0, 1, 1])
    (one,) = evaluate(features, RegDB("v2i"))
    assert (one.trials[0].queries, one.trials[0].unmatched) == (1, 1)
    with pytest.raises(InputError, match="no query with a match"):
        evaluate(Features.from_arrays(np.eye(2), [1, 2], modality=[0, 1]), RegDB("v2i"))


@pytest.mark.parametrize("protocol", [p for p in EVERY if p.name != "market"], ids=lambda p: p.name)
def test_negative_identities_are_never_asked_and_move_no_draw_of_others(protocol: Protocol) -> None:
    features = sysu_like(4, 3)
    identity = np.concatenate([features.identity, [-1] * 6, [-7] * 6])
    rows = np.concatenate([np.arange(len(features)), *[np.flatnonzero(features.identity == 2)[::3]] * 2])
    mixed = Features.from_arrays(
        features.feature[rows], identity, camera=features.camera[rows], modality=features.modality[rows]
    )
    known = set(range(len(features)))
    left_out = 8 if protocol.name in {"regdb-v2i", "llcm-v2i"} else 4  # visible pictures of nobody, or infrared ones
    for trial, before in zip(protocol.trials(mixed), protocol.trials(features), strict=True):
        assert (identity[trial.queries] >= 0).all()
        assert sorted(trial.queries.tolist()) == sorted(before.queries.tolist())
        assert sorted(known & set(trial.gallery.tolist())) == sorted(before.gallery.tolist())
        assert (identity[trial.gallery] < 0).any()
        assert trial.not_asked == left_out
    (one,) = evaluate(mixed, protocol)
    assert one.not_asked == [left_out] * len(one.trials)
    assert all(trial.queries + trial.unmatched == len(q) for trial, q in zip(one.trials, one.queries, strict=True))
    assert f"Of a negative identity and not asked: {left_out} a trial." in format_evaluations([one])
    assert evaluations_as_json([one])[0]["not_asked"] == one.not_asked
    assert "not asked:" not in format_evaluations(evaluate(features, protocol))


def test_distractors_of_negative_identity_come_before_matches_where_they_are_nearer() -> None:
    features = Features.from_arrays([[1, 0], [0.6, 0.8], [1, 0.1]], [5, 5, -1], modality=[1, 0, 0])
    (one,) = evaluate(features, CrossModal("i2v"))
    assert one.ranks[0].first.tolist() == [2]


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
    half = np.full(5, 0.5)
    ranks = Ranks(np.array([1, 2, 2, 0, 70]), half, half / 2, np.array([1, 1, 1, 0, 1]), half, half)
    figures = summarise(ranks)
    assert [figures.rank(k) for k in (1, 2, 50)] == [0.25, 0.75, 0.75]
    assert (figures.queries, figures.unmatched) == (4, 1)
    with pytest.raises(ValueError, match="from 1 to 50"):
        figures.rank(51)
    nothing = summarise(Ranks.unmatched(1))
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
