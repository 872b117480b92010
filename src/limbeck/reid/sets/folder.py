"""One's own pictures of people of whom nobody knows who is who: a folder of visible and a folder of infrared ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from limbeck.errors import InputError
from limbeck.images.listing import IMAGE_SUFFIXES, is_picture
from limbeck.modalities import MODALITIES
from limbeck.reid.dataset import ReidDataset
from limbeck.reid.sets import ReidSet

UNKNOWN = -1
"""The identity of a picture of nobody knows whom."""


def load_folder(root: Path) -> ReidDataset:
    """Read all pictures below `visible/` and `infrared/`, at any depth, by name.

    Every identity is -1, unknown; the one split is "all".

    Raises:
        InputError: a folder is missing, or holds no picture.
    """
    paths: list[str] = []
    modality: list[int] = []
    for code, word in enumerate(MODALITIES):
        if not (root / word).is_dir():
            raise InputError(f"{root}: there must be a folder {word}/ with the {word} pictures in it")
        found = sorted(file.relative_to(root).as_posix() for file in (root / word).rglob("*") if is_picture(file))
        if not found:
            raise InputError(f"{root / word}: there is no picture ({', '.join(sorted(IMAGE_SUFFIXES))})")
        paths += found
        modality += [code] * len(found)
    return ReidDataset(
        root.name or str(root),
        root,
        tuple(paths),
        np.full(len(paths), UNKNOWN, np.int64),
        None,
        np.array(modality, np.int8),
        {"all": np.arange(len(paths))},
    )


SET = ReidSet(
    "folder",
    "one's own pictures without names: a folder with visible/ and infrared/ in it (reid-unsupervised only)",
    load=lambda root, _: load_folder(root),
    check=None,
    protocol="cross-i2v",
    test="all",
)
