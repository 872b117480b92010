"""The command on sets of people and on embeddings: happy paths, and one line for every mistake."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.reid.sets.folders import make_permutations, make_sysu
from tests.retrieval.test_protocols import sysu_like

from limbeck.cli import main
from limbeck.retrieval.features import Features, save_features

SMALL = ["--train_identities", "2", "--validation_identities", "1", "--test_identities", "3", "--height", "32"]
SMALL += ["--width", "16", "--images-per-camera", "2", "--workers", "1"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def features(tmp_path: Path) -> Path:
    save_features(sysu_like(), tmp_path / "features.npz")
    return tmp_path / "features.npz"


@pytest.mark.parametrize("layout", ["sysu", "regdb", "csv"])
def test_people_are_made_checked_and_described(layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "people"
    assert main(["data", "make", "people", str(target), "--layout", layout, *SMALL]) == 0
    assert "6 people" in capsys.readouterr().out
    place = str(target / "people.csv") if layout == "csv" else str(target)
    assert main(["data", "check", layout, place]) == 0
    assert "readable" in capsys.readouterr().out
    assert main(["data", "describe", layout, place]) == 0
    assert "infrared" in capsys.readouterr().out


def test_tampered_people_are_named(tmp_path: Path, refused: Callable[..., None]) -> None:
    target = tmp_path / "people"
    assert main(["data", "make", "people", str(target), *SMALL]) == 0
    (target / "cam3/0002/0002.jpg").unlink()
    (target / "cam3/0002/0007.jpg").write_bytes(b"")
    refused(
        ["data", "check", "sysu", target],
        "identity 2, camera 3: cam3/0002/0002.jpg is missing",
        "0007.jpg was not drawn",
    )
    (target / "cam3/0002/0007.jpg").rename(target / "cam3/0002/0002.jpg")
    refused(["data", "check", "sysu", target], "0002.jpg: is empty")
    (target / "people.json").write_text("{}")
    refused(["data", "check", "sysu", target], "people.json")


def test_features_are_scored(features: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(features), "--protocol", "sysu", "--out", "report"]) == 0
    out = capsys.readouterr().out
    assert "sysu-indoor-multi" in out
    assert "gallery sampler agw" in out
    assert "no re-ranking" in out
    figures = json.loads((tmp_path / "report" / "figures.json").read_text())["evaluations"]
    assert (tmp_path / "report" / "index.html").is_file()
    assert [one["protocol"] for one in figures] == [
        "sysu-all-single",
        "sysu-all-multi",
        "sysu-indoor-single",
        "sysu-indoor-multi",
    ]
    assert main(["evaluate", str(features), str(features), "--protocol", "regdb", "--similarity", "euclidean"]) == 0
    assert "euclidean similarity" in capsys.readouterr().out
    assert main(["evaluate", str(features), "--protocol", "llcm-i2v", "--rerank", "true"]) == 0
    assert "k-reciprocal" in capsys.readouterr().out


def test_the_official_galleries(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = sysu_like()
    save_features(given, "features.npz")
    cells = {(int(c), int(i)): 12 for c, i in zip(given.camera, given.identity, strict=True)}
    make_permutations(tmp_path / "rand_perm_cam.mat", cells, 6)
    assert main(["evaluate", "features.npz", "--protocol", "sysu-all", "--permutations", "rand_perm_cam.mat"]) == 0
    assert "gallery sampler matlab" in capsys.readouterr().out


def test_official_folders_are_compared_with_official_counts(tmp_path: Path, refused: Callable[..., None]) -> None:
    parts = {"train": [1], "validation": [2], "test": [3]}
    make_sysu(tmp_path / "sysu", parts, {(camera, identity): 2 for camera in range(1, 7) for identity in (1, 2, 3)})
    refused(["data", "check", "sysu", tmp_path / "sysu"], "train: 1 identities are listed, expected 296")


def test_mistakes_are_one_line(features: Path, tmp_path: Path, refused: Callable[..., None]) -> None:
    given = sysu_like()
    bare = Features.from_arrays(given.feature, given.identity, modality=given.modality)
    save_features(bare, "bare.npz")
    np.savez("nan.npz", feature=np.full((2, 2), np.nan), identity=[1, 2])
    np.savez("one.npz", feature=np.eye(2), identity=[1, 1], modality=[0, 0])
    np.savez("alone.npz", feature=np.eye(2), identity=[1, 2], modality=[0, 1])
    protocol = ["--protocol", "sysu"]
    refused(["evaluate", "bare.npz", *protocol], "bare.npz", "'camera'")
    refused(["evaluate", "nan.npz", "--protocol", "regdb"], "nan.npz", "NaN", "first: 0")
    refused(["evaluate", "one.npz", "--protocol", "regdb-i2v"], "one.npz", "empty query")
    refused(["evaluate", "one.npz", "--protocol", "regdb-v2i"], "one.npz", "empty gallery")
    refused(["evaluate", "alone.npz", "--protocol", "cross-v2i"], "no query with a match")
    refused(["evaluate", features, "--protocol", "sisu"], "'sisu'", "sysu-all-single")
    refused(["evaluate", features], "--protocol")
    refused(["evaluate", features, *protocol, "--similarity", "manhattan"], "manhattan")
    refused(["evaluate", features, *protocol, "--device", "abacus"], "abacus")
    refused(["evaluate", features, *protocol, "--permutations", "none.mat"], "none.mat")
    refused(["evaluate", features, "--protocol", "regdb", "--permutations", "none.mat"], "none.mat")
    refused(["evaluate", "none.npz", *protocol], "none.npz")
    refused(["data", "check", "market", tmp_path], "'market'")
    refused(["data", "check", "sysu", tmp_path / "nowhere"], "nowhere")
    refused(["data", "describe", "regdb", tmp_path], "idx")
    refused(["data", "make", "people", tmp_path], "not empty")
    refused(["data", "make", "people", "new", "--layout", "llcm"], "layout", "llcm")
    refused(["data", "make", "people", "new", "--height", "0"], "height")
    assert not Path("new").exists()


def test_a_full_disk_keeps_the_old_figures(features: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("report").mkdir()
    Path("report/figures.json").write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "report/figures.json")

    monkeypatch.setattr("limbeck.files.os.fsync", full)
    with pytest.raises(SystemExit):
        main(["evaluate", str(features), "--protocol", "regdb", "--out", "report"])
    assert Path("report/figures.json").read_text() == "old"
