"""Scores against scikit-learn and closed forms; the printed account."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

from limbeck.information.calibration import calibration_error
from limbeck.multiview.evaluation import (
    ViewContribution,
    cross_entropy_nats,
    format_view_contributions,
    probabilities,
    score,
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
