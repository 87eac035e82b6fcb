"""One way to compile a kernel, so that all kernels share the same options and stay typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., object])

#: Options of every kernel that may allocate.
ANALYSIS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
#: Options of the kernels of the order path. `_nrt` is private to numba, whose version is therefore
#: pinned: without it each call counts references of every array it is handed, which took most of a
#: simulation's time. A kernel that allocates does not compile with it, so the rule below is enforced.
OPTIONS: dict[str, Any] = {**ANALYSIS, "_nrt": False}


def kernel(function: F) -> F:
    """The function compiled by numba: cached on disk, without the GIL, without fast maths.

    A kernel takes int64 and float64 scalars, arrays and named tuples of these, allocates nothing and
    raises nothing. Division follows numpy (x / 0 is inf or NaN). The plain Python function stays
    reachable as `.py_func` and returns the same bytes.

    Notes
    -----
    Numba's cache notices a change of the file that holds the function, not of files whose kernels it
    calls. A kernel that calls one of another module is therefore stale after an edit of the latter
    until its own file is touched, or the cache folder (`NUMBA_CACHE_DIR`) is another one.
    """
    return cast(F, njit(**OPTIONS)(function))


def inlined_kernel(function: F) -> F:
    """As `kernel`, but a part of every kernel that calls it: for the steps of one loop.

    A compiled call hands over every field of every array and tuple, some three hundred values where a
    loop's whole state is passed, and that took most of the time of an order. What is called from one
    place, or is small, belongs to its caller instead. It is typed where it is used, so a name keeps one
    type through a function.
    """
    return cast(F, njit(**OPTIONS, forceinline=True)(function))


def allocating_kernel(function: F) -> F:
    """As `kernel`, for an analysis that makes arrays of its own; it may call kernels, none may call it."""
    return cast(F, njit(**ANALYSIS)(function))
