"""Folds: every class in every fold as evenly as can be, and groups that stay whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def assign_folds(
    classes: NDArray[np.int64], groups: NDArray[np.int64] | None, folds: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """The fold of every sample, stratified by class.

    Without groups the shuffled samples of each class are dealt to the folds in turn. With groups, the largest first,
    each group goes to the fold that holds least of the group's classes, and of these to the smallest.

    Args:
        classes: `(samples,)` from 0.
        groups: `(samples,)` from 0, or None.
        folds: how many; at most as many as samples or groups. No fold is empty then.
        generator: of the shuffles.

    Returns:
        `(samples,)` in 0 .. folds - 1.
    """
    if groups is None:
        shuffled = generator.permutation(len(classes))
        order = shuffled[np.argsort(classes[shuffled], kind="stable")]
        fold = np.empty(len(classes), dtype=np.int64)
        fold[order] = np.arange(len(classes)) % folds
        return fold
    counts = np.zeros((groups.max() + 1, classes.max() + 1))
    np.add.at(counts, (groups, classes), 1)
    sizes = counts.sum(axis=1)
    shares = counts / np.maximum(counts.sum(axis=0), 1)
    order = generator.permutation(len(counts))
    order = order[np.argsort(-sizes[order], kind="stable")]
    held, filled = np.zeros((folds, counts.shape[1])), np.zeros(folds)
    of_group = np.empty(len(counts), dtype=np.int64)
    for group in order:
        # The squared share of each class in each fold grows by twice this product, so the least keeps them level.
        chosen = np.lexsort((filled, held @ shares[group]))[0]
        of_group[group] = chosen
        held[chosen] += shares[group]
        filled[chosen] += sizes[group]
    return of_group[groups]
