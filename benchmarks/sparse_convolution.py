"""Sparse convolutions at the voxels of a LiDAR scan: against im2col and spconv, and a training step of SPVCNN.

`OMP_NUM_THREADS=1 python -m benchmarks sparse_convolution`: everything is timed on one thread. spconv is compared where
it is installed and that variable is set before the start, because its results on a CPU are wrong with more threads; its
backward pass does not run on a CPU. `python -m benchmarks.sparse_convolution WIDTH` prints one step's time and memory.
"""

from __future__ import annotations

import importlib
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from rich.box import SIMPLE
from rich.console import Group
from rich.table import Table
from torch import Tensor

from benchmarks.leave_one_out import resident
from limbeck.nn.sparse import Grid, PointVoxels, convolve, trilinear
from limbeck.nn.sparse.coordinates import packed_offset
from limbeck.objectives import cross_entropy, lovasz_softmax
from limbeck.segmentation.networks import SPVCNN
from limbeck.studies.timing import in_turns

VOXEL = 0.05  # metres
BEAMS, AZIMUTHS = 64, 1875
CLASSES = 19
WIDTHS = (0.25, 0.5, 1.0)
CHANNELS = ((0, 32), (0, 64), (2, 64), (2, 128), (3, 256))  # level of the grid, channels
ROUNDS = 7


def scan() -> tuple[Tensor, Tensor]:
    """120,000 points (x, y, z, intensity) of a spinning LiDAR 1.73 m above a street with buildings, and labels."""
    generator = torch.Generator().manual_seed(0)
    azimuth = torch.arange(AZIMUTHS) / AZIMUTHS * 2 * math.pi
    elevation = torch.linspace(-24.8, 2, BEAMS) * math.pi / 180
    azimuth, elevation = torch.meshgrid(azimuth, elevation, indexing="ij")
    ground = 1.73 / torch.tan(-elevation).clamp(min=1e-2)
    ground = torch.where(elevation < 0, ground, torch.inf)
    # Fronts on both sides of the street at changing distance, ends far away, parked cars before every third front.
    front = 9 + 3 * torch.floor(3 * torch.sin(5 * azimuth)).abs()
    wall = (front / torch.sin(azimuth).abs().clamp(min=1e-3)).clamp(max=60)
    car = torch.where((torch.sin(23 * azimuth) > 0.7) & (elevation < 0), 5 / torch.sin(azimuth).abs(), torch.inf)
    which = torch.stack([ground, wall, car])
    distance, label = which.min(dim=0)
    distance = distance + 0.01 * torch.randn(distance.shape, generator=generator)
    points = torch.stack(
        [distance * torch.cos(azimuth), distance * torch.sin(azimuth), distance * torch.tan(elevation)], dim=-1
    )
    intensity = torch.rand(label.numel(), 1, generator=generator)
    return torch.cat([points.view(-1, 3), intensity], dim=1), label.flatten()


def _voxels(points: Tensor) -> PointVoxels:
    positions = points[:, :3] / VOXEL
    return PointVoxels(torch.cat([torch.zeros(len(points), 1), positions.floor()], dim=1).long(), positions)


def run() -> Group:
    """Three tables: convolutions, maps, whole steps."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        points, _ = scan()
        return Group(_convolutions(points), _maps(points), _steps())
    finally:
        torch.set_num_threads(threads)


def _compared(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float, float]:
    """Median milliseconds of both, and the median of the rounds' ratios."""
    first(), second()
    mine, other = in_turns({"first": first, "second": second}, repeats=ROUNDS).values()
    ratio = statistics.median(a / b for a, b in zip(mine, other, strict=True))
    return 1e3 * statistics.median(mine), 1e3 * statistics.median(other), ratio


def _convolutions(points: Tensor) -> Table:
    table = Table(title="3 x 3 x 3 submanifold convolution, 120,000 points, 1 thread, maps made before; ms", box=SIMPLE)
    for heading in (
        "voxels",
        "neighbours",
        "channels",
        "ours, forward",
        "im2col",
        "ratio",
        "spconv",
        "ratio",
        "ours, both ways",
        "im2col",
        "ratio",
    ):
        table.add_column(heading, justify="right")
    generator = torch.Generator().manual_seed(1)
    for level, channels in CHANNELS:
        grid = _voxels(points).grid(level)
        pairs, columns = grid.neighbours, im2col_table(grid)
        x = torch.randn(len(grid), channels, generator=generator)
        weight = torch.randn(27, channels, channels, generator=generator) / math.sqrt(27 * channels)
        assert (im2col(x, weight, columns) - convolve(x, weight, pairs)).abs().max() < 1e-4
        found = 1 + sum(map(len, pairs.sources)) / len(grid)
        cells = [f"{len(grid):,}", f"{found:.1f}", str(channels)]
        sparse, dense = partial(convolve, x, weight, pairs), partial(im2col, x, weight, columns)
        with torch.no_grad():
            ours, theirs, ratio = _compared(sparse, dense)
            cells += [f"{ours:.1f}", f"{theirs:.1f}", f"{ratio:.2f}"]
            other = spconv_layer(grid, x, weight)
            if other is None:
                cells += ["-", "-"]
            else:
                assert (other() - sparse()).abs().max() < 1e-4
                _, theirs, ratio = _compared(sparse, other)
                cells += [f"{theirs:.1f}", f"{ratio:.2f}"]
        x.requires_grad_()
        weight.requires_grad_()
        both = _compared(partial(_backward, sparse), partial(_backward, dense))
        table.add_row(*cells, *(f"{value:.{digits}f}" for value, digits in zip(both, (1, 1, 2), strict=True)))
    return table


def _backward(function: Callable[[], Tensor]) -> None:
    function().sum().backward()


def im2col_table(grid: Grid) -> Tensor:
    """(voxels, 27): each neighbour's row, or the number of voxels where there is none."""
    pairs = grid.neighbours
    table = torch.full((len(grid), 27), len(grid))
    table[:, 13] = torch.arange(len(grid))
    for k, (source, target) in enumerate(zip(pairs.sources, pairs.targets, strict=True)):
        table[target, k] = source
    return table


def im2col(x: Tensor, weight: Tensor, table: Tensor, *, chunk: int = 4096) -> Tensor:
    """All 27 neighbours side by side, zeros where there is none, and one product for each `chunk` of voxels."""
    padded = torch.cat([x, x.new_zeros(1, x.shape[1])])
    flat = weight.flatten(0, 1)
    return torch.cat([padded[rows].flatten(1) @ flat for rows in table.split(chunk)])


def _spconv() -> Any:
    """The module, or None where it cannot be compared."""
    if os.environ.get("OMP_NUM_THREADS") != "1":
        return None
    try:
        return importlib.import_module("spconv.pytorch")
    except ImportError:
        return None


def spconv_layer(grid: Grid, x: Tensor, weight: Tensor) -> Callable[[], Tensor] | None:
    """spconv's layer with its map already made; None where it cannot be compared."""
    spconv = _spconv()
    if spconv is None:
        return None
    module = spconv.SubMConv3d(weight.shape[1], weight.shape[2], 3, bias=False, indice_key="map")
    with torch.no_grad():
        module.weight.copy_(weight.unflatten(0, (3, 3, 3)).permute(4, 0, 1, 2, 3))
        made = module(_spconv_tensor(spconv, grid, x))
    return lambda: module(made.replace_feature(x)).features


def _spconv_tensor(spconv: Any, grid: Grid, x: Tensor) -> Any:
    coordinates = grid.coordinates
    coordinates[:, 1:] -= coordinates[:, 1:].amin(dim=0)
    _, *shape = (coordinates.amax(dim=0) + 1).tolist()
    return spconv.SparseConvTensor(x, coordinates.int(), shape, 1)


def _maps(points: Tensor) -> Table:
    table = Table(title="Maps of one scan, 1 thread; ms", box=SIMPLE)
    for heading in ("what", "ms"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    done = _voxels(points)
    grid = done.grid(0)
    coordinates = torch.cat([torch.zeros(len(points), 1), (points[:, :3] / VOXEL).floor()], dim=1).long()

    def pyramid() -> None:
        levels = Grid.of(coordinates)[0]
        for _ in range(4):
            _ = levels.neighbours, levels.down
            levels = levels.coarser
        _ = levels.neighbours

    def interpolations() -> None:
        for level in (0, 2, 4):
            trilinear(done.grid(level), coordinates[:, 0], points[:, :3] / VOXEL)

    rows: list[tuple[str, Callable[[], object]]] = [
        (f"packed keys: {len(points):,} points to {len(grid):,} voxels", lambda: Grid.of(coordinates)),
        ("  the same by torch.unique(dim=0)", lambda: torch.unique(coordinates, dim=0, return_inverse=True)),
        (f"neighbours of {len(grid):,} voxels", lambda: Grid(grid.keys).neighbours),
        ("  the same by 26 searches", lambda: _searched(grid)),
        *_spconv_map(grid),
        ("voxels, neighbours and parents of all 5 strides", pyramid),
        ("trilinear maps of strides 1, 4 and 16", interpolations),
    ]
    for what, function in rows:
        function()
        seconds = in_turns({what: function}, repeats=ROUNDS)[what]
        table.add_row(what, f"{1e3 * statistics.median(seconds):.0f}")
    return table


def _spconv_map(grid: Grid) -> list[tuple[str, Callable[[], object]]]:
    """spconv's map of the same voxels, which it makes inside a layer: here one of a single channel."""
    spconv = _spconv()
    if spconv is None:
        return []
    module = spconv.SubMConv3d(1, 1, 3, bias=False, indice_key="map").requires_grad_(False)
    x = torch.zeros(len(grid), 1)
    given = _spconv_tensor(spconv, grid, x)
    fresh = partial(spconv.SparseConvTensor, x, given.indices, given.spatial_shape, 1)
    return [("  the same by spconv, with a convolution of 1 channel", lambda: module(fresh()))]


def _searched(grid: Grid) -> None:
    for k in range(27):
        x, y, z = k // 9 - 1, k // 3 % 3 - 1, k % 3 - 1
        if k != 13:
            sought = grid.keys + packed_offset(x, y, z)
            found = torch.searchsorted(grid.keys, sought).clamp_(max=len(grid) - 1)
            (grid.keys[found] == sought).nonzero()


def _steps() -> Table:
    table = Table(title=f"SPVCNN, one training step on one scan of {BEAMS * AZIMUTHS:,} points, 1 thread", box=SIMPLE)
    for heading in (
        "width",
        "parameters",
        "maps s",
        "forward s",
        "loss s",
        "backward s",
        "step s",
        "peak MB",
        "before MB",
    ):
        table.add_column(heading, justify="right")
    for width in WIDTHS:
        command = [sys.executable, "-m", "benchmarks.sparse_convolution", str(width)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        table.add_row(str(width), *done.stdout.split())
    return table


def step(width: float) -> list[str]:
    """Seconds of the parts of one step, and memory, in a process of its own."""
    torch.set_num_threads(1)
    points, labels = scan()
    network = SPVCNN(width=width, classes=CLASSES)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    before = resident("VmRSS")
    marks = []
    for _ in range(2):  # the first warms up
        marks = [time.perf_counter()]
        voxels = _voxels(points)
        for level in range(5):
            grid = voxels.grid(level)
            _ = grid.neighbours, grid.down
        for level in (0, 2, 4):
            _ = voxels.interpolation(level).transposed, voxels.means(level)
        marks.append(time.perf_counter())
        optimizer.zero_grad(set_to_none=True)
        logits = network(points, voxels)
        marks.append(time.perf_counter())
        loss = cross_entropy(logits, labels) + lovasz_softmax(logits, labels)
        marks.append(time.perf_counter())
        loss.backward()
        marks.append(time.perf_counter())
        optimizer.step()
        marks.append(time.perf_counter())
    peak = resident("VmHWM")
    parts = [f"{b - a:.2f}" for a, b in pairwise(marks[:5])]
    size = sum(parameter.numel() for parameter in network.parameters())
    return [
        f"{size:,}",
        *parts,
        f"{marks[-1] - marks[0]:.2f}",
        f"{peak / 1e6:,.0f}",
        f"{before / 1e6:,.0f}",
    ]


if __name__ == "__main__":
    print(*step(float(sys.argv[1])))
