"""The mix of logits and scores."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from limbeck.multiview.mixing import Mix, fit_mix, sharpen
from limbeck.multiview.training import fit_temperature


def drawn(seed: int, samples: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two independent blocks whose sum are the true logits."""
    generator = np.random.default_rng(seed)
    first, second = generator.normal(size=(2, samples, 4))
    chance = np.exp(log_softmax(2 * first + 3 * second, axis=1))
    labels = (chance.cumsum(axis=1) < generator.random((samples, 1))).sum(axis=1)
    return first, second, labels


def test_it_finds_the_weights_of_the_law() -> None:
    first, second, labels = drawn(0, 20_000)
    mix = fit_mix(first, second[np.newaxis] / 50, labels)
    assert 1 / mix.temperature == pytest.approx(2, rel=0.05)
    assert mix.weights == pytest.approx((150,), rel=0.05)


def test_no_other_weights_are_better() -> None:
    first, second, labels = drawn(1)
    third = second + np.random.default_rng(5).normal(size=second.shape)
    mix = fit_mix(first, np.stack([second, third]), labels)

    def loss(weights: np.ndarray) -> float:
        log_probability = log_softmax(weights[0] * first + weights[1] * second + weights[2] * third, axis=1)
        smoothing = 1 / (len(labels) + 2)
        right = log_probability[np.arange(len(labels)), labels]
        return float(-((1 - smoothing) * right + smoothing * log_probability.mean(axis=1)).mean())

    found = loss(np.array([1 / mix.temperature, *mix.weights]))
    assert found == pytest.approx(
        minimize(loss, [1.0, 1.0, 0.1], bounds=[(0, 9)] * 3, method="Nelder-Mead").fun, abs=1e-6
    )


def test_scores_that_say_nothing_get_the_temperature_alone() -> None:
    first, _, labels = drawn(2, 3000)
    mix = fit_mix(first, np.zeros((2, *first.shape)), labels)
    assert mix.temperature == pytest.approx(fit_temperature(first.astype(np.float32), labels), rel=1e-2)


def test_scores_against_the_truth_get_no_weight() -> None:
    first, _, labels = drawn(3)
    assert fit_mix(first, -np.eye(4)[labels][np.newaxis], labels).weights == (0,)


def test_all_right_and_few_is_not_certain() -> None:
    labels = np.array([0, 1, 2])
    mix = fit_mix(np.eye(3)[labels], np.eye(3)[labels][np.newaxis], labels)
    logit = 1 / mix.temperature + mix.weights[0]
    assert 0.5 < np.exp(logit) / (np.exp(logit) + 2) < 0.95


@pytest.mark.parametrize("power", [-0.8, 0.0, 1.0])
def test_offsets_are_those_of_the_law(power: float) -> None:
    generator = np.random.default_rng(6)
    shares = np.array([0.6, 0.2, 0.15, 0.05])
    first = 2 * generator.normal(size=(40_000, 4))
    chance = np.exp(log_softmax(first + power * np.log(shares), axis=1))
    labels = (chance.cumsum(axis=1) < generator.random((len(first), 1))).sum(axis=1)
    mix = fit_mix(first, np.zeros((0, *first.shape)), labels, shares=shares)
    np.testing.assert_allclose(mix.offsets, power * np.log(shares), atol=0.1)
    assert mix.temperature == pytest.approx(1, rel=0.03)
    expected = first / mix.temperature + np.array(mix.offsets)
    np.testing.assert_allclose(mix.logits(first, np.zeros((0, *first.shape))), expected)


def test_classes_of_one_size_have_offsets_that_change_nothing() -> None:
    first, second, labels = drawn(7)
    plain = fit_mix(first, second[np.newaxis], labels)
    mix = fit_mix(first, second[np.newaxis], labels, shares=np.full(4, 0.25))
    assert plain.offsets == ()
    assert np.ptp(mix.offsets) == 0
    assert mix.weights == pytest.approx(plain.weights, rel=1e-4)


def test_classes_that_no_sample_has_do_not_count() -> None:
    first, second, labels = drawn(8)
    more = np.concatenate([first, np.full((len(first), 1), 5.0)], axis=1)  # each time the surest, and never right
    scores = np.concatenate([second, np.full((len(first), 1), 5.0)], axis=1)[np.newaxis]
    shares = np.array([0.3, 0.3, 0.2, 0.1, 0.1])
    mix = fit_mix(more, scores, labels, shares=shares)
    plain = fit_mix(first, second[np.newaxis], labels, shares=shares[:4])
    assert mix.temperature == pytest.approx(plain.temperature, rel=1e-6)
    assert mix.weights == pytest.approx(plain.weights, rel=1e-6)
    assert mix.offsets[:4] == pytest.approx(plain.offsets, rel=1e-6)
    assert mix.offsets[4] == pytest.approx(plain.offsets[3])


# -- sharpening -------------------------------------------------------------------------------------------------------

NO_SCORES = np.empty((0, 1, 1))


def sharpened_law(seed: int, samples: int, sharpening: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits of 12 classes, sure ones and unsure ones, and labels that they are sharpened for."""
    generator = np.random.default_rng(seed)
    logits = generator.uniform(0, 6, (samples, 1)) * generator.normal(size=(samples, 12))
    chance = np.exp(log_softmax(Mix(sharpening=sharpening).logits(logits, NO_SCORES[:, :0]), axis=1))
    return logits, (chance.cumsum(axis=1) < generator.random((samples, 1))).sum(axis=1)


def test_sharpened_logits_are_the_formula() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 4)) * 3
    mix = Mix(2.0, (), (0.1, 0.2, -0.1, 0.0), 0.7)
    z = logits / 2 + np.array(mix.offsets)
    chance = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    entropy = -(chance * np.log(chance)).sum(axis=1, keepdims=True) / np.log(4)
    found = mix.logits(logits, np.empty((0, 50, 4)))
    np.testing.assert_allclose(found, np.exp(0.7 * entropy) * z, rtol=1e-12)
    np.testing.assert_array_equal(found.argmax(axis=1), z.argmax(axis=1))


@pytest.mark.parametrize("classes", [1, 3])
def test_endless_logits_and_one_class_are_no_division_by_zero(classes: int) -> None:
    logits = np.zeros((2, classes))
    logits[0, 0] = 1e300
    with np.errstate(all="raise", under="ignore"):
        assert np.isfinite(Mix(sharpening=0.5).logits(logits, np.empty((0, 2, classes)))).all()


@pytest.mark.parametrize("sharpening", [-0.5, 0.0, 0.5])
def test_it_finds_the_sharpening_of_the_law(sharpening: float) -> None:
    logits, labels = sharpened_law(1, 60_000, sharpening)
    mix = sharpen(Mix(), logits, np.empty((0, *logits.shape)), labels)
    assert mix.sharpening == pytest.approx(sharpening, abs=0.04)
    assert mix.temperature == pytest.approx(1, rel=0.03)


def test_no_other_sharpening_is_more_probable() -> None:
    """Also where samples weigh differently, and a class is not there."""
    logits, labels = sharpened_law(2, 900, 0.5)
    first, scores, labels = logits[labels != 3], np.empty((0, 1, 1)), labels[labels != 3]
    weights = np.random.default_rng(0).random(len(labels))
    there = np.delete(np.arange(12), 3)
    target = np.full((len(labels), 12), 1 / (len(labels) + 2) / 11)
    target[np.arange(len(labels)), labels] += 1 - 1 / (len(labels) + 2)

    def loss(given: np.ndarray) -> float:
        scale, sharpening = given
        z = np.exp(scale) * first[:, there]
        chance = np.exp(log_softmax(z, axis=1))
        entropy = -(chance * np.log(chance)).sum(axis=1, keepdims=True) / np.log(12)
        log_probability = log_softmax(np.exp(sharpening * entropy) * z, axis=1)
        cross_entropy = -np.average((target[:, there] * log_probability).sum(axis=1), weights=weights)
        return float(cross_entropy + (scale**2 + sharpening**2) / (2 * 0.1**2 * len(labels)))

    mix = sharpen(
        Mix(3.0, (), tuple(np.zeros(12))), 3 * first, scores.reshape(0, *first.shape[:1], 12), labels, weights
    )
    best = minimize(loss, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-12})
    np.testing.assert_allclose([np.log(3 / mix.temperature), mix.sharpening], best.x, atol=1e-4)
    assert abs(mix.sharpening) > 0.02


def test_few_samples_sharpen_little() -> None:
    logits, labels = sharpened_law(3, 30, 1.0)
    assert abs(sharpen(Mix(), logits, np.empty((0, *logits.shape)), labels).sharpening) < 0.15


def test_what_is_scaled_is_all_that_is_added_up() -> None:
    first, second, labels = drawn(8, 3000)
    flat = Mix(4.0, (0.75,), (0.1, 0.0, -0.2, 0.1))  # of the law: 2 and 3
    mix = sharpen(flat, first, second[np.newaxis], labels)
    scale = 4 / mix.temperature
    assert scale > 1.5
    np.testing.assert_allclose(mix.weights, [0.75 * scale])
    np.testing.assert_allclose(mix.offsets, scale * np.array(flat.offsets))
