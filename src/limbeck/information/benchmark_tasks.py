"""Tasks whose mutual information is known: what an estimator must be measured on before it is believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import digamma, gammaln, logsumexp, ndtr
from scipy.stats import chi

from limbeck.errors import InputError
from limbeck.information.inputs import whole_number

Floats = NDArray[np.float64]
Kind = Literal["continuous", "discrete label", "gaussian encoder"]

GAUSSIAN_CLASSES = 5
_MONTE_CARLO = 400_000
_CORRELATION = 0.75
_NOISE = 0.2  # half-width of the noise on the circle
_CLAYTON = 2.0
_DEVIATIONS = (1.0, 3.0)
_ZEROS, _SHIFT = (0.6, 0.2), 1.5
_RARE, _RARE_DISTANCE = 0.02, 3.0
_WIDE, _INFORMATIVE, _WIDE_DISTANCE = 100, 3, 2.0
_TABLE = np.array([[0.20, 0.05, 0.00], [0.05, 0.20, 0.05], [0.00, 0.05, 0.20], [0.10, 0.05, 0.05]])


@dataclass(frozen=True, eq=False)
class TaskSample:
    """Draws of a task.

    Attributes:
        x: `(samples, features)` float64; of an encoder the observation v.
        y: `(samples, features)` float64, of an encoder its draw z; or `(samples,)` int64 labels.
        mean: `(samples, features)` of an encoder, else None.
        log_variance: `(samples, features)` of an encoder, else None.
    """

    x: Floats
    y: Floats | NDArray[np.int64]
    mean: Floats | None = None
    log_variance: Floats | None = None


Draw = Callable[[int, np.random.Generator], TaskSample]


@dataclass(frozen=True)
class BenchmarkTask:
    """Two variables whose mutual information is known.

    Attributes:
        name: of the task; its numbers are widths of x and y (one where they are equal), then degrees of freedom; the
            half-width of the noise; the number of labels; or the width of x or z.
        truth: I(x; y) in nats.
        truth_error: standard error of the truth where it is a Monte Carlo mean; 0 for a closed form.
        kind: "continuous" (x and y are real vectors), "discrete label" (y is a label) or "gaussian encoder"
            (y is drawn around a mean with a variance, both given).
        x_features: width of x.
        y_features: width of y; 1 for a label.
        draw: (samples, generator) -> draws.
        heavy_tails: x and y are uncorrelated and share a scale of heavy tails (Student).
        quadratic: the log ratio of the classes' densities is quadratic, and no linear score of x tells of y.
    """

    name: str
    truth: float
    kind: Kind
    x_features: int
    y_features: int
    draw: Draw
    truth_error: float = 0.0
    heavy_tails: bool = False
    quadratic: bool = False

    def sample(self, samples: int, seed: int) -> TaskSample:
        """Independent draws; the same seed gives the same ones.

        Raises:
            InputError: `samples` or `seed` is not a whole number from 1 or 0.

        Example:
            >>> task = benchmark_task("normal")
            >>> drawn = task.sample(1000, seed=0)
            >>> drawn.x.shape, round(task.truth, 4)
            ((1000, 1), 0.4133)
        """
        generator = np.random.default_rng(whole_number(seed, "seed", least=0))
        return self.draw(whole_number(samples, "samples", least=1), generator)


def gaussian_information(covariance: Floats, x_features: int) -> float:
    r"""Of two parts of a Gaussian vector, in nats.

    .. math:: I(x; y) = \tfrac12 \log \frac{|\Sigma_x| |\Sigma_y|}{|\Sigma|}

    where :math:`\Sigma` is the covariance of (x, y), and :math:`\Sigma_x`, :math:`\Sigma_y` its blocks.

    Args:
        covariance: `(features, features)`, x first, positive definite.
        x_features: width of x.

    Example:
        >>> round(gaussian_information(np.array([[1.0, 0.75], [0.75, 1.0]]), 1), 4)
        0.4133
    """
    parts = (covariance[:x_features, :x_features], covariance[x_features:, x_features:], covariance)
    of_x, of_y, of_both = (float(np.linalg.slogdet(part)[1]) for part in parts)
    return (of_x + of_y - of_both) / 2


def student_information(x_features: int, y_features: int, freedom: float) -> float:
    r"""Of two parts of a Student-t vector whose dispersion is the identity, in nats.

    .. math:: I(x; y) = h(k_x) + h(k_y) - h(k_x + k_y), \quad
        h(k) = \log \frac{\Gamma(\nu / 2)}{\Gamma((\nu + k) / 2)} + \frac k2 \log \nu\pi
        + \frac{\nu + k}2 \left[\psi\!\left(\frac{\nu + k}2\right) - \psi\!\left(\frac\nu2\right)\right]

    where :math:`k_x, k_y` are the widths, :math:`\nu` the degrees of freedom and :math:`\psi` the digamma function. The
    parts are uncorrelated; what they share is their common scale.

    Example:
        >>> round(student_information(1, 1, 1), 4)
        0.2242
    """

    def entropy(width: int) -> float:
        half = (freedom + width) / 2
        scale = gammaln(freedom / 2) - gammaln(half) + width / 2 * np.log(freedom * np.pi)
        return float(scale + half * (digamma(half) - digamma(freedom / 2)))

    return entropy(x_features) + entropy(y_features) - entropy(x_features + y_features)


def additive_uniform_information(half_width: float) -> float:
    r"""Of x ~ U(0, 1) and y = x + U(-e, e), in nats: 1 / 4e where e > 1/2, else e - log 2e.

    Example:
        >>> round(additive_uniform_information(0.1), 4)
        1.7094
    """
    return 1 / (4 * half_width) if half_width > 0.5 else half_width - float(np.log(2 * half_width))


def wrapped_uniform_information(half_width: float) -> float:
    r"""Of x ~ U(0, 1) and y = x + U(-e, e) modulo 1, in nats: -log 2e for e up to 1/2.

    y is uniform on the circle, whose entropy is 0, and its entropy given x is that of the noise, log 2e.

    Example:
        >>> round(wrapped_uniform_information(0.2), 4)
        0.9163
    """
    return -float(np.log(2 * half_width))


def clayton_information(theta: float) -> float:
    r"""Of two uniform variables that are correlated by a Clayton copula, in nats: log(1 + t) - t / (1 + t).

    .. math:: C(u, v) = (u^{-\theta} + v^{-\theta} - 1)^{-1 / \theta}, \quad
        I = E[\log c(u, v)] = \log(1 + \theta) - \frac{\theta}{1 + \theta}

    where :math:`c = \partial^2 C / \partial u \partial v`; by :math:`E[\log u] = -1` and the Kendall distribution of
    the copula, which gives :math:`E[\log C] = -1 - 1 / (1 + \theta)`.

    Args:
        theta: above 0.

    Example:
        >>> round(clayton_information(2.0), 4)
        0.4319
    """
    return float(np.log1p(theta) - theta / (1 + theta))


def gaussian_label_information(shares: Floats, means: Floats, deviations: Floats) -> float:
    r"""Of a label y of some shares and x | y ~ N(mean_y, deviation_y), in one column, in nats, by quadrature.

    .. math:: I(x; y) = \sum_y p_y \int p(x | y) \log \frac{p(x | y)}{\sum_j p_j p(x | j)} dx

    Args:
        shares: `(classes,)` p, of sum 1.
        means: `(classes,)`.
        deviations: `(classes,)`, above 0.

    Example:
        >>> round(gaussian_label_information(np.full(2, 0.5), np.array([-9.0, 9.0]), np.ones(2)), 4)  # log 2
        0.6931
    """

    def integrand(x: float) -> float:
        logs = -(((x - means) / deviations) ** 2) / 2 - np.log(deviations) - np.log(2 * np.pi) / 2
        weighted = np.log(shares) + logs
        return float(np.exp(weighted) @ (logs - logsumexp(weighted)))

    edges = np.unique(np.concatenate([means + width * deviations for width in (-9, -4, -2, 0, 2, 4, 9)]))
    return float(sum(quad(integrand, *edge, epsabs=1e-11)[0] for edge in pairwise(edges)))


def gaussian_scale_information(deviations: Floats, columns: int) -> float:
    r"""Of a uniform label y and x | y ~ N(0, deviation_y^2), alike in every column, in nats, by quadrature.

    Only the length r of x tells of y: the log density is :math:`-r^2 / 2 s_y^2 - d \log s_y` and the same for all y,
    with d columns and deviations s. r / s_y has the chi distribution.

    Args:
        deviations: `(classes,)` s, above 0.
        columns: d.

    Example:
        >>> round(gaussian_scale_information(np.array([1.0, 1e4]), 2), 4)  # log 2
        0.6931
    """

    def integrand(length: float, own: int) -> float:
        r = length * deviations[own]
        logs = -(r**2) / (2 * deviations**2) - columns * np.log(deviations)
        return float(chi.pdf(length, columns) * (logs[own] - logsumexp(logs)))

    reach = 12 + 2 * columns**0.5
    gains = [quad(integrand, 0, reach, args=(own,), epsabs=1e-11, limit=200)[0] for own in range(len(deviations))]
    return float(np.mean(gains) + np.log(len(deviations)))


def overlapping_uniform_information(classes: int) -> float:
    r"""Of a uniform label c in 0 .. m - 1 and x ~ U(c, c + 2), in nats: log m - (m - 1) / m log 2.

    Source: Gao et al. 2017, "Estimating mutual information for discrete-continuous mixtures".

    Example:
        >>> round(overlapping_uniform_information(5), 4)
        1.0549
    """
    return float(np.log(classes) - (classes - 1) / classes * np.log(2))


def table_information(table: Floats) -> float:
    r"""Of the row and the column of a table of probabilities p, in nats: sum of p_ij log(p_ij / p_i p_j).

    Example:
        >>> round(table_information(np.eye(2) / 2), 4)  # log 2
        0.6931
    """
    independent = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True)
    held = table > 0
    return float((table[held] * np.log(table[held] / independent[held])).sum())


def linear_encoder_information(weights: Floats, variance: Floats) -> float:
    r"""Of v ~ N(0, 1) and z = A v + noise with variances s, in nats: 1/2 log det(1 + diag(1/s) A A').

    Args:
        weights: `(representation, observation)`, A.
        variance: `(representation,)`, s.

    Example:
        >>> round(linear_encoder_information(np.eye(1), np.ones(1)), 4)  # log(2) / 2
        0.3466
    """
    scaled = weights / np.sqrt(variance)[:, None]
    return float(np.linalg.slogdet(np.eye(len(weights)) + scaled @ scaled.T)[1] / 2)


@lru_cache(maxsize=1)
def benchmark_tasks() -> tuple[BenchmarkTask, ...]:
    """All tasks, in the order of the tables.

    Source: those of Czyz et al. 2023, "Beyond normal" (Gaussian, Student, uniform, Swiss roll; the transforms are
    ours), of Gao et al. 2017 (labels of overlapping uniforms); the others are ours.

    Example:
        >>> len({task.name for task in benchmark_tasks()}) == len(benchmark_tasks())
        True
    """
    return (
        *_bivariate(),
        *(_additive_uniform(half_width) for half_width in (0.1, 0.75)),
        *(_dense(width) for width in (2, 3, 5, 25, 50)),
        *(_two_pairs(width) for width in (2, 3, 5, 25)),
        *(_student(*which) for which in ((1, 1, 1), (2, 2, 1), (2, 2, 2), (3, 3, 2), (3, 3, 3), (5, 5, 2), (5, 5, 3))),
        _student(1, 1, 1, np.arcsinh, "asinh-"),
        _student(3, 3, 2, np.arcsinh, "asinh-"),
        *(_overlapping_uniforms(classes) for classes in (2, 5, 10)),
        *(_gaussian_classes(width, radius) for width, radius in ((2, 1.6), (8, 2.8), (64, 2.8))),
        _discrete_table(),
        *(_linear_encoder(width, deviation) for width, deviation in ((2, 1.0), (8, 0.5), (32, 0.3))),
        _wrapped_uniform(),
        _clayton_uniforms(),
        _unequal_variances(),
        _structural_zeros(),
        _rare_label(),
        _few_informative(),
    )


def benchmark_task(name: str) -> BenchmarkTask:
    """The task of a name.

    Raises:
        InputError: there is none.
    """
    for task in benchmark_tasks():
        if task.name == name:
            return task
    raise InputError(
        f"no benchmark task is called {name!r}; there are {', '.join(task.name for task in benchmark_tasks())}"
    )


Transform = Callable[[Floats], Floats]


def _same(values: Floats) -> Floats:
    return values


def _gaussian(name: str, covariance: Floats, x_of: Transform = _same, y_of: Transform = _same) -> BenchmarkTask:
    """Both halves of a Gaussian vector, each seen through an invertible map, which leaves the information alone."""
    width = len(covariance) // 2
    root = np.linalg.cholesky(covariance)

    def draw(samples: int, generator: np.random.Generator) -> TaskSample:
        both = generator.normal(size=(samples, 2 * width)) @ root.T
        return TaskSample(x_of(both[:, :width]), y_of(both[:, width:]))

    x_features = x_of(np.zeros((1, width))).shape[1]
    return BenchmarkTask(name, gaussian_information(covariance, width), "continuous", x_features, width, draw)


def _bivariate() -> list[BenchmarkTask]:
    covariance = np.array([[1.0, _CORRELATION], [_CORRELATION, 1.0]])
    seen: dict[str, tuple[Transform, Transform]] = {
        "normal": (_same, _same),
        "normal-uniform-margins": (ndtr, ndtr),
        "normal-bimodal-margins": (_bimodal, _bimodal),
        "normal-wiggly": (_wiggly, _wiggly),
        "normal-half-cube": (_half_cube, _half_cube),
        "swiss-roll": (_swiss_roll, ndtr),
    }
    return [_gaussian(name, covariance, *transforms) for name, transforms in seen.items()]


def _bimodal(values: Floats) -> Floats:
    return np.asarray(values + 2 * np.tanh(4 * values))


def _wiggly(values: Floats) -> Floats:
    return np.asarray(values + 0.4 * np.sin(2 * values + 0.5))  # its slope is 0.2 or more


def _half_cube(values: Floats) -> Floats:
    return np.asarray(np.sign(values) * np.abs(values) ** 1.5)


def _swiss_roll(values: Floats) -> Floats:
    angle = 1.5 * np.pi * (1 + 2 * ndtr(values))
    return np.hstack([angle * np.cos(angle), angle * np.sin(angle)])


def _dense(width: int) -> BenchmarkTask:
    covariance = np.full((2 * width, 2 * width), 0.5) + 0.5 * np.eye(2 * width)
    return _gaussian(f"dense-{width}", covariance)


def _two_pairs(width: int) -> BenchmarkTask:
    covariance = np.eye(2 * width)
    for pair in range(2):
        covariance[pair, width + pair] = covariance[width + pair, pair] = 0.8
    return _gaussian(f"two-pairs-{width}", covariance)


def _additive_uniform(half_width: float) -> BenchmarkTask:
    def draw(samples: int, generator: np.random.Generator) -> TaskSample:
        x = generator.random((samples, 1))
        return TaskSample(x, x + generator.uniform(-half_width, half_width, (samples, 1)))

    truth = additive_uniform_information(half_width)
    return BenchmarkTask(f"additive-uniform-{half_width}", truth, "continuous", 1, 1, draw)


def _student(x_features: int, y_features: int, freedom: int, seen: Transform = _same, how: str = "") -> BenchmarkTask:
    def draw(samples: int, generator: np.random.Generator) -> TaskSample:
        both = generator.normal(size=(samples, x_features + y_features))
        both = seen(both / np.sqrt(generator.chisquare(freedom, (samples, 1)) / freedom))
        return TaskSample(both[:, :x_features], both[:, x_features:])

    name = f"{how}student-{x_features}-{y_features}-{freedom}"
    truth = student_information(x_features, y_features, freedom)
    return BenchmarkTask(name, truth, "continuous", x_features, y_features, draw, heavy_tails=True)


def _overlapping_uniforms(classes: int) -> BenchmarkTask:
    def draw(samples: int, generator: np.random.Generator) -> TaskSample:
        labels = generator.integers(classes, size=samples)
        return TaskSample((labels + 2 * generator.random(samples))[:, None], labels)

    truth = overlapping_uniform_information(classes)
    return BenchmarkTask(f"overlapping-uniforms-{classes}", truth, "discrete label", 1, 1, draw)


def _gaussian_classes(width: int, distance: float) -> BenchmarkTask:
    """Unit Gaussians around the corners of a pentagon (in the plane) or of a simplex, all as far from the middle."""
    if width == 2:
        angles = 2 * np.pi * np.arange(GAUSSIAN_CLASSES) / GAUSSIAN_CLASSES
        centres = distance * np.column_stack([np.cos(angles), np.sin(angles)])
    else:
        corners = np.eye(GAUSSIAN_CLASSES, width) - np.eye(GAUSSIAN_CLASSES, width).mean(axis=0)
        centres = distance * corners / np.linalg.norm(corners[0])

    def draw(samples: int, generator: np.random.Generator) -> TaskSample:
        labels = generator.integers(GAUSSIAN_CLASSES, size=samples)
        return TaskSample(centres[labels] + generator.normal(size=(samples, width)), labels)

    # Where the centres do not reach, nothing is said of the label, so the truth needs their columns alone.
    used = centres[:, :GAUSSIAN_CLASSES]
    generator = np.random.default_rng(0)
    labels = np.arange(_MONTE_CARLO) % GAUSSIAN_CLASSES
    points = used[labels] + generator.normal(size=(_MONTE_CARLO, used.shape[1]))
    logits = points @ used.T - (used**2).sum(axis=1) / 2
    gains = logits[np.arange(_MONTE_CARLO), labels] - logsumexp(logits, axis=1) + np.log(GAUSSIAN_CLASSES)
    error = float(gains.std() / np.sqrt(_MONTE_CARLO))
    name = f"gaussian-classes-{width}"
    return BenchmarkTask(name, float(gains.mean()), "discrete label", width, 1, draw, error)


def _discrete_table() -> BenchmarkTask:
    def draw(samples: int, generator: np.random.Generator) -> TaskSample:
        rows, columns = np.divmod(generator.choice(_TABLE.size, size=samples, p=_TABLE.ravel()), _TABLE.shape[1])
        return TaskSample(np.eye(len(_TABLE))[rows], columns)

    return BenchmarkTask("discrete-table", table_information(_TABLE), "discrete label", len(_TABLE), 1, draw)


def _linear_encoder(width: int, deviation: float) -> BenchmarkTask:
    weights = np.random.default_rng(width).normal(size=(width, width)) / np.sqrt(width)
    variance = np.full(width, deviation**2)

    def draw(samples: int, generator: np.random.Generator) -> TaskSample:
        observation = generator.normal(size=(samples, width))
        mean = observation @ weights.T
        log_variance = np.tile(np.log(variance), (samples, 1))
        drawn = mean + deviation * generator.normal(size=mean.shape)
        return TaskSample(observation, drawn, mean, log_variance)

    truth = linear_encoder_information(weights, variance)
    return BenchmarkTask(f"linear-encoder-{width}", truth, "gaussian encoder", width, width, draw)


def _wrapped_uniform() -> BenchmarkTask:
    def draw(samples: int, generator: np.random.Generator) -> TaskSample:
        x = generator.random((samples, 1))
        return TaskSample(x, (x + generator.uniform(-_NOISE, _NOISE, (samples, 1))) % 1.0)

    truth = wrapped_uniform_information(_NOISE)
    return BenchmarkTask(f"wrapped-uniform-{_NOISE}", truth, "continuous", 1, 1, draw)


def _clayton_uniforms() -> BenchmarkTask:
    def draw(samples: int, generator: np.random.Generator) -> TaskSample:
        u, level = 1 - generator.random((2, samples, 1))  # in (0, 1]
        # The inverse in v of the conditional distribution, the derivative of the copula in u.
        v = ((level ** (-_CLAYTON / (1 + _CLAYTON)) - 1) * u**-_CLAYTON + 1) ** (-1 / _CLAYTON)
        return TaskSample(u, v)

    return BenchmarkTask("clayton-uniforms", clayton_information(_CLAYTON), "continuous", 1, 1, draw)


def _unequal_variances() -> BenchmarkTask:
    """Two Gaussians around one middle: the log ratio of their densities is quadratic, and no line tells them apart."""
    deviations = np.array(_DEVIATIONS)

    def draw(samples: int, generator: np.random.Generator) -> TaskSample:
        labels = generator.integers(len(deviations), size=samples)
        return TaskSample(deviations[labels, None] * generator.normal(size=(samples, 2)), labels)

    truth = gaussian_scale_information(deviations, 2)
    return BenchmarkTask("unequal-variances-2", truth, "discrete label", 2, 1, draw, quadratic=True)


def _structural_zeros() -> BenchmarkTask:
    """x is exactly 0 for a share of the samples that the label decides, and Gaussian around its mean else."""
    zeros, means = np.array(_ZEROS), np.array([0.0, _SHIFT])

    def draw(samples: int, generator: np.random.Generator) -> TaskSample:
        labels = generator.integers(2, size=samples)
        values = means[labels] + generator.normal(size=samples)
        return TaskSample(np.where(generator.random(samples) < zeros[labels], 0.0, values)[:, None], labels)

    # By the chain rule: whether x is zero, and then what its value says where it is not.
    other = 1 - zeros
    table = np.stack([zeros, other]) / 2
    of_values = gaussian_label_information(other / other.sum(), means, np.ones(2))
    truth = table_information(table) + float(other.mean()) * of_values
    return BenchmarkTask("structural-zeros", truth, "discrete label", 1, 1, draw)


def _rare_label() -> BenchmarkTask:
    """Two per cent of the samples are of the second class."""
    means = np.array([0.0, _RARE_DISTANCE])

    def draw(samples: int, generator: np.random.Generator) -> TaskSample:
        labels = (generator.random(samples) < _RARE).astype(np.int64)
        return TaskSample(generator.normal(size=(samples, 1)) + means[labels, None], labels)

    truth = gaussian_label_information(np.array([1 - _RARE, _RARE]), means, np.ones(2))
    return BenchmarkTask(f"rare-label-{_RARE}", truth, "discrete label", 1, 1, draw)


def _few_informative() -> BenchmarkTask:
    """Two Gaussians that differ in the means of a few of many columns."""
    shift = np.zeros(_WIDE)
    shift[:_INFORMATIVE] = _WIDE_DISTANCE / np.sqrt(_INFORMATIVE)

    def draw(samples: int, generator: np.random.Generator) -> TaskSample:
        labels = generator.integers(2, size=samples)
        return TaskSample(labels[:, None] * shift + generator.normal(size=(samples, _WIDE)), labels)

    # Along the line through the means there is all that tells the classes apart.
    truth = gaussian_label_information(np.full(2, 0.5), np.array([0.0, _WIDE_DISTANCE]), np.ones(2))
    return BenchmarkTask(f"informative-{_INFORMATIVE}-of-{_WIDE}", truth, "discrete label", _WIDE, 1, draw)
