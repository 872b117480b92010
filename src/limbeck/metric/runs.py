"""The run folder of an embedding: its pictures, its training, its networks."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.images.cache import decoded_photographs
from limbeck.images.photographs import Photographs
from limbeck.images.runs import PICTURES, decoded_pictures
from limbeck.metric.dataset import MetricDataset, digest
from limbeck.metric.network import MetricNetwork
from limbeck.metric.recipe import DataSettings, MetricRecipe
from limbeck.metric.sets import load_photographs, metric_set
from limbeck.metric.task import MetricTask
from limbeck.reporting.progress import progress_bar
from limbeck.training import Fitted
from limbeck.training.loop import BEST
from limbeck.training.recipes import rooted
from limbeck.training.runs import model_file, network_in, recipe_fingerprint, recipe_in, train_folder, whole_numbers

FORMAT = "limbeck-metric-1"


@dataclass(frozen=True, eq=False)
class MetricModel:
    """A trained model.

    Attributes:
        network: in evaluation mode.
        recipe: that it was made by.
        classes: of the set, that it learned from.
        step: after which it was kept.
        epoch: likewise.
        device: where it lies.
    """

    network: MetricNetwork
    recipe: MetricRecipe
    classes: NDArray[np.int64]
    step: int
    epoch: int
    device: torch.device


def place_of(settings: DataSettings) -> Path:
    """Where the set lies.

    Raises:
        InputError: the recipe does not say.
    """
    if not settings.root:
        raise InputError(f"data.root must say where the set {settings.set} lies: its {metric_set(settings.set).root}")
    return Path(settings.root)


def decoded(photographs: MetricDataset, settings: DataSettings, cache: Path) -> tuple[Photographs, NDArray[np.int64]]:
    """The pictures of a set as the recipe has them, and the row of each picture of the set; -1: none.

    Unreadable pictures that the recipe lets pass are warned of.

    Raises:
        InputError: one cannot be read, or the set is an array of pictures of another size.
    """
    if photographs.images is not None:
        height, width = photographs.images.shape[1:3]
        if (height, width) != (settings.resize, settings.resize):
            raise InputError(
                f"{photographs.root}: holds pictures of {height} x {width} pixels, and none that could be decoded "
                f"anew: set data.resize to {min(height, width)}"
                + ("" if height == width else ", and give square ones (`limbeck metric pack`)")
            )
        return photographs.images, np.arange(len(photographs))
    root, paths, skip = photographs.root, photographs.path, settings.skip_corrupt
    if settings.fit == "squash":
        size = settings.resize, settings.resize
        return decoded_pictures(root, paths, cache, size=size, skip_corrupt=skip)
    with progress_bar("pictures") as advance:
        found = decoded_photographs(root, paths, cache, side=settings.resize, skip_corrupt=skip, progress=advance)
    if found.corrupt:
        warnings.warn(f"{len(found.corrupt)} pictures are left out (first: {found.corrupt[0]})", stacklevel=2)
    return found.images, found.rows


def train_run(recipe: MetricRecipe, folder: Path, *, device: str = "cpu", resolved: str = "") -> Fitted:
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
    return train_folder(
        lambda place, resuming: make_task(recipe, folder, resuming=resuming, device=place),
        recipe.training,
        folder,
        recipe_fingerprint(recipe.to_dict()),
        device=device,
        content=lambda task: {"photographs": digest(task.photographs)},
        description=lambda task: {"format": FORMAT, "recipe": recipe.to_dict(), "classes": task.classes.tolist()},
        resolved=resolved,
    )


def make_task(
    recipe: MetricRecipe, folder: Path, *, resuming: bool = False, device: torch.device | None = None
) -> MetricTask:
    """The task of a recipe: its set read and decoded."""
    photographs = load_photographs(recipe.data.set, place_of(recipe.data))
    images, rows = decoded(photographs, recipe.data, Path(recipe.data.cache or folder / PICTURES))
    return MetricTask(recipe, photographs, images, rows, resuming=resuming, device=device)


def networks_of(run: Path) -> dict[str, Path]:
    """The files of a run's networks: "last" and "best", as far as there are; of a model file, itself.

    Raises:
        InputError: there is none.
    """
    file = model_file(run, "train metric")
    recipe, best = recipe_of(file), file.parent / BEST
    if run.is_dir() and recipe.training.select == "both" and best.is_file():
        return {"last": file, "best": best}
    return {"best" if recipe.training.select == "best" or file.name == BEST else "last": file}


def load_run(run: str | os.PathLike[str], *, device: str = "cpu") -> MetricModel:
    """The trained model of a run folder, or of a model file.

    Raises:
        InputError: there is none, it is damaged, or it is something else.
    """
    file, recipe = model_file(run, "train metric"), recipe_of(run)
    description, network = network_in(
        file,
        lambda held: MetricNetwork(recipe, len(whole_numbers(held["classes"], "classes"))),
        form=FORMAT,
        what="metric learning model",
        device=device,
    )
    classes = whole_numbers(description["classes"], "classes")
    return MetricModel(network, recipe, classes, **description["training"], device=torch.device(device))


def recipe_of(run: str | os.PathLike[str]) -> MetricRecipe:
    """The recipe of a trained model, without its weights.

    Raises:
        InputError: there is none, or it is something else.
    """
    return recipe_in(model_file(run, "train metric"), {FORMAT: MetricRecipe}, "metric learning model")
