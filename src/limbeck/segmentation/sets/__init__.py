"""The sets of LiDAR scans: one module each, which ends with what limbeck needs to know of it, its `SET`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from limbeck.registry import member, members
from limbeck.segmentation.dataset import SegmentationDataset


@dataclass(frozen=True)
class SegmentationSet:
    """A set of scans, as recipes and the command know it.

    Attributes:
        name: `--data.set NAME`; no set of another task may have it, as all stand in `limbeck data check NAME`.
        title: what it is, in one line, with its official counts.
        load: `(root) -> SegmentationDataset`.
        check: what is wrong with a copy of it, one line per finding, empty where its counts are the official ones;
            None: there is nothing official to compare it with.
        root: what its root is, for messages.
    """

    name: str
    title: str
    load: Callable[[Path], SegmentationDataset]
    check: Callable[[SegmentationDataset], list[str]] | None
    root: str = "folder"


def segmentation_sets() -> dict[str, SegmentationSet]:
    """All sets by name: those of this package, and registered ones."""
    return members(SegmentationSet, sys.modules[__name__])


def segmentation_set(name: str) -> SegmentationSet:
    """The set of a name.

    Raises:
        InputError: there is none.
    """
    return member(SegmentationSet, sys.modules[__name__], name)


def load_scans(name: str, root: Path) -> SegmentationDataset:
    """Read a set; its frames are read later, when they are asked for.

    Args:
        name: of the set.
        root: where it lies.

    Raises:
        InputError: there is no such set, or it cannot be read.
    """
    return segmentation_set(name).load(root)
