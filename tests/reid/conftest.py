"""One small set of procedural people, and one model trained on it, for all tests that need them."""

from dataclasses import replace
from pathlib import Path

import pytest

from limbeck.images.augmentation import AugmentationSettings
from limbeck.reid.recipe import DataSettings, LossSettings, NetworkSettings, ReidRecipe
from limbeck.reid.runs import train_run
from limbeck.synthetic.people import PeopleSettings, make_people
from limbeck.training import TrainingSettings

PEOPLE = PeopleSettings(
    train_identities=6,
    validation_identities=3,
    test_identities=5,
    images_per_camera=2,
    height=32,
    width=16,
    difficulty="easy",
    absent=0.0,
)


@pytest.fixture(scope="session")
def small_people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 14 people in the layout of SYSU-MM01."""
    folder = tmp_path_factory.mktemp("people") / "sysu"
    make_people(folder, PEOPLE)
    return folder


@pytest.fixture(scope="session")
def small_recipe(small_people: Path) -> ReidRecipe:
    """A recipe that trains in a second."""
    return ReidRecipe(
        DataSettings(root=str(small_people), height=32, width=16, identities=3, pictures=2, held_out=3),
        NetworkSettings(encoder="small", weights="none", hidden=(16,), representation=8, head_hidden=None),
        LossSettings(),
        AugmentationSettings(pad=1, erase=0.3, channels=0.5),
        TrainingSettings(epochs=3, warmup_epochs=0.0, validate_epochs=1, checkpoint_steps=1),
    )


@pytest.fixture(scope="session")
def small_run(small_recipe: ReidRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished training."""
    folder = tmp_path_factory.mktemp("runs") / "vd"
    train_run(replace(small_recipe), folder)
    return folder
