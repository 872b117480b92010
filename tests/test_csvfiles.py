"""CSV files, read in whatever form others write them, and written in one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.refusals import refuses

from limbeck.csvfiles import open_csv, write_csv


def _read(path: Path) -> tuple[list[str], str, list[tuple[int, list[str]]]]:
    with open_csv(path) as table:
        return table.header, table.delimiter, list(table.rows)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_quotes_marks_and_empty_lines(tmp_path: Path, delimiter: str) -> None:
    rows = [["name ", '"b;;,,\t\t"'], ['"two\nlines"', " 1"], ['"a ""word"""', ""]]
    (tmp_path / "t.csv").write_bytes(
        b"\xef\xbb\xbf" + "\r\n\r\n".join(delimiter.join(row) for row in rows).encode() + b"\r\n"
    )
    assert _read(tmp_path / "t.csv") == (
        ["name", "b;;,,"],  # what stands between quotation marks is not counted; the tabs at the end are blanks
        delimiter,
        [(4, ["two\nlines", " 1"]), (6, ['a "word"', ""])],
    )


def test_a_single_column_and_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("name\na\n")
    assert _read(tmp_path / "t.csv") == (["name"], ",", [(2, ["a"])])
    (tmp_path / "t.csv").write_text("")
    assert _read(tmp_path / "t.csv") == ([], ",", [])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a,b\n1,2\n\n1\n", ", line 4: 1 cells, but the header has 2"),
        (b"a,b\n1,2,3\n", ", line 2: 3 cells, but the header has 2"),
        # Without this the last row's label would be all that follows.
        (b'a,b\n1,"x\n2,y\n', ", line 3: not a CSV file (unexpected end of data); look for a quotation mark"),
        (b'"a,b\n1,2\n', ", line 2: not a CSV file (unexpected end of data)"),
        (b'a,b\n"1"2,3\n', ", line 2: not a CSV file"),
        (b"a,b\n\xff,1\n", ": not a CSV file in UTF-8"),
        (b"a" * (2**22 + 1), ": has a line of more than 4,194,304 characters"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    refuses(lambda: _read(tmp_path / "t.csv"), f"{tmp_path / 't.csv'}{words}")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    refuses(lambda: _read(tmp_path / "none.csv"), "none.csv: cannot be read (No such file")
    refuses(lambda: _read(tmp_path), f"{tmp_path}: cannot be read (Is a directory)")
    os.mkfifo(tmp_path / "pipe.csv")
    refuses(lambda: _read(tmp_path / "pipe.csv"), "pipe.csv: is a pipe or a device")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    rows = [["name", "x"], ['a, "b"', 0.1], ["two\nlines", None], ["ö", -1.5e-300]]
    write_csv(tmp_path / "new" / "t.csv", rows)
    header, delimiter, found = _read(tmp_path / "new" / "t.csv")
    assert (header, delimiter) == (rows[0], ",")
    assert [cells for _, cells in found] == [["" if cell is None else str(cell) for cell in row] for row in rows[1:]]
    with pytest.raises(ZeroDivisionError):
        write_csv(tmp_path / "new" / "t.csv", ([1 / number] for number in (1, 0)))
    assert _read(tmp_path / "new" / "t.csv")[0] == header


def test_names_that_are_not_utf_8_are_written(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", [["path"], [os.fsdecode(b"\xff.png")]])
    assert (tmp_path / "t.csv").read_text() == "path\n\\udcff.png\n"
