"""Files of predictions as the servers of SemanticKITTI and nuScenes take them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.files import atomic_writer, is_number, write_json
from limbeck.segmentation.dataset import SegmentationDataset
from limbeck.segmentation.labels import IGNORED, NUSCENES_CLASSES, SEMANTIC_KITTI


def write_semantickitti(folder: Path, name: str, prediction: NDArray[np.integer]) -> Path:
    """Write `sequences/XX/predictions/NNNNNN.label`: a uint32 number of the original annotation for every point.

    Args:
        folder: of the submission, which is to be zipped.
        name: of the frame, "XX/NNNNNN".
        prediction: (points,) classes from 0 to 18; -1 is written as 0, which is a miss.

    Raises:
        ValueError: there is no such class.
        InputError: the name is another.
    """
    drive, _, stem = name.partition("/")
    if not is_number(drive) or not is_number(stem):
        raise InputError(f"a frame of SemanticKITTI has a name like 11/000000, not {name!r}")
    file = folder / "sequences" / drive / "predictions" / f"{stem}.label"
    with atomic_writer(file) as stream:
        stream.write(SEMANTIC_KITTI.decode(prediction).astype("<u4").tobytes())
    return file


def write_nuscenes(folder: Path, token: str, prediction: NDArray[np.integer], *, split: str = "test") -> Path:
    """Write `lidarseg/SPLIT/TOKEN_lidarseg.bin`: a byte from 1 to 16 for every point.

    Args:
        folder: of the submission; `write_nuscenes_meta` adds what belongs to it.
        token: name of the frame: the token of its scan.
        prediction: (points,) classes from 0 to 15.
        split: as nuScenes calls it: train, val, test, ...

    Raises:
        InputError: a point has no prediction, which nuScenes refuses.
        ValueError: there is no such class.
    """
    if (prediction == IGNORED).any():
        raise InputError(
            f"{token}: nuScenes needs one of its classes for every point, but some have no prediction (-1)"
        )
    if len(prediction) and (prediction.min() < 0 or prediction.max() > 15):
        raise ValueError("prediction must be from 0 to 15")
    file = folder / "lidarseg" / split / f"{token}_lidarseg.bin"
    with atomic_writer(file) as stream:
        stream.write((prediction + 1).astype(np.uint8).tobytes())
    return file


def write_nuscenes_meta(folder: Path, *, camera: bool, split: str = "test", external: bool = False) -> Path:
    """Write `SPLIT/submission.json`, which says what the predictions were made from.

    Args:
        folder: of the submission.
        camera: pictures were used, beside the LiDAR.
        split: as of `write_nuscenes`.
        external: data of other sets was used, such as weights learned from ImageNet.
    """
    file = folder / split / "submission.json"
    used = {"camera": camera, "lidar": True, "radar": False, "map": False, "external": external}
    write_json(file, {"meta": {f"use_{name}": value for name, value in used.items()}})
    return file


def write_predictions(
    folder: Path,
    scans: SegmentationDataset,
    position: int,
    prediction: NDArray[np.integer],
    *,
    split: str,
    camera: bool,
) -> Path:
    """Write what was predicted of one scan as its set's server takes it; of other sets, `NAME.label`.

    Args:
        folder: of all of them.
        scans: the set; that it is SemanticKITTI or nuScenes is known by its classes.
        position: of the scan.
        prediction: (points,) classes from 0.
        split: that the scan is of, for nuScenes, where "validation" is called val.
        camera: pictures were used.

    Raises:
        InputError: a point has no prediction, which nuScenes refuses.
    """
    name = scans.names[position]
    if scans.labels.classes == SEMANTIC_KITTI.classes and scans.evaluator == "semantickitti":
        return write_semantickitti(folder, name, prediction)
    if scans.labels.classes == NUSCENES_CLASSES and scans.evaluator == "nuscenes":
        part = {"validation": "val"}.get(split, split)
        write_nuscenes_meta(folder, camera=camera, split=part)
        return write_nuscenes(folder, name, prediction, split=part)
    file = folder / f"{name}.label"
    with atomic_writer(file) as stream:
        stream.write(scans.labels.decode(prediction).astype("<u4").tobytes())
    return file
