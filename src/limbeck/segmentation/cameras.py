"""Pinhole cameras that look at LiDAR points: which point falls on which pixel.

The centre of the top left pixel of a picture is (0, 0); u goes to the right and v downwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError


@dataclass(frozen=True, eq=False)
class Camera:
    r"""A camera, calibrated to the LiDAR.

    Attributes:
        name: what to call it.
        projection: (3, 4) float64 P with :math:`P (x, y, z, 1)^T = (uw, vw, w)^T`: x, y, z in metres in the LiDAR's
            frame, u and v in pixels, w the depth in metres.
        width: of its pictures, in pixels.
        height: of its pictures, in pixels.
        nearest: depth in metres; what is not farther away is not seen.
        bounds: (left, right, top, bottom): seen are pixels with left <= u < right and top <= v < bottom; None: the
            whole picture, (0, width, 0, height).
    """

    name: str
    projection: NDArray[np.float64]
    width: int
    height: int
    nearest: float = 0.0
    bounds: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        if self.projection.shape != (3, 4) or not np.isfinite(self.projection).all():
            raise InputError(f"camera {self.name}: projection must be 3 x 4 finite numbers")
        if self.width < 1 or self.height < 1:
            raise InputError(f"camera {self.name}: width and height must be at least 1 pixel")
        if not self.nearest >= 0:
            raise InputError(f"camera {self.name}: nearest must be at least 0 metres, not {self.nearest}")

    @property
    def window(self) -> tuple[float, float, float, float]:
        """The bounds (left, right, top, bottom), whether given or not."""
        return (0.0, float(self.width), 0.0, float(self.height)) if self.bounds is None else self.bounds

    def with_margin(self, pixels: float) -> Camera:
        """The camera without what falls on its picture's border of that many pixels (1 in nuScenes' own tools)."""
        left, right, top, bottom = self.window
        return replace(self, bounds=(left + pixels, right - pixels, top + pixels, bottom - pixels))

    def resized(self, width: int, height: int) -> Camera:
        r"""The camera of the same pictures, resized; it sees the same points, up to rounding at the very border.

        Areas are kept, so that :math:`u' = (u + 1/2) s - 1/2` with s the ratio of the widths, and so for v.
        """
        across, down = width / self.width, height / self.height
        change = np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1]])
        left, right, top, bottom = self.window
        bounds = (
            (left + 0.5) * across - 0.5,
            (right + 0.5) * across - 0.5,
            (top + 0.5) * down - 0.5,
            (bottom + 0.5) * down - 0.5,
        )
        return replace(self, projection=change @ self.projection, width=width, height=height, bounds=bounds)


class Pixels(NamedTuple):
    """Where points fall on a camera's picture.

    Attributes:
        u: (points,) float64 pixels; NaN where the depth is not positive, as such a point has no image.
        v: (points,) likewise.
        depth: (points,) float64 metres.
        inside: (points,) whether the camera sees it.
    """

    u: NDArray[np.float64]
    v: NDArray[np.float64]
    depth: NDArray[np.float64]
    inside: NDArray[np.bool_]


def project(points: NDArray[np.floating], camera: Camera) -> Pixels:
    """Where points fall on a camera's picture.

    A point is seen if its depth is positive and above `camera.nearest` and its pixel lies in `camera.window`. Nothing
    is known of occlusion: a point behind another one is seen.

    Args:
        points: (points, 3) metres in the LiDAR's frame.
        camera: the camera.

    Raises:
        ValueError: the points have another shape.
    """
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"points must be (points, 3), not {points.shape}")
    image = points.astype(np.float64) @ camera.projection[:, :3].T + camera.projection[:, 3]
    depth = image[:, 2]
    ahead = depth > 0
    scale = np.where(ahead, depth, np.nan)
    with np.errstate(over="ignore"):  # of a depth next to 0: infinitely far outside
        u, v = image[:, 0] / scale, image[:, 1] / scale
    left, right, top, bottom = camera.window
    inside = ahead & (depth > camera.nearest) & (left <= u) & (u < right) & (top <= v) & (v < bottom)
    return Pixels(u, v, depth, inside)


class PointPixels(NamedTuple):
    """The pixel of each point in the one camera that sees it best.

    Attributes:
        camera: (points,) int8 number of the camera, -1 where none sees the point.
        u: (points,) float32 pixels; NaN where none sees it.
        v: (points,) likewise.
        depth: (points,) float32 metres; NaN where none sees it.
    """

    camera: NDArray[np.int8]
    u: NDArray[np.float32]
    v: NDArray[np.float32]
    depth: NDArray[np.float32]

    @property
    def visible(self) -> NDArray[np.bool_]:
        """(points,) whether any camera sees it."""
        return self.camera >= 0


def point_pixels(points: NDArray[np.floating], cameras: Sequence[Camera]) -> PointPixels:
    """For each point, its pixel in the camera in which it lies farthest from the border of what the camera sees.

    The distance is that to the nearest of the four sides of `camera.window`, in pixels; of equal ones the first camera
    is taken.

    Args:
        points: (points, 3) metres in the LiDAR's frame.
        cameras: at most 127; none: no point is seen.

    Raises:
        ValueError: the points have another shape, or there are too many cameras.
    """
    if len(cameras) > np.iinfo(np.int8).max:
        raise ValueError(f"there may be at most 127 cameras, not {len(cameras)}")
    count = len(points)
    chosen, best = np.full(count, -1, np.int8), np.full(count, -np.inf)
    u, v, depth = (np.full(count, np.nan, np.float32) for _ in range(3))
    for number, camera in enumerate(cameras):
        seen = project(points, camera)
        left, right, top, bottom = camera.window
        margin = np.minimum.reduce([seen.u - left, right - seen.u, seen.v - top, bottom - seen.v])
        better = seen.inside & (margin > best)
        best[better], chosen[better] = margin[better], number
        u[better], v[better], depth[better] = seen.u[better], seen.v[better], seen.depth[better]
    return PointPixels(chosen, u, v, depth)
