"""What a checkpoint holds is compared with the training that it is to go on with, before any of it is loaded.

A checksum says that a file is as it was written, not that it was written for this training: torch's fused kernels take
the shapes of an optimiser's state on trust, and write beyond a tensor that is too small.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from limbeck.errors import InputError
from limbeck.settings import NonNegativeInt, PositiveFloat, PositiveInt, check_value
from limbeck.tensorfiles import check_tensors

if TYPE_CHECKING:
    from limbeck.information.curve import InformationRow

# How a step is computed and not what comes of it; the rate is set anew before every step.
_FREE = frozenset({"params", "lr", "fused", "foreach", "capturable", "differentiable"})
_PROBE = (2, 3)  # shape of a parameter that no other entry of an optimiser's state has


def load_network(network: nn.Module, weights: Mapping[str, Tensor], origin: str) -> None:
    """Load weights into a network that has exactly these tensors.

    Raises:
        InputError: a tensor is missing, unexpected or of another shape or kind; the line names the first.
    """
    check_network(network, weights, origin)
    network.load_state_dict(dict(weights))


def check_network(network: nn.Module, weights: object, origin: str) -> None:
    """Refuse weights that are not, tensor by tensor, those of a network.

    Raises:
        InputError: they are not.
    """
    if not isinstance(weights, Mapping) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise InputError(f"{origin} does not fit this network: its weights are not tensors by name; remove it")
    check_tensors(weights, network.state_dict(), origin)


def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any], origin: str) -> None:
    """Load what an optimiser remembers of its parameters, each tensor laid out in memory as its parameter.

    Raises:
        InputError: it is the state of another optimiser or of other parameters; nothing is loaded.
    """
    check_optimizer(optimizer, state, origin)
    # The groups are compared, and stay as they are here.
    optimizer.load_state_dict({"state": state["state"], "param_groups": optimizer.state_dict()["param_groups"]})
    for parameter, entries in optimizer.state.items():
        for name, value in entries.items():
            if not isinstance(value, Tensor):
                continue
            # Memory of its own, because the file's may not be written to; in the order of the parameter, because
            # fused optimisers run through both side by side (channels last).
            like = parameter if value.shape == parameter.shape else value
            entries[name] = torch.empty_like(like, dtype=value.dtype, device=value.device).copy_(value)


def check_optimizer(optimizer: torch.optim.Optimizer, state: object, origin: str) -> None:
    """Refuse a state that is not, entry by entry, one that this optimiser could have.

    Raises:
        InputError: groups, parameters, options, or the name, shape or kind of an entry are others.
    """
    try:
        if not isinstance(state, Mapping) or not {"state", "param_groups"} <= state.keys():
            raise _Misfit("it holds no state of an optimiser")
        _check_groups(state["param_groups"], optimizer.state_dict()["param_groups"])
        _check_entries(state["state"], optimizer)
    except _Misfit as misfit:
        raise InputError(
            f"{origin} does not fit this optimiser: {misfit}; use another folder, or the same settings"
        ) from None


class _Misfit(Exception):  # noqa: N818 - what is wrong, to be told with the file's name
    pass


def _check_groups(given: object, groups: list[dict[str, Any]]) -> None:
    """Compare groups of parameters and what decides their steps."""
    if not _are(given, list, Mapping) or len(given) != len(groups):  # type: ignore[arg-type]
        raise _Misfit(f"it does not hold {len(groups)} groups of parameters")
    for number, (there, here) in enumerate(zip(given, groups, strict=True)):  # type: ignore[call-overload]
        if there.get("params") != here["params"]:
            raise _Misfit(f"group {number} is of other parameters")
        for name in here.keys() & there.keys() - _FREE:
            if type(there[name]) is not type(here[name]) or there[name] != here[name]:
                raise _Misfit(f"{name} is {there[name]!r} there and {here[name]!r} here")


def _check_entries(held: object, optimizer: torch.optim.Optimizer) -> None:
    """Compare what is remembered of every parameter with what this optimiser remembers."""
    placed = [(parameter, group) for group in optimizer.param_groups for parameter in group["params"]]
    if not isinstance(held, Mapping) or not all(_is_count(number) and number < len(placed) for number in held):
        raise _Misfit(f"its state is not of {len(placed)} parameters by number")
    for number, found in held.items():  # a parameter that never had a gradient has none
        expected = _entries(optimizer, *placed[number])
        if not isinstance(found, Mapping) or found.keys() != expected.keys():
            raise _Misfit(f"the state of parameter {number} does not have the entries {', '.join(expected)}")
        for name, (shape, dtype) in expected.items():
            entry = found[name]
            if not isinstance(entry, Tensor) or (tuple(entry.shape), entry.dtype) != (shape, dtype):
                told = f"{tuple(entry.shape)} {entry.dtype}" if isinstance(entry, Tensor) else type(entry).__name__
                raise _Misfit(f"{name} of parameter {number} is {told} there and {shape} {dtype} here")


def _entries(
    optimizer: torch.optim.Optimizer, parameter: Tensor, group: Mapping[str, Any]
) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Name -> shape and kind of what the optimiser remembers of a parameter: what a small one of its kind gets."""
    probe = nn.Parameter(torch.zeros(_PROBE, dtype=parameter.dtype, device=parameter.device))
    probe.grad = torch.zeros_like(probe)
    small = type(optimizer)([{**group, "params": [probe]}])  # type: ignore[call-arg]
    small.step()
    return {
        name: (tuple(parameter.shape) if tuple(value.shape) == _PROBE else tuple(value.shape), value.dtype)
        for name, value in small.state[probe].items()
    }


def check_scaler(scaler: torch.amp.GradScaler, state: object, origin: str) -> None:
    """Refuse what is not the state of a scaler of the loss.

    Raises:
        InputError: it is not.
    """
    what = f"{origin} does not fit this training: scaler"
    if not isinstance(state, Mapping) or state.keys() != scaler.state_dict().keys():
        raise InputError(f"{what} is not the state of one; use another folder")
    for name in ("scale", "growth_factor", "backoff_factor"):
        check_value(f"{what}.{name}", state[name], PositiveFloat)
    check_value(f"{what}.growth_interval", state["growth_interval"], PositiveInt)
    check_value(f"{what}._growth_tracker", state["_growth_tracker"], NonNegativeInt)


def check_course(state: Mapping[str, Any], *, step: int, total: int, per_epoch: int, origin: str) -> None:
    """Refuse counts and figures that no training of so many steps has after so many.

    Args:
        state: of a checkpoint, with "closed", "sums", "overflows", "rows", "history", "best" and perhaps "renewed".
        step: of the checkpoint.
        total: steps of the whole training.
        per_epoch: steps of an epoch.
        origin: the file, for the message.

    Raises:
        InputError: something is not what it must be.
        KeyError: something is missing.
    """

    def refuse(what: str) -> InputError:
        return InputError(f"{origin} does not fit this training: {what}; use another folder")

    if step > total:
        raise refuse(f"it is of step {step} of {total}")
    check_value(f"{origin} does not fit this training: closed", state["closed"], NonNegativeInt)
    if not 0 <= step - state["closed"] * per_epoch <= per_epoch:
        raise refuse(f"{state['closed']} epochs are closed after {step} steps of {per_epoch} an epoch")
    check_value(f"{origin} does not fit this training: overflows", state["overflows"], NonNegativeInt)
    sums = state["sums"]
    if not isinstance(sums, Mapping) or not all(
        isinstance(pair, list) and len(pair) == 2 and _is_number(pair[0]) and _is_count(pair[1]) and pair[1] > 0
        for pair in sums.values()
    ):
        raise refuse("sums are not a sum and a number of steps for each term")
    for name, needed in (("rows", {"epoch", "step"}), ("history", {"epoch", "step"})):
        if not _are(state[name], list, Mapping) or not all(
            _are_figures(row) and needed <= row.keys() for row in state[name]
        ):
            raise refuse(f"{name} are not figures by name")
    if not _are_figures(state.get("renewed", {})):
        raise refuse("renewed are not figures by name")
    if (best := state["best"]) is not None:
        if not isinstance(best, Mapping) or not {"step", "epoch", "figures", "weights"} <= best.keys():
            raise refuse("best is not a network and its figures")
        if not (_is_count(best["step"]) and best["step"] <= step and _is_count(best["epoch"])):
            raise refuse("best is of no step of this training")
        if not best["figures"] or not _are_figures(best["figures"]):
            raise refuse("best has no figures by name")


def information_rows(rows: object, origin: str) -> list[InformationRow]:
    """The measurements in a checkpoint.

    Raises:
        InputError: they are none.
    """
    if rows == []:
        return []
    from limbeck.information.curve import InformationRow  # noqa: PLC0415 - only trainings that measure wait for it

    if _are(rows, list, Mapping):
        try:
            found = [InformationRow(**row) for row in rows]  # type: ignore[attr-defined]
        except TypeError:
            found = None
        if found is not None and all(
            _is_count(row.step)
            and isinstance(row.name, str)
            and all(map(_is_number, (row.nats, row.low, row.high, row.entropy)))
            for row in found
        ):
            return found
    raise InputError(f"{origin} does not fit this training: information is not a table of nats; use another folder")


def check_state(name: str, value: object, shape: Sequence[int | None], dtype: torch.dtype) -> Tensor:
    """A tensor of a task's own state, if it is what it must be.

    Args:
        name: of it, for the message.
        value: that the checkpoint holds.
        shape: it must have; None: any length.
        dtype: it must have.

    Raises:
        InputError: it is something else.

    Example:
        >>> check_state("labels", torch.ones(3), (None,), torch.int64)
        Traceback (most recent call last):
        limbeck.errors.InputError: labels must be a tensor (any,) torch.int64, not (3,) torch.float32
    """
    if (
        not isinstance(value, Tensor)
        or value.dtype != dtype
        or value.ndim != len(shape)
        or any(wanted not in (None, length) for wanted, length in zip(shape, value.shape, strict=True))
    ):
        told = ", ".join("any" if length is None else str(length) for length in shape)
        found = f"{tuple(value.shape)} {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
        raise InputError(f"{name} must be a tensor ({told}{',' * (len(shape) == 1)}) {dtype}, not {found}")
    return value


def _are(values: object, kind: type, of: type) -> bool:
    return isinstance(values, kind) and all(isinstance(value, of) for value in values)  # type: ignore[attr-defined]


def _are_figures(values: object) -> bool:
    return isinstance(values, Mapping) and all(
        isinstance(name, str) and _is_number(value) for name, value in values.items()
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
