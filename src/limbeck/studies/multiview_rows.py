"""The networks that studies of multi-view sets compare: the rows of Table 7 of Tian et al. 2022, and one more."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from limbeck.errors import InputError
from limbeck.multiview.recipe import Recipe

RowName = Literal["E", "E+CIB", "E+B", "E+B+MV2D", "E+B+released-2021"]
ROWS: tuple[RowName, ...] = ("E", "E+CIB", "E+B", "E+B+MV2D", "E+B+released-2021")
REFERENCE: RowName = "E+B+MV2D"


def row_recipe(recipe: Recipe, name: RowName) -> Recipe:
    """The recipe of one row of the table: the given one with another objective, or without its bottleneck.

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
    raise InputError(f"there is no row {name!r}: choose from {', '.join(ROWS)}")
