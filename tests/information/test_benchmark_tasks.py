"""Truth tasks: the closed forms against published numbers and against other ways to the same number."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import kendalltau, kstest, multivariate_t, norm, t, uniform

from limbeck.errors import InputError
from limbeck.information.benchmark_tasks import (
    additive_uniform_information,
    benchmark_task,
    benchmark_tasks,
    clayton_information,
    gaussian_information,
    gaussian_label_information,
    gaussian_scale_information,
    linear_encoder_information,
    overlapping_uniform_information,
    student_information,
    table_information,
    wrapped_uniform_information,
)

PUBLISHED = {
    "normal": 0.4133,
    "normal-uniform-margins": 0.4133,
    "normal-bimodal-margins": 0.4133,
    "normal-wiggly": 0.4133,
    "normal-half-cube": 0.4133,
    "swiss-roll": 0.4133,
    "additive-uniform-0.1": 1.7094,
    "additive-uniform-0.75": 0.3333,
    "dense-2": 0.2939,
    "dense-3": 0.4133,
    "dense-5": 0.5928,
    "dense-25": 1.2922,
    "dense-50": 1.6243,
    "two-pairs-2": 1.0217,
    "two-pairs-3": 1.0217,
    "two-pairs-5": 1.0217,
    "two-pairs-25": 1.0217,
    "student-1-1-1": 0.2242,
    "student-2-2-1": 0.4319,
    "student-2-2-2": 0.1931,
    "student-3-3-2": 0.2909,
    "student-3-3-3": 0.1787,
    "student-5-5-2": 0.4482,
    "student-5-5-3": 0.2985,
    "asinh-student-1-1-1": 0.2242,
    "asinh-student-3-3-2": 0.2909,
    "overlapping-uniforms-2": 0.3466,
    "overlapping-uniforms-5": 1.0549,
    "overlapping-uniforms-10": 1.6788,
}


def test_truths_are_the_published_numbers():
    for name, truth in PUBLISHED.items():
        assert benchmark_task(name).truth == pytest.approx(truth, abs=6e-5), name


def test_names_are_unique_and_every_kind_is_there():
    tasks = benchmark_tasks()
    assert len({task.name for task in tasks}) == len(tasks) == 42
    assert {task.kind for task in tasks} == {"continuous", "discrete label", "gaussian encoder"}
    with pytest.raises(InputError, match="no benchmark task is called 'none'; there are normal, "):
        benchmark_task("none")


@pytest.mark.parametrize("task", benchmark_tasks(), ids=lambda task: task.name)
def test_samples_are_what_the_task_says_and_a_seed_repeats_them(task):
    drawn, again, other = task.sample(50, 3), task.sample(50, 3), task.sample(50, 4)
    assert drawn.x.shape == (50, task.x_features)
    if task.kind == "discrete label":
        assert drawn.y.shape == (50,)
        assert drawn.y.dtype == np.int64
    else:
        assert drawn.y.shape == (50, task.y_features)
    for one, two in ((drawn.x, again.x), (drawn.y, again.y)):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(drawn.x, other.x)
    assert (drawn.mean is not None) == (drawn.log_variance is not None) == (task.kind == "gaussian encoder")


def test_gaussian_information_is_that_of_independent_pairs():
    pair = np.array([[1.0, 0.6], [0.6, 1.0]])
    covariance = np.kron(pair, np.diag([1.0, 9.0]))  # two pairs of one correlation and of different units
    assert gaussian_information(covariance, 2) == pytest.approx(-np.log(1 - 0.36))
    assert gaussian_information(np.diag([2.0, 3.0]), 1) == pytest.approx(0.0)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 3)])
def test_student_information_is_the_mean_log_ratio_of_densities(shape):
    first, second, freedom = shape
    joint = multivariate_t(df=freedom, shape=np.eye(first + second))
    drawn = joint.rvs(200_000, random_state=np.random.default_rng(0))

    def log_density(values):
        if values.shape[1] == 1:
            return t.logpdf(values[:, 0], freedom)
        return multivariate_t(df=freedom, shape=np.eye(values.shape[1])).logpdf(values)

    ratio = joint.logpdf(drawn) - log_density(drawn[:, :first]) - log_density(drawn[:, first:])
    error = ratio.std() / np.sqrt(len(ratio))
    assert student_information(*shape) == pytest.approx(ratio.mean(), abs=4 * error)


@pytest.mark.parametrize("half_width", [0.1, 0.5, 0.75])
def test_additive_uniform_information_is_entropy_less_that_of_the_noise(half_width):
    def density(y):  # of y, which is what the two uniforms overlap
        return max(0.0, min(1.0, y + half_width) - max(0.0, y - half_width)) / (2 * half_width)

    edges = sorted({-half_width, half_width, 1 - half_width, 1 + half_width})
    entropy = sum(
        quad(lambda y: -density(y) * np.log(max(density(y), 1e-300)), low, high)[0] for low, high in pairwise(edges)
    )
    assert additive_uniform_information(half_width) == pytest.approx(entropy - np.log(2 * half_width), abs=1e-6)


@pytest.mark.parametrize("classes", [2, 5])
def test_overlapping_uniforms_are_a_table_of_unit_intervals(classes):
    table = np.zeros((classes, classes + 1))
    for label in range(classes):
        table[label, label : label + 2] = 1 / (2 * classes)
    assert overlapping_uniform_information(classes) == pytest.approx(table_information(table))


def test_table_information_is_the_sum_in_plain_loops():
    table = np.array([[0.3, 0.1, 0.0], [0.1, 0.2, 0.3]])
    expected = 0.0
    for i in range(2):
        for j in range(3):
            if table[i, j]:
                expected += table[i, j] * np.log(table[i, j] / (table[i].sum() * table[:, j].sum()))
    assert table_information(table) == pytest.approx(expected)


def test_a_linear_encoder_is_a_gaussian_vector():
    weights = np.random.default_rng(0).normal(size=(3, 2))
    variance = np.array([0.5, 1.0, 2.0])
    covariance = np.block([[np.eye(2), weights.T], [weights, weights @ weights.T + np.diag(variance)]])
    assert linear_encoder_information(weights, variance) == pytest.approx(gaussian_information(covariance, 2))


def test_gaussian_classes_in_a_line_of_sight():
    """The plane's truth by an integral of its own, and the wide task's is the narrow one's: the rest is noise."""
    task = benchmark_task("gaussian-classes-2")
    grid = np.linspace(-7, 7, 701)
    points = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    angles = 2 * np.pi * np.arange(5) / 5
    centres = 1.6 * np.column_stack([np.cos(angles), np.sin(angles)])
    logs = -((points[:, None] - centres) ** 2).sum(axis=2) / 2 - np.log(2 * np.pi)
    densities = np.exp(logs)
    mixture = densities.mean(axis=1)
    truth = (densities * (logs - np.log(mixture)[:, None])).mean(axis=1).sum() * (grid[1] - grid[0]) ** 2
    assert 0 < task.truth_error < 2e-3
    assert task.truth == pytest.approx(truth, abs=4 * task.truth_error)
    assert benchmark_task("gaussian-classes-8").truth == benchmark_task("gaussian-classes-64").truth


def test_wrapped_uniforms_are_the_limit_of_a_table_of_cells():
    """Cells of the circle: of finitely many the table is exact where the noise ends at the edges of cells."""
    cells, half_width = 400, 0.2
    # A cell's midpoint is moved by a multiple of the cell's width, uniformly among those within the noise.
    moved = np.arange(-80, 80)
    table = np.zeros((cells, cells))
    for row in range(cells):
        table[row, (row + moved) % cells] = 1 / (cells * len(moved))
    assert wrapped_uniform_information(half_width) == pytest.approx(table_information(table), abs=1e-12)
    drawn = benchmark_task("wrapped-uniform-0.2").sample(20_000, 0)
    assert kstest(drawn.y[:, 0], "uniform").pvalue > 1e-3
    noise = (drawn.y - drawn.x + 0.5) % 1 - 0.5
    assert kstest(noise[:, 0], uniform(-0.2, 0.4).cdf).pvalue > 1e-3


@pytest.mark.parametrize("theta", [0.5, 2.0])
def test_clayton_information_is_the_integral_of_its_density(theta):
    def density(u, v):
        return (1 + theta) * (u * v) ** (-theta - 1) * (u**-theta + v**-theta - 1) ** (-2 - 1 / theta)

    # Midpoints of a grid in t with u = t^4, which is fine near the corner where the density is large.
    t = (np.arange(2000) + 0.5) / 2000
    u, weight = t**4, 4 * t**3 / 2000
    c = density(u[:, None], u)
    assert weight @ c @ weight == pytest.approx(1, abs=2e-4)
    assert weight @ (c * np.log(c)) @ weight == pytest.approx(clayton_information(theta), abs=2e-4)


def test_clayton_draws_have_the_copulas_kendall_rank_correlation_and_uniform_margins():
    drawn = benchmark_task("clayton-uniforms").sample(5000, 0)
    for values in (drawn.x, drawn.y):
        assert kstest(values[:, 0], "uniform").pvalue > 1e-3
    assert kendalltau(drawn.x[:, 0], drawn.y[:, 0])[0] == pytest.approx(0.5, abs=0.03)  # theta / (theta + 2)


def mean_log_ratio(x, labels, log_density, shares):
    """I(x; y) and its standard error, as a mean over draws; log_density: of every sample in every class."""
    logs = log_density(x)
    own = logs[np.arange(len(x)), labels]
    gains = own - np.logaddexp(*(logs + np.log(shares)).T)
    return gains.mean(), gains.std() / np.sqrt(len(gains))


def normal_in_classes(means, deviations):
    def log_density(x):
        parts = [norm.logpdf(x, mean, deviation).sum(axis=1) for mean, deviation in zip(means, deviations, strict=True)]
        return np.column_stack(parts)

    return log_density


@pytest.mark.parametrize(
    ("name", "log_density", "shares"),
    [
        ("unequal-variances-2", normal_in_classes((0, 0), (1, 3)), (0.5, 0.5)),
        ("rare-label-0.02", normal_in_classes((0, 3), (1, 1)), (0.98, 0.02)),
        (
            "informative-3-of-100",
            normal_in_classes((np.zeros(100), np.r_[np.full(3, 2 / np.sqrt(3)), np.zeros(97)]), (1, 1)),
            (0.5, 0.5),
        ),
    ],
)
def test_truths_by_quadrature_are_mean_log_ratios_of_densities(name, log_density, shares):
    task = benchmark_task(name)
    drawn = task.sample(40_000, 1)
    mean, error = mean_log_ratio(drawn.x, drawn.y, log_density, np.array(shares))
    assert error < 0.005
    assert task.truth == pytest.approx(mean, abs=4 * error)
    assert np.bincount(drawn.y) / 40_000 == pytest.approx(shares, abs=0.01)


def test_the_truth_of_structural_zeros_is_a_mean_log_ratio_with_an_atom():
    task = benchmark_task("structural-zeros")

    def log_density(x):  # with respect to an atom at zero and length elsewhere
        parts = [
            np.where(x[:, 0] == 0, np.log(zero), np.log(1 - zero) + norm.logpdf(x[:, 0], mean, 1))
            for zero, mean in ((0.6, 0.0), (0.2, 1.5))
        ]
        return np.column_stack(parts)

    drawn = task.sample(100_000, 1)
    mean, error = mean_log_ratio(drawn.x, drawn.y, log_density, np.full(2, 0.5))
    assert task.truth == pytest.approx(mean, abs=4 * error)
    assert [(drawn.x[drawn.y == label] == 0).mean() for label in (0, 1)] == pytest.approx([0.6, 0.2], abs=0.01)


def test_quadratures_against_one_another():
    """One column of unequal variances is both; and far classes tell the label."""
    deviations = np.array([1.0, 3.0])
    both = gaussian_label_information(np.full(2, 0.5), np.zeros(2), deviations)
    assert gaussian_scale_information(deviations, 1) == pytest.approx(both, abs=1e-9)
    far = gaussian_label_information(np.array([0.02, 0.98]), np.array([0.0, 40.0]), np.ones(2))
    assert far == pytest.approx(-0.02 * np.log(0.02) - 0.98 * np.log(0.98), abs=1e-9)
    assert gaussian_label_information(np.array([0.3, 0.7]), np.ones(2), np.ones(2)) == pytest.approx(0, abs=1e-12)


def test_draws_follow_the_covariance_that_the_truth_is_of():
    drawn = benchmark_task("two-pairs-3").sample(20_000, 0)
    correlation = np.corrcoef(drawn.x.T, drawn.y.T)[:3, 3:]
    np.testing.assert_allclose(correlation, np.diag([0.8, 0.8, 0.0]), atol=0.03)
    drawn = benchmark_task("linear-encoder-8").sample(20_000, 0)
    noise = drawn.y - drawn.mean
    np.testing.assert_allclose(noise.var(axis=0), np.exp(drawn.log_variance[0]), rtol=0.05)
    assert abs(np.corrcoef(noise[:, 0], drawn.mean[:, 0])[0, 1]) < 0.03


def test_transforms_keep_the_order_of_values():
    plain = benchmark_task("normal").sample(500, 0).x[:, 0]
    for name in ("normal-uniform-margins", "normal-bimodal-margins", "normal-wiggly", "normal-half-cube"):
        np.testing.assert_array_equal(np.argsort(benchmark_task(name).sample(500, 0).x[:, 0]), np.argsort(plain))
    roll = benchmark_task("swiss-roll").sample(500, 0).x
    np.testing.assert_array_equal(np.argsort(np.hypot(*roll.T)), np.argsort(plain))


@pytest.mark.parametrize(("samples", "seed", "word"), [(0, 0, "samples"), (2.5, 0, "samples"), (5, -1, "seed")])
def test_unusable_numbers_are_refused(samples, seed, word):
    with pytest.raises(InputError, match=f"{word} must be a whole number"):
        benchmark_task("normal").sample(samples, seed)
