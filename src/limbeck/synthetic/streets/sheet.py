"""A sheet: for some frames the picture, the points over it, and the points seen from above, coloured by class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from limbeck.synthetic.streets.classes import CLASSES
from limbeck.synthetic.streets.frame import StreetFrame, draw_factors, render
from limbeck.synthetic.streets.settings import StreetSettings

_GAP, _PAPER = 4, 255
_INK = {
    "road": (128, 128, 140),
    "sidewalk": (240, 150, 235),
    "terrain": (150, 225, 70),
    "building": (235, 190, 60),
    "fence": (170, 110, 50),
    "vegetation": (30, 150, 40),
    "pole": (90, 200, 255),
    "trunk": (160, 70, 20),
    "car": (60, 90, 255),
    "truck": (0, 215, 200),
    "bus": (255, 130, 0),
    "person": (255, 40, 40),
    "sign": (255, 245, 60),
}
PALETTE = np.array([_INK[known.name] for known in CLASSES], np.uint8)
"""`(classes, 3)`: the colour of every class."""


def over_picture(frame: StreetFrame, camera: int = 0) -> NDArray[np.uint8]:
    """The points over a camera's darkened picture: `(height, width, 3)`. Far points are drawn first."""
    page = np.asarray(frame.images[camera] // 3)
    height, width, _ = page.shape
    u, v, depth = _pixels(frame, camera)
    inside = (depth > 0) & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    for k in np.flatnonzero(inside)[np.argsort(-depth[inside], kind="stable")]:
        row, column = min(round(v[k]), height - 1), min(round(u[k]), width - 1)
        page[row, column : column + 2] = PALETTE[frame.labels[k]]
    return page


def from_above(frame: StreetFrame, size: int, reach: float = 32.0) -> NDArray[np.uint8]:
    """The points from above: `(size, 2 size, 3)`, forward to the right, `reach` metres to either side."""
    page = np.full((size, 2 * size, 3), 24, np.uint8)
    scale = size / (2 * reach)
    row = np.floor((reach - frame.points[:, 1]) * scale).astype(int)
    column = np.floor((2 * reach + frame.points[:, 0]) * scale).astype(int)
    order = np.argsort(frame.points[:, 2], kind="stable")
    order = order[(row[order] >= 0) & (row[order] < size) & (column[order] >= 0) & (column[order] < 2 * size)]
    page[row[order], column[order]] = PALETTE[frame.labels[order]]
    return page


def sheet(settings: StreetSettings, frames: Sequence[tuple[int, int, bool]]) -> NDArray[np.uint8]:
    """Frames below one another.

    Args:
        settings: seed, sensors and size of the pictures.
        frames: (scene, frame, whether at night) of each.

    Returns:
        `(rows, columns, 3)` pixels on white: of every frame the picture of the front camera, beside it the same with
        points over it, and from above.
    """
    rows = []
    for scene, number, dark in frames:
        lit = StreetSettings(**{**vars(settings), "night": float(dark)})
        drawn = render(draw_factors(lit, scene, number), lit, scene, number)
        shown = [drawn.images[0], over_picture(drawn), from_above(drawn, settings.height)]
        rows.append(np.concatenate([_framed(picture) for picture in shown], axis=1))
    return np.concatenate(rows)


def _framed(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.pad(picture, ((_GAP, 0), (_GAP, 0), (0, 0)), constant_values=_PAPER)


def _pixels(frame: StreetFrame, camera: int) -> tuple[NDArray[np.float64], ...]:
    """u, v and depth of every point."""
    points = np.column_stack([frame.points, np.ones(len(frame.points))]) @ frame.projections[camera].T
    depth = points[:, 2]
    safe = np.where(depth > 0, depth, 1.0)
    return points[:, 0] / safe, points[:, 1] / safe, depth
