"""Pictures of scans: points coloured by class and by error, from above and over a camera's picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from limbeck.reporting.plots import plain
from limbeck.segmentation.cameras import project
from limbeck.segmentation.dataset import Frame

_IGNORED, _RIGHT, _WRONG = (0.55, 0.55, 0.55), (0.80, 0.84, 0.88), (0.85, 0.10, 0.10)
_PALETTES = ("tab20", "tab20b", "tab20c")
_REACH = 0.99  # of the points lie inside what is shown from above


def class_colours(classes: int) -> NDArray[np.float64]:
    """(classes + 1, 3) red, green, blue in [0, 1]; the last one is that of ignored points, so that -1 finds it."""
    whole = np.concatenate([np.array(matplotlib.colormaps[name].colors) for name in _PALETTES])  # type: ignore[attr-defined]
    # Even entries of a palette are its strong colours; their pale partners come after all of them.
    order = np.concatenate([np.arange(0, len(whole), 2), np.arange(1, len(whole), 2)])
    held = whole[order]
    return np.concatenate([held[np.arange(classes) % len(held)], [_IGNORED]])


def error_colours(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> NDArray[np.float64]:
    """(points, 3): red where the prediction is wrong, pale where it is right, grey where the truth is ignored."""
    colours = np.where((truth == predicted)[:, None], _RIGHT, _WRONG)
    return np.where((truth >= 0)[:, None], colours, _IGNORED)


def frame_figure(
    frame: Frame,
    predictions: Mapping[str, NDArray[np.int64]],
    classes: Sequence[str],
    *,
    title: str = "",
) -> Figure:
    """A scan from above and over its first camera's picture: truth, every prediction, and the first one's errors.

    Args:
        frame: with labels, perhaps with pictures.
        predictions: what to call it -> (points,) classes.
        classes: their names.
        title: above all.

    Raises:
        ValueError: there is no prediction, or one has another number of points.
    """
    if not predictions:
        raise ValueError("predictions must hold something to show")
    for name, one in predictions.items():
        if one.shape != (len(frame.points),):
            raise ValueError(f"predictions[{name!r}] must have shape ({len(frame.points)},), not {one.shape}")
    colours = class_colours(len(classes))
    truth = np.full(len(frame.points), -1, np.int64) if frame.labels is None else frame.labels
    first = next(iter(predictions))
    panels = {
        "truth": colours[truth],
        **{name: colours[one] for name, one in predictions.items()},
        "errors" if len(predictions) == 1 else f"errors {first}": error_colours(truth, predictions[first]),
    }
    has_picture = bool(frame.images)
    rows = 1 + has_picture
    ratios = [4.0, 4.0 * frame.images[0].shape[0] / frame.images[0].shape[1]] if has_picture else [4.0]
    figure = Figure(figsize=(4.0 * len(panels), sum(ratios) + 1.0), layout="constrained")
    grid = figure.subplots(rows, len(panels), squeeze=False, height_ratios=ratios)
    for axes, (name, points) in zip(grid[0], panels.items(), strict=True):
        _from_above(axes, frame.points, points)
        axes.set_title(plain(name), fontsize=10)
    if has_picture:
        for axes, points in zip(grid[1], panels.values(), strict=True):
            _over_picture(axes, frame, points)
    there = sorted(
        {*truth[truth >= 0].tolist(), *(int(one) for held in predictions.values() for one in np.unique(held))}
    )
    figure.legend(
        handles=[
            Line2D([], [], linestyle="", marker="o", color=tuple(colours[one]), label=plain(classes[one]))
            for one in there
        ],
        loc="outside lower center",
        ncols=min(10, max(1, len(there))),
        fontsize=8,
        frameon=False,
    )
    if title:
        figure.suptitle(plain(title), fontsize=11)
    return figure


def _from_above(axes: Axes, points: NDArray[np.float32], colours: NDArray[np.float64]) -> None:
    """x, forward in most sets, points upwards."""
    order = np.argsort(points[:, 2], kind="stable")  # what is high hides what is low
    axes.scatter(-points[order, 1], points[order, 0], s=1.0, c=colours[order], linewidths=0, rasterized=True)
    reach = float(np.quantile(np.abs(points[:, :2]).max(axis=1), _REACH)) if len(points) else 1.0
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])


def _over_picture(axes: Axes, frame: Frame, colours: NDArray[np.float64]) -> None:
    image = frame.images[0]
    pixels = project(frame.points, frame.cameras[0])
    axes.imshow(0.6 * image / 255)
    inside = np.flatnonzero(pixels.inside)
    order = inside[np.argsort(-pixels.depth[inside], kind="stable")]  # what is near hides what is far
    size = max(1.0, 700.0 / image.shape[1])
    axes.scatter(pixels.u[order], pixels.v[order], s=size, c=colours[order], linewidths=0, rasterized=True)
    axes.set_xlim(-0.5, image.shape[1] - 0.5)
    axes.set_ylim(image.shape[0] - 0.5, -0.5)
    axes.set_axis_off()
