"""One training of the study: trained once, scored on validation classes, and on test classes only when asked."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import torch

from limbeck.errors import InputError
from limbeck.files import read_json, write_json
from limbeck.information.probes import cross_fitted_information
from limbeck.metric.embedding import Feature, features_of
from limbeck.metric.evaluation import embed_split
from limbeck.metric.recipe import MetricRecipe
from limbeck.metric.runs import MetricModel, load_run, make_task, train_run
from limbeck.records import from_json, reading
from limbeck.reporting.console import quiet
from limbeck.retrieval import LeaveOneOut, evaluate
from limbeck.studies.essence import essence
from limbeck.training.guard import Diverged
from limbeck.training.loop import CHECKPOINTS

Split = Literal["validation", "test"]
TRAINED = "trained.json"
RECALLS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Wanted:
    """A training whose figures are wanted.

    Attributes:
        name: what to call it in messages.
        recipe: everything that decides it.
        run: its folder.
        split: the classes that it is scored on.
        untrained: do not train: score the network as it begins.
    """

    name: str
    recipe: MetricRecipe
    run: Path
    split: Split
    untrained: bool = False


@dataclass(frozen=True)
class Score:
    """Figures of one feature (v or z): pictures of unseen classes, each of which searches all others.

    Attributes:
        recall_1: in [0, 1],
        recall_2: likewise,
        recall_4: likewise,
        recall_8: likewise.
        map_at_r: likewise.
        nats: of the class that a linear probe reads, held out; None on validation classes, where nobody asks.
        entropy: of the classes, in nats: the most that `nats` can be.
    """

    recall_1: float
    recall_2: float
    recall_4: float
    recall_8: float
    map_at_r: float
    nats: float | None = None
    entropy: float | None = None


@dataclass(frozen=True)
class Scored:
    """Figures of a training.

    Attributes:
        scores: "v" and, with a bottleneck, "z" -> figures; empty where the training diverged.
        parameters: of the network, classifiers and proxies included.
        seconds: that the training took, or its last part where it was interrupted; 0 without one.
    """

    scores: dict[str, Score]
    parameters: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class _Ended:
    """What is stored of a training, in JSON's types."""

    recipe: dict[str, Any]
    diverged: bool
    seconds: float
    parameters: int


def scored(wanted: Wanted) -> Scored:
    """Train and score, as far as that was not done before.

    Raises:
        InputError: the folder holds the training of another recipe, or is damaged.
        OSError: the folder cannot be written.
    """
    figures = wanted.run / f"{wanted.split}.json"
    model: MetricModel | None = None
    if not (wanted.run / TRAINED).is_file():
        started = time.perf_counter()
        with quiet():
            model = _model(wanted)
        seconds = 0.0 if wanted.untrained else time.perf_counter() - started
        parameters = 0 if model is None else sum(one.numel() for one in model.network.parameters())
        ended = _Ended(wanted.recipe.to_dict(), model is None, seconds, parameters)
        write_json(wanted.run / TRAINED, asdict(ended))
        shutil.rmtree(wanted.run / CHECKPOINTS, ignore_errors=True)  # hundreds of trainings: the networks are enough
    with reading(wanted.run, "remove it to train again"):
        held = from_json(_Ended, read_json(wanted.run / TRAINED))
        made = MetricRecipe.from_dict(held.recipe)
        scores = from_json(dict[str, Score], read_json(figures)) if figures.is_file() else None
    if essence(made) != essence(wanted.recipe):
        raise InputError(f"{wanted.run}: was trained by another recipe; name another folder with --out")
    if held.diverged:
        return Scored({}, held.parameters, held.seconds)
    if scores is None:
        with quiet():
            scores = score(model or _model(wanted, known=True), wanted.run, wanted.split)
        write_json(figures, {kind: asdict(one) for kind, one in scores.items()})
    return Scored(scores, held.parameters, held.seconds)


def score(model: MetricModel | None, run: Path, split: Split) -> dict[str, Score]:
    """Figures of a network on the classes of a split, by v and by z."""
    assert model is not None
    embedded = embed_split(model, run, split=split)
    found: dict[str, Score] = {}
    for kind in cast(tuple[Feature, ...], tuple(embedded.representations)):
        features = features_of(embedded.photographs, embedded.members, embedded.representations, kind)
        (figures,) = evaluate(features, LeaveOneOut())
        recalls = {f"recall_{k}": figures.cmc(k).mean for k in RECALLS}
        nats = entropy = None
        if split == "test":
            read = cross_fitted_information(features.feature, features.identity, check=False)
            nats, entropy = read.nats, read.entropy
        precision = figures.mean_average_precision_at_r.mean
        found[kind] = Score(**recalls, map_at_r=precision, nats=nats, entropy=entropy)
    return found


def _model(wanted: Wanted, *, known: bool = False) -> MetricModel | None:
    """The network; None where its training diverged."""
    if wanted.untrained:
        wanted.run.mkdir(parents=True, exist_ok=True)
        task = make_task(wanted.recipe, wanted.run)
        return MetricModel(task.network.eval(), wanted.recipe, task.classes, 0, 0, torch.device("cpu"))
    if not known:
        try:
            fitted = train_run(wanted.recipe, wanted.run)
            if fitted.stopped:
                fitted.leave()
        except Diverged:
            return None
    # Where the pictures lie is as wanted: the folder of the study may have been moved.
    return replace(load_run(wanted.run), recipe=wanted.recipe)
