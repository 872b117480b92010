"""Sparse convolutions against dense ones on small grids, in value and gradient; order, batches, threads, nothing."""

import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.nn.sparse import DownConv3d, Grid, SubmanifoldConv3d, UpConv3d, convolve

LOW, SIZE = -3, 6  # a dense grid of 6³ voxels from -3, so that negative coordinates are among them; even for stride 2


def _voxels(seed: int, *, count: int = 60, batches: int = 2) -> Tensor:
    """Different voxels in random order, at least one of every batch, at corners of the dense grid too."""
    generator = torch.Generator().manual_seed(seed)
    space = torch.cartesian_prod(torch.arange(batches), *[torch.arange(SIZE) + LOW - 1] * 3)
    chosen = space[torch.randperm(len(space), generator=generator)[:count]]
    corner = torch.tensor([[batch, LOW - 1, LOW - 1, LOW - 1] for batch in range(batches)])
    together = torch.unique(torch.cat([chosen, corner]), dim=0)
    return together[torch.randperm(len(together), generator=generator)]


def _normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _dense(values: Tensor, coordinates: Tensor, low: int, size: int) -> Tensor:
    """(batch, channels, x, y, z), differentiable in the values."""
    batch, x, y, z = coordinates.unbind(1)
    made = values.new_zeros(int(batch.max()) + 1, size, size, size, values.shape[1])
    return made.index_put((batch, x - low, y - low, z - low), values).permute(0, 4, 1, 2, 3)


def _read(dense: Tensor, coordinates: Tensor, low: int) -> Tensor:
    batch, x, y, z = coordinates.unbind(1)
    return dense.permute(0, 2, 3, 4, 1)[batch, x - low, y - low, z - low]


def _assert_equal_with_gradients(found: Tensor, expected: Tensor, leaves: list[Tensor]) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    back = _normal(99, *expected.shape)
    wanted = torch.autograd.grad(expected, leaves, back)
    for got, want in zip(torch.autograd.grad(found, leaves, back), wanted, strict=True):
        assert want.abs().max() > 0
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("channels", [(1, 1), (3, 5)])
def test_submanifold_is_the_dense_convolution_at_the_occupied_voxels(seed: int, channels: tuple[int, int]) -> None:
    inside, outside = channels
    grid, _ = Grid.of(_voxels(seed, count=80))
    x = _normal(seed, len(grid), inside).requires_grad_()
    kernel = _normal(seed + 50, outside, inside, 3, 3, 3).requires_grad_()
    found = convolve(x, kernel.permute(2, 3, 4, 1, 0).reshape(27, inside, outside), grid.neighbours)
    low, size = LOW - 1, SIZE
    dense = F.conv3d(_dense(x, grid.coordinates, low, size), kernel, padding=1)
    _assert_equal_with_gradients(found, _read(dense, grid.coordinates, low), [x, kernel])


@pytest.mark.parametrize("seed", range(4))
def test_down_is_the_dense_convolution_of_stride_2(seed: int) -> None:
    grid, _ = Grid.of(_voxels(seed))
    x = _normal(seed, len(grid), 3).requires_grad_()
    kernel = _normal(seed + 50, 5, 3, 2, 2, 2).requires_grad_()
    found = convolve(x, kernel.permute(2, 3, 4, 1, 0).reshape(8, 3, 5), grid.down)
    dense = F.conv3d(_dense(x, grid.coordinates, -4, 8), kernel, stride=2)
    assert grid.coarser.stride == 2
    _assert_equal_with_gradients(found, _read(dense, grid.coarser.coordinates, -2), [x, kernel])


@pytest.mark.parametrize("seed", range(4))
def test_up_is_the_dense_transposed_convolution_of_stride_2(seed: int) -> None:
    grid, _ = Grid.of(_voxels(seed))
    x = _normal(seed, len(grid.coarser), 3).requires_grad_()
    kernel = _normal(seed + 50, 3, 5, 2, 2, 2).requires_grad_()
    found = convolve(x, kernel.permute(2, 3, 4, 0, 1).reshape(8, 3, 5), grid.up)
    dense = F.conv_transpose3d(_dense(x, grid.coarser.coordinates, -2, 4), kernel, stride=2)
    _assert_equal_with_gradients(found, _read(dense, grid.coordinates, -4), [x, kernel])


def _map(grid: Grid, name: str):
    return getattr(grid, name)


@pytest.mark.parametrize("name", ["neighbours", "down", "up"])
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    grid, _ = Grid.of(_voxels(7, count=12))
    pairs = _map(grid, name)
    x, weight = _normal(1, pairs.inputs, 2).requires_grad_(), _normal(2, len(pairs), 2, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: convolve(a, b, pairs), (x, weight))
    # Either alone takes another path.
    assert torch.autograd.gradcheck(lambda a: convolve(a, weight.detach(), pairs), (x,))
    assert torch.autograd.gradcheck(lambda b: convolve(x.detach(), b, pairs), (weight,))


@pytest.mark.parametrize("name", ["neighbours", "down", "up"])
def test_targets_and_sources_are_unique_within_an_offset(name: str) -> None:
    grid, _ = Grid.of(_voxels(8, count=200))
    pairs = _map(grid, name)
    for source, target in zip(pairs.sources, pairs.targets, strict=True):
        assert len(source) == len(target)
        assert len(source.unique()) == len(source)
        assert len(target.unique()) == len(target)


def _network(seed: int) -> torch.nn.ModuleList:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return torch.nn.ModuleList([SubmanifoldConv3d(3, 6), DownConv3d(6, 8), SubmanifoldConv3d(8, 8), UpConv3d(8, 4)])


def _forward(network: torch.nn.ModuleList, x: Tensor, grid: Grid) -> Tensor:
    first, down, second, up = network
    x = first(x, grid).relu()
    return up(second(down(x, grid).relu(), grid.coarser).relu(), grid)


def test_the_order_of_voxels_does_not_matter() -> None:
    coordinates = _voxels(9)
    values = _normal(3, len(coordinates), 3)
    network = _network(0).double()
    order = torch.randperm(len(coordinates), generator=torch.Generator().manual_seed(5))
    results = []
    for chosen in (torch.arange(len(coordinates)), order):
        grid, rows = Grid.of(coordinates[chosen])
        x = torch.empty(len(grid), 3, dtype=torch.float64)
        x[rows] = values[chosen]
        results.append(_forward(network, x, grid)[rows])
    assert torch.equal(results[1], results[0][order])


def test_moving_by_the_coarsest_stride_changes_nothing() -> None:
    coordinates = _voxels(10)
    network = _network(1).double()
    grid, _ = Grid.of(coordinates)
    moved, _ = Grid.of(coordinates + torch.tensor([7, -4, 1000, 2 * 1234]))
    x = _normal(4, len(grid), 3)
    assert torch.equal(_forward(network, x, grid), _forward(network, x, moved))


def test_batches_do_not_mix() -> None:
    """The ends of the range are neighbours in the keys' numbers, and of the next batch's beginning."""
    far = 65534
    ends = torch.tensor([[b, *([end] * 3)] for b in range(3) for end in (-far, far)])
    coordinates = torch.cat([_voxels(11, batches=3), ends])
    grid, _ = Grid.of(coordinates)
    network = _network(2).double()
    x = _normal(5, len(grid), 3)
    together = _forward(network, x, grid)
    for batch in range(3):
        mine = grid.coordinates[:, 0] == batch
        alone, _ = Grid.of(grid.coordinates[mine])
        torch.testing.assert_close(_forward(network, x[mine], alone), together[mine], rtol=1e-12, atol=1e-14)
    lonely = (grid.coordinates[:, 1:].abs() == far).all(dim=1)
    first = network[0]
    assert lonely.sum() == 6
    torch.testing.assert_close(first(x, grid)[lonely], x[lonely] @ first.weight[13])


def test_one_voxel_reads_itself_alone() -> None:
    grid, rows = Grid.of(torch.tensor([[3, -1, 4, 1]]))
    first, down, second, up = network = _network(3).double()
    x = _normal(6, 1, 3)
    expected = (x @ first.weight[13]).relu()
    expected = (expected @ down.weight[4 * 1 + 2 * 0 + 1]).relu()  # -1 is odd, 4 even, 1 odd
    expected = (expected @ second.weight[13]).relu() @ up.weight[5]
    torch.testing.assert_close(_forward(network, x, grid), expected)
    assert rows.tolist() == [0]
    assert grid.coarser.coordinates.tolist() == [[3, -1, 2, 0]]


def test_an_empty_set_gives_an_empty_set_and_gradients_of_zero() -> None:
    grid, rows = Grid.of(torch.empty(0, 4, dtype=torch.int64))
    network = _network(4)
    x = torch.empty(0, 3, requires_grad=True)
    out = _forward(network, x, grid)
    assert out.shape == (0, 4)
    assert rows.shape == (0,)
    out.sum().backward()
    assert x.grad.shape == (0, 3)
    assert all(not layer.weight.grad.any() for layer in network)


def test_maps_are_made_once() -> None:
    grid, _ = Grid.of(_voxels(12))
    assert grid.neighbours is grid.neighbours
    assert grid.coarser is grid.coarser
    assert grid.coarser.neighbours is grid.coarser.neighbours


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_adds_in_float32(dtype: torch.dtype) -> None:
    """Products by 1 and -1 are exact, so the sum of 27 of them is the exact one, rounded once."""
    space = torch.cartesian_prod(torch.arange(1), *[torch.arange(6)] * 3)
    grid, _ = Grid.of(space)
    x = (1 + torch.rand(len(grid), 1, generator=torch.Generator().manual_seed(1))).to(dtype)
    weight = torch.tensor([1.0, -1.0]).expand(27, 1, 2).to(dtype)
    exact = convolve(x.double(), weight.double(), grid.neighbours)
    assert exact.abs().max() > 30
    assert torch.equal(convolve(x, weight, grid.neighbours), exact.to(dtype))


def test_autocast_multiplies_in_half_precision_and_gives_gradients_in_full() -> None:
    grid, _ = Grid.of(_voxels(13))
    layer = SubmanifoldConv3d(3, 4)
    x = _normal(1, len(grid), 3).float().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer(x, grid)
    assert found.dtype == torch.bfloat16
    expected = layer(x, grid)
    torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.05)
    found.float().sum().backward()
    assert x.grad.dtype == layer.weight.grad.dtype == torch.float32


_REPEATED = """
import sys, hashlib, torch
from limbeck.nn.sparse import Grid, SubmanifoldConv3d, DownConv3d, UpConv3d, trilinear, voxel_means
torch.set_num_threads(int(sys.argv[1]))
g = torch.Generator().manual_seed(0)
points = torch.rand(20000, 3, generator=g) * torch.tensor([80., 80., 8.])
batch = torch.arange(20000) % 2
found = set()
for _ in range(5):
    torch.manual_seed(1)
    layers = [SubmanifoldConv3d(32, 32), DownConv3d(32, 64), SubmanifoldConv3d(64, 64), UpConv3d(64, 32)]
    grid, rows = Grid.of(torch.cat([batch[:, None], points.floor().long()], 1))
    x = torch.randn(20000, 32, requires_grad=True)
    y = layers[0](voxel_means(rows, len(grid))(x), grid).relu()
    y = layers[3](layers[2](layers[1](y, grid), grid.coarser).relu(), grid)
    y = trilinear(grid, batch, points)(y)
    y.square().sum().backward()
    parts = [y.detach(), x.grad, *(layer.weight.grad for layer in layers)]
    found.add(hashlib.sha256(b"".join(part.numpy().tobytes() for part in parts)).hexdigest())
assert len(grid) > 15000
print(len(found))
"""


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_forward_and_backward_repeat_bit_by_bit(threads: int) -> None:
    # Two threads on a busy core would spin for each other.
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, "-c", _REPEATED, str(threads)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "1"


def test_what_does_not_fit_is_refused_by_name() -> None:
    grid, _ = Grid.of(_voxels(14))
    x = torch.zeros(len(grid), 3)
    layer = SubmanifoldConv3d(3, 4)
    with pytest.raises(ValueError, match=r"features must be \(\d+ voxels, 3 channels\), got shape"):
        layer(x[:-1], grid)
    with pytest.raises(ValueError, match="features must be"):
        layer(x[:, :2], grid)
    with pytest.raises(ValueError, match=r"weight must be \(8 offsets, in, out\)"):
        convolve(x, layer.weight, grid.down)
    with pytest.raises(ValueError, match="channels must be positive"):
        DownConv3d(0, 4)
    with pytest.raises(ValueError, match="backend='spconv' needs tensors on CUDA"):
        SubmanifoldConv3d(3, 4, backend="spconv")(x, grid)
    with pytest.raises(ValueError, match="backend must be"):
        SubmanifoldConv3d(3, 4, backend="cuda")(x, grid)


def test_auto_is_ours_on_a_cpu() -> None:
    grid, _ = Grid.of(_voxels(15))
    layer = SubmanifoldConv3d(3, 4)
    x = _normal(1, len(grid), 3).float()
    expected = layer(x, grid)
    layer.backend = "auto"
    assert torch.equal(layer(x, grid), expected)
