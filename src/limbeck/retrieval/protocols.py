"""The field's evaluation protocols as named objects: who is asked, what is searched, which rules hold."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.modalities import INFRARED, MODALITIES, VISIBLE
from limbeck.retrieval.features import Features
from limbeck.retrieval.metrics import Figure
from limbeck.retrieval.ranking import Removal

Direction = Literal["v2i", "i2v"]
# (camera, identity) -> (trials, pictures) permutations, from 1, of the sorted pictures of that camera and identity.
Permutations = Mapping[tuple[int, int], NDArray[np.int64]]

TRIALS = 10
_LEFT_OUT = "queries of a negative identity not asked, unmatched ones left out"


@dataclass(frozen=True)
class Trial:
    """Positions of the queries and of the gallery among the features.

    Attributes:
        queries: never of a negative identity, which is nobody's.
        gallery: items of a negative identity are among them, unless the protocol drops them.
        not_asked: items that would be queries if their identity were known.
        dropped: items that would be searched if they were not junk.
    """

    queries: NDArray[np.int64]
    gallery: NDArray[np.int64]
    not_asked: int = 0
    dropped: int = 0


class Protocol(ABC):
    """Which queries search which galleries, and what counts.

    Of all protocols: an item of a negative identity (junk, or a person whom nobody knows) is never a query; in the
    gallery it is a distractor that matches nothing, unless the protocol drops it. Where a gallery is drawn from every
    identity and camera, those of negative identities are drawn last, so that they change nothing of the others' draw.

    Attributes:
        removal: which items of the gallery a query does not see (see `Ranker`).
        unique_identity: whether CMC counts identities instead of pictures.
        recalls: the K whose Recall@K (CMC at K) is customary.
        shown: which other figures are.
    """

    removal: ClassVar[Removal] = "none"
    unique_identity: ClassVar[bool] = False
    recalls: ClassVar[tuple[int, ...]] = (1, 5, 10, 20)
    shown: ClassVar[tuple[Figure, ...]] = ("mAP", "mINP")

    @property
    @abstractmethod
    def name(self) -> str:
        """What the command calls it."""

    @property
    @abstractmethod
    def rules(self) -> str:
        """Everything that decides the figures, in one line; printed beside them."""

    @abstractmethod
    def trials(self, features: Features) -> list[Trial]:
        """The queries and galleries of every trial.

        Raises:
            InputError: the features lack labels that the protocol needs, or leave a query set or gallery empty.
        """

    def places(self, features: Features) -> NDArray[np.int64] | None:
        """What the removal rule compares; None where there is no rule."""
        if self.removal == "none":
            return None
        return _cameras(features, self.name)


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
            f"CMC over identities; {_LEFT_OUT}"
        )

    def trials(self, features: Features) -> list[Trial]:
        camera = _cameras(features, self.name)
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
        queries, unknown_people = _known_people(features, np.isin(camera, self.QUERY))
        cells = _cells(features, camera, np.isin(camera, self.GALLERY[self.mode]))
        if self.permutations is None:
            galleries = [_drawn(cells, self.shots, trial) for trial in range(self.count)]
        else:
            galleries = [self._permuted(cells, trial, features.origin) for trial in range(self.count)]
        return [_checked(Trial(queries, gallery, unknown_people), features, self.name) for gallery in galleries]

    def places(self, features: Features) -> NDArray[np.int64]:
        return np.array([self.LOCATION[camera] for camera in _cameras(features, self.name).tolist()], np.int64)

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
        asked, searched = _directed(self.direction)
        return (
            f"all {MODALITIES[asked]} search all {MODALITIES[searched]}; no camera rule; CMC over pictures; {_LEFT_OUT}"
        )

    def trials(self, features: Features) -> list[Trial]:
        asked, searched = _directed(self.direction)
        modality = _modality(features, self.name)
        queries, unknown = _known_people(features, modality == asked)
        return [_checked(Trial(queries, np.flatnonzero(modality == searched), unknown), features, self.name)]


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
        asked, searched = (MODALITIES[side] for side in _directed(self.direction))
        drawn = f"one {searched} a camera and identity, drawn with seeds 0, 1, ..."
        sides = f"{drawn}, search all {asked} (sides swapped)" if self.swapped else f"all {asked} search {drawn}"
        return f"{sides}; same identity and camera removed; CMC over identities; {_LEFT_OUT}"

    def trials(self, features: Features) -> list[Trial]:
        asked, searched = _directed(self.direction)
        modality, camera = _modality(features, self.name), _cameras(features, self.name)
        cells = _cells(features, camera, modality == searched)
        everything = modality == asked
        trials = []
        for drawn in (_drawn(cells, 1, number) for number in range(self.count)):
            chosen = np.isin(np.arange(len(features)), drawn) if self.swapped else everything
            queries, unknown = _known_people(features, chosen)
            trials.append(Trial(queries, np.flatnonzero(everything) if self.swapped else drawn, unknown))
        return [_checked(trial, features, self.name) for trial in trials]


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
        return f"same identity and camera removed; junk (identity -1) dropped; CMC over pictures; {_LEFT_OUT}"

    def trials(self, features: Features) -> list[Trial]:
        _cameras(features, self.name)
        everything = np.ones(len(features), np.bool_)
        asked, searched = (everything, everything) if features.query is None else (features.query, ~features.query)
        queries, unknown = _known_people(features, asked)
        junk = features.identity == -1
        trial = Trial(queries, np.flatnonzero(searched & ~junk), unknown, int((searched & junk).sum()))
        if features.query is None:
            return [_checked(trial, features, self.name, "identity")]
        marked = f"'query', which marks {int(asked.sum())} of {len(features)} items"
        return [_checked(trial, features, self.name, marked)]


@dataclass(frozen=True)
class LeaveOneOut(Protocol):
    """Deep metric learning: every item searches all the others.

    An item never finds itself, by its index: an equal copy of it, a picture that a set holds twice, stays in the
    gallery. (Implementations that drop the first neighbour instead drop the copy.) Items whose class has no other item
    have no match; they are left out of every figure, counted as unmatched, and searched.

    Source: Oh Song et al. 2016, §5 for Recall@K; Musgrave et al. 2020, §2.2 for R-precision and MAP@R.
    """

    family: ClassVar[str] = "leave-one-out"
    removal: ClassVar[Removal] = "place"
    recalls: ClassVar[tuple[int, ...]] = (1, 2, 4, 8)
    shown: ClassVar[tuple[Figure, ...]] = ("R-precision", "MAP@R")

    @property
    def name(self) -> str:
        return self.family

    @property
    def rules(self) -> str:
        return f"each item searches all others, itself removed by index; {_LEFT_OUT}"

    def trials(self, features: Features) -> list[Trial]:
        queries, unknown = _known_people(features, np.ones(len(features), np.bool_))
        return [_checked(Trial(queries, np.arange(len(features)), unknown), features, self.name, "identity")]

    def places(self, features: Features) -> NDArray[np.int64]:
        return np.arange(len(features))


@dataclass(frozen=True)
class CUB(LeaveOneOut):
    """CUB-200-2011 without its training classes: the pictures of classes 101 to 200 search one another."""

    family: ClassVar[str] = "cub"
    recalls: ClassVar[tuple[int, ...]] = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Cars(LeaveOneOut):
    """Cars196 without its training classes: the pictures of classes 99 to 196 search one another."""

    family: ClassVar[str] = "cars"
    recalls: ClassVar[tuple[int, ...]] = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class SOP(LeaveOneOut):
    """Stanford Online Products: the pictures of its test classes search one another."""

    family: ClassVar[str] = "sop"
    recalls: ClassVar[tuple[int, ...]] = (1, 10, 100, 1000)


@dataclass(frozen=True)
class InShop(Protocol):
    """In-Shop Clothes Retrieval: queries search a gallery of other pictures, without further rules.

    Source: Liu et al. 2016 (DeepFashion), §5.2.
    """

    recalls: ClassVar[tuple[int, ...]] = (1, 10, 20, 30, 40, 50)
    shown: ClassVar[tuple[Figure, ...]] = ("R-precision", "MAP@R")

    @property
    def name(self) -> str:
        return "inshop"

    @property
    def rules(self) -> str:
        return f"queries search the gallery, nothing removed; {_LEFT_OUT}"

    def trials(self, features: Features) -> list[Trial]:
        if features.query is None:
            raise InputError(
                f"{features.origin}: the protocol {self.name} needs 'query', which marks the queries, and there is none"
            )
        queries, unknown = _known_people(features, features.query)
        trial = Trial(queries, np.flatnonzero(~features.query), unknown)
        marked = f"'query', which marks {int(features.query.sum())} of {len(features)} items"
        return [_checked(trial, features, self.name, marked)]


def named_protocols(name: str, *, permutations: Permutations | None = None) -> list[Protocol]:
    """The protocols of that name, or of all names that begin with it: "sysu-all" is both numbers of shots.

    "llcm" does not include "llcm-v2i-deen-script", whose figures are not comparable; ask for it by its whole name.

    Args:
        name: one of `protocol_names`, or how one begins, up to a hyphen.
        permutations: of SYSU-MM01, for its "matlab" sampler.

    Raises:
        InputError: there is none, or permutations are given for another set.
    """
    known = _known(permutations)
    if permutations is not None and not name.startswith("sysu"):
        raise InputError(f"permutations belong to the sysu protocols, not to {name!r}")
    if name in known:
        return [known[name]]
    family = [protocol for other, protocol in known.items() if other.startswith(f"{name}-")]
    family = [protocol for protocol in family if not getattr(protocol, "swapped", False)]
    if not family:
        raise InputError(f"there is no protocol {name!r}: choose from {', '.join(known)}")
    return family


def protocol_names() -> list[str]:
    """Every protocol's name."""
    return list(_known(None))


def _known(permutations: Permutations | None) -> dict[str, Protocol]:
    protocols: Sequence[Protocol] = (
        *(SYSU(mode, shots, permutations) for mode in ("all", "indoor") for shots in (1, 10)),
        RegDB("v2i"),
        RegDB("i2v"),
        LLCM("v2i"),
        LLCM("i2v"),
        LLCM("v2i", swapped=True),
        Market(),
        CrossModal("v2i"),
        CrossModal("i2v"),
        CUB(),
        Cars(),
        SOP(),
        InShop(),
        LeaveOneOut(),
    )
    return {protocol.name: protocol for protocol in protocols}


def _directed(direction: Direction) -> tuple[int, int]:
    """The modality that asks and the one that is searched."""
    return (VISIBLE, INFRARED) if direction == "v2i" else (INFRARED, VISIBLE)


def _cameras(features: Features, name: str) -> NDArray[np.int64]:
    if features.camera is None:
        raise InputError(f"{features.origin}: the protocol {name} needs 'camera', and there is none")
    return features.camera


def _modality(features: Features, name: str) -> NDArray[np.int8]:
    if features.modality is None:
        raise InputError(f"{features.origin}: the protocol {name} needs 'modality', and there is none")
    return features.modality


def _cells(
    features: Features, camera: NDArray[np.int64], chosen: NDArray[np.bool_]
) -> dict[tuple[int, int], NDArray[np.int64]]:
    """(identity, camera) -> its chosen pictures, sorted by name; identity by identity and camera by camera.

    Negative identities come last.
    """
    positions = np.flatnonzero(chosen)
    name = np.zeros(len(features)) if features.path is None else np.array(features.path)
    identity = features.identity[positions]
    order = positions[np.lexsort((positions, name[positions], camera[positions], identity, identity < 0))]
    keys = np.stack([features.identity[order], camera[order]], axis=1)
    edges = np.flatnonzero((np.diff(keys, axis=0) != 0).any(axis=1)) + 1
    groups: Iterator[NDArray[np.int64]] = iter(np.split(order, edges)) if len(order) else iter(())
    return {(int(features.identity[group[0]]), int(camera[group[0]])): group for group in groups}


def _drawn(cells: Mapping[tuple[int, int], NDArray[np.int64]], shots: int, seed: int) -> NDArray[np.int64]:
    """`shots` of every cell (all of a smaller one), by the generator that the field's scripts use."""
    generator = random.Random(seed)
    if shots == 1:
        return np.array([generator.choice(members.tolist()) for members in cells.values()], np.int64)
    chosen = [generator.sample(members.tolist(), min(shots, len(members))) for members in cells.values()]
    return np.array([position for members in chosen for position in members], np.int64)


def _known_people(features: Features, chosen: NDArray[np.bool_]) -> tuple[NDArray[np.int64], int]:
    """The chosen items whose identity is known, and how many others there are."""
    known = features.identity >= 0
    return np.flatnonzero(chosen & known), int((chosen & ~known).sum())


def _checked(trial: Trial, features: Features, name: str, where: str = "camera and modality") -> Trial:
    """The trial, if both its sides hold something; `where` says what decides that."""
    if len(trial.queries) == 0 and trial.not_asked:
        raise InputError(
            f"{features.origin}: all {trial.not_asked} queries of the protocol {name} have a negative identity, "
            "which is nobody's and never asked"
        )
    if len(trial.gallery) == 0 and trial.dropped:
        raise InputError(f"{features.origin}: all {trial.dropped} items that {name} searches are junk (identity -1)")
    if len(trial.queries) == 0 or len(trial.gallery) == 0:
        empty = "query" if len(trial.queries) == 0 else "gallery"
        raise InputError(f"{features.origin}: the protocol {name} finds an empty {empty}; look at {where}")
    return trial
