"""Losses of deep metric learning on proxies, one learnt vector a class: ProxyNCA, Proxy-Anchor, softmax with margin.

The normalised softmax (Zhai and Wu 2019) needs no function of its own: it is
`cross_entropy(prototype_logits(embeddings, proxies, temperature=0.05), labels)`. Center loss with given centers is
`center_loss(embeddings, labels, references=centers, reference_labels=torch.arange(classes))`.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from limbeck.objectives.divergences import Reduction, reduce
from limbeck.objectives.pairs import (
    check_batch,
    inner_products,
    log_one_plus_sum,
    masked_logsumexp,
    positive_number,
    squared_distances,
)
from limbeck.objectives.precision import full_precision, unit

_MARGINS = {"arcface": 0.5, "cosface": 0.35}


def proxy_nca(
    embeddings: Tensor,
    labels: Tensor,
    proxies: Tensor,
    *,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""ProxyNCA: every sample must be nearer to its own proxy than to the others.

    .. math:: L_i = -\log \frac{e^{-\| z_i - p_{y_i} \|^2}}{\sum_{k \ne y_i} e^{-\| z_i - p_k \|^2}}

    where :math:`z` are the `embeddings` and :math:`p_k` the k-th proxy. Its own proxy is not in the denominator, so the
    loss may be negative; the cross-entropy of logits :math:`-\| z_i - p_k \|^2`, which some libraries call ProxyNCA,
    has it there. With one proxy there is no denominator and the loss is the squared distance.

    Args:
        embeddings: (n, features).
        labels: (n,) integers in [0, classes).
        proxies: (classes, features).
        normalize: divide embeddings and proxies by their lengths first; a vector of zeros stays.
        reduction: "mean" or "sum" over the samples, or "none" for (n,).

    Raises:
        ValueError: shapes disagree or are empty.

    Source: Movshovitz-Attias et al. 2017 (ICCV), §3.

    Example:
        >>> round(proxy_nca(torch.eye(2), torch.tensor([0, 1]), torch.eye(2)).item(), 4)  # 0 - 2
        -2.0
    """
    vectors, centers, own = _with_proxies(embeddings, labels, proxies, normalize)
    squared, _ = squared_distances(vectors, centers)
    to_own = torch.where(own, squared, 0.0).sum(dim=1)
    return reduce(to_own + masked_logsumexp(-squared, ~own), reduction)


def proxy_anchor(
    embeddings: Tensor,
    labels: Tensor,
    proxies: Tensor,
    *,
    margin: float = 0.1,
    scale: float = 32.0,
    normalize: bool = True,
) -> Tensor:
    r"""Proxy-Anchor: every proxy pulls the samples of its class in the batch, and pushes the others away.

    .. math:: L = \frac{1}{|P^+|} \sum_{k \in P^+} \log \Big( 1 + \sum_{i: y_i = k} e^{-\alpha (s_{ik} - \delta)} \Big)
        + \frac{1}{|P|} \sum_{k \in P} \log \Big( 1 + \sum_{i: y_i \ne k} e^{\alpha (s_{ik} + \delta)} \Big)

    where :math:`s_{ik}` is the cosine of `embeddings` i and proxy k, P the set of all proxies, :math:`P^+` those whose
    class is in the batch, :math:`\alpha` is `scale` and :math:`\delta` is `margin`. The first sum is tightness, the
    second contrast.

    Args:
        embeddings: (n, features).
        labels: (n,) integers in [0, classes).
        proxies: (classes, features).
        margin: δ.
        scale: α > 0.
        normalize: divide embeddings and proxies by their lengths first; a vector of zeros stays.

    Returns:
        A scalar: a mean over proxies, not over samples.

    Raises:
        ValueError: shapes disagree or are empty, or the scale is not positive.

    Source: Kim et al. 2020 (CVPR), eq. 4.

    Example:
        >>> round(proxy_anchor(torch.eye(2), torch.tensor([0, 1]), torch.eye(2)).item(), 4)  # log(1 + e^3.2)
        3.24
    """
    positive_number(scale, "scale")
    vectors, centers, own = _with_proxies(embeddings, labels, proxies, normalize)
    cosines = inner_products(vectors, centers)
    pull = log_one_plus_sum(-scale * (cosines - margin), own, dim=0)
    push = log_one_plus_sum(scale * (cosines + margin), ~own, dim=0)
    return pull.sum() / own.any(dim=0).sum().clamp(min=1) + push.mean()


def margin_logits(
    cosines: Tensor,
    labels: Tensor,
    *,
    kind: Literal["arcface", "cosface"] = "arcface",
    margin: float | None = None,
    scale: float = 64.0,
) -> Tensor:
    r"""Logits of a softmax with margin: the true class must win although its cosine is made smaller.

    .. math:: s \cos(\theta_y + m) \text{ ("arcface")}, \qquad s (\cos \theta_y - m) \text{ ("cosface")}

    in place of :math:`s \cos \theta_y` for the true class y, where :math:`s` is `scale` and :math:`m` is `margin`; the
    other logits are :math:`s \cos \theta_k`. The loss is the `cross_entropy` of these logits, and cosines are
    `prototype_logits(embeddings, classifier, temperature=1)`.

    Beyond :math:`\theta_y + m = \pi` the cosine would rise again. There "arcface" takes
    :math:`s (\cos \theta_y - m \sin m)` instead, as the authors' code does. It drops by
    :math:`s (\cos m + m \sin m - 1)` at that angle, so that it falls with the angle throughout; for margins above 2.33
    it rises there. Its gradient with respect to the cosine, large near :math:`\cos \theta_y = 1`, is :math:`s \cos m`
    there exactly, and it is finite for all cosines, also those beyond ±1 by rounding.

    Args:
        cosines: (..., classes).
        labels: (...) integers in [0, classes).
        kind: which margin.
        margin: m ≥ 0, below π for "arcface" (an angle); None takes the paper's, 0.5 for "arcface" and 0.35 for
            "cosface".
        scale: s > 0.

    Returns:
        (..., classes), logits.

    Raises:
        ValueError: shapes disagree or are empty, or an option is out of range.

    Source: Deng et al. 2019 (CVPR, "ArcFace"), eq. 3; Wang et al. 2018 (CVPR, "CosFace"), eq. 4.

    Example:
        >>> margin_logits(torch.tensor([[0.9, 0.1]]), torch.tensor([0]), kind="cosface", margin=0.5, scale=10.0)
        tensor([[4.0000, 1.0000]])
    """
    if cosines.ndim == 0 or cosines.numel() == 0 or labels.shape != cosines.shape[:-1]:
        raise ValueError(
            f"labels of shape {tuple(labels.shape)} do not fit cosines of shape {tuple(cosines.shape)}: "
            "expected (...) and (..., classes)"
        )
    if kind not in _MARGINS:
        raise ValueError(f"kind must be 'arcface' or 'cosface', not {kind!r}")
    amount = _MARGINS[kind] if margin is None else margin
    if not 0 <= amount < (math.pi if kind == "arcface" else math.inf):
        raise ValueError(f"margin must be at least 0, and an angle below pi for 'arcface', not {margin}")
    positive_number(scale, "scale")
    cosines = full_precision(cosines)
    lowered = _added_angle(cosines, amount) if kind == "arcface" else cosines - amount
    own = labels.unsqueeze(-1) == torch.arange(cosines.shape[-1], device=labels.device)
    return scale * torch.where(own, lowered, cosines)


def _added_angle(cosines: Tensor, margin: float) -> Tensor:
    """cos(angle + margin), and below where that turns the continuation of the authors' code."""
    squared_sine = (1 - cosines) * (1 + cosines)
    inside = squared_sine > 0
    sine = torch.where(inside, torch.where(inside, squared_sine, 1.0).sqrt(), 0.0)
    added = cosines * math.cos(margin) - sine * math.sin(margin)
    return torch.where(cosines > -math.cos(margin), added, cosines - margin * math.sin(margin))


def _with_proxies(
    embeddings: Tensor, labels: Tensor, proxies: Tensor, normalize: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings and proxies in full precision, of length 1 if that is asked for, and which proxy is whose."""
    check_batch(embeddings, labels)
    if proxies.ndim != 2 or proxies.numel() == 0 or proxies.shape[1] != embeddings.shape[1]:
        raise ValueError(
            f"proxies must be (classes, features) of embeddings of shape {tuple(embeddings.shape)}, "
            f"got {tuple(proxies.shape)}"
        )
    vectors = full_precision(embeddings)
    centers = full_precision(proxies).to(vectors.dtype)
    own = labels.unsqueeze(1) == torch.arange(proxies.shape[0], device=labels.device)
    return (unit(vectors), unit(centers), own) if normalize else (vectors, centers, own)
