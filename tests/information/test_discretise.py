"""Quantile classes: shares, ties, refusals."""

import re

import numpy as np
import pytest

from limbeck.errors import InputError
from limbeck.information import quantile_classes


@pytest.mark.parametrize("classes", [2, 3, 4, 7])
@pytest.mark.parametrize("samples", [28, 101])
def test_shares_are_equal_and_ordered(classes, samples):
    values = np.random.default_rng(0).normal(size=samples)
    labels = quantile_classes(values, classes)
    counts = np.bincount(labels)
    assert len(counts) == classes
    assert counts.max() - counts.min() <= 1
    assert (np.diff(labels[np.argsort(values)]) >= 0).all()


def test_repeated_values_share_a_class():
    assert quantile_classes([5, 5, 5, 5]).tolist() == [0, 0, 0, 0]
    assert quantile_classes([0, 1] * 10).tolist() == [0, 1] * 10
    values = np.random.default_rng(1).integers(6, size=200)
    labels = quantile_classes(values)
    for value in range(6):
        assert len(set(labels[values == value])) == 1
    assert sorted(set(labels)) == list(range(labels.max() + 1))


@pytest.mark.parametrize(
    ("values", "classes", "words"),
    [
        ([0.0, np.nan, 1.0, 2.0], 4, "values must be finite"),
        ([[0.0, 1.0]], 2, "shape (samples,)"),
        (["a", "b"], 2, "real numbers"),
        ([1.0], 2, "at least as many"),
        ([1.0, 2.0], 1, "classes must be"),
        ([1.0, 2.0], True, "classes must be"),
    ],
)
def test_unusable_input_is_refused_in_one_line(values, classes, words):
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        quantile_classes(values, classes)
    assert "\n" not in str(caught.value)
