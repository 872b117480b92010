"""Stanford Online Products: listings of a shop, classes 1 to 11,318 to learn from and 11,319 to 22,634 for the test.

Layout of `Stanford_Online_Products/`: `Ebay_train.txt` and `Ebay_test.txt`, a line of heading and then lines "<image>
<class> <super-class> <path>", and the folders of the paths.

Source: Oh Song et al. 2016.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from limbeck.errors import InputError
from limbeck.files import is_number
from limbeck.metric.dataset import MetricDataset, miscounted
from limbeck.metric.lists import at_or_below, words_of
from limbeck.metric.sets import MetricSet

OFFICIAL = {"train": (11318, 59551), "test": (11316, 60502)}


def load_sop(root: Path) -> MetricDataset:
    """Read the lists; the splits are "train" and "test".

    Raises:
        InputError: a list is missing or damaged.
    """
    home = at_or_below(root, "Ebay_train.txt", "Stanford_Online_Products")
    paths: list[str] = []
    labels: list[int] = []
    splits: dict[str, np.ndarray] = {}
    for split in ("train", "test"):
        begin, file = len(paths), home / f"Ebay_{split}.txt"
        for _, word, _, path in words_of(file, 4, "1 1 1 bicycle_final/111085122871_0.JPG", skip=1):
            if not is_number(word):
                raise InputError(f"{file}: the class of {path} is {word!r}, no number")
            if not path.rpartition("/")[2].startswith("."):
                paths.append(path)
                labels.append(int(word) - 1)
        splits[split] = np.arange(begin, len(paths))
    return MetricDataset("sop", home, tuple(paths), np.array(labels, np.int64), splits)


SET = MetricSet(
    "sop",
    "Stanford Online Products: 59,551 images of 11,318 products to learn from, 60,502 of 11,316 others for the test",
    load=load_sop,
    check=lambda photographs: miscounted(photographs, OFFICIAL),
    protocol="sop",
)
