"""Which samples of two views belong together, where the views show different pictures of the same identities."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor


def identity_pairs(
    first_labels: Tensor, second_labels: Tensor, *, how: Literal["matched", "all"] = "matched"
) -> tuple[Tensor, Tensor]:
    r"""Row positions of the pairs of one identity, one sample from either view.

    .. math:: \{(i, j) : a_i = b_j\} \text{ ("all")}, \qquad
        \{(i, j) : a_i = b_j, \; r(a, i) = r(b, j)\} \text{ ("matched")}

    where :math:`a` and :math:`b` are the labels of the two views and :math:`r(a, i) = |\{k < i : a_k = a_i\}|` counts
    the earlier samples of the same identity: the k-th sample of an identity in the first view goes with its k-th in the
    second, and surplus ones are left out. Objectives of two views, such as `vcd`, take the rows at these positions.

    Args:
        first_labels: (n,) integers, in any order.
        second_labels: (m,) integers.
        how: "matched", at most min(n, m) pairs, each sample in one at most; or "all", every pair.

    Returns:
        Positions i and j, both (pairs,), ordered by i and then j; empty where the views share no identity. Both cost
        memory of n m booleans.

    Raises:
        ValueError: labels are not one-dimensional integers, or `how` is unknown.

    Source: ours, for the pairs (v_1, v_2) of Tian et al. 2022, eq. 18, in batches of P identities with K samples in a
    view.

    Example:
        >>> identity_pairs(torch.tensor([7, 5, 7]), torch.tensor([5, 7, 9]))
        (tensor([0, 1]), tensor([1, 0]))
        >>> identity_pairs(torch.tensor([7, 5, 7]), torch.tensor([5, 7, 9]), how="all")
        (tensor([0, 1, 2]), tensor([1, 0, 1]))
    """
    for labels, name in ((first_labels, "first_labels"), (second_labels, "second_labels")):
        if labels.ndim != 1 or labels.is_floating_point() or labels.is_complex():
            raise ValueError(f"{name} must be (samples,) integers, got shape {tuple(labels.shape)} of {labels.dtype}")
    together = first_labels[:, None] == second_labels[None, :]
    if how == "matched":
        together &= _earlier(first_labels)[:, None] == _earlier(second_labels)[None, :]
    elif how != "all":
        raise ValueError(f"how must be 'matched' or 'all', not {how!r}")
    first, second = together.nonzero(as_tuple=True)
    return first, second


def _earlier(labels: Tensor) -> Tensor:
    """How many samples of the same label come before each."""
    ordered, order = labels.sort(stable=True)
    place = torch.arange(len(labels), device=labels.device)
    return torch.empty_like(place).scatter_(0, order, place - torch.searchsorted(ordered, ordered))
