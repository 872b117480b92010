"""Estimates and paired intervals against SciPy and closed forms."""

import math

import numpy as np
import pytest
from scipy import stats

from limbeck.reporting.statistics import Estimate, difference_as_json, estimate_as_json, paired_difference

RNG = np.random.default_rng(0)
FIRST, SECOND = RNG.normal(1.0, 1.0, 9), RNG.normal(0.5, 1.0, 9)


def test_an_estimate_is_mean_and_sample_deviation() -> None:
    value = Estimate.from_values([1.0, 2.0, 3.0, 6.0])
    assert value.mean == 3
    assert value.deviation == pytest.approx(math.sqrt(14 / 3))
    assert value.standard_error == pytest.approx(value.deviation / 2)
    assert estimate_as_json(value) == {"mean": 3, "deviation": value.deviation}


def test_one_trial_says_nothing_about_the_deviation() -> None:
    value = Estimate.from_values([0.7])
    assert value.mean == 0.7
    assert math.isnan(value.deviation)
    assert math.isnan(value.standard_error)
    assert estimate_as_json(value) == {"mean": 0.7, "deviation": None}
    with pytest.raises(ValueError, match="at least one value"):
        Estimate.from_values([])


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_without_correction_it_is_the_paired_t_interval(confidence: float) -> None:
    ours = paired_difference(FIRST, SECOND, test_to_train=0.0, confidence=confidence)
    theirs = stats.ttest_rel(FIRST, SECOND).confidence_interval(confidence)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))
    assert ours.mean == pytest.approx((FIRST - SECOND).mean())


def test_the_correction_widens_by_its_closed_form() -> None:
    plain, corrected = (paired_difference(FIRST, SECOND, test_to_train=ratio) for ratio in (0.0, 0.25))
    assert (corrected.high - corrected.low) / (plain.high - plain.low) == pytest.approx(math.sqrt(1 + 9 * 0.25))
    assert corrected.mean == plain.mean


def test_two_splits_by_hand() -> None:
    result = paired_difference([1.0, 3.0], [0.0, 0.0], test_to_train=0.5)
    half = 12.706204736174694 * math.sqrt(2) * math.sqrt(1 / 2 + 0.5)  # t of one degree of freedom at 97.5 %
    assert (result.low, result.high) == pytest.approx((2 - half, 2 + half))


def test_swapping_the_sides_mirrors_the_interval() -> None:
    one, two = (paired_difference(a, b, test_to_train=0.2) for a, b in ((FIRST, SECOND), (SECOND, FIRST)))
    assert (one.mean, one.low, one.high) == pytest.approx((-two.mean, -two.high, -two.low))


def test_equal_differences_leave_no_width() -> None:
    result = paired_difference([2.0, 3.0, 4.0], [1.0, 2.0, 3.0], test_to_train=0.3)
    assert (result.low, result.mean, result.high) == (1, 1, 1)


def test_one_split_says_nothing_about_the_width() -> None:
    result = paired_difference([2.0], [1.0], test_to_train=0.3)
    assert (result.low, result.mean, result.high) == (-math.inf, 1, math.inf)
    assert difference_as_json(result) == {"mean": 1, "low": None, "high": None}
    assert difference_as_json(None) is None


@pytest.mark.parametrize(("first", "second"), [([], []), ([1.0], [1.0, 2.0])])
def test_sides_that_do_not_pair_are_refused(first: list[float], second: list[float]) -> None:
    with pytest.raises(ValueError, match="as many on both sides"):
        paired_difference(first, second, test_to_train=0.1)


def test_the_interval_covers_the_truth_as_often_as_promised() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(1000):
        result = paired_difference(rng.normal(0.3, 1, 6), np.zeros(6), test_to_train=0.0, confidence=0.9)
        covered += result.low <= 0.3 <= result.high
    assert 870 <= covered <= 930


def test_groups_are_the_trials_where_there_are_several() -> None:
    values, groups = [0.1, 0.3, 0.7, 0.9, 0.8], [4, 4, 2, 2, 2]
    assert Estimate.from_groups(values, groups) == Estimate.from_values([np.mean([0.7, 0.9, 0.8]), np.mean([0.1, 0.3])])
    assert Estimate.from_groups(values, [1] * 5) == Estimate.from_values(values)
    assert Estimate.from_groups(values, range(5)) == Estimate.from_values(values)
    with pytest.raises(ValueError, match="5 values but 2 groups"):
        Estimate.from_groups(values, [0, 1])
