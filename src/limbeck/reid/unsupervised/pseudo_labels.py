"""From representations to pseudo-labels: clusters of each modality, and which of them belong together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from limbeck.errors import InputError
from limbeck.modalities import INFRARED, MODALITIES, VISIBLE
from limbeck.nn import cluster_means
from limbeck.objectives.prototypes import ABSTAINED
from limbeck.reid.unsupervised.recipe import ClusteringSettings, MatchingSettings
from limbeck.retrieval.clustering import dbscan, hdbscan
from limbeck.retrieval.jaccard import jaccard_distances
from limbeck.retrieval.neighbours import nearest_neighbours
from limbeck.training.restoring import check_state
from limbeck.transport import Matching, hungarian_matching, nearest_neighbour_matching, partial_sinkhorn, plan_matching
from limbeck.transport import sinkhorn as full_sinkhorn


@dataclass(frozen=True, eq=False)
class PseudoLabels:
    """Who is taken for whom.

    Attributes:
        labels: (pictures,) int64, the cluster within the picture's own modality, from 0; -1 for outliers.
        modality: (pictures,) int8, 0 visible and 1 infrared.
        plan: (visible clusters, infrared clusters) float64, how much of them belongs together; it sums to the mass
            that is matched.
        matching: each cluster's partner of the other modality; -1 for none.
    """

    labels: NDArray[np.int64]
    modality: NDArray[np.int8]
    plan: Tensor
    matching: Matching

    @property
    def clusters(self) -> tuple[int, int]:
        """How many there are, visible and infrared."""
        visible, infrared = self.plan.shape
        return visible, infrared

    def state(self) -> dict[str, Any]:
        """As tensors, for a checkpoint."""
        return {
            "labels": torch.from_numpy(self.labels),
            "modality": torch.from_numpy(self.modality),
            "plan": self.plan,
            "first_to_second": self.matching.first_to_second,
            "second_to_first": self.matching.second_to_first,
        }

    @staticmethod
    def of_state(state: Mapping[str, Any]) -> PseudoLabels:
        """Those of `state`.

        Raises:
            KeyError: something is missing.
            InputError: something is of another shape or kind, or names a cluster that is not there.
        """
        labels = check_state("task.found.labels", state["labels"], (None,), torch.int64)
        modality = check_state("task.found.modality", state["modality"], (len(labels),), torch.int8)
        plan = check_state("task.found.plan", state["plan"], (None, None), torch.float64)
        matching = Matching(
            check_state("task.found.first_to_second", state["first_to_second"], (plan.shape[0],), torch.int64),
            check_state("task.found.second_to_first", state["second_to_first"], (plan.shape[1],), torch.int64),
        )
        for code, clusters in enumerate(plan.shape):
            _check_numbers("labels", labels[modality == code], clusters)
            _check_numbers("partners", matching[code], plan.shape[1 - code])
        if len(modality) and not {0, 1} >= set(modality.unique().tolist()):
            raise InputError("task.found.modality must be 0 or 1")
        return PseudoLabels(labels.numpy(), modality.numpy(), plan, matching)


def _check_numbers(name: str, numbers: Tensor, clusters: int) -> None:
    if len(numbers) and not -1 <= int(numbers.min()) <= int(numbers.max()) < clusters:
        raise InputError(f"task.found: {name} must be -1 or the number of one of {clusters} clusters")


def pseudo_labels(
    vectors: NDArray[np.float32],
    modality: NDArray[np.int8],
    clustering: ClusteringSettings,
    matching: MatchingSettings,
    identity: NDArray[np.int64] | None = None,
) -> PseudoLabels:
    """Cluster pictures, and match visible clusters with infrared ones.

    Args:
        vectors: (pictures, features), what is compared by cosine.
        modality: (pictures,) 0 visible, 1 infrared.
        clustering: how pictures are grouped.
        matching: how clusters are brought together.
        identity: (pictures,) who is on each, for `matching.method` "identities"; nothing else reads it.

    Raises:
        ConvergenceError: the transport did not converge.
        InputError: `matching.method` is "identities", and a picture's is not known.
    """
    by_identity = matching.method == "identities" and not clustering.together
    if by_identity and (identity is None or (identity < 0).any()):
        raise InputError('matching.method "identities" needs the identity of every picture: choose another')
    if clustering.together:
        return _together(vectors, modality, clustering)
    labels = np.full(len(vectors), ABSTAINED, np.int64)
    for code in range(len(MODALITIES)):
        members = np.flatnonzero(modality == code)
        labels[members] = cluster(vectors[members], clustering)
    prototypes, sizes = [], []
    for code in range(len(MODALITIES)):
        members = modality == code
        clusters = int(labels[members].max(initial=-1)) + 1
        of = torch.from_numpy(labels[members])
        prototypes.append(cluster_means(torch.from_numpy(vectors[members]).double(), of, clusters))
        sizes.append(torch.bincount(of[of >= 0], minlength=clusters).double())
    if by_identity:
        assert identity is not None
        majorities = [
            _majorities(labels[modality == code], identity[modality == code], len(prototypes[code]))
            for code in range(len(MODALITIES))
        ]
        plan, found = _by_identity((majorities[VISIBLE], majorities[INFRARED]), (sizes[VISIBLE], sizes[INFRARED]))
        return PseudoLabels(labels, modality, plan, found)
    plan, found = match(prototypes[VISIBLE], prototypes[INFRARED], matching, sizes=(sizes[VISIBLE], sizes[INFRARED]))
    return PseudoLabels(labels, modality, plan, found)


def cluster(
    vectors: NDArray[np.float32], settings: ClusteringSettings, groups: NDArray[np.int8] | None = None
) -> NDArray[np.int64]:
    """Clusters (pictures,) from 0 of k-reciprocal Jaccard distances; -1 for outliers.

    Args:
        vectors: (pictures, features).
        settings: how.
        groups: (pictures,) groups that neighbours are shared equally among; None: the nearest of all.
    """
    near = nearest_neighbours(vectors, max(settings.k1, settings.k2), method=settings.neighbours, groups=groups)
    wanted = settings.eps if settings.algorithm == "dbscan" else 1.0
    distances = jaccard_distances(vectors, k1=settings.k1, k2=settings.k2, cutoff=wanted, neighbours=near)
    if settings.algorithm == "dbscan":
        return dbscan(distances, eps=settings.eps, min_samples=settings.min_samples)
    return hdbscan(distances, min_cluster_size=settings.min_cluster_size, min_samples=settings.min_samples)


def match(
    visible: Tensor, infrared: Tensor, settings: MatchingSettings, *, sizes: tuple[Tensor, Tensor]
) -> tuple[Tensor, Matching]:
    """The plan between prototypes, and each one's partner.

    Where nothing transports, the plan gives each match an equal part: those of both directions, added.

    Args:
        visible: (visible clusters, features) of length 1.
        infrared: (infrared clusters, features) of length 1.
        settings: how.
        sizes: pictures of each visible and of each infrared cluster.

    Returns:
        The plan, (visible clusters, infrared clusters), and the matching.

    Raises:
        InputError: the method is "identities", which prototypes do not show.
    """
    if settings.method == "identities":
        raise InputError('method "identities" needs labels: prototypes alone cannot be matched by it')
    first, second = len(visible), len(infrared)
    nobody = Matching(torch.full((first,), ABSTAINED), torch.full((second,), ABSTAINED))
    if not first or not second or settings.method == "none":
        return torch.zeros(first, second, dtype=torch.float64), nobody
    cosine = (visible @ infrared.mT).double()
    cost = 1 - cosine if settings.cost == "cosine" else torch.exp(-cosine)
    if settings.method == "transport":
        priors = [size / size.sum() for size in sizes] if settings.prior == "size" else [None, None]
        if settings.mass < 1:
            transport = partial_sinkhorn(cost, *priors, mass=settings.mass, epsilon=settings.epsilon)
        else:
            transport = full_sinkhorn(cost, *priors, epsilon=settings.epsilon)
        plan = transport.plan
        found = plan_matching(transport, threshold=settings.threshold)
    else:
        method = settings.method
        found = hungarian_matching(cost, rounds=None) if method == "hungarian" else nearest_neighbour_matching(cost)
        plan = torch.zeros(first, second, dtype=torch.float64)
    if settings.mutual:
        found = found.mutual()
    if settings.method != "transport":
        for rows, columns in (
            (torch.arange(first), found.first_to_second),
            (found.second_to_first, torch.arange(second)),
        ):
            known = (rows >= 0) & (columns >= 0)
            plan[rows[known], columns[known]] += 1.0
        plan = plan / plan.sum().clamp(min=1)
    return plan, found


def _together(vectors: NDArray[np.float32], modality: NDArray[np.int8], settings: ClusteringSettings) -> PseudoLabels:
    """Clusters of both modalities at once: a cluster's parts of either modality are each other's match."""
    joint = cluster(vectors, settings, groups=modality)
    labels = np.full(len(vectors), ABSTAINED, np.int64)
    known = int(joint.max(initial=-1)) + 1
    place = np.full((len(MODALITIES), known), ABSTAINED, np.int64)  # of a joint cluster among those of a modality
    counts = []
    for code in range(len(MODALITIES)):
        inside = (modality == code) & (joint >= 0)
        there = np.unique(joint[inside])
        place[code, there] = np.arange(len(there))
        labels[inside] = place[code, joint[inside]]
        counts.append(len(there))
    plan = torch.zeros(counts[VISIBLE], counts[INFRARED], dtype=torch.float64)
    both = (place >= 0).all(axis=0)
    rows, columns = torch.from_numpy(place[VISIBLE, both]), torch.from_numpy(place[INFRARED, both])
    plan[rows, columns] = 1 / max(1, int(both.sum()))
    forward, back = (torch.full((count,), ABSTAINED) for count in counts)
    forward[rows], back[columns] = columns, rows
    return PseudoLabels(labels, modality, plan, Matching(forward, back))


def describe(found: PseudoLabels, identity: NDArray[np.int64] | None) -> dict[str, float]:
    """Figures of pseudo-labels, for the log.

    Args:
        found: the pseudo-labels.
        identity: (pictures,) who really is on each picture, for figures that nothing learns from; None or all -1:
            nobody knows.

    Returns:
        For each modality "clusters_visible", "noise_visible" (the share of outliers), "matched_visible" (the share of
        clusters with a partner), "entropy_visible" (of the clusters' sizes, in nats) and, where identities are known,
        "ari_visible" (adjusted Rand index of the clustered pictures), likewise "infrared"; then "precision", the
        share of matched clusters whose partner shows mostly the same person.
    """
    figures: dict[str, float] = {}
    known = identity is not None and bool((identity >= 0).all())
    right = matched = 0
    majorities: list[NDArray[np.int64]] = []
    if known:
        assert identity is not None
        majorities = [
            _majorities(found.labels[found.modality == code], identity[found.modality == code], found.clusters[code])
            for code in range(len(MODALITIES))
        ]
    for code, (word, partners) in enumerate(zip(MODALITIES, found.matching, strict=True)):
        labels = found.labels[found.modality == code]
        inside = labels >= 0
        share = np.bincount(labels[inside]) / max(1, inside.sum())
        share = share[share > 0]
        figures[f"clusters_{word}"] = len(partners)
        figures[f"noise_{word}"] = float(1 - inside.mean()) if len(labels) else math.nan
        figures[f"matched_{word}"] = float((partners >= 0).double().mean()) if len(partners) else 0.0
        figures[f"entropy_{word}"] = float(-(share * np.log(share)).sum())
        if known:
            assert identity is not None
            figures[f"ari_{word}"] = float(
                adjusted_rand_score(identity[found.modality == code][inside], labels[inside])
            )
            own, other = majorities[code], majorities[1 - code]
            pairs = [(place, partner) for place, partner in enumerate(partners.tolist()) if partner >= 0]
            matched += len(pairs)
            right += sum(own[place] == other[partner] for place, partner in pairs)
    if known and matched:
        figures["precision"] = right / matched
    return figures


def _majorities(labels: NDArray[np.int64], identity: NDArray[np.int64], clusters: int) -> NDArray[np.int64]:
    """Whom most pictures of each cluster show; of equals the least number."""
    return np.array([np.bincount(identity[labels == place]).argmax() for place in range(clusters)], np.int64)


def _by_identity(majorities: tuple[NDArray[np.int64], ...], sizes: tuple[Tensor, ...]) -> tuple[Tensor, Matching]:
    """An equal part for all clusters of a person; the partner is the largest of them, the first of equals."""
    same = torch.from_numpy(majorities[VISIBLE][:, None] == majorities[INFRARED][None, :])
    plan = same.double() / same.sum().clamp(min=1)

    def partners(alike: Tensor, other: Tensor) -> Tensor:
        if not alike.numel():
            return torch.full((len(alike),), ABSTAINED)
        return torch.where(alike.any(dim=1), torch.where(alike, other, -1.0).argmax(dim=1), ABSTAINED)

    return plan, Matching(partners(same, sizes[INFRARED]), partners(same.mT, sizes[VISIBLE]))
