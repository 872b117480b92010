"""RegDB: its folders, lists and official counts.

Layout: `idx/{train,test}_{visible,thermal}_{1..10}.txt`, one picture per line as `Visible/1/name.bmp 0`; ten pictures
of each of 412 people in either modality. Each of ten folds halves the people. Labels of the two halves both begin at 0,
so identities are taken from the folders.

Source: Nguyen et al. 2017; the ten folds: Ye et al. 2018.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from limbeck.errors import InputError
from limbeck.files import is_number
from limbeck.images.listing import listed, strays
from limbeck.modalities import INFRARED, VISIBLE
from limbeck.reid.dataset import Picture, ReidDataset, assemble, read_list
from limbeck.reid.sets import ReidSet

SPLITS = ("train", "test")
FOLDS = 10
MODALITY_WORDS = {"visible": VISIBLE, "thermal": INFRARED}
FOLDERS = {"visible": "Visible", "thermal": "Thermal"}
OFFICIAL_IDENTITIES = 412
OFFICIAL_IMAGES = 10  # of an identity and modality


def load_regdb(root: Path, *, fold: int = 1) -> ReidDataset:
    """Read one fold; the splits are "train" and "test". Camera 1 is the visible one, 2 the thermal one.

    Args:
        root: the folder of the set.
        fold: 1 to 10.

    Raises:
        InputError: there is no such fold, or a list is missing, damaged or names a picture that is not there.
    """
    if not 1 <= fold <= FOLDS:
        raise InputError(f"fold must be from 1 to {FOLDS}, not {fold}")
    splits = {
        split: [picture for word in MODALITY_WORDS for picture in _listed_pictures(root, split, word, fold)]
        for split in SPLITS
    }
    people = assemble("regdb", root, splits)
    for path in people.path:
        if not (root / path).is_file():
            raise InputError(f"{root / path}: is listed in idx, but there is no such file")
    both = {p.identity for p in splits["train"]} & {p.identity for p in splits["test"]}
    if both:
        raise InputError(f"{root}: identity {min(both)} is in both the train and the test list of fold {fold}")
    return people


def _listed_pictures(root: Path, split: str, word: str, fold: int) -> Iterator[Picture]:
    file = root / "idx" / f"{split}_{word}_{fold}.txt"
    for path, identity in read_list(file, FOLDERS[word], f"{FOLDERS[word]}/1/name.bmp 0"):
        yield Picture(path, identity, 1 + MODALITY_WORDS[word], MODALITY_WORDS[word])


def check_regdb(root: Path, identities: int = OFFICIAL_IDENTITIES, images: int = OFFICIAL_IMAGES) -> list[str]:
    """What is wrong with a copy of the set, a line each; empty where its counts are the expected ones.

    Looked for: people without `images` pictures in a modality; files that are not pictures; another number of people;
    folds that are not halves, or whose lists do not hold all pictures of their people.

    Args:
        root: the folder of the set.
        identities: expected people.
        images: expected pictures of a person and modality.

    Raises:
        InputError: the set cannot be read at all (see `load_regdb`).
    """
    wrong = []
    for word, name in FOLDERS.items():
        folder = root / name
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; give the one that holds Visible, Thermal and idx")
        people = 0
        for cell in sorted(folder.iterdir(), key=lambda entry: (len(entry.name), entry.name)):
            if not cell.is_dir() or not is_number(cell.name):
                wrong.append(f"{word}: {cell.relative_to(root).as_posix()} is not a folder of an identity")
                continue
            people += 1
            wrong += [f"identity {cell.name}, {word}: {file.name} is not a picture" for file in strays(cell)]
            if len(listed(cell)) != images:
                wrong.append(f"identity {cell.name}, {word}: {len(listed(cell))} images, expected {images}")
        if people != identities:
            wrong.append(f"{word}: {people} identities, expected {identities}")
    for fold in range(1, FOLDS + 1):
        for split in SPLITS:
            for word in MODALITY_WORDS:
                counts = Counter(picture.identity for picture in _listed_pictures(root, split, word, fold))
                name = f"{split}_{word}_{fold}.txt"
                if len(counts) != identities // 2:
                    wrong.append(f"{name}: {len(counts)} identities, expected {identities // 2}")
                wrong += [
                    f"{name}: identity {identity} has {count} images, expected {images}"
                    for identity, count in sorted(counts.items())
                    if count != images
                ]
        if not wrong:
            load_regdb(root, fold=fold)
    return wrong


SET = ReidSet(
    "regdb",
    "RegDB: 412 people, ten visible and ten thermal images each",
    load=lambda root, fold: load_regdb(root, fold=fold),
    check=lambda people: check_regdb(people.root),
    protocol="regdb",
    folds=FOLDS,
)
