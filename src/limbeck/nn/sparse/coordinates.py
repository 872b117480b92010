"""Voxels as single numbers: batch, x, y and z packed into one int64 key, so that sets of voxels are sorted vectors."""

from __future__ import annotations

import torch
from torch import Tensor

FIELD_BITS = 17
BATCH_BITS = 12
REACH = 2 ** (FIELD_BITS - 1) - 2
"""The largest magnitude of x, y and z. One more on either side stays free: neighbours never run into the next field."""
BATCHES = 2**BATCH_BITS

_CENTRE = 2 ** (FIELD_BITS - 1)
_MASK = 2**FIELD_BITS - 1


def check_coordinates(coordinates: Tensor) -> None:
    """A ValueError unless these are integers (voxels, 4) that `pack` holds."""
    if coordinates.ndim != 2 or coordinates.shape[1] != 4:
        raise ValueError(f"coordinates must be (voxels, 4): batch, x, y, z; got shape {tuple(coordinates.shape)}")
    if coordinates.is_floating_point() or coordinates.is_complex() or coordinates.dtype == torch.bool:
        raise ValueError(f"coordinates must be integers, not {coordinates.dtype}: round them down first")
    if len(coordinates) == 0:
        return
    low, high = coordinates.aminmax(dim=0)
    (first, *lowest), (last, *highest) = low.tolist(), high.tolist()
    if first < 0 or last >= BATCHES:
        raise ValueError(f"coordinates: the batch must be in [0, {BATCHES}), found {first} to {last}")
    if min(lowest) < -REACH or max(highest) > REACH:
        raise ValueError(
            f"coordinates: x, y and z must be in [-{REACH}, {REACH}], found {min(lowest)} to {max(highest)}: "
            "subtract an origin or take larger voxels"
        )


def pack(coordinates: Tensor) -> Tensor:
    r"""One key for each voxel; keys sort as (batch, x, y, z) do.

    .. math:: key = ((b \cdot 2^{17} + x + 2^{16}) 2^{17} + y + 2^{16}) 2^{17} + z + 2^{16}

    Negative coordinates are as good as others. The key of a neighbour is the key plus `packed_offset`.

    Args:
        coordinates: (voxels, 4) integers: batch, x, y, z; see `check_coordinates`, which is not called here.

    Returns:
        (voxels,) int64, never negative.

    Example:
        >>> unpack(pack(torch.tensor([[1, -3, 0, 7]])))
        tensor([[ 1, -3,  0,  7]])
    """
    batch, x, y, z = coordinates.to(torch.int64).unbind(1)
    key = (batch << FIELD_BITS) + (x + _CENTRE)
    key = (key << FIELD_BITS) + (y + _CENTRE)
    packed: Tensor = (key << FIELD_BITS) + (z + _CENTRE)
    return packed


def unpack(keys: Tensor) -> Tensor:
    """(voxels, 4) int64, batch, x, y, z, of `keys` (voxels,): what `pack` was given."""
    fields = [((keys >> shift) & _MASK) - _CENTRE for shift in (2 * FIELD_BITS, FIELD_BITS, 0)]
    return torch.stack([keys >> (3 * FIELD_BITS), *fields], dim=1)


def packed_offset(x: int, y: int, z: int) -> int:
    """What is added to a key to move by (x, y, z), each -1, 0 or 1."""
    return (x << (2 * FIELD_BITS)) + (y << FIELD_BITS) + z
