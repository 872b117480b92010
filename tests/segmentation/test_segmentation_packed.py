"""Packed sets: equal to what they were packed from, whole or absent, and refused when damaged."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.segmentation.sets.test_segmentation_sets import write_own
from tests.segmentation.writers import LOOKS_LEFT, write_kitti, write_nuscenes

from limbeck.errors import InputError
from limbeck.segmentation.cameras import project
from limbeck.segmentation.dataset import SegmentationDataset, digest
from limbeck.segmentation.packed import load_packed, pack_scans
from limbeck.segmentation.sets import load_scans


def write(name: str, root: Path) -> SegmentationDataset:
    if name == "semantickitti":
        write_kitti(root, {"00": [20, 31], "08": [25]})
    elif name == "nuscenes":
        write_nuscenes(root, {"scene-0061": 2}, poses={"LIDAR_TOP": (LOOKS_LEFT, [1.0, 2.0, 3.0])})
    elif name == "scans":
        root.mkdir()
        write_own(root)
    else:
        write_kitti(root, {"11": [20]}, labels=False, pictures=False)
        name = "semantickitti"
    return load_scans(name, root)


def assert_equal(first: SegmentationDataset, second: SegmentationDataset) -> None:
    for name in ("name", "names", "sequences", "evaluator"):
        assert getattr(first, name) == getattr(second, name)
    assert first.labels.as_json() == second.labels.as_json()
    assert {name: part.tolist() for name, part in first.splits.items()} == {
        name: part.tolist() for name, part in second.splits.items()
    }
    for position in range(len(first)):
        one, other = first[position], second[position]
        for name in ("points", "intensity", "labels", "pose"):
            left, right = getattr(one, name), getattr(other, name)
            assert (left is None) == (right is None)
            if left is not None:
                assert left.dtype == right.dtype
                assert np.array_equal(left, right)
                assert right.flags.writeable
        assert len(one.images) == len(other.images) == len(one.cameras) == len(other.cameras)
        for left, right in zip(one.images, other.images, strict=True):
            assert np.array_equal(left, right)
        for left, right in zip(one.cameras, other.cameras, strict=True):
            assert vars(left).keys() == vars(right).keys()
            assert all(np.array_equal(value, vars(right)[name]) for name, value in vars(left).items())
        for left, right in zip(first.pixels(position), second.pixels(position), strict=True):
            assert left.dtype == right.dtype
            assert np.array_equal(left, right, equal_nan=left.dtype.kind == "f")


@pytest.mark.parametrize("name", ["semantickitti", "nuscenes", "scans", "bare"])
def test_a_packed_set_has_the_same_frames(name: str, tmp_path: Path) -> None:
    scans = write(name, tmp_path / "source")
    heard: list[tuple[int, int]] = []
    told = pack_scans(scans, tmp_path / "packed", progress=lambda done, total: heard.append((done, total)))
    assert f"{len(scans)} scans" in told
    assert heard == [(done + 1, len(scans)) for done in range(len(scans))]
    packed = load_scans("scans-packed", tmp_path / "packed")
    assert_equal(scans, packed)
    assert digest(packed) == digest(scans)
    assert packed.frame(0, images=False).images == ()
    if name != "bare":
        assert any(packed.pixels(position).visible.any() for position in range(len(packed)))
    assert_equal(pickle.loads(pickle.dumps(scans)), scans)  # noqa: S301
    # A loader's process gets the folder, and not what the arrays hold.
    sent = pickle.dumps(packed.source)
    assert len(sent) < 1000
    assert np.array_equal(pickle.loads(sent).scan(0).position, scans[0].points)  # noqa: S301
    # Packing a packed set loses nothing either.
    pack_scans(packed, tmp_path / "again")
    assert_equal(scans, load_packed(tmp_path / "again"))


@pytest.mark.parametrize("size", [(5, 8), (20, 23), 7])
def test_pictures_of_a_stated_size(size: tuple[int, int] | int, tmp_path: Path) -> None:
    scans = write("nuscenes", tmp_path / "source")
    pack_scans(scans, tmp_path / "packed", size=size)
    packed = load_packed(tmp_path / "packed")
    height, width = size if isinstance(size, tuple) else (7, 11)  # of 16 x 10 pixels
    for position in range(len(scans)):
        one, other = scans[position], packed[position]
        for camera, before, image, after in zip(other.cameras, one.cameras, other.images, one.images, strict=True):
            assert image.shape == (camera.height, camera.width, 3) == (height, width, 3)
            exact = Image.fromarray(after).resize((width, height), Image.Resampling.BILINEAR)
            assert np.array_equal(image, np.asarray(exact))
            assert np.array_equal(project(one.points, camera).inside, project(one.points, before).inside)
        source, kept = scans.pixels(position), packed.pixels(position)
        assert source.visible.any()
        assert np.array_equal(source.camera, kept.camera)
        for number, camera in enumerate(other.cameras):
            its = kept.camera == number
            exact = project(one.points[its], camera)
            assert np.allclose(kept.u[its], exact.u, atol=1e-4)
            assert np.allclose(kept.v[its], exact.v, atol=1e-4)
    with pytest.raises(InputError, match="its pictures were resized when it was packed"):
        pack_scans(packed, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_nothing_is_left_of_an_interrupted_packing(tmp_path: Path) -> None:
    scans = write("semantickitti", tmp_path / "source")

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack_scans(scans, tmp_path / "packed", progress=interrupt)
    assert [place.name for place in tmp_path.iterdir()] == ["source"]
    (tmp_path / "packed").mkdir()
    pack_scans(scans, tmp_path / "packed")  # an empty folder may be there
    with pytest.raises(InputError, match="packed: exists already; give a new folder"):
        pack_scans(scans, tmp_path / "packed")
    with pytest.raises(InputError, match="size must be at least 1"):
        pack_scans(scans, tmp_path / "other", size=0)
    for size in (2**64, (2**13, 2**13)):
        with pytest.raises(InputError, match="size must leave pictures of at most"):
            pack_scans(scans, tmp_path / "other", size=size)


def test_a_frame_that_cannot_be_used_is_not_packed(tmp_path: Path) -> None:
    scans = write("semantickitti", tmp_path / "source")
    (tmp_path / "source/sequences/08/labels/000000.label").write_bytes(b"")
    with pytest.raises(InputError, match=r"000000\.label: holds 0 labels"):
        pack_scans(scans, tmp_path / "packed")
    assert not (tmp_path / "packed").exists()


def test_a_damaged_packed_set_is_refused(tmp_path: Path) -> None:
    pack_scans(write("semantickitti", tmp_path / "source"), tmp_path / "packed")
    with pytest.raises(InputError, match=r"index\.json: no such file; give a folder that `limbeck segmentation pack`"):
        load_packed(tmp_path)
    for name in ("points.npy", "labels.npy", "seen_pixels.npy", "images.bin", "offsets.npy", "index.json"):
        file = tmp_path / "packed" / name
        whole = file.read_bytes()
        for held in (whole[:-5], whole + b"01234567", b"", b"nonsense"):
            if name == "index.json" and held.startswith(whole):
                continue
            if held.startswith(whole) and name.endswith(".npy"):
                continue  # NPY says how long it is; what follows is not read
            file.write_bytes(held)
            with pytest.raises(InputError, match="no packed set, or a damaged one") as caught:
                load_packed(tmp_path / "packed")
            assert "\n" not in str(caught.value)
        file.unlink()
        with pytest.raises(InputError, match="no such file"):
            load_packed(tmp_path / "packed")
        file.write_bytes(whole)
    images = tmp_path / "packed" / "images.bin"
    images.write_bytes(bytes(images.stat().st_size))
    with pytest.raises(InputError, match=r"images\.bin: is damaged"):
        load_packed(tmp_path / "packed").frame(0)
    index = tmp_path / "packed" / "index.json"
    held = json.loads(index.read_text())
    index.write_text(json.dumps({**held, "format": "limbeck-scans-9"}))
    with pytest.raises(InputError, match="is of the format 'limbeck-scans-9', not limbeck-scans-1; pack it anew"):
        load_packed(tmp_path / "packed")
    (camera,) = held["cameras"]
    for wrong in ("front", 3, {**camera, "width": "9"}, {**camera, "bounds": [1, 2]}, {**camera, "tilt": 0}):
        index.write_text(json.dumps({**held, "cameras": [wrong]}))
        with pytest.raises(InputError, match="no packed set, or a damaged one"):
            load_packed(tmp_path / "packed")
    classes = {**held["labels"], "classes": [[1], *held["labels"]["classes"][1:]]}
    for changed in ({"labels": classes}, {"names": [1]}, {"splits": {"train": [99]}}, {"evaluator": "x"}, {"more": 1}):
        index.write_text(json.dumps({**held, **changed}))
        with pytest.raises(InputError, match="no packed set, or a damaged one"):
            load_packed(tmp_path / "packed")
    index.write_text(json.dumps({**held, "cameras": []}))
    with pytest.raises(InputError, match="camera_kinds names a camera that is not in the index"):
        load_packed(tmp_path / "packed")


@pytest.mark.parametrize(("name", "value"), [("seen_points", 10**6), ("seen_points", -1), ("seen_cameras", 9)])
def test_points_and_cameras_that_a_frame_has_not_are_refused(name: str, value: int, tmp_path: Path) -> None:
    pack_scans(write("semantickitti", tmp_path / "source"), tmp_path / "packed")
    held = np.load(tmp_path / "packed" / f"{name}.npy")
    held[0] = value
    np.save(tmp_path / "packed" / f"{name}.npy", held)
    scans = load_packed(tmp_path / "packed")
    with pytest.raises(InputError, match="packed: points or cameras that frame 0 has not; pack it anew"):
        scans.pixels(0, scans.frame(0, images=False))
