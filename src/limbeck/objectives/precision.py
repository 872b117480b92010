"""The precision that objectives are computed in, and vectors of length 1 in it."""

from __future__ import annotations

import torch
from torch import Tensor


def full_precision(tensor: Tensor) -> Tensor:
    """float32 in place of half precision (float16, bfloat16); any other tensor itself."""
    return tensor.float() if tensor.dtype.itemsize < 4 else tensor


def power_of_two(sizes: Tensor) -> Tensor:
    """The largest power of two that is not above each size; 1 for sizes of 0. Division by it rounds nothing."""
    counted = torch.where(sizes >= torch.finfo(sizes.dtype).tiny, sizes, 1.0)
    return torch.exp2(torch.floor(torch.log2(counted)))


def unit(vectors: Tensor) -> Tensor:
    """Vectors (..., features) of length 1; a vector of zeros stays, with a gradient of ordinary size."""
    scale = power_of_two(torch.linalg.vector_norm(vectors.detach(), ord=torch.inf, dim=-1, keepdim=True))
    scaled = vectors / scale
    length = torch.linalg.vector_norm(scaled, dim=-1, keepdim=True)
    return scaled / torch.where(length > 0, length, 1.0)
