"""Timing that can be compared: alternating runs, medians."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping

from limbeck.studies.timing import in_turns


def medians(candidates: Mapping[str, Callable[[], object]], *, repeats: int) -> dict[str, float]:
    """Median seconds of each candidate; they take turns, so that a drift of the machine meets all alike."""
    for function in candidates.values():
        function()
    return {name: statistics.median(values) for name, values in in_turns(candidates, repeats=repeats).items()}
