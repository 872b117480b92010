"""Projections against numbers worked out by hand, and against a loop over points."""

from __future__ import annotations

import numpy as np
import pytest

from limbeck.errors import InputError
from limbeck.segmentation.cameras import Camera, point_pixels, project

# Focal length 100 pixels, centre (50, 40), looking along the LiDAR's x from half a metre in front of it.
PROJECTION = np.array([[50.0, -100.0, 0.0, -25.0], [40.0, 0.0, -100.0, -20.0], [1.0, 0.0, 0.0, -0.5]])


def camera(**given: object) -> Camera:
    return Camera("front", PROJECTION, 100, 80, **given)  # type: ignore[arg-type]


def test_projection_by_hand() -> None:
    # 10.5 m ahead: depth 10. 1 m to the left: 100 * 1 / 10 = 10 pixels left of 50. 2 m up: 20 pixels above 40.
    points = np.array([[10.5, 1.0, 2.0], [10.5, -1.0, -2.0], [2.5, 0.0, 0.0]], np.float32)
    seen = project(points, camera())
    assert seen.depth.tolist() == [10.0, 10.0, 2.0]
    assert seen.u.tolist() == [40.0, 60.0, 50.0]
    assert seen.v.tolist() == [20.0, 60.0, 40.0]
    assert seen.inside.all()


def test_borders_belong_to_the_picture_on_the_left_and_above_only() -> None:
    # At depth 10, y = 5 is u = 0 and y = -5 is u = 100; z = 4 is v = 0 and z = -4 is v = 80.
    points = np.array([[10.5, 5, 0], [10.5, -5, 0], [10.5, 0, 4], [10.5, 0, -4], [10.5, -4.99, -3.99]])
    assert project(points, camera()).inside.tolist() == [True, False, True, False, True]
    # With a margin of one pixel, u = 0 is out and u = 2.5 (y = 4.75) is in.
    points = np.array([[10.5, 5, 0], [10.5, 4.75, 0], [10.5, -4.9375, 0]])
    assert project(points, camera().with_margin(1)).inside.tolist() == [False, True, False]


def test_points_behind_the_camera_are_not_projected() -> None:
    points = np.array([[-9.5, 0, 0], [0.5, 0, 0], [0.5, 1, 1], [1.4, 0, 0], [1.6, 0, 0], [np.nan, 0, 0]])
    seen = project(points, camera(nearest=1.0))
    assert np.isnan(seen.u[:3]).all()
    assert np.isnan(seen.v[:3]).all()
    assert seen.inside.tolist() == [False, False, False, False, True, False]  # 0.9 m is too near, 1.1 m is not


@pytest.mark.parametrize("size", [(50, 40), (200, 160), (33, 47)])
def test_a_resized_camera_sees_the_same_points_at_the_pixels_of_a_resized_picture(size: tuple[int, int]) -> None:
    points = np.random.default_rng(0).normal([10, 0, 0], 5, (2000, 3))
    whole, small = project(points, camera()), project(points, camera().resized(*size))
    assert np.array_equal(whole.inside, small.inside)
    assert 100 < whole.inside.sum() < 2000
    # The picture from edge to edge, -1/2 to width - 1/2, is stretched to the other one.
    assert np.allclose((whole.u + 0.5) / 100, (small.u + 0.5) / size[0], equal_nan=True)
    assert np.allclose((whole.v + 0.5) / 80, (small.v + 0.5) / size[1], equal_nan=True)


def test_of_several_cameras_the_one_that_sees_a_point_farthest_from_its_border() -> None:
    # The second camera looks from 0.4 m further left: what the first has at u, it has at u + 100 * 0.4 / depth.
    # The third looks from as far to the right, the fourth from further up.
    moved = [PROJECTION + np.pad([[shift]], ((row, 2 - row), (3, 0))) for row, shift in ((0, 40), (0, -40), (1, 40))]
    cameras = [camera(), *(Camera(f"moved {place}", one, 100, 80) for place, one in enumerate(moved))]
    cameras.append(Camera("tiny", PROJECTION, 3, 3))
    points = np.random.default_rng(1).normal([8, 0, 0], 6, (500, 3))
    found = point_pixels(points, cameras)
    for place, point in enumerate(points):
        best, chosen = -1.0, -1
        for number, one in enumerate(cameras):
            x, y, w = one.projection @ np.append(point, 1)
            if w > 0 and 0 <= x / w < one.width and 0 <= y / w < one.height:
                margin = min(x / w, one.width - x / w, y / w, one.height - y / w)
                if margin > best:
                    best, chosen = margin, number
        assert found.camera[place] == chosen
        if chosen >= 0:
            x, y, w = cameras[chosen].projection @ np.append(point, 1)
            assert (found.u[place], found.v[place], found.depth[place]) == pytest.approx((x / w, y / w, w), rel=1e-5)
        else:
            assert np.isnan([found.u[place], found.v[place], found.depth[place]]).all()
    assert np.array_equal(found.visible, found.camera >= 0)
    assert set(found.camera.tolist()) >= {-1, 0, 1, 2, 3}
    assert not point_pixels(points, []).visible.any()


def test_what_is_no_camera_or_no_points() -> None:
    with pytest.raises(InputError, match="camera front: projection must be 3 x 4"):
        Camera("front", np.eye(3), 10, 10)
    with pytest.raises(InputError, match="width and height"):
        Camera("front", PROJECTION, 0, 10)
    with pytest.raises(InputError, match="nearest"):
        camera(nearest=-1)
    with pytest.raises(ValueError, match="points must be"):
        project(np.zeros((3, 4)), camera())
