"""What training without labels reaches on procedural people, and what each part of it brings."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from limbeck.modalities import INFRARED, VISIBLE
from limbeck.reid.recipe import DataSettings, PeopleRecipe, ReidRecipe, read_recipe
from limbeck.reid.runs import decoded
from limbeck.reid.sets.sysu import load_sysu
from limbeck.reid.unsupervised.recipe import UnsupervisedRecipe, shipped_recipe
from limbeck.reporting.console import quiet
from limbeck.reporting.statistics import Difference, Estimate, paired_difference
from limbeck.settings import Items, PositiveInt, Seed, check_settings
from limbeck.studies.people import Trained, Wanted, draw_people, people_folder, small_recipe, train_all
from limbeck.synthetic.people import PeopleSettings
from limbeck.training import generator
from limbeck.training.logs import read_epochs

RowName = Literal[
    "untrained",
    "clusters",
    "nearest",
    "hungarian",
    "transport",
    "transport+abstention",
    "transport+alignment",
    "transport+VSD/VCD",
    "identities",
    "supervised",
]
Overlap = Literal["full", "half"]
REFERENCE: RowName = "transport"
FULL: Overlap = "full"
HALF: Overlap = "half"
_ONE_SIDED = 7  # first entry of the key that draws who is seen in one modality only

# What each row changes in the recipe: group -> settings.
ROWS: dict[RowName, dict[str, dict[str, Any]]] = {
    "untrained": {},
    "clusters": {"matching": {"method": "none"}},
    "nearest": {"matching": {"method": "nearest"}},
    "hungarian": {"matching": {"method": "hungarian"}},
    "transport": {},
    "transport+abstention": {"matching": {"mass": 0.7, "threshold": 0.25}},
    "transport+alignment": {"loss": {"alignment_weight": 0.5}},
    "transport+VSD/VCD": {
        "network": {"bottleneck": True, "hidden": (512,), "head_hidden": None},
        "loss": {"sufficiency_weight": 2.0, "consistency_weight": 2.0},
    },
    "identities": {"matching": {"method": "identities"}},
    "supervised": {},
}
MEANING: dict[RowName, str] = {
    "untrained": "the network as it begins: the floor",
    "clusters": "prototypes of each modality alone, nothing is matched",
    "nearest": "each cluster is matched to the nearest of the other modality",
    "hungarian": "the cheapest assignment, in rounds until every cluster has a partner",
    "transport": "optimal transport with uniform priors",
    "transport+abstention": "70 % of the mass, and only where a partner gets a quarter of a cluster's own",
    "transport+alignment": "and cross prediction alignment",
    "transport+VSD/VCD": "and a bottleneck, VSD and VCD between what v and z predict of prototypes",
    "identities": "clusters are matched by true labels, and nothing else is: what wrong matches cost",
    "supervised": "the same encoder, one shared branch, cross-entropy and ranked list with true labels: the ceiling",
}


def small_unsupervised_recipe() -> UnsupervisedRecipe:
    """The shipped recipe "small", for processors."""
    return read_recipe(shipped_recipe("small"), UnsupervisedRecipe)


@dataclass(frozen=True)
class UnsupervisedStudySettings:
    """What the study runs.

    Attributes:
        rows: any of `ROWS`.
        overlaps: "full": all people are seen in both modalities; "half": half of those that are learned from are seen
            in one modality only, as many in the one as in the other. The test people are the same.
        seeds: of the people, the weights and the batches.
        recipe: what every row starts from.
        supervised: the recipe of the ceiling; its network, augmentation and steps are those of `recipe`.
        people: what is drawn; its seed is replaced.
        jobs: trainings side by side, each in a process of its own with its share of the cores.
    """

    rows: Annotated[tuple[RowName, ...], Items(empty=False, different=True)] = tuple(ROWS)
    overlaps: Annotated[tuple[Overlap, ...], Items(empty=False, different=True)] = (FULL, HALF)
    seeds: Annotated[tuple[Seed, ...], Items(empty=False, different=True)] = (1, 2, 3, 4, 5)
    recipe: UnsupervisedRecipe = field(default_factory=small_unsupervised_recipe)
    supervised: ReidRecipe = field(default_factory=small_recipe)
    people: PeopleSettings = field(
        default_factory=lambda: PeopleSettings(train_identities=140, difficulty="easy", absent=0.0)
    )
    jobs: PositiveInt = 1

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class UnsupervisedStudyResult:
    """Every training, and the figures of its pseudo-labels in the last epoch.

    Attributes:
        settings: that were run.
        trainings: (overlap, row, seed) -> the training.
        pseudo_labels: (overlap, row, seed) -> figures of the last epoch, such as "precision"; {} where there are none.
    """

    settings: UnsupervisedStudySettings
    trainings: dict[tuple[Overlap, RowName, int], Trained]
    pseudo_labels: dict[tuple[Overlap, RowName, int], dict[str, float]]

    def values(self, overlap: Overlap, row: RowName, figure: str = "mean_average_precision") -> list[float]:
        """One figure of searching with v in per cent, one number a seed; empty where the row was not run."""
        found = [self.trainings.get((overlap, row, seed)) for seed in self.settings.seeds]
        return [100 * float(getattr(one.scores["v"], figure)) for one in found if one is not None]

    def labels(self, overlap: Overlap, row: RowName, figure: str) -> list[float]:
        """A figure of the pseudo-labels, one number a seed; empty where there is none."""
        found = [self.pseudo_labels.get((overlap, row, seed), {}) for seed in self.settings.seeds]
        return [one[figure] for one in found if figure in one]

    def estimate(self, overlap: Overlap, row: RowName, figure: str = "mean_average_precision") -> Estimate:
        """The mean over the seeds."""
        return Estimate.from_values(self.values(overlap, row, figure))

    def against(self, reference: RowName, overlap: Overlap, row: RowName) -> Difference | None:
        """mAP of the reference less that of a row, paired by seed; None where one is missing or they are one."""
        return None if row == reference else _paired(self.values(overlap, reference), self.values(overlap, row))

    def above_untrained(self, overlap: Overlap, row: RowName) -> Difference | None:
        """mAP of a row less that of the untrained network, which no overlap changes, paired by seed."""
        floor = self.values(overlap, "untrained") or self.values(FULL, "untrained")
        return None if row == "untrained" else _paired(self.values(overlap, row), floor)

    def share_of_supervised(self, overlap: Overlap, row: RowName) -> Estimate | None:
        """mAP of a row as a share of what labels of all people reach, in per cent, over the seeds; None without it."""
        own, ceiling = self.values(overlap, row), self.values(FULL, "supervised")
        if row == "supervised" or not own or len(own) != len(ceiling):
            return None
        return Estimate.from_values([100 * one / most for one, most in zip(own, ceiling, strict=True)])


def _paired(first: list[float], second: list[float]) -> Difference | None:
    if not first or len(first) != len(second) or len(first) < 2:
        return None
    # Seeds share no people, so that nothing corrects the interval.
    return paired_difference(first, second, test_to_train=0.0)


def run(settings: UnsupervisedStudySettings, folder: Path) -> UnsupervisedStudyResult:
    """Train and score every row with every overlap and seed.

    Args:
        settings: what to run.
        folder: gets people and run folders; a second call goes on where one stopped.

    Raises:
        InputError: a folder holds something else, or a training diverged.
        OSError: the folder cannot be written.
    """
    keys, wanted = [], []
    for seed in settings.seeds:
        whole = people_folder(folder, seed)
        draw_people(replace(settings.people, seed=seed), whole, settings.jobs)
        for overlap in settings.overlaps:
            people = whole if overlap == FULL else half_overlap(whole, whole.with_name(f"{whole.name}-half"), seed)
            with quiet():
                decoded(load_sysu(people), _data(settings.recipe.data, people), _cache(people))
            for row in settings.rows:
                # What does not depend on the overlap, or cannot be had of people seen in one modality only.
                if row in ("untrained", "supervised") and overlap != FULL and FULL in settings.overlaps:
                    continue
                if row == "supervised" and overlap != FULL:
                    continue
                keys.append((overlap, row, seed))
                place = folder / overlap / row.replace("/", "+") / f"seed-{seed}"
                wanted.append(Wanted(row, seed, row_recipe(settings, row, seed, people), place, row == "untrained"))
    trainings = dict(zip(keys, train_all(wanted, settings.jobs), strict=True))
    figures = {key: (read_epochs(one.run) or [{}])[-1] for key, one in zip(keys, wanted, strict=True)}
    return UnsupervisedStudyResult(settings, trainings, figures)


def row_recipe(settings: UnsupervisedStudySettings, row: RowName, seed: int, people: Path) -> PeopleRecipe:
    """The recipe of one training."""
    base = settings.recipe
    training = replace(base.training, seed=seed)
    data = _data(base.data, people)
    if row == "supervised":
        ceiling = settings.supervised
        return replace(
            ceiling,
            data=replace(data, identities=ceiling.data.identities, pictures=ceiling.data.pictures),
            network=replace(base.network, bottleneck=False),
            loss=replace(ceiling.loss, objective="none"),
            augmentation=base.augmentation,
            training=replace(training, validate_epochs=0),
        )
    changed = {group: replace(getattr(base, group), **values) for group, values in ROWS[row].items()}
    return replace(base, data=data, training=training, **changed)


def half_overlap(people: Path, target: Path, seed: int) -> Path:
    """A copy of a set in SYSU-MM01's layout, half of whose learned-from people are seen in one modality only.

    The files are linked, not copied. Which modality a person loses is drawn by the seed, as many lose the one as the
    other. Test people keep both.
    """
    if target.is_dir():
        return target
    known = load_sysu(people)
    test = set(known.identity[known.split("test")].tolist())
    drawn = generator(seed, _ONE_SIDED).permutation([i for i in np.unique(known.identity).tolist() if i not in test])
    quarter = len(drawn) // 4
    lost = {int(identity): VISIBLE for identity in drawn[:quarter]}
    lost |= {int(identity): INFRARED for identity in drawn[quarter : 2 * quarter]}
    unfinished = target.with_name(f"{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(people / "exp", unfinished / "exp")
    for path, identity, modality in zip(known.path, known.identity.tolist(), known.modality.tolist(), strict=True):
        if lost.get(identity) != modality:
            there = unfinished / path
            there.parent.mkdir(parents=True, exist_ok=True)
            there.hardlink_to(people / path)
    unfinished.rename(target)
    return target


def _data(settings: DataSettings, people: Path) -> DataSettings:
    return replace(settings, set="sysu", root=str(people), cache=str(_cache(people)))


def _cache(people: Path) -> Path:
    return people.with_name(f"{people.name}-pictures")
