"""Sums of entropies and likelihoods: arithmetic, intervals that cover, groups."""

import numpy as np
import pytest

from limbeck.information.diagnosis.resampling import Resamples, Sum


def resamples(labels, values, *, shortfall=None, groups=None, seed=0, confidence=0.95):
    return Resamples(labels, values, shortfall or {}, groups=groups, resamples=1000, confidence=confidence, seed=seed)


def test_sums_add_and_subtract():
    one, other = Sum(1, {"a": 1}), Sum(1, {"b": 1, "a": 1})
    assert one + other == Sum(2, {"a": 2, "b": 1})
    assert other - one == Sum(0, {"b": 1})
    assert one - one == Sum(0, {})


def test_a_figure_is_its_formula():
    labels = np.array([0, 0, 1, 2])
    values = {"a": np.array([-1.0, -2.0, -3.0, -6.0]), "b": np.array([1.0, 1.0, 1.0, 5.0])}
    entropy = -(0.5 * np.log(0.5) + 2 * 0.25 * np.log(0.25))
    found = resamples(labels, values).interval(Sum(2, {"a": 1, "b": -3}))
    assert found.nats == pytest.approx(2 * entropy - 3 - 3 * 2)


@pytest.mark.parametrize("grouped", [False, True])
def test_intervals_cover_the_mean_as_often_as_they_say(grouped):
    rng = np.random.default_rng(0)
    covered = []
    for seed in range(150):
        groups = np.arange(200) // 5 if grouped else None
        values = rng.normal(size=200)
        if grouped:
            values += 2 * rng.normal(size=40)[groups]
        found = resamples(np.arange(200) % 2, {"a": values}, groups=groups, seed=seed).interval(Sum(0, {"a": 1}))
        covered.append(found.low <= 0 <= found.high)
    assert 0.88 <= np.mean(covered) <= 0.99


def test_the_interval_of_an_entropy_reaches_beyond_the_bias_of_the_figure():
    rng = np.random.default_rng(0)
    share = np.array([0.4, 0.3, 0.2, 0.1])
    truth, found = -(share * np.log(share)).sum(), []
    for seed in range(200):
        labels = rng.choice(4, size=100, p=share)
        found.append(resamples(labels, {}, seed=seed).interval(Sum(1, {})))
    biased = np.mean([interval.nats for interval in found]) - truth
    assert biased == pytest.approx(-3 / 200, abs=0.01)  # (classes - 1) / 2n
    assert np.mean([interval.low <= truth <= interval.high for interval in found]) >= 0.92


def test_the_entropy_of_nearly_balanced_labels_is_not_a_point():
    rng = np.random.default_rng(0)
    truth = -(0.45 * np.log(0.45) + 0.55 * np.log(0.55))
    found = [resamples(np.append(rng.random(78) < 0.45, [0, 1]).astype(int), {}, seed=s) for s in range(60)]
    intervals = [one.interval(Sum(1, {}), information=True) for one in found]
    assert np.mean([interval.low <= truth <= interval.high for interval in intervals]) >= 0.93
    balanced = resamples(np.arange(6) % 2, {}).interval(Sum(1, {}), information=True)
    assert balanced.low < 0.6 < balanced.high


def test_no_interval_of_information_goes_beyond_what_there_can_be():
    labels = np.arange(40) % 4
    found = resamples(labels, {"a": np.full(40, -1e-4)}, shortfall={"a": (0.5, 0.0)}).interval(
        Sum(1, {"a": 1}), information=True
    )
    assert found.high == pytest.approx(np.log(4))


def test_a_shortfall_moves_the_end_that_it_could_move():
    rng = np.random.default_rng(0)
    labels, values = np.arange(100) % 2, {"a": rng.normal(size=100), "b": rng.normal(size=100)}
    plain, wide = resamples(labels, values), resamples(labels, values, shortfall={"a": (1.0, 0.25), "b": (0.5, 0.0)})
    figure = Sum(0, {"a": 2, "b": -1})
    before, after = plain.interval(figure), wide.interval(figure)
    assert after.nats == before.nats
    assert after.high == pytest.approx(before.high + 2 * 1.0)
    assert after.low == pytest.approx(before.low - 2 * 0.25 - 0.5)


def test_a_seed_gives_the_same_interval_and_more_confidence_a_wider_one():
    labels, values = np.arange(50) % 2, {"a": np.random.default_rng(0).normal(size=50)}
    figure = Sum(1, {"a": 1})
    assert resamples(labels, values).interval(figure) == resamples(labels, values).interval(figure)
    narrow = resamples(labels, values, confidence=0.5).interval(figure)
    wide = resamples(labels, values, confidence=0.99).interval(figure)
    assert wide.low < narrow.low <= narrow.nats <= narrow.high < wide.high
