"""Search across two views: does the representation of one find its like in the other?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.information.diagnosis.results import CrossViewRetrieval
from limbeck.information.diagnosis.view_features import ViewFeatures
from limbeck.retrieval.metrics import summarise
from limbeck.retrieval.ranking import Labels, Ranker, Ranks
from limbeck.retrieval.similarity import similarities, unit

_QUERIES = 5000


def cross_view_retrieval(features: ViewFeatures, *, seed: int) -> tuple[CrossViewRetrieval, ...]:
    """Both directions between two views of representations of one width; none otherwise, or where labels are unique.

    Of more than 5,000 samples as many are drawn as queries; the gallery is whole.
    """
    if len(features.names) != 2 or len({z.shape[1] for z in features.representations}) > 1:
        return ()
    size = len(features)
    chosen = np.sort(np.random.default_rng(seed).permutation(size)[:_QUERIES])
    found = [_search(features, query, 1 - query, chosen) for query in (0, 1)]
    return tuple(search for search in found if search is not None)


def _search(features: ViewFeatures, query: int, gallery: int, chosen: NDArray[np.int64]) -> CrossViewRetrieval | None:
    place = np.arange(len(features)) if features.groups is None else features.groups
    ranker = Ranker(Labels(features.labels, place), removal="place")
    asking, searched = (_directions(features.representations[view]) for view in (query, gallery))
    ranks, own = [], 0
    for part, similarity in similarities(asking[chosen], searched, "dot"):
        who = chosen[part]
        ranks.append(ranker.rank(similarity, Labels(features.labels[who], place[who])))
        own += int((similarity.argmax(axis=1) == who).sum())
    figures = summarise(Ranks.join(ranks))
    if not figures.queries:
        return None
    return CrossViewRetrieval(
        query=features.names[query],
        gallery=features.names[gallery],
        mean_average_precision=figures.mean_average_precision,
        rank_1=figures.rank(1),
        pair=own / len(chosen),
        queries=figures.queries,
    )


def _directions(matrix: NDArray[Any]) -> NDArray[np.float32]:
    """Rows of length 1; shortened before they become single, so that nothing overflows or vanishes."""
    return np.ascontiguousarray(unit(matrix.astype(np.float64)), dtype=np.float32)
