"""Normalisation of pictures, as the first layer of a network."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

# Of ImageNet's pictures, for red, green and blue in [0, 1]; what published encoder weights expect.
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FLAT = 0.02  # added to a picture's deviation, so that the noise of an empty one is not blown up


class PictureNormalization(nn.Module):
    """Take mean and scale off pictures; nothing of it is in the network's state.

    Args:
        kind: "imagenet": the mean colour of ImageNet's pictures and its deviation, as published weights expect;
            "picture": every picture gets mean 0 and deviation 1, so that no brightness or contrast is left.

    Shapes: input (pictures, 3, height, width) of red, green, blue in [0, 1]; output the same.

    Raises:
        ValueError: the kind is unknown.

    Example:
        >>> PictureNormalization("imagenet")(torch.full((1, 3, 1, 1), 0.485))[0, 0].item()
        0.0
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, kind: Literal["imagenet", "picture"] = "imagenet") -> None:
        super().__init__()
        if kind not in ("imagenet", "picture"):
            raise ValueError(f"kind must be 'imagenet' or 'picture', not {kind!r}")
        self.kind = kind
        for name, values in (("mean", IMAGENET_MEAN), ("deviation", IMAGENET_DEVIATION)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        if self.kind == "picture":
            deviation, mean = torch.std_mean(pictures, dim=(1, 2, 3), keepdim=True)
            return (pictures - mean) / (deviation + FLAT)
        return (pictures - self.mean) / self.deviation

    def extra_repr(self) -> str:
        return repr(self.kind)
