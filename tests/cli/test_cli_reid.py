"""`limbeck train reid`, `evaluate`, `reid rank` and the studies on top, from the shell's side."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.ports import torchrun

from limbeck.cli import main
from limbeck.tensorfiles import read_tensors
from limbeck.training import latest

SMALL = """
data: {splits: [train], height: 32, width: 16, identities: 3, pictures: 2}
network: {encoder: small, weights: none, hidden: [16], representation: 8, head_hidden: null}
training: {epochs: 2, warmup_epochs: 0, validate_epochs: 0, checkpoint_steps: 1}
"""


@pytest.fixture(scope="module")
def place(small_people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with people, a recipe, and a run trained by it."""
    folder = tmp_path_factory.mktemp("reid")
    (folder / "people").symlink_to(small_people)
    (folder / "small.yaml").write_text(SMALL)
    assert train(folder, folder / "run") == 0
    return folder


@pytest.fixture(scope="module")
def four_epochs(place: Path) -> Path:
    """A run of four epochs in one go."""
    assert train(place, place / "four", "--training.epochs", "4") == 0
    return place / "four"


def train(place: Path, out: Path, *more: str) -> int:
    words = ["train", "reid", "--config", str(place / "small.yaml"), "--data.root", str(place / "people")]
    return main([*words, "--out", str(out), *more])


def command(place: Path, out: Path, *more: str) -> list[str]:
    return [
        *("train", "reid", "--config", str(place / "small.yaml"), "--data.root", str(place / "people")),
        *("--out", str(out), *more),
    ]


@pytest.fixture
def stopped(capsys: pytest.CaptureFixture[str]) -> Callable[..., None]:
    """`stopped(arguments, words...)`: news, then exit code 2 and one line of error, the last, which holds the words."""

    def check(arguments: list[str], *words: str) -> None:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        lines = capsys.readouterr().err.splitlines()
        assert caught.value.code == 2
        assert [line for line in lines if line.startswith("limbeck: error: ")] == lines[-1:]
        for word in words:
            assert word in lines[-1]

    return check


@pytest.mark.slow
def test_a_run_is_evaluated_and_searched(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(place / "run"), "--protocol", "sysu-all", "--feature", "z"]) == 0
    out = capsys.readouterr().out
    assert "sysu-all-single" in out
    assert "sysu-all-multi" in out
    assert (place / "run" / "report-sysu-all-z" / "index.html").is_file()
    query = place / "people" / "cam3" / "0010" / "0001.jpg"
    words = ["reid", "rank", "--model", str(place / "run"), "--query", str(query)]
    assert main([*words, "--gallery", str(place / "people" / "cam1"), "--first", "3", "--out", str(tmp_path)]) == 0
    assert "infrared" in capsys.readouterr().out
    assert (tmp_path / "index.html").read_text().count("<img") == 4


def test_several_configs_are_laid_over_one_another(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    over = place / "over.yaml"
    over.write_text("network: {representation: 5}\nloss: {objective: none}\n")
    words = ["train", "reid", "--config", str(place / "small.yaml"), "--config", str(over), "--out", "x"]
    with pytest.raises(SystemExit):
        main([*words, "--loss.ranking-weight", "3", "--print_config"])
    printed = capsys.readouterr().out
    assert "representation: 5" in printed
    assert "encoder: small" in printed
    assert "ranking_weight: 3" in printed


def test_mistakes_are_one_line(place: Path, tmp_path: Path, refused: Callable[..., None]) -> None:
    refused(command(place, tmp_path / "a", "--data.identities", "9"), "data.identities asks for 9", "there are 6")
    refused(command(place, tmp_path / "a", "--network.depth", "9"), "depth")
    refused(command(place, tmp_path / "a", "--network.encoder", "vgg"), "vgg", "resnet50")
    refused(command(place, tmp_path / "a", "--network.weights", str(tmp_path / "no.pth")), "no.pth")
    refused(command(place, tmp_path / "a", "--data.root", str(tmp_path / "none")), "none")
    refused(command(place, tmp_path / "a", "--device", "cuda:9"), "cuda:9")
    refused(["evaluate", tmp_path / "nothing"], "nothing")
    refused(["evaluate", place / "run", "--protocol", "market-1501"], "market-1501")
    refused(["evaluate", place / "run", "--split", "train2"], "train2")
    refused(["evaluate", place / "run", "--split", "held_out"], "held out nobody")
    refused(["evaluate", place / "run", "--feature", "w"], "feature")
    refused(["reid", "rank", "--model", place / "run", "--query", tmp_path / "x.png", "--gallery", tmp_path], "x.png")
    file = tmp_path / "file"
    file.write_text("in the way")
    refused(command(place, file), "file")


def test_another_recipe_in_the_same_folder_is_refused(place: Path, stopped: Callable[..., None]) -> None:
    stopped(command(place, place / "run", "--network.representation", "9"), "network.representation", "9 here")
    stopped(command(place, place / "run", "--network.encoder", "resnet18"), "network.encoder")


def test_a_checkpoint_of_another_architecture_is_refused(
    place: Path, tmp_path: Path, stopped: Callable[..., None]
) -> None:
    """Also where the recipe says the same: the tensors are compared."""
    from safetensors.torch import load_file

    from limbeck.training import checkpoints

    run = tmp_path / "run"
    shutil.copytree(place / "run", run)
    newest = sorted((run / "checkpoints").iterdir())[-1]
    assert load_file(newest)
    held = checkpoints.read(newest)
    held.state["network"] = {f"elsewhere.{name}": value for name, value in held.state["network"].items()}
    checkpoints.write(run / "checkpoints", held.step, held.state, held.fingerprint, keep=2)
    stopped(command(place, run), "branches.", newest.name)


def test_diverging_is_one_line_and_keeps_the_checkpoint(
    place: Path, tmp_path: Path, stopped: Callable[..., None]
) -> None:
    stopped(command(place, tmp_path / "run", "--training.learning-rate", "1e25"), "step")


@pytest.mark.slow
@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_folder_that_cannot_be_written_any_more(
    place: Path,
    four_epochs: Path,
    tmp_path: Path,
    stopped: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    code: int,
) -> None:
    """The disk turns read-only or full after two steps: one line, and the last good checkpoint goes on from there."""
    made, whole = iter(range(99)), tempfile.mkstemp

    def refuse(*given: Any, **options: Any) -> Any:
        if str(options.get("prefix", "")).startswith(".step-") and next(made) >= 2:
            raise OSError(code, os.strerror(code), str(tmp_path))
        return whole(*given, **options)

    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "mkstemp", refuse)
        stopped(command(place, tmp_path / "run", "--training.epochs", "4"), os.strerror(code))
    assert latest(tmp_path / "run" / "checkpoints").step == 2  # type: ignore[union-attr]
    assert train(place, tmp_path / "run", "--training.epochs", "4") == 0
    one, other = (
        read_tensors(run / "model.safetensors", format="limbeck-reid-1", what="model")[1]
        for run in (tmp_path / "run", four_epochs)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_sigterm_saves_and_the_same_command_goes_on(place: Path, tmp_path: Path) -> None:
    words = command(place, tmp_path / "run", "--training.epochs", "400", "--training.checkpoint_steps", "1000")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "limbeck", *words], env=environment, stderr=subprocess.PIPE, text=True
    )
    log = tmp_path / "run" / "log.jsonl"
    deadline = time.monotonic() + 120
    while not (log.is_file() and log.read_bytes().count(b"\n") > 3) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    asked = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert time.monotonic() - asked < 30  # ten seconds, with room for a busy machine
    assert "stopped at step" in err
    saved = sorted((tmp_path / "run" / "checkpoints").iterdir())
    assert saved
    steps = int(saved[-1].stem.split("-")[1])
    lines = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert lines == list(range(1, steps + 1))


def test_a_refused_command_changes_nothing(place: Path, stopped: Callable[..., None]) -> None:
    before = (place / "run" / "recipe.yaml").read_bytes()
    stopped(command(place, place / "run", "--network.representation", "9"), "network.representation")
    stopped(command(place, place / "run", "--data.height", "48"), "data.height")
    assert (place / "run" / "recipe.yaml").read_bytes() == before
    assert len(list((place / "run" / "pictures").glob("images-*"))) == 1


@pytest.mark.slow
def test_training_twice_gives_the_same_weights(place: Path, tmp_path: Path) -> None:
    assert train(place, tmp_path / "again", "--training.workers", "2") == 0
    one, other = (
        read_tensors(run / "model.safetensors", format="limbeck-reid-1", what="model")[1]
        for run in (place / "run", tmp_path / "again")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_factors_are_read_from_a_run(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["study", "factors", str(place / "run"), "--names", "[identity,brightness]", "--probe_folds", "2"]
    assert main([*words, "--representations", "[z shared]", "--out", str(tmp_path)]) == 0
    assert "vd: z shared" in capsys.readouterr().out
    assert {file.name for file in tmp_path.iterdir()} == {"factors.json", "factors.txt", "factors.png", "settings.yaml"}


@pytest.mark.slow
def test_two_processes_train_like_one(place: Path, tmp_path: Path) -> None:
    """Under torchrun's environment people are shared out, and batch losses and batch norms see the whole batch.

    Of one step of gradient descent; `tests/reid/test_reid_distributed.py` compares gradients in double precision.
    """
    more = ["--data.identities", "4", "--training.optimizer", "sgd", "--training.learning-rate", "0.001"]
    more += ["--training.epochs", "1"]
    assert train(place, tmp_path / "one", *more) == 0
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "limbeck", *command(place, tmp_path / "two", *more)],
            env=os.environ | {"OMP_NUM_THREADS": "1"} | told,
            stderr=subprocess.PIPE,
            text=True,
        )
        for told in torchrun()
    ]
    for process in processes:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    one, two = (
        read_tensors(tmp_path / name / "model.safetensors", format="limbeck-reid-1", what="model")[1]
        for name in ("one", "two")
    )
    for name, value in one.items():
        assert torch.allclose(value.double(), two[name].double(), atol=1e-5), name
    (first,), (second,) = (
        [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    )
    for name in set(first) - {"seconds"}:
        assert first[name] == pytest.approx(second[name], rel=1e-4), name
