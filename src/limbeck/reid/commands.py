"""What the verbs on sets of people say."""

from __future__ import annotations

from pathlib import Path

from rich.box import SIMPLE
from rich.table import Table

from limbeck.errors import InputError
from limbeck.images.decoding import read_image
from limbeck.reid.dataset import ReidDataset, describe
from limbeck.reid.sets.llcm import check_llcm, load_llcm
from limbeck.reid.sets.regdb import check_regdb, load_regdb
from limbeck.reid.sets.sysu import check_sysu, load_sysu
from limbeck.reid.sets.table import load_table
from limbeck.reporting.progress import Progress
from limbeck.reporting.tables import rendered
from limbeck.synthetic.people.check import check_people, is_procedural

_SHOWN = 5  # findings that a message spells out

SETS = {
    "sysu": "SYSU-MM01: 491 people, 4 visible and 2 infrared cameras, 30,071 + 15,792 images",
    "regdb": "RegDB: 412 people, ten visible and ten thermal images each",
    "llcm": "LLCM: 1,064 people, 9 cameras, 25,626 visible and 21,141 infrared images",
    "csv": "your own pictures in a CSV file with the columns path, identity, modality and maybe camera",
}


def load_people(name: str, place: Path, *, fold: int = 1) -> ReidDataset:
    """Read a set by its name.

    Args:
        name: of `SETS`.
        place: its folder; the file for "csv".
        fold: of RegDB, from 1 to 10.

    Raises:
        InputError: there is no such set, or it cannot be read.
    """
    match name:
        case "sysu":
            return load_sysu(place)
        case "regdb":
            return load_regdb(place, fold=fold)
        case "llcm":
            return load_llcm(place)
        case "csv":
            return load_table(place)
    raise InputError(f"there is no set {name!r}: choose from {', '.join(SETS)}")


def describe_people(name: str, place: Path) -> str:
    """A table of a set: identities and pictures of every split, camera and modality."""
    people = load_people(name, place)
    table = Table(
        title=f"{people.name}: {len(people)} pictures of {len(set(people.identity.tolist()))} people", box=SIMPLE
    )
    for heading in ("split", "camera", "identities", "pictures", "fewest of one"):
        table.add_column(heading, justify="left" if heading in {"split", "camera"} else "right")
    for split, cell, identities, pictures, fewest in describe(people):
        table.add_row(split, cell, str(identities), str(pictures), str(fewest))
    note = "fold 1 of 10\n" if name == "regdb" else ""
    return rendered(table) + note


def check_set(name: str, place: Path, *, decode: bool = True, progress: Progress | None = None) -> str:
    """Compare a set with its official counts (procedural people: with what was drawn) and decode every picture.

    Args:
        name: of `SETS`.
        place: its folder; the file for "csv".
        decode: open every picture too.
        progress: called with (pictures decoded, pictures in all).

    Returns:
        One line that says what was found in order.

    Raises:
        InputError: something is wrong: the first finding, and how many there are.
    """
    people = load_people(name, place)
    against = "the official counts"
    if name != "csv" and is_procedural(place):
        against, wrong = "what was drawn (procedural people)", check_people(place)
    else:
        match name:
            case "sysu":
                wrong = check_sysu(people)
            case "regdb":
                wrong = check_regdb(place)
            case "llcm":
                wrong = check_llcm(people)
            case _:
                against, wrong = "its table", []
    if wrong:
        raise InputError(_findings(place, wrong))
    if decode:
        for position, path in enumerate(people.path):
            try:
                read_image(people.root / path)
            except InputError as error:
                wrong.append(str(error))
            if progress is not None:
                progress(position + 1, len(people))
        if wrong:
            raise InputError(f"{len(wrong)} of {len(people)} pictures cannot be used: {'; '.join(wrong[:_SHOWN])}")
    decoded = ", all of them readable" if decode else ""
    return f"{place}: {len(people)} pictures as in {against}{decoded}"


def _findings(place: Path, wrong: list[str]) -> str:
    more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return f"{place}: {'; '.join(wrong[:_SHOWN])}{more}"
