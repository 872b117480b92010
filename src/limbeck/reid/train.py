"""Training into a run folder, with labels or without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.images.runs import PICTURES
from limbeck.reid.dataset import ReidDataset
from limbeck.reid.recipe import RENAMED, PeopleRecipe, ReidRecipe
from limbeck.reid.runs import FORMATS, decoded, place_of
from limbeck.reid.sets import load_people
from limbeck.reid.splits import digest
from limbeck.reid.supervised.task import ReidTask
from limbeck.reid.unsupervised.recipe import UnsupervisedRecipe
from limbeck.reid.unsupervised.task import UnsupervisedTask
from limbeck.training import Fitted
from limbeck.training.recipes import rooted
from limbeck.training.runs import PictureTask, recipe_fingerprint, train_folder


class PeopleTask(PictureTask, Protocol):
    """A task on pictures of people."""

    people: ReidDataset
    identities: NDArray[np.int64]


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
    recipe = rooted(recipe)
    form = next(form for form, kind in FORMATS.items() if isinstance(recipe, kind))
    return train_folder(
        lambda place, resuming: make_task(recipe, folder, resuming=resuming, device=place),
        recipe.training,
        folder,
        recipe_fingerprint(recipe.to_dict()),
        device=device,
        renamed=RENAMED,
        content=lambda task: {"people": digest(task.people)},
        description=lambda task: {"format": form, "recipe": recipe.to_dict(), "identities": task.identities.tolist()},
        resolved=resolved,
    )


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
