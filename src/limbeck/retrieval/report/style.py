"""What the pictures of a report share: colours that the colour-blind can tell apart, and the order of labels."""

from __future__ import annotations

import re

# Okabe and Ito 2008, without the yellow and black that white paper and text swallow.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#6B4C9A")
MARKERS = ("o", "^", "s", "D", "v", "P")
VISIBLE_COLOUR, INFRARED_COLOUR = "#E69F00", "#0072B2"
RIGHT_COLOUR, WRONG_COLOUR = "#00805A", "#C8321E"
SOFT = "#555555"


def natural_order(text: str) -> tuple[bool, float, list[str | int]]:
    """A key to sort labels by: numbers by what they are, before words; numbers within words likewise.

    Example:
        >>> sorted(["10", "cam10", "2", "-1", "cam9"], key=natural_order)
        ['-1', '2', '10', 'cam9', 'cam10']
    """
    if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        return False, float(text), []
    # Words and numbers take turns, so that equal places hold equal kinds.
    return True, 0.0, [int(part) if place % 2 else part for place, part in enumerate(re.split(r"([0-9]+)", text))]
