"""CUB-200-2011: birds, classes 1 to 100 to learn from and 101 to 200 for the test.

Layout of `CUB_200_2011/`: `images.txt` of lines "<image> <class folder>/<file>", `image_class_labels.txt` of lines
"<image> <class>", `images/`. `train_test_split.txt` divides the pictures of every class and is another task: it is not
read.

Source: Wah et al. 2011; the division by classes: Oh Song et al. 2016, §5.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from limbeck.errors import InputError
from limbeck.files import is_number, read_text
from limbeck.metric.dataset import MetricDataset, miscounted
from limbeck.metric.lists import at_or_below, words_of
from limbeck.metric.sets import MetricSet

TRAINING_CLASSES = 100
OFFICIAL = {"train": (100, 5864), "test": (100, 5924)}


def load_cub(root: Path) -> MetricDataset:
    """Read the lists; the splits are "train" and "test".

    Raises:
        InputError: a list is missing or damaged, or a picture lies in the folder of another class.
    """
    home = at_or_below(root, "images.txt", "CUB_200_2011")
    paths: dict[str, str] = {}
    for image, path in words_of(home / "images.txt", 2, "1 001.Black_footed_Albatross/name.jpg"):
        if not path.rpartition("/")[2].startswith("."):
            paths[image] = path
    labels: dict[str, int] = {}
    for image, word in words_of(home / "image_class_labels.txt", 2, "1 1"):
        if not is_number(word):
            raise InputError(f"{home / 'image_class_labels.txt'}: the class of image {image} is {word!r}, no number")
        labels[image] = int(word) - 1
    for image, path in paths.items():
        if image not in labels:
            raise InputError(f"{home / 'image_class_labels.txt'}: image {image} has no class")
        if path.split(".")[0].lstrip("0") != str(labels[image] + 1):
            raise InputError(f"{home / 'images.txt'}: {path} does not lie in the folder of class {labels[image] + 1}")
    label = np.array([labels[image] for image in paths], np.int64)
    return MetricDataset(
        "cub",
        home,
        tuple(f"images/{path}" for path in paths.values()),
        label,
        {"train": np.flatnonzero(label < TRAINING_CLASSES), "test": np.flatnonzero(label >= TRAINING_CLASSES)},
        classes=_names(home / "classes.txt", int(label.max(initial=-1)) + 1),
    )


def _names(file: Path, classes: int) -> tuple[str, ...] | None:
    if not file.is_file():
        return None
    names = [line.split(maxsplit=1)[1] for line in read_text(file).splitlines() if len(line.split()) == 2]
    return tuple(names) if len(names) >= classes else None


SET = MetricSet(
    "cub",
    "CUB-200-2011: birds of 200 species, 5,864 images of 100 to learn from and 5,924 of 100 others for the test",
    load=load_cub,
    check=lambda photographs: miscounted(photographs, OFFICIAL),
    protocol="cub",
)
