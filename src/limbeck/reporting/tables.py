"""Tables as plain text."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Sequence

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table


def format_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    title: str = "",
    title_left: bool = False,
    left: Collection[str] | None = None,
    no_wrap: Collection[str] = (),
    fold: Collection[str] = (),
    width: int = 110,
) -> str:
    """A table as text: a line below the headings, columns flush right but for the first.

    Args:
        headings: (columns,).
        rows: of (columns,) cells; a line break in a cell is kept.
        title: above the table.
        title_left: the title is flush left; else it is centred.
        left: headings of the columns that are flush left; None: the first one.
        no_wrap: headings of the columns whose cells are never broken into lines: a column too narrow cuts them.
        fold: headings of the columns whose words are broken where they are longer than the column is wide.
        width: of the text.

    Example:
        >>> print(format_table(["row", "mAP"], [["E", "57.35"], ["VD", "66.70"]]), end="")
        <BLANKLINE>
          row     mAP
         ─────────────
          E     57.35
          VD    66.70
        <BLANKLINE>
    """
    flush_left = headings[:1] if left is None else left
    table = Table(title=title or None, title_justify="left" if title_left else "center", box=SIMPLE)
    for heading in headings:
        table.add_column(
            heading,
            justify="left" if heading in flush_left else "right",
            no_wrap=heading in no_wrap,
            overflow="fold" if heading in fold else "ellipsis",
        )
    for row in rows:
        table.add_row(*row)
    return rendered(table, width=width)


def rendered(table: Table, *, width: int = 110) -> str:
    """A table as text, at a fixed width, without colour and without spaces at the ends of lines."""
    stream = io.StringIO()
    # What users name is theirs: brackets and colons in it are not markup.
    console = Console(file=stream, width=width, color_system=None, force_terminal=False, markup=False, emoji=False)
    console.print(table)
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines())
