"""A model for every fold of a set, all trained side by side, and how good each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.multiview.data import MultiViewData, stratified_folds
from limbeck.multiview.evaluation import Scores, probabilities, score
from limbeck.multiview.network import Predictions
from limbeck.multiview.progress import epoch_progress
from limbeck.multiview.recipe import Recipe
from limbeck.multiview.training import Callback, Fold, Trained, gather, train
from limbeck.multiview.views import Views


def stored_or_drawn(data: MultiViewData, folds: int, seed: int) -> NDArray[np.int8]:
    """The folds that a study asks for.

    Args:
        data: the set.
        folds: 0: those stored with it, or five drawn ones where there are none; k: k drawn the same way.
        seed: of drawn ones.
    """
    return data.folds if folds == 0 and len(data.folds) else stratified_folds(data.labels, folds or 5, seed=seed)


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


@dataclass(frozen=True)
class FoldScores:
    """How good the predictions of one model are.

    Attributes:
        joint: from all views.
        without: one a view: from all views but it.
    """

    joint: Scores
    without: tuple[Scores, ...]


def score_model(model: Trained, predictions: Sequence[Predictions], labels: NDArray[np.int64]) -> FoldScores:
    """Score calibrated predictions against labels (samples,).

    Args:
        model: trained.
        predictions: what `limbeck.multiview.training.predict` yields of the samples.
        labels: of them.
    """
    rest = zip(gather(predictions, "leave_one_out_logits"), model.leave_one_out_temperature, strict=True)
    return FoldScores(
        score(probabilities(gather(predictions, "joint_logits"), model.temperature), labels),
        tuple(score(probabilities(logits, temperature), labels) for logits, temperature in rest),
    )
