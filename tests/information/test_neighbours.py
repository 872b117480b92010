"""Nearest neighbours: plain loops as the reference, closed forms, what the interval covers, collapse, refusals."""

import re

import numpy as np
import pytest
from scipy.special import digamma

from limbeck.errors import InputError
from limbeck.information.benchmark_tasks import benchmark_task, gaussian_label_information
from limbeck.information.data_processing import Summary
from limbeck.information.neighbour_figures import nearness
from limbeck.information.neighbours import _Figure, _variance_of_counts, ksg_information, ross_information


def ksg_in_loops(x, y, k):
    n, total = len(x), 0.0
    x, y = (values / np.mean(np.abs(values - np.median(values, axis=0))) for values in (x, y))
    for i in range(n):
        far_x = [np.abs(x[i] - x[j]).max() for j in range(n) if j != i]
        far_y = [np.abs(y[i] - y[j]).max() for j in range(n) if j != i]
        radius = sorted(map(max, far_x, far_y))[k - 1]
        total += digamma(sum(d < radius for d in far_x) + 1) + digamma(sum(d < radius for d in far_y) + 1)
    return digamma(k) + digamma(n) - total / n


def ross_in_loops(x, labels, k):
    n, total = len(x), 0.0
    for i in range(n):
        own = sorted(np.linalg.norm(x[i] - x[j]) for j in range(n) if j != i and labels[j] == labels[i])
        nearer = sum(np.linalg.norm(x[i] - x[j]) < own[k - 1] for j in range(n))
        total += digamma(sum(label == labels[i] for label in labels)) + digamma(nearer)
    return digamma(n) + digamma(k) - total / n


@pytest.mark.parametrize(("columns", "k"), [((1, 1), 3), ((2, 3), 1), ((3, 1), 5)])
def test_figures_are_those_of_plain_loops(columns, k):
    rng = np.random.default_rng(k)
    x = rng.normal(size=(60, columns[0]))
    y = rng.normal(size=(60, columns[1])) + x[:, :1]
    assert ksg_information(x, y, k).nats == pytest.approx(ksg_in_loops(x, y, k), abs=1e-12)
    labels = (x[:, 0] > 0).astype(int)
    assert ross_information(x, labels, k).nats == pytest.approx(ross_in_loops(x, labels, k), abs=1e-12)


def test_what_does_not_change_the_figure():
    drawn = benchmark_task("dense-2").sample(300, 0)
    plain = ksg_information(drawn.x, drawn.y)
    moved = ksg_information(1024 * drawn.x + 5, drawn.y)
    assert moved.nats == pytest.approx(plain.nats, abs=1e-9)
    assert ksg_information(drawn.y, drawn.x).nats == pytest.approx(plain.nats, abs=1e-12)
    drawn = benchmark_task("gaussian-classes-2").sample(300, 0)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    names = np.array(list("abcde"))[drawn.y]
    assert ross_information(drawn.x @ turn, names).nats == pytest.approx(ross_information(drawn.x, drawn.y).nats)


@pytest.mark.slow
def test_intervals_cover_the_truth_where_there_is_no_bias():
    for name, figure in (("normal", ksg_information), ("gaussian-classes-2", ross_information)):
        task = benchmark_task(name)
        found = [figure(*(vars(task.sample(500, seed))[part] for part in ("x", "y"))) for seed in range(24)]
        covered = np.mean([one.low <= task.truth <= one.high for one in found])
        # 95 % is meant; of 24 the share has a standard deviation of 4.4 points.
        assert covered >= 0.83, name
        half = np.mean([one.high - one.low for one in found]) / 2
        assert 1.2 < half / np.std([one.nats for one in found], ddof=1) < 4.5, name


@pytest.mark.slow
def test_intervals_cover_the_truth_of_a_rare_label():
    """Two per cent, far from the others: nearly all that varies is how many there are."""
    means = np.array([0.0, 5.0])
    truth = gaussian_label_information(np.array([0.98, 0.02]), means, np.ones(2))
    covered = []
    for seed in range(40):
        rng = np.random.default_rng(3000 + seed)
        labels = (rng.random(1000) < 0.02).astype(int)
        found = ross_information(rng.normal(size=(1000, 1)) + means[labels, None], labels, seed=seed)
        covered.append(found.low <= truth <= found.high)
    # Of 150, 107 intervals held it while class counts were taken as fixed.
    assert sum(covered) >= 36


def test_the_variance_of_class_counts_is_that_of_the_divergences():
    rng = np.random.default_rng(0)
    divergence, share = np.array([0.1, 2.0]), np.array([0.9, 0.1])
    means = [divergence[(rng.random(500) < 0.1).astype(int)].mean() for _ in range(4000)]
    codes = np.repeat([0, 1], [450, 50])
    found = _variance_of_counts(divergence[codes], codes)
    assert found == pytest.approx((share * (divergence - share @ divergence) ** 2).sum() / 500)
    assert found == pytest.approx(np.var(means), rel=0.1)
    # Classes that say alike add nothing.
    assert _variance_of_counts(np.ones(500), codes) == 0


def test_an_interval_reaches_where_a_line_in_the_root_of_the_samples_leads():
    """Of a figure whose bias is c / sqrt(n) and which has no noise, the interval ends at the truth."""
    found = _Figure(lambda rows: 1.0 - 2.0 / np.sqrt(len(rows)), np.zeros(1000, np.int64), 0)
    low = found.estimate(lambda cut: Summary("", -1.0), 10, 0.0, "ours")
    assert (low.low, low.high) == (pytest.approx(low.nats), pytest.approx(1.0))
    found = _Figure(lambda rows: 1.0 + 2.0 / np.sqrt(len(rows)), np.zeros(1000, np.int64), 0)
    high = found.estimate(lambda cut: Summary("", -1.0), 10, 0.0, "ours")
    assert (high.low, high.high, high.warnings) == (pytest.approx(1.0), pytest.approx(high.nats), ())


def test_a_summary_that_tells_more_than_all_is_a_warning_and_moves_the_end():
    found = _Figure(lambda rows: 1.0, np.zeros(1000, np.int64), 0)
    (warning,) = (told := found.estimate(lambda cut: Summary("two columns", 1.4), 10, 0.0001, "ours")).warnings
    assert warning == (
        "the figure is too low: nearest neighbours find 1.40 nats in two columns, "
        "and no function of x and y tells more than x and y"
    )
    half = 1.0 - told.low
    assert told.high == pytest.approx(1.0 + half + 0.4)
    assert found.estimate(lambda cut: Summary("two columns", 1.0 + 0.7 * half), 10, 0.0001, "ours").warnings == ()


def test_nearness_is_a_ratio_of_medians_within_classes():
    rng = np.random.default_rng(0)
    line = np.arange(100.0)[:, None]
    # Of a line's points the third neighbour is two steps away (at its ends three), and others a third of its length.
    assert nearness(line, np.zeros(100, np.int64), 3, rng) == pytest.approx(2 / 29.3, rel=0.25)
    two = np.concatenate([line, 1e6 + line])
    assert nearness(two, np.repeat([0, 1], 100), 3, rng) == pytest.approx(2 / 29.3, rel=0.25)
    # Independent columns: a ball's share of the volume falls with the power of their number.
    wide = [nearness(rng.normal(size=(500, width)), np.zeros(500, np.int64), 3, rng) for width in (1, 8, 64)]
    assert wide[0] < 0.02
    assert 0.3 < wide[1] < 0.6
    assert wide[2] > 0.75


@pytest.mark.parametrize("samples", [400, 1000])
def test_many_columns_are_said_where_no_summary_tells_more(samples):
    drawn = benchmark_task("gaussian-classes-64").sample(samples, 700)
    found = ross_information(drawn.x, drawn.y)
    assert "too many columns for the samples: neighbours are 0.8" in found.warnings[-1]
    # Columns that are one in truth are no obstacle.
    drawn = benchmark_task("overlapping-uniforms-5").sample(samples, 700)
    assert ross_information(np.repeat(drawn.x, 64, axis=1), drawn.y).warnings == ()


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("two-pairs-5", ksg_information),
        ("student-1-1-1", ksg_information),
        ("asinh-student-3-3-2", ksg_information),
        ("informative-3-of-100", ross_information),
    ],
)
def test_a_collapse_is_said(name, figure):
    drawn = benchmark_task(name).sample(1000, 700)
    assert "nearest neighbours find" in figure(drawn.x, drawn.y).warnings[0]


@pytest.mark.slow
def test_there_are_few_false_alarms():
    told = []
    for name, figure in (
        ("normal", ksg_information),
        ("swiss-roll", ksg_information),
        ("two-pairs-2", ksg_information),
        ("clayton-uniforms", ksg_information),
        ("gaussian-classes-2", ross_information),
        ("overlapping-uniforms-5", ross_information),
        ("rare-label-0.02", ross_information),
    ):
        for seed in range(700, 708):
            drawn = benchmark_task(name).sample(1000, seed)
            told += figure(drawn.x, drawn.y, seed=seed).warnings
    assert len(told) <= 2


def test_closed_forms():
    task = benchmark_task("overlapping-uniforms-5")
    found = [ross_information(drawn.x, drawn.y).nats for drawn in (task.sample(1000, seed) for seed in range(3))]
    assert np.mean(found) == pytest.approx(1.0549, abs=0.03)
    task = benchmark_task("additive-uniform-0.75")
    found = [ksg_information(drawn.x, drawn.y).nats for drawn in (task.sample(1000, seed) for seed in range(3))]
    assert np.mean(found) == pytest.approx(1 / 3, abs=0.06)


def test_independent_variables_share_nothing_and_nothing_is_clamped():
    rng = np.random.default_rng(0)
    figures = [ksg_information(rng.normal(size=(400, 1)), rng.normal(size=(400, 1))).nats for _ in range(6)]
    assert abs(np.mean(figures)) < 0.04
    assert min(figures) < 0


def test_collapse_with_columns_is_as_stated():
    drawn = benchmark_task("two-pairs-25").sample(500, 0)
    assert ksg_information(drawn.x, drawn.y).nats < 0.3 * 1.0217
    task = benchmark_task("gaussian-classes-64")
    drawn = task.sample(1000, 0)
    assert ross_information(drawn.x, drawn.y).nats < 0.9 * task.truth


def test_a_figure_says_what_it_is_and_a_seed_only_moves_the_interval():
    drawn = benchmark_task("normal").sample(200, 0)
    first, again, other = (ksg_information(drawn.x, drawn.y, seed=seed) for seed in (0, 0, 1))
    assert (first.bound, first.saturates, first.samples, first.estimator) == ("neither", None, 200, "ksg")
    assert first == again
    assert first.nats == other.nats
    assert first.low != other.low
    assert first.low < first.nats < first.high


def test_a_few_equal_values_are_no_obstacle():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(100, 1)), rng.normal(size=(100, 1))
    x[1], y[1] = x[0], y[0]
    assert np.isfinite(ksg_information(x, y).nats)
    assert np.isfinite(ross_information(x, np.arange(100) % 2).nats)


X = np.random.default_rng(0).normal(size=(24, 2))
Y = np.random.default_rng(1).normal(size=(24, 1))
LABELS = np.arange(24) % 2


def spoiled():
    values = X.copy()
    values[3, 1] = np.nan
    return values


@pytest.mark.parametrize(
    ("figure", "arguments", "words"),
    [
        (ksg_information, (spoiled(), Y), "x must be finite: 1 rows hold NaN or infinity"),
        (ksg_information, (X, Y[:5]), "y must have 24 rows"),
        (ksg_information, (X[:, 0], Y), "x must be real numbers of shape (samples, features)"),
        (ksg_information, (X[:7], Y[:7]), "x must hold at least 8 samples for 3 neighbours and an interval, not 7"),
        (ksg_information, (X, np.repeat(Y[:4], 6, axis=0)), "y must be continuous: a row occurs 6 times"),
        (ksg_information, (X, Y, 0), "neighbours must be a whole number from 1"),
        (ross_information, (spoiled(), LABELS), "x must be finite"),
        (ross_information, (X, LABELS[:5]), "labels must have shape (24,)"),
        (ross_information, (X, LABELS + 0.5), "labels must be integers, booleans or strings"),
        (ross_information, (X, np.zeros(24, int)), "labels must be of at least two classes"),
        (ross_information, (X, np.arange(24) < 3), "each class of labels must hold at least 8 samples"),
        (ross_information, (np.repeat(X[:6], 4, axis=0), LABELS), "x must be continuous: a row occurs 4 times"),
    ],
)
def test_unusable_input_is_refused_in_one_line(figure, arguments, words):
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        figure(*arguments)
    assert "\n" not in str(caught.value)
