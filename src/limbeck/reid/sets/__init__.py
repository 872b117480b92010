"""The sets of people: one module each, which ends with what limbeck needs to know of it, its `SET`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from limbeck.errors import InputError
from limbeck.registry import member, members
from limbeck.reid.dataset import ReidDataset


@dataclass(frozen=True)
class ReidSet:
    """A set of people, as recipes and the command know it.

    Attributes:
        name: `--data.set NAME`.
        title: what it is, in one line, with its official counts.
        load: `(root, fold) -> ReidDataset`.
        check: what is wrong with a copy of it, one line per finding, empty where its counts are the official ones;
            None: there is nothing official to compare it with.
        protocol: that it is scored under where none is named, a name of `limbeck.retrieval.named_protocols`.
        folds: how many divisions it has, counted from 1.
        test: the split that nobody learned from: "test", or "held_out", the people that the training kept apart.
        root: what its root is, for messages.
    """

    name: str
    title: str
    load: Callable[[Path, int], ReidDataset]
    check: Callable[[ReidDataset], list[str]] | None
    protocol: str
    folds: int = 1
    test: str = "test"
    root: str = "folder"


def reid_sets() -> dict[str, ReidSet]:
    """All sets by name: those of this package, and registered ones."""
    return members(ReidSet, sys.modules[__name__])


def reid_set(name: str) -> ReidSet:
    """The set of a name.

    Raises:
        InputError: there is none.
    """
    return member(ReidSet, sys.modules[__name__], name)


def load_people(name: str, root: Path, *, fold: int = 1) -> ReidDataset:
    """Read a set.

    Args:
        name: of the set.
        root: where it lies: its folder, or its table.
        fold: which of its divisions, from 1.

    Raises:
        InputError: there is no such set or no such fold, or it cannot be read.
    """
    one = reid_set(name)
    if not 1 <= fold <= one.folds:
        raise InputError(f"fold must be from 1 to {one.folds}, as {name} has {one.folds}, not {fold}")
    return one.load(root, fold)
