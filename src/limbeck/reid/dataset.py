"""A set of pictures of people: where each lies, who is on it, which camera took it, in which modality."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.files import is_number, read_text
from limbeck.images.sets import PictureSet
from limbeck.modalities import INFRARED, MODALITIES, VISIBLE


@dataclass(frozen=True)
class Picture:
    """One picture of one person."""

    path: str
    identity: int
    camera: int
    modality: int


@dataclass(frozen=True, eq=False)
class ReidDataset(PictureSet):
    """Pictures of people.

    Attributes:
        name: what to call the set.
        root: the folder that paths are relative to.
        path: (pictures,) with forward slashes.
        identity: (pictures,) int64.
        camera: (pictures,) int64; None where nobody knows.
        modality: (pictures,) int8, 0 visible and 1 infrared.
        splits: name of a split -> positions of its pictures, ascending.
        identity_names: where identities were given as words: the word of identity 0, 1, ...
    """

    name: str
    root: Path
    path: tuple[str, ...]
    identity: NDArray[np.int64]
    camera: NDArray[np.int64] | None
    modality: NDArray[np.int8]
    splits: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    identity_names: tuple[str, ...] | None = None


def assemble(name: str, root: Path, splits: Mapping[str, Sequence[Picture]]) -> ReidDataset:
    """One set of the pictures of several splits, split after split.

    Raises:
        InputError: there is no picture at all.
    """
    pictures = [picture for held in splits.values() for picture in held]
    if not pictures:
        raise InputError(f"{root}: there are no pictures")
    ends = np.cumsum([len(held) for held in splits.values()])
    return ReidDataset(
        name,
        root,
        tuple(picture.path for picture in pictures),
        np.array([picture.identity for picture in pictures], np.int64),
        np.array([picture.camera for picture in pictures], np.int64),
        np.array([picture.modality for picture in pictures], np.int8),
        {
            name: np.arange(end - len(held), end)
            for (name, held), end in zip(splits.items(), ends.tolist(), strict=True)
        },
    )


def read_identities(file: Path) -> list[int]:
    """The identities of a file that lists them in one line, separated by commas, ascending; an empty line lists none.

    Raises:
        InputError: there is no such file, it holds something else, or an identity twice.
    """
    text = read_text(file, encoding="ascii")
    words = [word.strip() for word in text.replace("\n", ",").split(",") if word.strip()]
    wrong = next((word for word in words if not is_number(word)), None)
    if wrong is not None or not text:  # a file without even a line was cut off
        raise InputError(f"{file}: must list identities as numbers separated by commas, not {wrong!r}")
    identities = sorted(int(word) for word in words)
    for first, second in itertools.pairwise(identities):
        if first == second:
            raise InputError(f"{file}: identity {first} is listed twice")
    return identities


def read_list(file: Path, folder: str, example: str) -> Iterator[tuple[str, int]]:
    """Yield (path, identity) of a file of lines like `folder/identity/name label`; labels are not unique, folders are.

    Args:
        file: the list.
        folder: what every path begins with.
        example: a line as it should be, for messages.

    Raises:
        InputError: there is no such file, or a line is another.
    """
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        if not line.strip():
            continue
        path, _, label = line.strip().rpartition(" ")
        parts = path.split("/")
        if len(parts) != 3 or parts[0] != folder or not is_number(parts[1]) or not is_number(label):
            raise InputError(f"{file}: line {number} must be like {example!r}, not {line!r}")
        yield path, int(parts[1])


def describe(people: ReidDataset) -> list[tuple[str, str, int, int, int]]:
    """(split, camera and modality, identities, pictures, fewest pictures of an identity) for every cell of a set."""
    rows = []
    for split, members in (people.splits or {"all": np.arange(len(people))}).items():
        camera = np.zeros(len(people), np.int64) if people.camera is None else people.camera
        for modality in (VISIBLE, INFRARED):
            for number in np.unique(camera[members][people.modality[members] == modality]).tolist():
                chosen = members[(camera[members] == number) & (people.modality[members] == modality)]
                sizes = np.unique(people.identity[chosen], return_counts=True)[1]
                word = MODALITIES[modality] if people.camera is None else f"camera {number}, {MODALITIES[modality]}"
                rows.append((split, word, len(sizes), len(chosen), int(sizes.min())))
    return rows


def one_sided(people: ReidDataset, members: NDArray[np.int64]) -> Iterable[tuple[int, str]]:
    """(identity, the only modality it has) for each identity that is seen in one modality alone."""
    for identity in np.unique(people.identity[members]).tolist():
        seen = np.unique(people.modality[members][people.identity[members] == identity])
        if len(seen) == 1:
            yield identity, MODALITIES[int(seen[0])]
