"""How good a prediction is: accuracy, cross-entropy in nats, calibration error; and what each view is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

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
        calibration_error: see `limbeck.information.calibration_error`, or `equal_mass_calibration_error` of the same
            package where that was asked for.
    """

    accuracy: float
    cross_entropy: float
    calibration_error: float


def score(probability: Floats, labels: NDArray[np.int64], *, equal_mass: bool = False) -> Scores:
    """Score predicted probabilities (samples, classes) against labels (samples,).

    Args:
        probability: what was predicted.
        labels: what is true.
        equal_mass: the bins of the calibration error hold as many samples each, instead of being equally wide.
    """
    from limbeck.information.calibration import (  # noqa: PLC0415 (not needed to fit and to predict)
        calibration_error,
        equal_mass_calibration_error,
    )

    error = equal_mass_calibration_error if equal_mass else calibration_error
    return Scores(
        accuracy=float((probability.argmax(axis=1) == labels).mean()),
        cross_entropy=cross_entropy_nats(probability, labels),
        calibration_error=error(probability, labels),
    )


def cross_entropy_nats(probability: Floats, labels: NDArray[np.int64]) -> float:
    """Mean -log probability of the label; a probability of 0 counts as the smallest positive float."""
    return float(each_cross_entropy_nats(probability, labels).mean())


def each_cross_entropy_nats(probability: Floats, labels: NDArray[np.int64]) -> Floats:
    """The same of every sample, `(samples,)`."""
    chosen = probability[np.arange(len(labels)), labels]
    return np.asarray(-np.log(np.maximum(chosen, np.finfo(probability.dtype).tiny)))


@dataclass(frozen=True)
class SetScores:
    """Scores of sets of classes.

    Attributes:
        coverage: share of samples whose label is in their set.
        size: mean number of classes in a set.
        single: share of sets with exactly one class.
        empty: share of sets with none.
        single_accuracy: share of the sets with exactly one class that hold the label; NaN where there are none.
    """

    coverage: float
    size: float
    single: float
    empty: float
    single_accuracy: float


def score_sets(sets: NDArray[np.bool_], labels: NDArray[np.int64]) -> SetScores:
    """Score sets of classes (samples, classes) against labels (samples,).

    Example:
        >>> score_sets(np.array([[True, False], [True, True], [False, True], [False, False]]), np.array([0, 0, 0, 0]))
        SetScores(coverage=0.5, size=1.0, single=0.5, empty=0.25, single_accuracy=0.5)
    """
    holds, sizes = sets[np.arange(len(labels)), labels], sets.sum(axis=1)
    single = sizes == 1
    return SetScores(
        coverage=float(holds.mean()),
        size=float(sizes.mean()),
        single=float(single.mean()),
        empty=float((sizes == 0).mean()),
        single_accuracy=float(holds[single].mean()) if single.any() else float("nan"),
    )


@dataclass(frozen=True, eq=False)
class SelectiveCurve:
    """What a classifier that leaves out the samples it is least sure of would reach.

    Attributes:
        threshold: (points,) probabilities of the predicted class that occur, falling.
        answered: (points,) share of samples at or above the threshold, rising to 1.
        accuracy: (points,) share of these that is right; 1 minus it is the selective risk.
    """

    threshold: NDArray[np.float64]
    answered: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def mean_risk(self) -> float:
        """Area under the risk-coverage curve: Σ (share of samples that a threshold adds) * (1 - accuracy).

        In [0, 1]. With n different probabilities it is the mean of the risks of the k surest samples, for k = 1..n.
        """
        share = np.diff(self.answered, prepend=0.0)
        return float((share * (1 - self.accuracy)).sum())


def selective_accuracy(probability: Floats, labels: NDArray[np.int64]) -> SelectiveCurve:
    """Accuracy among the samples whose highest probability reaches a threshold, for every threshold that occurs.

    Samples of equal probability are answered or left out together.

    Args:
        probability: (samples, classes).
        labels: (samples,).

    Source: El-Yaniv and Wiener 2010; Geifman and El-Yaniv 2017.

    Example:
        >>> curve = selective_accuracy(np.array([[0.9, 0.1], [0.4, 0.6], [0.6, 0.4]]), np.array([0, 1, 1]))
        >>> curve.threshold, curve.answered.round(2), curve.accuracy.round(2)
        (array([0.9, 0.6]), array([0.33, 1.  ]), array([1.  , 0.67]))
    """
    confidence = probability.max(axis=1).astype(np.float64)
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order]
    right = np.cumsum(probability.argmax(axis=1)[order] == labels[order])
    last = np.flatnonzero(np.append(np.diff(falling) < 0, np.ones(min(len(falling), 1), bool)))
    return SelectiveCurve(falling[last], (last + 1) / max(len(labels), 1), right[last] / (last + 1))


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
