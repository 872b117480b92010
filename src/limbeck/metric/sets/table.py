"""One's own photographs, listed in a CSV file: path, label and, where known, split."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from limbeck.images.table import picture_rows
from limbeck.metric.dataset import MetricDataset
from limbeck.metric.sets import MetricSet
from limbeck.metric.sets.folder import SPLITS

COLUMNS = ("path", "label")


def load_table(file: Path) -> MetricDataset:
    """Read a CSV with a header and the columns `path`, `label` and maybe `split` (train, validation or test).

    Paths are relative to the file's folder and may not leave it. Labels may be any words; they are numbered in
    alphabetical order. Without the column `split` the one split is "all".

    Raises:
        InputError: the file or a picture is missing, a path leaves the folder or stands twice, or a value is not
            understood.
    """
    rows = picture_rows(file, COLUMNS, _wrong)
    names = sorted({row["label"] for row in rows})
    code = {name: number for number, name in enumerate(names)}
    split = [row.get("split", "all") for row in rows]
    return MetricDataset(
        file.stem,
        file.parent,
        tuple(row["path"] for row in rows),
        np.array([code[row["label"]] for row in rows], np.int64),
        {name: np.flatnonzero([name == other for other in split]) for name in (*SPLITS, "all") if name in split},
        classes=tuple(names),
    )


def _wrong(row: dict[str, str]) -> str | None:
    if not row["label"]:
        return "the label is empty"
    if row.get("split", "train") not in SPLITS:
        return f"split must be one of {', '.join(SPLITS)}, not {row['split']!r}"
    return None


SET = MetricSet(
    "class-csv",
    "your own pictures in a CSV file with the columns path, label and maybe split",
    load=load_table,
    check=None,
    root="table",
)
