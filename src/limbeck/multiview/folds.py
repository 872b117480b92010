"""A model for every fold of a set, all trained side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from limbeck.multiview.data import MultiViewData
from limbeck.multiview.progress import epoch_progress
from limbeck.multiview.recipe import Recipe
from limbeck.multiview.training import Callback, Fold, Trained, train
from limbeck.multiview.views import Views


def learned_from(folds: NDArray[np.int8]) -> list[Fold]:
    """What the model of each fold learns from, and what it is stopped and calibrated by.

    Args:
        folds: `(folds, samples)` of 0 train, 1 validation and 2 test, as `MultiViewData.folds`.
    """
    return [Fold(np.flatnonzero(codes == 0), np.flatnonzero(codes == 1)) for codes in folds]


def train_folds(
    data: MultiViewData,
    views: Views,
    folds: Sequence[Fold],
    recipe: Recipe,
    *,
    seed: int,
    device: str,
    label: str = "training",
    callback: Callback | None = None,
) -> list[Trained]:
    """Train one model per fold, all side by side in one batched program.

    Args:
        data: the set.
        views: its views, as `read_views` reads them.
        folds: which samples each model uses.
        recipe: of all models.
        seed: model of fold f: seed + f.
        device: where to train.
        label: of the progress.
        callback: see `limbeck.multiview.training.train`.

    Raises:
        InputError: there are no training samples, or the loss is not finite any more.
        KeyboardInterrupt: the training was interrupted.
    """
    with epoch_progress(recipe.epochs, label=label) as progress:
        models = train(
            views,
            data.labels,
            folds,
            recipe,
            classes=data.classes,
            seeds=[seed + fold for fold in range(len(folds))],
            device=device,
            progress=progress,
            callback=callback,
        )
    if any(model.interrupted for model in models):
        raise KeyboardInterrupt
    return models
