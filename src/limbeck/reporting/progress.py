"""How far a long job has come: a bar on a terminal, and elsewhere a line every tenth of the way."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

from limbeck.reporting.terminal import one_line

if TYPE_CHECKING:
    from rich.console import Console

Progress = Callable[[int, int], object]
"""Called with (parts done, parts in all)."""

_shown: ContextVar[bool] = ContextVar("shown", default=False)


class Advance(Protocol):
    """Says how far a job has come; it is a `Progress`, too."""

    def __call__(self, done: int, total: int | None = None, state: str = "") -> None:
        """Show it.

        Args:
            done: parts of the job.
            total: parts in all; None: as known.
            state: a few words on how it stands.
        """


@contextmanager
def progress_bar(
    label: str, *, unit: str | None = None, total: int | None = None, start: int = 0, show: bool | None = None
) -> Iterator[Advance]:
    """Show on stderr how far a job has come, for as long as the block lasts.

    On a terminal it is a bar, which stays there if the job has a unit. Elsewhere it is a line every tenth of the way if
    the job has a unit, and nothing if not.

    Args:
        label: what is being done.
        unit: what a part of a job worth a record is called ("epoch").
        total: parts of the job, where they are known.
        start: parts done before.
        show: whether to; None: inside `limbeck.reporting.console.console_output`, and nowhere else.

    Yields:
        What is to be called after each part.
    """
    if not (_shown.get() if show is None else show):
        yield _nothing
        return
    from rich.console import Console  # noqa: PLC0415 (help should not wait for it)

    console = Console(stderr=True)
    if console.is_terminal:
        with _bar(console, label, total, start, transient=unit is None) as advance:
            yield advance
    else:
        yield _nothing if unit is None else _lines(label, unit, total)


@contextmanager
def progress_shown(shown: bool) -> Iterator[None]:
    """Show the progress of all jobs inside the block, or of none."""
    token = _shown.set(shown)
    try:
        yield
    finally:
        _shown.reset(token)


def _nothing(done: int, total: int | None = None, state: str = "") -> None:
    del done, total, state


def _lines(label: str, unit: str, known: int | None) -> Advance:
    def advance(done: int, total: int | None = None, state: str = "") -> None:
        parts = known if total is None else total
        if parts is not None and (done % max(1, parts // 10) == 0 or done == parts):
            with suppress(OSError):  # a terminal that is gone is no reason to end the work
                sys.stderr.write(one_line(f"{label}: {unit} {done}/{parts}{f', {state}' if state else ''}") + "\n")

    return advance


@contextmanager
def _bar(console: Console, label: str, known: int | None, start: int, *, transient: bool) -> Iterator[Advance]:
    from rich import progress as rich  # noqa: PLC0415

    columns = (
        rich.TextColumn("{task.description}", markup=False),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TimeElapsedColumn(),
        rich.TimeRemainingColumn(),
        rich.TextColumn("{task.fields[state]}", markup=False),
    )
    bar = rich.Progress(*columns, console=console, transient=transient)
    task = bar.add_task(one_line(label), total=known, completed=start, state="")

    def advance(done: int, total: int | None = None, state: str = "") -> None:
        with suppress(OSError):
            bar.update(task, completed=done, total=total, state=one_line(state))

    bar.start()
    try:
        yield advance
    finally:
        with suppress(OSError):
            bar.stop()
