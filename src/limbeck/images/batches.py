"""Batches of photographs of classes: what is drawn and how it is changed depends on the seed and the step alone."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from limbeck.errors import InputError
from limbeck.images.photographs import Photographs, PhotographSettings, changed_photographs
from limbeck.images.sampling import PKSampler, change_generators
from limbeck.training.keys import generator

_SHUFFLED = 6  # second entry of the key of an epoch's order


class PhotographBatch(NamedTuple):
    """A batch: `pictures` (batch, 3, size, size) float32 in [0, 1], and `labels` (batch,) int64."""

    pictures: Tensor
    labels: Tensor


class Draws(Protocol):
    """Which pictures the batch of a step holds."""

    steps_per_epoch: int
    seed: int

    def positions(self, step: int) -> NDArray[np.int64]:
        """Of the pictures, (batch,)."""


class ShuffledDraws:
    """Every epoch goes through all pictures in an order of its own, a batch at a time; what is left over sits out.

    Args:
        pictures: how many there are.
        batch: so many a batch.
        steps_per_epoch: None: as many whole batches as there are; more go on with another order.
        seed: of everything.

    Raises:
        InputError: there are fewer pictures than a batch holds.

    Example:
        >>> draws = ShuffledDraws(5, 2)
        >>> len({*draws.positions(0).tolist(), *draws.positions(1).tolist()})
        4
    """

    def __init__(self, pictures: int, batch: int, *, steps_per_epoch: int | None = None, seed: int = 0) -> None:
        if pictures < batch:
            raise InputError(f"a batch cannot hold {batch} pictures: there are {pictures} to learn from")
        self.pictures, self.batch, self.seed = pictures, batch, seed
        self.rounds = pictures // batch
        self.steps_per_epoch = steps_per_epoch or self.rounds

    def positions(self, step: int) -> NDArray[np.int64]:
        epoch, place = divmod(step, self.steps_per_epoch)
        round_, start = divmod(place, self.rounds)
        order = generator(self.seed, _SHUFFLED, epoch, round_).permutation(self.pictures)
        return np.asarray(order[start * self.batch : (start + 1) * self.batch])


class ClassDraws:
    """`PKSampler`'s classes, with the pictures of a class side by side.

    Args:
        sampler: of one group.
    """

    def __init__(self, sampler: PKSampler) -> None:
        self.sampler = sampler
        self.steps_per_epoch, self.seed = sampler.steps_per_epoch, sampler.seed

    def positions(self, step: int) -> NDArray[np.int64]:
        (positions,) = self.sampler.draw(step).positions
        return positions.ravel()


class PhotographBatches(Dataset[PhotographBatch]):
    """The batch of every step, of one process of several, its pictures changed by keys of their own.

    Args:
        images: decoded pictures.
        rows: (pictures,) rows of `images`.
        labels: (pictures,) class of each.
        draws: which are drawn.
        augmentation: how they vary.
        size: height and width of what comes out.
        share: (rank, processes): this process takes the rank-th of as many equal pieces, so that the pieces of all, one
            after another, are the batch.

    Raises:
        InputError: a batch does not divide by the number of processes.
    """

    def __init__(
        self,
        images: Photographs,
        rows: NDArray[np.int64],
        labels: NDArray[np.int64],
        draws: Draws,
        augmentation: PhotographSettings,
        *,
        size: int,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        batch = len(draws.positions(0))
        if batch % share[1]:
            raise InputError(f"a batch of {batch} pictures must divide by the number of processes, {share[1]}")
        each = batch // share[1]
        self.mine = slice(share[0] * each, (share[0] + 1) * each)
        self.images, self.rows, self.labels, self.draws = images, rows, labels, draws
        self.augmentation, self.size = augmentation, size

    def __getitem__(self, step: int) -> PhotographBatch:
        positions = self.draws.positions(step)
        slots = np.arange(len(positions))[self.mine]
        generators = change_generators(self.draws.seed, divmod(step, self.draws.steps_per_epoch), slots)
        chosen = positions[self.mine]
        pictures = [self.images[row] for row in self.rows[chosen].tolist()]
        changed = changed_photographs(pictures, self.augmentation, generators, size=self.size)
        return PhotographBatch(changed, torch.from_numpy(self.labels[chosen]))
