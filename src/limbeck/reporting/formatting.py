"""Estimates and differences as text: one way to print them."""

from __future__ import annotations

import math

from limbeck.reporting.statistics import Difference, Estimate


def format_estimate(estimate: Estimate, digits: int = 2, *, scale: float = 1, standard_error: bool = False) -> str:
    """Mean ± standard deviation; the mean alone for one trial.

    Args:
        estimate: what is printed.
        digits: behind the point.
        scale: times which it is printed, 100 for per cent.
        standard_error: also the standard error of the mean, in brackets on a line of its own.

    Example:
        >>> format_estimate(Estimate(0.97, 0.01, 0.005), scale=100)
        '97.00 ± 1.00'
        >>> format_estimate(Estimate(0.97, math.nan, math.nan), scale=100)
        '97.00'
    """
    mean = f"{scale * estimate.mean:z.{digits}f}"
    if math.isnan(estimate.deviation):
        return mean
    text = f"{mean} ± {scale * estimate.deviation:.{digits}f}"
    return f"{text}\n({scale * estimate.standard_error:.{digits}f})" if standard_error else text


def format_difference(difference: Difference | None, digits: int = 2, *, scale: float = 1) -> str:
    """Signed mean and interval; the mean alone where the interval is infinite, nothing where there is no difference.

    Args:
        difference: what is printed.
        digits: behind the point.
        scale: times which it is printed, 100 for per cent.

    Example:
        >>> format_difference(Difference(0.5, -0.25, 1.25))
        '+0.50 [-0.25, +1.25]'
    """
    if difference is None:
        return ""
    mean, low, high = (f"{scale * value:+z.{digits}f}" for value in (difference.mean, difference.low, difference.high))
    return f"{mean} [{low}, {high}]" if math.isfinite(difference.low) else mean
