"""The linear path: multinomial logistic regression on all views side by side, beside the networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

from limbeck.multiview.evaluation import cross_entropy_nats, probabilities
from limbeck.multiview.held_out import HeldOutTerms
from limbeck.multiview.scaling import ScalingName, ViewScaling, candidates, fit_scaling
from limbeck.multiview.training import fit_temperature
from limbeck.multiview.views import Matrix, Views, present_matrix, select
from limbeck.tensorfiles import under

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Design: TypeAlias = NDArray[np.float64] | scipy.sparse.csr_array

# Times the mean squared length of a row; the strongest first, each starts from the solution of the one before.
RIDGES = tuple(10.0 ** (2 - 0.5 * step) for step in range(13))  # 100 to 1e-4
# After so many ridges without a better one no weaker is tried.
PATIENCE = 2
_ITERATIONS = 300
_TOLERANCE = 1e-8  # of the mean cross-entropy
_PREFIX = "linear_path."


@dataclass(frozen=True, eq=False)
class LinearPath:
    r"""Logits of classes that are linear in the views that a sample has.

    .. math:: s(x) = b + \sum_{v\,\text{present}} (x_v - m_v) W_v

    where :math:`x_v` is the scaled view, :math:`m_v` its mean over the rows learned from that have it, so that a view
    that is missing counts as its mean, and b and :math:`W_v` minimise :math:`\sum_i w_i\, H(y_i, s(x_i)) +
    \frac{\rho}{2} \sum_v \|W_v\|^2` over the rows i learned from, with weights :math:`w_i`, the cross-entropy H of
    softmax in nats and the ridge :math:`\rho`. The intercept is not shrunk.

    Attributes:
        ridge: :math:`\rho`.
        scalings: one a view.
        means: one a view, `(features,)`.
        weights: one a view, `(features, classes)`.
        intercept: `(classes,)` b.
        of_parts: the weights and the intercept without the rows of each part; none where these are none of the rows.
    """

    ridge: float
    scalings: tuple[ViewScaling, ...]
    means: tuple[Floats, ...]
    weights: tuple[Floats, ...]
    intercept: Floats
    of_parts: tuple[tuple[tuple[Floats, ...], Floats], ...] = ()

    def scores(self, views: Views) -> Floats:
        """Logits `(samples, classes)` from the views that each sample has."""
        return np.asarray(self._scores(views, [(self.weights, self.intercept)])[0])

    def part_scores(self, views: Views) -> Floats:
        """The same by the solutions without each part, `(parts, samples, classes)`; one of all rows without parts."""
        return self._scores(views, self.of_parts or [(self.weights, self.intercept)])

    def _scores(self, views: Views, solutions: Sequence[tuple[tuple[Floats, ...], Floats]]) -> Floats:
        """By several weights and intercepts, for which views are scaled once."""
        design = [
            _design(scaling, matrix, present)
            for scaling, matrix, present in zip(self.scalings, views.matrices, views.present, strict=True)
        ]
        return np.stack(
            [
                np.asarray(intercept + sum(_terms(design, views.present, self.means, weights)))
                for weights, intercept in solutions
            ]
        )

    def to_tensors(self, number: int) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """What JSON can hold, and everything else under names that nothing else in a file has."""
        arrays: dict[str, NDArray[Any]] = {"intercept": self.intercept}
        for view, (scaling, mean, weight) in enumerate(zip(self.scalings, self.means, self.weights, strict=True)):
            arrays |= {f"{view}.scaling.{name}": array for name, array in scaling.arrays.items()}
            arrays |= {f"{view}.mean": mean, f"{view}.weight": weight}
        for part, (weights, intercept) in enumerate(self.of_parts):
            arrays[f"part.{part}.intercept"] = intercept
            arrays |= {f"part.{part}.{view}.weight": weight for view, weight in enumerate(weights)}
        described = {
            "ridge": self.ridge,
            "scalings": [scaling.name for scaling in self.scalings],
            "parts": len(self.of_parts),
        }
        start = f"{_PREFIX}{number}."
        return described, {start + name: torch.from_numpy(np.ascontiguousarray(one)) for name, one in arrays.items()}

    @classmethod
    def from_tensors(cls, described: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], number: int) -> Self:
        """What `to_tensors` gave.

        Raises:
            KeyError, ValueError: something is missing or does not fit.
        """
        own = {name: part.cpu().numpy() for name, part in under(f"{_PREFIX}{number}.", tensors).items()}
        names = described["scalings"]
        return cls(
            float(described["ridge"]),
            tuple(ViewScaling(name, under(f"{view}.scaling.", own)) for view, name in enumerate(names)),
            tuple(own[f"{view}.mean"] for view in range(len(names))),
            tuple(own[f"{view}.weight"] for view in range(len(names))),
            own["intercept"],
            tuple(
                (
                    tuple(own[f"part.{part}.{view}.weight"] for view in range(len(names))),
                    own[f"part.{part}.intercept"],
                )
                for part in range(described["parts"])
            ),
        )

    def check(self, views: Sequence[tuple[int, bool]], classes: int) -> None:
        """Refuse parts of another model, as a file may hold them.

        Args:
            views: features of each, and whether it is sparse.
            classes: how many.

        Raises:
            ValueError: a part is of another shape, kind of number or way of scaling.
        """
        if len(self.scalings) != len(views):
            raise ValueError(f"{_PREFIX} is not of {len(views)} views")
        expected: list[tuple[str, Floats, tuple[int, ...]]] = [("intercept", self.intercept, (classes,))]
        for (features, sparse), scaling, mean, weight in zip(
            views, self.scalings, self.means, self.weights, strict=True
        ):
            width = scaling.check(features, sparse=sparse)
            expected += [("mean", mean, (width,)), ("weight", weight, (width, classes))]
        for weights, intercept in self.of_parts:
            expected.append(("part.intercept", intercept, (classes,)))
            expected += [("part.weight", one, whole.shape) for one, whole in zip(weights, self.weights, strict=True)]
        for name, part, shape in expected:
            if part.shape != shape or part.dtype != np.dtype(np.float64):
                raise ValueError(f"{_PREFIX}{name} is {part.shape} {part.dtype}, not {shape} float64")


def take_linear_paths(
    described: Sequence[Mapping[str, Any]], tensors: Mapping[str, torch.Tensor]
) -> tuple[list[LinearPath], dict[str, torch.Tensor]]:
    """What `LinearPath.to_tensors` put among a file's tensors, and the other tensors."""
    own = {name: tensor for name, tensor in tensors.items() if name.startswith(_PREFIX)}
    others = {name: tensor for name, tensor in tensors.items() if name not in own}
    return [LinearPath.from_tensors(one, own, number) for number, one in enumerate(described)], others


def fit_linear_paths(
    views: Views,
    labels: Labels,
    rows: NDArray[np.int64],
    parts: Sequence[NDArray[np.int64]],
    *,
    classes: int,
    weights: NDArray[np.floating] | None = None,
) -> list[tuple[LinearPath, HeldOutTerms]]:
    """A path for each way to scale the views, and what it says of the rows of each part by the other rows.

    The first scales every view plainly, the second (where there is another way for some view) by what
    `limbeck.multiview.scaling.candidates` has beside it: tf-idf for counts. Neither is chosen: `fit_mix` weighs them.
    The ridge is that of the least cross-entropy of the parts at their best temperature, because a ridge that suits the
    order of the classes shrinks logits too much, which a temperature mends. Scalings and means are those of all rows
    learned from, without their labels.

    Args:
        views: of all samples; each view is there, dense or sparse.
        labels: `(samples,)` from 0 to `classes` - 1.
        rows: which samples are learned from.
        parts: samples to be scored by the others: parts of `rows`, or samples outside; at least one.
        classes: how many.
        weights: `(samples,)` of the cross-entropies; default 1.
    """
    weight = np.ones(len(labels)) if weights is None else weights.astype(np.float64)
    options = [candidates(present_matrix(matrix)) for matrix in views.matrices]
    plain = tuple(names[0] for names in options)
    other = tuple(names[-1] for names in options)
    everything = np.unique(np.concatenate([rows, *parts]))
    some = select(views, everything)
    learned = weight[everything] * np.isin(everything, rows)
    places = [np.searchsorted(everything, part) for part in parts]
    found = []
    for names in dict.fromkeys((plain, other)):
        task = _Task(names, some, labels[everything], learned, places, classes)
        found.append(task.solve())
    return found


class _Task:
    """One path to be solved; row numbers are those of the samples at hand.

    Args:
        names: of the scalings, one a view.
        views: of the samples.
        labels: `(samples,)`.
        weight: `(samples,)`; 0 where a sample is not learned from.
        parts: that are scored by the others.
        classes: how many.
    """

    def __init__(
        self,
        names: Sequence[ScalingName],
        views: Views,
        labels: Labels,
        weight: Floats,
        parts: Sequence[NDArray[np.int64]],
        classes: int,
    ) -> None:
        self.present, self.labels, self.weight, self.parts, self.classes = views.present, labels, weight, parts, classes
        self.scalings, self.design, self.means = [], [], []
        length = 0.0
        for name, matrix, present in zip(names, views.matrices, views.present, strict=True):
            known = np.flatnonzero(present & (weight > 0))
            scaling = fit_scaling(name, present_matrix(matrix)[known])
            scaled = _design(scaling, matrix, present)
            rows = scaled[known]
            mean = np.asarray(rows.mean(axis=0), np.float64)
            square = rows.data if scipy.sparse.issparse(rows) else rows
            length += float((np.asarray(square) ** 2).sum()) / len(known) - float(mean @ mean)
            self.scalings.append(scaling)
            self.design.append(scaled)
            self.means.append(mean)
        self.length = length if length > 0 else 1.0
        self.cuts = np.cumsum([0, *(len(mean) for mean in self.means)])

    def solve(self) -> tuple[LinearPath, HeldOutTerms]:
        held = np.concatenate(self.parts)
        starts = [self._start()] * len(self.parts)
        least, best, worse = np.inf, 0, 0
        terms, of_parts = None, starts
        for number, ridge in enumerate(RIDGES):
            starts = [
                self._solution(ridge * self.length, self._without(part), start)
                for part, start in zip(self.parts, starts, strict=True)
            ]
            said = self._said(starts)
            nats = _nats(said.by_pattern(self.present[:, held])[0], self.labels[held])
            worse = 0 if nats < least else worse + 1
            if nats < least:
                least, best, terms, of_parts = nats, number, said, starts
            if worse == PATIENCE:
                break
        assert terms is not None
        ridge = RIDGES[best] * self.length
        intercept, weights = self._cut(self._solution(ridge, self.weight, self._start()))
        inside = any(self.weight[part].any() for part in self.parts)
        parts = [self._cut(solution) for solution in of_parts] if inside else []
        path = LinearPath(
            ridge,
            tuple(self.scalings),
            tuple(self.means),
            tuple(weights),
            intercept,
            tuple((tuple(own), start) for start, own in parts),
        )
        return path, terms

    def _without(self, part: NDArray[np.int64]) -> Floats:
        weight = self.weight.copy()
        weight[part] = 0.0
        return weight

    def _start(self) -> Floats:
        """Weights of zero, and the shares of the classes."""
        counts = np.bincount(self.labels, self.weight, self.classes)
        start = np.zeros((self.cuts[-1] + 1, self.classes))
        start[-1] = np.log((counts + 0.5) / (counts + 0.5).sum())
        return start.ravel()

    def _cut(self, solution: Floats) -> tuple[Floats, list[Floats]]:
        rows = solution.reshape(-1, self.classes)
        return rows[-1], [rows[low:high] for low, high in zip(self.cuts[:-1], self.cuts[1:], strict=True)]

    def _solution(self, ridge: float, weight: Floats, start: Floats) -> Floats:
        total = weight.sum()
        share = (weight / total)[:, np.newaxis]
        onehot = np.eye(self.classes)[self.labels]
        shrink = ridge / total

        def loss(point: Floats) -> tuple[float, Floats]:
            intercept, weights = self._cut(point)
            logits = intercept + sum(_terms(self.design, self.present, self.means, weights))
            log_probability = log_softmax(logits, axis=1)
            error = share * (np.exp(log_probability) - onehot)
            gradient = [
                np.asarray(matrix.T @ error) - np.outer(mean, present @ error) + shrink * own
                for matrix, present, mean, own in zip(self.design, self.present, self.means, weights, strict=True)
            ]
            squares = sum(float((own**2).sum()) for own in weights)
            nats = -float((share * onehot * log_probability).sum()) + shrink / 2 * squares
            return nats, np.concatenate([*(one.ravel() for one in gradient), error.sum(axis=0)])

        options = {"maxiter": _ITERATIONS, "ftol": _TOLERANCE, "gtol": 0.0}
        return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x)

    def _said(self, solutions: Sequence[Floats]) -> HeldOutTerms:
        """Of the rows of every part, by the solution without it."""
        bias, terms = [], []
        for part, solution in zip(self.parts, solutions, strict=True):
            intercept, weights = self._cut(solution)
            rows = [matrix[part] for matrix in self.design]
            terms.append(np.stack(_terms(rows, self.present[:, part], self.means, weights)).astype(np.float32))
            bias.append(np.broadcast_to(intercept.astype(np.float32), (len(part), self.classes)))
        return HeldOutTerms(np.concatenate(bias), np.concatenate(terms, axis=1))


def _design(scaling: ViewScaling, matrix: Matrix | None, present: NDArray[np.bool_]) -> Design:
    """The scaled view in float64; rows of samples that lack it are 0."""
    scaled = scaling(present_matrix(matrix))
    if isinstance(scaled, np.ndarray):
        return np.where(present[:, np.newaxis], scaled, 0.0).astype(np.float64)
    return scipy.sparse.csr_array(scipy.sparse.diags_array(present.astype(np.float64)) @ scaled.astype(np.float64))


def _terms(
    design: Sequence[Design], present: NDArray[np.bool_], means: Sequence[Floats], weights: Sequence[Floats]
) -> list[Floats]:
    """What each view adds to the logits, `(samples, classes)`."""
    return [
        np.asarray(matrix @ weight) - np.outer(there, mean @ weight)
        for matrix, there, mean, weight in zip(design, present, means, weights, strict=True)
    ]


def _nats(logits: Floats, labels: Labels) -> float:
    """Cross-entropy at the best temperature, searched in units of the logits' own spread."""
    spread = float((logits - logits.mean(axis=1, keepdims=True)).std())
    scaled = logits / (spread if spread > 0 else 1.0)
    return cross_entropy_nats(probabilities(scaled, fit_temperature(scaled.astype(np.float32), labels)), labels)
