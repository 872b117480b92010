"""Streets in the layout of one's own scans: the reader of the set `scans` gives back what was drawn."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from limbeck.cli import main
from limbeck.errors import InputError
from limbeck.segmentation.sets import load_scans
from limbeck.synthetic.streets import CLASSES, PAIRS, StreetSettings, check_streets, draw_street, make_streets
from limbeck.synthetic.streets.frame import pose_matrix

SMALL = StreetSettings(seed=3, scenes=4, frames=2, beams=8, azimuths=64, width=32, height=24, cameras=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("scans") / "streets"
    assert make_streets(target, SMALL, "scans").frames == 8
    return target


def test_the_reader_gives_back_what_was_drawn(folder: Path) -> None:
    read = load_scans("scans", folder)
    assert read.labels.classes == tuple(known.name for known in CLASSES)
    assert all(word in read.labels.classes for pair in PAIRS for word in pair)
    places = {}
    for index in range(len(SMALL)):
        scene, frame = SMALL.place(index)
        part = next(part for part, numbers in SMALL.splits().items() if scene in numbers)
        places[f"{part}/{scene:02d}/{frame:06d}"] = index
    assert sorted(read.names) == sorted(places)
    for part, members in read.splits.items():
        assert {read.names[place].split("/")[0] for place in members} == {part}
        assert len(members) == 2 * len(SMALL.splits()[part])
    mountings = set()
    for position, name in enumerate(read.names):
        found, drawn = read.frame(position), draw_street(SMALL, places[name])
        np.testing.assert_array_equal(found.points, drawn.points)
        np.testing.assert_array_equal(found.intensity, drawn.intensity)
        np.testing.assert_array_equal(found.labels, drawn.labels)
        assert found.sequence == name.rsplit("/", 1)[0]
        assert [camera.name for camera in found.cameras] == [camera.name for camera in drawn.cameras]
        for image, camera, truth, projection in zip(
            found.images, found.cameras, drawn.images, drawn.projections, strict=True
        ):
            np.testing.assert_array_equal(image, truth)
            np.testing.assert_array_equal(camera.projection, projection)
            assert (camera.width, camera.height, camera.nearest) == (32, 24, 0)
        np.testing.assert_array_equal(found.pose, pose_matrix(drawn.factors.shot.pose, SMALL.mounting))
        mountings.add(found.cameras[0].projection.tobytes())
    assert len(mountings) == SMALL.scenes  # every scene has a calibration of its own


def test_the_folder_is_whole_and_what_is_missing_is_named(folder: Path, tmp_path: Path) -> None:
    assert check_streets(folder) == []
    target = tmp_path / "own"
    make_streets(target, replace(SMALL, scenes=3, frames=1), "scans")
    (target / "train/calibration/00.yaml").unlink()
    assert check_streets(target) == ["train/calibration/00.yaml is missing"]
    with pytest.raises(InputError, match=r"cam_\w+: holds pictures, but there is no .*calibration\.yaml or .*00\.yaml"):
        load_scans("scans", target)
    shared = yaml.safe_load((target / "test/calibration/11.yaml").read_text())
    (target / "calibration.yaml").write_text(yaml.safe_dump(shared))  # of all drives that have none of their own
    read = load_scans("scans", target)
    by_name = {name: read.frame(place).cameras[0].projection for place, name in enumerate(read.names)}
    np.testing.assert_array_equal(by_name["train/00/000000"], by_name["test/11/000000"])
    assert (by_name["validation/08/000000"] != by_name["test/11/000000"]).any()


@pytest.mark.slow
def test_any_number_of_cameras(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--scenes", "3", "--frames", "1", "--beams", "4", "--azimuths", "32", "--width", "16", "--height", "16"]
    for cameras in (None, 2, 6):
        words = few if cameras is None else [*few, "--cameras", str(cameras)]
        target = tmp_path / f"{cameras}"
        assert main(["data", "make", "streets", str(target), "--layout", "scans", "--workers", "1", *words]) == 0
        assert len(load_scans("scans", target).frame(0).cameras) == (cameras or 1)
    capsys.readouterr()
    assert main(["data", "check", "scans", str(tmp_path / "2")]) == 0
    assert "6 pictures" in capsys.readouterr().out
    with pytest.raises(InputError, match="cameras"):
        replace(SMALL, cameras=7)
    with pytest.raises(InputError, match="cameras must be 6 in the layout nuscenes, not 3"):
        make_streets(tmp_path / "x", SMALL, "nuscenes")
