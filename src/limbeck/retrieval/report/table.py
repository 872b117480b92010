"""What people see of an evaluation: a table with every protocol's name and rules, and plain values for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from limbeck.reporting.formatting import format_estimate
from limbeck.reporting.statistics import Estimate, estimate_as_json, finite_or_none
from limbeck.reporting.tables import format_table
from limbeck.retrieval.evaluation import Evaluation

SHOWN_RANKS = (1, 5, 10, 20)
HEADINGS = ("protocol", *(f"R{k}" for k in SHOWN_RANKS), "mAP", "mINP", "trials", "queries", "unmatched", "gallery")


def format_evaluations(evaluations: Sequence[Evaluation], *, width: int = 150) -> str:
    """Mean ± sd and, below it, the standard error over the trials in per cent; then each protocol's rules."""
    table = format_table(HEADINGS, map(table_row, evaluations), no_wrap=HEADINGS[:1], width=width)
    lines = [line for line in table.splitlines() if line]
    lines.append("Per cent: mean ± sd (standard error of the mean) over the trials; one trial has no spread.")
    lines += [f"{one.protocol}: {one.rules}" for one in evaluations]
    return "\n".join(lines) + "\n"


def table_row(one: Evaluation) -> list[str]:
    """What stands under `HEADINGS`: mean ± sd in per cent, and below it the standard error over the trials."""
    figures = [one.cmc(k) for k in SHOWN_RANKS]
    figures += [one.mean_average_precision, one.mean_inverse_negative_penalty]
    return [
        one.protocol,
        *(format_estimate(figure, scale=100, standard_error=True) for figure in figures),
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


def _range(counts: Sequence[int]) -> str:
    return str(counts[0]) if min(counts) == max(counts) else f"{min(counts)}-{max(counts)}"


def _values(figure: Estimate, trials: Sequence[float]) -> dict[str, Any]:
    return {
        **estimate_as_json(figure),
        "standard_error": finite_or_none(figure.standard_error),
        "values": [finite_or_none(value) for value in trials],
    }
