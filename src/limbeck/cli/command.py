"""The command itself: what was typed becomes a job, and whatever goes wrong one line and an exit code."""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from types import FrameType
from typing import NoReturn

from limbeck.errors import TERMINATED, InputError

USAGE_ERROR, INTERRUPTED = 2, 130
_PATIENCE = 10.0  # seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: the words after `limbeck`; default: those of the process.

    Returns:
        0. Wrong usage or input prints one line and exits with 2, Ctrl-C with 130, SIGTERM and SIGHUP with 143; a
        training that a signal stopped exits with 143, its checkpoint written.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if hasattr(sys.stdout, "reconfigure"):  # a terminal without box-drawing characters gets question marks
        sys.stdout.reconfigure(errors="replace")
    try:
        with _ended_by_signals():
            _run(words)
    except (InputError, OSError) as error:
        _fail(_one_line(error))
    except _Ended:
        with suppress(OSError):  # after SIGHUP the terminal is gone
            sys.stderr.write("limbeck: terminated; files that were already written are whole\n")
        raise SystemExit(TERMINATED) from None
    except KeyboardInterrupt:
        sys.stderr.write("limbeck: interrupted; files that were already written are whole\n")
        raise SystemExit(INTERRUPTED) from None
    return 0


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

    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _run(words: list[str]) -> None:
    # Imported on use, so that --version and --help do not wait for parsers, and verbs only for their own packages.
    from limbeck.cli import verbs  # noqa: PLC0415

    if words == ["--version"]:
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


def _one_line(error: BaseException) -> str:
    if isinstance(error, FileExistsError | NotADirectoryError) and error.filename:
        return f"{error.filename}: a file lies where a folder is needed; name another folder"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split())


def _print(text: str) -> None:
    sys.stdout.write(text.rstrip("\n") + "\n")


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"limbeck: error: {message}\n")
    raise SystemExit(USAGE_ERROR)
