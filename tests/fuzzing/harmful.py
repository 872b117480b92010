"""A study that does what nothing may do: the fuzzer has to see all of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from limbeck.errors import InputError
from limbeck.registry import Study


@dataclass(frozen=True)
class Harm:
    """Which.

    Attributes:
        how: a key of `WAYS`.
    """

    how: str = ""


def _raise() -> None:
    raise KeyError("where")


def _end() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _leave_process() -> None:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])


def _say_two_lines() -> None:
    sys.stderr.write("a line\n")
    raise InputError("another")


def _colour() -> None:
    sys.stderr.write("limbeck: error: \x1b[31mred\n")  # past what writes control characters out
    sys.exit(2)


def _divide() -> None:
    warnings.warn("invalid value encountered in divide", RuntimeWarning, stacklevel=1)


def _refuse() -> None:
    raise InputError("no")


def _write_input() -> None:
    Path("labels.csv").write_text("")


def _leave_file() -> None:
    tempfile.mkstemp()


def _take_memory() -> None:
    np.ones(2**26).sum()


WAYS: dict[str, tuple[str, Callable[[], object]]] = {
    "raise": ("traceback", _raise),
    "end": ("signal", _end),
    "exit": ("exit code", lambda: sys.exit(3)),
    "two lines": ("lines", _say_two_lines),
    "colour": ("control", _colour),
    "divide": ("warning", _divide),
    "wait": ("time", lambda: time.sleep(60)),
    "memory": ("no memory", _take_memory),
    "process": ("processes", _leave_process),
    "file": ("left", _leave_file),
    "input": ("input changed", _write_input),
    "refuse": ("refused", _refuse),
    "nothing": ("ok", lambda: None),
}
"""What is done -> the kind of the outcome."""


def _run(settings: Harm, folder: Path) -> None:
    del folder
    WAYS[settings.how][1]()


STUDY = Study("harm", "for tests", Harm, _run, lambda _result: "", lambda _result, _folder: [])
