"""Five folds in one batched program against five separate fits, on the embedded digits."""

from __future__ import annotations

import numpy as np
from rich.table import Table

from benchmarks.loop import plain_fit
from benchmarks.timing import medians
from limbeck.multiview.data import load
from limbeck.multiview.recipe import Recipe
from limbeck.multiview.training import Fold, train
from limbeck.multiview.views import read_views

EPOCHS = 4


def run(source: str = "digits") -> Table:
    """Seconds for five folds side by side, one after the other, and by a plain loop one after the other."""
    data = load(source)
    views = read_views(data.views)
    folds = [Fold(data.split("train", fold), data.split("validation", fold)) for fold in range(5)]
    recipe = Recipe(epochs=EPOCHS, patience=None)

    def fit(chosen: list[Fold]) -> None:
        train(views, data.labels, chosen, recipe, classes=data.classes, seeds=range(len(chosen)))

    def separate() -> None:
        for fold in folds:
            fit([fold])

    def plain() -> None:
        for fold in folds:
            plain_fit(views, data.labels, fold.training, recipe, classes=data.classes)

    seconds = medians({"side by side": lambda: fit(folds), "separate": separate, "plain": plain}, repeats=3)
    table = Table(title=f"Five folds of {data.name}, {EPOCHS} epochs each")
    for heading in ("how", "seconds", "against side by side"):
        table.add_column(heading, justify="left" if heading == "how" else "right")
    for name, label in (
        ("side by side", "one batched program"),
        ("separate", "five fits of the same code"),
        ("plain", "five fits of a plain per-view loop"),
    ):
        ratio = np.divide(seconds[name], seconds["side by side"])
        table.add_row(label, f"{seconds[name]:.2f}", f"{ratio:.2f}")
    return table
