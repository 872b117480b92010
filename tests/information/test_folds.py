"""Folds: balanced, stratified, groups whole."""

import numpy as np
import pytest

from limbeck.information.folds import assign_folds


def test_every_class_is_spread_over_the_folds():
    classes = np.random.default_rng(0).integers(7, size=230)
    fold = assign_folds(classes, None, 5, np.random.default_rng(1))
    counts = np.zeros((7, 5), int)
    np.add.at(counts, (classes, fold), 1)
    assert (np.ptp(counts, axis=1) <= 1).all()
    assert np.ptp(counts.sum(axis=0)) <= 1


@pytest.mark.parametrize("groups", [5, 6, 40])
def test_groups_stay_whole_and_no_fold_is_empty(groups):
    generator = np.random.default_rng(groups)
    of = np.concatenate([np.arange(groups), generator.integers(groups, size=300)])
    classes = generator.integers(4, size=groups)[of]
    fold = assign_folds(classes, of, 5, generator)
    assert all(len(set(fold[of == group])) == 1 for group in range(groups))
    assert set(fold) == set(range(5))


def test_classes_of_whole_groups_are_spread_as_evenly_as_can_be():
    of = np.repeat(np.arange(40), 3)
    classes = (np.arange(40) % 4)[of]
    fold = assign_folds(classes, of, 5, np.random.default_rng(0))
    counts = np.zeros((4, 5), int)
    np.add.at(counts, (classes, fold), 1)
    assert (counts == 6).all()
