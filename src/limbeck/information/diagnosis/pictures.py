"""Pictures of a diagnosis: bars, the Venn diagram within the label, the information plane."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.optimize import brentq, minimize

from limbeck.information.diagnosis.resampling import Interval
from limbeck.information.diagnosis.results import Diagnosis
from limbeck.reporting.plots import ACCENT, PAPER, PLAIN, plain

_COLOURS = (PLAIN, ACCENT, "#4f7a4a")
_HATCH: dict[str, Any] = {"edgecolor": "#1c1c1c", "hatch": "///", "lw": 0}
_GRID = 400  # points along a side where room for a number is looked for


def bars_figure(found: Diagnosis) -> Figure:
    """I(v;y) and I(z;y) of every view and of all together; of z hatched what only this view knows."""
    groups = [(view.name, view.observation, view.representation, view.specific) for view in found.views]
    if len(found.views) > 1:
        groups.append(("all", found.joint_observations, found.joint, None))
    figure = Figure(figsize=(max(6.0, 1.5 + 0.9 * len(groups)), 4.2), layout="constrained")
    axes = figure.subplots()
    seen = found.joint_observations is not None
    width = 0.38 if seen else 0.6
    for place, (_, observation, representation, specific) in enumerate(groups):
        if observation is not None:
            _bar(axes, place - width / 2, observation, width, PLAIN)
        _bar(axes, place + width / 2 * seen, representation, width, ACCENT)
        if specific is not None and specific.nats > 0:
            axes.bar(place + width / 2 * seen, specific.nats, width, facecolor="none", **_HATCH)
    _mark_entropy(axes, found)
    axes.set_xticks(range(len(groups)), [_shown(name) for name, *_ in groups])
    if max(len(name) for name, *_ in groups) * len(groups) > 60:
        axes.tick_params(axis="x", rotation=30)
    axes.set_ylabel("nats of the label, read by held-out probes")
    handles = [axes.bar(0, 0, color=PLAIN)] * seen + [axes.bar(0, 0, color=ACCENT)]
    words = ["observation v"] * seen + ["representation z"]
    if len(found.views) > 1:
        handles.append(axes.bar(0, 0, facecolor="none", **_HATCH))
        words.append("only in this view")
    axes.legend(handles, words, loc="upper center", bbox_to_anchor=(0.5, 1.14), ncols=3, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _shown(name: str) -> str:
    """A view's name as it is, in pictures: no formula, and not longer than there is room for."""
    return plain(name if len(name) <= 30 else f"{name[:29]}…")


def _bar(axes: Axes, place: float, interval: Interval, width: float, colour: str) -> None:
    axes.bar(place, interval.nats, width, color=colour)
    _whisker(axes, place, interval)


def _whisker(axes: Axes, place: float, interval: Interval) -> None:
    axes.plot([place, place], [interval.low, interval.high], color="#1c1c1c", lw=1.2)


def _mark_entropy(axes: Axes, found: Diagnosis) -> None:
    most = found.entropy.nats
    axes.axhline(most, color=PAPER, lw=1, ls="--")
    place = {"xycoords": ("axes fraction", "data"), "xytext": (3, 0), "textcoords": "offset points"}
    axes.annotate("H(y)", (1, most), va="center", color=PAPER, **place)  # type: ignore[arg-type]


def plane_figure(found: Diagnosis) -> Figure | None:
    """I(z;y) over I(v;y), and over I(z;v) where an encoder's Gaussians were given; None where there is neither."""
    over_observation = [(v.name, v.observation, v.representation) for v in found.views if v.observation is not None]
    over_retained = [
        (v.name, Interval(v.retained.lower.nats, v.retained.lower.low, v.retained.upper.high), v.representation)
        for v in found.views
        if v.retained is not None
    ]
    panels = [
        (points, label)
        for points, label in (
            (over_observation, "I(v;y), nats: what could be kept"),
            (over_retained, "I(z;v), nats: what is kept of v at all"),
        )
        if points
    ]
    if not panels:
        return None
    figure = Figure(figsize=(4.8 * len(panels), 4.4), layout="constrained")
    for axes, (points, label) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        ends = [end for _, x, y in points for end in (x.low, x.high, y.low, y.high)]
        low, high = min(*ends, found.entropy.nats), max(*ends, found.entropy.nats)
        axes.plot([low, high], [low, high], color=PAPER, lw=1, ls=":")
        _mark_entropy(axes, found)
        for name, x, y in points:
            axes.plot([x.low, x.high], [y.nats, y.nats], color=ACCENT, lw=1.2)
            axes.plot([x.nats, x.nats], [y.low, y.high], color=ACCENT, lw=1.2)
            axes.plot(x.nats, y.nats, "o", color=ACCENT, ms=5)
            axes.annotate(_shown(name), (x.nats, y.nats), xytext=(6, -11), textcoords="offset points")
        axes.set_xlabel(label)
        axes.set_ylabel("I(z;y), nats: what of the label is kept")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def venn_figure(found: Diagnosis) -> Figure | None:
    """What two or three views know of the label and have in common, as areas; None for other numbers of views.

    Circles are of the area of I(z_i;y), and two of them share the area of what the two views have in common. With three
    circles the areas of the inner regions then follow, and may not be those of the numbers, which are written in.
    """
    if not found.regions:
        return None
    names = [view.name for view in found.views]
    areas = [max(view.representation.nats, 1e-3 * found.entropy.nats) for view in found.views]
    shared = {
        (i, j): sum(interval.nats for inside, interval in found.regions.items() if {names[i], names[j]} <= set(inside))
        for i, j in itertools.combinations(range(len(names)), 2)
    }
    centres = _centres(areas, shared)
    radii = np.sqrt(np.array(areas) / np.pi)
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    axes = figure.subplots()
    circles = [
        axes.add_patch(Circle((centre[0], centre[1]), radius, fc=colour, alpha=0.35, ec=colour, lw=1.5))
        for centre, radius, colour in zip(centres, radii, _COLOURS, strict=False)
    ]
    words = [f"{_shown(view.name)}, I(z;y) = {view.representation.nats:.3f}" for view in found.views]
    axes.legend(circles, words, loc="upper center", bbox_to_anchor=(0.5, 0.02), frameon=False)
    unseen = _write_regions(axes, found, names, centres, radii)
    missing = found.entropy.nats - found.joint.nats
    rest = f"not read from all views together: {missing:.3f}" if missing > 5e-4 else "all of it is read"
    lines = [f"H(y) = {found.entropy.nats:.3f} nats; {rest}", *unseen]
    axes.set_title("\n".join(lines), fontsize=10, color="#1c1c1c")
    axes.set_aspect("equal")
    axes.autoscale_view()
    axes.axis("off")
    return figure


def _write_regions(
    axes: Axes, found: Diagnosis, names: Sequence[str], centres: NDArray[np.float64], radii: NDArray[np.float64]
) -> list[str]:
    """Write each region's nats where it has most room; a line each for those without room, or below 0.

    What views have in common is below 0 where they tell more in company: that is synergy, and no area.
    """
    low, high = (centres - radii[:, None]).min(axis=0), (centres + radii[:, None]).max(axis=0)
    x, y = np.meshgrid(np.linspace(low[0], high[0], _GRID), np.linspace(low[1], high[1], _GRID))
    within = [np.hypot(x - c[0], y - c[1]) < r for c, r in zip(centres, radii, strict=True)]
    lines = []
    for inside, interval in found.regions.items():
        called = f"{' and '.join(map(_shown, inside))}{' alone' if len(inside) == 1 else ''}"
        if interval.nats < -5e-4:
            told = "nothing" if len(inside) == 1 else f"nothing in common, but {-interval.nats:.3f} of synergy"
            lines.append(f"{called}: {told}")
            continue
        here = np.ones_like(x, dtype=bool)
        for name, circle in zip(names, within, strict=True):
            here &= circle if name in inside else ~circle
        depth = distance_transform_edt(np.pad(here, 1))[1:-1, 1:-1]
        if depth.max() > 0.03 * _GRID:
            row, column = np.unravel_index(depth.argmax(), depth.shape)
            axes.text(
                float(x[row, column]),
                float(y[row, column]),
                f"{max(interval.nats, 0.0):.3f}",
                ha="center",
                va="center",
                fontsize=11,
            )
        elif interval.nats > 5e-4:
            lines.append(f"{called}: {interval.nats:.3f}")
    return lines


def _centres(areas: Sequence[float], shared: dict[tuple[int, int], float]) -> NDArray[np.float64]:
    """Centres `(views, 2)` of circles that overlap two by two as wanted, or as nearly as a plane allows."""
    radii = np.sqrt(np.array(areas) / np.pi)
    wanted = {pair: _distance(radii[pair[0]], radii[pair[1]], shared[pair]) for pair in shared}
    if len(areas) == 2:
        return np.array([[0.0, 0.0], [wanted[0, 1], 0.0]])
    turn = np.radians([210, 330, 90])
    start = np.stack([np.cos(turn), np.sin(turn)], axis=1) * max(wanted.values()) / np.sqrt(3)

    def strain(flat: NDArray[np.float64]) -> float:
        place = flat.reshape(-1, 2)
        return float(sum((np.linalg.norm(place[i] - place[j]) - d) ** 2 for (i, j), d in wanted.items()))

    return np.asarray(minimize(strain, start.ravel(), method="BFGS").x).reshape(-1, 2)


def _distance(first: float, second: float, area: float) -> float:
    """Of the centres of two circles that share an area."""
    apart, inside = first + second, abs(first - second)
    if area <= 0:
        return apart * 1.02
    if area >= np.pi * min(first, second) ** 2 * (1 - 1e-9):
        return inside
    return float(brentq(lambda distance: _lens(first, second, distance) - area, max(inside, 1e-9), apart))


def _lens(first: float, second: float, distance: float) -> float:
    """The area that two circles share."""
    one = np.clip((distance**2 + first**2 - second**2) / (2 * distance * first), -1, 1)
    other = np.clip((distance**2 + second**2 - first**2) / (2 * distance * second), -1, 1)
    kite = (
        (-distance + first + second)
        * (distance + first - second)
        * (distance - first + second)
        * (distance + first + second)
    )
    return float(first**2 * np.arccos(one) + second**2 * np.arccos(other) - np.sqrt(max(kite, 0.0)) / 2)
