"""The flags that decide the figures of a search, whatever the embeddings are of."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser

from limbeck.registry import Invocation
from limbeck.retrieval.permutations import read_permutations
from limbeck.retrieval.protocols import Permutations
from limbeck.retrieval.reranking import KReciprocal


def add_protocol_arguments(parser: ArgumentParser) -> None:
    """Protocol, galleries, similarity, re-ranking."""
    parser.add_argument("--protocol", type=str | None, default=None, help="score under this protocol (or family)")
    parser.add_argument(
        "--similarity", type=Literal["cosine", "euclidean", "dot"], default="cosine", help="of embeddings"
    )
    parser.add_argument(
        "--rerank", type=bool, default=False, help="re-rank with k-reciprocal neighbours, not by dot (true, false)"
    )
    parser.add_argument("--permutations", type=str | None, default=None, help="SYSU-MM01's rand_perm_cam.mat")


def permutations_of(call: Invocation) -> Permutations | None:
    """The galleries that were asked for.

    Raises:
        InputError: their file cannot be read.
    """
    return None if call.permutations is None else read_permutations(Path(call.permutations))


def reranking_of(call: Invocation) -> KReciprocal | None:
    """The re-ranking that was asked for."""
    return KReciprocal() if call.rerank else None
