"""Scans and a training that several tests share."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.segmentation.segmentation_small import make_scans, recipe

from limbeck.segmentation.runs import train_run


@pytest.fixture(scope="session")
def small_streets(built_once: Callable[..., Path]) -> Path:
    """The folder of `tests.segmentation.segmentation_small`."""
    return built_once("small-streets", make_scans) / "streets"


@pytest.fixture(scope="session")
def segmentation_run(small_streets: Path, built_once: Callable[..., Path]) -> Path:
    """The folder of a finished training by its recipe."""
    return built_once("small-segmentation-run", lambda folder: train_run(recipe(small_streets), folder))
