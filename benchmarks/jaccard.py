"""Sparse k-reciprocal Jaccard distances and their clusters against the dense function of published scripts.

`python -m benchmarks.jaccard ITEMS [approximate]` measures one size by itself: seconds and memory of every step.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.cluster import DBSCAN

from benchmarks.dense_jaccard import dense_jaccard, dense_neighbours
from limbeck.retrieval.clustering import dbscan
from limbeck.retrieval.jaccard import jaccard_distances
from limbeck.retrieval.neighbours import Method, nearest_neighbours

WIDTH, PICTURES, SPREAD = 256, 30, 1.5
EPS, SAMPLES, K1, K2 = 0.6, 4, 30, 6
COMPARED, ALONE = 12_000, (25_000, 50_000)


@dataclass
class Measured:
    """What a process needed.

    Attributes:
        cpu: CPU seconds of each step, all threads.
        wall: seconds of all steps.
        peak: bytes that the process held at most, libraries and vectors included.
        labels: of the clusters.
        stored: distances a row that were stored.
    """

    cpu: dict[str, float] = field(default_factory=dict)
    wall: float = 0
    peak: int = 0
    labels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    stored: float = 0

    def step(self, name: str, start: float) -> float:
        now = time.process_time()
        self.cpu[name] = now - start
        return now

    @property
    def total(self) -> float:
        return sum(self.cpu.values())


def people(items: int) -> NDArray[np.float32]:
    """Vectors of length 1 around a centre for every 30 of them."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(max(1, items // PICTURES), WIDTH)).astype(np.float32)
    vectors: NDArray[np.float32] = centres[generator.integers(0, len(centres), items)]
    vectors += SPREAD * generator.standard_normal(vectors.shape, np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def run() -> Table:
    table = Table(title=f"Jaccard distance (k1 {K1}, k2 {K2}) and DBSCAN, {WIDTH}-d: one thread, a process each")
    for heading in ("items", "how", "neighbours", "distances", "DBSCAN", "CPU seconds", "ratio", "memory"):
        table.add_column(heading, justify="left" if heading == "how" else "right")
    ours, dense = measured(partial(sparsely, COMPARED)), measured(partial(densely, COMPARED))
    assert np.array_equal(ours.labels, dense.labels), "the labels differ"
    _row(table, COMPARED, "dense, as published", dense, f"{dense.total / ours.total:.1f}")
    _row(table, COMPARED, "sparse, the same labels", ours, "1.0")
    table.add_section()
    for items in ALONE:
        _row(table, items, "sparse", measured(partial(sparsely, items)), "")
    return table


def _row(table: Table, items: int, how: str, one: Measured, ratio: str) -> None:
    steps = [f"{seconds:.2f}" for seconds in one.cpu.values()]
    table.add_row(f"{items:,}", how, *steps, f"{one.total:.2f}", ratio, f"{one.peak / 2**20:,.0f} MiB")


def densely(items: int) -> Measured:
    vectors = people(items)
    _warm_up()
    result = Measured()
    wall = time.perf_counter()
    now = time.process_time()
    nearest = dense_neighbours(torch.from_numpy(vectors), K1)
    now = result.step("neighbours", now)
    distances = dense_jaccard(vectors, k1=K1, k2=K2, nearest=nearest)
    now = result.step("distances", now)
    result.labels = DBSCAN(eps=EPS, min_samples=SAMPLES, metric="precomputed").fit_predict(distances)
    result.step("DBSCAN", now)
    result.wall, result.peak = time.perf_counter() - wall, _resident()
    return result


def sparsely(items: int, method: Method = "exact", threads: int = 1) -> Measured:
    vectors = people(items)
    _warm_up()
    result = Measured()
    wall = time.perf_counter()
    now = time.process_time()
    nearest = nearest_neighbours(vectors, K1, method=method, threads=threads)
    now = result.step("neighbours", now)
    distances = jaccard_distances(vectors, k1=K1, k2=K2, cutoff=EPS, neighbours=nearest, threads=threads)
    now = result.step("distances", now)
    result.labels = dbscan(distances, eps=EPS, min_samples=SAMPLES)
    result.step("DBSCAN", now)
    result.wall, result.peak = time.perf_counter() - wall, _resident()
    result.stored = distances.nnz / items
    return result


def measured(function: Callable[[], Measured]) -> Measured:
    """The result of a function that runs in a fresh process with one thread."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(function, sender))
    process.start()
    sender.close()
    result: Measured = receiver.recv()
    process.join()
    return result


def _send(function: Callable[[], Measured], sender: Connection) -> None:
    torch.set_num_threads(1)
    sender.send(function())


def _warm_up() -> None:
    """Compile, or load what has been compiled."""
    few = people(100)
    dbscan(jaccard_distances(few, cutoff=EPS, threads=1), eps=EPS)


def _resident() -> int:
    """Most bytes that were resident so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    items = int(sys.argv[1])
    method: Method = "approximate" if "approximate" in sys.argv else "exact"
    one = measured(partial(sparsely, items, method))
    steps = ", ".join(f"{name} {seconds:.1f}" for name, seconds in one.cpu.items())
    Console(width=120).print(
        f"{items:,} items, {method}, one thread: {steps}; CPU {one.total:.1f} s, wall {one.wall:.1f} s; "
        f"memory {one.peak / 2**20:,.0f} MiB at most; {one.stored:.1f} distances a row; "
        f"{one.labels.max() + 1} clusters, {(one.labels < 0).sum()} outliers"
    )


if __name__ == "__main__":
    main()
