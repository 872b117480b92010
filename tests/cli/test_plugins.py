"""A task, a study, a set of people and a verb from outside work through the command, without a change to limbeck."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cli import toy_plugin

from limbeck import registry
from limbeck.cli import main

TINY = (
    "data: {height: 32, width: 16, identities: 2, pictures: 2}\n"
    "network: {encoder: small, weights: none, hidden: [16], representation: 8, head_hidden: null}\n"
    "training: {epochs: 1, warmup_epochs: 0, validate_epochs: 0}\n"
)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toys, by registration calls, for one test."""
    monkeypatch.setattr(registry, "_registered", [])
    registry.register(toy_plugin.TASK, toy_plugin.STUDY, toy_plugin.SET, toy_plugin.VERB)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Eight people with two pictures in either modality."""
    rng = np.random.default_rng(0)
    for who in range(8):
        (tmp_path / "people" / str(who)).mkdir(parents=True)
        for name in ("v0", "v1", "i0", "i1"):
            pixels = rng.integers(256, size=(32, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "people" / str(who) / f"{name}.png")
    return tmp_path / "people"


@pytest.mark.usefixtures("registered")
def test_a_task_trains_and_its_models_are_evaluated_and_diagnosed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., None]
) -> None:
    assert main(["train", "toy", "--out", str(tmp_path / "run"), "--seed", "3"]) == 0
    assert "Written: " in capsys.readouterr().out
    assert main(["evaluate", str(tmp_path / "run"), str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out.count("toy of seed 3: mean 3.") == 2
    assert main(["diagnose", str(tmp_path / "run"), "--probe_folds", "3"]) == 0
    assert "100 samples of 2 classes" in capsys.readouterr().out
    refused(["evaluate", tmp_path / "run", "--protocol", "sysu"], "--protocol is not for")


@pytest.mark.usefixtures("registered")
def test_a_study_runs_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "dice", "--sides", "2", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "100 throws of 2 sides: 1." in out
    assert f"Written: {tmp_path / 'dice.txt'}" in out
    assert "sides: 2" in (tmp_path / "settings.yaml").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("registered")
def test_a_set_of_people_is_checked_trained_on_and_searched(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., None]
) -> None:
    assert main(["data", "check", "toyset", str(people)]) == 0
    assert "32 pictures" in capsys.readouterr().out
    assert main(["data", "describe", "toyset", str(people)]) == 0
    assert "infrared" in capsys.readouterr().out
    (tmp_path / "tiny.yaml").write_text(TINY)
    words = ["train", "reid", "--config", str(tmp_path / "tiny.yaml"), "--data.root", str(people)]
    assert main([*words, "--data.set", "toyset", "--out", str(tmp_path / "run")]) == 0
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    assert "cross-i2v" in capsys.readouterr().out
    (people / "0" / "v0.png").unlink()
    refused(["data", "check", "toyset", people], "31 pictures, expected 32")
    refused([*words, "--data.set", "toyset", "--data.fold", "2", "--out", tmp_path / "other"], "fold", "toyset")


@pytest.mark.slow
def test_an_installed_distribution_is_found_by_its_entry_points(tmp_path: Path) -> None:
    made = tmp_path / "toy_limbeck-1.0.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-limbeck\nVersion: 1.0\n")
    (made / "entry_points.txt").write_text("[limbeck]\ntoy = toy_limbeck\nbroken = no_such_module\n")
    (tmp_path / "toy_limbeck.py").write_text(Path(toy_plugin.__file__).read_text())
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}

    def limbeck(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "limbeck", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)

    shown = limbeck("--help")
    assert shown.returncode == 0
    for line in ("train toy", "study dice", "toy greet", "train reid"):
        assert f"\n  {line} " in shown.stdout
    assert "no_such_module" in shown.stderr
    greeted = limbeck("toy", "greet")
    assert (greeted.returncode, greeted.stdout) == (0, "hello\n")


@pytest.mark.slow
def test_a_set_and_a_study_are_named_by_their_module(
    people: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    refused: Callable[..., None],
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "mine.py").write_text(Path(toy_plugin.__file__).read_text())
    monkeypatch.syspath_prepend(tmp_path / "code")
    assert main(["study", "mine:STUDY", "--sides", "2", "--out", str(tmp_path / "dice")]) == 0
    assert "100 throws of 2 sides: 1." in capsys.readouterr().out
    assert main(["data", "check", "mine:SET", str(people)]) == 0
    assert "32 pictures" in capsys.readouterr().out
    (tmp_path / "tiny.yaml").write_text(TINY)
    words = ["train", "reid", "--config", str(tmp_path / "tiny.yaml"), "--data.root", str(people)]
    assert main([*words, "--data.set", "mine:SET", "--out", str(tmp_path / "run")]) == 0
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    assert "cross-i2v" in capsys.readouterr().out
    refused(
        [*words, "--data.set", "mine:STUDY", "--out", tmp_path / "other"], "mine:STUDY must be a ReidSet, not Study"
    )
    refused(["study", "mine:NOTHING"], "mine:NOTHING cannot be imported (ImportError: mine has no 'NOTHING')")
    refused(["study", "nowhere.mine:STUDY"], "No module named 'nowhere'", "put its folder in PYTHONPATH")
    refused(["data", "check", "nowhere:SET", people], "nowhere:SET")


def test_every_reference_of_limbecks_own_entries_leads_somewhere() -> None:
    own = registry._own()
    assert len(own) > 15
    for entry in own:
        jobs = [getattr(entry, "job", None), getattr(entry, "train", None), *getattr(entry, "verbs", {}).values()]
        for job in filter(None, jobs):
            assert callable(registry.resolve(job.run))
            assert job.arguments is None or callable(registry.resolve(job.arguments))
        names = ("settings", "run", "format", "write") if isinstance(entry, registry.Study) else ()
        for name in (*names, *(["accepts"] if isinstance(entry, registry.Input) else [])):
            assert callable(registry.resolve(getattr(entry, name)))


def test_the_formats_of_tasks_are_those_that_their_models_are_written_with() -> None:
    from limbeck.metric.runs import FORMAT as METRIC
    from limbeck.multiview.persistence import FORMAT as MULTIVIEW
    from limbeck.reid.recipe import ReidRecipe
    from limbeck.reid.runs import FORMATS
    from limbeck.reid.unsupervised.recipe import UnsupervisedRecipe
    from limbeck.segmentation.runs import FORMAT as SEGMENTATION

    formats = {name: task.format for name, task in registry.entries(registry.Task).items()}
    assert formats.pop("multiview") == MULTIVIEW
    assert formats.pop("metric") == METRIC
    assert formats.pop("segmentation") == SEGMENTATION
    assert {FORMATS[form]: name for name, form in formats.items()} == {
        ReidRecipe: "reid",
        UnsupervisedRecipe: "reid-unsupervised",
    }


def test_a_reference_that_leads_nowhere_is_an_import_error() -> None:
    with pytest.raises(ImportError, match="has no 'nothing'"):
        registry.resolve("limbeck.errors:nothing")


def test_a_module_that_fails_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., None]
) -> None:
    (tmp_path / "failing_set.py").write_text("SET = 1 / 0\n")
    (tmp_path / "unreadable_set.py").write_text("SET = = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name, words in (("failing_set", "ZeroDivisionError: division by zero"), ("unreadable_set", "SyntaxError")):
        refused(["data", "check", f"{name}:SET", tmp_path], f"{name}:SET cannot be imported ({words}")
    refused(["data", "check", "absent_set:SET", tmp_path], "absent_set:SET")
