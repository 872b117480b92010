"""Training by a recipe into a run folder, and finding the model in one."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from limbeck.devices import check_device
from limbeck.errors import InputError
from limbeck.files import MODEL, first_line
from limbeck.reporting.console import quiet
from limbeck.settings import NonNegativeInt, check_value
from limbeck.tensorfiles import DAMAGE, check_tensors, read_description, read_tensors
from limbeck.training.checkpoints import refuse_other
from limbeck.training.distributed import from_main, is_main, process_group, world_size
from limbeck.training.loop import CHECKPOINTS, Fitted, Task, fit
from limbeck.training.recipes import AnyRecipe
from limbeck.training.settings import TrainingSettings, resume_fingerprint

logger = logging.getLogger(__name__)


class PictureTask(Task[Any], Protocol):
    """A task on pictures."""

    initialization: list[str]

    def summary(self) -> Iterator[str]:
        """Lines to print before the training begins."""


Made = TypeVar("Made", bound=PictureTask)
AnyNetwork = TypeVar("AnyNetwork", bound=nn.Module)


def train_folder(
    make: Callable[[torch.device, bool], Made],
    settings: TrainingSettings,
    folder: Path,
    fingerprint: Mapping[str, Any],
    *,
    device: str = "cpu",
    renamed: Mapping[str, str] | None = None,
    content: Callable[[Made], Mapping[str, Any]],
    description: Callable[[Made], Mapping[str, Any]],
    resolved: str = "",
) -> Fitted:
    """Train a task in a folder, or go on with a training there; under torchrun, in all processes.

    Args:
        make: called with the device and whether a training goes on, makes the task. The first process makes its own
            alone, before the others: it decodes pictures and fetches weights for all.
        settings: of the loop.
        folder: of the run; see `limbeck.training.fit`.
        fingerprint: what decides the result, as far as it is known before the task is made.
        device: where to train; under torchrun each process takes its own.
        renamed: of `fit`.
        content: what else decides the result, such as a digest of the set.
        description: of the model file.
        resolved: the recipe and all other options as YAML, to be readable with the run; empty: none is written.

    Raises:
        InputError: the task cannot be made, a checkpoint is of another recipe, or the loss diverges.
        OSError: the folder cannot be written.
    """
    with process_group(device) as place:
        known = {**fingerprint, "training": resume_fingerprint(settings)}
        resuming = refuse_other(folder, folder / CHECKPOINTS, known, renamed=renamed)
        task = _first_alone(lambda: make(place, resuming), place)
        if is_main():
            _inform(task)
        return fit(
            task,
            settings,
            folder,
            device=place,
            fingerprint={**fingerprint, **content(task)},
            renamed=renamed,
            description=description(task),
            texts={"recipe.yaml": resolved} if resolved else {},
        )


def _first_alone(make: Callable[[], Made], device: torch.device) -> Made:
    """The task, in every process; the first one makes it before the others, which fail as it does."""
    task, error = None, ""
    if is_main():
        try:
            task = make()
        except (InputError, OSError) as caught:
            if world_size() == 1:
                raise
            error = " ".join(str(caught).split())
    shared = from_main({"error": error}, device)
    if shared["error"]:
        raise InputError(shared["error"])
    if task is not None:
        return task
    with quiet():
        return make()


def recipe_fingerprint(values: Mapping[str, Any]) -> dict[str, Any]:
    """What of a recipe of pictures may not change when a training goes on: everything but where things lie.

    Args:
        values: of `Recipe.to_dict`, with the groups "data" (whose "root" and "cache" say where), "network" and
            "training".
    """
    groups = {group: dict(entries) for group, entries in values.items()}
    del groups["training"]  # the loop knows which of its settings matter
    for name in ("root", "cache"):
        groups["data"].pop(name, None)
    if Path(groups["network"]["weights"]).suffix:  # a file: what was in it is in the checkpoint
        groups["network"]["weights"] = "a file"
    return {f"{group}.{name}": value for group, entries in groups.items() for name, value in entries.items()}


def model_file(run: str | os.PathLike[str], verb: str) -> Path:
    """The model file of a run folder; a file is taken for one.

    Args:
        run: a folder or a file.
        verb: of the command that trains such models, for the message.

    Raises:
        InputError: there is no such folder or file, or the folder holds none.
    """
    place = Path(run)
    if not place.exists():
        raise InputError(f"{place}: there is no such file or folder; give a folder that `limbeck {verb}` wrote")
    file = place / MODEL if place.is_dir() else place
    if not file.is_file():
        raise InputError(f"{place}: holds no {MODEL}; let `limbeck {verb} --out {place}` end first")
    return file


def recipe_in(file: Path, kinds: Mapping[str, type[AnyRecipe]], what: str) -> AnyRecipe:
    """The recipe that a model file holds; its weights are not read.

    Args:
        file: of `train_folder`, with "recipe" in its description.
        kinds: format of the file -> kind of recipe.
        what: such models are called in messages.

    Raises:
        InputError: there is no such file, or it is something else.
    """
    description = read_description(file)
    kind = kinds.get(description["format"])
    if kind is None or "recipe" not in description:
        raise InputError(f"{file}: not a {what} of this version (its format is {description['format']!r})")
    try:
        return kind.from_dict(description["recipe"])
    except InputError as error:
        raise InputError(f"{file}: not a {what} of this version ({error})") from None


def network_in(
    file: Path, make: Callable[[Mapping[str, Any]], AnyNetwork], *, form: str, what: str, device: str = "cpu"
) -> tuple[dict[str, Any], AnyNetwork]:
    """The description and the network of a model file, in evaluation mode.

    A network of ours is not allocated before it is known that the file's tensors fit it.

    Args:
        file: of `train_folder`.
        make: called with the description, builds the network; once on the device "meta", to learn its shapes.
        form: the file's format.
        what: such models are called in messages.
        device: where the network is to lie.

    Returns:
        The description, with "step" and "epoch" in its "training", and the network.

    Raises:
        InputError: the file is not there, damaged, or something else.
    """
    place = check_device(device)
    description, tensors = read_tensors(file, format=form, what=what, device=device)
    try:
        trained = {name: description["training"][name] for name in ("step", "epoch")}
        for name, value in trained.items():
            check_value(f"training.{name}", value, NonNegativeInt)
        with suppress(RuntimeError), torch.device("meta"):  # not every encoder of others can be built there
            check_tensors(tensors, make(description).state_dict(), "it")
        network = make(description).to(place)
        check_tensors(tensors, network.state_dict(), "it")
        network.load_state_dict(tensors)
    except DAMAGE as error:
        raise InputError(f"{file}: not a model of this version ({first_line(error)[:200]})") from None
    return description | {"training": trained}, network.eval()


def whole_numbers(values: object, name: str) -> NDArray[np.int64]:
    """Whole numbers of a description, such as the identities that a model was trained on.

    Raises:
        ValueError: they are none.
    """
    if not isinstance(values, list) or not all(type(value) is int and -(2**63) <= value < 2**63 for value in values):
        raise ValueError(f"{name} must be a list of whole numbers")
    return np.array(values, np.int64)


def check_trials(runs: Sequence[Path], recipes: Sequence[object], trials: Sequence[Hashable], what: str) -> None:
    """Trials of one evaluation differ in what makes them trials alone.

    Args:
        runs: of one model each.
        recipes: of the runs, without what trials may differ in.
        trials: what they must differ in, of each run.
        what: that is, in words.

    Raises:
        InputError: two runs are of different recipes, or of one trial.
    """
    for run, recipe in zip(runs[1:], recipes[1:], strict=True):
        if recipe != recipes[0]:
            raise InputError(f"{run} was trained by another recipe than {runs[0]}: evaluate them apart")
    if len(set(trials)) < len(trials):
        raise InputError(f"{runs[-1]}: two of the runs are of the same {what}; each trial needs its own")


def _inform(task: PictureTask) -> None:
    for line in (*task.initialization, *task.summary()):
        logger.info("%s", line)
    parameters = sum(parameter.numel() for parameter in task.network.parameters())
    logger.info("%d steps an epoch, %s parameters", task.steps_per_epoch, f"{parameters:,}")
