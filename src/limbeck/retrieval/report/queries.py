"""Every query of an evaluation as a line of a CSV file."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from limbeck.csvfiles import write_csv
from limbeck.errors import InputError
from limbeck.modalities import MODALITIES
from limbeck.retrieval.evaluation import Evaluation
from limbeck.retrieval.features import Features
from limbeck.retrieval.protocols import Protocol
from limbeck.retrieval.reranking import KReciprocal
from limbeck.retrieval.similarity import Similarity
from limbeck.retrieval.top_k import ranked_lists

COLUMNS = (
    "protocol",
    "trial",
    "row",
    "path",
    "identity",
    "camera",
    "modality",
    "first_match",
    "average_precision",
    "inverse_negative_penalty",
    "r_precision",
    "average_precision_at_r",
    "matches",
    "best_row",
    "best_path",
    "best_identity",
    "best_camera",
    "best_similarity",
    "best_right",
)


def query_rows(
    evaluation: Evaluation,
    protocol: Protocol,
    features: Features | Sequence[Features],
    *,
    similarity: Similarity = "cosine",
    reranking: KReciprocal | None = None,
) -> Iterator[tuple[str, ...]]:
    """Yield the `COLUMNS` of every query of every trial as text; what is not known, or does not exist, is empty.

    `row` and `best_row` count the items from 0. `first_match` is the rank of the first match as CMC counts it: in
    identities under a protocol of unique identities, and 0 for a query without a match, whose other figures are empty.
    The best item is the first picture that the query sees; it has none where every item is removed.

    Args:
        evaluation: of these features.
        protocol: the one that was evaluated.
        features: what was evaluated; several where several counted as trials.
        similarity: that of the evaluation.
        reranking: that of the evaluation.

    Raises:
        InputError: the evaluation is not of this protocol or not of these features.
    """
    for number, (held, local) in enumerate(trials_of(evaluation, protocol, features)):
        ranks = evaluation.ranks[number]
        lists = ranked_lists(held, protocol, trial=local, k=1, similarity=similarity, reranking=reranking)
        for index, found in enumerate(lists):
            best = found.items[0] if len(found.items) else None
            yield (
                evaluation.protocol,
                str(number),
                *_item(held, found.query),
                "" if held.modality is None else MODALITIES[held.modality[found.query]],
                str(ranks.first[index]),
                _number(ranks.average_precision[index]),
                _number(ranks.inverse_negative_penalty[index]),
                _number(ranks.r_precision[index]),
                _number(ranks.average_precision_at_r[index]),
                str(ranks.matches[index]),
                *(("",) * 4 if best is None else _item(held, int(best))),
                "" if best is None else _number(found.similarity[0]),
                "" if best is None else str(int(found.right[0])),
            )


def write_queries(
    path: str | os.PathLike[str],
    evaluations: Sequence[Evaluation],
    protocols: Sequence[Protocol],
    features: Features | Sequence[Features],
    *,
    similarity: Similarity = "cosine",
    reranking: KReciprocal | None = None,
) -> None:
    """Write the `query_rows` of some evaluations as a CSV file with a heading line, UTF-8, atomically.

    Raises:
        InputError: as `query_rows` does.
        OSError: the folder cannot be made, or the disk is full.
    """
    rows = (
        query_rows(evaluation, protocol, features, similarity=similarity, reranking=reranking)
        for evaluation, protocol in zip(evaluations, protocols, strict=True)
    )
    write_csv(path, chain([COLUMNS], chain.from_iterable(rows)))


def trials_of(
    evaluation: Evaluation, protocol: Protocol, features: Features | Sequence[Features]
) -> list[tuple[Features, int]]:
    """The features that each trial of an evaluation is of, and the trial's number among the protocol's on them.

    Raises:
        InputError: the evaluation is not of this protocol or not of these features.
    """
    if evaluation.protocol != protocol.name:
        raise InputError(
            f"the evaluation of {evaluation.protocol} is given with the protocol {protocol.name}; keep to one order"
        )
    runs = [features] if isinstance(features, Features) else list(features)
    found: list[tuple[Features, int]] = []
    asked: list[NDArray[np.int64]] = []
    for held in runs:
        for local, trial in enumerate(protocol.trials(held)):
            found.append((held, local))
            asked.append(np.sort(trial.queries))
    if len(asked) != len(evaluation.queries) or not all(map(np.array_equal, asked, evaluation.queries)):
        raise InputError(f"the evaluation of {evaluation.protocol} is not of these features: its queries are others")
    return found


def _item(features: Features, position: int) -> tuple[str, str, str, str]:
    """Row, path, identity and camera."""
    return (
        str(position),
        "" if features.path is None else features.path[position],
        str(features.identity[position]),
        "" if features.camera is None else str(features.camera[position]),
    )


def _number(value: float | np.floating) -> str:
    """All digits, so that the file holds what the evaluation does; empty for NaN."""
    known = float(value)
    return "" if math.isnan(known) else repr(known)
