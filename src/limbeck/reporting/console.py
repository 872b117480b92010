"""What the command shows on stderr while it works: messages, warnings and progress; a library shows none of them."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from limbeck.reporting.progress import progress_shown
from limbeck.reporting.terminal import one_line

_logger = logging.getLogger("limbeck")


class _StderrHandler(logging.Handler):
    """Writes each record as one line to what `sys.stderr` is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        level = f"{record.levelname.lower()}: " if record.levelno > logging.INFO else ""
        try:
            sys.stderr.write(f"limbeck: {level}{one_line(self.format(record))}\n")
        except Exception:
            self.handleError(record)


@contextmanager
def console_output() -> Iterator[None]:
    """Show the messages of the logger `limbeck`, Python's warnings and progress on stderr inside the block.

    A message is a line `limbeck: ...`, a warning a line `limbeck: warning: ...`. Afterwards all is as it was before.
    Inside another such block it changes nothing.
    """
    if any(isinstance(handler, _StderrHandler) for handler in _logger.handlers):
        yield
        return
    handler, level, propagate = _StderrHandler(), _logger.level, _logger.propagate
    _logger.addHandler(handler)
    _logger.setLevel(logging.INFO)
    _logger.propagate = False  # handlers of the root logger would show every line twice
    try:
        with warnings.catch_warnings(), progress_shown(True):
            warnings.showwarning = _log_warning  # type: ignore[assignment]
            yield
    finally:
        _logger.removeHandler(handler)
        _logger.setLevel(level)
        _logger.propagate = propagate


@contextmanager
def quiet() -> Iterator[None]:
    """Hide messages and progress inside the block; warnings are still shown."""
    level = _logger.level
    _logger.setLevel(max(level, logging.WARNING))
    try:
        with progress_shown(False):
            yield
    finally:
        _logger.setLevel(level)


def _log_warning(message: Warning | str, *_: object) -> None:
    """A warning as one line, without the source line that raised it."""
    _logger.warning("%s", " ".join(str(message).split()))
