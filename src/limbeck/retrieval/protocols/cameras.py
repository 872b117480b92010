"""Protocols of people and vehicles in pictures of one kind: several cameras, clothes that change, drawn galleries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.retrieval.features import Features
from limbeck.retrieval.metrics import Figure
from limbeck.retrieval.protocols.base import (
    LEFT_OUT,
    TRIALS,
    Protocol,
    Trial,
    cameras_of,
    cells_of,
    checked,
    clothes_of,
    draw_gallery,
    known_people,
    marked_queries,
    queries_of,
)
from limbeck.retrieval.ranking import Removal


@dataclass(frozen=True)
class Market(Protocol):
    """Market-1501 and its like: queries search a gallery; pictures of the same identity and camera are removed.

    Where the features do not say which are queries, each searches all the others. Identity -1 is junk and dropped, as
    the set's own evaluation does. Other negative identities are distractors, and so is 0 where it is no query: so
    Market-1501 numbers its distractors. In a set that numbers its people from 0 it is a person like the others.

    Source: Zheng et al. 2015, §5.2.
    """

    removal: ClassVar[Removal] = "identity-and-place"

    @property
    def name(self) -> str:
        return "market"

    @property
    def rules(self) -> str:
        return f"same identity and camera removed; junk (identity -1) dropped; CMC over pictures; {LEFT_OUT}"

    def trials(self, features: Features) -> list[Trial]:
        cameras_of(features, self.name)
        everything = np.ones(len(features), np.bool_)
        asked, searched = (everything, everything) if features.query is None else (features.query, ~features.query)
        queries, unknown = known_people(features, asked)
        junk = features.identity == -1
        trial = Trial(queries, np.flatnonzero(searched & ~junk), unknown, int((searched & junk).sum()))
        where = "identity" if features.query is None else marked_queries(features)
        return [checked(trial, features, self.name, where)]


@dataclass(frozen=True)
class CrossCamera(Protocol):
    """The set's own queries search its own gallery; pictures of the same identity and camera are removed.

    The rule is that of Market-1501 without junk: an item of a negative identity is a distractor, -1 too.
    """

    family: ClassVar[str]
    removal: ClassVar[Removal] = "identity-and-place"

    @property
    def name(self) -> str:
        return self.family

    @property
    def rules(self) -> str:
        return f"queries search the gallery; same identity and camera removed; CMC over pictures; {LEFT_OUT}"

    def trials(self, features: Features) -> list[Trial]:
        asked = queries_of(features, self.name)
        cameras_of(features, self.name)
        queries, unknown = known_people(features, asked)
        return [checked(Trial(queries, np.flatnonzero(~asked), unknown), features, self.name, marked_queries(features))]


@dataclass(frozen=True)
class MSMT17(CrossCamera):
    """MSMT17: its 11,659 queries search its gallery of 82,161.

    Source: Wei et al. 2018, which evaluates as Zheng et al. 2015.
    """

    family: ClassVar[str] = "msmt17"


@dataclass(frozen=True)
class CUHK03NP(CrossCamera):
    """CUHK03 with the newer division into 767 and 700 people: 1,400 queries search the labelled or detected gallery.

    Source: Zhong et al. 2017.
    """

    family: ClassVar[str] = "cuhk03-np"


@dataclass(frozen=True)
class VeRi(CrossCamera):
    """VeRi-776 from image to image: its 1,678 queries search its gallery of 11,579.

    The set's first figures rank tracks instead ("image to track") and are not comparable.

    Source: Liu et al. 2016 (ECCV) for the set.
    """

    family: ClassVar[str] = "veri"
    recalls: ClassVar[tuple[int, ...]] = (1, 5, 10)


@dataclass(frozen=True)
class VehicleID(Protocol):
    """PKU VehicleID: one drawn picture of every vehicle is the gallery, all its other pictures are queries.

    Give one of the test lists (800, 1,600 or 2,400 vehicles) as features. Trial t draws with a generator seeded with t,
    vehicle by vehicle. A vehicle with a single picture is in every gallery and never asked. As every query has one
    match, mAP is the mean reciprocal rank.

    Attributes:
        count: of trials.

    Source: Liu et al. 2016 (CVPR).
    """

    count: int = TRIALS

    recalls: ClassVar[tuple[int, ...]] = (1, 5)
    shown: ClassVar[tuple[Figure, ...]] = ("mAP",)

    @property
    def name(self) -> str:
        return "vehicleid"

    @property
    def rules(self) -> str:
        return f"all other pictures search one of each identity, drawn with seeds 0, 1, ...; no camera rule; {LEFT_OUT}"

    def trials(self, features: Features) -> list[Trial]:
        everything = np.ones(len(features), np.bool_)
        cells = cells_of(features, np.zeros(len(features), np.int64), everything)
        trials = []
        for number in range(self.count):
            gallery = draw_gallery(cells, 1, number)
            asked = everything.copy()
            asked[gallery] = False
            queries, unknown = known_people(features, asked)
            trials.append(checked(Trial(queries, gallery, unknown), features, self.name, "identity"))
        return trials


@dataclass(frozen=True)
class LTCC(Protocol):
    """LTCC: queries search a gallery of people who change their clothes.

    Attributes:
        setting: "standard": pictures of the query's identity and camera are removed. "clothes": those of its identity
            in the same clothes too, whatever the camera, so that only other clothes are right.

    Source: Qian et al. 2020. It reads "same identity, camera view and clothes" for "clothes"; this is how public
    evaluation code has it (Gu et al. 2022): identity and either of both.
    """

    setting: Literal["standard", "clothes"] = "clothes"

    removal: ClassVar[Removal] = "identity-and-place"

    @property
    def name(self) -> str:
        return f"ltcc-{self.setting}"

    @property
    def rules(self) -> str:
        removed = "same identity and camera" + ", same identity and clothes" * (self.setting == "clothes")
        return f"queries search the gallery; {removed} removed; CMC over pictures; {LEFT_OUT}"

    def trials(self, features: Features) -> list[Trial]:
        asked = queries_of(features, self.name)
        self.places(features)
        queries, unknown = known_people(features, asked)
        return [checked(Trial(queries, np.flatnonzero(~asked), unknown), features, self.name, marked_queries(features))]

    def places(self, features: Features) -> NDArray[np.int64]:
        camera = cameras_of(features, self.name)
        return camera if self.setting == "standard" else np.stack([camera, clothes_of(features, self.name)], axis=1)


@dataclass(frozen=True)
class PRCC(Protocol):
    """PRCC: pictures of camera B (same clothes as in A) or C (other clothes) search camera A. A, B, C are 1, 2, 3.

    Attributes:
        setting: "clothes": camera C asks; "same": camera B.
        shots: "single": one picture of each identity of camera A, trial t drawn with a generator seeded with t,
            identity by identity, as the paper has it; "multi": all of camera A, one trial, as later papers have it.
        count: of trials of "single".

    Source: Yang et al. 2021.
    """

    setting: Literal["clothes", "same"] = "clothes"
    shots: Literal["single", "multi"] = "single"
    count: int = TRIALS

    QUERY: ClassVar = {"same": 2, "clothes": 3}
    LETTER: ClassVar = {1: "A", 2: "B", 3: "C"}

    @property
    def name(self) -> str:
        return f"prcc-{self.setting}-{self.shots}"

    @property
    def rules(self) -> str:
        worn = {"same": "same clothes", "clothes": "other clothes"}[self.setting]
        searched = "one of each identity, drawn with seeds 0, 1, ..." if self.shots == "single" else "all pictures"
        return (
            f"camera {self.LETTER[self.QUERY[self.setting]]} ({worn}) searches camera A ({searched}); nothing removed; "
            f"CMC over pictures; {LEFT_OUT}"
        )

    def trials(self, features: Features) -> list[Trial]:
        camera = cameras_of(features, self.name)
        unknown = ~np.isin(camera, list(self.LETTER))
        if unknown.any():
            row = int(unknown.argmax())
            raise InputError(
                f"{features.origin}: {self.name} knows cameras 1 (A), 2 (B) and 3 (C), not {camera[row]} (row {row})"
            )
        queries, nobody = known_people(features, camera == self.QUERY[self.setting])
        if self.shots == "multi":
            galleries = [np.flatnonzero(camera == 1)]
        else:
            cells = cells_of(features, camera, camera == 1)
            galleries = [draw_gallery(cells, 1, number) for number in range(self.count)]
        return [checked(Trial(queries, gallery, nobody), features, self.name, "camera") for gallery in galleries]
