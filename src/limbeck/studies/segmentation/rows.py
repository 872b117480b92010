"""The rows of the study: what each changes in the recipe, and what it means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from limbeck.segmentation.recipe import SegmentationRecipe

RowName = Literal["lidar", "fused", "vcd", "vcd-to-lidar", "vcd-to-camera", "mv2d", "apart"]
REFERENCE: RowName = "fused"
LIDAR: RowName = "lidar"
APART: RowName = "apart"

# What each row changes in the recipe: group -> settings.
ROWS: dict[RowName, dict[str, dict[str, Any]]] = {
    "lidar": {"data": {"cameras": False}, "loss": {"distillation": "none"}},
    "fused": {"loss": {"distillation": "none"}},
    "vcd": {"loss": {"distillation": "vcd"}},
    "vcd-to-lidar": {"loss": {"distillation": "vcd", "to_camera": 0.0}},
    "vcd-to-camera": {"loss": {"distillation": "vcd", "to_lidar": 0.0}},
    "mv2d": {"loss": {"distillation": "mv2d"}},
    "apart": {"network": {"fusion": "none"}, "loss": {"distillation": "none"}},
}
MEANING: dict[RowName, str] = {
    "lidar": "SPVCNN and its bottleneck, no pictures",
    "fused": "and an image branch, LI-Fusion, a bottleneck behind each branch, no divergence: the paper's baseline",
    "vcd": "fused, and VCD as in eq. 18: KL[P_v camera || P_z LiDAR] + KL[P_v LiDAR || P_z camera]",
    "vcd-to-lidar": "the first of these two alone: the camera teaches",
    "vcd-to-camera": "the second of these two alone: the LiDAR teaches",
    "mv2d": "fused, and MV2D (eq. 9) with a joint head",
    "apart": "both branches without fusion and divergence: what each sensor knows; v and z are the LiDAR's alone",
}


def row_recipe(base: SegmentationRecipe, row: RowName, seed: int, streets: Path) -> SegmentationRecipe:
    """The recipe of one training: a row's changes, its seed, and where its streets lie."""
    changed = {group: replace(getattr(base, group), **values) for group, values in ROWS[row].items()}
    data = replace(changed.pop("data", base.data), set="scans", root=str(streets))
    return replace(base, data=data, training=replace(base.training, seed=seed), **changed)
