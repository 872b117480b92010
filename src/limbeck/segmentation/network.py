"""The network of a recipe: both branches on a batch of scans, and a joint head where the objective asks for one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from limbeck.nn import AdditiveHead, load_weights
from limbeck.nn.sparse import PointVoxels
from limbeck.segmentation.batches import ScanBatch
from limbeck.segmentation.loss import PointLogits
from limbeck.segmentation.networks import PointPredictions, TwoBranchNetwork
from limbeck.segmentation.recipe import SegmentationRecipe

IMAGE_BRANCH = "branches.image."
"""How the names of the image branch's parameters begin."""


class SegmentationNetwork(nn.Module):
    """Built as a recipe says.

    Args:
        recipe: how.
        classes: to tell apart.

    Attributes:
        classes: likewise.
        branches: LiDAR and image branch, bottlenecks and heads.
        joint: predicts from both z, where the objective is MV2D; a point without a pixel has one view.
    """

    def __init__(self, recipe: SegmentationRecipe, classes: int) -> None:
        super().__init__()
        settings, self.classes = recipe.network, classes
        self.branches = TwoBranchNetwork(
            classes,
            lidar_width=settings.width,
            camera=recipe.data.cameras,
            image_width=settings.image_width,
            image_features=settings.image_features,
            fusion=settings.fusion,
            fused=settings.fused,
            hidden=settings.hidden,
            representation=settings.representation,
            stochastic=settings.stochastic,
            dropout=settings.dropout,
            normalization=settings.picture_normalization,
        )
        self.joint: AdditiveHead | None = None
        if recipe.loss.distillation == "mv2d":
            self.joint = AdditiveHead(settings.representation, classes, 2)

    def forward(self, batch: ScanBatch) -> PointLogits:
        """Logits of every head."""
        found = self.represent(batch)
        logits, of = found.logits, found.features
        tie = self._tie(batch)
        camera = self.branches.image is not None
        joint = leave_one_out = None
        if self.joint is not None:
            present = torch.stack([torch.ones_like(batch.sight.seen), batch.sight.seen])
            z1 = of.z2.new_zeros(of.z2.shape).index_copy(0, found.rows, of.z1.to(of.z2.dtype))
            joint, leave_one_out = self.joint(torch.stack([of.z2, z1]), present)
        return PointLogits(
            logits.v2 + tie,
            logits.z2,
            logits.v1 if camera else None,
            logits.z1 if camera else None,
            joint,
            leave_one_out,
        )

    def represent(self, batch: ScanBatch) -> PointPredictions:
        """Observations and representations of every point, and what is predicted of them."""
        cells = batch.voxels.floor().to(torch.int64)
        points = PointVoxels(torch.cat([batch.scan[:, None], cells], dim=1), batch.voxels)
        if not len(batch.pictures):
            return self.branches(batch.features, points)  # type: ignore[no-any-return]
        return self.branches(batch.features, points, batch.pictures, batch.sight)  # type: ignore[no-any-return]

    def _tie(self, batch: ScanBatch) -> Tensor:
        """0, of all parameters that a training step without pictures leaves out: several processes need them all."""
        if not self.training or len(batch.pictures):
            return batch.features.new_zeros(())
        return 0.0 * sum((one.sum() for one in self.parameters()), batch.features.new_zeros(()))


def initial_network(
    recipe: SegmentationRecipe, classes: int, *, resuming: bool = False
) -> tuple[SegmentationNetwork, list[str]]:
    """The network as its training begins, by the recipe's seed, and a line: the weights its image branch has.

    Args:
        recipe: how it is built, where its image branch starts.
        classes: to tell apart.
        resuming: its weights come out of a checkpoint, so that the published ones need not be there any more; no line.

    Raises:
        InputError: the weights cannot be read or do not fit.
    """
    torch.manual_seed(recipe.training.seed)
    network = SegmentationNetwork(recipe, classes)
    image = network.branches.image
    if resuming or image is None:
        return network, []
    return network, [f"image branch: {load_weights(image.encoder, recipe.network.weights)}"]
