"""Ctrl-C while the command begins, and after it has ended.

Importing what a verb needs takes seconds. An exception that a signal raises in an import may be lost or come out as
another one, as libraries catch what they do not expect there; but there is nothing yet to be left tidy.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from types import FrameType

INTERRUPTED = 130  # exit code
INTERRUPTION = "limbeck: interrupted; files that were already written are whole\n"


def end_on_interrupt() -> None:
    """From now on Ctrl-C ends the process at once, with one line, unless it is ignored or handled otherwise."""
    _replace(signal.default_int_handler, _end)


def raise_on_interrupt() -> None:
    """From now on Ctrl-C raises `KeyboardInterrupt` again: the work begins, which has something to tidy up."""
    _replace(_end, signal.default_int_handler)


def ignore_interrupts() -> None:
    """All is done; what Python does on its way out is not to be disturbed."""
    for handler in (_end, signal.default_int_handler):
        _replace(handler, signal.SIG_IGN)


def _replace(old: object, new: signal._HANDLER) -> None:
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is old:
        signal.signal(signal.SIGINT, new)


def _end(_number: int, _frame: FrameType | None) -> None:
    with suppress(OSError):
        os.write(2, INTERRUPTION.encode())
    os._exit(INTERRUPTED)
