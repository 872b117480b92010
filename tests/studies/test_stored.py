from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

import limbeck
from limbeck.errors import InputError
from limbeck.studies.stored import read_stored, write_stored

REMEDY = "remove it to run the row again"


@dataclass(frozen=True)
class Row:
    values: tuple[float, ...]


def test_a_result_comes_back_to_what_made_it(tmp_path: Path) -> None:
    file, made_by = tmp_path / "rows" / "one.json", {"seed": 1, "points": (0.5, 1.0)}
    assert read_stored(Row, file, made_by, REMEDY) is None
    write_stored(file, made_by, Row((0.25, 0.5)))
    assert read_stored(Row, file, made_by, REMEDY) == Row((0.25, 0.5))


@pytest.mark.parametrize("made_by", [{}, {"seed": 2}, {"seed": 1, "rows": 5}])
def test_a_result_of_something_else_is_refused(tmp_path: Path, made_by: dict[str, int]) -> None:
    file = tmp_path / "one.json"
    write_stored(file, {"seed": 1}, Row((0.5,)))
    with pytest.raises(InputError, match=r"one\.json: was made by other settings or data, .*; name another folder"):
        read_stored(Row, file, made_by, REMEDY)


def test_a_result_of_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "one.json"
    write_stored(file, {"seed": 1}, Row((0.5,)))
    monkeypatch.setattr(limbeck, "__version__", "9.9")
    with pytest.raises(InputError, match="another version of limbeck"):
        read_stored(Row, file, {"seed": 1}, REMEDY)


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"made_by": {}}', '{"made_by": {}, "values": "much"}', '{"made_by": {}, "more": 1}']
)
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, text: str) -> None:
    file = tmp_path / "one.json"
    file.write_text(text)
    with pytest.raises(InputError, match=rf"one\.json: damaged .*; {REMEDY}"):
        read_stored(Row, file, {}, REMEDY)


def test_the_file_says_what_made_it(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    write_stored(file, {"seed": 1}, Row((0.5,)))
    assert json.loads(file.read_text()) == {
        "made_by": {"seed": 1, "limbeck": limbeck.__version__},
        "values": [0.5],
    }
