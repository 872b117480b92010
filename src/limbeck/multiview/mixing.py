"""Logits of the networks and scores of the paths beside them as one, weighed by samples that none learned from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

Floats = NDArray[np.floating]

# The temperature of the networks' logits is between 1 / 20 and 20, as that of `fit_temperature`.
_SHARPNESS = (0.05, 20.0)
_WEIGHT = (0.0, 1000.0)
_PRIOR = (-2.0, 2.0)


@dataclass(frozen=True)
class Mix:
    r"""Probabilities are :math:`softmax(l / T + \sum_k \kappa_k s_k + b)`.

    Attributes:
        temperature: T of the networks' logits l.
        weights: :math:`\kappa_k` of each path's scores :math:`s_k`.
        offsets: b, one a class; none: 0.
    """

    temperature: float = 1.0
    weights: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()

    def logits(self, networks: Floats, scores: Floats) -> NDArray[np.float64]:
        """The logits of the mix, `(samples, classes)`.

        Args:
            networks: `(samples, classes)`.
            scores: `(paths, samples, classes)`.
        """
        result = networks.astype(np.float64) / self.temperature
        for weight, score in zip(self.weights, scores, strict=True):
            result += weight * score
        return result + np.array(self.offsets) if self.offsets else result


def fit_mix(
    logits: Floats,
    scores: Floats,
    labels: NDArray[np.int64],
    weights: NDArray[np.floating] | None = None,
    shares: NDArray[np.floating] | None = None,
) -> Mix:
    r"""The temperature in [0.05, 20] and the weights in [0, 1000] of the least cross-entropy (nats).

    Offsets are :math:`b = \lambda \log \pi`, with the shares :math:`\pi` of the classes and :math:`\lambda` in [-2, 2]:
    where classes differ in size, what answers may say the large ones too often, or too rarely. Logits of the mix are
    linear in :math:`1 / T`, the :math:`\kappa_k` and :math:`\lambda`, so that the cross-entropy is convex.
    Classes that none of the samples has are left out of the softmax, because whatever is said of them would be wrong.
    Labels are smoothed by 1 / (samples + 2), as in `fit_temperature`: where all of a few samples are right, plain
    labels would ask for certainty.

    Args:
        logits: `(samples, classes)` of networks that did not learn from these samples.
        scores: `(paths, samples, classes)` likewise.
        labels: `(samples,)`.
        weights: `(samples,)` of the samples, not all 0; default 1.
        shares: `(classes,)` :math:`\pi`, above 0; default: offsets are 0.
    """
    there, labels = np.unique(labels, return_inverse=True)
    prior = np.zeros(logits.shape[1]) if shares is None else np.log(shares.astype(np.float64))
    given = [logits.astype(np.float64), *scores.astype(np.float64), np.broadcast_to(prior, logits.shape)]
    blocks = [block[:, there] for block in given]
    samples, classes = blocks[0].shape
    smoothing = 1 / (samples + 2)
    target = np.full((samples, classes), smoothing / classes)
    target[np.arange(samples), labels] += 1 - smoothing
    share = np.full((samples, 1), 1 / samples)
    if weights is not None:
        share = weights.astype(np.float64)[:, np.newaxis] / weights.sum(dtype=np.float64)
    # In units in which all blocks are of about one size, so that the search is well conditioned.
    unit = np.array([_spread(block) for block in blocks])

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        mixed = sum(weight * block for weight, block in zip(weights / unit, blocks, strict=True))
        log_probability = log_softmax(mixed, axis=1)
        error = share * (np.exp(log_probability) - target)
        gradient = np.array([(error * block).sum() for block in blocks]) / unit
        return -float((share * target * log_probability).sum()), gradient

    limits = [_SHARPNESS, *[_WEIGHT] * len(scores), _PRIOR]
    bounds = [(low * size, high * size) for (low, high), size in zip(limits, unit, strict=True)]
    start = [*(np.clip(1.0, *limit) for limit in bounds[:-1]), 0.0]
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x / unit
    sharpness, *weights_of, of_prior = found.tolist()
    return Mix(1 / sharpness, tuple(weights_of), () if shares is None else tuple((of_prior * prior).tolist()))


def _spread(values: NDArray[np.float64]) -> float:
    """The standard deviation about each sample's mean; 1 where all are equal."""
    spread = float((values - values.mean(axis=1, keepdims=True)).std())
    return spread if spread > 0 else 1.0
