"""What the training loop needs to know of re-identification without labels."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from limbeck.errors import InputError
from limbeck.images.sampling import in_order
from limbeck.modalities import INFRARED, MODALITIES, VISIBLE
from limbeck.nn import cluster_means, moved_prototypes
from limbeck.objectives.precision import unit
from limbeck.reid.dataset import ReidDataset
from limbeck.reid.embedding import features_of, represent, search_feature, searched
from limbeck.reid.network import Branch, ReidNetwork, initial_network
from limbeck.reid.splits import split_identities
from limbeck.reid.unsupervised.batches import MatchedSampler, PrototypeBatch, PrototypeBatches
from limbeck.reid.unsupervised.loss import Memory, Rows, unsupervised_terms
from limbeck.reid.unsupervised.pseudo_labels import PseudoLabels, describe, pseudo_labels
from limbeck.reid.unsupervised.recipe import UnsupervisedRecipe
from limbeck.settings import NonNegativeInt, check_value
from limbeck.training import gather, rank, world_size
from limbeck.training.restoring import check_state
from limbeck.training.steps import autocast

logger = logging.getLogger(__name__)


class UnsupervisedTask:
    """Training of a network without labels, as `limbeck.training.fit` runs it.

    Before every epoch all pictures are embedded and clustered, clusters are matched, and prototypes made of them; where
    a modality then has no cluster, those of the epoch before stay. Identities, where the set has them, are used for
    figures in the log alone.

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
        identities: on the pictures that are learned from, as far as anybody knows; nothing learns them.
        initialization: a line for each encoder: which weights it began with.
        found: the pseudo-labels of this epoch; None before the first.
    """

    def __init__(
        self,
        recipe: UnsupervisedRecipe,
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
        split = split_identities(people, recipe.data, recipe.training.seed, unknown=True)
        self.training, self._held_out = (members[row[members] >= 0] for members in (split.training, split.held_out))
        modality = people.modality[self.training]
        for code, word in enumerate(MODALITIES):
            if not (modality == code).any():
                raise InputError(f"{people.name} has no {word} picture to learn from: both modalities are needed")
        if recipe.training.information_epochs:
            raise InputError("training.information_epochs must be 0: there are no labels to measure information of")
        self.identities = np.unique(people.identity[self.training])
        assert recipe.data.steps_per_epoch is not None
        self.steps_per_epoch = recipe.data.steps_per_epoch
        self._row = row
        self.network, self.initialization = initial_network(recipe, 0, resuming=resuming)
        self.found: PseudoLabels | None = None
        self._memory: list[list[Tensor]] = []  # of each modality: prototypes of v and, with a bottleneck, of z
        self._epoch = 0

    def summary(self) -> Iterator[str]:
        counts = np.bincount(self.people.modality[self.training], minlength=len(MODALITIES))
        yield f"{counts[VISIBLE]} visible and {counts[INFRARED]} infrared pictures to learn from, without labels"

    # -- before every epoch -------------------------------------------------------------------------------------------

    def renew(self, network: nn.Module, epoch: int) -> dict[str, float]:
        """Embed in the arithmetic of the training, cluster and match all pictures anew, and make their prototypes."""
        bare = cast(ReidNetwork, network)
        modality = self.people.modality[self.training]
        device = next(bare.parameters()).device
        with autocast(self.recipe.training, device):
            found = represent(bare, self.images, self._row[self.training], modality, device=device)
        v = search_feature(found, "v")
        identity = self.people.identity[self.training]
        labels = pseudo_labels(v, modality, self.recipe.clustering, self.recipe.matching, identity)
        self._epoch = epoch
        figures = describe(labels, identity)
        logger.info("epoch %d: %s", epoch + 1, ", ".join(f"{name} {value:.4g}" for name, value in figures.items()))
        if not all(labels.clusters):
            word = MODALITIES[int(np.argmin(labels.clusters))]
            if self.found is None:
                clustering = self.recipe.clustering
                raise InputError(
                    f"no cluster among {int((modality == MODALITIES.index(word)).sum())} {word} pictures: nothing can "
                    f"be learned; raise clustering.eps, {clustering.eps:g}, or lower clustering.min_samples, "
                    f"{clustering.min_samples}"
                )
            logger.warning("epoch %d: no cluster of %s pictures; those of the epoch before stay", epoch + 1, word)
            return figures
        self.found = labels
        vectors = [v] + ([search_feature(found, "z")] if self.recipe.network.bottleneck else [])
        self._memory = [
            [
                cluster_means(
                    torch.from_numpy(one[modality == code]),
                    torch.from_numpy(labels.labels[modality == code]),
                    labels.clusters[code],
                )
                for one in vectors
            ]
            for code in range(len(MODALITIES))
        ]
        return figures

    def state(self) -> Mapping[str, Any]:
        assert self.found is not None
        return {"epoch": self._epoch, "found": self.found.state(), "memory": self._memory}

    def restore(self, state: Mapping[str, Any]) -> None:
        check_value("task.epoch", state["epoch"], NonNegativeInt)
        found = PseudoLabels.of_state(state["found"])
        if len(found.labels) != len(self.training):
            raise InputError(f"task.found is of {len(found.labels)} pictures, not of {len(self.training)}")
        settings = self.recipe.network
        widths = [cast(Branch, self.network.branches["shared"]).features] + (
            [settings.representation] if settings.bottleneck else []
        )
        memory = [list(parts) for parts in state["memory"]]
        if [len(parts) for parts in memory] != [len(widths)] * len(MODALITIES):
            raise InputError("task.memory must hold the prototypes of each modality")
        for parts, clusters in zip(memory, found.clusters, strict=True):
            for part, width in zip(parts, widths, strict=True):
                check_state("task.memory", part, (clusters, width), torch.float32)
        self._epoch, self.found, self._memory = state["epoch"], found, memory

    # -- steps --------------------------------------------------------------------------------------------------------

    def batches(self, start: int, stop: int) -> Iterable[PrototypeBatch]:
        assert self.found is not None
        data = self.recipe.data
        sampler = MatchedSampler(
            self.found,
            clusters=data.identities,
            pictures=data.pictures,
            steps_per_epoch=self.steps_per_epoch,
            seed=self.recipe.training.seed,
            shares=world_size(),
        )
        drawn = PrototypeBatches(
            self.images,
            sampler,
            self._row[self.training],
            self.recipe.augmentation,
            share=(rank(), world_size()),
        )
        return in_order(drawn, start, stop, workers=self.recipe.training.workers, pin=self._pin)

    def terms(self, network: nn.Module, batch: PrototypeBatch) -> dict[str, Tensor]:
        assert self.found is not None
        outputs = network(batch.visible, batch.infrared)
        device = batch.visible.device
        with torch.autocast(device.type, enabled=False):
            rows = tuple(
                Rows(
                    gather(labels),
                    gather(view.observation.float()),
                    None if view.representation is None else gather(view.representation.float()),
                )
                for view, labels in zip(outputs.shared, (batch.visible_labels, batch.infrared_labels), strict=True)
            )
            self._memory = [[part.to(device) for part in parts] for parts in self._memory]
            memory = tuple(Memory(*parts) for parts in self._memory)
            plan, matching = self.found.plan.to(device), self.found.matching
            terms = unsupervised_terms(
                cast(tuple[Rows, Rows], rows),
                cast(tuple[Memory, Memory], memory),
                plan,
                type(matching)(*(part.to(device) for part in matching)),
                self.recipe.loss,
                epoch=self._epoch,
            )
            self._move(cast(tuple[Rows, Rows], rows))
        return terms

    def _move(self, rows: tuple[Rows, Rows]) -> None:
        """Every prototype towards its rows of the batch, of all processes."""
        settings = self.recipe.loss
        for parts, of in zip(self._memory, rows, strict=True):
            for place, vectors in enumerate(one for one in of[1:] if one is not None):
                parts[place] = moved_prototypes(
                    parts[place], unit(vectors.detach()), of.labels, kept=settings.kept, movers=settings.movers
                )

    # -- held-out people ----------------------------------------------------------------------------------------------

    def validate(self, network: nn.Module) -> dict[str, float]:
        """mAP and rank-1 of infrared pictures of held-out people that search visible ones; {} where nobody is."""
        if not len(self._held_out):
            return {}
        bare = cast(ReidNetwork, network)
        device = next(bare.parameters()).device
        features, _ = features_of(bare, self.people, self.images, self._row, self._held_out, device=device)
        return searched(features)
