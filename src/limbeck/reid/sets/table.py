"""One's own pictures of people, listed in a CSV file: path, identity, modality and, where known, camera."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from limbeck.errors import InputError
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
    rows = _rows(file)
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


def _rows(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, strict=True)
            header = reader.fieldnames or []
            missing = [name for name in COLUMNS if name not in header]
            if missing:
                raise InputError(f"{file}: the column {missing[0]!r} is missing; there are: {', '.join(header)}")
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if not rows:
        raise InputError(f"{file}: lists no picture")
    root = file.parent.resolve()
    seen: set[str] = set()
    for line, row in enumerate(rows, start=2):
        where = f"{file}: line {line}"
        if None in row or None in row.values():
            raise InputError(f"{where}: has another number of fields than the header")
        if not row["identity"]:
            raise InputError(f"{where}: the identity is empty")
        if row["modality"] not in MODALITIES:
            raise InputError(f"{where}: modality must be {' or '.join(MODALITIES)}, not {row['modality']!r}")
        if "camera" in row and not row["camera"].lstrip("-").isdigit():
            raise InputError(f"{where}: camera must be a whole number, not {row['camera']!r}")
        if not (root / row["path"]).resolve().is_relative_to(root):
            raise InputError(f"{where}: {row['path']!r} lies outside the folder of the table")
        if row["path"] in seen:
            raise InputError(f"{where}: {row['path']!r} is listed twice")
        if not (root / row["path"]).is_file():
            raise InputError(f"{where}: there is no file {row['path']!r}")
        seen.add(row["path"])
    return rows


SET = ReidSet(
    "csv",
    "your own pictures in a CSV file with the columns path, identity, modality and maybe camera",
    load=lambda file, _: load_table(file),
    check=None,
    protocol="cross",
    test="held_out",
    root="table",
)
