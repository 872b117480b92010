"""The networks that studies of multi-view sets compare: the rows of Table 7 of Tian et al. 2022, and some more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from limbeck.errors import InputError
from limbeck.multiview.recipe import Recipe

RowName = Literal["E", "E+CIB", "E+B", "E+B+MV2D", "E+B+released-2021", "E+B+MV2D-sum", "E+B+MV2D-undetached-joint"]
TABLE_7_ROWS: tuple[RowName, ...] = ("E", "E+CIB", "E+B", "E+B+MV2D", "E+B+released-2021")
REFERENCE: RowName = "E+B+MV2D"

# What each row changes in the recipe.
ROWS: dict[RowName, dict[str, Any]] = {
    "E": {"objective": "none", "bottleneck": False},
    "E+CIB": {"objective": "cib", "bottleneck": True},
    "E+B": {"objective": "none", "bottleneck": True},
    "E+B+MV2D": {"objective": "mv2d", "bottleneck": True},
    "E+B+released-2021": {"objective": "released-2021", "bottleneck": True},
    # Equation 9 as printed, where the shipped recipe takes the mean over the views.
    "E+B+MV2D-sum": {"objective": "mv2d", "bottleneck": True, "over_views": "sum"},
    # The teacher of the second sum learns from it too, so that every view is also asked to forget.
    "E+B+MV2D-undetached-joint": {"objective": "mv2d", "bottleneck": True, "detach_joint": False},
}


def row_recipe(recipe: Recipe, name: RowName) -> Recipe:
    """The recipe of one row: the given one with another objective, or without its bottleneck.

    Raises:
        InputError: there is no such row.
    """
    if name not in ROWS:
        raise InputError(f"there is no row {name!r}: choose from {', '.join(ROWS)}")
    return replace(recipe, **ROWS[name])
