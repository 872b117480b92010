"""The table of factors: one row per picture, every factor a column; a picture can be drawn again from its row."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.modalities import Modality
from limbeck.synthetic.folder import described_settings
from limbeck.synthetic.people.factors import Camera, Person, Picture
from limbeck.synthetic.people.layouts import Shot
from limbeck.synthetic.people.render import render
from limbeck.synthetic.people.settings import PeopleSettings
from limbeck.synthetic.records import Value, field_types, flatten, read_columns, table_header, table_row, unflatten

FORMAT = 1
"""The version of the generator and its files. A change that alters any picture or column raises it."""

FACTORS, DESCRIPTION = "factors.csv", "people.json"
_RECORDS: dict[str, type[Any]] = {"person": Person, "camera": Camera, "picture": Picture}
_SHOT: dict[str, type] = {"path": str, "identity": int, "camera": int, "modality": str}
COLUMNS = _SHOT | {
    name: kind for group, record in _RECORDS.items() for name, kind in field_types(record, f"{group}.").items()
}
"""Column -> type: `path`, `identity`, `camera`, `modality`, then `person.*`, `camera.*` and `picture.*`."""


@dataclass(frozen=True)
class Scenario:
    """All that a picture shows."""

    person: Person
    camera: Camera
    picture: Picture


@dataclass(frozen=True)
class Factors:
    """A table of factors.

    Attributes:
        height: of the pictures, in pixels.
        width: of the pictures, in pixels.
        columns: name -> `(pictures,)` float64, int64 or str, for the names and in the order of `COLUMNS`.
    """

    height: int
    width: int
    columns: dict[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.columns["path"])

    def scenario(self, row: int) -> Scenario:
        """The person, camera and picture of a row."""
        flat = {name: column[row].item() for name, column in self.columns.items()}
        return Scenario(
            unflatten(Person, flat, "person."), unflatten(Camera, flat, "camera."), unflatten(Picture, flat, "picture.")
        )

    def render(self, row: int) -> NDArray[np.uint8]:
        """The picture of a row, drawn again: `(height, width, 3)`, as it was before any JPEG compression."""
        shown = self.scenario(row)
        modality: Modality = "visible" if self.columns["modality"][row] == "visible" else "infrared"
        return render(shown.person, shown.camera, shown.picture, modality, self.height, self.width)


def header() -> str:
    """The table's first line."""
    return table_header(COLUMNS)


def row(shot: Shot, scenario: Scenario) -> str:
    """A picture's line."""
    flat: dict[str, Value] = {
        "path": shot.path,
        "identity": shot.identity,
        "camera": shot.camera,
        "modality": shot.modality,
        **flatten(scenario.person, "person."),
        **flatten(scenario.camera, "camera."),
        **flatten(scenario.picture, "picture."),
    }
    return table_row(COLUMNS, flat)


def read_factors(directory: str | os.PathLike[str]) -> Factors:
    """Read `factors.csv` of a folder that `make_people` wrote.

    Raises:
        InputError: the folder is not such a folder, is of another format, or its table is damaged.
        OSError: a file cannot be read.
    """
    folder = Path(directory)
    if not (folder / DESCRIPTION).is_file() or not (folder / FACTORS).is_file():
        raise InputError(f"{folder} does not hold {DESCRIPTION} and {FACTORS}; make it with `limbeck data make people`")
    settings, _ = read_description(folder)
    return Factors(settings.height, settings.width, read_columns(folder / FACTORS, COLUMNS))


def read_description(folder: Path) -> tuple[PeopleSettings, str]:
    """The settings and the layout that a folder was made with.

    Raises:
        InputError: its description is damaged, or of another format.
    """
    return described_settings(folder / DESCRIPTION, PeopleSettings, FORMAT)
