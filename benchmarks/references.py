"""What everybody runs, written here as references: evaluation by a full sort, query by query, plain and compiled."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def sysu_by_sorting(
    distance: NDArray[np.floating], query: tuple[Ints, Ints], gallery: tuple[Ints, Ints]
) -> tuple[NDArray[np.float64], float, float]:
    """SYSU-MM01's rules as the field's scripts have them: sort all, then loop over queries in Python.

    Args:
        distance: (queries, gallery).
        query: identities and locations.
        gallery: identities and locations.

    Returns:
        CMC over identities to rank 20, mAP, mINP.
    """
    order = np.argsort(distance, axis=1)
    predicted = gallery[0][order]
    curves, precisions, penalties = [], [], []
    for number in range(len(distance)):
        identity = query[0][number]
        seen = predicted[number][gallery[1][order[number]] != query[1][number]]
        if not np.any(seen == identity):
            continue
        _, first = np.unique(seen, return_index=True)
        once = seen[np.sort(first)]
        curves.append((once == identity).cumsum()[:20])
        match = (seen == identity).astype(np.int32)
        hits = match.cumsum()
        penalties.append(hits[np.max(np.where(match == 1))] / (np.max(np.where(match == 1)) + 1.0))
        steps = np.asarray([value / (position + 1.0) for position, value in enumerate(hits)])
        precisions.append((steps * match).sum() / match.sum())
    return np.mean(curves, axis=0), float(np.mean(precisions)), float(np.mean(penalties))


def market_by_sorting(
    distance: NDArray[np.floating], query: tuple[Ints, Ints], gallery: tuple[Ints, Ints]
) -> tuple[NDArray[np.float64], float]:
    """Market-1501's rules in plain Python, as torchreid and fast-reid have them. Returns CMC to rank 50 and mAP."""
    order = np.argsort(distance, axis=1)
    matches = (gallery[0][order] == query[0][:, None]).astype(np.int32)
    curves, precisions = [], []
    for number in range(len(distance)):
        keep = (gallery[0][order[number]] != query[0][number]) | (gallery[1][order[number]] != query[1][number])
        match = matches[number][keep]
        if not np.any(match):
            continue
        hits = match.cumsum()
        curves.append(np.minimum(hits, 1)[:50])
        steps = [value / (position + 1.0) for position, value in enumerate(hits)]
        precisions.append((np.asarray(steps) * match).sum() / match.sum())
    return np.mean(curves, axis=0), float(np.mean(precisions))


def market_by_compiled_sorting(
    distance: NDArray[np.floating], query: tuple[Ints, Ints], gallery: tuple[Ints, Ints]
) -> tuple[NDArray[np.float64], float]:
    """The same with the loop compiled, as torchreid's and fast-reid's Cython modules: the sort stays."""
    return _market_loop(np.argsort(distance, axis=1), *query, *gallery)


@njit(cache=True)
def _market_loop(
    order: Ints, query_identity: Ints, query_camera: Ints, gallery_identity: Ints, gallery_camera: Ints
) -> tuple[NDArray[np.float64], float]:
    curve, total, valid = np.zeros(50), 0.0, 0
    for number in range(len(order)):
        position, hits, precision = 0, 0, 0.0
        first = -1
        for item in order[number]:
            same = gallery_identity[item] == query_identity[number]
            if same and gallery_camera[item] == query_camera[number]:
                continue
            if same:
                hits += 1
                precision += hits / (position + 1.0)
                if first < 0:
                    first = position
            position += 1
        if hits:
            valid += 1
            total += precision / hits
            if first < 50:
                curve[first:] += 1
    return curve / valid, total / valid
