"""Whether predicted probabilities are what comes true."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def calibration_error(probability: NDArray[np.floating], labels: NDArray[np.int64], *, bins: int = 15) -> float:
    r"""Expected calibration error of the most probable class.

    .. math:: \sum_b \frac{n_b}{n} | accuracy_b - confidence_b |

    over `bins` equal-width bins b of the highest probability, where :math:`n_b` samples fall into bin b, `accuracy` is
    the share of them that is right and `confidence` their mean highest probability.

    Args:
        probability: (samples, classes).
        labels: (samples,).
        bins: number of bins.

    Source: Guo et al. 2017, eq. 3.

    Example:
        >>> calibration_error(np.array([[0.75, 0.25]] * 4), np.array([0, 0, 0, 1]))
        0.0
    """
    confidence = probability.max(axis=1)
    right = probability.argmax(axis=1) == labels
    bin_ = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(bin_, weights=right - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(labels))


def equal_mass_calibration_error(
    probability: NDArray[np.floating], labels: NDArray[np.int64], *, bins: int = 15
) -> float:
    r"""Expected calibration error of the most probable class, in bins that hold as many samples each.

    .. math:: \sum_b \frac{n_b}{n} | accuracy_b - confidence_b |

    over `bins` consecutive parts b of the samples sorted by their highest probability, whose sizes :math:`n_b` differ
    by one at most (the first are the larger); `accuracy` is the share of a part that is right and `confidence` its mean
    highest probability. Samples of equal probability keep their order. Even of a calibrated model it is above zero, the
    more so the fewer samples there are: compare it on the same samples alone.

    Args:
        probability: `(samples, classes)`.
        labels: `(samples,)`.
        bins: how many; as many as there are samples where these are fewer.

    Source: Nguyen and O'Connor 2015, section 3, for bins of equal size.

    Example:
        >>> equal_mass_calibration_error(np.array([[0.75, 0.25]] * 4), np.array([0, 0, 0, 1]), bins=1)
        0.0
    """
    confidence = probability.max(axis=1)
    gap = (probability.argmax(axis=1) == labels) - confidence
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    return float(sum(abs(gap[part].sum()) for part in parts) / len(order))
