"""What decides the result of a training: by it a study knows whether what lies in a folder is what it asks for."""

from __future__ import annotations

from typing import Any, Protocol, Self

from limbeck.training import TrainingSettings
from limbeck.training.settings import resume_fingerprint


class Trainable(Protocol):
    """A recipe that knows itself without where its data lie."""

    @property
    def training(self) -> TrainingSettings: ...

    def elsewhere(self) -> Self: ...


def essence(recipe: Trainable) -> tuple[dict[str, Any], dict[str, Any]]:
    """The groups of settings that decide a training, equal for two trainings that end in the same network."""
    groups = {name: value for name, value in vars(recipe.elsewhere()).items() if name != "training"}
    return groups, resume_fingerprint(recipe.training)
