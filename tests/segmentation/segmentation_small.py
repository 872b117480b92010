"""Small streets, and a recipe that learns from them in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from limbeck.segmentation.recipe import SegmentationRecipe
from limbeck.synthetic.streets import StreetSettings, make_streets

SETTINGS = StreetSettings(scenes=3, frames=4, beams=16, azimuths=72, width=96, height=48, night=0.0)


def make_scans(folder: Path) -> None:
    """Four frames to learn from, four for validation, four for the test, in the layout of SemanticKITTI."""
    make_streets(folder / "streets", SETTINGS, "semantickitti", workers=1)


def recipe(streets: Path, **groups: dict[str, Any]) -> SegmentationRecipe:
    """A recipe of these scans; groups change some of its settings."""
    values: dict[str, dict[str, Any]] = {
        "data": {
            "set": "semantickitti",
            "root": str(streets),
            "height": 40,
            "width": 80,
            "voxel": 0.5,
            "points": "all",
            "most": 300,
            "batch": 2,
        },
        "network": {
            "width": 0.125,
            "dropout": 0.0,
            "image_width": 4,
            "image_features": 6,
            "weights": "none",
            "picture_normalization": "picture",
            "hidden": [8],
            "representation": 4,
        },
        "augmentation": {"flip": 0.5, "picture_flip": 0.5, "brightness": 0.2, "contrast": 0.2},
        "loss": {},
        "training": {
            "epochs": 2,
            "optimizer": "adamw",
            "learning_rate": 3e-3,
            "warmup_steps": 1,
            "checkpoint_steps": 1,
        },
    }
    for name, changed in groups.items():
        values[name] = {**values[name], **changed}
    return SegmentationRecipe.from_dict(values)
