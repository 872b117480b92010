"""Tables as plain text."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table


def rendered(table: Table, *, width: int = 110) -> str:
    """A table as text, at a fixed width, without colour and without spaces at the ends of lines."""
    stream = io.StringIO()
    # What users name is theirs: brackets and colons in it are no markup.
    console = Console(file=stream, width=width, color_system=None, force_terminal=False, markup=False, emoji=False)
    console.print(table)
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines())
