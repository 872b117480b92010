"""The nearest neighbours of every item among all items, exact or approximate."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from limbeck.cores import default_threads
from limbeck.errors import InputError
from limbeck.jit import jit, jit_sum
from limbeck.retrieval.similarity import unit
from limbeck.retrieval.threads import by_rows

Method = Literal["exact", "approximate"]

# A tile of similarities, queries x gallery: it stays in the cache between the product and the search.
_QUERIES, _GALLERY = 512, 4096
# Candidates beyond those asked for, which the float32 product finds and float64 orders.
_SPARE = 8
# Bytes of similarities held for queries whose candidates lie too close for float32.
_CROWDED = 2**26
# A code's parts: half as many as features, of 4 bits each, up to a greatest number; candidates for each neighbour asked
# for, which the codes find and float64 orders; and the smallest gallery that is worth coding.
_PARTS, _CANDIDATES, _CODED = 512, 4, 1000


class _Found(NamedTuple):
    """Neighbours of every query, nearest first."""

    positions: NDArray[np.int64]
    similarity: NDArray[np.float64]


def nearest_neighbours(
    vectors: ArrayLike,
    k: int,
    *,
    method: Method = "exact",
    groups: ArrayLike | None = None,
    threads: int | None = None,
) -> NDArray[np.int64]:
    r"""The k nearest of every item by cosine, itself first: positions (items, min(k, items)).

    Nearness is the cosine :math:`\cos(i, j) = u_i \cdot u_j` of the vectors divided by their lengths, in float64; a
    vector of length 0 has cosine 0 with everything. An item comes first in its own row; of others with equal cosine the
    one that stands first among the items comes first. Exact results depend neither on blocks nor on threads.

    With `groups` (modalities, cameras) neighbours are taken in rounds: the nearest of every group, by cosine, then the
    second nearest of every group, and so on; a group that is exhausted is passed over. So every row, and the head of
    every row, holds as many of each group as there are, give or take one. Neighbours within one modality are those of
    its vectors alone: call this once a modality.

    Memory is O(items x (k + features)).

    Args:
        vectors: (items, features) real numbers, finite.
        k: how many, the item itself included.
        method: "exact" compares all pairs, O(items² x features). "approximate" compares 4-bit codes of them
            (product quantisation of faiss, extra `faiss`) and orders the 4 k best by cosine; it may miss neighbours.
        groups: (items,) labels of groups that share the neighbours equally.
        threads: of the search; default: the cores that this process may use. Products use BLAS's own threads.

    Raises:
        InputError: an argument does not fit, or faiss is needed and not installed.

    Example:
        >>> nearest_neighbours([[1, 0], [0, 1], [1, 1], [3, 1]], 3).tolist()
        [[0, 3, 2], [1, 2, 3], [2, 3, 0], [3, 0, 2]]
        >>> nearest_neighbours([[1, 0], [0, 1], [1, 1], [3, 1]], 2, groups=[0, 1, 1, 0]).tolist()
        [[0, 2], [1, 3], [2, 3], [3, 2]]
    """
    if k < 1:
        raise InputError(f"k must be at least 1, not {k}")
    if method not in get_args(Method):
        raise InputError(f"method must be one of {', '.join(get_args(Method))}, not {method!r}")
    units = unit_vectors(vectors)
    size = len(units)
    single = units.astype(np.float32, copy=False)
    faiss = _faiss() if method == "approximate" else None
    everything = np.arange(size)
    if groups is None:
        return _search(units, single, everything, min(k, size), faiss, threads).positions
    labels = np.asarray(groups)
    if labels.shape != (size,):
        raise InputError(f"groups must be ({size} items,), not {labels.shape}")
    members = [everything[labels == label] for label in np.unique(labels)]
    rounds = 0
    while sum(min(rounds, len(group)) for group in members) < min(k, size):
        rounds += 1
    found = [_search(units, single, group, min(rounds, len(group)), faiss, threads) for group in members]
    return _in_rounds(found, rounds)[:, :k]


def unit_vectors(vectors: ArrayLike) -> NDArray[np.floating]:
    """Checked vectors (items, features) divided by their lengths, float32 or float64.

    Raises:
        InputError: they are not a matrix of finite real numbers.
    """
    matrix = np.asarray(vectors)
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiub":
        raise InputError(f"vectors must be real numbers (items, features), not {matrix.dtype} {matrix.shape}")
    if matrix.dtype not in (np.float32, np.float64):
        matrix = matrix.astype(np.float32)
    finite = np.isfinite(matrix).all(axis=1)
    if not finite.all():
        raise InputError(f"vectors must be finite: item {int(finite.argmin())} holds NaN or infinity")
    return np.ascontiguousarray(unit(matrix))


def _in_rounds(found: list[_Found], rounds: int) -> NDArray[np.int64]:
    """The nearest of every group, then the second nearest of every group, ...: each round by similarity."""
    turns = []
    for turn in range(rounds):
        reached = [group for group in found if group.positions.shape[1] > turn]
        positions = np.stack([group.positions[:, turn] for group in reached], axis=1)
        similarity = np.stack([group.similarity[:, turn] for group in reached], axis=1)
        turns.append(np.take_along_axis(positions, np.lexsort((positions, -similarity), axis=1), axis=1))
    return np.concatenate(turns, axis=1) if turns else np.zeros((0, 0), np.int64)


def _search(
    units: NDArray[np.floating],
    single: NDArray[np.float32],
    members: NDArray[np.int64],
    count: int,
    faiss: ModuleType | None,
    threads: int | None,
) -> _Found:
    """The `count` nearest members of every item; an item among them comes first, as if at infinite similarity."""
    whole = len(members) == len(units)
    gallery = single if whole else single[members]
    own = np.full(len(units), -1)
    own[members] = np.arange(len(members))
    coded = faiss is not None and len(members) >= _CODED
    width = min(count * _CANDIDATES if coded else count + _SPARE, len(members))
    floor = None
    if coded:
        near = _coded_candidates(faiss, single, gallery, width, threads)
        absent = (own >= 0) & (near != own[:, None]).all(axis=1)
        near[absent, -1] = own[absent]
    else:
        near, floor = _candidates(single, gallery, own, width, threads)
    if not whole:
        near = members[near]
    similarity = np.empty(near.shape)
    by_rows(lambda part: _score(units, part.start, near[part], similarity[part]), len(units), threads)
    found = _Found(near[:, :count].copy(), similarity[:, :count].copy())
    if floor is not None and width < len(members):
        # What was left out has a product of at most `floor`, and products err by at most `margin`.
        margin = 2 * (units.shape[1] + 2) * float(np.finfo(np.float32).eps)
        crowded = np.flatnonzero(floor + margin >= found.similarity[:, -1])
        _search_crowded(units, single, gallery, members, crowded, margin, found, threads)
    return found


def _candidates(
    query: NDArray[np.float32],
    gallery: NDArray[np.float32],
    own: NDArray[np.int64],
    width: int,
    threads: int | None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Positions in the gallery of the highest float32 products of every query, and the least of these products.

    `own` is where each query stands in the gallery, or -1; there its product counts as infinite.
    """
    near = np.zeros((len(query), width), np.int64)
    best = np.full((len(query), width), -np.inf, np.float32)
    if width == 0:
        return near, np.zeros(0, np.float32)
    tile = torch.empty((min(_QUERIES, len(query)) * min(_GALLERY, len(gallery))), dtype=torch.float32)
    left, right = torch.from_numpy(query), torch.from_numpy(gallery).T
    for row in range(0, len(query), _QUERIES):
        some = left[row : row + _QUERIES]
        for column in range(0, len(gallery), _GALLERY):
            others = right[:, column : column + _GALLERY]
            product = tile[: len(some) * others.shape[1]].view(len(some), -1)
            torch.mm(some, others, out=product)
            block = product.numpy()

            def keep(part: slice, block: Any = block, row: int = row, column: int = column) -> None:
                rows = slice(row + part.start, row + part.stop)
                keep_highest(block[part], column, own[rows], best[rows], near[rows])

            by_rows(keep, len(some), threads)
    return near, best[:, -1]


def _search_crowded(
    units: NDArray[np.floating],
    single: NDArray[np.float32],
    gallery: NDArray[np.float32],
    members: NDArray[np.int64],
    crowded: NDArray[np.int64],
    margin: float,
    found: _Found,
    threads: int | None,
) -> None:
    """Search anew for the items whose last neighbours float32 cannot tell from what was left out: many near equals."""
    count = found.positions.shape[1]
    step = max(1, _CROWDED // (4 * len(gallery)))
    for start in range(0, len(crowded), step):
        items = crowded[start : start + step]
        products = (torch.from_numpy(single[items]) @ torch.from_numpy(gallery).T).numpy()

        def again(part: slice, items: Any = items, products: Any = products) -> None:
            for item, product in zip(items[part], products[part], strict=True):
                near = members[product >= found.similarity[item, -1] - margin][None]
                similarity = np.empty(near.shape)
                _score(units, item, near, similarity)
                found.positions[item], found.similarity[item] = near[0, :count], similarity[0, :count]

        by_rows(again, len(items), threads)


def _faiss() -> ModuleType:
    try:
        return importlib.import_module("faiss")
    except ImportError:
        raise InputError(
            "method='approximate' needs faiss: pip install 'limbeck[faiss]', or use method='exact'"
        ) from None


def _coded_candidates(
    faiss: Any, query: NDArray[np.float32], gallery: NDArray[np.float32], width: int, threads: int | None
) -> NDArray[np.int64]:
    """Positions in the gallery of the highest products of every query with 4-bit product quantisation codes."""
    features = query.shape[1]
    parts = min(-(-features // 2), _PARTS)
    padded = ((0, 0), (0, -features % parts))
    index = faiss.IndexPQFastScan(features + padded[1][1], parts, 4, faiss.METRIC_INNER_PRODUCT)
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads or default_threads())
    try:
        coded = np.pad(gallery, padded)
        index.train(coded)
        index.add(coded)
        del coded
        near = np.empty((len(query), width), np.int64)
        for start in range(0, len(query), _GALLERY):
            near[start : start + _GALLERY] = index.search(np.pad(query[start : start + _GALLERY], padded), width)[1]
    finally:
        faiss.omp_set_num_threads(before)
    return near


@jit
def keep_highest(
    block: NDArray[np.float32],
    first: int,
    own: NDArray[np.int64],
    best: NDArray[np.float32],
    near: NDArray[np.int64],
) -> None:
    """Put a tile's highest values, whose columns begin at `first`, among the highest so far, which are descending."""
    rows, columns = block.shape
    last = best.shape[1] - 1
    for row in range(rows):
        values = block[row]
        mine = own[row] - first
        if 0 <= mine < columns:
            values[mine] = np.inf
        least = best[row, last]
        for begin in range(0, columns, 64):
            end = min(begin + 64, columns)
            above = 0
            for column in range(begin, end):  # without a branch: compiled to vector instructions
                above += values[column] > least
            if above == 0:
                continue
            for column in range(begin, end):
                value = values[column]
                if value > least:
                    place = last
                    while place > 0 and best[row, place - 1] < value:
                        best[row, place] = best[row, place - 1]
                        near[row, place] = near[row, place - 1]
                        place -= 1
                    best[row, place] = value
                    near[row, place] = first + column
                    least = best[row, last]


@jit_sum
def dot(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """The product of two vectors, summed in float64."""
    total = 0.0
    for feature in range(len(one)):
        total += np.float64(one[feature]) * np.float64(other[feature])
    return total


@jit
def _score(units: NDArray[np.floating], first: int, near: NDArray[np.int64], similarity: NDArray[np.float64]) -> None:
    """Order the candidates of the items from `first` on by their cosines; an item's own is infinite."""
    for row in range(len(near)):
        for place in range(near.shape[1]):
            other = near[row, place]
            value = np.inf if other == first + row else dot(units[first + row], units[other])
            spot = place
            while spot > 0 and (
                similarity[row, spot - 1] < value
                or (similarity[row, spot - 1] == value and near[row, spot - 1] > other)
            ):
                similarity[row, spot] = similarity[row, spot - 1]
                near[row, spot] = near[row, spot - 1]
                spot -= 1
            similarity[row, spot] = value
            near[row, spot] = other
