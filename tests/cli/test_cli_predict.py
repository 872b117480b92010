"""`limbeck predict`, and what evaluate and diagnose take a run to be trained on, started as a user would."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from limbeck import MultiViewClassifier
from limbeck.cli import main
from limbeck.csvfiles import write_csv
from limbeck.multiview.data import assemble, save
from limbeck.multiview.tables import read_table

TINY = ["--recipe.encoder", "[16, 8]", "--recipe.representation", "4", "--recipe.epochs", "6", "--recipe.batch_size"]
NAMES = ("ant", "bee", "cat")
RNG = np.random.default_rng(0)
Y = np.arange(120) % 3
SOUND = (np.eye(3)[Y] @ RNG.normal(size=(3, 4)) + 0.5 * RNG.normal(size=(120, 4))).astype(np.float32)
SIGHT = (np.eye(3)[Y] @ RNG.normal(size=(3, 5)) + 0.5 * RNG.normal(size=(120, 5))).astype(np.float32)
SIGHT[:10] = np.nan
FOLDS = np.array([([0] * 7 + [1, 1, 2]) * 12], np.int8)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a set, `animals.npz`, and a run on it, `run`; tests read it and leave it as it is."""
    folder = tmp_path_factory.mktemp("predict")
    views = {"sound": SOUND, "sight": SIGHT}
    save(assemble("animals", views, Y, class_names=NAMES, folds=FOLDS), folder / "animals.npz")
    words = ["train", "multiview", "--data", str(folder / "animals.npz"), "--out", str(folder / "run")]
    assert main([*words, *TINY, "16"]) == 0
    return folder


def _predict(place: Path, out: Path, *flags: str, data: str = "animals.npz") -> pd.DataFrame:
    assert main(["predict", str(place / "run"), str(place / data), "--out", str(out), *flags]) == 0
    return pd.read_csv(out, keep_default_na=False)


def test_predictions_are_those_of_the_model(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = _predict(place, tmp_path / "p.csv")
    columns = ["sample", "label", "class", "abstained", "missing", "p_ant", "p_bee", "p_cat"]
    assert list(table.columns) == columns
    model = MultiViewClassifier.load(place / "run" / "model.safetensors")
    views = {"sound": SOUND, "sight": SIGHT}
    np.testing.assert_allclose(table[columns[-3:]], model.predict_proba(views), rtol=1e-12)
    assert list(table["class"]) == list(model.predict(views))
    assert list(table["label"]) == [NAMES[label] for label in Y]
    assert list(table["missing"]) == ["sight"] * 10 + [""] * 110
    assert not table["abstained"].any()
    said = capsys.readouterr().out
    assert "120 samples, 0 abstained" in said
    assert "10 of 120 samples lack the view 'sight'" in said


def test_a_threshold_leaves_the_unsure_without_a_class(place: Path, tmp_path: Path) -> None:
    plain = _predict(place, tmp_path / "plain.csv")
    columns = ["p_ant", "p_bee", "p_cat"]
    threshold = plain[columns].max(axis=1)[FOLDS[0] == 2].median()
    table = _predict(place, tmp_path / "p.csv", "--threshold", str(threshold), "--split", "test")
    assert 0 < table["abstained"].sum() < len(table) == 12
    assert (table["abstained"] == (table[columns].max(axis=1) < threshold)).all()
    assert ((table["class"] == "") == table["abstained"]).all()
    assert list(table["sample"]) == list(np.flatnonzero(FOLDS[0] == 2))
    sure = ~table["abstained"]
    assert (table["class"][sure] == plain["class"][table["sample"][sure]].to_numpy()).all()


@pytest.mark.filterwarnings("ignore:.*is in every set")
def test_a_coverage_writes_sets_and_leaves_those_that_are_not_one_class(place: Path, tmp_path: Path) -> None:
    table = _predict(place, tmp_path / "p.csv", "--coverage", "0.9")
    sets = [words.split(";") if words else [] for words in table["set"]]
    assert (table["abstained"] == [len(one) != 1 for one in sets]).all()
    answered = [(one, chosen) for one, chosen in zip(sets, table["class"], strict=True) if len(one) == 1]
    assert answered
    assert all(one == [chosen] for one, chosen in answered)
    assert np.mean([NAMES[label] in one for label, one in zip(Y, sets, strict=True)]) > 0.8


def test_a_file_without_labels_and_without_a_view_is_answered(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(place / "new.npz", view_0=SOUND[:7], view_names=np.array(["sound"]))
    table = _predict(place, tmp_path / "p.csv", data="new.npz")
    assert "label" not in table
    assert len(table) == 7
    assert set(table["missing"]) == {"sight"}
    assert "7 of 7 samples lack the view 'sight'" in capsys.readouterr().out


def test_what_cannot_be_predicted_is_one_line(place: Path, tmp_path: Path, refused: Callable[..., None]) -> None:
    run, data, out = place / "run", place / "animals.npz", tmp_path / "p.csv"
    np.savez(tmp_path / "bare.npz", view_0=SOUND, view_names=np.array(["sound"]))
    np.savez(tmp_path / "other.npz", view_0=SOUND, view_names=np.array(["smell"]))
    refused(["predict", run, data], "out")
    refused(["predict", run], "DATA")
    refused(
        ["predict", run, data, "--out", out, "--threshold", "0.9", "--coverage", "0.9"], "--threshold", "--coverage"
    )
    refused(["predict", run, data, "--out", out, "--threshold", "2"], "--threshold")
    refused(["predict", run, data, "--out", out, "--coverage", "2"], "coverage")
    refused(["predict", run, tmp_path / "none.npz", "--out", out], "none.npz")
    refused(["predict", tmp_path, data, "--out", out], "model.safetensors")
    refused(["predict", run, tmp_path / "bare.npz", "--split", "test", "--out", out], "no labels and no folds")
    refused(["predict", run, tmp_path / "other.npz", "--out", out], "'smell' was not there when fitting")
    refused(["predict", run, data, "--split", "exam", "--out", out], "'exam'")
    assert not out.exists()


def test_a_finished_run_is_not_trained_over(place: Path, refused: Callable[..., None]) -> None:
    run, data = place / "run", place / "animals.npz"
    refused(["train", "multiview", "--data", data, "--out", run, *TINY, "16"], "finished run", "--overwrite")


def test_overwriting_is_not_kept_with_the_recipe(place: Path, tmp_path: Path) -> None:
    words = ["train", "multiview", "--data", str(place / "animals.npz"), "--out", str(tmp_path / "run"), *TINY, "16"]
    assert main([*words, "--overwrite"]) == 0
    assert "overwrite: false" in (tmp_path / "run" / "recipe.yaml").read_text()


@pytest.mark.slow
def test_as_a_user_types_it(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., None]
) -> None:
    """Train, evaluate and diagnose without naming the set again, predict: in processes of their own; then refusals."""

    def limbeck(*words: str) -> str:
        command = [sys.executable, "-m", "limbeck", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    (tmp_path / "animals.npz").write_bytes((place / "animals.npz").read_bytes())
    train = ["train", "multiview", "--data", "animals.npz", "--out", "run", *TINY, "16"]
    limbeck(*train)
    assert limbeck("evaluate", "run").startswith("test: accuracy")
    limbeck("diagnose", "run", "--split", "all", "--out", "diagnosis")
    limbeck("predict", "run", "animals.npz", "--out", "predictions.csv", "--threshold", "0.5")
    assert len(pd.read_csv(tmp_path / "predictions.csv")) == 120
    monkeypatch.chdir(tmp_path)
    refused(train, "holds a finished run")
    assert main([*train, "--overwrite"]) == 0
    np.savez(tmp_path / "animals.npz", view_0=SOUND, y=Y, view_names=np.array(["sound"]))
    for verb in ("evaluate", "diagnose"):
        refused([verb, "run"], "has changed since")


@pytest.mark.slow
def test_names_that_are_formulas_run_in_no_spreadsheet_and_are_read_again(tmp_path: Path) -> None:
    rows = ['=HYPERLINK("http://example.org")', "-3", "'=1", "+a", *map(str, range(26))]
    classes = np.array(["-1", "@sum", "=a;b"])[np.arange(30) % 3]
    cells = zip(rows, classes, RNG.random(30), RNG.random(30), strict=True)
    write_csv(tmp_path / "in.csv", [["", "label", "v:a", "v:b"], *cells])
    words = ["train", "multiview", "--data", str(tmp_path / "in.csv"), "--out", str(tmp_path / "run"), *TINY, "16"]
    assert main(words) == 0
    out = tmp_path / "p.csv"
    assert main(["predict", str(tmp_path / "run"), str(tmp_path / "in.csv"), "--out", str(out)]) == 0
    raw = pd.read_csv(out, dtype=str)
    assert list(raw["sample"][:4]) == ["'" + rows[0], "-3", "''=1", "'+a"]
    assert list(raw["label"][:3]) == ["-1", "'@sum", "'=a;b"]
    assert list(raw.columns[-3:]) == ["p_-1", "p_=a;b", "p_@sum"]
    again = read_table(out).columns
    assert again["sample"] == rows
    assert again["label"] == classes.tolist()
    assert set(again["class"]) <= set(classes)
