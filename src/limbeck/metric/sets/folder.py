"""One's own photographs in a folder of classes, divided or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from limbeck.errors import InputError
from limbeck.images.listing import IMAGE_SUFFIXES, is_picture
from limbeck.metric.dataset import MetricDataset
from limbeck.metric.sets import MetricSet

SPLITS = ("train", "validation", "test")


def load_folder(root: Path) -> MetricDataset:
    """Read `CLASS/picture`, or `train/CLASS/picture` and `test/CLASS/picture` and perhaps `validation/...`.

    Classes are numbered in the order of their names (by code points, whatever the locale); pictures may lie deeper.
    Without divisions the one split is "all".

    Raises:
        InputError: there is no such folder, or no class with a picture in it.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give one with a folder of pictures for every class")
    divided = (root / "train").is_dir() and (root / "test").is_dir()
    parts = {split: root / split for split in SPLITS if (root / split).is_dir()} if divided else {"all": root}
    held: list[tuple[str, str, str]] = []
    for split, folder in parts.items():
        for place in sorted(one for one in folder.iterdir() if one.is_dir() and not one.name.startswith(".")):
            held += [
                (split, place.name, file.relative_to(root).as_posix())
                for file in sorted(place.rglob("*"))
                if is_picture(file)
            ]
    if not held:
        raise InputError(f"{root}: no folder in it holds a picture ({', '.join(sorted(IMAGE_SUFFIXES))})")
    names = sorted({name for _, name, _ in held})
    code = {name: number for number, name in enumerate(names)}
    return MetricDataset(
        root.name or str(root),
        root,
        tuple(path for _, _, path in held),
        np.array([code[name] for _, name, _ in held], np.int64),
        {split: np.flatnonzero([split == other for other, _, _ in held]) for split in parts},
        classes=tuple(names),
    )


SET = MetricSet(
    "class-folder",
    "your own pictures: a folder for every class, perhaps below train/ and test/",
    load=load_folder,
    check=None,
)
