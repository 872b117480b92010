"""How long a diagnosis takes, and how much memory."""

from __future__ import annotations

import resource
import sys
import time

import numpy as np

from limbeck.information.diagnosis import ViewFeatures, diagnose_view_features

SAMPLES, FEATURES, VIEWS, CLASSES = 20_000, 512, 3, 10


def run() -> str:
    """Diagnose 20,000 samples of 512 features in three views, with observations."""
    rng = np.random.default_rng(0)
    labels = rng.integers(CLASSES, size=SAMPLES)

    def view() -> np.ndarray:
        centres = 0.15 * rng.standard_normal((CLASSES, FEATURES), dtype=np.float32)
        mixing = rng.standard_normal((FEATURES, FEATURES), dtype=np.float32) / np.float32(np.sqrt(FEATURES))
        return (centres[labels] + rng.standard_normal((SAMPLES, FEATURES), dtype=np.float32)) @ mixing

    observations = [view() for _ in range(VIEWS)]
    noise = np.float32(0.5)
    representations = [v + noise * rng.standard_normal(v.shape, dtype=np.float32) for v in observations]
    features = ViewFeatures.from_arrays(representations, labels, observations=observations)
    before, started = _memory(), time.perf_counter()
    diagnose_view_features(features, progress=_tell)
    seconds = time.perf_counter() - started
    sys.stderr.write("\n")
    return (
        f"{SAMPLES} samples x {FEATURES} features x {VIEWS} views, v and z: {seconds:.0f} s; "
        f"memory {before:.2f} GB with the data, at most {_memory():.2f} GB"
    )


def _tell(done: int, total: int) -> None:
    sys.stderr.write(f"\rfeatures probed: {done}/{total}")


def _memory() -> float:
    """The most that the process has held so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
