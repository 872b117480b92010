"""CMC (which is Recall@K), mean average precision, mINP, R-precision and MAP@R of ranked queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from limbeck.retrieval.ranking import Ranks

LONGEST_CMC = 50
Figure = Literal["mAP", "mINP", "R-precision", "MAP@R"]
FIGURES: dict[Figure, str] = {
    "mAP": "mean_average_precision",
    "mINP": "mean_inverse_negative_penalty",
    "R-precision": "r_precision",
    "MAP@R": "mean_average_precision_at_r",
}
"""Names of figures as tables show them, and those of the attributes of `Metrics`."""


@dataclass(frozen=True)
class Metrics:
    """Figures of one list of ranked queries, in [0, 1]; NaN where no query has a match.

    Attributes:
        cmc: (ranks,) share of queries whose best match stands at rank 1, 2, ... or before.
        mean_average_precision: mAP.
        mean_inverse_negative_penalty: mINP.
        r_precision: its mean.
        mean_average_precision_at_r: MAP@R.
        queries: that have a match; the others are left out of every mean.
        unmatched: those others.
    """

    cmc: NDArray[np.float64]
    mean_average_precision: float
    mean_inverse_negative_penalty: float
    r_precision: float
    mean_average_precision_at_r: float
    queries: int
    unmatched: int

    def rank(self, k: int) -> float:
        """CMC at rank k, which is also Recall@k: the share of queries with a match among the first k.

        Raises:
            ValueError: k is not among the ranks that were counted.
        """
        if not 1 <= k <= len(self.cmc):
            raise ValueError(f"k must be from 1 to {len(self.cmc)}, not {k}")
        return float(self.cmc[k - 1])


def summarise(ranks: Ranks, *, longest: int = LONGEST_CMC) -> Metrics:
    r"""Means over the queries that have a match.

    .. math:: CMC(k) = \frac1Q \#\{q : first_q \le k\}, \quad mAP = \frac1Q \sum_q AP_q, \quad
        mINP = \frac1Q \sum_q INP_q

    and so on for :math:`P@R, AP@R`, where :math:`Q` counts the queries with a match and all of them are those of
    `Ranks`.

    Args:
        ranks: of the queries.
        longest: the last rank of the CMC.

    Example:
        >>> import numpy as np
        >>> from limbeck.retrieval.ranking import Ranks
        >>> half = np.array([1.0, 0.5])
        >>> ranks = Ranks(np.array([1, 3]), half, half, np.array([1, 2]), half, half)
        >>> figures = summarise(ranks, longest=3)
        >>> figures.cmc.tolist(), figures.mean_average_precision
        ([0.5, 0.5, 1.0], 0.75)
    """
    valid = ranks.matches > 0
    queries = int(valid.sum())
    if queries == 0:
        return Metrics(np.full(longest, np.nan), np.nan, np.nan, np.nan, np.nan, 0, len(valid))
    hits = np.bincount(np.minimum(ranks.first[valid], longest + 1), minlength=longest + 2)[1 : longest + 1]
    return Metrics(
        np.cumsum(hits) / queries,
        float(ranks.average_precision[valid].mean()),
        float(ranks.inverse_negative_penalty[valid].mean()),
        float(ranks.r_precision[valid].mean()),
        float(ranks.average_precision_at_r[valid].mean()),
        queries,
        len(valid) - queries,
    )
