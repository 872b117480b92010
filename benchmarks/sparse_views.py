"""Sparse views of the size of Reuters in five languages: limbeck, gradients and Adam of all weights, linear models.

`python -m benchmarks sparse-views` draws counts of 18,758 samples, 107,727 columns in five views and six classes, from
a law whose best accuracy is known, and weighs them by tf-idf. Each is measured in a process of its own: an epoch of
training as it is and with dense gradients (both over `--steps` steps after as many that are not counted, as the
fraction of an epoch that they are), and linear models of all views side by side until they converge.
`python -m benchmarks.sparse_views --whole` adds whole fits: with default options, and with three networks.
`--batch_size` is of the epochs alone. Seconds are CPU seconds of all threads. Linux alone says how much memory a
process took at its peak.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from benchmarks.leave_one_out import resident
from limbeck import MultiViewClassifier
from limbeck.multiview import training
from limbeck.multiview.recipe import QUICK, Recipe
from limbeck.multiview.views import read_views

SAMPLES, CLASSES, WIDTHS = 18_758, 6, (21_531, 24_892, 34_251, 15_506, 11_547)
WORDS, TOPICS, HELD_OUT = 300, 30, 0.1
OURS, DENSE = "limbeck, an epoch", "dense gradients, an epoch"
WHOLE: dict[str, dict[str, Any]] = {
    "limbeck, a whole fit": {},
    "limbeck, a whole fit of three networks": {"inner_folds": 3},
}
MODELS: dict[str, Callable[[], Any]] = {
    "LinearSVC": lambda: LinearSVC(max_iter=100_000),
    "LogisticRegression": lambda: LogisticRegression(max_iter=10_000),
}


@dataclass(frozen=True)
class Drawn:
    """Words of every view, the classes, and the share of samples whose class is the most probable under the law."""

    views: list[scipy.sparse.csr_array]
    labels: NDArray[np.int64]
    best: float

    @property
    def training(self) -> int:
        """Samples that are learned from: the first ones, in random order."""
        return round((1 - HELD_OUT) * len(self.labels))


def draw(samples: int = SAMPLES) -> Drawn:
    """Poisson counts given the class, of shares that mix topics, whose words are rare as in Zipf's law."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(samples) % CLASSES)
    views, score = [], np.zeros((samples, CLASSES))
    for width in WIDTHS:
        common = 1 / (10 + np.arange(width))
        topics = rng.gamma(0.3, size=(TOPICS, width)) * common
        topics /= topics.sum(axis=1, keepdims=True)
        share = 0.15 * rng.dirichlet(np.full(TOPICS, 0.5), CLASSES) @ topics + 0.85 * common / common.sum()
        # Poisson counts of words are a Poisson number of independent words.
        lengths, rows, columns = rng.poisson(WORDS, samples), [], []
        for label in range(CLASSES):
            members = np.flatnonzero(labels == label)
            rows.append(np.repeat(members, lengths[members]))
            cumulative = np.cumsum(share[label])
            columns.append(np.searchsorted(cumulative / cumulative[-1], rng.random(len(rows[-1])), side="right"))
        row, column = np.concatenate(rows), np.concatenate(columns)
        ones = np.ones(len(row), np.float32)
        counts = scipy.sparse.csr_array(scipy.sparse.coo_array((ones, (row, column)), shape=(samples, width)))
        counts.sum_duplicates()
        score += counts @ np.log(share).T
        views.append(counts)
    return Drawn(views, labels, float((score.argmax(axis=1) == labels).mean()))


def tfidf(drawn: Drawn) -> list[scipy.sparse.csr_array]:
    """Rows of length one, weighed by what the training samples hold."""
    found = []
    for counts in drawn.views:
        weights = TfidfTransformer(sublinear_tf=True).fit(counts[: drawn.training])
        found.append(scipy.sparse.csr_array(weights.transform(counts), dtype=np.float32))
    return found


def measured(name: str, samples: int, steps: int, batch_size: int) -> dict[str, Any]:
    """CPU seconds, peak memory in bytes beside the data, and what else there is to say."""
    drawn = draw(samples)
    views, labels, learned = tfidf(drawn), drawn.labels, drawn.training
    facts: dict[str, Any] = {"samples": learned, "entries": sum(view.nnz for view in views) / len(views) / samples}
    before = resident("VmRSS")
    if name in MODELS:
        together = scipy.sparse.csr_array(scipy.sparse.hstack(views))
        # scikit-learn takes no others.
        together.indices, together.indptr = together.indices.astype(np.int32), together.indptr.astype(np.int32)
        started = time.process_time()
        model = MODELS[name]().fit(together[:learned], labels[:learned])
        facts["seconds"] = time.process_time() - started
        facts["note"] = f"accuracy {_accuracy(model.predict(together[learned:]), drawn)}"
    elif name in WHOLE:
        started = time.process_time()
        whole = MultiViewClassifier(**WHOLE[name]).fit([view[:learned] for view in views], labels[:learned])
        facts["seconds"] = time.process_time() - started
        accuracy = _accuracy(whole.predict([view[learned:] for view in views]), drawn)
        facts["note"] = f"{len(whole.history_)} epochs, accuracy {accuracy}"
    else:
        facts["seconds"] = _epoch(views, labels, learned, steps, batch_size, dense=name == DENSE)
        facts["note"] = f"{-(-learned // batch_size)} steps of {batch_size}"
    facts["peak"] = resident("VmHWM") - before
    facts["best"] = drawn.best
    return facts


def _accuracy(predicted: NDArray[Any], drawn: Drawn) -> str:
    return f"{100 * float((predicted == drawn.labels[drawn.training :]).mean()):.1f} %"


def _epoch(
    views: list[scipy.sparse.csr_array], labels: NDArray[np.int64], learned: int, steps: int, batch: int, *, dense: bool
) -> float:
    """Seconds of the training steps of an epoch, from as many as are asked for."""
    if dense:  # how it was before there was an optimiser of rows
        training._row_optimizer = lambda *_: None
    times: list[float] = []
    train_epoch = training._Loop._train_epoch

    def timed(self: training._Loop) -> tuple[list[float], list[float]]:
        started = time.process_time()
        result = train_epoch(self)
        times.append(time.process_time() - started)
        return result

    training._Loop._train_epoch = timed  # type: ignore[method-assign]
    fold = training.Fold(np.arange(min(learned, steps * batch)), np.array([], np.int64))
    recipe = Recipe(epochs=2, batch_size=batch, patience=None)
    training.train(read_views(views), labels, [fold], recipe, classes=CLASSES, seeds=[0])
    return times[1] * learned / len(fold.training)


def table(samples: int = SAMPLES, steps: int = 60, batch_size: int = QUICK.batch_size, *, whole: bool = False) -> Table:
    """All of them, one after the other, and their seconds and bytes as multiples of limbeck's."""
    found = {}
    for name in (OURS, DENSE, *MODELS, *(WHOLE if whole else ())):
        options = [f"--alone={name}", f"--samples={samples}", f"--steps={steps}", f"--batch_size={batch_size}"]
        command = [sys.executable, "-m", "benchmarks.sparse_views", f"--threads={torch.get_num_threads()}", *options]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found[name] = json.loads(done.stdout.splitlines()[-1])
    ours = found[OURS]
    result = Table(
        title=f"{ours['samples']:,} samples to learn from, {sum(WIDTHS):,} columns in {len(WIDTHS)} sparse views, "
        f"{ours['entries']:.0f} entries a row and view"
    )
    for heading in ("what", "CPU seconds", "against limbeck's epoch", "peak MiB beside the data", ""):
        result.add_column(heading, justify="left" if heading in ("what", "") else "right")
    for name, facts in found.items():
        ratio = facts["seconds"] / ours["seconds"]
        peak = f"{facts['peak'] / 2**20:,.0f}"
        result.add_row(name, f"{facts['seconds']:.1f}", f"{ratio:.2f}", peak, facts["note"])
    result.caption = f"The law itself is right about {100 * ours['best']:.1f} % of all samples."
    return result


def run() -> Table:
    """Without the whole fit, which takes long."""
    return table()


def main() -> None:
    """Measure one here, or all in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--steps", type=int, default=60, help="steps of an epoch that are timed")
    parser.add_argument("--batch_size", type=int, default=QUICK.batch_size)
    parser.add_argument("--whole", action="store_true", help="also whole fits")
    parser.add_argument("--alone", choices=(OURS, DENSE, *MODELS, *WHOLE), help="measure this one here and print JSON")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = parser.parse_args()
    if chosen.alone:
        torch.set_num_threads(chosen.threads)
        print(json.dumps(measured(chosen.alone, chosen.samples, chosen.steps, chosen.batch_size)))
    else:
        Console(width=140).print(table(chosen.samples, chosen.steps, chosen.batch_size, whole=chosen.whole))


if __name__ == "__main__":
    main()
