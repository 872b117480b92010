"""Convolution over pairs of rows: for each offset gather, multiply, add; and the same backwards."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from limbeck.nn.sparse.maps import KernelMap


def convolve(features: Tensor, weight: Tensor, pairs: KernelMap) -> Tensor:
    r"""Convolution over the pairs of a map.

    .. math:: y_t = \sum_k \sum_{(s, t) \in M_k} x_s W_k

    where :math:`x` are `features`, :math:`W` is `weight` and :math:`M_k` are the pairs (source, target) of offset k. It
    costs two products of matrices per pair and weight in training, and no memory beyond the buffers of one offset.
    Within an offset targets are unique, and offsets are added one after the other: nothing depends on timing. Under
    autocast, products are in its precision and sums in float32.

    Args:
        features: (inputs, in), floating point.
        weight: (offsets, in, out), of the same type and on the same device.
        pairs: from `Grid.neighbours`, `Grid.down` or `Grid.up`.

    Returns:
        (outputs, out).

    Raises:
        ValueError: shapes disagree.
    """
    if weight.ndim != 3 or len(weight) != len(pairs):
        raise ValueError(f"weight must be ({len(pairs)} offsets, in, out), got shape {tuple(weight.shape)}")
    if features.shape != (pairs.inputs, weight.shape[1]):
        raise ValueError(
            f"features must be ({pairs.inputs} voxels, {weight.shape[1]} channels), got shape {tuple(features.shape)}"
        )
    device = features.device.type
    if torch.is_autocast_enabled(device):
        half = torch.get_autocast_dtype(device)
        features, weight = features.to(half), weight.to(half)
    result: Tensor = _Convolution.apply(features, weight, pairs)  # type: ignore[no-untyped-call]
    return result


class _Convolution(torch.autograd.Function):
    """Autograd would keep every gathered buffer; this keeps the features alone and gathers again."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, pairs: KernelMap) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.pairs = pairs
        with torch.autocast(features.device.type, enabled=False):
            return _gathered_products(features, weight, pairs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, weight = ctx.saved_tensors
        pairs: KernelMap = ctx.pairs
        needs_features, needs_weight = ctx.needs_input_grad[:2]
        gradient = gradient.contiguous()
        if not needs_weight:
            back = _gathered_products(gradient, weight.mT, pairs.transposed) if needs_features else None
            return back, None, None
        # Lists of one offset serve both gradients, so that the rows of `gradient` are gathered once.
        to_weight = torch.zeros_like(weight)
        back = _started(gradient, weight.mT, pairs.transposed) if needs_features else None
        buffer_in, buffer_out, buffer_back = (_Buffer(like, pairs) for like in (features, gradient, features))
        if pairs.centre is not None:
            torch.mm(features.mT, gradient, out=to_weight[pairs.centre])
        for k, (source, target) in enumerate(zip(pairs.sources, pairs.targets, strict=True)):
            if len(source) == 0:
                continue
            read, given = buffer_in.rows(features, source), buffer_out.rows(gradient, target)
            torch.mm(read.mT, given, out=to_weight[k])
            if back is not None:
                made = torch.mm(given, weight[k].mT, out=buffer_back.first(len(source)))
                back.index_add_(0, source, made.to(back.dtype))
        return None if back is None else back.to(features.dtype), to_weight, None


def _gathered_products(features: Tensor, weight: Tensor, pairs: KernelMap) -> Tensor:
    out = _started(features, weight, pairs)
    buffer_in, buffer_out = _Buffer(features, pairs), _Buffer(out, pairs, features.dtype)
    for k, (source, target) in enumerate(zip(pairs.sources, pairs.targets, strict=True)):
        if len(source):
            made = torch.mm(buffer_in.rows(features, source), weight[k], out=buffer_out.first(len(source)))
            out.index_add_(0, target, made.to(out.dtype))
    return out.to(features.dtype)


def _started(features: Tensor, weight: Tensor, pairs: KernelMap) -> Tensor:
    """What every row has of itself, or zeros, in at least float32."""
    wide = torch.promote_types(features.dtype, torch.float32)
    if pairs.centre is None:
        return features.new_zeros(pairs.outputs, weight.shape[2], dtype=wide)
    return (features @ weight[pairs.centre]).to(wide)


class _Buffer:
    """Room for the rows of the longest offset, used by one offset after the other."""

    def __init__(self, like: Tensor, pairs: KernelMap, dtype: torch.dtype | None = None) -> None:
        longest = max((len(source) for source in pairs.sources), default=0)
        self.room = like.new_empty(longest, like.shape[1], dtype=dtype or like.dtype)

    def first(self, rows: int) -> Tensor:
        return self.room[:rows]

    def rows(self, of: Tensor, chosen: Tensor) -> Tensor:
        return torch.index_select(of, 0, chosen, out=self.first(len(chosen)))
