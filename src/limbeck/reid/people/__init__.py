"""People that limbeck draws itself: a visible-infrared re-identification set with known factors.

No real set of this kind may be passed on. `make_people` writes a set in the layout of SYSU-MM01, of RegDB, or as a CSV
file; `read_factors` gives back every factor behind every picture; `docs/people.md` says what is drawn.
"""

from limbeck.reid.people.make import Made, make_people
from limbeck.reid.people.render import render
from limbeck.reid.people.settings import LEVELS, Difficulty, Layout, Level, PeopleSettings
from limbeck.reid.people.sheet import sheet
from limbeck.reid.people.table import Factors, Scenario, read_factors

__all__ = [
    "LEVELS",
    "Difficulty",
    "Factors",
    "Layout",
    "Level",
    "Made",
    "PeopleSettings",
    "Scenario",
    "make_people",
    "read_factors",
    "render",
    "sheet",
]
