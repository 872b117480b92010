"""What the command says of sets of scans, and how it packs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.segmentation.sets.test_segmentation_sets import write_own
from tests.segmentation.writers import write_kitti, write_nuscenes

from limbeck.cli import main
from limbeck.errors import InputError
from limbeck.segmentation.check import check_scans
from limbeck.segmentation.sets import SegmentationSet, segmentation_sets


def said(words: list[object], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    main([str(word) for word in words])
    return capsys.readouterr().out


def test_sets_are_listed_and_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = said(["data", "list"], capsys)
    assert all(name in listed for name in segmentation_sets())
    write_kitti(tmp_path, {"00": [20, 30], "08": [20]})
    told = said(["data", "describe", "semantickitti", tmp_path], capsys)
    assert "3 scans" in told
    assert "19 classes: car, bicycle" in told
    assert "image_2 (16 x 10)" in told
    assert "scored by: semantickitti" in told
    assert "00/000000: 20 points, 70.0% of a known class" in told


def test_sets_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., None]) -> None:
    write_own(tmp_path)
    told = said(["data", "check", "scans", tmp_path], capsys)
    assert "3 scans as in its folder, all of them readable, 3 with labels, 6 pictures" in told
    assert "readable" not in said(["data", "check", "scans", tmp_path, "--decode", "false"], capsys)
    (tmp_path / "labels/a/1.label").write_bytes(b"1")
    (tmp_path / "image_front/b/1.png").write_bytes(b"1")
    refused(["data", "check", "scans", tmp_path], "2 of 3 scans cannot be used: ", "1.label", "1.png")
    write_kitti(tmp_path / "kitti", {"00": [20]})
    refused(
        ["data", "check", "semantickitti", tmp_path / "kitti"],
        "train: 1 scans, expected 19,130; validation: 0 scans, expected 4,071; test: 0 scans, expected 20,351",
    )
    write_nuscenes(tmp_path / "nuscenes", {"scene-0061": 1}, channels=())
    refused(["data", "check", "nuscenes", tmp_path / "nuscenes"], "1 scans, expected 404")


@pytest.mark.slow
def test_the_official_counts_are_accepted(tmp_path: Path) -> None:
    drives = {"00": 19000, "10": 130, "08": 4071, "11": 20000, "21": 351}
    for number, count in drives.items():
        home = tmp_path / "sequences" / number / "velodyne"
        home.mkdir(parents=True)
        for place in range(count):
            (home / f"{place:06d}.bin").touch()
    told = check_scans("semantickitti", tmp_path, decode=False)
    assert told == f"{tmp_path}: 43,552 scans as in the official counts"
    with pytest.raises(InputError, match=r"43552 of 43552 scans cannot be used: .*000000\.bin: the scan is empty"):
        check_scans("semantickitti", tmp_path)


def test_the_counts_of_the_small_nuscenes_are_accepted(tmp_path: Path) -> None:
    write_nuscenes(tmp_path, {"scene-0061": 323, "scene-0103": 81}, channels=(), points=2)
    assert "404 scans as in the official counts, all of them readable" in check_scans("nuscenes", tmp_path)


def test_packing(tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., None]) -> None:
    write_own(tmp_path / "own")
    target = tmp_path / "packed"
    told = said(["segmentation", "pack", "scans", tmp_path / "own", target, "--size", "[5, 8]"], capsys)
    assert told.startswith(f"Written: {target}: 3 scans of 36 points")
    told = said(["data", "describe", "scans-packed", target], capsys)
    assert "front (8 x 5), same (8 x 5)" in told
    assert "readable" in said(["data", "check", "scans-packed", target], capsys)
    refused(["segmentation", "pack", "scans", tmp_path / "own", target], "exists already")
    refused(["segmentation", "pack", "people", tmp_path / "own", tmp_path / "x"], "there is no set 'people'")
    said(["segmentation", "pack", "scans", tmp_path / "own", tmp_path / "side", "--size", "5"], capsys)
    assert "front (8 x 5)" in said(["data", "describe", "scans-packed", tmp_path / "side"], capsys)


def test_another_package_adds_a_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from limbeck import registry
    from limbeck.segmentation.sets.folder import load_folder

    monkeypatch.setattr(registry, "_registered", [])
    registry.register(SegmentationSet("mine", "my own", load_folder, None))
    write_own(tmp_path)
    assert "3 scans as in its folder" in check_scans("mine", tmp_path)
