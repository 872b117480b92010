"""Cars196: classes 1 to 98 to learn from and 99 to 196 for the test, in either of two layouts.

The old single archive: `car_ims/000001.jpg`, ... and `cars_annos.mat`, whose `annotations` hold the picture's path
first and its class last but one. The folders of classes that Kaggle has: `car_data/{train,test}/CLASS/FILE` (in a
`car_data` of their own or not), `anno_train.csv` and `anno_test.csv` of rows "FILE,x1,y1,x2,y2,class", `names.csv`. In
either all 16,185 pictures count: the closed-set division (the flag `test`, the two folders) is another task. Classes
have the numbers of the annotations, never those of sorted folder names.

Source: Krause et al. 2013; the division by classes: Oh Song et al. 2016, §5.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from limbeck.arrayfiles import read_matlab
from limbeck.errors import InputError
from limbeck.files import first_line, is_number, read_text
from limbeck.metric.dataset import MetricDataset, miscounted
from limbeck.metric.sets import MetricSet

TRAINING_CLASSES = 98
OFFICIAL = {"train": (98, 8054), "test": (98, 8131)}


def load_cars(root: Path) -> MetricDataset:
    """Read the annotations; the splits are "train" and "test".

    Raises:
        InputError: there are none, or they are damaged.
    """
    if (root / "cars_annos.mat").is_file():
        found = _single_archive(root / "cars_annos.mat")
    elif (root / "anno_train.csv").is_file():
        found = _folders_of_classes(root)
    else:
        raise InputError(f"{root}: holds neither cars_annos.mat nor anno_train.csv; give the folder that does")
    found = [(path, label) for path, label in found if not path.rpartition("/")[2].startswith(".")]
    label = np.array([label for _, label in found], np.int64)
    return MetricDataset(
        "cars",
        root,
        tuple(path for path, _ in found),
        label,
        {"train": np.flatnonzero(label < TRAINING_CLASSES), "test": np.flatnonzero(label >= TRAINING_CLASSES)},
    )


def _single_archive(file: Path) -> list[tuple[str, int]]:
    try:
        rows = read_matlab(file)["annotations"][0]
        return [(str(row[0][0]), int(row[5][0][0]) - 1) for row in rows]
    except Exception as error:  # a damaged MAT file raises almost anything
        raise InputError(
            f"{file}: not usable ({first_line(error)}); give the cars_annos.mat of the old archive"
        ) from None


def _folders_of_classes(root: Path) -> list[tuple[str, int]]:
    names = [row[0].replace("/", "-") for row in csv.reader(read_text(root / "names.csv").splitlines()) if row]
    home = next((f for f in ("car_data/car_data", "car_data", ".") if (root / f / "train").is_dir()), "car_data")
    found = []
    for part in ("train", "test"):
        file = root / f"anno_{part}.csv"
        for line, row in enumerate(csv.reader(read_text(file).splitlines()), start=1):
            if not row or not is_number(row[-1]) or not 1 <= int(row[-1]) <= len(names):
                raise InputError(
                    f"{file}: line {line} must be like '00001.jpg,39,116,569,375,14', not {','.join(row)!r}"
                )
            label = int(row[-1]) - 1
            found.append((f"{home}/{part}/{names[label]}/{row[0]}".removeprefix("./"), label))
    return found


SET = MetricSet(
    "cars",
    "Cars196: cars of 196 models, 8,054 images of 98 to learn from and 8,131 of 98 others for the test",
    load=load_cars,
    check=lambda photographs: miscounted(photographs, OFFICIAL),
    protocol="cars",
)
