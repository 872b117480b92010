"""A set of photographs: where each lies, of which class it is, in which split it stands."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.images.sets import PictureSet


@dataclass(frozen=True, eq=False)
class MetricDataset(PictureSet):
    """Photographs of classes.

    Attributes:
        name: what to call the set.
        root: the folder that paths are relative to; the file where `images` are given.
        path: (pictures,) with forward slashes; names where `images` are given.
        label: (pictures,) int64 from 0.
        splits: name of a split -> positions of its pictures, ascending; "all" where the set has no division.
        query: (pictures,) which of the test pictures are queries, the others being the gallery; None: all are both.
        classes: the name of class 0, 1, ..., where classes have names.
        images: (pictures, height, width, 3) uint8 where the set is an array; None: pictures lie at their paths.
    """

    name: str
    root: Path
    path: tuple[str, ...]
    label: NDArray[np.int64]
    splits: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    query: NDArray[np.bool_] | None = None
    classes: tuple[str, ...] | None = None
    images: NDArray[np.uint8] | None = None


def digest(photographs: MetricDataset) -> str:
    """A digest of which picture is of which class; sizes stand for the bytes of files."""
    held = hashlib.sha256()
    for place, (path, label) in enumerate(zip(photographs.path, photographs.label.tolist(), strict=True)):
        if photographs.images is None:
            size = str((photographs.root / path).stat().st_size)
        else:
            size = hashlib.sha256(photographs.images[place].tobytes()).hexdigest()
        held.update(f"{path}\0{label}\0{size}\n".encode())
    return held.hexdigest()


def describe(photographs: MetricDataset) -> list[tuple[str, int, int, int]]:
    """(split, classes, pictures, fewest pictures of a class) for every split; queries and gallery apart."""
    rows = []
    for split, members in photographs.splits.items():
        parts = {split: members}
        if photographs.query is not None and split == "test":
            asked = photographs.query[members]
            parts = {"test, queries": members[asked], "test, gallery": members[~asked]}
        for name, chosen in parts.items():
            sizes = np.unique(photographs.label[chosen], return_counts=True)[1]
            rows.append((name, len(sizes), len(chosen), int(sizes.min()) if len(sizes) else 0))
    return rows


def miscounted(photographs: MetricDataset, official: Mapping[str, tuple[int, int]]) -> list[str]:
    """A line for each split of `describe` whose (classes, pictures) are not the official ones."""
    found = {split: (classes, pictures) for split, classes, pictures, _ in describe(photographs)}
    return [
        f"{split}: {found.get(split, (0, 0))[0]:,} classes and {found.get(split, (0, 0))[1]:,} pictures, "
        f"expected {classes:,} and {pictures:,}"
        for split, (classes, pictures) in official.items()
        if found.get(split, (0, 0)) != (classes, pictures)
    ]


def refuse_shared_classes(photographs: MetricDataset) -> None:
    """Raise InputError where two splits share a class: then nothing would be said of unseen classes."""
    owner: dict[int, str] = {}
    for split, members in photographs.splits.items():
        for label in np.unique(photographs.label[members]).tolist():
            if label in owner:
                word = str(label) if photographs.classes is None else photographs.classes[label]
                raise InputError(
                    f"{photographs.root}: class {word!r} stands in {owner[label]} and in {split}; in metric learning "
                    "the classes of a test are unseen: put each class into one split"
                )
            owner[label] = split
