"""Tables as pandas writes them: converted, trained on, predicted; started as a user would."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from limbeck.cli import main
from limbeck.multiview.data import load, missing_rows

TINY = ["--recipe.encoder", "[16, 8]", "--recipe.representation", "4", "--recipe.epochs", "6"]
TINY += ["--recipe.batch_size", "16"]
SAMPLES = 90
RNG = np.random.default_rng(0)
Y = np.arange(SAMPLES) % 3
PATIENTS = pd.Index([f"p{number:02}" for number in RNG.permutation(SAMPLES)], name="patient")


def _numbers(*columns: str) -> pd.DataFrame:
    return pd.DataFrame(np.eye(3)[Y] + 0.3 * RNG.normal(size=(SAMPLES, 3)), index=PATIENTS, columns=columns)


BLOOD, SCAN = _numbers("iron", "zinc", "age"), _numbers("mean", "edge", "spot")
COLOURS = np.array(["red", "green", "blue"])[Y]
FORM = pd.DataFrame({"colour": COLOURS, "score": RNG.normal(size=SAMPLES)}, index=PATIENTS)
LABELS = pd.DataFrame({"diagnosis": np.array(["ill", "well", "unclear"])[Y]}, index=PATIENTS)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, where the command is started, with three tables and one of labels in orders of their own."""
    monkeypatch.chdir(tmp_path)
    for number, (name, table) in enumerate({"blood": BLOOD, "scan": SCAN, "form": FORM, "y": LABELS}.items()):
        table.sample(frac=1, random_state=number).to_csv(f"{name}.csv")
    return tmp_path


def _run(*words: str) -> None:
    assert main(list(words)) == 0


def _predicted(*words: str) -> pd.DataFrame:
    _run("predict", "run", *words, "--out", "p.csv")
    return pd.read_csv("p.csv", index_col="sample", keep_default_na=False)


CONVERT = ["data", "convert", "blood.csv", "scan.csv", "form.csv", "--labels", "y.csv", "--index", "patient"]
TABLES = ["blood.csv", "scan.csv", "form.csv", "--index", "patient"]


def test_three_tables_and_one_of_labels_become_a_set(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _run(*CONVERT, "--categories", "one-hot")
    said = capsys.readouterr().out
    assert "View 'form': the texts of 'colour' are 3 columns of 0 and 1." in said
    assert "Written: views.npz" in said
    data = load("views.npz")
    assert data.columns["form"] == ("colour=blue", "colour=green", "colour=red", "score")
    assert data.rows is not None
    order = list(data.rows)
    np.testing.assert_allclose(data.views["blood"], BLOOD.loc[order], rtol=1e-6)
    np.testing.assert_allclose(data.views["scan"], SCAN.loc[order], rtol=1e-6)
    np.testing.assert_array_equal(data.views["form"][:, 2], FORM.loc[order, "colour"] == "red")
    assert [data.class_names[label] for label in data.labels] == list(LABELS.loc[order, "diagnosis"])


def test_a_patient_whom_a_table_lacks_lacks_that_view_where_that_is_said(
    place: Path, refused: Callable[..., None]
) -> None:
    SCAN[10:].to_csv("scan.csv")
    words = ["data", "convert", "blood.csv", "scan.csv", "--labels", "y.csv", "--index", "patient"]
    refused(words, "scan.csv: has no row", "10 such", "--join outer")
    _run(*words, "--join", "outer", "--out", "some.npz")
    data = load("some.npz")
    assert data.rows is not None
    lacking = [name for name, missing in zip(data.rows, missing_rows(data.views["scan"]), strict=True) if missing]
    assert sorted(lacking) == sorted(PATIENTS[:10])


def test_trained_on_a_set_and_asked_about_tables_in_any_order(place: Path) -> None:
    """Rows and columns of the tables are permuted; answers are those of the same patients."""
    _run(*CONVERT, "--categories", "one-hot")
    _run("train", "multiview", "--data", "views.npz", "--out", "run", *TINY)
    expected = _predicted("views.npz").drop(columns="label")
    answers = _predicted(*TABLES)
    pd.testing.assert_frame_equal(answers.loc[expected.index], expected, rtol=1e-4)
    for seed, name in enumerate(("blood", "scan", "form")):
        table = pd.read_csv(f"{name}.csv", index_col="patient")
        table.sample(frac=1, random_state=seed).sample(frac=1, axis=1, random_state=seed).to_csv(f"{name}.csv")
    pd.testing.assert_frame_equal(_predicted(*TABLES).loc[expected.index], expected, rtol=1e-4)
    one = _predicted("blood.csv", "--index", "patient")
    assert set(one["missing"]) == {"scan;form"}
    _run("data", "convert", "blood.csv", "scan.csv", "--labels", "none", "--index", "patient", "--out", "new.npz")
    bare = _predicted("new.npz")
    assert set(bare["missing"]) == {"form"}
    assert "label" not in bare


def _whole() -> pd.DataFrame:
    """One table with groups of columns by prefix, texts, an empty cell and a missing view."""
    parts = {"blood": BLOOD, "scan": SCAN, "form": FORM}
    table = pd.concat([part.add_prefix(f"{name}:") for name, part in parts.items()], axis=1)
    table.iloc[3::10, 0] = np.nan
    table.loc[table.index[:5], [column for column in table if column.startswith("scan:")]] = np.nan
    return table.assign(label=LABELS["diagnosis"])


PREPARED = ["--recipe.missing_cells", "mean", "--recipe.categories", "one-hot"]


def test_a_table_is_trained_on_scored_and_predicted_as_it_is(
    place: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., None]
) -> None:
    _whole().to_csv("views.csv")
    train = ["train", "multiview", "--data", "views.csv", "--index", "patient", "--out", "run", *TINY]
    refused(train, "view 'blood' has NaN in row", "missing_cells")
    refused([*train, *PREPARED[:2]], "categories='one-hot'")
    _run(*train, *PREPARED)
    said = capsys.readouterr().out
    assert "View 'blood': empty cells that have the mean of the training samples: " in said
    assert "View 'form': the texts of 'colour' are 3 columns of 0 and 1." in said
    _run("evaluate", "run")
    assert capsys.readouterr().out.startswith("test: accuracy")
    expected = _predicted("views.csv")
    assert "empty cells of the view 'blood' that have the mean of the training samples: 9" in capsys.readouterr().out
    assert list(expected["label"]) == list(LABELS["diagnosis"])
    assert list(expected["missing"][:6]) == ["scan"] * 5 + [""]
    mixed = _whole().drop(columns="label").sample(frac=1, random_state=0).sample(frac=1, axis=1, random_state=0)
    mixed.to_csv("new.csv")
    answers = _predicted("new.csv")
    pd.testing.assert_frame_equal(answers.loc[expected.index], expected.drop(columns="label"), rtol=1e-4)


def test_groups_of_columns_by_a_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.concat([BLOOD, SCAN], axis=1).assign(y=LABELS["diagnosis"], weight=1.0)
    table.to_csv("one.csv", index=False)
    Path("groups.yaml").write_text("blood: [iron, zinc]\nscan: [mean, 'e*', spot]\n")
    _run("data", "convert", "one.csv", "one.npz", "--groups", "groups.yaml")
    assert "Left out, being in no view of groups.yaml: 'age', 'weight'." in capsys.readouterr().out
    assert load("one.npz").columns == {"blood": ("iron", "zinc"), "scan": ("mean", "edge", "spot")}


def test_what_tables_cannot_mean_is_one_line(place: Path, refused: Callable[..., None]) -> None:
    def convert(*words: str) -> list[Any]:
        return ["data", "convert", *words, "--out", "o.npz"]

    pair = ["blood.csv", "scan.csv"]
    refused(convert(*pair, "--index", "patient"), "--labels")
    refused(convert(*pair, "--labels", "none", "--index", "id"), "blood.csv: has no column 'id'")
    refused(convert(*CONVERT[2:]), "'colour' is", "not a number", "--categories one-hot")
    BLOOD[:10].to_csv("scan.csv", index=False)
    refused(convert(*pair, "--labels", "none"), "10 rows", "give --index")
    pd.concat([BLOOD, BLOOD[:1]]).to_csv("scan.csv")
    refused(convert(*pair, "--labels", "none", "--index", "patient"), "a second time")
    BLOOD.assign(diagnosis=1).to_csv("scan.csv")
    refused(convert(*pair, "--labels", "y.csv", "--index", "patient"), "'diagnosis' too")
    LABELS.assign(second="a").to_csv("y.csv")
    refused(convert("blood.csv", "form.csv", "--labels", "y.csv", "--index", "patient"), "--labels_key")
    pd.DataFrame({"diagnosis": 0.5}, index=PATIENTS).to_csv("y.csv")
    refused(convert("blood.csv", "form.csv", "--labels", "y.csv", "--index", "patient"), "classification only")
    refused(convert("blood.csv", "--labels", "none"), "belongs to no view", "--groups")
    (place / "a.parquet").touch()
    refused(convert("a.parquet"), "a.parquet")
    refused(["train", "multiview", "--data", "digits", "--out", "run", "--index", "patient"], "no table")
    assert not (place / "o.npz").exists()


@pytest.mark.slow
def test_as_a_user_types_it(place: Path) -> None:
    """Convert, train, evaluate, predict: in processes of their own."""

    def limbeck(*words: str) -> str:
        command = [sys.executable, "-m", "limbeck", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=place)
        assert done.returncode == 0, done.stderr
        return done.stdout

    limbeck(*CONVERT, "--categories", "one-hot")
    limbeck("train", "multiview", "--data", "views.npz", "--out", "run", *TINY)
    assert limbeck("evaluate", "run").startswith("test: accuracy")
    limbeck("predict", "run", *TABLES, "--out", "predictions.csv", "--threshold", "0.5")
    answers = pd.read_csv(place / "predictions.csv", index_col="sample", keep_default_na=False)
    assert (answers["class"] == LABELS.loc[answers.index, "diagnosis"]).mean() > 0.8
