"""The command itself: what was typed becomes a job, and whatever goes wrong one line and an exit code."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from limbeck.cli.beginning import INTERRUPTED, INTERRUPTION
from limbeck.errors import TERMINATED, InputError
from limbeck.reporting.terminal import one_line, printable

USAGE_ERROR = 2
DEBUG = "LIMBECK_DEBUG"
_PATIENCE, _SOON = 10.0, 0.01  # seconds
_LONGEST = 200  # characters of what a foreign exception says


def run(arguments: Sequence[str] | None) -> int:
    """Run the command, see `limbeck.cli.main`."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    _open_streams()
    try:
        with _ended_by_signals():
            try:
                _run(words)
            finally:
                _write("")  # help was written by its parser
    except _Ended:
        _tell("limbeck: terminated; files that were already written are whole\n")
        raise SystemExit(TERMINATED) from None
    except KeyboardInterrupt:
        _tell(INTERRUPTION)
        raise SystemExit(INTERRUPTED) from None
    except Exception as error:
        if os.environ.get(DEBUG, "") not in ("", "0"):
            _tell(printable("".join(traceback.format_exception(error))))
        _tell(f"limbeck: error: {one_line(_reason(error))}\n")
        raise SystemExit(USAGE_ERROR) from None
    return 0


def _open_streams() -> None:
    """What is closed is opened to nowhere: a file of ours must not be given its number, and messages be written to it.

    A terminal without box-drawing characters gets question marks.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")


class _Ended(SystemExit):
    """SIGTERM or SIGHUP: what is under way is left, and tidies up behind itself."""


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Inside the block SIGTERM and SIGHUP raise `_Ended` in the main thread, unless somebody else handles them.

    Left to themselves they would end the process where it stands, with its workers and temporary files. Further ones
    are not heard for a while: a terminal that closes sends several, and tidying up must not be interrupted.
    """
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []
    taken = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
    last = -math.inf

    def end(_number: int, _frame: FrameType | None) -> None:
        nonlocal last
        if time.monotonic() - last > _PATIENCE:
            last = time.monotonic()
            raise _Ended(TERMINATED)

    unheard: list[int] = []
    timers: list[threading.Timer] = []

    def again(told: sys.UnraisableHookArgs) -> None:
        """What a signal raised where nobody hears it, as in what logging does after a fork, is raised once more."""
        nonlocal last
        if not (taken and hasattr(signal, "pthread_kill") and issubclass(told.exc_type, _Ended | KeyboardInterrupt)):
            earlier(told)
            return
        last = -math.inf
        unheard.append(signal.SIGINT if told.exc_type is KeyboardInterrupt else taken[0])
        # Later, because here it would be unheard again.
        timers.append(threading.Timer(_SOON, signal.pthread_kill, (threading.get_ident(), unheard[-1])))
        timers[-1].start()

    earlier = sys.unraisablehook
    sys.unraisablehook = again
    for number in taken:
        signal.signal(number, end)
    try:
        yield
    except Exception:
        if not unheard:
            raise
        # Processes that work for this one have heard it, and are missed.
        raise (KeyboardInterrupt if unheard[-1] == signal.SIGINT else _Ended(TERMINATED)) from None
    finally:
        for timer in timers:
            timer.cancel()
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
        sys.unraisablehook = earlier


def _run(words: list[str]) -> None:
    # Imported on use, so that --version and --help do not wait for parsers, and verbs only for their own packages.
    from limbeck.cli import verbs  # noqa: PLC0415

    for word in words:
        if "\0" in word:
            raise InputError(f"{word}: a NUL byte, which no name of a file may have; leave it out")
    if words == ["--version"]:
        from importlib.metadata import version  # noqa: PLC0415

        _print(f"limbeck {version('limbeck')}")
    elif words and words[-1] in ("-h", "--help") and not verbs.is_verb(words[:-1]):
        _print(verbs.help_text(words[:-1]))
    else:
        verb, rest = verbs.choose(words)
        from limbeck.cli.jobs import perform  # noqa: PLC0415
        from limbeck.reporting.console import console_output  # noqa: PLC0415

        with console_output():
            for text in perform(verb, rest):
                _print(text)


def _reason(error: Exception) -> str:
    """What went wrong, for somebody who does not read tracebacks."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, FileExistsError | NotADirectoryError) and error.filename:
        return f"{error.filename}: a file lies where a folder is needed; name another folder"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    # torch has no class of its own for the memory of a CPU.
    refused = "can't allocate memory" in str(error) or "Storage size calculation overflowed" in str(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or refused:
        return f"there is not enough memory ({_told(error)}); give smaller widths, batches or data"
    if isinstance(error, UnicodeEncodeError):
        return f"the name {error.object[:_LONGEST]!r} is not UTF-8; rename what it names"
    return (
        f"this is a fault of limbeck ({type(error).__name__}: {_told(error)}); please report it with what was typed; "
        f"{DEBUG}=1 in the environment shows the traceback"
    )


def _told(error: Exception) -> str:
    """What a foreign exception says, or the end of the traceback of another process in it, cut to a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    return lines[-1 if "Traceback (most recent call last)" in str(error) else 0][:_LONGEST]


def _print(text: str) -> None:
    _write(printable(text.rstrip("\n") + "\n"))


def _write(text: str) -> None:
    """Write to stdout, and through it.

    Raises:
        InputError: it cannot be written.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # What it holds still would be written again when Python ends.
        with suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
        closed = isinstance(error, BrokenPipeError)
        reason = "who reads it has closed it" if closed else str(error.strerror)
        raise InputError(f"standard output cannot be written: {reason}") from None


def _tell(text: str) -> None:
    with suppress(OSError):  # after SIGHUP the terminal is gone
        sys.stderr.write(text)
        sys.stderr.flush()
