"""The parts of a training step: a batch on its device, an optimiser, the arithmetic."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from limbeck.training.settings import Optimizer, TrainingSettings

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
    kind: Optimizer,
    parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
    device: torch.device,
    *,
    learning_rate: float,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
) -> torch.optim.Optimizer:
    """An optimiser, in one fused kernel where torch has it.

    Args:
        kind: see `TrainingSettings`.
        parameters: what is trained, or groups of it with values of their own.
        device: where the parameters lie.
        learning_rate: at the beginning.
        weight_decay: of groups that say no other.
        momentum: Nesterov's, of "sgd"; 0 for none.
        betas: of "adam" and "adamw": decay of the running means of gradients and of their squares.
    """
    common: dict[str, Any] = {"lr": learning_rate, "weight_decay": weight_decay}
    if device.type in {"cpu", "cuda"}:
        common["fused"] = True
    if kind == "sgd":
        return torch.optim.SGD(parameters, momentum=momentum, nesterov=momentum > 0, **common)
    return (torch.optim.AdamW if kind == "adamw" else torch.optim.Adam)(parameters, betas=betas, **common)


def parameter_groups(
    network: nn.Module, *, weight_decay: float, decay_vectors: bool, factors: Mapping[str, float]
) -> list[dict[str, Any]]:
    """The trained parameters of a network in groups of their own learning rate and decay, for `make_optimizer`.

    Args:
        network: its parameters that require a gradient.
        weight_decay: of those that decay.
        decay_vectors: whether those of one dimension do; single numbers (0 dimensions) go with them.
        factors: beginnings of parameters' names -> factor of their learning rate, the group's "factor"; 1 of others.

    Raises:
        ValueError: no parameter's name has one of the beginnings.

    Example:
        >>> groups = parameter_groups(nn.Linear(2, 3), weight_decay=0.1, decay_vectors=False, factors={})
        >>> [(len(group["params"]), group["weight_decay"]) for group in groups]
        [(1, 0.1), (1, 0.0)]
    """
    named = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    for beginning in factors:
        if not any(name.startswith(beginning) for name, _ in named):
            raise ValueError(f"factors: no parameter's name begins with {beginning!r}")
    groups: dict[tuple[float, bool], list[Tensor]] = {}
    for name, parameter in named:
        factor = next((value for beginning, value in factors.items() if name.startswith(beginning)), 1.0)
        groups.setdefault((factor, decay_vectors or parameter.ndim > 1), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": weight_decay if decays else 0.0, "factor": factor}
        for (factor, decays), parameters in groups.items()
    ]


def autocast(settings: TrainingSettings, device: torch.device) -> torch.autocast:
    """The arithmetic of the settings, as a context."""
    kind = torch.float16 if settings.precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, dtype=kind, enabled=settings.precision != "fp32")


def total_of(terms: Mapping[str, Tensor]) -> Tensor:
    """The sum of the terms of a loss.

    Raises:
        ValueError: there is none, or one is not a single number.
    """
    for name, term in terms.items():
        if term.numel() != 1:
            raise ValueError(f"term {name!r} of the loss must be one number, not {tuple(term.shape)}")
    if not terms or {"step", "epoch", "learning_rate", "total", "gradient_norm", "seconds"} & terms.keys():
        raise ValueError(f"a loss needs terms, and none named as a column of the log, not {list(terms)}")
    return torch.stack([term.reshape(()) for term in terms.values()]).sum()
