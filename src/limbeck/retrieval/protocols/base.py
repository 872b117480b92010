"""What every protocol says, and what protocols share: labels that they need, drawn galleries, checks."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.retrieval.features import Features
from limbeck.retrieval.metrics import Figure
from limbeck.retrieval.ranking import Removal

TRIALS = 10
LEFT_OUT = "queries of a negative identity not asked, unmatched ones left out"


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
        return cameras_of(features, self.name)


def cameras_of(features: Features, name: str) -> NDArray[np.int64]:
    if features.camera is None:
        raise InputError(f"{features.origin}: the protocol {name} needs 'camera', and there is none")
    return features.camera


def clothes_of(features: Features, name: str) -> NDArray[np.int64]:
    if features.clothes is None:
        raise InputError(f"{features.origin}: the protocol {name} needs 'clothes', and there are none")
    return features.clothes


def queries_of(features: Features, name: str) -> NDArray[np.bool_]:
    if features.query is None:
        raise InputError(
            f"{features.origin}: the protocol {name} needs 'query', which marks the queries, and there is none"
        )
    return features.query


def modality_of(features: Features, name: str) -> NDArray[np.int8]:
    if features.modality is None:
        raise InputError(f"{features.origin}: the protocol {name} needs 'modality', and there is none")
    return features.modality


def cells_of(
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


def draw_gallery(cells: Mapping[tuple[int, int], NDArray[np.int64]], shots: int, seed: int) -> NDArray[np.int64]:
    """`shots` of every cell (all of a smaller one), by the generator that the field's scripts use."""
    generator = random.Random(seed)
    if shots == 1:
        return np.array([generator.choice(members.tolist()) for members in cells.values()], np.int64)
    chosen = [generator.sample(members.tolist(), min(shots, len(members))) for members in cells.values()]
    return np.array([position for members in chosen for position in members], np.int64)


def known_people(features: Features, chosen: NDArray[np.bool_]) -> tuple[NDArray[np.int64], int]:
    """The chosen items whose identity is known, and how many others there are."""
    known = features.identity >= 0
    return np.flatnonzero(chosen & known), int((chosen & ~known).sum())


def marked_queries(features: Features) -> str:
    """Where to look when the marked queries, or the others, are none."""
    marked = 0 if features.query is None else int(features.query.sum())
    return f"'query', which marks {marked} of {len(features)} items"


def checked(trial: Trial, features: Features, name: str, where: str = "camera and modality") -> Trial:
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
