"""Re-ranking with k-reciprocal neighbours. Off by default everywhere: it uses the other queries, and says so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from limbeck.errors import InputError
from limbeck.jit import jit
from limbeck.retrieval.arrays import floating
from limbeck.retrieval.reciprocal import expanded_neighbours
from limbeck.retrieval.similarity import MEMORY, Similarity, check_similarity, distance_vectors, highest, similarities

# Pairs of vectors multiplied at once.
_PAIRS = 2**16


@dataclass(frozen=True)
class KReciprocal:
    """Settings of `k_reciprocal`; the defaults are the paper's.

    Raises:
        InputError: k1, k2 or weight is out of range.
    """

    k1: int = 20
    k2: int = 6
    weight: float = 0.3

    def __post_init__(self) -> None:
        if self.k1 < 1 or self.k2 < 1 or not 0 <= self.weight <= 1:
            raise InputError(
                "re-ranking needs k1 and k2 of at least 1 and a weight in [0, 1], "
                f"not {self.k1}, {self.k2} and {self.weight}"
            )

    @property
    def tag(self) -> str:
        """For names of folders; the defaults are not written out."""
        return "reranked" if self == KReciprocal() else f"reranked-{self.k1}-{self.k2}-{self.weight:g}"

    def __str__(self) -> str:
        return f"k-reciprocal re-ranking (k1 {self.k1}, k2 {self.k2}, weight {self.weight:g})"


def check_reranking(similarity: str, device: str | torch.device | None = None) -> None:
    """Raise InputError unless embeddings can be re-ranked by this similarity, there."""
    check_similarity(similarity)
    if similarity == "dot":
        raise InputError(
            "re-ranking compares distances, and a dot product is none: choose cosine or euclidean similarity"
        )
    if device is not None:
        raise InputError("re-ranking is computed on the CPU only: leave the device out")


def k_reciprocal(
    query: NDArray[np.floating],
    gallery: NDArray[np.floating],
    similarity: Similarity = "cosine",
    *,
    k1: int = 20,
    k2: int = 6,
    weight: float = 0.3,
    memory: int = MEMORY,
) -> NDArray[np.float32]:
    r"""Similarities after k-reciprocal re-ranking, (queries, gallery), higher is nearer.

    .. math:: s(q, g) = -\left[(1 - \lambda) \left(1 - \frac{\sum_j \min(V_{qj}, V_{gj})}
        {\sum_j \max(V_{qj}, V_{gj})}\right) + \lambda\, d(q, g)\right]

    where :math:`d` is the squared Euclidean distance, divided by the greatest distance of q to anything: of the vectors
    divided by their lengths for "cosine", as the paper has it, and of the vectors themselves for "euclidean".
    :math:`V_{ij} \propto \exp(-d(i, j))` for j among the expanded k1-reciprocal neighbours of i (sum 1),
    averaged over the k2 nearest neighbours of i; neighbours are sought among queries and gallery together.

    Args:
        query: (queries, features).
        gallery: (gallery, features).
        similarity: "cosine" or "euclidean".
        k1: size of the neighbourhood.
        k2: size of the neighbourhood that V is averaged over; 1: no averaging.
        weight: :math:`\lambda` in [0, 1], of the original distance.
        memory: bytes of distances held at once; two matrices (queries, gallery) and the neighbours come on top.

    Raises:
        InputError: k1, k2 or weight is out of range, or the similarity gives no distance.

    Source: Zhong et al. 2017, eq. 4-12.
    """
    KReciprocal(k1, k2, weight)
    check_reranking(similarity)
    everything = distance_vectors(
        np.concatenate([floating(query, "query"), floating(gallery, "gallery")]), similarity
    ).astype(np.float32)
    size, queries = len(everything), len(query)
    reach = min(max(k1 + 1, k2), size)
    nearest = np.empty((size, reach), np.int64)
    farthest = np.empty(size, np.float32)
    direct = np.empty((queries, len(gallery)), np.float32)
    # Half for the similarities, half for the distances made of them.
    for part, nearness in similarities(everything, everything, "euclidean", memory=memory // 2):
        distance = np.maximum(-nearness, 0)
        farthest[part] = distance.max(axis=1)
        distance /= np.maximum(farthest[part], np.finfo(np.float32).tiny)[:, None]
        nearest[part] = _nearest(distance, reach)
        rows = slice(part.start, min(part.stop, queries))
        if rows.start < rows.stop:
            direct[rows] = distance[: rows.stop - rows.start, queries:]
    # Half of k1 is rounded to even, as the paper's code does.
    columns, starts = expanded_neighbours(np.ascontiguousarray(nearest[:, : k1 + 1]), round(k1 / 2))
    code = sparse.csr_array((_weights(everything, farthest, columns, starts), columns, starts), shape=(size, size))
    if k2 > 1:
        width = min(k2, size)
        average = sparse.csr_array(
            (
                np.full(size * width, 1 / width, np.float32),
                nearest[:, :width].ravel(),
                np.arange(0, size * width + 1, width),
            ),
            shape=(size, size),
        )
        code = average @ code
    code.sort_indices()
    found = code[queries:].tocsc()
    overlap = np.zeros((queries, len(gallery)), np.float32)
    asked = code[:queries]
    _overlap(asked.data, asked.indices, asked.indptr, found.data, found.indices, found.indptr, overlap)
    # Each V sums to 1, so the sum of the maxima is 2 less the sum of the minima.
    jaccard = 1 - overlap / (2 - overlap)
    return -((1 - weight) * jaccard + weight * direct)


def _nearest(distance: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """The k nearest of each row, ascending; of equals the first comes first."""
    return np.stack([highest(-row, k) for row in distance])


def _weights(
    vectors: NDArray[np.float32], farthest: NDArray[np.float32], columns: NDArray[np.int64], starts: NDArray[np.int64]
) -> NDArray[np.float32]:
    """exp(-d) of every item and each of its neighbours, divided by the item's sum."""
    items = np.repeat(np.arange(len(vectors)), np.diff(starts))
    weight = np.empty(len(columns), np.float32)
    for begin in range(0, len(columns), _PAIRS):
        part = slice(begin, begin + _PAIRS)
        difference = vectors[items[part]] - vectors[columns[part]]
        scale = np.maximum(farthest[items[part]], np.finfo(np.float32).tiny)
        weight[part] = np.exp(-np.einsum("ij,ij->i", difference, difference) / scale)
    return weight / np.bincount(items, weight, minlength=len(vectors)).astype(np.float32)[items]


@jit
def _overlap(
    query_values: NDArray[np.float32],
    query_columns: NDArray[np.int32],
    query_starts: NDArray[np.int32],
    gallery_values: NDArray[np.float32],
    gallery_rows: NDArray[np.int32],
    gallery_starts: NDArray[np.int32],
    overlap: NDArray[np.float32],
) -> None:
    """overlap[q, g] = sum of the lesser of V_qj and V_gj, with the queries by rows and the gallery by columns."""
    for query in range(len(overlap)):
        for entry in range(query_starts[query], query_starts[query + 1]):
            weight = query_values[entry]
            column = query_columns[entry]
            for other in range(gallery_starts[column], gallery_starts[column + 1]):
                overlap[query, gallery_rows[other]] += min(weight, gallery_values[other])
