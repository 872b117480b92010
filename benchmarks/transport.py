"""Entropic transport against the log-domain solver of POT: CPU seconds in one run, to the same accuracy."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from limbeck.transport import sinkhorn

# The sizes of the published logs of visible and infrared clusters, and a square.
SIZES = ((400, 400), (740, 425))
EPSILONS = (0.05, 0.01, 0.005)
TOLERANCE = 1e-8
WIDTH, NOISE = 256, 0.05
LIMIT = 1000  # iterations of POT, its default


def run() -> Table:
    """Costs 1 - cos between noisy centres of the same identities, uniform priors."""
    table = Table(title=f"Transport plans, CPU seconds (all threads), tolerance {TOLERANCE:g}; POT stops at {LIMIT}")
    for heading in ("size", "epsilon / range", "limbeck", "its error", "POT, log domain", "its error", "ratio"):
        table.add_column(heading, justify="right")
    solver = _pot()
    for size in SIZES:
        cost = cluster_cost(*size)
        for epsilon in EPSILONS:
            seconds, plan = _timed(partial(sinkhorn, cost, epsilon=epsilon), repeats=3)
            cells = [f"{size[0]} x {size[1]}", f"{epsilon:g}", f"{seconds:.3f}", f"{_error(plan.plan):.0e}"]
            if solver is None:
                table.add_row(*cells, "not installed", "", "")
                continue
            reference, other = _timed(partial(solver, plan.epsilon.item(), cost), repeats=1)
            error = _error(other)
            sign = "" if error <= 10 * TOLERANCE else "> "
            table.add_row(*cells, f"{reference:.2f}", f"{error:.0e}", f"{sign}{reference / seconds:.0f}")
            if error <= 10 * TOLERANCE:
                assert (plan.plan - other).abs().max() < 1e-7
    return table


def cluster_cost(n: int, m: int) -> Tensor:
    """1 - cos of centres in two views; most identities have one or two clusters in each."""
    generator = torch.Generator().manual_seed(0)
    identities = F.normalize(torch.randn(min(n, m) * 93 // 100, WIDTH, generator=generator).double(), dim=-1)

    def view(size: int) -> Tensor:
        who = torch.randint(len(identities), (size,), generator=generator)
        return F.normalize(identities[who] + NOISE * torch.randn(size, WIDTH, generator=generator).double(), dim=-1)

    return 1 - view(n) @ view(m).mT


def _pot() -> Callable[[float, Tensor], Tensor] | None:
    try:
        import ot  # noqa: PLC0415 - an optional peer
    except ImportError:
        return None

    def solve(epsilon: float, cost: Tensor) -> Tensor:
        n, m = cost.shape
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it did not converge: the error is in the table
            plan = ot.bregman.sinkhorn_log(
                np.full(n, 1 / n),
                np.full(m, 1 / m),
                cost.numpy(),
                epsilon,
                numItermax=LIMIT,
                # It stops by the Euclidean norm of the columns' error, we by the sum of absolute errors of both.
                stopThr=TOLERANCE / np.sqrt(m),
            )
        return torch.from_numpy(plan)

    return solve


def _timed(function: Callable[[], Any], *, repeats: int) -> tuple[float, Any]:
    """Median CPU seconds, and the result."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        result = function()
        seconds.append(time.process_time() - start)
    return float(np.median(seconds)), result


def _error(plan: Tensor) -> float:
    n, m = plan.shape
    return float((plan.sum(dim=1) - 1 / n).abs().sum() + (plan.sum(dim=0) - 1 / m).abs().sum())
