"""Pictures listed in a CSV file, one a line."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

from limbeck.errors import InputError
from limbeck.files import bounded_lines


def picture_rows(
    file: Path, columns: Sequence[str], wrong: Callable[[dict[str, str]], str | None]
) -> list[dict[str, str]]:
    """The lines of a CSV with a header, each by its columns; `path` is one of them.

    Paths are relative to the file's folder and may not leave it.

    Args:
        file: the table.
        columns: that must be there, beside others.
        wrong: called with a line, says what is wrong with it; None: nothing.

    Raises:
        InputError: the file or a picture is missing, a path leaves the folder or stands twice, or a line is wrong.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(bounded_lines(stream, file), strict=True)
            header = reader.fieldnames or []
            missing = [name for name in columns if name not in header]
            if missing:
                raise InputError(f"{file}: the column {missing[0]!r} is missing; there are: {', '.join(header)}")
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if not rows:
        raise InputError(f"{file}: lists no picture")
    root = file.parent.resolve()
    seen: set[str] = set()
    for line, row in enumerate(rows, start=2):
        where = f"{file}: line {line}"
        if None in row or None in row.values():
            raise InputError(f"{where}: has another number of fields than the header")
        told = wrong(row)
        if told is not None:
            raise InputError(f"{where}: {told}")
        if not (root / row["path"]).resolve().is_relative_to(root):
            raise InputError(f"{where}: {row['path']!r} lies outside the folder of the table")
        if row["path"] in seen:
            raise InputError(f"{where}: {row['path']!r} is listed twice")
        if not (root / row["path"]).is_file():
            raise InputError(f"{where}: there is no file {row['path']!r}")
        seen.add(row["path"])
    return rows
