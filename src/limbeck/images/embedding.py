"""Pictures through a trained network, in blocks, whatever the network says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from limbeck.images.augmentation import unchanged
from limbeck.reporting.progress import Progress

_BATCH = 128  # pictures a forward pass takes at once


def embedded_pictures(
    network: nn.Module,
    embed: Callable[[Tensor, int], Mapping[str, Tensor]],
    pictures: Callable[[NDArray[np.int64]], Tensor],
    rows: NDArray[np.int64],
    *,
    groups: NDArray[np.integer] | None = None,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> dict[str, NDArray[np.float32]]:
    """All representations of some pictures.

    Args:
        network: it is put into evaluation mode, and back.
        embed: called with (batch, 3, height, width) in [0, 1] and the batch's group, gives name -> (batch, features).
        pictures: gives the batch of some rows, such as `rows_of(images)`.
        rows: (items,) of the pictures.
        groups: (items,) a number each; no batch holds two. None: 0 of all.
        device: of the network; default: the processor.
        progress: called with (pictures done, pictures in all).

    Returns:
        name -> (items, features) float32.
    """
    found: dict[str, NDArray[np.float32]] = {}
    kinds = np.zeros(len(rows), np.int64) if groups is None else groups
    was_training = network.training
    network.eval()
    done = 0
    with torch.inference_mode():
        for code in np.unique(kinds).tolist():
            members = np.flatnonzero(kinds == code)
            for start in range(0, len(members), _BATCH):
                chosen = members[start : start + _BATCH]
                batch = pictures(rows[chosen]).to(device or torch.device("cpu"))
                for name, vectors in embed(batch, code).items():
                    if name not in found:
                        found[name] = np.empty((len(rows), vectors.shape[1]), np.float32)
                    found[name][chosen] = vectors.cpu().numpy()
                done += len(chosen)
                if progress is not None:
                    progress(done, len(rows))
    network.train(was_training)
    return found


def rows_of(images: NDArray[np.uint8]) -> Callable[[NDArray[np.int64]], Tensor]:
    """Gives rows of decoded pictures (pictures, height, width, 3) as `unchanged` gives them."""
    return lambda rows: unchanged(images[rows])
