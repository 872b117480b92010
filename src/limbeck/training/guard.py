"""A training that has gone to infinity or NaN ends at once, and says where."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from limbeck.errors import InputError

# With a scaled loss single overflows are usual: the scale is halved, the step left out. Many in a row are not.
MOST_OVERFLOWS = 20


class Diverged(InputError):  # noqa: N818 - what happened, in the field's word
    """A term of the loss, its gradient or the network is not finite; the line names the step and the first tensor."""


def check_terms(
    terms: Mapping[str, float],
    network: nn.Module,
    batch: Any,
    *,
    step: int,
    standing: Path | None = None,
    remedy: str | None = None,
) -> None:
    """Stop where a term of the loss is not finite.

    Args:
        terms: values of the named terms, in this step.
        network: looked through for the cause, where a term is bad.
        batch: likewise.
        step: the number of this step, from 1.
        standing: the last good checkpoint.
        remedy: what to do about it, for a loop without checkpoints and clipping; None: what `fit` can do.

    Raises:
        Diverged: a term is infinite or NaN.
    """
    bad = next((name for name, value in terms.items() if not math.isfinite(value)), None)
    if bad is None:
        return
    causes = [f"batch{place}" for place, tensor in leaves(batch) if not is_finite(tensor)][:1]
    causes += [f"parameter {name}" for name in _bad_parameters(network)][:1]
    cause = f", and so is {' and '.join(causes)}" if causes else ""
    raise Diverged(_line(step, f"the term {bad!r} of the loss is {terms[bad]}{cause}", standing, remedy))


def check_gradient(norm: float, network: nn.Module, *, step: int, standing: Path | None) -> None:
    """Stop where the gradient is not finite.

    Raises:
        Diverged: `norm` is infinite or NaN.
    """
    if math.isfinite(norm):
        return
    named = network.named_parameters()
    bad = next((name for name, p in named if p.grad is not None and not is_finite(p.grad)), None)
    what = (
        f"the gradient of {bad} is not finite" if bad else f"the gradient's norm is {norm}, too large for its numbers"
    )
    raise Diverged(_line(step, what, standing))


def check_overflows(count: int, *, step: int, standing: Path | None) -> None:
    """Stop where the scaled gradient has overflowed too often in a row.

    Raises:
        Diverged: `count` is `MOST_OVERFLOWS`.
    """
    if count >= MOST_OVERFLOWS:
        raise Diverged(_line(step, f"the gradient in fp16 was not finite {count} times in a row", standing))


def check_network(network: nn.Module, *, step: int, standing: Path | None) -> None:
    """Stop where a parameter is not finite, so that no such network is written.

    Raises:
        Diverged: a parameter holds an infinite number or NaN.
    """
    for name in _bad_parameters(network):
        raise Diverged(_line(step, f"the parameter {name} is not finite", standing))


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors in a batch, each with its place in it."""
    if isinstance(value, Tensor):
        yield place, value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from leaves(getattr(value, field.name), f"{place}.{field.name}")
    elif isinstance(value, Mapping):
        for name, entry in value.items():
            yield from leaves(entry, f"{place}[{name!r}]")
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        for name, entry in zip(value._fields, value, strict=True):
            yield from leaves(entry, f"{place}.{name}")
    elif isinstance(value, list | tuple):
        for number, entry in enumerate(value):
            yield from leaves(entry, f"{place}[{number}]")


def is_finite(tensor: Tensor) -> bool:
    """Whether every number of a tensor is finite."""
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())


def _bad_parameters(network: nn.Module) -> Iterator[str]:
    return (name for name, parameter in network.named_parameters() if not is_finite(parameter))


def _line(step: int, what: str, standing: Path | None, remedy: str | None = None) -> str:
    good = f"the last good checkpoint is {standing}" if standing else "there is no checkpoint yet"
    remedy = remedy or f"{good}; lower learning_rate, clip the gradient, or use fp32"
    return f"training diverged in step {step}: {what}; {remedy}"
