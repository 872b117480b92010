"""What a set of photographs holds, and whether that is what it should hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from limbeck.images.check import check_pictures, describe_depth
from limbeck.metric.dataset import describe
from limbeck.metric.sets import load_photographs, metric_set, metric_sets
from limbeck.reporting.progress import Progress
from limbeck.reporting.tables import format_table


def list_sets() -> str:
    """A table of the sets of photographs that can be read."""
    rows = [[one.name, one.title, one.protocol] for one in metric_sets().values()]
    headings = ("name", "what", "protocol")
    title = "Sets of photographs of classes, where you have them"
    return format_table(headings, rows, title=title, left=headings, width=130)


def describe_photographs(name: str, place: Path) -> str:
    """A table of a set: classes and pictures of every split."""
    photographs = load_photographs(name, place)
    headings = ("split", "classes", "pictures", "fewest of one")
    count = len(np.unique(photographs.label))
    title = f"{photographs.name}: {len(photographs):,} pictures of {count:,} classes"
    rows = [[*map(str, row)] for row in describe(photographs)]
    table = format_table(headings, rows, title=title, left=headings[:1])
    return table if photographs.images is not None else table + describe_depth(photographs)


def check_photographs(name: str, place: Path, *, decode: bool = True, progress: Progress | None = None) -> str:
    """Compare a set with its official counts and decode every picture.

    Args:
        name: of the set.
        place: where it lies.
        decode: open every picture too.
        progress: called with (pictures decoded, pictures in all).

    Returns:
        One line that says what was found in order.

    Raises:
        InputError: something is wrong: the first finding, and how many there are.
    """
    photographs, check = load_photographs(name, place), metric_set(name).check
    against = f"its {metric_set(name).root}" if check is None else "the official counts"
    wrong = [] if check is None else check(photographs)
    decode = decode and photographs.images is None
    return check_pictures(photographs, place, wrong, against=against, decode=decode, progress=progress)
