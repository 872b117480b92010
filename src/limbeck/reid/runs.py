"""A run folder of re-identification: training into it, and the trained model out of it."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.devices import check_device
from limbeck.errors import InputError
from limbeck.files import MODEL
from limbeck.images.cache import decoded_images
from limbeck.reid.dataset import ReidDataset
from limbeck.reid.embedding import represent
from limbeck.reid.network import ReidNetwork
from limbeck.reid.recipe import RENAMED, DataSettings, ReidRecipe
from limbeck.reid.sets import load_people, reid_set
from limbeck.reid.supervised.task import ReidTask, digest
from limbeck.reporting.console import quiet
from limbeck.reporting.progress import Progress, progress_bar
from limbeck.tensorfiles import read_description, read_tensors
from limbeck.training import Fitted, fit, is_main, process_group, world_size
from limbeck.training.checkpoints import refuse_other
from limbeck.training.distributed import from_main
from limbeck.training.loop import CHECKPOINTS
from limbeck.training.settings import resume_fingerprint

FORMAT, PICTURES = "limbeck-reid-1", "pictures"
logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class ReidModel:
    """A trained model.

    Attributes:
        network: in evaluation mode.
        recipe: that it was made by.
        identities: of its classes.
        device: where it lies.
    """

    network: ReidNetwork
    recipe: ReidRecipe
    identities: NDArray[np.int64]
    device: torch.device

    def represent(
        self, images: NDArray[np.uint8], modality: NDArray[np.int8], progress: Progress | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """All representations of pictures (pictures, height, width, 3) of the recipe's size: `ReidNetwork.embed`."""
        rows = np.arange(len(images))
        return represent(self.network, images, rows, modality, device=self.device, progress=progress)


def train_run(recipe: ReidRecipe, folder: Path, *, device: str = "cpu", resolved: str = "") -> Fitted:
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
            description={"format": FORMAT, "recipe": recipe.to_dict(), "identities": task.identities.tolist()},
            texts={"recipe.yaml": resolved} if resolved else {},
        )


def _task_of_all(recipe: ReidRecipe, folder: Path, device: torch.device, *, resuming: bool) -> ReidTask:
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
    recipe: ReidRecipe,
    folder: Path,
    *,
    resuming: bool = False,
    device: torch.device | None = None,
) -> ReidTask:
    """The task of a recipe: its set read and decoded."""
    people = load_people(recipe.data.set, place_of(recipe.data), fold=recipe.data.fold)
    images, rows = decoded(people, recipe.data, Path(recipe.data.cache or folder / PICTURES))
    return ReidTask(recipe, people, images, rows, resuming=resuming, device=device)


def place_of(settings: DataSettings) -> Path:
    """Where the set lies.

    Raises:
        InputError: the recipe does not say.
    """
    if not settings.root:
        raise InputError(f"data.root must say where the set {settings.set} lies: its {reid_set(settings.set).root}")
    return Path(settings.root)


def decoded(people: ReidDataset, settings: DataSettings, cache: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The pictures of a set at the recipe's size, from the cache, and the row of each picture of the set; -1: none.

    Unreadable pictures that the recipe lets pass are warned of.
    """
    options: dict[str, Any] = {"size": (settings.height, settings.width), "skip_corrupt": settings.skip_corrupt}
    with progress_bar("pictures") as advance:
        found = decoded_images(people.root, people.path, cache, progress=advance, **options)
    if found.corrupt:
        warnings.warn(f"{len(found.corrupt)} pictures are left out (first: {found.corrupt[0]})", stacklevel=2)
    return found.images, found.rows


def load_run(run: Path, *, device: str = "cpu") -> ReidModel:
    """The trained model of a run folder, or of its model file.

    Raises:
        InputError: there is none, it is damaged, or it is something else.
    """
    file, place = _model_file(run), check_device(device)
    description, tensors = read_tensors(file, format=FORMAT, what="re-identification model", device=device)
    try:
        recipe = ReidRecipe.from_dict(description["recipe"])
        identities = np.array(description["identities"], np.int64)
        network = ReidNetwork(recipe, len(identities)).to(place)
        network.load_state_dict(tensors)
    except (KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"{file}: not a model of this version ({' '.join(str(error).split())[:200]})") from None
    return ReidModel(network.eval(), recipe, identities, place)


def recipe_of(run: Path) -> ReidRecipe:
    """The recipe of a trained model, without its weights.

    Raises:
        InputError: there is none, or it is something else.
    """
    file = _model_file(run)
    try:
        return ReidRecipe.from_dict(read_description(file)["recipe"])
    except KeyError:
        raise InputError(f"{file}: not a re-identification model") from None


def _model_file(run: Path) -> Path:
    file = run / MODEL if run.is_dir() else run
    if run.is_dir() and not file.is_file():
        raise InputError(f"{run}: holds no {MODEL}; let `limbeck train reid --out {run}` end first")
    return file


def _fingerprint(recipe: ReidRecipe) -> dict[str, Any]:
    """What may not change when a training goes on: everything but where things lie."""
    values = recipe.to_dict()
    del values["training"]  # the loop knows which of its settings matter
    for name in ("root", "cache"):
        del values["data"][name]
    if Path(recipe.network.weights).suffix:  # a file: what was in it is in the checkpoint
        values["network"]["weights"] = "a file"
    return {f"{group}.{name}": value for group, entries in values.items() for name, value in entries.items()}


def _inform(task: ReidTask) -> None:
    for line in task.initialization:
        logger.info("%s", line)
    parameters = sum(parameter.numel() for parameter in task.network.parameters())
    logger.info(
        "%d people to learn from, %d steps an epoch, %s parameters",
        len(task.identities),
        task.steps_per_epoch,
        f"{parameters:,}",
    )
    if set(task.people.splits) == {"all"} and not task.recipe.data.held_out:
        logger.warning(
            "nobody is held out of training, and the table has no other split: this model cannot be scored on "
            "it; see data.held_out"
        )
