"""Protocols of deep metric learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from limbeck.retrieval.features import Features
from limbeck.retrieval.metrics import Figure
from limbeck.retrieval.protocols.base import (
    LEFT_OUT,
    Protocol,
    Trial,
    checked,
    known_people,
    marked_queries,
    queries_of,
)
from limbeck.retrieval.ranking import Removal


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
        return f"each item searches all others, itself removed by index; {LEFT_OUT}"

    def trials(self, features: Features) -> list[Trial]:
        queries, unknown = known_people(features, np.ones(len(features), np.bool_))
        return [checked(Trial(queries, np.arange(len(features)), unknown), features, self.name, "identity")]

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
        return f"queries search the gallery, nothing removed; {LEFT_OUT}"

    def trials(self, features: Features) -> list[Trial]:
        asked = queries_of(features, self.name)
        queries, unknown = known_people(features, asked)
        trial = Trial(queries, np.flatnonzero(~asked), unknown)
        return [checked(trial, features, self.name, marked_queries(features))]
