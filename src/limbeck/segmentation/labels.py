"""From the numbers in files of labels to classes, by name.

In memory a class is a number from 0, in the order of `LabelMap.classes`, and -1 is a point that is ignored: neither
learned from nor scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.records import from_json
from limbeck.yamlfiles import read_yaml

IGNORED = -1
_UNKNOWN = -2
_LARGEST = 2**16 - 1  # of a label in a file: 16 bits everywhere


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Classes, and the numbers by which files name them.

    Attributes:
        name: what to call it.
        classes: the name of class 0, 1, ...
        codes: number in a file -> class, or -1 where such points are ignored.
        written: class -> the number that stands for it in a file of predictions.
        ignored: the number that is written for a point without a prediction.
    """

    name: str
    classes: tuple[str, ...]
    codes: Mapping[int, int]
    written: tuple[int, ...]
    ignored: int = 0
    _table: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        table = np.full(_LARGEST + 1, _UNKNOWN, np.int64)
        for raw, code in self.codes.items():
            table[raw] = code
        object.__setattr__(self, "_table", table)

    def encode(self, raw: NDArray[Any], where: Path | str) -> NDArray[np.int64]:
        """Classes of the numbers of a file.

        Args:
            raw: (points,) whole numbers.
            where: the file, for messages.

        Raises:
            InputError: a number is not in the map.
        """
        wide = raw.astype(np.int64)
        outside = (wide < 0) | (wide > _LARGEST)
        found: NDArray[np.int64] = self._table[np.where(outside, 0, wide)]
        found[outside] = _UNKNOWN
        if (found == _UNKNOWN).any():
            first = int(np.argmax(found == _UNKNOWN))
            raise InputError(
                f"{where}: point {first} has the label {int(wide[first])}, which {self.name} does not know; "
                "give the label map that belongs to these files"
            )
        return found

    def decode(self, labels: NDArray[np.integer]) -> NDArray[np.int64]:
        """Numbers of a file for classes, `ignored` for -1.

        Raises:
            ValueError: there is no such class.
        """
        if len(labels) and (labels.min() < IGNORED or labels.max() >= len(self.classes)):
            raise ValueError(f"labels must be from -1 to {len(self.classes) - 1}")
        numbers: NDArray[np.int64] = np.array((*self.written, self.ignored), np.int64)[labels]
        return numbers

    def as_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        codes = sorted(self.codes.items())
        return {
            "name": self.name,
            "classes": self.classes,
            "codes": codes,
            "written": self.written,
            "ignored": self.ignored,
        }

    @staticmethod
    def from_json(held: Mapping[str, Any]) -> LabelMap:
        """The map that `as_json` described.

        Raises:
            KeyError, ValueError: something is missing, or is no such value.
        """
        return LabelMap(
            from_json(str, held["name"], "name"),
            from_json(tuple[str, ...], held["classes"], "classes"),
            dict(from_json(list[tuple[int, int]], held["codes"], "codes")),
            from_json(tuple[int, ...], held["written"], "written"),
            from_json(int, held["ignored"], "ignored"),
        )


# -- SemanticKITTI -----------------------------------------------------------------------------------------------------

# Class -> numbers of the annotation; the first one is what predictions are written as. Moving things are of the class
# of those that stand still, an on-rails vehicle and a bus are other-vehicle.
_SEMANTIC_KITTI: dict[str, tuple[int, ...]] = {
    "car": (10, 252),
    "bicycle": (11,),
    "motorcycle": (15,),
    "truck": (18, 258),
    "other-vehicle": (20, 13, 16, 256, 257, 259),
    "person": (30, 254),
    "bicyclist": (31, 253),
    "motorcyclist": (32, 255),
    "road": (40, 60),
    "parking": (44,),
    "sidewalk": (48,),
    "other-ground": (49,),
    "building": (50,),
    "fence": (51,),
    "vegetation": (70,),
    "trunk": (71,),
    "terrain": (72,),
    "pole": (80,),
    "traffic-sign": (81,),
}
_SEMANTIC_KITTI_IGNORED = (0, 1, 52, 99)  # unlabelled, outlier, other-structure, other-object


def _by_name(name: str, classes: Mapping[str, tuple[int, ...]], ignored: tuple[int, ...]) -> LabelMap:
    codes = {raw: code for code, numbers in enumerate(classes.values()) for raw in numbers}
    written = tuple(numbers[0] for numbers in classes.values())
    codes |= dict.fromkeys(ignored, IGNORED)
    # Where no number is ignored, one that no class has stands for what is not predicted.
    unused = next(number for number in range(_LARGEST + 1) if number not in codes) if not ignored else ignored[0]
    return LabelMap(name, tuple(classes), codes, written, unused)


SEMANTIC_KITTI = _by_name("SemanticKITTI", _SEMANTIC_KITTI, _SEMANTIC_KITTI_IGNORED)
"""The 19 classes of SemanticKITTI, in their official order."""

# -- nuScenes lidarseg -------------------------------------------------------------------------------------------------

NUSCENES_CLASSES = (
    "barrier",
    "bicycle",
    "bus",
    "car",
    "construction_vehicle",
    "motorcycle",
    "pedestrian",
    "traffic_cone",
    "trailer",
    "truck",
    "driveable_surface",
    "other_flat",
    "sidewalk",
    "terrain",
    "manmade",
    "vegetation",
)
"""The 16 classes of nuScenes lidarseg, in their official order; predictions are written as 1 to 16."""

# Category of the annotation -> class; None: ignored.
_NUSCENES: dict[str, str | None] = {
    "noise": None,
    "animal": None,
    "human.pedestrian.adult": "pedestrian",
    "human.pedestrian.child": "pedestrian",
    "human.pedestrian.construction_worker": "pedestrian",
    "human.pedestrian.personal_mobility": None,
    "human.pedestrian.police_officer": "pedestrian",
    "human.pedestrian.stroller": None,
    "human.pedestrian.wheelchair": None,
    "movable_object.barrier": "barrier",
    "movable_object.debris": None,
    "movable_object.pushable_pullable": None,
    "movable_object.trafficcone": "traffic_cone",
    "static_object.bicycle_rack": None,
    "vehicle.bicycle": "bicycle",
    "vehicle.bus.bendy": "bus",
    "vehicle.bus.rigid": "bus",
    "vehicle.car": "car",
    "vehicle.construction": "construction_vehicle",
    "vehicle.emergency.ambulance": None,
    "vehicle.emergency.police": None,
    "vehicle.motorcycle": "motorcycle",
    "vehicle.trailer": "trailer",
    "vehicle.truck": "truck",
    "flat.driveable_surface": "driveable_surface",
    "flat.other": "other_flat",
    "flat.sidewalk": "sidewalk",
    "flat.terrain": "terrain",
    "static.manmade": "manmade",
    "static.other": None,
    "static.vegetation": "vegetation",
    "vehicle.ego": None,
}


def nuscenes_labels(categories: list[dict[str, Any]] | None, where: Path | str) -> LabelMap:
    """The 16 classes of nuScenes lidarseg, with the numbers that its own table of categories gives to the fine ones.

    The numbers come from the table and never from a list: some published lists have an older order.

    Args:
        categories: the rows of `category.json`; None: there are no labels to be read, as in the test set.
        where: that file, for messages.

    Raises:
        InputError: the table is that of the detection pack, which has no numbers, or names an unknown category.
    """
    codes: dict[int, int] = {}
    for row in categories or ():
        if "index" not in row:
            raise InputError(
                f"{where}: has no 'index', so it is not that of nuScenes-lidarseg; unpack the lidarseg archive over it"
            )
        if row["name"] not in _NUSCENES:
            raise InputError(f"{where}: does not fit nuScenes-lidarseg: there is no category {row['name']!r} in it")
        index, word = int(row["index"]), _NUSCENES[row["name"]]
        if index in codes or not 0 <= index <= 255:
            raise InputError(f"{where}: the index {index} of {row['name']} is another's too, or no byte")
        codes[index] = IGNORED if word is None else NUSCENES_CLASSES.index(word)
    return LabelMap("nuScenes-lidarseg", NUSCENES_CLASSES, codes, tuple(range(1, len(NUSCENES_CLASSES) + 1)), ignored=0)


# -- own labels --------------------------------------------------------------------------------------------------------


def read_label_map(file: Path) -> LabelMap:
    """A label map of one's own: a YAML file of lines `class: number` or `class: [number, number]`.

    Classes have the order of the file. The key `ignored` lists the numbers of points that are neither learned from nor
    scored; the first number of each line is what predictions are written as.

    Raises:
        InputError: the file cannot be read, is something else, or a number stands twice in it.
    """
    held = read_yaml(file)
    if not isinstance(held, dict):
        raise InputError(f"{file}: must hold lines like 'car: [10, 252]'")
    classes: dict[str, tuple[int, ...]] = {}
    owner: dict[int, str] = {}
    for name, given in held.items():
        numbers = given if isinstance(given, list) else [given]
        for number in numbers:
            if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= _LARGEST:
                raise InputError(f"{file}: {name}: must be whole numbers from 0 to {_LARGEST}, not {number!r}")
            if number in owner:
                raise InputError(f"{file}: the number {number} stands at {owner[number]} and at {name}")
            owner[number] = str(name)
        if not numbers and name != "ignored":
            raise InputError(f"{file}: {name} has no number")
        classes[str(name)] = tuple(numbers)
    ignored = classes.pop("ignored", ())
    if not classes:
        raise InputError(f"{file}: names no class")
    return _by_name(file.name, classes, ignored)
