"""Work in several processes, each with its share of the cores."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

import torch

from limbeck.processes import process_pool

Given = TypeVar("Given")
Made = TypeVar("Made")


def side_by_side(work: Callable[[Given], Made], items: Sequence[Given], jobs: int) -> Generator[Made, None, None]:
    """What a function makes of every item, in their order; close it, so that nobody goes on working behind a failure.

    Args:
        work: a function of a module, so that other processes find it.
        items: that can be sent to them.
        jobs: at once, each in a process of its own with its share of the cores; 1: in this process.
    """
    if min(jobs, len(items)) <= 1:
        yield from map(work, items)
        return
    # Spawned, because threads of torch do not survive a fork.
    with process_pool(jobs, method="spawn", initializer=_share_cores, arguments=(jobs,)) as pool:
        yield from pool.map(work, items)


def _share_cores(jobs: int) -> None:
    torch.set_num_threads(max(1, torch.get_num_threads() // jobs))
