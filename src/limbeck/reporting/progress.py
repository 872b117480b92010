"""How far a long job has come: a bar on a terminal, and elsewhere a line every tenth of the way."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich import progress as rich
from rich.console import Console

Progress = Callable[[int, int], None]
"""Is told (parts done, parts in all)."""
Bar = Callable[[str], AbstractContextManager[Progress]]
"""Given a few words on what is done, shows how far it has come, for as long as the block lasts."""


@contextmanager
def no_bar(what: str) -> Iterator[Progress]:
    """Show nothing."""
    del what
    yield lambda done, total: None


@contextmanager
def progress_bar(total: int, *, label: str, unit: str, start: int = 0) -> Iterator[Callable[[int, str], None]]:
    """Show on stderr how far a job has come.

    Args:
        total: parts of the job.
        label: what is being done.
        unit: what a part is called ("epoch"), for the lines.
        start: parts done before.

    Yields:
        A function to be called after each part with (parts done, a few words on how it stands).
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        stride = max(1, total // 10)

        def report(done: int, state: str) -> None:
            if done % stride == 0 or done == total:
                sys.stderr.write(f"{label}: {unit} {done}/{total}, {state}\n")

        yield report
        return
    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TimeElapsedColumn(),
        rich.TimeRemainingColumn(),
        rich.TextColumn("{task.fields[state]}"),
    )
    with rich.Progress(*columns, console=console) as bar:
        task = bar.add_task(label, total=total, completed=start, state="")

        def advance(done: int, state: str) -> None:
            bar.update(task, completed=done, state=state)

        yield advance
