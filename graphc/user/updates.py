"""Which state a function replaces: the pairs that a user gives, in any spelling, and state that advances by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphc import tree
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node, kinds_of, toposort
from graphc.ops.registry import SHARED, asarray
from graphc.types import same_size
from graphc.user.state import Shared


def as_updates(updates: Any) -> list[tuple[Shared, Node]]:
    """The pairs (shared variable, new value) of any accepted spelling."""
    seen: set[Node] = set()
    result = []
    for s, v in _pairs(updates):
        if not isinstance(s, Shared):
            fail(ArgumentError, f"updates: {s!r:.60} is not a shared variable", hint="gx.shared(value) makes state")
        if s in seen:
            fail(ArgumentError, "updates: a shared variable is updated twice", s)
        seen.add(s)
        result.append((s, asarray(v, s.dtype if isinstance(v, (int, float)) and not isinstance(v, bool) else None)))
    return result


def _pairs(updates: Any) -> list[tuple[Any, Any]]:
    """{a: x}, [(a, x), ..] and (tree of a, tree of x) as pairs. A list of pairs is never taken for two trees."""
    if updates is None:
        return []
    if isinstance(updates, Mapping):
        return list(updates.items())
    if not isinstance(updates, (list, tuple)):
        fail(ArgumentError, f"updates: {type(updates).__name__} is none of a dict, a list of pairs, and a pair of trees")
    paired = all(isinstance(p, (list, tuple)) and len(p) == 2 and isinstance(p[0], Shared) for p in updates)
    if paired and (isinstance(updates, list) or len(updates) != 2 or not _all_shared(updates[0])):
        return [(p[0], p[1]) for p in updates]
    if len(updates) != 2:
        fail(ArgumentError, "updates: an entry is not a pair (shared variable, new value)")
    (states, structure), (values, have) = map(tree.flatten, updates)
    if structure != have:
        fail(ArgumentError, f"updates: the tree of shared variables and the tree of values differ {structure.difference(have)}")
    return list(zip(states, values, strict=True))


def _all_shared(part: Any) -> bool:
    return all(isinstance(s, Shared) for s in tree.leaves(part))


def advances(results: Sequence[Node], updates: Sequence[tuple[Shared, Any]]) -> list[tuple[Shared, Node]]:
    """The updates of the state in the graph that advances by itself, where it is not updated already."""
    updated = {s for s, _ in updates}
    if SHARED not in kinds_of(results):
        return []
    found = [s for s in toposort(results) if isinstance(s, Shared) and s.next is not None and s not in updated]
    return [(s, s.next(s)) for s in found if s.next is not None]


def check_update(s: Shared, v: Node) -> None:
    """DTypeError or ShapeError unless v may become the value of s."""
    if v.dtype != s.dtype:
        fail(DTypeError, f"updates: the new value is {v.dtype}, the state {s.dtype}", s, v, hint=f"cast it with .astype({s.dtype.name!r})")
    if v.ndim != s.ndim or not all(map(same_size, v.shape, s.shape)):
        fail(ShapeError, "updates: the new value and the state differ in shape", s, v)
