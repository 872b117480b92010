"""Logits of the networks and scores of the paths beside them as one, weighed by samples that none learned from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import entr, log_softmax

Floats = NDArray[np.floating]

# The temperature of the networks' logits is between 1 / 20 and 20, as that of `fit_temperature`.
_SHARPNESS = (0.05, 20.0)
_WEIGHT = (0.0, 1000.0)
_PRIOR = (-2.0, 2.0)
# Standard deviation, before held-out samples are seen, of what sharpens: those of few samples then change little.
_SHARPENING = 0.1


@dataclass(frozen=True)
class Mix:
    r"""Probabilities are :math:`softmax(e^{\eta H(z)} z)` of :math:`z = l / T + \sum_k \kappa_k s_k + b`.

    H(z) is the entropy of softmax(z) as a share of log C, the most that C classes can have.

    Attributes:
        temperature: T of the networks' logits l.
        weights: :math:`\kappa_k` of each path's scores :math:`s_k`.
        offsets: b, one a class; none: 0.
        sharpening: :math:`\eta`; above 0 z is too unsure where it is unsure, beside where it is sure.

    Source of a temperature that depends on the entropy: Balanya, Maroñas and Ramos 2024.
    """

    temperature: float = 1.0
    weights: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    sharpening: float = 0.0

    def logits(self, networks: Floats, scores: Floats) -> NDArray[np.float64]:
        """The logits of the mix, `(samples, classes)`.

        Args:
            networks: `(samples, classes)`.
            scores: `(paths, samples, classes)`.
        """
        result = networks.astype(np.float64) / self.temperature
        for weight, score in zip(self.weights, scores, strict=True):
            result += weight * score
        if self.offsets:
            result += np.array(self.offsets)
        if self.sharpening:
            result *= np.exp(self.sharpening * _entropy(log_softmax(result, axis=1), result.shape[1]))
        return result


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
    prior = np.zeros(logits.shape[1]) if shares is None else np.log(shares.astype(np.float64))
    given = [logits.astype(np.float64), *scores.astype(np.float64), np.broadcast_to(prior, logits.shape)]
    there, target, share = _targets(labels, weights)
    blocks = [block[:, there] for block in given]
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


def sharpen(
    mix: Mix,
    logits: Floats,
    scores: Floats,
    labels: NDArray[np.int64],
    weights: NDArray[np.floating] | None = None,
) -> Mix:
    r"""The mix with the sharpening, and one scale of all that it adds up, that suit the samples it was fitted by.

    Of the mix's logits z it makes :math:`e^{\eta H(e^a z)} e^a z`, with the :math:`\eta` and a in [-1, 1] of the least
    :math:`n \cdot CE + (a^2 + \eta^2) / (2 \cdot 0.1^2)`, CE the cross-entropy of the n samples (nats): the mode, where
    both are normal about 0 with a standard deviation of 0.1 before. Labels are smoothed, and classes left out, as in
    `fit_mix`.

    Args:
        mix: of `fit_mix`, not sharpened yet.
        logits: what it was fitted by, as `scores`, `labels` and `weights` are.
    """
    there, target, share = _targets(labels, weights)
    mixed, classes = mix.logits(logits, scores)[:, there], logits.shape[1]
    precision = 1 / (len(mixed) * _SHARPENING**2)

    def loss(given: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        log_scale, sharpening = given
        scaled = np.exp(log_scale) * mixed
        plain = log_softmax(scaled, axis=1)
        entropy = _entropy(plain, classes)
        # In log r, the entropy of softmax(r z) falls by the variance of r z under it.
        slope = -(np.exp(plain) * (plain + entropy * _most(classes)) ** 2).sum(axis=1, keepdims=True) / _most(classes)
        sharp = np.exp(sharpening * entropy) * scaled
        log_probability = log_softmax(sharp, axis=1)
        error = share * (np.exp(log_probability) - target) * sharp
        gradient = np.array([(error * (1 + sharpening * slope)).sum(), (error * entropy).sum()])
        value = -float((share * target * log_probability).sum()) + precision * float(given @ given) / 2
        return value, gradient + precision * given

    found = minimize(loss, np.zeros(2), jac=True, bounds=[(-1, 1)] * 2, method="L-BFGS-B").x
    scale, sharpening = float(np.exp(found[0])), float(found[1])
    return Mix(
        mix.temperature / scale,
        tuple(scale * weight for weight in mix.weights),
        tuple(scale * offset for offset in mix.offsets),
        sharpening,
    )


def _targets(
    labels: NDArray[np.int64], weights: NDArray[np.floating] | None
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Which classes are there, smoothed labels `(samples, these)`, and the share of each sample `(samples, 1)`."""
    there, labels = np.unique(labels, return_inverse=True)
    samples = len(labels)
    smoothing = 1 / (samples + 2)
    target = np.full((samples, len(there)), smoothing / len(there))
    target[np.arange(samples), labels] += 1 - smoothing
    if weights is None:
        return there, target, np.full((samples, 1), 1 / samples)
    return there, target, weights.astype(np.float64)[:, np.newaxis] / weights.sum(dtype=np.float64)


def _entropy(log_probability: NDArray[np.float64], classes: int) -> NDArray[np.float64]:
    """The entropy of each row of probabilities as a share of the most that so many classes have, `(samples, 1)`."""
    return np.asarray(entr(np.exp(log_probability)).sum(axis=1, keepdims=True) / _most(classes))


def _most(classes: int) -> float:
    """The largest entropy, in nats; of one class, whose entropy is 0, any number but 0."""
    return float(np.log(max(classes, 2)))


def _spread(values: NDArray[np.float64]) -> float:
    """The standard deviation about each sample's mean; 1 where all are equal."""
    spread = float((values - values.mean(axis=1, keepdims=True)).std())
    return spread if spread > 0 else 1.0
