"""How often sets of classes with a stated coverage hold the label, on stored folds, views missing too.

    python -m benchmarks.conformal [--data SET ...] [--rows N ...] [--coverage 0.9] [--fresh 0.3] [--seed 0]

`MultiViewClassifier()` as it comes learns from the training and validation samples of each fold, or from `--rows` of
them, drawn class by class. `predict_set` answers for the test samples from all views, from each view missing, and
where a random half of the samples lacks one random view. With `--fresh` that share of the samples is kept from `fit`
and given as `calibration`. The interval is the beta-binomial one of the coverage of one fold: with `--fresh` it is
exact but for drawing class by class; without, it is as if the samples learned from had been fresh calibration samples,
and the method itself promises less, see the guide.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from limbeck import MultiViewClassifier
from limbeck.multiview.conformal import Score, coverage_interval
from limbeck.multiview.evaluation import score_sets
from limbeck.multiview.views import Views, select
from limbeck.studies.multiview_peers.conditions import Rows, lacking, learning_rows, stratified_sample
from limbeck.studies.multiview_peers.counts import CountSettings
from limbeck.studies.multiview_peers.features import as_given, hidden
from limbeck.studies.multiview_peers.world import World, read_world

SCORES: tuple[Score, ...] = ("lac", "aps")
COMPLETE, WITHOUT, HALF = "all views", "each without one", "half lack one"


def run(
    sources: Sequence[str] = ("digits",),
    rows: Sequence[int | None] = (200,),
    coverage: float = 0.9,
    fresh: float = 0.0,
    seed: int = 0,
) -> Table:
    """Mean coverage over folds in per cent, and how many coverages of single folds lie in their interval."""
    warnings.filterwarnings("ignore", "view .* constant column")
    by = f"{fresh:.0%} of the samples, kept from fit" if fresh else "samples held out of inner folds"
    table = Table(title=f"Coverage of sets that state {coverage:.0%}, %: lac, aps; calibrated by {by}")
    headings = ("set", "learned from", "test", COMPLETE, WITHOUT, HALF, "interval of a fold", "below/within/above")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "set" else "right")
    for source, count in product(sources, rows):
        table.add_row(*_row(read_world(source, 0, seed, CountSettings()), count, coverage, fresh, seed))
    return table


def _row(world: World, rows: int | None, coverage: float, fresh: float, seed: int) -> list[str]:
    found: dict[tuple[str, Score], list[float]] = {}
    counts = [0, 0, 0]
    labels = world.data.labels
    for fold, codes in enumerate(world.folds):
        training, validation = learning_rows(codes, labels, rows, seed, fold)
        given, test = np.sort(np.concatenate([training, validation])), np.flatnonzero(codes == 2)
        learned, kept = _parted(labels, given, fresh, (seed, fold, 2))
        low, high = coverage_interval(len(kept) or len(learned), len(test), coverage)
        model = MultiViewClassifier(random_state=seed + fold)
        model.fit(as_given(select(world.views, learned)), labels[learned])
        calibration = (as_given(select(world.views, kept)), labels[kept]) if fresh else None
        for name, views in _conditions(world.views, test, (seed, fold)):
            for score in SCORES:
                sets = model.predict_set(
                    as_given(views), coverage, score=score, random_state=seed + fold, calibration=calibration
                )
                held = score_sets(sets, labels[test]).coverage
                found.setdefault((name, score), []).append(held)
                counts[1 + int(held > high) - int(held < low)] += 1
    means = [
        ", ".join(f"{100 * np.mean(found[name, score]):.1f}" for score in SCORES) for name in (COMPLETE, WITHOUT, HALF)
    ]
    interval = f"{100 * low:.1f} to {100 * high:.1f}"
    return [world.data.name, f"{len(given):,}", f"{len(test):,}", *means, interval, "/".join(map(str, counts))]


def _parted(labels: NDArray[np.int64], given: Rows, fresh: float, seed: tuple[int, int, int]) -> tuple[Rows, Rows]:
    """Samples to learn from, of every class at least one, and those that calibrate."""
    if not fresh:
        return given, given[:0]
    learned = stratified_sample(labels, given, len(given) - round(fresh * len(given)), seed, least=1)
    return learned, np.setdiff1d(given, learned)


def _conditions(views: Views, test: Rows, seed: tuple[int, int]) -> Iterator[tuple[str, Views]]:
    asked = select(views, test)
    yield COMPLETE, asked
    for gone in range(len(views.names)):
        there = asked.present.copy()
        there[gone] = False
        yield WITHOUT, hidden(asked, there)
    yield HALF, hidden(asked, lacking(asked.present, [np.arange(len(test))], 0.5, seed))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conformal", description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", default=["digits"], help="NPZ files, names of sets, or sparse-counts")
    parser.add_argument("--rows", type=int, nargs="+", help="training and validation samples of a fold; default: all")
    parser.add_argument("--coverage", type=float, default=0.9)
    parser.add_argument("--fresh", type=float, default=0.0, help="share of them that only calibrates")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    Console(width=140).print(run(given.data, given.rows or [None], given.coverage, given.fresh, given.seed))


if __name__ == "__main__":
    main()
