"""What a set of people holds, and whether that is what it should hold."""

from __future__ import annotations

from pathlib import Path

from limbeck.images.check import check_pictures, describe_depth
from limbeck.reid.dataset import describe
from limbeck.reid.sets import load_people, reid_set, reid_sets
from limbeck.reporting.progress import Progress
from limbeck.reporting.tables import format_table
from limbeck.synthetic.people.check import check_people as check_drawn
from limbeck.synthetic.people.check import is_procedural


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
    return table + note + describe_depth(people)


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
    wrong: list[str] = []
    if check is None:
        against = "its table"
    elif is_procedural(place):
        against, wrong = "what was drawn (procedural people)", check_drawn(place)
    else:
        against, wrong = "the official counts", check(people)
    return check_pictures(people, place, wrong, against=against, decode=decode, progress=progress)
