"""The bracket of a Gaussian encoder: plain loops, closed forms, both sides of the truth, memory, infinite answers."""

import re
import tracemalloc

import numpy as np
import pytest
from scipy.stats import norm

from limbeck.errors import InputError
from limbeck.information import stochastic
from limbeck.information.benchmark_tasks import benchmark_task
from limbeck.information.stochastic import encoder_information

RNG = np.random.default_rng(0)
MEAN = RNG.normal(size=(30, 3)) * np.array([1.0, 2.0, 0.1])
LOG_VARIANCE = RNG.normal(size=(30, 3)) - 1


def by_name(bracket):
    return {one.estimator: one for one in (bracket.lower, *bracket.upper)}


def test_figures_are_those_of_plain_loops():
    found = by_name(encoder_information(MEAN, LOG_VARIANCE, seed=5))
    deviation = np.exp(LOG_VARIANCE / 2)
    rng = np.random.default_rng(5)
    order = rng.permutation(30)
    drawn = MEAN + deviation * rng.normal(size=(30, 3))
    contrastive = leave_one_out = standard = fitted = 0.0
    for i in range(30):
        densities = [norm.pdf(drawn[i], MEAN[j], deviation[j]).prod() for j in range(30)]
        others = densities[:i] + densities[i + 1 :]
        contrastive += np.log(densities[i] / np.mean(densities)) / 30
        leave_one_out += np.log(densities[i] / np.mean(others)) / 30
        half = order[15:] if i in order[:15] else order[:15]
        center = MEAN[half].mean(axis=0)
        variance = (deviation[half] ** 2 + MEAN[half] ** 2).mean(axis=0) - center**2
        for d in range(3):
            m, s = MEAN[i, d], deviation[i, d] ** 2
            standard += (m**2 + s - 1 - np.log(s)) / 60
            fitted += ((m - center[d]) ** 2 / variance[d] + s / variance[d] - 1 - np.log(s / variance[d])) / 60
    expected = {
        "infonce": contrastive,
        "leave-one-out": leave_one_out,
        "standard prior": standard,
        "fitted prior": fitted,
    }
    for name, nats in expected.items():
        assert found[name].nats == pytest.approx(nats, abs=1e-10), name


def test_chunks_change_nothing(monkeypatch):
    whole = by_name(encoder_information(MEAN, LOG_VARIANCE, seed=1))
    monkeypatch.setattr(stochastic, "_CHUNK", 7)
    for name, one in by_name(encoder_information(MEAN, LOG_VARIANCE, seed=1)).items():
        assert (one.nats, one.low) == pytest.approx((whole[name].nats, whole[name].low), abs=1e-12)


def test_the_truth_is_between():
    for name, slack in (("linear-encoder-2", 0.01), ("linear-encoder-8", 0.05)):
        task = benchmark_task(name)
        brackets = []
        for seed in range(8):
            drawn = task.sample(500, seed)
            brackets.append(encoder_information(drawn.mean, drawn.log_variance, seed=seed))
        assert np.mean([one.lower.nats for one in brackets]) <= task.truth + slack
        for place in range(3):
            assert np.mean([one.upper[place].nats for one in brackets]) >= task.truth - slack
        assert sum(one.lower.low <= task.truth <= one.tightest.high for one in brackets) >= 7
        assert {one.lower.bound for one in brackets} == {"lower"}
        assert {upper.bound for one in brackets for upper in one.upper} == {"upper"}


def test_bounds_that_stand_at_the_logarithm_of_the_samples_say_so():
    drawn = benchmark_task("linear-encoder-32").sample(500, 0)
    found = by_name(encoder_information(drawn.mean, drawn.log_variance))
    assert found["infonce"].warnings == ("the figure is near the 6.21 nats that it cannot exceed",)
    assert found["leave-one-out"].warnings == ("above the logarithm of the samples, 6.21, this bound is loose",)
    drawn = benchmark_task("linear-encoder-2").sample(500, 0)
    assert all(one.warnings == () for one in by_name(encoder_information(drawn.mean, drawn.log_variance)).values())


def test_a_gaussian_input_meets_its_prior():
    """One column: the mixture is Gaussian, so that the fitted prior is tight, and the standard one where it fits."""
    v = np.random.default_rng(0).normal(size=(4000, 1))
    found = by_name(encoder_information(np.sqrt(0.75) * v, np.full_like(v, np.log(0.25))))
    for name in ("standard prior", "fitted prior", "infonce", "leave-one-out"):
        assert found[name].nats == pytest.approx(np.log(2), abs=0.03), name
    half = found["infonce"].high - found["infonce"].nats
    assert 0.3 / np.sqrt(4000) < half < 6 / np.sqrt(4000)


def test_far_above_log_n_the_lower_bound_stays_there():
    drawn = benchmark_task("linear-encoder-32").sample(200, 0)
    found = encoder_information(drawn.mean, drawn.log_variance)
    assert found.lower.saturates == pytest.approx(np.log(200))
    assert found.lower.nats == pytest.approx(np.log(200), abs=1e-6)
    assert found.lower.nats <= found.lower.saturates + 1e-12
    assert found.tightest.nats >= 31


def test_an_encoder_that_ignores_its_input_holds_nothing():
    flat = np.zeros((50, 4))
    for one in by_name(encoder_information(flat, flat)).values():
        assert one.nats == pytest.approx(0.0, abs=1e-12)
        assert one.low <= one.nats <= one.high


def test_units_and_place_do_not_matter_where_no_prior_is_given():
    plain = by_name(encoder_information(MEAN, LOG_VARIANCE))
    moved = by_name(encoder_information(1000 * MEAN + 1e5, LOG_VARIANCE + 2 * np.log(1000)))
    for name in ("infonce", "leave-one-out", "fitted prior"):
        assert moved[name].nats == pytest.approx(plain[name].nats, abs=1e-6)
    assert moved["standard prior"].nats > 1e6


def test_memory_is_of_chunks_and_not_of_pairs():
    mean = np.random.default_rng(0).normal(size=(4000, 16))
    tracemalloc.start()
    encoder_information(mean, np.zeros_like(mean))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4000**2 * 8 / 2


def test_a_seed_repeats_everything():
    first, again, other = (encoder_information(MEAN, LOG_VARIANCE, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.lower.nats != other.lower.nats


def with_entry(values, entry):
    changed = values.copy()
    changed[4, 1] = entry
    return changed


@pytest.mark.parametrize(
    ("mean", "log_variance", "words"),
    [
        (MEAN, with_entry(LOG_VARIANCE, -np.inf), "log_variance is -inf: the encoder is deterministic, and its info"),
        (MEAN, with_entry(LOG_VARIANCE, -30.0), "log_variance goes down to -30.0 in column 1: the encoder is determ"),
        (MEAN, np.full_like(MEAN, -900.0), "the encoder is deterministic"),
        (MEAN, with_entry(LOG_VARIANCE, np.nan), "log_variance must be finite"),
        (with_entry(MEAN, np.inf), LOG_VARIANCE, "mean must be finite"),
        (MEAN, LOG_VARIANCE[:, :2], "log_variance must have the shape of mean, (30, 3), not (30, 2)"),
        (MEAN[:3], LOG_VARIANCE[:3], "mean must hold at least 4 samples, not 3"),
        (MEAN[:, 0], LOG_VARIANCE[:, 0], "mean must be real numbers of shape (samples, features)"),
    ],
)
def test_unusable_input_is_refused_in_one_line(mean, log_variance, words):
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        encoder_information(mean, log_variance)
    assert "\n" not in str(caught.value)
