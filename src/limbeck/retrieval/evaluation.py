"""Score embeddings under protocols; one matrix of similarities serves all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.devices import check_device
from limbeck.errors import InputError
from limbeck.reporting.progress import Progress
from limbeck.reporting.statistics import Estimate
from limbeck.retrieval.features import Features
from limbeck.retrieval.metrics import Metrics, summarise
from limbeck.retrieval.protocols import Protocol, Trial
from limbeck.retrieval.ranking import Labels, Ranker, Ranks
from limbeck.retrieval.reranking import KReciprocal, k_reciprocal
from limbeck.retrieval.similarity import MEMORY, Similarity, similarities


@dataclass(frozen=True)
class Evaluation:
    """Figures of one protocol.

    Attributes:
        protocol: its name.
        rules: everything that decides the figures, in one line: sampler, rules, similarity, re-ranking.
        trials: figures of each trial.
        ranks: of every query in each trial, in the order of `queries`.
        queries: positions of the queries among the features, a trial.
        gallery: size of each trial's gallery.
    """

    protocol: str
    rules: str
    trials: list[Metrics]
    ranks: list[Ranks]
    queries: list[NDArray[np.int64]]
    gallery: list[int]

    def cmc(self, k: int) -> Estimate:
        """CMC at rank k over the trials."""
        return Estimate.from_values([trial.rank(k) for trial in self.trials])

    @property
    def mean_average_precision(self) -> Estimate:
        return Estimate.from_values([trial.mean_average_precision for trial in self.trials])

    @property
    def mean_inverse_negative_penalty(self) -> Estimate:
        return Estimate.from_values([trial.mean_inverse_negative_penalty for trial in self.trials])


def evaluate(
    features: Features | Sequence[Features],
    protocols: Protocol | Sequence[Protocol],
    *,
    similarity: Similarity = "cosine",
    reranking: KReciprocal | None = None,
    device: str | torch.device | None = None,
    memory: int = MEMORY,
    progress: Progress | None = None,
) -> list[Evaluation]:
    """Score embeddings under some protocols.

    Protocols that ask with the same queries share one matrix of similarities, computed some rows at a time.

    Args:
        features: what to score; several (one a fold and model, as RegDB has it) count as trials of one evaluation.
        protocols: which rules.
        similarity: "cosine", "euclidean" or "dot".
        reranking: re-rank with k-reciprocal neighbours; then every trial needs a matrix of its own.
        device: compute with torch there; default: NumPy and compiled code.
        memory: bytes of similarities held at once.
        progress: called with (queries done, queries in all).

    Returns:
        One evaluation a protocol, in order.

    Raises:
        InputError: labels are missing, a gallery is empty, no query has a match, or the device is not there.
    """
    runs = [features] if isinstance(features, Features) else list(features)
    chosen = [protocols] if isinstance(protocols, Protocol) else list(protocols)
    if not runs or not chosen:
        raise InputError("there is nothing to evaluate: give features and a protocol")
    place = None if device is None else check_device(device)
    plans = [[_Plan(run, protocol) for protocol in chosen] for run in runs]
    total = sum(len(group[0].asked) for row in plans for group in _grouped(row))
    done = 0

    def advance(queries: int) -> None:
        nonlocal done
        done += queries
        if progress is not None:
            progress(done, total)

    for run, row in zip(runs, plans, strict=True):
        for group in _grouped(row):
            if reranking is None:
                _rank_shared(run, group, similarity, place, memory, advance)
            else:
                _rerank(run, group, reranking, place)
                advance(len(group[0].asked))
    suffix = f"; {similarity} similarity; " + ("no re-ranking" if reranking is None else str(reranking))
    return [_gathered([row[index] for row in plans], suffix) for index in range(len(chosen))]


class _Plan:
    """One protocol on one set of features: its trials, and what is known of their ranks so far."""

    def __init__(self, features: Features, protocol: Protocol) -> None:
        self.protocol = protocol
        self.trials: list[Trial] = protocol.trials(features)
        self.labels = Labels(features.identity, protocol.places(features))
        self.asked = np.unique(np.concatenate([trial.queries for trial in self.trials]))
        self.searched = np.unique(np.concatenate([trial.gallery for trial in self.trials]))
        self.parts: list[list[Ranks]] = [[] for _ in self.trials]

    def of(self, items: NDArray[np.int64]) -> Labels:
        place = self.labels.place
        return Labels(self.labels.identity[items], None if place is None else place[items])

    def ranker(self, trial: Trial, columns: NDArray[np.int64] | None) -> Ranker:
        return Ranker(
            self.of(trial.gallery),
            removal=self.protocol.removal,
            unique_identity=self.protocol.unique_identity,
            columns=columns,
        )


def _grouped(plans: Sequence[_Plan]) -> list[list[_Plan]]:
    """Plans that ask with the same queries, together."""
    groups: dict[bytes, list[_Plan]] = {}
    for plan in plans:
        groups.setdefault(plan.asked.tobytes(), []).append(plan)
    return list(groups.values())


def _rank_shared(
    features: Features,
    plans: Sequence[_Plan],
    similarity: Similarity,
    device: torch.device | None,
    memory: int,
    advance: Callable[[int], None],
) -> None:
    """Rank the queries of all plans with one matrix of similarities, some rows at a time."""
    asked = plans[0].asked
    searched = np.unique(np.concatenate([plan.searched for plan in plans]))
    # A gallery that is all of `searched`, in its order, needs no picking of columns.
    rankers = [
        [
            plan.ranker(
                trial,
                None if np.array_equal(trial.gallery, searched) else np.searchsorted(searched, trial.gallery),
            )
            for trial in plan.trials
        ]
        for plan in plans
    ]
    query, gallery = features.feature[asked], features.feature[searched]
    if device is not None:
        blocks = similarities(
            torch.from_numpy(query).to(device), torch.from_numpy(gallery).to(device), similarity, memory=memory
        )
    else:
        blocks = similarities(query, gallery, similarity, memory=memory)
    for part, block in blocks:
        here = asked[part]
        for plan, ranked in zip(plans, rankers, strict=True):
            for trial, ranker, parts in zip(plan.trials, ranked, plan.parts, strict=True):
                rows = np.isin(here, trial.queries, assume_unique=True)
                chosen = block if rows.all() else block[torch.from_numpy(rows) if device is not None else rows]
                parts.append(ranker.rank(chosen, plan.of(here[rows])))
        advance(part.stop - part.start)


def _rerank(features: Features, plans: Sequence[_Plan], settings: KReciprocal, device: torch.device | None) -> None:
    """Rank every trial by its own re-ranked similarities."""
    if device is not None:
        raise InputError("re-ranking is computed on the CPU only: leave the device out")
    for plan in plans:
        for trial, parts in zip(plan.trials, plan.parts, strict=True):
            queries = np.sort(trial.queries)
            again = k_reciprocal(
                features.feature[queries],
                features.feature[trial.gallery],
                k1=settings.k1,
                k2=settings.k2,
                weight=settings.weight,
            )
            parts.append(plan.ranker(trial, None).rank(again, plan.of(queries)))


def _gathered(plans: Sequence[_Plan], suffix: str) -> Evaluation:
    protocol = plans[0].protocol
    ranks = [Ranks.join(parts) for plan in plans for parts in plan.parts]
    trials = [summarise(one) for one in ranks]
    if not any(trial.queries for trial in trials):
        raise InputError(
            f"the protocol {protocol.name} finds no query with a match in its gallery; look at identity and modality"
        )
    return Evaluation(
        protocol.name,
        protocol.rules + suffix,
        trials,
        ranks,
        [np.sort(trial.queries) for plan in plans for trial in plan.trials],
        [len(trial.gallery) for plan in plans for trial in plan.trials],
    )
