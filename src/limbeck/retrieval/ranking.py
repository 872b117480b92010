r"""The rank of every match, by counting: the gallery is never sorted.

Only the ranks of a query's matches decide CMC, average precision and mINP. The k-th best match (from 0) has rank

.. math:: r_k = k + 1 + \#\{\text{others that come before it}\}

and one pass over the gallery finds, for each item that is not a match, how many matches come before it. That costs
O(gallery) a query, not O(gallery log gallery), and no index matrix.

Ties: of two equal similarities the one that stands first in the gallery comes first, as in a stable sort.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.cores import default_threads
from limbeck.jit import jit
from limbeck.retrieval.arrays import floating
from limbeck.retrieval.similarity import MEMORY

Removal = Literal["none", "place", "identity-and-place"]
_REMOVALS: tuple[Removal, ...] = ("none", "place", "identity-and-place")
# A place where nothing is: what the compiled loop compares with where no place is removed.
_NOWHERE = int(np.iinfo(np.int64).min)
# Bytes that the operations on whole tensors take at most for each item of a query's gallery, and for each of as many
# places as the largest identity has items. Measured: tests/retrieval/test_retrieval_memory.py.
_ITEM_BYTES = 64
_MATCH_BYTES = 96


class Labels(NamedTuple):
    """Who is on the pictures, and where each was taken.

    Attributes:
        identity: (items,) integers.
        place: (items,) integers, a camera or a location; (items, kinds) of several, such as camera and clothes: two
            items share a place where any kind agrees. None where no rule asks.
    """

    identity: NDArray[np.int64]
    place: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Ranks:
    """What the ranks of its matches say about each query.

    Attributes:
        first: (queries,) rank of the best match, from 1; 0 where the gallery holds none.
        average_precision: (queries,) in (0, 1]; NaN where there is no match.
        inverse_negative_penalty: (queries,) matches over the rank of the last one, in (0, 1]; NaN where there is none.
        matches: (queries,) how many there are.
        r_precision: (queries,) share of matches among the first `matches` items, in [0, 1]; NaN where there is none.
        average_precision_at_r: (queries,) average precision of these items alone, in [0, 1]; NaN where there is none.
    """

    first: NDArray[np.int64]
    average_precision: NDArray[np.float64]
    inverse_negative_penalty: NDArray[np.float64]
    matches: NDArray[np.int64]
    r_precision: NDArray[np.float64]
    average_precision_at_r: NDArray[np.float64]

    @staticmethod
    def join(parts: list[Ranks]) -> Ranks:
        """The ranks of several batches of queries, one after the other."""
        return Ranks(*(np.concatenate([getattr(part, name) for part in parts]) for name in _NAMES))

    @staticmethod
    def unmatched(queries: int) -> Ranks:
        """Those of so many queries without a match."""
        return Ranks(
            np.zeros(queries, np.int64),
            np.full(queries, np.nan),
            np.full(queries, np.nan),
            np.zeros(queries, np.int64),
            np.full(queries, np.nan),
            np.full(queries, np.nan),
        )

    def replace(self, rows: NDArray[np.int64], others: Ranks) -> None:
        """Put the ranks of other queries where these stand."""
        for name in _NAMES:
            getattr(self, name)[rows] = getattr(others, name)


_NAMES = tuple(one.name for one in fields(Ranks))


class Ranker:
    r"""Ranks queries against one gallery under one set of rules.

    For a query with :math:`m` matches at ranks :math:`r_0 < r_1 < \dots < r_{m-1}` (from 1) in the gallery without the
    removed items:

    .. math:: AP = \frac1m \sum_{k=0}^{m-1} \frac{k + 1}{r_k}, \qquad INP = \frac{m}{r_{m-1}}, \qquad
        P@R = \frac1m \sum_{r_k \le m} 1, \qquad AP@R = \frac1m \sum_{r_k \le m} \frac{k + 1}{r_k}

    The rank of the best match, which CMC counts, is :math:`r_0`, or with `unique_identity` one more than the number of
    other *identities* that have an item before it.

    Args:
        gallery: labels of the gallery.
        removal: which items a query does not see: "none"; "place": all from its own place, whatever their identity
            (SYSU-MM01), which must be of one kind; "identity-and-place": those that share both (Market-1501).
        unique_identity: whether `first` counts identities instead of items.
        columns: (gallery,) which columns of a similarity matrix are this gallery's; default: all, in order. Lets many
            galleries share one matrix.

    Raises:
        ValueError: the labels do not fit together, or a rule needs places and there are none.

    Source: Wu et al. 2017 for the rules of SYSU-MM01, Zheng et al. 2015 for those of Market-1501, Ye et al. 2021,
    §3.5, for INP; Musgrave et al. 2020, §2.2, for R-precision and MAP@R.

    Example:
        >>> import numpy as np
        >>> gallery = Labels(identity=np.array([7, 8, 7, 9]))
        >>> similarity = np.array([[0.9, 0.8, 0.7, 0.1]], dtype=np.float32)
        >>> ranks = Ranker(gallery).rank(similarity, Labels(identity=np.array([7])))
        >>> ranks.first.tolist(), ranks.average_precision.round(4).tolist()  # ranks 1 and 3: (1/1 + 2/3) / 2
        ([1], [0.8333])
    """

    def __init__(
        self,
        gallery: Labels,
        *,
        removal: Removal = "none",
        unique_identity: bool = False,
        columns: NDArray[np.int64] | None = None,
    ) -> None:
        if removal not in _REMOVALS:
            raise ValueError(f"removal must be one of {', '.join(_REMOVALS)}, not {removal!r}")
        if removal != "none" and gallery.place is None:
            raise ValueError(f"removal={removal!r} needs the places of the gallery")
        size = len(gallery.identity)
        if gallery.place is not None and len(gallery.place) != size:
            raise ValueError(f"{size} gallery identities but {len(gallery.place)} places")
        if removal == "place" and gallery.place is not None and np.ndim(gallery.place) != 1:
            raise ValueError("removal='place' needs places of one kind, (items,)")
        if columns is not None and len(columns) != size:
            raise ValueError(f"{size} gallery identities but {len(columns)} columns")
        self.removal, self.unique_identity = removal, unique_identity
        self.columns = None if columns is None else np.ascontiguousarray(columns, dtype=np.int64)
        self.identities, codes = np.unique(gallery.identity, return_inverse=True)
        self.codes = codes.astype(np.int64)
        self.places = _kinds(gallery.place, size)
        # The gallery positions of identity c are members[starts[c]:starts[c + 1]], in order.
        self.members = np.argsort(self.codes, kind="stable")
        self.starts = np.concatenate([[0], np.cumsum(np.bincount(self.codes, minlength=len(self.identities)))])

    def rank(
        self,
        similarity: NDArray[np.floating] | Tensor,
        query: Labels,
        *,
        threads: int | None = None,
        memory: int = MEMORY,
    ) -> Ranks:
        """Rank some queries.

        Args:
            similarity: (queries, gallery or whatever `columns` point into), higher is nearer. A tensor is ranked where
                it lies, on its device; an array by compiled code. The result is the same.
            query: labels of the queries.
            threads: for arrays; default: the cores that this process may use, at most OMP_NUM_THREADS.
            memory: bytes that ranking may take beside the similarities; tensors are ranked so many queries at a time,
                one at least. Compiled code takes some numbers an item of the gallery and thread, whatever this says.

        Raises:
            ValueError: shapes do not fit, or a similarity is NaN or no real number.
        """
        return self.rank_within(similarity, query, None, threads=threads, memory=memory)[0]

    def rank_within(
        self,
        similarity: NDArray[np.floating] | Tensor,
        query: Labels,
        tolerance: NDArray[np.float64] | None,
        *,
        threads: int | None = None,
        memory: int = MEMORY,
    ) -> tuple[Ranks, NDArray[np.bool_]]:
        """`rank`, and for which queries an item that is no match lies within (queries,) `tolerance` of one that is.

        The ranks of the other queries hold for all similarities that differ from these by less than half the tolerance.
        """
        width = len(self.codes) if self.columns is None else int(self.columns.max(initial=-1)) + 1
        rows = len(query.identity)
        if similarity.ndim != 2 or len(similarity) != rows:
            raise ValueError(f"similarity must be ({rows} queries, gallery), got shape {tuple(similarity.shape)}")
        if similarity.shape[1] < width or (self.columns is None and similarity.shape[1] != width):
            raise ValueError(f"similarity has {similarity.shape[1]} columns for a gallery of {width}")
        if self.removal != "none" and query.place is None:
            raise ValueError(f"removal={self.removal!r} needs the places of the queries")
        codes = self._query_codes(query.identity)
        places = _kinds(query.place, rows)
        if self.removal != "none" and places.shape != (rows, self.places.shape[1]):
            raise ValueError(f"places of the queries must be of {self.places.shape[1]} kinds for {rows} queries")
        # Below zero: not even equal similarities are near.
        near = np.full(rows, -1.0) if tolerance is None else np.asarray(tolerance, np.float64)
        if isinstance(similarity, Tensor):
            return self._rank_tensor(similarity, codes, places, near, memory)
        held = floating(similarity, "similarity")
        return self._rank_array(held, codes, places, near, threads or default_threads())

    def _query_codes(self, identity: NDArray[np.int64]) -> NDArray[np.int64]:
        """The gallery's code of each query's identity; -1 where the gallery lacks it."""
        if not len(self.identities):
            return np.full(len(identity), -1)
        position = np.searchsorted(self.identities, identity).clip(max=len(self.identities) - 1)
        return np.where(self.identities[position] == identity, position, -1)

    def _rank_array(
        self,
        similarity: NDArray[np.floating],
        codes: NDArray[np.int64],
        places: NDArray[np.int64],
        near: NDArray[np.float64],
        threads: int,
    ) -> tuple[Ranks, NDArray[np.bool_]]:
        rows = len(codes)
        result = Ranks.unmatched(rows)
        close = np.zeros(rows, np.bool_)
        columns = np.arange(len(self.codes)) if self.columns is None else self.columns

        def work(part: slice) -> bool:
            return _rank_rows(
                similarity[part],
                columns,
                codes[part],
                places[part],
                self.codes,
                self.places,
                self.members,
                self.starts,
                _REMOVALS.index(self.removal),
                self.unique_identity,
                near[part],
                result.first[part],
                result.average_precision[part],
                result.inverse_negative_penalty[part],
                result.matches[part],
                result.r_precision[part],
                result.average_precision_at_r[part],
                close[part],
            )

        bounds = np.linspace(0, rows, min(threads, max(rows, 1)) + 1).astype(int)
        parts = [slice(a, b) for a, b in itertools.pairwise(bounds)]
        if len(parts) == 1:
            finite = [work(parts[0])]
        else:
            with ThreadPoolExecutor(len(parts)) as pool:
                finite = list(pool.map(work, parts))
        if not all(finite):
            raise ValueError("similarity holds NaN")
        return result, close

    def _rank_tensor(
        self,
        similarity: Tensor,
        codes: NDArray[np.int64],
        places: NDArray[np.int64],
        near: NDArray[np.float64],
        memory: int,
    ) -> tuple[Ranks, NDArray[np.bool_]]:
        device, rows = similarity.device, len(codes)
        if similarity.dtype.is_complex:
            raise ValueError(f"similarity must hold real numbers, not {similarity.dtype}")
        similarity = similarity.detach()
        counts = np.append(np.diff(self.starts), 0)[codes]  # the last: of queries whose identity the gallery lacks
        gallery = _Gallery(
            torch.from_numpy(self.codes).to(device),
            torch.from_numpy(self.places).to(device),
            torch.from_numpy(self.members).to(device),
            None if self.columns is None else torch.from_numpy(self.columns).to(device),
        )
        begins = torch.from_numpy(np.append(self.starts, 0)[codes]).to(device)
        held = [torch.from_numpy(part).to(device) for part in (codes, counts, places, near)]
        row_bytes = _ITEM_BYTES * len(self.codes) + _MATCH_BYTES * int(counts.max(initial=0)) + len(self.identities)
        step = max(1, memory // max(row_bytes, 1))
        ranks: list[Ranks] = []
        close: list[NDArray[np.bool_]] = []
        for start in range(0, rows, step) or (0,):
            part = slice(start, start + step)
            found = _rank_rows_on_device(
                similarity[part],
                _Queries(held[0][part], begins[part], *(one[part] for one in held[1:])),
                gallery,
                self.removal,
                self.unique_identity,
                within=bool((near >= 0).any()),
            )
            *held_ranks, beside = (one.cpu().numpy() for one in found)
            ranks.append(Ranks(*held_ranks))
            close.append(beside)
        return Ranks.join(ranks), np.concatenate(close)


def _kinds(place: NDArray[np.int64] | None, items: int) -> NDArray[np.int64]:
    """Places as (items, kinds); one kind of zeros where there are none."""
    held = np.zeros(items, np.int64) if place is None else np.asarray(place, np.int64)
    return np.ascontiguousarray(held[:, None] if held.ndim == 1 else held)


@jit
def _shared(place: NDArray[np.int64], other: NDArray[np.int64]) -> bool:
    """Whether two places agree in any kind."""
    agree = False
    for kind in range(len(place)):
        agree |= place[kind] == other[kind]
    return agree


@jit
def _rank_rows(
    similarity: NDArray[np.floating],
    columns: NDArray[np.int64],
    query_codes: NDArray[np.int64],
    query_places: NDArray[np.int64],
    codes: NDArray[np.int64],
    places: NDArray[np.int64],
    members: NDArray[np.int64],
    starts: NDArray[np.int64],
    removal: int,
    unique_identity: bool,
    near: NDArray[np.float64],
    first: NDArray[np.int64],
    average_precision: NDArray[np.float64],
    inverse_negative_penalty: NDArray[np.float64],
    matches: NDArray[np.int64],
    r_precision: NDArray[np.float64],
    precision_at_r: NDArray[np.float64],
    close: NDArray[np.bool_],
) -> bool:
    """Fill the last seven arrays, one row per query; False if a similarity is NaN."""
    scores = np.empty(len(codes), similarity.dtype)  # of the matches, best first
    order = np.empty(len(codes), np.int64)  # their positions in the gallery
    counts = np.zeros(len(codes) + 1, np.int64)  # other items with exactly k matches before them
    seen = np.full(len(starts), -1, np.int64)  # the query for which an identity was last counted
    for query in range(len(query_codes)):
        row, code, place = similarity[query], query_codes[query], query_places[query]
        found = 0
        if code >= 0:
            for position in members[starts[code] : starts[code + 1]]:
                if removal == 0 or not _shared(places[position], place):
                    scores[found], order[found] = row[columns[position]], position
                    found += 1
        if found > 1:  # best first; equals stay in the gallery's order
            ranked = np.argsort(-scores[:found], kind="mergesort")
            scores[:found], order[:found] = scores[:found][ranked], order[:found][ranked]
        counts[: found + 1] = 0
        hidden = place[0] if removal == 1 else _NOWHERE
        identities, close[query] = _count_others(
            row, columns, codes, places, code, hidden, scores[:found], order[:found], counts, seen, query, near[query]
        )
        if identities < 0:
            return False
        matches[query] = found
        if found == 0:
            continue
        passed, precision = 0, 0.0
        hits, at_r = 0, 0.0
        for k in range(found):
            passed += counts[k]
            precision += (k + 1) / (passed + k + 1)
            if passed + k + 1 <= found:
                hits += 1
                at_r = precision
        first[query] = 1 + (identities if unique_identity else counts[0])
        average_precision[query] = precision / found
        inverse_negative_penalty[query] = found / (passed + found)
        r_precision[query] = hits / found
        precision_at_r[query] = at_r / found
    return True


@jit
def _count_others(
    row: NDArray[np.floating],
    columns: NDArray[np.int64],
    codes: NDArray[np.int64],
    places: NDArray[np.int64],
    code: int,
    hidden: int,
    scores: NDArray[np.floating],
    order: NDArray[np.int64],
    counts: NDArray[np.int64],
    seen: NDArray[np.int64],
    query: int,
    near: float,
) -> tuple[int, bool]:
    """Count the items that are not matches by how many matches come before them.

    Items of the query's own identity (`code`) or of the place `hidden` are passed over. Returns how many identities
    have an item before the first match, or -1 if a similarity is NaN; and whether an item lies within `near` of a
    match.
    """
    lowest = scores[-1] - max(near, 0.0) if len(scores) else np.inf
    identities, close = 0, False
    for position in range(len(codes)):
        score = row[columns[position]]
        if score < lowest:
            continue
        if np.isnan(score):
            return -1, False
        if codes[position] == code or places[position, 0] == hidden:
            continue
        low, high = 0, len(scores)
        while low < high:
            middle = (low + high) // 2
            if scores[middle] > score or (scores[middle] == score and order[middle] < position):
                low = middle + 1
            else:
                high = middle
        counts[low] += 1
        if near >= 0 and not close:
            above = low > 0 and scores[low - 1] - score <= near
            close = above or (low < len(scores) and score - scores[low] <= near)
        if low == 0 and seen[codes[position]] != query:
            seen[codes[position]] = query
            identities += 1
    return identities, close


class _Queries(NamedTuple):
    """Of each query: its identity's code, where that begins among the members, how many they are, place, tolerance."""

    codes: Tensor
    begins: Tensor
    counts: Tensor
    places: Tensor
    near: Tensor


class _Gallery(NamedTuple):
    codes: Tensor
    places: Tensor
    members: Tensor
    columns: Tensor | None


def _rank_rows_on_device(
    similarity: Tensor, query: _Queries, gallery: _Gallery, removal: Removal, unique_identity: bool, *, within: bool
) -> tuple[Tensor, ...]:
    """`_rank_rows` in operations on whole tensors; the fields of `Ranks`, then close, each (queries,).

    What is as large as the similarities is dropped as soon as it can be: `_ITEM_BYTES` bounds their sum.
    """
    rows, device = len(similarity), similarity.device
    if gallery.columns is not None:
        similarity = similarity[:, gallery.columns]
    if not similarity.dtype.is_floating_point:
        similarity = similarity.double()
    elif similarity.element_size() < 4:
        similarity = similarity.float()
    similarity = similarity.contiguous()
    if bool(similarity.isnan().any()):
        raise ValueError("similarity holds NaN")
    most = int(query.counts.max()) if rows else 0
    scores, position, matches = _sorted_matches(similarity, query, gallery, removal, most)
    nothing = torch.zeros(rows, dtype=torch.bool, device=device)
    if most == 0 or int(matches.max()) == 0:
        unknown = torch.full((rows,), torch.nan, dtype=torch.float64, device=device)
        return torch.zeros_like(matches), unknown, unknown, matches, unknown, unknown, nothing
    other = query.codes.unsqueeze(1) != gallery.codes
    if removal == "place":
        other &= query.places != gallery.places[:, 0]
    close = _close(similarity, scores, matches, other, query.near) if within else nothing
    # How many matches come before each item; those that are no others go into a place of their own.
    ahead = _matches_ahead(similarity, scores, position, matches, other).masked_fill_(~other, most + 1)
    counts = torch.zeros((rows, most + 2), dtype=torch.int64, device=device)
    ahead = ahead.long()
    counts.scatter_add_(1, ahead, torch.ones((), dtype=torch.int64, device=device).expand_as(ahead))

    k = torch.arange(most, device=device)
    rank = counts[:, :most].cumsum(dim=1) + k + 1
    real = k < matches.unsqueeze(1)
    share = torch.where(real, (k + 1).double() / rank, 0.0)
    precision = share.sum(dim=1) / matches
    within_r = real & (rank <= matches.unsqueeze(1))
    r_precision = within_r.sum(dim=1).double() / matches
    precision_at_r = torch.where(within_r, share, 0.0).sum(dim=1) / matches
    last = rank.gather(1, (matches - 1).clamp(min=0).unsqueeze(1)).squeeze(1)
    penalty = torch.where(matches > 0, matches.double() / last, torch.nan)
    before = _identities(ahead == 0, gallery.codes) if unique_identity else counts[:, 0]
    first = torch.where(matches > 0, 1 + before, 0)
    return first, precision, penalty, matches, r_precision, precision_at_r, close


def _sorted_matches(
    similarity: Tensor, query: _Queries, gallery: _Gallery, removal: Removal, most: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Similarities and positions of each query's matches, (queries, most), and how many there are.

    They stand in the order in which a list is read backwards: ascending by similarity and, of equals, from the last in
    the gallery to the first. Where a query has fewer than `most` matches, empty places stand in front, at -inf.
    """
    # Members ascend, so from the last to the first they descend.
    number = torch.arange(most - 1, -1, -1, device=similarity.device)
    valid = number < query.counts.unsqueeze(1)
    index = (query.begins.unsqueeze(1) + number).clamp_(max=max(len(gallery.members) - 1, 0))
    position = gallery.members[index]
    del index
    if removal != "none":
        for kind in range(gallery.places.shape[1]):
            valid &= gallery.places[position, kind] != query.places[:, kind].unsqueeze(1)
    valid, order = valid.sort(dim=1, stable=True)
    position = position.gather(1, order)
    scores = similarity.gather(1, position).masked_fill_(~valid, -torch.inf)
    position = position.masked_fill_(~valid, len(gallery.codes))
    scores, order = scores.sort(dim=1, stable=True)
    return scores, position.gather(1, order).int(), valid.sum(dim=1)


def _close(similarity: Tensor, scores: Tensor, matches: Tensor, other: Tensor, near: Tensor) -> Tensor:
    """Whether some item of `other` lies within a query's `near` of one of its matches, (queries,)."""
    empty = (scores.shape[1] - matches).unsqueeze(1)
    far = near.unsqueeze(1)
    below = torch.searchsorted(scores, similarity - far, right=False, out_int32=True)
    below = torch.maximum(below, empty.int())
    return ((torch.searchsorted(scores, similarity + far, right=True, out_int32=True) > below) & other).any(dim=1)


def _matches_ahead(similarity: Tensor, scores: Tensor, position: Tensor, matches: Tensor, other: Tensor) -> Tensor:
    """How many matches come before each item, (queries, gallery) int32; right for the items of `other`, no matches."""
    # Those that come after it are the ones below it, and of equals those behind it: of them the first ones, as their
    # positions descend, so that halving finds how many.
    after = torch.searchsorted(scores, similarity, right=False, out_int32=True)
    upto = torch.searchsorted(scores, similarity, right=True, out_int32=True)
    if bool(((upto > after) & other).any()):
        item = torch.arange(similarity.shape[1], dtype=torch.int32, device=similarity.device)
        for _ in range(scores.shape[1].bit_length()):
            middle = (after + upto) >> 1
            found = position.gather(1, middle.clamp(max=scores.shape[1] - 1).long())
            behind = (found > item) & (middle < upto)
            after = torch.where(behind, middle + 1, after)
            upto = torch.where(behind, upto, middle)
    del upto
    most = scores.shape[1]
    empty = (most - matches).int().unsqueeze(1)
    return (most - torch.maximum(after, empty)).clamp_(min=0)


def _identities(chosen: Tensor, codes: Tensor) -> Tensor:
    """How many identities the chosen items of each query have, (queries,)."""
    last = int(codes.max()) + 1
    present = torch.zeros((len(chosen), last + 1), dtype=torch.bool, device=chosen.device)
    yes = torch.ones((), dtype=torch.bool, device=chosen.device).expand_as(chosen)
    present.scatter_(1, torch.where(chosen, codes, last), yes)
    return present[:, :last].sum(dim=1)
