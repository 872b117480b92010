"""The parts of a training step: a batch on its device, an optimiser, the arithmetic."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from limbeck.training.settings import TrainingSettings

Value = TypeVar("Value")


def to_device(value: Value, device: torch.device) -> Value:
    """The same batch with its tensors on a device.

    Args:
        value: a tensor, or a (named) tuple, list, dict or dataclass of such; anything else stays as it is.
        device: where to.

    Example:
        >>> to_device((torch.ones(1), "name"), torch.device("meta"))
        (tensor(..., device='meta', size=(1,)), 'name')
    """
    moved: Any = value
    if isinstance(value, Tensor):
        moved = value.to(device, non_blocking=True)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field.name for field in dataclasses.fields(value) if field.init]
        moved = dataclasses.replace(value, **{name: to_device(getattr(value, name), device) for name in fields})
    elif isinstance(value, Mapping):
        moved = {name: to_device(entry, device) for name, entry in value.items()}
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        moved = type(value)(*(to_device(entry, device) for entry in value))
    elif isinstance(value, list | tuple):
        moved = type(value)(to_device(entry, device) for entry in value)
    return moved  # type: ignore[no-any-return]


def make_optimizer(
    settings: TrainingSettings, parameters: Iterable[nn.Parameter], device: torch.device
) -> torch.optim.Optimizer:
    """The optimiser of the settings, in one fused kernel where torch has it."""
    common: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    if device.type in {"cpu", "cuda"}:
        common["fused"] = True
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=settings.momentum, nesterov=settings.momentum > 0, **common)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, **common)


def autocast(settings: TrainingSettings, device: torch.device) -> torch.autocast:
    """The arithmetic of the settings, as a context."""
    kind = torch.float16 if settings.precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, dtype=kind, enabled=settings.precision != "fp32")


def total_of(terms: Mapping[str, Tensor]) -> Tensor:
    """The sum of the terms of a loss.

    Raises:
        ValueError: there is none, or one is no single number.
    """
    for name, term in terms.items():
        if term.numel() != 1:
            raise ValueError(f"term {name!r} of the loss must be one number, not {tuple(term.shape)}")
    if not terms or {"step", "epoch", "learning_rate", "total", "gradient_norm", "seconds"} & terms.keys():
        raise ValueError(f"a loss needs terms, and none named as a column of the log, not {list(terms)}")
    return torch.stack([term.reshape(()) for term in terms.values()]).sum()
