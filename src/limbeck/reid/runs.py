"""The run folder of a re-identification model: its recipe, its pictures, its weights."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.images.runs import decoded_pictures
from limbeck.reid.dataset import ReidDataset
from limbeck.reid.embedding import represent
from limbeck.reid.network import ReidNetwork
from limbeck.reid.recipe import DataSettings, PeopleRecipe, ReidRecipe
from limbeck.reid.sets import reid_set
from limbeck.reid.unsupervised.recipe import UnsupervisedRecipe
from limbeck.reporting.progress import Progress
from limbeck.training.runs import model_file, network_in, recipe_in, whole_numbers

FORMATS: dict[str, type[PeopleRecipe]] = {
    "limbeck-reid-1": ReidRecipe,
    "limbeck-reid-unsupervised-1": UnsupervisedRecipe,
}
"""Kinds of model files, and of which kind the recipes in them are."""


@dataclass(frozen=True, eq=False)
class ReidModel:
    """A trained model.

    Attributes:
        network: in evaluation mode.
        recipe: that it was made by.
        identities: that it learned from; of its classes, where it has heads.
        device: where it lies.
    """

    network: ReidNetwork
    recipe: PeopleRecipe
    identities: NDArray[np.int64]
    device: torch.device

    def represent(
        self, images: NDArray[np.uint8], modality: NDArray[np.int8], progress: Progress | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """All representations of pictures (pictures, height, width, 3) of the recipe's size: `ReidNetwork.embed`."""
        rows = np.arange(len(images))
        return represent(self.network, images, rows, modality, device=self.device, progress=progress)


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
    size = settings.height, settings.width
    return decoded_pictures(
        people.root,
        people.path,
        cache,
        size=size,
        skip_corrupt=settings.skip_corrupt,
        radiometric=settings.radiometric,
    )


def load_run(run: str | os.PathLike[str], *, device: str = "cpu") -> ReidModel:
    """The trained model of a run folder, or of its model file.

    Raises:
        InputError: there is none, it is damaged, or it is something else.
    """
    recipe = recipe_of(run)
    description, network = network_in(
        _file(run),
        lambda held: ReidNetwork(recipe, len(whole_numbers(held["identities"], "identities"))),
        form=next(form for form, kind in FORMATS.items() if isinstance(recipe, kind)),
        what="re-identification model",
        device=device,
    )
    return ReidModel(network, recipe, whole_numbers(description["identities"], "identities"), torch.device(device))


def recipe_of(run: str | os.PathLike[str]) -> PeopleRecipe:
    """The recipe of a trained model, without its weights: a `ReidRecipe` or an `UnsupervisedRecipe`.

    Raises:
        InputError: there is none, or it is something else.
    """
    return recipe_in(_file(run), FORMATS, "re-identification model")


def _file(run: str | os.PathLike[str]) -> Path:
    return model_file(run, "train reid")
