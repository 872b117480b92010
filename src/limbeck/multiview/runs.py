"""A run folder: a trained model, the recipe that made it, and its figures."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.errors import InputError
from limbeck.files import MODEL, write_json, write_text
from limbeck.information.curve import write_information
from limbeck.multiview.classifier import MultiViewClassifier
from limbeck.multiview.data import SPLITS
from limbeck.multiview.evaluation import Scores, ViewContribution, format_view_contributions, score
from limbeck.multiview.inputs import read_set, split_of
from limbeck.multiview.provenance import choose_source, layout_of, source_of, write_source
from limbeck.multiview.recipe import Recipe
from limbeck.multiview.tables import Layout, is_table
from limbeck.reporting.html import Page
from limbeck.training import run_lock


def train_run(
    source: str | os.PathLike[str],
    folder: Path,
    recipe: Recipe,
    *,
    fold: int,
    seed: int,
    device: str,
    resolved: str,
    information_epochs: int = 0,
    overwrite: bool = False,
    layout: Layout | None = None,
) -> str:
    """Train on one fold of a set and write the model, the resolved recipe and the validation figures to `folder`.

    Args:
        source: an NPZ file, the name of an embedded set, or a table.
        folder: made when absent; gets `model.safetensors`, `recipe.yaml`, `validation.json` and `data.json`, which says
            what it learned from.
        recipe: how to train.
        fold: which of the set's folds.
        seed: of the model.
        device: where to train.
        resolved: the recipe and all other options as YAML, to be kept with the run.
        information_epochs: every so many epochs measure what can be read of the label from v and z of the validation
            split, and write `information.csv` and `information.png`; 0: never. The early stopping looks at that split
            too, but learns nothing of it.
        overwrite: whether a finished run in the folder may be replaced; it stays whole until the new one is finished.
        layout: how a table says what is what; None: as its columns are named.

    Returns:
        What to tell the user.

    Raises:
        InputError: the set cannot be read or has no such fold, or no validation split to measure on; or the
            folder holds a finished run, or another training is under way in it.
        OSError: the folder cannot be written.
    """
    data = read_set(source, layout)
    views, labels = split_of(data, "train", fold)
    validation = split_of(data, "validation", fold)
    held_out = validation if len(validation[1]) else None
    if information_epochs and held_out is None:
        raise InputError(f"information_epochs must be 0: fold {fold} has no validation split to measure on")
    learned_from = source_of(source, fold, layout)
    with run_lock(folder):
        if (folder / MODEL).exists() and not overwrite:
            raise InputError(f"{folder}: holds a finished run: use another folder, or replace it by --overwrite")
        model = MultiViewClassifier.from_recipe(recipe, random_state=seed, device=device, verbose=True)
        model.fit(views, labels, validation=held_out, information_epochs=information_epochs)
        # Not before: a training that fails leaves an earlier run as it was.
        write_text(folder / "recipe.yaml", resolved)
        write_source(learned_from, folder)
        model.save(folder / MODEL)
        for figures in (*(f"{split}.json" for split in (*SPLITS, "all")), "information.csv", "information.png"):
            (folder / figures).unlink(missing_ok=True)  # of the run that was replaced
        if information_epochs:
            write_information(model.information_, folder)
        if held_out is None:
            return f"{_prepared(model, views)}Written: {folder / MODEL} (the fold has no validation split to score)"
        scores = _score(model, *held_out)
        write_json(folder / "validation.json", _as_json(scores, model))
        contributions = format_view_contributions(model.view_contributions_)
        return (
            f"{_prepared(model, views)}{_scores_line('validation', scores)}\n\n{contributions}\n\n"
            f"Written: {folder / MODEL}"
        )


def _prepared(model: MultiViewClassifier, views: dict[str, Any]) -> str:
    """What was made of texts and empty cells, to be told."""
    lines = [
        f"View {view!r}: empty cells that have the mean of the training samples: {count}."
        for view, count in model.imputed_cells_.items()
    ]
    for view, fitted in zip(model.view_names_, model.view_features_, strict=True):
        for column in getattr(views.get(view), "columns", ()):
            if fitted is not None and column not in fitted:
                count = sum(str(name).startswith(f"{column}=") for name in fitted)
                lines.append(f"View {view!r}: the texts of {column!r} are {count} columns of 0 and 1.")
    return "".join(f"{line}\n" for line in lines)


def evaluate_run(
    run: Path,
    source: str | os.PathLike[str] | None = None,
    *,
    fold: int | None = None,
    split: str = "test",
    device: str = "cpu",
    out: Path | None = None,
) -> str:
    """Score a trained model on one split of a set.

    Args:
        run: a run folder or a model file.
        source: an NPZ file or the name of an embedded set; None: what the run was trained on, unchanged since.
        fold: which of the set's folds; None: the one that the run was trained on, or 0 of another set.
        split: "train", "validation", "test", or "all" for every sample.
        device: where to compute.
        out: folder that gets `SPLIT.json`, and a page, `index.html`; default: the run, which gets `SPLIT.json` alone.

    Returns:
        Scores and what each view contributes.

    Raises:
        InputError: the model or the set cannot be read, or they do not fit each other.
    """
    folder = out or (run if run.is_dir() else None)
    model = MultiViewClassifier.load(run / MODEL if run.is_dir() else run, device=device)
    source, fold, warning = choose_source(run, source, fold)
    layout = layout_of(run) if is_table(source) else None
    views, labels = split_of(read_set(source, layout, views=model.view_names_), split, fold)
    scores = _score(model, views, labels)
    contributions = model.view_contributions(views, labels)
    if folder:
        write_json(
            folder / f"{split}.json", _as_json(scores, model) | {"account": [vars(row) for row in contributions]}
        )
    told = f"{_scores_line(split, scores)}\n\n{format_view_contributions(contributions)}"
    if warning:
        told += f"\n\n{warning}"
    if out is None:
        return told
    _write_page(out / "index.html", f"{run} on {split} of {source}", scores, contributions)
    return f"{told}\n\nWritten: {out / 'index.html'}"


def _write_page(file: Path, title: str, scores: Scores, contributions: Sequence[ViewContribution]) -> None:
    page = Page(title)
    page.table(
        ["accuracy %", "cross-entropy, nats", "calibration error %"],
        [[f"{100 * scores.accuracy:.2f}", f"{scores.cross_entropy:.4f}", f"{100 * scores.calibration_error:.2f}"]],
    )
    page.heading("What each view contributes")
    page.table(
        ["view", "alone %", "without %", "all %", "only here, nats", "samples"],
        [
            [
                row.view,
                *(f"{100 * share:.2f}" for share in (row.alone, row.without, row.everything)),
                f"{row.unique_nats:.4f}",
                str(row.samples),
            ]
            for row in contributions
        ],
        "Accuracy from the view alone, from all others, and from all, on the samples that have it; and the nats of the "
        "label that this model gains from it.",
    )
    page.write(file)


def _score(model: MultiViewClassifier, views: dict[str, Any], labels: np.ndarray) -> Scores:
    if len(labels) == 0:
        raise InputError("the chosen split has no samples")
    unseen = ~np.isin(labels, model.classes_)
    if unseen.any():
        raise InputError(f"label {str(labels[unseen][0])!r} was not there when the model was trained")
    return score(model.predict_proba(views), np.searchsorted(model.classes_, labels))


def _as_json(scores: Scores, model: MultiViewClassifier) -> dict[str, Any]:
    return dataclasses.asdict(scores) | {"epochs": len(model.history_), "best_epoch": model.best_epoch_ + 1}


def _scores_line(split: str, scores: Scores) -> str:
    return (
        f"{split}: accuracy {100 * scores.accuracy:.2f} %, cross-entropy {scores.cross_entropy:.4f} nats, "
        f"calibration error {100 * scores.calibration_error:.2f} %"
    )
