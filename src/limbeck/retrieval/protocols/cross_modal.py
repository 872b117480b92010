"""Protocols of visible-infrared re-identification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.modalities import INFRARED, MODALITIES, VISIBLE
from limbeck.retrieval.features import Features
from limbeck.retrieval.protocols.base import (
    LEFT_OUT,
    TRIALS,
    Protocol,
    Trial,
    cameras_of,
    cells_of,
    checked,
    draw_gallery,
    known_people,
    modality_of,
)
from limbeck.retrieval.ranking import Removal

Direction = Literal["v2i", "i2v"]
# (camera, identity) -> (trials, pictures) permutations, from 1, of the sorted pictures of that camera and identity.
Permutations = Mapping[tuple[int, int], NDArray[np.int64]]


@dataclass(frozen=True)
class SYSU(Protocol):
    """SYSU-MM01: infrared pictures of cameras 3 and 6 search visible ones.

    Per trial the gallery holds `shots` pictures of every identity and camera: cameras 1, 2, 4, 5 in "all" search, 1 and
    2 in "indoor" search. Pictures from the query's own location (cameras 2 and 3 share one) are removed; CMC counts
    identities; queries without a match are left out.

    Attributes:
        mode: "all" or "indoor".
        shots: pictures of an identity and camera in the gallery; 1 and 10 are the official numbers.
        permutations: those of the official `rand_perm_cam.mat` (see `limbeck.reid.sets.sysu.read_permutations`); where
            given, trial t takes the first `shots` of row t. Otherwise trial t draws as AGW's script does: a generator
            seeded with t chooses, identity by identity and camera by camera, from the sorted pictures (`choice` for one
            shot; for more, `sample`, which is ours).
        count: of trials.

    Source: Wu et al. 2017, §5.1, and the evaluation that the data set's authors publish; Ye et al. 2021 for AGW.
    """

    mode: Literal["all", "indoor"] = "all"
    shots: int = 1
    permutations: Permutations | None = field(default=None, repr=False, compare=False)
    count: int = TRIALS

    removal: ClassVar[Removal] = "place"
    unique_identity: ClassVar[bool] = True
    GALLERY: ClassVar = {"all": (1, 2, 4, 5), "indoor": (1, 2)}
    QUERY: ClassVar = (3, 6)
    LOCATION: ClassVar = {1: 1, 2: 2, 3: 2, 4: 4, 5: 5, 6: 6}

    @property
    def name(self) -> str:
        return f"sysu-{self.mode}-{ {1: 'single', 10: 'multi'}.get(self.shots, f'{self.shots}shot') }"

    @property
    def rules(self) -> str:
        sampler = "matlab (rand_perm_cam.mat)" if self.permutations is not None else "agw (seeds 0, 1, ...)"
        return (
            f"infrared cameras 3, 6 search visible cameras {', '.join(map(str, self.GALLERY[self.mode]))}; "
            f"{self.shots} a camera and identity, gallery sampler {sampler}; same location removed; "
            f"CMC over identities; {LEFT_OUT}"
        )

    def trials(self, features: Features) -> list[Trial]:
        camera = cameras_of(features, self.name)
        unknown = ~np.isin(camera, list(self.LOCATION))
        if unknown.any():
            raise InputError(
                f"{features.origin}: {self.name} knows cameras 1 to 6, not {camera[unknown.argmax()]} "
                f"(row {int(unknown.argmax())})"
            )
        if features.modality is not None:
            infrared = np.isin(camera, self.QUERY)
            wrong = infrared != (features.modality == INFRARED)
            if wrong.any():
                row = int(wrong.argmax())
                raise InputError(
                    f"{features.origin}: row {row} is of camera {camera[row]} but marked "
                    f"{MODALITIES[features.modality[row]]}; in {self.name} cameras 3 and 6 are the infrared ones"
                )
        queries, unknown_people = known_people(features, np.isin(camera, self.QUERY))
        cells = cells_of(features, camera, np.isin(camera, self.GALLERY[self.mode]))
        if self.permutations is None:
            galleries = [draw_gallery(cells, self.shots, trial) for trial in range(self.count)]
        else:
            galleries = [self._permuted(cells, trial, features.origin) for trial in range(self.count)]
        return [checked(Trial(queries, gallery, unknown_people), features, self.name) for gallery in galleries]

    def places(self, features: Features) -> NDArray[np.int64]:
        return np.array([self.LOCATION[camera] for camera in cameras_of(features, self.name).tolist()], np.int64)

    def _permuted(
        self, cells: Mapping[tuple[int, int], NDArray[np.int64]], trial: int, origin: str
    ) -> NDArray[np.int64]:
        assert self.permutations is not None
        chosen = []
        for (identity, camera), members in cells.items():
            rows = self.permutations.get((camera, identity))
            if rows is None or trial >= len(rows) or rows.shape[1] != len(members):
                held = "nothing" if rows is None else f"{rows.shape[1]} pictures and {len(rows)} trials"
                raise InputError(
                    f"{origin}: identity {identity} has {len(members)} pictures of camera {camera}, but the "
                    f"permutations hold {held} for them; they fit the whole official set only"
                )
            chosen.append(members[rows[trial, : self.shots] - 1])
        return np.concatenate(chosen) if chosen else np.zeros(0, np.int64)


@dataclass(frozen=True)
class CrossModal(Protocol):
    """All pictures of one modality search all of the other, without further rules.

    Attributes:
        direction: "v2i": visible pictures search infrared ones; "i2v" the other way.
    """

    direction: Direction = "i2v"
    family: ClassVar[str] = "cross"

    @property
    def name(self) -> str:
        return f"{self.family}-{self.direction}"

    @property
    def rules(self) -> str:
        asked, searched = directed(self.direction)
        return (
            f"all {MODALITIES[asked]} search all {MODALITIES[searched]}; no camera rule; CMC over pictures; {LEFT_OUT}"
        )

    def trials(self, features: Features) -> list[Trial]:
        asked, searched = directed(self.direction)
        modality = modality_of(features, self.name)
        queries, unknown = known_people(features, modality == asked)
        return [checked(Trial(queries, np.flatnonzero(modality == searched), unknown), features, self.name)]


@dataclass(frozen=True)
class RegDB(CrossModal):
    """RegDB: the test pictures of one of ten folds; one model per fold, so one file of features per fold.

    Source: Ye et al. 2018, §5.1 ("visible to thermal" is "v2i" here).
    """

    family: ClassVar[str] = "regdb"


@dataclass(frozen=True)
class LLCM(Protocol):
    """LLCM: all pictures of one modality search one drawn picture of every identity and camera of the other.

    Trial t draws with a generator seeded with t, identity by identity and camera by camera. Pictures of the query's own
    identity *and* camera are removed; CMC counts identities.

    Attributes:
        direction: "v2i" or "i2v".
        swapped: the "VIS to IR" of the data set's own test script, which swaps the two sides: the drawn infrared
            pictures search all visible ones. Its figures are not comparable with the proper ones.
        count: of trials.

    Source: Zhang and Wang 2023, §5.1.
    """

    direction: Direction = "i2v"
    swapped: bool = False
    count: int = TRIALS

    removal: ClassVar[Removal] = "identity-and-place"
    unique_identity: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return f"llcm-{self.direction}" + "-deen-script" * self.swapped

    @property
    def rules(self) -> str:
        asked, searched = (MODALITIES[side] for side in directed(self.direction))
        drawn = f"one {searched} a camera and identity, drawn with seeds 0, 1, ..."
        sides = f"{drawn}, search all {asked} (sides swapped)" if self.swapped else f"all {asked} search {drawn}"
        return f"{sides}; same identity and camera removed; CMC over identities; {LEFT_OUT}"

    def trials(self, features: Features) -> list[Trial]:
        asked, searched = directed(self.direction)
        modality, camera = modality_of(features, self.name), cameras_of(features, self.name)
        cells = cells_of(features, camera, modality == searched)
        everything = modality == asked
        trials = []
        for drawn in (draw_gallery(cells, 1, number) for number in range(self.count)):
            chosen = np.isin(np.arange(len(features)), drawn) if self.swapped else everything
            queries, unknown = known_people(features, chosen)
            trials.append(Trial(queries, np.flatnonzero(everything) if self.swapped else drawn, unknown))
        return [checked(trial, features, self.name) for trial in trials]


def directed(direction: Direction) -> tuple[int, int]:
    """The modality that asks and the one that is searched."""
    return (VISIBLE, INFRARED) if direction == "v2i" else (INFRARED, VISIBLE)
