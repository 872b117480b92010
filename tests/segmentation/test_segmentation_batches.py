"""Scans as the network sees them: points, voxels, pixels, and how they vary."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.segmentation.segmentation_small import recipe

from limbeck.errors import InputError
from limbeck.segmentation.batches import ScanBatches, collated, sample_of
from limbeck.segmentation.cameras import Camera, project
from limbeck.segmentation.dataset import Frame
from limbeck.segmentation.networks import sampled
from limbeck.segmentation.recipe import AugmentationSettings, DataSettings
from limbeck.segmentation.sets import load_scans
from limbeck.training import generator

# Looks along x; u to the right is -y, v downwards is -z.
CAMERA = Camera("front", np.array([[20.0, -32, 0, 0], [12, 0, -32, 0], [1, 0, 0, 0]]), 40, 24)
DATA = DataSettings(set="semantickitti", voxel=0.5, points="all", most=None)
STILL = AugmentationSettings(turn=0, scale=(1.0, 1.0))


def scan(points: int = 200, *, images: int = 1, seed: int = 0) -> Frame:
    rng = np.random.default_rng(seed)
    position = rng.uniform([-8, -5, -2], [8, 5, 2], (points, 3)).astype(np.float32)
    return Frame(
        "a scan",
        position,
        rng.random(points).astype(np.float32),
        rng.integers(-1, 4, points),
        tuple(rng.integers(0, 255, (24, 40, 3), dtype=np.uint8) for _ in range(images)),
        (CAMERA,) * images,
        "00",
    )


def test_every_point_is_seen_once_and_speaks_for_itself() -> None:
    frame = scan()
    found = sample_of(frame, DATA)
    assert found.chosen.tolist() == found.speaker.tolist() == list(range(200))
    np.testing.assert_array_equal(found.features[:, :3], frame.points)
    np.testing.assert_array_equal(found.features[:, 3], frame.intensity)
    np.testing.assert_array_equal(found.labels, frame.labels)
    lowest = np.floor(frame.points.astype(np.float64).min(axis=0) / 0.5)
    np.testing.assert_allclose(found.voxels, frame.points / 0.5 - lowest, atol=1e-5)
    assert found.voxels.min() >= 0


def test_pixels_are_those_of_the_projection() -> None:
    frame = scan()
    found = sample_of(frame, DATA)
    pixels = project(frame.points, CAMERA)
    np.testing.assert_array_equal(found.seen, pixels.inside)
    assert 10 < found.seen.sum() < 190
    column = ((found.pixels[:, 0] + 1) * 40 - 1) / 2
    row = ((found.pixels[:, 1] + 1) * 24 - 1) / 2
    inner = found.seen & (pixels.u < 39) & (pixels.v < 23)  # beyond the last centre they are moved to the edge
    np.testing.assert_allclose(column[inner], pixels.u[inner], atol=1e-4)
    np.testing.assert_allclose(row[inner], pixels.v[inner], atol=1e-4)
    assert np.abs(found.pixels).max() <= 1


def test_resized_pictures_show_a_point_at_the_same_place() -> None:
    frame = scan()
    large, small = sample_of(frame, DATA), sample_of(frame, replace(DATA, height=48, width=80))
    assert small.pictures.shape == (1, 3, 48, 80)
    np.testing.assert_array_equal(large.seen, small.seen)
    np.testing.assert_allclose(large.pixels, small.pixels, atol=1e-5)


def test_one_point_of_each_voxel_speaks_for_the_others() -> None:
    frame, data = scan(400), replace(DATA, points="one-per-voxel", voxel=2.0)
    found = sample_of(frame, data)
    cells = np.floor(sample_of(frame, replace(data, points="all")).voxels).astype(int)
    assert len(np.unique(cells, axis=0)) == len(found.chosen) < 400
    np.testing.assert_array_equal(cells[found.chosen[found.speaker]], cells)
    # Not drawn: the first point of each voxel.
    first = {tuple(cell): place for place, cell in reversed(list(enumerate(cells.tolist())))}
    assert found.chosen.tolist() == sorted(first.values())
    drawn = [sample_of(frame, data, STILL, generator(0, key)).chosen.tolist() for key in range(2)]
    assert drawn[0] != drawn[1]
    assert all(len({tuple(cells[place]) for place in one}) == len(one) == len(found.chosen) for one in drawn)


def test_so_many_points_at_most_are_seen_in_training() -> None:
    data = replace(DATA, most=50)
    assert len(sample_of(scan(), data).chosen) == 200
    found = sample_of(scan(), data, STILL, generator(0))
    assert len(found.chosen) == 50
    assert sorted(set(found.chosen.tolist())) == found.chosen.tolist()
    np.testing.assert_array_equal(found.labels, scan().labels[found.chosen])


def test_turns_and_scales_keep_pixels_and_distances() -> None:
    frame = scan()
    plain = sample_of(frame, DATA)
    turned = sample_of(frame, DATA, AugmentationSettings(turn=180, scale=(2.0, 2.0), flip=0.5), generator(3))
    np.testing.assert_array_equal(turned.pixels, plain.pixels)
    np.testing.assert_array_equal(turned.seen, plain.seen)
    assert not np.allclose(turned.features[:, :2], 2 * plain.features[:, :2], atol=0.1)
    np.testing.assert_allclose(turned.features[:, 2], 2 * plain.features[:, 2], atol=1e-4)
    for one, factor in ((plain, 2.0), (turned, 1.0)):
        apart = factor * np.linalg.norm(one.features[:-1, :3] - one.features[1:, :3], axis=1)
        np.testing.assert_allclose(
            apart, 2 * np.linalg.norm(frame.points[:-1] - frame.points[1:], axis=1), rtol=1e-4, atol=1e-4
        )


def test_a_mirrored_picture_shows_every_point_in_the_same_colour() -> None:
    frame = scan()
    plain = sample_of(frame, DATA, STILL, generator(1))
    mirrored = sample_of(frame, DATA, replace(STILL, picture_flip=1.0), generator(1))
    assert not np.array_equal(plain.pictures, mirrored.pictures)
    colours = [
        sampled(*(torch.from_numpy(part) for part in (one.pictures, one.pixels[one.seen], one.picture[one.seen])))
        for one in (plain, mirrored)
    ]
    torch.testing.assert_close(*colours, rtol=1e-4, atol=1e-5)


def test_light_changes_pictures_alone() -> None:
    frame = scan()
    plain = sample_of(frame, DATA, STILL, generator(1))
    lit = sample_of(frame, DATA, replace(STILL, brightness=0.9, contrast=0.9), generator(1))
    assert not np.array_equal(plain.pictures, lit.pictures)
    assert lit.pictures.min() >= 0
    assert lit.pictures.max() <= 1
    np.testing.assert_array_equal(plain.features, lit.features)


def test_without_cameras_nothing_is_seen() -> None:
    for frame, data in ((scan(), replace(DATA, cameras=False)), (scan(images=0), DATA)):
        found = sample_of(frame, data)
        assert not found.seen.any()
        assert found.pictures.shape[0] == 0


def test_an_empty_scan_is_an_empty_sample() -> None:
    found = sample_of(scan(0), replace(DATA, points="one-per-voxel"))
    assert found.features.shape == (0, 4)
    assert len(found.speaker) == 0
    assert len(collated([found]).labels) == 0


def test_scans_of_a_batch_keep_their_pictures() -> None:
    samples = [sample_of(one, DATA) for one in (scan(30, images=2), scan(20, images=0), scan(25, seed=1))]
    batch = collated(samples)
    assert batch.scan.bincount().tolist() == [30, 20, 25]
    assert batch.pictures.shape == (3, 3, 24, 40)
    assert set(batch.sight.pictures[50:].tolist()) == {2}
    assert not batch.sight.seen[30:50].any()
    with pytest.raises(InputError, match=r"set data\.height and data\.width"):
        collated([samples[0], sample_of(scan(), replace(DATA, height=48, width=80))])


def test_pictures_of_different_sizes_in_a_scan_are_refused() -> None:
    frame = scan(images=2)
    other = replace(frame, images=(frame.images[0], frame.images[1][:12]), cameras=(CAMERA, replace(CAMERA, height=12)))
    with pytest.raises(InputError, match="a scan: its pictures differ in size"):
        sample_of(other, DATA)
    assert sample_of(other, replace(DATA, height=36, width=64)).pictures.shape == (2, 3, 36, 64)


def test_batches_depend_on_the_step_alone_and_share_themselves_out(small_streets: Path) -> None:
    made = recipe(small_streets)
    scans = load_scans("semantickitti", small_streets)

    def batches(share: tuple[int, int] = (0, 1)) -> ScanBatches:
        return ScanBatches(scans, scans.split("train"), made.data, made.augmentation, seed=5, share=share)

    whole, parts = batches(), [batches((number, 2)) for number in range(2)]
    assert whole.steps_per_epoch == 2
    for step in (3, 0):
        one, again = whole[step], batches()[step]
        assert all(torch.equal(a, b) for a, b in zip(one[:5], again[:5], strict=True))
        pieces = [part[step] for part in parts]
        assert torch.equal(torch.cat([piece.features for piece in pieces]), one.features)
        assert torch.equal(torch.cat([piece.labels for piece in pieces]), one.labels)
    assert not torch.equal(whole[0].features[:50], whole[2].features[:50])
    with pytest.raises(InputError, match="divide by the number of processes"):
        batches((0, 3))
    with pytest.raises(InputError, match="at most the 4 scans"):
        ScanBatches(scans, scans.split("train"), replace(made.data, batch=5), made.augmentation, seed=0)


def test_steps_without_pictures_are_drawn_for_all_processes_alike(small_streets: Path) -> None:
    made = recipe(small_streets, augmentation={"no_pictures": 0.5})
    scans = load_scans("semantickitti", small_streets)
    parts = [
        ScanBatches(scans, scans.split("train"), made.data, made.augmentation, seed=1, share=(number, 2))
        for number in range(2)
    ]
    blind = [[len(part[step].pictures) == 0 for step in range(12)] for part in parts]
    assert blind[0] == blind[1]
    assert 0 < sum(blind[0]) < 12
