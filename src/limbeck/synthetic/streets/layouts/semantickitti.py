"""The layout of SemanticKITTI: `sequences/08/{velodyne,labels,image_2}`, beside them calibration, poses and times.

A scan is float32 x, y, z, remission; a label is a uint32 of the class's raw number and, in its high 16 bits, the
object's. `P0` to `P3` project from the rectified frame of camera 0, `Tr` leads there from the LiDAR's; poses are camera
0's, seen from its first.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limbeck.synthetic.streets.classes import CLASSES
from limbeck.synthetic.streets.factors import Mounting
from limbeck.synthetic.streets.frame import StreetFactors, StreetFrame, pose_matrix, street_cameras
from limbeck.synthetic.streets.settings import StreetSettings

SPEED = 10.0
"""Metres that are driven in a second."""

_RAW = np.array([known.semantickitti for known in CLASSES], np.uint32)
_BASES = (0.0, 0.54, -0.06, 0.48)  # metres of each camera to the right of camera 0; image_2 is the third's


def paths(settings: StreetSettings, scene: int, frame: int) -> list[str]:
    """The files of a frame, its points first."""
    del settings
    folder, name = f"sequences/{scene:02d}", f"{frame:06d}"
    return [f"{folder}/velodyne/{name}.bin", f"{folder}/labels/{name}.label", f"{folder}/image_2/{name}.png"]


def frame_files(settings: StreetSettings, drawn: StreetFrame) -> dict[str, bytes]:
    """Points, labels and picture of a frame."""
    scan, labels, picture = paths(settings, drawn.scene, drawn.frame)
    stream = io.BytesIO()
    Image.fromarray(drawn.images[0]).save(stream, "PNG")
    numbers = _RAW[drawn.labels] | (drawn.instances.astype(np.uint32) << 16)
    return {
        scan: np.column_stack([drawn.points, drawn.intensity]).astype("<f4").tobytes(),
        labels: numbers.astype("<u4").tobytes(),
        picture: stream.getvalue(),
    }


def index_files(settings: StreetSettings, shown: dict[tuple[int, int], StreetFactors]) -> dict[str, bytes]:
    """Calibration, poses and times of every sequence."""
    files = {}
    for scene in settings.numbers():
        drive = [shown[scene, frame] for frame in range(settings.frames)]
        projections, from_lidar = calibration(settings, drive[0].scene.mounting)
        lines = [f"P{place}: {_numbers(matrix)}" for place, matrix in enumerate(projections)]
        lines.append(f"Tr: {_numbers(from_lidar[:3])}")
        cameras = [pose_matrix(one.shot.pose, settings.mounting) @ np.linalg.inv(from_lidar) for one in drive]
        back = np.linalg.inv(cameras[0])
        folder = f"sequences/{scene:02d}"
        files[f"{folder}/calib.txt"] = _text(lines)
        files[f"{folder}/poses.txt"] = _text([_numbers((back @ camera)[:3]) for camera in cameras])
        files[f"{folder}/times.txt"] = _text([f"{frame * settings.step / SPEED:.6e}" for frame in range(len(drive))])
    return files


def calibration(settings: StreetSettings, mounting: Mounting) -> tuple[list[NDArray[np.float64]], NDArray[np.float64]]:
    """The projections `(3, 4)` of cameras 0 to 3, and the `(4, 4)` matrix from the LiDAR's frame to camera 0's."""
    camera = street_cameras(settings, mounting)[0]
    projections = []
    for base in _BASES:
        matrix = np.column_stack([camera.intrinsics, np.zeros(3)])
        matrix[0, 3] = -camera.intrinsics[0, 0] * base
        projections.append(matrix)
    from_lidar = np.eye(4)
    from_lidar[:3, :3] = camera.rotation.T
    from_lidar[:3, 3] = -camera.rotation.T @ camera.position
    from_lidar[0, 3] += _BASES[2]  # the camera that we have is the third; camera 0 is that much beside it
    return projections, from_lidar


def _numbers(matrix: NDArray[np.float64]) -> str:
    return " ".join(f"{value:.12e}" for value in matrix.ravel())


def _text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()
