"""A residual network for small pictures on a CPU."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.errors import InputError


class _Block(nn.Module):
    """Two 3x3 convolutions beside a 1x1 projection, of stride 2."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.shortcut = nn.Conv2d(inside, outside, 1, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.shortcut(x) + self.bn2(self.conv2(y)))


class SmallResNet(nn.Module):
    """A stem of 16 maps and three residual blocks of 32, 64 and 192 maps, each of stride 2.

    Half a million parameters: on one core it learns to find drawn people from 64 x 32 pixels in minutes. Made for
    pictures of 64 x 32 pixels and more; smaller ones leave fewer than 8 x 4 positions. All layers start as torch's own.

    Args:
        in_channels: 3 for colour, 1 for grey.

    Attributes:
        features: 192.

    Shapes: pictures (n, in_channels, height, width); maps (n, 192, height / 8, width / 8), rounded up.

    Raises:
        InputError: `in_channels` is not positive.

    Source: ours; the blocks are those of He et al. 2016.

    Example:
        >>> import torch
        >>> SmallResNet()(torch.zeros(1, 3, 64, 32)).shape
        torch.Size([1, 192, 8, 4])
    """

    features = 192

    def __init__(self, *, in_channels: int = 3) -> None:
        super().__init__()
        if in_channels < 1:
            raise InputError(f"in_channels must be positive, not {in_channels}")
        self.stem = nn.Sequential(nn.Conv2d(in_channels, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.blocks = nn.Sequential(_Block(16, 32), _Block(32, 64), _Block(64, self.features))

    def forward(self, pictures: Tensor) -> Tensor:
        maps: Tensor = self.blocks(self.stem(pictures))
        return maps
