"""How often sets of classes with a stated coverage hold the label, on stored folds, views missing too.

    python -m benchmarks.conformal [--data SET ...] [--rows N ...] [--coverage 0.9] [--models one each] [--fresh 0.3]
                                   [--seed 0]

`MultiViewClassifier()` as it comes learns from the training and validation samples of each fold, or from `--rows` of
them, drawn class by class. `predict_set` answers for the test samples from all views, from each view missing, and
where a random half of the samples lacks one random view, by `one` model drawn for each sample, by `each` in turn, or
both, of the same fits. With `--fresh` that share of the samples is kept from `fit` and given as `calibration`, and the
models count as one. The interval is the beta-binomial one of the coverage of one fold: with `--fresh` it is exact but
for drawing class by class; without, it is as if the samples learned from had been fresh calibration samples.
"classes" is the mean size of the sets for all views, "not the answer's" the share of them that hold some class, but not
that of `predict`, in per cent.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator, Sequence
from itertools import product
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from limbeck import MultiViewClassifier
from limbeck.multiview.conformal import Models, Score, coverage_interval
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
    models: Sequence[Models] = ("one",),
    fresh: float = 0.0,
    seed: int = 0,
) -> Table:
    """Mean coverage over folds in per cent, and how many coverages of single folds lie in their interval."""
    warnings.filterwarnings("ignore", "view .* constant column")
    by = f"{fresh:.0%} of the samples, kept from fit" if fresh else "samples held out of inner folds"
    table = Table(title=f"Coverage of sets that state {coverage:.0%}, %: lac, aps; calibrated by {by}")
    headings = ("set", "learned from", "test", "models", COMPLETE, WITHOUT, HALF, "interval of a fold")
    for heading in (*headings, "below/within/above", "classes", "not the answer's"):
        table.add_column(heading, justify="left" if heading == "set" else "right")
    for source, count in product(sources, rows):
        world = read_world(source, 0, seed, CountSettings())
        for row in _rows(world, count, coverage, models[:1] if fresh else models, fresh, seed):
            table.add_row(*row)
    return table


def _rows(
    world: World, rows: int | None, coverage: float, models: Sequence[Models], fresh: float, seed: int
) -> list[list[str]]:
    """A row for each way to use the models of one and the same fit."""
    labels, counts = world.data.labels, {way: [0, 0, 0] for way in models}
    found: dict[tuple[Models, str, Score], list[tuple[float, float, float]]] = {}
    for fold, codes in enumerate(world.folds):
        training, validation = learning_rows(codes, labels, rows, seed, fold)
        given, test = np.sort(np.concatenate([training, validation])), np.flatnonzero(codes == 2)
        learned, kept = _parted(labels, given, fresh, (seed, fold, 2))
        low, high = coverage_interval(len(kept) or len(learned), len(test), coverage)
        model = MultiViewClassifier(random_state=seed + fold)
        model.fit(as_given(select(world.views, learned)), labels[learned])
        calibration = (as_given(select(world.views, kept)), labels[kept]) if fresh else None
        for name, views in _conditions(world.views, test, (seed, fold)):
            asked = as_given(views)
            answers = np.searchsorted(model.classes_, model.predict(asked))
            for way, score in product(models, SCORES):
                sets = model.predict_set(
                    asked, coverage, models=way, score=score, random_state=seed + fold, calibration=calibration
                )
                scored = score_sets(sets, labels[test])
                unlike = sets.any(axis=1) & ~sets[np.arange(len(test)), answers]
                found.setdefault((way, name, score), []).append((scored.coverage, scored.size, float(unlike.mean())))
                counts[way][1 + int(scored.coverage > high) - int(scored.coverage < low)] += 1
    means = {key: np.mean(values, axis=0) for key, values in found.items()}

    def both(way: Models, name: str, figure: int, scale: float, digits: int) -> str:
        return ", ".join(f"{scale * means[way, name, score][figure]:.{digits}f}" for score in SCORES)

    interval = f"{100 * low:.1f} to {100 * high:.1f}"
    return [
        [
            *(world.data.name, f"{len(given):,}", f"{len(test):,}", "-" if fresh else way),
            *(both(way, name, 0, 100, 1) for name in (COMPLETE, WITHOUT, HALF)),
            *(interval, "/".join(map(str, counts[way]))),
            *(both(way, COMPLETE, 1, 1, 2), both(way, COMPLETE, 2, 100, 1)),
        ]
        for way in models
    ]


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
    parser.add_argument("--models", nargs="+", choices=get_args(Models), default=["one"])
    parser.add_argument("--fresh", type=float, default=0.0, help="share of them that only calibrates")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    table = run(given.data, given.rows or [None], given.coverage, given.models, given.fresh, given.seed)
    Console(width=180).print(table)


if __name__ == "__main__":
    main()
