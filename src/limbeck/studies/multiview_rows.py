"""The networks that studies of multi-view sets compare: the rows of Table 7 of Tian et al. 2022, and some more."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from limbeck.errors import InputError
from limbeck.multiview.recipe import Recipe

RowName = Literal["E", "E+CIB", "E+B", "E+B+MV2D", "E+B+released-2021", "E+B+MV2D-sum", "E+B+MV2D-undetached-joint"]
TABLE_7_ROWS: tuple[RowName, ...] = ("E", "E+CIB", "E+B", "E+B+MV2D", "E+B+released-2021")
ROWS: tuple[RowName, ...] = (*TABLE_7_ROWS, "E+B+MV2D-sum", "E+B+MV2D-undetached-joint")
REFERENCE: RowName = "E+B+MV2D"


def row_recipe(recipe: Recipe, name: RowName) -> Recipe:
    """The recipe of one row: the given one with another objective, or without its bottleneck.

    "E+B+MV2D-sum" sums over the views where the shipped recipe takes the mean. In "E+B+MV2D-undetached-joint" the joint
    prediction, the teacher of MV2D's second sum, learns from it too.

    Raises:
        InputError: there is no such row.
    """
    match name:
        case "E":
            return replace(recipe, objective="none", bottleneck=False)
        case "E+CIB":
            return replace(recipe, objective="cib", bottleneck=True)
        case "E+B":
            return replace(recipe, objective="none", bottleneck=True)
        case "E+B+MV2D":
            return replace(recipe, objective="mv2d", bottleneck=True)
        case "E+B+released-2021":
            return replace(recipe, objective="released-2021", bottleneck=True)
        case "E+B+MV2D-sum":
            return replace(recipe, objective="mv2d", bottleneck=True, over_views="sum")
        case "E+B+MV2D-undetached-joint":
            return replace(recipe, objective="mv2d", bottleneck=True, detach_joint=False)
    raise InputError(f"there is no row {name!r}: choose from {', '.join(ROWS)}")
