"""Compiling the few loops that are ours and hot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])


def jit(function: Function) -> Function:
    """Compile with numba, without the interpreter's lock, and keep the machine code beside the source where possible.

    Where nothing can be written (a read-only installation without a home) it is compiled anew in every process.
    """
    return _compiled(function)


def jit_sum(function: Function) -> Function:
    """`jit` of a loop that sums, in whatever order the machine adds fastest: always the same one on one machine."""
    return _compiled(function, fastmath={"reassoc", "contract"})


def jit_elementwise(function: Function) -> Function:
    """`jit` of loops over elements that divide: by zero as NumPy does, with no error to look out for."""
    return _compiled(function, error_model="numpy")


def _compiled(function: Function, **options: Any) -> Function:
    try:
        return cast(Function, njit(nogil=True, cache=True, **options)(function))
    except RuntimeError:  # numba found no place for its cache
        return cast(Function, njit(nogil=True, **options)(function))
