"""Figure 7 of Tian et al. 2021: how I(z; y) approaches I(v; y) in training, for several widths of the representation.

The paper draws the two as curves over the training on SYSU-MM01 and prints no figure in nats. Here both are held-out
lower bounds, on multi-view sets and on procedural people. A network is measured on samples that nothing else looks at:
nothing is learned from them, stopped, calibrated or selected on them, and the last step counts.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import numpy as np

from limbeck.errors import InputError
from limbeck.information.curve import TABLE, InformationRow, pairs_of, read_information
from limbeck.information.probes import Probe
from limbeck.multiview.data import load, stratified_folds
from limbeck.multiview.folds import train_folds
from limbeck.multiview.information import ALL, InformationCallback
from limbeck.multiview.recipe import Objective, Recipe
from limbeck.multiview.training import Fold
from limbeck.multiview.views import read_views
from limbeck.reid.recipe import Objective as PeopleObjective
from limbeck.reid.recipe import ReidRecipe
from limbeck.reid.sets.sysu import load_sysu
from limbeck.reid.splits import split_identities
from limbeck.reid.train import train_run
from limbeck.reporting.console import quiet
from limbeck.settings import Items, PositiveInt, Range, Seed, check_settings
from limbeck.studies.people import draw_people, people_folder, row_recipe, small_recipe
from limbeck.synthetic.people import PeopleSettings

PEOPLE, MEAN = "people", "mean of the views"
logger = logging.getLogger(__name__)


def watched_recipe() -> ReidRecipe:
    """The small recipe of procedural people, with 20 of them held out and a measurement every four epochs."""
    recipe = small_recipe()
    return replace(
        recipe,
        data=replace(recipe.data, held_out=20),
        training=replace(recipe.training, information_epochs=4),
    )


@dataclass(frozen=True)
class PeopleFitting:
    """What is trained on procedural people, where `data` names them.

    Attributes:
        objectives: of `LossSettings`; one is as good as another, but "none" is the reference.
        seeds: of the people, the weights and the batches.
        recipe: what every training starts from: `data.held_out` people are measured on, every
            `training.information_epochs` epochs.
        people: what is drawn; its seed is replaced. Nobody is tested, so that one test identity is enough.
    """

    objectives: Annotated[tuple[PeopleObjective, ...], Items(empty=False)] = ("none", "vd")
    seeds: Annotated[tuple[Seed, ...], Items(empty=False, different=True)] = (1, 2)
    recipe: ReidRecipe = field(default_factory=watched_recipe)
    people: PeopleSettings = field(
        default_factory=lambda: PeopleSettings(difficulty="easy", validation_identities=0, test_identities=1)
    )

    def __post_init__(self) -> None:
        check_settings(self, "people.")
        if not self.recipe.training.information_epochs:
            raise InputError("people.recipe.training.information_epochs must be at least 1, not 0")


def measured_recipe() -> Recipe:
    """What limbeck ships, for 32 epochs and without early stopping, which would look at held-out samples."""
    return Recipe(epochs=32, patience=None)


@dataclass(frozen=True)
class FittingSettings:
    """What the study runs.

    Attributes:
        data: NPZ files, the name of an embedded multi-view set, or "people", which are drawn.
        widths: of the representation z.
        objectives: of `limbeck.multiview.recipe.Recipe`, for multi-view sets.
        measured: after how many epochs a network of a multi-view set is measured, beside before the first step and
            after the last.
        folds: the first so many of the folds stored with a set, or so many drawn where it has none.
        seed: of the drawn folds and the models (model of fold f: seed + f).
        probe: `linear` or `mlp`, for multi-view sets; people are measured as in every training, by the linear one.
        probe_folds: of each measurement, for multi-view sets; people have five.
        recipe: network and training for multi-view sets; `patience` must be None.
        people: the same for people.
        device: where to train.
    """

    data: Annotated[tuple[str, ...], Items(empty=False, different=True)] = ("digits",)
    widths: Annotated[tuple[PositiveInt, ...], Items(empty=False, different=True)] = (4, 16, 64, 256)
    objectives: Annotated[tuple[Objective, ...], Items(empty=False)] = ("none", "mv2d")
    measured: Annotated[tuple[PositiveInt, ...], Items(different=True)] = (1, 2, 4, 8, 16)
    folds: PositiveInt = 3
    seed: Seed = 0
    probe: Probe = "linear"
    probe_folds: Annotated[int, Range(ge=2)] = 5
    recipe: Recipe = field(default_factory=measured_recipe)
    people: PeopleFitting = field(default_factory=PeopleFitting)
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_settings(self)
        if self.recipe.patience is not None or not self.recipe.bottleneck:
            raise InputError(
                "recipe.patience must be null and recipe.bottleneck true: nothing may stop early, and there must be a z"
            )


@dataclass(frozen=True)
class FittedRun:
    """What was measured in one training.

    Attributes:
        data: name of the set.
        objective: of the training.
        width: of z.
        run: the fold of a multi-view set, the seed of people.
        epochs: of the training.
        samples: held out.
        rows: the measurements.
    """

    data: str
    objective: str
    width: int
    run: int
    epochs: int
    samples: int
    rows: tuple[InformationRow, ...]


@dataclass(frozen=True)
class FittingResult:
    """Everything that was measured, set by set."""

    settings: FittingSettings
    runs: tuple[FittedRun, ...]


def run(settings: FittingSettings, folder: Path) -> FittingResult:
    """Train every objective at every width and measure I(v; y) and I(z; y) on the way.

    Of a multi-view set the validation and test splits of each fold are measured on, for every view by itself and for
    all side by side; the networks see the training split alone. Of procedural people the held-out ones are.

    Args:
        settings: what to run.
        folder: of people and their run folders; a second call goes on with those where one stopped.

    Raises:
        InputError: a set cannot be read or measured on, a folder holds something else, or a training diverged.
        OSError: the folder cannot be written.
    """
    runs: list[FittedRun] = []
    for source in settings.data:
        found = _people_runs(settings, folder) if source == PEOPLE else _multiview_runs(settings, source)
        runs += found
    return FittingResult(settings, tuple(runs))


def _multiview_runs(settings: FittingSettings, source: str) -> Iterator[FittedRun]:
    data = load(source)
    codes = data.folds if len(data.folds) else stratified_folds(data.labels, settings.folds, seed=settings.seed)
    if len(codes) < settings.folds:
        raise InputError(f"folds must be at most the {len(codes)} that {data.name} stores, not {settings.folds}")
    views = read_views(data.views)
    # No validation split: nothing may look at what is measured on.
    folds = [Fold(np.flatnonzero(own == 0), np.empty(0, np.int64)) for own in codes[: settings.folds]]
    held_out = [np.flatnonzero(own > 0) for own in codes[: settings.folds]]
    for objective in settings.objectives:
        for width in settings.widths:
            callback = InformationCallback(
                views,
                data.labels,
                held_out,
                due=settings.measured.__contains__,
                probe=settings.probe,
                folds=settings.probe_folds,
                seed=settings.seed,
            )
            recipe = replace(settings.recipe, objective=objective, representation=width)
            with quiet():
                train_folds(data, views, folds, recipe, seed=settings.seed, device=settings.device, callback=callback)
            found = [
                FittedRun(data.name, objective, width, fold, recipe.epochs, len(own), tuple(curve.rows))
                for fold, (own, curve) in enumerate(zip(held_out, callback.curves, strict=True))
            ]
            logger.info("%s, %s, width %d: %s", data.name, objective, width, _figures(found))
            yield from found


def _people_runs(settings: FittingSettings, folder: Path) -> Iterator[FittedRun]:
    for seed in settings.people.seeds:
        people = people_folder(folder, seed)
        draw_people(replace(settings.people.people, seed=seed), people, 1)
        for objective in settings.people.objectives:
            for width in settings.widths:
                recipe = people_recipe(settings.people, objective, width, seed, people)
                place = folder / f"people-{objective}" / f"width-{width}" / f"seed-{seed}"
                with quiet():
                    fitted = train_run(recipe, place, device=settings.device)
                if fitted.stopped:
                    fitted.leave()
                found = FittedRun(
                    PEOPLE,
                    objective,
                    width,
                    seed,
                    recipe.training.epochs,
                    len(split_identities(load_sysu(people), recipe.data, seed).held_out),
                    tuple(read_information(place / TABLE)),
                )
                logger.info("people, %s, width %d, seed %d: %s", objective, width, seed, _figures([found]))
                yield found


def people_recipe(
    settings: PeopleFitting, objective: PeopleObjective, width: int, seed: int, people: Path
) -> ReidRecipe:
    """The recipe of one training on people."""
    base = row_recipe(settings.recipe, "E+B", seed, people)
    return replace(
        base,
        network=replace(base.network, representation=width),
        loss=replace(base.loss, objective=objective),
    )


@dataclass(frozen=True, eq=False)
class Series:
    """I(v; y) and I(z; y) of one thing over a training, in nats.

    Attributes:
        epochs: (measurements,) epochs done.
        v: (measurements,).
        z: (measurements,).
        entropy: of the label.
    """

    epochs: np.ndarray
    v: np.ndarray
    z: np.ndarray
    entropy: float

    @property
    def gap(self) -> float:
        """I(v; y) - I(z; y) after the last step."""
        return float(self.v[-1] - self.z[-1])

    @property
    def fitted_after(self) -> float:
        """Epochs after which I(z; y) was first measured at 90 % of its last value; NaN where that is not above 0."""
        if self.z[-1] <= 0:
            return float("nan")
        return float(self.epochs[np.argmax(self.z >= 0.9 * self.z[-1])])


def series_of(run: FittedRun) -> dict[str, Series]:
    """What a run's curves are of: the mean of its views and all side by side, or each branch by itself.

    Raises:
        InputError: there is no v that has a z.
    """
    found: dict[str, Series] = {}
    last = max((row.step for row in run.rows), default=0)
    for source, v, z in pairs_of(run.rows):
        epochs = np.array([run.epochs * row.step / last for row in v])
        found[source] = Series(
            epochs, np.array([row.nats for row in v]), np.array([row.nats for row in z]), v[-1].entropy
        )
    if not found:
        raise InputError(f"{run.data}, {run.objective}, width {run.width}: nothing was measured of both v and z")
    if ALL not in found:
        return found
    together = found.pop(ALL)
    v, z = (np.mean([getattr(one, word) for one in found.values()], axis=0) for word in ("v", "z"))
    return {MEAN: Series(together.epochs, v, z, together.entropy), ALL: together}


def _figures(runs: list[FittedRun]) -> str:
    scopes = [series_of(run) for run in runs]
    return "; ".join(
        f"{scope} I(v;y) {np.mean([one[scope].v[-1] for one in scopes]):.3f}, "
        f"I(z;y) {np.mean([one[scope].z[-1] for one in scopes]):.3f}"
        for scope in scopes[0]
    )
