"""ResNets: sizes, names and strides against those of torchvision's, and a block against its definition."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.errors import InputError
from limbeck.nn import ResNet, resnet18, resnet50


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_sizes_are_the_published_ones_without_the_classifier() -> None:
    """torchvision documents 25 557 032 and 11 689 512; fc has (2048 + 1) 1000 and (512 + 1) 1000 of them."""
    assert _count(resnet50()) == 25_557_032 - 2_049_000 == 23_508_032
    assert _count(resnet18()) == 11_689_512 - 513_000 == 11_176_512


@pytest.mark.parametrize(
    ("make", "depths", "convolutions", "projected"),
    [(resnet18, (2, 2, 2, 2), 2, (2, 3, 4)), (resnet50, (3, 4, 6, 3), 3, (1, 2, 3, 4))],
)
def test_state_has_the_names_of_torchvisions(make, depths, convolutions, projected) -> None:
    def norm(name: str) -> list[str]:
        return [f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")]

    expected = ["conv1.weight", *norm("bn1")]
    for layer, depth in enumerate(depths, 1):
        for block in range(depth):
            for position in range(1, convolutions + 1):
                expected += [f"layer{layer}.{block}.conv{position}.weight", *norm(f"layer{layer}.{block}.bn{position}")]
            if block == 0 and layer in projected:
                expected += [f"layer{layer}.0.downsample.0.weight", *norm(f"layer{layer}.0.downsample.1")]
    assert list(make().state_dict()) == expected
    assert len(expected) == (318 if make is resnet50 else 120)


@pytest.mark.parametrize(("make", "features"), [(resnet18, 512), (resnet50, 2048)])
def test_the_last_stride_changes_the_size_of_the_maps_only(make, features: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fine = make(last_stride=1).eval()
        torch.manual_seed(0)
        coarse = make(last_stride=2).eval()
    states = fine.state_dict(), coarse.state_dict()
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(a, b) for a, b in zip(*(state.values() for state in states), strict=True))
    pictures = torch.zeros(1, 3, 64, 48)
    assert fine.features == coarse.features == features
    with torch.no_grad():
        assert fine(pictures).shape == (1, features, 4, 3)
        assert coarse(pictures).shape == (1, features, 2, 2)


def test_the_stride_sits_in_the_3x3_convolution_of_resnet50() -> None:
    block = resnet50().layer2[0]
    assert (block.conv1.stride, block.conv2.stride, block.conv3.stride) == ((1, 1), (2, 2), (1, 1))
    assert block.downsample[0].stride == (2, 2)
    block = resnet18().layer2[0]
    assert (block.conv1.stride, block.conv2.stride) == ((2, 2), (1, 1))


def test_a_network_is_the_sum_of_its_parts() -> None:
    """resnet18 written out with functions of torch."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network, x = resnet18(last_stride=2).eval().double(), torch.rand(2, 3, 32, 32, dtype=torch.float64)
    state = network.state_dict()

    def norm(y: Tensor, name: str) -> Tensor:
        mean, variance, weight, bias = (
            state[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (y - mean) / (variance + 1e-5).sqrt() * weight + bias

    y = F.max_pool2d(norm(F.conv2d(x, state["conv1.weight"], stride=2, padding=3), "bn1").relu(), 3, 2, 1)
    for layer in range(1, 5):
        for block in range(2):
            name, stride = f"layer{layer}.{block}", 2 if block == 0 and layer > 1 else 1
            inside = F.conv2d(y, state[f"{name}.conv1.weight"], stride=stride, padding=1)
            inside = F.conv2d(norm(inside, f"{name}.bn1").relu(), state[f"{name}.conv2.weight"], padding=1)
            if stride == 2:
                y = norm(F.conv2d(y, state[f"{name}.downsample.0.weight"], stride=2), f"{name}.downsample.1")
            y = (y + norm(inside, f"{name}.bn2")).relu()
    torch.testing.assert_close(network(x), y)


def test_convolutions_start_with_he_et_als_deviation() -> None:
    for module in resnet18().modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * math.prod(module.kernel_size)
            expected = math.sqrt(2 / fan_out)
            # The standard error of a deviation of n normal draws is 1 / sqrt(2 n) of it.
            assert abs(module.weight.std().item() / expected - 1) < 5 / math.sqrt(2 * module.weight.numel())
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()


@pytest.mark.parametrize("stride", [0, 3, -1])
def test_other_strides_are_refused(stride: int) -> None:
    with pytest.raises(InputError, match=f"^last_stride must be 1 or 2, not {stride}$"):
        resnet18(last_stride=stride)


def test_both_are_of_one_class() -> None:
    assert isinstance(resnet18(), ResNet)
