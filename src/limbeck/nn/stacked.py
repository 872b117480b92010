"""Layers that hold many independent copies of themselves and apply each to its own slice of the input.

`stack` is a tuple of leading dimensions: `()` is an ordinary layer, `(views,)` one copy per view, `(models, views)` one
copy a view in each of several models that train side by side. Copies share nothing but the call, so that a stack of s
models costs one batched product a layer where s models would cost s small ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.objectives.precision import full_precision


class StackedLinear(nn.Module):
    """Affine maps `x @ weight + bias`, one for each position of the stack.

    Args:
        in_features: width of the input.
        out_features: width of the output.
        stack: leading dimensions of the parameters.
        bias: whether to add a bias.

    Shapes: input `(*stack, batch, in_features)` or one that broadcasts to it; output `(*stack, batch, out_features)`;
    `weight` is `(*stack, in_features, out_features)`, `bias` `(*stack, out_features)`.
    """

    def __init__(self, in_features: int, out_features: int, *, stack: tuple[int, ...] = (), bias: bool = True) -> None:
        super().__init__()
        self.in_features, self.out_features, self.stack = in_features, out_features, stack
        self.weight = nn.Parameter(torch.empty(*stack, in_features, out_features))
        self.bias = nn.Parameter(torch.empty(*stack, out_features)) if bias else None
        self.reset_parameters()

    def reset_parameters(self, generators: Sequence[torch.Generator] | None = None) -> None:
        """Draw all parameters uniformly in ±1/sqrt(in_features), as torch's own linear layer does.

        Args:
            generators: one for each slice of the first stack dimension; default: the global one for all.
        """
        bound = 1 / math.sqrt(self.in_features)
        with torch.no_grad():
            for parameter in self.parameters():
                if generators is None:
                    parameter.uniform_(-bound, bound)
                else:
                    for model, generator in zip(parameter, generators, strict=True):
                        model.uniform_(-bound, bound, generator=generator)

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.stack:
            return F.linear(inputs, self.weight.mT, self.bias)
        outputs = inputs @ self.weight
        return outputs if self.bias is None else outputs + self.bias.unsqueeze(-2)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, stack={self.stack}"


class StackedBatchNorm(nn.Module):
    """Batch normalisation of every feature, one for each position of the stack, blind to samples that are not there.

    In training the mean and the variance are those of the usable samples of the batch, and running averages are kept
    for inference. With fewer than two usable samples the running averages are used. Rows that are not usable may hold
    anything, NaN too; what comes out of them is finite and means nothing.

    Input may be of any floating-point type, whatever that of the parameters; moments are taken in float32 or better.

    Shapes: input and output `(*stack, batch, features)`, of the input's type; `usable` `(*stack, batch)` booleans.
    """

    running_mean: Tensor
    running_variance: Tensor

    def __init__(
        self, features: int, *, stack: tuple[int, ...] = (), momentum: float = 0.1, epsilon: float = 1e-5
    ) -> None:
        super().__init__()
        self.momentum, self.epsilon = momentum, epsilon
        self.weight = nn.Parameter(torch.ones(*stack, features))
        self.bias = nn.Parameter(torch.zeros(*stack, features))
        self.register_buffer("running_mean", torch.zeros(*stack, features))
        self.register_buffer("running_variance", torch.ones(*stack, features))

    def forward(self, inputs: Tensor, usable: Tensor | None = None) -> Tensor:
        values = full_precision(inputs)
        if usable is not None:
            values = torch.where(usable.unsqueeze(-1), values, 0.0)
        mean, variance = self.running_mean.to(values.dtype), self.running_variance.to(values.dtype)
        if self.training:
            mean, variance = self._batch_moments(values, usable)
        scale = self.weight.to(values.dtype) * torch.rsqrt(variance + self.epsilon)
        offset = self.bias.to(values.dtype) - mean * scale
        return torch.addcmul(offset.unsqueeze(-2), values, scale.unsqueeze(-2)).to(inputs.dtype)

    def _batch_moments(self, values: Tensor, usable: Tensor | None) -> tuple[Tensor, Tensor]:
        """Of the usable rows, all others being 0."""
        if usable is None:
            count = torch.full_like(values[..., 0, :1], values.shape[-2])
            # Not var_mean: over a dimension that is not the last it costs twenty times as much on a CPU.
            mean = values.mean(dim=-2)
            variance = (values - mean.unsqueeze(-2)).square().mean(dim=-2)
        else:
            weight = usable.unsqueeze(-1).to(values.dtype)
            count = weight.sum(dim=-2)
            mean = values.sum(dim=-2) / count.clamp(min=1)
            variance = ((values - mean.unsqueeze(-2)).square() * weight).sum(dim=-2) / count.clamp(min=1)
        enough = count > 1
        with torch.no_grad():
            unbiased = variance * count / (count - 1).clamp(min=1)
            for average, moment in ((self.running_mean, mean), (self.running_variance, unbiased)):
                step = torch.where(enough, self.momentum, 0.0).to(average.dtype)
                average.lerp_(moment.to(average.dtype), step.expand_as(average))
        return (
            torch.where(enough, mean, self.running_mean.to(values.dtype)),
            torch.where(enough, variance, self.running_variance.to(values.dtype)),
        )


class SparseRows(NamedTuple):
    """Rows of a sparse matrix, as a bag of entries for each.

    Attributes:
        columns: (entries,) int64, the column of each entry, row after row.
        values: (entries,) the entries.
        starts: (rows,) int64, where each row's entries begin.
    """

    columns: Tensor
    values: Tensor
    starts: Tensor


class StackedSparseLinear(StackedLinear):
    """A `StackedLinear` for sparse rows: costs what the stored entries cost, and nothing is made dense.

    Shapes: input rows of all models one after the other, (models * batch) rows; output (models, batch, out_features).

    Attributes:
        product: what computes rows @ weight, (models * batch, out_features), where a `RowAdamW` trains the weights;
            else None.
    """

    product: Callable[[SparseRows], Tensor] | None = None

    def forward_rows(self, rows: SparseRows) -> Tensor:
        (models,) = self.stack
        batch = len(rows.starts) // models
        outputs = self._bags(rows, batch) if self.product is None else self.product(rows)
        stacked: Tensor = outputs.unflatten(0, (models, batch))
        return stacked if self.bias is None else stacked + self.bias.unsqueeze(-2)

    def _bags(self, rows: SparseRows, batch: int) -> Tensor:
        # All models in one call: model m's weights are the m-th block of one tall matrix.
        ends = torch.cat([rows.starts[1:], rows.starts.new_tensor([len(rows.columns)])])
        model = torch.arange(*self.stack, device=rows.starts.device).repeat_interleave(batch)
        columns = rows.columns + (model * self.in_features).repeat_interleave(ends - rows.starts)
        outputs: Tensor = F.embedding_bag(
            columns, self.weight.flatten(0, 1), rows.starts, mode="sum", per_sample_weights=rows.values
        )
        return outputs


class StackedDropout(nn.Module):
    """Dropout whose masks are drawn, for each slice of the first stack dimension, from that slice's own generator.

    A model's masks therefore do not depend on which other models train beside it. Without `generators` the global
    generator is used. Active in training only; survivors are scaled by 1 / (1 - rate). With `generators` the rate is
    rounded to 1/256 and is at most 255/256.
    """

    generators: list[torch.Generator] | None = None

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"dropout rate must be in [0, 1), not {rate}")
        self.rate = rate

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return inputs
        if self.generators is None:
            return F.dropout(inputs, self.rate)
        # One random byte an element: 1/256 is fine enough for a rate. Drawn eight at a time, bytes cost a twentieth of
        # what F.dropout's draws cost on a CPU.
        threshold = min(round(256 * self.rate), 255)
        elements = inputs[0].numel()
        draws = [
            torch.empty(-(-elements // 8), dtype=torch.int64, device=inputs.device)
            .random_(-(2**63), None, generator=generator)
            .view(torch.uint8)[:elements]
            for generator in self.generators
        ]
        kept = (torch.stack(draws) >= threshold).to(inputs.dtype).mul_(256 / (256 - threshold))
        dropped: Tensor = inputs * kept.view(inputs.shape)
        return dropped

    def extra_repr(self) -> str:
        return f"{self.rate}"
