"""What a body that is being built is inside of: the turns of loops and the lanes of `vmap`, outermost first.

The body is called once for all turns and lanes. Who needs a value for each of them, as random draws do, mixes these indices in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from graphc.ir import Node

_places: ContextVar[tuple[Node, ...]] = ContextVar("places", default=())


def enclosing() -> tuple[Node, ...]:
    """The indices, 0-d int64, of the turns and lanes around what is being built."""
    return _places.get()


@contextmanager
def inside(index: Node) -> Iterator[None]:
    """One turn or lane further in."""
    token = _places.set((*_places.get(), index))
    try:
        yield
    finally:
        _places.reset(token)
