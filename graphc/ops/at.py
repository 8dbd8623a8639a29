"""`x.at[key].set(value)` and `x.at[key].add(value)`: the array with a part replaced or increased."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.dims import Dim
from graphc.errors import DTypeError, ShapeError, fail
from graphc.ir import Node
from graphc.operators import FUNCTIONS
from graphc.ops.create import zeros
from graphc.ops.indexing import scatter
from graphc.ops.keys import Selection, base, placed, select
from graphc.ops.registry import ArrayLike, asarray, number
from graphc.ops.shape import permute, reshape
from graphc.ops.slicing import pad_with, reverse
from graphc.ops.spread import astype, broadcast_to
from graphc.types import Shape


class At:
    """The parts of a node: `x.at[key]` takes every key that `x[key]` takes."""

    __slots__ = ("_node",)

    def __init__(self, node: Node) -> None:
        self._node = node

    def __getitem__(self, key: Any) -> Part:
        return Part(self._node, select(self._node, key))


class Part:
    """One part of a node, to be replaced or increased in a copy of it."""

    __slots__ = ("_node", "_selection")

    def __init__(self, node: Node, selection: Selection) -> None:
        self._node, self._selection = node, selection

    def set(self, value: ArrayLike) -> Node:
        """The whole array with this part replaced by `value`, which is broadcast to it; of several values for one place the last counts."""
        x, s = self._node, self._selection
        part = _fitted(value, x, s, "set")
        if s.indices:
            part = scatter(base(x, s), part, *s.indices, axes=s.axes, batch=s.batch, mode="set")
        if part.shape == x.shape and not _moves(s):
            return part
        inside = _spread(broadcast_to(asarray(True), s.kept), x, s)
        return FUNCTIONS["where"](inside, _spread(part, x, s), x)  # type: ignore[no-any-return]

    def add(self, value: ArrayLike) -> Node:
        """The whole array with `value`, broadcast to this part, added to it; of several values for one place all count."""
        x, s = self._node, self._selection
        part = _fitted(value, x, s, "add")
        if s.indices and not _moves(s):
            return scatter(x, part, *s.indices, axes=s.axes, batch=s.batch, mode="add")
        if s.indices:
            part = scatter(zeros(s.kept, x.dtype), part, *s.indices, axes=s.axes, batch=s.batch, mode="add")
        return x + _spread(part, x, s)


def at(x: ArrayLike) -> At:
    """`at(x)[key].set(value)`, `at(x)[key].add(value)`; the same as the attribute `x.at`."""
    return At(asarray(x))


def _fitted(value: ArrayLike, x: Node, s: Selection, what: str) -> Node:
    """`value` in the dtype of x and the shape in which the selection gathers, or slices."""
    weak = isinstance(value, (int, float, Dim)) and not isinstance(value, (bool, np.generic))
    node = asarray(value, x.dtype) if weak else asarray(value)
    if not np.can_cast(node.dtype, x.dtype, "same_kind"):
        fail(DTypeError, f"at[...].{what}: {node.dtype} does not fit into {x.dtype}", x, node, hint="cast one of them with .astype")
    if node.ndim > len(s.result):
        fail(ShapeError, f"at[...].{what}: a value of {node.ndim} axes for a part of {len(s.result)}", x, node)
    part = broadcast_to(astype(node, x.dtype), s.result)
    if not s.indices:
        return reshape(part, s.kept)
    where = s.indices[0].shape
    rest = tuple([n for k, n in enumerate(s.kept) if k >= s.batch and k not in s.axes])
    part = reshape(part, (*rest[: s.place], *where, *rest[s.place :]))
    order = placed(s, part.ndim)
    return permute(part, tuple([order.index(k) for k in range(part.ndim)]))


def _moves(s: Selection) -> bool:
    """True where the selection slices, turns or drops axes before it gathers."""
    return bool(s.reversed) or s.kept != s.sizes or any([a != 0 for a in s.starts]) or any([k != 1 for k in s.steps])


def _spread(part: Node, x: Node, s: Selection) -> Node:
    """The part at its place in an array of the shape of x that is 0 (False) elsewhere."""
    sizes: Shape = s.sizes
    whole = reverse(reshape(part, sizes), s.reversed)
    after = tuple([n - (a + (m - 1) * k + 1) for n, a, m, k in zip(x.shape, s.starts, sizes, s.steps)])
    return pad_with(whole, number(0, part.dtype), s.starts, after, tuple([k - 1 for k in s.steps]))


__all__ = ["at"]
