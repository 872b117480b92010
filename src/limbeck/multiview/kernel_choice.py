"""How the kernel path scales and weighs views, weighs classes, and how wide and smooth it is: by leaving one out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from limbeck.multiview.evaluation import each_cross_entropy_nats, probabilities
from limbeck.multiview.kernels import (
    Floats,
    gaussian_kernel,
    mean_kernel,
    mean_with_joint,
    median_distance,
    squared_distances,
    weighted_mean,
)
from limbeck.multiview.scaling import ScalingName, candidates, fit_scaling
from limbeck.multiview.training import fit_temperature
from limbeck.multiview.views import Matrix, Views, present_matrix, select

Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]

BANDWIDTHS = (2.0, 1.0, 0.5)
# Of the kernel of all views together, which weighs as much as all others; it is there only where leaving one out is
# better by so many standard errors.
JOINT_BANDWIDTHS = (1.0, 0.7, 0.5, 0.35)
JOINT_ERRORS = 1.0
RIDGES = tuple(10.0 ** (-5 + 0.5 * step) for step in range(15))  # 1e-5 to 100
# Of ridges whose cross-entropies differ by less than this share the largest is taken: where leaving one out cannot tell
# them apart, a small one may still blow up two rows that are nearly alike and have different labels.
ALIKE = 1e-3
# A view's weight is doubled or halved where leaving one out gets better by so many standard errors of the difference.
# All such steps together are kept where they do by so many: there are many of them, and few rows decide at few errors.
STEP_ERRORS, KEPT_ERRORS = 2.0, 2.5
ROUNDS = 3
LEAST_SHARE = 0.02  # of all weight: no view is dropped
# Where the rows of a class share its weight, leaving one out leaves more to each of the others. In classes of at most
# so many rows that is taken into account: of three, two have half as much again each.
FEW = 3
# A score is a share of a class, between 0 and 1: logits of such scores differ by about this much.
SCORE_SCALE = 10.0


@dataclass(frozen=True)
class Choice:
    """What leaving one out settled.

    Attributes:
        scalings: one a view.
        bandwidth: of every view's kernel, times the median distance in that view.
        weights: one a view, of its kernel in the mean; 1 in the mean over views.
        joint: bandwidth of a kernel of all views together beside them, see `mean_with_joint`; None: there is none.
        balanced: whether all classes weigh the same, see `balance`.
        ridge: weight of the squared norm, for one row of weight 1.
        cross_entropy: of the scores that leave each row out, at their best temperature, in nats.
    """

    scalings: tuple[ScalingName, ...]
    bandwidth: float
    weights: tuple[float, ...]
    joint: float | None
    balanced: bool
    ridge: float
    cross_entropy: float


def balance(labels: Labels, weight: Floats) -> Floats:
    r"""Weights of rows whose classes all weigh the same.

    .. math:: w_i \frac{n}{C\, n_{y_i}}

    with n rows, C classes that there are, and :math:`n_y` rows of class y: where all have as many, nothing changes.

    Args:
        labels: `(rows,)`.
        weight: `(rows,)` :math:`w_i`.
    """
    _, of_row, count = np.unique(labels, return_inverse=True, return_counts=True)
    return np.asarray(weight * len(labels) / (len(count) * count[of_row]))


def choose(views: Views, labels: Labels, rows: NDArray[np.int64], weight: Floats, classes: int) -> Choice:
    """Scaling, bandwidths, weights of views and classes and ridge, by the cross-entropy when each row is left out.

    All views are first scaled alike, plainly or not, and weigh the same; then each view is tried the other way, and
    kept so where that is better; then views are weighed, see `_weigh`; then a kernel of all views together stands
    beside theirs where that is better by `JOINT_ERRORS`. Classes weigh as many rows as they have, or all the same,
    whatever is better. Rows that are alone in their class are learned from and not counted.
    """
    trials = _Trials(select(views, rows), labels[rows], weight[rows], classes)
    options = trials.scalings
    equal = (1.0,) * len(options)
    alike = {tuple(names[min(number, len(names) - 1)] for names in options) for number in range(2)}
    best = _least(trials.best(names, bandwidth, equal) for names in sorted(alike) for bandwidth in BANDWIDTHS)
    if len(options) == 1:
        return best
    for view, names in enumerate(options):
        for name in names:
            if name != best.scalings[view]:
                other = (*best.scalings[:view], name, *best.scalings[view + 1 :])
                best = _least([best, trials.best(other, best.bandwidth, equal)])
    weights = _weigh(trials.by_weights(best), [present_matrix(matrix).shape[1] for matrix in views.matrices])
    if weights != equal:
        best = trials.best(best.scalings, best.bandwidth, weights)
    joint = _least(trials.best(best.scalings, best.bandwidth, weights, joint) for joint in JOINT_BANDWIDTHS)
    return joint if _errors(trials.each_nats(best) - trials.each_nats(joint)) > JOINT_ERRORS else best


def _least(trials: Iterable[Choice]) -> Choice:
    return min(trials, key=lambda trial: trial.cross_entropy)


class _Trials:
    """Choices, measured by leaving out each row of some.

    Attributes:
        scalings: of each view, those that are tried.
    """

    def __init__(self, some: Views, labels: Labels, weight: Floats, classes: int) -> None:
        self.scalings = [candidates(present_matrix(matrix)) for matrix in some.matrices]
        self._present = some.present
        self._distances = [
            {name: _own_distances(name, present_matrix(matrix), here) for name in names}
            for names, matrix, here in zip(self.scalings, some.matrices, some.present, strict=True)
        ]
        uneven = len(np.unique(np.unique(labels, return_counts=True)[1])) > 1
        self._left_out = {
            balanced: _LeftOut(labels, weight, classes, balanced=balanced)
            for balanced in ((False, True) if uneven else (False,))
        }

    def best(
        self,
        names: tuple[ScalingName, ...],
        bandwidth: float,
        weights: tuple[float, ...],
        joint: float | None = None,
    ) -> Choice:
        """With the best weights of classes and ridge."""
        kernel = self._kernel(names, bandwidth, weights, joint)
        trials = []
        for balanced, regression in self._left_out.items():
            nats = regression.nats_by_ridge(kernel)
            number = max(number for number, own in enumerate(nats) if own <= min(nats) * (1 + ALIKE))
            trials.append(Choice(names, bandwidth, weights, joint, balanced, RIDGES[number], nats[number]))
        return _least(trials)

    def each_nats(self, choice: Choice) -> Floats:
        """Cross-entropy, nats, of every row that is counted."""
        kernel = self._kernel(choice.scalings, choice.bandwidth, choice.weights, choice.joint)
        return self._left_out[choice.balanced].each_nats(kernel, choice.ridge)

    def by_weights(self, choice: Choice) -> Callable[[Floats], Floats]:
        """The same for given weights of views, of a choice without a joint kernel."""
        present = self._present
        kernels = [
            gaussian_kernel(squared, choice.bandwidth, there, there)
            for squared, there in zip(self._squared(choice.scalings), present, strict=True)
        ]

        def each_nats(weights: Floats) -> Floats:
            kernel = weighted_mean(kernels, weights, present, present)
            return self._left_out[choice.balanced].each_nats(kernel, choice.ridge)

        return each_nats

    def _kernel(
        self, names: tuple[ScalingName, ...], bandwidth: float, weights: tuple[float, ...], joint: float | None
    ) -> Floats:
        squared, bandwidths, present = self._squared(names), [bandwidth] * len(names), self._present
        if joint is None:
            return mean_kernel(squared, bandwidths, present, present, weights)
        return mean_with_joint(squared, bandwidths, [1.0] * len(names), weights, joint, present, present)

    def _squared(self, names: tuple[ScalingName, ...]) -> list[Floats]:
        return [of_view[name] for of_view, name in zip(self._distances, names, strict=True)]


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
    """Their mean in units of its standard error; 0 where all are equal, or there is but one."""
    if len(differences) < 2:
        return 0.0
    error = float(differences.std(ddof=1)) / np.sqrt(len(differences))
    return float(differences.mean()) / error if error > 0 else 0.0


def _own_distances(name: ScalingName, matrix: Matrix, present: Mask) -> Floats:
    """Squared distances between rows, in units of the median distance."""
    if not present.any():
        return np.zeros((len(present), len(present)))
    scaled = fit_scaling(name, matrix[np.flatnonzero(present)])(matrix)
    squared = squared_distances(scaled, scaled)
    return squared / median_distance(squared, present) ** 2


class _LeftOut:
    r"""Kernel ridge regression that leaves each row out, in closed form.

    With :math:`G = (K + \rho W^{-1})^{-1}` the score of row i without itself is :math:`y_i - Z_i`,
    :math:`Z_i = (G y)_i / G_{ii}`: no regression is solved twice. Where classes weigh the same, the other rows j of its
    class S, each of weight :math:`w_j`, then weigh :math:`w_j n / (n - 1)`, n = |S|: :math:`Z_i` is entry i of
    :math:`(D + G_{SS})^{-1} (G y)_S` with the diagonal :math:`D_{jj} = -n w_j / \rho`, :math:`D_{ii} = 0`.

    Args:
        labels: `(rows,)`.
        weight: `(rows,)` above 0.
        classes: how many.
        balanced: whether all classes weigh the same.
    """

    def __init__(self, labels: Labels, weight: Floats, classes: int, *, balanced: bool) -> None:
        weight = balance(labels, weight) if balanced else weight
        self.labels, self.root = labels, np.sqrt(weight)
        onehot = np.eye(classes)[labels]
        self.shares = np.average(onehot, axis=0, weights=weight)
        self.target = onehot - self.shares
        members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        self.few = [
            np.stack(of_size)
            for size in range(2, FEW + 1 if balanced else 0)
            if (of_size := [rows for rows in members if len(rows) == size])
        ]
        several = np.flatnonzero(np.bincount(labels)[labels] > 1)
        self.counted = several if len(several) else np.arange(len(labels))

    def nats_by_ridge(self, kernel: Floats) -> list[float]:
        """Mean cross-entropy, nats, of each of `RIDGES`: by eigenvectors."""
        values, vectors = scipy.linalg.eigh(self.root[:, np.newaxis] * kernel * self.root)
        projected = vectors.T @ (self.root[:, np.newaxis] * self.target)
        squares = vectors**2
        found = []
        for ridge in RIDGES:
            inverse = 1 / (np.maximum(values, 0) + ridge)
            blocks = [
                np.einsum("cri,i,csi->crs", vectors[rows], inverse, vectors[rows], optimize=True) for rows in self.few
            ]
            solved = vectors @ (inverse[:, np.newaxis] * projected)
            found.append(float(self._nats(solved, squares @ inverse, blocks, ridge).mean()))
        return found

    def each_nats(self, kernel: Floats, ridge: float) -> Floats:
        """Cross-entropy, nats, of every row that is counted: one inverse instead of all eigenvectors."""
        system = self.root[:, np.newaxis] * kernel * self.root
        system.flat[:: len(system) + 1] += ridge
        inverse = scipy.linalg.inv(system, overwrite_a=True, check_finite=False)
        blocks = [inverse[rows[:, :, np.newaxis], rows[:, np.newaxis, :]] for rows in self.few]
        return self._nats(inverse @ (self.root[:, np.newaxis] * self.target), np.diag(inverse), blocks, ridge)

    def _nats(self, solved: Floats, diagonal: Floats, blocks: Sequence[Floats], ridge: float) -> Floats:
        """From the inverse of W^1/2 K W^1/2 + ρ: its product with the weighted target, its diagonal, some blocks."""
        root = self.root[:, np.newaxis]
        without = solved / (diagonal[:, np.newaxis] * root)
        for rows, block in zip(self.few, blocks, strict=True):
            of_rows = self.root[rows]
            own = of_rows[:, :, np.newaxis] * block * of_rows[:, np.newaxis, :]
            size = rows.shape[1]
            for left in range(size):
                system = own.copy()
                for other in set(range(size)) - {left}:
                    system[:, other, other] -= size * of_rows[:, other] ** 2 / ridge
                found = np.linalg.solve(system, (root * solved)[rows])
                without[rows[:, left]] = found[:, left]
        return _each_nats((self.target - without + self.shares)[self.counted], self.labels[self.counted])


def mean_nats(scores: Floats, labels: Labels) -> float:
    """Cross-entropy at the best temperature."""
    return float(_each_nats(scores, labels).mean())


def _each_nats(scores: Floats, labels: Labels) -> Floats:
    """Cross-entropy of every row at the best temperature."""
    scaled = SCORE_SCALE * scores
    temperature = fit_temperature(scaled.astype(np.float32), labels)
    return np.asarray(each_cross_entropy_nats(probabilities(scaled, temperature), labels), np.float64)
