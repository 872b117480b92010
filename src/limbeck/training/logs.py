"""What a run leaves to read: one line per step, one row per epoch, curves for TensorBoard; never written twice."""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from limbeck.csvfiles import open_csv, write_csv
from limbeck.files import check_regular

LOG, EPOCHS, CURVES = "log.jsonl", "epochs.csv", "tensorboard"


class StepLog:
    """`log.jsonl` of a run: one JSON object per line, one line per step.

    Args:
        folder: of the run.
        step: lines of later steps are cut off, and so is a line that was not written to its end.
        tensorboard: also write curves, into a folder `tensorboard`; one warning where it is not installed.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, folder: Path, *, step: int, tensorboard: bool = False) -> None:
        self._path = folder / LOG
        _cut(self._path, step)
        self._stream: IO[str] = self._path.open("a", encoding="utf-8")
        self._curves = _curves(folder / CURVES, step) if tensorboard else None

    def write(self, entry: Mapping[str, float]) -> None:
        """Add the line of one step; `entry` holds its number as `step`."""
        # Infinity and NaN are not JSON: null instead.
        plain = {name: value if math.isfinite(value) else None for name, value in entry.items()}
        self._stream.write(json.dumps(plain) + "\n")
        self._stream.flush()
        self.curve("training", entry)

    def curve(self, group: str, entry: Mapping[str, float]) -> None:
        """Draw the values of a step on TensorBoard, where it is wanted."""
        if self._curves is not None:
            for name, value in entry.items():
                if name not in {"step", "epoch"}:
                    self._curves.add_scalar(f"{group}/{name}", value, int(entry["step"]))

    def settle(self) -> None:
        """Force what was written to the disk, so that the log is never behind a checkpoint."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        if self._curves is not None:
            self._curves.flush()

    def close(self) -> None:
        self._stream.close()
        if self._curves is not None:
            self._curves.close()


def write_epochs(folder: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write `epochs.csv` whole and atomically; a figure that a row does not have is left empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    write_csv(folder / EPOCHS, [columns, *([row.get(name) for name in columns] for row in rows)])


def read_epochs(folder: Path) -> list[dict[str, float]]:
    """The rows of a run's `epochs.csv`, without the figures that they do not have; [] where there is none."""
    path = folder / EPOCHS
    if not path.is_file():
        return []
    with open_csv(path) as table:
        return [
            {name: float(cell) for name, cell in zip(table.header, cells, strict=True) if cell}
            for _, cells in table.rows
        ]


def _cut(path: Path, step: int) -> None:
    """Leave the lines up to a step, and whole ones only."""
    if not path.exists():
        return
    check_regular(path)
    place = 0
    with path.open("rb") as stream:
        for line in stream:
            try:
                entry = json.loads(line)
                if not line.endswith(b"\n") or entry["step"] > step:
                    break
            except (ValueError, LookupError, TypeError):
                break
            place += len(line)
    os.truncate(path, place)


def _curves(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - heavy, and often not installed
    except ImportError:
        warnings.warn(
            "tensorboard is not installed, so that no curves are drawn for it; log.jsonl and epochs.csv hold them all "
            "(pip install tensorboard)",
            stacklevel=4,
        )
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)
