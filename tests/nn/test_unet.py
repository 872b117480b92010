"""The U-Net: sizes that come out as they went in, what reaches what, and that it learns."""

import pytest
import torch

from limbeck.errors import InputError
from limbeck.nn import UNet


def _unet(seed: int, **options) -> UNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UNet(**options)


@pytest.mark.parametrize(
    ("widths", "size"), [((4,), (5, 7)), ((4, 8), (6, 2)), ((4, 6, 8), (12, 20)), ((4,) * 4, (8, 8))]
)
def test_pictures_keep_their_size_and_values_are_probabilities(widths, size) -> None:
    network = _unet(0, in_channels=2, out_channels=3, widths=widths)
    with torch.no_grad():
        output = network(torch.randn(2, 2, *size, generator=torch.Generator().manual_seed(0)))
    assert output.shape == (2, 3, *size)
    assert 0 < output.min() < output.max() < 1


def test_size_is_that_of_its_layers() -> None:
    """Two convolutions a → b: 9 (a b + b²) + 4 b. Growing a → b: 4 a b + b. Output: 16 + 1."""

    def two(a: int, b: int) -> int:
        return 9 * (a * b + b * b) + 4 * b

    expected = two(3, 16) + two(16, 32) + two(32, 64) + (4 * 64 * 32 + 32) + two(64, 32) + (4 * 32 * 16 + 16)
    expected += two(32, 16) + 17
    assert sum(parameter.numel() for parameter in UNet().parameters()) == expected


def test_a_pixel_sees_far_through_the_coarse_levels_only() -> None:
    """With one level two 3x3 convolutions reach 2 pixels; with three levels the picture's other end is seen."""
    for widths, far in (((4,), False), ((4, 4, 4), True)):
        network = _unet(1, in_channels=1, widths=widths).eval()
        x = torch.zeros(1, 1, 16, 16, requires_grad=True)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if name.endswith("weight"):
                    parameter.abs_()  # so that no path dies in a ReLU
            network.output.weight.mul_(1e-3)  # nor in the flat ends of the sigmoid
        network(x + 1)[0, 0, 8, 8].backward()
        reach = x.grad[0, 0].abs() > 0
        assert reach[6:11, 6:11].all()
        assert bool(reach[:6].any()) is far


@pytest.mark.parametrize(("height", "width"), [(10, 8), (8, 6), (0, 8)])
def test_sizes_that_do_not_divide_are_refused(height: int, width: int) -> None:
    with pytest.raises(InputError, match=rf"^pictures of {height} x {width} pixels .* 3 levels; .* multiples of 4$"):
        UNet()(torch.zeros(1, 3, height, width))


@pytest.mark.parametrize("options", [{"widths": ()}, {"widths": (4, 0)}, {"in_channels": 0}, {"out_channels": 0}])
def test_widths_that_are_not_positive_are_refused(options) -> None:
    with pytest.raises(ValueError, match="channels and widths must be positive"):
        UNet(**options)


def test_it_learns_to_copy_a_channel() -> None:
    network = _unet(2, widths=(8, 8))
    x = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        loss = (network(x) - x[:, :1]).square().mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 4
