"""nuScenes lidarseg: 1,000 scenes of 20 seconds, a spinning LiDAR of 32 rings and six cameras all around.

Layout: `v1.0-trainval/` (`v1.0-mini/`, `v1.0-test/`) with the tables, one JSON list each; `samples/LIDAR_TOP/*.pcd.bin`
(float32 x, y, z, intensity from 0 to 255, ring), `samples/CAM_*/*.jpg`, `lidarseg/v1.0-*/*_lidarseg.bin` (uint8, the
fine category). Only key frames are read. A point goes from the LiDAR to the car at the time of the scan, to the world,
to the car at the time of the picture, to the camera, onto its picture.

Source: Caesar et al. 2020; Fong et al. 2022. The scenes of the splits are those of nuscenes-devkit 1.2.0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.files import first_line, read_json, resolved
from limbeck.segmentation.cameras import Camera
from limbeck.segmentation.dataset import SPLITS, FileSource, Picture, SegmentationDataset, miscounted
from limbeck.segmentation.labels import LabelMap, nuscenes_labels
from limbeck.segmentation.scans import Points, read_bin, read_labels
from limbeck.segmentation.sets import SegmentationSet

LIDAR = "LIDAR_TOP"
CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_FRONT_LEFT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT")
NEAREST = 1.0  # metres, as nuScenes' own tools have it: nearer points are of the car itself
SPLIT_FILE = "splits.json"
COLUMNS = 5
# Numbers of the official scenes, from and to.
_SCENES = {
    "train": """1-2 4-11 19-34 41-76 120-135 138-139 149-152 154-155 157-168 170-185 187-188 190-196 199-200 202-204
        206-214 218-220 222 224-264 283-306 315-318 321 323-324 328 347-386 388-403 405-408 410-459 461-465 467-469
        471-472 474-480 499-502 504-515 517-518 525-539 541-546 566 568 570-578 580 582-600 639-679 681 683-689 695-698
        700-701 703-719 726-728 730-731 733-741 744 746-747 749-752 757-765 767-769 786-787 789-792 803-806 808-813
        815-817 819-822 847-856 858 860-866 868-873 875-878 880 882-903 945 947 949 952-953 955-961 975-984 988-992
        994-1025 1044-1058 1074-1102 1104-1110""",
    "validation": """3 12-18 35-36 38-39 92-110 221 268-278 329-332 344-346 519-524 552-565 625-627 629-630 632-638
        770-771 775 777-778 780-784 794-800 802 904-917 919-931 962-963 966-969 971-972 1059-1073""",
}
_TEST = """77-91 111-119 140 142-148 265-266 279-282 307-314 333-343 481-498 547-551 601-604 606-624 827-831 833-842
    844-846 932-933 935-943 1026-1043"""
_MINI = {"train": "61 553 655 757 796 1077 1094 1100", "validation": "103 916"}
DIVISIONS = {"v1.0-trainval": _SCENES, "v1.0-mini": _MINI, "v1.0-test": {"test": _TEST}}
MINI = "v1.0-mini"
# Key frames of each split; of the small version, in all.
OFFICIAL = {"v1.0-trainval": {"train": 28130, "validation": 6019}, "v1.0-test": {"test": 6008}}
OFFICIAL_MINI = 404

Row: TypeAlias = dict[str, Any]


def load_nuscenes(root: Path, *, splits: Path | None = None, margin: float = 0.0) -> SegmentationDataset:
    """Read the tables; `v1.0-trainval` and `v1.0-test` may lie beside one another, and are one set then.

    The splits are the official ones, by scene. A file `splits.json`, given or lying in the folder or beside the tables,
    takes their place: `{"train": ["scene-0061", ...], "validation": [...]}`; scenes that it does not name are left out
    of all splits. A version whose table `lidarseg` is missing or empty has no labels.

    Args:
        root: the folder of the set; or, where it holds several versions, that of one of them.
        splits: a file of splits.
        margin: pixels at the border of pictures on which no point is seen (1 in nuScenes' own tools).

    Raises:
        InputError: a table is missing or damaged, or a scene is in no split.
    """
    versions = _versions(root)
    frames: list[_Frame] = []
    maps: dict[Path, LabelMap] = {}
    for tables in versions:
        frames += sorted(_frames(tables), key=lambda one: (one.scene, one.time))
        if any(frame.tables == tables and frame.labels is not None for frame in frames):
            maps[tables] = nuscenes_labels(_table(tables, "category"), tables / "category.json")
    if not frames:
        raise InputError(f"{versions[0]}: lists no key frame of {LIDAR}")
    sequences = tuple(frame.scene for frame in frames)
    return SegmentationDataset(
        "nuscenes",
        versions[0] if len(versions) == 1 else root,
        tuple(frame.token for frame in frames),
        sequences,
        _splits(versions, splits, sequences),
        next(iter(maps.values()), nuscenes_labels(None, "category.json")),
        _Source(versions, tuple(frames), maps, margin),
        "nuscenes",
    )


def quaternion_matrix(quaternion: Sequence[float]) -> NDArray[np.float64]:
    """The rotation (3, 3) of a quaternion w, x, y, z; its length does not matter.

    Raises:
        ValueError: it is 0, or not four finite numbers.

    Example:
        >>> quaternion_matrix([1, 0, 0, 1]).round(12) @ [1.0, 0.0, 0.0]  # a quarter turn about z
        array([0., 1., 0.])
    """
    given = np.asarray(quaternion, np.float64)
    if given.shape != (4,) or not np.isfinite(given).all() or not given.any():
        raise ValueError(f"a quaternion must be four finite numbers w, x, y, z, not all 0, not {quaternion!r}")
    w, x, y, z = (given / np.linalg.norm(given)).tolist()
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


@dataclass(frozen=True, eq=False)
class _View:
    """A picture of a key frame: its file and size, and where its camera was."""

    file: str
    width: int
    height: int
    sensor: Row
    ego: Row


@dataclass(frozen=True, eq=False)
class _Frame:
    """A key frame: its tables, the token of its scan, its scene, its files, and where the LiDAR was."""

    tables: Path
    token: str
    scene: str
    time: int
    file: str
    labels: str | None
    sensor: Row
    ego: Row
    views: Mapping[str, _View]


class _Source(FileSource):
    def __init__(
        self, versions: tuple[Path, ...], frames: tuple[_Frame, ...], maps: Mapping[Path, LabelMap], margin: float
    ) -> None:
        self.home, self.versions = versions[0].parent, versions
        self.frames, self.maps, self.margin = frames, maps, margin

    def file(self, position: int) -> Path:
        return self.home / self.frames[position].file

    def scan(self, position: int) -> Points:
        found = read_bin(self.file(position), COLUMNS)
        return Points(found.position, found.intensity / np.float32(255))

    def labels(self, position: int, points: int) -> NDArray[np.int64] | None:
        frame = self.frames[position]
        if frame.tables not in self.maps:
            return None
        if frame.labels is None:
            raise InputError(f"{self.file(position)}: lidarseg.json names no labels for {frame.token}; unpack it anew")
        file = self.home / frame.labels
        return self.maps[frame.tables].encode(read_labels(file, points, "u1"), file)

    def pictures(self, position: int) -> Sequence[Picture]:
        frame = self.frames[position]
        to_world = _transform(frame.ego) @ _transform(frame.sensor)
        found = []
        for channel in CAMERAS:
            if channel not in frame.views:
                continue
            view = frame.views[channel]
            to_camera = np.linalg.inv(_transform(view.sensor)) @ np.linalg.inv(_transform(view.ego)) @ to_world
            intrinsic = np.array(view.sensor["camera_intrinsic"], np.float64)
            if intrinsic.shape != (3, 3):
                raise InputError(
                    f"{self.home / view.file}: calibrated_sensor.json has no camera_intrinsic of {channel}"
                )
            camera = Camera(channel, intrinsic @ to_camera[:3], view.width, view.height, NEAREST)
            camera = camera.with_margin(self.margin) if self.margin else camera
            found.append(Picture(camera, self.home / view.file))
        return found

    def pose(self, position: int) -> NDArray[np.float64]:
        frame = self.frames[position]
        return _transform(frame.ego) @ _transform(frame.sensor)

    def files(self, position: int) -> Sequence[Path]:
        frame = self.frames[position]
        inside = [frame.file, *([] if frame.labels is None else [frame.labels])]
        inside += [frame.views[channel].file for channel in CAMERAS if channel in frame.views]
        return [self.home / file for file in inside]

    def settings(self) -> Sequence[Path]:
        names = ("calibrated_sensor", "category", "lidarseg")
        found = [tables / f"{name}.json" for tables in self.versions for name in names]
        return [file for file in found if file.is_file()]


def _versions(root: Path) -> tuple[Path, ...]:
    """The folders of tables: one, or those of the two versions that are one set."""
    if (root / "sample_data.json").is_file():
        return (resolved(root),)
    found = sorted(place for place in root.glob("v1.0-*") if (place / "sample_data.json").is_file())
    if not found:
        raise InputError(f"{root}: holds no v1.0-trainval, v1.0-mini or v1.0-test with sample_data.json in it")
    names = [place.name for place in found]
    if len(found) > 1 and set(names) != set(OFFICIAL):
        raise InputError(f"{root}: holds several versions ({', '.join(names)}); give the folder of one, as {found[0]}")
    return tuple(resolved(place) for place in sorted(found, reverse=True))


def _table(tables: Path, name: str) -> list[Row]:
    file = tables / f"{name}.json"
    try:
        rows = read_json(file)
    except ValueError as error:
        raise InputError(f"{file}: is damaged ({first_line(error)}); unpack it anew") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{file}: must be a JSON list of rows")
    return rows


def _frames(tables: Path) -> Iterator[_Frame]:
    try:
        sensors = {row["token"]: row["channel"] for row in _table(tables, "sensor")}
        calibrated = {row["token"]: row for row in _table(tables, "calibrated_sensor")}
        scenes = {row["token"]: row["name"] for row in _table(tables, "scene")}
        samples = {row["token"]: scenes[row["scene_token"]] for row in _table(tables, "sample")}
        labels: dict[str, str] = {}
        if (tables / "lidarseg.json").is_file():
            labels = {row["sample_data_token"]: row["filename"] for row in _table(tables, "lidarseg")}
        keys: list[tuple[str, Row]] = []
        wanted = {LIDAR, *CAMERAS}
        for row in _table(tables, "sample_data"):
            channel = sensors[calibrated[row["calibrated_sensor_token"]]["sensor_token"]]
            if row["is_key_frame"] and channel in wanted:
                keys.append((channel, row))
        moments = {row["ego_pose_token"] for _, row in keys}
        egos = {row["token"]: row for row in _table(tables, "ego_pose") if row["token"] in moments}
        views: dict[str, dict[str, _View]] = {}
        for channel, row in keys:
            if channel != LIDAR:
                sensor, ego = calibrated[row["calibrated_sensor_token"]], egos[row["ego_pose_token"]]
                view = _View(row["filename"], row["width"] or 0, row["height"] or 0, sensor, ego)
                views.setdefault(row["sample_token"], {})[channel] = view
        for channel, row in keys:
            if channel == LIDAR:
                sensor, ego = calibrated[row["calibrated_sensor_token"]], egos[row["ego_pose_token"]]
                seen = views.get(row["sample_token"], {})
                name, scene = row["token"], samples[row["sample_token"]]
                yield _Frame(
                    tables, name, scene, row["timestamp"], row["filename"], labels.get(name), sensor, ego, seen
                )
    except KeyError as error:
        raise InputError(f"{tables}: the tables do not fit one another: {error} is missing; unpack them anew") from None


def _transform(row: Row) -> NDArray[np.float64]:
    """(4, 4) of a row of `ego_pose` or `calibrated_sensor`."""
    found = np.eye(4)
    found[:3, :3], found[:3, 3] = quaternion_matrix(row["rotation"]), row["translation"]
    return found


def _splits(versions: tuple[Path, ...], given: Path | None, sequences: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    scenes, home = np.array(sequences), versions[0].parent
    beside = [place / SPLIT_FILE for place in (home, *versions) if (place / SPLIT_FILE).is_file()]
    file = next(iter(beside), versions[0] / SPLIT_FILE) if given is None else given
    if given is not None or beside:
        division = _read_splits(file)
        absent = sorted({scene for chosen in division.values() for scene in chosen} - set(sequences))
        if absent:
            raise InputError(f"{file}: names {absent[0]}, of which there is no key frame")
    else:
        division = {}
        for tables in versions:
            if tables.name not in DIVISIONS:
                raise InputError(
                    f"{tables}: the splits of {tables.name} are not known; say them in {file} as "
                    '{"train": ["scene-0001", ...], "validation": [...]}'
                )
            division |= {split: scene_names(text) for split, text in DIVISIONS[tables.name].items()}
        strange = sorted(set(sequences) - {scene for chosen in division.values() for scene in chosen})
        if strange:
            names = " or ".join(tables.name for tables in versions)
            raise InputError(f"{home}: {strange[0]} is in no official split of {names}; say the splits in {file}")
    return {split: np.flatnonzero(np.isin(scenes, chosen)) for split, chosen in division.items()}


def scene_names(text: str) -> list[str]:
    """Names of scenes, of numbers and ranges.

    Example:
        >>> scene_names("3 12-13")
        ['scene-0003', 'scene-0012', 'scene-0013']
    """
    found = []
    for word in text.split():
        first, _, last = word.partition("-")
        found += [f"scene-{number:04d}" for number in range(int(first), int(last or first) + 1)]
    return found


def _read_splits(file: Path) -> dict[str, list[str]]:
    try:
        held = read_json(file)
    except ValueError as error:
        raise InputError(f"{file}: is no JSON ({first_line(error)})") from None
    fits = isinstance(held, dict) and all(
        split in SPLITS and isinstance(chosen, list) and all(isinstance(scene, str) for scene in chosen)
        for split, chosen in held.items()
    )
    if not fits or not held:
        raise InputError(f'{file}: must be like {{"train": ["scene-0001"], "validation": []}}, of {", ".join(SPLITS)}')
    owner: dict[str, str] = {}
    for split, chosen in held.items():
        for scene in chosen:
            if scene in owner:
                raise InputError(f"{file}: {scene} stands in {owner[scene]} and in {split}; put it into one")
            owner[scene] = split
    return dict(held)


def check_nuscenes(scans: SegmentationDataset) -> list[str]:
    """What is wrong with a copy of the set, a line each; empty where its counts are the official ones."""
    assert isinstance(scans.source, _Source)
    wrong: list[str] = []
    for version in (tables.name for tables in scans.source.versions):
        if version in OFFICIAL:
            wrong += miscounted(scans, OFFICIAL[version])
        elif version != MINI:
            wrong.append(f"{version} is no official version")
        elif len(scans) != OFFICIAL_MINI:
            wrong.append(f"{len(scans):,} scans, expected {OFFICIAL_MINI}")
    return wrong


SET = SegmentationSet(
    "nuscenes",
    "nuScenes lidarseg: a LiDAR of 32 rings, six cameras; 28,130 scans to learn from, 6,019 to validate, 6,008 to test",
    load=load_nuscenes,
    check=check_nuscenes,
)
