"""How far a long job has come: a bar on a terminal, and elsewhere a line every tenth of the way."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


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
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[state]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(label, total=total, completed=start, state="")

        def advance(done: int, state: str) -> None:
            bar.update(task, completed=done, state=state)

        yield advance
