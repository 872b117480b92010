"""Writers of the layouts, from their descriptions byte by byte; they share nothing with the readers."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

# A LiDAR looks along x, with y to the left and z up; a camera along its z, with x to the right and y down.
LIDAR_TO_CAMERA = [[0, -1, 0, 0.1], [0, 0, -1, -0.2], [1, 0, 0, -0.3]]
P2 = [[10.0, 0, 8.0, 1.0], [0, 10.0, 5.0, 0.5], [0, 0, 1.0, 0.01]]
SIZE = (16, 10)  # width and height


def write_floats(file: Path, rows: Sequence[Sequence[float]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"".join(struct.pack("<f", value) for row in rows for value in row))


def write_picture(file: Path, seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)
    return pixels


def scan_rows(seed: int, count: int, columns: int = 4, full: float = 1.0) -> list[list[float]]:
    """Points all around, exactly representable; intensities up to `full`."""
    rng = np.random.default_rng(seed)
    rows = (rng.integers(-80, 80, (count, columns)) / 8).tolist()
    for place, row in enumerate(rows):
        row[3] = full * (place % 5) / 4
    return rows


def write_kitti(root: Path, drives: Mapping[str, Sequence[int]], *, labels: bool = True, pictures: bool = True) -> None:
    """Drives of so many points a scan; labels are raw numbers in turn, each with the number of a thing above it."""
    raw = [0, 1, 10, 11, 40, 252, 259, 99, 81, 70]
    for number, counts in drives.items():
        home = root / "sequences" / number
        home.mkdir(parents=True)
        for place, count in enumerate(counts):
            write_floats(home / "velodyne" / f"{place:06d}.bin", scan_rows(place, count))
            if labels:
                (home / "labels").mkdir(exist_ok=True)
                words = [struct.pack("<HH", raw[one % len(raw)], one) for one in range(count)]
                (home / "labels" / f"{place:06d}.label").write_bytes(b"".join(words))
            if pictures:
                write_picture(home / "image_2" / f"{place:06d}.png", place)
        numbers = {
            "P0": [0.0] * 12,
            "P2": [x for row in P2 for x in row],
            "Tr": [x for row in LIDAR_TO_CAMERA for x in row],
        }
        lines = [f"{name}: {' '.join(map(str, values))}" for name, values in numbers.items()]
        (home / "calib.txt").write_text("\n".join(lines) + "\n")
        poses = [f"1 0 0 {place} 0 1 0 0 0 0 1 0" for place in range(len(counts))]
        (home / "poses.txt").write_text("\n".join(poses) + "\n")


# Fine categories with the numbers of the lidarseg archive, some of them; "flat.other" and "flat.sidewalk" are where an
# older published order has other ones.
CATEGORIES = {
    "noise": 0,
    "human.pedestrian.adult": 2,
    "movable_object.barrier": 9,
    "vehicle.bus.rigid": 16,
    "vehicle.car": 17,
    "flat.driveable_surface": 24,
    "flat.other": 25,
    "flat.sidewalk": 26,
    "static.vegetation": 30,
    "vehicle.ego": 31,
}
CHANNELS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_FRONT_LEFT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT")
HALF = 0.5**0.5
# Quaternions w, x, y, z of cameras: one that looks along the car's x, and one that looks along its y (to the left).
LOOKS_AHEAD = [0.5, -0.5, 0.5, -0.5]
LOOKS_LEFT = [HALF, -HALF, 0.0, 0.0]
INTRINSIC = [[10.0, 0.0, 8.0], [0.0, 10.0, 5.0], [0.0, 0.0, 1.0]]


def write_nuscenes(
    root: Path,
    scenes: Mapping[str, int],
    *,
    version: str = "v1.0-mini",
    points: int = 40,
    prefix: str = "",
    channels: Sequence[str] = CHANNELS,
    labels: bool = True,
    poses: Mapping[str, tuple[list[float], list[float]]] | None = None,
) -> None:
    """Scenes of so many key frames, with a frame between key frames that must not be read.

    `poses` says rotation and translation of the car at the time of "LIDAR_TOP" and of every camera; else it stands.
    """
    still = ([1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0])
    moments = poses or {}
    tables: dict[str, list[dict[str, Any]]] = {
        name: []
        for name in (
            "scene",
            "sample",
            "sample_data",
            "ego_pose",
            "calibrated_sensor",
            "sensor",
            "category",
            "lidarseg",
        )
    }
    for number, channel in enumerate(("LIDAR_TOP", *channels)):
        tables["sensor"].append({"token": f"s{number}", "channel": channel})
        lidar = number == 0
        looks = LOOKS_AHEAD if number % 2 else LOOKS_LEFT
        tables["calibrated_sensor"].append(
            {
                "token": f"c{number}",
                "sensor_token": f"s{number}",
                "translation": [0.9, 0.0, 1.8] if lidar else [1.7, 0.1, 1.5],
                "rotation": [HALF, 0.0, 0.0, -HALF] if lidar else looks,
                "camera_intrinsic": [] if lidar else INTRINSIC,
            }
        )
    tables["category"] = [{"token": f"k{index}", "name": name, "index": index} for name, index in CATEGORIES.items()]
    for scene, (name, frames) in enumerate(scenes.items()):
        tables["scene"].append({"token": f"scene{scene}", "name": name, "nbr_samples": frames})
        for frame in range(frames):
            sample = f"{prefix}sample{scene}-{frame}"
            tables["sample"].append({"token": sample, "scene_token": f"scene{scene}", "timestamp": frame})
            for number, channel in enumerate(("LIDAR_TOP", *channels)):
                token = f"{sample}-{number}"
                rotation, translation = moments.get(channel, still)
                tables["ego_pose"].append(
                    {"token": f"e{token}", "rotation": rotation, "translation": translation, "timestamp": frame}
                )
                suffix = "pcd.bin" if number == 0 else "png"
                file = f"samples/{channel}/{token}.{suffix}"
                row = {
                    "token": token,
                    "sample_token": sample,
                    "ego_pose_token": f"e{token}",
                    "calibrated_sensor_token": f"c{number}",
                    "timestamp": 100 - frame if number == 0 else 7,
                    "is_key_frame": True,
                    "width": SIZE[0] if number else 0,
                    "height": SIZE[1] if number else 0,
                    "filename": file,
                }
                tables["sample_data"] += [row, {**row, "token": f"{token}-sweep", "is_key_frame": False}]
                if number == 0:
                    write_floats(root / file, scan_rows(frame, points, 5, 255.0))
                    if labels:
                        inside = f"lidarseg/{version}/{token}_lidarseg.bin"
                        tables["lidarseg"].append({"token": token, "sample_data_token": token, "filename": inside})
                        (root / inside).parent.mkdir(parents=True, exist_ok=True)
                        fine = list(CATEGORIES.values())
                        (root / inside).write_bytes(bytes(fine[one % len(fine)] for one in range(points)))
                else:
                    write_picture(root / file, frame * 10 + number)
    home = root / version
    home.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        if labels or name not in ("lidarseg", "category"):
            (home / f"{name}.json").write_text(json.dumps(rows))
