"""What estimators of mutual information answer with: a figure, its interval, and the side it stands on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

Bound = Literal["lower", "upper", "neither"]

LEAST_WARNED = 0.01
"""Nats of which less is not worth a warning."""


@dataclass(frozen=True)
class InformationEstimate:
    """A figure for mutual information. Nothing is clamped: a figure may be negative, or above any entropy.

    Attributes:
        nats: the figure.
        low: lower end of a 95 % interval. It says how the figure would vary over other samples to evaluate on, and
            how far more samples to learn from would move it, as far as that can be told from these.
        high: upper end.
        bound: the side on which the figure stands in expectation: "lower", "upper", or "neither" where nothing holds.
        saturates: nats that the figure cannot exceed whatever the truth is, or None.
        samples: how many there were.
        estimator: its name.
        warnings: what the figure and its interval cannot bear, a sentence each.
    """

    nats: float
    low: float
    high: float
    bound: Bound
    saturates: float | None
    samples: int
    estimator: str
    warnings: tuple[str, ...] = ()


def estimate_of(
    contributions: NDArray[np.float64], *, bound: Bound, saturates: float | None, estimator: str
) -> InformationEstimate:
    r"""The mean of one contribution per sample, with the interval of a mean.

    .. math:: \bar c \pm t_{n-1} \, s / \sqrt n

    where :math:`\bar c` and s are mean and standard deviation of the n contributions and t is Student's quantile at
    97.5 %. A figure that is not a plain mean is given as its linearisation (its influence function), which has the same
    mean, and the interval is then right to first order.

    Args:
        contributions: `(samples,)`, at least 2, in nats.
        bound: of the figure.
        saturates: of the figure.
        estimator: its name.

    Example:
        >>> estimate_of(np.array([0.0, 2.0]), bound="lower", saturates=None, estimator="ours").nats
        1.0
    """
    samples = len(contributions)
    nats = float(contributions.mean())
    half = float(student_t.ppf(0.975, samples - 1) * contributions.std(ddof=1) / np.sqrt(samples))
    return InformationEstimate(nats, nats - half, nats + half, bound, saturates, samples, estimator)
