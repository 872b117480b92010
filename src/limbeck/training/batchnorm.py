"""Batch normalisation over the batch of all processes, so that they give the gradient of a single one."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from limbeck.training.distributed import sum_over_processes, world_size


class GlobalBatchNorm(_BatchNorm):
    """Batch normalisation with the mean and variance of all processes' samples; on any device, and exact.

    It is torch's own `BatchNorm1d` or `BatchNorm2d` in evaluation, and where there is one process only. Shares of a
    batch may differ in length. Input (batch, channels, ...).

    Raises:
        ValueError: in training, all processes together have one value per channel only.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"input must be (batch, channels, ...), not {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        # In evaluation nothing is exchanged: the main process looks at held-out data alone.
        if world_size() == 1 or not self.training:
            return super().forward(input)
        # Half precision is too coarse for sums over a batch.
        values = input.float() if input.dtype in {torch.float16, torch.bfloat16} else input
        over = [dimension for dimension in range(input.dim()) if dimension != 1]
        shape = [1, -1, *[1] * (input.dim() - 2)]
        count = sum_over_processes(values.new_tensor(values.numel() / values.shape[1], dtype=torch.float64)).item()
        if count <= 1:
            raise ValueError("batch normalisation needs more than one value per channel in training")
        # In two passes: the mean of squares less the square of the mean would lose digits.
        mean = sum_over_processes(values.sum(over)) / count
        centred = values - mean.view(shape)
        variance = sum_over_processes(centred.square().sum(over)) / count
        if self.running_mean is not None:
            self._remember(mean.detach(), variance.detach() * (count / (count - 1)))
        result = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            result = result * self.weight.view(shape) + self.bias.view(shape)
        return result.to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        counter = cast(Tensor, self.num_batches_tracked)
        counter.add_(1)
        share = 1 / float(counter) if self.momentum is None else self.momentum
        cast(Tensor, self.running_mean).lerp_(mean.to(cast(Tensor, self.running_mean).dtype), share)
        cast(Tensor, self.running_var).lerp_(variance.to(cast(Tensor, self.running_var).dtype), share)


def synchronised(network: nn.Module, device: str | torch.device) -> nn.Module:
    """Let every batch normalisation of a network see the batch of all processes.

    On CUDA it becomes `torch.nn.SyncBatchNorm`, elsewhere, where that refuses to run, a `GlobalBatchNorm`. Parameters,
    buffers, their names, `requires_grad` and the mode are kept: the very same tensors go into the new modules, so that
    an optimiser made before stays right. In evaluation nothing changes.

    Args:
        network: changed in place.
        device: where it runs.

    Returns:
        The network; a new module only where `network` itself is a batch normalisation.
    """
    if isinstance(network, nn.BatchNorm1d | nn.BatchNorm2d):
        kind = nn.SyncBatchNorm if torch.device(device).type == "cuda" else GlobalBatchNorm
        return _converted(network, kind)
    # One batch normalisation may stand in several places; it must stay one.
    known: dict[int, nn.Module] = {}
    for module in list(network.modules()):
        for name, child in list(module._modules.items()):
            if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
                module.add_module(name, known.setdefault(id(child), synchronised(child, device)))
    return network


def _converted(module: _BatchNorm, kind: type[_BatchNorm]) -> _BatchNorm:
    new = kind(module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats)
    for name in module._parameters:
        new._parameters[name] = module._parameters[name]
    for name in module._buffers:
        new._buffers[name] = module._buffers[name]
    return new.train(module.training)
