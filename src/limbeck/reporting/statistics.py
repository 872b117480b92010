"""Means, deviations and paired differences over trials: folds of a set, or seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student_t


@dataclass(frozen=True)
class Estimate:
    r"""A mean over n trials, and how sure it is.

    Attributes:
        mean: of the trials.
        deviation: standard deviation s between them, with n - 1 in the denominator; NaN for one trial.
        standard_error: of the mean, :math:`s / \sqrt n`; NaN for one trial.
    """

    mean: float
    deviation: float
    standard_error: float

    @staticmethod
    def from_values(values: Sequence[float]) -> Estimate:
        """The estimate of one figure per trial.

        Raises:
            ValueError: there are no values.

        Example:
            >>> Estimate.from_values([1.0, 3.0])
            Estimate(mean=2.0, deviation=1.414..., standard_error=1.0)
        """
        known = np.asarray(values, np.float64)
        if len(known) == 0:
            raise ValueError("an estimate needs at least one value")
        if len(known) == 1:
            return Estimate(float(known[0]), math.nan, math.nan)
        deviation = float(known.std(ddof=1))
        return Estimate(float(known.mean()), deviation, deviation / math.sqrt(len(known)))

    @staticmethod
    def from_groups(values: Sequence[float], groups: Sequence[int]) -> Estimate:
        """The estimate on two levels: the mean of each group is one trial; a single group's values are trials.

        Values of one group, such as the galleries of one model, are not independent of one another: pooled with those
        of another model they would promise too much.

        Args:
            values: of all groups.
            groups: the group that each value is of.

        Raises:
            ValueError: there are no values, or not as many groups.

        Example:
            >>> Estimate.from_groups([0.0, 2.0, 2.0, 4.0], [0, 0, 1, 1])
            Estimate(mean=2.0, deviation=1.414..., standard_error=1.0)
        """
        if len(values) != len(groups):
            raise ValueError(f"there are {len(values)} values but {len(groups)} groups")
        known, which = np.asarray(values, np.float64), np.asarray(groups)
        names = np.unique(which)
        if len(names) < 2:
            return Estimate.from_values(known.tolist())
        return Estimate.from_values([float(known[which == name].mean()) for name in names])


@dataclass(frozen=True)
class Difference:
    """A mean paired difference with its confidence interval; the interval is infinite for a single trial."""

    mean: float
    low: float
    high: float


def paired_difference(
    first: Sequence[float], second: Sequence[float], *, test_to_train: float, confidence: float = 0.95
) -> Difference:
    r"""Mean of first - second over the same trials, with the corrected resampled t interval.

    .. math:: \bar d \pm t_{n-1} s \sqrt{\frac1n + \frac{n_{test}}{n_{train}}}

    where :math:`\bar d` and :math:`s` are mean and standard deviation of the n differences and :math:`t_{n-1}` the
    Student quantile. Folds of one set overlap, so the plain 1/n would promise too much; the second term is the
    correction.

    Args:
        first: one figure per trial.
        second: the same trials.
        test_to_train: test samples over training samples of a fold; 0 where trials share no samples.
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


def finite_or_none(value: float) -> float | None:
    """The value, or None, which is JSON's null, where it is NaN or infinite."""
    return value if math.isfinite(value) else None


def estimate_as_json(estimate: Estimate) -> dict[str, float | None]:
    """Mean and deviation as plain values; None for the deviation of one trial."""
    return {"mean": finite_or_none(estimate.mean), "deviation": finite_or_none(estimate.deviation)}


def difference_as_json(difference: Difference | None) -> dict[str, float | None] | None:
    """Mean and ends of the interval as plain values; None for the ends of an infinite one, and for no difference."""
    if difference is None:
        return None
    return {name: finite_or_none(value) for name, value in vars(difference).items()}
