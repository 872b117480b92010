"""The ablation of Table 7 (Tian et al. 2022) on any multi-view set, beside plain baselines."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.multiview.data import MultiViewData, stratified_folds
from limbeck.multiview.evaluation import Scores, probabilities, score
from limbeck.multiview.progress import epoch_progress
from limbeck.multiview.recipe import Recipe
from limbeck.multiview.tensors import TensorViews
from limbeck.multiview.training import Callback, Fold, Trained, gather, predict, train
from limbeck.multiview.views import Views, read_views
from limbeck.reporting.statistics import Difference, Estimate, difference_as_json, estimate_as_json, paired_difference
from limbeck.studies.baselines import BaselineName, run_baseline
from limbeck.studies.published import TABLE_6_SVM, TABLE_7

RowName = Literal["E", "E+CIB", "E+B", "E+B+MV2D", "E+B+released-2021"]
ROWS: tuple[RowName, ...] = ("E", "E+CIB", "E+B", "E+B+MV2D", "E+B+released-2021")
BASELINES: tuple[BaselineName, ...] = ("logistic", "svm", "boosting")
REFERENCE: RowName = "E+B+MV2D"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AblationSettings:
    """What the study does.

    Attributes:
        splits: 0: the splits stored with the data (five 70/20/10 ones where there are none); k: k drawn the same way.
        seed: of the drawn splits and of every model (model of split s: seed + s).
        rows: which networks.
        baselines: which plain classifiers.
        compression_weights: grid of β for E+CIB; each split's validation part chooses.
        dimension_sweep: also train E+B+MV2D with these representation widths (Fig. 10); empty: do not.
        recipe: the network and its training; the rows differ from it in objective and bottleneck alone.
        device: where to train.
    """

    splits: int = 0
    seed: int = 0
    rows: tuple[RowName, ...] = ROWS
    baselines: tuple[BaselineName, ...] = BASELINES
    compression_weights: tuple[float, ...] = (1e-4, 1e-3, 1e-2)
    dimension_sweep: tuple[int, ...] = ()
    recipe: Recipe = field(default_factory=Recipe)
    device: str = "cpu"


@dataclass
class RowResult:
    """Figures of one row, a value a split; accuracies and calibration errors in [0, 1].

    Attributes:
        name: of the row.
        scores: of the test part.
        without: (splits, views) accuracies with each view missing.
        seconds: to tune and train all splits.
        chosen: what the validation parts chose, if anything.
        embedding: representations of the first split's test part, for pictures.
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
        """Accuracy lost when one view is missing, mean over the views, a value a split."""
        return [float(a - row.mean()) for a, row in zip(self.accuracy, self.without, strict=True)]


@dataclass
class AblationResult:
    """Everything the study found."""

    data: MultiViewData
    settings: AblationSettings
    splits: NDArray[np.int8]
    rows: list[RowResult]
    sweep: dict[int, RowResult] = field(default_factory=dict)

    @property
    def test_to_train(self) -> float:
        return float((self.splits[0] == 2).sum() / (self.splits[0] == 0).sum())

    def row(self, name: str) -> RowResult | None:
        return next((row for row in self.rows if row.name == name), None)

    def against(self, name: str, figure: Callable[[RowResult], Sequence[float]]) -> Difference | None:
        """Paired difference of the reference row less row `name` in some figure; None for the reference itself."""
        reference, other = self.row(REFERENCE), self.row(name)
        if reference is None or other is None or name == REFERENCE:
            return None
        return paired_difference(figure(reference), figure(other), test_to_train=self.test_to_train)


def run_ablation(data: MultiViewData, settings: AblationSettings) -> AblationResult:
    """Train every row on every split and score it on the test parts.

    All splits of a row train side by side in one batched program. Nothing is chosen on test data: early stopping,
    calibration, β and the baselines' hyper-parameters use the validation parts.

    Args:
        data: a multi-view set.
        settings: what to do.

    Raises:
        InputError: a setting does not fit the data.
    """
    if settings.splits < 0:
        raise InputError(f"splits must be 0 (the stored ones) or a number to draw, not {settings.splits}")
    if settings.splits == 0 and len(data.folds):
        splits = data.folds
    else:
        splits = stratified_folds(data.labels, settings.splits or 5, seed=settings.seed)
    result = AblationResult(data, settings, splits, [])
    study = _Study(data, settings, splits)
    for name in settings.rows:
        result.rows.append(study.network_row(name))
    for baseline in settings.baselines:
        result.rows.append(study.baseline_row(baseline))
    for width in settings.dimension_sweep:
        recipe = dataclasses.replace(settings.recipe, representation=width)
        result.sweep[width] = study.train_and_score(f"width {width}", recipe)
    return result


class _Study:
    def __init__(self, data: MultiViewData, settings: AblationSettings, splits: NDArray[np.int8]) -> None:
        self.data, self.settings = data, settings
        self.views: Views = read_views(data.views)
        self.parts = parts_of(splits)
        self.tests = [np.flatnonzero(split == 2) for split in splits]

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
            [candidates[c].scores[split] for split, c in enumerate(best)],
            np.stack([candidates[c].without[split] for split, c in enumerate(best)]),
            sum(one.seconds for one in candidates),
            [{"compression_weight": self.settings.compression_weights[c]} for c in best],
            candidates[best[0]].embedding,
        )

    def train_and_score(self, label: str, recipe: Recipe) -> RowResult:
        logger.info("%s: %d splits side by side", label, len(self.parts))
        start = time.perf_counter()
        models = train_splits(
            self.data,
            self.views,
            self.parts,
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
            labels = self.data.labels[test]
            scores.append(score(probabilities(gather(batches, "joint_logits"), model.temperature), labels))
            without.append((gather(batches, "leave_one_out_logits").argmax(axis=-1) == labels).mean(axis=1))
            chosen.append(_training_summary(model))
            if embedding is None:
                embedding = np.moveaxis(gather(batches, "representations"), 0, 1).reshape(len(test), -1)
        row = RowResult(label, scores, np.stack(without), seconds, chosen, embedding)
        logger.info("%s: test accuracy %.2f %%, %.0f s", label, 100 * np.mean(row.accuracy), seconds)
        return row

    def baseline_row(self, name: BaselineName) -> RowResult:
        results = []
        for split, (part, test) in enumerate(zip(self.parts, self.tests, strict=True)):
            logger.info("%s: split %d of %d", name, split + 1, len(self.parts))
            results.append(
                run_baseline(
                    name,
                    self.views,
                    self.data.labels,
                    part,
                    test,
                    classes=self.data.classes,
                    seed=self.settings.seed + split,
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


def parts_of(splits: NDArray[np.int8]) -> list[Fold]:
    """What the model of each split learns from, and what it is stopped and calibrated by."""
    return [Fold(np.flatnonzero(split == 0), np.flatnonzero(split == 1)) for split in splits]


def train_splits(
    data: MultiViewData,
    views: Views,
    parts: Sequence[Fold],
    recipe: Recipe,
    *,
    seed: int,
    device: str,
    label: str = "training",
    callback: Callback | None = None,
) -> list[Trained]:
    """Train a model a split, all side by side in one batched program.

    Args:
        data: the set.
        views: its views, as `read_views` reads them.
        parts: one a split.
        recipe: of all models.
        seed: model of split s: seed + s.
        device: where to train.
        label: of the progress bar.
        callback: see `limbeck.multiview.training.train`.

    Raises:
        InputError: there are no training samples, or the loss is not finite any more.
        KeyboardInterrupt: the training was interrupted.
    """
    with epoch_progress(recipe.epochs, label=label) as progress:
        models = train(
            views,
            data.labels,
            parts,
            recipe,
            classes=data.classes,
            seeds=[seed + split for split in range(len(parts))],
            device=device,
            progress=progress,
            callback=callback,
        )
    if any(model.interrupted for model in models):
        raise KeyboardInterrupt
    return models


def row_recipe(recipe: Recipe, name: RowName) -> Recipe:
    """The recipe of one row of the table: the given one with another objective, or without its bottleneck."""
    match name:
        case "E":
            return dataclasses.replace(recipe, objective="none", bottleneck=False)
        case "E+CIB":
            return dataclasses.replace(recipe, objective="cib", bottleneck=True)
        case "E+B":
            return dataclasses.replace(recipe, objective="none", bottleneck=True)
        case "E+B+MV2D":
            return dataclasses.replace(recipe, objective="mv2d", bottleneck=True)
        case "E+B+released-2021":
            return dataclasses.replace(recipe, objective="released-2021", bottleneck=True)
    raise InputError(f"there is no row {name!r}: choose from {', '.join(ROWS)}")


def as_json(result: AblationResult) -> dict[str, Any]:
    """The result as plain values: settings, figures of every split, means, paired differences, published figures."""
    return {
        "study": "ablation",
        "source": "Tian et al. 2022, Table 7",
        "data": {"name": result.data.name, "samples": result.data.samples, "classes": result.data.classes},
        "protocol": {
            "splits": len(result.splits),
            "train": int((result.splits[0] == 0).sum()),
            "validation": int((result.splits[0] == 1).sum()),
            "test": int((result.splits[0] == 2).sum()),
            "selection": "validation part of each split",
            "interval": "95 %, corrected resampled t (Nadeau and Bengio 2003)",
        },
        "settings": dataclasses.asdict(result.settings),
        "rows": [_row_as_json(result, row) for row in result.rows],
        "dimension_sweep": {
            str(width): {"accuracy": row.accuracy, "missing_loss": row.missing_loss}
            for width, row in result.sweep.items()
        },
    }


def _row_as_json(result: AblationResult, row: RowResult) -> dict[str, Any]:
    against = {
        figure: difference_as_json(result.against(row.name, getter))
        for figure, getter in (("accuracy", lambda r: r.accuracy), ("missing_loss", lambda r: r.missing_loss))
    }
    return {
        "name": row.name,
        "accuracy": _estimate(row.accuracy) | {"splits": row.accuracy},
        "cross_entropy": _estimate([one.cross_entropy for one in row.scores]),
        "calibration_error": _estimate([one.calibration_error for one in row.scores]),
        "accuracy_without_view": dict(zip(result.data.view_names, row.without.mean(axis=0).tolist(), strict=True)),
        "missing_loss": _estimate(row.missing_loss) | {"splits": row.missing_loss},
        "reference_minus_this": against,
        "published_accuracy": published(result.data.name, row.name),
        "seconds": row.seconds,
        "chosen": row.chosen,
    }


def published(data_name: str, row_name: str) -> float | None:
    """The paper's accuracy in per cent for this row on this set, if it prints one."""
    if row_name == "svm":
        return TABLE_6_SVM.get(data_name)
    return TABLE_7.get(data_name, {}).get(row_name)


def _estimate(values: Sequence[float]) -> dict[str, Any]:
    return estimate_as_json(Estimate.from_values(values))


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
