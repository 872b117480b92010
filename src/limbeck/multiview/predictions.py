"""Answers of a trained classifier for the samples of a file, as a table."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.csvfiles import write_csv
from limbeck.errors import InputError
from limbeck.files import MODEL
from limbeck.multiview.classifier import MultiViewClassifier
from limbeck.multiview.conformal import unsure
from limbeck.multiview.frames import Frame
from limbeck.multiview.inputs import empty_cells, missing_in, read_asked
from limbeck.multiview.provenance import layout_of
from limbeck.multiview.tables import is_table


def predict_run(
    run: Path,
    source: str | os.PathLike[str] | Sequence[str],
    out: Path,
    *,
    split: str = "all",
    fold: int = 0,
    threshold: float | None = None,
    coverage: float | None = None,
    device: str = "cpu",
    **layout: str | None,
) -> str:
    """Write what a trained model answers for each sample of a set to a CSV file.

    Its columns: `sample`, the name of the row, or its position in the set where it has none; `label`, where the set has
    labels; `class`, the most probable one, empty where the model abstains; `abstained`, True or False; `missing`, the
    views that the sample lacks, joined by `;`; with `coverage` also `set`, the classes joined by `;`; and `p_CLASS`,
    the probability of each class. Names that a spreadsheet would run as formulas have a single quote before them, see
    `limbeck.csvfiles.guarded`.

    Args:
        run: a run folder or a model file.
        source: an NPZ file, with labels or without, the name of an embedded set, or tables. A view of the model that
            it lacks is missing for all samples.
        out: the CSV file.
        split: "train", "validation", "test", or "all" for every sample.
        fold: which of the set's folds.
        threshold: abstain where the highest probability is below; None: never.
        coverage: abstain where the set of classes that holds the label with this probability (`predict_set`) is not
            exactly one; None: do not ask for sets.
        device: where to compute.
        layout: fields of `Layout`: how tables say what is what; as the run's own table did, where they are absent.

    Returns:
        What to tell the user.

    Raises:
        InputError: the model or the set cannot be read, they do not fit each other, or both ways to abstain are given.
        OSError: the file cannot be written.
    """
    if threshold is not None and coverage is not None:
        raise InputError("--threshold and --coverage are two ways to abstain: give one of them")
    if threshold is not None and not 0 <= threshold <= 1:
        raise InputError(f"--threshold must be a probability in [0, 1], not {threshold}")
    model = MultiViewClassifier.load(run / MODEL if run.is_dir() else run, device=device)
    files = [source] if isinstance(source, (str, os.PathLike)) else list(source)
    told = layout_of(run, **layout) if is_table(files[0]) or any(layout.values()) else None
    asked = read_asked(files, split, fold, told, views=model.view_names_)
    samples, views, labels = asked.samples, asked.views, asked.labels
    if not len(samples):
        raise InputError(f"{files[0]}: the split {split!r} of fold {fold} has no samples")
    probability = model.predict_proba(views)
    sets = None if coverage is None else model.predict_set(views, coverage, random_state=0)
    abstained = np.zeros(len(samples), bool)
    if threshold is not None:
        abstained = probability.max(axis=1) < threshold
    elif sets is not None:
        abstained = unsure(sets, probability)
    missing = _missing(model, views, len(samples))
    table: dict[str, Any] = {"sample": samples if asked.rows is None else [asked.rows[sample] for sample in samples]}
    if labels is not None:
        table["label"] = labels
    best = np.take(model.classes_, probability.argmax(axis=1)).astype(object)
    table["class"] = np.where(abstained, "", best)
    table["abstained"] = abstained
    table["missing"] = [_joined(model.view_names_, row) for row in missing.T]
    if sets is not None:
        table["set"] = [_joined(model.classes_, row) for row in sets]
    table |= {f"p_{name}": probability[:, number] for number, name in enumerate(model.classes_)}
    write_csv(out, [table, *zip(*table.values(), strict=True)])
    lines = [f"Written: {out} ({len(samples)} samples, {int(abstained.sum())} abstained)"]
    for name, row in zip(model.view_names_, missing, strict=True):
        if row.any():
            lines.append(f"{int(row.sum())} of {len(samples)} samples lack the view {name!r}")
    for name, view in views.items():
        count = int(empty_cells(view)[~missing_in(view)].sum()) if isinstance(view, Frame) else 0
        if count:
            lines.append(f"empty cells of the view {name!r} that have the mean of the training samples: {count}")
    return "\n".join(lines)


def _missing(model: MultiViewClassifier, views: dict[str, Any], samples: int) -> NDArray[np.bool_]:
    """Which views of the model each sample lacks, `(views, samples)`."""
    return np.stack(
        [missing_in(views[name]) if name in views else np.ones(samples, bool) for name in model.view_names_]
    )


def _joined(names: Any, chosen: NDArray[np.bool_]) -> str:
    return ";".join(str(name) for name, use in zip(names, chosen, strict=True) if use)
