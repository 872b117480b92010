"""A folder has one training at a time; nothing that is over holds it up."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from tests.training.nursery import Nursery
from tests.training.toytask import train

from limbeck.errors import InputError
from limbeck.training.lock import LOCK, run_lock

CHILD = "tests.training.toytask:child"


def _under_way(folder: Path) -> None:
    for _ in range(3000):
        if (folder / "stuck").exists():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to that")


def _refused(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        train(folder)
    (line,) = str(caught.value).splitlines()
    assert str(folder) in line
    assert "use another folder" in line
    return line


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_second_training_is_refused_until_the_first_is_killed(nursery: Nursery, tmp_path: Path, workers: int) -> None:
    folder = tmp_path / "run"
    child = nursery.start(CHILD, folder, errors=tmp_path / "errors", stuck=3, workers=workers)
    _under_way(folder)
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    assert f"process {child} " in _refused(folder)
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == before
    os.kill(child, signal.SIGKILL)  # it alone: its loader processes outlive it for a while
    nursery.wait(child)
    assert (folder / LOCK).exists()
    assert not train(folder).stopped
    assert not (folder / LOCK).exists()


def test_threads_and_the_end_of_a_block(tmp_path: Path) -> None:
    found = []

    def try_it() -> None:
        try:
            with run_lock(tmp_path):
                found.append(True)
        except InputError:
            found.append(False)

    def in_a_thread() -> None:
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()

    with run_lock(tmp_path), run_lock(tmp_path / "other"):
        in_a_thread()
    in_a_thread()
    assert found == [False, True]
    assert [path.name for path in tmp_path.rglob("*")] == ["other"]


def test_without_locks_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError("no locks here")

    monkeypatch.setattr("limbeck.training.lock.fcntl.flock", unsupported)
    assert not train(tmp_path).stopped
