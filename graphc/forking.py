"""Locks that a child of `os.fork` finds free. Only the thread that forks lives on in the child; what others held, nobody would release.

`held_over_fork(lock)`: the fork waits for whoever holds the lock, so what it guards is whole in the child. For what is never held while
waiting for another thread.
`renewed_in_child(owner)`: owner.lock is a new one in the child. For what guards data that is whole at any time.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any, Protocol, TypeVar


class Lock(Protocol):
    def acquire(self) -> Any: ...

    def release(self) -> None: ...


class Owner(Protocol):
    lock: Any


L = TypeVar("L", bound=Lock)
_OWNERS: weakref.WeakSet[Any] = weakref.WeakSet()


def held_over_fork(lock: L) -> L:
    """The lock itself, which the thread that forks holds from before until after. Of two, the one that is taken last is listed first."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
    return lock


def renewed_in_child(owner: Owner) -> None:
    """Have a child find owner.lock, a re-entrant lock, free."""
    _OWNERS.add(owner)


def _renew() -> None:
    for owner in list(_OWNERS):
        owner.lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
