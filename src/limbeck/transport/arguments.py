"""Checks of what is handed in."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def checked_cost(cost: Tensor) -> Tensor:
    """The cost (..., n, m) in float64, without a gradient; refuses anything but finite real numbers."""
    if cost.ndim < 2:
        raise ValueError(f"cost must be (..., rows, columns), got shape {tuple(cost.shape)}")
    if cost.is_complex() or cost.dtype == torch.bool:
        raise ValueError(f"cost must hold real numbers, not {cost.dtype}")
    if not cost.isfinite().all():
        raise ValueError("cost must be finite, but holds NaN or inf: give a forbidden pair a large finite cost")
    return cost.detach().double()


def checked_prior(
    prior: Tensor | None, shape: tuple[int, ...], name: str, *, like: Tensor, other: Tensor | None
) -> Tensor:
    """A prior of that shape in float64; without one, the uniform prior with the sum of the other, or 1."""
    if prior is None:
        total = like.new_ones(()) if other is None else other.detach().to(like).sum(dim=-1, keepdim=True)
        return (total / max(1, shape[-1])).expand(shape)
    if prior.is_complex() or prior.dtype == torch.bool:
        raise ValueError(f"{name} must hold real numbers, not {prior.dtype}")
    try:
        values = prior.detach().to(like).expand(shape)
    except RuntimeError:
        raise ValueError(
            f"{name} of shape {tuple(prior.shape)} does not fit a cost that asks for {shape}: one number for each"
        ) from None
    if not (values.isfinite() & (values >= 0)).all():
        raise ValueError(f"{name} must be finite and at least 0")
    if like.numel() and not (values.sum(dim=-1) > 0).all():
        raise ValueError(f"{name} must have a positive sum: it says how much mass there is")
    return values


def checked_positive(value: float, name: str) -> None:
    """Refuses all but positive finite numbers."""
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a positive finite number, not {value}")
