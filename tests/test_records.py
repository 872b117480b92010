"""Dataclasses survive JSON, and what JSON should not hold is refused by its name."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from limbeck.errors import InputError
from limbeck.files import read_json
from limbeck.records import from_json, reading


@dataclass(frozen=True)
class Interval:
    low: float
    high: float | None


@dataclass(frozen=True)
class Record:
    name: str
    kind: Literal["v", "z"]
    count: int
    done: bool
    intervals: dict[str, Interval]
    triple: tuple[float, float, float]
    words: tuple[str, ...]
    table: list[list[int]]
    anything: Any = None
    notes: dict[str, float] = field(default_factory=dict)


RECORD = Record(
    "é", "z", 3, True, {"nats": Interval(0.0, None)}, (0.1, -2.0, 3.0), ("a", "b"), [[1], []], {"x": [1]}, {"y": 1e-300}
)


def stored() -> dict[str, Any]:
    held: dict[str, Any] = json.loads(json.dumps(asdict(RECORD)))
    return held


def test_a_record_survives_json() -> None:
    assert from_json(Record, stored()) == RECORD
    assert from_json(Record, stored() | {"triple": [1, 2, 3]}).triple == (1.0, 2.0, 3.0)
    assert isinstance(from_json(Record, stored() | {"triple": [1, 2, 3]}).triple[0], float)


def test_defaults_stand_for_what_is_missing() -> None:
    held = stored()
    del held["anything"], held["notes"]
    assert from_json(Record, held) == Record(
        "é", "z", 3, True, RECORD.intervals, RECORD.triple, RECORD.words, RECORD.table
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": 3}, "name must be text, not 3"),
        ({"kind": "w"}, "kind must be one of v, z, not 'w'"),
        ({"kind": ["v"]}, r"kind must be one of v, z, not \['v'\]"),
        ({"count": 3.0}, "count must be a whole number, not 3.0"),
        ({"count": True}, "count must be a whole number, not True"),
        ({"count": 2**63}, "count must be a whole number, not 9223372036854775808"),
        ({"done": 1}, "done must be true or false, not 1"),
        ({"intervals": []}, r"intervals must be an object, not \[\]"),
        ({"intervals": {"nats": {"low": "0", "high": 1}}}, "intervals.nats.low must be a number, not '0'"),
        ({"intervals": {"nats": {"low": True, "high": 1}}}, "intervals.nats.low must be a number, not True"),
        ({"intervals": {"nats": {"high": 1}}}, "intervals.nats.low is missing"),
        ({"triple": [1, 2]}, r"triple must be a list of 3, not \[1, 2\]"),
        ({"triple": [1, 2, None]}, r"triple\[2\] must be a number, not None"),
        ({"triple": [1, 2, float("nan")]}, r"triple\[2\] must be a number, not nan"),
        ({"triple": [1, 2, 10**400]}, r"triple\[2\] must be a number, not 1000"),
        ({"words": "ab"}, "words must be a list, not 'ab'"),
        ({"table": [[1], 2]}, r"table\[1\] must be a list, not 2"),
        ({"more": 1, "also": 1}, "also is not known"),
    ],
)
def test_what_json_should_not_hold_is_refused_by_its_name(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}") as refused:
        from_json(Record, stored() | change)
    assert len(str(refused.value)) < 120
    assert "\n" not in str(refused.value)


def test_a_type_of_no_record_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(TypeError, match="records cannot be of the type"):
        from_json(complex, 1)


@pytest.mark.parametrize("content", ["", "[1]", "{", '{"low": 0}', '{"low": 0, "high": 1, "low": "x"}', "[" * 100_000])
def test_a_damaged_file_is_refused_in_one_line(content: str, tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    file.write_text(content)
    with (
        pytest.raises(InputError, match=r"record\.json: damaged \(.+\); remove it") as refused,
        reading(file, "remove it"),
    ):
        from_json(Interval, read_json(file))
    assert "\n" not in str(refused.value)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"damaged \('made_by' is missing\)"), reading(tmp_path / "x", "remove it"):
        {}["made_by"]
