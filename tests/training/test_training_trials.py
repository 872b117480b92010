"""Trials of one evaluation: the same recipe, each its own seed."""

from pathlib import Path

import pytest

from limbeck.errors import InputError
from limbeck.training.runs import check_trials

RUNS = [Path("one"), Path("two"), Path("three")]


def test_trials_are_of_one_recipe_and_differ() -> None:
    check_trials(RUNS, ["r", "r", "r"], [0, 1, 2], "seed")
    check_trials(RUNS[:1], ["r"], [0], "seed")
    with pytest.raises(InputError, match=r"^two was trained by another recipe than one: evaluate them apart$"):
        check_trials(RUNS, ["r", "s", "r"], [0, 1, 2], "seed")
    with pytest.raises(InputError, match=r"^three: two of the runs are of the same fold and seed; each trial needs"):
        check_trials(RUNS, ["r", "r", "r"], [(1, 0), (1, 1), (1, 0)], "fold and seed")
