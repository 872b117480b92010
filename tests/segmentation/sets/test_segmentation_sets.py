"""Sets of scans: what is read of each layout, written here byte by byte, and what is said of damaged ones."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from tests.segmentation.writers import (
    HALF,
    INTRINSIC,
    SIZE,
    scan_rows,
    write_floats,
    write_kitti,
    write_nuscenes,
    write_picture,
)

from limbeck.errors import InputError
from limbeck.metric.sets import metric_sets
from limbeck.reid.sets import reid_sets
from limbeck.segmentation.cameras import project
from limbeck.segmentation.dataset import SegmentationDataset, describe, digest
from limbeck.segmentation.labels import NUSCENES_CLASSES, SEMANTIC_KITTI
from limbeck.segmentation.sets import SegmentationSet, load_scans, segmentation_sets
from limbeck.segmentation.sets.nuscenes import OFFICIAL, check_nuscenes, load_nuscenes, quaternion_matrix, scene_names


def refused(scans: SegmentationDataset, told: str, position: int = 0) -> None:
    with pytest.raises(InputError, match=told) as caught:
        scans.frame(position)
    assert "\n" not in str(caught.value)


# -- SemanticKITTI -----------------------------------------------------------------------------------------------------


def test_semantic_kitti(tmp_path: Path) -> None:
    write_kitti(tmp_path / "dataset", {"00": [20, 30], "08": [25], "11": [10]})
    scans = load_scans("semantickitti", tmp_path)
    assert scans.names == ("00/000000", "00/000001", "08/000000", "11/000000")
    assert {split: members.tolist() for split, members in scans.splits.items()} == {
        "train": [0, 1],
        "validation": [2],
        "test": [3],
    }
    frame = scans[1]
    rows = np.array(scan_rows(1, 30))
    assert np.array_equal(frame.points, rows[:, :3])
    assert np.array_equal(frame.intensity, rows[:, 3])
    assert frame.points.dtype == frame.intensity.dtype == np.float32
    # Raw 0 1 10 11 40 252 259 99 81 70 in turn; the halves above hold numbers of things.
    names = [None, None, "car", "bicycle", "road", "car", "other-vehicle", None, "traffic-sign", "vegetation"]
    codes = [-1 if name is None else SEMANTIC_KITTI.classes.index(name) for name in names]
    assert frame.labels is not None
    assert frame.labels.tolist() == codes * 3
    (image,) = frame.images
    assert np.array_equal(image, write_picture(tmp_path / "same.png", 1))
    assert frame.sequence == "00"
    assert scans.frame(1, images=False).images == ()
    assert len(scans.frame(1, images=False).cameras) == 1
    assert [row[:3] for row in describe(scans)] == [("train", 1, 2), ("validation", 1, 1), ("test", 1, 1)]


def test_the_projection_of_semantic_kitti_by_hand(tmp_path: Path) -> None:
    write_kitti(tmp_path, {"00": [5]})
    (camera,) = load_scans("semantickitti", tmp_path)[0].cameras
    assert (camera.width, camera.height, camera.nearest) == (*SIZE, 0.0)
    # Tr takes (4.3, 1, 0.5) to x = -1 + 0.1, y = -0.5 - 0.2, z = 4.3 - 0.3; P2 then has 10 x + 8 z + 1 = 24,
    # 10 y + 5 z + 0.5 = 13.5 and the depth z + 0.01 = 4.01.
    found = project(np.array([[4.3, 1.0, 0.5]]), camera)
    assert (found.u[0], found.v[0], found.depth[0]) == pytest.approx((24 / 4.01, 13.5 / 4.01, 4.01), abs=1e-12)
    assert found.inside[0]


def test_the_pose_of_the_lidar_from_that_of_the_camera(tmp_path: Path) -> None:
    write_kitti(tmp_path, {"00": [5, 5, 5]})
    # Camera 0 moves 2 m along its x, which is the LiDAR's -y.
    found = load_scans("semantickitti", tmp_path)[2].pose
    assert np.allclose(found, [[1, 0, 0, 0], [0, 1, 0, -2], [0, 0, 1, 0], [0, 0, 0, 1]])
    (tmp_path / "sequences/00/poses.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n")
    refused(load_scans("semantickitti", tmp_path), r"poses\.txt: has 1 lines, none for 000001\.bin", 1)


def test_semantic_kitti_without_labels_or_without_pictures(tmp_path: Path) -> None:
    write_kitti(tmp_path, {"11": [20]}, labels=False, pictures=False)
    scans = load_scans("semantickitti", tmp_path)
    frame = scans[0]
    assert frame.labels is None
    assert frame.cameras == frame.images == ()
    assert not scans.pixels(0).visible.any()


def test_semantic_kitti_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no folder sequences/"):
        load_scans("semantickitti", tmp_path)
    write_kitti(tmp_path, {"00": [20, 30]})
    drive = tmp_path / "sequences" / "00"
    scans = load_scans("semantickitti", tmp_path)
    scan, label = drive / "velodyne/000000.bin", drive / "labels/000000.label"
    whole = scan.read_bytes()
    scan.write_bytes(whole[:-3])
    refused(scans, r"000000\.bin: 317 bytes are no whole number of points of 4 float32 values: the file is cut off")
    scan.write_bytes(whole[:-16])
    refused(scans, r"000000\.label: holds 20 labels, but its scan has 19 points")
    scan.write_bytes(b"")
    refused(scans, r"000000\.bin: the scan is empty")
    scan.write_bytes(struct.pack("<f", float("nan")) + whole[4:])
    refused(scans, r"000000\.bin: the position of point 0 is NaN or infinite; take such points out")
    scan.write_bytes(whole[:-4] + struct.pack("<f", float("inf")))
    refused(scans, r"000000\.bin: the intensity of point 19 is NaN or infinite")
    scan.write_bytes(whole)
    label.write_bytes(struct.pack("<20I", *[40] * 19, 12))
    refused(scans, r"000000\.label: point 19 has the label 12, which SemanticKITTI does not know")
    label.write_bytes(b"12345")
    refused(scans, r"000000\.label: 5 bytes are no whole number of labels")
    label.unlink()
    refused(scans, r"000000\.label: cannot be read \(No such file")
    (drive / "image_2/000001.png").write_bytes(b"no")
    refused(scans, r"000001\.png: is not a JPEG, PNG or BMP picture", 1)
    (drive / "image_2/000001.png").unlink()
    refused(scans, r"000001\.png: cannot be read \(No such file", 1)
    (drive / "calib.txt").write_text("P2: 1 2 3\nTr: 1\n")
    write_picture(drive / "image_2/000001.png", 1)
    refused(load_scans("semantickitti", tmp_path), r"calib\.txt: the line P2: must be 12 finite numbers, not 3", 1)
    (drive / "calib.txt").write_text("P2:" + " 1" * 12 + "\n")
    refused(load_scans("semantickitti", tmp_path), r"calib\.txt: lacks the line Tr: of 12 numbers", 1)
    (drive / "calib.txt").unlink()
    with pytest.raises(InputError, match=r"00: has pictures in image_2/ but no calibration; put .* calib\.txt"):
        load_scans("semantickitti", tmp_path)
    (tmp_path / "sequences/22").mkdir()
    with pytest.raises(InputError, match=r"22: the drives of SemanticKITTI are 00 to 21"):
        load_scans("semantickitti", tmp_path)


# -- nuScenes ----------------------------------------------------------------------------------------------------------


def test_nuscenes(tmp_path: Path) -> None:
    write_nuscenes(tmp_path, {"scene-0103": 2, "scene-0061": 3})
    scans = load_scans("nuscenes", tmp_path)
    assert len(scans) == 5  # frames between key frames are left out
    assert {split: members.tolist() for split, members in scans.splits.items()} == {
        "train": [0, 1, 2],
        "validation": [3, 4],
    }
    assert scans.sequences == ("scene-0061",) * 3 + ("scene-0103",) * 2
    assert scans.names[0] == "sample1-2-0"  # by time, which runs backwards in the file
    frame = scans[0]
    rows = np.array(scan_rows(2, 40, 5, 255.0))
    assert np.array_equal(frame.points, rows[:, :3])
    assert np.allclose(frame.intensity, rows[:, 3] / 255)
    assert frame.intensity.max() == 1.0
    words = [None, "pedestrian", "barrier", "bus", "car", "driveable_surface", "other_flat", "sidewalk", "vegetation"]
    assert frame.labels is not None
    assert frame.labels[:10].tolist() == [-1 if w is None else NUSCENES_CLASSES.index(w) for w in [*words, None]]
    assert [camera.name for camera in frame.cameras] == [
        f"CAM_{name}" for name in ("FRONT", "FRONT_RIGHT", "FRONT_LEFT", "BACK", "BACK_LEFT", "BACK_RIGHT")
    ]
    assert np.array_equal(frame.images[5], write_picture(tmp_path / "same.png", 26))
    assert all(camera.nearest == 1.0 for camera in frame.cameras)
    again = load_scans("nuscenes", tmp_path / "v1.0-mini")
    assert digest(again) == digest(scans)


def test_the_chain_of_nuscenes_equals_matrices_written_by_hand(tmp_path: Path) -> None:
    turned = [HALF, 0.0, 0.0, HALF]  # a quarter turn to the left about z
    write_nuscenes(
        tmp_path,
        {"scene-0061": 1},
        poses={"LIDAR_TOP": (turned, [100.0, 50.0, 0.0]), "CAM_FRONT": (turned, [100.0, 51.0, 0.25])},
    )
    frame = load_scans("nuscenes", tmp_path)[0]
    lidar_to_car = np.array([[0, 1, 0, 0.9], [-1, 0, 0, 0], [0, 0, 1, 1.8], [0, 0, 0, 1]])
    car_to_world = np.array([[0, -1, 0, 100], [1, 0, 0, 50], [0, 0, 1, 0], [0, 0, 0, 1]])
    world_to_later_car = np.array([[0, 1, 0, -51], [-1, 0, 0, 100], [0, 0, 1, -0.25], [0, 0, 0, 1]])
    car_to_camera = np.array([[0, -1, 0, 0.1], [0, 0, -1, 1.5], [1, 0, 0, -1.7]])
    by_hand = np.array(INTRINSIC) @ car_to_camera @ world_to_later_car @ car_to_world @ lidar_to_car
    assert np.allclose(frame.cameras[0].projection, by_hand, atol=1e-9)
    assert np.allclose(frame.pose, car_to_world @ lidar_to_car, atol=1e-9)
    # A point 10 m ahead of the LiDAR (its y) is 10.9 m ahead of the car then, 9.9 m a metre later, 8.2 of the camera.
    assert project(np.array([[0.0, 10.0, 0.0]]), frame.cameras[0]).depth[0] == pytest.approx(8.2)


@pytest.mark.parametrize("seed", range(3))
def test_a_quaternion_turns_as_its_products_do(seed: int) -> None:
    rng = np.random.default_rng(seed)
    quaternion, vector = rng.normal(size=4), rng.normal(size=3)

    def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.concatenate([[a[0] * b[0] - a[1:] @ b[1:]], a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:])])

    unit = quaternion / np.linalg.norm(quaternion)
    turned = product(product(unit, np.array([0, *vector])), unit * [1, -1, -1, -1])[1:]
    assert np.allclose(quaternion_matrix(quaternion.tolist()) @ vector, turned)
    with pytest.raises(ValueError, match="quaternion"):
        quaternion_matrix([0, 0, 0, 0])


def test_the_official_splits_of_nuscenes(tmp_path: Path) -> None:
    from limbeck.segmentation.sets.nuscenes import DIVISIONS

    scenes = {version: {split: scene_names(text) for split, text in of.items()} for version, of in DIVISIONS.items()}
    sizes = {version: {split: len(set(names)) for split, names in of.items()} for version, of in scenes.items()}
    assert sizes == {
        "v1.0-trainval": {"train": 700, "validation": 150},
        "v1.0-mini": {"train": 8, "validation": 2},
        "v1.0-test": {"test": 150},
    }
    train, validation = (set(scenes["v1.0-trainval"][split]) for split in ("train", "validation"))
    assert not train & validation
    assert not (train | validation) & set(scenes["v1.0-test"]["test"])
    write_nuscenes(tmp_path, {"scene-0001": 1, "scene-0003": 2}, version="v1.0-trainval", channels=())
    scans = load_scans("nuscenes", tmp_path)
    assert [len(scans.split(name)) for name in ("train", "validation")] == [1, 2]
    assert check_nuscenes(scans) == ["train: 1 scans, expected 28,130", "validation: 2 scans, expected 6,019"]
    assert OFFICIAL["v1.0-test"] == {"test": 6008}


def test_own_splits_of_nuscenes(tmp_path: Path) -> None:
    write_nuscenes(tmp_path, {"a": 1, "b": 1, "c": 1}, version="v1.0-streets", channels=())
    with pytest.raises(InputError, match=r"the splits of v1\.0-streets are not known; say them in .*splits\.json"):
        load_scans("nuscenes", tmp_path)
    file = tmp_path / "v1.0-streets" / "splits.json"
    file.write_text('{"train": ["a"], "validation": ["c"]}')
    scans = load_scans("nuscenes", tmp_path)
    assert [scans.sequences[place] for name in scans.splits for place in scans.split(name)] == ["a", "c"]
    for text, told in {
        '{"train": ["a"], "test": ["a"]}': "a stands in train and in test",
        '{"train": ["z"]}': "names z, of which there is no key frame",
        '{"training": ["a"]}': "must be like",
        "{": "is no JSON",
    }.items():
        file.write_text(text)
        with pytest.raises(InputError, match=told):
            load_scans("nuscenes", tmp_path)
    other = tmp_path / "mine.json"
    other.write_text('{"test": ["b"]}')
    assert load_nuscenes(tmp_path, splits=other).split("test").tolist() == [1]


def test_nuscenes_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no v1\.0-trainval"):
        load_scans("nuscenes", tmp_path)
    write_nuscenes(tmp_path, {"scene-0061": 1})
    home = tmp_path / "v1.0-mini"
    scans = load_scans("nuscenes", tmp_path)
    assert check_nuscenes(scans) == ["1 scans, expected 404"]
    scan, label = scans.source.file(0), next((tmp_path / "lidarseg").rglob("*.bin"))
    whole, held = scan.read_bytes(), label.read_bytes()
    scan.write_bytes(whole[:-4])
    refused(scans, "no whole number of points of 5 float32")
    scan.write_bytes(whole)
    label.write_bytes(held[:-1])
    refused(scans, "holds 39 labels, but its scan has 40 points")
    label.write_bytes(bytes([200]) * 40)
    refused(scans, r"point 0 has the label 200, which nuScenes-lidarseg does not know")
    label.write_bytes(held)
    table = home / "category.json"
    rows = json.loads(table.read_text())
    table.write_text(json.dumps([{key: row[key] for key in ("token", "name")} for row in rows]))
    with pytest.raises(InputError, match=r"category\.json: has no 'index'"):
        load_scans("nuscenes", tmp_path)
    table.write_text(json.dumps(rows))
    named = json.loads((home / "lidarseg.json").read_text())
    write_nuscenes(tmp_path / "part", {"scene-0061": 2}, channels=())
    part = tmp_path / "part" / "v1.0-mini" / "lidarseg.json"
    part.write_text(json.dumps(json.loads(part.read_text())[:1]))
    assert named[0]["sample_data_token"] == "sample0-0-0"
    refused(load_scans("nuscenes", tmp_path / "part"), r"lidarseg\.json names no labels for sample0-1-0")
    (home / "ego_pose.json").write_text("[]")
    with pytest.raises(InputError, match=r"the tables do not fit one another: .* is missing"):
        load_scans("nuscenes", tmp_path)
    (home / "sensor.json").write_text("[{")
    with pytest.raises(InputError, match=r"sensor\.json: is damaged"):
        load_scans("nuscenes", tmp_path)
    write_nuscenes(tmp_path / "two", {"scene-0061": 1}, channels=())
    write_nuscenes(tmp_path / "two", {"scene-0001": 1}, version="v1.0-trainval", channels=())
    with pytest.raises(InputError, match="holds several versions"):
        load_scans("nuscenes", tmp_path / "two")


def test_versions_to_learn_from_and_for_the_test_are_one_set(tmp_path: Path) -> None:
    write_nuscenes(tmp_path, {"scene-0001": 2, "scene-0003": 1}, version="v1.0-trainval", channels=())
    test = {"scene-0077": 1, "scene-0078": 1}
    write_nuscenes(tmp_path, test, version="v1.0-test", channels=(), points=7, prefix="t")
    (tmp_path / "v1.0-test/lidarseg.json").write_text("[]")
    scans = load_scans("nuscenes", tmp_path)
    assert {split: members.tolist() for split, members in scans.splits.items()} == {
        "train": [0, 1],
        "validation": [2],
        "test": [3, 4],
    }
    assert scans.root == tmp_path
    assert scans[1].labels is not None
    assert len(scans[4].points) == 7
    assert scans[4].labels is None  # an empty table of labels says that they are kept secret
    assert [line.split(":")[0] for line in check_nuscenes(scans)] == ["train", "validation", "test"]


def test_the_test_set_of_nuscenes_has_no_labels(tmp_path: Path) -> None:
    write_nuscenes(tmp_path, {"scene-0077": 1}, version="v1.0-test", labels=False, channels=("CAM_BACK",))
    frame = load_nuscenes(tmp_path, margin=1.0)[0]
    assert frame.labels is None
    (camera,) = frame.cameras
    assert camera.window == (1, SIZE[0] - 1, 1, SIZE[1] - 1)


# -- own scans ---------------------------------------------------------------------------------------------------------

CALIBRATION = """
cameras:
- name: front
  pictures: image_front
  size: [16, 10]
  projection: [[8, -10, 0, 0], [5, 0, -10, 0], [1, 0, 0, 0]]
- name: same
  pictures: image_same
  size: [16, 10]
  nearest: 0.5
  intrinsics: [[10, 0, 8], [0, 10, 5], [0, 0, 1]]
  extrinsics: [[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]
"""


def write_own(root: Path) -> None:
    for place, name in enumerate(("a/1", "a/2", "b/1")):
        rows = scan_rows(place, 12)
        write_floats(root / f"scans/{name}.bin", rows)
        (root / f"labels/{name}.label").parent.mkdir(parents=True, exist_ok=True)
        (root / f"labels/{name}.label").write_bytes(struct.pack("<12I", *[7, 3, 0] * 4))
        write_picture(root / f"image_front/{name}.png", place)
        write_picture(root / f"image_same/{name}.bmp", 10 + place)
    (root / "scans.yaml").write_text("columns: 4\n")
    (root / "labels.yaml").write_text("road: 7\ncar: [3, 4]\nignored: 0\n")
    (root / "calibration.yaml").write_text(CALIBRATION)
    (root / "poses").mkdir()
    (root / "poses/a.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n1 0 0 5 0 1 0 0 0 0 1 0\n")


def test_own_scans(tmp_path: Path) -> None:
    write_own(tmp_path)
    scans = load_scans("scans", tmp_path)
    assert scans.names == ("a/1", "a/2", "b/1")
    assert scans.sequences == ("a", "a", "b")
    assert scans.split("all").tolist() == [0, 1, 2]
    frame = scans[1]
    rows = np.array(scan_rows(1, 12))
    assert np.array_equal(frame.points, rows[:, :3])
    assert np.array_equal(frame.intensity, rows[:, 3])
    assert frame.labels is not None
    assert frame.labels.tolist() == [0, 1, -1] * 4
    assert frame.pose is not None
    assert frame.pose[:3, 3].tolist() == [5, 0, 0]
    assert scans[2].pose is None
    assert np.array_equal(frame.images[1], write_picture(tmp_path / "same.png", 11))
    assert np.array_equal(frame.cameras[0].projection, frame.cameras[1].projection)
    # 4 m ahead and 1 m to the left: 8 - 10 / 4; 1 m up: 5 - 10 / 4.
    found = project(np.array([[4.0, 1.0, 1.0]]), frame.cameras[0])
    assert (found.u[0], found.v[0], found.depth[0]) == (5.5, 2.5, 4.0)


def test_own_scans_in_splits(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("test", 2)):
        for place in range(count):
            rows = [[x, y, z] for x, y, z, _ in scan_rows(place, 5)]
            (tmp_path / split / "scans").mkdir(parents=True, exist_ok=True)
            np.save(tmp_path / split / "scans" / f"{place}.npy", np.array(rows))
    scans = load_scans("scans", tmp_path)
    assert scans.names == ("train/0", "train/1", "train/2", "test/0", "test/1")
    assert scans.split("test").tolist() == [3, 4]
    frame = scans[4]
    assert (frame.labels, frame.cameras, frame.pose, frame.sequence) == (None, (), None, "test")
    assert not frame.intensity.any()


def write_ply(file: Path, form: str, kind: str, rows: list[list[float]]) -> None:
    head = f"ply\nformat {form} 1.0\ncomment written for a test\nelement vertex {len(rows)}\n"
    head += "".join(f"property {kind} {name}\n" for name in ("x", "y", "z")) + "property uchar red\n"
    head += "property float intensity\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n"
    code = {"float": "f", "double": "d"}[kind]
    body = b""
    for x, y, z, intensity in rows:
        if form == "ascii":
            body += f"{x} {y} {z} 9 {intensity}\n".encode()
        else:
            body += struct.pack(f"<3{code}Bf", x, y, z, 9, intensity)
    body += b"3 0 1 2\n" if form == "ascii" else struct.pack("<B3i", 3, 0, 1, 2)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(head.encode() + body)


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian"])
@pytest.mark.parametrize("kind", ["float", "double"])
def test_ply(form: str, kind: str, tmp_path: Path) -> None:
    rows = scan_rows(3, 9)
    write_ply(tmp_path / "scans/1.ply", form, kind, rows)
    frame = load_scans("scans", tmp_path)[0]
    assert np.array_equal(frame.points, np.array(rows)[:, :3])
    assert np.array_equal(frame.intensity, np.array(rows)[:, 3])
    file = tmp_path / "scans/1.ply"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2 + 60])
    refused(load_scans("scans", tmp_path), r"1\.ply: is cut off")
    file.write_bytes(whole.replace(form.encode(), b"binary_big_endian"))
    refused(load_scans("scans", tmp_path), "of the format 'binary_big_endian'; write it as ascii")
    file.write_bytes(whole.replace(b" z\n", b" w\n"))
    refused(load_scans("scans", tmp_path), "need the properties x, y and z; there are: x, y, w")
    file.write_bytes(b"ply")
    refused(load_scans("scans", tmp_path), "has no PLY header")


def test_values_a_point_are_said_and_never_guessed(tmp_path: Path) -> None:
    write_floats(tmp_path / "scans/1.bin", scan_rows(0, 20, 5, 255.0))  # 100 values: also 25 points of 4
    with pytest.raises(
        InputError, match=r"scans\.yaml: must say how many float32 values .* 'columns: 4'.*'columns: 5'"
    ):
        load_scans("scans", tmp_path)
    (tmp_path / "scans.yaml").write_text("columns: 5\n")
    refused(load_scans("scans", tmp_path), r"1\.bin: intensities go from 0 to 255.*'intensity: 255'")
    (tmp_path / "scans.yaml").write_text("columns: 5\nintensity: 255\n")
    frame = load_scans("scans", tmp_path)[0]
    assert len(frame.points) == 20
    assert frame.intensity[:5].tolist() == [0, 0.25, 0.5, 0.75, 1]
    for text, told in {
        "columns: 3": "columns must be a whole number of at least 4",
        "columns: 5\nintensity: 0": "intensity must be a number above 0",
        "columns: 5\nscale: 2": "must have the keys columns, intensity, and no others",
    }.items():
        (tmp_path / "scans.yaml").write_text(text)
        with pytest.raises(InputError, match=told):
            load_scans("scans", tmp_path)


def test_own_scans_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        load_scans("scans", tmp_path / "nowhere")
    with pytest.raises(InputError, match="there is no scan in scans/"):
        load_scans("scans", tmp_path)
    write_own(tmp_path)
    label = tmp_path / "labels/a/1.label"
    label.write_bytes(struct.pack("<12I", *[7] * 11, 8))
    refused(load_scans("scans", tmp_path), r"1\.label: point 11 has the label 8, which labels\.yaml does not know")
    label.unlink()
    refused(load_scans("scans", tmp_path), r"a/1\.label: there are no labels of the scan 1\.bin")
    np.save(label.with_suffix(".npy"), np.array([7] * 12))
    assert load_scans("scans", tmp_path)[0].labels is not None
    np.save(label.with_suffix(".npy"), np.array([7.0] * 12))
    refused(load_scans("scans", tmp_path), r"1\.npy: must be \(points,\) whole numbers, not float64 \(12,\)")
    np.save(label.with_suffix(".npy"), np.array([object()]), allow_pickle=True)
    refused(load_scans("scans", tmp_path), "not an NPY file of plain numbers")
    np.save(label.with_suffix(".npy"), np.array([7] * 12))
    (tmp_path / "image_same/a/1.bmp").unlink()
    refused(load_scans("scans", tmp_path), "a/1: there is no picture of the camera same for this scan")
    write_picture(tmp_path / "image_same/a/1.bmp", 0, (17, 10))
    refused(load_scans("scans", tmp_path), "has 17 x 10 pixels, but the camera same 16 x 10; mend the calibration")
    (tmp_path / "poses/a.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n")
    write_picture(tmp_path / "image_same/a/1.bmp", 0)
    refused(load_scans("scans", tmp_path), r"poses/a\.txt: has 1 poses, but there are 2 scans")
    (tmp_path / "labels.yaml").unlink()
    with pytest.raises(InputError, match=r"there are labels but no labels\.yaml"):
        load_scans("scans", tmp_path)
    (tmp_path / "labels.yaml").write_text("road: 7\n")
    write_floats(tmp_path / "scans/a/1.npy", [])
    with pytest.raises(InputError, match="two scans of the name a/1"):
        load_scans("scans", tmp_path)
    (tmp_path / "scans/a/1.npy").unlink()
    (tmp_path / "calibration.yaml").unlink()
    with pytest.raises(InputError, match=r"image_front: holds pictures, but there is no .*calibration\.yaml"):
        load_scans("scans", tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("size: [16, 10]", "size: 16", "camera 1: size must be"),
        ("name: same", "name: front", "two cameras have the same name"),
        ("projection", "matrix", "camera 1: there is no key matrix"),
        ("  intrinsics: [[10, 0, 8], [0, 10, 5], [0, 0, 1]]\n", "", "camera 2: give its projection, or"),
        ("[0, 10, 5]", "[0, 10, .nan]", "camera 2: intrinsics must be 3 rows of 3 finite"),
        ("[0, 0, 0, 1]", "[0, 0, 1, 1]", "camera 2: extrinsics must be 3 rows of 4 finite"),
        ("  pictures: image_same\n", "", "camera 2: pictures is missing"),
        ("nearest: 0.5", "nearest: near", "camera 2: nearest must be"),
        ("cameras:", "camera:", "must have the keys cameras"),
    ],
)
def test_a_wrong_calibration(old: str, new: str, told: str, tmp_path: Path) -> None:
    write_own(tmp_path)
    assert old in CALIBRATION
    (tmp_path / "calibration.yaml").write_text(CALIBRATION.replace(old, new, 1))
    with pytest.raises(InputError, match=told) as caught:
        load_scans("scans", tmp_path)
    assert "calibration.yaml" in str(caught.value)


# -- all ---------------------------------------------------------------------------------------------------------------


def test_names_of_sets_are_no_other_tasks() -> None:
    known = segmentation_sets()
    assert {"semantickitti", "nuscenes", "scans"} <= set(known)
    assert not set(known) & {*metric_sets(), *reid_sets()}
    assert all(isinstance(one, SegmentationSet) for one in known.values())
    with pytest.raises(InputError, match="there is no set 'kitty': choose from"):
        load_scans("kitty", Path())


def test_the_digest_follows_names_sizes_and_classes(tmp_path: Path) -> None:
    write_own(tmp_path)
    before = digest(load_scans("scans", tmp_path))
    assert digest(load_scans("scans", tmp_path)) == before
    (tmp_path / "labels.yaml").write_text("road: 7\ncar: [3]\nignored: 0\n")
    assert digest(load_scans("scans", tmp_path)) != before
    (tmp_path / "labels.yaml").write_text("road: 7\ncar: [3, 4]\nignored: 0\n")
    assert digest(load_scans("scans", tmp_path)) == before
    (tmp_path / "calibration.yaml").write_text(CALIBRATION.replace("[8, -10, 0, 0]", "[8, -11, 0, 0]"))
    assert digest(load_scans("scans", tmp_path)) != before
    (tmp_path / "calibration.yaml").write_text(CALIBRATION)
    write_floats(tmp_path / "scans/b/1.bin", scan_rows(0, 13))
    assert digest(load_scans("scans", tmp_path)) != before
