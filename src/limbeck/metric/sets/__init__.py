"""The sets of photographs: one module each, which ends with what limbeck needs to know of it, its `SET`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from limbeck.metric.dataset import MetricDataset, refuse_shared_classes
from limbeck.registry import member, members


@dataclass(frozen=True)
class MetricSet:
    """A set of photographs, as recipes and the command know it.

    Attributes:
        name: `--data.set NAME`; no set of people may have it, as both stand in `limbeck data check NAME`.
        title: what it is, in one line, with its official counts.
        load: `(root) -> MetricDataset`.
        check: what is wrong with a copy of it, one line per finding, empty where its counts are the official ones;
            None: there is nothing official to compare it with.
        protocol: that it is scored under where none is named, a name of `limbeck.retrieval.named_protocols`.
        root: what its root is, for messages.
    """

    name: str
    title: str
    load: Callable[[Path], MetricDataset]
    check: Callable[[MetricDataset], list[str]] | None
    protocol: str = "leave-one-out"
    root: str = "folder"


def metric_sets() -> dict[str, MetricSet]:
    """All sets by name: those of this package, and registered ones."""
    return members(MetricSet, sys.modules[__name__])


def metric_set(name: str) -> MetricSet:
    """The set of a name.

    Raises:
        InputError: there is none.
    """
    return member(MetricSet, sys.modules[__name__], name)


def load_photographs(name: str, root: Path) -> MetricDataset:
    """Read a set.

    Args:
        name: of the set.
        root: where it lies: its folder, table or array.

    Raises:
        InputError: there is no such set, it cannot be read, or two of its splits share a class.
    """
    photographs = metric_set(name).load(root)
    refuse_shared_classes(photographs)
    return photographs
