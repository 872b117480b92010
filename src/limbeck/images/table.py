"""Pictures listed in a CSV file, one a line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from limbeck.csvfiles import open_csv
from limbeck.errors import InputError
from limbeck.files import resolved


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
    with open_csv(file) as table:
        missing = [name for name in columns if name not in table.header]
        if missing:
            raise InputError(f"{file}: the column {missing[0]!r} is missing; there are: {', '.join(table.header)}")
        rows = {line: dict(zip(table.header, cells, strict=True)) for line, cells in table.rows}
    if not rows:
        raise InputError(f"{file}: lists no picture")
    root = resolved(file.parent)
    seen: set[str] = set()
    for line, row in rows.items():
        where = f"{file}, line {line}"
        told = wrong(row)
        if told is not None:
            raise InputError(f"{where}: {told}")
        if not resolved(root / row["path"]).is_relative_to(root):
            raise InputError(f"{where}: {row['path']!r} lies outside the folder of the table")
        if row["path"] in seen:
            raise InputError(f"{where}: {row['path']!r} is listed twice")
        if not (root / row["path"]).is_file():
            raise InputError(f"{where}: there is no file {row['path']!r}")
        seen.add(row["path"])
    return list(rows.values())
