"""Training by a recipe into a run folder, and reading the model that lies there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from limbeck.errors import InputError
from limbeck.segmentation.dataset import digest
from limbeck.segmentation.network import SegmentationNetwork
from limbeck.segmentation.recipe import DataSettings, SegmentationRecipe
from limbeck.segmentation.sets import load_scans, segmentation_set
from limbeck.segmentation.task import SegmentationTask
from limbeck.training.loop import Fitted
from limbeck.training.recipes import rooted
from limbeck.training.runs import model_file, network_in, recipe_fingerprint, recipe_in, train_folder

FORMAT = "limbeck-segmentation-1"


@dataclass(frozen=True, eq=False)
class SegmentationModel:
    """A trained model.

    Attributes:
        network: in evaluation mode.
        recipe: it was trained by.
        classes: their names.
        step: after which it was kept.
        epoch: likewise.
        device: where it lies.
    """

    network: SegmentationNetwork
    recipe: SegmentationRecipe
    classes: tuple[str, ...]
    step: int
    epoch: int
    device: torch.device


def place_of(settings: DataSettings) -> Path:
    """Where the set lies.

    Raises:
        InputError: the recipe does not say.
    """
    if not settings.root:
        raise InputError(
            f"data.root must say where the set {settings.set} lies: its {segmentation_set(settings.set).root}"
        )
    return Path(settings.root)


def train_run(recipe: SegmentationRecipe, folder: Path, *, device: str = "cpu", resolved: str = "") -> Fitted:
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
        lambda place, resuming: make_task(recipe, resuming=resuming, device=place),
        recipe.training,
        folder,
        recipe_fingerprint(recipe.to_dict()),
        device=device,
        content=lambda task: {"scans": digest(task.scans)},
        description=lambda task: {
            "format": FORMAT,
            "recipe": recipe.to_dict(),
            "classes": list(task.scans.labels.classes),
        },
        resolved=resolved,
    )


def make_task(
    recipe: SegmentationRecipe, *, resuming: bool = False, device: torch.device | None = None
) -> SegmentationTask:
    """The task of a recipe: its set opened."""
    return SegmentationTask(
        recipe, load_scans(recipe.data.set, place_of(recipe.data)), resuming=resuming, device=device
    )


def load_run(run: str | os.PathLike[str], *, device: str = "cpu") -> SegmentationModel:
    """The trained model of a run folder, or of a model file.

    Raises:
        InputError: there is none, it is damaged, or it is something else.
    """
    file, recipe = model_file(run, "train segmentation"), recipe_of(run)
    description, network = network_in(
        file,
        lambda held: SegmentationNetwork(recipe, len(_classes(held["classes"]))),
        form=FORMAT,
        what="segmentation model",
        device=device,
    )
    classes = _classes(description["classes"])
    return SegmentationModel(network, recipe, classes, **description["training"], device=torch.device(device))


def _classes(names: object) -> tuple[str, ...]:
    """Names of the classes in a description.

    Raises:
        ValueError: they are none.
    """
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("classes must be a list of names")
    return tuple(names)


def recipe_of(run: str | os.PathLike[str]) -> SegmentationRecipe:
    """The recipe of a trained model, without its weights.

    Raises:
        InputError: there is none, or it is something else.
    """
    return recipe_in(model_file(run, "train segmentation"), {FORMAT: SegmentationRecipe}, "segmentation model")
