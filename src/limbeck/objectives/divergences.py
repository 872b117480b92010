"""Divergences between predicted distributions, computed from logits: the stuff every other objective is made of."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Reduction = Literal["mean", "sum", "none"]


def kl_divergence(
    teacher_logits: Tensor,
    student_logits: Tensor,
    *,
    temperature: float = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Kullback-Leibler divergence of the student's prediction from the teacher's, in nats.

    .. math:: D_{KL}[P \| Q] = \sum_c P_c (\log P_c - \log Q_c),
        \qquad P = softmax(t / T), \quad Q = softmax(s / T)

    where :math:`t` is `teacher_logits`, :math:`s` is `student_logits` and :math:`T` is `temperature`. Both arguments
    receive gradients; detach the one that must not. The value is not multiplied by :math:`T^2`.

    Args:
        teacher_logits: (..., classes), any real numbers; float32 is safe at ±1e4.
        student_logits: the same shape.
        temperature: divides both logits, > 0.
        reduction: "mean" or "sum" over all leading dimensions, or "none" for shape (...).

    Raises:
        ValueError: shapes differ, a dimension is empty, or the temperature is not positive.

    Source: Tian et al. 2021, Corollary 1; Tian et al. 2022, eq. 13.

    Example:
        >>> fair, sure = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, math.log(3.0)]])
        >>> round(kl_divergence(fair, sure).item(), 4)  # 0.5 log(0.5/0.25) + 0.5 log(0.5/0.75)
        0.1438
    """
    check_logits(teacher_logits, student_logits, names=("teacher_logits", "student_logits"))
    check_temperature(temperature)
    teacher = F.log_softmax(teacher_logits / temperature, dim=-1)
    student = F.log_softmax(student_logits / temperature, dim=-1)
    return reduce(_expectation(teacher, teacher - student), reduction)


def symmetric_kl(
    first_logits: Tensor, second_logits: Tensor, *, temperature: float = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    r"""Kullback-Leibler divergence in both directions, :math:`D_{KL}[P \| Q] + D_{KL}[Q \| P]`, in nats.

    :math:`P` and :math:`Q` are the softmax of `first_logits` and `second_logits` over `temperature`; arguments, shapes
    and errors are those of `kl_divergence`. Source: Tian et al. 2022, eq. 17 ("symmetrically conducted").

    Example:
        >>> fair, sure = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, math.log(3.0)]])
        >>> round(symmetric_kl(fair, sure).item(), 4)  # (1/2 - 1/4) log 3
        0.2747
    """
    check_logits(first_logits, second_logits, names=("first_logits", "second_logits"))
    check_temperature(temperature)
    first = F.log_softmax(first_logits / temperature, dim=-1)
    second = F.log_softmax(second_logits / temperature, dim=-1)
    return reduce(_expectation(first, first - second) + _expectation(second, second - first), reduction)


def js_divergence(
    first_logits: Tensor, second_logits: Tensor, *, temperature: float = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    r"""Jensen-Shannon divergence between two predictions, in nats: symmetric, in [0, log 2].

    .. math:: D_{JS}[P \| Q] = \tfrac12 D_{KL}[P \| M] + \tfrac12 D_{KL}[Q \| M], \qquad M = \tfrac12 (P + Q)

    :math:`P` and :math:`Q` are the softmax of `first_logits` and `second_logits` over `temperature`; arguments, shapes
    and errors are those of `kl_divergence`. Source: Tian et al. 2021, eq. 12.

    Example:
        >>> certain = torch.tensor([[1e4, -1e4]])
        >>> round(js_divergence(certain, -certain).item() / math.log(2), 6)
        1.0
    """
    check_logits(first_logits, second_logits, names=("first_logits", "second_logits"))
    check_temperature(temperature)
    first = F.log_softmax(first_logits / temperature, dim=-1)
    second = F.log_softmax(second_logits / temperature, dim=-1)
    middle = torch.logaddexp(first, second) - math.log(2.0)
    return reduce((_expectation(first, first - middle) + _expectation(second, second - middle)) / 2, reduction)


def reduce(values: Tensor, reduction: Reduction) -> Tensor:
    """Mean or sum of all `values`, or `values` themselves for "none"."""
    match reduction:
        case "mean":
            return values.mean()
        case "sum":
            return values.sum()
        case "none":
            return values
    raise ValueError(f"reduction must be 'mean', 'sum' or 'none', not {reduction!r}")


def check_logits(*logits: Tensor, names: tuple[str, ...]) -> None:
    """Refuse logits that are empty, have no class dimension, or differ in shape, naming the argument."""
    for tensor, name in zip(logits, names, strict=True):
        if tensor.ndim == 0 or tensor.numel() == 0:
            raise ValueError(f"{name} is empty: expected (..., classes), got shape {tuple(tensor.shape)}")
        if tensor.shape != logits[0].shape:
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)}, but {names[0]} has {tuple(logits[0].shape)}: "
                "they must be equal"
            )


def check_temperature(temperature: float) -> None:
    """Refuse a temperature that is not positive."""
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, not {temperature}")


def _expectation(log_weights: Tensor, values: Tensor) -> Tensor:
    """Sum over classes of exp(log_weights) * values."""
    return (log_weights.exp() * values).sum(dim=-1)
