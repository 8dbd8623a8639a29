"""The pool of threads of this process: its text, see `graphc.codegen.runtime.pool_text`, compiled and linked at the first use."""

from __future__ import annotations

import atexit
import ctypes
import functools
import os
import time
from collections.abc import Mapping

from graphc.codegen import jit
from graphc.codegen import object_cache as cache
from graphc.codegen.runtime.pool_text import AWAIT, EXITED, FUNCTIONS, RUN, WORKERS, pool_text
from graphc.codegen.target import host
from graphc.threads import LIMIT


class _Pool:
    """The pool of this process, linked. It stays until the process ends."""

    def __init__(self) -> None:
        api = ctypes.pythonapi
        symbols = {f"py.{name}": int(ctypes.cast(getattr(api, name), ctypes.c_void_p).value or 0) for name in FUNCTIONS}
        symbols["graphc.threads"] = ctypes.addressof(LIMIT)
        self.code = jit.load(cache.compiled(pool_text(host()), host()), symbols)
        self.words = (ctypes.c_int64 * WORKERS).from_address(self.code.address("pool.state"))
        self.reset = ctypes.CFUNCTYPE(None)(self.code.address("pool.reset"))
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.reset)
        atexit.register(self.close)

    def close(self) -> None:
        """Send the workers home before the interpreter and this code go."""
        count = ctypes.CFUNCTYPE(ctypes.c_int64)(self.code.address("pool.close"))()
        deadline = time.monotonic() + 1.0  # one may still be inside a task of a daemon thread's call
        while self.words[EXITED] < count and time.monotonic() < deadline:
            time.sleep(1e-4)


@functools.cache
def _pool() -> _Pool:
    return _Pool()


def symbols() -> Mapping[str, int]:
    """What code that runs on several threads refers to."""
    return {name: _pool().code.address(name) for name in (RUN, AWAIT)}
