"""Every part of multi-view variational distillation by itself, on drawn folds of any multi-view set.

A row is one network, trained on all folds side by side. Its figures are stored, so that a study goes on where it
stopped. An effect is a difference of rows, paired fold by fold.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.files import safe_name
from limbeck.information.diagnosis import Diagnosis, ViewDiagnosis, diagnose_view_features
from limbeck.information.diagnosis.resampling import Interval
from limbeck.information.probes import Probe
from limbeck.multiview.data import MultiViewData, digest, load
from limbeck.multiview.diagnosis import held_out_samples, view_features_of_fold
from limbeck.multiview.folds import FoldScores, learned_from, score_model, stored_or_drawn, train_folds
from limbeck.multiview.recipe import Recipe
from limbeck.multiview.tensors import TensorViews
from limbeck.multiview.training import predict
from limbeck.multiview.views import Views, read_views
from limbeck.reporting.progress import progress_bar
from limbeck.reporting.statistics import Difference, Estimate, paired_difference
from limbeck.settings import Items, NonNegativeInt, Range, Seed, check_settings
from limbeck.studies.multiview_rows import PLAIN, REFERENCE, RowName, row_recipe
from limbeck.studies.stored import read_stored, write_stored

THEORY_ROWS: tuple[RowName, ...] = (
    PLAIN,
    REFERENCE,
    "E+B+MV2D-first-sum-only",
    "E+B+MV2D-second-sum-only",
    "E+B+MV2D-sum",
    "E+B+MV2D-undetached-teacher",
    "E+B+MV2D-undetached-joint",
    "E+B+pairwise",
    "E+B+MV2D+pairwise",
    "E+B+stochastic",
    "E+B+MV2D+stochastic",
    "E+B+view-dropout",
    "E+B+MV2D+view-dropout",
)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MultiviewTheorySettings:
    """What the study does.

    Attributes:
        data: an NPZ file, or the name of an embedded multi-view set.
        folds: how many are drawn, 70/20/10 class by class; 0: those stored with the data.
        seed: of the drawn folds, of every model (model of fold f: seed + f) and of the diagnoses.
        rows: which networks.
        diagnosed_folds: the representations of the first so many folds are diagnosed, of all where there are fewer; 0:
            of none.
        probe: of the diagnoses: `linear`, `quadratic` or `mlp`.
        probe_folds: of each diagnosis.
        recipe: the network and its training; the rows differ from it by what they are named after.
        device: where to train.
    """

    data: str = "digits"
    folds: NonNegativeInt = 20
    seed: Seed = 0
    rows: Annotated[tuple[RowName, ...], Items(empty=False, different=True)] = THEORY_ROWS
    diagnosed_folds: NonNegativeInt = 5
    probe: Probe = "linear"
    probe_folds: Annotated[int, Range(ge=2)] = 5
    recipe: Recipe = field(default_factory=Recipe)
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class Figure:
    """One number of a row and fold.

    Attributes:
        name: of it.
        meaning: in a few words.
        scale: times which it is printed: 100 for per cent, 1 for nats.
        digits: printed behind the point.
        of_scores: reads it of the predictions for test samples, whose labels have the entropy that is given; None: it
            is one of a diagnosis.
        of_diagnosis: reads it of a diagnosis, in nats.
    """

    name: str
    meaning: str
    scale: float = 1
    digits: int = 3
    of_scores: Callable[[FoldScores, float], float] | None = None
    of_diagnosis: Callable[[Diagnosis], float] | None = None


def _mean_nats(part: Callable[[ViewDiagnosis], Interval | None]) -> Callable[[Diagnosis], float]:
    def mean(found: Diagnosis) -> float:
        intervals = [part(view) for view in found.views]
        return float(np.mean([np.nan if interval is None else interval.nats for interval in intervals]))

    return mean


_only_in_a_view = _mean_nats(lambda view: view.specific)
SCORED = (
    Figure(
        "all views, %",
        "accuracy of the joint prediction on test samples",
        100,
        2,
        lambda scores, entropy: scores.joint.accuracy,
    ),
    Figure(
        "a view missing, %",
        "the same without one view, mean over the views",
        100,
        2,
        lambda scores, entropy: float(np.mean([one.accuracy for one in scores.without])),
    ),
    Figure(
        "read, all views",
        "nats of the label that the joint prediction itself tells: H(y) less its calibrated cross-entropy on test "
        "samples",
        of_scores=lambda scores, entropy: entropy - scores.joint.cross_entropy,
    ),
    Figure(
        "read, a view missing",
        "the same without one view, mean over the views",
        of_scores=lambda scores, entropy: entropy - float(np.mean([one.cross_entropy for one in scores.without])),
    ),
)
DIAGNOSED = (
    Figure(
        "held, all views",
        "nats of the label that a probe reads from all z: I(z_1..n;y)",
        of_diagnosis=lambda found: found.joint.nats,
    ),
    Figure(
        "held, a view missing",
        "the same from all z but one, mean over the views",
        of_diagnosis=lambda found: found.joint.nats - _only_in_a_view(found),
    ),
    Figure(
        "held, one view",
        "the same from a single z: I(z;y), mean over the views",
        of_diagnosis=_mean_nats(lambda view: view.representation),
    ),
    Figure(
        "only in a view", "I(y;z|others), what no other view tells, mean over the views", of_diagnosis=_only_in_a_view
    ),
    Figure("gap", "I(v;y) - I(z;y), mean over the views", of_diagnosis=_mean_nats(lambda view: view.gap)),
)


@dataclass(frozen=True)
class Effect:
    """A difference of rows.

    Attributes:
        name: of what is compared.
        plus: rows that are added.
        minus: rows that are taken away; as many.
    """

    name: str
    plus: tuple[RowName, ...]
    minus: tuple[RowName, ...]


EFFECTS = (
    Effect("MV2D", (REFERENCE,), (PLAIN,)),
    Effect("first sum alone", ("E+B+MV2D-first-sum-only",), (PLAIN,)),
    Effect("second sum alone", ("E+B+MV2D-second-sum-only",), (PLAIN,)),
    Effect("first sum, beside the second", (REFERENCE,), ("E+B+MV2D-second-sum-only",)),
    Effect("second sum, beside the first", (REFERENCE,), ("E+B+MV2D-first-sum-only",)),
    Effect(
        "both sums beyond what each does alone",
        (REFERENCE, PLAIN),
        ("E+B+MV2D-first-sum-only", "E+B+MV2D-second-sum-only"),
    ),
    Effect("sum over views instead of the mean", ("E+B+MV2D-sum",), (REFERENCE,)),
    Effect("teacher of the first sum learns", ("E+B+MV2D-undetached-teacher",), (REFERENCE,)),
    Effect("teacher of the second sum learns", ("E+B+MV2D-undetached-joint",), (REFERENCE,)),
    Effect("pairwise head, without MV2D", ("E+B+pairwise",), (PLAIN,)),
    Effect("pairwise head, with MV2D", ("E+B+MV2D+pairwise",), (REFERENCE,)),
    Effect("MV2D, with the pairwise head", ("E+B+MV2D+pairwise",), ("E+B+pairwise",)),
    Effect("stochastic z, without MV2D", ("E+B+stochastic",), (PLAIN,)),
    Effect("stochastic z, with MV2D", ("E+B+MV2D+stochastic",), (REFERENCE,)),
    Effect("MV2D, with stochastic z", ("E+B+MV2D+stochastic",), ("E+B+stochastic",)),
    Effect("view dropout, without MV2D", ("E+B+view-dropout",), (PLAIN,)),
    Effect("view dropout, with MV2D", ("E+B+MV2D+view-dropout",), (REFERENCE,)),
    Effect("MV2D, with view dropout", ("E+B+MV2D+view-dropout",), ("E+B+view-dropout",)),
    Effect("view dropout instead of MV2D", ("E+B+view-dropout",), (REFERENCE,)),
)


@dataclass(frozen=True)
class RowResult:
    """What was found of one row.

    Attributes:
        values: name of a figure -> one number a fold; those of diagnoses of the diagnosed folds alone.
        without: (folds, views) test accuracy with each view missing.
        training_seconds: of all folds.
        diagnosing_seconds: of all diagnoses.
    """

    values: dict[str, list[float]]
    without: list[list[float]]
    training_seconds: float
    diagnosing_seconds: float


@dataclass(frozen=True)
class MultiviewTheoryResult:
    """Everything the study found.

    Attributes:
        settings: that were run.
        name: of the set.
        view_names: of the views that some sample has.
        sizes: samples, classes, and training, validation, test and diagnosed samples of the first fold.
        folds: how many.
        diagnosed_folds: how many of them are diagnosed.
        rows: by name.
    """

    settings: MultiviewTheorySettings
    name: str
    view_names: tuple[str, ...]
    sizes: dict[str, int]
    folds: int
    diagnosed_folds: int
    rows: dict[RowName, RowResult]

    @property
    def figures(self) -> tuple[Figure, ...]:
        """Those that there are."""
        return SCORED + DIAGNOSED if self.diagnosed_folds else SCORED

    @property
    def effects(self) -> tuple[Effect, ...]:
        """Those whose rows were all run."""
        return tuple(effect for effect in EFFECTS if {*effect.plus, *effect.minus} <= set(self.rows))

    def estimate(self, row: RowName, figure: Figure) -> Estimate:
        """A figure of a row over the folds."""
        return Estimate.from_values(self.rows[row].values[figure.name])

    def effect(self, effect: Effect, figure: Figure) -> Difference:
        """An effect on a figure, paired fold by fold, with the corrected resampled t interval."""

        def total(rows: Sequence[RowName]) -> list[float]:
            return [
                float(sum(of_fold)) for of_fold in zip(*(self.rows[r].values[figure.name] for r in rows), strict=True)
            ]

        asked = self.sizes["test" if figure.of_scores is not None else "diagnosed"]
        return paired_difference(total(effect.plus), total(effect.minus), test_to_train=asked / self.sizes["training"])


def run(settings: MultiviewTheorySettings, folder: Path) -> MultiviewTheoryResult:
    """Train, score and diagnose every row that is not there yet.

    Nothing is chosen on test samples: validation samples stop and calibrate.

    Args:
        settings: what to run.
        folder: gets `rows/`, a file a row; a second call goes on where one stopped.

    Raises:
        InputError: the set cannot be read or diagnosed, a setting does not fit it, or the folder holds rows of other
            settings.
        OSError: the folder cannot be written.
    """
    study = _Study(settings, load(settings.data))
    rows = {row: study.row(row, folder / "rows" / f"{safe_name(row)}.json") for row in settings.rows}
    return MultiviewTheoryResult(
        settings,
        study.data.name,
        study.view_names,
        {
            "samples": study.data.samples,
            "classes": study.data.classes,
            "training": len(study.learned[0].training),
            "validation": len(study.learned[0].validation),
            "test": len(study.tests[0]),
            "diagnosed": len(study.held_out[0]),
        },
        len(study.folds),
        study.diagnosed_folds,
        rows,
    )


class _Study:
    def __init__(self, settings: MultiviewTheorySettings, data: MultiViewData) -> None:
        self.settings, self.data = settings, data
        self.views: Views = read_views(data.views)
        pairs = zip(self.views.names, self.views.matrices, strict=True)
        self.view_names = tuple(name for name, matrix in pairs if matrix is not None)
        if len(self.view_names) < 2:
            raise InputError(f"{data.name}: has one view, which cannot be missing; this study needs several")
        self.folds = stored_or_drawn(data, settings.folds, settings.seed)
        self.learned = learned_from(self.folds)
        self.tests: list[NDArray[np.int64]] = [np.flatnonzero(codes == 2) for codes in self.folds]
        if not all(map(len, self.tests)):
            raise InputError(f"{data.name}: a fold has no test samples")
        self.held_out = [held_out_samples(data, self.views, codes) for codes in self.folds]
        self.diagnosed_folds = min(settings.diagnosed_folds, len(self.folds))
        self.digest = digest(data, self.folds)

    def row(self, name: RowName, file: Path) -> RowResult:
        """A row, from its file where it was run before."""
        made_by = self._made_by(name)
        stored = read_stored(RowResult, file, made_by, "remove it to run the row again")
        if stored is not None:
            return stored
        found = self._run(name)
        write_stored(file, made_by, found)
        points, nats = (100 * np.mean(found.values[SCORED[1].name]), np.mean(found.values[SCORED[3].name]))
        logger.info("%s: %.2f %% and %.3f nats with a view missing", name, points, nats)
        return found

    def _made_by(self, name: RowName) -> dict[str, Any]:
        """What decides a row."""
        settings = self.settings
        return {
            "data": self.digest,
            "seed": settings.seed,
            "recipe": asdict(row_recipe(settings.recipe, name)),
            "diagnoses": [self.diagnosed_folds, settings.probe, settings.probe_folds],
        }

    def _run(self, name: RowName) -> RowResult:
        settings = self.settings
        logger.info("%s: %d folds side by side", name, len(self.folds))
        started = time.perf_counter()
        models = train_folds(
            self.data,
            self.views,
            self.learned,
            row_recipe(settings.recipe, name),
            seed=settings.seed,
            device=settings.device,
            label=name,
        )
        trained = time.perf_counter()
        tensors = TensorViews(self.views, models[0].device)
        scores = [
            score_model(model, list(predict(model.network, tensors, test)), self.data.labels[test])
            for model, test in zip(models, self.tests, strict=True)
        ]
        diagnoses = []
        with progress_bar(f"{name}, diagnoses", unit="fold", total=self.diagnosed_folds) as advance:
            for fold in range(self.diagnosed_folds):
                held = self.held_out[fold]
                features = view_features_of_fold(models[fold], self.data, self.views, held)
                diagnoses.append(
                    diagnose_view_features(
                        features, probe=settings.probe, folds=settings.probe_folds, seed=settings.seed
                    )
                )
                advance(fold + 1)
        return RowResult(
            _values(scores, [_entropy(self.data.labels[test]) for test in self.tests], diagnoses),
            [[one.accuracy for one in of_fold.without] for of_fold in scores],
            trained - started,
            time.perf_counter() - trained,
        )


def _values(
    scores: Sequence[FoldScores], entropies: Sequence[float], diagnoses: Sequence[Diagnosis]
) -> dict[str, list[float]]:
    """Every figure that there is."""
    values = {}
    for figure in SCORED:
        assert figure.of_scores is not None
        values[figure.name] = [figure.of_scores(*of_fold) for of_fold in zip(scores, entropies, strict=True)]
    for figure in DIAGNOSED if diagnoses else ():
        assert figure.of_diagnosis is not None
        values[figure.name] = [figure.of_diagnosis(found) for found in diagnoses]
    return values


def _entropy(labels: NDArray[np.int64]) -> float:
    """H(y) of the labels' frequencies, in nats."""
    shares = np.bincount(labels) / len(labels)
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())
