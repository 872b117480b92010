"""Batches of P people with K pictures of each in each modality: a pure function of the seed and the step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from limbeck.errors import InputError
from limbeck.images.augmentation import AugmentationSettings, augmented
from limbeck.modalities import INFRARED, MODALITIES, VISIBLE
from limbeck.training import generator

# First entries of keys, so that people, pictures and changes are drawn apart.
_ORDER, _PICTURES, _CHANGES = 1, 2, 3


class Batch(NamedTuple):
    """Row i shows the same person everywhere.

    Attributes:
        visible: (rows, 3, height, width) in [0, 1].
        infrared: the same shape.
        labels: (rows,) int64.
    """

    visible: Tensor
    infrared: Tensor
    labels: Tensor


class Draw(NamedTuple):
    """Which pictures a batch holds: positions (people, pictures) of either modality, and the people's labels."""

    labels: NDArray[np.int64]
    visible: NDArray[np.int64]
    infrared: NDArray[np.int64]


class CrossModalSampler:
    """Draws P people and K pictures of each in each modality, a batch a step.

    Every epoch goes through the people in an order of its own, round after round, P at a time; those whom whole batches
    leave over sit out the round. What is drawn depends on (seed, epoch, place in the epoch) alone. A person with fewer
    than K pictures in a modality shows some twice.

    Args:
        labels: (pictures,) from 0 to people - 1.
        modality: (pictures,) 0 visible, 1 infrared.
        identities: P.
        pictures: K.
        steps_per_epoch: None: as many as whole batches of people fit into one round.
        seed: of everything.

    Raises:
        InputError: there are fewer than P people, or one has no picture in a modality.
    """

    def __init__(
        self,
        labels: NDArray[np.int64],
        modality: NDArray[np.int8],
        *,
        identities: int,
        pictures: int,
        steps_per_epoch: int | None = None,
        seed: int = 0,
    ) -> None:
        people = int(labels.max(initial=-1)) + 1
        if people < identities:
            raise InputError(
                f"data.identities asks for {identities} people in a batch, but there are {people} to learn from: "
                "lower it"
            )
        self.cells = {
            code: [np.flatnonzero((labels == person) & (modality == code)) for person in range(people)]
            for code in (VISIBLE, INFRARED)
        }
        for code, cells in self.cells.items():
            empty = [person for person, cell in enumerate(cells) if len(cell) == 0]
            if empty:
                raise InputError(
                    f"{len(empty)} people have no {MODALITIES[code]} picture to learn from (first: class {empty[0]}); "
                    "leave them out of the set"
                )
        self.people, self.identities, self.pictures, self.seed = people, identities, pictures, seed
        self.steps_per_epoch = steps_per_epoch or people // identities

    def draw(self, step: int) -> Draw:
        """What the batch of a step, from 0, holds."""
        epoch, place = divmod(step, self.steps_per_epoch)
        chosen = self._people(epoch, place * self.identities)
        rng = generator(self.seed, _PICTURES, epoch, place)
        visible, infrared = (
            np.stack([_some(self.cells[code][person], self.pictures, rng) for person in chosen])
            for code in (VISIBLE, INFRARED)
        )
        return Draw(chosen, visible, infrared)

    def _people(self, epoch: int, first: int) -> NDArray[np.int64]:
        """P people of an epoch's order from a place on; a round that can fill no batch any more is over."""
        whole = self.people // self.identities * self.identities
        round_, start = divmod(first, whole)
        order = generator(self.seed, _ORDER, epoch, round_).permutation(self.people)
        return np.asarray(order[start : start + self.identities])


def _some(cell: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    if len(cell) >= count:
        return rng.choice(cell, count, replace=False)
    return rng.permutation(np.resize(rng.permutation(cell), count))


class Batches(Dataset[Batch]):
    """The batch of every step, of one process of several.

    Args:
        images: (pictures, height, width, 3) uint8.
        sampler: what is drawn; it numbers the pictures of `rows`.
        rows: (pictures,) rows of `images`.
        augmentation: how pictures vary.
        share: (rank, processes): this process takes every processes-th person from its rank on.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        sampler: CrossModalSampler,
        rows: NDArray[np.int64],
        augmentation: AugmentationSettings,
        *,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        if sampler.identities % share[1]:
            raise InputError(
                f"data.identities, {sampler.identities}, must divide by the number of processes, {share[1]}"
            )
        self.images, self.sampler, self.rows, self.augmentation, self.share = images, sampler, rows, augmentation, share

    def __getitem__(self, step: int) -> Batch:
        draw = self.sampler.draw(step)
        epoch, place = divmod(step, self.sampler.steps_per_epoch)
        mine = slice(self.share[0], None, self.share[1])

        def pictures(modality: int, drawn: NDArray[np.int64]) -> Tensor:
            slots = np.arange(drawn.size).reshape(drawn.shape)[mine].ravel()
            generators = [generator(self.sampler.seed, _CHANGES, epoch, place, modality, int(slot)) for slot in slots]
            chosen = self.images[self.rows[drawn[mine].ravel()]]
            return augmented(chosen, self.augmentation, generators, coloured=modality == VISIBLE)

        labels = torch.from_numpy(np.repeat(draw.labels[mine], self.sampler.pictures))
        return Batch(pictures(VISIBLE, draw.visible), pictures(INFRARED, draw.infrared), labels)


def relabelled(identity: Sequence[int] | NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The identities that occur, ascending, and each picture's place among them."""
    names, labels = np.unique(np.asarray(identity), return_inverse=True)
    return names.astype(np.int64), labels.astype(np.int64)
