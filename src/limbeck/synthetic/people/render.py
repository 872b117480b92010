"""From factors to pixels: the same factors give the same picture."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from limbeck.modalities import Modality
from limbeck.synthetic.people.draw import draw_passer
from limbeck.synthetic.people.factors import Camera, Colour, Colours, Light, Person, Picture, Pose
from limbeck.synthetic.people.figure import figure
from limbeck.synthetic.people.paint import Array, Grid, Palette, paint
from limbeck.synthetic.people.scene import backdrop, cover

_FILL = 0.87  # share of the picture's height that a person of the middle height takes
_MIDDLE = 1.72
_SHOULDER = 0.75


def render(
    person: Person, camera: Camera, picture: Picture, modality: Modality, height: int, width: int
) -> NDArray[np.uint8]:
    """A picture of a person.

    The visible camera reads `colours`, `camera.visible` and the picture's tint, the infrared one `infrared`,
    `camera.infrared` and the occlusion's tone; both read the rest.

    Args:
        person: who.
        camera: by which camera.
        picture: in which pose, light and frame.
        modality: which kind of camera.
        height: in pixels.
        width: in pixels.

    Returns:
        `(height, width, 3)`; the three channels of an infrared picture are the same.
    """
    visible = modality == "visible"
    palette = _palette(person.colours if visible else person.infrared)
    behind = _palette(camera.visible if visible else camera.infrared)
    canvas = backdrop(camera.scene, picture.crop, height, width, behind)
    grid = _grid(person, picture, height, width)
    passer = picture.occlusion
    if passer.kind == "passer" and passer.passer_behind:
        _paint_passer(canvas, grid, camera, picture, visible)
    paint(canvas, grid, figure(person, picture.pose, camera.pitch), palette, picture.light.side)
    if passer.kind == "passer" and not passer.passer_behind:
        _paint_passer(canvas, grid, camera, picture, visible)
    cover(canvas, picture.occlusion, _array(passer.colour) if visible else np.array([passer.tone]))
    canvas = _lit(canvas, picture.light)
    canvas = _tinted(canvas, camera, picture.light) if visible else _lamp(canvas, camera)
    blur = picture.sensor.blur * height / 128
    for axis in (0, 1):
        canvas = gaussian_filter1d(canvas, blur, axis=axis, mode="nearest", truncate=3.0)
    noise = np.random.Generator(np.random.Philox(picture.sensor.noise_key))
    canvas = _exposed(canvas) + picture.sensor.noise * noise.standard_normal(canvas.shape)
    pixels = np.rint(np.clip(canvas, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(pixels, (height, width, 3)))


def _grid(person: Person, picture: Picture, height: int, width: int) -> Grid:
    """Where the pixels lie. A detector's box follows the person's height, though not fully."""
    crop = picture.crop
    tall = person.body.height
    scale = _FILL / _MIDDLE * (_MIDDLE / tall) ** 0.7 * crop.scale  # picture heights per metre
    x = ((np.arange(width) + 0.5) / width - 0.5 - crop.x) / (2 * scale * crop.aspect)
    y = tall / 2 - ((np.arange(height) + 0.5) / height - 0.5 - crop.y) / scale
    return Grid(x, y, 1 / (scale * height))


def _paint_passer(canvas: Array, grid: Grid, camera: Camera, picture: Picture, visible: bool) -> None:
    """The other person, off to one side so that the first stays the picture's subject."""
    passing = picture.occlusion
    other = draw_passer(passing.passer_key)
    aside = math.copysign(0.25 + 0.25 * abs(passing.place), passing.place)
    pose = Pose(passing.passer_view, passing.passer_phase, picture.pose.speed, 0.0, 0.0)
    strips = figure(other, pose, camera.pitch)
    palette = _palette(other.colours if visible else other.infrared)
    paint(canvas, grid.moved(aside, passing.passer_scale), strips, palette, picture.light.side)


def _palette(materials: Any) -> Palette:
    palette = {
        field.name: _array(value) if isinstance(value, Colour) else np.array([value])
        for field in fields(materials)
        for value in [getattr(materials, field.name)]
    }
    if isinstance(materials, Colours):
        palette["face"] = palette["skin"]  # only in infrared is a face warmer than a hand
    return palette


def _array(colour: Colour) -> Array:
    return np.array([colour.red, colour.green, colour.blue])


def _exposed(canvas: Array) -> Array:
    """Bright tones approach white smoothly instead of being cut off, as film and sensors do."""
    over = np.maximum(canvas - _SHOULDER, 0) / (1 - _SHOULDER)
    return np.asarray(np.where(over > 0, _SHOULDER + (1 - _SHOULDER) * (1 - np.exp(-over)), canvas))


def _lit(canvas: Array, light: Light) -> Array:
    height, width, _ = canvas.shape
    angle = math.radians(light.gradient_angle)
    x, y = np.linspace(-1, 1, width)[None, :], np.linspace(-1, 1, height)[:, None]
    slope = 1 + light.gradient * (math.cos(angle) * x + math.sin(angle) * y)
    bright = canvas * (light.brightness * slope)[..., None]
    return np.asarray(0.45 + light.contrast * (bright - 0.45))


def _tinted(canvas: Array, camera: Camera, light: Light) -> Array:
    gains = _array(camera.visible.tint) * np.array([light.tint_red, 1, light.tint_blue])
    return np.asarray(canvas * gains)


def _lamp(canvas: Array, camera: Camera) -> Array:
    """The infrared camera's lamp: bright in the middle, dark in the corners."""
    height, width, _ = canvas.shape
    x, y = np.linspace(-1, 1, width)[None, :], np.linspace(-1, 1, height)[:, None]
    infrared = camera.infrared
    radius = x**2 + y**2
    lit = infrared.gain * (1 + infrared.lamp * np.exp(-2 * radius) - infrared.vignette * radius / 2)
    return canvas * lit[..., None] + infrared.offset
