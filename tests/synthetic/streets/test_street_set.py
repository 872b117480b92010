"""Making a set: both layouts read back by their byte layout, bytes, counts, refusals, interruptions, factors."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limbeck.cli import main
from limbeck.errors import InputError
from limbeck.synthetic.streets import (
    CLASSES,
    LABELS,
    PAIRS,
    StreetSettings,
    check_streets,
    draw_street,
    make_streets,
    read_factors,
    sheet,
)
from limbeck.synthetic.streets import make as making
from limbeck.synthetic.streets.table import FRAME_COLUMNS, OBJECT_COLUMNS

SMALL = StreetSettings(seed=3, scenes=4, frames=2, night=0.5, beams=8, azimuths=64, width=64, height=32, reach=40.0)
WORDS = ["--seed", "3", "--scenes", "3", "--frames", "1", "--beams", "4", "--azimuths", "32", "--width", "32",
         "--height", "16"]  # fmt: skip


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small set in each layout."""
    root = tmp_path_factory.mktemp("streets")
    return {layout: make_streets(root / layout, SMALL, layout).directory for layout in ("semantickitti", "nuscenes")}


def _matrix(line: str) -> np.ndarray:
    return np.array([float(word) for word in line.split()]).reshape(3, 4)


def test_scenes_have_the_sequences_of_semantickitti() -> None:
    assert StreetSettings(scenes=3).splits() == {"train": (0,), "validation": (8,), "test": (11,)}
    assert StreetSettings(scenes=10).splits() == {
        "train": (0, 1, 2, 3, 4, 5, 6),
        "validation": (8,),
        "test": (11, 12),
    }
    assert StreetSettings(scenes=22).splits() == {
        "train": (0, 1, 2, 3, 4, 5, 6, 7, 9, 10),
        "validation": (8,),
        "test": tuple(range(11, 22)),
    }
    for scenes in range(3, 23):
        numbers = StreetSettings(scenes=scenes).numbers()
        assert len(set(numbers)) == len(numbers) == scenes
    assert [SMALL.place(index) for index in (0, 3, 4, 7)] == [(0, 0), (1, 1), (8, 0), (11, 1)]


def test_the_files_of_semantickitti(made) -> None:
    folder = made["semantickitti"]
    assert {path.name for path in folder.iterdir()} == {"sequences", "streets.json", "factors.csv", "objects.csv"}
    assert {path.name for path in (folder / "sequences").iterdir()} == {"00", "01", "08", "11"}
    raw = {
        "road": 40, "sidewalk": 48, "terrain": 72, "building": 50, "fence": 51, "vegetation": 70, "pole": 80,
        "trunk": 71, "car": 10, "truck": 18, "bus": 13, "person": 30, "sign": 81,
    }  # fmt: skip
    for index in range(len(SMALL)):
        scene, number = SMALL.place(index)
        frame = draw_street(SMALL, index)
        home = folder / "sequences" / f"{scene:02d}"
        assert {path.name for path in home.iterdir()} == {
            "velodyne", "labels", "image_2", "calib.txt", "poses.txt", "times.txt",
        }  # fmt: skip
        scan = np.fromfile(home / "velodyne" / f"{number:06d}.bin", "<f4").reshape(-1, 4)
        np.testing.assert_array_equal(scan[:, :3], frame.points)
        np.testing.assert_array_equal(scan[:, 3], frame.intensity)
        label = np.fromfile(home / "labels" / f"{number:06d}.label", "<u4")
        assert [raw[CLASSES[k].name] for k in frame.labels] == (label & 0xFFFF).tolist()
        np.testing.assert_array_equal(label >> 16, frame.instances)
        counted = np.isin(frame.labels, [LABELS[name] for name in ("car", "truck", "bus", "person")])
        np.testing.assert_array_equal(frame.instances > 0, counted)
        with Image.open(home / "image_2" / f"{number:06d}.png") as picture:
            np.testing.assert_array_equal(np.asarray(picture), frame.images[0])
        lines = dict(line.split(": ") for line in (home / "calib.txt").read_text().splitlines())
        assert [*lines] == ["P0", "P1", "P2", "P3", "Tr"]
        from_lidar = np.vstack([_matrix(lines["Tr"]), [0, 0, 0, 1]])
        np.testing.assert_allclose(_matrix(lines["P2"]) @ from_lidar, frame.projections[0], rtol=1e-9, atol=1e-8)
        np.testing.assert_allclose(from_lidar[:3, :3] @ from_lidar[:3, :3].T, np.eye(3), atol=1e-9)
        assert len((home / "times.txt").read_text().splitlines()) == SMALL.frames
    poses = [_matrix(line) for line in (home / "poses.txt").read_text().splitlines()]
    np.testing.assert_allclose(poses[0], np.eye(4)[:3], atol=1e-9)
    assert np.linalg.norm(poses[1][:, 3]) == pytest.approx(SMALL.step, abs=1.5)
    assert poses[1][2, 3] > 8  # forward is the camera's z
    assert float((home / "times.txt").read_text().split()[1]) == pytest.approx(1.0)


def test_poses_lead_from_one_frame_to_the_next(made) -> None:
    """Tr^-1 pose Tr is the LiDAR's way from the first frame: between two places on the street, and two headings."""
    home = made["semantickitti"] / "sequences" / "00"
    lines = dict(line.split(": ") for line in (home / "calib.txt").read_text().splitlines())
    from_lidar = np.vstack([_matrix(lines["Tr"]), [0, 0, 0, 1]])
    pose = np.vstack([_matrix((home / "poses.txt").read_text().splitlines()[1]), [0, 0, 0, 1]])
    moved = np.linalg.inv(from_lidar) @ pose @ from_lidar
    first, second = (draw_street(SMALL, index).factors.shot.pose for index in (0, 1))
    turn = np.radians(second.yaw - first.yaw)
    np.testing.assert_allclose(moved[:2, :2], [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]], atol=1e-9)
    there = np.array([second.x - first.x, second.y - first.y])
    back = np.radians(-first.yaw)
    expected = np.array([[np.cos(back), -np.sin(back)], [np.sin(back), np.cos(back)]]) @ there
    np.testing.assert_allclose(moved[:3, 3], [*expected, 0], atol=1e-8)


def _quaternion(w: float, x: float, y: float, z: float) -> np.ndarray:
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def _from(row: dict) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = _quaternion(*row["rotation"]), row["translation"]
    return matrix


TABLES = (
    "category", "attribute", "visibility", "instance", "sensor", "calibrated_sensor", "ego_pose", "log", "scene",
    "sample", "sample_data", "sample_annotation", "map", "lidarseg",
)  # fmt: skip
FINE = {
    "road": 24, "sidewalk": 26, "terrain": 27, "building": 28, "fence": 9, "vegetation": 30, "pole": 28, "trunk": 30,
    "car": 17, "truck": 23, "bus": 16, "person": 2, "sign": 28,
}  # fmt: skip


@pytest.mark.parametrize(
    ("version", "names", "scenes"),
    [("v1.0-trainval", ["scene-0001", "scene-0002", "scene-0003"], [0, 1, 8]), ("v1.0-test", ["scene-0077"], [11])],
)
def test_the_files_of_nuscenes(made, version: str, names: list[str], scenes: list[int]) -> None:
    folder = made["nuscenes"]
    tables = {path.stem: json.loads(path.read_text()) for path in (folder / version).iterdir()}
    assert sorted(tables) == sorted(TABLES)
    by = {name: {row["token"]: row for row in rows} for name, rows in tables.items()}
    assert all(len(by[name]) == len(rows) for name, rows in tables.items())
    assert all(len(token) == 32 for rows in by.values() for token in rows)
    assert [row["name"] for row in tables["scene"]] == names
    assert [row["index"] for row in tables["category"]] == list(range(32))
    index = {row["name"]: row["index"] for row in tables["category"]}
    assert (index["noise"], index["flat.driveable_surface"], index["vehicle.ego"]) == (0, 24, 31)
    settings = replace(SMALL, cameras=6)
    seen = 0
    for name, scene in zip(names, scenes, strict=True):
        (row,) = [row for row in tables["scene"] if row["name"] == name]
        samples = [sample for sample in tables["sample"] if sample["scene_token"] == row["token"]]
        assert row["nbr_samples"] == len(samples) == SMALL.frames
        token, number = row["first_sample_token"], 0
        while token:
            frame = draw_street(settings, settings.numbers().index(scene) * SMALL.frames + number)
            data = {
                by["sensor"][by["calibrated_sensor"][one["calibrated_sensor_token"]]["sensor_token"]]["channel"]: one
                for one in tables["sample_data"]
                if one["sample_token"] == token
            }
            assert sorted(data) == sorted(["LIDAR_TOP", *(camera.name for camera in frame.cameras)])
            lidar = data["LIDAR_TOP"]
            _check_scan(folder, version, lidar, by, frame)
            chain = {
                channel: (_from(by["ego_pose"][one["ego_pose_token"]]), by["calibrated_sensor"][one[
                    "calibrated_sensor_token"]]) for channel, one in data.items()
            }  # fmt: skip
            scan = np.fromfile(folder / lidar["filename"], "<f4").reshape(-1, 5)
            points = np.column_stack([scan[:, :3], np.ones(len(scan))])
            ego, mounted = chain["LIDAR_TOP"]
            world = ego @ _from(mounted)
            for camera, projection in zip(frame.cameras, frame.projections, strict=True):
                ego, mounted = chain[camera.name]
                local = np.linalg.inv(ego @ _from(mounted)) @ world @ points.T
                pixels = np.array(mounted["camera_intrinsic"]) @ local[:3]
                expected = projection @ np.column_stack([frame.points, np.ones(len(scan))]).T
                np.testing.assert_allclose(pixels, expected, atol=1e-5 * np.abs(expected).max())
                with Image.open(folder / data[camera.name]["filename"]) as picture:
                    assert picture.format == "JPEG"
                    decoded = np.asarray(picture).astype(int)
                assert np.abs(decoded - frame.images[frame.cameras.index(camera)]).mean() < 12
                assert data[camera.name]["width"] == SMALL.width
            token, number = by["sample"][token]["next"], number + 1
            seen += 1
        assert number == SMALL.frames
    assert seen == len(names) * SMALL.frames


def _check_scan(folder: Path, version: str, lidar: dict, by: dict, frame) -> None:
    assert lidar["filename"].startswith("samples/LIDAR_TOP/")
    assert lidar["filename"].endswith(".pcd.bin")
    scan = np.fromfile(folder / lidar["filename"], "<f4").reshape(-1, 5)
    np.testing.assert_array_equal(scan[:, 0], -frame.points[:, 1])
    np.testing.assert_array_equal(scan[:, 1:3], frame.points[:, [0, 2]])
    np.testing.assert_allclose(scan[:, 3] / 255, frame.intensity, atol=1e-6)
    np.testing.assert_array_equal(scan[:, 4], frame.ring)
    (row,) = [row for row in by["lidarseg"].values() if row["sample_data_token"] == lidar["token"]]
    assert row["filename"] == f"lidarseg/{version}/{lidar['token']}_lidarseg.bin"
    labels = np.fromfile(folder / row["filename"], np.uint8)
    assert labels.tolist() == [FINE[CLASSES[k].name] for k in frame.labels]


@pytest.mark.parametrize("layout", ["semantickitti", "nuscenes"])
def test_same_seed_same_bytes_whatever_the_workers(made, layout: str, tmp_path: Path) -> None:
    make_streets(tmp_path / "again", SMALL, layout)
    assert _digests(tmp_path / "again") == _digests(made[layout])


@pytest.mark.slow
def test_two_processes_write_the_same(made, tmp_path: Path) -> None:
    done: list[tuple[int, int]] = []
    made_here = make_streets(tmp_path / "two", SMALL, workers=2, progress=lambda at, of: done.append((at, of)))
    assert done == [(k, 8) for k in range(1, 9)]
    assert _digests(tmp_path / "two") == _digests(made["semantickitti"])
    assert (made_here.frames, made_here.scenes) == (8, 4)
    scans = (tmp_path / "two").rglob("*.bin")
    assert made_here.points == sum(path.stat().st_size // 16 for path in scans)


def test_a_frame_does_not_depend_on_how_many_others_there_are(made, tmp_path: Path) -> None:
    make_streets(tmp_path / "fewer", replace(SMALL, scenes=3, frames=1))
    whole = _digests(made["semantickitti"])
    alike = {path: digest for path, digest in _digests(tmp_path / "fewer").items() if "/0000" in path}
    assert len(alike) == 9
    assert {path: whole[path] for path in alike} == alike
    make_streets(tmp_path / "other", replace(SMALL, seed=4))
    other = _digests(tmp_path / "other")
    assert all(other[path] != whole[path] for path in alike if "velodyne" in path)


def test_scenes_show_different_streets() -> None:
    first = [draw_street(SMALL, index * SMALL.frames) for index in range(4)]
    assert len({frame.factors.scene for frame in first}) == 4
    assert len({frame.points.tobytes() for frame in first}) == 4


def test_pairs_share_reflectance_and_are_declared_once() -> None:
    assert PAIRS == {
        ("sidewalk", "terrain"): "colour",
        ("pole", "trunk"): "colour",
        ("truck", "bus"): "shape",
        ("person", "sign"): "shape",
    }
    kinds = {known.name: known for known in CLASSES}
    for known in CLASSES:
        assert (known.told_by == "both") == (known.partner == "")
        if known.partner:
            other = kinds[known.partner]
            assert (other.partner, other.told_by, other.reflectance) == (known.name, known.told_by, known.reflectance)
            assert other.semantickitti != known.semantickitti
            assert other.nuscenes != known.nuscenes


@pytest.mark.parametrize("layout", ["semantickitti", "nuscenes"])
def test_a_frame_is_drawn_again_from_its_rows(made, layout: str) -> None:
    factors = read_factors(made[layout])
    assert list(factors.frames) == list(FRAME_COLUMNS)
    assert list(factors.objects) == list(OBJECT_COLUMNS)
    assert len(factors) == len(SMALL)
    settings = factors.settings
    for row in (0, 3, 7):
        drawn, again = draw_street(settings, row), factors.render(row)
        assert again.factors == drawn.factors
        assert (again.scene, again.frame) == (drawn.scene, drawn.frame)
        np.testing.assert_array_equal(again.points, drawn.points)
        np.testing.assert_array_equal(again.labels, drawn.labels)
        np.testing.assert_array_equal(again.images, drawn.images)
        assert (made[layout] / factors.frames["path"][row]).is_file()
    assert factors.frames["split"].tolist() == ["train"] * 4 + ["validation"] * 2 + ["test"] * 2


def test_the_description_says_what_is_there(made) -> None:
    described = json.loads((made["nuscenes"] / "streets.json").read_text())
    assert described["layout"] == "nuscenes"
    assert described["settings"] == vars(replace(SMALL, cameras=6))
    assert described["parts"] == {"train": [0, 1], "validation": [8], "test": [11]}
    assert [known["name"] for known in described["classes"]] == list(LABELS)
    night = read_factors(made["nuscenes"]).frames["shot.light.night"].reshape(4, 2).sum(1)
    assert list(described["frames_at_night"].values()) == night.tolist()


def test_what_is_missing_or_added_is_named(tmp_path: Path) -> None:
    for layout, name in (("semantickitti", "sequences/08/labels/000001.label"), ("nuscenes", "v1.0-test/map.json")):
        folder = make_streets(tmp_path / layout, SMALL, layout).directory
        assert check_streets(folder) == []
        (folder / name).unlink()
        (folder / "more.txt").touch()
        missing, added = check_streets(folder)
        assert name in missing
        assert ("scene 8, frame 1" in missing) == (layout == "semantickitti")
        assert "more.txt" in added
    (folder / "streets.json").write_text("{}")
    with pytest.raises(InputError, match="streets"):
        check_streets(folder)


def test_damaged_tables_are_refused(made, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="make it with"):
        read_factors(tmp_path)
    for name in ("streets.json", "factors.csv", "objects.csv"):
        (tmp_path / name).write_bytes((made["nuscenes"] / name).read_bytes())
    assert len(read_factors(tmp_path)) == 8
    described = (tmp_path / "streets.json").read_text()
    (tmp_path / "streets.json").write_text(described.replace('"format": 1', '"format": 0'))
    with pytest.raises(InputError, match="format 0"):
        read_factors(tmp_path)
    (tmp_path / "streets.json").write_text(described)
    (tmp_path / "objects.csv").write_text((tmp_path / "objects.csv").read_text() + "1,2\n")
    with pytest.raises(InputError, match="2 cells"):
        read_factors(tmp_path)


def test_an_interruption_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(making, "_draw", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_streets(tmp_path / "new", SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"scenes": 2}, "scenes"),
        ({"scenes": 23}, "scenes"),
        ({"night": 1.5}, "night"),
        ({"cameras": 7}, "cameras"),
        ({"lowest": 5.0, "highest": 4.0}, "lowest"),
        ({"dropout": 1.0}, "dropout"),
        ({"beams": 1}, "beams"),
        ({"step": 0.0}, "step"),
        ({"reach": float("nan")}, "reach"),
    ],
)
def test_bad_settings_are_refused(wrong: dict[str, float], word: str) -> None:
    with pytest.raises(InputError, match=word):
        StreetSettings(**wrong)


@pytest.mark.parametrize("index", [-1, 8, 1.5, True])
def test_a_frame_that_does_not_exist_is_refused(index) -> None:
    with pytest.raises(InputError, match="index"):
        draw_street(SMALL, index)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., None]) -> None:
    for layout in ("semantickitti", "nuscenes"):
        target = tmp_path / layout
        words = ["data", "make", "streets", str(target), "--layout", layout, "--workers", "1", *WORDS]
        assert main(words) == 0
        assert "3 frames of 3 scenes" in capsys.readouterr().out
        assert check_streets(target) == []
    make = ["data", "make", "streets"]
    refused([*make, tmp_path], "not empty")
    refused([*make, "new", "--layout", "kitti"], "layout", "kitti")
    refused([*make, "new", "--night", "2"], "night")
    refused([*make, "new", "--cameras", "6"], "cameras must be 1", "semantickitti")
    refused([*make, "new", "--workers", "0"], "workers")


def test_large_sensors_draw(tmp_path: Path) -> None:
    settings = StreetSettings(scenes=3, frames=1, beams=64, azimuths=2048, width=1242, height=375)
    frame = draw_street(settings, 0)
    assert 80_000 < len(frame.points) < 131_072
    assert frame.images[0].shape == (375, 1242, 3)


def test_the_default_has_ten_to_twenty_thousand_points() -> None:
    counts = [len(draw_street(StreetSettings(seed=seed), 0).points) for seed in range(4)]
    assert min(counts) > 10_000
    assert max(counts) < 20_000


def test_the_sheet_shows_every_frame() -> None:
    page = sheet(SMALL, [(0, 0, False), (0, 0, True), (8, 1, False)])
    assert page.shape[0] == 3 * 36
    assert page[:36, :68].mean() > 2 * page[36:72, :68].mean() - 60  # by night it is darker
    np.testing.assert_array_equal(page[4:36, -64:], page[40:72, -64:])  # from above nothing changes
