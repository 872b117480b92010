"""How the kernel path scales and weighs views, how wide its kernels are and its ridge: by leaving one out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from limbeck.multiview.evaluation import probabilities
from limbeck.multiview.kernels import Floats, mean_kernel, median_distance, squared_distances, weighted_mean
from limbeck.multiview.scaling import ScalingName, candidates, fit_scaling
from limbeck.multiview.training import fit_temperature
from limbeck.multiview.views import Matrix, Views, present_matrix, select

Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]

BANDWIDTHS = (2.0, 1.0, 0.5)
RIDGES = tuple(10.0 ** (-5 + 0.5 * step) for step in range(13))  # 1e-5 to 10
# Of ridges whose cross-entropies differ by less than this share the largest is taken: where leaving one out cannot tell
# them apart, a small one may still blow up two rows that are nearly alike and have different labels.
ALIKE = 1e-3
# A view's weight is doubled or halved where leaving one out gets better by so many standard errors of the difference.
# All such steps together are kept where they do by so many: there are many of them, and few rows decide at few errors.
STEP_ERRORS, KEPT_ERRORS = 2.0, 2.5
ROUNDS = 3
LEAST_SHARE = 0.02  # of all weight: no view is dropped
# A score is a share of a class, between 0 and 1: logits of such scores differ by about this much.
SCORE_SCALE = 10.0


@dataclass(frozen=True)
class Choice:
    """What leaving one out settled.

    Attributes:
        scalings: one a view.
        bandwidth: of every view's kernel, times the median distance in that view.
        weights: one a view, of its kernel in the mean; 1 in the mean over views.
        ridge: weight of the squared norm, for one row of weight 1.
        cross_entropy: of the scores that leave each row out, at their best temperature, in nats.
    """

    scalings: tuple[ScalingName, ...]
    bandwidth: float
    weights: tuple[float, ...]
    ridge: float
    cross_entropy: float


def choose(views: Views, labels: Labels, rows: NDArray[np.int64], weight: Floats, classes: int) -> Choice:
    """Scaling, bandwidth, weights of the views and ridge by the cross-entropy when each of the rows is left out.

    All views are first scaled alike, plainly or not, and weigh the same; then each view is tried the other way, and
    kept so where that is better; then views are weighed, see `_weigh`.
    """
    some = select(views, rows)
    onehot = np.eye(classes)[labels[rows]]
    root = np.sqrt(weight[rows])
    options = [candidates(present_matrix(matrix)) for matrix in some.matrices]
    distances = [
        {name: _own_distances(name, present_matrix(matrix), here) for name in names}
        for names, matrix, here in zip(options, some.matrices, some.present, strict=True)
    ]
    equal = (1.0,) * len(options)

    def best_of(
        names: tuple[ScalingName, ...], bandwidths: Sequence[float], weights: tuple[float, ...] = equal
    ) -> Choice:
        squared = [of_view[name] for of_view, name in zip(distances, names, strict=True)]
        trials = []
        for bandwidth in bandwidths:
            kernel = mean_kernel(squared, [bandwidth] * len(squared), some.present, some.present, weights)
            nats = _leave_one_out(kernel, onehot, labels[rows], root)
            number = max(number for number, own in enumerate(nats) if own <= min(nats) * (1 + ALIKE))
            trials.append(Choice(names, bandwidth, weights, RIDGES[number], nats[number]))
        return min(trials, key=lambda trial: trial.cross_entropy)

    alike = {tuple(names[min(number, len(names) - 1)] for names in options) for number in range(2)}
    best = min((best_of(names, BANDWIDTHS) for names in sorted(alike)), key=lambda trial: trial.cross_entropy)
    if len(options) == 1:
        return best
    for view, names in enumerate(options):
        for name in names:
            if name != best.scalings[view]:
                other = (*best.scalings[:view], name, *best.scalings[view + 1 :])
                best = min(best, best_of(other, (best.bandwidth,)), key=lambda trial: trial.cross_entropy)
    kernels = [
        np.where(there[:, np.newaxis] & there, np.exp(of_view[name] / (-2 * best.bandwidth**2)), 0.0)
        for of_view, name, there in zip(distances, best.scalings, some.present, strict=True)
    ]

    def left_out(weights: Floats) -> Floats:
        kernel = weighted_mean(kernels, weights, some.present, some.present)
        return _left_out_nats(kernel, onehot, labels[rows], root, best.ridge)

    weights = _weigh(left_out, [present_matrix(matrix).shape[1] for matrix in some.matrices])
    return best if weights == equal else best_of(best.scalings, (best.bandwidth,), weights)


def _weigh(left_out: Callable[[Floats], Floats], features: Sequence[int]) -> tuple[float, ...]:
    """Weights of the views, one on average: other than 1 only where that is clearly better.

    Views weigh as the roots of their numbers of features where that is better than alike; then one weight after the
    other is doubled or halved as long as that is.

    Args:
        left_out: cross-entropy of every row, left out, for given weights.
        features: of each view.
    """
    equal = np.ones(len(features))
    first = left_out(equal)
    if len(first) < 2:
        return tuple(equal.tolist())
    weights, now = equal, first

    def tried(other: Floats) -> bool:
        nonlocal weights, now
        if (other < LEAST_SHARE * other.sum()).any():
            return False
        nats = left_out(other)
        if better := _errors(now - nats) > STEP_ERRORS:
            weights, now = other, nats
        return better

    tried(np.sqrt(np.asarray(features, np.float64)))
    for _ in range(ROUNDS):
        moved = False
        for view in range(len(features)):
            for factor in (2.0, 0.5):
                while tried(np.where(np.arange(len(features)) == view, factor, 1.0) * weights):
                    moved = True
        if not moved:
            break
    if _errors(first - now) <= KEPT_ERRORS:
        weights = equal
    return tuple((weights / weights.mean()).tolist())


def _errors(differences: Floats) -> float:
    """Their mean in units of its standard error; 0 where all are equal."""
    error = float(differences.std(ddof=1)) / np.sqrt(len(differences))
    return float(differences.mean()) / error if error > 0 else 0.0


def _own_distances(name: ScalingName, matrix: Matrix, present: Mask) -> Floats:
    """Squared distances between rows, in units of the median distance."""
    if not present.any():
        return np.zeros((len(present), len(present)))
    scaled = fit_scaling(name, matrix[np.flatnonzero(present)])(matrix)
    squared = squared_distances(scaled, scaled)
    return squared / median_distance(squared, present) ** 2


def _leave_one_out(kernel: Floats, onehot: Floats, labels: Labels, root: Floats) -> list[float]:
    r"""Cross-entropy, nats, of kernel ridge regression that leaves each row out, one number a ridge.

    With :math:`G = (K + \rho W^{-1})^{-1}` the score of row i without itself is
    :math:`y_i - (G y)_i / G_{ii}`: no regression is solved twice.
    """
    shares = np.average(onehot, axis=0, weights=root**2)
    values, vectors = scipy.linalg.eigh(root[:, np.newaxis] * kernel * root)
    projected = vectors.T @ (root[:, np.newaxis] * (onehot - shares))
    squares = vectors**2
    found = []
    for ridge in RIDGES:
        inverse = 1 / (np.maximum(values, 0) + ridge)
        residual = (vectors @ (inverse[:, np.newaxis] * projected)) / (squares @ inverse)[:, np.newaxis]
        found.append(mean_nats(onehot - residual / root[:, np.newaxis], labels))
    return found


def _left_out_nats(kernel: Floats, onehot: Floats, labels: Labels, root: Floats, ridge: float) -> Floats:
    """The same for one ridge, of every row: one inverse instead of all eigenvectors."""
    shares = np.average(onehot, axis=0, weights=root**2)
    system = root[:, np.newaxis] * kernel * root
    system.flat[:: len(system) + 1] += ridge
    inverse = scipy.linalg.inv(system, overwrite_a=True, check_finite=False)
    residual = (inverse @ (root[:, np.newaxis] * (onehot - shares))) / np.diag(inverse)[:, np.newaxis]
    return _each_nats(onehot - residual / root[:, np.newaxis], labels)


def mean_nats(scores: Floats, labels: Labels) -> float:
    """Cross-entropy at the best temperature."""
    return float(_each_nats(scores, labels).mean())


def _each_nats(scores: Floats, labels: Labels) -> Floats:
    """Cross-entropy of every row at the best temperature."""
    scaled = SCORE_SCALE * scores
    probability = probabilities(scaled, fit_temperature(scaled.astype(np.float32), labels))
    chosen = probability[np.arange(len(labels)), labels]
    return np.asarray(-np.log(np.maximum(chosen, np.finfo(np.float64).tiny)))
