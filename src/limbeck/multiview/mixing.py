"""Logits of the networks and scores of the kernel path as one, weighed by samples that neither learned from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

Floats = NDArray[np.floating]

# The temperature of the networks' logits is between 1 / 20 and 20, as that of `fit_temperature`.
_SHARPNESS = (0.05, 20.0)
_KERNEL_WEIGHT = (0.0, 1000.0)


@dataclass(frozen=True)
class Mix:
    r"""Probabilities are :math:`softmax(l / T + \kappa s)`.

    Attributes:
        temperature: T of the networks' logits l.
        kernel_weight: :math:`\kappa` of the kernel path's scores s; 0 without one.
    """

    temperature: float = 1.0
    kernel_weight: float = 0.0

    def logits(self, networks: Floats, scores: Floats | None) -> NDArray[np.float64]:
        """:math:`l / T + \\kappa s` for `(samples, classes)`; scores may be None where their weight is 0."""
        divided = networks.astype(np.float64) / self.temperature
        return divided if scores is None or self.kernel_weight == 0 else divided + self.kernel_weight * scores


def fit_mix(
    logits: Floats, scores: Floats, labels: NDArray[np.int64], weights: NDArray[np.floating] | None = None
) -> Mix:
    r"""The temperature in [0.05, 20] and the weight in [0, 1000] of the least cross-entropy (nats).

    Logits of the mix are linear in :math:`1 / T` and :math:`\kappa`, so that the cross-entropy is convex and its
    minimum the only one. Labels are smoothed by 1 / (samples + 2), as in `fit_temperature`: where all of a few samples
    are right, plain labels would ask for certainty.

    Args:
        logits: `(samples, classes)` of networks that did not learn from these samples.
        scores: `(samples, classes)` likewise.
        labels: `(samples,)`.
        weights: `(samples,)` of the samples, not all 0; default 1.
    """
    first, second = logits.astype(np.float64), scores.astype(np.float64)
    samples, classes = first.shape
    smoothing = 1 / (samples + 2)
    target = np.full((samples, classes), smoothing / classes)
    target[np.arange(samples), labels] += 1 - smoothing
    share = np.full((samples, 1), 1 / samples)
    if weights is not None:
        share = weights.astype(np.float64)[:, np.newaxis] / weights.sum(dtype=np.float64)
    # In units in which both blocks are of about one size, so that the search is well conditioned.
    unit = np.array([_spread(first), _spread(second)])

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        sharpness, kernel = weights / unit
        log_probability = log_softmax(sharpness * first + kernel * second, axis=1)
        error = share * (np.exp(log_probability) - target)
        gradient = np.array([(error * first).sum(), (error * second).sum()]) / unit
        return -float((share * target * log_probability).sum()), gradient

    bounds = [(low * size, high * size) for (low, high), size in zip((_SHARPNESS, _KERNEL_WEIGHT), unit, strict=True)]
    start = [np.clip(1.0, *limits) for limits in bounds]
    sharpness, kernel = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x / unit
    return Mix(float(1 / sharpness), float(kernel))


def _spread(values: NDArray[np.float64]) -> float:
    """The standard deviation about each sample's mean; 1 where all are equal."""
    spread = float((values - values.mean(axis=1, keepdims=True)).std())
    return spread if spread > 0 else 1.0
