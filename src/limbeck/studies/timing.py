"""Timing that can be compared: candidates take turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping


def in_turns(candidates: Mapping[str, Callable[[], object]], *, repeats: int) -> dict[str, list[float]]:
    """Seconds of each candidate in every round; each round runs all of them, so that a drift of the machine meets all.

    Every other round runs backwards, so that nobody always follows the same one. Nothing is run beforehand.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(repeats):
        for name in candidates if number % 2 == 0 else reversed(list(candidates)):
            start = time.perf_counter()
            candidates[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds
