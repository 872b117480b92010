"""How often sets of classes with a stated coverage hold the label, on stored folds, views missing too.

    python -m benchmarks.conformal [--data SET ...] [--rows N] [--coverage 0.9] [--seed 0]

`MultiViewClassifier()` as it comes learns from the training and validation samples of each fold, or from `--rows` of
them, drawn class by class. `predict_set` answers for the test samples from all views, from each view missing, and
where a random half of the samples lacks one random view. The interval is that of the beta-binomial law of one fold, as
if the samples learned from had been fresh calibration samples: the method itself promises less, see the guide.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.stats import betabinom

from limbeck import MultiViewClassifier
from limbeck.multiview.conformal import Score
from limbeck.multiview.data import MultiViewData, load
from limbeck.multiview.evaluation import score_sets
from limbeck.multiview.folds import stored_or_drawn
from limbeck.studies.multiview_peers.conditions import lacking, learning_rows

SCORES: tuple[Score, ...] = ("lac", "aps")
COMPLETE, WITHOUT, HALF = "all views", "each without one", "half lack one"


def run(sources: Sequence[str] = ("digits",), rows: int | None = 200, coverage: float = 0.9, seed: int = 0) -> Table:
    """Mean coverage over folds in per cent, and how many coverages of single folds lie in their interval."""
    warnings.filterwarnings("ignore", "view .* constant column")
    table = Table(title=f"Coverage of sets that state {coverage:.0%}, %: lac, aps")
    for heading in ("set", "learned from", "test", COMPLETE, WITHOUT, HALF, "interval of a fold", "below/within/above"):
        table.add_column(heading, justify="left" if heading == "set" else "right")
    for source in sources:
        table.add_row(*_row(load(source), rows, coverage, seed))
    return table


def _row(data: MultiViewData, rows: int | None, coverage: float, seed: int) -> list[str]:
    found: dict[tuple[str, Score], list[float]] = {}
    counts = [0, 0, 0]
    for fold, codes in enumerate(stored_or_drawn(data, 0, seed)):
        training, validation = learning_rows(codes, data.labels, rows, seed, fold)
        learned, test = np.sort(np.concatenate([training, validation])), np.flatnonzero(codes == 2)
        low, high = _interval(len(learned), len(test), coverage)
        model = MultiViewClassifier(random_state=seed + fold)
        model.fit([view[learned] for view in data.views.values()], data.labels[learned])
        for name, views in _conditions(data, test, (seed, fold)):
            for score in SCORES:
                sets = model.predict_set(views, coverage, score=score, random_state=seed + fold)
                held = score_sets(sets, data.labels[test]).coverage
                found.setdefault((name, score), []).append(held)
                counts[1 + int(held > high) - int(held < low)] += 1
    means = [
        ", ".join(f"{100 * np.mean(found[name, score]):.1f}" for score in SCORES) for name in (COMPLETE, WITHOUT, HALF)
    ]
    interval = f"{100 * low:.1f} to {100 * high:.1f}"
    return [data.name, f"{len(learned):,}", f"{len(test):,}", *means, interval, "/".join(map(str, counts))]


def _conditions(
    data: MultiViewData, test: NDArray[np.int64], seed: tuple[int, int]
) -> Iterator[tuple[str, list[NDArray[np.float32] | None]]]:
    views = [np.asarray(view)[test] for view in data.views.values()]
    yield COMPLETE, [*views]
    for gone in range(len(views)):
        yield WITHOUT, [None if number == gone else view for number, view in enumerate(views)]
    there = np.stack([~np.isnan(view).all(axis=1) for view in views])
    left = lacking(there, [np.arange(len(test))], 0.5, seed)
    yield HALF, [np.where(kept[:, np.newaxis], view, np.nan) for kept, view in zip(left, views, strict=True)]


def _interval(learned: int, test: int, coverage: float) -> tuple[float, float]:
    """Where 95 % of the coverages of `test` samples lie, calibrated by `learned` fresh ones."""
    rank = int(np.ceil((learned + 1) * coverage))
    law = betabinom(test, rank, learned + 1 - rank)
    return float(law.ppf(0.025)) / test, float(law.ppf(0.975)) / test


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conformal", description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", default=["digits"], help="NPZ files or names of sets, of dense views")
    parser.add_argument("--rows", type=int, help="how many training and validation samples of a fold; default: all")
    parser.add_argument("--coverage", type=float, default=0.9)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    Console(width=140).print(run(given.data, given.rows, given.coverage, given.seed))


if __name__ == "__main__":
    main()
