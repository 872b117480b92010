"""What the training loop needs to know of deep metric learning: batches, terms, figures on held-out classes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from limbeck.errors import InputError
from limbeck.images.batches import ClassDraws, Draws, PhotographBatch, PhotographBatches, ShuffledDraws
from limbeck.images.photographs import Photographs
from limbeck.images.sampling import PKSampler, in_order, relabelled
from limbeck.metric.dataset import MetricDataset
from limbeck.metric.embedding import features_of, represent, searched
from limbeck.metric.loss import training_terms
from limbeck.metric.network import MetricNetwork, Outputs, initial_network
from limbeck.metric.recipe import MetricRecipe, SamplerSettings
from limbeck.metric.splits import split_classes
from limbeck.nn import CrossBatchMemory
from limbeck.settings import NonNegativeInt, check_value
from limbeck.training import HeldOut, gather, rank, world_size
from limbeck.training.restoring import check_state

logger = logging.getLogger(__name__)


class MetricTask:
    """Training of an embedding, as `limbeck.training.fit` runs it.

    Args:
        recipe: everything that decides the result.
        photographs: the set.
        images: its decoded pictures.
        rows: of the set's pictures among these, -1: none.
        resuming: the network comes out of a checkpoint, so that its first weights need not be there any more.
        device: where it will be trained.

    Attributes:
        network: what is trained.
        steps_per_epoch: batches an epoch.
        classes: of the set, that of label 0, 1, ... of the training.
        initialization: a line: which weights the encoder began with.
        memories: of earlier batches, where the loss has one.

    Raises:
        InputError: there are too few pictures or classes to learn from, or nothing to look at that is looked at.
    """

    def __init__(
        self,
        recipe: MetricRecipe,
        photographs: MetricDataset,
        images: Photographs,
        rows: NDArray[np.int64],
        *,
        resuming: bool = False,
        device: torch.device | None = None,
    ) -> None:
        self._pin = device is not None and device.type == "cuda"
        self.recipe, self.photographs, self.images = recipe, photographs, images
        split = split_classes(photographs, recipe.data, recipe.training.seed)
        training, self._held_out = (members[rows[members] >= 0] for members in (split.train, split.validation))
        if not len(training):
            raise InputError(f"{photographs.name}: there is no picture to learn from")
        if recipe.training.information_epochs and len(np.unique(photographs.label[self._held_out])) < 2:
            raise InputError(
                "training.information_epochs needs classes that nobody learns from: set data.held_out to 2"
            )
        self.classes, self._labels = relabelled(photographs.label[training])
        self._training_rows, self._row = rows[training], rows
        self._draws = make_draws(self._labels, recipe.sampler, recipe.training.seed)
        self.steps_per_epoch = self._draws.steps_per_epoch
        self.network, self.initialization = initial_network(recipe, len(self.classes), resuming=resuming)
        self.memories: dict[str, CrossBatchMemory] = {}
        if recipe.loss.memory:
            names = ("v", "z") if recipe.network.bottleneck else ("v",)
            self.memories = {name: CrossBatchMemory(recipe.loss.memory) for name in names}
        self._steps = 0  # taken

    def summary(self) -> Iterator[str]:
        yield (
            f"{len(self._labels):,} pictures of {len(self.classes):,} classes to learn from, "
            f"{len(self._held_out):,} of held-out classes"
        )
        if self.recipe.network.freeze_bn and self.recipe.network.weights == "none":
            logger.warning(
                "batch normalisation is frozen, but random weights have no statistics to keep: the encoder normalises "
                "nothing; set network.freeze_bn to false, or give weights"
            )

    @property
    def rate_factors(self) -> Mapping[str, float]:
        factor = self.recipe.loss.rate_factor
        named = [name for name, _ in self.network.named_parameters()]
        parts = [part for part in ("heads.", "proxies.", "external.") if any(name.startswith(part) for name in named)]
        return {} if factor == 1 else dict.fromkeys(parts, factor)

    def batches(self, start: int, stop: int) -> Iterable[PhotographBatch]:
        data = PhotographBatches(
            self.images,
            self._training_rows,
            self._labels,
            self._draws,
            self.recipe.augmentation,
            size=self.recipe.data.crop,
            share=(rank(), world_size()),
        )
        return in_order(data, start, stop, workers=self.recipe.training.workers, pin=self._pin)

    def terms(self, network: nn.Module, batch: PhotographBatch) -> dict[str, Tensor]:
        outputs: Outputs = network(batch.pictures)
        outputs, labels = outputs.each(gather), gather(batch.labels)
        with torch.autocast(labels.device.type, enabled=False):
            terms = training_terms(outputs, labels, self.recipe.loss, network=self.network, memories=self.memories)
        self._steps += 1
        if self._steps > self.recipe.loss.memory_start:
            for name, memory in self.memories.items():
                vectors = outputs.observation if name == "v" else outputs.representation
                assert vectors is not None
                memory.push(vectors.float(), labels)
        return terms

    def state(self) -> dict[str, Any]:
        """Steps taken and the memories."""
        return {"steps": self._steps, "memories": {name: memory.state() for name, memory in self.memories.items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over such a state.

        Raises:
            KeyError: something is missing.
            ValueError: it is not of such a task.
        """
        check_value("task.steps", state["steps"], NonNegativeInt)
        widths = {"v": self.network.features}
        if self.network.bottleneck is not None:
            widths["z"] = self.recipe.network.representation
        for name in self.memories:
            embeddings = state["memories"][name]["embeddings"]
            if len(embeddings):
                check_state(f"task.memories.{name}", embeddings, (None, widths[name]), torch.float32)
        for name, memory in self.memories.items():
            memory.restore(state["memories"][name])
        self._steps = state["steps"]

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Recall@1 and MAP@R, by v and by z, of pictures of held-out classes that search one another."""
        if not len(self._held_out):
            return {}
        found = self._represented(network)
        figures = searched(features_of(self.photographs, self._held_out, found))
        if "z" in found:
            of_z = searched(features_of(self.photographs, self._held_out, found, "z"))
            figures |= {f"{name} z": value for name, value in of_z.items()}
        return figures

    def held_out_representations(self, network: nn.Module) -> HeldOut:
        """v and z of pictures of held-out classes; the label is the class."""
        return HeldOut(self._represented(network), self.photographs.label[self._held_out])

    def _represented(self, network: nn.Module) -> dict[str, NDArray[np.float32]]:
        bare = cast(MetricNetwork, network)
        device = next(bare.parameters()).device
        return represent(bare, self.images, self._row[self._held_out], size=self.recipe.data.crop, device=device)


def make_draws(labels: NDArray[np.int64], settings: SamplerSettings, seed: int) -> Draws:
    """What a recipe's batches hold.

    Raises:
        InputError: there are too few pictures or classes for a batch.
    """
    if settings.kind == "random":
        return ShuffledDraws(len(labels), settings.batch, steps_per_epoch=settings.steps_per_epoch, seed=seed)
    classes, known = settings.batch // settings.pictures, int(labels.max(initial=-1)) + 1
    if known < classes:
        raise InputError(
            f"sampler.batch asks for {classes} classes with {settings.pictures} pictures each, but there are {known} "
            "to learn from: lower it"
        )
    steps = settings.steps_per_epoch or max(1, len(labels) // settings.batch)
    return ClassDraws(PKSampler(labels, classes=classes, pictures=settings.pictures, steps_per_epoch=steps, seed=seed))
