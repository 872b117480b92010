"""`memory` is a bound of what an evaluation takes, of arrays and of tensors: the peak of a process is measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEBIBYTE = 2**20
# Beside `memory`: what the docstring of `evaluate` grants, the libraries' workspaces included.
CONSTANT = 16 * MEBIBYTE


def measure(device: str | None, content: str, memories: list[int], queries: int, gallery: int) -> None:
    """Print a line of JSON for each memory: bytes above the beginning at the peak, and those of the features."""
    import numpy as np

    from limbeck.retrieval.evaluation import evaluate
    from limbeck.retrieval.features import Features
    from limbeck.retrieval.protocols import SYSU, CrossModal, Market

    generator = np.random.default_rng(0)

    def drawn(asked: int, searched: int) -> Features:
        size = asked + searched
        vectors = generator.normal(size=(size, 16))
        if content == "signs":
            vectors = np.where(vectors < 0, -1.0, 1.0)
        if content == "single":
            vectors = vectors.astype(np.float32)
            vectors[size // 2 :: 2] = vectors[0]
        infrared = np.arange(size) < asked
        return Features.from_arrays(
            vectors,
            generator.integers(0, 10, size) if content == "classes" else generator.integers(0, size // 6, size),
            camera=np.where(infrared, generator.choice([3, 6], size), generator.choice([1, 2, 4, 5], size)),
            modality=infrared.astype(int),
            query=infrared,
        )

    protocols = [CrossModal("i2v"), SYSU("all", 10, count=1), Market()]
    evaluate(drawn(40, 60), protocols, device=device)  # compiles, and loads what is loaded once
    features = drawn(queries, gallery)
    for memory in memories:
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
        before = resident("VmRSS")
        evaluate(features, protocols, device=device, memory=memory)
        sys.stdout.write(json.dumps([resident("VmHWM") - before, features.feature.nbytes]) + "\n")


def resident(name: str) -> int:
    """Bytes of the process by the kernel's count: VmRSS now, VmHWM at the peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux counts the peak of a process anew")
@pytest.mark.parametrize("content", ["single", "normal", "signs", "classes"])
@pytest.mark.parametrize("device", [None, "cpu"])
def test_the_peak_stays_within_the_memory(device: str | None, content: str) -> None:
    memories = [4 * MEBIBYTE, 24 * MEBIBYTE]
    call = f"measure({device!r}, {content!r}, {memories}, queries=400, gallery=8000)"
    done = subprocess.run(
        [sys.executable, "-c", f"from tests.retrieval.test_retrieval_memory import measure; {call}"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    for memory, line in zip(memories, done.stdout.splitlines(), strict=True):
        peak, features = json.loads(line)
        copies = features if content == "single" else 2 * features
        assert peak <= memory + copies + CONSTANT, f"{peak / MEBIBYTE:.0f} MiB used, {memory / MEBIBYTE:.0f} asked for"
