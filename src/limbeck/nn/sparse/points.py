"""Between points and voxels: means of the points of a voxel, and trilinear interpolation of voxels at points."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from limbeck.nn.sparse.coordinates import BATCHES, REACH
from limbeck.nn.sparse.maps import Grid


@dataclass(frozen=True, eq=False)
class WeightedSums:
    """A sparse matrix A, (rows, columns), by rows, for `y = A x`; its transpose is made when a gradient first asks.

    Both products add the entries of a row one after the other: nothing depends on timing.

    Attributes:
        columns: (entries,) int64, of one row after the other.
        starts: (rows + 1,) int64: the entries of row r are those from `starts[r]` to `starts[r + 1]`.
        weights: (entries,) floating point.
        width: number of columns.
    """

    columns: Tensor
    starts: Tensor
    weights: Tensor
    width: int

    @cached_property
    def transposed(self) -> WeightedSums:
        counts = self.starts.diff()
        rows = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
        columns, order = torch.sort(self.columns, stable=True)
        return WeightedSums(rows[order], _starts(columns, self.width), self.weights[order], len(counts))

    def __call__(self, x: Tensor) -> Tensor:
        """A x for x (columns, channels); differentiable in x.

        Raises:
            ValueError: x has not that many rows.
        """
        if x.ndim != 2 or len(x) != self.width:
            raise ValueError(f"features must be ({self.width}, channels), got shape {tuple(x.shape)}")
        result: Tensor = _Product.apply(x, self)  # type: ignore[no-untyped-call]
        return result

    def product(self, x: Tensor) -> Tensor:
        """A x, without a gradient."""
        if len(self.columns) == 0:
            return x.new_zeros(len(self.starts) - 1, x.shape[1])
        wide = torch.promote_types(x.dtype, torch.float32)
        weights = self.weights.to(wide)  # in half precision they would not add up to 1
        return F.embedding_bag(
            self.columns, x.to(wide), self.starts, mode="sum", per_sample_weights=weights, include_last_offset=True
        ).to(x.dtype)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: WeightedSums) -> Tensor:
        ctx.matrix = matrix
        return matrix.product(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.matrix.transposed.product(gradient.contiguous()), None


def _starts(ordered: Tensor, count: int) -> Tensor:
    """Where each of the numbers 0 to `count` begins in a list in ascending order."""
    return torch.searchsorted(ordered, torch.arange(count + 1, device=ordered.device))


def voxel_means(rows: Tensor, voxels: int) -> WeightedSums:
    r"""From points to voxels: the mean of a voxel's points, 0 for one that has none.

    .. math:: y_v = \frac{1}{|P_v|} \sum_{p \in P_v} x_p

    Args:
        rows: (points,) int64, each point's voxel, as `Grid.of` gives.
        voxels: number of voxels.

    Raises:
        ValueError: a row is not in [0, voxels).

    Example:
        >>> voxel_means(torch.tensor([1, 0, 1]), 2)(torch.tensor([[1.0], [5.0], [3.0]])).tolist()
        [[5.0], [2.0]]
    """
    if rows.numel() and not (rows.min() >= 0 and rows.max() < voxels):
        raise ValueError(f"rows must be in [0, {voxels}), found {rows.min().item()} to {rows.max().item()}")
    ordered, points = torch.sort(rows, stable=True)
    starts = _starts(ordered, voxels)
    weights = 1 / starts.diff()[ordered].to(torch.float64)
    return WeightedSums(points, starts, weights, len(rows))


def trilinear(grid: Grid, batch: Tensor, positions: Tensor) -> WeightedSums:
    r"""From voxels to points: trilinear interpolation over the 8 voxels around a point, of those that are there.

    .. math:: y_p = \frac{\sum_c w_c x_c}{\sum_c w_c}, \quad w_c = \prod_{a \in \{x, y, z\}} (1 - |u_a - c_a|),
        \quad u = position / s

    over the occupied voxels c among the 8 with :math:`\lfloor u_a \rfloor \le c_a \le \lfloor u_a \rfloor + 1`, where s
    is the stride of the grid. So a voxel's value stands at its lowest corner. A voxel that is not there has no part in
    the sum; a point without any occupied corner gets 0. A point's own voxel, :math:`\lfloor u \rfloor`, always has a
    positive weight, so that a point inside an occupied voxel always has a value.

    Args:
        grid: whose voxels are read.
        batch: (points,) integers, each point's number in the batch.
        positions: (points, 3), x, y and z in voxels of the finest grid, floating point, where voxel v of that grid
            holds [v, v + 1).

    Raises:
        ValueError: shapes disagree, or a position or the batch is not finite or out of range.

    Source: Tang et al. 2020 (SPVNAS), §3.1, with the convention of its code: values at lowest corners, weights
    renormalised over what is there.

    Example:
        >>> grid, _ = Grid.of(torch.tensor([[0, 0, 0, 0], [0, 1, 0, 0]]))
        >>> sums = trilinear(grid, torch.tensor([0]), torch.tensor([[0.25, 0.5, 0.0]]))
        >>> sums(torch.tensor([[0.0], [8.0]])).tolist()
        [[2.0]]
    """
    if positions.ndim != 2 or positions.shape[1] != 3 or batch.shape != positions.shape[:1]:
        raise ValueError(
            f"positions must be (points, 3) and batch (points,), got {tuple(positions.shape)} and {tuple(batch.shape)}"
        )
    if len(positions):
        if not (positions.min() >= -REACH and positions.max() < REACH + 1):  # NaN is neither
            raise ValueError(f"positions must be finite and in [-{REACH}, {REACH + 1})")
        if not (batch.min() >= 0 and batch.max() < BATCHES):
            raise ValueError(f"batch must be in [0, {BATCHES}), found {batch.min().item()} to {batch.max().item()}")
    scaled = positions / grid.stride
    lowest = scaled.floor()
    # Just below a whole number the difference rounds to 1, which would take the point's own voxel away.
    above = (scaled - lowest).clamp_(max=1 - torch.finfo(scaled.dtype).eps)
    x, y, z = torch.stack([1 - above, above], dim=2).unbind(1)
    weights = (x[:, :, None, None] * y[:, None, :, None] * z[:, None, None, :]).flatten(1)
    rows, there = grid.corners(batch, lowest.to(torch.int64))
    there &= weights > 0
    weights = torch.where(there, weights, 0.0)
    total = weights.sum(dim=1, keepdim=True)
    weights = weights / torch.where(total > 0, total, 1.0)
    starts = F.pad(there.sum(dim=1).cumsum(0), (1, 0))
    return WeightedSums(rows[there], starts, weights[there], len(grid))


class PointVoxels:
    """The points of a batch and their voxels at every stride, with the sums between them, each made once.

    Args:
        coordinates: (points, 4) integers: batch, x, y, z of each point's voxel on the finest grid, see `Grid.of`.
        positions: (points, 3) floating point, x, y and z in voxels of the finest grid; floor(positions) must be the
            coordinates. Default: the coordinates, every point at its voxel's lowest corner.

    Raises:
        ValueError: the coordinates do not fit a grid, or a position is not in its voxel.

    Example:
        >>> points = PointVoxels(torch.tensor([[0, 5, 5, 5], [0, 4, 5, 5]]))
        >>> points.means(1)(torch.tensor([[1.0], [2.0]])).tolist()
        [[1.5]]
    """

    def __init__(self, coordinates: Tensor, positions: Tensor | None = None) -> None:
        self._grid, rows = Grid.of(coordinates)
        self._batch = coordinates[:, 0]
        if positions is None:
            positions = coordinates[:, 1:].to(torch.float32)
        elif positions.shape != (len(coordinates), 3) or not torch.equal(
            positions.floor().to(coordinates.dtype), coordinates[:, 1:]
        ):
            raise ValueError("positions must be (points, 3) in voxels, each in the voxel of its coordinates")
        self._positions = positions
        self._rows = [rows]
        self._means: dict[int, WeightedSums] = {}
        self._corners: dict[int, WeightedSums] = {}

    def __len__(self) -> int:
        return len(self._batch)

    def grid(self, level: int) -> Grid:
        """The grid of stride 2**level."""
        grid = self._grid
        for _ in range(level):
            grid = grid.coarser
        return grid

    def rows(self, level: int) -> Tensor:
        """(points,) int64, each point's row on the grid of a level."""
        while len(self._rows) <= level:
            self._rows.append(self.grid(len(self._rows) - 1).parents[self._rows[-1]])
        return self._rows[level]

    def means(self, level: int) -> WeightedSums:
        """From points to the voxels of a level, see `voxel_means`."""
        if level not in self._means:
            self._means[level] = voxel_means(self.rows(level), len(self.grid(level)))
        return self._means[level]

    def interpolation(self, level: int) -> WeightedSums:
        """From the voxels of a level to points, see `trilinear`."""
        if level not in self._corners:
            self._corners[level] = trilinear(self.grid(level), self._batch, self._positions)
        return self._corners[level]
