"""The classes of a street: which sensor can tell each, its reflectance, and its names in the two official layouts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Told = Literal["colour", "shape", "both"]


@dataclass(frozen=True)
class StreetClass:
    """A class.

    Attributes:
        name: of the class; its label is its place in `CLASSES`.
        told_by: "colour": nothing but colour tells it from its `partner`; "shape": nothing but shape; "both": colour
            and shape tell it from everything else.
        partner: the other class of its pair; empty where `told_by` is "both".
        semantickitti: the raw number in a `.label` file whose official name is nearest.
        nuscenes: the official name of nuScenes-lidarseg that is nearest.
        reflectance: least and largest; drawn uniformly between them for every object. The same within a pair.
        counted: whether its objects have numbers of their own (instances).
    """

    name: str
    told_by: Told
    partner: str
    semantickitti: int
    nuscenes: str
    reflectance: tuple[float, float]
    counted: bool = False


CLASSES: tuple[StreetClass, ...] = (
    StreetClass("road", "both", "", 40, "flat.driveable_surface", (0.08, 0.2)),
    StreetClass("sidewalk", "colour", "terrain", 48, "flat.sidewalk", (0.2, 0.5)),
    StreetClass("terrain", "colour", "sidewalk", 72, "flat.terrain", (0.2, 0.5)),
    StreetClass("building", "both", "", 50, "static.manmade", (0.3, 0.6)),
    StreetClass("fence", "both", "", 51, "movable_object.barrier", (0.2, 0.5)),
    StreetClass("vegetation", "both", "", 70, "static.vegetation", (0.3, 0.6)),
    StreetClass("pole", "colour", "trunk", 80, "static.manmade", (0.2, 0.7)),
    StreetClass("trunk", "colour", "pole", 71, "static.vegetation", (0.2, 0.7)),
    StreetClass("car", "both", "", 10, "vehicle.car", (0.2, 0.8), True),
    StreetClass("truck", "shape", "bus", 18, "vehicle.truck", (0.2, 0.8), True),
    StreetClass("bus", "shape", "truck", 13, "vehicle.bus.rigid", (0.2, 0.8), True),
    StreetClass("person", "shape", "sign", 30, "human.pedestrian.adult", (0.2, 0.8), True),
    StreetClass("sign", "shape", "person", 81, "static.manmade", (0.2, 0.8)),
)
"""Label -> class."""

LABELS: dict[str, int] = {known.name: label for label, known in enumerate(CLASSES)}
"""Name -> label."""

PAIRS: dict[tuple[str, str], Told] = {
    (known.name, known.partner): known.told_by
    for label, known in enumerate(CLASSES)
    if known.partner and label < LABELS[known.partner]
}
"""The pairs, and what tells their members apart. Which of the two an object is, is a coin that nothing else sees."""

SKY = -1
"""The label of a pixel in which no surface is seen."""
