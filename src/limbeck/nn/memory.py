"""Memories of training: a prototype a cluster, moved by the samples of every batch; the samples of earlier batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from limbeck.objectives.precision import unit

Movers = Literal["mean", "hardest"]


def cluster_means(embeddings: Tensor, labels: Tensor, clusters: int) -> Tensor:
    """The mean of each cluster's embeddings, scaled to length 1.

    Args:
        embeddings: (samples, features).
        labels: (samples,) integers from 0; -1 for samples of no cluster.
        clusters: how many; a cluster without a sample has zeros.

    Returns:
        (clusters, features).

    Example:
        >>> cluster_means(torch.tensor([[2.0, 0.0], [0.0, 2.0], [9.0, 9.0]]), torch.tensor([1, 1, -1]), 2)
        tensor([[0.0000, 0.0000],
                [0.7071, 0.7071]])
    """
    members = _members(labels, clusters, embeddings)
    return unit(members @ embeddings / members.sum(dim=1, keepdim=True).clamp(min=1))


def moved_prototypes(
    prototypes: Tensor, embeddings: Tensor, labels: Tensor, *, kept: float = 0.1, movers: Movers = "mean"
) -> Tensor:
    r"""Prototypes after a batch: each moves towards its samples, all at once and in no order.

    .. math:: m_k \leftarrow \frac{\kappa m_k + (1 - \kappa) \bar f_k}{\| \kappa m_k + (1 - \kappa) \bar f_k \|}

    where :math:`\kappa` is `kept` and :math:`\bar f_k` the mean of the batch's embeddings of cluster k ("mean") or the
    one least like :math:`m_k` ("hardest"), at length 1. Prototypes without a sample in the batch stay. (The public
    implementations of cluster memories go through the samples one after another, so that the last weighs 1 - κ and the
    first of sixteen next to nothing.)

    Args:
        prototypes: (clusters, features) of length 1.
        embeddings: (samples, features) of length 1; no gradient flows back. Of several processes: gathered, so that all
            move alike.
        labels: (samples,) integers from 0; -1 for samples of no cluster.
        kept: κ in [0, 1], the share of the old prototype.
        movers: see above.

    Returns:
        (clusters, features), a new tensor.

    Raises:
        ValueError: a parameter is out of range or unknown.

    Source: Dai et al. 2022, §3.3, vectorised; "hardest" after its public code.

    Example:
        >>> old = torch.eye(2)
        >>> moved_prototypes(old, torch.tensor([[0.0, 1.0]]), torch.tensor([0]), kept=0.5)
        tensor([[0.7071, 0.7071],
                [0.0000, 1.0000]])
    """
    if not 0 <= kept <= 1:
        raise ValueError(f"kept must be in [0, 1], not {kept}")
    with torch.no_grad(), torch.autocast(prototypes.device.type, enabled=False):
        if not len(embeddings):
            return prototypes.clone()
        found = embeddings.detach().to(prototypes.dtype)
        members = _members(labels, len(prototypes), found)
        there = members.sum(dim=1, keepdim=True) > 0
        if movers == "mean":
            toward = members @ found / members.sum(dim=1, keepdim=True).clamp(min=1)
        elif movers == "hardest":
            likeness = torch.where(members > 0, prototypes @ found.mT, torch.inf)
            toward = found[likeness.argmin(dim=1)]
        else:
            raise ValueError(f"movers must be 'mean' or 'hardest', not {movers!r}")
        moved = unit(kept * prototypes + (1 - kept) * unit(toward))
        return torch.where(there, moved, prototypes)


def _members(labels: Tensor, clusters: int, like: Tensor) -> Tensor:
    """(clusters, samples), 1 where a sample is of a cluster: a product with it sums in one order on every device."""
    known = torch.arange(clusters, device=labels.device)
    return (known[:, None] == labels[None, :]).to(like.dtype)


class CrossBatchMemory:
    """The newest embeddings of earlier batches and their labels, to compare a batch with.

    Gradients do not flow into it. Of several processes: give it gathered batches, so that all hold the same.

    Args:
        size: so many samples, the newest, are kept.

    Raises:
        ValueError: the size is not positive.

    Source: Wang et al. 2020 (CVPR), "Cross-batch memory for embedding learning", §3.3. Here a batch is compared with
    the memory before it joins it, so that no sample meets itself there.

    Example:
        >>> memory = CrossBatchMemory(3)
        >>> for start in (0.0, 2.0):
        ...     memory.push(torch.tensor([[start], [start + 1]]), torch.tensor([int(start), int(start) + 1]))
        >>> memory.embeddings.flatten().tolist(), memory.labels.tolist()
        ([1.0, 2.0, 3.0], [1, 2, 3])
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"size must be positive, not {size}")
        self.size = size
        self.embeddings = torch.zeros(0, 0)
        self.labels = torch.zeros(0, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.labels)

    def push(self, embeddings: Tensor, labels: Tensor) -> None:
        """Take in a batch, (samples, features) and (samples,), and drop the oldest samples beyond the size."""
        embeddings, labels = embeddings.detach(), labels.detach()
        if len(self):
            embeddings = torch.cat([self.embeddings.to(embeddings), embeddings])
            labels = torch.cat([self.labels.to(labels), labels])
        # Of its own, so that the batch's memory is not held.
        self.embeddings, self.labels = embeddings[-self.size :].clone(), labels[-self.size :].clone()

    def state(self) -> dict[str, Tensor]:
        """What it holds."""
        return {"embeddings": self.embeddings, "labels": self.labels}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what another held.

        Raises:
            ValueError: it is no memory of this size.
        """
        embeddings, labels = state["embeddings"], state["labels"]
        if (
            not (isinstance(embeddings, Tensor) and isinstance(labels, Tensor))
            or not (embeddings.is_floating_point() and labels.dtype == torch.int64)
            or not (embeddings.ndim == 2 and labels.ndim == 1 and len(embeddings) == len(labels) <= self.size)
        ):
            raise ValueError(f"a memory must be at most {self.size} rows of real numbers and as many labels of int64")
        self.embeddings, self.labels = embeddings.clone(), labels.clone()
