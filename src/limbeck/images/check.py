"""Whether a copy of a set of pictures is what it should be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from limbeck.errors import InputError
from limbeck.images.decoding import DEEP, deep_values, is_deep, read_image
from limbeck.images.sets import PictureSet
from limbeck.reporting.progress import Progress

_SHOWN = 5  # findings that a message spells out


def check_pictures(
    pictures: PictureSet,
    place: Path,
    wrong: Sequence[str],
    *,
    against: str,
    decode: bool = True,
    progress: Progress | None = None,
) -> str:
    """Refuse a set with findings, and decode every picture.

    Args:
        pictures: the set.
        place: where it lies, for messages.
        wrong: what was found wrong with it.
        against: what it was compared with, for the line that is returned.
        decode: open every picture too.
        progress: called with (pictures decoded, pictures in all).

    Returns:
        One line that says what was found in order.

    Raises:
        InputError: something is wrong: the first findings, and how many there are.
    """
    if wrong:
        more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise InputError(f"{place}: {'; '.join(wrong[:_SHOWN])}{more}")
    if decode:
        unreadable = []
        deep, lowest, highest = 0, DEEP, 0
        for position, path in enumerate(pictures.path):
            try:
                file = pictures.root / path
                read_image(file)
                if is_deep(file):
                    low, high = deep_values(file)
                    deep, lowest, highest = deep + 1, min(lowest, low), max(highest, high)
            except InputError as error:
                unreadable.append(str(error))
            if progress is not None:
                progress(position + 1, len(pictures))
        if unreadable:
            told = "; ".join(unreadable[:_SHOWN])
            raise InputError(f"{len(unreadable)} of {len(pictures)} pictures cannot be used: {told}")
        decoded = ", all of them readable"
        if deep:
            decoded += f"; {_depth_note(deep, len(pictures))}; their values run from {lowest} to {highest}"
    else:
        decoded = ""
    return f"{place}: {len(pictures)} pictures as in {against}{decoded}"


def describe_depth(pictures: PictureSet) -> str:
    """A line that says how grey pictures of 16 bits are read; empty where a set has none."""
    deep = sum(is_deep(pictures.root / path) for path in pictures.path)
    return f"{_depth_note(deep, len(pictures))}\n" if deep else ""


def _depth_note(deep: int, pictures: int) -> str:
    return (
        f"{deep} of {pictures} pictures are grey with 16 bits: 0 is read as black and {DEEP} as white, unless "
        "data.radiometric of a re-identification recipe says otherwise"
    )
