"""Checkpoints: everything that a training needs to go on, in one checked file; written whole or not at all."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from limbeck import temporaries
from limbeck.errors import InputError
from limbeck.files import first_line
from limbeck.settings import NonNegativeInt, check_value
from limbeck.tensorfiles import DAMAGE, read_description, read_tensors, write_tensors
from limbeck.training.settings import refuse_more_epochs

FORMAT = "limbeck-checkpoint-1"
_NAME = re.compile(r"step-(\d{9,})\.safetensors")
_MOST_DIFFERENCES = 3


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """One checkpoint, read.

    Attributes:
        path: of the file.
        step: steps taken before it was written.
        state: nested state, as it was given to `write`.
        fingerprint: the recipe of its run, as plain values.
    """

    path: Path
    step: int
    state: dict[str, Any]
    fingerprint: dict[str, Any]


def write(folder: Path, step: int, state: Mapping[str, Any], fingerprint: Mapping[str, Any], *, keep: int) -> Path:
    """Write a checkpoint atomically, then remove the oldest beyond `keep`.

    Checkpoints of later steps are removed as well: they were damaged, or are of a course that was given up.

    Args:
        folder: of the checkpoints; made when absent.
        step: steps taken so far.
        state: nested dicts, lists and tuples of tensors and plain values; keys are strings or whole numbers.
        fingerprint: the recipe as plain values.
        keep: so many of the newest are left.

    Raises:
        OSError: the file cannot be written; all older checkpoints are as they were.
    """
    skeleton, tensors = flatten(state)
    path = path_of(folder, step)
    write_tensors(path, tensors, {"step": step, "fingerprint": fingerprint, "state": skeleton}, format=FORMAT)
    earlier = [other for other, at in _listed(folder) if at < step]
    later = [other for other, at in _listed(folder) if at > step]
    for old in [*earlier[: max(0, len(earlier) + 1 - keep)], *later]:
        old.unlink(missing_ok=True)
    return path


def path_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return folder / f"step-{step:09d}.safetensors"


def read(path: str | os.PathLike[str]) -> Checkpoint:
    """Read one checkpoint.

    Raises:
        InputError: it is not there, damaged, or no checkpoint.
    """
    description, tensors = read_tensors(path, format=FORMAT, what="training checkpoint")
    try:
        check_value("step", description["step"], NonNegativeInt)
        state, fingerprint = unflatten(description["state"], tensors), description["fingerprint"]
        if not isinstance(state, dict) or not isinstance(fingerprint, dict):
            raise TypeError("its state or its fingerprint is none")
        return Checkpoint(Path(path), description["step"], state, fingerprint)
    except DAMAGE as error:
        raise InputError(f"{os.fspath(path)}: not a training checkpoint ({first_line(error)})") from None


def latest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint of a folder that can be read; None where there is none.

    A damaged one is passed over with a warning, for the one before it.

    Raises:
        InputError: there are checkpoints, and all are damaged.
    """
    reason = ""
    for path, _ in reversed(_listed(folder)):
        try:
            found = read(path)
        except InputError as error:
            reason = str(error)
            # A file that is gone meanwhile, or a folder of that name, is passed over as well.
            warnings.warn(f"{error}; the checkpoint before it is tried", stacklevel=2)
            continue
        return found
    if reason:
        raise InputError(f"{folder}: no checkpoint can be read; remove the folder to begin anew (the last: {reason})")
    return None


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed process left of files that it was writing; what somebody is writing now stays."""
    for infix in (".safetensors.", ".epochs.csv.", ".information."):
        temporaries.remove_leftovers(folder, ".", infix)


def refuse_other(run: Path, folder: Path, here: Mapping[str, Any], *, renamed: Mapping[str, str] | None = None) -> bool:
    """Whether a run has checkpoints, and whether its newest was made with these settings; quick, tensors are not read.

    Args:
        run: its folder, for the message.
        folder: of the checkpoints.
        here: what is known of the settings at hand; other settings of the checkpoint are not compared.
        renamed: of `check_fingerprint`.

    Raises:
        InputError: they differ.
    """
    listed = _listed(folder)
    if not listed:
        return False
    try:
        there = read_description(listed[-1][0])["fingerprint"]
        held = {name: value for name, value in _with_current_names(there, renamed).items() if name in here}
    except (InputError, LookupError, AttributeError):
        return True  # damaged: `latest` goes into it
    check_fingerprint(str(run), held, here)
    return True


def _listed(folder: Path) -> list[tuple[Path, int]]:
    """The checkpoints of a folder and their steps, the earliest first."""
    if not folder.is_dir():
        return []
    found = [(path, _NAME.fullmatch(path.name)) for path in folder.iterdir()]
    return sorted(((path, int(match[1])) for path, match in found if match), key=lambda pair: pair[1])


def check_fingerprint(
    origin: str, there: Mapping[str, Any], here: Mapping[str, Any], *, renamed: Mapping[str, str] | None = None
) -> None:
    """Compare the recipe of a run with the one at hand, which may have more epochs where they change nothing done.

    Args:
        origin: names the run, for the message.
        there: the run's recipe; nested mappings of plain values.
        here: the recipe at hand.
        renamed: keys of `there` as earlier versions wrote them -> the keys of `here` that they are compared with.

    Raises:
        InputError: they differ; the line names what differs.
    """
    held = _with_current_names(there, renamed)
    old, new = _dotted(held), _dotted(here)
    differing = [name for name in {**new, **old} if old.get(name, _ABSENT) != new.get(name, _ABSENT)]
    reason = ""
    if _EPOCHS in differing:
        reason = refuse_more_epochs(held.get("training", {}), new.get(_EPOCHS))
        if not reason:
            differing.remove(_EPOCHS)
    if not differing:
        return
    told = ", ".join(
        f"{name} is {_shown(old.get(name, _ABSENT))} there and {_shown(new.get(name, _ABSENT))} here"
        for name in differing[:_MOST_DIFFERENCES]
    )
    more = f", and {len(differing) - _MOST_DIFFERENCES} more" if len(differing) > _MOST_DIFFERENCES else ""
    why = f" ({reason})" if reason else ""
    raise InputError(
        f"{origin} was begun with other settings: {told}{more}{why}; use another folder or the same settings"
    )


_ABSENT = object()
_EPOCHS = "training.epochs"


def _with_current_names(fingerprint: Mapping[str, Any], renamed: Mapping[str, str] | None) -> dict[str, Any]:
    names = renamed or {}
    return {names.get(name, name): value for name, value in fingerprint.items()}


def _dotted(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names; values as JSON gives them back."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _dotted(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = json.loads(json.dumps(value))
    return flat


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    text = value if isinstance(value, str) and value else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def flatten(state: Any) -> tuple[Any, dict[str, Tensor]]:
    """Nested state as what JSON can hold, and the tensors in it by name.

    Args:
        state: dicts (keys: strings, whole numbers), lists, tuples, tensors, numbers, strings, None.

    Returns:
        The skeleton, in which tensors are names, and the tensors.

    Raises:
        TypeError: something else is in it.

    Example:
        >>> import torch
        >>> skeleton, tensors = flatten({"a": {0: torch.ones(1), 1: (2, None)}})
        >>> tensors
        {'a/0': tensor([1.])}
        >>> unflatten(skeleton, tensors)
        {'a': {0: tensor([1.]), 1: (2, None)}}
    """
    tensors: dict[str, Tensor] = {}

    def walk(value: Any, path: str) -> Any:
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, Tensor):
            name = path
            while name in tensors:  # {"a/b": ...} and {"a": {"b": ...}} have the same path
                name += "'"
            tensors[name] = value
            return {"tensor": name}
        if isinstance(value, Mapping):
            pairs = []
            for key, entry in value.items():
                if not isinstance(key, str | int):
                    raise TypeError(f"{path or 'state'}: a key must be a string or a whole number, not {key!r}")
                pairs.append([key, walk(entry, f"{path}/{key}" if path else str(key))])
            return {"dict": pairs}
        if isinstance(value, list | tuple):
            entries = [walk(entry, f"{path}/{place}") for place, entry in enumerate(value)]
            return entries if isinstance(value, list) else {"tuple": entries}
        raise TypeError(f"{path or 'state'}: {type(value).__name__} cannot be kept in a checkpoint")

    return walk(state, ""), tensors


def unflatten(skeleton: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The nested state again.

    Raises:
        KeyError, ValueError, TypeError: the skeleton is none.
    """
    if isinstance(skeleton, list):
        return [unflatten(entry, tensors) for entry in skeleton]
    if not isinstance(skeleton, dict):
        return skeleton
    ((kind, content),) = skeleton.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "tuple":
        return tuple(unflatten(entry, tensors) for entry in content)
    if kind == "dict":
        return {key: unflatten(entry, tensors) for key, entry in content}
    raise ValueError(f"{kind!r} is not a kind of state")
