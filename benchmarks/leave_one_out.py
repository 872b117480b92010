"""Recall@K, R-precision and MAP@R of every item against all others, at the size of Stanford Online Products.

`python -m benchmarks.leave_one_out`, and `--items 5000 --features 128` for less. Where pytorch-metric-learning is
installed, its `AccuracyCalculator` is timed on the same vectors in the same run, each in a process of its own, in
turns. It gives precision_at_1 (Recall@1), R-precision and MAP@R, and no Recall@K beyond; limbeck's figures hold
Recall@1, 10, 100, 1000, mAP and mINP beside these. Its neighbours are found by faiss where that is installed, by its
own `CustomKNN` in blocks of queries otherwise. Linux alone says how much memory a process took at its peak.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from limbeck.retrieval import SOP, Features, evaluate

ITEMS, FEATURES = 60_502, 512
PER_CLASS = 60_502 / 11_316
OURS, PEER = "limbeck", "pytorch-metric-learning"


def drawn(items: int, features: int) -> Features:
    """Items of classes that lie apart by half of their spread, as many a class as in Stanford Online Products."""
    classes = max(2, round(items / PER_CLASS))
    rng = np.random.default_rng(0)
    label = np.sort(np.concatenate([np.arange(classes), rng.integers(0, classes, items - classes)]))
    centres = rng.normal(size=(classes, features)).astype(np.float32)
    vectors = 0.5 * centres[label] + rng.normal(size=(items, features)).astype(np.float32)
    return Features.from_arrays(vectors.astype(np.float32), label)


def resident(name: str) -> int:
    """Bytes of this process: VmRSS now, VmHWM at the peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


def ours(features: Features) -> dict[str, float]:
    """Figures by limbeck."""
    (found,) = evaluate(features, SOP())
    return {
        "Recall@1": found.cmc(1).mean,
        "R-precision": found.r_precision.mean,
        "MAP@R": found.mean_average_precision_at_r.mean,
    }


def peer(features: Features, block: int) -> dict[str, float]:
    """Figures by pytorch-metric-learning."""
    calculators = importlib.import_module("pytorch_metric_learning.utils.accuracy_calculator")
    vectors, labels = torch.from_numpy(features.feature), torch.from_numpy(features.identity)
    neighbours = None
    if importlib.util.find_spec("faiss") is None:
        distances = importlib.import_module("pytorch_metric_learning.distances")
        inference = importlib.import_module("pytorch_metric_learning.utils.inference")
        neighbours = inference.CustomKNN(distances.CosineSimilarity(), batch_size=block)
    else:  # its index is of Euclidean distances
        vectors = torch.nn.functional.normalize(vectors)
    names = {
        "precision_at_1": "Recall@1",
        "r_precision": "R-precision",
        "mean_average_precision_at_r": "MAP@R",
    }
    # As many neighbours as the largest class has members.
    calculator = calculators.AccuracyCalculator(include=tuple(names), k="max_bin_count", knn_func=neighbours)
    found = calculator.get_accuracy(vectors, labels)
    return {names[name]: float(value) for name, value in found.items()}


def measured(name: str, items: int, features: int, block: int) -> dict[str, Any]:
    """Seconds, bytes and figures of one of the two, after a small run that compiles and imports."""

    def score(given: Features) -> dict[str, float]:
        return ours(given) if name == OURS else peer(given, block)

    score(drawn(500, features))
    given = drawn(items, features)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    before, started = resident("VmRSS"), time.perf_counter()
    figures = score(given)
    seconds, peak = time.perf_counter() - started, resident("VmHWM")
    return {"seconds": seconds, "beside": peak - before, "peak": peak, "features": given.feature.nbytes, **figures}


def main() -> None:
    """Measure both in turns, in processes of their own, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--features", type=int, default=FEATURES)
    parser.add_argument("--repeats", type=int, default=1, help="rounds of both; the medians are compared")
    parser.add_argument("--block", type=int, default=1024, help=f"queries at once of {PEER} without faiss")
    parser.add_argument("--alone", choices=(OURS, PEER), help="measure this one here and print JSON")
    chosen = parser.parse_args()
    if chosen.alone:
        print(json.dumps(measured(chosen.alone, chosen.items, chosen.features, chosen.block)))
        return
    names = [OURS] if importlib.util.find_spec("pytorch_metric_learning") is None else [OURS, PEER]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    sizes = [f"--{name}={getattr(chosen, name)}" for name in ("items", "features", "block")]
    for number in range(chosen.repeats):
        for name in names if number % 2 == 0 else reversed(names):
            command = [sys.executable, "-m", "benchmarks.leave_one_out", f"--alone={name}", *sizes]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            runs[name].append(json.loads(done.stdout.splitlines()[-1]))
    seconds = {name: statistics.median(one["seconds"] for one in runs[name]) for name in names}
    for name in names:
        one = runs[name][0]
        print(
            f"{name}, {chosen.items:,} x {chosen.features}: {seconds[name]:.1f} s, {one['beside'] / 2**20:.0f} MiB "
            f"beside the features ({one['features'] / 2**20:.0f} MiB), {one['peak'] / 2**20:.0f} MiB in all; "
            + ", ".join(f"{figure} {one[figure]:.4f}" for figure in ("Recall@1", "R-precision", "MAP@R"))
        )
    if PEER in seconds:
        found_by = "faiss" if importlib.util.find_spec("faiss") else f"CustomKNN in blocks of {chosen.block} queries"
        print(f"{PEER} / {OURS}: {seconds[PEER] / seconds[OURS]:.2f} times the seconds (neighbours by {found_by})")
    else:
        print(f"{PEER} is not installed: nothing to compare with")


if __name__ == "__main__":
    main()
