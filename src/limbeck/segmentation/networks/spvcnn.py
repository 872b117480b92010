"""SPVCNN: a U-shaped network of sparse convolutions beside a branch that keeps every point."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.nn.sparse import DownConv3d, Grid, PointVoxels, SubmanifoldConv3d, UpConv3d
from limbeck.nn.sparse.backends import Backend
from limbeck.segmentation.networks.layers import RowNorm, linear_block

CHANNELS = (32, 32, 64, 128, 256, 256, 128, 96, 96)  # of the stem, the four stages down and the four up
Fuse = Callable[[int, Tensor], Tensor]


class _Convolution(nn.Module):
    """A 3 x 3 x 3 convolution and normalisation; a ReLU if asked for."""

    def __init__(self, inside: int, outside: int, backend: Backend, *, relu: bool = True) -> None:
        super().__init__()
        self.convolution = SubmanifoldConv3d(inside, outside, backend=backend)
        self.norm = RowNorm(outside)
        self.relu = relu

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        x = self.norm(self.convolution(x, grid))
        return F.relu(x, inplace=True) if self.relu else x


class _Residual(nn.Module):
    """Two 3 x 3 x 3 convolutions beside a shortcut, which is a pointwise convolution where the width changes."""

    def __init__(self, inside: int, outside: int, backend: Backend) -> None:
        super().__init__()
        self.first = _Convolution(inside, outside, backend)
        self.second = _Convolution(outside, outside, backend, relu=False)
        self.shortcut: nn.Module = nn.Identity()
        if inside != outside:
            self.shortcut = nn.Sequential(nn.Linear(inside, outside, bias=False), RowNorm(outside))

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        return F.relu(self.second(self.first(x, grid), grid) + self.shortcut(x))


class _Down(nn.Module):
    def __init__(self, inside: int, outside: int, backend: Backend) -> None:
        super().__init__()
        self.convolution, self.norm = DownConv3d(inside, inside), RowNorm(inside)
        self.blocks = nn.ModuleList([_Residual(inside, outside, backend), _Residual(outside, outside, backend)])

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        x = F.relu(self.norm(self.convolution(x, grid)), inplace=True)
        for block in self.blocks:
            x = block(x, grid.coarser)
        return x


class _Up(nn.Module):
    def __init__(self, inside: int, outside: int, skip: int, backend: Backend) -> None:
        super().__init__()
        self.convolution, self.norm = UpConv3d(inside, outside), RowNorm(outside)
        blocks = [_Residual(outside + skip, outside, backend), _Residual(outside, outside, backend)]
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor, skip: Tensor, grid: Grid) -> Tensor:
        x = F.relu(self.norm(self.convolution(x, grid)), inplace=True)
        x = torch.cat([x, skip], dim=1)
        for block in self.blocks:
            x = block(x, grid)
        return x


class SPVCNN(nn.Module):
    """Sparse point-voxel convolutional network: features of every point, at four depths.

    Voxels are convolved down to a stride of 16 and up again, with two residual blocks at every stride. At strides 1,
    16, 4 and 1 ("depths" 0 to 3) voxels are read at the points (trilinear) and a linear layer of the points' features
    from the depth before is added; at the first three of them the points' means go back into the voxels. With 4
    channels and a classifier of 19 classes it has 21 778 003 parameters; 8 793 617 at a width of 0.64 and 5 449 267 at
    0.5.

    Args:
        inside: channels of a point; the published network has 4: x, y, z and intensity.
        width: factor on `CHANNELS`, the products rounded down.
        classes: width of a classifier on the last features; None, without one.
        dropout: rate on the points' means where they go back into the voxels.
        backend: engine of the 3 x 3 x 3 convolutions, see `limbeck.nn.sparse.backends`.

    Attributes:
        widths: channels of the points' features at the four depths.

    Shapes: features (points, inside); output (points, classes), or (points, widths[3]) without a classifier.

    Raises:
        ValueError: a width is not positive; when called, features do not fit the points.

    Source: Tang et al. 2020 (SPVNAS), §3, and the authors' code for what the paper leaves open.

    Example:
        >>> points = PointVoxels(torch.tensor([[0, 5, 5, 5], [0, 4, 5, 5]]))
        >>> SPVCNN(width=0.25, classes=3)(torch.zeros(2, 4), points).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        inside: int = 4,
        *,
        width: float = 1.0,
        classes: int | None = None,
        dropout: float = 0.3,
        backend: Backend = "torch",
    ) -> None:
        super().__init__()
        c = [int(width * channels) for channels in CHANNELS]
        if min(inside, *c) < 1:
            raise ValueError(f"inside and width must leave a channel to every layer, got {inside} and {width}")
        self.inside, self.widths = inside, (c[0], c[4], c[6], c[8])
        self.stem = nn.ModuleList([_Convolution(inside, c[0], backend), _Convolution(c[0], c[0], backend)])
        self.down = nn.ModuleList(_Down(c[level], c[level + 1], backend) for level in range(4))
        self.up = nn.ModuleList(_Up(c[4 + level], c[5 + level], c[3 - level], backend) for level in range(4))
        self.transforms = nn.ModuleList(linear_block(a, b) for a, b in zip(self.widths, self.widths[1:], strict=False))
        self.dropout = nn.Dropout(dropout)
        self.classifier: nn.Module = nn.Identity() if classes is None else nn.Linear(self.widths[3], classes)

    def forward(self, features: Tensor, points: PointVoxels, *, fuse: Fuse | None = None) -> Tensor:
        """Logits or last features of the points.

        Args:
            features: (points, inside).
            points: the voxels of these points.
            fuse: called with 0 to 3 and the points' features of that depth, (points, widths[depth]); gives those that
                the network goes on with.
        """
        if features.shape != (len(points), self.inside):
            raise ValueError(f"features must be ({len(points)}, {self.inside}), got shape {tuple(features.shape)}")
        fuse = fuse or (lambda _, x: x)
        grids = [points.grid(level) for level in range(5)]
        x = points.means(0)(features)
        for layer in self.stem:
            x = layer(x, grids[0])
        z = fuse(0, points.interpolation(0)(x))
        skips = [x]
        x = points.means(0)(z)
        for level, down in enumerate(self.down):
            x = down(x, grids[level])
            skips.append(x)
        z = fuse(1, points.interpolation(4)(skips.pop()) + self.transforms[0](z))
        x = self.dropout(points.means(4)(z))
        x = self.up[1](self.up[0](x, skips[3], grids[3]), skips[2], grids[2])
        z = fuse(2, points.interpolation(2)(x) + self.transforms[1](z))
        x = self.dropout(points.means(2)(z))
        x = self.up[3](self.up[2](x, skips[1], grids[1]), skips[0], grids[0])
        z = fuse(3, points.interpolation(0)(x) + self.transforms[2](z))
        output: Tensor = self.classifier(z)
        return output
