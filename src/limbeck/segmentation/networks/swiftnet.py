"""SwiftNet: a ResNet-18 and a light ladder up to a quarter of the picture's size."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.nn import resnet18
from limbeck.nn.resnet import BasicBlock

LEVELS = (8, 4, 2)  # rows of the pyramid's grids


class SwiftMaps(NamedTuple):
    """Maps of a picture at several scales.

    Attributes:
        shallow: (n, width, H / 4, W / 4), of the encoder's first layer, before its last ReLU.
        coarse: (n, features, H / 32, W / 32), of the spatial pyramid.
        middle: (n, features, H / 8, W / 8), of the ladder.
        final: (n, features, H / 4, W / 4), the last of the ladder, normalised and rectified: a linear layer of it is
            the published classifier. Sizes are rounded up.
    """

    shallow: Tensor
    coarse: Tensor
    middle: Tensor
    final: Tensor


def _unit(inside: int, outside: int, size: int = 1) -> nn.Sequential:
    """Normalisation, ReLU, convolution."""
    return nn.Sequential(
        nn.BatchNorm2d(inside),
        nn.ReLU(),
        nn.Conv2d(inside, outside, size, padding=size // 2, bias=False),
    )


def _resized(maps: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(maps, like.shape[-2:], mode="bilinear", align_corners=False)


class _Pyramid(nn.Module):
    """Means over grids of 8, 4 and 2 rows beside the maps themselves: what surrounds every pixel."""

    def __init__(self, inside: int, features: int) -> None:
        super().__init__()
        narrow = features // len(LEVELS)
        self.enter = _unit(inside, features)
        self.levels = nn.ModuleList(_unit(features, narrow) for _ in LEVELS)
        self.leave = _unit(features + narrow * len(LEVELS), features)

    def forward(self, maps: Tensor) -> Tensor:
        maps = self.enter(maps)
        aspect = maps.shape[-1] / maps.shape[-2]
        parts = [maps]
        for rows, level in zip(LEVELS, self.levels, strict=True):
            grid = (rows, max(1, round(aspect * rows)))
            parts.append(_resized(level(F.adaptive_avg_pool2d(maps, grid)), maps))
        output: Tensor = self.leave(torch.cat(parts, dim=1))
        return output


class SwiftNet(nn.Module):
    """The single-scale SwiftNet with a ResNet-18, up to the features before its classifier.

    The encoder's maps at a quarter to a 32nd of the size, each before the ReLU that ends its layer, are joined from the
    coarsest up: resized (bilinear), added to a pointwise convolution of the finer ones, blended by a 3 x 3 convolution.
    The coarsest go through a pyramid of means first. In the decoder normalisation and ReLU come before a convolution.

    Args:
        width: maps of the encoder's first layer, 64 for published weights; 16 makes an encoder for one core.
        features: maps of the decoder, 128 in the paper.

    Attributes:
        encoder: a `limbeck.nn.ResNet` with torchvision's parameter names, for `limbeck.nn.load_weights`.
        widths: number of maps of each of `SwiftMaps`, by name.

    Shapes: pictures (n, 3, H, W), H and W above 32, normalised as the encoder's weights expect; `SwiftMaps`.

    Raises:
        ValueError: a width is too small; when called, pictures are of another shape or smaller.

    Source: Oršić et al. 2019, §3 and Figs. 2 and 3, written from a description of it.

    Example:
        >>> SwiftNet(width=4, features=6)(torch.zeros(1, 3, 64, 96)).final.shape
        torch.Size([1, 6, 16, 24])
    """

    def __init__(self, *, width: int = 64, features: int = 128) -> None:
        super().__init__()
        if width < 1 or features < len(LEVELS):
            raise ValueError(f"width must be positive and features at least {len(LEVELS)}, got {width} and {features}")
        self.encoder = resnet18(last_stride=2, width=width)
        self.widths = dict(zip(SwiftMaps._fields, (width, features, features, features), strict=True))
        self.pyramid = _Pyramid(8 * width, features)
        self.skips = nn.ModuleList(_unit(factor * width, features) for factor in (4, 2, 1))
        self.blends = nn.ModuleList(_unit(features, features, 3) for _ in range(3))
        self.output = nn.Sequential(nn.BatchNorm2d(features), nn.ReLU())
        for part in (self.pyramid, self.skips, self.blends):
            for module in part.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, pictures: Tensor) -> SwiftMaps:
        if pictures.ndim != 4 or pictures.shape[1] != 3 or min(pictures.shape[2:]) <= 32:
            raise ValueError(
                f"pictures must be (n, 3, height, width) of more than 32 pixels a side, got {tuple(pictures.shape)}"
            )
        net = self.encoder
        x = F.max_pool2d(F.relu(net.bn1(net.conv1(pictures))), 3, 2, 1)
        sums = []
        for layer in (net.layer1, net.layer2, net.layer3, net.layer4):
            first, last = layer
            assert isinstance(last, BasicBlock)
            sums.append(last.residual_sum(first(x)))
            x = F.relu(sums[-1])
        coarse = x = self.pyramid(sums[3])
        ladder: list[Tensor] = []
        for skip, blend, finer in zip(self.skips, self.blends, (sums[2], sums[1], sums[0]), strict=True):
            x = skip(finer)
            x = blend(_resized(ladder[-1] if ladder else coarse, x) + x)
            ladder.append(x)
        return SwiftMaps(sums[0], coarse, ladder[1], self.output(ladder[2]))
