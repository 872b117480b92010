"""What a fitted network says of the samples that it was not trained on, kept so that sets can be calibrated on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.multiview.network import MultiViewNetwork, Predictions

_PREFIX = "held_out."


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The terms of the additive head for held-out samples, by which the logits of any views are one sum.

    Attributes:
        bias: (classes,).
        terms: (views, samples, classes), W_i z_i of each view that some training sample had.
        present: (views, samples) booleans; terms of views that a sample lacks say nothing.
        labels: (samples,) positions among the classes.
    """

    bias: NDArray[np.float32]
    terms: NDArray[np.float32]
    present: NDArray[np.bool_]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        views, samples, classes = self.terms.shape
        if (self.bias.shape, self.present.shape, self.labels.shape) != ((classes,), (views, samples), (samples,)):
            raise ValueError("the parts of what was held out do not fit one another")

    def logits(self, pattern: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Joint logits (samples, classes) from the views of `pattern` (views,) alone, and labels.

        Samples that lack one of these views are left out.
        """
        chosen = self.present[pattern].all(axis=0)
        return self.bias + self.terms[pattern][:, chosen].sum(axis=0, dtype=np.float64), self.labels[chosen]

    def to_tensors(self) -> dict[str, Tensor]:
        """The parts under names that no weight of a network has."""
        parts = {"bias": self.bias, "terms": self.terms, "present": self.present, "labels": self.labels}
        return {_PREFIX + name: torch.from_numpy(part) for name, part in parts.items()}


@torch.no_grad()
def measure_held_out(
    network: MultiViewNetwork,
    batches: Iterable[Predictions],
    present: NDArray[np.bool_],
    labels: NDArray[np.int64],
) -> HeldOut:
    """Keep what a network of one model predicts for samples that it was not trained on.

    Args:
        network: the model.
        batches: its predictions, of at least one sample.
        present: (views, samples) which sample has which view.
        labels: (samples,) positions among the classes.
    """
    head = network.joint_head
    terms = torch.cat([head.blocks(batch.representations)[0] for batch in batches], dim=-2)
    return HeldOut(head.bias[0].cpu().numpy(), terms.cpu().numpy(), present, labels)


def take_held_out(tensors: Mapping[str, Tensor]) -> tuple[HeldOut | None, dict[str, Tensor]]:
    """What `HeldOut.to_tensors` put among a file's tensors, None where there is none, and the other tensors."""
    parts = {name.removeprefix(_PREFIX): part for name, part in tensors.items() if name.startswith(_PREFIX)}
    others = {name: tensor for name, tensor in tensors.items() if not name.startswith(_PREFIX)}
    return HeldOut(**{name: part.cpu().numpy() for name, part in parts.items()}) if parts else None, others
