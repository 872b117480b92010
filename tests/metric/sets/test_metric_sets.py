"""Sets of photographs: what is read of each layout, the official counts, what is said of tampered and of one's own."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.images.pictures import photograph
from tests.metric.sets.layouts import make_cars, make_cub, make_inshop, make_kaggle_cars, make_sop, spread

from limbeck.errors import InputError
from limbeck.metric.check import check_photographs, describe_photographs, list_sets
from limbeck.metric.dataset import MetricDataset
from limbeck.metric.recipe import DataSettings
from limbeck.metric.sets import MetricSet, load_photographs, metric_sets
from limbeck.metric.sets.arrays import pack_classes
from limbeck.metric.splits import split_classes
from limbeck.registry import register
from limbeck.reid.sets import reid_sets

OFFICIAL: dict[str, Callable[[Path], None]] = {
    "cub": lambda root: make_cub(root, [*spread(100, 5864), *spread(100, 5924)], strays=True),
    "cars": lambda root: make_cars(root, [*spread(98, 8054), *spread(98, 8131)]),
    "sop": lambda root: make_sop(root, spread(11318, 59551), spread(11316, 60502)),
    "inshop": lambda root: make_inshop(root, spread(3997, 25882), spread(3985, 14218), spread(3985, 12612)),
}
SHORT: dict[str, Callable[[Path], None]] = {
    "cub": lambda root: make_cub(root, [*spread(100, 5864), *spread(99, 5924)]),
    "cars": lambda root: make_cars(root, [*spread(98, 8053), *spread(98, 8131)]),
    "sop": lambda root: make_sop(root, spread(30, 90), spread(20, 60)),
    "inshop": lambda root: make_inshop(root, spread(3997, 25882), spread(10, 20), spread(10, 30)),
}


@pytest.mark.parametrize("name", ["cub", "sop", "inshop", pytest.param("cars", marks=pytest.mark.slow)])
def test_the_official_counts_are_accepted_and_others_refused(name: str, tmp_path: Path) -> None:
    OFFICIAL[name](tmp_path / "whole")
    assert "as in the official counts" in check_photographs(name, tmp_path / "whole", decode=False)
    SHORT[name](tmp_path / "short")
    with pytest.raises(
        InputError, match=r"(train|test[\w, ]*): [\d,]+ classes and [\d,]+ pictures, expected"
    ) as caught:
        check_photographs(name, tmp_path / "short", decode=False)
    assert "\n" not in str(caught.value)


def test_cub_is_divided_by_class_and_not_by_its_closed_set_list(tmp_path: Path) -> None:
    make_cub(tmp_path / "up" / "CUB_200_2011", [2] * 102, strays=True)
    for root in (tmp_path / "up", tmp_path / "up" / "CUB_200_2011"):
        found = load_photographs("cub", root)
        assert len(found) == 204  # without the file of macOS
        assert np.array_equal(found.label, np.repeat(np.arange(102), 2))
        assert np.unique(found.label[found.split("test")]).tolist() == [100, 101]
        assert found.path[0] == "images/001.Bird_1/Bird_0.jpg"
        assert found.classes is not None
        assert found.classes[101] == "102.Bird_102"


def test_cub_says_what_is_wrong(tmp_path: Path) -> None:
    make_cub(tmp_path / "set", [2, 2])
    with pytest.raises(InputError, match=r"holds no images\.txt"):
        load_photographs("cub", tmp_path)
    labels = tmp_path / "set" / "image_class_labels.txt"
    labels.write_text("1 1\n2 2\n3 2\n4 2\n")
    with pytest.raises(InputError, match="does not lie in the folder of class 2"):
        load_photographs("cub", tmp_path / "set")
    labels.write_text("1 1\n2 1\n3 2\n")
    with pytest.raises(InputError, match="image 4 has no class"):
        load_photographs("cub", tmp_path / "set")
    labels.write_text("1\n")
    with pytest.raises(InputError, match="line 1 must be like '1 1'"):
        load_photographs("cub", tmp_path / "set")


def test_both_layouts_of_cars_have_the_classes_of_the_annotations(tmp_path: Path) -> None:
    counts = [3] * 100
    make_cars(tmp_path / "old", counts)
    make_kaggle_cars(tmp_path / "new", counts)
    for name in ("old", "new"):
        found = load_photographs("cars", tmp_path / name)
        assert np.bincount(found.label).tolist() == counts
        assert np.unique(found.label[found.split("test")]).tolist() == [98, 99]
    old, new = (load_photographs("cars", tmp_path / name) for name in ("old", "new"))
    assert old.path[0] == "car_ims/000001.jpg"
    second = [path for path, label in zip(new.path, new.label.tolist(), strict=True) if label == 1]
    assert all(path.startswith("car_data/car_data/t") and "/Maker Model-2/" in path for path in second)
    (tmp_path / "old" / "cars_annos.mat").write_bytes(b"no")
    with pytest.raises(InputError, match=r"cars_annos\.mat: not usable"):
        load_photographs("cars", tmp_path / "old")
    with pytest.raises(InputError, match="neither"):
        load_photographs("cars", tmp_path)


def test_in_shop_keeps_its_first_row_and_marks_queries(tmp_path: Path) -> None:
    make_inshop(tmp_path, [2, 3], [1, 2], [4, 1])
    (tmp_path / "Img" / "img").mkdir(parents=True)
    found = load_photographs("inshop", tmp_path)
    assert found.path[0] == "Img/img/WOMEN/Dresses/id_00000001/00_1_front.jpg"
    assert found.label.tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3]
    assert found.query is not None
    assert found.query.sum() == 3
    assert found.query[found.split("test")].tolist() == [True, False, False, False, False, True, True, False]
    table = describe_photographs("inshop", tmp_path)
    assert "test, queries" in table
    lines = (tmp_path / "Eval" / "list_eval_partition.txt").read_text().splitlines()
    (tmp_path / "Eval" / "list_eval_partition.txt").write_text("\n".join(lines[:-1]))
    with pytest.raises(InputError, match="says that it lists 13 pictures, but lists 12"):
        load_photographs("inshop", tmp_path)


def make_folder(root: Path, classes: int = 5, each: int = 3) -> None:
    for number in range(classes):
        for place in range(each):
            photograph(root / f"class {number}" / f"{place}.png", number * each + place)
    (root / "class 0" / "._0.png").write_bytes(b"macOS")
    (root / "class 0" / "notes.txt").write_text("no picture")


def test_a_folder_of_classes(tmp_path: Path) -> None:
    make_folder(tmp_path / "flat")
    found = load_photographs("class-folder", tmp_path / "flat")
    assert len(found) == 15
    assert found.classes == tuple(f"class {number}" for number in range(5))
    assert "15 pictures as in its folder, all of them readable" in check_photographs("class-folder", tmp_path / "flat")
    (tmp_path / "cut").mkdir()
    make_folder(tmp_path / "cut" / "train", classes=3)
    make_folder(tmp_path / "cut" / "other", classes=2)
    for number in range(2):
        (tmp_path / "cut" / "other" / f"class {number}").rename(tmp_path / "cut" / "other" / f"class {7 + number}")
    (tmp_path / "cut" / "other").rename(tmp_path / "cut" / "test")
    divided = load_photographs("class-folder", tmp_path / "cut")
    assert {name: len(members) for name, members in divided.splits.items()} == {"train": 9, "test": 6}
    (tmp_path / "cut" / "test" / "class 7").rename(tmp_path / "cut" / "test" / "class 1")
    with pytest.raises(InputError, match="class 'class 1' stands in train and in test"):
        load_photographs("class-folder", tmp_path / "cut")
    with pytest.raises(InputError, match="no folder in it holds a picture"):
        load_photographs("class-folder", tmp_path / "flat" / "class 1")


def test_a_table(tmp_path: Path) -> None:
    for number in range(4):
        photograph(tmp_path / f"{number}.png", number)
    table = tmp_path / "set.csv"
    table.write_text("path,label,split\n0.png,owl,train\n1.png,owl,train\n2.png,cat,test\n3.png,cat,test\n")
    found = load_photographs("class-csv", table)
    assert (found.classes, found.label.tolist()) == (("cat", "owl"), [1, 1, 0, 0])
    assert found.split("test").tolist() == [2, 3]
    for line, words in (
        ("4.png,owl,train", "no file"),
        ("0.png,,train", "label is empty"),
        ("0.png,a,b", "split must"),
    ):
        table.write_text(f"path,label,split\n{line}\n")
        with pytest.raises(InputError, match=words):
            load_photographs("class-csv", table)


def test_an_array_and_how_a_folder_or_a_zip_becomes_one(tmp_path: Path) -> None:
    make_folder(tmp_path / "flat")
    said = pack_classes(tmp_path / "flat", tmp_path / "a.npz", size=8, leave_out=["class 2"])
    assert said.endswith("a.npz: 12 pictures of 4 classes at 8 x 8")
    with zipfile.ZipFile(tmp_path / "flat.zip", "w") as archive:
        for file in sorted((tmp_path / "flat").rglob("*.png")):
            archive.write(file, file.relative_to(tmp_path / "flat").as_posix())
    pack_classes(tmp_path / "flat.zip", tmp_path / "b.npz", size=8, leave_out=["class 2"])
    one, other = (load_photographs("class-npz", tmp_path / f"{name}.npz") for name in "ab")
    assert one.images is not None
    assert np.array_equal(one.images, other.images)
    assert one.classes == ("class 0", "class 1", "class 3", "class 4")
    with pytest.raises(InputError, match="no class 'owl' to leave out"):
        pack_classes(tmp_path / "flat", tmp_path / "c.npz", leave_out=["owl"])
    for size in (0, 2**64):
        with pytest.raises(InputError, match=r"size must be a whole number in \[1, 5792\]"):
            pack_classes(tmp_path / "flat", tmp_path / "c.npz", size=size)
    with pytest.raises(InputError, match="neither a folder"):
        pack_classes(tmp_path / "a.npz.zip", tmp_path / "c.npz")
    np.savez(tmp_path / "c.npz", images=np.zeros((2, 4, 4, 3), np.float32), labels=[0, 1])
    with pytest.raises(InputError, match="'images' must be"):
        load_photographs("class-npz", tmp_path / "c.npz")
    np.savez(tmp_path / "c.npz", images=np.zeros((2, 4, 4, 3), np.uint8), labels=[0, 1], split=["train", "else"])
    with pytest.raises(InputError, match="'split' must say"):
        load_photographs("class-npz", tmp_path / "c.npz")


def test_an_archive_that_unpacks_to_a_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.files.UNFOLDED", 2**20)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/1.png", bytes(50 * 2**20))
    with pytest.raises(InputError, match=r"bomb\.zip: would take 50 MiB .* unpack it, and give the folder"):
        pack_classes(tmp_path / "bomb.zip", tmp_path / "c.npz")


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/1.png", bytes(range(256)) * 40)
    whole = (tmp_path / "a.zip").read_bytes()
    start = whole.index(b"a/1.png") + len(b"a/1.png")
    for held in (whole[:start] + b"\xff" * 20 + whole[start + 20 :], whole[:-30], whole.replace(b"a/1.png", b"\0" * 7)):
        (tmp_path / "a.zip").write_bytes(held)
        with pytest.raises(InputError, match=r"a\.zip: neither a folder of classes nor a ZIP of one"):
            pack_classes(tmp_path / "a.zip", tmp_path / "c.npz")


@pytest.mark.parametrize("division", [None, 0, 1])
def test_classes_of_training_validation_and_test_are_disjoint(division: int | None) -> None:
    label = np.repeat(np.arange(20), 3)
    everything = MetricDataset("all", Path(), tuple(map(str, range(60))), label, {"all": np.arange(60)})
    settings = DataSettings(test_classes=0.4, division_seed=division, held_out=4)
    parts = [split_classes(everything, settings, seed) for seed in (0, 0, 1)]
    for part in parts:
        classes = [set(label[members].tolist()) for members in (part.train, part.validation, part.test)]
        assert [len(one) for one in classes] == [8, 4, 8]
        assert len(set.union(*classes)) == 20
    assert np.array_equal(parts[0].validation, parts[1].validation)
    assert not np.array_equal(parts[0].validation, parts[2].validation)
    assert np.array_equal(parts[0].test, parts[2].test)  # the same for every seed of a training
    if division is None:
        assert set(label[parts[0].test].tolist()) == set(range(12, 20))
    with pytest.raises(InputError, match=r"data\.held_out must be below the 12 classes"):
        split_classes(everything, DataSettings(test_classes=0.4, held_out=12), 0)
    with pytest.raises(InputError, match="no picture in split validation"):
        split_classes(everything, DataSettings(), 0).part("validation")


def test_names_are_of_one_set_each_and_a_plug_in_adds_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.registry._registered", [])
    assert not metric_sets().keys() & reid_sets().keys()
    assert all(name in list_sets() for name in metric_sets())
    made = MetricDataset("two", Path(), ("a", "b"), np.array([0, 1]), {"train": np.array([0]), "test": np.array([1])})
    register(MetricSet("two", "two pictures", load=lambda root: made, check=None))
    assert load_photographs("two", Path()) is made
    assert DataSettings(set="two").set == "two"
    with pytest.raises(InputError, match=r"data\.set must be one of .*cub.*two, not 'three'"):
        DataSettings(set="three")
