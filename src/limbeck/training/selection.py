"""Which network of a training is kept: the best on held-out data, by one rule for every loop."""

from __future__ import annotations

import math
from typing import Literal


def improves(figure: float, best: float | None, *, ties: Literal["earliest", "latest"] = "earliest") -> bool:
    """Whether a figure on held-out data, larger being better, takes the place of the best so far.

    NaN is better than nothing only.

    Args:
        figure: the new one.
        best: the best so far; None: there is none.
        ties: which of equal figures is the best. "latest" is for figures so coarse that the first of equal ones says
            little: the accuracy of a classifier on a few hundred samples.

    Example:
        >>> improves(0.9, None), improves(0.9, 0.8), improves(0.9, 0.9), improves(float("nan"), 0.1)
        (True, True, False, False)
        >>> improves(0.9, 0.9, ties="latest")
        True
    """
    if best is None or math.isnan(best):
        return best is None or not math.isnan(figure)
    return figure > best or (ties == "latest" and figure == best)
