"""Painting: a body is a pile of strips, each a stretch of a round limb seen from the side."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Point = tuple[float, float]
Palette = Mapping[str, Array]

Field = Callable[[Array, Array, float], Array]
"""A share in [0, 1] for every point of a strip's surface: of (metres along, azimuth in degrees, metres per pixel)."""

_AMBIENT, _SHINE, _SIDE = 0.7, 0.3, 0.16


@dataclass(frozen=True)
class Grid:
    """Where the pixels' centres lie, in metres: x to the right, y upwards.

    Attributes:
        x: `(width,)`, rising.
        y: `(height,)`, falling.
        pixel: metres per pixel, for soft edges.
    """

    x: Array
    y: Array
    pixel: float

    def moved(self, x: float, scale: float) -> Grid:
        """The grid of a figure whose middle is at `x` and that is `scale` times as large, its feet on the same line."""
        return Grid((self.x - x) / scale, self.y / scale, self.pixel / scale)


@dataclass(frozen=True)
class Strip:
    """A tapering round limb between two points of the picture, painted with one or two materials.

    Attributes:
        start: its upper end, in metres.
        end: its lower end.
        radii: half-widths at equal steps from `start` to `end`.
        depth: towards the camera; the nearest is painted last.
        material: what it is made of.
        second: the other material of a print.
        mix: the second material's share.
        mask: the share of the surface that there is at all.
        turn: the azimuth of the surface's centre line.
        offset: metres along the garment at `start`.
    """

    start: Point
    end: Point
    radii: Array
    depth: float
    material: str
    second: str = ""
    mix: Field | None = None
    mask: Field | None = None
    turn: float = 0.0
    offset: float = 0.0


def limb(start: Point, end: Point, first: float, last: float, depth: float, material: str) -> Strip:
    """A strip with round ends, of half-width `first` at `start` and `last` at `end`."""
    length = math.dist(start, end)
    if length == 0:
        start, end, length = (start[0], start[1] + 1e-3), (end[0], end[1] - 1e-3), 2e-3
    across, down = (end[0] - start[0]) / length, (end[1] - start[1]) / length
    whole = length + first + last
    along = np.linspace(0, whole, 24)
    radii = np.where(
        along < first,
        np.sqrt(np.maximum(first**2 - (first - along) ** 2, 0)),
        np.where(
            along > first + length,
            np.sqrt(np.maximum(last**2 - (along - first - length) ** 2, 0)),
            first + (last - first) * (along - first) / length,
        ),
    )
    return Strip(
        (start[0] - across * first, start[1] - down * first),
        (end[0] + across * last, end[1] + down * last),
        radii,
        depth,
        material,
    )


def ellipse(centre: Point, width: float, tall: float, depth: float, material: str) -> Strip:
    """An ellipse of half-axes `width` and `tall`."""
    radii = width * np.sqrt(1 - np.linspace(-1, 1, 17) ** 2)
    return Strip((centre[0], centre[1] + tall), (centre[0], centre[1] - tall), radii, depth, material)


def paint(canvas: Array, grid: Grid, strips: Iterable[Strip], palette: Palette, side: float) -> None:
    """Paint strips over a picture, from the farthest to the nearest, in place.

    Args:
        canvas: `(height, width, channels)`.
        grid: where its pixels lie.
        strips: what to paint; equal depths keep their order.
        palette: material -> `(channels,)`.
        side: where the light comes from, -1 left to 1 right.
    """
    for strip in sorted(strips, key=lambda strip: strip.depth):
        _paint_strip(canvas, grid, strip, palette, side)


def _paint_strip(canvas: Array, grid: Grid, strip: Strip, palette: Palette, side: float) -> None:
    (left, top), (right, bottom) = strip.start, strip.end
    widest = float(strip.radii.max()) + grid.pixel
    columns = _between(grid.x, min(left, right) - widest, max(left, right) + widest)
    rows = _between(-grid.y, -max(top, bottom) - widest, -min(top, bottom) + widest)
    if columns.start >= columns.stop or rows.start >= rows.stop:
        return
    length = max(math.hypot(right - left, bottom - top), 1e-6)
    across, down = (right - left) / length, (bottom - top) / length
    x, y = grid.x[columns][None, :] - left, grid.y[rows][:, None] - top
    along = x * across + y * down
    aside = y * across - x * down  # to the right, going down
    steps = len(strip.radii) - 1
    radius = np.interp(along, np.linspace(0, length, steps + 1), strip.radii)
    coverage = soft_step(radius - np.abs(aside), grid.pixel)
    coverage *= soft_step(along, grid.pixel) * soft_step(length - along, grid.pixel)
    place = np.clip(aside / np.maximum(radius, 1e-6), -1, 1)
    shade = _AMBIENT + _SHINE * np.sqrt(1 - place**2) + _SIDE * side * place
    colour = np.broadcast_to(palette[strip.material], (*shade.shape, canvas.shape[2]))
    if strip.mix is not None or strip.mask is not None:
        azimuth = (strip.turn + np.degrees(np.arcsin(place)) + 180) % 360 - 180
        surface = along + strip.offset
        if strip.mask is not None:
            coverage = coverage * strip.mask(surface, azimuth, grid.pixel)
        if strip.mix is not None:
            share = strip.mix(surface, azimuth, grid.pixel)[..., None]
            colour = colour + share * (palette[strip.second] - colour)
    patch = canvas[rows, columns]
    patch += coverage[..., None] * (colour * shade[..., None] - patch)


def _between(rising: Array, low: float, high: float) -> slice:
    return slice(int(np.searchsorted(rising, low)), int(np.searchsorted(rising, high)))


def soft_step(inside: Array, width: float) -> Array:
    """1 where `inside` is positive, 0 where negative, with an edge of the given width."""
    return np.clip(inside / width + 0.5, 0, 1)
