"""Comparing a folder of procedural people with what was drawn into it."""

from __future__ import annotations

from pathlib import Path

from limbeck.errors import InputError
from limbeck.files import read_json
from limbeck.synthetic.people.layouts import index_files, shots
from limbeck.synthetic.people.settings import PeopleSettings, check_layout
from limbeck.synthetic.people.table import DESCRIPTION, FACTORS


def is_procedural(folder: Path) -> bool:
    """Whether a folder says that `make_people` wrote it."""
    return (folder / DESCRIPTION).is_file()


def check_people(folder: Path) -> list[str]:
    """What is missing from, or was added to, a folder of procedural people: a line each, which names the identity.

    Raises:
        InputError: the folder's description is damaged.
    """
    try:
        described = read_json(folder / DESCRIPTION)
        settings, layout = PeopleSettings(**described["settings"]), check_layout(described["layout"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / DESCRIPTION}: cannot be read ({error}); make the people anew") from None
    drawn = shots(settings, layout)
    taken = {shot.path: shot for shot in drawn}
    known = {*taken, *index_files(settings, layout, drawn), FACTORS, DESCRIPTION}
    there = {
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*")
        if file.is_file() and not file.relative_to(folder).parts[0].startswith(".")
    }
    wrong = []
    for path in sorted(known - there):
        shot = taken.get(path)
        whose = f"identity {shot.identity}, camera {shot.camera}: " if shot else ""
        wrong.append(f"{whose}{path} is missing")
    return wrong + [f"{path} was not drawn" for path in sorted(there - known)]
