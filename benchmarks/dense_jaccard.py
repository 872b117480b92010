"""The Jaccard distance as published scripts compute it: dense matrices, a Python loop over the items, torch.mm a row.

The logic is that of the function that SpCL, cluster-contrast, ADCA and PGM share, restated: k1 counts the item itself,
because the list that is sliced to k1 + 1 holds k1, distances are not divided by the largest, and all is float32.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Ints = NDArray[np.int64]


def dense_neighbours(features: Tensor, k: int) -> Ints:
    """The k nearest by squared Euclidean distance, the item itself among them: all compared, 1,000 at a time."""
    lengths = features.square().sum(1)
    found = []
    for some in features.split(1000):
        distance = lengths - 2 * (some @ features.T)
        found.append(distance.topk(min(k, len(features)), largest=False).indices)
    return torch.cat(found).numpy()


def _reciprocal(nearest: Ints, item: int, k: int) -> Ints:
    forward = nearest[item, : k + 1]
    backward = nearest[forward, : k + 1]
    return forward[np.nonzero(backward == item)[0]]


def dense_jaccard(
    vectors: NDArray[np.float32], *, k1: int = 30, k2: int = 6, nearest: Ints | None = None
) -> NDArray[np.float32]:
    """Distances (items, items) of vectors of length 1; `nearest` takes the place of the search where it is given."""
    features = torch.from_numpy(vectors)
    size = len(features)
    if nearest is None:
        nearest = dense_neighbours(features, k1)
    core = [_reciprocal(nearest, item, k1) for item in range(size)]
    short = [_reciprocal(nearest, item, int(np.around(k1 / 2))) for item in range(size)]
    weights = np.zeros((size, size), np.float32)
    for item in range(size):
        parts = [core[item]]
        for candidate in core[item]:
            more = short[candidate]
            if len(np.intersect1d(more, core[item])) > 2 / 3 * len(more):
                parts.append(more)
        members = np.unique(np.concatenate(parts))
        distance = 2 - 2 * torch.mm(features[item : item + 1], features[torch.from_numpy(members)].T)
        weights[item, members] = torch.softmax(-distance, dim=1).numpy()[0]
    if k2 != 1:
        averaged = np.zeros_like(weights)
        for item in range(size):
            averaged[item] = np.mean(weights[nearest[item, :k2]], axis=0)
        weights = averaged
    holders = [np.nonzero(weights[:, column])[0] for column in range(size)]
    result = np.empty((size, size), np.float32)
    for item in range(size):
        shared = np.zeros(size, np.float32)
        for column in np.nonzero(weights[item])[0]:
            rows = holders[column]
            shared[rows] += np.minimum(weights[item, column], weights[rows, column])
        result[item] = 1 - shared / (2 - shared)
    return np.maximum(result, 0)
