"""Lists of pictures in text files, as the sets have them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from limbeck.errors import InputError
from limbeck.files import read_text


def at_or_below(root: Path, file: str, folder: str) -> Path:
    """The folder that holds a file: the one given, or the one of the archive's name in it.

    Raises:
        InputError: neither does.
    """
    for home in (root, root / folder):
        if (home / file).is_file():
            return home
    raise InputError(f"{root}: holds no {file}; give the folder {folder} of the set")


def words_of(file: Path, count: int, example: str, *, skip: int = 0) -> Iterator[list[str]]:
    """Yield the words of every line that is not empty; the last may hold spaces.

    Args:
        file: the list.
        count: of words a line.
        example: a line as it should be, for messages.
        skip: lines of heading.

    Raises:
        InputError: there is no such file, or a line has fewer words.
    """
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        if number <= skip or not line.strip():
            continue
        words = line.split(maxsplit=count - 1)
        if len(words) != count:
            raise InputError(f"{file}: line {number} must be like {example!r}, not {line!r}")
        yield [word.strip() for word in words]
