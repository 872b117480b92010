"""What the training loop needs to know of re-identification: batches, terms, figures on held-out people."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from limbeck.errors import InputError
from limbeck.images.sampling import in_order, relabelled
from limbeck.reid.dataset import ReidDataset
from limbeck.reid.embedding import features_of, searched
from limbeck.reid.network import ReidNetwork, initial_network
from limbeck.reid.recipe import ReidRecipe
from limbeck.reid.splits import split_identities
from limbeck.reid.supervised.batches import Batch, Batches, cross_modal_sampler
from limbeck.reid.supervised.loss import training_terms
from limbeck.retrieval import Features
from limbeck.training import HeldOut, gather, rank, world_size

logger = logging.getLogger(__name__)


class ReidTask:
    """Training of a three-branch network, as `limbeck.training.fit` runs it.

    Args:
        recipe: everything that decides the result.
        people: the set.
        images: its decoded pictures, (pictures, height, width, 3) uint8.
        rows: of the set's pictures among these, -1: none; None: all, in order.
        resuming: the network comes out of a checkpoint, so that its first weights need not be there any more.
        device: where it will be trained.

    Attributes:
        network: what is trained.
        steps_per_epoch: batches an epoch.
        identities: of the set, the one of class 0, 1, ...
        initialization: a line for each encoder: which weights it began with.
    """

    def __init__(
        self,
        recipe: ReidRecipe,
        people: ReidDataset,
        images: NDArray[np.uint8],
        rows: NDArray[np.int64] | None = None,
        *,
        resuming: bool = False,
        device: torch.device | None = None,
    ) -> None:
        self._pin = device is not None and device.type == "cuda"
        self.recipe, self.people, self.images = recipe, people, images
        row = np.arange(len(people)) if rows is None else rows
        split = split_identities(people, recipe.data, recipe.training.seed)
        training, self._held_out = (members[row[members] >= 0] for members in (split.training, split.held_out))
        if recipe.training.information_epochs and recipe.data.held_out < 2:
            raise InputError(
                "training.information_epochs needs people whom nobody learns from: set data.held_out to at least 2, "
                f"not {recipe.data.held_out}"
            )
        self.identities, labels = relabelled(people.identity[training])
        self.sampler = cross_modal_sampler(
            labels,
            people.modality[training],
            identities=recipe.data.identities,
            pictures=recipe.data.pictures,
            steps_per_epoch=recipe.data.steps_per_epoch,
            seed=recipe.training.seed,
        )
        self.steps_per_epoch = self.sampler.steps_per_epoch
        self._training_rows, self._row = row[training], row
        self.network, self.initialization = initial_network(recipe, len(self.identities), resuming=resuming)

    def summary(self) -> Iterator[str]:
        yield f"{len(self.identities)} people to learn from"
        if set(self.people.splits) == {"all"} and not self.recipe.data.held_out:
            logger.warning(
                "nobody is held out of training, and the table has no other split: this model cannot be scored on "
                "it; see data.held_out"
            )

    def batches(self, start: int, stop: int) -> Iterable[Batch]:
        share = rank(), world_size()
        data = Batches(self.images, self.sampler, self._training_rows, self.recipe.augmentation, share=share)
        return in_order(data, start, stop, workers=self.recipe.training.workers, pin=self._pin)

    def terms(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        outputs = network(batch.visible, batch.infrared)
        with torch.autocast(batch.labels.device.type, enabled=False):
            return training_terms(outputs, batch.labels, self.recipe.loss, network=self.network, gather=gather)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """mAP and rank-1 of infrared pictures of held-out people that search visible ones; {} where nobody is."""
        if not len(self._held_out):
            return {}
        return searched(self._embedded(network)[0])

    def held_out_representations(self, network: nn.Module) -> HeldOut:
        """`ReidNetwork.embed` of pictures of held-out people, visible and infrared together; the label is who it is.

        Together, because the name has to be read from a picture of either modality by one probe, as a search does it.
        A probe learns the name from other pictures of the same person, some by the same camera.
        """
        features, representations = self._embedded(network)
        return HeldOut(representations, features.identity)

    def _embedded(self, network: nn.Module) -> tuple[Features, dict[str, NDArray[np.float32]]]:
        bare = cast(ReidNetwork, network)
        device = next(bare.parameters()).device
        return features_of(bare, self.people, self.images, self._row, self._held_out, device=device)
