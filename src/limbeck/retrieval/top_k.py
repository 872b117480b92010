"""The head of a query's ranked list: which items come first, and which of them are right.

`top_k` is the search itself, of vectors in vectors; `ranked_lists` follows a protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from limbeck.errors import InputError
from limbeck.retrieval.arrays import floating
from limbeck.retrieval.comparing import check_vectors, compared
from limbeck.retrieval.features import Features, check_finite
from limbeck.retrieval.nearest import TopK, nearest
from limbeck.retrieval.protocols import Protocol
from limbeck.retrieval.ranking import Removal
from limbeck.retrieval.reranking import KReciprocal, k_reciprocal
from limbeck.retrieval.similarity import MEMORY, Comparison, Similarity, check_similarity, highest


@dataclass(frozen=True, eq=False)
class RankedList:
    """What a query finds first.

    Attributes:
        query: its position among the features.
        items: (found,) positions of the first items that it sees, nearest first; fewer than asked for where the
            gallery, without the removed items, is smaller.
        similarity: (found,) of each.
        right: (found,) whether each shows the query's identity.
        matched: whether the query sees any item of its identity, in the list or beyond it.
    """

    query: int
    items: NDArray[np.int64]
    similarity: NDArray[np.floating]
    right: NDArray[np.bool_]
    matched: bool

    @property
    def first(self) -> int:
        """Rank, from 1 and counted in items, of the first right one; 0 where the list holds none."""
        return int(self.right.argmax()) + 1 if self.right.any() else 0


def top_k(
    queries: ArrayLike | Tensor,
    gallery: ArrayLike | Tensor,
    k: int = 10,
    *,
    similarity: Similarity = "cosine",
    memory: int = 2**25,
) -> TopK:
    r"""The k nearest items of a gallery to each query, exactly.

    Nearness of vectors q and g is their cosine, 0 where one has length 0; :math:`q \cdot g` ("dot"); or
    :math:`-\|q - g\|^2` ("euclidean"). Products in the vectors' own precision choose candidates, with some to spare;
    their similarities are then computed as if with 106 bits and rounded to float64 once, whatever the precision of the
    vectors, and a query whose candidates lie too close is asked again in float64. So the result is that of real
    arithmetic on the numbers given; of two equal similarities the item that stands first in the gallery comes first. No
    copy of the gallery is made, unless it is of another
    kind than float32 and float64.

    Args:
        queries: (queries, features) real numbers, finite.
        gallery: (items, features).
        k: how many; all, where there are fewer items.
        similarity: "cosine", "euclidean" or "dot"; those of the last two that are returned must fit float64.
        memory: bytes that a part of the gallery and its products take at once.

    Raises:
        InputError: k is below 1, there is no such similarity, or the vectors do not fit, or are not finite.

    Example:
        >>> found = top_k([[2, 0]], [[0, 1], [1, 1], [3, 0]], k=2)
        >>> found.positions.tolist(), found.similarity.round(3).tolist()
        ([[2, 1]], [[1.0, 0.707]])
    """
    if k < 1:
        raise InputError(f"k must be at least 1, not {k}")
    check_similarity(similarity)
    asked, searched = floating(queries, "queries"), floating(gallery, "gallery")
    if asked.ndim != 2 or searched.ndim != 2 or asked.shape[1] != searched.shape[1]:
        raise InputError(
            f"queries and gallery must be matrices of as many features, not {asked.shape} and {searched.shape}"
        )
    check_finite(asked, "queries", "vectors")
    check_finite(searched, "gallery", "vectors")
    return nearest(asked, searched, k, similarity, memory)


def ranked_lists(
    features: Features,
    protocol: Protocol,
    *,
    trial: int = 0,
    queries: ArrayLike | None = None,
    k: int = 10,
    similarity: Similarity = "cosine",
    reranking: KReciprocal | None = None,
) -> list[RankedList]:
    """The first k items of some queries' galleries, in the order and after the removal that the protocol rules.

    Of two equal similarities the one that stands first in the trial's gallery comes first, as `Ranker` has it, so
    `RankedList.first` is `Ranks.first` wherever the list is long enough and CMC counts pictures. Under a protocol of
    unique identities the list still shows pictures, while `Ranks.first` counts identities and may be smaller.
    Similarities are computed anew: in single precision two that differ by rounding alone may stand the other way round
    than in an evaluation that multiplied larger blocks (`limbeck.retrieval.similarity` says by how much).

    Args:
        features: what is searched.
        protocol: which rules.
        trial: which of the protocol's trials, from 0.
        queries: positions among the features, each a query of that trial; default: all its queries, ascending.
        k: how many items.
        similarity: "cosine", "euclidean" or "dot"; not "dot" for re-ranking.
        reranking: order by re-ranked similarities; all queries of the trial take part in them, as in `evaluate`.

    Returns:
        One list a query, in the order of `queries`.

    Raises:
        InputError: there is no such trial, a position is not a query of it, k is below 1, or labels are missing.
        ValueError: a similarity is NaN.

    Example:
        >>> import numpy as np
        >>> from limbeck.retrieval import CrossModal, Features
        >>> features = Features.from_arrays(
        ...     [[1, 0], [0.8, 0.6], [0.6, 0.8], [0, 1]], [7, 8, 7, 9], modality=["infrared"] + ["visible"] * 3
        ... )
        >>> (found,) = ranked_lists(features, CrossModal("i2v"), k=2)
        >>> found.items.tolist(), found.right.tolist(), found.first
        ([1, 2], [False, True], 2)
    """
    if k < 1:
        raise InputError(f"k must be at least 1, not {k}")
    trials = protocol.trials(features)
    if not 0 <= trial < len(trials):
        raise InputError(f"{protocol.name} has trials 0 to {len(trials) - 1} on these features, not {trial}")
    known, gallery = np.sort(trials[trial].queries), trials[trial].gallery
    asked = known if queries is None else _positions(queries, known, protocol.name, trial)
    people, place = features.identity[gallery], protocol.places(features)
    there = None if place is None else place[gallery]
    comparison, rows = _compared(features, asked, known, gallery, similarity, reranking)
    result = []
    for number, (row, scores) in enumerate(zip(asked.tolist(), rows, strict=True)):
        if np.isnan(scores).any():
            raise ValueError("similarity holds NaN")
        same = people == features.identity[row]
        seen = _seen(protocol.removal, same, None if place is None or there is None else _here(there, place[row]))
        if comparison is None:
            order = seen[highest(scores[seen], k)]
            found = scores[order]
        else:
            order, found = comparison.first(number, scores, seen, k)
        result.append(RankedList(row, gallery[order], found, same[order], bool(same[seen].any())))
    return result


def _positions(queries: ArrayLike, known: NDArray[np.int64], name: str, trial: int) -> NDArray[np.int64]:
    asked = np.asarray(queries)
    if asked.size == 0:
        return np.zeros(0, np.int64)
    if asked.ndim != 1 or asked.dtype.kind not in "iu":
        raise InputError(f"queries must be a row of positions, not {asked.dtype} {asked.shape}")
    strange = ~np.isin(asked, known)
    if strange.any():
        raise InputError(f"item {asked[strange.argmax()]} is not a query of {name}, trial {trial}")
    return asked.astype(np.int64)


def _compared(
    features: Features,
    asked: NDArray[np.int64],
    known: NDArray[np.int64],
    gallery: NDArray[np.int64],
    similarity: Similarity,
    reranking: KReciprocal | None,
) -> tuple[Comparison | None, Iterator[NDArray[np.floating]]]:
    """Similarities of each asked query to the gallery, and what they are of, unless they are re-ranked.

    A row is overwritten when later ones are asked for.
    """
    if reranking is None:
        comparison = compared(features, asked, gallery, similarity)
        return comparison, (np.asarray(scores) for _, block in comparison.blocks(MEMORY) for scores in block)
    check_vectors(features)
    again = k_reciprocal(
        features.feature[known],
        features.feature[gallery],
        similarity,
        k1=reranking.k1,
        k2=reranking.k2,
        weight=reranking.weight,
    )
    return None, iter(again[np.searchsorted(known, asked)])


def _here(there: NDArray[np.int64], place: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which items share the place, in any of its kinds (see `Labels`)."""
    same = np.asarray(there == place)
    return same if same.ndim == 1 else np.asarray(same.any(axis=1))


def _seen(removal: Removal, same: NDArray[np.bool_], here: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """Positions in the gallery that a query sees; `same` identity, `here` at the query's place."""
    if here is None:
        return np.arange(len(same))
    return np.flatnonzero(~here if removal == "place" else ~(here & same))
