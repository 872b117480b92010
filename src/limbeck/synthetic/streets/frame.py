"""From factors to what the sensors record: the same factors give the same frame."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.synthetic.streets.cast import expose, scan
from limbeck.synthetic.streets.classes import LABELS
from limbeck.synthetic.streets.draw import draw_scene, draw_shot, draw_things
from limbeck.synthetic.streets.factors import Light, Mounting, Pose, Scene, Shot, Thing
from limbeck.synthetic.streets.settings import StreetSettings
from limbeck.synthetic.streets.world import World, build_world, within_sight

Array = NDArray[np.float64]

RING = (
    ("CAM_FRONT", 0.0),
    ("CAM_FRONT_RIGHT", -55.0),
    ("CAM_FRONT_LEFT", 55.0),
    ("CAM_BACK", 180.0),
    ("CAM_BACK_LEFT", 110.0),
    ("CAM_BACK_RIGHT", -110.0),
)
"""Names and yaws in degrees of six cameras, in the order of nuScenes; fewer cameras are the first of them."""


@dataclass(frozen=True)
class StreetCamera:
    """A pinhole camera beside the LiDAR.

    Attributes:
        name: of the camera.
        intrinsics: `(3, 3)`, from the camera's frame (x right, y down, z forward; metres) to pixels.
        rotation: `(3, 3)`, from the camera's frame to the LiDAR's.
        position: `(3,)` metres, in the LiDAR's frame.
        width: pixels.
        height: pixels.
    """

    name: str
    intrinsics: Array
    rotation: Array
    position: Array
    width: int
    height: int

    @property
    def projection(self) -> Array:
        """`(3, 4)`: (x, y, z, 1) in metres in the LiDAR's frame -> (u w, v w, w), w the depth in metres; the centre of
        the top left pixel is (0, 0), u runs right and v down."""
        inverse = self.rotation.T
        return np.asarray(self.intrinsics @ np.column_stack([inverse, -inverse @ self.position]))


@dataclass(frozen=True)
class StreetFactors:
    """All that a frame shows.

    Attributes:
        scene: of the whole scene.
        shot: of the frame.
        things: the objects within reach, and the stretches of ground.
    """

    scene: Scene
    shot: Shot
    things: tuple[Thing, ...]


@dataclass(frozen=True)
class StreetFrame:
    """One turn of the LiDAR, and a picture from every camera.

    Attributes:
        scene: the scene's number.
        frame: which of its frames.
        points: `(points, 3)` float32 metres in the LiDAR's frame: x forward, y left, z up.
        intensity: `(points,)` float32 in [0, 1], in steps of 1/255.
        ring: `(points,)` int64, the beam, 0 the lowest.
        labels: `(points,)` int64 into `CLASSES`.
        instances: `(points,)` int64 number of the object in its scene; 0 where its class has none.
        images: a `(height, width, 3)` uint8 picture of every camera.
        cameras: the cameras.
        projections: `(3, 4)` of every camera: `StreetCamera.projection`.
        label_images: `(height, width)` int64 label of the surface behind the middle of every pixel; -1 sky.
        depth_images: `(height, width)` float64 metres along the optical axis; infinite where there is sky.
        factors: what it shows.
    """

    scene: int
    frame: int
    points: NDArray[np.float32]
    intensity: NDArray[np.float32]
    ring: NDArray[np.int64]
    labels: NDArray[np.int64]
    instances: NDArray[np.int64]
    images: tuple[NDArray[np.uint8], ...]
    cameras: tuple[StreetCamera, ...]
    projections: tuple[Array, ...]
    label_images: tuple[NDArray[np.int64], ...]
    depth_images: tuple[Array, ...]
    factors: StreetFactors


def draw_street(settings: StreetSettings, index: int) -> StreetFrame:
    """Draw a frame in memory.

    Args:
        settings: seed, sensors, shares.
        index: of the frame in [0, len(settings)): scene after scene in the order of `settings.numbers()`.

    Returns:
        What the sensors record, and the truth behind it.

    Raises:
        InputError: there is no such frame.

    Example:
        >>> frame = draw_street(StreetSettings(beams=8, azimuths=64), 0)
        >>> frame.points.shape == (len(frame.labels), 3), frame.images[0].shape
        (True, (96, 320, 3))
    """
    scene, frame = settings.place(index)
    return render(draw_factors(settings, scene, frame), settings, scene, frame)


def draw_factors(settings: StreetSettings, scene: int, frame: int) -> StreetFactors:
    """All that a frame shows."""
    shot = draw_shot(settings.seed, scene, frame, settings.step, settings.night)
    things = draw_things(settings.seed, scene, frame, shot, settings.reach)
    return StreetFactors(draw_scene(settings.seed, scene), shot, things)


def render(factors: StreetFactors, settings: StreetSettings, scene: int = 0, frame: int = 0) -> StreetFrame:
    """What the sensors of `settings` record of given factors."""
    world = build_world(factors.scene, factors.things)
    points, intensity, ring, hit = _turn(world, factors.shot, settings)
    cameras = street_cameras(settings, factors.scene.mounting)
    seen = [_picture(world, factors.shot, settings.mounting, camera, place) for place, camera in enumerate(cameras)]
    return StreetFrame(
        scene=scene,
        frame=frame,
        points=points,
        intensity=intensity,
        ring=ring,
        labels=world.labels[hit],
        instances=world.instances[hit],
        images=tuple(image for image, _, _ in seen),
        cameras=cameras,
        projections=tuple(camera.projection for camera in cameras),
        label_images=tuple(labels for _, labels, _ in seen),
        depth_images=tuple(depths for _, _, depths in seen),
        factors=factors,
    )


def street_cameras(settings: StreetSettings, mounting: Mounting) -> tuple[StreetCamera, ...]:
    """The cameras of a scene."""
    focal = settings.width / 2 / math.tan(math.radians(settings.field_of_view) / 2)
    intrinsics = np.array(
        [[focal, 0, (settings.width - 1) / 2], [0, focal, (settings.height - 1) / 2], [0.0, 0.0, 1.0]]
    )
    cameras = []
    for name, yaw in RING[: settings.ring]:
        turn = _turned(math.radians(yaw))
        error = _turned(math.radians(mounting.yaw)) @ _leaning(
            math.radians(mounting.pitch), math.radians(mounting.roll)
        )
        cameras.append(
            StreetCamera(
                name=name,
                intrinsics=intrinsics,
                rotation=turn @ error @ _AXES,
                position=turn @ np.array([mounting.forward, mounting.left, mounting.up]),
                width=settings.width,
                height=settings.height,
            )
        )
    return tuple(cameras)


# A camera's x, y, z (right, down, forward), as columns in a frame of x forward, y left, z up.
_AXES = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def _turned(yaw: float) -> Array:
    return np.array([[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1.0]])


def _leaning(pitch: float, roll: float) -> Array:
    lean = np.array([[math.cos(pitch), 0, math.sin(pitch)], [0, 1.0, 0], [-math.sin(pitch), 0, math.cos(pitch)]])
    side = np.array([[1.0, 0, 0], [0, math.cos(roll), -math.sin(roll)], [0, math.sin(roll), math.cos(roll)]])
    return np.asarray(lean @ side)


def pose_matrix(pose: Pose, mounting: float) -> Array:
    """`(4, 4)` from the LiDAR's frame to the world's."""
    matrix = np.eye(4)
    matrix[:3, :3] = _turned(math.radians(pose.yaw))
    matrix[:3, 3] = pose.x, pose.y, mounting
    return matrix


def _generator(key: int, place: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key, spawn_key=(place,))))


def _turn(
    world: World, shot: Shot, settings: StreetSettings
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Points, intensity, ring, and which thing was hit, of one turn: azimuth by azimuth, the lowest beam first."""
    up = np.radians(np.linspace(settings.lowest, settings.highest, settings.beams))[None, :]
    around = (2 * np.pi * np.arange(settings.azimuths) / settings.azimuths)[:, None]
    flat = np.cos(up)
    rays = np.stack(np.broadcast_arrays(flat * np.cos(around), flat * np.sin(around), np.sin(up)), axis=-1)
    rays = rays.reshape(-1, 3)
    pose = pose_matrix(shot.pose, settings.mounting)
    starts, members, near = within_sight(world.shapes, shot.pose.x, shot.pose.y)
    ranges, hit, facing = scan(
        pose[:3, 3].copy(), rays @ pose[:3, :3].T, world.shapes, world.kinds, world.owners, starts, members, near,
        world.ground, world.start, world.half, len(world.labels), settings.reach,
    )  # fmt: skip
    # Noise is drawn for every ray, so that it does not depend on what the rays hit.
    dice = _generator(shot.lidar_key, 0)
    jitter, flicker = dice.standard_normal((2, len(rays)))
    kept = (ranges > 0) & (dice.random(len(rays)) >= settings.dropout)
    bright = world.reflectances[hit] * (0.4 + 0.6 * facing) + settings.intensity_noise * flicker
    intensity = np.rint(np.clip(bright, 0, 1) * 255) / 255
    points = rays * np.maximum(ranges + settings.range_noise * jitter, 0.1)[:, None]
    ring = np.tile(np.arange(settings.beams), settings.azimuths)
    return points[kept].astype(np.float32), intensity[kept].astype(np.float32), ring[kept], hit[kept]


def _picture(
    world: World, shot: Shot, mounting: float, camera: StreetCamera, place: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64], Array]:
    pose = pose_matrix(shot.pose, mounting)
    origin = pose[:3, :3] @ camera.position + pose[:3, 3]
    right, down, forward = (pose[:3, :3] @ camera.rotation).T.copy()
    starts, members, near = within_sight(world.shapes, float(origin[0]), float(origin[1]))
    light = shot.light
    azimuth, rise = math.radians(light.sun_azimuth), math.radians(light.sun_height)
    sun = np.array([math.cos(rise) * math.cos(azimuth), math.cos(rise) * math.sin(azimuth), math.sin(rise)])
    canvas, labels, depths = expose(
        origin, forward, right, down, float(camera.intrinsics[0, 0]), camera.height, camera.width, world.shapes,
        world.kinds, world.paints, world.owners, world.colours, world.feet, starts, members, near, world.ground,
        world.start, world.half, world.labels, LABELS["terrain"], sun, bool(light.night),
    )  # fmt: skip
    return _recorded(canvas, light, place), labels, depths


def _recorded(canvas: Array, light: Light, place: int) -> NDArray[np.uint8]:
    """A picture as the sensor records it: tinted, as bright as the light, noisy, 8 bits."""
    gains = light.brightness * np.array([light.tint_red, 1.0, light.tint_blue])
    noise = _generator(light.noise_key, place).standard_normal(canvas.shape)
    return np.rint(np.clip(canvas * gains + light.noise * noise, 0, 1) * 255).astype(np.uint8)
