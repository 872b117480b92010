"""The networks that studies of multi-view sets compare: the rows of Table 7 of Tian et al. 2022, and some more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from limbeck.errors import InputError
from limbeck.multiview.recipe import Recipe

RowName = Literal[
    "E",
    "E+CIB",
    "E+B",
    "E+B+MV2D",
    "E+B+released-2021",
    "E+B+MV2D-first-sum-only",
    "E+B+MV2D-second-sum-only",
    "E+B+MV2D-sum",
    "E+B+MV2D-undetached-teacher",
    "E+B+MV2D-undetached-joint",
    "E+B+pairwise",
    "E+B+MV2D+pairwise",
    "E+B+stochastic",
    "E+B+MV2D+stochastic",
    "E+B+view-dropout",
    "E+B+MV2D+view-dropout",
]
TABLE_7_ROWS: tuple[RowName, ...] = ("E", "E+CIB", "E+B", "E+B+MV2D", "E+B+released-2021")
PLAIN: RowName = "E+B"
REFERENCE: RowName = "E+B+MV2D"

_MV2D = {"objective": "mv2d", "bottleneck": True}
_NONE = {"objective": "none", "bottleneck": True}
_ONE_HIDDEN = {"view_dropout": 0.5, "view_dropout_sampling": "one"}
# What each row changes in the recipe.
ROWS: dict[RowName, dict[str, Any]] = {
    "E": {"objective": "none", "bottleneck": False},
    "E+CIB": {"objective": "cib", "bottleneck": True},
    "E+B": _NONE,
    "E+B+MV2D": _MV2D,
    "E+B+released-2021": {"objective": "released-2021", "bottleneck": True},
    "E+B+MV2D-first-sum-only": {**_MV2D, "consistency_weight": 0.0},
    "E+B+MV2D-second-sum-only": {**_MV2D, "sufficiency_weight": 0.0},
    # Equation 9 as printed, where the shipped recipe takes the mean over the views.
    "E+B+MV2D-sum": {**_MV2D, "over_views": "sum"},
    "E+B+MV2D-undetached-teacher": {**_MV2D, "detach_teacher": False},
    # The teacher of the second sum learns from it too, so that every view is also asked to forget.
    "E+B+MV2D-undetached-joint": {**_MV2D, "detach_joint": False},
    "E+B+pairwise": {**_NONE, "joint_head": "pairwise"},
    "E+B+MV2D+pairwise": {**_MV2D, "joint_head": "pairwise"},
    "E+B+stochastic": {**_NONE, "stochastic": True},
    "E+B+MV2D+stochastic": {**_MV2D, "stochastic": True},
    # In half of the steps the joint prediction lacks one view: cross-entropies where MV2D has divergences.
    "E+B+view-dropout": {**_NONE, **_ONE_HIDDEN},
    "E+B+MV2D+view-dropout": {**_MV2D, **_ONE_HIDDEN},
}


def row_recipe(recipe: Recipe, name: RowName) -> Recipe:
    """The recipe of one row: the given one with what the row changes.

    Raises:
        InputError: there is no such row.
    """
    if name not in ROWS:
        raise InputError(f"there is no row {name!r}: choose from {', '.join(ROWS)}")
    return replace(recipe, **ROWS[name])
