"""What a network says of every point of a scan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.segmentation.batches import collated, sample_of
from limbeck.segmentation.dataset import Frame
from limbeck.segmentation.loss import PointLogits
from limbeck.segmentation.network import SegmentationNetwork
from limbeck.segmentation.recipe import DataSettings
from limbeck.training import to_device

KINDS = {"v": "lidar", "z": "lidar_z", "joint": "joint"}
"""What a point's class can be read from: v or z of the LiDAR branch, or the joint prediction of both z."""


@torch.no_grad()
def predicted_logits(
    network: SegmentationNetwork, frame: Frame, data: DataSettings, *, cameras: bool = True
) -> dict[str, NDArray[np.float32]]:
    """Logits of every point of a scan.

    Args:
        network: in evaluation mode.
        frame: the scan.
        data: how the network sees a scan.
        cameras: let it see the pictures, where it knows how to.

    Returns:
        "v" and, where the network has them, "z" and "joint" -> (points, classes).
    """
    sample = sample_of(frame, data if cameras else replace(data, cameras=False))
    batch = to_device(collated([sample]), next(network.parameters()).device)
    logits: PointLogits = network(batch)
    found = {kind: getattr(logits, name) for kind, name in KINDS.items()}
    return {kind: tensor.float().cpu().numpy()[sample.speaker] for kind, tensor in found.items() if tensor is not None}


def predicted_classes(
    network: SegmentationNetwork, frame: Frame, data: DataSettings, *, cameras: bool = True
) -> dict[str, NDArray[np.int64]]:
    """The likeliest class of every point, of equally likely ones the first; arguments as of `predicted_logits`."""
    found = predicted_logits(network, frame, data, cameras=cameras)
    return {kind: logits.argmax(axis=1).astype(np.int64) for kind, logits in found.items()}
