"""Means, spreads and paired differences over folds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student_t


@dataclass(frozen=True)
class Estimate:
    """A mean over folds and the standard deviation between them (n - 1 in the denominator; 0 for one fold)."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Difference:
    """A mean paired difference with its confidence interval; the interval is infinite for a single fold."""

    mean: float
    low: float
    high: float


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and standard deviation."""
    return Estimate(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0)


def paired_difference(
    first: Sequence[float], second: Sequence[float], *, test_to_train: float, confidence: float = 0.95
) -> Difference:
    r"""Mean of first - second over the same folds, with the corrected resampled t interval.

    .. math:: \bar d \pm t_{n-1} s \sqrt{\frac1n + \frac{n_{test}}{n_{train}}}

    where :math:`\bar d` and :math:`s` are mean and standard deviation of the n differences and :math:`t_{n-1}` the
    Student quantile. Folds of one set overlap, so the plain 1/n would promise too much; the second term is the
    correction.

    Args:
        first: one figure a fold.
        second: the same folds.
        test_to_train: test samples over training samples of a fold.
        confidence: of the interval.

    Raises:
        ValueError: the lengths differ or are zero.

    Source: Nadeau and Bengio 2003, eq. 9.

    Example:
        >>> paired_difference([3.0, 5.0], [1.0, 2.0], test_to_train=0.0).mean
        2.5
    """
    if len(first) != len(second) or len(first) == 0:
        raise ValueError(f"paired figures must be as many on both sides, got {len(first)} and {len(second)}")
    difference = np.subtract(first, second)
    mean, n = float(difference.mean()), len(difference)
    if n == 1:
        return Difference(mean, -math.inf, math.inf)
    quantile = float(student_t.ppf((1 + confidence) / 2, n - 1))
    half = quantile * float(difference.std(ddof=1)) * math.sqrt(1 / n + test_to_train)
    return Difference(mean, mean - half, mean + half)
