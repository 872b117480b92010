"""What the pictures of a report share: colours that the colour-blind can tell apart, and text as it is."""

from __future__ import annotations

# Okabe and Ito 2008, without the yellow and black that white paper and text swallow.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#6B4C9A")
MARKERS = ("o", "^", "s", "D", "v", "P")
VISIBLE_COLOUR, INFRARED_COLOUR = "#E69F00", "#0072B2"
RIGHT_COLOUR, WRONG_COLOUR = "#00805A", "#C8321E"
SOFT = "#555555"


def plain(text: str) -> str:
    """Text for matplotlib to show as it is: a dollar would begin a formula, a first underscore hides a legend entry."""
    shown = text.replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown
