"""A training that breaks off in the middle of a step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


class PowerCutError(Exception):
    """Nobody catches it."""


@contextmanager
def power_cut(monkeypatch: pytest.MonkeyPatch, task: type, step: int) -> Iterator[None]:
    """The training in the block must break off where `task.terms` is called for step number `step`, from 0."""
    whole = task.terms  # type: ignore[attr-defined]
    taken = iter(range(100))

    def broken(self: Any, *given: Any) -> Any:
        if next(taken) == step:
            raise PowerCutError
        return whole(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(task, "terms", broken)
        with pytest.raises(PowerCutError):
            yield
