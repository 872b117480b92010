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
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).splitlines()[0]
        why = "there is no such device" if reason.startswith("Expected one of") else reason  # else of 20 kinds
        raise InputError(f"device {str(device)!r} cannot be used here ({why}); give cpu, cuda or cuda:N") from None
    if found.type == "meta":
        raise InputError("device 'meta' cannot be used here (its tensors hold no numbers); give cpu, cuda or cuda:N")
    return found
