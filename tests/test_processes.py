"""Processes end with the one that started them; what they leave is removed by the next, what lives is left alone."""

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.interruptions import COMMAND, processes_of, temporaries
from tests.training.nursery import Nursery

from limbeck.errors import InputError
from limbeck.files import atomic_writer
from limbeck.processes import process_pool
from limbeck.synthetic import folder
from limbeck.temporaries import remove_leftovers, whole_folder
from limbeck.training import interruption


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    found = Nursery("limbeck.cli.jobs", "limbeck.cli.verbs", "limbeck.synthetic.jobs")
    yield found
    found.close()


def _wait_for(condition: Callable[[], object], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to that")


def _words(target: Path, people: int) -> list[str]:
    return (
        f"data make people {target} --train_identities {people} --validation_identities 0 --test_identities 1 "
        "--images_per_camera 2 --height 32 --width 16 --workers 2 --layout csv"
    ).split()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)],
)
@pytest.mark.parametrize("workers", ["data make people", "data make streets"])
def test_no_worker_outlives_the_command(
    nursery: Nursery, tmp_path: Path, number: signal.Signals, code: int, workers: str
) -> None:
    target, begun, errors = tmp_path / "set", tmp_path / "begun", tmp_path / "errors"
    words = _words(target, 400) if "people" in workers else f"data make streets {target} --workers 2".split()
    child = nursery.start(COMMAND, begun, *words, errors=errors)
    _wait_for(lambda: len(list(tmp_path.glob(".set.*.tmp/**/*.*"))) > 3)  # the workers' files
    assert len(processes_of(child)) == 3
    os.kill(child, number)  # it alone
    assert nursery.wait(child) == code
    _wait_for(lambda: not processes_of(child), seconds=5)  # at once, on a machine that is not busy
    assert not target.exists()
    if number == signal.SIGKILL:
        assert len(temporaries(tmp_path)) == 1
        assert nursery.wait(nursery.start(COMMAND, begun, *_words(target, 2), errors=errors)) == 0
    else:
        assert len(errors.read_text().splitlines()) == 1, errors.read_text()
    assert not temporaries(tmp_path)


def _long(folder: str) -> None:
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(1000)


def spawned(folder: str) -> int:
    """What a child runs: two spawned workers, each with a long job."""
    with process_pool(2, method="spawn") as pool:
        list(pool.map(_long, [folder, folder]))
    return 0


@pytest.mark.slow
def test_no_spawned_worker_outlives_a_killed_parent(nursery: Nursery, tmp_path: Path) -> None:
    child = nursery.start("tests.test_processes:spawned", tmp_path, errors=tmp_path / "errors")
    _wait_for(lambda: len(list(tmp_path.glob("[0-9]*"))) == 2)
    os.kill(child, signal.SIGKILL)
    nursery.wait(child)
    _wait_for(lambda: not processes_of(child), seconds=5)


def test_a_pool_whose_block_fails_does_not_wait_for_its_work(tmp_path: Path) -> None:
    began = time.monotonic()
    with suppress(ZeroDivisionError), process_pool(1) as pool:
        pool.submit(_long, str(tmp_path))
        _wait_for(lambda: list(tmp_path.iterdir()))
        raise ZeroDivisionError
    assert time.monotonic() - began < 60
    (name,) = (path.name for path in tmp_path.iterdir())
    with pytest.raises(ProcessLookupError):
        os.kill(int(name), 0)


# -- temporary files --------------------------------------------------------------------------------------------------


def test_a_file_that_is_being_written_is_no_leftover(tmp_path: Path) -> None:
    dead = tmp_path / ".a.12345678.tmp"
    dead.touch()
    with atomic_writer(tmp_path / "a") as stream:
        stream.write(b"first")
        remove_leftovers(tmp_path, ".a.")
        assert len(temporaries(tmp_path)) == 1
        assert not dead.exists()
        with atomic_writer(tmp_path / "a") as other:
            other.write(b"other")
        assert (tmp_path / "a").read_bytes() == b"other"
    assert (tmp_path / "a").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_that_is_being_filled_is_no_leftover(tmp_path: Path) -> None:
    (tmp_path / ".a.12345678.tmp" / "inside").mkdir(parents=True)
    (tmp_path / ".ab.12345678.tmp").mkdir()
    with whole_folder(tmp_path / "a") as folder:
        (folder / "file").touch()
        remove_leftovers(tmp_path, ".a.")
        assert temporaries(tmp_path) == sorted([folder.name, ".ab.12345678.tmp"])
    assert (tmp_path / "a" / "file").exists()
    assert temporaries(tmp_path) == [".ab.12345678.tmp"]


def test_a_file_that_was_taken_for_a_leftover_before_it_was_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, taken = tempfile.mkstemp, []

    def robbed(**given: Any) -> tuple[int, str]:
        descriptor, name = make(**given)
        if not taken:
            taken.append(name)
            remove_leftovers(tmp_path, ".a.")
            assert not Path(name).exists()
        return descriptor, name

    monkeypatch.setattr("limbeck.temporaries.tempfile.mkstemp", robbed)
    with atomic_writer(tmp_path / "a") as stream:
        stream.write(b"first")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_where_there_are_no_locks_nothing_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError("no locks here")

    monkeypatch.setattr("limbeck.temporaries.fcntl.flock", unsupported)
    (tmp_path / ".a.12345678.tmp").touch()
    with atomic_writer(tmp_path / "a") as stream:
        stream.write(b"first")
    assert temporaries(tmp_path) == [".a.12345678.tmp"]


# -- signals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("handler", "asked"), [(signal.SIG_IGN, False), (signal.SIG_DFL, True)])
def test_a_hang_up_stops_a_training_unless_it_is_ignored(handler: signal.Handlers, asked: bool) -> None:
    before = signal.signal(signal.SIGHUP, handler)
    try:
        with interruption.stop_signals(lambda: "nothing") as stop:
            signal.raise_signal(signal.SIGHUP)
            assert stop.requested == asked
        assert signal.getsignal(signal.SIGHUP) == handler
    finally:
        signal.signal(signal.SIGHUP, before)


def _end(_part: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_killed_process_of_a_pool_is_one_line() -> None:
    with pytest.raises(InputError, match="a process that worked for this one was killed"), process_pool(2) as pool:
        list(pool.map(_end, range(4)))


def test_more_processes_than_there_can_be_are_as_many_as_there_is_work() -> None:
    with process_pool(2**31 - 1, method="spawn") as pool:
        assert list(pool.map(abs, [-1, -2])) == [1, 2]


def test_no_more_processes_draw_than_there_are_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []

    def counted(workers: int, **more: Any) -> Any:
        begun.append(workers)
        return process_pool(workers, **more)

    monkeypatch.setattr(folder, "process_pool", counted)
    assert list(folder.in_processes(abs, [-3, -2, -1], 1000)) == [3, 2, 1]
    assert begun == [3]
