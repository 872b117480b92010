"""Which views are missing, when a model learns and when it is asked; and which rows it learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]
ALL = "all views"


@dataclass(frozen=True)
class Fit:
    """What is missing when a model learns.

    Attributes:
        without: the view (its position) that the model never hears of; None: none.
        share: of the training, validation and test rows that lack one random view each.
    """

    without: int | None = None
    share: float = 0.0

    @property
    def name(self) -> str:
        """As a part of file names."""
        if self.without is not None:
            return f"without-{self.without}"
        return f"share-{self.share:g}" if self.share else "complete"


def lacking(present: Mask, parts: Sequence[Rows], share: float, seed: Sequence[int]) -> Mask:
    """Of each part, let a share of the samples lose one random view.

    Exactly `round(share * len(part))` samples of a part are drawn, and each loses one of the views that it has, all as
    likely; one that has a single view keeps it. With the same seed, those drawn for a smaller share are among those
    drawn for a larger one, and lose the same view.

    Args:
        present: `(views, samples)`.
        parts: sample numbers; no sample is in two parts.
        share: in [0, 1].
        seed: of the draws.

    Returns:
        `(views, samples)` what is left.
    """
    left = present.copy()
    for number, part in enumerate(parts):
        generator = np.random.default_rng([*seed, number])
        order = generator.permutation(len(part))
        # A rank a view and sample: the view of the highest rank among those that are there is lost.
        ranks = np.where(present[:, part], generator.random((len(present), len(part))), -1.0)
        lost = ranks.argmax(axis=0)
        for place in order[: round(share * len(part))]:
            if present[:, part[place]].sum() > 1:
                left[lost[place], part[place]] = False
    return left


def stratified_sample(labels: NDArray[np.int64], rows: Rows, count: int, seed: Sequence[int], *, least: int) -> Rows:
    """Draw some of the rows, of each class in proportion to what there is.

    Classes get the floor of their share, but at least `least`; what is then left over, or too much, goes to or comes
    from the classes that are farthest from their share.

    Args:
        labels: of all samples.
        rows: sample numbers to draw from.
        count: how many.
        seed: of the draw.
        least: of every class that the rows hold, where it has as many.

    Returns:
        Ascending sample numbers.

    Raises:
        InputError: there are fewer rows, or more classes than `count` allows for.
    """
    if count > len(rows):
        raise InputError(
            f"rows asks for {count} of {len(rows)} training or validation samples of a fold: ask for fewer"
        )
    classes, sizes = np.unique(labels[rows], return_counts=True)
    least_of = np.minimum(least, sizes)
    if least_of.sum() > count:
        raise InputError(f"rows leaves {count} training samples for {len(classes)} classes: ask for more")
    share = count * sizes / max(len(rows), 1)
    taken = np.maximum(np.floor(share).astype(int), least_of)
    while taken.sum() != count:
        missing = taken.sum() < count
        movable = taken < sizes if missing else taken > least_of
        gap = np.where(movable, share - taken if missing else taken - share, -np.inf)
        taken[int(gap.argmax())] += 1 if missing else -1
    generator = np.random.default_rng(list(seed))
    drawn = [
        generator.permutation(rows[labels[rows] == label])[:number]
        for label, number in zip(classes, taken, strict=True)
    ]
    return np.sort(np.concatenate(drawn))


def learning_rows(
    codes: NDArray[np.int8], labels: NDArray[np.int64], rows: int | None, seed: int, fold: int
) -> tuple[Rows, Rows]:
    """Training and validation rows of a fold, or a stratified sample of them.

    Args:
        codes: `(samples,)` 0 train, 1 validation, 2 test.
        labels: `(samples,)`.
        rows: how many together, in the fold's own proportion; None: all.
        seed: of the sample.
        fold: its number.

    Raises:
        InputError: a class has no training row, there is no validation or test row, or there are fewer rows.
    """
    training, validation, test = (np.flatnonzero(codes == code) for code in range(3))
    for part, word in ((training, "training"), (validation, "validation"), (test, "test")):
        if not len(part):
            raise InputError(f"fold {fold} has no {word} sample: draw folds with --folds")
    unlearned = np.setdiff1d(labels, labels[training])
    if len(unlearned):
        raise InputError(f"fold {fold} has no training sample of class {unlearned[0]}: draw folds with --folds")
    if rows is None:
        return training, validation
    most = len(training) + len(validation)
    if rows > most:
        raise InputError(f"rows is {rows}, but fold {fold} has {most} training and validation samples: ask for fewer")
    own = round(rows * len(training) / most)
    if own == rows:
        raise InputError(f"rows is {rows}, which leaves no validation sample: ask for more")
    return (
        stratified_sample(labels, training, own, (seed, fold, 0), least=1),
        stratified_sample(labels, validation, rows - own, (seed, fold, 1), least=0),
    )
