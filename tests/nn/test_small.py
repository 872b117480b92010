"""The small residual network: its size, its maps, and that it learns."""

import pytest
import torch
from torch.nn import functional as F

from limbeck.errors import InputError
from limbeck.nn import SmallResNet


def test_size_is_that_of_its_layers() -> None:
    """Stem 3·16·9 + 32; a block from a to b: 9 a b + 9 b² + a b + 4 b."""
    blocks = sum(9 * a * b + 9 * b * b + a * b + 4 * b for a, b in ((16, 32), (32, 64), (64, 192)))
    assert sum(parameter.numel() for parameter in SmallResNet().parameters()) == 3 * 16 * 9 + 32 + blocks


@pytest.mark.parametrize(("height", "width", "rows", "columns"), [(64, 32, 8, 4), (128, 64, 16, 8), (70, 33, 9, 5)])
@pytest.mark.parametrize("channels", [1, 3])
def test_maps_have_an_eighth_of_the_size(height: int, width: int, rows: int, columns: int, channels: int) -> None:
    network = SmallResNet(in_channels=channels)
    assert network(torch.zeros(2, channels, height, width)).shape == (2, network.features, rows, columns)
    assert network.features == 192


def test_it_learns_to_tell_eight_noise_pictures_apart() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network, x, y = SmallResNet(in_channels=1), torch.randn(8, 1, 16, 16), torch.arange(8)
        head = torch.nn.Linear(192, 8)
    optimizer = torch.optim.Adam([*network.parameters(), *head.parameters()], lr=1e-3)
    for _ in range(20):
        loss = F.cross_entropy(head(network(x).mean((2, 3))), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


def test_no_channels_are_refused() -> None:
    with pytest.raises(InputError, match=r"^in_channels must be positive, not 0$"):
        SmallResNet(in_channels=0)
