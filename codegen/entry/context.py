"""What an emitted entry reads besides its arguments: words in memory that stay where they are."""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

CALLABLE, ARENA, CAPACITY, FAULT, FIXED = 0, 1, 2, 3, 4  # words of the context; then state cells, constants, objects
TAKEN = -1  # the capacity while a call uses the arena without holding the GIL


class Context:
    """The words of one function's entry: what it falls back to, its arena, state cells, constants, Python objects.

    Words change only while the GIL is held. It must outlive the entry.
    """

    def __init__(self, cells: Sequence[Any], constants: Sequence[int], objects: Sequence[object]) -> None:
        self.cells, self.objects = list(cells), list(objects)
        words = [0] * FIXED + [*[ctypes.addressof(c) for c in self.cells], *constants, *map(id, self.objects)]
        self.words = (ctypes.c_int64 * len(words))(*words)
        self.arena: np.ndarray | None = None
        _CONTEXTS.add(self)

    @property
    def address(self) -> int:
        return ctypes.addressof(self.words)

    def take(self) -> np.ndarray | None:
        """The arena, which is then no longer here; None if there is none, or a call without the GIL uses it.

        Python code does not run, and so no other thread and no signal handler does, between the question and the answer. Whoever took
        it and is interrupted loses it: the next one gives back another.
        """
        arena: np.ndarray | None = None
        if self.words[CAPACITY] != TAKEN:
            arena, self.arena, self.words[CAPACITY], self.words[ARENA] = self.arena, None, 0, 0
        return arena

    def give(self, arena: np.ndarray) -> np.ndarray | None:
        """Have native calls use this arena; what is left over: the smaller of two, or this one if theirs is in use."""
        address, size = arena.ctypes.data, arena.nbytes
        rest: np.ndarray | None = arena
        if self.words[CAPACITY] < size and self.words[CAPACITY] != TAKEN:
            rest, self.arena, self.words[ARENA], self.words[CAPACITY] = self.arena, arena, address, size
        return rest

    def reset(self) -> None:
        """In a child process: the call that used the arena is not there any more."""
        self.words[CAPACITY] = 0 if self.arena is None else self.arena.nbytes


def _reset_all() -> None:
    for context in list(_CONTEXTS):
        context.reset()


_CONTEXTS: weakref.WeakSet[Context] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all)
