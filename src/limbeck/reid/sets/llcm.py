"""LLCM: its folders, lists and official counts.

Layout: `idx/train_{vis,nir}.txt`, one picture per line as `vis/0001/name.jpg 0`; `idx/test_id.txt`, identities in a
line; `test_{vis,nir}/cam{1..9}/{identity:04d}/name.jpg`. Names of train pictures hold the camera as `_c05_`.

Source: Zhang and Wang 2023.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from limbeck.errors import InputError
from limbeck.files import is_number
from limbeck.images.listing import listed, strays
from limbeck.modalities import INFRARED, VISIBLE
from limbeck.reid.dataset import Picture, ReidDataset, assemble, read_identities, read_list
from limbeck.reid.sets import ReidSet

CAMERAS = range(1, 10)
WORDS = {"vis": VISIBLE, "nir": INFRARED}
OFFICIAL_IDENTITIES = {"train": 713, "test": 351}
OFFICIAL_IMAGES = {("train", "vis"): 16946, ("train", "nir"): 13975, ("test", "vis"): 8680, ("test", "nir"): 7166}
UNKNOWN_CAMERA = 0
_CAMERA = re.compile(r"_c([0-9]{1,18})_")


def load_llcm(root: Path) -> ReidDataset:
    """Read the set's lists and folders; the splits are "train" and "test".

    The camera of a train picture is read from its name, 0 where the name does not say.

    Raises:
        InputError: a list or folder is missing, damaged, or names a picture that is not there.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give the one that holds vis, nir, test_vis, test_nir and idx")
    train = [picture for word in WORDS for picture in _train_pictures(root, word)]
    members = read_identities(root / "idx" / "test_id.txt")
    test = [picture for word in WORDS for picture in _test_pictures(root, word, members)]
    return assemble("llcm", root, {"train": train, "test": test})


def _train_pictures(root: Path, word: str) -> Iterator[Picture]:
    file = root / "idx" / f"train_{word}.txt"
    for path, identity in read_list(file, word, f"{word}/0001/name.jpg 0"):
        if not (root / path).is_file():
            raise InputError(f"{root / path}: identity {identity} is listed in {file.name}, but the file is missing")
        camera = _CAMERA.search(path.rpartition("/")[2])
        yield Picture(path, identity, int(camera.group(1)) if camera else UNKNOWN_CAMERA, WORDS[word])


def _test_pictures(root: Path, word: str, members: list[int]) -> Iterator[Picture]:
    for identity in members:
        for camera in CAMERAS:
            folder = root / f"test_{word}" / f"cam{camera}" / f"{identity:04d}"
            if folder.is_dir():
                for file in listed(folder):
                    yield Picture(file.relative_to(root).as_posix(), identity, camera, WORDS[word])


def check_llcm(people: ReidDataset) -> list[str]:
    """What is wrong with a copy of the set, a line each; empty where its counts are the official ones.

    Looked for: identities and pictures of each split and modality; test folders that the list does not name and
    identities of the list without a folder; files that are not pictures; pictures that no list names.

    Args:
        people: the set, as `load_llcm` read it.
    """
    root = people.root
    wrong = []
    for split, count in OFFICIAL_IDENTITIES.items():
        known = len(np.unique(people.identity[people.split(split)]))
        if known != count:
            wrong.append(f"{split}: {known} identities, expected {count}")
    for (split, word), count in OFFICIAL_IMAGES.items():
        found = int((people.modality[people.split(split)] == WORDS[word]).sum())
        if found != count:
            wrong.append(f"{split}, {word}: {found} images, expected {count}")
    members = set(read_identities(root / "idx" / "test_id.txt"))
    with_folder = set()
    known_paths = set(people.path)
    for word in WORDS:
        for folder in sorted(path for path in (root / f"test_{word}").glob("cam*/*")):
            camera = folder.parent.name.removeprefix("cam")
            if not folder.is_dir() or not is_number(folder.name) or int(folder.name) not in members:
                wrong.append(f"identity {folder.name}, camera {camera}, {word}: test_id.txt does not name it")
                continue
            with_folder.add(int(folder.name))
            wrong += [
                f"identity {int(folder.name)}, camera {camera}, {word}: {file.name} is not a picture"
                for file in strays(folder)
            ]
        for folder in sorted(path for path in (root / word).glob("*") if path.is_dir()):
            wrong += [
                f"identity {folder.name}, {word}: {file.name} is not listed in train_{word}.txt"
                for file in sorted(folder.iterdir())
                if file.relative_to(root).as_posix() not in known_paths
            ]
    wrong += [
        f"identity {identity}: listed in test_id.txt, but it has no folder"
        for identity in sorted(members - with_folder)
    ]
    return wrong


SET = ReidSet(
    "llcm",
    "LLCM: 1,064 people, 9 cameras, 25,626 visible and 21,141 infrared images",
    load=lambda root, _: load_llcm(root),
    check=check_llcm,
    protocol="llcm",
)
