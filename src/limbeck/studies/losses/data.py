"""What the study learns from and searches: photographs divided by class, and procedural people, one array a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.files import atomic_writer, read_text, write_text
from limbeck.images.decoding import read_image
from limbeck.metric.dataset import MetricDataset
from limbeck.metric.sets.arrays import load_arrays, pack_classes
from limbeck.modalities import VISIBLE
from limbeck.reid.sets.sysu import load_sysu
from limbeck.reporting.console import quiet
from limbeck.settings import PositiveInt, Range, check_settings
from limbeck.studies.people import draw_people, people_folder
from limbeck.synthetic.people import PeopleSettings
from limbeck.training import generator

_VALIDATION, _TEST, _PICTURES = 8, 9, 10  # second entries of the keys that draw classes and pictures
_HINT = (
    "`limbeck metric pack caltech101_images64.zip pictures.npz --size 64` makes the array of Caltech-101; or leave "
    'photographs out with --sets "[people]"'
)


@dataclass(frozen=True)
class PhotographsSettings:
    """How photographs are divided.

    Attributes:
        leave_out: classes that are not used, where the set has them.
        validation_classes: the same in every seed, so that no class that anything was chosen by is a test class of
            another seed.
        test_share: of the other classes, drawn by the seed; from the rest is learned.
        most: pictures of a class, drawn once for all seeds; None: all. Classes of Caltech-101 run from 31 to 800, and a
            few large ones would decide every figure.
        side: height and width of the pictures, where they are packed here.
    """

    leave_out: tuple[str, ...] = ("BACKGROUND_Google", "Faces_easy")
    validation_classes: PositiveInt = 20
    test_share: Annotated[float, Range(gt=0, lt=1)] = 0.5
    most: Annotated[int | None, Range(ge=2)] = 60
    side: Annotated[int, Range(ge=8)] = 64

    def __post_init__(self) -> None:
        check_settings(self, "photographs.")


def read_photographs(place: str, settings: PhotographsSettings, folder: Path) -> MetricDataset:
    """The photographs of an array, or of a folder of classes or a ZIP of one, which is packed first.

    Args:
        place: where they lie.
        settings: how they are divided.
        folder: of the study; gets the packed array.

    Raises:
        InputError: there is nothing there, or it cannot be read.
    """
    source = Path(place)
    if not place or not source.exists():
        there = f"{place}: there is no such file" if place else "data must say where the photographs lie"
        raise InputError(f"{there}; {_HINT}")
    if source.suffix != ".npz":
        packed = folder / "photographs" / "packed.npz"
        if not packed.is_file():
            with quiet():
                pack_classes(source, packed, size=settings.side)
        source = packed
    return load_arrays(source)


def divide_photographs(
    photographs: MetricDataset, settings: PhotographsSettings, seeds: Sequence[int], folder: Path
) -> dict[int, Path]:
    """One array a seed, with its division into classes to learn from, for validation and for the test.

    Args:
        photographs: the set; a division that it has itself is not looked at.
        settings: how it is divided.
        seeds: of the divisions.
        folder: of the study.

    Returns:
        seed -> an array that the set "class-npz" reads.

    Raises:
        InputError: there are too few classes, or other photographs lie in the folder.
    """
    assert photographs.images is not None
    assert photographs.classes is not None
    kept = [code for code, name in enumerate(photographs.classes) if name not in settings.leave_out]
    order = generator(0, _VALIDATION).permutation(kept)
    validation, others = order[: settings.validation_classes], np.sort(order[settings.validation_classes :])
    test_classes = round(settings.test_share * len(others))
    if min(len(validation), test_classes, len(others) - test_classes) < 2:
        raise InputError(
            f"{photographs.root}: {len(kept)} classes are too few to learn from, validate and test on, of 2 classes "
            "each at least: lower photographs.validation_classes, or give more"
        )
    members = np.concatenate([_some(photographs.label, code, settings.most) for code in sorted(kept)])
    images, label = photographs.images[members], photographs.label[members]
    names = np.array(photographs.classes)[label]
    found = {}
    for seed in seeds:
        test = generator(seed, _TEST).permutation(others)[:test_classes]
        split = np.full(len(label), "train", dtype="U10")
        split[np.isin(label, validation)] = "validation"
        split[np.isin(label, test)] = "test"
        found[seed] = _kept_array(folder / "photographs" / f"seed-{seed}.npz", images, names, split)
    return found


def draw_divided_people(settings: PeopleSettings, side: int, seed: int, folder: Path, *, workers: int = 1) -> Path:
    """The visible pictures of drawn people as squares, one array; the split is the one they were drawn with.

    Args:
        settings: what is drawn; the seed is replaced.
        side: height and width of the squares.
        seed: of the people.
        folder: of the study; gets the people too.
        workers: processes that draw.

    Raises:
        InputError: other people lie there.
    """
    drawn = people_folder(folder, seed)
    draw_people(replace(settings, seed=seed), drawn, workers)
    people = load_sysu(drawn)
    parts = {name: people.split(name) for name in ("train", "validation", "test")}
    parts = {name: chosen[people.modality[chosen] == VISIBLE] for name, chosen in parts.items()}
    members = np.concatenate(list(parts.values()))
    split = np.repeat(list(parts), [len(chosen) for chosen in parts.values()])
    images = np.stack([read_image(drawn / people.path[place], (side, side)) for place in members.tolist()])
    return _kept_array(folder / "people" / f"seed-{seed}.npz", images, people.identity[members], split)


def _some(label: NDArray[np.int64], code: int, most: int | None) -> NDArray[np.int64]:
    """Positions of a class, ascending; so many of them at most."""
    members = np.flatnonzero(label == code)
    if most is None or len(members) <= most:
        return members
    return np.sort(generator(0, _PICTURES, code).permutation(members)[:most])


def _kept_array(file: Path, images: NDArray[np.uint8], labels: NDArray[np.generic], split: NDArray[np.str_]) -> Path:
    """Write such an array, unless it lies there already.

    Raises:
        InputError: another one lies there.
    """
    held = hashlib.sha256(images.tobytes())
    held.update("\n".join(f"{one} {part}" for one, part in zip(labels.tolist(), split.tolist(), strict=True)).encode())
    digest, beside = held.hexdigest(), file.with_suffix(".sha256")
    if file.is_file():
        if read_text(beside).strip() != digest:
            raise InputError(f"{file}: was made of other pictures or settings; name another folder with --out")
        return file
    write_text(beside, digest + "\n")
    with atomic_writer(file) as stream:
        np.savez(stream, images=images, labels=labels, split=split)
    return file
