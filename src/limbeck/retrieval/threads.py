"""Rows shared out among threads, for compiled loops that release the interpreter's lock."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from limbeck.cores import default_threads

Result = TypeVar("Result")

# Parts a thread, as rows differ in cost, and rows a part at most, as results grow with them.
_PARTS, _ROWS = 8, 4096


def by_rows(work: Callable[[slice], Result], rows: int, threads: int | None = None) -> list[Result]:
    """`work(part)` of consecutive parts that cover the rows, several at once; results in the order of the rows.

    Args:
        work: computes some rows. It should release the interpreter's lock.
        rows: how many there are.
        threads: how many parts may run at once; default: `default_threads()`.
    """
    count = min(threads or default_threads(), max(rows, 1))
    number = max(1 if count == 1 else min(count * _PARTS, rows), -(-rows // _ROWS))
    bounds = np.linspace(0, rows, number + 1).astype(int).tolist()
    parts = itertools.starmap(slice, itertools.pairwise(bounds))
    if count == 1:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, parts))
