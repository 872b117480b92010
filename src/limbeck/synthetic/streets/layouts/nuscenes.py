"""The layout of nuScenes-lidarseg: `v1.0-trainval` and `v1.0-test` with every table, `samples/`, `lidarseg/`.

Scenes have names of the official divisions, so that readers that hold these find the same scenes for training,
validation and test. Points are float32 x, y, z, intensity (0 to 255), ring, in a LiDAR's frame of x right, y forward, z
up. Rotations are quaternions w, x, y, z. There are no boxes: instances and annotations are empty.
"""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.transform import Rotation

from limbeck.synthetic.streets.classes import CLASSES
from limbeck.synthetic.streets.factors import Pose
from limbeck.synthetic.streets.frame import RING, StreetCamera, StreetFactors, StreetFrame, street_cameras
from limbeck.synthetic.streets.layouts.semantickitti import SPEED
from limbeck.synthetic.streets.settings import StreetSettings

LIDAR = "LIDAR_TOP"
CATEGORIES = (
    "noise",
    "animal",
    "human.pedestrian.adult",
    "human.pedestrian.child",
    "human.pedestrian.construction_worker",
    "human.pedestrian.personal_mobility",
    "human.pedestrian.police_officer",
    "human.pedestrian.stroller",
    "human.pedestrian.wheelchair",
    "movable_object.barrier",
    "movable_object.debris",
    "movable_object.pushable_pullable",
    "movable_object.trafficcone",
    "static_object.bicycle_rack",
    "vehicle.bicycle",
    "vehicle.bus.bendy",
    "vehicle.bus.rigid",
    "vehicle.car",
    "vehicle.construction",
    "vehicle.emergency.ambulance",
    "vehicle.emergency.police",
    "vehicle.motorcycle",
    "vehicle.trailer",
    "vehicle.truck",
    "flat.driveable_surface",
    "flat.other",
    "flat.sidewalk",
    "flat.terrain",
    "static.manmade",
    "static.other",
    "static.vegetation",
    "vehicle.ego",
)
"""The official categories in the order of their `index`."""

# Names of official scenes of each part, in order: as many as there can be.
_NAMES = {
    "train": (1, 2, 4, 5, 6, 7, 8, 9, 10, 11),
    "validation": (3,),
    "test": (77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87),
}
_VERSIONS = {"train": "v1.0-trainval", "validation": "v1.0-trainval", "test": "v1.0-test"}
_BYTES = np.array([CATEGORIES.index(known.nuscenes) for known in CLASSES], np.uint8)
_EPOCH, _DAY = 1_500_000_000_000_000, 86_400_000_000  # microseconds; every scene was driven on another day
_EMPTY = ("attribute", "visibility", "instance", "sample_annotation", "map")


def paths(settings: StreetSettings, scene: int, frame: int) -> list[str]:
    """The files of a frame, its points first."""
    return [
        _file(settings, scene, frame, LIDAR),
        f"lidarseg/{_place(settings, scene)[1]}/{_token(settings, 'data', scene, frame, LIDAR)}_lidarseg.bin",
        *(_file(settings, scene, frame, name) for name, _ in RING),
    ]


def frame_files(settings: StreetSettings, drawn: StreetFrame) -> dict[str, bytes]:
    """Points, labels and pictures of a frame."""
    scan, labels, *pictures = paths(settings, drawn.scene, drawn.frame)
    x, y, z = drawn.points.T
    files = {
        scan: np.column_stack([-y, x, z, np.rint(255 * drawn.intensity), drawn.ring]).astype("<f4").tobytes(),
        labels: _BYTES[drawn.labels].tobytes(),
    }
    for path, picture in zip(pictures, drawn.images, strict=True):
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, "JPEG", quality=settings.jpeg_quality)
        files[path] = stream.getvalue()
    return files


def index_files(settings: StreetSettings, shown: dict[tuple[int, int], StreetFactors]) -> dict[str, bytes]:
    """The tables of both versions."""
    files = {}
    for version in dict.fromkeys(_VERSIONS.values()):
        scenes = [scene for scene in settings.numbers() if _place(settings, scene)[1] == version]
        for name, rows in _tables(settings, scenes, shown).items():
            files[f"{version}/{name}.json"] = (json.dumps(rows, indent=0, allow_nan=False) + "\n").encode()
    return files


def _place(settings: StreetSettings, scene: int) -> tuple[str, str]:
    """A scene's official name, and the version that it belongs to."""
    for part, numbers in settings.splits().items():
        if scene in numbers:
            return f"scene-{_NAMES[part][numbers.index(scene)]:04d}", _VERSIONS[part]
    raise KeyError(scene)


def _token(settings: StreetSettings, *what: object) -> str:
    words = "/".join(map(str, (settings.seed, *what)))
    return hashlib.md5(words.encode(), usedforsecurity=False).hexdigest()


def _file(settings: StreetSettings, scene: int, frame: int, channel: str) -> str:
    end = "pcd.bin" if channel == LIDAR else "jpg"
    return f"samples/{channel}/{_log(settings, scene)}__{channel}__{_time(settings, scene, frame)}.{end}"


def _log(settings: StreetSettings, scene: int) -> str:
    return f"limbeck-{settings.seed}-{scene:02d}"


def _time(settings: StreetSettings, scene: int, frame: int) -> int:
    return _EPOCH + scene * _DAY + round(frame * settings.step / SPEED * 1e6)


def _quaternion(matrix: NDArray[np.float64]) -> list[float]:
    x, y, z, w = (float(value) for value in Rotation.from_matrix(matrix).as_quat(canonical=True))
    return [w, x, y, z]


def _tables(
    settings: StreetSettings, scenes: list[int], shown: dict[tuple[int, int], StreetFactors]
) -> dict[str, list[dict[str, Any]]]:
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in _EMPTY}
    tables["category"] = [
        {"token": _token(settings, "category", name), "name": name, "description": "", "index": index}
        for index, name in enumerate(CATEGORIES)
    ]
    tables["sensor"] = [
        {"token": _token(settings, "sensor", name), "channel": name, "modality": _kind(name)}
        for name in (LIDAR, *(name for name, _ in RING))
    ]
    for name in ("log", "scene", "sample", "sample_data", "calibrated_sensor", "ego_pose", "lidarseg"):
        tables[name] = []
    for scene in scenes:
        _add_scene(settings, scene, shown, tables)
    tables["map"].append(
        {
            "token": _token(settings, "map"),
            "log_tokens": [row["token"] for row in tables["log"]],
            "category": "semantic_prior",
            "filename": "",
        }
    )
    return tables


def _kind(channel: str) -> str:
    return "lidar" if channel == LIDAR else "camera"


def _add_scene(
    settings: StreetSettings,
    scene: int,
    shown: dict[tuple[int, int], StreetFactors],
    tables: dict[str, list[dict[str, Any]]],
) -> None:
    name, version = _place(settings, scene)
    drive = [shown[scene, frame] for frame in range(settings.frames)]
    cameras = street_cameras(settings, drive[0].scene.mounting)
    samples = [_token(settings, "sample", scene, frame) for frame in range(settings.frames)]
    log = _token(settings, "log", scene)
    tables["log"].append(
        {"token": log, "logfile": _log(settings, scene), "vehicle": "limbeck", "date_captured": "", "location": "drawn"}
    )
    dark = sum(one.shot.light.night for one in drive)
    tables["scene"].append(
        {
            "token": _token(settings, "scene", scene),
            "log_token": log,
            "nbr_samples": settings.frames,
            "first_sample_token": samples[0],
            "last_sample_token": samples[-1],
            "name": name,
            "description": f"A drawn street; {dark} of {settings.frames} frames at night",
        }
    )
    tables["calibrated_sensor"] += [
        _lidar_row(settings, scene),
        *(_camera_row(settings, scene, one) for one in cameras),
    ]
    for frame, one in enumerate(drive):
        around = {"prev": frame - 1, "next": frame + 1}
        stamp = _time(settings, scene, frame)
        tables["sample"].append(
            {
                "token": samples[frame],
                "timestamp": stamp,
                "scene_token": _token(settings, "scene", scene),
                **{key: samples[at] if 0 <= at < len(samples) else "" for key, at in around.items()},
            }
        )
        for channel in (LIDAR, *(camera.name for camera in cameras)):
            token = _token(settings, "data", scene, frame, channel)
            pose = _token(settings, "pose", scene, frame, channel)
            tables["ego_pose"].append({"token": pose, "timestamp": stamp, **_where(one.shot.pose)})
            tables["sample_data"].append(
                {
                    "token": token,
                    "sample_token": samples[frame],
                    "ego_pose_token": pose,
                    "calibrated_sensor_token": _token(settings, "calibrated", scene, channel),
                    "timestamp": stamp,
                    "fileformat": "pcd" if channel == LIDAR else "jpg",
                    "is_key_frame": True,
                    "height": 0 if channel == LIDAR else settings.height,
                    "width": 0 if channel == LIDAR else settings.width,
                    "filename": _file(settings, scene, frame, channel),
                    **{
                        key: _token(settings, "data", scene, at, channel) if 0 <= at < len(samples) else ""
                        for key, at in around.items()
                    },
                }
            )
        lidar = _token(settings, "data", scene, frame, LIDAR)
        tables["lidarseg"].append(
            {"token": lidar, "sample_data_token": lidar, "filename": f"lidarseg/{version}/{lidar}_lidarseg.bin"}
        )


def _where(pose: Pose) -> dict[str, list[float]]:
    turned = Rotation.from_euler("z", pose.yaw, degrees=True).as_matrix()
    return {"translation": [pose.x, pose.y, 0.0], "rotation": _quaternion(turned)}


def _lidar_row(settings: StreetSettings, scene: int) -> dict[str, Any]:
    """The LiDAR of the layout looks along its y: it is ours, turned by a quarter."""
    return {
        "token": _token(settings, "calibrated", scene, LIDAR),
        "sensor_token": _token(settings, "sensor", LIDAR),
        "translation": [0.0, 0.0, settings.mounting],
        "rotation": _quaternion(np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])),
        "camera_intrinsic": [],
    }


def _camera_row(settings: StreetSettings, scene: int, camera: StreetCamera) -> dict[str, Any]:
    return {
        "token": _token(settings, "calibrated", scene, camera.name),
        "sensor_token": _token(settings, "sensor", camera.name),
        "translation": (camera.position + np.array([0, 0, settings.mounting])).tolist(),
        "rotation": _quaternion(camera.rotation),
        "camera_intrinsic": camera.intrinsics.tolist(),
    }
