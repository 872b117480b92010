"""Batches of P people with K pictures of each in either modality (see `limbeck.images.sampling`)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from limbeck.errors import InputError
from limbeck.images.augmentation import AugmentationSettings
from limbeck.images.sampling import PictureBatches, PKSampler
from limbeck.modalities import MODALITIES, VISIBLE


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


def cross_modal_sampler(
    labels: NDArray[np.int64],
    modality: NDArray[np.int8],
    *,
    identities: int,
    pictures: int,
    steps_per_epoch: int | None = None,
    seed: int = 0,
) -> PKSampler:
    """A sampler of people, whose groups are the modalities.

    Args:
        labels: (pictures,) from 0 to people - 1.
        modality: (pictures,) 0 visible, 1 infrared.
        identities: P.
        pictures: K.
        steps_per_epoch: see `PKSampler`.
        seed: of everything.

    Raises:
        InputError: there are fewer than P people, or one has no picture in a modality.
    """
    people = int(labels.max(initial=-1)) + 1
    if people < identities:
        raise InputError(
            f"data.identities asks for {identities} people in a batch, but there are {people} to learn from: lower it"
        )
    for code, word in enumerate(MODALITIES):
        missing = np.setdiff1d(np.arange(people), labels[modality == code])
        if len(missing):
            raise InputError(
                f"{len(missing)} people have no {word} picture to learn from (first: class {missing[0]}); "
                "leave them out of the set"
            )
    return PKSampler(
        labels, modality, classes=identities, pictures=pictures, steps_per_epoch=steps_per_epoch, seed=seed
    )


class Batches(Dataset[Batch]):
    """The batch of every step, of one process of several; see `PictureBatches`.

    Args:
        images: (pictures, height, width, 3) uint8.
        sampler: of `cross_modal_sampler`; it numbers the pictures of `rows`.
        rows: (pictures,) rows of `images`.
        augmentation: how pictures vary; visible ones have colours.
        share: (rank, processes): this process takes every processes-th person from its rank on.

    Raises:
        InputError: P does not divide by the number of processes.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        sampler: PKSampler,
        rows: NDArray[np.int64],
        augmentation: AugmentationSettings,
        *,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        if sampler.classes % share[1]:
            raise InputError(f"data.identities, {sampler.classes}, must divide by the number of processes, {share[1]}")
        coloured = [code == VISIBLE for code in range(len(MODALITIES))]
        self.drawn = PictureBatches(images, sampler, rows, augmentation, coloured=coloured, share=share)

    def __getitem__(self, step: int) -> Batch:
        (visible, infrared), labels = self.drawn[step]
        return Batch(visible, infrared, labels)
