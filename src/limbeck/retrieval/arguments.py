"""The flags that decide the figures of a search, whatever the embeddings are of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser

from limbeck.errors import InputError
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
    for name, kind, told in (
        ("k1", int | None, f"neighbours of re-ranking; default: {KReciprocal.k1}"),
        ("k2", int | None, f"neighbours that re-ranking averages over; default: {KReciprocal.k2}"),
        ("weight", float | None, f"share of the distance itself in re-ranking; default: {KReciprocal.weight}"),
    ):
        parser.add_argument(f"--rerank_{name}", type=kind, default=None, help=told)
    parser.add_argument(
        "--ranks", type=str | None, default=None, help="ranks of the CMC, as 1,5,10; default: the protocol's"
    )
    parser.add_argument("--per_query", type=str | None, default=None, help="a CSV file with a line for every query")
    parser.add_argument("--permutations", type=str | None, default=None, help="SYSU-MM01's rand_perm_cam.mat")


def permutations_of(call: Invocation) -> Permutations | None:
    """The galleries that were asked for.

    Raises:
        InputError: their file cannot be read.
    """
    return None if call.permutations is None else read_permutations(Path(call.permutations))


def per_query_of(call: Invocation) -> Path | None:
    """The CSV file of the queries that was asked for.

    Raises:
        InputError: it is a folder, which is told before the work and not after it.
    """
    file = None if call.per_query is None else Path(call.per_query)
    if file is not None and file.is_dir():
        raise InputError(f"{file}: is a folder; name a file with --per_query")
    return file


def reranking_of(call: Invocation) -> KReciprocal | None:
    """The re-ranking that was asked for.

    Raises:
        InputError: its settings are out of range, or given without it.
    """
    given = {name: call.values[f"rerank_{name}"] for name in ("k1", "k2", "weight")}
    told = {name: value for name, value in given.items() if value is not None}
    if not call.rerank:
        if told:
            flags = ", ".join(f"--rerank_{name}" for name in told)
            raise InputError(f"{flags}: nothing is re-ranked; add --rerank true, or leave them out")
        return None
    return KReciprocal(**told)


def ranks_of(call: Invocation) -> tuple[int, ...] | None:
    """The ranks that were asked for, ascending.

    Raises:
        InputError: they are no whole numbers from 1, or one comes twice.
    """
    if call.ranks is None:
        return None
    words = [word.strip() for word in call.ranks.split(",")]
    found = [int(word) for word in words if re.fullmatch(r"[0-9]{1,9}", word)]
    if len(set(found)) != len(words) or 0 in found:
        raise InputError(f"--ranks must be whole numbers from 1 with commas between, as 1,5,10, not {call.ranks!r}")
    return tuple(sorted(found))
