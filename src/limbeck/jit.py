"""Compiling the few loops that are ours and hot."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])


def jit(function: Function) -> Function:
    """Compile with numba, without the interpreter's lock, and keep the machine code beside the source where possible.

    Where nothing can be written (a read-only installation without a home) it is compiled anew in every process.
    """
    try:
        return cast(Function, njit(nogil=True, cache=True)(function))
    except RuntimeError:  # numba found no place for its cache
        return cast(Function, njit(nogil=True)(function))
