"""Label maps: the official numbers, by name, both ways."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.segmentation.writers import CATEGORIES

from limbeck.errors import InputError
from limbeck.segmentation.labels import NUSCENES_CLASSES, SEMANTIC_KITTI, LabelMap, nuscenes_labels, read_label_map

# As the authors publish it: number in a file -> number of the class from 1, 0 being ignored.
LEARNING_MAP = (
    "0:0 1:0 10:1 11:2 13:5 15:3 16:5 18:4 20:5 30:6 31:7 32:8 40:9 44:10 48:11 49:12 50:13 51:14 52:0 60:9 70:15 "
    "71:16 72:17 80:18 81:19 99:0 252:1 253:7 254:6 255:8 256:5 257:5 258:4 259:5"
)
INVERSE = "0:0 1:10 2:11 3:15 4:18 5:20 6:30 7:31 8:32 9:40 10:44 11:48 12:49 13:50 14:51 15:70 16:71 17:72 18:80 19:81"
NAMES = (
    "car bicycle motorcycle truck other-vehicle person bicyclist motorcyclist road parking sidewalk other-ground "
    "building fence vegetation trunk terrain pole traffic-sign"
)


def pairs(text: str) -> list[list[int]]:
    return [[int(word) for word in pair.split(":")] for pair in text.split()]


def test_the_official_map_of_semantic_kitti_and_its_inverse() -> None:
    assert " ".join(SEMANTIC_KITTI.classes) == NAMES
    raw, learned = np.array(pairs(LEARNING_MAP)).T
    assert SEMANTIC_KITTI.encode(raw, "file").tolist() == (learned - 1).tolist()
    assert len(SEMANTIC_KITTI.codes) == len(raw)
    learned, raw = np.array(pairs(INVERSE)).T
    assert SEMANTIC_KITTI.decode(learned - 1).tolist() == raw.tolist()


def test_an_unknown_number_is_one_line() -> None:
    with pytest.raises(InputError, match=r"a\.label: point 2 has the label 12, which SemanticKITTI does not know"):
        SEMANTIC_KITTI.encode(np.array([10, 11, 12, 12]), "a.label")
    with pytest.raises(InputError, match="the label 70000"):
        SEMANTIC_KITTI.encode(np.array([70000]), "a.label")
    with pytest.raises(ValueError, match="labels must be from -1 to 18"):
        SEMANTIC_KITTI.decode(np.array([19]))


def test_nuscenes_is_mapped_by_name_whatever_the_numbers() -> None:
    rows = [{"name": name, "index": index} for name, index in CATEGORIES.items()]
    found = nuscenes_labels(rows, "category.json")
    assert len(NUSCENES_CLASSES) == 16
    named = {name: found.encode(np.array([index]), "file")[0] for name, index in CATEGORIES.items()}
    assert named["flat.sidewalk"] == NUSCENES_CLASSES.index("sidewalk") == 12
    assert named["flat.other"] == NUSCENES_CLASSES.index("other_flat") == 11
    assert named["vehicle.ego"] == named["noise"] == -1
    assert named["static.vegetation"] == 15
    # The same names under other numbers, as in the older order.
    turned = nuscenes_labels([{"name": name, "index": 100 - index} for name, index in CATEGORIES.items()], "x")
    assert turned.encode(np.array([100 - CATEGORIES["flat.sidewalk"]]), "file")[0] == 12
    assert found.decode(np.array([0, 15, -1])).tolist() == [1, 16, 0]


def test_all_32_categories_of_nuscenes_are_known() -> None:
    # Number of the class, from 1, of each of the 32 categories in the order of the archive.
    fine = "0 0 7 7 7 0 7 0 0 1 0 0 8 0 2 3 3 4 5 0 0 6 9 10 11 12 13 14 15 0 16 0"
    names = (
        "noise animal human.pedestrian.adult human.pedestrian.child human.pedestrian.construction_worker "
        "human.pedestrian.personal_mobility human.pedestrian.police_officer human.pedestrian.stroller "
        "human.pedestrian.wheelchair movable_object.barrier movable_object.debris movable_object.pushable_pullable "
        "movable_object.trafficcone static_object.bicycle_rack vehicle.bicycle vehicle.bus.bendy vehicle.bus.rigid "
        "vehicle.car vehicle.construction vehicle.emergency.ambulance vehicle.emergency.police vehicle.motorcycle "
        "vehicle.trailer vehicle.truck flat.driveable_surface flat.other flat.sidewalk flat.terrain static.manmade "
        "static.other static.vegetation vehicle.ego"
    )
    found = nuscenes_labels([{"name": name, "index": index} for index, name in enumerate(names.split())], "x")
    assert found.encode(np.arange(32), "file").tolist() == [int(word) - 1 for word in fine.split()]


def test_the_category_table_of_another_archive_is_refused() -> None:
    with pytest.raises(InputError, match=r"category\.json: has no 'index'.*unpack the lidarseg archive"):
        nuscenes_labels([{"name": "noise"}], "category.json")
    with pytest.raises(InputError, match="no category 'dragon'"):
        nuscenes_labels([{"name": "dragon", "index": 1}], "category.json")
    with pytest.raises(InputError, match=r"index 3 of vehicle\.car is another's too"):
        nuscenes_labels([{"name": "noise", "index": 3}, {"name": "vehicle.car", "index": 3}], "category.json")


def test_own_map(tmp_path: Path) -> None:
    file = tmp_path / "labels.yaml"
    file.write_text("road: 7\ncar: [3, 4]\nignored: [0, 9]\n")
    found = read_label_map(file)
    assert found.classes == ("road", "car")
    assert found.encode(np.array([7, 3, 4, 0, 9]), "file").tolist() == [0, 1, 1, -1, -1]
    assert found.decode(np.array([0, 1, -1])).tolist() == [7, 3, 0]
    back = LabelMap.from_json(found.as_json())
    assert back.as_json() == found.as_json()
    file.write_text("road: 0\ncar: 1\n")
    assert read_label_map(file).decode(np.array([-1])).tolist() == [2]  # no class's number
    for text, told in {
        "road: 7\ncar: [7]\n": "7 stands at road and at car",
        "road: x\n": "whole numbers from 0 to 65535, not 'x'",
        "road: -1\n": "whole numbers",
        "road: []\n": "road has no number",
        "ignored: 0\n": "names no class",
        "- road\n": "must hold lines like",
        "a: [\n": "is no YAML",
    }.items():
        file.write_text(text)
        with pytest.raises(InputError, match=told) as caught:
            read_label_map(file)
        assert str(file) in str(caught.value)
        assert "\n" not in str(caught.value)
