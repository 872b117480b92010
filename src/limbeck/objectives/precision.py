"""The precision that objectives are computed in."""

from __future__ import annotations

from torch import Tensor


def full_precision(tensor: Tensor) -> Tensor:
    """float32 in place of half precision (float16, bfloat16); any other tensor itself."""
    return tensor.float() if tensor.dtype.itemsize < 4 else tensor
