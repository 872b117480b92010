"""A small U-Net: from a picture to a picture."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.errors import InputError


def _convolutions(inside: int, outside: int) -> nn.Sequential:
    """Two 3x3 convolutions that keep the size, each with batch normalisation and a ReLU."""
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, 1, 1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(),
        nn.Conv2d(outside, outside, 3, 1, 1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(),
    )


class UNet(nn.Module):
    """Down through ever fewer pixels and up again, every level's maps handed across; a sigmoid at the end.

    Each step down halves the size by a maximum over 2 x 2 pixels, each step up doubles it by a transposed convolution.
    Unlike the paper's, the convolutions are padded, so that the output has the size of the input, and are followed by
    batch normalisation.

    Args:
        in_channels: of the picture.
        out_channels: of the output.
        widths: number of maps at each level, the finest first.

    Shapes: pictures (n, in_channels, height, width); output (n, out_channels, height, width), in (0, 1).

    Raises:
        ValueError: there is no width, or one is not positive.
        InputError: when called, the height or the width is not a multiple of 2**(len(widths) - 1).

    Source: Ronneberger et al. 2015, Fig. 1; for the third view of Tian et al. 2022, appendix B.1.

    Example:
        >>> UNet()(torch.zeros(1, 3, 8, 12)).shape
        torch.Size([1, 1, 8, 12])
    """

    def __init__(self, in_channels: int = 3, out_channels: int = 1, widths: Sequence[int] = (16, 32, 64)) -> None:
        super().__init__()
        if not widths or min(in_channels, out_channels, *widths) <= 0:
            raise ValueError(
                f"channels and widths must be positive, got {in_channels} -> {tuple(widths)} -> {out_channels}"
            )
        self.down = nn.ModuleList(
            _convolutions(before, after) for before, after in zip((in_channels, *widths), widths, strict=False)
        )
        steps = tuple(pairwise(reversed(widths)))
        self.grow = nn.ModuleList(nn.ConvTranspose2d(before, after, 2, 2) for before, after in steps)
        self.up = nn.ModuleList(_convolutions(2 * after, after) for _, after in steps)
        self.output = nn.Conv2d(widths[0], out_channels, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        multiple = 2 ** (len(self.down) - 1)
        height, width = pictures.shape[-2:]
        if height % multiple or width % multiple or not (height and width):
            raise InputError(
                f"pictures of {height} x {width} pixels do not fit a U-Net of {len(self.down)} levels; "
                f"give a height and a width that are multiples of {multiple}"
            )
        levels: list[Tensor] = []
        x = pictures
        for level, convolutions in enumerate(self.down):
            x = convolutions(F.max_pool2d(x, 2) if level else x)
            levels.append(x)
        for grow, convolutions, aside in zip(self.grow, self.up, reversed(levels[:-1]), strict=True):
            x = convolutions(torch.cat([aside, grow(x)], dim=1))
        return torch.sigmoid(self.output(x))
