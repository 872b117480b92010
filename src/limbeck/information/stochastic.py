"""What a Gaussian encoder's representation holds of its input, between a lower bound and upper ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from limbeck.errors import InputError
from limbeck.information.estimates import InformationEstimate, estimate_of
from limbeck.information.inputs import real_matrix, whole_number
from limbeck.objectives.bottleneck import gaussian_kl_to_prior

Floats = NDArray[np.float64]

LEAST_VARIANCE_RATIO = 1e-10
"""Noise of a smaller share of a column's variance is none in float32: the encoder is taken as deterministic."""

_CHUNK, _NEAR_SATURATION = 256, 0.5


@dataclass(frozen=True)
class InformationBracket:
    """What I(z; v) lies between, in expectation.

    Attributes:
        lower: the contrastive bound, "infonce".
        upper: "standard prior", "fitted prior" and "leave-one-out".
    """

    lower: InformationEstimate
    upper: tuple[InformationEstimate, ...]

    @property
    def tightest(self) -> InformationEstimate:
        """The least of the upper bounds. Choosing it by its figure makes it a little too low."""
        return min(self.upper, key=lambda estimate: estimate.nats)


def encoder_information(mean: ArrayLike, log_variance: ArrayLike, *, seed: int = 0) -> InformationBracket:
    r"""Bounds on I(z; v) of an encoder whose densities are known, z | v ~ N(mean(v), diag exp log_variance(v)).

    With :math:`v_1 \dots v_n` the inputs and :math:`z_i` one draw from each :math:`p(z | v_i)`:

    .. math::
        \text{infonce} &= \frac1n \sum_i \log \frac{p(z_i | v_i)}{\frac1n \sum_j p(z_i | v_j)} \le \log n \\
        \text{leave-one-out} &= \frac1n \sum_i \log \frac{p(z_i | v_i)}{\frac1{n - 1} \sum_{j \ne i} p(z_i | v_j)} \\
        \text{standard prior} &= \frac1n \sum_i D_{KL}[p(z | v_i) \| N(0, 1)] \\
        \text{fitted prior} &= \frac1n \sum_i D_{KL}[p(z | v_i) \| N(m_{-i}, diag(s_{-i}))]

    The first is a lower bound in expectation, the others are upper bounds. :math:`m` and :math:`s` are mean and
    variance of the mixture of all :math:`p(z | v_j)`, which is the best diagonal Gaussian prior; those of the one half
    of the inputs serve for the other, since a prior fitted to the same inputs would give too little. Where I(z; v) is
    far above log n, infonce stays at log n, and leave-one-out may be far above the truth: both carry a warning there,
    within half a nat of log n and above it.

    Densities of all pairs are summed a chunk of draws at a time: n^2 d operations, and memory of four times the input
    (20,000 x 512: 0.55 GB beyond it).

    Args:
        mean: `(samples, features)` finite real numbers, one row per input.
        log_variance: the same shape; natural logarithm.
        seed: of the draws and the halves.

    Raises:
        InputError: a shape, type or value does not fit; there are fewer than 4 samples; or the encoder is
            deterministic: a variance is 0, or below 1e-10 of its column's. The information of a continuous v is then
            infinite, and any figure would be of the estimator alone.

    Source: Poole et al. 2019, "On variational bounds of mutual information", eq. 1 (prior), 12 (infonce with known
    densities) and 13 (leave-one-out); the prior of fixed form: Alemi et al. 2017.

    Example:
        >>> v = np.random.default_rng(0).normal(size=(2000, 1))
        >>> found = encoder_information(v, np.zeros_like(v))  # log(2) / 2 = 0.347 nats
        >>> 0.3 < found.lower.nats < found.tightest.nats < 0.4
        True
    """
    center, log_s = real_matrix(mean, "mean").astype(np.float64), _log_variance(log_variance)
    if center.shape != log_s.shape:
        raise InputError(f"log_variance must have the shape of mean, {center.shape}, not {log_s.shape}")
    if len(center) < 4:
        raise InputError(f"mean must hold at least 4 samples, not {len(center)}")
    generator = np.random.default_rng(whole_number(seed, "seed", least=0))
    _refuse_deterministic(center, log_s)
    standard, fitted = _prior_divergences(center, log_s, generator)
    contrastive, leave_one_out = _pairwise(center, log_s, generator)
    most = math.log(len(center))
    lower = estimate_of(contrastive, bound="lower", saturates=most, estimator="infonce")
    if lower.nats > most - _NEAR_SATURATION:
        lower = replace(lower, warnings=(f"the figure is near the {most:.2f} nats that it cannot exceed",))
    upper = estimate_of(leave_one_out, bound="upper", saturates=None, estimator="leave-one-out")
    if upper.nats > most:
        upper = replace(upper, warnings=(f"above the logarithm of the samples, {most:.2f}, this bound is loose",))
    priors = (
        estimate_of(contributions, bound="upper", saturates=None, estimator=name)
        for name, contributions in (("standard prior", standard), ("fitted prior", fitted))
    )
    return InformationBracket(lower, (*priors, upper))


def _log_variance(values: ArrayLike) -> Floats:
    array = np.asarray(values)
    if array.dtype.kind == "f" and np.isneginf(array).any():
        raise InputError(_DETERMINISTIC.format("log_variance is -inf"))
    return real_matrix(array, "log_variance").astype(np.float64)


_DETERMINISTIC = "{}: the encoder is deterministic, and its information about a continuous v is infinite; add noise"


def _refuse_deterministic(mean: Floats, log_variance: Floats) -> None:
    variance = np.exp(log_variance).mean(axis=0) + mean.var(axis=0)
    least = log_variance.min(axis=0) - np.log(variance)
    if not (least >= math.log(LEAST_VARIANCE_RATIO)).all():
        column = int(least.argmin())
        raise InputError(
            _DETERMINISTIC.format(f"log_variance goes down to {log_variance[:, column].min():.1f} in column {column}")
        )


def _prior_divergences(
    mean: Floats, log_variance: Floats, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Contributions (samples,) of the standard prior and of the prior fitted to the other half."""
    standard, fitted = np.empty(len(mean)), np.empty(len(mean))
    order = generator.permutation(len(mean))
    halves = (order[: len(order) // 2], order[len(order) // 2 :])
    for own, other in (halves, halves[::-1]):
        center, variance = _mixture_moments(mean, log_variance, other)
        for rows in np.array_split(own, -(-len(own) // _CHUNK)):
            given = (mean[rows], log_variance[rows])
            moved = ((given[0] - center) / np.sqrt(variance), given[1] - np.log(variance))
            for kept, chunk in ((standard, given), (fitted, moved)):
                kept[rows] = gaussian_kl_to_prior(*map(torch.from_numpy, chunk), reduction="none").numpy()
    return standard, fitted


def _mixture_moments(mean: Floats, log_variance: Floats, rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Mean and variance (features,) of the mixture of the rows' Gaussians, a chunk at a time."""
    first, second = np.zeros(mean.shape[1]), np.zeros(mean.shape[1])
    origin = mean[rows[0]]  # near the mean, so that the square of the mean costs no digits
    for chunk in np.array_split(rows, -(-len(rows) // _CHUNK)):
        moved = mean[chunk] - origin
        first += moved.sum(axis=0)
        second += (moved**2 + np.exp(log_variance[chunk])).sum(axis=0)
    average = first / len(rows)
    return origin + average, second / len(rows) - average**2


def _pairwise(
    mean: Floats, log_variance: Floats, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Linearised contributions (samples,) of infonce and leave-one-out.

    An input enters with its own draw, and in the denominators of the others: the part it has in those, less its mean,
    is taken off.
    """
    samples = len(mean)
    center = mean.mean(axis=0)
    precision = np.exp(-log_variance)
    weighted = (mean - center) * precision
    # log p(z | v_j) = z . weighted_j - z^2 . precision_j / 2 + constant_j: two matrix products for a chunk's pairs.
    constant = -(weighted**2 / precision + log_variance).sum(axis=1) / 2
    everyone, others = np.empty(samples), np.empty(samples)
    blame = np.zeros((2, samples))
    for rows in np.array_split(np.arange(samples), -(-samples // _CHUNK)):
        noise = np.exp(log_variance[rows] / 2) * generator.normal(size=(len(rows), mean.shape[1]))
        drawn = mean[rows] - center + noise
        scores = drawn @ weighted.T - (drawn**2) @ precision.T / 2 + constant
        own = (np.arange(len(rows)), rows)
        joint = scores[own]
        for number, kept in enumerate((everyone, others)):
            if number == 1:
                scores[own] = -np.inf
            log_mean = logsumexp(scores, axis=1) - math.log(samples - number)
            kept[rows] = joint - log_mean
            blame[number] += np.exp(scores - log_mean[:, None]).sum(axis=0)
    blame -= blame.mean(axis=1, keepdims=True)
    return everyone - blame[0] / samples, others - blame[1] / (samples - 1)
