"""Trainings on procedural people, which several studies share: rows of objectives, seed by seed.

Every seed draws people of its own, trains every row on them and searches people nobody was trained on, so that the
deviation over seeds holds the luck of the drawn people, of the initial weights and of the batches. Rows of one seed
share all three and are compared in pairs. The last step counts; nothing is selected.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, cast

import torch

from limbeck.errors import InputError
from limbeck.files import read_json, write_json
from limbeck.records import from_json, reading
from limbeck.reid.embedding import Feature, search_feature
from limbeck.reid.evaluation import embed_split
from limbeck.reid.network import ReidNetwork
from limbeck.reid.recipe import PeopleRecipe, ReidRecipe, read_recipe, shipped_recipe
from limbeck.reid.runs import ReidModel, decoded, load_run
from limbeck.reid.sets.sysu import load_sysu
from limbeck.reid.train import make_task, train_run
from limbeck.reporting.console import quiet
from limbeck.retrieval import SYSU, Features, evaluate
from limbeck.settings import Items, PositiveInt, Seed, check_settings
from limbeck.studies.essence import essence
from limbeck.studies.side_by_side import side_by_side
from limbeck.synthetic.people import PeopleSettings, make_people
from limbeck.synthetic.people.check import is_procedural
from limbeck.synthetic.people.table import read_description

logger = logging.getLogger(__name__)
FIGURES = "figures.json"


def small_recipe() -> ReidRecipe:
    """What is trained unless something else is asked for: the shipped recipe "small", for processors."""
    return read_recipe(shipped_recipe("small"))


# What each row changes: (network, loss).
ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "E": ({"bottleneck": False}, {"objective": "none"}),
    "E+B": ({}, {"objective": "none"}),
    "CIB": ({}, {"objective": "cib"}),
    "CIB-published": ({}, {"objective": "cib", "supervise_observation": False}),
    "VD": ({}, {"objective": "vd"}),
    "VSD+VCD": ({}, {"objective": "vd", "consistency": "vcd"}),
    "VD-released-2021": ({}, {"objective": "released-2021"}),
}
MEANING = {
    "E": "three encoders, no bottleneck",
    "E+B": "three encoders and bottlenecks, no divergence",
    "CIB": "E+B and the conventional bottleneck: z is sampled, a critic of I_JS(v; z) is fought",
    "CIB-published": "the same, with nothing asked of v, as in the papers",
    "VD": "E+B and VSD, VCD, VMD: the papers' divergences",
    "VSD+VCD": "the same without VMD, which the authors' code does not have: to be compared with the next",
    "VD-released-2021": "E+B and VSD, VCD under the arithmetic of the authors' code",
}


@dataclass(frozen=True)
class PeopleTrainings:
    """Which rows are trained, and on whom.

    Attributes:
        rows: any of `ROWS`.
        seeds: of the people, the weights and the batches.
        recipe: what every row starts from.
        people: what is drawn; its seed is replaced.
        jobs: trainings side by side, each in a process of its own with its share of the cores.
    """

    rows: tuple[str, ...] = tuple(ROWS)
    seeds: Annotated[tuple[Seed, ...], Items(empty=False, different=True)] = (1, 2, 3, 4, 5)
    recipe: ReidRecipe = field(default_factory=small_recipe)
    people: PeopleSettings = field(default_factory=lambda: PeopleSettings(difficulty="easy"))
    jobs: PositiveInt = 1

    def __post_init__(self) -> None:
        check_settings(self)
        unknown = [row for row in self.rows if row not in ROWS]
        if unknown or not self.rows:
            raise InputError(f"rows must be some of {', '.join(ROWS)}, not {unknown[0] if unknown else 'none'!r}")


@dataclass(frozen=True)
class Score:
    """Figures of one feature (v or z) of one training, in [0, 1], means over the galleries."""

    rank_1: float
    mean_average_precision: float
    mean_inverse_negative_penalty: float


@dataclass(frozen=True)
class Wanted:
    """A training that a study asks for.

    Attributes:
        row: of the study's table.
        seed: of people, weights and batches.
        recipe: everything that decides it.
        run: its folder.
        untrained: do not train: score the network as it begins.
    """

    row: str
    seed: int
    recipe: PeopleRecipe
    run: Path
    untrained: bool = False


@dataclass(frozen=True)
class Trained:
    """One training and its figures.

    Attributes:
        row: of the study's table.
        seed: of people, weights and batches.
        scores: "v" and, with a bottleneck, "z" -> figures on unseen people.
        parameters: of the network, heads and critics included.
        seconds: that training took when it was done, or its last part where it was interrupted.
    """

    row: str
    seed: int
    scores: dict[str, Score]
    parameters: int
    seconds: float


def train_people(settings: PeopleTrainings, folder: Path) -> list[Trained]:
    """Train and score whatever is not there yet.

    Args:
        settings: what to run.
        folder: gets `people/seed-S`, and a run folder `ROW/seed-S` each; a second call goes on where one stopped.

    Returns:
        All trainings, row by row.

    Raises:
        InputError: a folder holds something else, or a training diverged.
        OSError: the folder cannot be written.
    """
    for seed in settings.seeds:
        people = people_folder(folder, seed)
        draw_people(replace(settings.people, seed=seed), people, settings.jobs)
        recipe = row_recipe(settings.recipe, settings.rows[0], seed, people)
        with quiet():
            decoded(load_sysu(people), recipe.data, Path(recipe.data.cache or people))
    wanted = [
        Wanted(
            row,
            seed,
            row_recipe(settings.recipe, row, seed, people_folder(folder, seed)),
            run_folder(folder, row, seed),
        )
        for row in settings.rows
        for seed in settings.seeds
    ]
    return train_all(wanted, settings.jobs)


def train_all(wanted: Sequence[Wanted], jobs: int) -> list[Trained]:
    """Train and score whatever is not there yet, seed by seed, so that whole comparisons are ready early.

    Args:
        wanted: the trainings; their people are drawn, and their pictures decoded.
        jobs: trainings side by side, each in a process of its own with its share of the cores.

    Returns:
        All trainings, in the order of `wanted`.

    Raises:
        InputError: a run's folder holds something else, or a training diverged.
        OSError: a folder cannot be written.
    """
    order = sorted(range(len(wanted)), key=lambda place: wanted[place].seed)
    found: dict[int, Trained] = {}
    with closing(side_by_side(_one, [wanted[place] for place in order], jobs)) as done:
        for place, one in zip(order, done, strict=True):
            found[place] = one
            logger.info("%d/%d: %s, seed %d: %s", len(found), len(wanted), one.row, one.seed, _figures(one))
    return [found[place] for place in range(len(wanted))]


def row_recipe(base: ReidRecipe, row: str, seed: int, people: Path) -> ReidRecipe:
    """The recipe of one training: a row's changes, its seed, and where its people lie."""
    network, loss = ROWS[row]
    return replace(
        base,
        data=replace(base.data, set="sysu", root=str(people), cache=str(people.parent / f"{people.name}-pictures")),
        network=replace(base.network, **network),
        loss=replace(base.loss, **loss),
        training=replace(base.training, seed=seed),
    )


def people_folder(folder: Path, seed: int) -> Path:
    """Where the people of a seed lie."""
    return folder / "people" / f"seed-{seed}"


def run_folder(folder: Path, row: str, seed: int) -> Path:
    """Where one training lies."""
    return folder / row / f"seed-{seed}"


def _one(wanted: Wanted) -> Trained:
    row, seed, recipe, run = wanted.row, wanted.seed, wanted.recipe, wanted.run
    if (run / FIGURES).is_file():
        return _read(run / FIGURES, recipe)
    started = time.perf_counter()
    with quiet():
        model = _untrained(recipe, run) if wanted.untrained else _trained(recipe, run)
    seconds = time.perf_counter() - started
    with quiet():
        embedded = embed_split(model, run, split="test")
    scores: dict[str, Score] = {}
    kinds: tuple[Feature, ...] = ("v", "z") if recipe.network.bottleneck else ("v",)
    for kind in kinds:
        features = replace(embedded.features, feature=search_feature(embedded.representations, kind))
        scores[kind] = _score(features)
    one = Trained(row, seed, scores, sum(p.numel() for p in model.network.parameters()), seconds)
    write_json(run / FIGURES, {"recipe": recipe.to_dict(), **asdict(one)})
    return one


def _trained(recipe: PeopleRecipe, run: Path) -> ReidModel:
    fitted = train_run(recipe, run)
    if fitted.stopped:
        fitted.leave()
    return load_run(run)


def _untrained(recipe: PeopleRecipe, run: Path) -> ReidModel:
    task = make_task(recipe, run)
    run.mkdir(parents=True, exist_ok=True)
    network = cast(ReidNetwork, task.network)
    return ReidModel(network.eval(), recipe, task.identities, torch.device("cpu"))


def _score(features: Features) -> Score:
    (figures,) = evaluate(features, SYSU())
    return Score(figures.cmc(1).mean, figures.mean_average_precision.mean, figures.mean_inverse_negative_penalty.mean)


def _read(file: Path, recipe: PeopleRecipe) -> Trained:
    """The figures of a training that was done before, if it was this one."""
    with reading(file, "remove its folder to train again"):
        held = from_json(dict[str, Any], read_json(file))
        made = type(recipe).from_dict(held.pop("recipe"))
        one = from_json(Trained, held)
    if essence(made) != essence(recipe):
        raise InputError(f"{file}: was trained by another recipe; name another folder with --out")
    return one


def draw_people(settings: PeopleSettings, target: Path, workers: int) -> None:
    """The people of a seed, unless they lie there already.

    Raises:
        InputError: people of other settings lie there.
    """
    if not is_procedural(target):
        make_people(target, settings, "sysu", workers=workers)
        return
    if read_description(target) != (settings, "sysu"):
        raise InputError(f"{target}: holds people of other settings; name another folder with --out")


def _figures(one: Trained) -> str:
    return ", ".join(
        f"{kind} rank-1 {100 * score.rank_1:.1f} mAP {100 * score.mean_average_precision:.1f}"
        for kind, score in one.scores.items()
    )
