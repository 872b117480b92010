"""LI-Fusion and the network of both branches: formulas, who changes whom, the camera missing."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.nn.sparse import PointVoxels
from limbeck.segmentation.networks import LIFusion, Sight, TwoBranchNetwork, sampled

KINDS = ("attention", "concatenation", "addition", "product")


def _normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _scene(seed: int, *, count: int = 300, batches: int = 2, share: float = 0.3) -> tuple[Tensor, ...]:
    """Features, coordinates, positions, pictures (one a batch) and where points are seen."""
    generator = torch.Generator().manual_seed(seed)
    positions = torch.rand(count, 3, generator=generator, dtype=torch.float64) * torch.tensor([30, 30, 6]) - 10
    batch = torch.randint(batches, (count,), generator=generator)
    coordinates = torch.cat([batch[:, None], positions.floor().long()], dim=1)
    seen = torch.rand(count, generator=generator) < share
    pixels = torch.rand(count, 2, generator=generator, dtype=torch.float64) * 2 - 1
    pixels[~seen] = torch.nan
    pictures = torch.rand(batches, 3, 40, 64, generator=generator, dtype=torch.float64)
    sight = Sight(seen, pixels, torch.where(seen, batch, -7))
    return _normal(seed, count, 4), coordinates, positions, pictures, sight


def _network(seed: int = 0, **options) -> TwoBranchNetwork:
    small = {"lidar_width": 0.125, "image_width": 4, "image_features": 9, "hidden": (12,), "representation": 7}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = TwoBranchNetwork(5, **small | options).double()
        features, coordinates, positions, pictures, sight = _scene(99)
        network(features, PointVoxels(coordinates, positions), pictures, sight)  # running statistics of their own
    return network.eval()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("training", [True, False])
def test_fusion_is_its_formula(kind: str, training: bool) -> None:
    fusion = LIFusion(6, 8, kind=kind).double().train(training)
    own, image = _normal(1, 30, 8), _normal(2, 30, 6)

    def block(parts, x: Tensor) -> Tensor:
        linear, norm, _ = parts
        x = x @ linear.weight.T + linear.bias
        if training:
            x = (x - x.mean(dim=0)) / (x.var(dim=0, correction=0) + norm.eps).sqrt()
        else:
            x = (x - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
        return (x * norm.weight + norm.bias).clamp(min=0)

    carried = block(fusion.carry, image)
    if kind == "attention":
        hidden = torch.tanh(fusion.of_image(image) + fusion.of_point(own))
        assert hidden.shape == (30, 2)  # a quarter of the points' width
        carried = carried / (1 + torch.exp(-fusion.trust(hidden)))
    joined = {"addition": own + carried, "product": own * carried}.get(kind, torch.cat([own, carried], dim=1))
    expected = block(fusion.join, joined)
    torch.testing.assert_close(fusion(own, image), expected)


def test_shapes_and_what_goes_with_what() -> None:
    network = _network()
    features, coordinates, positions, pictures, sight = _scene(0)
    out = network(features, PointVoxels(coordinates, positions), pictures, sight)
    seen = int(sight.seen.sum())
    assert torch.equal(out.rows, sight.seen.nonzero().squeeze(1))
    assert [tuple(part.shape) for part in out.logits] == [(seen, 5)] * 2 + [(300, 5)] * 2
    assert [tuple(part.shape) for part in out.features] == [(seen, 9), (seen, 7), (300, 12), (300, 7)]
    for name in ("v1", "z1", "v2", "z2"):
        assert torch.equal(getattr(out.logits, name), network.heads[name](getattr(out.features, name)))
    assert torch.equal(out.features.z1, network.bottlenecks["1"](out.features.v1))
    assert torch.equal(out.features.z2, network.bottlenecks["2"](out.features.v2))


def test_v1_is_the_last_map_at_the_pixel_of_the_points_own_picture() -> None:
    network = _network(1)
    features, coordinates, positions, pictures, sight = _scene(1)
    with torch.no_grad():
        out = network(features, PointVoxels(coordinates, positions), pictures, sight)
        final = network.image(network.normalization(pictures)).final
        for row, v1 in list(zip(out.rows.tolist(), out.features.v1, strict=True))[:20]:
            where = sight.pixels[row].view(1, 1, 1, 2)
            read = F.grid_sample(final[coordinates[row, 0]][None], where, padding_mode="border", align_corners=False)
            torch.testing.assert_close(v1, read.flatten())


@pytest.mark.parametrize("kind", KINDS)
def test_points_that_no_camera_sees_pass_every_fusion_as_they_are(kind: str) -> None:
    network = _network(2, fusion=kind)
    features, coordinates, positions, pictures, sight = _scene(2)
    points = PointVoxels(coordinates, positions)
    kept = {}
    original = network.lidar.forward

    def watched(features, points, *, fuse):
        def between(depth: int, z: Tensor) -> Tensor:
            kept[depth] = z, fuse(depth, z)
            return kept[depth][1]

        return original(features, points, fuse=between)

    network.lidar.forward = watched
    with torch.no_grad():
        fused = network(features, points, pictures, sight)
        assert sorted(kept) == [0, 1, 2, 3]
        for before, after in kept.values():
            assert torch.equal(before[~sight.seen], after[~sight.seen])
            assert not torch.equal(before[sight.seen], after[sight.seen])
        maps = network.image(network.normalization(pictures))
        for depth, scale in enumerate(("shallow", "coarse", "middle", "final")):
            image = sampled(getattr(maps, scale), sight.pixels[sight.seen], sight.pictures[sight.seen])
            before, after = (part[sight.seen] for part in kept[depth])
            torch.testing.assert_close(after, network.fusions[str(depth)](before, image))
        # At the first depth nothing of the pictures has come in yet: what is unseen is as with the LiDAR alone.
        with_camera = kept[0][1]
        alone = network(features, points)
        assert torch.equal(with_camera[~sight.seen], kept[0][1][~sight.seen])
    # Later the seen reach the others through their voxels.
    assert not torch.equal(fused.features.v2[~sight.seen], alone.features.v2[~sight.seen])


def test_without_fusion_predictions_of_the_lidar_need_no_camera() -> None:
    network = _network(3, fusion="none")
    features, coordinates, positions, pictures, sight = _scene(3)
    points = PointVoxels(coordinates, positions)
    with torch.no_grad():
        with_camera, alone = network(features, points, pictures, sight), network(features, points)
    assert torch.equal(with_camera.logits.v2, alone.logits.v2)
    assert torch.equal(with_camera.logits.z2, alone.logits.z2)
    assert len(network.fusions) == 0


@pytest.mark.parametrize("missing", ["nothing given", "no picture", "nothing seen", "no branch"])
@pytest.mark.parametrize("training", [True, False])
def test_no_camera_is_the_lidar_alone(missing: str, training: bool) -> None:
    network = _network(4, **({"camera": False} if missing == "no branch" else {"dropout": 0.0})).train(training)
    network.lidar.dropout.p = 0.0
    features, coordinates, positions, pictures, sight = _scene(4)
    points = PointVoxels(coordinates, positions)
    nothing = sight._replace(seen=torch.zeros_like(sight.seen))
    given = {
        "nothing given": (),
        "no picture": (pictures[:0], nothing),
        "nothing seen": (pictures, nothing),
        "no branch": (pictures, sight),
    }[missing]
    out = network(features, points, *given)
    assert len(out.rows) == len(out.logits.v1) == len(out.logits.z1) == len(out.features.v1) == 0
    assert out.logits.z1.shape == (0, 5)
    torch.testing.assert_close(out.features.v2, network.lidar(features, points))
    sum(part.sum() for part in out.logits).backward()
    assert all(p.grad.isfinite().all() for p in network.lidar.parameters())


def test_one_point_seen_in_training() -> None:
    network = _network(5).train()
    features, coordinates, positions, pictures, sight = _scene(5)
    seen = torch.zeros_like(sight.seen)
    seen[sight.seen.nonzero()[3]] = True
    out = network(features, PointVoxels(coordinates, positions), pictures, sight._replace(seen=seen))
    assert out.logits.v1.shape == (1, 5)
    assert all(part.isfinite().all() for part in out.logits)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_gets_a_gradient(kind: str) -> None:
    network = _network(6, fusion=kind, stochastic=True).train()
    features, coordinates, positions, pictures, sight = _scene(6)
    pictures.requires_grad_()
    out = network(features, PointVoxels(coordinates, positions), pictures, sight)
    sum(part.square().mean() for part in out.logits).backward()
    assert pictures.grad.abs().amax(dim=(1, 2, 3)).min() > 0
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # The variances of a bottleneck reach the loss through the draw; every other parameter directly.
        assert parameter.grad.abs().max() > 0, name


def test_in_half_precision_predictions_are_near_those_in_full() -> None:
    network = _network(6).float()
    features, coordinates, positions, pictures, sight = _scene(6)
    given = (
        features.float(),
        PointVoxels(coordinates, positions),
        pictures.float(),
        sight._replace(pixels=sight.pixels.float()),
    )
    expected = network(*given).logits
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = network(*given).logits
    sum(part.float().square().mean() for part in found).backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
    for got, want in zip(found, expected, strict=True):
        assert (got.float() - want).norm() < 0.1 * want.norm()


def test_the_network_repeats_bit_by_bit() -> None:
    network = _network(6, dropout=0.0).float().train()
    features, coordinates, positions, pictures, sight = _scene(6)
    results = []
    for _ in range(3):
        network.zero_grad()
        given = (
            features.float(),
            PointVoxels(coordinates, positions),
            pictures.float(),
            sight._replace(pixels=sight.pixels.float()),
        )
        out = network(*given)
        sum(part.square().mean() for part in out.logits).backward()
        results.append([*out.logits, *(parameter.grad.clone() for parameter in network.parameters())])
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_pictures_reach_what_the_lidar_says() -> None:
    network = _network(7)
    features, coordinates, positions, pictures, sight = _scene(7)
    pictures.requires_grad_()
    out = network(features, PointVoxels(coordinates, positions), pictures, sight)
    (gradient,) = torch.autograd.grad(out.logits.z2.square().sum(), pictures)
    assert gradient.abs().max() > 0


def test_batches_do_not_mix_at_inference() -> None:
    network = _network(8)
    features, coordinates, positions, pictures, sight = _scene(8)
    with torch.no_grad():
        together = network(features, PointVoxels(coordinates, positions), pictures, sight)
        for batch in range(2):
            mine = coordinates[:, 0] == batch
            own = coordinates[mine] * torch.tensor([0, 1, 1, 1])
            part = Sight(sight.seen[mine], sight.pixels[mine], torch.zeros_like(sight.pictures[mine]))
            alone = network(features[mine], PointVoxels(own, positions[mine]), pictures[batch][None], part)
            torch.testing.assert_close(alone.logits.z2, together.logits.z2[mine], rtol=1e-8, atol=1e-10)
            seen = coordinates[together.rows, 0] == batch
            torch.testing.assert_close(alone.logits.z1, together.logits.z1[seen], rtol=1e-8, atol=1e-10)


def test_a_stochastic_bottleneck_samples_in_training_only() -> None:
    features, coordinates, positions, pictures, sight = _scene(9)
    points = PointVoxels(coordinates, positions)
    network = _network(9, stochastic=True, dropout=0.0)
    for training, same in ((True, False), (False, True)):
        network.train(training)
        first, second = (network(features, points, pictures, sight) for _ in range(2))
        assert torch.equal(first.features.v2, second.features.v2)
        for name in ("z1", "z2"):
            assert torch.equal(getattr(first.features, name), getattr(second.features, name)) == same


def test_what_does_not_fit_is_refused() -> None:
    network = _network(10)
    features, coordinates, positions, pictures, sight = _scene(10)
    points = PointVoxels(coordinates, positions)
    with pytest.raises(ValueError, match="pictures and sight go together"):
        network(features, points, pictures)
    beyond = torch.where(sight.seen[:, None], sight.pixels * 3, sight.pixels)
    for wrong, words in (
        (sight._replace(pixels=sight.pixels[:-1]), r"sight must be seen \(300,\)"),
        (sight._replace(seen=sight.seen.long()), "seen must be booleans"),
        (sight._replace(pixels=beyond), r"pixels of points that are seen must be in \[-1, 1\]"),
        (sight._replace(seen=torch.ones_like(sight.seen)), "pixels of points that are seen"),
        (sight._replace(pictures=sight.pictures + 1), r"pictures must be in \[0, 2\)"),
    ):
        with pytest.raises(ValueError, match=words):
            network(features, points, pictures, wrong)
    for options in ({"fused": (0, 4)}, {"fused": (1, 1)}):
        with pytest.raises(ValueError, match="fused must be different depths"):
            TwoBranchNetwork(5, **options)
    with pytest.raises(ValueError, match="kind must be one of attention"):
        TwoBranchNetwork(5, fusion="sum", lidar_width=0.25, image_width=4)
