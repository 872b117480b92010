"""The tables of factors: a row per frame, a row per object; a frame can be drawn again from its rows."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.synthetic.folder import described_settings
from limbeck.synthetic.records import Value, field_types, flatten, read_columns, table_header, table_row, unflatten
from limbeck.synthetic.streets.draw import blocks_within
from limbeck.synthetic.streets.factors import Scene, Shot, Thing
from limbeck.synthetic.streets.frame import StreetFactors, StreetFrame, render
from limbeck.synthetic.streets.settings import StreetSettings

FORMAT = 1
"""The version of the generator and its files. A change that alters any file raises it."""

FACTORS, OBJECTS, DESCRIPTION = "factors.csv", "objects.csv", "streets.json"
FRAME_COLUMNS: dict[str, type] = {
    "path": str,
    "split": str,
    "scene": int,
    "frame": int,
    **{f"scene.{name}": kind for name, kind in field_types(Scene).items()},
    **{f"shot.{name}": kind for name, kind in field_types(Shot).items()},
}
"""Column -> type of `factors.csv`: the file of the points, which frame it is, then `scene.*` and `shot.*`."""

OBJECT_COLUMNS: dict[str, type] = {"of_scene": int, "of_frame": int, **field_types(Thing)}
"""Column -> type of `objects.csv`: the scene, the frame (-1: all that reach it), then those of `Thing`."""


@dataclass(frozen=True)
class Factors:
    """The tables of a folder.

    Attributes:
        settings: that it was made with.
        frames: name -> `(frames,)` float64, int64 or str, for the names and in the order of `FRAME_COLUMNS`.
        objects: name -> `(objects,)`, as in `OBJECT_COLUMNS`.
    """

    settings: StreetSettings
    frames: dict[str, NDArray[Any]]
    objects: dict[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.frames["path"])

    def factors(self, row: int) -> StreetFactors:
        """All that the frame of a row shows."""
        flat = {name: column[row].item() for name, column in self.frames.items()}
        scene, shot = unflatten(Scene, flat, "scene."), unflatten(Shot, flat, "shot.")
        first, last = blocks_within(shot.pose.x, self.settings.reach)
        moving = self.objects["of_frame"]
        there = np.where(
            moving == -1,
            (self.objects["block"] >= first) & (self.objects["block"] <= last),
            moving == flat["frame"],
        )
        things = tuple(
            unflatten(Thing, {name: column[at].item() for name, column in self.objects.items()})
            for at in np.flatnonzero(there & (self.objects["of_scene"] == flat["scene"]))
        )
        # What stands along the street comes before the traffic, block by block, as it was drawn.
        return StreetFactors(scene, shot, things)

    def render(self, row: int) -> StreetFrame:
        """The frame of a row, drawn again."""
        scene, frame = (int(self.frames[name][row]) for name in ("scene", "frame"))
        return render(self.factors(row), self.settings, scene, frame)


def frames_header() -> str:
    """The first line of the frames' table."""
    return table_header(FRAME_COLUMNS)


def objects_header() -> str:
    """The first line of the objects' table."""
    return table_header(OBJECT_COLUMNS)


def frame_row(path: str, split: str, scene: int, frame: int, shown: StreetFactors) -> str:
    """A frame's line."""
    flat: dict[str, Value] = {"path": path, "split": split, "scene": scene, "frame": frame}
    return table_row(FRAME_COLUMNS, {**flat, **flatten(shown.scene, "scene."), **flatten(shown.shot, "shot.")})


def object_rows(scene: int, frame: int, things: Iterable[Thing]) -> list[str]:
    """The lines of objects."""
    return [table_row(OBJECT_COLUMNS, {"of_scene": scene, "of_frame": frame, **flatten(thing)}) for thing in things]


def read_factors(directory: str | os.PathLike[str]) -> Factors:
    """Read the tables of a folder that `make_streets` wrote.

    Raises:
        InputError: the folder is not such a folder, is of another format, or a table is damaged.
        OSError: a file cannot be read.
    """
    folder = Path(directory)
    if not all((folder / name).is_file() for name in (FACTORS, OBJECTS, DESCRIPTION)):
        raise InputError(
            f"{folder} does not hold {DESCRIPTION}, {FACTORS} and {OBJECTS}; make it with `limbeck data make streets`"
        )
    settings, _ = read_description(folder)
    return Factors(
        settings, read_columns(folder / FACTORS, FRAME_COLUMNS), read_columns(folder / OBJECTS, OBJECT_COLUMNS)
    )


def read_description(folder: Path) -> tuple[StreetSettings, str]:
    """The settings and the layout that a folder was made with.

    Raises:
        InputError: its description is damaged, or of another format.
    """
    return described_settings(folder / DESCRIPTION, StreetSettings, FORMAT)
