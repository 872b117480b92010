"""Batches of P classes with K pictures of each in every group: a pure function of the seed and the step.

A group is what pictures of one class are drawn from apart, such as a modality; with one group this is the P x K
sampling of metric learning.

Source: Hermans et al. 2017, §2, for P x K batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from limbeck.errors import InputError
from limbeck.images.augmentation import AugmentationSettings, augmented
from limbeck.processes import begin_loader
from limbeck.settings import PositiveInt, check_value
from limbeck.training.keys import generator

Batch = TypeVar("Batch")

# Second entries of keys, so that classes, pictures, changes and held-out classes are drawn apart.
_ORDER, _PICTURES, _CHANGES, _HELD_OUT = 1, 2, 3, 4


class Draw(NamedTuple):
    """Which pictures a batch holds.

    Attributes:
        labels: (P,) the drawn classes.
        positions: of the pictures, (P, K) a group.
    """

    labels: NDArray[np.int64]
    positions: tuple[NDArray[np.int64], ...]


class PKSampler:
    """Draws P classes and K pictures of each in every group, one batch per step.

    Every epoch goes through the classes in an order of its own, round after round, P at a time; those that whole
    batches leave over sit out the round. What is drawn depends on (seed, epoch, place in the epoch) alone. A class with
    fewer than K pictures in a group shows some twice.

    Args:
        labels: (pictures,) class of each, from 0 to classes - 1 (see `relabelled`).
        groups: (pictures,) group of each, from 0 to groups - 1; None: one group.
        classes: P, of a batch.
        pictures: K, of a class and group.
        steps_per_epoch: None: as many as whole batches of classes fit into one round.
        seed: of everything.

    Raises:
        InputError: there are fewer than P classes, or one has no picture in a group.
        ValueError: labels and groups differ in length.

    Example:
        >>> import numpy as np
        >>> draw = PKSampler(np.array([0, 0, 0, 1, 1, 2, 2, 2]), classes=2, pictures=2).draw(step=0)
        >>> draw.labels.shape, [positions.shape for positions in draw.positions]
        ((2,), [(2, 2)])
    """

    def __init__(
        self,
        labels: NDArray[np.int64],
        groups: NDArray[np.integer] | None = None,
        *,
        classes: int,
        pictures: int,
        steps_per_epoch: int | None = None,
        seed: int = 0,
    ) -> None:
        check_value("classes", classes, PositiveInt)
        check_value("pictures", pictures, PositiveInt)
        if groups is None:
            groups = np.zeros(len(labels), np.int64)
        if labels.shape != groups.shape:
            raise ValueError(f"{len(labels)} labels but {len(groups)} groups")
        known = int(labels.max(initial=-1)) + 1
        if known < classes:
            raise InputError(f"a batch cannot hold {classes} classes: there are {known}")
        self.cells = [
            [np.flatnonzero((labels == label) & (groups == group)) for label in range(known)]
            for group in range(int(groups.max()) + 1)
        ]
        for group, cells in enumerate(self.cells):
            for label, cell in enumerate(cells):
                if len(cell) == 0:
                    raise InputError(f"class {label} has no picture in group {group}: leave the class out")
        self.known, self.classes, self.pictures, self.seed = known, classes, pictures, seed
        self.steps_per_epoch = steps_per_epoch or known // classes

    def draw(self, step: int) -> Draw:
        """What the batch of a step, from 0, holds."""
        epoch, place = divmod(step, self.steps_per_epoch)
        chosen = classes_in_turn(self.known, self.classes, place, key=(self.seed, _ORDER, epoch))
        rng = generator(self.seed, _PICTURES, epoch, place)
        return Draw(
            chosen,
            tuple(np.stack([some_of(cells[label], self.pictures, rng) for label in chosen]) for cells in self.cells),
        )


def classes_in_turn(known: int, classes: int, place: int, *, key: tuple[int, ...]) -> NDArray[np.int64]:
    """The classes of one batch, where batches go through all of them, round after round in orders of their own.

    A round that can fill no batch any more is over; who is left over changes.

    Args:
        known: classes there are, from 0.
        classes: of a batch, at most as many.
        place: of the batch.
        key: of the orders, to which the number of the round is added.
    """
    round_, start = divmod(place * classes, known // classes * classes)
    order = generator(*key, round_).permutation(known)
    return np.asarray(order[start : start + classes])


def some_of(cell: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """So many members of a cell, in an order of chance; where it has fewer, some twice."""
    if len(cell) >= count:
        return rng.choice(cell, count, replace=False)
    return rng.permutation(np.resize(rng.permutation(cell), count))


class PictureBatch(NamedTuple):
    """Row i is of the same class in every group.

    Attributes:
        pictures: (rows, 3, height, width) float32 a group, see `augmented`.
        labels: (rows,) int64.
    """

    pictures: tuple[Tensor, ...]
    labels: Tensor


class PictureBatches(Dataset[PictureBatch]):
    """The batch of every step, of one process of several, its pictures changed by keys of their own.

    What changes in a picture depends on (seed, epoch, place in the epoch, group, slot in the batch) alone, so that any
    number of processes and of loading workers gives the same batches.

    Args:
        images: (pictures, height, width, 3) uint8.
        sampler: what is drawn; it numbers the pictures of `rows`.
        rows: (pictures,) rows of `images`.
        augmentation: how pictures vary.
        coloured: of each group, whether its pictures have colours, see `augmented`.
        share: (rank, processes): this process takes every processes-th class from its rank on.

    Raises:
        InputError: P does not divide by the number of processes.
        ValueError: `coloured` does not name every group.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        sampler: PKSampler,
        rows: NDArray[np.int64],
        augmentation: AugmentationSettings,
        *,
        coloured: Sequence[bool] = (True,),
        share: tuple[int, int] = (0, 1),
    ) -> None:
        if sampler.classes % share[1]:
            raise InputError(f"a batch of {sampler.classes} classes must divide by the number of processes, {share[1]}")
        if len(coloured) != len(sampler.cells):
            raise ValueError(f"coloured has {len(coloured)} entries for {len(sampler.cells)} groups")
        self.images, self.sampler, self.rows, self.augmentation = images, sampler, rows, augmentation
        self.coloured, self.share = tuple(coloured), share

    def __getitem__(self, step: int) -> PictureBatch:
        draw = self.sampler.draw(step)
        mine = slice(self.share[0], None, self.share[1])
        labels = torch.from_numpy(np.repeat(draw.labels[mine], self.sampler.pictures))
        return PictureBatch(
            tuple(self._pictures(step, group, draw, mine) for group in range(len(draw.positions))), labels
        )

    def _pictures(self, step: int, group: int, draw: Draw, mine: slice) -> Tensor:
        key = self.sampler.seed, *divmod(step, self.sampler.steps_per_epoch), group
        rows = self.rows[draw.positions[group]]
        return changed_pictures(
            self.images, rows, self.augmentation, key=key, share=mine, coloured=self.coloured[group]
        )


def changed_pictures(
    images: NDArray[np.uint8],
    rows: NDArray[np.int64],
    augmentation: AugmentationSettings,
    *,
    key: tuple[int, ...],
    share: slice = slice(None),
    coloured: bool = True,
) -> Tensor:
    """The pictures of a batch, each changed by a key and its slot in the whole batch alone; see `augmented`.

    Args:
        images: (pictures, height, width, 3) uint8.
        rows: (P, K) rows of `images`.
        augmentation: how pictures vary.
        key: seed, epoch, place in the epoch, and what else tells this batch from others.
        share: which of the P rows are this process's.
        coloured: see `augmented`.

    Returns:
        (rows of the share, 3, height, width).
    """
    seed, *place = key
    slots = np.arange(rows.size).reshape(rows.shape)[share].ravel()
    generators = change_generators(seed, place, slots)
    return augmented(images[rows[share].ravel()], augmentation, generators, coloured=coloured)


def change_generators(seed: int, place: Sequence[int], slots: NDArray[np.int64]) -> list[np.random.Generator]:
    """One for each slot of a batch, of its changes.

    Args:
        seed: of the training.
        place: epoch, place in the epoch, and what else tells this batch from others.
        slots: in the whole batch.
    """
    return [generator(seed, _CHANGES, *place, int(slot)) for slot in slots]


def in_order(batches: Dataset[Batch], start: int, stop: int, *, workers: int = 0, pin: bool = False) -> Iterator[Batch]:
    """The batches of the steps [start, stop), which any number of loading processes gives in the same order.

    Args:
        batches: the batch of every step, such as `PictureBatches`.
        start: first step.
        stop: one beyond the last.
        workers: processes that load; 0: this one.
        pin: into memory that a GPU copies from faster.

    Raises:
        InputError: what a process read cannot be used.
    """
    # One batch per key: nothing is collated.
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=range(start, stop),
        num_workers=workers,
        pin_memory=pin,
        prefetch_factor=4 if workers else None,
        worker_init_fn=begin_loader,
    )
    try:
        yield from loader
    except InputError as error:
        # One of a worker comes with that worker's traceback before it.
        raise InputError(str(error).rpartition(f"{InputError.__name__}: ")[2].strip()) from error


def relabelled(names: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The classes that occur, ascending, and the place of each picture's among them.

    Args:
        names: (pictures,) integers, such as identities.
    """
    found, labels = np.unique(np.asarray(names), return_inverse=True)
    return found.astype(np.int64), labels.astype(np.int64)


def held_out_classes(classes: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Classes drawn by a seed, to be kept from training.

    Args:
        classes: that there are, each once.
        count: how many to draw.
        seed: of the drawing.
    """
    return np.asarray(generator(seed, _HELD_OUT).permutation(classes)[:count])
