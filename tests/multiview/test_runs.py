"""Run folders: what training writes, what evaluation reads and says."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from limbeck import MultiViewClassifier
from limbeck.errors import InputError
from limbeck.multiview.data import MultiViewData, assemble, save
from limbeck.multiview.diagnosis import view_features_of_run
from limbeck.multiview.recipe import Recipe
from limbeck.multiview.runs import evaluate_run, train_run

RECIPE = Recipe(encoder=(16, 8), representation=4, epochs=6, batch_size=16, learning_rate=1e-2)
NAMES = ("ant", "bee", "cat")


def _data(folds: np.ndarray | None = None, shift: int = 0) -> MultiViewData:
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    views = {
        name: np.eye(3)[y] @ rng.normal(size=(3, width)) + 0.3 * rng.normal(size=(120, width))
        for name, width in (("sound", 4), ("sight", 5 + shift))
    }
    codes = np.array([([0] * 8 + [1, 2]) * 12], np.int8) if folds is None else folds
    return assemble("animals", views, y, class_names=NAMES, folds=codes)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    save(_data(), tmp_path / "animals.npz")
    return tmp_path / "animals.npz"


def _train(source: Path, folder: Path, recipe: Recipe = RECIPE, fold: int = 0, *, overwrite: bool = False) -> str:
    return train_run(source, folder, recipe, fold=fold, seed=0, device="cpu", resolved="seed: 0\n", overwrite=overwrite)


def test_a_run_folder_holds_model_recipe_and_validation_figures(source: Path, tmp_path: Path) -> None:
    said = _train(source, tmp_path / "run")
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == [
        "data.json",
        "model.safetensors",
        "recipe.yaml",
        "validation.json",
    ]
    figures = json.loads((tmp_path / "run" / "validation.json").read_text())
    assert figures["accuracy"] > 0.8
    assert 1 <= figures["best_epoch"] <= figures["epochs"] <= 6
    assert f"accuracy {100 * figures['accuracy']:.2f} %" in said
    assert "sound" in said
    assert (tmp_path / "run" / "recipe.yaml").read_text() == "seed: 0\n"


def test_evaluation_scores_one_split_and_writes_it(source: Path, tmp_path: Path) -> None:
    _train(source, tmp_path / "run")
    said = evaluate_run(tmp_path / "run", source, fold=0, split="test", device="cpu")
    figures = json.loads((tmp_path / "run" / "test.json").read_text())
    data = _data()
    test = data.split("test")
    model = MultiViewClassifier.load(tmp_path / "run" / "model.safetensors")
    expected = model.score({name: view[test] for name, view in data.views.items()}, np.array(NAMES)[data.labels[test]])
    assert figures["accuracy"] == pytest.approx(expected)
    assert [row["view"] for row in figures["account"]] == ["sound", "sight"]
    assert said.startswith("test: accuracy")


def test_the_test_split_cannot_touch_the_model(source: Path, tmp_path: Path) -> None:
    _train(source, tmp_path / "one")
    data = _data()
    test = data.split("test")
    labels = data.labels.copy()
    labels[test] = (labels[test] + 1) % 3
    for view in data.views.values():
        view[test] = 1e3
    save(replace(data, labels=labels), source)
    _train(source, tmp_path / "two")
    assert (tmp_path / "one" / "model.safetensors").read_bytes() == (
        tmp_path / "two" / "model.safetensors"
    ).read_bytes()


def test_all_samples_need_no_fold(source: Path, tmp_path: Path) -> None:
    _train(source, tmp_path / "run")
    save(_data(np.empty((0, 120), np.int8)), source)
    assert evaluate_run(tmp_path / "run", source, fold=0, split="all", device="cpu").startswith("all: accuracy")


def test_a_model_file_alone_can_be_evaluated_and_nothing_is_written(source: Path, tmp_path: Path) -> None:
    _train(source, tmp_path / "run")
    evaluate_run(tmp_path / "run" / "model.safetensors", source, fold=0, split="train", device="cpu")
    assert not (tmp_path / "run" / "train.json").exists()


def test_a_fold_without_validation_still_gives_a_model(source: Path, tmp_path: Path) -> None:
    save(_data(np.array([[0, 0, 0, 2] * 30], np.int8)), source)
    _train(source, tmp_path / "run")
    assert "test: accuracy" in evaluate_run(tmp_path / "run", source, fold=0, split="test", device="cpu")


@pytest.mark.parametrize(("fold", "split", "words"), [(7, "test", "fold 7"), (0, "exam", "'exam'"), (-1, "test", "-1")])
def test_a_fold_or_split_that_is_not_there_is_named(
    source: Path, tmp_path: Path, fold: int, split: str, words: str
) -> None:
    _train(source, tmp_path / "run")
    with pytest.raises(InputError, match=words):
        evaluate_run(tmp_path / "run", source, fold=fold, split=split, device="cpu")


def test_a_bad_fold_writes_nothing(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fold 3"):
        _train(source, tmp_path / "run", fold=3)
    assert not (tmp_path / "run").exists()


def test_a_set_that_does_not_fit_the_model_is_refused(source: Path, tmp_path: Path) -> None:
    _train(source, tmp_path / "run")
    save(_data(shift=1), source)
    with pytest.raises(InputError, match="'sight' has 6 features, but had 5"):
        evaluate_run(tmp_path / "run", source, fold=0, split="test", device="cpu")
    with pytest.raises(InputError, match="was not there"):
        evaluate_run(tmp_path / "run", "digits", fold=0, split="test", device="cpu")


def test_a_run_that_is_not_there_is_named(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        evaluate_run(tmp_path / "nowhere", source, fold=0, split="test", device="cpu")


# -- what a run was trained on -----------------------------------------------------------------------------------------

TWO_FOLDS = np.array([([0] * 8 + [1, 2]) * 12, ([2, 1] + [0] * 8) * 12], np.int8)


@pytest.fixture
def two_folds(tmp_path: Path) -> tuple[Path, Path]:
    """A set of two folds, and a run on the second."""
    source, run = tmp_path / "animals.npz", tmp_path / "run"
    save(_data(TWO_FOLDS), source)
    _train(source, run, fold=1)
    return source, run


def test_a_run_knows_its_set_and_its_fold(two_folds: tuple[Path, Path]) -> None:
    source, run = two_folds
    said = evaluate_run(run)
    assert said == evaluate_run(run, source, fold=1) == evaluate_run(run / "model.safetensors")
    assert "Beware" not in said
    assert "Beware: the model was trained on fold 1" in evaluate_run(run, fold=0)
    told = json.loads((run / "data.json").read_text())
    assert told == {
        "data": str(source),
        "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "fold": 1,
        "split": "train",
    }
    features = view_features_of_run(run, None, fold=None, split="test", device="cpu")
    assert features.labels.shape == (12,)


def test_the_same_set_by_another_name_is_the_same_and_has_the_fold_of_the_run(
    two_folds: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, run = two_folds
    monkeypatch.chdir(source.parent)
    assert evaluate_run(run, source.name) == evaluate_run(run)


def test_another_set_begins_at_fold_0(two_folds: tuple[Path, Path], tmp_path: Path) -> None:
    save(_data(), tmp_path / "other.npz")
    assert evaluate_run(two_folds[1], tmp_path / "other.npz").startswith("test: accuracy")


def test_a_set_that_has_changed_or_gone_is_refused_unless_it_is_named(two_folds: tuple[Path, Path]) -> None:
    source, run = two_folds
    data = _data(TWO_FOLDS)
    data.views["sound"][0, 0] += 1
    save(data, source)
    for use in (evaluate_run, lambda run: view_features_of_run(run, None, fold=None, split="test", device="cpu")):
        with pytest.raises(InputError, match=r"animals.npz: has changed since .*--data") as caught:
            use(run)
        assert "\n" not in str(caught.value)
    assert evaluate_run(run, source).startswith("test: accuracy")
    source.unlink()
    with pytest.raises(InputError, match=r"which is not there any more: give --data"):
        evaluate_run(run)


def test_a_run_of_an_earlier_version_is_scored_on_what_its_recipe_names(two_folds: tuple[Path, Path]) -> None:
    source, run = two_folds
    expected = evaluate_run(run)
    (run / "data.json").unlink()
    with pytest.raises(InputError, match="does not say what it was trained on: give --data"):
        evaluate_run(run)
    (run / "recipe.yaml").write_text(f"data: {source}\nfold: 1\n")
    assert evaluate_run(run) == expected
    (run / "data.json").write_text("{")
    with pytest.raises(InputError, match=r"data.json: damaged"):
        evaluate_run(run)


def test_a_finished_run_is_replaced_only_when_that_is_said(source: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    _train(source, run)
    evaluate_run(run)
    before = {file.name: file.read_bytes() for file in run.iterdir()}
    with pytest.raises(InputError, match=r"holds a finished run: .*--overwrite"):
        _train(source, run, replace(RECIPE, epochs=2))
    assert {file.name: file.read_bytes() for file in run.iterdir()} == before
    _train(source, run, replace(RECIPE, epochs=2), overwrite=True)
    assert (run / "model.safetensors").read_bytes() != before["model.safetensors"]
    assert not (run / "test.json").exists(), "a figure of the model that was replaced"
