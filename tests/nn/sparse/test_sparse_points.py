"""Means of points in voxels and trilinear interpolation at points, against loops."""

from itertools import product

import pytest
import torch
from torch import Tensor

from limbeck.nn.sparse import Grid, trilinear, voxel_means


def _scene(seed: int, count: int = 300, span: float = 6.0) -> tuple[Grid, Tensor, Tensor, Tensor]:
    """Grid, rows, batch and positions, below 0 too."""
    generator = torch.Generator().manual_seed(seed)
    positions = (torch.rand(count, 3, generator=generator, dtype=torch.float64) - 0.5) * 2 * span
    batch = torch.randint(3, (count,), generator=generator)
    grid, rows = Grid.of(torch.cat([batch[:, None], positions.floor().long()], dim=1))
    return grid, rows, batch, positions


def _normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_means_are_those_of_a_loop(dtype: torch.dtype) -> None:
    grid, rows, *_ = _scene(0, span=2.0)
    x = _normal(1, len(rows), 3).to(dtype)
    found = voxel_means(rows, len(grid))(x)
    assert found.dtype == dtype
    for voxel in range(len(grid)):
        torch.testing.assert_close(found[voxel], x[rows == voxel].mean(dim=0))


def test_a_voxel_without_points_is_zero() -> None:
    found = voxel_means(torch.tensor([2, 2]), 4)(torch.tensor([[1.0], [3.0]]))
    assert found.tolist() == [[0.0], [0.0], [2.0], [0.0]]


def _by_loop(grid: Grid, values: Tensor, batch: Tensor, positions: Tensor) -> Tensor:
    row = {tuple(key): r for r, key in enumerate(grid.coordinates.tolist())}
    out = torch.zeros(len(batch), values.shape[1], dtype=values.dtype)
    for point, (b, position) in enumerate(zip(batch.tolist(), (positions / grid.stride).tolist(), strict=True)):
        total = 0.0
        low = [int(p // 1) for p in position]
        for corner in product((0, 1), repeat=3):
            voxel = [a + c for a, c in zip(low, corner, strict=True)]
            weight = 1.0
            for p, c in zip(position, voxel, strict=True):
                weight *= 1 - abs(p - c)
            if (b, *voxel) in row:
                out[point] += weight * values[row[b, *voxel]]
                total += weight
        if total:
            out[point] /= total
    return out


@pytest.mark.parametrize("level", [0, 1, 2])
def test_interpolation_is_that_of_a_loop(level: int) -> None:
    finest, _, batch, positions = _scene(1)
    grid = finest
    for _ in range(level):
        grid = grid.coarser
    values = _normal(2, len(grid), 4)
    torch.testing.assert_close(
        trilinear(grid, batch, positions)(values), _by_loop(grid, values, batch, positions), rtol=1e-10, atol=1e-12
    )


def test_points_outside_all_voxels_get_zero_and_never_the_first_voxel() -> None:
    grid, *_ = _scene(2)
    values = torch.full((len(grid), 2), torch.nan)
    far = torch.tensor([[100.0, 0.0, 0.0], [0.0, -50.5, 3.0]])
    assert trilinear(grid, torch.tensor([0, 1]), far)(values).tolist() == [[0.0, 0.0]] * 2
    near = trilinear(grid, torch.tensor([2000]), torch.zeros(1, 3))  # a batch that has no voxels
    assert near(values).tolist() == [[0.0, 0.0]]


def test_what_no_point_reads_does_not_reach_it() -> None:
    """A NaN in the first row stays with the points whose corners it is: missing corners read nothing in its place."""
    grid, _, batch, positions = _scene(3)
    values = torch.zeros(len(grid), 1)
    values[0] = torch.nan
    sums = trilinear(grid, batch, positions)
    spoilt = sums(values).isnan().squeeze(1)
    key = grid.coordinates[0]
    low = positions.floor()
    reads = (batch == key[0]) & ((key[1:] - low >= 0) & (key[1:] - low <= 1)).all(dim=1)
    assert torch.equal(spoilt, reads)
    assert 0 < spoilt.sum() < len(spoilt)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_point_just_below_a_voxels_face_reads_its_own_voxel(dtype: torch.dtype) -> None:
    positions = torch.tensor([[-1e-30, 0.5, 0.5]], dtype=dtype)  # its distance from -1 rounds to 1
    grid, _ = Grid.of(torch.cat([torch.zeros(1, 1), positions.floor()], dim=1).long())
    assert grid.coordinates.tolist() == [[0, -1, 0, 0]]
    found = trilinear(grid, torch.tensor([0]), positions)(torch.tensor([[7.0]], dtype=dtype))
    assert found.item() == pytest.approx(7, rel=1e-6)


def test_constants_stay_and_whole_positions_read_one_voxel() -> None:
    grid, rows, batch, positions = _scene(4)
    ones = trilinear(grid.coarser, batch, positions)(torch.ones(len(grid.coarser), 1, dtype=torch.float64))
    torch.testing.assert_close(ones, torch.ones(len(batch), 1, dtype=torch.float64))
    values = _normal(3, len(grid), 2)
    assert torch.equal(trilinear(grid, batch, positions.floor())(values), values[rows])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_rounded_once(dtype: torch.dtype) -> None:
    grid, _, batch, positions = _scene(4)
    sums = trilinear(grid.coarser, batch, positions)
    values = _normal(3, len(grid.coarser), 2).to(dtype)
    exact = sums(values.double())
    found = sums(values)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), exact, rtol=torch.finfo(dtype).eps, atol=1e-6)


def test_gradients_are_those_of_finite_differences() -> None:
    grid, rows, batch, positions = _scene(5, count=30, span=2.0)
    for sums, width in ((trilinear(grid.coarser, batch, positions), len(grid.coarser)), (voxel_means(rows, 40), 30)):
        assert sums.width == width
        assert torch.autograd.gradcheck(sums, (_normal(6, width, 2).requires_grad_(),))


def test_nothing_gives_nothing() -> None:
    grid, rows = Grid.of(torch.empty(0, 4, dtype=torch.int64))
    x = torch.empty(0, 3, requires_grad=True)
    y = voxel_means(rows, len(grid))(x)
    z = trilinear(grid, torch.empty(0, dtype=torch.int64), torch.empty(0, 3))(y)
    assert z.shape == (0, 3)
    z.sum().backward()
    assert x.grad.shape == (0, 3)
    # Points where there are no voxels.
    assert trilinear(grid, torch.tensor([0]), torch.zeros(1, 3))(torch.empty(0, 3)).tolist() == [[0.0] * 3]


def test_what_does_not_fit_is_refused_by_name() -> None:
    grid, rows, batch, positions = _scene(6)
    with pytest.raises(ValueError, match=r"features must be \(300, channels\)"):
        voxel_means(rows, len(grid))(torch.zeros(5, 2))
    with pytest.raises(ValueError, match=r"rows must be in \[0, 3\)"):
        voxel_means(torch.tensor([0, 3]), 3)
    with pytest.raises(ValueError, match=r"positions must be \(points, 3\)"):
        trilinear(grid, batch, positions[:, :2])
    with pytest.raises(ValueError, match="positions must be"):
        trilinear(grid, batch[:-1], positions)
    for wrong in (torch.nan, torch.inf, -torch.inf, 70000.0):
        spoilt = positions.clone()
        spoilt[3, 1] = wrong
        with pytest.raises(ValueError, match="positions must be finite and in"):
            trilinear(grid, batch, spoilt)
    with pytest.raises(ValueError, match="batch must be in"):
        trilinear(grid, batch - 5, positions)
