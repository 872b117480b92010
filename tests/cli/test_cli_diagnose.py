"""`limbeck diagnose` from the shell's side: features, sets, trained models; and what it refuses."""

import json

import numpy as np
import pytest

from limbeck.cli import main
from limbeck.multiview.data import assemble, save, stratified_folds

TINY = ["--recipe.epochs", "2", "--recipe.encoder", "[16,8]", "--recipe.representation", "4"]


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """An NPZ of features: a bit in both views, and one in each."""
    rng = np.random.default_rng(0)
    shared, first, second = rng.integers(2, size=(3, 200))
    z = [np.stack([shared, own], axis=1) + 0.1 * rng.normal(size=(200, 2)) for own in (first, second)]
    path = tmp_path_factory.mktemp("features") / "features.npz"
    np.savez(path, z_0=z[0], z_1=z[1], v_0=z[0], v_1=z[1], y=shared + 2 * first, view_names=["left", "right"])
    return path


@pytest.fixture(scope="module")
def multiview(tmp_path_factory):
    """A multi-view set in which some samples lack a view, and a run trained on it."""
    folder = tmp_path_factory.mktemp("multiview")
    rng = np.random.default_rng(0)
    y = np.arange(240) % 3
    views = {name: np.eye(3)[y] + 0.3 * rng.normal(size=(240, 3)) for name in ("sound", "sight")}
    views["sight"][:12] = np.nan
    data = assemble("made", views, y, folds=stratified_folds(y, 1))
    save(data, folder / "made.npz")
    for objective in ("mv2d", "cib"):
        words = ["train", "multiview", "--data", str(folder / "made.npz"), "--out", str(folder / objective)]
        logged = ["--information-epochs", "2"] * (objective == "mv2d")
        assert main([*words, *TINY, "--recipe.objective", objective, *logged]) == 0
    return folder


@pytest.mark.slow
def test_features_get_a_table_and_a_folder(features, tmp_path, capsys):
    assert main(["diagnose", str(features), "--probe_folds", "2", "--out", str(tmp_path / "report")]) == 0
    out = capsys.readouterr().out
    assert "only in this view" in out
    assert "left" in out
    found = json.loads((tmp_path / "report" / "diagnosis.json").read_text())
    assert found["views"][0]["specific"]["nats"] == pytest.approx(np.log(2), abs=0.05)
    assert found["views"][1]["specific"]["nats"] == pytest.approx(0, abs=0.02)
    assert f"Diagnosis of {features}" in (tmp_path / "report" / "index.html").read_text()


@pytest.mark.slow
def test_a_set_is_diagnosed_as_it_is(multiview, capsys):
    assert main(["diagnose", str(multiview / "made.npz"), "--probe_folds", "2"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("228 samples of 3 classes")
    assert "I(v;y)" not in out


@pytest.mark.slow
def test_a_multiview_run_is_diagnosed(multiview, capsys):
    made = ["--probe_folds", "2", "--data", str(multiview / "made.npz"), "--split", "all"]
    assert main(["diagnose", str(multiview / "mv2d"), *made]) == 0
    out = capsys.readouterr().out
    assert "gap I(v;y) - I(z;y)" in out
    assert "I(z;v)" not in out  # infinite
    assert main(["diagnose", str(multiview / "cib" / "model.safetensors"), *made]) == 0
    assert "I(z;v) held of v at all" in capsys.readouterr().out


@pytest.mark.slow
def test_training_logs_the_information(multiview):
    lines = (multiview / "mv2d" / "information.csv").read_text().splitlines()
    assert lines[0].startswith("step,name,nats,low,high,entropy")
    assert {line.split(",")[1] for line in lines[1:]} >= {"v sound", "z sound", "v sight", "z sight"}
    assert (multiview / "mv2d" / "information.png").is_file()


@pytest.mark.slow
def test_a_reid_run_is_diagnosed(small_run, tmp_path, capsys):
    assert main(["diagnose", str(small_run), "--probe_folds", "2", "--out", str(tmp_path / "report")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("20 samples of 5 classes")  # 4 infrared pictures of each, with as many visible ones
    assert "visible searches infrared" in out
    assert (tmp_path / "report" / "venn.png").is_file()
    assert main(["diagnose", str(small_run), "--probe_folds", "2", "--branch", "specific"]) == 0


@pytest.mark.slow
def test_refusals(features, multiview, tmp_path, refused):
    refused(["diagnose", tmp_path / "absent.npz"], "absent.npz", "no such file")
    refused(["diagnose", tmp_path], "holds no model.safetensors")
    refused(["diagnose", features, "--probe", "tree"], "probe must be one of linear, mlp")
    for option, value in (("data", "digits"), ("split", "test"), ("fold", "1"), ("branch", "specific")):
        refused(["diagnose", features, f"--{option}", value], f"--{option} is not for", "leave it out")
    refused(["diagnose", features, "--probe_folds", "300"], "folds must be at most the number of samples, 200")
    refused(["diagnose", multiview / "made.npz", "--split", "best"], "choose one of train")
    refused(["diagnose", multiview / "mv2d", "--data", features], "'view_0'")
    np.savez(tmp_path / "nan.npz", z_0=np.full((9, 2), np.nan), y=np.arange(9) % 2)
    refused(["diagnose", tmp_path / "nan.npz"], "nan.npz", "NaN")
    np.savez(tmp_path / "one.npz", z_0=np.random.default_rng(0).normal(size=(9, 2)), y=np.zeros(9, int))
    refused(["diagnose", tmp_path / "one.npz"], "one.npz", "at least two classes")


def test_a_folder_that_cannot_be_made_is_known_before_the_work(features, tmp_path, refused):
    (tmp_path / "file").write_text("kept")
    refused(["diagnose", features, "--out", tmp_path / "file"], "file")
    assert (tmp_path / "file").read_text() == "kept"


def test_the_table_is_printed_even_where_the_report_cannot_be_written(features, tmp_path, capsys, monkeypatch):
    def full(path, value):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("limbeck.information.diagnosis.report.write_json", full)
    with pytest.raises(SystemExit) as caught:
        main(["diagnose", str(features), "--probe_folds", "2", "--out", str(tmp_path / "report")])
    out, err = capsys.readouterr()
    assert caught.value.code == 2
    assert "only in this view" in out
    assert err.count("\n") == 1
    assert "No space left" in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("study", "options", "page"),
    [
        ("estimators", ["--seeds", "1", "--samples", "200", "--tasks", "[normal]", "--estimators", "[ksg]"], "normal"),
        (
            "fitting",
            [
                *("--widths", "[2]", "--objectives", "[none]", "--measured", "[1]", "--folds", "1"),
                *("--probe_folds", "2"),
                "--recipe.epochs",
                "2",
            ],
            "made",
        ),
        (
            "diagnosis",
            ["--rows", "[E+B,E+B+MV2D]", "--folds", "1", "--probe_folds", "2", "--recipe.epochs", "2"],
            "made",
        ),
    ],
)
def test_studies_write_their_settings_a_table_and_a_page(multiview, tmp_path, capsys, study, options, page):
    data = ["--data", f"[{multiview / 'made.npz'}]"] if study != "estimators" else []
    assert main(["study", study, *options, *data, "--out", str(tmp_path)]) == 0
    assert "Written: " in capsys.readouterr().out
    assert (tmp_path / "settings.yaml").is_file()
    assert page in (tmp_path / "index.html").read_text()


def test_studies_refuse_what_they_do_not_know(refused, tmp_path):
    refused(["study", "estimators", "--tasks", "[unknown]", "--out", tmp_path], "unknown")
    refused(["study", "fitting", "--data", "[absent.npz]", "--out", tmp_path], "absent.npz")
    refused(["study", "diagnosis", "--rows", "[E+D]", "--out", tmp_path], "E+D")
