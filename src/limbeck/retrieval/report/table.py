"""What people see of an evaluation: a table with every protocol's name and rules, and plain values for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from limbeck.reporting.formatting import format_estimate
from limbeck.reporting.statistics import Estimate, estimate_as_json, finite_or_none
from limbeck.reporting.tables import format_table
from limbeck.retrieval.evaluation import Evaluation
from limbeck.retrieval.metrics import FIGURES, Figure


def headings(evaluations: Sequence[Evaluation]) -> tuple[str, ...]:
    """Of the table: the ranks and figures that are customary under any of the protocols."""
    recalls, shown = _columns(evaluations)
    return ("protocol", *(f"R{k}" for k in recalls), *shown, "trials", "queries", "unmatched", "gallery")


def format_evaluations(evaluations: Sequence[Evaluation], *, width: int = 150) -> str:
    """Mean ± sd and, below it, the standard error in per cent; then each protocol's rules and what the spread is of."""
    table = format_table(headings(evaluations), table_rows(evaluations), no_wrap=("protocol",), width=width)
    lines = [line for line in table.splitlines() if line]
    lines.append("Per cent: mean ± sd (standard error of the mean).")
    lines += described(evaluations)
    return "\n".join(lines) + "\n"


def table_rows(evaluations: Sequence[Evaluation]) -> list[list[str]]:
    """What stands under `headings`: mean ± sd in per cent, and below it the standard error."""
    recalls, shown = _columns(evaluations)
    return [
        [
            one.protocol,
            *(_shown(one.cmc(k)) if k in one.recalls else "" for k in recalls),
            *(_shown(one.figure(name)) if name in one.shown else "" for name in shown),
            _trials(one),
            _range([trial.queries for trial in one.trials]),
            _range([trial.unmatched for trial in one.trials]),
            _range(one.gallery),
        ]
        for one in evaluations
    ]


def _columns(evaluations: Sequence[Evaluation]) -> tuple[list[int], list[Figure]]:
    """Ranks, ascending, and figures, in the order of `FIGURES`."""
    recalls = sorted({k for one in evaluations for k in one.recalls})
    return recalls, [name for name in FIGURES if any(name in one.shown for one in evaluations)]


def _shown(figure: Estimate) -> str:
    return format_estimate(figure, scale=100, standard_error=True)


def described(evaluations: Sequence[Evaluation]) -> list[str]:
    """Each protocol's rules, then what its spread is of and whom it left out."""
    lines = []
    for one in evaluations:
        spread = {
            "models": f"over {len(set(one.models))} models, the galleries of each averaged first",
            "galleries": (
                f"over {len(one.models)} galleries of one model: the luck of their draw alone, not how another model "
                "would fare"
            ),
            "nothing": "none, of one model and one gallery",
        }[one.spread_over]
        lines.append(f"{one.protocol}: {one.rules}. Spread: {spread}.{_left_out(one)}")
    return lines


def _trials(one: Evaluation) -> str:
    """How many; of several models with several galleries each, both numbers."""
    galleries = [one.models.count(model) for model in sorted(set(one.models))]
    several = len(galleries) > 1 and max(galleries) > 1
    return f"{len(galleries)} x {_range(galleries)}" if several else str(len(one.trials))


def _left_out(one: Evaluation) -> str:
    asked = f" Of a negative identity and not asked: {_range(one.not_asked)} a trial." if any(one.not_asked) else ""
    junk = f" Junk dropped from the gallery: {_range(one.dropped)} a trial." if any(one.dropped) else ""
    return asked + junk


def evaluations_as_json(evaluations: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """The same as plain values, figures in [0, 1] and of every trial; null where there is none."""
    return [
        {
            "protocol": one.protocol,
            "rules": one.rules,
            "trials": len(one.trials),
            "models": one.models,
            "spread_over": one.spread_over,
            "queries": [trial.queries for trial in one.trials],
            "unmatched": [trial.unmatched for trial in one.trials],
            "not_asked": one.not_asked,
            "dropped": one.dropped,
            "gallery": one.gallery,
            "cmc": {str(k): _values(one.cmc(k), [trial.rank(k) for trial in one.trials]) for k in one.recalls},
            **{FIGURES[name]: _values(one.figure(name), one.values(name)) for name in FIGURES},
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
