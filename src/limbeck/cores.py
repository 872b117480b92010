"""How many cores and threads this process may use."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """The cores that this process may run on, which a scheduler or `taskset` may have made fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def default_threads() -> int:
    """Threads for one computation: the usable cores, or `OMP_NUM_THREADS` where that is a smaller number."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    limit = int(asked) if asked.isdecimal() else 0
    return min(usable_cores(), limit) if limit else usable_cores()
