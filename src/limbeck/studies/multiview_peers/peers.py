"""The peers: how each is fitted for every point of its grid."""

from __future__ import annotations

import importlib.util
import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC, LinearSVC

from limbeck.multiview.kernels import mean_kernel, median_distance, squared_distances
from limbeck.multiview.views import Views
from limbeck.studies.baselines import as_columns
from limbeck.studies.multiview_peers.features import Scaled, Scaling

TunedName = Literal[
    "logistic", "linear-svm", "rbf-svm", "mean-kernels", "late-fusion", "stacking", "extra-trees", "lightgbm"
]
Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Point: TypeAlias = dict[str, float]
# A score a class of each sample: log-probabilities, or margins of a support vector machine.
Scorer = Callable[[Views], Floats]
Fit = Callable[[Views, Labels, Sequence[Point], int], Iterator[Scorer]]

ITERATIONS = 300  # of a logistic regression, at most
TREES = 300
ROUNDS = 100  # of boosting
STACK_FOLDS = 5


@dataclass(frozen=True)
class Peer:
    """A way to classify.

    Attributes:
        meaning: in a line.
        grid: what is tried, the more regular first.
        fit: from training rows, their labels (0 to classes - 1, each present), points and a seed to a scorer a point.
        package: that it needs beyond limbeck's own.
    """

    meaning: str
    grid: tuple[Point, ...]
    fit: Fit
    package: str | None = None

    @property
    def unavailable(self) -> str | None:
        """Why it cannot be run here; None: it can."""
        missing = self.package is not None and importlib.util.find_spec(self.package) is None
        return f"{self.package} is not installed" if missing else None


def _logistic(views: Views, labels: Labels, points: Sequence[Point], seed: int) -> Iterator[Scorer]:
    del seed
    scaling = Scaling(views)
    matrix = scaling.side_by_side(views)
    for point in points:
        model = _logistic_regression(matrix, labels, point["C"])

        def scores(given: Views, model: LogisticRegression = model) -> Floats:
            return _log_probability(model, scaling.side_by_side(given))

        yield scores


def _linear_svm(views: Views, labels: Labels, points: Sequence[Point], seed: int) -> Iterator[Scorer]:
    scaling = Scaling(views)
    matrix = scaling.side_by_side(views)
    dense = isinstance(matrix, np.ndarray)
    for point in points:
        # Of thousands of dense columns, products of rows are much faster than liblinear, which is made for sparse ones.
        if dense:
            model = OneVsRestClassifier(SVC(C=point["C"], kernel="precomputed", cache_size=1000))
        else:
            model = LinearSVC(C=point["C"], tol=1e-3, random_state=seed % 2**32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(matrix @ matrix.T if dense else matrix, labels)

        def scores(given: Views, model: Any = model) -> Floats:
            others = scaling.side_by_side(given)
            return as_columns(model.decision_function(others @ matrix.T if dense else others))

        yield scores


def _rbf_svm(views: Views, labels: Labels, points: Sequence[Point], seed: int) -> Iterator[Scorer]:
    del seed
    scaling = Scaling(views)

    def parts(given: Views) -> tuple[list[Scaled], NDArray[np.bool_]]:
        return [scaling.side_by_side(given)], np.ones((1, given.samples), bool)

    return _kernel_machine(parts, views, labels, points)


def _mean_kernels(views: Views, labels: Labels, points: Sequence[Point], seed: int) -> Iterator[Scorer]:
    del seed
    scaling = Scaling(views)
    return _kernel_machine(lambda given: (scaling(given), given.present), views, labels, points)


def _kernel_machine(
    parts: Callable[[Views], tuple[list[Scaled], NDArray[np.bool_]]],
    views: Views,
    labels: Labels,
    points: Sequence[Point],
) -> Iterator[Scorer]:
    """Support vector machines, each class against the rest, on the mean of one Gaussian kernel a part.

    Against the rest, because votes of pairs are whole numbers, of which no temperature makes good probabilities.
    """
    own, present = parts(views)
    squared = [squared_distances(matrix, matrix) for matrix in own]
    medians = [median_distance(one, here) for one, here in zip(squared, present, strict=True)]
    for point in points:
        bandwidths = [point["bandwidth"] * median for median in medians]
        model = OneVsRestClassifier(SVC(C=point["C"], kernel="precomputed", cache_size=1000))
        model.fit(mean_kernel(squared, bandwidths, present, present), labels)

        def scores(given: Views, model: OneVsRestClassifier = model, bandwidths: list[float] = bandwidths) -> Floats:
            others, here = parts(given)
            distances = [squared_distances(first, second) for first, second in zip(others, own, strict=True)]
            return as_columns(model.decision_function(mean_kernel(distances, bandwidths, here, present)))

        yield scores


def _late_fusion(views: Views, labels: Labels, points: Sequence[Point], seed: int) -> Iterator[Scorer]:
    del seed
    scaling, classes = Scaling(views), int(labels.max()) + 1
    matrices = scaling(views)
    for point in points:
        models = [
            _ViewModel(matrix, here, labels, classes, point["C"])
            for matrix, here in zip(matrices, views.present, strict=True)
        ]

        def scores(given: Views, models: list[_ViewModel] = models) -> Floats:
            total, terms = np.zeros((given.samples, classes)), np.zeros((given.samples, 1))
            for model, matrix, here in zip(models, scaling(given), given.present, strict=True):
                if model.useful:
                    total += here[:, np.newaxis] * model.log_probability(matrix)
                    terms += here[:, np.newaxis]
            return np.asarray(log_softmax(total / np.maximum(terms, 1), axis=1))

        yield scores


def _stacking(views: Views, labels: Labels, points: Sequence[Point], seed: int) -> Iterator[Scorer]:
    scaling, classes = Scaling(views), int(labels.max()) + 1
    matrices = scaling(views)
    parts = _class_by_class(labels, STACK_FOLDS, seed)
    stacks: dict[float, _Stack] = {}  # points that share their base models
    for point in points:
        c = point["base C"]
        if c not in stacks:
            stacks[c] = _Stack(matrices, views.present, labels, classes, c, parts)
        stack = stacks[c]
        model = _logistic_regression(stack.held_out, labels, point["C"])

        def scores(given: Views, model: LogisticRegression = model, stack: _Stack = stack) -> Floats:
            return _log_probability(model, stack.features(scaling(given), given.present))

        yield scores


def _extra_trees(views: Views, labels: Labels, points: Sequence[Point], seed: int) -> Iterator[Scorer]:
    scaling = Scaling(views)
    matrix = scaling.side_by_side(views)
    width = matrix.shape[1]
    for point in points:
        model = ExtraTreesClassifier(
            TREES,
            max_features=min(width, max(1, round(point["features"] * width**0.5))),
            min_samples_leaf=int(point["leaf"]),
            random_state=seed % 2**32,
        ).fit(matrix, labels)

        def scores(given: Views, model: ExtraTreesClassifier = model) -> Floats:
            probability = model.predict_proba(scaling.side_by_side(given))
            # One more tree that knows nothing, so that no class is impossible.
            return np.asarray(np.log((TREES * probability + 1 / probability.shape[1]) / (TREES + 1)))

        yield scores


def _boosting(views: Views, labels: Labels, points: Sequence[Point], seed: int) -> Iterator[Scorer]:
    from lightgbm import LGBMClassifier  # noqa: PLC0415 (it need not be installed)

    scaling = Scaling(views)
    matrix = scaling.side_by_side(views)
    for point in points:
        model = LGBMClassifier(
            n_estimators=ROUNDS,
            learning_rate=point["learning rate"],
            num_leaves=int(point["leaves"]),
            random_state=seed % 2**32,
            n_jobs=1,
            verbose=-1,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that it converts sparse matrices
            model.fit(matrix, labels)

        def scores(given: Views, model: Any = model) -> Floats:
            with warnings.catch_warnings():
                # It names the columns of a matrix itself, and then misses the names.
                warnings.simplefilter("ignore", UserWarning)
                probability = np.asarray(model.predict_proba(scaling.side_by_side(given)), np.float64)
            return np.asarray(np.log(np.maximum(probability, np.finfo(np.float64).tiny)))

        yield scores


class _ViewModel:
    """A logistic regression on one view, from the rows that have it.

    A class that none of these rows is of gets the share 1 / (rows + classes), and the others what is left.
    """

    def __init__(self, matrix: Scaled, present: NDArray[np.bool_], labels: Labels, classes: int, c: float) -> None:
        here = np.flatnonzero(present)
        self.classes, self.known = classes, np.unique(labels[here])
        self.unknown_share = 1 / (len(here) + classes)
        self.model = _logistic_regression(matrix[here], labels[here], c) if self.useful else None

    @property
    def useful(self) -> bool:
        """Whether it can tell any two classes apart."""
        return len(self.known) > 1

    def log_probability(self, matrix: Scaled) -> Floats:
        """`(samples, classes)`; uniform where nothing was learned."""
        if self.model is None:
            return np.full((matrix.shape[0], self.classes), -np.log(self.classes))
        made = np.full((matrix.shape[0], self.classes), np.log(self.unknown_share))
        left = 1 - (self.classes - len(self.known)) * self.unknown_share
        made[:, self.known] = _log_probability(self.model, matrix) + np.log(left)
        return made


class _Stack:
    """What models of single views say of samples, as features: of training rows, models that did not see the row."""

    def __init__(
        self,
        matrices: Sequence[Scaled],
        present: NDArray[np.bool_],
        labels: Labels,
        classes: int,
        c: float,
        parts: NDArray[np.int64],
    ) -> None:
        own = []
        for matrix, here in zip(matrices, present, strict=True):
            said = np.zeros((len(labels), classes))
            for part in np.unique(parts):
                rows = np.flatnonzero(parts == part)
                model = _ViewModel(matrix, here & (parts != part), labels, classes, c)
                said[rows] = np.exp(model.log_probability(matrix[rows]))
            own.append(said)
        # What a missing view would say on average.
        self.fill = [
            said[here].mean(axis=0) if here.any() else np.full(classes, 1 / classes)
            for said, here in zip(own, present, strict=True)
        ]
        self.held_out = self._filled(own, present)
        self.models = [
            _ViewModel(matrix, here, labels, classes, c) for matrix, here in zip(matrices, present, strict=True)
        ]

    def features(self, matrices: Sequence[Scaled], present: NDArray[np.bool_]) -> Floats:
        """`(samples, views * classes)` probabilities."""
        said = [np.exp(model.log_probability(matrix)) for model, matrix in zip(self.models, matrices, strict=True)]
        return self._filled(said, present)

    def _filled(self, said: Sequence[Floats], present: NDArray[np.bool_]) -> Floats:
        columns = [
            np.where(here[:, np.newaxis], one, fill) for one, here, fill in zip(said, present, self.fill, strict=True)
        ]
        return np.concatenate(columns, axis=1)


def _class_by_class(labels: Labels, parts: int, seed: int) -> NDArray[np.int64]:
    """Divide samples into parts of equal size, and each class as evenly as it goes."""
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    division = np.empty(len(labels), np.int64)
    division[order] = np.arange(len(labels)) % parts
    return division


def _logistic_regression(matrix: Scaled, labels: Labels, c: float) -> LogisticRegression:
    with warnings.catch_warnings():
        # The validation rows judge what came of it.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=c, max_iter=ITERATIONS).fit(matrix, labels)


def _log_probability(model: LogisticRegression, matrix: Scaled) -> Floats:
    return np.asarray(log_softmax(as_columns(model.decision_function(matrix)), axis=1))


def _grid(**values: Sequence[float]) -> tuple[Point, ...]:
    """Every combination; the first named value changes slowest."""
    names = [name.replace("_", " ") for name in values]
    return tuple(dict(zip(names, point, strict=True)) for point in itertools.product(*values.values()))


_C = tuple(round(10 ** (-4 + 0.75 * step), 6) for step in range(9))  # 1e-4 to 100
_LINEAR_C = tuple(round(10 ** (-4 + 0.5 * step), 6) for step in range(9))  # 1e-4 to 1
_MACHINE = _grid(C=(3.0, 30.0, 300.0), bandwidth=(2.0, 1.0, 0.5))

PEERS: dict[str, Peer] = {
    "logistic": Peer("logistic regression on all views side by side", _grid(C=_C), _logistic),
    "linear-svm": Peer(
        "linear support vector machine, likewise, each class against the rest", _grid(C=_LINEAR_C), _linear_svm
    ),
    "rbf-svm": Peer(
        "Gaussian kernel on all views side by side; bandwidth: times the median distance", _MACHINE, _rbf_svm
    ),
    "mean-kernels": Peer(
        "mean of one Gaussian kernel a view; bandwidth: times a view's median distance",
        _MACHINE,
        _mean_kernels,
    ),
    "late-fusion": Peer(
        "a logistic regression a view; mean of the log-probabilities over the views that are there",
        _grid(C=_C),
        _late_fusion,
    ),
    "stacking": Peer(
        "a logistic regression on out-of-fold probabilities of logistic regressions, one a view",
        _grid(base_C=(0.01, 0.1, 1.0), C=(0.1, 1.0, 10.0)),
        _stacking,
    ),
    "extra-trees": Peer(
        f"{TREES} extremely randomised trees; features a split: times the square root of their number",
        _grid(leaf=(4.0, 2.0, 1.0), features=(1.0, 2.0, 4.0)),
        _extra_trees,
    ),
    "lightgbm": Peer(
        f"{ROUNDS} rounds of gradient boosting",
        _grid(learning_rate=(0.03, 0.1, 0.3), leaves=(7.0, 15.0, 31.0)),
        _boosting,
        package="lightgbm",
    ),
}
POINTS = 9  # of every grid
