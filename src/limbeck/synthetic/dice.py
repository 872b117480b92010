"""Draws that depend on a key and on nothing else that is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

DIGITS = 4
"""Factors are drawn at this precision, so that a table of them is short and exact."""

Choice = TypeVar("Choice")


class Dice:
    """Draws of one key, rounded to what the table of factors holds."""

    def __init__(self, seed: int, *key: int) -> None:
        self._generator = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=key)))

    def uniform(self, low: float, high: float) -> float:
        return round(float(self._generator.uniform(low, high)), DIGITS)

    def normal(self, mean: float, deviation: float, least: float = -math.inf) -> float:
        """Normal, moved to the nearest value within two deviations, and to `least` where below it."""
        drawn = mean + deviation * float(np.clip(self._generator.standard_normal(), -2, 2))
        return round(float(max(drawn, least)), DIGITS)

    def chance(self, share: float) -> bool:
        return float(self._generator.uniform()) < share

    def one(self, choices: Sequence[Choice]) -> Choice:
        return choices[int(self._generator.integers(len(choices)))]

    def key(self) -> int:
        return int(self._generator.integers(2**31))
