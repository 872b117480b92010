"""SwiftNet and the reading of its maps: sizes, names, the ladder written out, bilinear reading against torch's."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.nn import load_weights, resnet18
from limbeck.segmentation.networks import SwiftNet, sampled


def _network(seed: int = 0, **options) -> SwiftNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SwiftNet(**{"width": 4, "features": 6} | options).double()
        network(torch.randn(2, 3, 64, 96, dtype=torch.float64))
    return network.eval()


@pytest.mark.parametrize("size", [(64, 96), (70, 45), (33, 200)])
def test_maps_have_the_sizes_of_their_scales(size: tuple[int, int]) -> None:
    network = _network()
    with torch.no_grad():
        maps = network(torch.randn(2, 3, *size, dtype=torch.float64))
    for name, scale in (("shallow", 4), ("coarse", 32), ("middle", 8), ("final", 4)):
        expected = (2, network.widths[name], -(-size[0] // scale), -(-size[1] // scale))
        assert tuple(getattr(maps, name).shape) == expected


def test_size_is_that_of_its_layers() -> None:
    """ResNet-18; pre-activation units of 2 a + k² a b; pyramid 512 -> 128, 3 of 128 -> 42, 254 -> 128; 2 · 128 last."""

    def unit(a: int, b: int, k: int = 1) -> int:
        return 2 * a + k * k * a * b

    expected = 11_176_512 + unit(512, 128) + 3 * unit(128, 42) + unit(254, 128)
    expected += unit(256, 128) + unit(128, 128) + unit(64, 128) + 3 * unit(128, 128, 3) + 256
    assert sum(parameter.numel() for parameter in SwiftNet().parameters()) == expected == 11_794_620


def test_the_ladder_is_that_of_its_description() -> None:
    """Skips are what the last ReLU of each of the encoder's layers is given; caught there."""
    network = _network(1)
    pictures = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    net = network.encoder

    def before_relu(block, x: Tensor) -> Tensor:
        y = block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x)))))
        return y + (x if block.downsample is None else block.downsample(x))

    def up(x: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)

    with torch.no_grad():
        maps = network(pictures)
        x = F.max_pool2d(F.relu(net.bn1(net.conv1(pictures))), 3, 2, 1)
        skips = []
        for layer in (net.layer1, net.layer2, net.layer3, net.layer4):
            x = before_relu(layer[1], layer[0](x))
            skips.append(x)
            x = x.relu()
        torch.testing.assert_close(x, net(pictures))
        spp = network.pyramid
        entered = spp.enter(skips[3])  # 2 x 3: grids of 8 x 12, 4 x 6, 2 x 3
        parts = [entered]
        for level, grid in zip(spp.levels, ((8, 12), (4, 6), (2, 3)), strict=True):
            parts.append(up(level(F.adaptive_avg_pool2d(entered, grid)), entered))
        x = spp.leave(torch.cat(parts, dim=1))
        expected = [skips[0], x]
        for skip, blend, fine in zip(network.skips, network.blends, reversed(skips[:3]), strict=True):
            projected = skip(fine)
            x = blend(up(x, projected) + projected)
            expected.append(x)
    for found, wanted in ((maps.shallow, skips[0]), (maps.coarse, expected[1]), (maps.middle, expected[3])):
        torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(maps.final, network.output(expected[4]))
    assert maps.shallow.min() < 0


def test_the_encoder_takes_the_weights_of_a_resnet18(tmp_path) -> None:
    given = resnet18()
    torch.save(given.state_dict(), tmp_path / "weights.pth")
    network = SwiftNet()
    load_weights(network.encoder, str(tmp_path / "weights.pth"))
    assert all(torch.equal(a, b) for a, b in zip(network.encoder.parameters(), given.parameters(), strict=True))


def test_every_parameter_gets_a_gradient() -> None:
    network = _network(2).train()
    network(torch.randn(2, 3, 64, 96, dtype=torch.float64)).final.square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("shape", [(1, 3, 32, 64), (1, 4, 64, 64), (3, 64, 64)])
def test_pictures_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"pictures must be .* more than 32 pixels a side"):
        _network()(torch.zeros(shape, dtype=torch.float64))


@pytest.mark.parametrize("size", [(5, 8), (1, 1), (1, 6)])
def test_reading_is_grid_sample_of_every_picture(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(3, 4, *size, generator=generator, dtype=torch.float64).requires_grad_()
    edges = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [1.0, -1.0], [0.0, 0.0]], dtype=torch.float64)
    pixels = torch.cat([torch.rand(200, 2, generator=generator, dtype=torch.float64) * 2 - 1, edges])
    pictures = torch.randint(3, (204,), generator=generator)
    found = sampled(maps, pixels, pictures)
    every = F.grid_sample(
        maps, pixels[None, None].expand(3, -1, -1, -1), mode="bilinear", padding_mode="border", align_corners=False
    )
    expected = every[:, :, 0].permute(0, 2, 1)[pictures, torch.arange(204)]
    torch.testing.assert_close(found, expected)
    back = torch.randn(204, 4, generator=generator, dtype=torch.float64)
    for a, b in zip(torch.autograd.grad(found, maps, back), torch.autograd.grad(expected, maps, back), strict=True):
        torch.testing.assert_close(a, b)


def test_a_pixels_centre_reads_the_pixel() -> None:
    """Column u of W columns is at (2 u + 1) / W - 1, as `Sight` says."""
    maps = torch.arange(35.0).view(1, 1, 5, 7)
    rows, columns = torch.meshgrid(torch.arange(5), torch.arange(7), indexing="ij")
    pixels = torch.stack([(2 * columns + 1) / 7 - 1, (2 * rows + 1) / 5 - 1], dim=2).view(-1, 2)
    found = sampled(maps, pixels, torch.zeros(35, dtype=torch.int64))
    torch.testing.assert_close(found[:, 0], torch.arange(35.0), rtol=0, atol=1e-5)


def test_nothing_is_read_of_nothing() -> None:
    maps = torch.randn(2, 3, 4, 5, requires_grad=True)
    found = sampled(maps, torch.empty(0, 2), torch.empty(0, dtype=torch.int64))
    assert found.shape == (0, 3)
    found.sum().backward()
    assert not maps.grad.any()
