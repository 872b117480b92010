"""Weights of other engines, against their order of offsets written out; spconv itself where it is installed."""

from itertools import product

import pytest
import torch

from limbeck.nn.sparse import Grid, convolve, weight_from_spconv, weight_from_torchsparse
from limbeck.nn.sparse.backends import _spconv

OURS = {3: list(product((-1, 0, 1), repeat=3)), 2: list(product((0, 1), repeat=3))}  # x slowest


def test_torchsparse_has_x_fastest_for_27_and_slowest_for_8() -> None:
    theirs = [(x, y, z) for z in (-1, 0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    kernel = torch.randn(27, 2, 3)
    found = weight_from_torchsparse(kernel)
    assert all(torch.equal(found[OURS[3].index(offset)], kernel[k]) for k, offset in enumerate(theirs))
    assert torch.equal(weight_from_torchsparse(kernel[:8]), kernel[:8])
    x, pointwise = torch.randn(5, 2), torch.nn.Linear(2, 3, bias=False)
    pointwise.weight.data = weight_from_torchsparse(kernel[0])
    torch.testing.assert_close(pointwise(x), x @ kernel[0])


@pytest.mark.parametrize("size", [2, 3])
def test_spconv_has_the_output_first(size: int) -> None:
    weight = torch.randn(4, size, size, size, 2)
    found = weight_from_spconv(weight)
    for k, place in enumerate(product(range(size), repeat=3)):
        assert torch.equal(found[k], weight[:, *place, :].mT)
    assert torch.equal(weight_from_spconv(weight[:, :1, :1, :1]), weight[:, 0, 0, 0])


def test_other_shapes_are_refused() -> None:
    for wrong in (torch.zeros(9, 2, 2), torch.zeros(2, 3, 3, 3, 2), torch.zeros(3)):
        with pytest.raises(ValueError, match="kernel must be"):
            weight_from_torchsparse(wrong)
    for wrong in (torch.zeros(27, 2, 2), torch.zeros(2, 3, 3, 1, 2)):
        with pytest.raises(ValueError, match="weight must be"):
            weight_from_spconv(wrong)


def test_spconv_computes_the_same() -> None:
    pytest.importorskip("spconv.pytorch", reason="spconv is not installed")
    if torch.get_num_threads() > 1:
        pytest.skip("spconv on a CPU is wrong with more than one thread")
    generator = torch.Generator().manual_seed(0)
    grid, _ = Grid.of(torch.randint(-4, 4, (300, 4), generator=generator).abs())
    x, weight = torch.randn(len(grid), 8, generator=generator), torch.randn(27, 8, 16, generator=generator)
    with torch.no_grad():
        expected = convolve(x, weight, grid.neighbours)
        for _ in range(2):  # the second from its own map of the grid, which is kept
            torch.testing.assert_close(_spconv(x, weight, grid), expected)
