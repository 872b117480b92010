"""SIGTERM, SIGHUP, Ctrl-C: the step is ended, a checkpoint written, the training left; a watchdog sees to it."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from limbeck.errors import TERMINATED
from limbeck.reporting.terminal import one_line

# Schedulers kill what has not left 10 seconds after SIGTERM, the shortest of the usual delays.
GRACE_SECONDS = 8.0
_END = b"\0"
_STOPPING = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]


class StopRequest:
    """Whether somebody asked the training to stop, and by which signal."""

    requested = False
    number = 0

    def comes(self, within: float = 0.5) -> bool:
        """Whether the training is asked to stop, now or within so many seconds.

        A signal to a whole group may end another process of it before this one has heard of it.
        """
        deadline = time.monotonic() + within
        while not self.requested and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.requested


@contextmanager
def stop_signals(standing: Callable[[], str], *, grace: float | None = None) -> Iterator[StopRequest]:
    """Turn SIGTERM, SIGHUP and the first Ctrl-C into a request to stop; a second Ctrl-C interrupts as usual.

    SIGHUP, which says that the terminal is gone, is taken for SIGTERM, unless it is ignored (`nohup`). Where the block
    is not left within `grace` seconds of the request, the process ends with 130 after Ctrl-C, 143 after the others, and
    one line on stderr. Handlers are installed in the main thread only, where Python allows it,
    and the earlier ones come back afterwards.

    Args:
        standing: says which checkpoint stands, for that line.
        grace: seconds; None: `GRACE_SECONDS`.

    Yields:
        What the training asks after every step.
    """
    request = StopRequest()
    seconds = GRACE_SECONDS if grace is None else grace
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    earlier: dict[int, signal._HANDLER] = {}

    def ask(number: int, _frame: FrameType | None) -> None:
        request.requested, request.number = True, number
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        # The whole group is often signalled: torch would raise wherever the training is, because a loader process died.
        if hasattr(signal, "SIGCHLD") and signal.SIGCHLD not in earlier:
            earlier[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    # The watchdog hears of a signal through this pipe, even while the main thread is inside a long computation.
    earlier_pipe = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    watchdog = threading.Thread(target=_watch, args=(reading, standing, seconds), name="limbeck-watchdog", daemon=True)
    watchdog.start()
    for number in _heard():
        earlier[number] = signal.signal(number, ask)
    try:
        yield request
    finally:
        for which, handler in list(earlier.items()):
            # None: a handler that is not Python's, which cannot be put back.
            signal.signal(which, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(earlier_pipe)
        os.write(writing, _END)
        watchdog.join()
        os.close(reading)
        os.close(writing)


def _heard() -> list[int]:
    """The signals to listen to: not to a SIGHUP that is ignored."""
    return [number for number in _STOPPING if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN]


def _watch(reading: int, standing: Callable[[], str], grace: float) -> None:
    """Wait for a signal, then for the end of the block; when that does not come, end the process."""
    number, deadline = 0, 0.0
    while True:
        ready, _, _ = select.select([reading], [], [], max(0.0, deadline - time.monotonic()) if number else None)
        if not ready:
            line = one_line(f"limbeck: not stopped within {grace:g} s of signal {number}; {standing()} stands") + "\n"
            with suppress(OSError):  # the terminal may be gone
                os.write(2, line.encode(errors="replace"))
            os._exit(128 + signal.SIGINT if number == signal.SIGINT else TERMINATED)
        byte = os.read(reading, 1)
        if byte == _END:
            return
        if byte[0] in _STOPPING and not number:
            number, deadline = byte[0], time.monotonic() + grace
