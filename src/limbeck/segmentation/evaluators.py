r"""Scoring predicted classes of points as SemanticKITTI and nuScenes do, on all points, in view of a camera or outside.

All figures come from confusion matrices :math:`n_{tp}`, the number of points of class t that were predicted to be of
class p. Points whose class is ignored are left out. The intersection over union of class c is

.. math:: IoU_c = \frac{n_{cc}}{\sum_p n_{cp} + \sum_t n_{tc} - n_{cc}}

and the two evaluators differ in what they do where that is 0 / 0, and with points without a prediction:

======================  ====================================================  ======================================
                        `semantickitti`                                       `nuscenes`
======================  ====================================================  ======================================
class neither there     its IoU is 0 and counts in the mean                   it is left out of the mean
nor predicted
point of a class        is missed: it counts in the first sum, of no          is refused
without prediction      predicted class
accuracy                of the points that have a prediction                  of all points; not official
======================  ====================================================  ======================================

Sources: Behley et al. 2019 (semantic-kitti-api, `np_ioueval.py`); Fong et al. 2022 (nuscenes-devkit,
`eval/lidarseg/utils.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.reporting.statistics import finite_or_none
from limbeck.reporting.tables import format_table
from limbeck.segmentation.dataset import Evaluator
from limbeck.segmentation.labels import IGNORED

Protocol: TypeAlias = Literal["all", "fov", "outside"]
"""Which points are scored: all, those that at least one camera sees, or those that none does."""
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
EVALUATORS: tuple[Evaluator, ...] = get_args(Evaluator)
_TOLD: dict[Protocol, str] = {
    "all": "all points",
    "fov": "points in view of at least one camera",
    "outside": "points in view of no camera",
}
_EPSILON = 1e-15  # in the denominators of SemanticKITTI
_RESAMPLES = 1000
_CONFIDENCE = 0.95


def confusion(truth: NDArray[np.integer], prediction: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """Count the points of each class by what was predicted of them.

    Args:
        truth: (points,) classes from 0; -1: ignored, and left out.
        prediction: (points,) classes from 0; -1: there is none.
        classes: how many there are.

    Returns:
        (classes, classes + 1): rows are true classes, columns predicted ones, the last one for no prediction.

    Raises:
        ValueError: the lengths differ, or a number is no class.

    Example:
        >>> confusion(np.array([0, 0, 1, -1]), np.array([0, 1, -1, 0]), 2)
        array([[1, 1, 0],
               [0, 0, 1]])
    """
    if truth.ndim != 1 or truth.shape != prediction.shape:
        raise ValueError(f"truth and prediction must be (points,) alike, not {truth.shape} and {prediction.shape}")
    for name, values in (("truth", truth), ("prediction", prediction)):
        if values.dtype.kind not in "iu":
            raise ValueError(f"{name} must be whole numbers, not {values.dtype}")
        if len(values) and (values.min() < IGNORED or values.max() >= classes):
            raise ValueError(f"{name} must be from -1 to {classes - 1}, not {values.min()} to {values.max()}")
    known = truth != IGNORED
    row, column = truth[known].astype(np.int64), prediction[known].astype(np.int64)
    place = row * (classes + 1) + np.where(column == IGNORED, classes, column)
    return np.bincount(place, minlength=classes * (classes + 1)).reshape(classes, classes + 1)


def intersection_over_union(matrix: NDArray[np.integer], evaluator: Evaluator) -> NDArray[np.float64]:
    """IoU of each class; see the module for the formula, and for 0 / 0.

    Args:
        matrix: (..., classes, classes + 1) of `confusion`, or a sum of such.
        evaluator: whose rules.

    Returns:
        (..., classes); NaN where nuScenes leaves a class out.

    Raises:
        ValueError: points without a prediction are scored by nuScenes' rules.
    """
    square = _square(matrix)
    if evaluator == "nuscenes" and matrix[..., -1].any():
        raise ValueError("nuscenes needs a class for every point; predict no -1")
    hit = np.diagonal(square, axis1=-2, axis2=-1).astype(np.float64)
    union = matrix.sum(axis=-1) + square.sum(axis=-2) - hit
    if evaluator == "semantickitti":
        return np.asarray(hit / (union + _EPSILON))
    return np.where(union > 0, hit / np.maximum(union, 1), np.nan)


def mean_intersection_over_union(each: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the classes that are not NaN, of (..., classes); NaN where all are."""
    there = ~np.isnan(each)
    count = there.sum(axis=-1)
    total = np.where(there, each, 0.0).sum(axis=-1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def accuracy(matrix: NDArray[np.integer], evaluator: Evaluator) -> float:
    """Share of points whose class was predicted; of those with a prediction, as SemanticKITTI has it.

    Args:
        matrix: (classes, classes + 1) of `confusion`.
        evaluator: whose rules; nuScenes has no official accuracy, and a prediction for every point.

    Returns:
        NaN, for `semantickitti` 0, where there is no point.
    """
    square = _square(matrix)
    hit, total = float(np.trace(square)), float(square.sum())
    if evaluator == "semantickitti":
        return hit / (total + _EPSILON)
    return hit / total if total else math.nan


@dataclass(frozen=True, eq=False)
class SegmentationResult:
    """Figures of one protocol.

    Attributes:
        evaluator: whose rules.
        protocol: which points; to be named with every figure.
        classes: names, in the official order.
        matrix: (classes, classes + 1) counts of points, as of `confusion`, over all scans.
        scans: how many have a scored point.
        interval: within which the mean IoU lies, 95 % of the time that scans like these are drawn; infinite for fewer
            than two scans. Scans are drawn as if independent: those of one drive follow one another, so that it says
            too little of what another drive would bring.
    """

    evaluator: Evaluator
    protocol: Protocol
    classes: tuple[str, ...]
    matrix: NDArray[np.int64]
    scans: int
    interval: tuple[float, float]

    @property
    def iou(self) -> dict[str, float]:
        """IoU of each class in [0, 1], in the official order; NaN where nuScenes leaves it out."""
        return dict(zip(self.classes, intersection_over_union(self.matrix, self.evaluator).tolist(), strict=True))

    @property
    def mean_iou(self) -> float:
        """Mean of the classes' IoU, in [0, 1]."""
        return float(mean_intersection_over_union(intersection_over_union(self.matrix, self.evaluator)))

    @property
    def accuracy(self) -> float:
        """See `accuracy`."""
        return accuracy(self.matrix, self.evaluator)

    @property
    def points(self) -> int:
        """How many were scored."""
        return int(self.matrix.sum())

    @property
    def named(self) -> str:
        """What the figures are of, in one line."""
        return f"{self.evaluator} evaluator, protocol {self.protocol} ({_TOLD[self.protocol]})"

    def as_json(self) -> dict[str, Any]:
        """Everything as plain values; None for NaN and infinity."""
        low, high = map(finite_or_none, self.interval)
        return {
            "evaluator": self.evaluator,
            "protocol": self.protocol,
            "mean_iou": finite_or_none(self.mean_iou),
            "mean_iou_interval": [low, high],
            "accuracy": finite_or_none(self.accuracy),
            "iou": {name: finite_or_none(value) for name, value in self.iou.items()},
            "points_of_class": dict(zip(self.classes, self.matrix.sum(axis=1).tolist(), strict=True)),
            "points": self.points,
            "scans": self.scans,
            "classes": list(self.classes),
            "confusion": self.matrix.tolist(),
        }


def format_results(results: Sequence[SegmentationResult]) -> str:
    """A table of the classes in their official order, a column of per cent for each protocol, and their names below.

    Args:
        results: of one model and one evaluator, of different protocols.

    Raises:
        ValueError: there are none, or they are of different classes or evaluators.
    """
    if not results or any(
        (one.classes, one.evaluator) != (results[0].classes, results[0].evaluator) for one in results
    ):
        raise ValueError("results must be of one evaluator and of the same classes")
    rows = [[name, *(_percent(one.iou[name]) for one in results)] for name in results[0].classes]
    rows.append(["mean IoU", *(_percent(one.mean_iou) for one in results)])
    rows.append(["95 % interval", *(_interval(one.interval) for one in results)])
    rows.append(["accuracy", *(_percent(one.accuracy) for one in results)])
    rows.append(["points", *(f"{one.points:,}" for one in results)])
    rows.append(["scans", *(f"{one.scans:,}" for one in results)])
    headings = ["IoU in %", *(one.protocol for one in results)]
    return format_table(headings, rows) + "".join(f"{one.protocol}: {one.named}\n" for one in results)


class SegmentationScores:
    """Collects confusion matrices scan by scan, under several protocols at once.

    Args:
        classes: names, in the official order.
        evaluator: whose rules.
        protocols: which points.

    Raises:
        InputError: there is no such evaluator or protocol.

    Example:
        >>> scores = SegmentationScores(("road", "car"), "nuscenes", ["all"])
        >>> scores.add(np.array([0, 0, 1, -1]), np.array([0, 1, 1, 0]))
        >>> scores.results()["all"].iou
        {'road': 0.5, 'car': 0.5}
    """

    def __init__(
        self, classes: Sequence[str], evaluator: Evaluator, protocols: Sequence[Protocol] = ("all", "fov", "outside")
    ) -> None:
        if evaluator not in EVALUATORS:
            raise InputError(f"evaluator must be one of {', '.join(EVALUATORS)}, not {evaluator!r}")
        wrong = [protocol for protocol in protocols if protocol not in PROTOCOLS]
        if wrong or not protocols:
            raise InputError(f"protocols must be some of {', '.join(PROTOCOLS)}, not {wrong or 'none'}")
        self.classes, self.evaluator, self.protocols = tuple(classes), evaluator, tuple(protocols)
        self._matrices: dict[Protocol, list[NDArray[np.int64]]] = {protocol: [] for protocol in self.protocols}

    def add(
        self,
        truth: NDArray[np.integer],
        prediction: NDArray[np.integer],
        visible: NDArray[np.bool_] | None = None,
    ) -> None:
        """Score one scan.

        Args:
            truth: (points,) classes from 0; -1: ignored.
            prediction: (points,) classes from 0; -1: none, which nuScenes refuses.
            visible: (points,) whether a camera sees it, as `PointPixels.visible`; None: for the protocol `all` alone.

        Raises:
            InputError: a protocol needs `visible`, or nuScenes a prediction.
            ValueError: an array does not fit.
        """
        if visible is None and set(self.protocols) != {"all"}:
            raise InputError("the protocols fov and outside need cameras; score under the protocol all")
        if visible is not None and (visible.shape != truth.shape or visible.dtype != np.bool_):
            raise ValueError(f"visible must be {truth.shape} of bool, not {visible.shape} of {visible.dtype}")
        if self.evaluator == "nuscenes" and (prediction == IGNORED).any():
            # Of ignored points, too: the official evaluator refuses the file before it looks at the truth.
            raise InputError("nuScenes needs one of its classes for every point, but some have no prediction (-1)")
        for protocol in self.protocols:
            chosen = slice(None) if protocol == "all" or visible is None else visible == (protocol == "fov")
            self._matrices[protocol].append(confusion(truth[chosen], prediction[chosen], len(self.classes)))

    def results(self, *, seed: int = 0) -> Mapping[Protocol, SegmentationResult]:
        """The figures of each protocol.

        Args:
            seed: of the draws of scans for the intervals; of those that have a scored point.

        Raises:
            InputError: nothing was scored.
        """
        if not any(matrices for matrices in self._matrices.values()):
            raise InputError("there is no scan to score")
        found: dict[Protocol, SegmentationResult] = {}
        for protocol, matrices in self._matrices.items():
            each = np.stack(matrices)
            scored = each[each.any(axis=(1, 2))]
            interval = mean_iou_interval(scored, self.evaluator, seed=seed)
            found[protocol] = SegmentationResult(
                self.evaluator, protocol, self.classes, each.sum(axis=0), len(scored), interval
            )
        return found


def mean_iou_interval(
    matrices: NDArray[np.integer], evaluator: Evaluator, *, seed: int = 0, confidence: float = _CONFIDENCE
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean IoU over scans: scans are drawn with replacement, matrices added.

    Args:
        matrices: (scans, classes, classes + 1), one a scan.
        evaluator: whose rules.
        seed: of the draws.
        confidence: of the interval.

    Returns:
        The two ends; infinite for fewer than two scans.

    Source: Davison and Hinkley 1997, *Bootstrap Methods and their Application*, §5.3.
    """
    scans = len(matrices)
    if scans < 2:
        return -math.inf, math.inf
    generator = np.random.default_rng(seed)
    weight = generator.multinomial(scans, np.full(scans, 1 / scans), size=_RESAMPLES).astype(np.float64)
    # Products of counts far below 2^53, so that the sums are exact.
    drawn = (weight @ matrices.reshape(scans, -1).astype(np.float64)).astype(np.int64)
    each = mean_intersection_over_union(intersection_over_union(drawn.reshape(-1, *matrices.shape[1:]), evaluator))
    if np.isnan(each).all():
        return -math.inf, math.inf
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(each, [tail, 1 - tail])
    return float(low), float(high)


def _square(matrix: NDArray[np.integer]) -> NDArray[np.integer]:
    """The part of real classes, without the column of points without a prediction."""
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2] + 1:
        raise ValueError(f"a confusion matrix must be (classes, classes + 1), not {matrix.shape}")
    return matrix[..., :-1]


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.2f}"


def _interval(ends: tuple[float, float]) -> str:
    return f"[{100 * ends[0]:.2f}, {100 * ends[1]:.2f}]" if math.isfinite(ends[0]) else "–"
