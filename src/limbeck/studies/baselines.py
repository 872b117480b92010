"""Plain classifiers on the concatenated views, tuned on the validation split: what a new method must beat."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.svm import SVC

from limbeck.errors import InputError
from limbeck.multiview.evaluation import probabilities
from limbeck.multiview.scaling import moments
from limbeck.multiview.training import Fold, fit_temperature
from limbeck.multiview.views import Views

BaselineName = Literal["logistic", "svm", "boosting"]

# Grids around the values that work on standardised features; the validation split chooses.
LOGISTIC_C = (1e-3, 1e-2, 1e-1, 1.0)
SVM_C = (1.0, 10.0, 100.0)
SVM_GAMMA = (0.1, 0.3, 1.0)  # times 1 / number of features
BOOSTING_LEARNING_RATE = (0.1,)


@dataclass
class BaselineResult:
    """What a tuned baseline predicts for the test split.

    Attributes:
        probability: (test samples, classes), calibrated by one temperature on the validation split.
        without: one a view: the same with that view replaced by its training mean.
        chosen: the hyper-parameters that the validation split preferred.
        seconds: of tuning and fitting.
    """

    probability: NDArray[np.float64]
    without: list[NDArray[np.float64]] = field(default_factory=list)
    chosen: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


def run_baseline(
    name: BaselineName,
    views: Views,
    labels: NDArray[np.int64],
    fold: Fold,
    test: NDArray[np.int64],
    *,
    classes: int,
    seed: int,
) -> BaselineResult:
    """Tune, fit and apply one baseline.

    Every view is standardised on the training split and clipped to ±10 as for the network; a missing view is its
    training mean, zero. Hyper-parameters are those with the best validation accuracy (ties: the more regular first);
    the model is fitted on the training split alone, like the network.

    Args:
        name: "logistic" (multinomial, L2), "svm" (RBF kernel) or "boosting" (histogram gradient boosting, stopped early
            on the validation split).
        views: all samples.
        labels: (samples,).
        fold: training and validation samples.
        test: test samples.
        classes: number of classes.
        seed: for the boosting's binning.

    Raises:
        InputError: the name is unknown.
    """
    start = time.perf_counter()
    features, blocks = _standardise(views, fold.training)
    train, validation = features[fold.training], features[fold.validation]
    y_train, y_validation = labels[fold.training], labels[fold.validation]
    best: tuple[float, Any, dict[str, float]] = (-1.0, None, {})
    for model, chosen in _candidates(name, train, y_train, validation, y_validation, seed):
        accuracy = float((model(validation).argmax(axis=1) == y_validation).mean()) if len(validation) else 0.0
        if accuracy > best[0]:
            best = accuracy, model, chosen
    _, scores, chosen = best
    # Labels that no training sample has get no score: -inf columns would break the temperature, a low one does not.
    present = np.unique(y_train)

    def logits(matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        full = np.full((len(matrix), classes), -1e3)
        full[:, present] = scores(matrix)
        return full

    temperature = fit_temperature(logits(validation).astype(np.float32), y_validation) if len(validation) else 1.0
    seconds = time.perf_counter() - start

    def probability(matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        return probabilities(logits(matrix), temperature)

    without = []
    for block in blocks:
        masked = features[test].copy()
        masked[:, block] = 0
        without.append(probability(masked))
    return BaselineResult(probability(features[test]), without, chosen, seconds)


def _standardise(views: Views, training: NDArray[np.int64]) -> tuple[NDArray[np.float32], list[slice]]:
    """All views side by side, z-scored on the training split, missing rows zero; and where each view's columns are."""
    columns, blocks, start = [], [], 0
    for matrix, present in zip(views.matrices, views.present, strict=True):
        if matrix is None:
            continue
        dense = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
        rows = dense[training[present[training]]]
        scaled = np.zeros_like(dense)
        if len(rows):  # else nothing can be learned of this view: it stays zero
            mean, deviation = moments(rows)
            scale = np.where(deviation > 1e-6 * np.abs(mean), deviation, np.inf)
            scaled[present] = ((dense[present] - mean) / scale).clip(-10, 10)
        columns.append(scaled)
        blocks.append(slice(start, start + dense.shape[1]))
        start += dense.shape[1]
    return np.concatenate(columns, axis=1), blocks


def _candidates(
    name: BaselineName,
    train: NDArray[np.float32],
    y_train: NDArray[np.int64],
    validation: NDArray[np.float32],
    y_validation: NDArray[np.int64],
    seed: int,
) -> Iterator[tuple[Any, dict[str, float]]]:
    """Yield a function from features to class scores, and its hyper-parameters, for every point of the grid."""
    if name == "logistic":
        for c in LOGISTIC_C:
            model = LogisticRegression(C=c, max_iter=300, tol=1e-3).fit(train, y_train)
            yield _scores_of(model.decision_function), {"C": c}
    elif name == "svm":
        yield from _svm_candidates(train, y_train)
    elif name == "boosting":
        for rate in BOOSTING_LEARNING_RATE:
            known = np.isin(y_validation, y_train)
            boosting = HistGradientBoostingClassifier(
                learning_rate=rate,
                max_iter=200,
                early_stopping=bool(known.any()),
                n_iter_no_change=10,
                random_state=seed % 2**32,
            )
            held_out = {"X_val": validation[known], "y_val": y_validation[known]} if known.any() else {}
            boosting.fit(train, y_train, **held_out)
            yield _scores_of(boosting.decision_function), {"learning_rate": rate, "iterations": float(boosting.n_iter_)}
    else:
        raise InputError(f"there is no baseline {name!r}: choose from logistic, svm, boosting")


def _svm_candidates(train: NDArray[np.float32], y_train: NDArray[np.int64]) -> Iterator[tuple[Any, dict[str, float]]]:
    """One kernel matrix a gamma, shared by every C."""
    squared = euclidean_distances(train, squared=True)
    for gamma_times_width, c in itertools.product(SVM_GAMMA, SVM_C):
        gamma = gamma_times_width / train.shape[1]
        model = SVC(C=c, kernel="precomputed", cache_size=1000).fit(np.exp(-gamma * squared), y_train)

        def scores(matrix: NDArray[np.float32], model: SVC = model, gamma: float = gamma) -> NDArray[np.float64]:
            return as_columns(
                model.decision_function(np.exp(-gamma * euclidean_distances(matrix, train, squared=True)))
            )

        yield scores, {"C": c, "gamma": gamma}


def _scores_of(decision: Any) -> Any:
    return lambda matrix: as_columns(decision(matrix))


def as_columns(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two classes come as one column of margins; make it one score per class."""
    return np.stack([-scores, scores], axis=1) / 2 if scores.ndim == 1 else scores
