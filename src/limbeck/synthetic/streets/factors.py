"""What a frame is made of: the street, the objects along it, how the sensors are mounted, and the single frame.

The world's x runs along the street, y to the left, z upwards from the road; lengths are in metres, angles in degrees,
colours and reflectances in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

BLOCK = 16.0
"""Metres of the street that are drawn together."""

CELL = BLOCK / 2
"""Metres of the street over which the ground beside the road is of one class."""

KERB = 0.12
"""Metres by which the ground beside the road lies above it."""


@dataclass(frozen=True)
class Colour:
    """A colour by day, in light that falls straight on it."""

    red: float
    green: float
    blue: float


@dataclass(frozen=True)
class Street:
    """What holds along a whole street. `half`: of the road's width; `verge`: from the kerb to the buildings."""

    half: float
    verge: float
    storey: float
    density: float
    asphalt: Colour
    road_reflectance: float


@dataclass(frozen=True)
class Mounting:
    """How a scene's cameras sit beside the LiDAR: metres forward, left and up of it, and errors of their angles."""

    forward: float
    left: float
    up: float
    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True)
class Scene:
    """All that belongs to a scene and is not one object."""

    street: Street
    mounting: Mounting


@dataclass(frozen=True)
class Thing:
    """An object, or a stretch of ground.

    Attributes:
        block: where along the street, in `BLOCK`s; of traffic, 0.
        slot: which of the block's, or of the traffic's, places it takes.
        name: of its class.
        x: of its centre.
        y: of its centre; of ground, the side of the road: 1 left, -1 right.
        yaw: of its length against the street.
        length: along its own direction.
        width: across.
        height: above the ground that it stands on.
        first: colour; of what is painted in three bands, the lowest.
        second: colour of windows, or of the middle band.
        third: colour of the highest band.
        reflectance: as the LiDAR sees it.
        instance: its number in the scene; 0 where its class has none.
    """

    block: int
    slot: int
    name: str
    x: float
    y: float
    yaw: float
    length: float
    width: float
    height: float
    first: Colour
    second: Colour
    third: Colour
    reflectance: float
    instance: int


@dataclass(frozen=True)
class Pose:
    """Where the LiDAR's foot is on the road, and where it heads."""

    x: float
    y: float
    yaw: float


@dataclass(frozen=True)
class Light:
    """What only the cameras see: night or day, brightness, tint, the sun's direction, the noise's deviation and key."""

    night: int
    brightness: float
    tint_red: float
    tint_blue: float
    sun_azimuth: float
    sun_height: float
    noise: float
    noise_key: int


@dataclass(frozen=True)
class Shot:
    """All that belongs to one frame but for the traffic. `lidar_key`: of the LiDAR's noise."""

    pose: Pose
    light: Light
    lidar_key: int
