"""Sparse convolutions as modules, and weights from other engines."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from limbeck.nn.sparse.backends import Backend, submanifold
from limbeck.nn.sparse.convolution import convolve
from limbeck.nn.sparse.maps import Grid


class _Kernel(nn.Module):
    """A weight (offsets, in, out), uniform in ±1/√(what is added up into one output where all voxels are occupied)."""

    def __init__(self, inside: int, outside: int, offsets: int, *, added: int) -> None:
        super().__init__()
        if min(inside, outside) <= 0:
            raise ValueError(f"channels must be positive, got {inside} -> {outside}")
        self.weight = nn.Parameter(torch.empty(offsets, inside, outside))
        bound = 1 / math.sqrt(added * inside)
        nn.init.uniform_(self.weight, -bound, bound)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[1]}, {self.weight.shape[2]}"


class SubmanifoldConv3d(_Kernel):
    """A 3 x 3 x 3 convolution that is read out at the occupied voxels only, without a bias.

    Equal to `conv3d` with padding 1 on the dense grid of zeros, at the occupied voxels. A 1 x 1 x 1 convolution is
    `torch.nn.Linear` on the features.

    Args:
        inside: channels of the input.
        outside: channels of the output.
        backend: what computes it, see `limbeck.nn.sparse.backends`.

    Attributes:
        weight: (27, inside, outside); offset k = 9 (dx + 1) + 3 (dy + 1) + dz + 1. From a `conv3d` over (x, y, z):
            `weight.permute(2, 3, 4, 1, 0).reshape(27, inside, outside)`.

    Shapes: features (voxels, inside) to (voxels, outside), rows as in the grid.

    Source: Graham et al. 2018, §3.

    Example:
        >>> grid, rows = Grid.of(torch.tensor([[0, 1, 1, 1], [0, 1, 1, 2]]))
        >>> SubmanifoldConv3d(4, 8)(torch.zeros(2, 4), grid).shape
        torch.Size([2, 8])
    """

    def __init__(self, inside: int, outside: int, *, backend: Backend = "torch") -> None:
        super().__init__(inside, outside, 27, added=27)
        self.backend = backend

    def forward(self, features: Tensor, grid: Grid) -> Tensor:
        return submanifold(features, self.weight, grid, backend=self.backend)


class DownConv3d(_Kernel):
    """A 2 x 2 x 2 convolution of stride 2, without a bias: from a grid to its `coarser`.

    Attributes:
        weight: (8, inside, outside); offset k = 4 px + 2 py + pz. From a `conv3d` over (x, y, z):
            `weight.permute(2, 3, 4, 1, 0).reshape(8, inside, outside)`.

    Shapes: features (voxels, inside), rows as in the grid, to (voxels of grid.coarser, outside).
    """

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__(inside, outside, 8, added=8)

    def forward(self, features: Tensor, grid: Grid) -> Tensor:
        return convolve(features, self.weight, grid.down)


class UpConv3d(_Kernel):
    """The transposed 2 x 2 x 2 convolution of stride 2, without a bias: from a grid's `coarser` back to its voxels.

    Attributes:
        weight: (8, inside, outside), offsets as in `DownConv3d`. From a `conv_transpose3d` over (x, y, z):
            `weight.permute(2, 3, 4, 0, 1).reshape(8, inside, outside)`.

    Shapes: features (voxels of grid.coarser, inside) to (voxels, outside), rows as in the grid.
    """

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__(inside, outside, 8, added=1)

    def forward(self, features: Tensor, grid: Grid) -> Tensor:
        return convolve(features, self.weight, grid.up)


def weight_from_torchsparse(kernel: Tensor) -> Tensor:
    """torchsparse's `kernel` in the order of offsets here: (27, in, out) with x fastest there, (8, in, out) as here.

    A kernel of 1 x 1 x 1, (in, out), becomes the (out, in) of `torch.nn.Linear`.

    Raises:
        ValueError: it has another shape.
    """
    if kernel.ndim == 2:
        return kernel.T.contiguous()
    if kernel.ndim != 3 or len(kernel) not in (8, 27):
        raise ValueError(f"kernel must be (27 or 8, in, out) or (in, out), got shape {tuple(kernel.shape)}")
    if len(kernel) == 8:
        return kernel.clone()
    return kernel.reshape(3, 3, 3, *kernel.shape[1:]).transpose(0, 2).flatten(0, 2).contiguous()


def weight_from_spconv(weight: Tensor) -> Tensor:
    """spconv's `weight` (out, k, k, k, in), k = 3 or 2, axes as the columns of its indices, as (k³, in, out).

    A weight of k = 1 becomes the (out, in) of `torch.nn.Linear`.

    Raises:
        ValueError: it has another shape.
    """
    if weight.ndim != 5 or tuple(weight.shape[1:4]) not in {(1, 1, 1), (2, 2, 2), (3, 3, 3)}:
        raise ValueError(f"weight must be (out, k, k, k, in) with k = 1, 2 or 3, got shape {tuple(weight.shape)}")
    if weight.shape[1] == 1:
        return weight[:, 0, 0, 0].contiguous()
    return weight.permute(1, 2, 3, 4, 0).flatten(0, 2).contiguous()
