"""What people see of an evaluation: a table with every protocol's name and rules, and plain values for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from limbeck.reporting.tables import rendered
from limbeck.retrieval.evaluation import Evaluation, Spread

SHOWN_RANKS = (1, 5, 10, 20)
HEADINGS = ("protocol", *(f"R{k}" for k in SHOWN_RANKS), "mAP", "mINP", "trials", "queries", "unmatched", "gallery")


def format_evaluations(evaluations: Sequence[Evaluation], *, width: int = 150) -> str:
    """Mean ± sd and, below it, the standard error over the trials in per cent; then each protocol's rules."""
    table = Table(box=SIMPLE)
    table.add_column(HEADINGS[0], no_wrap=True)
    for heading in HEADINGS[1:]:
        table.add_column(heading, justify="right")
    for one in evaluations:
        table.add_row(*table_row(one))
    lines = [line for line in rendered(table, width=width).splitlines() if line]
    lines.append("Per cent: mean ± sd (standard error of the mean) over the trials; one trial has no spread.")
    lines += [f"{one.protocol}: {one.rules}" for one in evaluations]
    return "\n".join(lines) + "\n"


def table_row(one: Evaluation) -> list[str]:
    """What stands under `HEADINGS`: mean ± sd in per cent, and below it the standard error over the trials."""
    figures = [one.cmc(k) for k in SHOWN_RANKS]
    figures += [one.mean_average_precision, one.mean_inverse_negative_penalty]
    return [
        one.protocol,
        *(_spread(figure) for figure in figures),
        str(len(one.trials)),
        _range([trial.queries for trial in one.trials]),
        _range([trial.unmatched for trial in one.trials]),
        _range(one.gallery),
    ]


def evaluations_as_json(evaluations: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """The same as plain values, figures in [0, 1] and of every trial; null where there is none."""
    return [
        {
            "protocol": one.protocol,
            "rules": one.rules,
            "trials": len(one.trials),
            "queries": [trial.queries for trial in one.trials],
            "unmatched": [trial.unmatched for trial in one.trials],
            "gallery": one.gallery,
            "cmc": {str(k): _values(one.cmc(k), [trial.rank(k) for trial in one.trials]) for k in SHOWN_RANKS},
            "mean_average_precision": _values(
                one.mean_average_precision, [trial.mean_average_precision for trial in one.trials]
            ),
            "mean_inverse_negative_penalty": _values(
                one.mean_inverse_negative_penalty, [trial.mean_inverse_negative_penalty for trial in one.trials]
            ),
        }
        for one in evaluations
    ]


def _spread(figure: Spread) -> str:
    if math.isnan(figure.deviation):
        return f"{100 * figure.mean:.2f}"
    return f"{100 * figure.mean:.2f} ± {100 * figure.deviation:.2f}\n({100 * figure.error:.2f})"


def _range(counts: Sequence[int]) -> str:
    return str(counts[0]) if min(counts) == max(counts) else f"{min(counts)}-{max(counts)}"


def _values(figure: Spread, trials: Sequence[float]) -> dict[str, Any]:
    def plain(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return {
        "mean": plain(figure.mean),
        "deviation": plain(figure.deviation),
        "standard_error": plain(figure.error),
        "values": [plain(value) for value in trials],
    }
