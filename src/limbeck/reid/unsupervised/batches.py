"""Batches of P clusters of either modality with K pictures of each; as many as can be stand beside their match."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from limbeck.errors import InputError
from limbeck.images.augmentation import AugmentationSettings
from limbeck.images.sampling import changed_pictures, classes_in_turn, some_of
from limbeck.modalities import MODALITIES, VISIBLE
from limbeck.reid.unsupervised.pseudo_labels import PseudoLabels
from limbeck.training import generator

# First entries of keys, so that clusters and pictures are drawn apart.
_ORDER, _PICTURES = 5, 6


class PrototypeBatch(NamedTuple):
    """Rows of either modality; row i of both shows the same person where their clusters are matched.

    Attributes:
        visible: (rows, 3, height, width) in [0, 1].
        infrared: the same shape.
        visible_labels: (rows,) int64, the cluster among visible ones.
        infrared_labels: (rows,) int64, the cluster among infrared ones.
    """

    visible: Tensor
    infrared: Tensor
    visible_labels: Tensor
    infrared_labels: Tensor


class MatchedSampler:
    """Draws P clusters of either modality, one batch a step.

    Modalities lead in turn. The leading one's clusters come round after round, P at a time, in an order of chance, and
    bring their matches with them; a cluster without a match stands beside one that is next in turn on the other side.
    Where one modality has fewer than P clusters, some stand twice in a batch. What is drawn depends on (seed, epoch,
    place in the epoch) and the pseudo-labels alone.

    Args:
        found: the pseudo-labels; both modalities have a cluster.
        clusters: P, at most; fewer where the leading modality has fewer.
        pictures: K.
        steps_per_epoch: which place in which epoch a step is.
        seed: of everything.
        shares: the number of clusters of every batch is a multiple of it.

    Raises:
        InputError: a modality has too few clusters.
    """

    def __init__(
        self, found: PseudoLabels, *, clusters: int, pictures: int, steps_per_epoch: int, seed: int, shares: int = 1
    ) -> None:
        if min(found.clusters) < shares:
            word = MODALITIES[int(np.argmin(found.clusters))]
            raise InputError(
                f"there are {min(found.clusters)} clusters of {word} pictures for {shares} processes: nothing can be "
                "learned from them"
            )
        self.cells = [
            [np.flatnonzero((found.modality == code) & (found.labels == label)) for label in range(count)]
            for code, count in enumerate(found.clusters)
        ]
        self.partners = [partner.numpy() for partner in found.matching]
        self.clusters, self.pictures, self.seed, self.shares = clusters, pictures, seed, shares
        self.steps_per_epoch = steps_per_epoch

    def draw(self, step: int) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]:
        """Of each modality the drawn clusters (P,) and the positions of their pictures (P, K)."""
        epoch, place = divmod(step, self.steps_per_epoch)
        lead = place % len(MODALITIES)
        count = min(self.clusters, len(self.cells[lead])) // self.shares * self.shares
        chosen = self._next(lead, epoch, place // len(MODALITIES), count)
        beside = self.partners[lead][chosen]
        alone = beside < 0
        others = self._next(1 - lead, epoch, place, int(alone.sum()))
        beside = beside.copy()
        beside[alone] = others
        sides = (chosen, beside) if lead == VISIBLE else (beside, chosen)
        rng = generator(self.seed, _PICTURES, epoch, place)
        return tuple(
            (labels, np.stack([some_of(self.cells[code][label], self.pictures, rng) for label in labels]))
            for code, labels in enumerate(sides)
        )

    def _next(self, code: int, epoch: int, place: int, count: int) -> NDArray[np.int64]:
        """So many clusters that are next in turn, some twice where there are fewer."""
        known = len(self.cells[code])
        if not count:
            return np.zeros(0, np.int64)
        drawn = classes_in_turn(known, min(count, known), place, key=(self.seed, _ORDER, epoch, code))
        return np.resize(drawn, count)


class PrototypeBatches(Dataset[PrototypeBatch]):
    """The batch of every step, of one process of several, its pictures changed by keys of their own.

    Args:
        images: (pictures, height, width, 3) uint8.
        sampler: what is drawn; it numbers the pictures of `rows`.
        rows: (pictures,) rows of `images`.
        augmentation: how pictures vary; visible ones have colours.
        share: (rank, processes): this process takes every processes-th cluster from its rank on.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        sampler: MatchedSampler,
        rows: NDArray[np.int64],
        augmentation: AugmentationSettings,
        *,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self.images, self.sampler, self.rows, self.augmentation = images, sampler, rows, augmentation
        self.mine = slice(share[0], None, share[1])

    def __getitem__(self, step: int) -> PrototypeBatch:
        pictures, labels = [], []
        place = divmod(step, self.sampler.steps_per_epoch)
        for code, (chosen, positions) in enumerate(self.sampler.draw(step)):
            pictures.append(
                changed_pictures(
                    self.images,
                    self.rows[positions],
                    self.augmentation,
                    key=(self.sampler.seed, *place, code),
                    share=self.mine,
                    coloured=code == VISIBLE,
                )
            )
            labels.append(torch.from_numpy(np.repeat(chosen[self.mine], self.sampler.pictures)))
        return PrototypeBatch(*pictures, *labels)
