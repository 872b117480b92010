"""YAML that stands for more than it is written in is refused before anything is made of it."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import pytest
import yaml

from limbeck.errors import InputError
from limbeck.yamlfiles import MOST_NODES, check_yaml, read_yaml

RING = "a: &a [*a]\n"


def bomb(levels: int) -> str:
    """10 to the power of `levels` values in some thirty characters a level."""
    lines = ["l0: &l0 [" + ",".join("x" * 10) + "]"]
    lines += [f"l{level}: &l{level} [{','.join([f'*l{level - 1}'] * 10)}]" for level in range(1, levels)]
    return "\n".join(lines) + "\n"


def written_out(value: object) -> int:
    """Values of a document with its aliases written out, counted on what PyYAML makes of it."""
    if isinstance(value, dict):
        return 1 + sum(1 + written_out(held) for held in value.values())
    return 1 + sum(map(written_out, value)) if isinstance(value, list) else 1


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_aliases_that_stand_for_little_are_read(tmp_path: Path, levels: int) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(bomb(levels))
    held = read_yaml(file)
    assert held == yaml.safe_load(bomb(levels))
    assert written_out(held) <= MOST_NODES


def test_the_bound_counts_aliases_as_they_are_written_out(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    # The mapping, two keys, the list of `count` and itself twice.
    for count, fits in ((MOST_NODES // 2 - 3, True), (MOST_NODES // 2, False)):
        text = f"a: &a [{','.join('1' * count)}]\nb: *a\n"
        assert (written_out(yaml.load(text, yaml.CSafeLoader)) <= MOST_NODES) == fits
        file.write_text(text)
        if fits:
            assert len(read_yaml(file)["b"]) == count
        else:
            with pytest.raises(InputError, match=r"a\.yaml: stands for more than 100,000 values"):
                read_yaml(file)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (bomb(9), "stands for more than 100,000 values"),
        (RING, r"the YAML alias \*a stands inside of what it names"),
        ("a: &a {<<: *a}\n", r"the YAML alias \*a stands inside"),
        ("[" * 2000, "nested more than 64 deep"),
        (f"a: {'9' * 5000}\n", "a number of 5,000 characters"),
        (f"a: 0x{'f' * 5000}\n", "a number of 5,002 characters"),
        ("a: [1\n", "is no YAML"),
        ("a: 2001-99-99\n", "is no YAML"),
        (f"epochs: '{bomb(9)[:-1]}'\n".replace("\n", "\n\n  "), "stands for more than"),
    ],
)
def test_documents_that_grow_are_one_line(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(InputError, match=told) as caught:
            read_yaml(file)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.process_time() - start < 5
    assert peak < 2**22
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{file}: ")


def test_plain_words_and_paths_are_let_pass() -> None:
    for text in ("./" + "long/" * 200 + "name.npz", "*.npz", "a & b * c", "'{'", "R&D: *", "1e-3", "", "\0"):
        check_yaml(text)


def test_strings_in_strings_end() -> None:
    text = "x & *y"
    for level in range(80):
        text = "|\n" + "\n".join(" " * (level % 2 + 1) + line for line in text.splitlines())
    with pytest.raises(InputError, match="nested more than 64 deep"):
        check_yaml(text)
