"""The command: every verb's happy path, one line for every mistake, Ctrl-C, recipes in YAML."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from limbeck.cli import main

TINY = ["--recipe.encoder", "[8, 4]", "--recipe.representation", "3", "--recipe.epochs", "1"]
STUDY = [*TINY, "--folds", "2", "--baselines", "[logistic]", "--rows", "[E, E+B+MV2D]"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults write below the working folder; that must not be the repository."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny trained run on `digits`; tests read it and leave it as it is."""
    folder = tmp_path_factory.mktemp("shared") / "run"
    assert main(["train", "multiview", "--out", str(folder), *TINY]) == 0
    return folder


# -- happy paths ------------------------------------------------------------------------------------------------------


def test_train_writes_a_model_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "multiview", "--out", str(tmp_path / "new" / "run"), *TINY]) == 0
    out, err = capsys.readouterr()
    assert "validation: accuracy" in out
    assert str(tmp_path / "new" / "run" / "model.safetensors") in out
    assert "epoch 1/1" in err
    assert (tmp_path / "new" / "run" / "model.safetensors").is_file()


def test_evaluate_prints_scores_and_the_account(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(run, tmp_path / "run")
    for split in ("test", "all"):
        assert main(["evaluate", str(tmp_path / "run"), "--split", split]) == 0
        out = capsys.readouterr().out
        assert out.startswith(f"{split}: accuracy")
        assert "only here (nats)" in out
        assert 0 <= json.loads((tmp_path / "run" / f"{split}.json").read_text())["accuracy"] <= 1


def test_evaluate_out_is_a_folder_with_a_page(run: Path, tmp_path: Path) -> None:
    assert main(["evaluate", str(run), "--out", str(tmp_path / "report")]) == 0
    assert sorted(file.name for file in (tmp_path / "report").iterdir()) == ["index.html", "test.json"]
    assert "pixels" in (tmp_path / "report" / "index.html").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("short_tsne")
def test_study_writes_a_report_that_can_be_repeated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = tmp_path / "first"
    assert main(["study", "multiview-ablation", "--out", str(first), *STUDY]) == 0
    out, err = capsys.readouterr()
    assert "E+B+MV2D" in out
    assert "logistic: fold 2 of 2" in err
    assert sorted(file.name for file in first.iterdir()) == [
        "comparison.png",
        "multiview-ablation.json",
        "multiview-ablation.txt",
        "settings.yaml",
        "tsne.png",
    ]
    for picture in first.glob("*.png"):
        Image.open(picture).verify()
    second = tmp_path / "second"
    assert main(["study", "multiview-ablation", "--config", str(first / "settings.yaml"), "--out", str(second)]) == 0
    assert _figures(second) == _figures(first)


def _figures(folder: Path) -> list[Any]:
    rows = json.loads((folder / "multiview-ablation.json").read_text())["rows"]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["data", "list"], ["digits"]),
        (["data", "describe", "digits"], ["digits", "pixels"]),
        (["data", "check", "digits"], ["usable"]),
        (["--help"], ["train", "evaluate", "study", "data"]),
        (["train", "multiview", "--help"], ["--out", "--recipe.epochs"]),
        (["study", "multiview-ablation", "--help"], ["--compression_weights"]),
        (["data", "convert", "--help"], ["--folds", "--name"]),
        (["--version"], ["limbeck "]),
    ],
)
def test_verbs_that_only_print(arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    if len(arguments) > 1 and arguments[-1] == "--help":  # a verb's own help ends the process
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0
    else:
        assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for word in words:
        assert word in out


def test_convert_makes_a_set_that_can_be_described_and_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    source, target = tmp_path / "raw.npz", tmp_path / "set.npz"
    np.savez(source, view_0=rng.normal(size=(60, 3)), view_1=rng.normal(size=(60, 4)), y=np.arange(60) % 2)
    assert main(["data", "convert", str(source), str(target), "--name", "pairs", "--folds", "2"]) == 0
    assert "pairs" in capsys.readouterr().out
    assert main(["data", "describe", str(target)]) == 0
    assert main(["train", "multiview", "--data", str(target), "--out", str(tmp_path / "run"), *TINY]) == 0


# -- recipes ----------------------------------------------------------------------------------------------------------


def test_flags_override_the_recipe_and_the_run_keeps_what_was_used(tmp_path: Path) -> None:
    config = tmp_path / "recipe.yaml"
    config.write_text("seed: 3\nrecipe: {encoder: [8, 4], representation: 3, epochs: 1, dropout: 0.25}\n")
    out = tmp_path / "run"
    assert main(["train", "multiview", "--config", str(config), "--out", str(out), "--recipe.representation", "5"]) == 0
    kept = yaml.safe_load((out / "recipe.yaml").read_text())
    assert (kept["seed"], kept["recipe"]["representation"], kept["recipe"]["dropout"]) == (3, 5, 0.25)
    assert kept["recipe"]["encoder"] == [8, 4]


def test_the_kept_recipe_makes_the_same_model_again(run: Path, tmp_path: Path) -> None:
    assert main(["train", "multiview", "--config", str(run / "recipe.yaml"), "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


def test_another_seed_makes_another_model(run: Path, tmp_path: Path) -> None:
    config = ["--config", str(run / "recipe.yaml"), "--out", str(tmp_path / "other"), "--seed", "1"]
    assert main(["train", "multiview", *config]) == 0
    assert (tmp_path / "other" / "model.safetensors").read_bytes() != (run / "model.safetensors").read_bytes()


# -- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["train", "evaluate", "study", "data"]),
        (["bogus"], ["'bogus'"]),
        (["data"], ["list"]),
        (["train", "multiview"], ["out"]),
        (["train", "multiview", "--out", "o", "--nope", "3"], ["--nope"]),
        (["train", "multiview", "--out", "o", "--recipe.nope", "3"], ["--recipe.nope"]),
        (["train", "multiview", "--out", "o", "--recipe.epochs", "many"], ["recipe.epochs", "many"]),
        (["train", "multiview", "--out", "o", "--recipe.epochs", "0"], ["epochs"]),
        (["train", "multiview", "--out", "o", "--recipe.betas", "[2, 0.9]"], ["betas"]),
        (["train", "multiview", "--out", "o", "--recipe.objective", "best"], ["objective", "best"]),
        (["train", "multiview", "--out", "o", "--recipe.bottleneck", "false"], ["bottleneck"]),
        (["train", "multiview", "--out", "o", "--seed", "x"], ["seed"]),
        (["train", "multiview", "--out", "o", "--fold", "9"], ["fold 9"]),
        (["train", "multiview", "--out", "o", "--device", "abacus", *TINY], ["abacus"]),
        (["train", "multiview", "--out", "o", "--data", "none.npz"], ["none.npz"]),
        (["train", "multiview", "--out", "o", "--config", "none.yaml"], ["none.yaml"]),
        (["evaluate"], ["inputs"]),
        (["evaluate", "nowhere"], ["nowhere"]),
        (["study", "multiview-ablation", "--folds", "-1"], ["folds"]),
        (["study", "multiview-ablation", "--rows", "[E+X]"], ["rows"]),
        (["study", "multiview-ablation", "--baselines", "[oracle]"], ["baselines"]),
        (["study", "multiview-ablation", "--data", "none.npz"], ["none.npz"]),
        (["data", "describe", "none.npz"], ["none.npz"]),
        (["data", "check", "none.npz"], ["none.npz"]),
        (["data", "convert", "none.mat", "out.npz"], ["none.mat"]),
        (["data", "download", "no such set", "."], ["no such set"]),
    ],
)
def test_a_mistake_is_one_line_that_names_it(
    arguments: list[str], words: list[str], refused: Callable[..., None], tmp_path: Path
) -> None:
    refused(arguments, *words)
    assert not (tmp_path / "o" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("recipe: {nope: 1}\n", "nope"),
        ("nope: 1\n", "nope"),
        ("recipe: {epochs: many}\n", "epochs"),
        ("seed: x\n", "seed"),
        ("recipe: [\n", "config"),
        ("- 1\n", "config"),
        ("recipe: {encoder: wide}\n", "encoder"),
    ],
)
def test_a_bad_recipe_is_one_line_that_names_the_key(
    text: str, word: str, refused: Callable[..., None], tmp_path: Path
) -> None:
    config = tmp_path / "recipe.yaml"
    config.write_text(text)
    refused(["train", "multiview", "--config", config, "--out", tmp_path / "run"], word)


def test_unknown_keys_of_study_settings_are_named(refused: Callable[..., None], tmp_path: Path) -> None:
    config = tmp_path / "settings.yaml"
    config.write_text("nope: 1\n")
    refused(["study", "multiview-ablation", "--config", config, "--out", tmp_path / "o"], "nope")


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("verb", [["train", "multiview", *TINY], ["study", "multiview-ablation", *STUDY]])
def test_a_file_where_the_folder_should_be_is_named_before_the_work(
    inside: bool, verb: list[str], refused: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("trained for nothing")

    monkeypatch.setattr("limbeck.multiview.classifier.train", never)
    monkeypatch.setattr("limbeck.multiview.folds.train", never)
    blocked = tmp_path / "blocked"
    blocked.write_text("mine")
    refused([*verb, "--out", blocked / "run" if inside else blocked], "blocked")
    assert blocked.read_text() == "mine"


def test_a_bad_fold_or_split_of_evaluate_is_named(run: Path, refused: Callable[..., None]) -> None:
    refused(["evaluate", run, "--fold", "9"], "fold 9")
    refused(["evaluate", run, "--split", "exam"], "'exam'", "all")
    refused(["evaluate", run, "--part", "test"], "no flag --part any more", "--split")
    refused(["evaluate", run, "--fold", "first"], "fold")


def test_a_damaged_model_is_named(run: Path, refused: Callable[..., None], tmp_path: Path) -> None:
    damaged = tmp_path / "model.safetensors"
    damaged.write_bytes((run / "model.safetensors").read_bytes()[:-5])
    refused(["evaluate", damaged], str(damaged))


def _corrupt(path: Path) -> None:
    np.savez(path, view_0=np.ones((4, 2)), y=np.array([0, 1, 0, 1]), view_names=np.array(["v"]))
    path.write_bytes(path.read_bytes()[:-40])


def _no_archive(path: Path) -> None:
    path.write_text("no archive")


def _pickled(path: Path) -> None:
    np.savez(path, view_0=np.array([{"a": 1}, None], dtype=object), y=np.array([0, 1]), view_names=np.array(["v"]))


@pytest.mark.parametrize(
    ("make", "word"), [(_corrupt, "damaged"), (_no_archive, "not an NPZ file"), (_pickled, "pickled objects")]
)
@pytest.mark.parametrize(
    "verb",
    [
        ["train", "multiview", "--out", "o", *TINY, "--data"],
        ["study", "multiview-ablation", *STUDY, "--data"],
        ["data", "describe"],
        ["data", "check"],
    ],
)
def test_a_bad_npz_is_named(
    make: Callable[[Path], None], word: str, verb: list[str], refused: Callable[..., None], tmp_path: Path
) -> None:
    make(tmp_path / "set.npz")
    refused([*verb, tmp_path / "set.npz"], "set.npz", word)


def test_a_full_disk_is_one_line_and_the_old_run_survives(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import errno
    import os

    shutil.copytree(run, tmp_path / "run")
    before = {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()}

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SystemExit) as caught:
        main(["train", "multiview", "--out", str(tmp_path / "run"), "--overwrite", "--seed", "1", *TINY])
    assert caught.value.code == 2
    assert "recipe.yaml: No space left on device" in capsys.readouterr().err
    assert {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()} == before


# -- Ctrl-C -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("work", "arguments"),
    [
        ("limbeck.multiview.jobs.train_run", ["train", "multiview", "--out", "o"]),
        ("limbeck.cli.features.load_features", ["evaluate", "o.npz", "--protocol", "market"]),
        ("limbeck.studies.multiview_ablation.run.run", ["study", "multiview-ablation", "--out", "o"]),
        ("limbeck.multiview.jobs.list_sets", ["data", "list"]),
    ],
)
def test_ctrl_c_stops_with_130_and_one_line(
    work: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(work, interrupt)
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 130
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("limbeck: interrupted")


def test_ctrl_c_in_a_study_is_no_half_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from limbeck.multiview.training import _Loop

    keep = _Loop._keep

    def interrupting(self: Any, model: int, entry: Any, epoch: int) -> None:
        keep(self, model, entry, epoch)
        if model == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(_Loop, "_keep", interrupting)
    with pytest.raises(SystemExit) as caught:
        main(["study", "multiview-ablation", "--out", str(tmp_path / "study"), *STUDY])
    assert caught.value.code == 130
    assert [file.name for file in (tmp_path / "study").iterdir()] == ["settings.yaml"]


# -- the installed script ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_installed_script_and_the_module_run(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("limbeck")
    if not script.exists():
        pytest.skip("the script is not beside the interpreter")
    good = subprocess.run([str(script), "data", "list"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (good.returncode, good.stderr) == (0, "")
    assert "digits" in good.stdout
    module = [sys.executable, "-m", "limbeck", "evaluate", "no run"]
    bad = subprocess.run(module, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr.startswith("limbeck: error: no run")
    assert bad.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="a folder in use cannot be removed there")
def test_a_current_folder_that_is_gone_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., None]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    refused(["data", "describe", "views.npz"], "the current folder is not there any more")
