"""Sets of photographs in their official layouts, of whatever counts, without the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.io import savemat


def spread(classes: int, pictures: int) -> list[int]:
    """How many pictures each class has, so that there are so many in all."""
    return [pictures // classes + (number < pictures % classes) for number in range(classes)]


def make_cub(root: Path, counts: Sequence[int], *, strays: bool = False) -> None:
    """Class k of `counts[k - 1]` pictures."""
    root.mkdir(parents=True)
    images, labels, flags = [], [], []
    for number, count in enumerate(counts, start=1):
        for place in range(count):
            image = len(images) + 1
            images.append(f"{image} {number:03d}.Bird_{number}/Bird_{place}.jpg")
            labels.append(f"{image} {number}")
            flags.append(f"{image} {image % 2}")
    if strays:
        images.append(f"{len(images) + 1} 001.Bird_1/._Bird_0.jpg")
        labels.append(f"{len(images)} 1")
    for name, lines in (("images", images), ("image_class_labels", labels), ("train_test_split", flags)):
        (root / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (root / "classes.txt").write_text("".join(f"{k} {k:03d}.Bird_{k}\n" for k in range(1, len(counts) + 1)))


def make_cars(root: Path, counts: Sequence[int]) -> None:
    """The old single archive: fields as the official annotations have them, the flag `test` alternating."""
    root.mkdir(parents=True)
    fields = ("relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test")
    classes = [number for number, count in enumerate(counts, start=1) for _ in range(count)]
    rows = np.empty((1, len(classes)), dtype=[(name, object) for name in fields])
    for place, number in enumerate(classes):
        rows[0, place] = (f"car_ims/{place + 1:06d}.jpg", 1, 2, 3, 4, number, place % 2)
    savemat(root / "cars_annos.mat", {"annotations": rows, "class_names": np.array([["a"]], object)})


def make_kaggle_cars(root: Path, counts: Sequence[int]) -> None:
    """The folders of classes; one name holds a slash."""
    names = [f"Maker Model/{k}" if k == 2 else f"Maker Model {k}" for k in range(1, len(counts) + 1)]
    (root / "car_data" / "car_data" / "train").mkdir(parents=True)
    (root / "names.csv").write_text("".join(f"{name}\n" for name in names))
    lines: dict[str, list[str]] = {"train": [], "test": []}
    place = 0
    for number, count in enumerate(counts, start=1):
        for _ in range(count):
            place += 1
            lines["test" if place % 2 else "train"].append(f"{place:05d}.jpg,1,2,3,4,{number}")
    for part, held in lines.items():
        (root / f"anno_{part}.csv").write_text("\n".join(held) + "\n")


def make_sop(root: Path, train: Sequence[int], test: Sequence[int]) -> None:
    root.mkdir(parents=True)
    number, image = 0, 0
    for split, counts in (("train", train), ("test", test)):
        lines = ["image_id class_id super_class_id path"]
        for count in counts:
            number += 1
            for place in range(count):
                image += 1
                lines.append(f"{image} {number} {number % 12 + 1} bicycle_final/{number}_{place}.JPG")
        (root / f"Ebay_{split}.txt").write_text("\n".join(lines) + "\n")


def make_inshop(root: Path, train: Sequence[int], query: Sequence[int], gallery: Sequence[int]) -> None:
    """Items of training first, then those of the test, whose queries and gallery have the same items."""
    (root / "Eval").mkdir(parents=True)
    lines = []
    for number, count in enumerate(train, start=1):
        lines += [f"img/WOMEN/Dresses/id_{number:08d}/{k:02d}_1_front.jpg id_{number:08d} train" for k in range(count)]
    for number, (asked, searched) in enumerate(zip(query, gallery, strict=True), start=len(train) + 1):
        item = f"id_{number:08d}"
        lines += [f"img/MEN/Pants/{item}/{k:02d}_2_side.jpg      {item}   query" for k in range(asked)]
        lines += [f"img/MEN/Pants/{item}/{k:02d}_3_back.jpg      {item}   gallery" for k in range(searched)]
    text = "\n".join([str(len(lines)), "image_name item_id evaluation_status", *lines])
    (root / "Eval" / "list_eval_partition.txt").write_text(text + "\n")
