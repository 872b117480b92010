"""The probes: linear, linear in squares too, and a network.

A probe gives scores that are added to the logarithm of the class frequencies: a score of zero says nothing beyond
how frequent a class is. Scores that are too timid are left to the temperature, which is fitted afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

PENALTIES = (3.0, 0.3, 0.03, 0.003, 0.0003)
"""L2 strengths of the linear probe, strongest first, so that each starts from the one before."""

_PATH_STEPS, _FINAL_STEPS = 40, 80
_GRADIENT, _CHANGE = 2e-4, 1e-5
_HIDDEN, _RATE, _DECAY, _BATCH, _EPOCHS, _PATIENCE, _LEAST_GAIN = 256, 2e-3, 1e-2, 128, 200, 12, 1e-3


@dataclass(frozen=True)
class Training:
    """What a probe may see of one fold.

    Attributes:
        features: `(train, features)`, as the probe's preparation gives them.
        labels: `(train,)`.
        part: `(train,)` the inner part of each sample.
        base: `(classes,)` log-frequencies of the classes in training.
        bases: `(turns, classes)` the same without part 0, without part 1, ...: these parts are held out in turn.
        held_out: `(test, features)` of the fold itself; its labels are not here.
        variance: `(features,)` of each feature.
        seed: numbers that every draw is keyed by.
    """

    features: Tensor
    labels: Tensor
    part: Tensor
    base: Tensor
    bases: Tensor
    held_out: Tensor
    variance: Tensor
    seed: tuple[int, ...]


Fitted = tuple[list[Tensor], Callable[[int], Tensor]]
"""For each setting, scores `(train, classes)` by a probe that did not see the sample's inner part, of all samples whose
part was held out; and the scores `(test, classes)` of the held-out samples at a setting."""


def principal_axes(features: Tensor) -> tuple[Tensor, Tensor]:
    """What the linear probe is fitted to: features turned to their principal axes, with a column of ones.

    A rotation changes neither the penalty nor what can be fitted, and axes on which no sample lies get no weight: so
    there are at most as many as samples. No label is looked at.

    Args:
        features: `(samples, features)`, standardised.

    Returns:
        `(samples, axes + 1)`, and the variance of each column, that of the ones taken as 1.
    """
    samples, width = features.shape
    if width <= samples:
        variance, axes = torch.linalg.eigh((features.T @ features).double() / samples)
        used = _positive(variance)
        turned = features @ axes[:, used].to(features.dtype)
    else:
        variance, places = torch.linalg.eigh((features @ features.T).double() / samples)
        used = _positive(variance)
        turned = (places[:, used] * (samples * variance[used]).sqrt()).to(features.dtype)
    return F.pad(turned, (0, 1), value=1.0), F.pad(variance[used].to(features.dtype), (0, 1), value=1.0)


def squares_too(features: Tensor) -> tuple[Tensor, Tensor]:
    """What the quadratic probe is fitted to: the features and their squares, standardised, turned as `principal_axes`.

    Args:
        features: `(samples, features)`, standardised.
    """
    squares = features.square()
    squares -= squares.mean(dim=0)
    deviation = squares.std(dim=0, correction=0)
    # Of a column of two values opposite each other the square is a constant, but for rounding.
    return principal_axes(torch.cat([features, squares * torch.where(deviation > 1e-4, 1 / deviation, 0.0)], dim=1))


def _positive(variance: Tensor) -> Tensor:
    return variance > max(1e-7 * float(variance.max()), 1e-12)


def fit_linear(training: Training) -> Fitted:
    r"""Multinomial logistic regression at each of `PENALTIES`.

    .. math:: \min_W \frac1n \sum_i -\log \mathrm{softmax}(b + W x_i)_{y_i} + \frac\lambda2 \|W\|^2

    where :math:`b` are the log-frequencies and :math:`\lambda` the penalty, by L-BFGS from :math:`W = 0`. The held-out
    samples are scored by a probe of the chosen penalty that is fitted to all the training samples.
    """
    x, variance = training.features, training.variance
    scores = [x.new_zeros(len(x), len(training.base)) for _ in PENALTIES]
    weights = [x.new_zeros(len(training.base), x.shape[1]) for _ in PENALTIES]
    turns = len(training.bases)
    for part, base in enumerate(training.bases):
        inside = training.part == part
        weight, seen, labels = torch.zeros_like(weights[0]), x[~inside], training.labels[~inside]
        for setting, penalty in enumerate(PENALTIES):
            weight = _minimise(seen, labels, base, penalty, variance, weight, _PATH_STEPS)
            scores[setting][inside] = F.linear(x[inside], weight)
            weights[setting] += weight / turns

    def final(setting: int) -> Tensor:
        start, penalty = weights[setting], PENALTIES[setting]
        weight = _minimise(x, training.labels, training.base, penalty, variance, start, _FINAL_STEPS)
        return F.linear(training.held_out, weight)

    return scores, final


def _minimise(
    x: Tensor, labels: Tensor, base: Tensor, penalty: float, variance: Tensor, start: Tensor, steps: int
) -> Tensor:
    # In units in which the curvature is about the same along every axis, so that few steps suffice: the Hessian along
    # an axis is its variance times the mean of p (1 - p), and the penalty.
    share = base.exp()
    curvature = float((share * (1 - share)).mean())
    unit = (curvature * variance + penalty).rsqrt()
    weight, places = start / unit, (torch.arange(len(x)), labels)
    optimiser = torch.optim.LBFGS(
        [weight], max_iter=steps, tolerance_grad=_GRADIENT, tolerance_change=_CHANGE, line_search_fn="strong_wolfe"
    )

    @torch.no_grad()
    def closure() -> Tensor:
        scaled = weight * unit
        log_probability = torch.log_softmax(F.linear(x, scaled, base), dim=1)
        loss = penalty / 2 * scaled.square().sum() - log_probability[places].mean()
        # By hand, since that takes half the time: softmax less one-hot, on the features.
        residual = log_probability.exp_()
        residual[places] -= 1
        weight.grad = torch.addmm(penalty * scaled, residual.T, x, alpha=1 / len(x)) * unit
        return loss

    optimiser.step(closure)
    return weight * unit


def unchanged(features: Tensor) -> tuple[Tensor, Tensor]:
    """What the network is fitted to: the features as they are, and the variance of each."""
    return features, features.var(dim=0, correction=0)


def fit_mlp(training: Training) -> Fitted:
    """One hidden layer of 256 rectified units, trained by AdamW on all parts but one and stopped early on that one.

    There is one setting. The held-out samples get the mean of the scores of the networks, one a turn. The output
    layer starts at zero, so that a network that nothing improves says nothing.
    """
    scores = training.features.new_zeros(len(training.features), len(training.base))
    held_out = training.features.new_zeros(len(training.held_out), len(training.base))
    for part in range(len(training.bases)):
        inside = training.part == part
        network = _train_network(training, inside, part)
        scores[inside] = _scores(network, training.features[inside])
        held_out += _scores(network, training.held_out) / len(training.bases)
    return [scores], lambda _: held_out


def _train_network(training: Training, inside: Tensor, part: int) -> list[Tensor]:
    x, labels, base = training.features[~inside], training.labels[~inside], training.bases[part]
    generator = torch.Generator().manual_seed(int(np.random.SeedSequence((*training.seed, part)).generate_state(1)[0]))
    network = [
        torch.randn(x.shape[1], _HIDDEN, generator=generator, dtype=x.dtype) * (2 / x.shape[1]) ** 0.5,
        x.new_zeros(_HIDDEN),
        x.new_zeros(_HIDDEN, len(base)),
        x.new_zeros(len(base)),
    ]
    for tensor in network:
        tensor.requires_grad_(True)
    optimiser = torch.optim.AdamW(network, lr=_RATE, weight_decay=_DECAY)
    best, kept, waited = float("inf"), [tensor.detach().clone() for tensor in network], 0
    for _ in range(_EPOCHS):
        with torch.no_grad():
            inner = float(F.cross_entropy(base + _scores(network, training.features[inside]), training.labels[inside]))
        if inner < best - _LEAST_GAIN:
            best, kept, waited = inner, [tensor.detach().clone() for tensor in network], 0
        else:
            waited += 1
            if waited == _PATIENCE:
                break
        for batch in torch.randperm(len(x), generator=generator).split(_BATCH):
            optimiser.zero_grad()
            loss = F.cross_entropy(base + _scores(network, x[batch]), labels[batch])
            loss.backward()
            optimiser.step()
    return kept


def _scores(network: list[Tensor], x: Tensor) -> Tensor:
    first, first_bias, second, second_bias = network
    return torch.relu(x @ first + first_bias) @ second + second_bias


@contextmanager
def recording() -> Iterator[None]:
    """Gradients, also where the caller has switched them off."""
    with torch.inference_mode(False), torch.enable_grad():
        yield
