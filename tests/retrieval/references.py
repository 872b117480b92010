"""Slow and obvious: what the fast code must equal. Sorts every list, loops over every item, float64 throughout."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Reference(NamedTuple):
    """One query's figures."""

    first: int
    average_precision: float
    inverse_negative_penalty: float
    matches: int
    r_precision: float
    average_precision_at_r: float


def ranked_list(
    similarity: NDArray[np.floating],
    identity: int,
    place: int,
    gallery_identity: NDArray[np.int64],
    gallery_place: NDArray[np.int64],
    removal: str,
) -> list[int]:
    """Identities of the gallery in the order that one query sees them, without what it does not see."""
    order = sorted(range(len(similarity)), key=lambda item: (-float(similarity[item]), item))
    seen = []
    for item in order:
        same_place = gallery_place[item] == place
        if removal == "place" and same_place:
            continue
        if removal == "identity-and-place" and same_place and gallery_identity[item] == identity:
            continue
        seen.append(int(gallery_identity[item]))
    return seen


def rank_one(seen: list[int], identity: int, *, unique_identity: bool) -> Reference:
    """Figures of one ranked list."""
    positions = [position + 1 for position, other in enumerate(seen) if other == identity]
    if not positions:
        return Reference(0, *[float("nan")] * 2, 0, *[float("nan")] * 2)
    precision = sum((k + 1) / position for k, position in enumerate(positions)) / len(positions)
    once = list(dict.fromkeys(seen)) if unique_identity else seen
    count = len(positions)
    head = [other == identity for other in seen[:count]]
    at_r = sum(sum(head[: place + 1]) / (place + 1) for place in range(count) if head[place]) / count
    return Reference(
        once.index(identity) + 1, precision, count / positions[-1], count, float(np.mean(head)), float(at_r)
    )


def rank_all(
    similarity: NDArray[np.floating],
    query: tuple[NDArray[np.int64], NDArray[np.int64]],
    gallery: tuple[NDArray[np.int64], NDArray[np.int64]],
    *,
    removal: str,
    unique_identity: bool,
) -> list[Reference]:
    """`rank_one` for every query; `query` and `gallery` are (identity, place)."""
    return [
        rank_one(
            ranked_list(row, int(identity), int(place), *gallery, removal),
            int(identity),
            unique_identity=unique_identity,
        )
        for row, identity, place in zip(similarity, *query, strict=True)
    ]


def dense_k_reciprocal(
    query: NDArray[np.floating],
    gallery: NDArray[np.floating],
    k1: int,
    k2: int,
    weight: float,
    similarity: str = "cosine",
) -> NDArray[np.float64]:
    """k-reciprocal re-ranked distances (Zhong et al. 2017) with full matrices and Python sets."""
    vectors = np.concatenate([query, gallery]).astype(np.float64)
    if similarity == "cosine":
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    distance = ((vectors[:, None] - vectors) ** 2).sum(axis=2)
    distance = distance / distance.max(axis=1, keepdims=True)
    order = np.argsort(distance, axis=1, kind="stable")

    def reciprocal(item: int, k: int) -> set[int]:
        return {int(other) for other in order[item, : k + 1] if item in order[other, : k + 1]}

    code = np.zeros_like(distance)
    for item in range(len(vectors)):
        core = reciprocal(item, k1)
        expanded = set(core)
        for candidate in core:
            more = reciprocal(candidate, round(k1 / 2))
            if len(more & core) > 2 / 3 * len(more):
                expanded |= more
        members = sorted(expanded)
        code[item, members] = np.exp(-distance[item, members])
        code[item] /= code[item].sum()
    if k2 > 1:
        code = np.stack([code[order[item, :k2]].mean(axis=0) for item in range(len(vectors))])
    asked, searched = code[: len(query), None], code[None, len(query) :]
    jaccard = 1 - np.minimum(asked, searched).sum(axis=2) / np.maximum(asked, searched).sum(axis=2)
    return (1 - weight) * jaccard + weight * distance[: len(query), len(query) :]
