"""How many threads a call may use, as a user sees it.

A compiled function runs a kernel on several threads when its work is worth that. Results are the same bits for any
number of threads.
"""

from __future__ import annotations

import ctypes
import os

from graphc.errors import ArgumentError, fail

MOST = 64


def available() -> int:
    """The processors this process may run on, as its affinity mask says."""
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), MOST)
    return min(os.cpu_count() or 1, MOST)


LIMIT = ctypes.c_int64(available())
"""Read by native code at each call."""


def set_num_threads(n: int) -> None:
    """Let calls use up to n threads, the caller among them; for functions without a `threads=` of their own.

    The default is the number of processors in the affinity mask. A function never uses more threads than there were
    processors or than were allowed when it was compiled, for which it has set aside memory. Raises ArgumentError.
    """
    LIMIT.value = as_thread_count(n)


def get_num_threads() -> int:
    """The number of threads calls may use."""
    return LIMIT.value


def as_thread_count(n: object) -> int:
    """n, if it is a number of threads; else ArgumentError."""
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= MOST:
        fail(ArgumentError, f"threads must be an int from 1 to {MOST}, got {n!r}")
    return n
