"""The kernel path: ridge regression on Gaussian kernels of each view and of all together, beside the networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import scipy.linalg
import scipy.sparse
import torch
from numpy.typing import NDArray

from limbeck.multiview.held_out import HeldOutKernel
from limbeck.multiview.kernel_choice import Choice, Labels, Mask, balance, choose, mean_nats
from limbeck.multiview.kernels import (
    Floats,
    gaussian_kernel,
    inverse_root,
    joint_weights,
    mean_kernel,
    mean_with_joint,
    median_distance,
    squared_distances,
    with_joint,
)
from limbeck.multiview.scaling import Scaled, ViewScaling, fit_scaling
from limbeck.multiview.views import Matrix, Views, present_matrix
from limbeck.tensorfiles import under

# Rows that stand for all in the kernel: with more rows than these the path is a Nyström approximation.
LANDMARKS = 3000
# Rows by which scaling, bandwidth and ridge are chosen, by leaving one out.
CHOICE_ROWS = 600
# Times the ridge that leaving one out chose: what is tried on the parts.
REFINED = (0.01, 0.1, 10**-0.5, 1.0, 10**0.5)
# Rows that are answered at once.
BLOCK = 1024
# Bytes that the kernels of all views may take together; where they would take more each is computed twice.
KEPT = 2**28
_PREFIX = "kernel_path."


@dataclass(frozen=True, eq=False)
class KernelPath:
    r"""Scores of classes from the weighted mean of one Gaussian kernel a view, and maybe one of all views together.

    .. math:: s(x) = \mu + \sum_{l=1}^{m} k(x, x_l) \alpha_l

    where k is `mean_kernel` on scaled views, or `mean_with_joint` (`choice.joint`), :math:`x_l` the m landmarks,
    :math:`\mu` the shares of the classes and :math:`\alpha`, (m, classes), minimises
    :math:`\sum_i w_i \|Y_i - s(x_i)\|^2 + \rho \|s - \mu\|_k^2` over all rows i learned from, with one-hot labels
    :math:`Y_i`, the ridge :math:`\rho` and weights :math:`w_i`: those of the samples, or these balanced
    (`limbeck.multiview.kernel_choice.balance`). Where the landmarks are all rows this is kernel ridge regression; where
    they are a part, its Nyström approximation. There is a solution for all views, and one for each view missing: a
    sample that lacks one view is answered as if nobody had it. Of one that lacks several, the terms of its views in the
    solution for all are summed, as `mean_kernel` has it; beside a joint kernel in one more solution, by `mean_kernel`.

    Attributes:
        choice: scaling, bandwidths, weights of views and classes and ridge.
        scalings: one a view.
        bandwidths: one a view, above 0: that of the choice times the median distance.
        landmarks: one a view: `(m, features)`, scaled.
        present: `(views, m)` which landmark has which view.
        shares: `(classes,)` :math:`\mu`.
        solutions: `(1 + views, m, classes)` :math:`\alpha`, for all views and without each; with one view `(1, ...)`;
            with `choice.joint` and three views or more one more, for samples that lack several.
        of_parts: `(parts, ...)` the same without the rows of each part; `(0, ...)` where these are none of the rows.
    """

    choice: Choice
    scalings: tuple[ViewScaling, ...]
    bandwidths: tuple[float, ...]
    landmarks: tuple[Scaled, ...]
    present: Mask
    shares: Floats
    solutions: Floats
    of_parts: Floats

    def to_tensors(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """What JSON can hold, and everything else under names that no weight of a network has."""
        arrays: dict[str, NDArray[Any]] = {
            "present": self.present,
            "shares": self.shares,
            "solutions": self.solutions,
            "of_parts": self.of_parts,
        }
        for view, (scaling, marks) in enumerate(zip(self.scalings, self.landmarks, strict=True)):
            arrays |= {f"{view}.scaling.{name}": array for name, array in scaling.arrays.items()}
            if isinstance(marks, np.ndarray):
                arrays[f"{view}.landmarks"] = marks
            else:
                arrays |= {f"{view}.landmarks.{part}": getattr(marks, part) for part in ("data", "indices", "indptr")}
        described = {
            "choice": asdict(self.choice),
            "bandwidths": list(self.bandwidths),
            "widths": [int(marks.shape[1]) for marks in self.landmarks],
        }
        return described, {_PREFIX + name: torch.from_numpy(np.ascontiguousarray(one)) for name, one in arrays.items()}

    @classmethod
    def from_tensors(cls, described: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Self:
        """What `to_tensors` gave.

        Raises:
            KeyError, ValueError: something is missing or does not fit.
        """
        own = {name: part.cpu().numpy() for name, part in under(_PREFIX, tensors).items()}
        choice = dict(described["choice"])
        names = tuple(choice.pop("scalings"))
        # Earlier versions weighed neither views nor classes.
        weights = tuple(float(one) for one in choice.pop("weights", [1.0] * len(names)))
        balanced = bool(choice.pop("balanced", False))
        joint = choice.pop("joint", None)  # nor was there a kernel of all views together
        scalings, landmarks = [], []
        for view, (name, width) in enumerate(zip(names, described["widths"], strict=True)):
            scalings.append(ViewScaling(name, under(f"{view}.scaling.", own)))
            if f"{view}.landmarks" in own:
                landmarks.append(own[f"{view}.landmarks"])
            else:
                parts = tuple(own[f"{view}.landmarks.{part}"] for part in ("data", "indices", "indptr"))
                shape = (own["present"].shape[1], int(width))
                marks = scipy.sparse.csr_array(parts, shape=shape)
                marks.check_format(full_check=True)  # scipy takes places on trust, and would read beyond the array
                landmarks.append(marks)
        return cls(
            Choice(names, weights=weights, balanced=balanced, joint=None if joint is None else float(joint), **choice),
            tuple(scalings),
            tuple(float(one) for one in described["bandwidths"]),
            tuple(landmarks),
            own["present"],
            own["shares"],
            own["solutions"],
            own.get("of_parts", np.empty((0, *own["solutions"].shape))),  # earlier versions did not keep them
        )

    def check(self, views: Sequence[tuple[int, bool]], classes: int) -> None:
        """Refuse parts of another model, as a file may hold them.

        Args:
            views: features of each, and whether it is sparse.
            classes: how many.

        Raises:
            ValueError: a part is of another shape, kind of number or way of scaling.
        """
        count = len(self.present[0]) if self.present.ndim == 2 else -1
        shapes = {
            "present": (self.present, (len(views), count), "b"),
            "shares": (self.shares, (classes,), "f"),
            "solutions": (self.solutions, (_solutions(len(views), self.choice), count, classes), "f"),
            "of_parts": (self.of_parts, (len(self.of_parts), *self.solutions.shape), "f"),
        }
        for name, (part, shape, kind) in shapes.items():
            if part.shape != shape or part.dtype.kind != kind:
                raise ValueError(f"{_PREFIX}{name} is {part.shape} {part.dtype}")
        if not len(self.scalings) == len(self.bandwidths) == len(self.landmarks) == len(views):
            raise ValueError(f"{_PREFIX} is not of {len(views)} views")
        if not all(0 < bandwidth < np.inf for bandwidth in self.bandwidths):
            raise ValueError(f"{_PREFIX}bandwidths must be above 0")
        if len(self.choice.weights) != len(views) or not all(0 < weight < np.inf for weight in self.choice.weights):
            raise ValueError(f"{_PREFIX}weights must be above 0, one a view")
        if self.choice.joint is not None and not 0 < self.choice.joint < np.inf:
            raise ValueError(f"{_PREFIX}joint must be above 0")
        for (features, sparse), scaling, marks in zip(views, self.scalings, self.landmarks, strict=True):
            width = scaling.check(features, sparse=sparse)
            if marks.shape != (count, width) or marks.dtype.kind != "f" or scipy.sparse.issparse(marks) != sparse:
                raise ValueError(f"{_PREFIX}landmarks are {marks.shape} {marks.dtype}")

    def scores(self, views: Views) -> Floats:
        """Scores `(samples, classes)` from the views that each sample has."""
        return np.asarray(self._scores(views, self.solutions[np.newaxis])[0])

    def part_scores(self, views: Views) -> Floats:
        """The same by the solutions without each part, `(parts, samples, classes)`; one of all rows without parts."""
        return self._scores(views, self.of_parts if len(self.of_parts) else self.solutions[np.newaxis])

    def _scores(self, views: Views, solutions: Floats) -> Floats:
        """By solutions `(several, 1 + views, m, classes)`, for which every kernel is computed once."""
        result = np.empty((len(solutions), views.samples, len(self.shares)))
        for rows, distances, present in self._blocks(views):
            pattern = pattern_of(present, _several(len(present), self.choice))
            for number in np.unique(pattern):
                of = pattern == number
                kernel = self._kernel([block[of] for block in distances], present[:, of], number)
                result[:, np.flatnonzero(of) + rows] = self.shares + kernel @ solutions[:, number]
        return result

    def _kernel(self, squared: Sequence[Floats], present: Mask, number: int) -> Floats:
        """Between samples and landmarks, from squared distances in every view, as a solution was solved with it."""
        choice, marked = self.choice, without(self.present, number)
        if choice.joint is None or number > len(present):
            return mean_kernel(squared, self.bandwidths, present, marked, choice.weights)
        medians = [bandwidth / choice.bandwidth for bandwidth in self.bandwidths]
        left_out = number - 1 if number else None
        return mean_with_joint(
            squared, self.bandwidths, medians, choice.weights, choice.joint, present, marked, left_out=left_out
        )

    def _blocks(self, views: Views) -> Iterator[tuple[int, list[Floats], Mask]]:
        """First row, squared distances to the landmarks in every view, and what is there; a block of rows at a time."""
        for block in _blocks(views.samples):
            distances = [
                squared_distances(scaling(_rows(matrix, block)), landmarks)
                for scaling, matrix, landmarks in zip(self.scalings, views.matrices, self.landmarks, strict=True)
            ]
            yield block.start, distances, views.present[:, block]


def take_kernel_path(
    described: Mapping[str, Any] | None, tensors: Mapping[str, torch.Tensor]
) -> tuple[KernelPath | None, dict[str, torch.Tensor]]:
    """What `KernelPath.to_tensors` put among a file's tensors, None where there is none, and the other tensors."""
    own = {name: tensor for name, tensor in tensors.items() if name.startswith(_PREFIX)}
    others = {name: tensor for name, tensor in tensors.items() if name not in own}
    return (KernelPath.from_tensors(described, own) if described else None), others


def pattern_of(present: Mask, several: int = 0) -> NDArray[np.int64]:
    """Which solution answers a sample: 1 + i where it lacks view i alone, `several` where more, else 0.

    Args:
        present: `(views, samples)`.
        several: the solution of samples that lack several views.
    """
    lacks = (~present).sum(axis=0)
    one = np.where((lacks == 1) & (len(present) > 1), 1 + (~present).argmax(axis=0), 0)
    return np.where(lacks > 1, several, one)


def without(present: Mask, pattern: int) -> Mask:
    """What is there where nobody has the view of a pattern (`pattern_of`)."""
    if not 1 <= pattern <= len(present):
        return present
    left = present.copy()
    left[pattern - 1] = False
    return left


def _solutions(views: int, choice: Choice) -> int:
    return 1 + (views if views > 1 else 0) + (_several(views, choice) > 0)


def _several(views: int, choice: Choice) -> int:
    """The solution of samples that lack several views and still have one: of its own beside a joint kernel."""
    return 1 + views if choice.joint is not None and views > 2 else 0


def fit_kernel_path(
    views: Views,
    labels: Labels,
    rows: NDArray[np.int64],
    parts: Sequence[NDArray[np.int64]],
    *,
    classes: int,
    weights: NDArray[np.floating] | None = None,
    seed: int = 0,
) -> tuple[KernelPath, HeldOutKernel]:
    """Choose, solve, and score the rows of each part by what the other rows say.

    Scaling, bandwidth, weights of views and classes and ridge are those that `choose` finds by leaving out each of at
    most 600 rows. With more rows the ridge is refined by the cross-entropy of the parts. Scalings measure all rows
    learned from, without their labels. Balanced weights without a part are those of the rows left (of all rows, where
    landmarks are fewer than rows).

    Args:
        views: of all samples; each view is there, dense or sparse.
        labels: `(samples,)` from 0 to `classes` - 1.
        rows: which samples are learned from.
        parts: samples to be scored by the others: parts of `rows`, or samples outside; no sample is in two.
        classes: how many.
        weights: `(samples,)` of the squared errors; default 1.
        seed: of the choice of landmarks and of the rows that the choice leaves out.

    Raises:
        ValueError: a sample is in two parts.
    """
    weight = np.ones(len(labels)) if weights is None else weights.astype(np.float64)
    held = np.concatenate([*parts, np.empty(0, np.int64)]).astype(np.int64)
    if len(np.unique(held)) < len(held):
        raise ValueError("parts share a sample: each sample must be in one part at most")
    rows = rows[weight[rows] > 0]
    generator = np.random.default_rng(seed)
    choice = choose(views, labels, _some(rows, labels, CHOICE_ROWS, generator), weight, classes)
    landmarks = _some(rows, labels, LANDMARKS, generator)
    everything = np.union1d(rows, held)
    task = _Task(views, labels, weight, classes, everything, rows, landmarks, tuple(parts), choice)
    return task.solve()


@dataclass(frozen=True, eq=False)
class _Task:
    """A kernel path to be solved for every pattern; row numbers are those of the samples."""

    views: Views
    labels: Labels
    weight: Floats
    classes: int
    everything: NDArray[np.int64]
    rows: NDArray[np.int64]
    landmarks: NDArray[np.int64]
    parts: tuple[NDArray[np.int64], ...]
    choice: Choice

    def solve(self) -> tuple[KernelPath, HeldOutKernel]:
        views = self.views
        present = views.present[:, self.everything]
        of_landmarks = views.present[:, self.landmarks]
        scalings, bandwidths, landmarks = [], [], []
        count = len(views.matrices)
        total = np.zeros((len(self.everything), len(self.landmarks)), self.precision_of_kernels)
        kernels: list[NDArray[np.floating]] = []
        for view in range(count):
            matrix = present_matrix(views.matrices[view])
            known = self.rows[views.present[view, self.rows]]
            scaling = fit_scaling(self.choice.scalings[view], matrix[known])
            marks = scaling(matrix[self.landmarks])
            some = slice(0, CHOICE_ROWS)
            median = median_distance(squared_distances(marks[some], marks[some]), of_landmarks[view, some])
            scalings.append(scaling)
            bandwidths.append(self.choice.bandwidth * median)
            landmarks.append(marks)
            own = self._of_view(view, scaling, bandwidths[view], marks)
            total += own
            if 1 < count <= KEPT // max(own.nbytes, 1):
                kernels.append(own)
            del own
        joint = None if self.choice.joint is None else _Joint(self, scalings, bandwidths, landmarks)
        complete = self._system(total.copy() if count > 1 else total, present, of_landmarks, joint)
        ridge = complete.refined(self.choice.ridge)
        solved = [complete.solved(ridge)]
        del complete  # and its kernel, before there is another
        # For samples that lack several views.
        several = _several(count, self.choice) > 0
        extra = [self._system(total.copy(), present, of_landmarks).solved(ridge)] if several else []
        terms = np.zeros((count, sum(map(len, self.parts)), self.classes), np.float32)
        if count == 1:
            terms[0] = solved[0].scores - self.shares
        for view in range(count if count > 1 else 0):
            if not kernels:
                kernels.append(self._of_view(view, scalings[view], bandwidths[view], landmarks[view]))
            own = kernels.pop(0)
            terms[view] = self._terms(own, of_landmarks, (extra or solved)[0].by_part)
            np.subtract(total, own, out=own)
            solved.append(self._system(own, present, of_landmarks, joint, left_out=view).solved(ridge))
        path = KernelPath(
            replace(self.choice, ridge=ridge),
            tuple(scalings),
            tuple(bandwidths),
            tuple(landmarks),
            of_landmarks,
            self.shares,
            np.stack([one.solution for one in [*solved, *extra]]),
            self._of_parts([*solved, *extra]),
        )
        scores = np.stack([one.scores for one in solved])
        if joint is not None:
            scores = self._as_answered(scores, terms)
        weights = np.asarray(self.choice.weights, np.float32)
        return path, HeldOutKernel(scores, terms, self.shares.astype(np.float32), weights)

    def _as_answered(self, scores: NDArray[np.float32], terms: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores of held-out rows `(1 + views, rows, classes)`, of each as the path answers what has the same views.

        Beside a joint kernel the solution for all views is none for rows that lack one.
        """
        present = self.views.present[:, np.concatenate([*self.parts, np.empty(0, np.int64)])]
        result = np.empty_like(scores)
        for pattern in range(len(scores)):
            left = without(present, pattern)
            number = pattern_of(left, -1)
            result[pattern] = scores[number, np.arange(left.shape[1])]
            added = (terms * left[:, :, np.newaxis]).sum(axis=0)
            added *= inverse_root(left, self.choice.weights)[:, np.newaxis]
            result[pattern, number == -1] = self.shares + added[number == -1]
        return result

    def _of_parts(self, solved: Sequence[_Solved]) -> Floats:
        """Solutions without each part; none where parts lie outside of the rows, so that all of them are the whole."""
        inside = any(np.isin(part, self.rows).any() for part in self.parts)
        found = [[one.by_part[part] for one in solved] for part in range(len(self.parts) if inside else 0)]
        return np.array(found) if found else np.empty((0, len(solved), *solved[0].solution.shape))

    @property
    def shares(self) -> Floats:
        onehot = np.eye(self.classes)[self.labels[self.rows]]
        return np.asarray(np.average(onehot, axis=0, weights=self.weigh(self.rows, self.weight[self.rows])))

    def weigh(self, rows: NDArray[np.int64], weight: Floats) -> Floats:
        """Of rows that a regression learns from, among themselves."""
        return balance(self.labels[rows], weight) if self.choice.balanced else weight

    @property
    def precision_of_kernels(self) -> type[np.floating]:
        """Of kernels: many rows are held in float32."""
        return np.float64 if len(self.landmarks) == len(self.rows) else np.float32

    def _system(
        self,
        numerator: NDArray[np.floating],
        present: Mask,
        of_landmarks: Mask,
        joint: _Joint | None = None,
        *,
        left_out: int | None = None,
    ) -> _System:
        """For all views or without one, from the weighted sum of the kernels of the others."""
        pattern = 0 if left_out is None else 1 + left_out
        here, marked, weights = without(present, pattern), without(of_landmarks, pattern), self.choice.weights
        if joint is not None:
            weights = joint_weights(weights, left_out)
            here, marked = with_joint(here, left_out), with_joint(marked, left_out)
            joint.add(numerator, here[-1], marked[-1], left_out)
        kind = _Dual if len(self.landmarks) == len(self.rows) else _Primal
        return kind(self, numerator, here, marked, weights)

    def _of_view(self, view: int, scaling: ViewScaling, bandwidth: float, landmarks: Scaled) -> NDArray[np.floating]:
        """w exp(-d² / 2h²) between all rows and the landmarks, 0 where either lacks the view; w is its weight."""
        there = self.views.present[view]
        kernel = np.empty((len(self.everything), len(self.landmarks)), self.precision_of_kernels)
        for block in _blocks(len(kernel)):
            squared = self.distances(view, block, scaling, landmarks)
            here = there[self.everything[block]]
            kernel[block] = np.exp(squared / (-2 * bandwidth**2)) * here[:, np.newaxis]
        kernel *= (self.choice.weights[view] * there[self.landmarks]).astype(self.precision_of_kernels)
        return kernel

    def distances(self, view: int, block: slice, scaling: ViewScaling, landmarks: Scaled) -> Floats:
        """Squared distances in a view between a block of all rows and the landmarks."""
        matrix = present_matrix(self.views.matrices[view])
        return squared_distances(scaling(matrix[self.everything[block]]), landmarks)

    def _terms(self, own: NDArray[np.floating], of_landmarks: Mask, by_part: Sequence[Floats]) -> NDArray[np.float32]:
        """One view's part of the scores of held-out rows, by the solutions without them."""
        size = inverse_root(of_landmarks, self.choice.weights)
        places = [np.searchsorted(self.everything, part) for part in self.parts]
        blocks = [
            own[place[block]] @ (solution * size[:, np.newaxis])
            for place, solution in zip(places, by_part, strict=True)
            for block in _blocks(len(place))
        ]
        return np.concatenate([*blocks, np.empty((0, self.classes))]).astype(np.float32)


class _Joint:
    """The joint kernel (`mean_with_joint`) between all rows and the landmarks, of all views or without one.

    What is kept is the weighted sum of squared distances; distances in the view that is left out are computed again.
    """

    def __init__(
        self,
        task: _Task,
        scalings: Sequence[ViewScaling],
        bandwidths: Sequence[float],
        landmarks: Sequence[Scaled],
    ) -> None:
        self.task = task
        self.of_views = list(zip(scalings, landmarks, strict=True))
        medians = np.array(bandwidths) / task.choice.bandwidth
        self.factors = np.array(task.choice.weights) / medians**2
        self.total = np.zeros((len(task.everything), len(task.landmarks)), task.precision_of_kernels)
        for view in range(len(self.of_views)):
            for block in _blocks(len(self.total)):
                self.total[block] += self._of_view(view, block)

    def _of_view(self, view: int, block: slice) -> Floats:
        return np.asarray(self.factors[view] * self.task.distances(view, block, *self.of_views[view]))

    def add(self, numerator: NDArray[np.floating], rows: Mask, landmarks: Mask, left_out: int | None) -> None:
        """Add the kernel, times its weight, in place; it is 0 but between `rows` and `landmarks`."""
        choice = self.task.choice
        weight = joint_weights(choice.weights, left_out)[-1]
        assert choice.joint is not None
        bandwidth = choice.joint * float(np.sqrt(weight))
        for block in _blocks(len(numerator)):
            rest = self.total[block]
            if left_out is not None:
                rest = np.maximum(rest - self._of_view(left_out, block), 0)
            numerator[block] += weight * gaussian_kernel(rest, bandwidth, rows[block], landmarks)


@dataclass(frozen=True, eq=False)
class _Solved:
    """A solution `(m, classes)`, the scores of the rows of all parts, and the solutions without each part."""

    solution: Floats
    scores: NDArray[np.float32]
    by_part: list[Floats]


class _System(ABC):
    """The regression of one pattern, for all rows and without each part.

    Args:
        task: what is solved.
        numerator: `(rows, landmarks)` the weighted sum of the kernels; it becomes their mean in place.
        present: `(kernels, rows)` which of them they have.
        of_landmarks: `(kernels, landmarks)` likewise.
        weights: one a kernel.
    """

    def __init__(
        self,
        task: _Task,
        numerator: NDArray[np.floating],
        present: Mask,
        of_landmarks: Mask,
        weights: Sequence[float],
    ) -> None:
        self.task = task
        numerator *= inverse_root(present, weights)[:, np.newaxis].astype(numerator.dtype)
        numerator *= inverse_root(of_landmarks, weights).astype(numerator.dtype)
        self.kernel = numerator
        self.precision = float(np.finfo(numerator.dtype).eps)
        self.marks = np.searchsorted(task.everything, task.landmarks)
        self.places = [np.searchsorted(task.everything, part) for part in task.parts]
        learned = np.zeros(len(task.everything), bool)
        learned[np.searchsorted(task.everything, task.rows)] = True
        self.weight = task.weight[task.everything] * (learned & present.any(axis=0))
        self.target = np.eye(task.classes)[task.labels[task.everything]] - task.shares

    @abstractmethod
    def whole(self, ridge: float) -> Floats:
        """The solution by all rows, `(m, classes)`."""

    @abstractmethod
    def without_parts(self, ridge: float) -> list[Floats]:
        """The solutions without each part."""

    def solved(self, ridge: float) -> _Solved:
        """Solutions on the landmarks, and the scores of every part by the other rows."""
        by_part = self.without_parts(ridge)
        # Not float32: with a small ridge the coefficients are large and cancel.
        return _Solved(self.whole(ridge), self._scores(by_part).astype(np.float32), by_part)

    def _scores(self, by_part: Sequence[Floats]) -> Floats:
        """Of the rows of every part, a block at a time: a kernel in float32 is not held in float64 as well."""
        blocks = [
            self.kernel[place[block]] @ solution
            for place, solution in zip(self.places, by_part, strict=True)
            for block in _blocks(len(place))
        ]
        return np.asarray(self.task.shares + np.concatenate([*blocks, np.empty((0, self.task.classes))]))

    def refined(self, ridge: float) -> float:
        """The ridge by the cross-entropy of the parts, where there were more rows than it was chosen by."""
        task = self.task
        if len(task.rows) <= CHOICE_ROWS or not task.parts:
            return ridge
        labels = task.labels[np.concatenate(task.parts)]

        def nats(factor: float) -> float:
            return mean_nats(self._scores(self.without_parts(factor * ridge)), labels)

        return ridge * min(REFINED, key=nats)


class _Dual(_System):
    r"""Every row learned from is a landmark: :math:`\alpha = (K + \rho W^{-1})^{-1} (Y - \mu)` over the rows."""

    def whole(self, ridge: float) -> Floats:
        return self._solution(ridge, np.empty(0, np.int64))

    def without_parts(self, ridge: float) -> list[Floats]:
        return [self._solution(ridge, part) for part in self.places]

    def _solution(self, ridge: float, left_out: NDArray[np.int64]) -> Floats:
        """A row without weight, because it has no view left, must not count: its ridge is endless."""
        used = (self.weight[self.marks] > 0) & ~np.isin(self.marks, left_out)
        rows = self.marks[used]
        system = self.kernel[np.ix_(rows, used)].astype(np.float64, copy=False)
        system.flat[:: len(system) + 1] += ridge / self.task.weigh(self.task.everything[rows], self.weight[rows])
        factor = _cholesky(system, self.precision)
        return _spread(scipy.linalg.cho_solve((factor, False), self.target[rows]), used)


class _Primal(_System):
    """Some rows are landmarks: regression on features whose products are the kernel of the landmarks.

    Features are float64 and never held for more than a block of rows: what is kept are their moments in each part.
    """

    @cached_property
    def root(self) -> Floats:
        """The factor of the kernel of the landmarks."""
        return _cholesky(self.kernel[self.marks].astype(np.float64), self.precision)

    @cached_property
    def moments(self) -> list[tuple[Floats, Floats] | None]:
        """Of each part, then of the rows that are in none."""
        used = np.flatnonzero(self.weight > 0)
        weight = self.weight.copy()
        weight[used] = self.task.weigh(self.task.everything[used], weight[used])
        part_of = np.full(len(weight), len(self.places))
        for number, place in enumerate(self.places):
            part_of[place] = number
        return [self._moments(used[part_of[used] == number], weight) for number in range(1 + len(self.places))]

    def _moments(self, rows: NDArray[np.int64], weight: Floats) -> tuple[Floats, Floats] | None:
        r"""The sums over rows of :math:`w f f^T` and :math:`w f (y - \mu)^T` of their features f; None without rows."""
        total: tuple[Floats, Floats] | None = None
        for block in _blocks(len(rows)):
            some = rows[block]
            root = np.sqrt(weight[some])
            features = scipy.linalg.solve_triangular(self.root, self.kernel[some].T.astype(np.float64), trans="T")
            features *= root
            gram, products = features @ features.T, features @ (root[:, np.newaxis] * self.target[some])
            if total is None:
                total = gram, products
            else:
                np.add(total[0], gram, out=total[0])
                np.add(total[1], products, out=total[1])
        return total

    def whole(self, ridge: float) -> Floats:
        return self._solution(ridge, self.moments)

    def without_parts(self, ridge: float) -> list[Floats]:
        return [
            self._solution(ridge, self.moments[:number] + self.moments[number + 1 :])
            for number in range(len(self.places))
        ]

    def _solution(self, ridge: float, moments: Sequence[tuple[Floats, Floats] | None]) -> Floats:
        system = ridge * np.eye(len(self.root))
        target = np.zeros((len(self.root), self.task.classes))
        for moment in moments:
            if moment is not None:
                system += moment[0]
                target += moment[1]
        coefficients = scipy.linalg.solve(system, target, assume_a="pos", overwrite_a=True)
        return np.asarray(scipy.linalg.solve_triangular(self.root, coefficients))


def _blocks(count: int) -> Iterator[slice]:
    """Of `BLOCK` rows each."""
    for start in range(0, count, BLOCK):
        yield slice(start, start + BLOCK)


def _cholesky(system: Floats, precision: float) -> Floats:
    """The upper factor of a matrix that is positive definite but for rounding, which is made up for on its diagonal.

    Args:
        system: symmetric up to rounding; its upper half is read.
        precision: of its entries, relative to its diagonal.
    """
    for times in (1e1, 1e3, 1e5, 1e7):
        raised = system.copy()
        raised.flat[:: len(raised) + 1] += times * precision * float(np.trace(system)) / len(system)
        try:
            return np.asarray(scipy.linalg.cholesky(raised, overwrite_a=True))
        except np.linalg.LinAlgError:
            continue
    raise np.linalg.LinAlgError("the kernel of the views is not positive definite: is a view infinite?")


def _spread(values: Floats, used: Mask) -> Floats:
    """Rows of zeros where nothing was used."""
    result = np.zeros((len(used), values.shape[1]))
    result[used] = values
    return result


def _some(rows: NDArray[np.int64], labels: Labels, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """At most `count` of the rows, of every class about its share and at least one, in order of chance."""
    shuffled = generator.permutation(rows)
    if len(rows) <= count:
        return shuffled
    # Places within a class, as shares of it: taking the lowest takes from all classes alike.
    rank = np.empty(len(rows))
    for label in np.unique(labels[shuffled]):
        members = np.flatnonzero(labels[shuffled] == label)
        rank[members] = np.arange(len(members)) / len(members)
    return shuffled[np.argsort(rank, kind="stable")[:count]]


def _rows(matrix: Matrix | None, rows: slice) -> Matrix:
    return present_matrix(matrix)[rows]
