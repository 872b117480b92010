"""What predictions are worth: accuracy, cross-entropy, and calibration in bins of equal mass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.multiview.evaluation import cross_entropy_nats

Floats = NDArray[np.float64]
BINS = 15


@dataclass(frozen=True)
class Figures:
    """Figures of predicted probabilities.

    Attributes:
        accuracy: share of samples whose most probable class is the label.
        cross_entropy: mean -log probability of the label, in nats.
        calibration_error: see `equal_mass_calibration_error`.
    """

    accuracy: float
    cross_entropy: float
    calibration_error: float


def figures(probability: Floats, labels: NDArray[np.int64]) -> Figures:
    """Score probabilities `(samples, classes)` against labels `(samples,)`."""
    return Figures(
        accuracy=float((probability.argmax(axis=1) == labels).mean()),
        cross_entropy=cross_entropy_nats(probability, labels),
        calibration_error=equal_mass_calibration_error(probability, labels),
    )


def equal_mass_calibration_error(probability: Floats, labels: NDArray[np.int64], *, bins: int = BINS) -> float:
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
