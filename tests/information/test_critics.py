"""Bounds of critics: exact tables, plain loops, gradients, extreme scores; trained critics on known information."""

import math
import re

import numpy as np
import pytest
import torch

from limbeck.errors import InputError
from limbeck.information.benchmark_tasks import benchmark_task
from limbeck.information.critics import (
    BOUNDS,
    _contributions,
    critic_information,
    donsker_varadhan,
    info_nce,
    mine_surrogate,
    nwj,
)
from limbeck.information.data_processing import checked


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


COUNTS = np.array([[4, 1, 1], [1, 3, 2]])


def table():
    """Every pair of a table as often as it occurs, and every pair of its margins; the log density ratio; the truth."""
    n = COUNTS.sum()
    rows, columns = COUNTS.sum(axis=1), COUNTS.sum(axis=0)
    ratio = np.log(COUNTS * n / np.outer(rows, columns))
    joint = np.repeat(ratio.ravel(), COUNTS.ravel())
    product = np.repeat(ratio.ravel(), np.outer(rows, columns).ravel())
    return torch.tensor(joint), torch.tensor(product), float((COUNTS / n * ratio).sum())


def test_the_log_ratio_makes_the_bounds_exact():
    joint, product, truth = table()
    assert nwj(joint, product).item() == pytest.approx(truth, abs=1e-12)
    assert donsker_varadhan(joint, product).item() == pytest.approx(truth, abs=1e-12)
    # A constant costs only what the first does not know of it.
    assert donsker_varadhan(joint + 3, product + 3).item() == pytest.approx(truth, abs=1e-12)
    assert nwj(joint + 3, product + 3).item() == pytest.approx(truth + 3 - (math.exp(3) - 1), abs=1e-10)


def test_any_other_score_is_below_and_one_bound_above_the_other():
    joint, product, truth = table()
    generator = torch.Generator().manual_seed(0)
    values = torch.unique(product)
    for _ in range(20):
        other = dict(zip(values.tolist(), torch.randn(len(values), generator=generator).tolist(), strict=True))
        scored = [torch.tensor([other[value] for value in part.tolist()]).double() for part in (joint, product)]
        assert nwj(*scored) <= donsker_varadhan(*scored) + 1e-12
        assert donsker_varadhan(*scored) < truth


def test_info_nce_is_that_of_plain_loops_and_at_most_log_n():
    scores = torch.randn(2, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for own, found in zip(scores, info_nce(scores), strict=True):
        expected = 0.0
        for i in range(6):
            expected += math.log(math.exp(own[i, i]) / (sum(math.exp(own[i, j]) for j in range(6)) / 6)) / 6
        assert found.item() == pytest.approx(expected, abs=1e-12)
        # What is added to a row, it does not see.
        assert info_nce(own + torch.arange(6.0)[:, None]).item() == pytest.approx(expected, abs=1e-12)
        assert found < math.log(6)
    assert info_nce(torch.zeros(5, 5)).item() == pytest.approx(0.0, abs=1e-6)


def test_gradients():
    generator = torch.Generator().manual_seed(0)
    joint, product = (torch.randn(2, n, generator=generator, dtype=torch.float64, requires_grad=True) for n in (3, 4))
    square = torch.randn(2, 3, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    average = torch.zeros(2, dtype=torch.float64)
    assert torch.autograd.gradcheck(nwj, (joint, product))
    assert torch.autograd.gradcheck(donsker_varadhan, (joint, product))
    assert torch.autograd.gradcheck(lambda a, b: mine_surrogate(a, b, average), (joint, product))
    assert torch.autograd.gradcheck(info_nce, (square,))


def test_mine_moves_as_donsker_varadhan_where_its_average_is_the_batch():
    generator = torch.Generator().manual_seed(0)
    joint, product = (torch.randn(n, generator=generator, requires_grad=True) for n in (5, 7))
    own = torch.autograd.grad(donsker_varadhan(joint, product), (joint, product))
    average = product.detach().exp().mean().log()
    surrogate = torch.autograd.grad(mine_surrogate(joint, product, average), (joint, product))
    steadier = torch.autograd.grad(mine_surrogate(joint, product, average + 1), (joint, product))
    for one, two in zip(own, surrogate, strict=True):
        torch.testing.assert_close(one, two)
    torch.testing.assert_close(steadier[1], surrogate[1] / math.e)


def test_extreme_scores():
    joint, product = torch.tensor([1e4, 1e4]), torch.tensor([-1e4, 9.9e3])
    assert donsker_varadhan(joint, product).item() == pytest.approx(100 + math.log(2), abs=0.01)
    assert info_nce(1e4 * torch.eye(4)).item() == pytest.approx(math.log(4))
    assert info_nce(-1e4 * torch.eye(4)).item() == pytest.approx(-1e4 - math.log(3 / 4), rel=1e-6)
    assert nwj(joint, -joint).item() == pytest.approx(1e4 + 1)
    assert nwj(joint, product).item() == -math.inf  # nothing is clamped


def test_scores_that_cannot_be():
    empty = torch.zeros(0)
    for bound in (nwj, donsker_varadhan):
        with pytest.raises(ValueError, match="must not be empty"):
            bound(torch.zeros(3), empty)
    with pytest.raises(ValueError, match="must not be empty"):
        mine_surrogate(empty, torch.zeros(3), torch.tensor(0.0))
    for scores in (torch.zeros(3), torch.zeros(2, 3), torch.zeros(0, 0)):
        with pytest.raises(ValueError, match="scores must be"):
            info_nce(scores)


@pytest.mark.parametrize("estimator", list(BOUNDS))
def test_contributions_have_the_figures_mean_and_the_jackknifes_spread(estimator):
    rng = np.random.default_rng(0)
    x = rng.normal(size=150)
    y = 0.6 * x + 0.8 * rng.normal(size=150)
    scores = x[:, None] * y - 0.3 * (x[:, None] ** 2 + y**2) + 0.2

    def figure(values):
        own = torch.from_numpy(values)
        if estimator == "infonce":
            return info_nce(own).item()
        apart = own[~torch.eye(len(own), dtype=torch.bool)]
        return (donsker_varadhan if estimator in ("dv", "mine") else nwj)(own.diagonal(), apart).item()

    contributions = _contributions(scores, estimator)
    assert contributions.mean() == pytest.approx(figure(scores), abs=1e-10)
    without = [figure(np.delete(np.delete(scores, i, 0), i, 1)) for i in range(150)]
    jackknife = math.sqrt(149 * np.var(without))
    assert contributions.std(ddof=1) / math.sqrt(150) == pytest.approx(jackknife, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", list(BOUNDS))
def test_trained_critics_find_most_of_a_gaussian_pair(estimator):
    task = benchmark_task("normal")
    drawn = task.sample(400, 0)
    found = critic_information(drawn.x, drawn.y, estimator=estimator, folds=4)
    assert found.low <= task.truth
    assert found.nats == pytest.approx(task.truth, abs=0.15)
    assert (found.bound, found.samples, found.estimator) == (BOUNDS[estimator], 400, estimator)
    assert found.saturates == (pytest.approx(math.log(100)) if estimator == "infonce" else None)


@pytest.mark.parametrize("estimator", ["infonce", "nwj", "js"])
def test_trained_critics_read_labels(estimator):
    task = benchmark_task("gaussian-classes-2")
    drawn = task.sample(400, 1)
    names = np.array(list("abcde"))[drawn.y]
    found = critic_information(drawn.x, names, estimator=estimator, folds=2)
    assert found.low <= task.truth
    assert found.nats == pytest.approx(task.truth, abs=0.2)


def test_independent_variables_share_nothing():
    rng = np.random.default_rng(0)
    for estimator in ("infonce", "js", "dv"):
        found = critic_information(rng.normal(size=(300, 5)), rng.normal(size=(300, 5)), estimator=estimator, folds=3)
        assert abs(found.nats) < 0.05, estimator


def test_the_contrastive_figure_stays_below_its_saturation():
    drawn = benchmark_task("linear-encoder-32").sample(400, 0)
    found = critic_information(drawn.x, drawn.y, estimator="infonce", folds=4)
    assert found.saturates == pytest.approx(math.log(100))
    assert 1.0 < found.nats < found.saturates
    assert "too much information to be measured with 100 samples a fold" in found.warnings


def test_many_columns_and_few_samples_are_said_and_the_interval_reaches_further():
    task = benchmark_task("two-pairs-25")
    drawn = task.sample(400, 0)
    found = critic_information(drawn.x, drawn.y, folds=2)
    assert found.high - found.nats > 2 * (found.nats - found.low)
    told = " ".join(found.warnings)
    assert "too few samples for the critic: it finds" in told
    assert "nearest neighbours find" in told
    assert f"{found.high - 3 * (found.nats - found.low):.2f} nats in" in told


def test_what_a_critic_smooths_over_is_said():
    drawn = benchmark_task("additive-uniform-0.75").sample(1000, 700)
    (warning,) = critic_information(drawn.x, drawn.y, folds=2).warnings
    assert "the figure is too low: nearest neighbours find" in warning


def test_the_interval_reaches_what_neighbours_find_where_that_is_not_worth_a_warning():
    drawn = benchmark_task("overlapping-uniforms-2").sample(1000, 700)
    found = critic_information(drawn.x, drawn.y, folds=2, estimator="dv")
    summary = checked(np.asarray(drawn.x, float).reshape(1000, -1), np.asarray(drawn.y), 0)
    assert found.nats < summary.nats
    assert found.warnings == ()
    assert found.high == pytest.approx(summary.nats + 3 * (found.nats - found.low))


def test_a_rare_label_is_said():
    drawn = benchmark_task("rare-label-0.02").sample(500, 0)
    warning = critic_information(drawn.x, drawn.y, folds=2).warnings[0]
    assert warning == f"a label has {drawn.y.sum()} samples, too few for 2 folds"


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["infonce", "dv"])
def test_there_are_few_false_alarms(estimator):
    told = []
    for name in ("normal", "dense-2", "linear-encoder-2", "unequal-variances-2"):
        drawn = benchmark_task(name).sample(1000, 700)
        told += critic_information(drawn.x, drawn.y, estimator=estimator).warnings
    assert len(told) <= 1


def test_maps_of_single_columns_change_nothing():
    drawn = benchmark_task("normal").sample(200, 0)
    plain = critic_information(drawn.x, drawn.y, estimator="infonce", folds=2)
    moved = critic_information(np.exp(drawn.x), 1000 * drawn.y**3, estimator="infonce", folds=2)
    assert moved == plain


def test_a_seed_repeats_everything_and_touches_nothing_global():
    drawn = benchmark_task("normal").sample(200, 0)
    state = torch.get_rng_state()
    first = critic_information(drawn.x, drawn.y, folds=2, seed=1)
    assert torch.equal(state, torch.get_rng_state())
    with torch.inference_mode():
        again = critic_information(drawn.x, drawn.y, folds=2, seed=1)
    assert first == again
    assert first.nats != critic_information(drawn.x, drawn.y, folds=2, seed=2).nats


X = np.random.default_rng(0).normal(size=(80, 2))


@pytest.mark.parametrize(
    ("x", "y", "options", "words"),
    [
        (np.where(X > 2, np.nan, X), X, {}, "x must be finite"),
        (X[:, 0], X, {}, "x must be real numbers of shape (samples, features)"),
        (X, X[:70], {}, "y must have 80 rows"),
        (X, X[:, 0], {}, "y must be integers, booleans or strings"),
        (X, np.zeros(80, int), {}, "y must be of at least two classes"),
        (X, X, {"folds": 3}, "x must hold at least 40 samples a fold, not 80 for 3 folds"),
        (X, X, {"folds": 1}, "folds must be a whole number from 2"),
        (X, X, {"seed": -1}, "seed must be a whole number from 0"),
        (X, X, {"estimator": "smile"}, "estimator must be one of nwj, dv, mine, infonce, js, not 'smile'"),
    ],
)
def test_unusable_input_is_refused_in_one_line(x, y, options, words):
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        critic_information(x, y, **options)
    assert "\n" not in str(caught.value)
