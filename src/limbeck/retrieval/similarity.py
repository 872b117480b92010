"""Similarities between queries and a gallery, a few queries at a time, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeVar, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.errors import InputError

Vectors = TypeVar("Vectors", NDArray[np.floating], Tensor)
Similarity = Literal["cosine", "euclidean", "dot"]

# Bytes of similarities held at once, when nobody says otherwise.
MEMORY = 2**28


def similarities(
    query: Vectors,
    gallery: Vectors,
    kind: Similarity = "cosine",
    *,
    memory: int = MEMORY,
) -> Iterator[tuple[slice, Vectors]]:
    r"""Yield (which queries, their similarities to the whole gallery), in order.

    Of vectors q and g: "dot" is :math:`q \cdot g`; "cosine" the same after division by the lengths, and 0 for a vector
    of length 0; "euclidean" is :math:`2 q \cdot g - \|g\|^2`, which orders a gallery as :math:`-\|q - g\|` does.

    Args:
        query: (queries, features).
        gallery: (gallery, features) of the same dtype, on the same device.
        kind: "cosine", "euclidean" or "dot".
        memory: bytes that a yielded block may take; it holds one query at least.

    Raises:
        InputError: there is no such kind.
    """
    if kind not in get_args(Similarity):
        raise InputError(f"similarity must be one of {', '.join(get_args(Similarity))}, not {kind!r}")
    offset = None
    if kind == "cosine":
        query, gallery = unit(query), unit(gallery)
    elif kind == "euclidean":
        offset = (gallery * gallery).sum(1)
        query = query * 2
    transposed = gallery.T
    step = max(1, memory // max(len(gallery) * gallery.dtype.itemsize, 1))
    block = None
    for start in range(0, len(query), step):
        part = slice(start, min(start + step, len(query)))
        if isinstance(query, Tensor):
            yield part, query[part] @ transposed if offset is None else query[part] @ transposed - offset
            continue
        # One block of memory serves all parts: fresh pages for each would cost as much as the product.
        if block is None:
            block = np.empty((step if step < len(query) else len(query), len(gallery)), np.result_type(query, gallery))
        similarity = np.matmul(query[part], transposed, out=block[: part.stop - part.start])
        if offset is not None:
            similarity -= offset
        yield part, similarity


def unit(vectors: Vectors) -> Vectors:
    """Vectors (items, features) divided by their Euclidean length; zero vectors stay zero."""
    if isinstance(vectors, Tensor):
        length = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        return vectors / torch.where(length > 0, length, 1.0)
    # Scaled first, so that squares neither overflow nor vanish.
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0)
    scaled = vectors / np.where(largest > 0, largest, 1)
    length = np.sqrt((scaled * scaled).sum(axis=1, keepdims=True))
    return scaled / np.where(length > 0, length, 1)
