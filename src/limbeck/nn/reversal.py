"""Gradient reversal: the layer through which an adversary teaches an encoder what not to know."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.scale * gradients[0], None


def reverse_gradient(x: Tensor, scale: float = 1.0) -> Tensor:
    r"""The identity, whose gradient is turned around.

    .. math:: R(x) = x, \qquad \frac{\partial R}{\partial x} = -\lambda I

    where :math:`\lambda` is `scale`. Before the head of an adversary (which camera, which modality?), it lets the head
    minimise its loss while what comes before maximises it.

    Args:
        x: any shape, real.
        scale: what the reversed gradient is multiplied with; 0 stops it.

    Returns:
        x, as a new tensor of the same values.

    Source: Ganin & Lempitsky 2015, eq. 4, the term with -λ in the update of the features' parameters.

    Example:
        >>> x = torch.tensor([3.0], requires_grad=True)
        >>> reverse_gradient(x, 0.5).square().sum().backward()
        >>> x.grad
        tensor([-3.])
    """
    same: Tensor = _Reversal.apply(x, scale)  # type: ignore[no-untyped-call]
    return same
