"""What a classifier learns from: labels as numbers, and which samples are held out of which network."""

from __future__ import annotations

import dataclasses
import warnings
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from limbeck.errors import InputError
from limbeck.multiview.training import Fold
from limbeck.multiview.views import Views

# By default so many parts; above so many samples a tenth is held out once: a thousand samples calibrate well enough.
FOLDS = 3
MANY = 10_000
TENTH = 0.1


@dataclasses.dataclass(frozen=True, eq=False)
class Samples:
    """What `fit` learns from and holds out.

    Attributes:
        labels: `(samples,)` positions in `classes`.
        classes: the labels that occur, sorted.
        weights: `(samples,)`; None: all 1.
        folds: which samples each network learns from, and which are held out of it.
        inner: whether these are inner folds: what they hold out calibrates, and no network is stopped by it.
    """

    views: Views
    labels: NDArray[np.int64]
    classes: NDArray[Any]
    weights: NDArray[np.float32] | None
    folds: list[Fold]
    inner: bool

    @property
    def rows(self) -> NDArray[np.int64]:
        """Samples that some network learns from."""
        return np.unique(np.concatenate([fold.training for fold in self.folds]))

    @property
    def held_out(self) -> NDArray[np.int64]:
        """Those held out of a network, network after network."""
        return np.concatenate([fold.validation for fold in self.folds])


def read_labels(y: ArrayLike) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The labels that occur, sorted, and each sample's position among them.

    Raises:
        InputError: there are several labels a sample, or they are measurements and no classes.
        ValueError: they are no labels at all.
    """
    names = _one_label_a_sample(y)
    try:
        if type_of_target(names, input_name="y").startswith("continuous"):
            raise InputError(
                f"Unknown label type: y holds measurements such as {names[names % 1 != 0][0]}; this is classification "
                "only, one class a sample: cut them into classes, or use a regression"
            )
        check_classification_targets(names)
        classes, labels = np.unique(names, return_inverse=True)
    except TypeError:
        raise InputError("y mixes labels that cannot be sorted, such as None and strings") from None
    return classes, labels


def check_lengths(views: Views, labels: NDArray[np.int64], classes: NDArray[Any]) -> None:
    if len(labels) != views.samples:
        raise InputError(f"y has {len(labels)} labels, but X has {views.samples} samples: they must be equal")
    if len(classes) < 2:
        raise InputError(f"y holds one class only ({classes[0]!r}): a classifier needs at least two")


def encode_labels(y: ArrayLike, classes: NDArray[Any], views: Views) -> NDArray[np.int64]:
    """Labels of the samples of `views`, in their order, as positions in `classes`."""
    names = _one_label_a_sample(views.rows.align(y, "y"))
    if len(names) != views.samples:
        raise InputError(f"y has {len(names)} labels, but X has {views.samples} samples: they must be equal")
    unseen = ~np.isin(names, classes)
    if unseen.any():
        sample = views.rows.name(np.flatnonzero(unseen)[0])
        raise InputError(f"label {names[unseen][0]!r} of sample {sample} was not there when fitting")
    return np.asarray(np.searchsorted(classes, names), np.int64)


def _one_label_a_sample(y: ArrayLike) -> NDArray[Any]:
    try:
        labels = np.asarray(y)
    except ValueError:  # lists of labels of different lengths
        labels = np.empty((0, 0))
    if labels.ndim > 1 and labels.shape[1:] != (1,):
        raise InputError(
            f"Unknown label type: y has shape {labels.shape}, several labels a sample; this is classification only, "
            "one class a sample: fit one classifier for each column (sklearn.multioutput.MultiOutputClassifier)"
        )
    return np.asarray(column_or_1d(labels, warn=True))


def default_folds(labels: NDArray[np.int64], seed: int) -> list[Fold]:
    """Three inner folds, or one that holds out a tenth of each class where there are more than 10,000 samples.

    Three networks that learn from two thirds take twice a pass over all samples an epoch, one that learns from nine
    tenths less than half of that.
    """
    return [hold_out(labels, TENTH, seed)] if len(labels) > MANY else inner_folds(labels, FOLDS, seed)


def inner_folds(labels: NDArray[np.int64], count: Any, seed: int) -> list[Fold]:
    """Parts of about equal size, each class spread over them; fold k holds part k out.

    Raises:
        InputError: fewer than two, or fewer samples than parts.
    """
    if isinstance(count, bool) or not isinstance(count, Integral) or not 2 <= int(count) <= len(labels):
        raise InputError(
            f"inner_folds must be a whole number from 2 to the number of samples ({len(labels)}), not {count!r}; "
            "validation_fraction=0 holds nothing out"
        )
    order = np.random.default_rng(seed).permutation(len(labels))
    # Sorted by class and dealt out one by one: no part gets more than its share of a class.
    part = np.empty(len(labels), np.int64)
    part[order[np.argsort(labels[order], kind="stable")]] = np.arange(len(labels)) % int(count)
    return [Fold(np.flatnonzero(part != number), np.flatnonzero(part == number)) for number in range(int(count))]


def hold_out(labels: NDArray[np.int64], fraction: float, seed: int) -> Fold:
    """Hold a share of every class out of training; a class keeps at least one training sample."""
    if not 0 <= fraction < 1:
        raise InputError(f"validation_fraction must be in [0, 1), not {fraction}")
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(labels))
    held = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        held[members[: min(round(fraction * len(members)), len(members) - 1)]] = True
    return Fold(np.flatnonzero(~held), np.flatnonzero(held))


def without_untrained(views: Views, training: NDArray[np.int64]) -> Views:
    """A view that no training sample has is missing for all: its encoder could learn nothing."""
    known: NDArray[np.bool_] = np.asarray(views.present[:, training].any(axis=1))
    if known.all():
        return views
    matrices = tuple(matrix if use else None for matrix, use in zip(views.matrices, known, strict=True))
    return dataclasses.replace(views, matrices=matrices, present=views.present & known[:, np.newaxis])


def warn_of_constant_columns(views: Views, training: NDArray[np.int64]) -> None:
    for name, matrix, present in zip(views.names, views.matrices, views.present, strict=True):
        if matrix is None:
            warnings.warn(f"view {name!r} is missing for every sample and will not be used", stacklevel=3)
        elif isinstance(matrix, np.ndarray):
            rows = matrix[training[present[training]]]
            # NaN stands for cells to be filled, in a column of NaN alone by the same number.
            ends = [end.reduce(rows, axis=0, initial=np.nan) for end in (np.fmax, np.fmin)]
            constant = int((~(ends[0] > ends[1])).sum())
            if constant and len(rows) > 1:
                warnings.warn(f"view {name!r} has {constant} constant columns, which say nothing", stacklevel=3)
