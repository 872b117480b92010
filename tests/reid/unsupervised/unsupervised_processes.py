"""What two processes do in the tests of training without labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from limbeck.images.augmentation import AugmentationSettings
from limbeck.reid.recipe import DataSettings, NetworkSettings
from limbeck.reid.train import train_run
from limbeck.reid.unsupervised.recipe import ClusteringSettings, UnsupervisedRecipe
from limbeck.training import TrainingSettings

STEPS = 3


def recipe(people: Path, **changes: Any) -> UnsupervisedRecipe:
    """Of `tests.small.PEOPLE` in that folder."""
    made = UnsupervisedRecipe(
        data=DataSettings(
            root=str(people), height=32, width=16, identities=3, pictures=2, held_out=3, steps_per_epoch=STEPS
        ),
        network=NetworkSettings(encoder="small", weights="none", branches=("shared",), bottleneck=False),
        augmentation=AugmentationSettings(pad=1, erase=0.3, channels=0.5),
        training=TrainingSettings(epochs=3, warmup_epochs=0, validate_epochs=1, checkpoint_steps=1),
        clustering=ClusteringSettings(k1=6, k2=2, eps=0.7, min_samples=2),
    )
    return replace(made, **changes)


def shared_out(people: Path, cache: Path) -> UnsupervisedRecipe:
    """One whose batches can be shared by two processes, and whose course rounding does not change."""
    made = recipe(people)
    return replace(
        made,
        data=replace(made.data, identities=2, cache=str(cache)),
        # Not Adam: a bias before batch normalisation has no gradient but rounding, which Adam scales up to full steps.
        training=replace(made.training, epochs=2, optimizer="sgd", learning_rate=1e-4, weight_decay=0.0),
    )


def train_together(folder: str, people: str, cache: str) -> None:
    """Train in a folder, as one of several processes."""
    train_run(shared_out(Path(people), Path(cache)), Path(folder))
