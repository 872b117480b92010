"""How good a prediction is: accuracy, cross-entropy in nats, calibration error; and what each view is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from limbeck.information.calibration import calibration_error

Floats = NDArray[np.floating]


def probabilities(logits: Floats, temperature: float | Floats = 1.0) -> NDArray[np.float64]:
    """softmax(logits / temperature) over the last dimension, in float64."""
    return np.asarray(softmax(logits.astype(np.float64) / temperature, axis=-1))


@dataclass(frozen=True)
class Scores:
    """Scores of one set of predictions.

    Attributes:
        accuracy: share of samples whose most probable class is the label.
        cross_entropy: mean -log probability of the label, in nats.
        calibration_error: see `calibration_error`.
    """

    accuracy: float
    cross_entropy: float
    calibration_error: float


def score(probability: Floats, labels: NDArray[np.int64]) -> Scores:
    """Score predicted probabilities (samples, classes) against labels (samples,)."""
    return Scores(
        accuracy=float((probability.argmax(axis=1) == labels).mean()),
        cross_entropy=cross_entropy_nats(probability, labels),
        calibration_error=calibration_error(probability, labels),
    )


def cross_entropy_nats(probability: Floats, labels: NDArray[np.int64]) -> float:
    """Mean -log probability of the label; a probability of 0 counts as the smallest positive float."""
    chosen = probability[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, np.finfo(probability.dtype).tiny)).mean())


@dataclass(frozen=True)
class ViewContribution:
    """What one view is worth, measured on samples that have it.

    Attributes:
        view: its name.
        alone: accuracy from this view's representation alone.
        without: accuracy from all other views.
        everything: accuracy from all views, on the same samples.
        unique_nats: information that only this view carries, I(y; z_i | the others) = H(y | others) - H(y | all), with
            both entropies replaced by the model's held-out cross-entropies. Not a bound in either direction: it is what
            this model gains from the view. Negative: the view misleads it.
        samples: how many samples it was measured on.
    """

    view: str
    alone: float
    without: float
    everything: float
    unique_nats: float
    samples: int


def format_view_contributions(contributions: list[ViewContribution]) -> str:
    """What each view contributes, as a table."""
    width = max(len("view"), *(len(row.view) for row in contributions)) if contributions else 4
    lines = [f"{'view':<{width}}  alone %  without %  all %  only here (nats)"]
    lines += [
        f"{row.view:<{width}}  {100 * row.alone:7.2f}  {100 * row.without:9.2f}  {100 * row.everything:5.2f}"
        f"  {row.unique_nats:16.4f}"
        for row in contributions
    ]
    return "\n".join(lines)
