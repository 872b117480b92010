"""ResNet-18 and ResNet-50 without their classifier, under torchvision's parameter names, so that its weights fit."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.errors import InputError


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016, Fig. 5 left); the stride sits in the first."""

    expansion = 1

    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(inside, width * self.expansion, stride)

    def residual_sum(self, x: Tensor) -> Tensor:
        """The output before its ReLU."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        total: Tensor = y + (x if self.downsample is None else self.downsample(x))
        return total

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.residual_sum(x))


class _BottleneckBlock(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut (He et al. 2016, Fig. 5 right); the stride sits in the 3x3."""

    expansion = 4

    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.downsample = _shortcut(inside, width * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


def _shortcut(inside: int, outside: int, stride: int) -> nn.Sequential | None:
    """The projection beside a block; None, and no parameters, where input and output have one shape."""
    if stride == 1 and inside == outside:
        return None
    return nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))


class ResNet(nn.Module):
    """A residual network up to its last maps; make one with `resnet18` or `resnet50`.

    The names of its state are those of torchvision's ResNets (`conv1`, `bn1`, `layer1.0.conv1`, ..., `layer4.2.bn3`,
    `layer2.0.downsample.0`), without `fc`. Convolutions start as He et al. 2015 say (normal, fan-out, for ReLU), batch
    normalisation as the identity.

    Args:
        block: the kind of residual block.
        depths: the number of blocks of each of the four layers.
        last_stride: stride of `layer4`, 1 or 2. It changes the size of the maps, not the parameters.
        width: maps of the first layer, which every following layer doubles; published weights have 64.

    Attributes:
        features: number of output maps.

    Shapes: pictures (n, 3, height, width); maps (n, features, height / 16, width / 16), rounded up, or / 32 where
    `last_stride` is 2.

    Raises:
        InputError: `last_stride` is neither 1 nor 2, or `width` is not positive.

    Source: He et al. 2016, Table 1; the stride of ResNet-50 in the 3x3 convolution as in torchvision ("v1.5"); the last
    stride of 1 as in Tian et al. 2021, §4.2.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[_BottleneckBlock],
        depths: Sequence[int],
        *,
        last_stride: int = 1,
        width: int = 64,
    ) -> None:
        super().__init__()
        if last_stride not in (1, 2):
            raise InputError(f"last_stride must be 1 or 2, not {last_stride}")
        if width < 1:
            raise InputError(f"width must be positive, not {width}")
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inside = width
        layers = []
        for level, (depth, stride) in enumerate(zip(depths, (1, 2, 2, last_stride), strict=True)):
            blocks = []
            for position in range(depth):
                blocks.append(block(inside, width * 2**level, 1 if position else stride))
                inside = width * 2**level * block.expansion
            layers.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.features = inside
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, pictures: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(pictures)))
        x = F.max_pool2d(x, 3, 2, 1)
        maps: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return maps


def resnet18(*, last_stride: int = 1, width: int = 64) -> ResNet:
    """ResNet-18 without its classifier: 11 176 512 parameters, 512 maps at the default width; see `ResNet`.

    Example:
        >>> import torch
        >>> resnet18()(torch.zeros(1, 3, 64, 32)).shape
        torch.Size([1, 512, 4, 2])
    """
    return ResNet(BasicBlock, (2, 2, 2, 2), last_stride=last_stride, width=width)


def resnet50(*, last_stride: int = 1) -> ResNet:
    """ResNet-50 without its classifier: 23 508 032 parameters, 2048 maps; see `ResNet`.

    Example:
        >>> sum(parameter.numel() for parameter in resnet50().parameters())
        23508032
    """
    return ResNet(_BottleneckBlock, (3, 4, 6, 3), last_stride=last_stride)
