"""Which classes are learned from, which are held out, and which are for the test: no class is in two of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.images.sampling import held_out_classes
from limbeck.metric.dataset import MetricDataset
from limbeck.metric.recipe import DataSettings
from limbeck.training import generator

_DIVISION = 5  # second entry of the key that divides classes


@dataclass(frozen=True, eq=False)
class ClassSplit:
    """Positions, in a set, of the pictures of each part."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]

    def part(self, name: str) -> NDArray[np.int64]:
        """The part of a name.

        Raises:
            InputError: there is none, or it is empty.
        """
        if name not in ("train", "validation", "test"):
            raise InputError(f"split must be one of train, validation, test, not {name!r}")
        members: NDArray[np.int64] = getattr(self, name)
        if not len(members):
            told = "data.held_out was 0" if name == "validation" else "the set has none"
            raise InputError(f"there is no picture in split {name}: {told}")
        return members


def split_classes(photographs: MetricDataset, settings: DataSettings, seed: int) -> ClassSplit:
    """The parts of a set.

    The test classes are the set's own; where it has but one split, "all", the share `settings.test_classes` of its
    classes: the last ones in their order, or, with `settings.division_seed`, drawn by it. The validation classes are
    `settings.held_out` of the others, drawn by the training's seed, or else the set's own split of that name.

    Args:
        photographs: the set.
        settings: see above.
        seed: of the training.

    Raises:
        InputError: nothing is left to learn from.
    """
    splits, label = photographs.splits, photographs.label
    if "all" in splits:
        known = np.unique(label)
        count = round(settings.test_classes * len(known))
        order = (
            known if settings.division_seed is None else generator(settings.division_seed, _DIVISION).permutation(known)
        )
        apart = np.isin(label, order[len(known) - count :])
        train, test = np.flatnonzero(~apart), np.flatnonzero(apart)
    else:
        train, test = (splits.get(name, np.zeros(0, np.int64)) for name in ("train", "test"))
    learned = np.unique(label[train])
    if settings.held_out >= len(learned):
        raise InputError(
            f"data.held_out must be below the {len(learned)} classes there are to learn from, not {settings.held_out}"
        )
    if settings.held_out:
        held = np.isin(label[train], held_out_classes(learned, settings.held_out, seed))
        return ClassSplit(train[~held], train[held], test)
    return ClassSplit(train, splits.get("validation", np.zeros(0, np.int64)), test)
