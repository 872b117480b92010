"""Streets that limbeck draws itself: LiDAR scans and pictures of one world, with every label and every factor known.

No real set of this kind may be passed on. `make_streets` writes a set in the layout of SemanticKITTI, of nuScenes or of
one's own scans; `draw_street` draws a frame in memory; `read_factors` gives back every factor behind every frame;
`docs/streets.md` says what is drawn, and which class which sensor can tell.
"""

from limbeck.synthetic.streets.check import check_streets
from limbeck.synthetic.streets.classes import CLASSES, LABELS, PAIRS, SKY, StreetClass
from limbeck.synthetic.streets.frame import (
    StreetCamera,
    StreetFactors,
    StreetFrame,
    draw_factors,
    draw_street,
    render,
)
from limbeck.synthetic.streets.make import Made, make_streets
from limbeck.synthetic.streets.settings import Layout, StreetSettings
from limbeck.synthetic.streets.sheet import PALETTE, from_above, over_picture, sheet
from limbeck.synthetic.streets.table import Factors, read_factors

__all__ = [
    "CLASSES",
    "LABELS",
    "PAIRS",
    "PALETTE",
    "SKY",
    "Factors",
    "Layout",
    "Made",
    "StreetCamera",
    "StreetClass",
    "StreetFactors",
    "StreetFrame",
    "StreetSettings",
    "check_streets",
    "draw_factors",
    "draw_street",
    "from_above",
    "make_streets",
    "over_picture",
    "read_factors",
    "render",
    "sheet",
]
