"""The layout of one's own scans, which the set `scans` reads: every class of the street under its own name.

A folder each for `train`, `validation` and `test`, and in it by scene `scans/SCENE/*.bin` (float32 x, y, z,
intensity), `labels/SCENE/*.label` (uint32: the class's place in `CLASSES`, in the high 16 bits the object's number),
a folder of PNG pictures for each camera, `calibration/SCENE.yaml` and `poses/SCENE.txt`.
"""

from __future__ import annotations

import io

import numpy as np
import yaml
from PIL import Image

from limbeck.synthetic.streets.classes import CLASSES
from limbeck.synthetic.streets.factors import Mounting
from limbeck.synthetic.streets.frame import RING, StreetFactors, StreetFrame, pose_matrix, street_cameras
from limbeck.synthetic.streets.settings import StreetSettings


def paths(settings: StreetSettings, scene: int, frame: int) -> list[str]:
    """The files of a frame, its points first."""
    home, name = _part(settings, scene), f"{scene:02d}/{frame:06d}"
    return [
        f"{home}/scans/{name}.bin",
        f"{home}/labels/{name}.label",
        *(f"{home}/{camera.lower()}/{name}.png" for camera, _ in RING[: settings.ring]),
    ]


def frame_files(settings: StreetSettings, drawn: StreetFrame) -> dict[str, bytes]:
    """Points, labels and pictures of a frame."""
    scan, labels, *pictures = paths(settings, drawn.scene, drawn.frame)
    numbers = drawn.labels.astype(np.uint32) | (drawn.instances.astype(np.uint32) << 16)
    files = {
        scan: np.column_stack([drawn.points, drawn.intensity]).astype("<f4").tobytes(),
        labels: numbers.astype("<u4").tobytes(),
    }
    for path, picture in zip(pictures, drawn.images, strict=True):
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, "PNG")
        files[path] = stream.getvalue()
    return files


def index_files(settings: StreetSettings, shown: dict[tuple[int, int], StreetFactors]) -> dict[str, bytes]:
    """What a scan's numbers mean, and calibration and poses of every scene."""
    classes = {known.name: label for label, known in enumerate(CLASSES)}
    files = {"scans.yaml": _yaml({"columns": 4}), "labels.yaml": _yaml(classes)}
    for scene in settings.numbers():
        home = _part(settings, scene)
        drive = [shown[scene, frame] for frame in range(settings.frames)]
        files[f"{home}/calibration/{scene:02d}.yaml"] = _calibration(settings, drive[0].scene.mounting)
        poses = [pose_matrix(one.shot.pose, settings.mounting)[:3].ravel().tolist() for one in drive]
        lines = [" ".join(map(repr, pose)) for pose in poses]
        files[f"{home}/poses/{scene:02d}.txt"] = ("\n".join(lines) + "\n").encode()
    return files


def _part(settings: StreetSettings, scene: int) -> str:
    return next(part for part, numbers in settings.splits().items() if scene in numbers)


def _calibration(settings: StreetSettings, mounting: Mounting) -> bytes:
    cameras = [
        {
            "name": camera.name,
            "pictures": camera.name.lower(),
            "size": [camera.width, camera.height],
            "projection": camera.projection.tolist(),
        }
        for camera in street_cameras(settings, mounting)
    ]
    return _yaml({"cameras": cameras})


def _yaml(value: object) -> bytes:
    return yaml.safe_dump(value, sort_keys=False).encode()
