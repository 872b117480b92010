"""Summaries that cannot tell more than all: which one is found, equal points, samples that are too few; no alarm."""

import numpy as np
import pytest
from scipy.stats import norm, rankdata

from limbeck.information.benchmark_tasks import benchmark_task
from limbeck.information.data_processing import best_summary, checked, halves, normal_scores, too_low
from limbeck.information.neighbour_figures import ross_contributions


def test_normal_scores_are_quantiles_of_mean_ranks():
    values = np.array([[3.0, 1.0], [1.0, 1.0], [2.0, 5.0]])
    ranks = np.column_stack([rankdata(column) for column in values.T])
    np.testing.assert_allclose(normal_scores(values), norm.ppf(ranks / 4))


def test_halves_are_disjoint_hold_classes_alike_and_take_turns():
    classes = np.repeat([0, 1], [90, 10])
    found = halves(classes, np.random.default_rng(0))
    assert len(found) == 4
    for number, (fit, rows) in enumerate(found):
        assert sorted([*fit, *rows]) == list(range(100))
        assert (classes[rows] == 1).sum() == 5
        np.testing.assert_array_equal(fit, found[number ^ 1][1])


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("two-pairs-25", "the two leading pairs of canonical variates"),
        ("dense-25", "the leading canonical variates"),
        ("asinh-student-3-3-2", "the lengths of x and y"),
        ("informative-3-of-100", "the leading discriminant axis"),
        ("gaussian-classes-64", "the 4 leading discriminant axes"),
    ],
)
def test_the_summary_that_holds_most_is_found_and_near_the_truth(task, name):
    known = benchmark_task(task)
    drawn = known.sample(1000, 500)
    found = checked(drawn.x, drawn.y, 0)
    assert found.name == name
    assert 0.7 * known.truth < found.nats < 1.2 * known.truth
    assert f"{found.nats:.2f} nats in {name}" in too_low(found)


def test_axes_are_not_fitted_to_the_samples_they_are_looked_at_on():
    """With as many columns as half of the samples, axes fitted to the same samples would separate anything."""
    rng = np.random.default_rng(0)
    found = checked(rng.normal(size=(200, 100)), np.arange(200) % 2, 0)
    assert found.nats < 0.08
    found = checked(rng.normal(size=(200, 100)), rng.normal(size=(200, 100)), 0)
    assert found.nats < 0.08


def test_equal_points_count_as_what_they_are():
    """Of a discrete x it is the plug-in figure, but for digamma in place of the logarithm."""
    rng = np.random.default_rng(0)
    x, codes = rng.integers(3, size=400), rng.integers(2, size=400)
    codes = np.where(rng.random(400) < 0.5, x > 0, codes).astype(np.int64)
    counts = np.histogram2d(x, codes, bins=(3, 2))[0]
    expected = counts / 400 * np.log(counts * 400 / np.outer(counts.sum(axis=1), counts.sum(axis=0)))
    assert ross_contributions(x[:, None].astype(float), codes, 3).mean() == pytest.approx(expected.sum(), abs=0.01)


def test_an_atom_in_a_continuous_variable_is_read():
    task = benchmark_task("structural-zeros")
    drawn = task.sample(2000, 0)
    assert ross_contributions(drawn.x, drawn.y, 3).mean() == pytest.approx(task.truth, abs=0.05)


def test_classes_that_are_too_small_are_left_out():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [50, 50, 3])
    x = labels[:, None] + 0.1 * rng.normal(size=(103, 2))
    assert checked(x, labels, 0).nats == pytest.approx(np.log(2), abs=0.15)
    assert checked(x[:53], np.repeat([0, 1], [50, 3]), 0) is None
    assert checked(x[:5], x[:5], 0) is None


def test_many_samples_cost_no_more_than_four_thousand(monkeypatch):
    seen = []
    honest = best_summary
    monkeypatch.setattr(
        "limbeck.information.data_processing.best_summary", lambda x, y, cut: seen.append(len(x)) or honest(x, y, cut)
    )
    rng = np.random.default_rng(0)
    checked(rng.normal(size=(9000, 1)), rng.integers(2, size=9000), 0)
    assert seen == [4000]


def test_constant_columns_and_one_for_all_are_no_obstacle():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(100, 1))
    x = np.column_stack([y, np.ones(100), y])
    assert checked(x, y, 0).nats > 1
    assert np.isfinite(checked(np.ones((100, 2)), np.arange(100) % 2, 0).nats)
