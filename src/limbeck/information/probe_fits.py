"""The two probes.

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
_HIDDEN, _RATE, _DECAY, _BATCH, _EPOCHS, _PATIENCE, _LEAST_GAIN = 256, 2e-3, 1e-2, 128, 200, 12, 1e-3


@dataclass(frozen=True)
class Training:
    """What a probe may see of one fold.

    Attributes:
        features: `(train, features)`, standardised.
        labels: `(train,)`.
        part: `(train,)` the inner part of each sample.
        base: `(classes,)` log-frequencies of the classes in training.
        bases: `(parts, classes)` the same without each part.
        held_out: `(test, features)` of the fold itself; its labels are not here.
        seed: numbers that every draw is keyed by.
    """

    features: Tensor
    labels: Tensor
    part: Tensor
    base: Tensor
    bases: Tensor
    held_out: Tensor
    seed: tuple[int, ...]


Fitted = tuple[list[Tensor], Callable[[int], Tensor]]
"""For each setting, scores `(train, classes)` of every sample by a probe that did not see its inner part; and the
scores `(test, classes)` of the held-out samples at a setting."""


def fit_linear(training: Training) -> Fitted:
    r"""Multinomial logistic regression at each of `PENALTIES`.

    .. math:: \min_W \frac1n \sum_i -\log \mathrm{softmax}(b + W^T [x_i, 1])_{y_i} + \frac\lambda2 \|W\|^2

    where :math:`b` are the log-frequencies and :math:`\lambda` the penalty, by L-BFGS from :math:`W = 0`. The held-out
    samples are scored by a probe of the chosen penalty that is fitted to all the training samples.
    """
    x, held_out = (F.pad(features, (0, 1), value=1.0) for features in (training.features, training.held_out))
    scores = [x.new_zeros(len(x), len(training.base)) for _ in PENALTIES]
    weights = [x.new_zeros(x.shape[1], len(training.base)) for _ in PENALTIES]
    parts = len(training.bases)
    for part in range(parts):
        inside = training.part == part
        weight = torch.zeros_like(weights[0])
        for setting, penalty in enumerate(PENALTIES):
            weight = _minimise(x[~inside], training.labels[~inside], training.bases[part], penalty, weight, _PATH_STEPS)
            scores[setting][inside] = x[inside] @ weight
            weights[setting] += weight / parts

    def final(setting: int) -> Tensor:
        start, penalty = weights[setting], PENALTIES[setting]
        return held_out @ _minimise(x, training.labels, training.base, penalty, start, _FINAL_STEPS)

    return scores, final


def _minimise(x: Tensor, labels: Tensor, base: Tensor, penalty: float, start: Tensor, steps: int) -> Tensor:
    weight = start.clone().requires_grad_(True)
    optimiser = torch.optim.LBFGS(
        [weight], max_iter=steps, tolerance_grad=1e-5, tolerance_change=1e-7, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = F.cross_entropy(base + x @ weight, labels) + penalty / 2 * weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return weight.detach()


def fit_mlp(training: Training) -> Fitted:
    """One hidden layer of 256 rectified units, trained by AdamW on all parts but one and stopped early on that one.

    There is one setting. The held-out samples get the mean of the scores of the networks, one for each part. The output
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
