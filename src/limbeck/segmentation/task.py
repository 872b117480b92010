"""What the training loop needs to know of segmentation: batches, terms, figures on held-out scans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from limbeck.errors import InputError
from limbeck.images.sampling import in_order
from limbeck.segmentation.batches import ScanBatch, ScanBatches
from limbeck.segmentation.dataset import SegmentationDataset
from limbeck.segmentation.evaluators import SegmentationScores
from limbeck.segmentation.loss import PointLogits, segmentation_terms
from limbeck.segmentation.network import IMAGE_BRANCH, SegmentationNetwork, initial_network
from limbeck.segmentation.prediction import predicted_classes
from limbeck.segmentation.recipe import SegmentationRecipe
from limbeck.training import gather_rows, rank, world_size

_SMALLEST = 32  # pixels a side, of which one is left in the coarsest of the image branch's maps


class SegmentationTask:
    """Training of a segmentation, as `limbeck.training.fit` runs it.

    Args:
        recipe: everything that decides the result.
        scans: the set.
        resuming: the network comes out of a checkpoint, so that its first weights need not be there any more.
        device: where it will be trained.

    Attributes:
        network: what is trained.
        steps_per_epoch: batches an epoch.
        initialization: a line: which weights the image branch began with.

    Raises:
        InputError: there are too few scans to learn from, or they have no labels or no pictures.
    """

    def __init__(
        self,
        recipe: SegmentationRecipe,
        scans: SegmentationDataset,
        *,
        resuming: bool = False,
        device: torch.device | None = None,
    ) -> None:
        self._pin = device is not None and device.type == "cuda"
        self.recipe, self.scans = recipe, scans
        self._training, self._held_out = scans.split("train"), scans.splits.get("validation", np.zeros(0, np.int64))
        self._batches = ScanBatches(
            scans,
            self._training,
            recipe.data,
            recipe.augmentation,
            seed=recipe.training.seed,
            share=(rank(), world_size()),
        )
        first = scans.frame(int(self._training[0]), images=False)
        if first.labels is None:
            raise InputError(f"{scans.name}: its scans have no labels to learn from")
        if recipe.data.cameras and not first.cameras:
            raise InputError(f"{scans.name}: its scans have no cameras: set data.cameras to false")
        sides = [side for camera in first.cameras for side in (camera.height, camera.width)]
        if recipe.data.cameras and recipe.data.height is None and min(sides) <= _SMALLEST:
            raise InputError(
                f"{scans.name}: its pictures have sides of {min(sides)} pixels, and the image branch needs more than "
                f"{_SMALLEST}: set data.height and data.width"
            )
        if recipe.training.validate_epochs and not len(self._held_out):
            raise InputError(f"{scans.name} has no split validation: set training.validate_epochs to 0")
        self.steps_per_epoch = self._batches.steps_per_epoch
        self.network, self.initialization = initial_network(recipe, len(scans.labels.classes), resuming=resuming)

    def summary(self) -> Iterator[str]:
        """What is learned from, in words."""
        yield (
            f"{len(self._training):,} scans to learn from, {len(self._held_out):,} of split validation, "
            f"{len(self.scans.labels.classes)} classes, {'with' if self.recipe.data.cameras else 'without'} cameras"
        )

    @property
    def rate_factors(self) -> Mapping[str, float]:
        """The image branch may learn at another rate."""
        factor = self.recipe.network.image_rate
        return {IMAGE_BRANCH: factor} if factor != 1 and self.recipe.data.cameras else {}

    def batches(self, start: int, stop: int) -> Iterable[ScanBatch]:
        """The batches of steps."""
        return in_order(self._batches, start, stop, workers=self.recipe.training.workers, pin=self._pin)

    def terms(self, network: nn.Module, batch: ScanBatch) -> dict[str, Tensor]:
        """The terms of the objective."""
        logits: PointLogits = network(batch)
        seen = batch.sight.seen.nonzero().squeeze(1)
        with torch.autocast(batch.labels.device.type, enabled=False):
            return segmentation_terms(logits, batch.labels, seen, self.recipe.loss, gather=gather_rows)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Mean IoU of all points of held-out scans, by v and by z of the LiDAR branch and by the joint prediction."""
        bare, classes = cast(SegmentationNetwork, network), self.scans.labels.classes
        scores: dict[str, SegmentationScores] = {}
        for position in self._held_out.tolist():
            frame = self.scans.frame(position, images=self.recipe.data.cameras)
            assert frame.labels is not None
            for kind, predicted in predicted_classes(bare, frame, self.recipe.data).items():
                held = scores.setdefault(kind, SegmentationScores(classes, self.scans.evaluator, ("all",)))
                held.add(frame.labels, predicted)
        return {f"mIoU {kind}": one.results()["all"].mean_iou for kind, one in scores.items()}
