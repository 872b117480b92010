"""What stands behind people, and what stands before them."""

from __future__ import annotations

import numpy as np

from limbeck.synthetic.people.factors import Crop, Occlusion, Scene
from limbeck.synthetic.people.paint import Array, Palette, soft_step

_AROUND = 3.0  # a scene's clutter recurs after so many picture heights
_FRAME = 0.02  # of a window
_NO_WINDOW = 0.1  # a narrower share of the wall is not a window


def backdrop(scene: Scene, crop: Crop, height: int, width: int, palette: Palette) -> Array:
    """Wall, floor, windows and clutter behind a person.

    Args:
        scene: where they are.
        crop: which part of the scene the picture shows.
        height: of the picture in pixels.
        width: of the picture in pixels.
        palette: `wall`, `trim`, `floor`, `window`, `clutter` -> `(channels,)`.

    Returns:
        `(height, width, channels)`.
    """
    pixel = 1 / height
    x = (np.arange(width) + 0.5 - width / 2)[None, :] / (2 * width) / crop.scale + crop.scene_x
    y = (np.arange(height) + 0.5)[:, None] / height + crop.scene_y
    wall = palette["wall"] * (1.08 - 0.2 * y[..., None])
    picture = np.broadcast_to(wall, (height, width, wall.shape[-1])).copy()
    panel = soft_step(0.012 - np.abs(x % scene.panel - scene.panel / 2), pixel)
    _blend(picture, 0.6 * panel * np.ones_like(y), palette["trim"])
    if scene.window_width > _NO_WINDOW:
        from_centre, half = _off(x, scene.window_period, 0), scene.window_width * scene.window_period / 2
        for margin, material in ((_FRAME, "trim"), (0.0, "window")):
            rows = soft_step(y - scene.window_top + margin, pixel) * soft_step(scene.window_bottom + margin - y, pixel)
            _blend(picture, soft_step(half + margin - from_centre, pixel) * rows, palette[material])
    pillar = soft_step(scene.pillar_width / 2 - _off(x, _AROUND, scene.pillar_x), pixel)
    _blend(picture, pillar * np.ones_like(y), palette["trim"] * 0.9)
    _blend(picture, soft_step(y - scene.floor + scene.skirting, pixel) * np.ones_like(x), palette["trim"])
    near = np.maximum(y - scene.floor, 0) + 0.12
    tiles = np.sin(scene.tile * (x - crop.scene_x) / near * 0.9) * np.sin(scene.tile * 1.6 / near)
    ground = palette["floor"] * (0.85 + 0.4 * near + 0.12 * tiles)[..., None]
    _blend(picture, soft_step(y - scene.floor, pixel) * np.ones_like(x), ground)
    stuff = soft_step(scene.clutter_width / 2 - _off(x, _AROUND, scene.clutter_x), pixel)
    stuff = stuff * soft_step(y - scene.clutter_top, pixel) * soft_step(scene.floor + 0.12 - y, pixel)
    shelves = 0.85 + 0.25 * (np.sin(40 * y) > 0)
    _blend(picture, stuff, palette["clutter"] * shelves[..., None])
    return picture


def cover(picture: Array, occlusion: Occlusion, tone: Array) -> None:
    """Paint a pole, a rail or a box before the person, in place; `tone` is `(channels,)`."""
    height, width, _ = picture.shape
    x = (np.arange(width) + 0.5)[None, :] / width * 2 - 1
    y = (np.arange(height) + 0.5)[:, None] / height
    soft_x, soft_y = 2 / width, 1 / height
    if occlusion.kind == "pole":
        share = soft_step(0.22 * occlusion.size - np.abs(x - 0.8 * occlusion.place), soft_x) * np.ones_like(y)
    elif occlusion.kind == "rail":
        below = y - 0.6 - 0.2 * occlusion.place
        rail = soft_step(0.05 * occlusion.size - np.abs(below), soft_y) * np.ones_like(x)
        bars = soft_step(0.05 - np.abs((x * 1.5 + occlusion.place) % 0.6 - 0.3), soft_x)
        share = np.maximum(rail, bars * soft_step(below, soft_y))
    elif occlusion.kind == "box":
        share = soft_step(y - 1 + 0.45 * occlusion.size, soft_y) * soft_step(
            occlusion.size - np.abs(x - 0.7 * occlusion.place), soft_x
        )
    else:
        return
    shade = 0.85 + 0.2 * np.sin(25 * y)
    _blend(picture, share, tone * shade[..., None])


def _blend(picture: Array, share: Array, colour: Array) -> None:
    picture += share[..., None] * (colour - picture)


def _off(x: Array, period: float, centre: float) -> Array:
    """The distance from the nearest of the places `centre + k period`."""
    return np.abs((x - centre + period / 2) % period - period / 2)
