"""One HTML page that is whole in itself: it opens from disk, asks no network for anything and runs no script."""

from __future__ import annotations

import base64
import os
import re
import struct
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from limbeck.files import write_text

_PNG = b"\x89PNG\r\n\x1a\n"
# What a column of numbers holds: such columns are set flush right.
_NUMBER = re.compile(r"[-+−]?\d|[–-]?$|nan$")

_STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --paper: #ffffff; --soft: #5a5a5a; --line: #d0d0d0; --link: #0b57a4;
  --right: #00805a; --wrong: #c8321e; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --paper: #17181a; --soft: #a9a9a9; --line: #44474b; --link: #8cbcf0;
    --right: #2fb98a; --wrong: #f0705c; }
  /* White paper becomes that of the page and black ink light; the second step gives colours their hue back. */
  figure img.plot { filter: invert(.907) hue-rotate(180deg); }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 76rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; padding-top: .5rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .25rem; }
p, li, figcaption { max-width: 48rem; }
p, ul { margin: .5rem 0 1rem; }
a { color: var(--link); }
figure { margin: 1rem 0 2rem; }
figure img { display: block; max-width: 100%; height: auto; background: #ffffff; border-radius: 4px; }
figcaption { color: var(--soft); font-size: .9rem; margin-top: .5rem; white-space: pre-line; }
.grid { display: flex; flex-wrap: wrap; gap: .75rem; margin: .5rem 0 2rem; }
.grid figure { margin: 0; width: min-content; min-width: 6.5rem; }
.grid figure.query { margin-right: 1.25rem; }
.grid img { max-width: none; background: none; border: 3px solid transparent; border-radius: 0; }
.grid .right img { border-color: var(--right); }
.grid .wrong img { border-color: var(--wrong); }
.grid figcaption { font-size: .8rem; line-height: 1.3; margin-top: .2rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .88rem; }
th, td { padding: .35rem .55rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line);
  white-space: pre; }
th { border-bottom-width: 2px; }
th.number, td.number { text-align: right; }
@media print {
  :root { --ink: #000000; --paper: #ffffff; --soft: #333333; --line: #999999; --link: #000000; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  .table { overflow-x: visible; }
  h2, h3 { break-after: avoid; }
  tr, figcaption { break-inside: avoid; }
  figure img { max-height: 24cm; width: auto; }
}
"""


@dataclass(frozen=True)
class Cell:
    """A picture of a row of pictures.

    Attributes:
        png: the bytes of a PNG file.
        alt: what it shows, for those who do not see it.
        caption: below it; of a right or wrong one a tick or a cross stands before it.
        right: whether it is right, which a green or a red frame shows; None: there is no frame.
        query: what the others are an answer to: it stands apart.
    """

    png: bytes
    alt: str
    caption: str
    right: bool | None = None
    query: bool = False


class Page:
    """A page, built from top to bottom. All text is escaped; nothing that is given can become markup.

    Args:
        title: of the page, also its first heading.

    Example:
        >>> page = Page("Figures of a < b")
        >>> page.table(["protocol", "mAP"], [["regdb-v2i", "81.20"]], "Per cent.")
        >>> "<h1>Figures of a &lt; b</h1>" in page.html()
        True
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._body: list[str] = []

    def heading(self, text: str, *, level: int = 2) -> None:
        """A heading of a section (level 2) or of a part of one (level 3).

        Raises:
            ValueError: the level is another.
        """
        if level not in (2, 3):
            raise ValueError(f"level must be 2 or 3, not {level}")
        self._body.append(f"<h{level}>{_text(text)}</h{level}>")

    def paragraph(self, text: str) -> None:
        """A paragraph of plain text."""
        self._body.append(f"<p>{_text(text)}</p>")

    def bullets(self, items: Sequence[str]) -> None:
        """A bullet for each item; nothing for none."""
        if items:
            self._body.append("<ul>" + "".join(f"<li>{_text(item)}</li>" for item in items) + "</ul>")

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> None:
        """A table that scrolls sideways where it is wider than the screen; columns of numbers are flush right.

        Args:
            headings: (columns,).
            rows: of (columns,) cells; a line break in a cell is kept.
            caption: below the table.

        Raises:
            ValueError: a row has another number of cells than there are headings.
        """
        for number, row in enumerate(rows):
            if len(row) != len(headings):
                raise ValueError(f"row {number} has {len(row)} cells for {len(headings)} headings")
        flush = [bool(rows) and all(_NUMBER.match(row[column]) for row in rows) for column in range(len(headings))]
        classes = [' class="number"' if right else "" for right in flush]
        head = "".join(
            f'<th scope="col"{kind}>{_text(cell)}</th>' for cell, kind in zip(headings, classes, strict=True)
        )
        body = "".join(
            "<tr>"
            + "".join(f"<td{kind}>{_text(cell)}</td>" for cell, kind in zip(row, classes, strict=True))
            + "</tr>\n"
            for row in rows
        )
        # The caption stands outside what scrolls, so that a narrow screen wraps it instead of cutting it.
        below = f"<figcaption>{_text(caption)}</figcaption>" if caption else ""
        self._body.append(
            f'<figure><div class="table" tabindex="0"><table><thead><tr>{head}</tr></thead>\n'
            f"<tbody>\n{body}</tbody></table></div>{below}</figure>"
        )

    def picture(
        self,
        png: bytes,
        alt: str,
        caption: str = "",
        *,
        link: str | None = None,
        photographs: bool = False,
        dark: bytes | None = None,
    ) -> None:
        """A picture, kept inside the page; where the reader's screen is dark, a plot is shown light on dark.

        Args:
            png: the bytes of a PNG file.
            alt: what it shows, for those who do not see it.
            caption: below the picture.
            link: the same picture as a file beside the page, opened by a click; for wide ones on small screens.
            photographs: there are photographs in it, whose colours stay as they are on dark screens.
            dark: the picture as it is shown on dark screens, where it was drawn for them.

        Raises:
            ValueError: the bytes are not a PNG.
        """
        image = _image(png, alt, "" if photographs or dark is not None else "plot")
        if dark is not None:
            source = f'<source media="(prefers-color-scheme: dark)" srcset="{_embedded(dark)}">'
            image = f"<picture>{source}{image}</picture>"
        if link is not None:
            image = f'<a href="{_address(link)}">{image}</a>'
        below = f"<figcaption>{_text(caption)}</figcaption>" if caption else ""
        self._body.append(f"<figure>{image}{below}</figure>")

    def grid(self, cells: Sequence[Cell]) -> None:
        """Pictures beside one another, in their own sizes, each above its caption.

        Raises:
            ValueError: the bytes of one are not a PNG.
        """
        shown = []
        for cell in cells:
            kinds = ["query"] * cell.query + ([] if cell.right is None else ["right" if cell.right else "wrong"])
            kind = f' class="{" ".join(kinds)}"' if kinds else ""
            sign = "" if cell.right is None else "\u2713 " if cell.right else "\u2717 "
            below = f"<figcaption>{sign}{_text(cell.caption)}</figcaption>"
            shown.append(f"<figure{kind}>{_image(cell.png, cell.alt)}{below}</figure>")
        self._body.append(f'<div class="grid">{"".join(shown)}</div>')

    def links(self, files: Sequence[tuple[str, str]]) -> None:
        """A list of files beside the page.

        Args:
            files: (path from the page's folder with forward slashes, what the file holds) of each.
        """
        items = "".join(f'<li><a href="{_address(path)}">{_text(path)}</a>: {_text(what)}</li>' for path, what in files)
        self._body.append(f"<ul>{items}</ul>")

    def html(self) -> str:
        """The whole page."""
        title = _text(self.title)
        # The policy holds browsers to what this module promises: no script, nothing from anywhere else.
        policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
            + "\n".join(self._body)
            + "\n</main>\n</body>\n</html>\n"
        )

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the page, atomically.

        Raises:
            OSError: the folder cannot be made, or the disk is full.
        """
        write_text(path, self.html())


def _image(png: bytes, alt: str, kind: str = "") -> str:
    """The element of a picture."""
    source = _embedded(png)
    width, height = struct.unpack(">II", png[16:24])
    named = f' class="{kind}"' if kind else ""
    return f'<img{named} src="{source}" alt="{_text(alt)}" width="{width}" height="{height}">'


def _embedded(png: bytes) -> str:
    """A picture as an address."""
    if not png.startswith(_PNG) or len(png) < 24:
        raise ValueError("png must be the bytes of a PNG file")
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _text(text: str) -> str:
    """Escaped; control characters and halves of surrogate pairs, which HTML and UTF-8 do not hold, become U+FFFD."""
    kept = (c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs") else "\ufffd" for c in text)
    return escape("".join(kept))


def _address(path: str) -> str:
    """A relative address; colons are quoted too, so that no path can name a scheme."""
    return escape(quote(path.encode("utf-8", "surrogateescape"), safe="/"))
