"""One's own pictures of people, listed in a CSV file: path, identity, modality and, where known, camera."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from limbeck.errors import InputError
from limbeck.files import is_number
from limbeck.images.table import picture_rows
from limbeck.modalities import MODALITIES
from limbeck.reid.dataset import ReidDataset, one_sided
from limbeck.reid.sets import ReidSet

COLUMNS = ("path", "identity", "modality")


def load_table(file: Path) -> ReidDataset:
    """Read a CSV with a header and the columns `path`, `identity`, `modality` (visible or infrared) and maybe `camera`.

    Paths are relative to the file's folder and may not leave it. Identities may be any words; they are numbered in
    alphabetical order. The one split is "all".

    Raises:
        InputError: the file or a picture is missing, a path leaves the folder or stands twice, a value is not
            understood, or a person is seen in one modality only.
    """
    root = file.parent
    rows = picture_rows(file, COLUMNS, _wrong)
    cameras = "camera" in rows[0]
    names = sorted({row["identity"] for row in rows})
    code = {name: number for number, name in enumerate(names)}
    people = ReidDataset(
        file.stem,
        root,
        tuple(row["path"] for row in rows),
        np.array([code[row["identity"]] for row in rows], np.int64),
        np.array([int(row["camera"]) for row in rows], np.int64) if cameras else None,
        np.array([MODALITIES.index(row["modality"]) for row in rows], np.int8),
        {"all": np.arange(len(rows))},
        tuple(names),
    )
    for identity, modality in one_sided(people, people.split("all")):
        raise InputError(
            f"{file}: identity {names[identity]!r} is seen in {modality} pictures only; add others or leave it out"
        )
    return people


def _wrong(row: dict[str, str]) -> str | None:
    if not row["identity"]:
        return "the identity is empty"
    if row["modality"] not in MODALITIES:
        return f"modality must be {' or '.join(MODALITIES)}, not {row['modality']!r}"
    if "camera" in row and not is_number(row["camera"].removeprefix("-")):
        return f"camera must be a whole number, not {row['camera']!r}"
    return None


SET = ReidSet(
    "csv",
    "your own pictures in a CSV file with the columns path, identity, modality and maybe camera",
    load=lambda file, _: load_table(file),
    check=None,
    protocol="cross",
    test="held_out",
    root="table",
)
