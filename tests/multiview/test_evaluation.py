"""Scores against scikit-learn and closed forms; the printed account."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

from limbeck.information.calibration import calibration_error, equal_mass_calibration_error
from limbeck.multiview.evaluation import (
    SetScores,
    ViewContribution,
    cross_entropy_nats,
    format_view_contributions,
    probabilities,
    score,
    score_sets,
    selective_accuracy,
)

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(200, 5)).astype(np.float32)
LABELS = RNG.integers(0, 5, 200)


def test_scores_agree_with_scikit_learn() -> None:
    probability = probabilities(LOGITS)
    scores = score(probability, LABELS)
    assert scores.accuracy == accuracy_score(LABELS, probability.argmax(axis=1))
    assert scores.cross_entropy == pytest.approx(log_loss(LABELS, probability), rel=1e-9)
    assert scores.calibration_error == calibration_error(probability, LABELS)


def test_probabilities_sum_to_one_even_at_huge_logits() -> None:
    probability = probabilities(1e4 * LOGITS)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert probability.dtype == np.float64


def test_a_high_temperature_flattens_and_a_low_one_sharpens() -> None:
    np.testing.assert_allclose(probabilities(LOGITS, 1e9), 0.2, atol=1e-6)
    np.testing.assert_allclose(probabilities(LOGITS, 1e-9).max(axis=1), 1)


def test_a_probability_of_zero_costs_much_but_not_infinity() -> None:
    cost = cross_entropy_nats(np.array([[1.0, 0.0]]), np.array([1]))
    assert 700 < cost < np.inf


def test_cross_entropy_of_a_uniform_prediction_is_the_logarithm_of_the_classes() -> None:
    assert cross_entropy_nats(np.full((3, 8), 1 / 8), np.array([0, 3, 7])) == pytest.approx(np.log(8))


@pytest.mark.parametrize(("hits", "expected"), [(10, 0.2), (8, 0.0), (0, 0.8)])
def test_calibration_error_is_the_gap_between_confidence_and_accuracy(hits: int, expected: float) -> None:
    labels = np.array([0] * hits + [1] * (10 - hits))
    assert calibration_error(np.array([[0.8, 0.2]] * 10), labels) == pytest.approx(expected)


def test_calibration_error_equals_a_sum_over_bins() -> None:
    probability = probabilities(LOGITS)
    confidence, right = probability.max(axis=1), probability.argmax(axis=1) == LABELS
    expected = 0.0
    for low in range(15):
        here = (confidence >= low / 15) & (confidence < (low + 1) / 15)
        if here.any():
            expected += here.mean() * abs(right[here].mean() - confidence[here].mean())
    assert calibration_error(probability, LABELS) == pytest.approx(expected)


def test_a_sure_and_right_prediction_is_perfectly_calibrated() -> None:
    assert calibration_error(np.eye(3), np.arange(3)) == 0


@pytest.mark.parametrize("samples", [1, 14, 15, 16, 47, 200])
def test_the_calibration_error_of_equal_mass_is_what_a_naive_loop_gives(samples: int) -> None:
    rng = np.random.default_rng(samples)
    probability, labels = rng.dirichlet(np.ones(4), samples), rng.integers(0, 4, samples)
    order = sorted(range(samples), key=lambda i: probability[i].max())
    bins = min(15, samples)
    sizes = [samples // bins + (b < samples % bins) for b in range(bins)]
    expected, start = 0.0, 0
    for size in sizes:
        part = order[start : start + size]
        right = sum(int(probability[i].argmax() == labels[i]) for i in part) / size
        expected += size / samples * abs(right - sum(probability[i].max() for i in part) / size)
        start += size
    assert equal_mass_calibration_error(probability, labels) == pytest.approx(expected, abs=1e-12)


def test_drawn_labels_are_calibrated_and_sharpened_probabilities_are_not() -> None:
    rng = np.random.default_rng(3)
    probability = rng.dirichlet(np.ones(5), 60_000)
    labels = (rng.random((60_000, 1)) > probability.cumsum(axis=1)).sum(axis=1)
    assert equal_mass_calibration_error(probability, labels) < 0.01
    sharp = probability**3 / (probability**3).sum(axis=1, keepdims=True)
    assert equal_mass_calibration_error(sharp, labels) > 0.1


def test_the_account_is_a_table_with_a_line_a_view() -> None:
    rows = [
        ViewContribution("a very long name", 0.5, 0.25, 1.0, 0.125, 8),
        ViewContribution("b", 0.1, 0.2, 0.3, -0.5, 9),
    ]
    header, first, second = format_view_contributions(rows).splitlines()
    assert header.split()[0] == "view"
    assert first.split()[-4:] == ["50.00", "25.00", "100.00", "0.1250"]
    assert second.split() == ["b", "10.00", "20.00", "30.00", "-0.5000"]


def test_the_account_of_a_single_view_is_a_table_too() -> None:
    assert len(format_view_contributions([ViewContribution("b", 0.1, 0.2, 0.3, -0.5, 9)]).splitlines()) == 2


def test_an_empty_account_is_a_header() -> None:
    assert len(format_view_contributions([]).splitlines()) == 1


def test_scores_of_sets_are_counts() -> None:
    sets = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0], [0, 0, 1], [1, 1, 1]], bool)
    scores = score_sets(sets, np.array([0, 0, 1, 1, 2]))
    assert scores == SetScores(coverage=0.4, size=1.4, single=0.4, empty=0.2, single_accuracy=0.5)


def test_without_sets_of_one_class_their_accuracy_is_not_a_number() -> None:
    assert np.isnan(score_sets(np.ones((3, 2), bool), np.zeros(3, int)).single_accuracy)


def test_the_selective_curve_is_that_of_a_loop_over_thresholds() -> None:
    probability = probabilities(LOGITS).round(2)  # many are equal
    curve = selective_accuracy(probability, LABELS)
    confidence, right = probability.max(axis=1), probability.argmax(axis=1) == LABELS
    np.testing.assert_array_equal(curve.threshold, np.unique(confidence)[::-1])
    for threshold, answered, accuracy in zip(curve.threshold, curve.answered, curve.accuracy, strict=True):
        here = confidence >= threshold
        assert answered == pytest.approx(here.mean())
        assert accuracy == pytest.approx(right[here].mean())
    assert curve.answered[-1] == 1
    assert curve.accuracy[-1] == score(probability, LABELS).accuracy


def test_the_mean_risk_is_the_mean_over_the_surest_samples() -> None:
    probability = probabilities(LOGITS)
    curve = selective_accuracy(probability, LABELS)
    order = np.argsort(-probability.max(axis=1))
    wrong = (probability.argmax(axis=1) != LABELS)[order]
    assert curve.mean_risk == pytest.approx(np.mean([wrong[: k + 1].mean() for k in range(200)]))
    assert selective_accuracy(np.eye(2), np.array([0, 1])).mean_risk == 0
    assert selective_accuracy(np.eye(2), np.array([1, 0])).mean_risk == 1


def test_the_selective_curve_of_no_samples_is_empty() -> None:
    assert len(selective_accuracy(np.zeros((0, 2)), np.zeros(0, int)).answered) == 0
