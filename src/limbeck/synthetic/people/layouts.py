"""Which pictures there are, what their files are called, and the index files around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from limbeck.errors import InputError
from limbeck.modalities import Modality
from limbeck.synthetic.people.draw import drawn_absent
from limbeck.synthetic.people.settings import Layout, PeopleSettings

INDOOR_VISIBLE = (1, 2)
CAMERAS: dict[Layout, dict[int, Modality]] = {
    "sysu": {1: "visible", 2: "visible", 3: "infrared", 4: "visible", 5: "visible", 6: "infrared"},
    "regdb": {1: "visible", 2: "infrared"},
    "csv": {1: "visible", 2: "visible", 3: "infrared", 4: "visible", 5: "visible", 6: "infrared"},
}
_FOLDS = 10
_FOLD_KEY = 99


@dataclass(frozen=True)
class Shot:
    """One picture to take: the key of its draw, and its file.

    Attributes:
        path: of the file, relative to the folder, with `/`.
        identity: who, from 1.
        camera: by which camera, from 1.
        index: which of the identity's pictures at this camera, from 1.
        modality: of the camera.
    """

    path: str
    identity: int
    camera: int
    index: int
    modality: Modality


def shots(settings: PeopleSettings, layout: Layout) -> list[Shot]:
    """Every picture of a set, in the order of its table: by identity, camera and index.

    Raises:
        InputError: the layout `regdb` halves the identities, and their number is odd.
    """
    if layout == "regdb" and settings.identities % 2:
        raise InputError(f"the identities must be even in number for the layout regdb, not {settings.identities}")
    return [
        Shot(_path(layout, identity, camera, index, modality), identity, camera, index, modality)
        for identity in range(1, settings.identities + 1)
        for camera, modality in CAMERAS[layout].items()
        if not (
            layout != "regdb" and camera in INDOOR_VISIBLE and drawn_absent(settings.seed, identity, settings.absent)
        )
        for index in range(1, settings.images(layout) + 1)
    ]


def _path(layout: Layout, identity: int, camera: int, index: int, modality: Modality) -> str:
    if layout == "sysu":
        return f"cam{camera}/{identity:04d}/{index:04d}.jpg"
    if layout == "regdb":
        folder = "Visible" if modality == "visible" else "Thermal"
        return f"{folder}/{identity}/{folder.lower()}_{identity:04d}_{index:02d}.bmp"
    return f"images/{identity:04d}_{camera}_{index:04d}.png"


def index_files(settings: PeopleSettings, layout: Layout, taken: list[Shot]) -> dict[str, str]:
    """The index files of a layout: path -> text."""
    if layout == "sysu":
        return _sysu(settings)
    if layout == "regdb":
        return _regdb(settings, taken)
    lines = [f"{shot.path},{shot.identity},{shot.modality},{shot.camera}" for shot in taken]
    return {"people.csv": _text(["path,identity,modality,camera", *lines])}


def _sysu(settings: PeopleSettings) -> dict[str, str]:
    """`exp/*_id.txt`, each one line of numbers, as SYSU-MM01 has them."""
    splits = settings.splits()
    lists = {
        "train": splits["train"],
        "val": splits["validation"],
        "test": splits["test"],
        "available": range(1, settings.identities + 1),
    }
    return {f"exp/{name}_id.txt": _text([",".join(map(str, chosen))]) for name, chosen in lists.items()}


def _regdb(settings: PeopleSettings, taken: list[Shot]) -> dict[str, str]:
    """`idx/*.txt`: ten random halvings; the labels count from 0 in either half, as RegDB has them."""
    files = {}
    half = settings.identities // 2
    for fold in range(1, _FOLDS + 1):
        key = np.random.SeedSequence(settings.seed, spawn_key=(_FOLD_KEY, fold))
        order = np.random.Generator(np.random.Philox(key)).permutation(settings.identities) + 1
        for name, chosen in (("train", order[:half]), ("test", order[half:])):
            labels = {int(identity): label for label, identity in enumerate(np.sort(chosen))}
            for modality, word in (("visible", "visible"), ("infrared", "thermal")):
                lines = [
                    f"{shot.path} {labels[shot.identity]}"
                    for shot in taken
                    if shot.modality == modality and shot.identity in labels
                ]
                files[f"idx/{name}_{word}_{fold}.txt"] = _text(lines)
    return files


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
