"""A progress bar over epochs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from limbeck.multiview.training import Epoch
from limbeck.multiview.training import Progress as Callback
from limbeck.reporting.progress import progress_bar


@contextmanager
def epoch_progress(epochs: int, *, enabled: bool, label: str = "training") -> Iterator[Callback | None]:
    """Yield the callback that `train` calls after every epoch; it draws a bar on stderr. None where not enabled.

    Where stderr is not a terminal a line is printed every tenth of the way instead.
    """
    if not enabled:
        yield None
        return
    with progress_bar(epochs, label=label, unit="epoch") as show:
        yield lambda epoch, entries: show(epoch + 1, _state(entries))


def _state(entries: Sequence[Epoch]) -> str:
    loss = np.mean([entry.loss for entry in entries])
    accuracy = [entry.validation_accuracy for entry in entries]
    known = f", validation {100 * np.mean(accuracy):.1f} %" if not np.isnan(accuracy).any() else ""
    return f"loss {loss:.3f}{known}"
