"""Drawing the factors. Each draw has a key of its own, so that nothing depends on how much else is drawn.

A scene's key is (seed, scene), a place's on the street (seed, scene, block, slot), one in the traffic (seed, scene,
frame, slot), a frame's (seed, scene, frame). Where a class has a partner, a coin with a key of its own says which of
the two an object is; everything that the two share is drawn without it.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from limbeck.synthetic.dice import DIGITS, Dice
from limbeck.synthetic.streets import factors as f
from limbeck.synthetic.streets.classes import CLASSES, LABELS, PAIRS

_STREET, _MOUNTING, _THING, _TRAFFIC, _SHOT, _LIGHT, _COIN, _PAINT = range(8)
_SIDES = (1, -1)  # left, right
_SLOTS = 16  # a side's
_GROUND, _FRONT, _POSTS, _GREEN, _PARKED, _STANDING, _BEHIND = (0, 1), 2, (3, 4), (5, 6, 7), 8, (9, 10), 11
_LANES = (-1, 1, 1, 1, -1)  # of each car in the traffic; the LiDAR's own is on the right
_GAPS = ((10.0, 40.0), (5.0, 20.0), (32.0, 50.0), (-35.0, -10.0), (-35.0, -10.0))
_PARKING = 2.7
_BEFORE = 16  # blocks before the start of the drive; keys and numbers are not negative
_TRAFFIC_NUMBERS = 50_000  # instances of the street lie below: 20 km of it; and all below 2**16


def draw_scene(seed: int, scene: int) -> f.Scene:
    """The street and the mounting of a scene."""
    dice = Dice(seed, _STREET, scene)
    grey = dice.uniform(0.2, 0.34)
    street = f.Street(
        half=dice.uniform(6.0, 7.0),
        verge=dice.uniform(5.0, 7.5),
        storey=dice.uniform(2.8, 3.6),
        density=dice.uniform(0.4, 0.75),
        asphalt=f.Colour(grey, grey, round(grey * 1.06, DIGITS)),
        road_reflectance=dice.uniform(*CLASSES[LABELS["road"]].reflectance),
    )
    dice = Dice(seed, _MOUNTING, scene)
    mounting = f.Mounting(
        forward=dice.uniform(0.2, 0.4),
        left=dice.uniform(-0.05, 0.05),
        up=dice.uniform(-0.3, -0.15),
        yaw=dice.uniform(-1, 1),
        pitch=dice.uniform(-1, 1),
        roll=dice.uniform(-0.5, 0.5),
    )
    return f.Scene(street, mounting)


def draw_shot(seed: int, scene: int, frame: int, step: float, night: float) -> f.Shot:
    """A frame's pose and light."""
    street = draw_scene(seed, scene).street
    dice = Dice(seed, _SHOT, scene, frame)
    lane = (street.half - _PARKING) / 2
    pose = f.Pose(
        x=round(frame * step + dice.uniform(-0.5, 0.5), DIGITS),
        y=round(-lane + dice.uniform(-0.2, 0.2), DIGITS),
        yaw=dice.uniform(-3, 3),
    )
    key = dice.key()
    dice = Dice(seed, _LIGHT, scene, frame)
    dark = dice.chance(night)
    light = f.Light(
        night=int(dark),
        brightness=dice.uniform(0.35, 0.5) if dark else dice.uniform(0.85, 1.1),
        tint_red=dice.uniform(0.75, 0.95) if dark else dice.uniform(0.95, 1.06),
        tint_blue=dice.uniform(1.0, 1.25) if dark else dice.uniform(0.92, 1.04),
        sun_azimuth=dice.uniform(0, 360),
        sun_height=dice.uniform(30, 65),
        noise=dice.uniform(0.04, 0.08) if dark else dice.uniform(0.008, 0.02),
        noise_key=dice.key(),
    )
    return f.Shot(pose, light, key)


def draw_things(seed: int, scene: int, frame: int, shot: f.Shot, reach: float) -> tuple[f.Thing, ...]:
    """All that stands within reach, and the traffic of the moment."""
    first, last = blocks_within(shot.pose.x, reach)
    street = [thing for block in range(first, last + 1) for thing in draw_block(seed, scene, block)]
    return (*street, *draw_traffic(seed, scene, frame, shot.pose))


def blocks_within(x: float, reach: float) -> tuple[int, int]:
    """The first and the last block that a frame at x shows: somewhat farther than its LiDAR reaches."""
    far = reach + 2 * f.BLOCK
    return int((x - far) // f.BLOCK), int((x + far) // f.BLOCK)


@lru_cache(maxsize=1024)
def draw_block(seed: int, scene: int, block: int) -> tuple[f.Thing, ...]:
    """All that stands along one block of the street."""
    street = draw_scene(seed, scene).street
    sides = [_Side(seed, scene, block, place, street) for place in range(len(_SIDES))]
    return tuple(thing for side in sides for thing in (*_beside_the_road(side), *_on_the_pavement(side)))


@dataclass(frozen=True)
class _Side:
    """One side of a block: what is left or right of the road."""

    seed: int
    scene: int
    block: int
    place: int
    street: f.Street

    @property
    def sign(self) -> int:
        return _SIDES[self.place]

    @property
    def start(self) -> float:
        return self.block * f.BLOCK

    @property
    def back(self) -> float:
        """Where buildings begin."""
        return self.street.half + self.street.verge

    def dice(self, slot: int, *purpose: int) -> Dice:
        return Dice(self.seed, _THING, self.scene, self.block + _BEFORE, self.place * _SLOTS + slot, *purpose)

    def thing(self, slot: int, name: str, of: Dice, **known: float) -> f.Thing:
        """`y` counts from the middle of the road outwards."""
        there = self.place * _SLOTS + slot
        known["y"] *= self.sign
        number = (self.block + _BEFORE) * _SLOTS * len(_SIDES) + there
        return _thing(self.block, there, name, number, known, of, self.dice(slot, _COIN), self.dice(slot, _PAINT))


def _beside_the_road(side: _Side) -> Iterator[f.Thing]:
    for slot in _GROUND:
        x, wide = side.start + (slot + 0.5) * f.CELL, side.street.verge
        yield side.thing(slot, "sidewalk", side.dice(slot), x=x, y=1, yaw=0, length=f.CELL, width=wide, height=0)
    of = side.dice(_FRONT)
    kind, middle = of.uniform(0, 1), side.start + f.BLOCK / 2
    closed = kind < side.street.density
    if closed:
        wide, high = of.uniform(8, 12), (1 + int(of.uniform(1, 5))) * side.street.storey
        y, long = side.back + of.uniform(0, 1.5) + wide / 2, of.uniform(13, 16)
        yield side.thing(_FRONT, "building", of, x=middle, y=y, yaw=0, length=long, width=wide, height=high)
    elif kind < side.street.density + 0.7 * (1 - side.street.density):
        y, yaw, long, high = side.back + of.uniform(0, 0.8), of.uniform(-2, 2), of.uniform(8, 15), of.uniform(1.1, 1.9)
        yield side.thing(_FRONT, "fence", of, x=middle, y=y, yaw=yaw, length=long, width=0.1, height=high)
    of = side.dice(_BEHIND)
    if not closed and of.chance(0.6):
        y, long, high = side.back + of.uniform(26, 34), of.uniform(12, 16), of.uniform(8, 22)
        yield side.thing(_BEHIND, "building", of, x=middle, y=y, yaw=0, length=long, width=12, height=high)
    yield from _green(side, closed)


def _green(side: _Side, closed: bool) -> Iterator[f.Thing]:
    """Bushes, and where there is no building also trees behind them, whose leaves begin at the ground."""
    for slot in _GREEN:
        of = side.dice(slot)
        if not of.chance(0.5):
            continue
        x, wide = side.start + (slot - _GREEN[0]) * f.BLOCK / 3 + of.uniform(0.9, 4.4), of.uniform(1.0, 1.8)
        if closed or of.chance(0.5):
            y, high = side.back - 0.95, wide * of.uniform(0.6, 1.1)
        else:
            y, wide, high = side.back + of.uniform(3, 9), 2 * wide, of.uniform(4, 8)
        yaw = of.uniform(0, 180)
        yield side.thing(slot, "vegetation", of, x=x, y=y, yaw=yaw, length=wide, width=wide, height=high)


def _on_the_pavement(side: _Side) -> Iterator[f.Thing]:
    for slot in _POSTS:
        of = side.dice(slot)
        if of.chance(0.5):
            x, y = side.start + (slot - _POSTS[0]) * f.CELL + of.uniform(0.5, 7.5), of.uniform(0.45, 0.8)
            wide, high = of.uniform(0.24, 0.5), of.uniform(3.5, 7)
            y += side.street.half
            yield side.thing(slot, "pole", of, x=x, y=y, yaw=0, length=wide, width=wide, height=high)
    of = side.dice(_PARKED)
    if of.chance(0.6):
        kind, x = _vehicle(of), side.start + f.BLOCK / 2 + of.uniform(-3, 3)
        yaw = of.uniform(-2, 2) + (180 if side.sign > 0 else 0)
        yield side.thing(_PARKED, kind, of, x=x, y=side.street.half - 1.35, yaw=yaw)
    for slot in _STANDING:
        of = side.dice(slot)
        if of.chance(0.6):
            x = side.start + (slot - _STANDING[0]) * f.CELL + of.uniform(0.5, 7.5)
            y, yaw = side.street.half + of.uniform(1.3, side.street.verge - 2.3), of.uniform(0, 360)
            wide, high = of.uniform(0.5, 0.7), of.uniform(1.5, 1.95)
            yield side.thing(slot, "person", of, x=x, y=y, yaw=yaw, length=0.3, width=wide, height=high)


def draw_traffic(seed: int, scene: int, frame: int, pose: f.Pose) -> list[f.Thing]:
    """What drives on the road at a frame."""
    half = draw_scene(seed, scene).street.half
    driving = []
    for slot, (lane, gap) in enumerate(zip(_LANES, _GAPS, strict=True)):
        of = Dice(seed, _TRAFFIC, scene, frame, slot)
        if not of.chance(0.55):
            continue
        known = {
            "x": round(pose.x + of.uniform(*gap), DIGITS),
            "y": round(lane * (half - _PARKING) / 2 + of.uniform(-0.2, 0.2), DIGITS),
            "yaw": of.uniform(-2, 2) + (180 if lane > 0 else 0),
        }
        coin, paint = (Dice(seed, _TRAFFIC, scene, frame, slot, key) for key in (_COIN, _PAINT))
        number = _TRAFFIC_NUMBERS + frame * len(_LANES) + slot
        driving.append(_thing(0, slot, _vehicle(of), number, known, of, coin, paint))
    return driving


def _vehicle(dice: Dice) -> str:
    return dice.one(("car", "car", "truck"))


def _thing(
    block: int, slot: int, name: str, number: int, known: dict[str, float], of: Dice, coin: Dice, paint: Dice
) -> f.Thing:
    """An object whose class, if it is the first of a pair, may become the second. `known` lacks a vehicle's size."""
    pair = next((pair for pair in PAIRS if name in pair), None)
    kind = CLASSES[LABELS[name]]
    if "length" not in known:
        known = known | _size(name, of)
    reflectance = of.uniform(*kind.reflectance)
    if pair:
        name = coin.one(pair)
        kind = CLASSES[LABELS[name]]
    first, second, third = _colours(name, paint)
    return f.Thing(
        block=block,
        slot=slot,
        name=name,
        **{key: round(value, DIGITS) for key, value in known.items()},
        first=first,
        second=second,
        third=third,
        reflectance=reflectance,
        instance=number if kind.counted else 0,
    )


def _size(name: str, dice: Dice) -> dict[str, float]:
    if name == "car":
        return {"length": dice.uniform(3.8, 4.8), "width": dice.uniform(1.7, 1.9), "height": dice.uniform(1.4, 1.65)}
    return {"length": dice.uniform(7.0, 9.0), "width": dice.uniform(2.3, 2.5), "height": dice.uniform(2.9, 3.2)}


# Hue, saturation and value of what has a colour of its own: (least, largest) each, one of the rows by chance.
_PALETTE: dict[str, tuple[tuple[tuple[float, float], tuple[float, float], tuple[float, float]], ...]] = {
    "sidewalk": (((0.05, 0.12), (0.03, 0.14), (0.55, 0.78)),),
    "terrain": (((0.2, 0.3), (0.35, 0.6), (0.35, 0.55)),),
    "building": (
        ((0.07, 0.12), (0.1, 0.35), (0.65, 0.9)),
        ((0.0, 0.04), (0.35, 0.55), (0.45, 0.65)),
        ((0.55, 0.65), (0.0, 0.08), (0.5, 0.85)),
    ),
    "fence": (((0.06, 0.1), (0.4, 0.65), (0.3, 0.55)),),
    "vegetation": (((0.23, 0.36), (0.5, 0.8), (0.25, 0.5)),),
    "pole": (((0.55, 0.65), (0.08, 0.3), (0.5, 0.85)),),
    "trunk": (((0.05, 0.09), (0.45, 0.7), (0.3, 0.5)),),
    "car": (
        ((0.0, 1.0), (0.0, 0.06), (0.15, 0.95)),
        ((0.0, 0.03), (0.7, 0.9), (0.45, 0.8)),
        ((0.57, 0.66), (0.5, 0.85), (0.3, 0.7)),
    ),
}
_ANY = (((0.0, 1.0), (0.25, 0.9), (0.3, 0.95)),)  # pairs that only shape tells share their paint


def _colours(name: str, dice: Dice) -> tuple[f.Colour, f.Colour, f.Colour]:
    def one() -> f.Colour:
        hue, saturation, value = dice.one(_PALETTE.get(name, _ANY))
        red, green, blue = colorsys.hsv_to_rgb(dice.uniform(*hue), dice.uniform(*saturation), dice.uniform(*value))
        return f.Colour(round(red, DIGITS), round(green, DIGITS), round(blue, DIGITS))

    return one(), one(), one()
