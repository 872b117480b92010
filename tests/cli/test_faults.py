"""Whatever goes wrong is one line and exit code 2, 130 or 143: faults of ours, streams that are closed, Ctrl-C."""

import errno
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.cli import command, main
from limbeck.errors import InputError

COMMAND = [sys.executable, "-m", "limbeck"]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """`failing(error)`: from now on every verb raises it."""

    def set_error(error: BaseException) -> None:
        def perform(*_: Any) -> Iterator[str]:
            raise error

        monkeypatch.setattr("limbeck.cli.jobs.perform", perform)

    return set_error


def _worker_error() -> RuntimeError:
    return RuntimeError(
        "Caught KeyError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
        "  File \"x.py\", line 1\nKeyError: 'left'\n"
    )


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TypeError("two\nlines"), ["a fault of limbeck (TypeError: two)", "please report it", "LIMBECK_DEBUG=1"]),
        (KeyError("\x1b[31mred"), ["a fault of limbeck", r"\x1b[31mred"]),
        (AssertionError(), ["a fault of limbeck (AssertionError: )"]),
        (RecursionError("maximum recursion depth exceeded"), ["a fault of limbeck (RecursionError"]),
        (_worker_error(), ["a fault of limbeck (RuntimeError: KeyError: 'left')"]),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), ["a fault of limbeck", "byte 0xff"]),
        (UnicodeEncodeError("utf-8", "r\udcff", 1, 2, "surrogates"), [r"the name 'r\udcff' is not UTF-8"]),
        (MemoryError(), ["not enough memory"]),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"), ["not enough memory", "9 bytes"]),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a\nb"), [r"a\nb: No such file"]),
        (OSError(errno.ENOSPC, "No space left on device"), ["error: No space left on device"]),
        (InputError("one\x1b[2J\nline"), [r"error: one\x1b[2J\nline"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_exception_is_one_line(
    error: BaseException, words: list[str], failing: Callable[..., None], refused: Callable[..., None]
) -> None:
    failing(error)
    refused(["data", "list"], *words)


def test_the_traceback_is_shown_when_asked_for(
    failing: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(TypeError("\x1b[31mred"))
    for wanted, shown in (("1", True), ("0", False), ("", False)):
        monkeypatch.setenv("LIMBECK_DEBUG", wanted)
        with pytest.raises(SystemExit):
            main(["data", "list"])
        told = capsys.readouterr().err
        assert ("Traceback (most recent call last)" in told) == shown
        assert "\x1b" not in told
        assert told.splitlines()[-1].startswith("limbeck: error: this is a fault of limbeck")


def test_what_is_printed_does_not_steer_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("limbeck.cli.jobs.perform", lambda *_: iter(["class \x1b[31mred\u202e\n  next"]))
    assert main(["data", "list"]) == 0
    assert capsys.readouterr().out == "class \\x1b[31mred\\u202e\n  next\n"


# -- streams, as a shell sets them up ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "code", "told"),
    [
        ("--version >&-", 0, ""),
        ("--version 2>&-", 0, ""),
        ("--version <&- >&- 2>&-", 0, ""),
        ("nonsense 2>&-", 2, ""),
        ("nonsense 2>/dev/full", 2, ""),
        ("--version >/dev/full", 2, "standard output cannot be written: No space left on device"),
        ("data list >/dev/full", 2, "standard output cannot be written: No space left on device"),
        ("train multiview --help >/dev/full", 2, "standard output cannot be written: No space left on device"),
        ("evaluate features.npz --protocol cub >&-", 0, ""),
    ],
)
def test_closed_and_full_streams(typed: str, code: int, told: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "features.npz", feature=np.eye(4), identity=[0, 0, 1, 1])
    ended = subprocess.run(
        ["sh", "-c", f'"$0" -m limbeck {typed}', sys.executable],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (ended.returncode, len(ended.stderr.splitlines())) == (code, int(bool(told))), ended.stderr
    assert told in ended.stderr


@pytest.mark.slow
def test_a_reader_that_leaves_early_is_told_in_a_line() -> None:
    child = subprocess.Popen([*COMMAND, "data", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    child.stdout.close()
    assert child.stderr is not None
    told = child.stderr.read()
    assert (child.wait(), told.splitlines()) == (
        2,
        ["limbeck: error: standard output cannot be written: who reads it has closed it"],
    )


def test_a_closed_number_is_given_to_no_file_of_ours(tmp_path: Path) -> None:
    words = "from limbeck.cli import main; main(['--version']); f = open('f', 'w'); f.write(str(f.fileno()))"
    subprocess.run(["sh", "-c", '"$0" -c "$1" <&- >&- 2>&-', sys.executable, words], check=True, cwd=tmp_path)
    assert int((tmp_path / "f").read_text()) > 2


# -- Ctrl-C ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ctrl_c_while_modules_are_imported(tmp_path: Path) -> None:
    np.savez(tmp_path / "features.npz", feature=np.eye(4), identity=[0, 0, 1, 1])
    typed = ["evaluate", str(tmp_path / "features.npz"), "--protocol", "cub"]
    # Beginning with the first moment at which code of ours runs.
    begun = "import sys; from limbeck.cli import main; print(flush=True); sys.exit(main())"
    for number in range(12):
        child = subprocess.Popen(
            [sys.executable, "-c", begun, *typed], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.05 + 0.1 * number)
        if child.poll() is not None:
            break  # a fast machine
        child.send_signal(signal.SIGINT)
        told = child.communicate()[1]
        assert (child.returncode, told) == (130, "limbeck: interrupted; files that were already written are whole\n")


def test_ctrl_c_is_left_as_it_was_where_the_command_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    assert main(["--version"]) == 0
    assert signal.getsignal(signal.SIGINT) is before
    assert capsys.readouterr().out.startswith("limbeck ")


class _Loud:
    """Sends a signal where what its handler raises is heard by nobody."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        signal.raise_signal(self.number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 143), (signal.SIGINT, 130)])
def test_a_signal_that_comes_where_nobody_hears_it_ends_the_command(
    number: signal.Signals, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reached = []

    def work(_words: list[str]) -> None:
        _Loud(number)
        for place in range(10**6):
            reached.append(place)

    monkeypatch.setattr(command, "_run", work)
    with pytest.raises(SystemExit) as left:
        command.run([])
    assert left.value.code == code
    assert len(reached) < 10**6
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_what_fails_after_a_signal_that_nobody_heard_is_not_told(
    number: signal.Signals, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(_words: list[str]) -> None:
        _Loud(number)
        raise InputError("a process that worked for this one was killed")

    monkeypatch.setattr(command, "_run", work)
    with pytest.raises(SystemExit) as left:
        command.run([])
    assert left.value.code == code
    assert "was killed" not in capsys.readouterr().err
    time.sleep(0.05)  # nothing comes later


def test_other_exceptions_that_nobody_hears_are_told_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)

    class Wrong:
        def __del__(self) -> None:
            raise ValueError("of its own")

    monkeypatch.setattr(command, "_run", lambda _words: Wrong() and None)
    command.run([])
    assert [one.exc_type for one in told] == [ValueError]
