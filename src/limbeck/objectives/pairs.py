"""What the losses over pairs of embeddings share: which pairs there are, how far apart, and sums over some of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.objectives.divergences import Reduction, reduce
from limbeck.objectives.precision import full_precision, unit


class Pairs(NamedTuple):
    """Every anchor with everything it is compared to.

    Attributes:
        anchors: (n, features), of length 1 if that was asked for.
        others: (m, features): the references, or the anchors themselves.
        positive: (n, m) booleans: pairs of one class, no sample with itself.
        negative: (n, m) booleans: pairs of two classes.
        side: (n, m) integers: 1 or -1 for pairs of two classes, opposite for (i, j) and (j, i); 0 for pairs of one.
    """

    anchors: Tensor
    others: Tensor
    positive: Tensor
    negative: Tensor
    side: Tensor


def find_pairs(
    embeddings: Tensor,
    labels: Tensor,
    references: Tensor | None,
    reference_labels: Tensor | None,
    *,
    normalize: bool,
) -> Pairs:
    """The pairs of a batch with itself, or of a batch with references."""
    check_batch(embeddings, labels)
    if (references is None) != (reference_labels is None):
        raise ValueError("references and reference_labels go together: give both or neither")
    anchors = full_precision(embeddings)
    anchors = unit(anchors) if normalize else anchors
    if references is None or reference_labels is None:
        others, other_labels = anchors, labels
    else:
        check_batch(references, reference_labels, names=("references", "reference_labels"))
        if references.shape[1] != embeddings.shape[1]:
            raise ValueError(f"references have {references.shape[1]} features, but embeddings {embeddings.shape[1]}")
        others, other_labels = full_precision(references).to(anchors.dtype), reference_labels
        others = unit(others) if normalize else others
    first, second = labels.unsqueeze(1), other_labels.unsqueeze(0)
    same = first == second
    positive = same
    if references is None:
        positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    side = (first > second).to(torch.int8) - (first < second).to(torch.int8)
    return Pairs(anchors, others, positive, ~same, side)


def check_batch(embeddings: Tensor, labels: Tensor, names: tuple[str, str] = ("embeddings", "labels")) -> None:
    """Refuse embeddings that are not (n, features) with one label each, naming the argument."""
    if embeddings.ndim != 2 or embeddings.numel() == 0:
        raise ValueError(f"{names[0]} must be (n, features), got shape {tuple(embeddings.shape)}")
    if labels.shape != embeddings.shape[:1]:
        raise ValueError(
            f"{names[1]} of shape {tuple(labels.shape)} do not fit {names[0]} of shape {tuple(embeddings.shape)}"
        )


def positive_number(value: float, name: str) -> float:
    """The value itself, if it is above 0."""
    if not value > 0:
        raise ValueError(f"{name} must be positive, not {value}")
    return value


def inner_products(first: Tensor, second: Tensor) -> Tensor:
    """(n, m), in the precision of the arguments also under autocast."""
    with torch.autocast(first.device.type, enabled=False):
        return first @ second.mT


def squared_distances(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Squared Euclidean distances (n, m), and what they can be wrong by: pairs below that coincide up to rounding."""
    # Distances do not change with the origin, and around the mean no digits cancel.
    origin = second.detach().mean(dim=0)
    near_first, near_second = first - origin, second - origin
    size = _sums(near_first, near_second)
    squared = (size - 2 * inner_products(near_first, near_second)).clamp(min=0)
    rounding = 8 * torch.finfo(first.dtype).eps
    return squared, rounding * size.detach() + rounding**2 * _sums(first.detach(), second.detach())


def distances(pairs: Pairs) -> Tensor:
    """Euclidean distances (n, m).

    At distance 0 there is no gradient. Of pairs of one class 0 is taken; of pairs of two classes one fixed unit vector,
    which is one of the subgradients, with opposite signs for the two, so that a collapsed batch comes apart.
    """
    squared, resolution = squared_distances(pairs.anchors, pairs.others)
    coincident = squared <= resolution
    apart = torch.where(coincident, 1.0, squared).sqrt()
    direction = fixed_direction(pairs.anchors)
    along = (pairs.anchors * direction).sum(dim=1).unsqueeze(1) - (pairs.others * direction).sum(dim=1)
    return torch.where(coincident, pairs.side * (along - along.detach()), apart)


def fixed_direction(vectors: Tensor) -> Tensor:
    """One unit vector, the same at every call, not aligned with any axis or with the vector of ones."""
    direction = torch.cos(torch.arange(1, vectors.shape[-1] + 1, device=vectors.device, dtype=vectors.dtype))
    return F.normalize(direction, dim=0)


def masked_logsumexp(values: Tensor, mask: Tensor, dim: int = -1) -> Tensor:
    """log of the sum of exp(values) where the mask is true; 0, with gradient 0, where it is true nowhere."""
    any_there = mask.any(dim=dim, keepdim=True)
    there = torch.where(any_there, torch.where(mask, values, -torch.inf), 0.0)
    # torch.logsumexp divides by exp of its rounded result: of equal large values its gradient is that of neither.
    largest = there.detach().amax(dim=dim, keepdim=True)
    summed = (there - largest).exp().sum(dim=dim).log() + largest.squeeze(dim)
    return torch.where(any_there.squeeze(dim), summed, 0.0)


def log_one_plus_sum(values: Tensor, mask: Tensor, dim: int = -1) -> Tensor:
    """log(1 + the sum of exp(values) where the mask is true); 0 where it is true nowhere."""
    summed = masked_logsumexp(values, mask, dim)
    return torch.where(mask.any(dim=dim), torch.logaddexp(summed, torch.zeros_like(summed)), 0.0)


def reduce_valid(values: Tensor, valid: Tensor, reduction: Reduction) -> Tensor:
    """Values of anchors that count, and 0 for the others; the mean is over those that count, 0 if there are none."""
    values = torch.where(valid, values, 0.0)
    if reduction == "mean":
        return values.sum() / valid.sum().clamp(min=1)
    return reduce(values, reduction)


def _sums(first: Tensor, second: Tensor) -> Tensor:
    """The sum of both squared lengths, for all pairs."""
    return first.square().sum(dim=1).unsqueeze(1) + second.square().sum(dim=1)
