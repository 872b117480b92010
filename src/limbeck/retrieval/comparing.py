"""From features to what compares them: their vectors, or the similarities that they came with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.retrieval.features import Features
from limbeck.retrieval.similarity import Comparison, Given, Similarity, check_similarity


def compared(features: Features, asked: NDArray[np.int64], searched: NDArray[np.int64], kind: Similarity) -> Comparison:
    """Similarities of some items to others.

    Args:
        features: of all items.
        asked: positions of the queries.
        searched: positions of what they search.
        kind: of vectors; similarities that were given are taken as they are.

    Raises:
        InputError: the given similarities have no row for a query, or no column for an item that it searches.
    """
    check_similarity(kind)
    if features.similarity is None:
        return Comparison(_rows(features, asked), _rows(features, searched), kind)
    size = len(features)
    if features.query is None or features.similarity.shape == (size, size):
        return Given(features.similarity, asked, searched)
    row, column = np.cumsum(features.query) - 1, np.cumsum(~features.query) - 1
    for items, inside, what in ((asked, features.query, "query"), (searched, ~features.query, "part of the gallery")):
        outside = items[~inside[items]]
        if len(outside):
            raise InputError(
                f"{features.origin}: the similarities are those of queries to a gallery, and item {outside[0]} is no "
                f"{what} among them; choose a protocol of queries and gallery, such as market or inshop"
            )
    return Given(features.similarity, row[asked], column[searched])


def check_vectors(features: Features) -> None:
    """Raise InputError where there are similarities instead of vectors."""
    if features.similarity is not None:
        raise InputError(
            f"{features.origin}: holds similarities, and re-ranking also compares queries with queries, gallery with "
            "gallery: give the vectors, or leave --rerank out"
        )


def _rows(features: Features, items: NDArray[np.int64]) -> NDArray[np.floating]:
    """The embeddings of some items; where they are all items in order, the very array."""
    whole = len(items) == len(features) and bool((items == np.arange(len(items))).all())
    return features.feature if whole else features.feature[items]
