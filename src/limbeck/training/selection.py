"""Which network of a training is kept: the best on held-out data, by one rule for every loop."""

import math


def improves(figure: float, best: float | None) -> bool:
    """Whether a figure on held-out data, larger being better, takes the place of the best so far.

    Of equal figures the earliest stays the best. NaN is better than nothing only.

    Args:
        figure: the new one.
        best: the best so far; None: there is none.

    Example:
        >>> improves(0.9, None), improves(0.9, 0.8), improves(0.9, 0.9), improves(float("nan"), 0.1)
        (True, True, False, False)
    """
    return best is None or figure > best or (math.isnan(best) and not math.isnan(figure))
