"""A small array of photographs whose classes differ by colour and shape, and a recipe that learns them in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from limbeck.images.photographs import PhotographSettings
from limbeck.metric.recipe import DataSettings, LossSettings, MetricRecipe, NetworkSettings, SamplerSettings
from limbeck.training import TrainingSettings

CLASSES, EACH, SIDE = 12, 6, 16


def make_photographs(file: Path) -> None:
    """Twelve classes of a colour and a direction of stripes, with noise."""
    rng = np.random.default_rng(0)
    images = np.empty((CLASSES * EACH, SIDE, SIDE, 3), np.uint8)
    rows, columns = np.indices((SIDE, SIDE))
    for number in range(CLASSES):
        colour = rng.uniform(40, 215, 3)
        wave = np.sin(rows * np.cos(number) + columns * np.sin(number))
        for place in range(EACH):
            values = colour + 40 * wave[..., None] + rng.normal(0, 25, (SIDE, SIDE, 3))
            images[number * EACH + place] = np.clip(values, 0, 255)
    np.savez(file, images=images, labels=np.repeat(np.arange(CLASSES), EACH))


def recipe(file: Path, **groups: dict[str, Any]) -> MetricRecipe:
    """Of these photographs, half of whose classes are for the test and two of the others held out."""
    given: dict[str, dict[str, Any]] = {
        "data": {"set": "class-npz", "root": str(file), "resize": SIDE, "crop": SIDE, "held_out": 2},
        "network": {
            "encoder": "small",
            "weights": "none",
            "embedding": 8,
            "dropout": 0.3,
            "freeze_bn": False,
            "hidden": (8,),
            "representation": 6,
        },
        "augmentation": {"scale": (0.6, 1.0), "brightness": 0.2},
        "sampler": {"kind": "classes", "batch": 8, "pictures": 2, "steps_per_epoch": 3},
        "loss": {},
        "training": {
            "epochs": 2,
            "optimizer": "sgd",
            "learning_rate": 0.05,
            "momentum": 0.9,
            "schedule": "whole-cosine",
            "warmup_steps": 2,
            "decay_vectors": False,
            "validate_epochs": 1,
            "checkpoint_steps": 1,
            "select": "both",
        },
    }
    kinds = {
        "data": DataSettings,
        "network": NetworkSettings,
        "augmentation": PhotographSettings,
        "sampler": SamplerSettings,
        "loss": LossSettings,
        "training": TrainingSettings,
    }
    made: dict[str, Any] = {name: kind(**(given[name] | groups.get(name, {}))) for name, kind in kinds.items()}
    return MetricRecipe(**made)
