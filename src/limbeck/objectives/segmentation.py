"""Losses of points with one label each, of classes of very different sizes: focal loss and Lovász-softmax."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.objectives.divergences import Reduction, reduce
from limbeck.objectives.precision import full_precision

IGNORED = -1
"""The label of a point that has no part in a loss."""


def multi_class_focal(
    logits: Tensor,
    labels: Tensor,
    *,
    gamma: float = 2.0,
    alpha: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Focal loss over several classes: cross-entropy that leaves aside what is already predicted well, in nats.

    .. math:: L = -\alpha_y (1 - P_y)^\gamma \log P_y

    where :math:`P` is the softmax of `logits` and :math:`y` is `labels`. Both logarithms come from one margin,
    :math:`o = \log \sum_{c \neq y} e^{s_c} - s_y`: :math:`\log P_y = -softplus(o)` and
    :math:`\log(1 - P_y) = -softplus(-o)`, exact at either end, for any :math:`\gamma`. Logits of half precision are
    taken to float32 first.

    Args:
        logits: (..., classes), at least 2 classes.
        labels: integers in [0, classes), shape (...); -1 for a point that is ignored, whatever its logits are.
        gamma: γ ≥ 0; 0 is cross-entropy.
        alpha: (classes,), a factor for each class, not negative; default 1.
        reduction: "mean" over the points that are not ignored (0 where all are), not divided by their `alpha`; "sum";
            or "none" for shape (...), with 0 for those ignored.

    Raises:
        ValueError: there are fewer than 2 classes, shapes disagree, γ is negative, or `alpha` has another length.

    Source: Lin et al. 2017, eq. 5, over the softmax; so used by Zhuang et al. 2021 (PMF).

    Example:
        >>> round(multi_class_focal(torch.zeros(1, 2), torch.tensor([1])).item(), 4)  # log(2) / 4
        0.1733
    """
    _check(logits, labels, least=2)
    if not gamma >= 0:
        raise ValueError(f"gamma must not be negative, got {gamma}")
    if alpha is not None and alpha.shape != logits.shape[-1:]:
        raise ValueError(f"alpha must be ({logits.shape[-1]} classes,), got shape {tuple(alpha.shape)}")
    known = labels != IGNORED
    target = torch.where(known, labels, 0)
    scores = torch.where(known.unsqueeze(-1), full_precision(logits), 0.0)
    own = scores.gather(-1, target.unsqueeze(-1))
    others = scores.scatter(-1, target.unsqueeze(-1), -torch.inf)
    margin = others.logsumexp(dim=-1) - own.squeeze(-1)
    loss = -F.logsigmoid(-margin) * torch.exp(gamma * F.logsigmoid(margin))
    if alpha is not None:
        loss = loss * alpha.to(loss.dtype)[target]
    loss = torch.where(known, loss, 0.0)
    if reduction == "mean":
        return loss.sum() / known.sum().clamp(min=1)
    return reduce(loss, reduction)


def lovasz_softmax(logits: Tensor, labels: Tensor, *, classes: Literal["present", "all"] = "present") -> Tensor:
    r"""Lovász-softmax: a convex surface over 1 - IoU, averaged over classes; in [0, 1].

    .. math:: L = \frac{1}{|K|} \sum_{c \in K} \sum_i e_{\pi_c(i), c} \, (J_{c,i} - J_{c,i-1}), \qquad
        e_{p,c} = |[y_p = c] - P_{p,c}|

    where :math:`P` is the softmax of `logits`, :math:`y` is `labels`, :math:`\pi_c` sorts the errors of class c in
    descending order and :math:`J_{c,i}` is the Jaccard loss 1 - IoU of c where its i largest errors are all wrong. With
    G points of the class, of which f, and b others, are among the first i, :math:`J_{c,i} = 1 - (G - f) / (G + b)`. The
    differences are taken in closed form, 1 / (G + b) at a point of the class and (G - f) / ((G + b - 1)(G + b)) at
    another, because differences of J itself lose their digits in float32 with many points.
    Where P is 0 or 1 it is 1 - IoU. All classes are sorted at once; the time is that of sorting. Logits of half
    precision are taken to float32 first.

    Args:
        logits: (points, classes).
        labels: (points,) integers in [0, classes); -1 for a point that is ignored, whatever its logits are.
        classes: K, which are averaged over: those that have a point ("present"), or all ("all"), of which one that has
            none counts with its largest error.

    Returns:
        A scalar; 0 where K is empty, all points being ignored.

    Raises:
        ValueError: there is no class, shapes disagree, or `classes` is unknown.

    Source: Berman et al. 2018, eq. 9, 11 and 14, and their Alg. 1.

    Example:
        >>> sure = torch.tensor([[9.0, -9.0], [9.0, -9.0], [9.0, -9.0]])  # all 0: IoU 2/3 and 0
        >>> round(lovasz_softmax(sure, torch.tensor([0, 0, 1])).item(), 4)
        0.6667
    """
    _check(logits, labels, least=1)
    if logits.ndim != 2:
        raise ValueError(f"logits must be (points, classes), got shape {tuple(logits.shape)}")
    if classes not in ("present", "all"):
        raise ValueError(f"classes must be 'present' or 'all', not {classes!r}")
    known = labels != IGNORED
    scores = torch.where(known[:, None], full_precision(logits), 0.0).mT  # by class, to be sorted along memory
    target = torch.where(known, labels, 0)
    own = torch.zeros_like(scores, dtype=torch.bool).scatter(0, target[None], True) & known
    errors = (own.to(scores.dtype) - scores.softmax(dim=0)).abs()
    # Those ignored come last, where they change no difference before them, and count nothing themselves.
    errors, order = torch.where(known, errors, -1.0).sort(dim=1, descending=True, stable=True)
    own = own.gather(1, order)
    size = own.sum(dim=1, keepdim=True)
    left = size - own.cumsum(dim=1)
    union = size + (~own).cumsum(dim=1)
    wide = union.to(errors.dtype)
    # A class without a point has no union before its first error, which brings J from 0 to 1.
    other = torch.where(union > 1, left / (wide * (wide - 1)).clamp(min=1), 1.0)
    steps = torch.where(own, 1 / wide.clamp(min=1), other)
    counted = errors >= 0
    values = torch.where(counted, errors * steps, 0.0).sum(dim=1)
    chosen = (size > 0).squeeze(1) if classes == "present" else known.any().expand(len(size))
    return torch.where(chosen, values, 0.0).sum() / chosen.sum().clamp(min=1)


def _check(logits: Tensor, labels: Tensor, *, least: int) -> None:
    if logits.ndim == 0 or labels.shape != logits.shape[:-1]:
        raise ValueError(f"labels of shape {tuple(labels.shape)} do not fit logits of shape {tuple(logits.shape)}")
    if logits.shape[-1] < least:
        raise ValueError(f"logits need at least {least} classes, got shape {tuple(logits.shape)}")
