"""Which voxel feeds which: sets of voxels, their neighbours and their parents, each found once and kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from limbeck.nn.sparse.coordinates import check_coordinates, pack, packed_offset, unpack


@dataclass(frozen=True, eq=False)
class KernelMap:
    """For each offset of a kernel, which output row `targets[k][i]` reads which input row `sources[k][i]` by weight k.

    Within one offset no target and no source comes twice, so that adding by rows has one result on any device, with
    any number of threads.

    Attributes:
        sources: for each offset, rows of the input, int64.
        targets: for each offset, rows of the output, as many.
        inputs: number of rows of the input.
        outputs: number of rows of the output.
        centre: the offset by which every row reads itself, whose lists are empty and are not needed; None if there is
            no such offset.
    """

    sources: tuple[Tensor, ...]
    targets: tuple[Tensor, ...]
    inputs: int
    outputs: int
    centre: int | None = None

    @property
    def transposed(self) -> KernelMap:
        """Read backwards, by the same weights."""
        return KernelMap(self.targets, self.sources, self.outputs, self.inputs, self.centre)

    def __len__(self) -> int:
        return len(self.sources)


@dataclass(frozen=True, eq=False)
class Grid:
    """A set of occupied voxels of a batch at one stride; row r of features on it belongs to the r-th key.

    Neighbours and coarser grids are found when first asked for and kept, so that all layers of a stride share them, and
    are freed with the grid.

    Attributes:
        keys: (voxels,) int64, ascending, each once; see `limbeck.nn.sparse.coordinates.pack`.
        stride: length of a voxel's side in voxels of the finest grid, a power of two.

    Example:
        >>> grid, rows = Grid.of(torch.tensor([[0, 5, 5, 5], [0, 4, 5, 5], [0, 5, 5, 5]]))
        >>> len(grid), rows.tolist(), grid.coarser.coordinates.tolist()
        (2, [1, 0, 1], [[0, 2, 2, 2]])
    """

    keys: Tensor
    stride: int = 1

    @staticmethod
    def of(coordinates: Tensor) -> tuple[Grid, Tensor]:
        """The grid of the voxels of points, and each point's row in it.

        Args:
            coordinates: (points, 4) integers: batch in [0, 4096), then x, y and z in [-65534, 65534], in any order and
                with repetitions.

        Raises:
            ValueError: they are not integers, not of that shape, or out of range.
        """
        check_coordinates(coordinates)
        keys, rows = torch.unique(pack(coordinates), sorted=True, return_inverse=True)
        return Grid(keys), rows

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def coordinates(self) -> Tensor:
        """(voxels, 4) int64: batch, x, y, z in voxels of this stride."""
        return unpack(self.keys)

    def _column(self, lowest: Tensor, height: int) -> list[tuple[Tensor, Tensor]]:
        """Rows of keys and of those above them along z, `height` in all, and which are there; other rows say nothing.

        Keys along z are consecutive: one search finds where all of a column would stand.
        """
        if len(self) == 0:
            return [(torch.zeros_like(lowest), torch.zeros_like(lowest, dtype=torch.bool))] * height
        place, found = torch.searchsorted(self.keys, lowest), []
        for above in range(height):
            there = self.keys[place.clamp(max=len(self) - 1)] == lowest + above
            found.append((place, there))
            place = place + there
        return found

    @cached_property
    def neighbours(self) -> KernelMap:
        """The map of a 3 x 3 x 3 kernel from this grid to itself.

        Offset k = 9 (dx + 1) + 3 (dy + 1) + dz + 1: an output at (x, y, z) reads the input at (x + dx, y + dy, z + dz)
        by weight k. Offset 26 - k is the same list of pairs read backwards, so only half of them are looked for.
        """
        empty = self.keys.new_empty(0)
        sources, targets = [empty] * 27, [empty] * 27
        for dx, dy in ((0, 0), (0, 1), (1, -1), (1, 0), (1, 1)):
            found = self._column(self.keys + packed_offset(dx, dy, -1), 3)
            for dz, (place, there) in zip((-1, 0, 1), found, strict=True):
                if (dx, dy, dz) > (0, 0, 0):
                    k = 9 * (dx + 1) + 3 * (dy + 1) + dz + 1
                    target = there.nonzero().squeeze(1)
                    source = place[target]
                    sources[k], targets[k] = source, target
                    sources[26 - k], targets[26 - k] = target, source
        return KernelMap(tuple(sources), tuple(targets), len(self), len(self), centre=13)

    @cached_property
    def _parents(self) -> tuple[Tensor, Tensor, Tensor]:
        """Keys of the grid of twice the stride, each voxel's row in it, and which of its parent's eight it is."""
        own = self.coordinates
        above = own.clone()
        above[:, 1:] >>= 1  # rounds down, below 0 too
        keys, rows = torch.unique(pack(above), sorted=True, return_inverse=True)
        inside = own[:, 1:] & 1
        return keys, rows, 4 * inside[:, 0] + 2 * inside[:, 1] + inside[:, 2]

    @property
    def parents(self) -> Tensor:
        """(voxels,) int64, the row of each voxel's parent in `coarser`."""
        return self._parents[1]

    @cached_property
    def coarser(self) -> Grid:
        """The grid of twice the stride: every voxel that holds one of these."""
        return Grid(self._parents[0], 2 * self.stride)

    @cached_property
    def down(self) -> KernelMap:
        """The map of a 2 x 2 x 2 kernel of stride 2 from this grid to `coarser`.

        Offset k = 4 px + 2 py + pz: an output at (x, y, z) reads the input at (2 x + px, 2 y + py, 2 z + pz).
        """
        _, rows, which = self._parents
        sources = tuple((which == k).nonzero().squeeze(1) for k in range(8))
        return KernelMap(sources, tuple(rows[source] for source in sources), len(self), len(self.coarser))

    @cached_property
    def up(self) -> KernelMap:
        """The map of the transposed kernel from `coarser` to this grid; every voxel here reads its parent alone."""
        return self.down.transposed

    def corners(self, batch: Tensor, lowest: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of the 2 x 2 x 2 voxels from `lowest` upwards, and which of them are there.

        Args:
            batch: (points,) integers.
            lowest: (points, 3) integers: x, y, z in voxels of this stride.

        Returns:
            (points, 8) each, in the order of `down`.
        """
        first = pack(torch.cat([batch[:, None], lowest], dim=1))
        columns = [self._column(first + packed_offset(x, y, 0), 2) for x in (0, 1) for y in (0, 1)]
        rows, there = zip(*(pair for column in columns for pair in column), strict=True)
        return torch.stack(rows, dim=1), torch.stack(there, dim=1)
