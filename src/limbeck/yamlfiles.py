"""Reading YAML: recipes, label maps and calibrations, whose size in memory is bounded before anything is made of them.

A YAML alias (`*name`) stands for a node that was written before (`&name`). Aliases of aliases multiply: nine lines may
stand for a billion nodes. So every document is counted as if its aliases were written out, on the parser's events,
which takes memory for nothing but the anchors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from limbeck.errors import InputError
from limbeck.files import first_line, read_text

MOST_NODES = 100_000
"""Values, lists and mappings of a document, its aliases written out. Recipes hold some hundred, label maps of large
sets some thousand; so many take a second and 100 MB."""

_DEEPEST = 64  # lists in lists: what is built of them is walked by functions that call themselves
_LONGEST_NUMBER = 400  # characters: float64 ends at 1e308, and Python refuses to print whole numbers of 4,300 digits
_NUMBER = re.compile(r"[-+]?\.?[0-9][0-9a-fA-FoxX_:.+-]*")


def read_yaml(file: Path) -> Any:
    """What a YAML file holds, in lists, dicts and plain values; nothing else is made.

    Raises:
        InputError: it cannot be read, is no YAML, or stands for more than `MOST_NODES` values.
    """
    text = read_text(file)
    check_yaml(text, f"{file}: ")
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{file}: is no YAML ({first_line(error)})") from None


def check_yaml(text: str, place: str = "") -> None:
    """Refuse a YAML document that stands for too much. What is no YAML is let pass, for its reader to say so.

    A string with an alias in it is looked at as well: where a number is expected, the parser of flags reads YAML
    inside of strings.

    Args:
        text: the document.
        place: what the message begins with.

    Raises:
        InputError: an alias stands inside of what it names, there are more than `MOST_NODES` values, lists are nested
            too deep, a number has too many digits, or a string holds a NUL, which no name of a file may.
    """
    _check_string(text, place, 0)


@dataclass
class _Open:
    """A list or mapping that has not ended: its anchor, and how many nodes it holds so far, itself included."""

    anchor: str | None
    nodes: int = 1


def _check(text: str, place: str, inside: int) -> None:
    sizes: dict[str, int] = {}
    above = [_Open(None, 0)]
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.CollectionStartEvent):
            above.append(_Open(event.anchor))
            _check_depth(inside + len(above), place)
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            ended = above.pop()
            nodes, anchor = ended.nodes, ended.anchor
        elif isinstance(event, yaml.AliasEvent):
            if any(one.anchor == event.anchor for one in above):
                raise InputError(f"{place}the YAML alias *{event.anchor} stands inside of what it names; write it out")
            nodes, anchor = sizes.get(str(event.anchor), 1), None
        elif isinstance(event, yaml.ScalarEvent):
            nodes, anchor = 1, event.anchor
            _check_number(event.value, place)
            if "\0" in event.value:
                raise InputError(f"{place}a string with a NUL in it is refused")
            # A document of one plain scalar is that scalar again.
            if "*" in event.value and "&" in event.value and len(event.value) < len(text):
                _check_string(event.value, place, inside + len(above))
        else:
            continue
        if anchor is not None:
            sizes[anchor] = nodes
        above[-1].nodes += nodes
        if above[-1].nodes > MOST_NODES:
            raise InputError(f"{place}stands for more than {MOST_NODES:,} values with its YAML aliases written out")


def _check_string(value: str, place: str, inside: int) -> None:
    _check_depth(inside, place)
    try:
        _check(value, place, inside)
    except yaml.YAMLError:
        return


def _check_depth(deep: int, place: str) -> None:
    if deep > _DEEPEST:
        raise InputError(f"{place}YAML nested more than {_DEEPEST} deep is refused")


def _check_number(value: str, place: str) -> None:
    if len(value) > _LONGEST_NUMBER and _NUMBER.fullmatch(value):
        raise InputError(f"{place}a number of {len(value):,} characters is refused")
