"""One model trained on the small set of people, for all tests that need one."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests import small

from limbeck.reid.recipe import ReidRecipe
from limbeck.reid.runs import train_run


@pytest.fixture(scope="session")
def small_recipe(small_people: Path) -> ReidRecipe:
    """A recipe that trains in a second."""
    return small.recipe(small_people)


@pytest.fixture(scope="session")
def small_run(small_recipe: ReidRecipe, built_once: Callable[..., Path]) -> Path:
    """The folder of a finished training."""
    return built_once("small-run", lambda folder: train_run(small_recipe, folder))
