"""A progress bar over epochs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from limbeck.multiview.training import Epoch
from limbeck.multiview.training import Progress as Callback


@contextmanager
def epoch_progress(epochs: int, *, enabled: bool, label: str = "training") -> Iterator[Callback | None]:
    """Yield the callback that `train` calls after every epoch; it draws a bar on stderr. None where not enabled.

    Where stderr is not a terminal a line is printed every tenth of the way instead.
    """
    if not enabled:
        yield None
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _printer(epochs, label)
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
        task = bar.add_task(label, total=epochs, state="")

        def advance(epoch: int, entries: Sequence[Epoch]) -> None:
            bar.update(task, completed=epoch + 1, state=_state(entries))

        yield advance


def _printer(epochs: int, label: str) -> Callback:
    stride = max(1, epochs // 10)

    def report(epoch: int, entries: Sequence[Epoch]) -> None:
        if (epoch + 1) % stride == 0 or epoch + 1 == epochs:
            sys.stderr.write(f"{label}: epoch {epoch + 1}/{epochs}, {_state(entries)}\n")

    return report


def _state(entries: Sequence[Epoch]) -> str:
    loss = np.mean([entry.loss for entry in entries])
    accuracy = [entry.validation_accuracy for entry in entries]
    known = f", validation {100 * np.mean(accuracy):.1f} %" if not np.isnan(accuracy).any() else ""
    return f"loss {loss:.3f}{known}"
