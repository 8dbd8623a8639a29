"""What an emitted entry reads besides its arguments: words in memory that stay where they are."""

from __future__ import annotations

import ctypes
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
        self.arena = np.empty(0, np.uint8)

    @property
    def address(self) -> int:
        return ctypes.addressof(self.words)

    def take(self, nbytes: int, allocate: Any) -> np.ndarray | None:
        """The arena, made at least this large by `allocate(nbytes)`; None while another call uses it. `give` it back."""
        capacity, self.words[CAPACITY] = self.words[CAPACITY], TAKEN
        if capacity == TAKEN:
            return None
        if self.arena.nbytes < max(nbytes, 1):
            try:
                self.arena = allocate(nbytes)
            except BaseException:
                self.words[CAPACITY] = capacity
                raise
        return self.arena

    def give(self) -> None:
        """Put the arena back: calls may use it again."""
        self.words[ARENA] = self.arena.ctypes.data
        self.words[CAPACITY] = self.arena.nbytes
