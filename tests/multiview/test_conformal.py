"""Sets of classes: closed forms, a naive reference, degenerate input, and coverage that is what is stated."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tests.refusals import refuses

from limbeck.multiview.conformal import (
    Models,
    as_generator,
    conformal_sets,
    coverage_interval,
    cross_conformal_sets,
    needed_samples,
    nonconformity,
)

LEVELS = [0, 0.001, 0.1, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1]


def _distributions(rng: np.random.Generator, *shape: int, sharp: float = 1.0) -> np.ndarray:
    return rng.dirichlet(np.full(shape[-1], 1 / sharp), size=shape[:-1])


def _draw(rng: np.random.Generator, probability: np.ndarray) -> np.ndarray:
    """Labels whose law is `probability`."""
    return (rng.random(len(probability))[:, None] > probability.cumsum(axis=1)[:, :-1]).sum(axis=1)


def _covered(sets: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return sets[np.arange(len(labels)), labels]


# -- scores -----------------------------------------------------------------------------------------------------------


def test_aps_is_the_smallest_mass_whose_randomised_set_holds_the_class() -> None:
    """The definition of Romano et al. 2020, by search: S(tau) is the top classes of mass tau, the last drawn by u."""
    rng = np.random.default_rng(0)
    probability, uniform = _distributions(rng, 40, 4), rng.random(40)
    scores = nonconformity(probability, "aps", uniform=uniform)
    for row, u, found in zip(probability, uniform, scores, strict=True):
        order = np.argsort(-row)
        cumulative = np.cumsum(row[order])
        for tau in np.linspace(0.001, 0.999, 333):
            last = int(np.searchsorted(cumulative, tau))
            kept = last + 1 if (cumulative[last] - tau) / row[order[last]] <= 1 - u else last
            held = set(order[:kept].tolist())
            away = np.abs(found - tau) > 1e-9
            assert {int(c) for c in np.flatnonzero((found <= tau) & away)} == {c for c in held if away[c]}


def test_not_randomised_aps_is_the_mass_down_to_and_with_the_class() -> None:
    np.testing.assert_allclose(nonconformity(np.array([[0.2, 0.5, 0.3]]), "aps"), [[1.0, 0.5, 0.8]])
    np.testing.assert_array_equal(
        nonconformity(np.array([[0.2, 0.5, 0.3]]), "aps"),
        nonconformity(np.array([[0.2, 0.5, 0.3]]), "aps", uniform=np.ones(1)),
    )


def test_lac_is_one_minus_the_probability() -> None:
    probability = _distributions(np.random.default_rng(0), 10, 3)
    np.testing.assert_array_equal(nonconformity(probability), 1 - probability)


def test_equal_probabilities_are_ordered_by_position() -> None:
    scores = nonconformity(np.full((1, 4), 0.25), "aps", uniform=np.array([0.5]))
    np.testing.assert_allclose(scores, [[0.125, 0.375, 0.625, 0.875]])


@pytest.mark.parametrize("score", ["lac", "aps"])
def test_a_set_is_that_of_the_most_probable_classes(score: Any) -> None:
    rng = np.random.default_rng(1)
    held_out, test = _distributions(rng, 60, 6), _distributions(rng, 200, 6)
    sets = conformal_sets(held_out, _draw(rng, held_out), test, 0.7, score=score, random_state=0)
    assert 0 < sets.sum(axis=1).mean() < 6
    for row, chosen in zip(test, sets, strict=True):
        assert set(np.argsort(-row)[: chosen.sum()]) == set(np.flatnonzero(chosen))


# -- the rule ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("class_conditional", [False, True])
@pytest.mark.parametrize("score", ["lac", "aps"])
@pytest.mark.parametrize("coverage", LEVELS)
@pytest.mark.parametrize("samples", [0, 1, 5, 40])
def test_split_sets_are_those_of_the_quantile(
    samples: int, coverage: float, score: Any, class_conditional: bool
) -> None:
    """y is in C(x) where E(x, y) is at most the ceil((n + 1) c)-th smallest held-out score, or there is none."""
    rng = np.random.default_rng(samples)
    held_out, test = _distributions(rng, samples, 3), _distributions(rng, 30, 3)
    labels = _draw(rng, held_out)
    sets = conformal_sets(
        held_out, labels, test, coverage, score=score, randomised=False, class_conditional=class_conditional
    )
    at_label = nonconformity(held_out, score)[np.arange(samples), labels]
    for group in range(3):
        scores = np.sort(at_label[labels == group] if class_conditional else at_label)
        rank = math.ceil((len(scores) + 1) * Fraction(str(coverage)))
        threshold = math.inf if rank > len(scores) else scores[rank - 1] if rank else -math.inf
        np.testing.assert_array_equal(sets[:, group], nonconformity(test, score)[:, group] <= threshold)


@pytest.mark.parametrize("class_conditional", [False, True])
@pytest.mark.parametrize("score", ["lac", "aps"])
def test_cross_conformal_sets_are_those_of_a_naive_loop(score: Any, class_conditional: bool) -> None:
    rng = np.random.default_rng(2)
    held_out, test, folds = _distributions(rng, 37, 4), _distributions(rng, 3, 25, 4), rng.integers(0, 3, 37)
    labels = _draw(rng, held_out)
    sets = cross_conformal_sets(
        held_out, labels, folds, test, 0.8, score=score, class_conditional=class_conditional, random_state=5
    )
    generator = np.random.default_rng(5)
    known, new = generator.random(37), generator.random(25)
    at_label = nonconformity(held_out, score, uniform=known)[np.arange(37), labels]
    scores = [nonconformity(rows, score, uniform=new) for rows in test]
    for sample in range(25):
        for group in range(4):
            peers = [i for i in range(37) if not class_conditional or labels[i] == group]
            not_below = sum(at_label[i] >= scores[folds[i]][sample, group] for i in peers)
            assert sets[sample, group] == (Fraction(int(1 + not_below), len(peers) + 1) > 1 - Fraction(8, 10))


@pytest.mark.parametrize("class_conditional", [False, True])
@pytest.mark.parametrize("score", ["lac", "aps"])
def test_sets_by_one_model_are_split_conformal_sets_of_the_model_drawn(score: Any, class_conditional: bool) -> None:
    rng = np.random.default_rng(2)
    held_out, test = _distributions(rng, 90, 4), _distributions(rng, 3, 200, 4)
    folds = rng.choice(2, 90)  # nothing was held out of the third
    labels = _draw(rng, held_out)
    options: dict[str, Any] = {"score": score, "class_conditional": class_conditional, "randomised": False}
    sets = cross_conformal_sets(held_out, labels, folds, test, 0.8, models="one", random_state=5, **options)
    own = [
        conformal_sets(held_out[folds == model], labels[folds == model], test[model], 0.8, **options)
        for model in range(2)
    ]
    by_model = np.stack([(sets == of_model).all(axis=1) for of_model in own])
    assert by_model.any(axis=0).all()
    assert (by_model.sum(axis=1) < 200).all()  # neither answers for all
    again = cross_conformal_sets(held_out, labels, folds, test, 0.8, models="one", random_state=5, **options)
    other = cross_conformal_sets(held_out, labels, folds, test, 0.8, models="one", random_state=6, **options)
    np.testing.assert_array_equal(again, sets)
    assert (other != sets).any()


def test_a_model_is_drawn_as_often_as_samples_were_held_out_of_it() -> None:
    """Two models that never agree, with 10 and 30 samples."""
    held_out, test = np.full((40, 2), 0.5), np.empty((2, 20000, 2))
    test[0], test[1] = [0.9, 0.1], [0.1, 0.9]
    folds = np.repeat([0, 1], [10, 30])
    sets = cross_conformal_sets(held_out, np.zeros(40, int), folds, test, 0.5, models="one", random_state=0)
    assert (sets.sum(axis=1) == 1).all()
    assert abs(sets[:, 0].mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 20000)


@pytest.mark.parametrize("models", ["one", "each"])
def test_split_is_cross_conformal_with_one_model(models: Any) -> None:
    rng = np.random.default_rng(3)
    held_out, test = _distributions(rng, 30, 4), _distributions(rng, 20, 4)
    labels = _draw(rng, held_out)
    for score in ("lac", "aps"):
        np.testing.assert_array_equal(
            conformal_sets(held_out, labels, test, score=score, random_state=0),
            cross_conformal_sets(
                held_out, labels, np.zeros(30, int), test[None], models=models, score=score, random_state=0
            ),
        )


def test_the_rank_is_exact_where_floating_point_is_not() -> None:
    """c (n + 1) is whole for these; 1 - c in floats would make the rank one too large or too small."""
    for coverage in (0.1, 0.2, 0.3, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99):
        for samples in (9, 19, 99, 199):
            rank = Fraction(str(coverage)) * (samples + 1)
            if rank.denominator != 1:
                continue
            held_out = np.linspace(0, 0.99, samples)
            held_out = np.stack([1 - held_out, held_out], axis=1)  # scores of class 0 are the numbers themselves
            at = held_out[int(rank) - 1 : int(rank) + 1]
            sets = conformal_sets(held_out, np.zeros(samples, int), at, coverage)
            np.testing.assert_array_equal(sets[:, 0], [True, False][: len(at)])


@pytest.mark.parametrize(("coverage", "needed"), [(0, 0), (0.5, 1), (0.9, 9), (0.95, 19), (0.99, 99), (0.875, 7)])
def test_with_fewer_samples_than_needed_every_class_is_in_the_set_and_with_enough_not(
    coverage: float, needed: int
) -> None:
    assert needed_samples(coverage) == needed
    unlike = np.array([[0.0, 1.0]])
    for samples in {max(needed - 1, 0), needed}:
        held_out = np.tile([[0.9, 0.1]], (samples, 1))
        sets = conformal_sets(held_out, np.zeros(samples, int), unlike, coverage)
        assert sets[0, 0] == (samples < needed)


@pytest.mark.parametrize(("samples", "coverage"), [(9, 0.7), (40, 0.9), (99, 0.55)])
def test_the_coverage_of_some_samples_calibrated_by_others_has_the_law_that_is_said(
    samples: int, coverage: float
) -> None:
    rng = np.random.default_rng(7)
    test, draws = 30, 4000
    found = np.empty(draws)
    for draw in range(draws):
        score = rng.uniform(size=(samples + test, 1))
        both = np.hstack([1 - score, score])
        labels = np.zeros(samples, int)
        found[draw] = conformal_sets(both[:samples], labels, both[samples:], coverage)[:, 0].mean()
    for confidence in (0.5, 0.9, 0.95):
        low, high = coverage_interval(samples, test, coverage, confidence=confidence)
        tail, error = (1 - confidence) / 2, 4 * np.sqrt(0.25 / draws)
        assert (found < low - 1e-9).mean() <= tail + error
        assert (found <= low + 1e-9).mean() >= tail - error
        assert (found > high + 1e-9).mean() <= tail + error
        assert (found >= high - 1e-9).mean() >= tail - error


def test_the_interval_of_the_coverage_has_the_rank_of_the_sets_and_their_ends() -> None:
    # 0.55 * 100 is above 55 in floats: the law would be that of rank 56.
    assert coverage_interval(99, 10**6, 0.55) == pytest.approx(stats.beta(55, 45).interval(0.95), abs=1e-4)
    assert coverage_interval(8, 50, 0.9) == (1.0, 1.0)  # too few: every class is in every set
    assert coverage_interval(0, 50, 0.9) == (1.0, 1.0)
    assert coverage_interval(50, 50, 1) == (1.0, 1.0)
    assert coverage_interval(50, 50, 0) == (0.0, 0.0)


def test_full_coverage_is_every_class_and_none_is_no_class() -> None:
    rng = np.random.default_rng(4)
    held_out, test = _distributions(rng, 500, 3), _distributions(rng, 20, 3)
    labels = _draw(rng, held_out)
    for score in ("lac", "aps"):
        assert conformal_sets(held_out, labels, test, 1, score=score).all()
        assert not conformal_sets(held_out, labels, test, 0, score=score).any()
    assert needed_samples(1.0) is None


def test_equal_scores_are_all_in_the_set_or_none() -> None:
    held_out = np.tile([[0.6, 0.4]], (10, 1))
    labels = np.repeat([0, 1], 5)  # five scores of 0.4, five of 0.6
    test = np.array([[0.6, 0.4], [0.6 + 1e-9, 0.4 - 1e-9], [0.6 - 1e-9, 0.4 + 1e-9]])
    below = conformal_sets(held_out, labels, test, 5 / 11 - 1e-9)  # the fifth smallest: 0.4
    np.testing.assert_array_equal(below, [[True, False], [True, False], [False, False]])
    above = conformal_sets(held_out, labels, test, 5 / 11 + 1e-9)  # the sixth: 0.6
    np.testing.assert_array_equal(above, [[True, True], [True, False], [True, True]])


def test_larger_coverage_never_loses_a_class() -> None:
    rng = np.random.default_rng(5)
    held_out, test = _distributions(rng, 80, 5), _distributions(rng, 60, 5)
    labels = _draw(rng, held_out)
    for score in ("lac", "aps"):
        previous = np.zeros((60, 5), bool)
        for coverage in LEVELS:
            sets = conformal_sets(held_out, labels, test, coverage, score=score, random_state=0)
            assert (sets >= previous).all()
            previous = sets


def test_an_empty_set_gets_its_most_probable_class_on_request_and_others_stay() -> None:
    rng = np.random.default_rng(6)
    held_out, test = _distributions(rng, 80, 5, sharp=5), _distributions(rng, 60, 5)
    labels = held_out.argmax(axis=1)
    sets = conformal_sets(held_out, labels, test, 0.5)
    empty = ~sets.any(axis=1)
    filled = conformal_sets(held_out, labels, test, 0.5, allow_empty=False)
    assert empty.any()
    assert not empty.all()
    np.testing.assert_array_equal(filled[~empty], sets[~empty])
    np.testing.assert_array_equal(filled[empty], np.eye(5, dtype=bool)[test[empty].argmax(axis=1)])


def test_one_class_is_in_or_out_and_no_test_samples_are_no_sets() -> None:
    ones = np.ones((20, 1))
    assert conformal_sets(ones, np.zeros(20, int), ones[:3], 0.9).all()
    drawn = conformal_sets(ones, np.zeros(20, int), np.ones((4000, 1)), 0.9, score="aps", random_state=0)
    assert 0.8 < drawn.mean() < 1  # E is u itself: uniform
    assert conformal_sets(ones, np.zeros(20, int), ones[:0], 0.9).shape == (0, 1)


@pytest.mark.parametrize("models", ["one", "each"])
def test_without_held_out_samples_every_class_is_in_every_set(models: Any) -> None:
    sets = cross_conformal_sets(HALF[:0], ZEROS[:0], ZEROS[:0], np.stack([HALF] * 3), models=models)
    assert sets.shape == (4, 2)
    assert sets.all()


def test_a_class_without_held_out_samples_is_in_every_set_of_its_own_threshold() -> None:
    rng = np.random.default_rng(7)
    held_out, test = _distributions(rng, 50, 3), _distributions(rng, 20, 3)
    sets = conformal_sets(held_out, rng.integers(0, 2, 50), test, 0.6, class_conditional=True)
    assert sets[:, 2].all()
    assert not sets[:, :2].all()


def test_the_randomisation_repeats_with_a_seed_and_goes_on_with_a_generator() -> None:
    rng = np.random.default_rng(8)
    held_out, test = _distributions(rng, 50, 4), _distributions(rng, 400, 4)
    labels = _draw(rng, held_out)

    def sets(random_state: Any, randomised: bool = True) -> bytes:
        options: dict[str, Any] = {"score": "aps", "randomised": randomised, "random_state": random_state}
        return conformal_sets(held_out, labels, test, 0.8, **options).tobytes()

    generator = np.random.default_rng(0)
    assert sets(0) == sets(0) == sets(generator) != sets(generator)
    assert sets(None) != sets(None)
    assert sets(0, False) == sets(1, False)
    assert as_generator(generator) is generator


# -- coverage ---------------------------------------------------------------------------------------------------------


def _world(rng: np.random.Generator, samples: int, *, wrong: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Predictions that are the law of the label, or (`wrong` other than 1) too sure of themselves."""
    law = _distributions(rng, samples, 4, sharp=2)
    labels = _draw(rng, law)
    predicted = law**wrong
    return predicted / predicted.sum(axis=1, keepdims=True), labels


@pytest.mark.parametrize("wrong", [1.0, 3.0])
@pytest.mark.parametrize("score", ["lac", "aps"])
def test_coverage_given_the_held_out_samples_is_beta_distributed(score: Any, wrong: float) -> None:
    """Scores are continuous: coverage of all test samples is Beta(k, n + 1 - k), whatever the model is worth."""
    rng = np.random.default_rng(9)
    samples, repetitions, asked, rank = 30, 1200, 100, 28
    counts = np.empty(repetitions, int)
    for repetition in range(repetitions):
        predicted, labels = _world(rng, samples + asked, wrong=wrong)
        sets = conformal_sets(
            predicted[:samples], labels[:samples], predicted[samples:], 0.9, score=score, random_state=rng
        )
        counts[repetition] = _covered(sets, labels[samples:]).sum()
    law = stats.betabinom(asked, rank, samples + 1 - rank)
    # A randomised probability transform of a discrete law is uniform.
    uniform = law.cdf(counts - 1) + rng.random(repetitions) * law.pmf(counts)
    assert stats.kstest(uniform, "uniform").pvalue > 0.001
    assert abs(counts.mean() / asked - rank / (samples + 1)) < 4 * law.std() / asked / np.sqrt(repetitions)


@pytest.mark.parametrize("samples", [5, 9, 20])
def test_randomised_aps_covers_exactly_k_in_n_plus_one(samples: int) -> None:
    rng = np.random.default_rng(samples)
    covered = []
    for _ in range(3000):
        predicted, labels = _world(rng, samples + 1)
        sets = conformal_sets(predicted[:-1], labels[:-1], predicted[-1:], 0.8, score="aps", random_state=rng)
        covered.append(sets[0, labels[-1]])
    expected = math.ceil((samples + 1) * Fraction("0.8")) / (samples + 1)
    assert stats.binomtest(sum(covered), len(covered), expected).pvalue > 0.001


def test_with_equal_scores_coverage_is_at_least_what_is_stated() -> None:
    rng = np.random.default_rng(10)
    covered = {"lac": 0, "aps": 0}
    for _ in range(2000):
        predicted = np.full((16, 4), 0.25)
        labels = rng.integers(0, 4, 16)
        for score in covered:
            sets = conformal_sets(
                predicted[:-1],
                labels[:-1],
                predicted[-1:],
                0.75,
                score=score,
                randomised=False,  # type: ignore[arg-type]
            )
            covered[score] += int(sets[0, labels[-1]])
    assert covered["lac"] == 2000  # all scores are equal: all classes
    assert stats.binomtest(covered["aps"], 2000, 0.75, alternative="less").pvalue > 0.001


def test_with_the_true_law_randomised_aps_covers_sure_and_unsure_samples_alike() -> None:
    rng = np.random.default_rng(13)
    law = rng.dirichlet(np.full(5, 0.08), size=40000)
    labels = _draw(rng, law)
    sure = law[20000:].max(axis=1)
    strata = [sure < 0.6, (sure >= 0.6) & (sure < 0.8), (sure >= 0.8) & (sure < 0.95), sure >= 0.95]
    shares = {}
    for name, options in {"lac": {}, "aps": {"score": "aps", "random_state": 0}}.items():
        sets = conformal_sets(law[:20000], labels[:20000], law[20000:], 0.9, **options)  # type: ignore[arg-type]
        shares[name] = np.array([_covered(sets, labels[20000:])[stratum].mean() for stratum in strata])
    assert np.abs(shares["aps"] - 0.9).max() < 0.02
    assert np.abs(shares["lac"] - 0.9).max() > 0.08


def test_without_the_randomisation_aps_covers_as_much_in_larger_sets_and_leaves_out_the_surest() -> None:
    rng = np.random.default_rng(14)
    law = rng.dirichlet(np.full(5, 0.08), size=20000)
    labels = _draw(rng, law)
    sizes = []
    for randomised in (True, False):
        sets = conformal_sets(
            law[:10000], labels[:10000], law[10000:], 0.9, score="aps", randomised=randomised, random_state=0
        )
        assert abs(_covered(sets, labels[10000:]).mean() - 0.9) < 0.015
        sizes.append(sets.sum(axis=1).mean())
    assert sizes[1] > 1.2 * sizes[0]
    sure = law[10000:].max(axis=1)
    empty = ~sets.any(axis=1)
    assert empty.any()
    assert sure[empty].min() > sure[~empty].max() - 0.01


def test_classes_are_covered_each_on_request_and_not_otherwise() -> None:
    """A model that never thinks of class 1 fails it in the marginal sets, which cover 0.9 all the same."""
    rng = np.random.default_rng(11)
    covered: dict[bool, list[np.ndarray]] = {False: [], True: []}
    for _ in range(300):
        labels = (rng.random(600) < 0.08).astype(int)
        first = np.clip(0.9 + 0.05 * rng.normal(size=600) - 0.02 * labels, 0.5, 1)
        predicted = np.stack([first, 1 - first], axis=1)
        for conditional, shares in covered.items():
            sets = conformal_sets(predicted[:300], labels[:300], predicted[300:], 0.9, class_conditional=conditional)
            holds = _covered(sets, labels[300:])
            shares.append(np.array([holds[labels[300:] == group].mean() for group in (0, 1)] + [holds.mean()]))
    plain, each = (np.mean(covered[conditional], axis=0) for conditional in (False, True))
    assert plain[1] < 0.2
    assert 0.895 < plain[2] < 0.915
    assert (np.array([0.895, 0.89]) < each[:2]).all()
    assert (each[:2] < [0.91, 0.96]).all()  # at most 1 / (n + 1) above, with about 24 of the rare class


def test_cross_conformal_sets_cover_more_than_their_bound_and_about_what_is_asked() -> None:
    """A nearest-mean classifier trained on four fifths in turn, and five predictions of each test sample."""
    rng = np.random.default_rng(12)
    samples, models, repetitions, asked = 40, 5, 300, 50
    folds = np.arange(samples) % models
    covered = 0
    for _ in range(repetitions):
        labels = rng.integers(0, 3, samples + asked)
        points = np.eye(3)[labels] + 0.7 * rng.normal(size=(samples + asked, 3))
        predicted = np.empty((models, samples + asked, 3))
        for model in range(models):
            seen = np.flatnonzero(folds != model)
            means = np.stack([points[seen[labels[seen] == group]].mean(axis=0) for group in range(3)])
            sharp = -4 * ((points[:, None] - means) ** 2).sum(axis=2)
            predicted[model] = np.exp(sharp - sharp.max(axis=1, keepdims=True))
        predicted /= predicted.sum(axis=2, keepdims=True)
        own = predicted[folds, np.arange(samples)]
        sets = cross_conformal_sets(own, labels[:samples], folds, predicted[:, samples:], 0.9)
        covered += int(_covered(sets, labels[samples:]).sum())
    share = covered / repetitions / asked
    bound = 2 * 0.9 - 1 - min(2 * (1 - 1 / models) / (samples / models + 1), (1 - models / samples) / (models + 1))
    assert bound < 0.89 < share < 0.94


def test_one_model_covers_what_is_stated_where_each_in_turn_covers_more() -> None:
    """Three models whose logits have a correlation of 0.5; k / (n + 1) is 27 / 30 in each fold, without ties."""
    rng = np.random.default_rng(13)
    held, asked, repetitions = 87, 40, 500
    folds, labels = np.arange(held) % 3, np.zeros(held, int)
    shares: dict[Models, list[float]] = {"one": [], "each": []}
    for _ in range(repetitions):
        logits = rng.normal(size=held + asked) + rng.normal(size=(3, held + asked))
        predicted = np.stack([1 / (1 + np.exp(-logits)), 1 / (1 + np.exp(logits))], axis=-1)
        own = predicted[folds, np.arange(held)]
        for models, found in shares.items():
            sets = cross_conformal_sets(own, labels, folds, predicted[:, held:], 0.9, models=models, random_state=rng)
            found.append(float(sets[:, 0].mean()))
    error = np.std(shares["one"], ddof=1) / np.sqrt(repetitions)
    assert error < 0.004
    assert abs(np.mean(shares["one"]) - 0.9) < 4 * error
    assert np.mean(shares["each"]) > 0.93


def test_fold_by_fold_scales_do_not_mix() -> None:
    """A model that is always surer than the other: each test score is compared with its own model's samples."""
    held_out = np.array([[0.99, 0.01]] * 20 + [[0.6, 0.4]] * 20)
    test = np.array([[[0.99, 0.01]], [[0.6, 0.4]]])
    sets = cross_conformal_sets(held_out, np.zeros(40, int), np.repeat([0, 1], 20), test, 0.9)
    np.testing.assert_array_equal(sets, [[True, False]])
    mixed = conformal_sets(held_out, np.zeros(40, int), np.array([[0.6, 0.4]]), 0.45)
    assert not mixed[0, 0]


# -- bad input --------------------------------------------------------------------------------------------------------

HALF = np.full((4, 2), 0.5)
ZEROS = np.zeros(4, int)


@pytest.mark.parametrize("coverage", [-0.1, 1.1, 90, np.nan, None, "0.9", True])
def test_a_coverage_that_is_none_is_named(coverage: Any) -> None:
    refuses(lambda: conformal_sets(HALF, ZEROS, HALF, coverage), "coverage", repr(coverage))
    refuses(lambda: needed_samples(coverage), "coverage")
    refuses(lambda: coverage_interval(10, 10, coverage), "coverage")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [((-1, 10), "samples"), ((True, 10), "samples"), ((9.5, 10), "samples"), ((10, 0), "test"), ((10, None), "test")],
)
def test_an_interval_needs_counts(arguments: tuple[Any, Any], name: str) -> None:
    refuses(lambda: coverage_interval(*arguments), name, repr(arguments[name == "test"]))


@pytest.mark.parametrize("confidence", [0, 1, 95, np.nan, None])
def test_an_interval_needs_a_confidence(confidence: Any) -> None:
    refuses(lambda: coverage_interval(10, 10, confidence=confidence), "confidence", repr(confidence))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((HALF[0], ZEROS, HALF), "held_out"),
        ((HALF * 2, ZEROS, HALF), "held_out"),
        ((HALF - 1, ZEROS, HALF), "held_out"),
        ((HALF * np.nan, ZEROS, HALF), "held_out"),
        ((HALF, ZEROS, HALF[0]), "test"),
        ((HALF, ZEROS, HALF * np.inf), "test"),
        ((HALF, ZEROS, np.full((4, 3), 1 / 3)), "classes"),
        ((HALF, ZEROS[:3], HALF), "labels"),
        ((HALF, ZEROS + 2, HALF), "labels"),
        ((HALF, ZEROS - 1, HALF), "labels"),
        ((HALF, ZEROS + 0.5, HALF), "labels"),
        ((HALF[:, :0], ZEROS, HALF[:, :0]), "held_out"),
    ],
)
def test_bad_arrays_are_named_in_one_line(arguments: tuple[Any, ...], name: str) -> None:
    refuses(lambda: conformal_sets(*arguments), name)


def test_bad_folds_scores_and_seeds_are_named() -> None:
    refuses(lambda: cross_conformal_sets(HALF, ZEROS, ZEROS + 1, HALF[None]), "folds")
    refuses(lambda: cross_conformal_sets(HALF, ZEROS, ZEROS[:2], HALF[None]), "folds")
    refuses(lambda: cross_conformal_sets(HALF, ZEROS, ZEROS, HALF[None], models="all"), "models", "all")  # type: ignore[arg-type]
    refuses(lambda: cross_conformal_sets(HALF, ZEROS, ZEROS, HALF[None][:0]), "test")
    refuses(lambda: conformal_sets(HALF, ZEROS, HALF, score="raps"), "score", "'raps'")  # type: ignore[arg-type]
    refuses(lambda: conformal_sets(HALF, ZEROS, HALF, random_state="x"), "random_state")  # type: ignore[arg-type]
    refuses(lambda: conformal_sets(HALF, ZEROS, HALF, random_state=-1), "random_state")
