"""Hash-consing: equal things are one object, kept only as long as somebody uses it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class _Entry(weakref.ref):  # type: ignore[type-arg]
    __slots__ = ("key",)
    key: Hashable


class InternTable(Generic[T]):
    """`table.intern(key, make)` returns the live object of that key, or makes, stores and returns one.

    The table holds weak references: an entry goes when its object goes. One lock guards it, so two threads that
    build the same expression get the same object.
    """

    def __init__(self) -> None:
        self._entries: dict[Hashable, _Entry] = {}
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: Hashable) -> T | None:
        entry = self._entries.get(key)
        return None if entry is None else entry()

    def intern(self, key: Hashable, make: Callable[[], T]) -> T:
        entries = self._entries
        with self._lock:
            entry = entries.get(key)
            if entry is not None:
                found = entry()
                if found is not None:
                    return found  # type: ignore[no-any-return]
            made = make()
            entry = _Entry(made, self._drop)
            entry.key = key
            entries[key] = entry
            return made

    def _drop(self, entry: _Entry) -> None:
        # a newer object may have taken the key while this one was dying
        if self._entries.get(entry.key) is entry:
            with self._lock:
                if self._entries.get(entry.key) is entry:
                    del self._entries[entry.key]
