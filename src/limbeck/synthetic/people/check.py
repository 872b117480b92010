"""Comparing a folder of procedural people with what was drawn into it."""

from __future__ import annotations

from pathlib import Path

from limbeck.synthetic.folder import differences
from limbeck.synthetic.people.layouts import index_files, shots
from limbeck.synthetic.people.settings import check_layout
from limbeck.synthetic.people.table import DESCRIPTION, FACTORS, read_description


def is_procedural(folder: Path) -> bool:
    """Whether a folder says that `make_people` wrote it."""
    return (folder / DESCRIPTION).is_file()


def check_people(folder: Path) -> list[str]:
    """What is missing from, or was added to, a folder of procedural people: a line each, which names the identity.

    Raises:
        InputError: the folder's description is damaged.
    """
    settings, named = read_description(folder)
    layout = check_layout(named)
    drawn = shots(settings, layout)
    tables = dict.fromkeys((*index_files(settings, layout, drawn), FACTORS, DESCRIPTION), "")
    pictures = {shot.path: f"identity {shot.identity}, camera {shot.camera}" for shot in drawn}
    return differences(folder, tables | pictures)
