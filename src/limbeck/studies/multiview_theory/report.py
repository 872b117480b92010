"""What people see of the study: tables with intervals, a forest plot, a JSON file."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Picture

from limbeck.files import write_json, write_text
from limbeck.reporting.formatting import format_difference, format_estimate
from limbeck.reporting.plots import ACCENT, PLAIN, plain, save_plot
from limbeck.reporting.statistics import Difference, difference_as_json, estimate_as_json
from limbeck.reporting.tables import format_table
from limbeck.studies.multiview_theory.run import DIAGNOSED, SCORED, Effect, Figure, MultiviewTheoryResult

# The figures of the picture: accuracy, then what the network and what a probe can tell with a view missing.
_DRAWN = (SCORED[0], SCORED[1], SCORED[3], DIAGNOSED[1])


def write_report(result: MultiviewTheoryResult, folder: Path) -> list[Path]:
    """Write `multiview-theory.json`, `multiview-theory.txt` and, where there is an effect, `multiview-theory.png`.

    Returns:
        The files, in that order.

    Raises:
        OSError: the folder cannot be written.
    """
    files = [folder / f"multiview-theory.{suffix}" for suffix in ("json", "txt")]
    write_json(files[0], as_json(result))
    write_text(files[1], format_report(result))
    if result.effects:
        files.append(folder / "multiview-theory.png")
        save_plot(_forest(result), files[-1])
    return files


def format_report(result: MultiviewTheoryResult, *, width: int = 170) -> str:
    """Figures of every row; every effect with its interval; each view missing; what is clear of zero; notes."""
    groups = [SCORED, DIAGNOSED] if result.diagnosed_folds else [SCORED]
    text = "".join(_rows(result, group, width) for group in groups)
    if result.effects:
        text += "".join(_effects(result, group, width) for group in groups)
    text += _each_view(result, width)
    return text + "\n".join([*clear_of_zero(result), "", *_notes(result)]) + "\n"


def clear_of_zero(result: MultiviewTheoryResult) -> list[str]:
    """For every figure: the effects whose interval does not hold zero, and how many would by chance."""
    lines, intervals = [], 0
    for figure in result.figures:
        found = {effect.name: result.effect(effect, figure) for effect in result.effects}
        known = {name: one for name, one in found.items() if math.isfinite(one.low)}
        if known:
            clear = [f"{name} {_format(one, figure)}" for name, one in known.items() if _is_clear(one)]
            lines.append(f"{figure.name}: clear of zero: {'; '.join(clear) or 'none'}.")
        intervals += len(known)
    if lines:
        lines.append(
            f"Of {intervals} intervals about {intervals / 20:.0f} exclude zero where nothing has any effect: "
            "read what is clear on one set alone with care."
        )
    return lines


def _is_clear(found: Difference) -> bool:
    """Whether an interval lies on one side of zero; one without width says nothing of the spread."""
    return math.isfinite(found.low) and found.low < found.high and (found.low > 0 or found.high < 0)


def _rows(result: MultiviewTheoryResult, figures: tuple[Figure, ...], width: int) -> str:
    scored = figures == SCORED
    lines = [
        [
            name,
            *(format_estimate(result.estimate(name, figure), figure.digits, scale=figure.scale) for figure in figures),
            f"{row.training_seconds if scored else row.diagnosing_seconds:.0f}",
        ]
        for name, row in result.rows.items()
    ]
    return _table(["row", *(figure.name for figure in figures), "seconds"], lines, _title(result, scored), width)


def _title(result: MultiviewTheoryResult, scored: bool) -> str:
    sizes, folds = result.sizes, result.folds if scored else result.diagnosed_folds
    asked = f"{sizes['test']:,} test samples" if scored else f"{sizes['diagnosed']:,} diagnosed ones"
    return (
        f"{result.name}: {folds} fold{'s' * (folds > 1)} of {sizes['training']:,} training and {asked}, "
        f"{len(result.view_names)} views, {sizes['classes']} classes; mean ± sd"
    )


def _effects(result: MultiviewTheoryResult, figures: tuple[Figure, ...], width: int) -> str:
    lines = [
        [effect.name, *(_format(result.effect(effect, figure), figure) for figure in figures)]
        for effect in result.effects
    ]
    return _table(["effect", *(f.name for f in figures)], lines, f"{result.name}: effects [95 %]", width)


def _format(found: Difference, figure: Figure) -> str:
    return format_difference(found, figure.digits, scale=figure.scale)


def _each_view(result: MultiviewTheoryResult, width: int) -> str:
    lines = [
        [name, *(f"{100 * accuracy:.2f}" for accuracy in np.mean(row.without, axis=0))]
        for name, row in result.rows.items()
    ]
    headings = ["row", *(f"no {name}" for name in result.view_names)]
    return _table(headings, lines, "Test accuracy, %, with each view missing", width)


def _table(headings: list[str], lines: list[list[str]], title: str, width: int) -> str:
    return format_table(headings, lines, title=title, title_left=True, no_wrap=headings[:1], width=width)


def _notes(result: MultiviewTheoryResult) -> list[str]:
    settings = result.settings
    notes = [f"{figure.name}: {figure.meaning}." for figure in result.figures]
    notes += [f"{effect.name}: {_in_rows(effect)}." for effect in result.effects]
    notes.append(
        "Effects are paired by fold, with the corrected resampled t interval at the ratio of the samples that are "
        "asked to those that are learned from. Points for %, else nats."
    )
    if result.diagnosed_folds:
        notes.append(
            f"Diagnoses: {settings.probe} probes, {settings.probe_folds} folds, of the validation and test samples of "
            "a fold that have all views; z is its mean. Read less held: what the network's own head leaves unread, or "
            "reads in more than the probe can learn from so few samples."
        )
    return notes


def _in_rows(effect: Effect) -> str:
    return " + ".join(effect.plus) + " less " + " + ".join(effect.minus)


def as_json(result: MultiviewTheoryResult) -> dict[str, Any]:
    """Settings, every figure of every fold, and the effects."""
    return {
        "study": "multiview-theory",
        "data": {"name": result.name, **result.sizes, "views": list(result.view_names), "folds": result.folds},
        "settings": asdict(result.settings),
        "figures": {
            figure.name: {"meaning": figure.meaning, "printed_times": figure.scale} for figure in result.figures
        },
        "rows": [
            {
                "name": name,
                "figures": {
                    figure.name: estimate_as_json(result.estimate(name, figure)) | {"folds": row.values[figure.name]}
                    for figure in result.figures
                },
                "accuracy_without_view": dict(
                    zip(result.view_names, np.mean(row.without, axis=0).tolist(), strict=True)
                ),
                "training_seconds": row.training_seconds,
                "diagnosing_seconds": row.diagnosing_seconds,
            }
            for name, row in result.rows.items()
        ],
        "effects": [
            {
                **asdict(effect),
                "differences": {
                    figure.name: difference_as_json(result.effect(effect, figure)) for figure in result.figures
                },
            }
            for effect in result.effects
        ],
    }


def _forest(result: MultiviewTheoryResult) -> Picture:
    """Every effect with its interval; one panel a figure."""
    figures = [figure for figure in _DRAWN if figure in result.figures]
    effects = result.effects
    picture = Picture(figsize=(3 + 2.6 * len(figures), 1.3 + 0.32 * len(effects)), layout="constrained")
    panels = picture.subplots(1, len(figures), sharey=True, squeeze=False)[0]
    for axes, figure in zip(panels, figures, strict=True):
        for height, effect in enumerate(effects):
            found = result.effect(effect, figure)
            ends = [[figure.scale * (found.mean - found.low)], [figure.scale * (found.high - found.mean)]]
            axes.errorbar(
                figure.scale * found.mean,
                height,
                xerr=ends if math.isfinite(found.low) else None,
                fmt="o",
                color=ACCENT if _is_clear(found) else PLAIN,
                capsize=3,
                markersize=5,
            )
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_title(figure.name, fontsize=9)
        axes.set_xlabel("points" if figure.scale == 100 else "nats", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.locator_params(axis="x", nbins=4)
        axes.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(range(len(effects)), [effect.name for effect in effects])
    panels[0].invert_yaxis()
    picture.suptitle(f"{plain(result.name)}: effects, 95 % intervals; in red those clear of zero", fontsize=10)
    return picture
