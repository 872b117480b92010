"""However a training is interrupted, the network is bit for bit that of the uninterrupted one."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.training.nursery import Nursery
from tests.training.toytask import STEPS, MeasuredTask, train, weights

from limbeck.errors import InputError
from limbeck.information.curve import PICTURE, TABLE, read_information
from limbeck.training import checkpoints, loop

CHILD = "tests.training.toytask:child"


class InterruptedHereError(Exception):
    pass


def _until(step: int) -> Any:
    def hook(now: int) -> None:
        if now == step:
            raise InterruptedHereError

    return hook


def _same(first: Path, second: Path) -> None:
    """The same weights, figures and lines, each step once."""
    ours, theirs = weights(first), weights(second)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name
    assert (first / "epochs.csv").read_text() == (second / "epochs.csv").read_text()
    assert _log(first) == _log(second)


def _log(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    for line in lines:
        del line["seconds"]
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    return lines


@pytest.mark.parametrize(
    ("before", "after"),
    [(0, 0), pytest.param(2, 0, marks=pytest.mark.slow), pytest.param(0, 2, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("step", [1, STEPS + 3, 2 * STEPS])
def test_resume_is_exact(uninterrupted: Path, tmp_path: Path, step: int, before: int, after: int) -> None:
    with pytest.raises(InterruptedHereError):
        train(tmp_path, hook=_until(step), workers=before, checkpoint_steps=1)
    assert _steps(tmp_path)[-1] == step
    result = train(tmp_path, workers=after)
    assert (result.step, result.epoch, result.stopped) == (3 * STEPS, 3, False)
    _same(tmp_path, uninterrupted)


@pytest.fixture(scope="module")
def renewed(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("renewed")
    train(folder, renewed=True)
    return folder


@pytest.mark.parametrize("step", [0, 1, STEPS - 1, STEPS, STEPS + 3, 2 * STEPS])
@pytest.mark.parametrize("every", [1, 3, None])
def test_what_is_renewed_before_every_epoch_resumes_exactly(
    renewed: Path, tmp_path: Path, step: int, every: int | None
) -> None:
    with pytest.raises(InterruptedHereError):
        train(tmp_path, hook=_until(step), renewed=True, checkpoint_steps=every)
    train(tmp_path, renewed=True, checkpoint_steps=every)
    _same(tmp_path, renewed)
    header, *rows = (tmp_path / "epochs.csv").read_text().splitlines()
    thresholds = [row.split(",")[header.split(",").index("threshold")] for row in rows]
    assert len(set(thresholds)) == 3


def test_a_checkpoint_without_the_task_s_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InterruptedHereError):
        train(tmp_path, hook=_until(3), checkpoint_steps=1)
    with pytest.raises(InputError, match="another version"):
        train(tmp_path, renewed=True)


def test_steps_since_the_last_checkpoint_are_done_again_and_logged_once(uninterrupted: Path, tmp_path: Path) -> None:
    with pytest.raises(InterruptedHereError):
        train(tmp_path, hook=_until(12), checkpoint_steps=5)
    assert len(_log(tmp_path)) == 12
    with (tmp_path / "log.jsonl").open("a") as stream:
        stream.write('{"step": 13, "cut o')
    with pytest.raises(InterruptedHereError):
        train(tmp_path, hook=_until(11), checkpoint_steps=5)
    assert len(_log(tmp_path)) == 11
    train(tmp_path, checkpoint_steps=5)
    _same(tmp_path, uninterrupted)


def test_without_a_checkpoint_training_begins_anew(uninterrupted: Path, tmp_path: Path) -> None:
    with pytest.raises(InterruptedHereError):
        train(tmp_path, hook=_until(3))
    train(tmp_path)
    _same(tmp_path, uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "sgd", "clip_norm": 0.1},
        {"optimizer": "adamw", "precision": "bf16", "schedule": "cosine"},
        {"precision": "fp16", "select": "best", "validate_epochs": 1},
    ],
)
def test_resume_is_exact_with_other_settings(tmp_path: Path, changes: dict[str, Any]) -> None:
    expected = train(tmp_path / "one go", **changes)
    for step in (3, STEPS, 2 * STEPS + 1):
        with pytest.raises(InterruptedHereError):
            train(tmp_path / "three", hook=_until(step), checkpoint_steps=1, **changes)
    assert train(tmp_path / "three", **changes) == expected
    _same(tmp_path / "three", tmp_path / "one go")


@pytest.mark.parametrize("changes", [{}, {"schedule": "constant"}, {"select": "best", "validate_epochs": 1}])
def test_more_epochs_end_where_one_training_of_as_many_does(tmp_path: Path, changes: dict[str, Any]) -> None:
    """After its end or after an interruption, with the learning rate that every step would have had."""
    expected = train(tmp_path / "one go", epochs=4, **changes)
    train(tmp_path / "extended", epochs=2, **changes)
    with pytest.raises(InterruptedHereError):
        train(tmp_path / "extended", hook=_until(3 * STEPS + 1), epochs=4, checkpoint_steps=1, **changes)
    assert train(tmp_path / "extended", epochs=4, **changes) == expected
    _same(tmp_path / "extended", tmp_path / "one go")


@pytest.mark.parametrize(
    ("epochs", "changes", "says"),
    [
        (1, {}, "more epochs, not fewer"),
        (3, {"schedule": "cosine"}, "by the schedule 'cosine' the learning rate of what was done would have been"),
        (3, {"schedule": "whole-cosine"}, "by the schedule 'whole-cosine'"),
        (4, {"select": "best", "validate_epochs": 3}, "selected among every 3 epochs and its last"),
    ],
)
def test_epochs_that_would_change_what_was_done_are_refused(
    tmp_path: Path, epochs: int, changes: dict[str, Any], says: str
) -> None:
    train(tmp_path, epochs=2, **changes)
    with pytest.raises(InputError, match=f"training.epochs is 2 there and {epochs} here .*{says}") as caught:
        train(tmp_path, epochs=epochs, **changes)
    assert "\n" not in str(caught.value)


def test_a_finished_run_is_not_trained_again(uninterrupted: Path, tmp_path: Path) -> None:
    first = train(tmp_path, select="best", validate_epochs=1)
    before = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").unlink()
    again = train(tmp_path, hook=_until(0), select="best", validate_epochs=1)
    assert again == first
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_a_run_left_during_its_validation_validates_when_it_goes_on(
    uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise InterruptedHereError

    with monkeypatch.context() as patch:
        patch.setattr("tests.training.toytask.ToyTask.validate", interrupt)
        for epochs in (2, 2):
            with pytest.raises(InterruptedHereError):
                train(tmp_path)
            assert _steps(tmp_path)[-1] == epochs * STEPS
    train(tmp_path)
    _same(tmp_path, uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 2 * STEPS])
def test_measuring_information_changes_nothing_and_goes_on_exactly(
    uninterrupted: Path, measured: Path, tmp_path: Path, step: int
) -> None:
    assert all(torch.equal(value, weights(uninterrupted)[name]) for name, value in weights(measured).items())
    with pytest.raises(InterruptedHereError):
        train(tmp_path, hook=_until(step), checkpoint_steps=2, information_epochs=2)
    train(tmp_path, information_epochs=2)
    _same(tmp_path, measured)
    assert (tmp_path / TABLE).read_bytes() == (measured / TABLE).read_bytes()
    assert (tmp_path / PICTURE).read_bytes() == (measured / PICTURE).read_bytes()


@pytest.mark.slow
def test_a_run_left_while_it_is_measured_is_measured_when_it_goes_on(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = MeasuredTask.held_out_representations
    seen = iter(range(100))

    def interrupt(*given: Any) -> Any:
        if next(seen) == 1:
            raise InterruptedHereError
        return whole(*given)

    with monkeypatch.context() as patch:
        patch.setattr(MeasuredTask, "held_out_representations", interrupt)
        with pytest.raises(InterruptedHereError):
            train(tmp_path, information_epochs=2)
    assert _steps(tmp_path)[-1] == 2 * STEPS
    (tmp_path / f".{TABLE}.x.tmp").touch()  # what a kill leaves of a file that is being written
    train(tmp_path, information_epochs=2)
    assert (tmp_path / TABLE).read_bytes() == (measured / TABLE).read_bytes()
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.slow
def test_checkpoints_of_before_there_was_information_still_go_on(uninterrupted: Path, tmp_path: Path) -> None:
    with pytest.raises(InterruptedHereError):
        train(tmp_path, hook=_until(STEPS + 2), checkpoint_steps=1)
    found = checkpoints.latest(tmp_path / "checkpoints")
    assert found is not None
    del found.state["information"]
    checkpoints.write(tmp_path / "checkpoints", found.step, found.state, found.fingerprint, keep=1)
    train(tmp_path, information_epochs=2)  # it is no setting that decides the result
    assert all(torch.equal(value, weights(uninterrupted)[name]) for name, value in weights(tmp_path).items())
    assert {row.step for row in read_information(tmp_path / TABLE)} == {2 * STEPS, 3 * STEPS}


@pytest.mark.slow
def test_kill_at_any_moment_costs_nothing(nursery: Nursery, tmp_path: Path) -> None:
    options = {"pause": 0.003, "checkpoint_steps": 1, "epochs": 4, "select": "best", "validate_epochs": 1}
    expected = tmp_path / "expected"
    began = time.monotonic()
    assert nursery.wait(nursery.start(CHILD, expected, errors=tmp_path / "errors", **options)) == 0
    whole = time.monotonic() - began
    rng = np.random.default_rng(0)
    kills = course = 0
    while kills < 24:
        folder, code = tmp_path / f"course {course}", -1
        while code != 0:
            child = nursery.start(CHILD, folder, errors=tmp_path / "errors", **options)
            if kills < 24:
                time.sleep(rng.uniform(0, 0.6 * whole))
                os.kill(child, signal.SIGKILL)
            code = nursery.wait(child)  # 0: it had ended already
            kills += code != 0
        _same(folder, expected)
        assert not list(folder.rglob("*.tmp"))
        course += 1
    assert (tmp_path / "errors").read_text() == ""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("workers", [0, 2])
def test_sigterm_and_sighup_write_a_checkpoint_and_leave(
    nursery: Nursery, uninterrupted: Path, tmp_path: Path, workers: int, number: signal.Signals
) -> None:
    folder = tmp_path / "run"
    child = nursery.start(CHILD, folder, errors=tmp_path / "errors", pause=0.1, workers=workers)
    _wait_for(lambda: (folder / "log.jsonl").exists() and (folder / "log.jsonl").stat().st_size > 500)
    os.killpg(child, number)  # the loader processes too, as schedulers do
    assert nursery.wait(child) == 143, (tmp_path / "errors").read_text()
    assert (tmp_path / "errors").read_text() == ""
    (step,) = _steps(folder)
    assert len(_log(folder)) == step < STEPS
    assert not (folder / "model.safetensors").exists()
    train(folder)
    _same(folder, uninterrupted)


def test_ctrl_c_stops_and_the_news_says_so(uninterrupted: Path, tmp_path: Path) -> None:
    handler = signal.getsignal(signal.SIGINT)

    def hook(step: int) -> None:
        if step == 4:
            signal.raise_signal(signal.SIGINT)

    stopped = train(tmp_path, hook=hook)
    assert (stopped.stopped, stopped.step, stopped.epoch) == (True, 5, 0)
    assert signal.getsignal(signal.SIGINT) is handler
    train(tmp_path)
    _same(tmp_path, uninterrupted)


@pytest.mark.slow
def test_the_watchdog_ends_a_step_that_lasts_too_long(nursery: Nursery, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    child = nursery.start("tests.training.toytask:patient", folder, errors=tmp_path / "errors")
    _wait_for((folder / "stuck").exists)
    os.kill(child, signal.SIGTERM)
    assert nursery.wait(child) == 143
    (line,) = (tmp_path / "errors").read_text().splitlines()
    assert "step-000000007.safetensors stands" in line


def _steps(folder: Path) -> list[int]:
    return [checkpoints.read(path).step for path in sorted((folder / "checkpoints").iterdir())]


def _wait_for(condition: Any) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to that")


def test_a_signal_that_comes_when_all_is_done_is_not_lost(
    uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = loop._Run.finish

    def late(self: Any) -> None:
        finish(self)
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(loop._Run, "finish", late)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path)
    _same(tmp_path, uninterrupted)


@pytest.mark.slow
def test_a_killed_loader_is_one_line_and_costs_no_more_than_its_epoch(uninterrupted: Path, tmp_path: Path) -> None:
    def kill(step: int) -> None:
        if step == STEPS + 3:
            (worker,) = multiprocessing.active_children()
            assert worker.pid is not None
            os.kill(worker.pid, signal.SIGKILL)
            worker.join()

    with pytest.raises(InputError, match=r"^a process that loads batches was killed.*fewer training\.workers$"):
        train(tmp_path, hook=kill, workers=1)
    train(tmp_path)
    _same(tmp_path, uninterrupted)
