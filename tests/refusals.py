"""How a test says that a call is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from limbeck.errors import InputError


def refuses(act: Callable[[], Any], *parts: str) -> None:
    """`act` raises an `InputError` of one line that holds `parts`."""
    with pytest.raises(InputError) as caught:
        act()
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
