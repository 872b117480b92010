"""What is diagnosed of a trained classifier, or of a multi-view set as it is."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.files import MODEL
from limbeck.information.diagnosis import ViewFeatures
from limbeck.multiview.classifier import MultiViewClassifier
from limbeck.multiview.data import MultiViewData, load, missing_rows
from limbeck.multiview.inputs import read_set, split_of
from limbeck.multiview.provenance import choose_source, layout_of
from limbeck.multiview.tables import is_table
from limbeck.multiview.tensors import TensorViews
from limbeck.multiview.training import Trained, gather, predict
from limbeck.multiview.views import Views

logger = logging.getLogger(__name__)

_LARGEST = 2**28  # numbers that a sparse view may become


def view_features_of_model(
    model: MultiViewClassifier, views: dict[str, Any], labels: NDArray[Any], *, origin: str = ""
) -> ViewFeatures:
    """Observations and representations of a classifier, on samples that it was not trained on.

    Samples that lack a view are left out, since every figure compares all of them.

    Args:
        model: trained.
        views: as the classifier takes them.
        labels: `(samples,)`.
        origin: what messages name.

    Raises:
        InputError: too few samples have all views.
    """
    found = model.encode(views)
    whole = _whole(found.present, origin)
    spread = found.log_variances
    return ViewFeatures.from_arrays(
        [view[whole] for view in found.representations],
        labels[whole],
        observations=[view[whole] for view in found.observations],
        log_variances=None if spread is None else [view[whole] for view in spread],
        names=found.names,
        origin=origin,
    )


def held_out_samples(data: MultiViewData, views: Views, codes: NDArray[np.int8]) -> NDArray[np.int64]:
    """Validation and test samples of a fold that a diagnosis can compare all views on: those that have every view.

    Args:
        data: the set.
        views: its views, as `read_views` reads them.
        codes: `(samples,)` 0 train, 1 validation, 2 test.

    Raises:
        InputError: there are no two.
    """
    found = np.flatnonzero((codes > 0) & views.present.all(axis=0))
    if len(found) < 2:
        raise InputError(f"{data.name}: a fold has no two held-out samples with all views, which a diagnosis compares")
    return found


def view_features_of_fold(
    model: Trained, data: MultiViewData, views: Views, samples: NDArray[np.int64]
) -> ViewFeatures:
    """The same of the model of one fold, on samples that have all views; of a stochastic encoder z is its mean.

    Args:
        model: trained.
        data: the set.
        views: its views, as the model was given them.
        samples: that it was not trained on.

    Raises:
        InputError: there are too few.
    """
    batches = list(predict(model.network, TensorViews(views, model.device), samples))
    return ViewFeatures.from_arrays(
        list(gather(batches, "representations")),
        data.labels[samples],
        observations=list(gather(batches, "observations")),
        names=[name for name, matrix in zip(views.names, views.matrices, strict=True) if matrix is not None],
        origin=data.name,
    )


def view_features_of_run(
    run: Path, source: str | os.PathLike[str] | None, *, fold: int | None, split: str, device: str
) -> ViewFeatures:
    """The same of a run folder, or of its model file, on one split of a set, by default what it was trained on.

    Raises:
        InputError: the model or the set cannot be read, or they do not fit each other.
    """
    model = MultiViewClassifier.load(run / MODEL if run.is_dir() else run, device=device)
    source, fold, warning = choose_source(run, source, fold)
    if warning:
        logger.warning("%s", warning)
    layout = layout_of(run) if is_table(source) else None
    views, labels = split_of(read_set(source, layout, views=model.view_names_), split, fold)
    return view_features_of_model(model, views, labels, origin=str(run))


def view_features_of_set(source: str | os.PathLike[str], *, fold: int, split: str) -> ViewFeatures:
    """The views of a set themselves, as representations that nobody has trained.

    Raises:
        InputError: the set cannot be read, or a sparse view is too large to be made dense.
    """
    data = load(source)
    views, labels = split_of(data, split, fold)
    whole = _whole(np.stack([~missing_rows(view) for view in views.values()]), str(source))
    return ViewFeatures.from_arrays(
        [_dense(view[whole], name, str(source)) for name, view in views.items()],
        labels[whole],
        names=list(views),
        origin=str(source),
    )


def _whole(present: NDArray[np.bool_], origin: str) -> NDArray[np.int64]:
    whole = np.flatnonzero(present.all(axis=0))
    if len(whole) < 2:
        raise InputError(f"{origin}: no two samples have all views; a diagnosis compares views of the same samples")
    return whole


def _dense(view: Any, name: str, origin: str) -> NDArray[np.float32]:
    if not scipy.sparse.issparse(view):
        return np.asarray(view, dtype=np.float32)
    shape: Sequence[int] = view.shape
    if shape[0] * shape[1] > _LARGEST:
        raise InputError(f"{origin}: view {name!r} is sparse and too large to be made dense, {shape[0]} x {shape[1]}")
    return np.asarray(view.toarray(), dtype=np.float32)
