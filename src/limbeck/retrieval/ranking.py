r"""The rank of every match, by counting: the gallery is never sorted.

Only the ranks of a query's matches decide CMC, average precision and mINP. The k-th best match (from 0) has rank

.. math:: r_k = k + 1 + \#\{\text{others that come before it}\}

and one pass over the gallery finds, for each item that is not a match, how many matches come before it. That costs
O(gallery) a query, not O(gallery log gallery), and no index matrix.

Ties: of two equal similarities the one that stands first in the gallery comes first, as in a stable sort.
"""

from __future__ import annotations

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.jit import jit

Removal = Literal["none", "place", "identity-and-place"]
_REMOVALS: tuple[Removal, ...] = ("none", "place", "identity-and-place")
# A place where nothing is: what the compiled loop compares with where no place is removed.
_NOWHERE = int(np.iinfo(np.int64).min)


class Labels(NamedTuple):
    """Who is on the pictures, and where each was taken.

    Attributes:
        identity: (items,) integers.
        place: (items,) integers, a camera or a location; None where no rule asks.
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
    """

    first: NDArray[np.int64]
    average_precision: NDArray[np.float64]
    inverse_negative_penalty: NDArray[np.float64]
    matches: NDArray[np.int64]

    @staticmethod
    def join(parts: list[Ranks]) -> Ranks:
        """The ranks of several batches of queries, one after the other."""
        return Ranks(
            np.concatenate([part.first for part in parts]),
            np.concatenate([part.average_precision for part in parts]),
            np.concatenate([part.inverse_negative_penalty for part in parts]),
            np.concatenate([part.matches for part in parts]),
        )


class Ranker:
    r"""Ranks queries against one gallery under one set of rules.

    For a query with :math:`m` matches at ranks :math:`r_0 < r_1 < \dots < r_{m-1}` (from 1) in the gallery without the
    removed items:

    .. math:: AP = \frac1m \sum_{k=0}^{m-1} \frac{k + 1}{r_k}, \qquad INP = \frac{m}{r_{m-1}}

    The rank of the best match, which CMC counts, is :math:`r_0`, or with `unique_identity` one more than the number of
    other *identities* that have an item before it.

    Args:
        gallery: labels of the gallery.
        removal: which items a query does not see: "none"; "place": all from its own place, whatever their identity
            (SYSU-MM01); "identity-and-place": those that share both (Market-1501).
        unique_identity: whether `first` counts identities instead of items.
        columns: (gallery,) which columns of a similarity matrix are this gallery's; default: all, in order. Lets many
            galleries share one matrix.

    Raises:
        ValueError: the labels do not fit together, or a rule needs places and there are none.

    Source: Wu et al. 2017 for the rules of SYSU-MM01, Zheng et al. 2015 for those of Market-1501, Ye et al. 2021,
    §3.5, for INP.

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
        if columns is not None and len(columns) != size:
            raise ValueError(f"{size} gallery identities but {len(columns)} columns")
        self.removal, self.unique_identity = removal, unique_identity
        self.columns = None if columns is None else np.ascontiguousarray(columns, dtype=np.int64)
        self.identities, codes = np.unique(gallery.identity, return_inverse=True)
        self.codes = codes.astype(np.int64)
        self.places = np.zeros(size, np.int64) if gallery.place is None else np.asarray(gallery.place, np.int64)
        # The gallery positions of identity c are members[starts[c]:starts[c + 1]], in order.
        self.members = np.argsort(self.codes, kind="stable")
        self.starts = np.concatenate([[0], np.cumsum(np.bincount(self.codes, minlength=len(self.identities)))])

    def rank(self, similarity: NDArray[np.floating] | Tensor, query: Labels, *, threads: int | None = None) -> Ranks:
        """Rank some queries.

        Args:
            similarity: (queries, gallery or whatever `columns` point into), higher is nearer. A tensor is ranked where
                it lies, on its device; an array by compiled code. The result is the same.
            query: labels of the queries.
            threads: for arrays; default: all cores.

        Raises:
            ValueError: shapes do not fit, or a similarity is NaN.
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
        places = np.zeros(rows, np.int64) if query.place is None else np.asarray(query.place, np.int64)
        if isinstance(similarity, Tensor):
            return self._rank_tensor(similarity, codes, places)
        return self._rank_array(np.asarray(similarity), codes, places, threads or os.cpu_count() or 1)

    def _query_codes(self, identity: NDArray[np.int64]) -> NDArray[np.int64]:
        """The gallery's code of each query's identity; -1 where the gallery lacks it."""
        if not len(self.identities):
            return np.full(len(identity), -1)
        position = np.searchsorted(self.identities, identity).clip(max=len(self.identities) - 1)
        return np.where(self.identities[position] == identity, position, -1)

    def _rank_array(
        self, similarity: NDArray[np.floating], codes: NDArray[np.int64], places: NDArray[np.int64], threads: int
    ) -> Ranks:
        rows = len(codes)
        result = Ranks(np.zeros(rows, np.int64), np.full(rows, np.nan), np.full(rows, np.nan), np.zeros(rows, np.int64))
        columns = np.arange(len(self.codes)) if self.columns is None else self.columns
        if similarity.dtype not in (np.float32, np.float64):
            similarity = similarity.astype(np.float32)

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
                result.first[part],
                result.average_precision[part],
                result.inverse_negative_penalty[part],
                result.matches[part],
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
        return result

    def _rank_tensor(self, similarity: Tensor, codes: NDArray[np.int64], places: NDArray[np.int64]) -> Ranks:
        device = similarity.device
        if self.columns is not None:
            similarity = similarity[:, torch.from_numpy(self.columns).to(device)]
        if bool(similarity.isnan().any()):
            raise ValueError("similarity holds NaN")
        found = _rank_rows_on_device(
            similarity,
            torch.from_numpy(codes).to(device),
            torch.from_numpy(places).to(device),
            torch.from_numpy(self.codes).to(device),
            torch.from_numpy(self.places).to(device),
            self.removal,
            self.unique_identity,
        )
        first, precision, penalty, matches = (part.cpu().numpy() for part in found)
        return Ranks(first, precision, penalty, matches)


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
    first: NDArray[np.int64],
    average_precision: NDArray[np.float64],
    inverse_negative_penalty: NDArray[np.float64],
    matches: NDArray[np.int64],
) -> bool:
    """Fill the last four arrays, one row per query; False if a similarity is NaN."""
    scores = np.empty(len(codes), similarity.dtype)  # of the matches, best first
    order = np.empty(len(codes), np.int64)  # their positions in the gallery
    counts = np.zeros(len(codes) + 1, np.int64)  # other items with exactly k matches before them
    seen = np.full(len(starts), -1, np.int64)  # the query for which an identity was last counted
    for query in range(len(query_codes)):
        row, code, place = similarity[query], query_codes[query], query_places[query]
        found = 0
        if code >= 0:
            for position in members[starts[code] : starts[code + 1]]:
                if removal == 0 or places[position] != place:
                    scores[found], order[found] = row[columns[position]], position
                    found += 1
        if found > 1:  # best first; equals stay in the gallery's order
            ranked = np.argsort(-scores[:found], kind="mergesort")
            scores[:found], order[:found] = scores[:found][ranked], order[:found][ranked]
        counts[: found + 1] = 0
        hidden = place if removal == 1 else _NOWHERE
        identities = _count_others(
            row, columns, codes, places, code, hidden, scores[:found], order[:found], counts, seen, query
        )
        if identities < 0:
            return False
        matches[query] = found
        if found == 0:
            continue
        passed, precision = 0, 0.0
        for k in range(found):
            passed += counts[k]
            precision += (k + 1) / (passed + k + 1)
        first[query] = 1 + (identities if unique_identity else counts[0])
        average_precision[query] = precision / found
        inverse_negative_penalty[query] = found / (passed + found)
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
) -> int:
    """Count the items that are not matches by how many matches come before them.

    Items of the query's own identity (`code`) or of the place `hidden` are passed over. Returns how many identities
    have an item before the first match, or -1 if a similarity is NaN.
    """
    lowest = scores[-1] if len(scores) else np.inf
    identities = 0
    for position in range(len(codes)):
        score = row[columns[position]]
        if score < lowest:
            continue
        if np.isnan(score):
            return -1
        if codes[position] == code or places[position] == hidden:
            continue
        low, high = 0, len(scores)
        while low < high:
            middle = (low + high) // 2
            if scores[middle] > score or (scores[middle] == score and order[middle] < position):
                low = middle + 1
            else:
                high = middle
        counts[low] += 1
        if low == 0 and seen[codes[position]] != query:
            seen[codes[position]] = query
            identities += 1
    return identities


def _rank_rows_on_device(
    similarity: Tensor,
    query_codes: Tensor,
    query_places: Tensor,
    codes: Tensor,
    places: Tensor,
    removal: Removal,
    unique_identity: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`_rank_rows` in operations on whole tensors; (first, average precision, INP, matches), each (queries,)."""
    rows, device = len(similarity), similarity.device
    same = query_codes.unsqueeze(1) == codes
    hidden = torch.zeros_like(same)
    if removal != "none":
        hidden = query_places.unsqueeze(1) == places
        if removal == "identity-and-place":
            hidden = hidden & same
    match, other = same & ~hidden, ~same & ~hidden
    matches = match.sum(dim=1)
    most = int(matches.max()) if rows else 0
    if most == 0:
        nothing = torch.full((rows,), torch.nan, dtype=torch.float64, device=device)
        return torch.zeros_like(matches), nothing, nothing, matches
    ahead = _matches_ahead(similarity, *_sorted_matches(similarity, match, most), matches, other)
    counts = torch.zeros((rows, most + 1), dtype=torch.int64, device=device)
    counts.scatter_add_(1, ahead, other.long())

    k = torch.arange(most, device=device)
    rank = counts[:, :-1].cumsum(dim=1) + k + 1
    real = k < matches.unsqueeze(1)
    precision = torch.where(real, (k + 1).double() / rank, 0.0).sum(dim=1) / matches
    last = rank.gather(1, (matches - 1).clamp(min=0).unsqueeze(1)).squeeze(1)
    penalty = torch.where(matches > 0, matches.double() / last, torch.nan)
    before = _identities(other & (ahead == 0), codes) if unique_identity else counts[:, 0]
    return torch.where(matches > 0, 1 + before, 0), precision, penalty, matches


def _sorted_matches(similarity: Tensor, match: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Similarities and positions of each query's matches, (queries, most): the order in which a list is read backwards.

    Ascending by similarity and, of equals, from the last in the gallery to the first. Where a query has fewer than
    `most` matches, empty places stand in front, at -inf.
    """
    size = similarity.shape[1]
    position = torch.where(match, torch.arange(size, device=similarity.device), -1).topk(most, dim=1).values
    position = torch.where(position >= 0, position, size).sort(dim=1, descending=True).values
    scores = similarity.gather(1, position.clamp(max=size - 1)).masked_fill(position == size, -torch.inf)
    scores, order = scores.sort(dim=1, stable=True)
    return scores, position.gather(1, order)


def _matches_ahead(similarity: Tensor, scores: Tensor, position: Tensor, matches: Tensor, other: Tensor) -> Tensor:
    """How many matches come before each item, (queries, gallery); right for the items of `other`, which are none."""
    # Those that come after it are the ones below it, and of equals those behind it.
    after = torch.searchsorted(scores, similarity.contiguous(), right=False)
    upto = torch.searchsorted(scores, similarity.contiguous(), right=True)
    tied_query, tied_item = ((upto > after) & other).nonzero(as_tuple=True)
    if len(tied_query):
        equal = (scores[tied_query] == similarity[tied_query, tied_item].unsqueeze(1)) & (
            position[tied_query] > tied_item.unsqueeze(1)
        )
        after[tied_query, tied_item] += equal.sum(dim=1)
    most = scores.shape[1]
    empty = (most - matches).unsqueeze(1)
    return (most - after.maximum(empty)).clamp(min=0)


def _identities(chosen: Tensor, codes: Tensor) -> Tensor:
    """How many identities the chosen items of each query have, (queries,)."""
    present = torch.zeros((len(chosen), int(codes.max()) + 1), dtype=torch.bool, device=chosen.device)
    query, item = chosen.nonzero(as_tuple=True)
    present[query, codes[item]] = True
    return present.sum(dim=1)
