"""Keys of voxels, sets of voxels and their maps, against dictionaries."""

from itertools import product

import pytest
import torch
from torch import Tensor

from limbeck.nn.sparse import Grid
from limbeck.nn.sparse.coordinates import BATCHES, REACH, pack, packed_offset, unpack


def _points(seed: int, count: int = 500, span: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    batch = torch.randint(3, (count, 1), generator=generator)
    return torch.cat([batch, torch.randint(-span, span, (count, 3), generator=generator)], dim=1)


def test_keys_are_read_back_and_sort_as_coordinates_do() -> None:
    extremes = torch.tensor(list(product((0, 1, BATCHES - 1), *[(-REACH, -1, 0, 1, REACH)] * 3)))
    for coordinates in (extremes, _points(0)):
        keys = pack(coordinates)
        assert (keys >= 0).all()
        assert torch.equal(unpack(keys), coordinates)
        ordered = sorted(map(tuple, coordinates.tolist()))
        assert unpack(keys.sort().values).tolist() == [list(row) for row in ordered]


def test_an_offset_is_added_to_a_key() -> None:
    coordinates = torch.tensor(list(product((0, BATCHES - 1), *[(-REACH, 0, REACH)] * 3)))
    for offset in product((-1, 0, 1), repeat=3):
        moved = coordinates + torch.tensor([0, *offset])
        assert torch.equal(unpack(pack(coordinates) + packed_offset(*offset)), moved)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int16])
def test_a_grid_holds_each_voxel_once(dtype: torch.dtype) -> None:
    points = _points(1)
    grid, rows = Grid.of(points.to(dtype))
    assert torch.equal(grid.coordinates[rows], points)
    assert len(grid) == len({tuple(row) for row in points.tolist()})


@pytest.mark.parametrize("span", [2, 5, 12])
def test_neighbours_are_those_of_a_dictionary(span: int) -> None:
    grid, _ = Grid.of(_points(2, span=span))
    row = {tuple(key): r for r, key in enumerate(grid.coordinates.tolist())}
    pairs = grid.neighbours
    for k, (dx, dy, dz) in enumerate(product((-1, 0, 1), repeat=3)):
        expected = {
            (row[b, x + dx, y + dy, z + dz], r) for (b, x, y, z), r in row.items() if (b, x + dx, y + dy, z + dz) in row
        }
        found = set(zip(pairs.sources[k].tolist(), pairs.targets[k].tolist(), strict=True))
        assert found == (set() if k == pairs.centre else expected)


def test_parents_are_those_of_a_dictionary_down_to_one_voxel() -> None:
    grid, _ = Grid.of(_points(3))
    while len(grid) > 6:  # three batches, and both sides of 0
        below = grid.coordinates.tolist()
        above = {tuple(key): r for r, key in enumerate(grid.coarser.coordinates.tolist())}
        assert set(above) == {(b, x // 2, y // 2, z // 2) for b, x, y, z in below}
        for k, offset in enumerate(product((0, 1), repeat=3)):
            expected = {
                (r, above[b, x // 2, y // 2, z // 2])
                for r, (b, x, y, z) in enumerate(below)
                if (x % 2, y % 2, z % 2) == offset
            }
            down, up = grid.down, grid.up
            assert set(zip(down.sources[k].tolist(), down.targets[k].tolist(), strict=True)) == expected
            assert set(zip(up.targets[k].tolist(), up.sources[k].tolist(), strict=True)) == expected
        if len(grid.coarser) == len(grid):
            break
        grid = grid.coarser


@pytest.mark.parametrize(
    ("coordinates", "words"),
    [
        (torch.zeros(3, 3, dtype=torch.int64), r"coordinates must be \(voxels, 4\)"),
        (torch.zeros(4, dtype=torch.int64), r"coordinates must be \(voxels, 4\)"),
        (torch.zeros(3, 4), "coordinates must be integers, not torch.float32"),
        (torch.tensor([[-1, 0, 0, 0]]), r"the batch must be in \[0, 4096\), found -1 to -1"),
        (torch.tensor([[4096, 0, 0, 0]]), "the batch must be in"),
        (torch.tensor([[0, 0, 65535, 0]]), r"must be in \[-65534, 65534\], found 0 to 65535: subtract an origin"),
        (torch.tensor([[0, 0, 0, -65535]]), "subtract an origin"),
    ],
)
def test_what_does_not_fit_a_key_is_refused(coordinates: Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Grid.of(coordinates)
