"""How far a training has come, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from limbeck.multiview.training import Epoch, EpochProgress
from limbeck.reporting.progress import progress_bar


@contextmanager
def epoch_progress(epochs: int, *, label: str = "training", show: bool | None = None) -> Iterator[EpochProgress]:
    """Yield the callback that `train` calls after every epoch; see `progress_bar`."""
    with progress_bar(label, unit="epoch", total=epochs, show=show) as advance:
        yield lambda epoch, entries: advance(epoch + 1, state=_state(entries))


def _state(entries: Sequence[Epoch]) -> str:
    loss = np.mean([entry.loss for entry in entries])
    accuracy = [entry.validation_accuracy for entry in entries]
    known = f", validation {100 * np.mean(accuracy):.1f} %" if not np.isnan(accuracy).any() else ""
    return f"loss {loss:.3f}{known}"
