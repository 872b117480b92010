"""People that limbeck draws itself: a visible-infrared re-identification set with known factors.

No real set of this kind may be passed on. `make_people` writes a set in the layout of SYSU-MM01, of RegDB, or as a CSV
file; `read_factors` gives back every factor behind every picture; `docs/people.md` says what is drawn.
"""

from limbeck.synthetic.people.make import Made, make_people
from limbeck.synthetic.people.render import render
from limbeck.synthetic.people.settings import LEVELS, Difficulty, Layout, Level, PeopleSettings
from limbeck.synthetic.people.sheet import sheet
from limbeck.synthetic.people.table import Factors, Scenario, read_factors

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
