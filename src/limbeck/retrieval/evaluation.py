"""Score embeddings under protocols; one matrix of similarities serves all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.devices import check_device
from limbeck.errors import InputError
from limbeck.reporting.progress import Progress
from limbeck.reporting.statistics import Estimate
from limbeck.retrieval.comparing import check_vectors, compared
from limbeck.retrieval.features import Features
from limbeck.retrieval.metrics import FIGURES, LONGEST_CMC, Figure, Metrics, summarise
from limbeck.retrieval.protocols import Protocol, Trial
from limbeck.retrieval.ranking import Labels, Ranker, Ranks
from limbeck.retrieval.reranking import KReciprocal, check_reranking, k_reciprocal
from limbeck.retrieval.similarity import MEMORY, Comparison, Similarity, check_similarity


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
        models: the number of the features that each trial is of, from 0: features are those of one model.
        not_asked: of each trial, items that would be queries if their identity were not negative.
        dropped: of each trial, junk that the protocol dropped from its gallery.
        recalls: the K of Recall@K that tables show.
        shown: which figures are customary beside them, of `FIGURES`.

    Its estimates are on two levels. Where the features of several models were given, the figures of each are averaged
    over its galleries first, and spread and standard error are those between models. The galleries of one model share
    its queries and its mistakes: with one model the spread is between them, and says how much the draw of the gallery
    matters, not how another model would fare.
    """

    protocol: str
    rules: str
    trials: list[Metrics]
    ranks: list[Ranks]
    queries: list[NDArray[np.int64]]
    gallery: list[int]
    models: list[int]
    not_asked: list[int]
    dropped: list[int]
    recalls: tuple[int, ...]
    shown: tuple[Figure, ...]

    @property
    def spread_over(self) -> Literal["models", "galleries", "nothing"]:
        """What the spread of the estimates is between; nothing: there is one model with one gallery."""
        if len(set(self.models)) > 1:
            return "models"
        return "galleries" if len(self.models) > 1 else "nothing"

    def cmc(self, k: int) -> Estimate:
        """CMC at rank k, which is also Recall@k."""
        return Estimate.from_groups([trial.rank(k) for trial in self.trials], self.models)

    def figure(self, name: Figure) -> Estimate:
        """One of `FIGURES`."""
        return Estimate.from_groups(self.values(name), self.models)

    def values(self, name: Figure) -> list[float]:
        """One of `FIGURES`, of every trial."""
        return [getattr(trial, FIGURES[name]) for trial in self.trials]

    @property
    def mean_average_precision(self) -> Estimate:
        return self.figure("mAP")

    @property
    def mean_inverse_negative_penalty(self) -> Estimate:
        return self.figure("mINP")

    @property
    def r_precision(self) -> Estimate:
        return self.figure("R-precision")

    @property
    def mean_average_precision_at_r(self) -> Estimate:
        return self.figure("MAP@R")


def evaluate(
    features: Features | Sequence[Features],
    protocols: Protocol | Sequence[Protocol],
    *,
    similarity: Similarity = "cosine",
    reranking: KReciprocal | None = None,
    device: str | torch.device | None = None,
    memory: int = MEMORY,
    recalls: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> list[Evaluation]:
    """Score embeddings under some protocols.

    Protocols that ask with the same queries share one matrix of similarities, computed some rows at a time.

    Args:
        features: what to score; several are those of several models (as RegDB has one a fold) in one evaluation.
        protocols: which rules.
        similarity: "cosine", "euclidean" or "dot"; of vectors, not where similarities were given.
        reranking: re-rank with k-reciprocal neighbours of this similarity, "cosine" or "euclidean"; then every trial
            needs a matrix of its own.
        device: compute with torch there; default: NumPy and compiled code.
        memory: bytes that similarities, and what ranks them, take at once, on the CPU and on a device alike. It is a
            bound, for one query at least (up to 170 bytes an item of the gallery), beside what does not grow with it:
            the labels and the ranks of all trials, twice the features of queries and gallery as float64 (once as
            float32), and 16 MiB. Re-ranking also holds two matrices (queries, gallery) of float32 and the neighbours.
        recalls: the K of CMC, which is Recall@K, that tables show; default: those customary under each protocol.
        progress: called with (queries done, queries in all).

    Returns:
        One evaluation a protocol, in order.

    Raises:
        InputError: labels are missing, a gallery is empty, no query has a match, there is no such similarity, it gives
            no distance for re-ranking, a K is below 1, or the device is not there.
    """
    runs = [features] if isinstance(features, Features) else list(features)
    chosen = [protocols] if isinstance(protocols, Protocol) else list(protocols)
    if not runs or not chosen:
        raise InputError("there is nothing to evaluate: give features and a protocol")
    check_similarity(similarity)
    shown = None if recalls is None else tuple(sorted(set(recalls)))
    if shown is not None and (not shown or shown[0] < 1):
        raise InputError(f"ranks must be whole numbers of at least 1, not {', '.join(map(str, shown)) or 'none'}")
    given = {run.similarity is not None for run in runs}
    if len(given) > 1:
        raise InputError("some of the features are vectors and some are similarities: evaluate them apart")
    if reranking is not None:
        check_reranking(similarity, device)
        for run in runs:
            check_vectors(run)
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
                _rerank(run, group, similarity, reranking, memory)
                advance(len(group[0].asked))
    compared_by = "given similarities" if True in given else f"{similarity} similarity"
    suffix = f"; {compared_by}; " + ("no re-ranking" if reranking is None else f"{reranking} of it")
    return [_gathered([row[index] for row in plans], suffix, shown) for index in range(len(chosen))]


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
    comparison = compared(features, asked, searched, similarity)
    # Half for the similarities, half for what ranks them: a copy of some rows, or what tensors take.
    for part, block in comparison.blocks(memory // 2, device):
        here = asked[part]
        tolerance = None if comparison.tolerance is None else comparison.tolerance[part]
        doubtful = np.zeros(len(here), np.bool_)
        for plan, ranked in zip(plans, rankers, strict=True):
            for trial, ranker, parts in zip(plan.trials, ranked, plan.parts, strict=True):
                rows = np.isin(here, trial.queries, assume_unique=True)
                chosen = block if rows.all() else block[torch.from_numpy(rows) if device is not None else rows]
                ranks, close = ranker.rank_within(
                    chosen,
                    plan.of(here[rows]),
                    None if tolerance is None else tolerance[rows],
                    memory=memory // 4,
                )
                parts.append(ranks)
                doubtful[np.flatnonzero(rows)[close]] = True
        if doubtful.any():
            step = max(1, memory // 4 // (len(searched) * comparison.dtype.itemsize))
            again = np.flatnonzero(doubtful)
            for start in range(0, len(again), step):
                _decide(comparison, again[start : start + step], part, asked, plans, rankers)
        advance(part.stop - part.start)


def _decide(
    comparison: Comparison,
    doubtful: NDArray[np.int64],
    part: slice,
    asked: NDArray[np.int64],
    plans: Sequence[_Plan],
    rankers: Sequence[Sequence[Ranker]],
) -> None:
    """Rank some queries of a block again by exact similarities: products cannot tell the order of their matches."""
    here = asked[part]
    exact = comparison.exact(part.start + doubtful)
    for plan, ranked in zip(plans, rankers, strict=True):
        for trial, ranker, parts in zip(plan.trials, ranked, plan.parts, strict=True):
            rows = np.isin(here, trial.queries, assume_unique=True)
            mine = rows[doubtful]
            if mine.any():
                places = (np.cumsum(rows) - 1)[doubtful[mine]]
                parts[-1].replace(places, ranker.rank(exact[mine], plan.of(here[doubtful[mine]])))


def _rerank(
    features: Features, plans: Sequence[_Plan], similarity: Similarity, settings: KReciprocal, memory: int
) -> None:
    """Rank every trial by its own re-ranked similarities."""
    for plan in plans:
        for trial, parts in zip(plan.trials, plan.parts, strict=True):
            queries = np.sort(trial.queries)
            again = k_reciprocal(
                features.feature[queries],
                features.feature[trial.gallery],
                similarity,
                k1=settings.k1,
                k2=settings.k2,
                weight=settings.weight,
                memory=memory,
            )
            parts.append(plan.ranker(trial, None).rank(again, plan.of(queries)))


def _gathered(plans: Sequence[_Plan], suffix: str, recalls: tuple[int, ...] | None) -> Evaluation:
    protocol = plans[0].protocol
    recalls = recalls or protocol.recalls
    ranks = [Ranks.join(parts) for plan in plans for parts in plan.parts]
    trials = [summarise(one, longest=max(LONGEST_CMC, *recalls)) for one in ranks]
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
        models=[number for number, plan in enumerate(plans) for _ in plan.trials],
        not_asked=[trial.not_asked for plan in plans for trial in plan.trials],
        dropped=[trial.dropped for plan in plans for trial in plan.trials],
        recalls=recalls,
        shown=protocol.shown,
    )
