"""Training into a run folder, with labels or without."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.reid.dataset import ReidDataset
from limbeck.reid.recipe import RENAMED, PeopleRecipe, ReidRecipe
from limbeck.reid.runs import FORMATS, PICTURES, decoded, place_of
from limbeck.reid.sets import load_people
from limbeck.reid.splits import digest
from limbeck.reid.supervised.task import ReidTask
from limbeck.reid.unsupervised.recipe import UnsupervisedRecipe
from limbeck.reid.unsupervised.task import UnsupervisedTask
from limbeck.reporting.console import quiet
from limbeck.training import Fitted, Task, fit, is_main, process_group, world_size
from limbeck.training.checkpoints import refuse_other
from limbeck.training.distributed import from_main
from limbeck.training.loop import CHECKPOINTS
from limbeck.training.settings import resume_fingerprint

logger = logging.getLogger(__name__)


class PeopleTask(Task[Any], Protocol):
    """A task on pictures of people."""

    people: ReidDataset
    identities: NDArray[np.int64]
    initialization: list[str]

    def summary(self) -> Iterator[str]:
        """Lines to print before the training begins."""


TASKS: dict[type[PeopleRecipe], Callable[..., PeopleTask]] = {
    ReidRecipe: ReidTask,
    UnsupervisedRecipe: UnsupervisedTask,
}
"""What trains a recipe of each kind."""


def train_run(recipe: PeopleRecipe, folder: Path, *, device: str = "cpu", resolved: str = "") -> Fitted:
    """Train, or go on with a training that was interrupted, in a folder.

    Args:
        recipe: everything that decides the result.
        folder: made when absent; gets `recipe.yaml`, `model.safetensors`, `checkpoints/`, `log.jsonl`, `epochs.csv`.
        device: where to train; under torchrun each process takes its own.
        resolved: the recipe and all other options as YAML, to be readable with the run.

    Raises:
        InputError: the set or the weights cannot be used, a checkpoint is of another recipe, or the loss diverges.
        OSError: the folder cannot be written.
    """
    where = str(Path(recipe.data.root).expanduser().resolve()) if recipe.data.root else ""
    recipe = replace(recipe, data=replace(recipe.data, root=where))
    form = next(form for form, kind in FORMATS.items() if isinstance(recipe, kind))
    with process_group(device) as place:
        fingerprint = _fingerprint(recipe)
        known = {**fingerprint, "training": resume_fingerprint(recipe.training)}
        resuming = refuse_other(folder, folder / CHECKPOINTS, known, renamed=RENAMED)
        task = _task_of_all(recipe, folder, place, resuming=resuming)
        if is_main():
            _inform(task)
        return fit(
            task,
            recipe.training,
            folder,
            device=place,
            fingerprint={**fingerprint, "people": digest(task.people)},
            renamed=RENAMED,
            description={"format": form, "recipe": recipe.to_dict(), "identities": task.identities.tolist()},
            texts={"recipe.yaml": resolved} if resolved else {},
        )


def _task_of_all(recipe: PeopleRecipe, folder: Path, device: torch.device, *, resuming: bool) -> PeopleTask:
    """The task, in every process; the first one decodes the pictures and fetches the weights, for all."""
    task, error = None, ""
    if is_main():
        try:
            task = make_task(recipe, folder, resuming=resuming, device=device)
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
        return make_task(recipe, folder, resuming=resuming, device=device)


def make_task(
    recipe: PeopleRecipe,
    folder: Path,
    *,
    resuming: bool = False,
    device: torch.device | None = None,
) -> PeopleTask:
    """The task of a recipe: its set read and decoded."""
    people = load_people(recipe.data.set, place_of(recipe.data), fold=recipe.data.fold)
    images, rows = decoded(people, recipe.data, Path(recipe.data.cache or folder / PICTURES))
    return TASKS[type(recipe)](recipe, people, images, rows, resuming=resuming, device=device)


def _fingerprint(recipe: PeopleRecipe) -> dict[str, Any]:
    """What may not change when a training goes on: everything but where things lie."""
    values = recipe.to_dict()
    del values["training"]  # the loop knows which of its settings matter
    for name in ("root", "cache"):
        del values["data"][name]
    if Path(recipe.network.weights).suffix:  # a file: what was in it is in the checkpoint
        values["network"]["weights"] = "a file"
    return {f"{group}.{name}": value for group, entries in values.items() for name, value in entries.items()}


def _inform(task: PeopleTask) -> None:
    for line in (*task.initialization, *task.summary()):
        logger.info("%s", line)
    parameters = sum(parameter.numel() for parameter in task.network.parameters())
    logger.info("%d steps an epoch, %s parameters", task.steps_per_epoch, f"{parameters:,}")
