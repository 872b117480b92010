"""Pages: whole in themselves, escaped, well formed."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limbeck.reporting.html import Cell, Page

VOID = {"meta", "img", "source"}
HOSTILE = "<script>alert('x')</script> \" & \x00 \udcff"


class Read(HTMLParser):
    """What stands in a page; fails on a tag that is closed out of order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def dot(width: int = 3, height: int = 2) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(stream, format="PNG")
    return stream.getvalue()


def test_everything_given_is_on_the_page_and_nothing_else_is_markup() -> None:
    page = Page(HOSTILE)
    page.heading(HOSTILE)
    page.heading("part", level=3)
    page.paragraph(HOSTILE)
    page.bullets([HOSTILE, "two"])
    page.bullets([])
    page.table(["name", HOSTILE], [[HOSTILE, "1.5"]], HOSTILE)
    page.picture(dot(), HOSTILE, HOSTILE, link="a b/<c>.png")
    page.links([(HOSTILE, HOSTILE), ("javascript:alert(1)", "no scheme")])
    found = Read(page.html())
    assert found.all("script") == []
    assert "".join(found.text).count("<script>alert('x')</script> \" & \ufffd \ufffd") == 11
    (image,) = found.all("img")
    assert image["alt"] == HOSTILE.replace("\x00", "\ufffd").replace("\udcff", "\ufffd")
    assert (image["width"], image["height"]) == ("3", "2")
    kind, _, data = str(image["src"]).partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == dot()
    addresses = [str(link["href"]) for link in found.all("a")]
    assert addresses[0] == "a%20b/%3Cc%3E.png"
    assert addresses[2] == "javascript%3Aalert%281%29"
    assert [len(found.all(tag)) for tag in ("h1", "h2", "h3", "li", "figure", "figcaption")] == [1, 1, 1, 4, 2, 2]
    assert any("Content-Security-Policy" in meta.values() for meta in found.all("meta"))


def test_columns_of_numbers_are_flush_right() -> None:
    page = Page("t")
    page.table(["name", "value", "gap"], [["a1", "-1.5 ± 2", "–"], ["b", "7", ""]])
    cells = Read(page.html()).all("td")
    assert [cell.get("class") for cell in cells] == [None, "number", "number"] * 2
    page.table(["nothing"], [])
    assert Read(page.html()).all("th")[-1].get("class") is None


def test_goes_to_disk(tmp_path: Path) -> None:
    page = Page("Größe")
    page.write(tmp_path / "new" / "index.html")
    assert (tmp_path / "new" / "index.html").read_text(encoding="utf-8") == page.html()


def test_what_does_not_fit_is_refused() -> None:
    page = Page("t")
    with pytest.raises(ValueError, match="PNG"):
        page.picture(b"GIF89a", "alt")
    with pytest.raises(ValueError, match="row 1 has 1 cells for 2 headings"):
        page.table(["a", "b"], [["1", "2"], ["3"]])
    with pytest.raises(ValueError, match="level"):
        page.heading("h", level=1)


def test_plots_turn_dark_and_photographs_do_not() -> None:
    page = Page("t")
    page.picture(dot(), "a plot")
    page.picture(dot(), "photographs", photographs=True)
    page.picture(dot(3), "drawn twice", dark=dot(5))
    read = Read(page.html())
    assert [image.get("class") for image in read.all("img")] == ["plot", None, None]
    (source,) = read.all("source")
    assert source["media"] == "(prefers-color-scheme: dark)"
    assert base64.b64decode(str(source["srcset"]).partition(",")[2]) == dot(5)
    assert "@media screen and (prefers-color-scheme: dark)" in page.html()  # paper stays white


def test_a_grid_marks_right_and_wrong_by_more_than_colour() -> None:
    page = Page("t")
    page.grid(
        [
            Cell(dot(), "asked", "query\n<a>", query=True),
            Cell(dot(), "first", "1.", right=True),
            Cell(dot(), "second", "2.", right=False),
        ]
    )
    read = Read(page.html())
    assert [figure.get("class") for figure in read.all("figure")] == ["query", "right", "wrong"]
    for text in ("query\n&lt;a&gt;", "\u2713 1.", "\u2717 2."):
        assert f"<figcaption>{text}</figcaption>" in page.html()
    with pytest.raises(ValueError, match="PNG"):
        page.grid([Cell(b"GIF89a", "alt", "")])
