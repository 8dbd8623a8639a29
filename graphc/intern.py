"""Hash-consing: equal things are one object, kept only as long as somebody uses it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Hashable
from typing import Generic, TypeVar

from graphc.forking import renewed_in_child

T = TypeVar("T")


class _Entry(weakref.ref):  # type: ignore[type-arg]
    __slots__ = ("key",)
    key: Hashable


class InternTable(Generic[T]):
    """`table.add(key, made)` returns the live object of that key, which is `made` if there was none.

    The table holds weak references: an entry goes when its object goes. Two threads that add the same key get the same object:
    one step of a dict decides whose entry stays, and only what replaces or removes an entry takes the lock.
    """

    def __init__(self) -> None:
        entries: dict[Hashable, _Entry] = {}

        def drop(entry: _Entry) -> None:
            key = entry.key
            with self.lock:
                if entries.get(key) is entry:  # a newer object may have taken the key while this one was dying
                    del entries[key]

        self._entries, self.lock, self._drop = entries, threading.RLock(), drop
        renewed_in_child(self)
        self.entry = entries.get
        """The weak reference of a key, or None: `find` without a call, for where every node passes."""

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: Hashable) -> T | None:
        entry = self._entries.get(key)
        return None if entry is None else entry()

    def add(self, key: Hashable, made: T) -> T:
        entry = _Entry(made, self._drop)
        entry.key = key
        kept = self._entries.setdefault(key, entry)
        if kept is entry:
            return made
        with self.lock:
            found = self._entries.setdefault(key, entry)()
            if found is not None:
                return found  # type: ignore[no-any-return]
            self._entries[key] = entry
            return made
