"""Cross-entropy with label smoothing, per sample, over any leading dimensions."""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.objectives.divergences import Reduction, log_probabilities, reduce


def cross_entropy(
    logits: Tensor, labels: Tensor, *, label_smoothing: float = 0.0, reduction: Reduction = "mean"
) -> Tensor:
    r"""Label-smoothed cross-entropy of the predicted distribution, in nats.

    .. math:: -\sum_c q_c \log P_c, \qquad q_c = (1 - \epsilon) [c = y] + \epsilon / C

    where :math:`P` is the softmax of `logits`, :math:`y` is `labels`, :math:`\epsilon` is `label_smoothing` and
    :math:`C` the number of classes. The smoothing mass :math:`\epsilon` is spread over all classes, the true one
    included, as in torch and in the authors' code (target 1 - ε + ε/C); some texts spread it over the C - 1 others.
    Logits of half precision are taken to float32 first.

    Args:
        logits: (..., classes).
        labels: integers in [0, classes), shape (...) or one that broadcasts to it.
        label_smoothing: in [0, 1).
        reduction: "mean" or "sum" over all leading dimensions, or "none" for shape (...).

    Raises:
        ValueError: logits are empty, labels do not broadcast, or the smoothing is out of range.

    Source: Szegedy et al. 2016, §7, as used by Tian et al. 2021, eq. 17.

    Example:
        >>> round(cross_entropy(torch.zeros(1, 4), torch.tensor([2])).exp().item(), 4)
        4.0
    """
    if logits.numel() == 0:
        raise ValueError(f"logits is empty: shape {tuple(logits.shape)}")
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing must be in [0, 1), not {label_smoothing}")
    try:
        target = labels.expand(logits.shape[:-1])
    except RuntimeError:
        raise ValueError(
            f"labels of shape {tuple(labels.shape)} do not fit logits of shape {tuple(logits.shape)}"
        ) from None
    log_probability = log_probabilities(logits)
    loss = -log_probability.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    if label_smoothing:
        loss = torch.lerp(loss, -log_probability.mean(dim=-1), label_smoothing)
    return reduce(loss, reduction)
