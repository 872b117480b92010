"""From objects to surfaces: boxes, cylinders and ellipsoids, and the ground, as arrays that rays are cast against."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.synthetic.streets.classes import LABELS
from limbeck.synthetic.streets.factors import BLOCK, KERB, Colour, Scene, Thing

BOX, UPRIGHT, LYING, ELLIPSOID = range(4)
PLAIN, BANDS, WINDOWS, LEAVES, PAVING, GRASS, GLASS, PLANKS, WHEEL, ASPHALT = range(10)
"""How a surface is painted. `BANDS` takes no light and shade: by a pixel of it, no shape can be told."""

_BIN = 1.0  # degrees of azimuth for which the surfaces that may be hit are listed together


class Part(NamedTuple):
    """A surface, turned about its centre by a yaw.

    A box, an elliptic cylinder standing upright or lying along its own x, or an ellipsoid, of half sizes hx, hy, hz.
    """

    kind: int
    x: float
    y: float
    z: float
    yaw: float
    hx: float
    hy: float
    hz: float
    paint: int


@dataclass(frozen=True)
class World:
    """All surfaces of a frame.

    Attributes:
        shapes: `(parts, 9)`: x, y, z of the centre, cosine and sine of the yaw, half sizes, radius seen from above.
        kinds: `(parts,)` which solid.
        paints: `(parts,)` how it is painted.
        owners: `(parts,)` which thing it belongs to.
        labels: `(things + 1,)` of every thing; the last is the road.
        colours: `(things + 1, 3, 3)`.
        feet: `(things + 1, 2)`: where a thing stands, and how high it is.
        reflectances: `(things + 1,)`.
        instances: `(things + 1,)`, 0 where the class has none.
        ground: `(2, cells)` which thing a stretch beside the road is, left and right.
        start: x of the first stretch.
        half: half the width of the road.
    """

    shapes: NDArray[np.float64]
    kinds: NDArray[np.int64]
    paints: NDArray[np.int64]
    owners: NDArray[np.int64]
    labels: NDArray[np.int64]
    colours: NDArray[np.float64]
    feet: NDArray[np.float64]
    reflectances: NDArray[np.float64]
    instances: NDArray[np.int64]
    ground: NDArray[np.int64]
    start: float
    half: float


def build_world(scene: Scene, things: Sequence[Thing]) -> World:
    """The surfaces of all objects, and the ground."""
    parts: list[Part] = []
    owners: list[int] = []
    for place, thing in enumerate(things):
        if thing.name not in ("sidewalk", "terrain"):
            new = list(_BUILD.get(thing.name, _solid)(thing))
            parts += new
            owners += [place] * len(new)
    numbers = np.array(parts, np.float64).reshape(-1, len(Part._fields))
    yaws = np.radians(numbers[:, 4])
    shapes = np.column_stack(
        [numbers[:, 1:4], np.cos(yaws), np.sin(yaws), numbers[:, 5:8], np.hypot(numbers[:, 5], numbers[:, 6])]
    )
    cells = {(thing.block, thing.slot): place for place, thing in enumerate(things) if thing.name in _GROUND}
    blocks = [block for block, _ in cells]
    ground = [[cells[block, 16 * side + cell] for block in range(min(blocks), max(blocks) + 1) for cell in range(2)]
              for side in range(2)]  # fmt: skip
    street = scene.street
    return World(
        shapes=shapes,
        kinds=numbers[:, 0].astype(np.int64),
        paints=numbers[:, 8].astype(np.int64),
        owners=np.array(owners, np.int64),
        labels=np.array([*(LABELS[thing.name] for thing in things), LABELS["road"]], np.int64),
        colours=np.array([*(_colours(thing) for thing in things), [_rgb(street.asphalt)] * 3]),
        feet=np.array([*((_foot(thing), max(thing.height, 1e-3)) for thing in things), (0.0, 1.0)]),
        reflectances=np.array([*(thing.reflectance for thing in things), street.road_reflectance]),
        instances=np.array([*(thing.instance for thing in things), 0], np.int64),
        ground=np.array(ground, np.int64),
        start=min(blocks) * BLOCK,
        half=street.half,
    )


def within_sight(shapes: NDArray[np.float64], x: float, y: float) -> tuple[NDArray[np.int64], ...]:
    """Which parts a ray from (x, y) may hit, by its azimuth.

    Returns:
        `(bins + 1,)` starts, `(n,)` parts bin by bin from near to far, and `(parts,)` the distance, seen from above, at
        which each begins, in a fixed-point number of millimetres.
    """
    along, across = shapes[:, 0] - x, shapes[:, 1] - y
    distance = np.hypot(along, across)
    radius = shapes[:, 8] + 1e-6
    half = np.where(distance > radius, np.arcsin(np.minimum(radius / np.maximum(distance, 1e-9), 1)), math.pi)
    middle = np.arctan2(across, along)
    bins = round(360 / _BIN)
    edges = np.radians(_BIN) * np.arange(bins)
    centre = edges + np.radians(_BIN) / 2
    gap = np.abs((centre[:, None] - middle[None, :] + math.pi) % (2 * math.pi) - math.pi)
    near = np.floor(1000 * np.maximum(distance - radius, 0)).astype(np.int64)
    order = np.argsort(near, kind="stable")
    seen = (gap <= half + np.radians(_BIN) / 2 + 1e-9)[:, order]
    starts = np.concatenate([[0], np.cumsum(seen.sum(1))]).astype(np.int64)
    return starts, order[np.nonzero(seen)[1]].astype(np.int64), near


_GROUND = ("sidewalk", "terrain")


def _foot(thing: Thing) -> float:
    return 0.0 if thing.name in ("car", "truck", "bus") else KERB


def _rgb(colour: Colour) -> tuple[float, float, float]:
    return colour.red, colour.green, colour.blue


def _colours(thing: Thing) -> list[tuple[float, float, float]]:
    return [_rgb(thing.first), _rgb(thing.second), _rgb(thing.third)]


def _beside(thing: Thing, along: float, across: float) -> tuple[float, float]:
    """The place in the world of a place on a thing."""
    yaw = math.radians(thing.yaw)
    return (
        thing.x + math.cos(yaw) * along - math.sin(yaw) * across,
        thing.y + math.sin(yaw) * along + math.cos(yaw) * across,
    )


def _part(
    thing: Thing, kind: int, along: float, across: float, low: float, high: float, hx: float, hy: float, paint: int,
    turn: float = 0.0,
) -> Part:  # fmt: skip
    """A part between two heights above the thing's foot."""
    x, y = _beside(thing, along, across)
    foot = _foot(thing)
    return Part(kind, x, y, foot + (low + high) / 2, thing.yaw + turn, hx, hy, (high - low) / 2, paint)


def _solid(thing: Thing) -> Iterator[Part]:
    """A building, a fence or a sign: one box."""
    paint = {"building": WINDOWS, "fence": PLANKS}.get(thing.name, BANDS)
    if thing.name == "sign":  # its width is that which a person would have, and it faces where the person would
        yield _part(thing, BOX, 0, 0, 0, thing.height, 0.03, 0.6 * thing.width, BANDS)
    else:
        yield _part(thing, BOX, 0, 0, 0, thing.height, thing.length / 2, thing.width / 2, paint)


def _post(thing: Thing) -> Iterator[Part]:
    yield _part(thing, UPRIGHT, 0, 0, 0, thing.height, thing.width / 2, thing.width / 2, PLAIN)


def _green(thing: Thing) -> Iterator[Part]:
    """Three ellipsoids, the largest in the middle."""
    for along, across, share, high in ((0, 0, 0.5, 1.0), (0.3, 0.12, 0.33, 0.72), (-0.28, -0.14, 0.36, 0.62)):
        size = share * thing.width
        yield _part(thing, ELLIPSOID, along * thing.width, across * thing.width, -0.1 * thing.height,
                    high * thing.height, size, size, LEAVES)  # fmt: skip


def _car(thing: Thing) -> Iterator[Part]:
    half, wide, high = thing.length / 2, thing.width / 2, thing.height
    yield _part(thing, BOX, 0, 0, 0.2, 0.58 * high, half, wide, PLAIN)
    yield _part(thing, BOX, -0.12 * half, 0, 0.58 * high, high, 0.58 * half, 0.88 * wide, GLASS)
    for along in (-0.62, 0.62):
        for across in (-1, 1):
            # A wheel is a cylinder that lies across: its own x is the thing's y.
            yield _part(thing, LYING, along * half, across * (wide - 0.08), 0, 0.64, 0.1, 0.32, WHEEL, turn=90)


_BED = 0.5  # metres; up to here a truck and a bus are the same


def _bed(thing: Thing) -> Part:
    return _part(thing, BOX, 0, 0, 0.25, _BED, thing.length / 2, thing.width / 2, BANDS)


def _truck(thing: Thing) -> Iterator[Part]:
    """A cab, and a tank behind it."""
    cab, gap = 1.6, 0.3
    tank = thing.length - cab - gap
    yield _bed(thing)
    yield _part(thing, BOX, thing.length / 2 - cab / 2, 0, _BED, 0.85 * thing.height, cab / 2, thing.width / 2, BANDS)
    yield _part(thing, LYING, tank / 2 - thing.length / 2, 0, _BED, thing.height, tank / 2, thing.width / 2, BANDS)


def _bus(thing: Thing) -> Iterator[Part]:
    yield _bed(thing)
    yield _part(thing, BOX, 0, 0, _BED, thing.height, thing.length / 2, thing.width / 2, BANDS)


def _person(thing: Thing) -> Iterator[Part]:
    high, wide = thing.height, thing.width
    for across in (-0.18, 0.18):
        yield _part(thing, UPRIGHT, 0, across * wide, 0, 0.48 * high, 0.09, 0.15 * wide, BANDS)
    yield _part(thing, ELLIPSOID, 0, 0, 0.38 * high, 0.9 * high, 0.17, wide / 2, BANDS)
    yield _part(thing, ELLIPSOID, 0, 0, 0.84 * high, high, 0.11, 0.1, BANDS)


_BUILD = {
    "pole": _post,
    "trunk": _post,
    "vegetation": _green,
    "car": _car,
    "truck": _truck,
    "bus": _bus,
    "person": _person,
}
