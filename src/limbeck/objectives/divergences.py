"""Divergences between predicted distributions, computed from logits: the stuff every other objective is made of.

Logits of half precision (float16, bfloat16) are taken to float32 first, and the result is float32: a divergence is a
small difference of large sums, which eight bits do not hold. Gradients come back in the precision of the logits.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.objectives.precision import full_precision

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
    receive gradients; detach the one that must not. The value is not multiplied by :math:`T^2`. Near agreement it may
    be negative by rounding, by no more than a few units in the last place of 1.

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
    teacher, student = log_probabilities(teacher_logits, temperature), log_probabilities(student_logits, temperature)
    return reduce((teacher.exp() * (teacher - student)).sum(dim=-1), reduction)


def symmetric_kl(
    first_logits: Tensor, second_logits: Tensor, *, temperature: float = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    r"""Kullback-Leibler divergence in both directions, in nats: symmetric, never negative.

    .. math:: D_{KL}[P \| Q] + D_{KL}[Q \| P] = \sum_c (P_c - Q_c) (\log P_c - \log Q_c)

    :math:`P` and :math:`Q` are the softmax of `first_logits` and `second_logits` over `temperature`; arguments, shapes
    and errors are those of `kl_divergence`. Source: Tian et al. 2022, eq. 17 ("symmetrically conducted").

    Example:
        >>> fair, sure = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, math.log(3.0)]])
        >>> round(symmetric_kl(fair, sure).item(), 4)  # (1/2 - 1/4) log 3
        0.2747
    """
    check_logits(first_logits, second_logits, names=("first_logits", "second_logits"))
    check_temperature(temperature)
    first, second = log_probabilities(first_logits, temperature), log_probabilities(second_logits, temperature)
    # No term of this sum is negative, in floating point either.
    return reduce(((first.exp() - second.exp()) * (first - second)).sum(dim=-1), reduction)


def js_divergence(
    first_logits: Tensor, second_logits: Tensor, *, temperature: float = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    r"""Jensen-Shannon divergence between two predictions, in nats: symmetric, never negative.

    .. math:: D_{JS}[P \| Q] = \tfrac12 D_{KL}[P \| M] + \tfrac12 D_{KL}[Q \| M], \qquad M = \tfrac12 (P + Q)

    :math:`P` and :math:`Q` are the softmax of `first_logits` and `second_logits` over `temperature`; arguments, shapes
    and errors are those of `kl_divergence`. It is 0 where the predictions agree and at most :math:`\log 2`, reached by
    predictions that share no class; rounding may add a few units in the last place of 1 to that.

    Source: Tian et al. 2021, eq. 12; Lin 1991.

    Example:
        >>> certain = torch.tensor([[1e4, -1e4]])
        >>> round(js_divergence(certain, -certain).item() / math.log(2), 6)
        1.0
    """
    check_logits(first_logits, second_logits, names=("first_logits", "second_logits"))
    check_temperature(temperature)
    first, second = log_probabilities(first_logits, temperature), log_probabilities(second_logits, temperature)
    # Class by class M_c g(d) with d = log P_c - log Q_c and g(d) = d tanh(d/2) - 2 log cosh(d/2), of which no term is
    # negative. Both forms of g are exact where they are used: the first cancels for large d, the second for small.
    difference = first - second
    near = difference.abs() < 1
    small = torch.where(near, difference, 0.0)
    tangent = torch.tanh(small / 2)
    size = torch.where(near, 1.0, difference).abs()
    excess = torch.where(
        near,
        small * tangent + torch.log1p(-tangent.square()),
        2 * (math.log(2.0) - F.softplus(-size) - size * torch.sigmoid(-size)),
    )
    return reduce(((first.exp() + second.exp()) / 4 * excess).sum(dim=-1), reduction)


def log_probabilities(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """The log-softmax of logits over a temperature, in float32 or better."""
    return F.log_softmax(full_precision(logits) / temperature, dim=-1)


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
