"""SYSU-MM01: its folders, its official counts, its gallery permutations.

Layout: `cam{1..6}/{identity:04d}/{number:04d}.jpg`, numbers from 1 without gaps, and `exp/{train,val,test}_id.txt`, one
line of identities separated by commas each. Cameras 3 and 6 are infrared.

Source: Wu et al. 2017.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from limbeck.errors import InputError
from limbeck.files import is_number
from limbeck.images.listing import listed, strays
from limbeck.modalities import INFRARED, VISIBLE
from limbeck.reid.dataset import Picture, ReidDataset, assemble, read_identities
from limbeck.reid.sets import ReidSet
from limbeck.retrieval.permutations import read_permutations

CAMERAS = (1, 2, 3, 4, 5, 6)
INFRARED_CAMERAS = (3, 6)
SPLITS = {"train": "train_id.txt", "validation": "val_id.txt", "test": "test_id.txt"}

# Of the official set, and of the pictures of each camera.
OFFICIAL_IDENTITIES = {"train": 296, "validation": 99, "test": 96}
OFFICIAL_IMAGES = {
    "train": {1: 4721, 2: 5753, 3: 5929, 4: 4821, 5: 4989, 6: 4000},
    "validation": {1: 0, 2: 0, 3: 1980, 4: 990, 5: 984, 6: 0},
    "test": {1: 1374, 2: 1565, 3: 1883, 4: 1918, 5: 1918, 6: 1920},
}
OFFICIAL_TEST_IDENTITIES = {1: 56, 2: 56, 3: 93, 4: 94, 5: 95, 6: 96}


def load_sysu(root: Path) -> ReidDataset:
    """Read the set's lists and folders; the splits are "train", "validation" and "test".

    Raises:
        InputError: a list or folder is missing, or a picture has a name that the layout does not know.
    """
    return assemble("sysu", root, {split: list(_pictures(root, ids)) for split, ids in identities(root).items()})


def identities(root: Path) -> dict[str, list[int]]:
    """The identities of each split.

    Raises:
        InputError: a list is missing or damaged, or an identity stands in two of them.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give the one that holds cam1 to cam6 and exp")
    if not (root / "exp").is_dir():
        raise InputError(f"{root}: holds no folder exp; give the one that holds cam1 to cam6 and exp")
    splits = {split: read_identities(root / "exp" / file) for split, file in SPLITS.items()}
    owner: dict[int, str] = {}
    for split, members in splits.items():
        for identity in members:
            if identity in owner:
                raise InputError(f"{root}: identity {identity} is listed in {owner[identity]} and in {split}")
            owner[identity] = split
    return splits


def _pictures(root: Path, members: list[int]) -> Iterator[Picture]:
    for identity in members:
        for camera in CAMERAS:
            folder = root / f"cam{camera}" / f"{identity:04d}"
            if not folder.is_dir():
                continue
            modality = INFRARED if camera in INFRARED_CAMERAS else VISIBLE
            for file in listed(folder):
                if not is_number(file.stem):
                    raise InputError(f"{file}: identity {identity}, camera {camera}: pictures are named 0001.jpg, ...")
                yield Picture(file.relative_to(root).as_posix(), identity, camera, modality)


def check_sysu(people: ReidDataset) -> list[str]:
    """What is wrong with a copy of the set, a line each; empty where its counts are the official ones.

    Looked for: identities listed without a folder; files that are not pictures; gaps in a folder's numbers; where
    `exp/rand_perm_cam.mat` is there, folders of another size than it says; identities a split and images a split and
    camera.

    Args:
        people: the set, as `load_sysu` read it.

    Raises:
        InputError: `exp/rand_perm_cam.mat` is there but damaged.
    """
    root, splits = people.root, identities(people.root)
    wrong = list(_wrong_folders(root, splits))
    assert people.camera is not None
    for split, cameras in OFFICIAL_IMAGES.items():
        members = people.split(split)
        if len(splits[split]) != OFFICIAL_IDENTITIES[split]:
            wrong.append(f"{split}: {len(splits[split])} identities are listed, expected {OFFICIAL_IDENTITIES[split]}")
        for camera, count in cameras.items():
            chosen = members[people.camera[members] == camera]
            if len(chosen) != count:
                wrong.append(f"{split}, camera {camera}: {len(chosen)} images, expected {count}")
            known = len(np.unique(people.identity[chosen]))
            if split == "test" and known != OFFICIAL_TEST_IDENTITIES[camera]:
                wrong.append(f"test, camera {camera}: {known} identities, expected {OFFICIAL_TEST_IDENTITIES[camera]}")
    # The official set holds some people whom no list names. Where counts are wrong, a renamed folder may be among them.
    return [*_unlisted(root, splits), *wrong] if wrong else []


def _unlisted(root: Path, splits: Mapping[str, list[int]]) -> Iterator[str]:
    """Lines about folders of people whom no list names."""
    known = {identity for members in splits.values() for identity in members}
    for camera in CAMERAS:
        for cell in sorted((root / f"cam{camera}").glob("*")):
            if is_number(cell.name) and int(cell.name) not in known:
                yield f"identity {int(cell.name)}, camera {camera}: no list in exp names this identity"


def _wrong_folders(root: Path, splits: Mapping[str, list[int]]) -> Iterator[str]:
    """Lines about single folders: they name the identity and the camera."""
    seen: set[int] = set()
    permutations = root / "exp" / "rand_perm_cam.mat"
    sizes = (
        {cell: rows.shape[1] for cell, rows in read_permutations(permutations).items()} if permutations.exists() else {}
    )
    for camera in CAMERAS:
        folder = root / f"cam{camera}"
        if not folder.is_dir():
            yield f"camera {camera}: the folder {folder.name} is missing"
            continue
        for cell in sorted(folder.iterdir()):
            if not cell.is_dir() or not is_number(cell.name) or len(cell.name) != 4:
                yield f"camera {camera}: {cell.relative_to(root).as_posix()} is not a folder of an identity"
                continue
            identity = int(cell.name)
            seen.add(identity)
            yield from _wrong_cell(cell, identity, camera, sizes.get((camera, identity)))
    for cell_camera, cell_identity in sorted(set(sizes)):
        if sizes[cell_camera, cell_identity] and not (root / f"cam{cell_camera}" / f"{cell_identity:04d}").is_dir():
            yield f"identity {cell_identity}, camera {cell_camera}: the folder is missing"
    for split, members in splits.items():
        for identity in members:
            if identity not in seen:
                yield f"identity {identity}: listed in {split}, but no camera has a folder of it"


def _wrong_cell(cell: Path, identity: int, camera: int, size: int | None) -> Iterator[str]:
    """Lines about one identity and camera."""
    name = f"identity {identity}, camera {camera}"
    for file in strays(cell):
        yield f"{name}: {file.name} is not a picture"
    stems = [file.stem for file in listed(cell)]
    numbers = {int(stem) for stem in stems if is_number(stem)}
    for stem in stems:
        if not is_number(stem):
            yield f"{name}: {stem} is not a number"
    for number in sorted(set(range(1, max(numbers, default=0) + 1)) - numbers):
        yield f"{name}: image {number:04d} is missing"
    if size is not None and size != len(stems):
        yield f"{name}: {len(stems)} images, expected {size}"


SET = ReidSet(
    "sysu",
    "SYSU-MM01: 491 people, 4 visible and 2 infrared cameras, 30,071 + 15,792 images",
    load=lambda root, _: load_sysu(root),
    check=check_sysu,
    protocol="sysu-all-single",
)
