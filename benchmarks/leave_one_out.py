"""Recall@K, R-precision and MAP@R of every item against all others, at the size of Stanford Online Products.

`python -m benchmarks.leave_one_out`; Linux alone says how much memory a process took at its peak.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from limbeck.retrieval import SOP, Features, evaluate

ITEMS, CLASSES, FEATURES = 60_502, 11_316, 512


def drawn(items: int, classes: int, features: int) -> Features:
    """Items of classes that lie apart by half of their spread."""
    rng = np.random.default_rng(0)
    label = np.sort(np.concatenate([np.arange(classes), rng.integers(0, classes, items - classes)]))
    centres = rng.normal(size=(classes, features)).astype(np.float32)
    vectors = 0.5 * centres[label] + rng.normal(size=(items, features)).astype(np.float32)
    return Features.from_arrays(vectors.astype(np.float32), label)


def resident(name: str) -> int:
    """Bytes of this process: VmRSS now, VmHWM at the peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


def main() -> None:
    """Measure once, after a small run that compiles."""
    evaluate(drawn(500, 100, FEATURES), SOP())
    features = drawn(ITEMS, CLASSES, FEATURES)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    before, started = resident("VmRSS"), time.perf_counter()
    (found,) = evaluate(features, SOP())
    seconds, peak = time.perf_counter() - started, resident("VmHWM")
    print(
        f"{ITEMS:,} x {FEATURES}: {seconds:.0f} s, {(peak - before) / 2**20:.0f} MiB beside the features "
        f"({features.feature.nbytes / 2**20:.0f} MiB), {peak / 2**20:.0f} MiB in all"
    )
    print(
        f"Recall@1 {found.cmc(1).mean:.4f}, MAP@R {found.mean_average_precision_at_r.mean:.4f}, "
        f"unmatched {found.trials[0].unmatched}"
    )


if __name__ == "__main__":
    main()
