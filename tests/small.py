"""A small set of procedural people, and a recipe that learns them in a second."""

from __future__ import annotations

from pathlib import Path

from limbeck.images.augmentation import AugmentationSettings
from limbeck.reid.recipe import DataSettings, LossSettings, NetworkSettings, ReidRecipe
from limbeck.synthetic.people import PeopleSettings
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


def recipe(people: Path) -> ReidRecipe:
    """Of `PEOPLE` in that folder, three of whom are held out."""
    return ReidRecipe(
        data=DataSettings(root=str(people), height=32, width=16, identities=3, pictures=2, held_out=3),
        network=NetworkSettings(encoder="small", weights="none", hidden=(16,), representation=8, head_hidden=None),
        loss=LossSettings(),
        augmentation=AugmentationSettings(pad=1, erase=0.3, channels=0.5),
        training=TrainingSettings(epochs=3, warmup_epochs=0.0, validate_epochs=1, checkpoint_steps=1),
    )
