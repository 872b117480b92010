"""The ablation of Table 7 (Tian et al. 2022) on any multi-view set, beside plain baselines."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.multiview.data import MultiViewData, load
from limbeck.multiview.evaluation import Scores, score
from limbeck.multiview.folds import learned_from, score_model, stored_or_drawn, train_folds
from limbeck.multiview.recipe import Recipe
from limbeck.multiview.tensors import TensorViews
from limbeck.multiview.training import Trained, gather, predict
from limbeck.multiview.views import Views, read_views
from limbeck.reporting.statistics import Difference, paired_difference
from limbeck.settings import NonNegativeFloat, NonNegativeInt, PositiveInt, Seed, check_settings
from limbeck.studies.baselines import BaselineName, run_baseline
from limbeck.studies.multiview_rows import REFERENCE, TABLE_7_ROWS, RowName, row_recipe

BASELINES: tuple[BaselineName, ...] = ("logistic", "svm", "boosting")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MultiviewAblationSettings:
    """What the study does.

    Attributes:
        data: an NPZ file, or the name of an embedded multi-view set.
        folds: 0: the folds stored with the data (five 70/20/10 ones where there are none); k: k drawn the same way.
        seed: of the drawn folds and of every model (model of fold f: seed + f).
        rows: which networks.
        baselines: which plain classifiers.
        compression_weights: grid of β for E+CIB; each fold's validation split chooses.
        dimension_sweep: also train E+B+MV2D with these representation widths (Fig. 10); empty: do not.
        recipe: the network and its training; the rows differ from it in objective and bottleneck alone.
        device: where to train.
    """

    data: str = "digits"
    folds: NonNegativeInt = 0
    seed: Seed = 0
    rows: tuple[RowName, ...] = TABLE_7_ROWS
    baselines: tuple[BaselineName, ...] = BASELINES
    compression_weights: tuple[NonNegativeFloat, ...] = (1e-4, 1e-3, 1e-2)
    dimension_sweep: tuple[PositiveInt, ...] = ()
    recipe: Recipe = field(default_factory=Recipe)
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass
class RowResult:
    """Figures of one row, one value per fold; accuracies and calibration errors in [0, 1].

    Attributes:
        name: of the row.
        scores: of the test split.
        without: (folds, views) accuracies with each view missing.
        seconds: to tune and train all folds.
        chosen: what the validation splits chose, if anything.
        embedding: representations of the first fold's test split, for pictures.
    """

    name: str
    scores: list[Scores]
    without: NDArray[np.float64]
    seconds: float
    chosen: list[dict[str, float]] = field(default_factory=list)
    embedding: NDArray[np.float32] | None = None

    @property
    def accuracy(self) -> list[float]:
        return [one.accuracy for one in self.scores]

    @property
    def missing_loss(self) -> list[float]:
        """Accuracy lost when one view is missing, mean over the views, one value per fold."""
        return [float(a - row.mean()) for a, row in zip(self.accuracy, self.without, strict=True)]


@dataclass
class MultiviewAblationResult:
    """Everything the study found."""

    data: MultiViewData
    settings: MultiviewAblationSettings
    folds: NDArray[np.int8]
    rows: list[RowResult]
    sweep: dict[int, RowResult] = field(default_factory=dict)

    @property
    def test_to_train(self) -> float:
        return float((self.folds[0] == 2).sum() / (self.folds[0] == 0).sum())

    def row(self, name: str) -> RowResult | None:
        return next((row for row in self.rows if row.name == name), None)

    def against(self, name: str, figure: Callable[[RowResult], Sequence[float]]) -> Difference | None:
        """Paired difference of the reference row less row `name` in some figure; None for the reference itself."""
        reference, other = self.row(REFERENCE), self.row(name)
        if reference is None or other is None or name == REFERENCE:
            return None
        return paired_difference(figure(reference), figure(other), test_to_train=self.test_to_train)


def run(settings: MultiviewAblationSettings, folder: Path) -> MultiviewAblationResult:
    """Train every row on every fold of a set and score it on the test splits; see `ablate`.

    Args:
        settings: what to do.
        folder: nothing is written to it.

    Raises:
        InputError: the set cannot be read, or a setting does not fit it.
    """
    del folder
    return ablate(load(settings.data), settings)


def ablate(data: MultiViewData, settings: MultiviewAblationSettings) -> MultiviewAblationResult:
    """The study on a set that has been read; `settings.data` is not looked at.

    All folds of a row train side by side in one batched program. Nothing is chosen on test data: early stopping,
    calibration, β and the baselines' hyper-parameters use the validation splits.

    Args:
        data: a multi-view set.
        settings: what to do.

    Raises:
        InputError: a setting does not fit the data.
    """
    folds = stored_or_drawn(data, settings.folds, settings.seed)
    result = MultiviewAblationResult(data, settings, folds, [])
    study = _Study(data, settings, folds)
    for name in settings.rows:
        result.rows.append(study.network_row(name))
    for baseline in settings.baselines:
        result.rows.append(study.baseline_row(baseline))
    for width in settings.dimension_sweep:
        recipe = dataclasses.replace(settings.recipe, representation=width)
        result.sweep[width] = study.train_and_score(f"width {width}", recipe)
    return result


class _Study:
    def __init__(self, data: MultiViewData, settings: MultiviewAblationSettings, folds: NDArray[np.int8]) -> None:
        self.data, self.settings = data, settings
        self.views: Views = read_views(data.views)
        self.folds = learned_from(folds)
        self.tests = [np.flatnonzero(codes == 2) for codes in folds]

    def network_row(self, name: RowName) -> RowResult:
        if name != "E+CIB":
            return self.train_and_score(name, row_recipe(self.settings.recipe, name))
        candidates = [
            self.train_and_score(
                f"{name}, β = {weight:g}",
                dataclasses.replace(row_recipe(self.settings.recipe, name), compression_weight=weight),
            )
            for weight in self.settings.compression_weights
        ]
        validation = np.array([[chosen.get("validation", 0.0) for chosen in one.chosen] for one in candidates])
        best = validation.argmax(axis=0)
        return RowResult(
            name,
            [candidates[c].scores[fold] for fold, c in enumerate(best)],
            np.stack([candidates[c].without[fold] for fold, c in enumerate(best)]),
            sum(one.seconds for one in candidates),
            [{"compression_weight": self.settings.compression_weights[c]} for c in best],
            candidates[best[0]].embedding,
        )

    def train_and_score(self, label: str, recipe: Recipe) -> RowResult:
        logger.info("%s: %d folds side by side", label, len(self.folds))
        start = time.perf_counter()
        models = train_folds(
            self.data,
            self.views,
            self.folds,
            recipe,
            seed=self.settings.seed,
            device=self.settings.device,
            label=label,
        )
        seconds = time.perf_counter() - start
        tensors = TensorViews(self.views, models[0].device)
        scores, without, chosen = [], [], []
        embedding = None
        for model, test in zip(models, self.tests, strict=True):
            batches = list(predict(model.network, tensors, test))
            found = score_model(model, batches, self.data.labels[test])
            scores.append(found.joint)
            without.append([one.accuracy for one in found.without])
            chosen.append(_training_summary(model))
            if embedding is None:
                embedding = np.moveaxis(gather(batches, "representations"), 0, 1).reshape(len(test), -1)
        row = RowResult(label, scores, np.array(without), seconds, chosen, embedding)
        logger.info("%s: test accuracy %.2f %%, %.0f s", label, 100 * np.mean(row.accuracy), seconds)
        return row

    def baseline_row(self, name: BaselineName) -> RowResult:
        results = []
        for number, (fold, test) in enumerate(zip(self.folds, self.tests, strict=True)):
            logger.info("%s: fold %d of %d", name, number + 1, len(self.folds))
            results.append(
                run_baseline(
                    name,
                    self.views,
                    self.data.labels,
                    fold,
                    test,
                    classes=self.data.classes,
                    seed=self.settings.seed + number,
                )
            )
        scores = [score(r.probability, self.data.labels[test]) for r, test in zip(results, self.tests, strict=True)]
        without = [
            [float((p.argmax(axis=1) == self.data.labels[test]).mean()) for p in r.without]
            for r, test in zip(results, self.tests, strict=True)
        ]
        seconds = sum(r.seconds for r in results)
        row = RowResult(name, scores, np.array(without), seconds, [r.chosen for r in results])
        logger.info("%s: test accuracy %.2f %%, %.0f s", name, 100 * np.mean(row.accuracy), seconds)
        return row


def _training_summary(model: Trained) -> dict[str, float]:
    best = model.history[model.best_epoch]
    summary = {
        "best_epoch": float(model.best_epoch + 1),
        "epochs": float(len(model.history)),
        "temperature": model.temperature,
    }
    if np.isfinite(best.validation_accuracy):
        summary["validation"] = best.validation_accuracy
    return summary
