"""Run every benchmark, or those named: `python -m benchmarks [NAME ...]`, of the names in `BENCHMARKS`."""

from __future__ import annotations

import sys

import torch
from rich.console import Console

from benchmarks import (
    conformal,
    diagnosis,
    folds,
    jaccard,
    loop,
    people,
    reid,
    retrieval,
    search,
    segmentation_reading,
    sparse_convolution,
    sparse_views,
    transport,
    unsupervised,
    views,
)

BENCHMARKS = {
    "conformal": conformal.run,
    "views": views.run,
    "folds": folds.run,
    "loop": loop.run,
    "retrieval": retrieval.run,
    "search": search.run,
    "jaccard": jaccard.run,
    "people": people.run,
    "reid": reid.run,
    "diagnosis": diagnosis.run,
    "transport": transport.run,
    "unsupervised": unsupervised.run,
    "segmentation-reading": segmentation_reading.run,
    "sparse-convolution": sparse_convolution.run,
    "sparse-views": sparse_views.run,
}


def main() -> None:
    names = sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise SystemExit(f"benchmarks: there is no {unknown[0]!r}: choose from {', '.join(BENCHMARKS)}")
    console = Console(width=120)
    console.print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name in names:
        console.print(BENCHMARKS[name]())


if __name__ == "__main__":
    main()
