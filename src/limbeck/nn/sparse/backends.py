"""Which engine computes submanifold convolutions: ours, or one of CUDA that is installed.

Ours is the default everywhere. spconv may be asked for on CUDA; its CPU build is never used, as its results are wrong
with more than one thread. **The path through spconv is untried on a GPU**, so the first call in a process compares it
with ours on a small grid and refuses it where they differ. torchsparse is not run: its sums are not deterministic and
it is on no package index; `limbeck.nn.sparse.weight_from_torchsparse` reads its weights.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from limbeck.nn.sparse.convolution import convolve
from limbeck.nn.sparse.maps import Grid

Backend = Literal["torch", "spconv", "auto"]


def submanifold(features: Tensor, weight: Tensor, grid: Grid, *, backend: Backend = "torch") -> Tensor:
    """The 3 x 3 x 3 convolution of `limbeck.nn.sparse.SubmanifoldConv3d`.

    Args:
        features: (voxels, in), rows as in the grid.
        weight: (27, in, out).
        grid: the voxels.
        backend: "torch" for ours, "spconv" for spconv on CUDA, "auto" for spconv where it can be used.

    Raises:
        ValueError: shapes disagree, or the backend is unknown or cannot be used with these tensors.
        RuntimeError: spconv's result is not ours on the grid that it is tried on.
    """
    if backend not in ("torch", "spconv", "auto"):
        raise ValueError(f"backend must be 'torch', 'spconv' or 'auto', not {backend!r}")
    usable = features.is_cuda and importlib.util.find_spec("spconv") is not None
    if backend == "spconv" and not usable:
        raise ValueError("backend='spconv' needs tensors on CUDA and spconv installed; 'torch' runs anywhere")
    if backend == "torch" or not usable or len(grid) == 0:
        return convolve(features, weight, grid.neighbours)
    _try_spconv(features.device)
    return _spconv(features, weight, grid)


def _spconv(features: Tensor, weight: Tensor, grid: Grid) -> Tensor:
    """By the functions under spconv's modules; indices are moved to start at 0, as it asks."""
    spconv = importlib.import_module("spconv.pytorch")

    coordinates = grid.coordinates
    coordinates[:, 1:] -= coordinates[:, 1:].amin(dim=0)
    batch, *shape = (coordinates.amax(dim=0) + 1).tolist()
    module = spconv.SubMConv3d(weight.shape[1], weight.shape[2], 3, bias=False, indice_key="neighbours")
    del module.weight
    module.weight = weight.unflatten(0, (3, 3, 3)).permute(4, 0, 1, 2, 3).contiguous()
    given = spconv.SparseConvTensor(features, coordinates.int(), shape, batch)
    kept = grid.__dict__.setdefault("_spconv", {})  # its map of this grid, as `neighbours` is ours
    given.indice_dict = kept
    result: Tensor = module(given).features
    return result


@cache
def _try_spconv(device: torch.device) -> None:
    generator = torch.Generator().manual_seed(0)
    grid, _ = Grid.of(torch.randint(-2, 4, (60, 4), generator=generator).abs().to(device))
    features = torch.randn(len(grid), 8, generator=generator).to(device)
    weight = torch.randn(27, 8, 16, generator=generator).to(device)
    expected = convolve(features, weight, grid.neighbours)
    if not torch.allclose(_spconv(features, weight, grid), expected, rtol=1e-2, atol=0.1):  # its TF32 included
        raise RuntimeError("spconv gives other results here than limbeck's own convolution; use backend='torch'")
