"""CSV files: read in whatever form others write them, and written so that no spreadsheet runs what stands in a name."""

from __future__ import annotations

import csv
import itertools
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.errors import InputError
from limbeck.files import atomic_writer, bounded_lines, check_regular, first_line

_DELIMITERS = ",;\t"
_QUOTED = re.compile(r'"[^"]*"')
_SPECIAL = re.compile(r'[,;"\t\r\n]')
# What a spreadsheet takes for a formula (OWASP, "CSV Injection"; the last four are their wide forms), and what else
# begins like one: numbers, and texts that were guarded already.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|nan)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class CsvTable:
    """An open CSV file.

    Attributes:
        header: the names of its columns, without blanks around them, unguarded as the cells are.
        delimiter: what stands between its cells.
        rows: the number of a row's last line in the file, from 1, and its cells, as many as there are columns; empty
            lines are left out. They are read as they are asked for. The quote that `guarded` puts before a text is not
            part of it.
    """

    header: list[str]
    delimiter: str
    rows: Iterator[tuple[int, list[str]]]


@contextmanager
def open_csv(path: Path) -> Iterator[CsvTable]:
    """Open a CSV file in UTF-8 with a header, whose delimiter is a comma, a semicolon or a tab.

    It is the one of these that stands most often in the header outside of quotation marks.

    Raises:
        InputError: on entering or in the block: the file cannot be read, is not in UTF-8, has a line that is too long
            (`limbeck.files.LONGEST_LINE`), a row with more or fewer cells than the header, or a quotation mark that is
            not closed, or closed within a cell.
    """
    try:
        check_regular(path)
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = bounded_lines(stream, path)
            first = next(lines, "")
            delimiter = max(_DELIMITERS, key=_QUOTED.sub("", first).count)
            reader = csv.reader(itertools.chain([first], lines), delimiter=delimiter, strict=True)
            try:
                header = [_unguarded(name.strip()) for name in next(reader, [])]
                yield CsvTable(header, delimiter, _rows(reader, len(header), path))
            except csv.Error as error:
                raise InputError(
                    f"{path}, line {reader.line_num}: not a CSV file ({first_line(error)}); look for a quotation mark "
                    "that is not closed"
                ) from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a CSV file in UTF-8 ({first_line(error)}); save it in that encoding") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


def _rows(reader: Any, columns: int, path: Path) -> Iterator[tuple[int, list[str]]]:
    for row in reader:
        if row:
            if len(row) != columns:
                raise InputError(f"{path}, line {reader.line_num}: {len(row)} cells, but the header has {columns}")
            # Of a million cells hardly one is guarded: to look at each would take as long as to read them.
            yield reader.line_num, [_unguarded(cell) for cell in row] if "'" in "".join(row) else row


def guarded(text: str) -> str:
    """A text with a single quote before it where a spreadsheet would take it for a formula and run it.

    That is where it begins with `=`, `+`, `-`, `@`, a tab or a line's end, behind any number of single quotes, and is
    no number. `open_csv` takes away one quote before such a text, so that every text is read again as it was.

    Example:
        >>> [guarded(text) for text in ("=1+1", "-1.5", "-a", "'-a", "a=b", "'a'")]
        ["'=1+1", '-1.5', "'-a", "''-a", 'a=b', "'a'"]
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _unguarded(text: str) -> str:
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    r"""Rows of cells as lines of comma-separated text, each text `guarded`; None is an empty cell.

    Example:
        >>> csv_text([("name", "ap"), ("a, b", 0.5), ("c", None)])
        'name,ap\n"a, b",0.5\nc,\n'
    """
    return "".join((",".join(map(_cell, row)) or '""') + "\n" for row in rows)


def _cell(value: object) -> str:
    """In quotation marks where it holds what separates cells here or, in other countries, in a spreadsheet."""
    if isinstance(value, int | float):
        return str(value)
    text = "" if value is None else guarded(str(value))
    return '"' + text.replace('"', '""') + '"' if _SPECIAL.search(text) else text


def write_csv(path: str | os.PathLike[str], rows: Iterable[Iterable[object]]) -> None:
    """Write the `csv_text` of some rows as UTF-8, atomically.

    File names need not be UTF-8: bytes that are none are written as a backslash and their number.

    Raises:
        OSError: the folder cannot be made, or the disk is full.
    """
    content = csv_text(rows).encode("utf-8", "backslashreplace")
    with atomic_writer(path) as stream:
        stream.write(content)
