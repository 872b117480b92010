"""What every measurement takes: finite matrices, labels, whole numbers; one line for each that does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from limbeck.errors import InputError


def real_matrix(
    values: ArrayLike, name: str, *, samples: int | None = None, minus_infinity: bool = False
) -> NDArray[Any]:
    """Real numbers `(samples, features)`, as they are.

    Args:
        values: to be checked.
        name: of the argument, for the message.
        samples: how many rows there must be, or None.
        minus_infinity: whether -inf is let pass, as the logarithm of nothing.

    Raises:
        InputError: another shape or type, no entries, NaN or infinity.
    """
    array = np.asarray(values)
    if array.ndim != 2 or array.dtype.kind not in "fiub" or 0 in array.shape:
        raise InputError(f"{name} must be real numbers of shape (samples, features), not {array.dtype} {array.shape}")
    if samples is not None and len(array) != samples:
        raise InputError(f"{name} must have {samples} rows, one a sample, not {len(array)}")
    usable = np.isfinite(array.astype(np.float64) if array.dtype.itemsize > 8 else array)
    if minus_infinity and not usable.all():
        usable |= np.isneginf(array)
    broken = ~usable.all(axis=1)
    if broken.any():
        raise InputError(
            f"{name} must be finite: {int(broken.sum())} rows hold NaN or infinity (first: {int(broken.argmax())}); "
            "leave those samples out"
        )
    return array


def class_codes(values: ArrayLike, name: str, samples: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Labels or groups `(samples,)` as whole numbers from 0 without gaps, and what stands for each.

    Args:
        values: integers, booleans or strings.
        name: of the argument, for the message.
        samples: how many there must be.

    Raises:
        InputError: another shape or type.
    """
    array = np.asarray(values)
    if array.dtype == object and all(isinstance(value, str) for value in array.flat):
        array = array.astype(str)  # as tables hold them
    if array.shape != (samples,):
        raise InputError(f"{name} must have shape ({samples},), one for each row of features, not {array.shape}")
    if array.dtype.kind not in "iubUS":
        raise InputError(
            f"{name} must be integers, booleans or strings, not {array.dtype}; cut real values into classes"
        )
    found, codes = np.unique(array, return_inverse=True)
    return codes.astype(np.int64), tuple(str(value) for value in found.tolist())


def label_codes(values: ArrayLike, name: str, samples: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """`class_codes` of something to be told: more than one class, and fewer than samples.

    Raises:
        InputError: as there, or that is not so.
    """
    codes, classes = class_codes(values, name, samples)
    if len(classes) == 1:
        raise InputError(f"{name} must be of at least two classes: all are {classes[0]!r}")
    if len(classes) >= samples:
        raise InputError(f"{name} must be fewer classes than samples: there are {len(classes)} of {samples}")
    return codes, classes


def whole_number(value: object, name: str, *, least: int) -> int:
    """The value as an int.

    Raises:
        InputError: it is not a whole number from `least`.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{name} must be a whole number from {least}, not {value!r}")
    return int(value)
