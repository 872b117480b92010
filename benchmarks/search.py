"""Top-10 of 100 queries in 200,000 vectors of 256 numbers, read: seconds, and memory beyond the interpreter's."""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from rich.table import Table

from limbeck.retrieval import top_k
from limbeck.retrieval.files import load_items
from limbeck.retrieval.similarity import Similarity

SIZE, WIDTH, QUERIES, TOP = 200_000, 256, 100, 10
KINDS: tuple[Similarity, ...] = ("cosine", "euclidean", "dot")


def run() -> Table:
    table = Table(
        title=f"Top-{TOP} of {QUERIES} queries in {SIZE:,} x {WIDTH} float32 ({SIZE * WIDTH * 4 / 2**20:.0f} MiB)"
    )
    for heading in ("what", "wall seconds", "CPU seconds", "peak memory / data"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.npz"
        vectors = np.random.default_rng(0).normal(size=(SIZE, WIDTH)).astype(np.float32)
        np.savez(path, embeddings=vectors, labels=np.arange(SIZE))
        del vectors
        for kind in KINDS:
            here, there = multiprocessing.get_context("spawn").Pipe()
            process = multiprocessing.get_context("spawn").Process(target=_measure, args=(path, kind, there))
            process.start()
            for what, wall, cpu, peak in here.recv():
                table.add_row(what, f"{wall:.2f}", f"{cpu:.2f}", f"{peak:.2f}")
            process.join()
    return table


def _measure(path: Path, kind: Similarity, answer: Connection) -> None:
    few = np.random.default_rng(1).normal(size=(300, WIDTH)).astype(np.float32)
    top_k(few[:3], few, TOP, similarity=kind)  # compiles
    before = _resident()
    rows = []
    clock = time.perf_counter(), time.process_time()
    items = load_items(path)
    assert not isinstance(items, tuple)
    vectors = items["feature"]
    rows.append(("load", *_since(clock), (_peak() - before) / vectors.nbytes))
    clock = time.perf_counter(), time.process_time()
    top_k(vectors[:QUERIES], vectors, TOP, similarity=kind)
    rows.append((kind, *_since(clock), (_peak() - before) / vectors.nbytes))
    answer.send(rows)


def _since(clock: tuple[float, float]) -> tuple[float, float]:
    return time.perf_counter() - clock[0], time.process_time() - clock[1]


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * resource.getpagesize()


def _peak() -> int:
    # Not `getrusage`, whose peak begins with that of the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")))
