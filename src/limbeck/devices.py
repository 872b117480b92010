"""Where to compute."""

from __future__ import annotations

import torch

from limbeck.errors import InputError


def check_device(device: str | torch.device) -> torch.device:
    """The device of that name, if it is there.

    Raises:
        InputError: there is no such device on this machine.
    """
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"device {str(device)!r} cannot be used here: {str(error).splitlines()[0]}") from None
    return found
