"""Comparing a folder of drawn streets with what was drawn into it."""

from __future__ import annotations

from pathlib import Path

from limbeck.synthetic.folder import differences
from limbeck.synthetic.streets.frame import draw_factors
from limbeck.synthetic.streets.layouts import WRITERS
from limbeck.synthetic.streets.settings import check_layout
from limbeck.synthetic.streets.table import DESCRIPTION, FACTORS, OBJECTS, read_description


def is_drawn(folder: Path) -> bool:
    """Whether a folder says that `make_streets` wrote it."""
    return (folder / DESCRIPTION).is_file()


def check_streets(folder: Path) -> list[str]:
    """What is missing from, or was added to, a folder of drawn streets: a line each, which names the scene and frame.

    Raises:
        InputError: the folder's description is damaged.
    """
    settings, named = read_description(folder)
    writer = WRITERS[check_layout(named)]
    places = [settings.place(index) for index in range(len(settings))]
    frames = {
        path: f"scene {scene}, frame {frame}"
        for scene, frame in places
        for path in writer.paths(settings, scene, frame)
    }
    around = writer.index_files(settings, {place: draw_factors(settings, *place) for place in places})
    return differences(folder, dict.fromkeys((*around, FACTORS, OBJECTS, DESCRIPTION), "") | frames)
