"""Learning from prototypes without labels: contrast within and across modalities, alignment of predictions, and the two
entropies of a clustering. What of it the paper's abstract fixes and what is ours is said in docs/unsupervised.md."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from limbeck.objectives.divergences import Reduction, check_logits, kl_divergence, log_probabilities, reduce
from limbeck.objectives.precision import full_precision, unit

ABSTAINED = -1
"""The label of a sample that belongs to no prototype."""


def prototype_logits(
    embeddings: Tensor, prototypes: Tensor, *, temperature: float = 0.05, normalize: bool = True
) -> Tensor:
    r"""What embeddings predict of the prototypes: cosines over a temperature.

    .. math:: s_k = \frac{f \cdot m_k}{\tau}

    where :math:`f` is an embedding, :math:`m_k` the k-th prototype, both of length 1, and :math:`\tau` is
    `temperature`.

    Args:
        embeddings: (..., features).
        prototypes: (prototypes, features).
        temperature: τ > 0.
        normalize: divide both by their lengths first; a vector of zeros stays.

    Returns:
        (..., prototypes), logits.

    Raises:
        ValueError: the widths differ, there is no prototype, or the temperature is not positive.

    Source: Dai et al. 2022 ("Cluster Contrast"), eq. 1.

    Example:
        >>> prototype_logits(torch.tensor([[3.0, 0.0]]), torch.eye(2), temperature=0.5)
        tensor([[2., 0.]])
    """
    if prototypes.ndim != 2 or prototypes.numel() == 0 or embeddings.shape[-1:] != prototypes.shape[-1:]:
        raise ValueError(
            f"prototypes must be (prototypes, features) of embeddings of shape {tuple(embeddings.shape)}, "
            f"got {tuple(prototypes.shape)}"
        )
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    first, second = full_precision(embeddings), full_precision(prototypes)
    if normalize:
        first, second = unit(first), unit(second)
    with torch.autocast(first.device.type, enabled=False):
        return first @ second.mT / temperature


def prototype_contrast(logits: Tensor, labels: Tensor, *, reduction: Literal["mean", "sum", "none"] = "mean") -> Tensor:
    r"""Prototype-based contrastive loss: every embedding must point at its own prototype and away from all others.

    .. math:: L = -\log \frac{e^{s_y}}{\sum_k e^{s_k}}

    where :math:`s` are `prototype_logits` and :math:`y` the prototype that a sample belongs to: its own cluster's,
    among prototypes of its modality, or the matched one among those of the other. With the pseudo-label in place of the
    true one it bounds the entropy H(y | x) of the predictions from above ("sharpness").

    Args:
        logits: (samples, prototypes).
        labels: (samples,) integers from 0; -1 for a sample that belongs to none, or whose cluster has no match.
        reduction: "mean" over the samples that have a prototype (0 where none has), "sum", or "none" for (samples,),
            with 0 for the others.

    Returns:
        In nats.

    Raises:
        ValueError: shapes disagree or a label is out of range.

    Source: ours, for the intra- and cross-modality terms ("PBCL") of arXiv 2407.12758 (mutual information guided
    optimal transport), whose equations are not at hand; the form is that of Dai et al. 2022, eq. 1.

    Example:
        >>> round(prototype_contrast(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([0, -1])).item(), 4)
        0.1269
    """
    if logits.ndim != 2 or logits.shape[1] == 0 or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"labels of shape {tuple(labels.shape)} do not fit logits of shape {tuple(logits.shape)}: "
            "expected (samples,) and (samples, prototypes)"
        )
    known = labels != ABSTAINED
    target = torch.where(known, labels, 0)
    loss = -log_probabilities(logits).gather(1, target.unsqueeze(1)).squeeze(1)
    loss = torch.where(known, loss, 0.0)
    if reduction == "mean":
        return loss.sum() / known.sum().clamp(min=1)
    return reduce(loss, reduction)


def carried(logits: Tensor, plan: Tensor) -> Tensor:
    r"""A prediction over one modality's prototypes, carried by a transport plan to those of the other.

    .. math:: P'_j = \sum_i P_i T_{ij}, \qquad T_{ij} = Q_{ij} / \sum_{j'} Q_{ij'}

    where :math:`P` is the softmax of `logits` and :math:`Q` is `plan`. A row of the plan without mass (a prototype that
    nothing is matched to) is carried evenly to all.

    Args:
        logits: (..., n).
        plan: (n, m), not negative.

    Returns:
        (..., m), logarithms of probabilities.

    Raises:
        ValueError: shapes disagree or an entry is negative or NaN.

    Example:
        >>> carried(torch.tensor([0.0, 0.0]), torch.tensor([[0.5, 0.0], [0.0, 0.5]])).exp()
        tensor([0.5000, 0.5000])
    """
    if plan.ndim != 2 or plan.numel() == 0 or logits.shape[-1:] != plan.shape[:1]:
        raise ValueError(f"plan of shape {tuple(plan.shape)} does not fit logits of shape {tuple(logits.shape)}")
    plan = full_precision(plan)
    mass = plan.sum(dim=1, keepdim=True)
    share = torch.where(mass > 0, plan / torch.where(mass > 0, mass, 1.0), 1 / plan.shape[1])
    probability = log_probabilities(logits).exp()
    carried_over = probability @ share.to(probability.dtype)
    return carried_over.clamp(min=torch.finfo(carried_over.dtype).tiny).log()


def cross_prediction_alignment(
    own_logits: Tensor,
    other_logits: Tensor,
    plan: Tensor,
    *,
    form: Literal["plan", "batch"] = "plan",
    detach_teacher: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""What samples predict of their own modality's prototypes must agree with what is predicted of the other's.

    Of two candidate forms,

    .. math:: L_{plan} = D_{KL}[\, T^\top P_{own} \| P_{other} ], \qquad
        L_{batch} = D_{KL}[\, P_{own} \| softmax(A S') ]

    "plan": :math:`P_{own}` and :math:`P_{other}` are the softmaxes of `own_logits` and `other_logits`, predicted from
    the same samples, and T is `plan` with its rows divided by their sums (see `carried`). "batch": `other_logits` are
    predicted from samples of the *other* modality, of their own prototypes; :math:`S'` are the logarithms of what the
    plan, transposed, carries of them into this modality's prototypes, and :math:`A = softmax(\bar S \bar S'^\top)` (row
    by row, :math:`\bar S` being the rows of length 1 of `own_logits`, likewise :math:`S'`) the likeness of the two
    modalities' samples in the batch, so that each sample is explained by those of the other modality like it.

    Args:
        own_logits: (samples, n), see `prototype_logits`.
        other_logits: (samples, m); for "batch" (samples of the other modality, m).
        plan: (n, m), the transport between the prototypes.
        form: which of the two. Ours, both: the abstract names the alignment and no more.
        detach_teacher: no gradient flows into the first argument of the divergence. "batch" follows a predecessor of
            the method that detaches nothing.
        reduction: "mean" or "sum" over the samples, or "none" for (samples,).

    Returns:
        In nats.

    Raises:
        ValueError: shapes disagree or an option is unknown.

    Source: ours, for the cross prediction alignment ("CPAL") of arXiv 2407.12758; "batch" after the prediction
    alignment of Wang et al. 2022 (OTLA).

    Example:
        >>> identity = torch.eye(2) / 2
        >>> logits = torch.tensor([[2.0, 0.0]])
        >>> round(cross_prediction_alignment(logits, logits, identity).item(), 6)
        0.0
    """
    if other_logits.ndim != 2 or other_logits.shape[-1:] != plan.shape[1:]:
        raise ValueError(f"plan of shape {tuple(plan.shape)} does not fit other_logits {tuple(other_logits.shape)}")
    if form == "plan":
        teacher = carried(own_logits, plan)
        student = full_precision(other_logits)
    elif form == "batch":
        teacher = full_precision(own_logits)
        mapped = carried(other_logits, plan.mT)
        alike = (unit(teacher) @ unit(mapped).mT).softmax(dim=-1)
        student = alike @ mapped
    else:
        raise ValueError(f"form must be 'plan' or 'batch', not {form!r}")
    check_logits(teacher, student, names=("own_logits", "other_logits"))
    return kl_divergence(teacher.detach() if detach_teacher else teacher, student, reduction=reduction)


def sharpness(logits: Tensor) -> Tensor:
    r"""How unsure the predictions are, in nats: the mean of their entropies. To be made small.

    .. math:: E_x[H(P(\cdot | x))] = -E_x \sum_k P_k \log P_k

    where :math:`P` is the softmax of `logits`. With `fairness` it makes up the information that the predicted label has
    of the sample: :math:`I(y; x) = \log K - fairness - sharpness` for K classes.

    Args:
        logits: (..., classes).

    Raises:
        ValueError: a dimension is empty.

    Source: the principle "sharpness" of arXiv 2407.12758; Bridle et al. 1991.

    Example:
        >>> round(sharpness(torch.zeros(3, 4)).exp().item(), 4)
        4.0
    """
    check_logits(logits, names=("logits",))
    predicted = log_probabilities(logits)
    return -(predicted.exp() * predicted).sum(dim=-1).mean()


def fairness(logits: Tensor) -> Tensor:
    r"""How unevenly the classes are predicted, in nats. To be made small.

    .. math:: D_{KL}[\, \bar P \| 1/K ] = \log K - H(\bar P), \qquad \bar P = E_x[P(\cdot | x)]

    where :math:`P` is the softmax of `logits`, over K classes. It is never negative, and 0 iff all are predicted alike
    on average.

    Args:
        logits: (..., classes); all leading dimensions are averaged over.

    Raises:
        ValueError: a dimension is empty.

    Source: the principle "fairness" of arXiv 2407.12758; Bridle et al. 1991.

    Example:
        >>> round(fairness(torch.tensor([[1e3, 0.0], [0.0, 1e3]])).item(), 6)
        0.0
    """
    check_logits(logits, names=("logits",))
    flat = log_probabilities(logits).reshape(-1, logits.shape[-1])
    mean = torch.logsumexp(flat, dim=0) - math.log(len(flat))
    return (mean.exp() * mean).sum() + math.log(logits.shape[-1])
