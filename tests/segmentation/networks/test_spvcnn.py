"""SPVCNN: its size by hand, its layers one after the other, and what must not change what."""

import pytest
import torch
from torch import Tensor

from limbeck.nn.sparse import PointVoxels
from limbeck.segmentation.networks import SPVCNN


def _points(seed: int, count: int = 400, batches: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Features, coordinates and positions of points on a wavy ground, in voxels."""
    generator = torch.Generator().manual_seed(seed)
    flat = torch.rand(count, 2, generator=generator, dtype=torch.float64) * 40 - 20
    height = 3 * torch.sin(flat[:, :1] / 5) + torch.rand(count, 1, generator=generator, dtype=torch.float64)
    positions = torch.cat([flat, height], dim=1)
    batch = torch.randint(batches, (count, 1), generator=generator)
    features = torch.randn(count, 4, generator=generator, dtype=torch.float64)
    return features, torch.cat([batch, positions.floor().long()], dim=1), positions


def _network(seed: int = 0, **options) -> SPVCNN:
    """In evaluation, in float64, with running statistics that are not 0 and 1."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SPVCNN(**{"width": 0.25, "classes": 5} | options).double()
        features, coordinates, positions = _points(99)
        network(features[:, : network.inside], PointVoxels(coordinates, positions))
    return network.eval()


def _size(width: float, inside: int, classes: int) -> int:
    """Written out from the widths: 27 ab or 8 ab or ab weights a convolution, 2 b a normalisation, no other biases."""
    stem, *rest = (int(width * c) for c in (32, 32, 64, 128, 256, 256, 128, 96, 96))
    down, up = rest[:4], rest[4:]

    def normal(a: int, b: int, kernel: int = 27) -> int:
        return kernel * a * b + 2 * b

    def residual(a: int, b: int) -> int:
        return normal(a, b) + normal(b, b) + (normal(a, b, 1) if a != b else 0)

    total = normal(inside, stem) + normal(stem, stem)
    for a, b in zip([stem, *down], down, strict=False):
        total += normal(a, a, 8) + residual(a, b) + residual(b, b)
    for a, b, skip in zip([down[3], *up], up, [down[2], down[1], down[0], stem], strict=False):
        total += normal(a, b, 8) + residual(b + skip, b) + residual(b, b)
    for a, b in ((stem, down[3]), (down[3], up[1]), (up[1], up[3])):
        total += a * b + b + 2 * b
    return total + up[3] * classes + classes


@pytest.mark.parametrize(
    ("width", "size", "published"), [(1.0, 21_778_003, 21.8), (0.64, 8_793_617, 8.8), (0.5, 5_449_267, 5.45)]
)
def test_sizes_are_the_published_ones(width: float, size: int, published: float) -> None:
    found = sum(parameter.numel() for parameter in SPVCNN(width=width, classes=19).parameters())
    assert found == size == _size(width, 4, 19)
    assert found / 1e6 == pytest.approx(published, abs=0.05 if published > 6 else 0.005)


def test_widths_are_those_of_the_points_at_the_four_depths() -> None:
    network = SPVCNN(width=1)
    assert network.widths == (32, 256, 128, 96)
    seen = {}
    features, coordinates, positions = _points(0)
    network = _network(classes=None)
    out = network(features, PointVoxels(coordinates, positions), fuse=seen.setdefault)
    assert {depth: tuple(z.shape) for depth, z in seen.items()} == {
        depth: (len(features), width) for depth, width in enumerate(network.widths)
    }
    assert torch.equal(out, seen[3])


def test_the_order_of_layers_is_the_published_one() -> None:
    """The forward pass written out from its description, with the maps between points and voxels as matrices."""
    network = _network(1)
    features, coordinates, positions = _points(1)
    points = PointVoxels(coordinates, positions)

    def mean(level: int, z: Tensor) -> Tensor:
        rows = points.rows(level)
        own = coordinates.clone()
        own[:, 1:] = torch.div(own[:, 1:], 2**level, rounding_mode="floor")
        assert torch.equal(points.grid(level).coordinates[rows], own)
        sums = torch.zeros(len(points.grid(level)), z.shape[1], dtype=z.dtype).index_add(0, rows, z)
        return sums / torch.bincount(rows)[:, None]

    def read(level: int, x: Tensor) -> Tensor:
        return points.interpolation(level)(x)

    grids = [points.grid(level) for level in range(5)]
    with torch.no_grad():
        x0 = network.stem[1](network.stem[0](mean(0, features), grids[0]), grids[0])
        z0 = read(0, x0)
        x1 = network.down[0](mean(0, z0), grids[0])
        x2 = network.down[1](x1, grids[1])
        x3 = network.down[2](x2, grids[2])
        x4 = network.down[3](x3, grids[3])
        z1 = read(4, x4) + network.transforms[0](z0)
        y1 = network.up[0](mean(4, z1), x3, grids[3])
        y2 = network.up[1](y1, x2, grids[2])
        z2 = read(2, y2) + network.transforms[1](z1)
        y3 = network.up[2](mean(2, z2), x1, grids[1])
        y4 = network.up[3](y3, x0, grids[0])
        z3 = read(0, y4) + network.transforms[2](z2)
        expected = network.classifier(z3)
        torch.testing.assert_close(network(features, points), expected)


def test_the_order_of_points_does_not_matter() -> None:
    network = _network(2)
    features, coordinates, positions = _points(2)
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network(features, PointVoxels(coordinates, positions))[order]
        found = network(features[order], PointVoxels(coordinates[order], positions[order]))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def test_batches_do_not_mix_at_inference() -> None:
    network = _network(3)
    features, coordinates, positions = _points(3, batches=3)
    with torch.no_grad():
        together = network(features, PointVoxels(coordinates, positions))
        for batch in range(3):
            mine = coordinates[:, 0] == batch
            alone = network(features[mine], PointVoxels(coordinates[mine], positions[mine]))
            torch.testing.assert_close(alone, together[mine], rtol=1e-9, atol=1e-11)


def test_every_parameter_gets_a_gradient() -> None:
    network = _network(4).train()
    features, coordinates, positions = _points(4)
    features.requires_grad_()
    network(features, PointVoxels(coordinates, positions)).square().mean().backward()
    assert features.grad.abs().sum(dim=1).min() > 0
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("training", [True, False])
def test_no_point_and_one_point(count: int, training: bool) -> None:
    network = _network(5).train(training)
    features, coordinates, positions = _points(5, count=count)
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    out = network(features, PointVoxels(coordinates, positions))
    assert out.shape == (count, 5)
    assert out.isfinite().all()
    out.sum().backward()
    # A single row has no variance: running statistics stay.
    assert all(torch.equal(buffer, before[name]) for name, buffer in network.named_buffers())


def test_what_does_not_fit_is_refused() -> None:
    network = _network(6)
    features, coordinates, positions = _points(6)
    points = PointVoxels(coordinates, positions)
    for wrong in (features[:-1], features[:, :3]):
        with pytest.raises(ValueError, match=r"features must be \(400, 4\), got shape"):
            network(wrong, points)
    with pytest.raises(ValueError, match="a channel to every layer"):
        SPVCNN(width=0.01)
    moved = positions.clone()
    moved[7, 2] += 1
    for wrong in (moved, positions[:-1], torch.full_like(positions, torch.nan)):
        with pytest.raises(ValueError, match="each in the voxel of its coordinates"):
            PointVoxels(coordinates, wrong)


def test_points_without_positions_stand_at_the_corners_of_their_voxels() -> None:
    network = _network(7)
    features, coordinates, positions = _points(7)
    with torch.no_grad():
        expected = network(features, PointVoxels(coordinates, positions.floor()))
        torch.testing.assert_close(network(features, PointVoxels(coordinates)), expected)
