"""What the representations of four trainings hold of the label, side by side: the papers' claims, put to the test.

On multi-view sets and on procedural people, with the rows of the two ablations: a bottleneck without an objective, the
conventional information bottleneck, variational distillation, and the arithmetic of the authors' code. Every trained
network is diagnosed on samples that it did not learn from. On multi-view sets the epoch whose weights are kept is
chosen by the accuracy on their validation split, and nothing else is; on people the last step counts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.files import safe_name
from limbeck.information.diagnosis import Diagnosis, ViewDiagnosis, ViewFeatures, diagnose_view_features
from limbeck.information.diagnosis.resampling import Interval
from limbeck.information.probes import Probe
from limbeck.multiview.data import MultiViewData, load, stratified_folds
from limbeck.multiview.diagnosis import held_out_samples, view_features_of_fold
from limbeck.multiview.folds import learned_from, train_folds
from limbeck.multiview.recipe import Recipe
from limbeck.multiview.views import read_views
from limbeck.reid.diagnosis import view_features_of_run
from limbeck.reporting.console import quiet
from limbeck.reporting.statistics import Difference, Estimate, paired_difference
from limbeck.settings import Items, NonNegativeInt, Range, Seed, check_settings
from limbeck.studies.multiview_rows import REFERENCE, RowName, row_recipe
from limbeck.studies.people import PeopleTrainings, run_folder, small_recipe, train_people

PEOPLE, PEOPLE_REFERENCE = "people", "VD"
logger = logging.getLogger(__name__)


def people_settings() -> PeopleTrainings:
    """The rows of the re-identification ablation that are compared here, two seeds and 800 steps."""
    recipe = small_recipe()
    return PeopleTrainings(
        rows=("E+B", "CIB", PEOPLE_REFERENCE, "VD-released-2021"),
        seeds=(1, 2),
        recipe=replace(recipe, training=replace(recipe.training, epochs=16)),
    )


@dataclass(frozen=True)
class DiagnosisSettings:
    """What the study runs.

    Attributes:
        data: NPZ files, the name of an embedded multi-view set, or "people", which are drawn.
        rows: of `limbeck.studies.multiview_rows.ROWS`, for multi-view sets; E+CIB has the weight of the recipe.
        folds: the first so many of those stored with a set (of five drawn ones where there are none); 0: all.
        seed: of the drawn folds, of the models (model of fold f: seed + f) and of the diagnoses.
        probe: `linear`, `quadratic` or `mlp`.
        probe_folds: of each diagnosis.
        recipe: network and training for multi-view sets; the rows differ from it in the objective alone.
        people: rows, seeds and training for people.
        device: where to train.
    """

    data: Annotated[tuple[str, ...], Items(empty=False, different=True)] = ("digits",)
    rows: Annotated[tuple[RowName, ...], Items(empty=False, different=True)] = (
        "E+B",
        "E+CIB",
        REFERENCE,
        "E+B+released-2021",
    )
    folds: NonNegativeInt = 0
    seed: Seed = 0
    probe: Probe = "linear"
    probe_folds: Annotated[int, Range(ge=2)] = 5
    recipe: Recipe = field(default_factory=Recipe)
    people: PeopleTrainings = field(default_factory=people_settings)
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class Figure:
    """One figure of a diagnosis.

    Attributes:
        name: of it.
        meaning: in a few words.
        of: reads it of a diagnosis, in nats or per cent.
        digits: shown behind the point.
    """

    name: str
    meaning: str
    of: Callable[[Diagnosis], float]
    digits: int = 3


def _mean_of_views(part: Callable[[ViewDiagnosis], Interval | None]) -> Callable[[Diagnosis], float]:
    def mean(found: Diagnosis) -> float:
        intervals = [part(view) for view in found.views]
        assert all(interval is not None for interval in intervals)
        return float(np.mean([interval.nats for interval in intervals if interval is not None]))

    return mean


FIGURES = (
    Figure("I(v;y)", "what the observations tell of the label", _mean_of_views(lambda view: view.observation)),
    Figure("I(z;y)", "what the representations tell", _mean_of_views(lambda view: view.representation)),
    Figure("gap", "I(v;y) - I(z;y), 0 for sufficient representations", _mean_of_views(lambda view: view.gap)),
    Figure("only in this view", "I(y;z|others), what no other view tells", _mean_of_views(lambda view: view.specific)),
    Figure("consistent", "I(z;y) less that", _mean_of_views(lambda view: view.consistent)),
    Figure("joint", "what all representations tell together", lambda found: found.joint.nats),
    Figure(
        "agree %",
        "samples of which two views predict the same class",
        lambda found: 100 * float(np.mean([pair.share for pair in found.agreements])),
        digits=1,
    ),
)


def _mean_search(found: Diagnosis) -> float:
    return 100 * float(np.mean([search.mean_average_precision for search in found.retrieval] or [np.nan]))


ACROSS = Figure("across %", "mAP of representations of one view that search those of the other", _mean_search, digits=1)


@dataclass(frozen=True, eq=False)
class SetResult:
    """What was found on one set.

    Attributes:
        name: of the set.
        reference: the row that the others are compared with.
        runs: one a diagnosis: which fold, or which seed.
        rows: row -> one diagnosis per run.
        test_to_train: diagnosed samples over training samples where runs share samples; 0 where they do not.
        protocol: in words.
    """

    name: str
    reference: str
    runs: tuple[str, ...]
    rows: dict[str, tuple[Diagnosis, ...]]
    test_to_train: float
    protocol: str

    @property
    def figures(self) -> tuple[Figure, ...]:
        """What there is: with two views also the search across them."""
        searched = all(np.isfinite(ACROSS.of(found)) for row in self.rows.values() for found in row)
        return (*FIGURES, ACROSS) if searched else FIGURES

    def values(self, row: str, figure: Figure) -> list[float]:
        """One figure of a row, one number per run."""
        return [figure.of(found) for found in self.rows[row]]

    def estimate(self, row: str, figure: Figure) -> Estimate:
        """One figure of a row over the runs."""
        return Estimate.from_values(self.values(row, figure))

    def against(self, row: str, figure: Figure) -> Difference | None:
        """Paired difference of the reference less a row; None for the reference, or where it was not trained."""
        if row == self.reference or self.reference not in self.rows:
            return None
        first, second = self.values(self.reference, figure), self.values(row, figure)
        return paired_difference(first, second, test_to_train=self.test_to_train)


@dataclass(frozen=True, eq=False)
class DiagnosisResult:
    """Everything the study found."""

    settings: DiagnosisSettings
    sets: tuple[SetResult, ...]


def run(settings: DiagnosisSettings, folder: Path) -> DiagnosisResult:
    """Train every row and diagnose it: of multi-view sets one model per fold, of people one model per seed.

    Args:
        settings: what to run.
        folder: gets people and their trainings in `trainings`; a second call goes on with those where one stopped.

    Raises:
        InputError: a set cannot be read or diagnosed, a folder holds something else, or a training diverged.
        OSError: the folder cannot be written.
    """
    # All are read first, so that a wrong name is known now and not in an hour.
    loaded = [None if source == PEOPLE else load(source) for source in settings.data]
    places = [safe_name(PEOPLE if data is None else data.name) for data in loaded]
    if len(set(places)) != len(places):
        raise InputError(f"data must be sets of different names, not {', '.join(places)}")
    chosen = [None if data is None else _folds(data, settings) for data in loaded]
    found = [
        _people(settings, folder) if data is None or folds is None else _multiview(settings, data, folds)
        for data, folds in zip(loaded, chosen, strict=True)
    ]
    return DiagnosisResult(settings, tuple(found))


def _folds(data: MultiViewData, settings: DiagnosisSettings) -> NDArray[np.int8]:
    if len(data.views) < 2:
        raise InputError(f"{data.name}: has one view; this study compares what several know")
    folds = data.folds if len(data.folds) else stratified_folds(data.labels, seed=settings.seed)
    if settings.folds > len(folds):
        raise InputError(f"folds must be at most the {len(folds)} of {data.name}, not {settings.folds}")
    return folds[: settings.folds or None]


def _multiview(settings: DiagnosisSettings, data: MultiViewData, folds: NDArray[np.int8]) -> SetResult:
    views, learned = read_views(data.views), learned_from(folds)
    held_out = [held_out_samples(data, views, codes) for codes in folds]
    rows: dict[str, tuple[Diagnosis, ...]] = {}
    for row in settings.rows:
        label = f"{data.name}, {row}"
        recipe = row_recipe(settings.recipe, row)
        models = train_folds(data, views, learned, recipe, seed=settings.seed, device=settings.device, label=label)
        features = [view_features_of_fold(model, data, views, own) for model, own in zip(models, held_out, strict=True)]
        rows[row] = _diagnoses(settings, features)
        logger.info("%s: %s", label, _figures(rows[row]))
    train, own = len(learned[0].training), len(held_out[0])
    return SetResult(
        data.name,
        REFERENCE,
        tuple(f"fold {fold}" for fold in range(len(folds))),
        rows,
        own / train,
        f"{data.classes} classes, {len(data.views)} views; trained on {train} samples, diagnosed "
        f"on the {own} of the validation and test splits, on which nothing is selected but the epoch, on the "
        "validation split",
    )


def _people(settings: DiagnosisSettings, folder: Path) -> SetResult:
    study = settings.people
    place = folder / "trainings"
    train_people(study, place)
    rows: dict[str, tuple[Diagnosis, ...]] = {}
    for row in study.rows:
        with quiet():
            features = [
                view_features_of_run(run_folder(place, row, seed), device=settings.device) for seed in study.seeds
            ]
        rows[row] = _diagnoses(settings, features)
        logger.info("%s, %s: %s", PEOPLE, row, _figures(rows[row]))
    people, training = study.people, study.recipe.training
    steps = training.epochs * (study.recipe.data.steps_per_epoch or 0)
    length = f"{steps} steps" if steps else f"{training.epochs} epochs"
    first = next(iter(rows.values()))[0]
    return SetResult(
        PEOPLE,
        PEOPLE_REFERENCE,
        tuple(f"seed {seed}" for seed in study.seeds),
        rows,
        0.0,  # seeds share no people
        f"{people.difficulty} people, drawn anew for every seed: "
        f"{people.train_identities + people.validation_identities} to learn from, diagnosed on {first.samples} pairs "
        f"of a visible and an infrared picture of {len(first.classes)} others; the label is who it is; "
        f"{study.recipe.network.encoder} encoder, shared branch, {length}, the last one counts",
    )


def _diagnoses(settings: DiagnosisSettings, features: Sequence[ViewFeatures]) -> tuple[Diagnosis, ...]:
    """Of every run; rows have the same folds, so that they can be compared in pairs."""
    return tuple(
        diagnose_view_features(own, probe=settings.probe, folds=settings.probe_folds, seed=settings.seed)
        for own in features
    )


def _figures(found: Sequence[Diagnosis]) -> str:
    return ", ".join(
        f"{figure.name} {np.mean([figure.of(one) for one in found]):.{figure.digits}f}" for figure in FIGURES
    )
