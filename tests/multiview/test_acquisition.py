"""The expected gain of a view against worlds whose truth is known; temperatures of samples that lack several views."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp, softmax

from limbeck import MultiViewClassifier
from limbeck.errors import InputError
from limbeck.multiview import acquisition
from limbeck.multiview.acquisition import expected_gain
from limbeck.multiview.answers import mix_of, shares_of
from limbeck.multiview.evaluation import cross_entropy_nats, probabilities

CLASSES = 3
PRIOR = np.array([0.5, 0.3, 0.2])
# p(symbol | class) of four views, in twentieths: sharp, middling, blunt, and one that says nothing.
COUNTS = [
    np.array([[18, 1, 1], [1, 18, 1], [1, 1, 18]]),
    np.array([[12, 5, 3], [3, 12, 5], [5, 3, 12]]),
    np.array([[8, 6, 6], [6, 8, 6], [7, 6, 7]]),
    np.array([[4, 7, 9]] * 3),
]
LAWS = [counts / 20 for counts in COUNTS]


def _exact_gain(posterior: np.ndarray, law: np.ndarray) -> np.ndarray:
    """I(y; symbol | x) for views independent given the class, where `posterior` is p(y | x)."""
    joint = posterior[:, :, np.newaxis] * law
    symbol = joint.sum(axis=1, keepdims=True)
    return (joint * np.log(joint / (posterior[:, :, np.newaxis] * symbol))).sum(axis=(1, 2))


def _logits(*at_hand: int) -> np.ndarray:
    """log p(y, x) for every combination of symbols of the views at hand."""
    logits = np.log(PRIOR)[np.newaxis]
    for view in at_hand:
        logits = (logits[:, np.newaxis] + np.log(LAWS[view].T)).reshape(-1, CLASSES)
    return logits


@pytest.mark.parametrize("at_hand", [(), (2,), (1,), (1, 2), (3,)])
def test_held_out_samples_in_the_proportions_of_the_law_give_the_information_itself(at_hand: tuple[int, ...]) -> None:
    logits = _logits(*at_hand)
    posterior = softmax(logits, axis=1)
    found = []
    for view in range(4):
        if view in at_hand:
            continue
        symbols = np.concatenate([np.repeat(np.arange(3), counts) for counts in COUNTS[view]])
        labels = np.repeat(np.arange(CLASSES), 20)
        gain = expected_gain(logits, np.log(LAWS[view].T)[symbols], labels)
        np.testing.assert_allclose(gain, _exact_gain(posterior, LAWS[view]), atol=1e-12)
        found.append(gain)
    assert (np.diff(found, axis=0) < 1e-12).all()  # from the sharp one down to the one that says nothing
    np.testing.assert_allclose(found[-1], 0, atol=1e-12 if 3 not in at_hand else 1)


def test_drawn_held_out_samples_give_the_information_within_their_sampling_error() -> None:
    rng = np.random.default_rng(0)
    logits, labels = _logits(2), np.repeat(np.arange(CLASSES), 100)
    posterior = softmax(logits, axis=1)
    for view in (0, 1, 3):
        terms = np.log(LAWS[view].T)
        trials = []
        for _ in range(200):
            symbols = np.concatenate([rng.choice(3, 100, p=law) for law in LAWS[view]])
            trials.append(expected_gain(logits, terms[symbols], labels))
        truth = _exact_gain(posterior, LAWS[view])
        error = np.std(trials, axis=0)
        assert (np.abs(np.mean(trials, axis=0) - truth) <= 5 * error / 200**0.5 + 1e-12).all()
        assert (error < 0.06).all()
        assert (np.min(trials, axis=0) > -5 * error - 1e-12).all()


@pytest.mark.parametrize("wrong", ["too sure", "too unsure", "turned round"])
def test_a_wrong_model_has_a_lower_gain_than_the_information(wrong: str) -> None:
    symbols = np.concatenate([np.repeat(np.arange(3), counts) for counts in COUNTS[1]])
    terms = np.log(LAWS[1].T)[symbols]
    terms = {"too sure": 4 * terms, "too unsure": 0.3 * terms, "turned round": terms[:, [1, 2, 0]]}[wrong]
    logits = _logits(2)
    gain = expected_gain(logits, terms, np.repeat(np.arange(CLASSES), 20))
    assert (gain < _exact_gain(softmax(logits, axis=1), LAWS[1]) - 0.01).all()
    assert (gain < 0).all() or wrong != "turned round"


def _naive(logits: np.ndarray, terms: np.ndarray, labels: np.ndarray, before: float, after: float) -> list[float]:
    gains = []
    for row in logits:
        log_now = log_softmax(row / before)
        known = sorted(set(labels.tolist()))
        share = logsumexp(log_now[known])
        total = 0.0
        for c in known:
            members = [k for k in range(len(labels)) if labels[k] == c]
            ratios = [log_softmax((row + terms[k]) / after)[c] - log_now[c] for k in members]
            total += np.exp(log_now[c] - share) * float(np.mean(ratios))
        gains.append(total)
    return gains


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
@pytest.mark.parametrize("classes_seen", [4, 3])
def test_it_equals_a_loop_over_samples_and_classes(scale: float, classes_seen: int, monkeypatch: Any) -> None:
    rng = np.random.default_rng(0)
    logits, terms = scale * rng.normal(size=(9, 4)), scale * rng.normal(size=(25, 4))
    labels = rng.integers(0, classes_seen, 25)
    expected = _naive(logits, terms, labels, 0.7, 1.9)
    found = expected_gain(logits, terms, labels, temperature=0.7, temperature_after=1.9)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    monkeypatch.setattr(acquisition, "_ENTRIES", 60)  # a few samples at once: the same
    again = expected_gain(logits, terms, labels, temperature=0.7, temperature_after=1.9)
    np.testing.assert_allclose(again, expected, rtol=1e-9, atol=1e-9)


def test_of_many_held_out_samples_of_a_class_some_are_used() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [1000, 3])
    terms = 2 * np.eye(2)[labels] + rng.normal(size=(1003, 2))
    chosen = np.concatenate([np.arange(0, 1000, 5), [1000, 1001, 1002]])
    logits = rng.normal(size=(4, 2))
    np.testing.assert_array_equal(
        expected_gain(logits, terms, labels), expected_gain(logits, terms[chosen], labels[chosen])
    )


def test_of_nothing_held_out_nothing_is_known() -> None:
    assert np.isnan(expected_gain(np.zeros((2, 3)), np.zeros((0, 3)), np.zeros(0, np.int64))).all()
    assert expected_gain(np.zeros((0, 3)), np.zeros((2, 3)), np.array([0, 1])).shape == (0,)


@pytest.mark.parametrize(
    ("logits", "terms", "temperature"), [((2, 3), (4, 2), 1.0), ((3,), (4, 3), 1.0), ((2, 3), (4, 3), 0.0)]
)
def test_arguments_that_do_not_fit_are_refused(logits: Any, terms: Any, temperature: float) -> None:
    with pytest.raises(ValueError, match=r"logits must be|temperatures must be"):
        expected_gain(np.zeros(logits), np.zeros(terms), np.zeros(4, np.int64), temperature=temperature)


# -- a fitted classifier ----------------------------------------------------------------------------------------------

MEANS = 1.2 * np.random.default_rng(7).normal(size=(4, 4, 3))
MEANS[0, 2:] = 0  # tells the first two classes apart
MEANS[1, :2] = 0  # tells the last two apart
MEANS[3] = 0  # says nothing
NAMES = ("first two", "last two", "all", "nothing")


def _gaussian(samples: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, samples)
    return {name: mean[y] + rng.normal(size=(samples, 3)) for name, mean in zip(NAMES, MEANS, strict=True)}, y


def _log_likelihood(view: np.ndarray, position: int) -> np.ndarray:
    return -((view[..., np.newaxis, :] - MEANS[position]) ** 2).sum(axis=-1) / 2


@pytest.fixture(scope="module")
def fitted() -> MultiViewClassifier:
    X, y = _gaussian(1500, 0)
    model = MultiViewClassifier(
        validation_fraction=0.3,
        epochs=20,
        batch_size=64,
        encoder=(16,),
        representation=8,
        milestones=(10, 15),
        decay=0.05,
        ranking_weight=0.0,
    )
    return model.fit(X, y)


@pytest.mark.slow
@pytest.mark.parametrize("at_hand", [(0,), (1,), (3,), (0, 3)])
def test_a_fitted_model_finds_the_gain_of_every_view(fitted: MultiViewClassifier, at_hand: tuple[int, ...]) -> None:
    X, _ = _gaussian(300, 1)
    rng = np.random.default_rng(2)
    found = fitted.expected_gain({NAMES[view]: X[NAMES[view]] for view in at_hand})
    assert np.isnan(found[:, list(at_hand)]).all()
    log_now = log_softmax(sum(_log_likelihood(X[NAMES[view]], view) for view in at_hand), axis=1)
    truth = {}
    for view in set(range(4)) - set(at_hand):
        truth[view] = -(np.exp(log_now) * log_now).sum(axis=1)
        for label in range(4):
            draws = MEANS[view, label] + rng.normal(size=(500, 3))
            then = log_softmax(log_now[:, np.newaxis] + _log_likelihood(draws, view), axis=2)
            truth[view] += np.exp(log_now[:, label]) * (np.exp(then) * then).sum(axis=2).mean(axis=1)
        assert np.sqrt(np.mean((found[:, view] - truth[view]) ** 2)) < 0.15
        # In the mean a lower bound, and nearly what it bounds.
        assert -0.1 < found[:, view].mean() - truth[view].mean() < 0.03
    if 3 not in at_hand:
        assert np.abs(found[:, 3]).max() < 0.06
    views = sorted(truth)
    exact = np.stack([truth[view] for view in views])
    chosen = exact[found[:, views].argmax(axis=1), np.arange(300)]
    # Nats lost by following the estimate and not the truth, beside those lost by taking any view.
    assert (exact.max(axis=0) - chosen).mean() < 0.25 * (exact.max(axis=0) - exact.mean(axis=0)).mean()


@pytest.mark.slow
def test_a_loaded_model_expects_the_same(fitted: MultiViewClassifier, tmp_path: Path) -> None:
    X, _ = _gaussian(20, 3)
    X["all"][:7] = np.nan
    X["first two"][5:12] = np.nan
    X["nothing"][:] = np.nan
    found = fitted.expected_gain(X)
    np.testing.assert_array_equal(np.isnan(found), np.stack([~np.isnan(X[name][:, 0]) for name in NAMES], axis=1))
    fitted.save(tmp_path / "model.safetensors")
    again = MultiViewClassifier.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.expected_gain(X), found)
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    # Each sample by itself, whatever patterns are beside it.
    alone = fitted.expected_gain({name: view[3:4] for name, view in X.items()})
    np.testing.assert_allclose(alone[0], found[3], rtol=1e-5)


@pytest.mark.slow
def test_samples_that_lack_several_views_have_a_temperature_of_their_own(fitted: MultiViewClassifier) -> None:
    X, y = _gaussian(2000, 4)
    assert fitted._answers.held_out is not None
    for view in (0, 2):
        given, pattern = {NAMES[view]: X[NAMES[view]]}, np.arange(4) == view
        mix = fitted._answers.mix(pattern)
        held_out, labels = fitted._answers.held_out.logits(pattern)
        shares = shares_of(fitted._answers.held_out.labels, held_out.shape[1])
        assert mix == mix_of(held_out, fitted._answers.held_out.scores(pattern), labels, shares)
        temperature = mix.temperature
        largest = max(one for one, here in zip(fitted.leave_one_out_temperature_, pattern, strict=True) if not here)
        assert temperature != largest
        logits = fitted._logits(fitted._read(given))
        found = cross_entropy_nats(probabilities(logits), y)
        assert cross_entropy_nats(fitted.predict_proba(given), y) == found
        best = min(cross_entropy_nats(probabilities(logits, one), y) for one in np.exp(np.linspace(-3, 3, 121)))
        assert found < best + 0.01
    # One temperature for each pattern: what else is asked at the same time does not matter.
    mixed = {name: view[:40].copy() for name, view in X.items()}
    mixed["last two"][:] = np.nan
    mixed["all"][:20] = np.nan
    half = {name: view[:20] for name, view in mixed.items()}
    np.testing.assert_allclose(fitted.predict_proba(mixed)[:20], fitted.predict_proba(half), rtol=1e-5)


def test_without_held_out_samples_it_is_refused() -> None:
    X, y = _gaussian(40, 0)
    model = MultiViewClassifier(validation_fraction=0, epochs=1, encoder=(4,), representation=2).fit(X, y)
    with pytest.raises(InputError, match="held out"):
        model.expected_gain({"all": X["all"]})


def test_a_view_that_no_training_sample_had_has_no_gain() -> None:
    X, y = _gaussian(60, 0)
    options: dict[str, Any] = {"epochs": 1, "encoder": (4,), "representation": 2, "validation_fraction": 0.3}
    with pytest.warns(UserWarning, match="missing for every sample"):
        model = MultiViewClassifier(**options).fit([X["all"], None, X["nothing"]], y)
    gain = model.expected_gain([X["all"], None, None])
    assert np.isnan(gain[:, :2]).all()
    assert np.isfinite(gain[:, 2]).all()
