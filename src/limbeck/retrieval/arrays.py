"""Arrays of numbers out of what people hold: arrays, lists, tensors of any device and precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from limbeck.errors import InputError


def plain(values: ArrayLike | Tensor) -> NDArray[Any]:
    """The values as an array; a tensor's without its history, bfloat16, which NumPy lacks, as float32."""
    if isinstance(values, Tensor):
        held = values.detach().cpu()
        return (held.float() if held.dtype == torch.bfloat16 else held).numpy()
    return np.asarray(values)


def floating(values: ArrayLike | Tensor, name: str) -> NDArray[np.floating]:
    """The values as float32 or float64: half precision becomes single, whole numbers become double.

    Raises:
        InputError: they are not real numbers.
    """
    found = plain(values)
    if found.dtype in (np.float32, np.float64):
        return found
    if found.dtype.kind not in "fiub":
        raise InputError(f"{name} must hold real numbers, not {found.dtype}")
    return found.astype(np.float32 if found.dtype == np.float16 else np.float64)
