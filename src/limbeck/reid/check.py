"""What a set of people holds, and whether that is what it should hold."""

from __future__ import annotations

from pathlib import Path

from limbeck.errors import InputError
from limbeck.images.decoding import read_image
from limbeck.reid.dataset import describe
from limbeck.reid.sets import load_people, reid_set, reid_sets
from limbeck.reporting.progress import Progress
from limbeck.reporting.tables import format_table
from limbeck.synthetic.people.check import check_people as check_drawn
from limbeck.synthetic.people.check import is_procedural

_SHOWN = 5  # findings that a message spells out


def list_sets() -> str:
    """A table of the sets of people that can be read."""
    rows = [[one.name, one.title, str(one.folds), one.protocol] for one in reid_sets().values()]
    headings = ("name", "what", "folds", "protocol")
    title = "Sets of people, where you have them"
    return format_table(headings, rows, title=title, left=("name", "what", "protocol"), width=130)


def describe_people(name: str, place: Path) -> str:
    """A table of a set: identities and pictures of every split, camera and modality."""
    people = load_people(name, place)
    headings = ("split", "camera", "identities", "pictures", "fewest of one")
    title = f"{people.name}: {len(people)} pictures of {len(set(people.identity.tolist()))} people"
    table = format_table(headings, [[*map(str, row)] for row in describe(people)], title=title, left=headings[:2])
    folds = reid_set(name).folds
    note = f"fold 1 of {folds}\n" if folds > 1 else ""
    return table + note


def check_people(name: str, place: Path, *, decode: bool = True, progress: Progress | None = None) -> str:
    """Compare a set with its official counts (procedural people: with what was drawn) and decode every picture.

    Args:
        name: of the set.
        place: its folder; the file for "csv".
        decode: open every picture too.
        progress: called with (pictures decoded, pictures in all).

    Returns:
        One line that says what was found in order.

    Raises:
        InputError: something is wrong: the first finding, and how many there are.
    """
    people, check = load_people(name, place), reid_set(name).check
    if check is None:
        against, wrong = "its table", []
    elif is_procedural(place):
        against, wrong = "what was drawn (procedural people)", check_drawn(place)
    else:
        against, wrong = "the official counts", check(people)
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
