"""`x.at[key].set(value)` and its kin: the array with a part replaced, increased, multiplied, bounded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.dims import Dim, Size
from graphc.dtypes import bool_
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node
from graphc.operators import FUNCTIONS
from graphc.ops.create import zeros
from graphc.ops.indexing import distinct, gather, scatter
from graphc.ops.keys import Selection, base, has_mask, placed, select
from graphc.ops.registry import ArrayLike, asarray, constant, number
from graphc.ops.shape import permute, reshape
from graphc.ops.slicing import cut, pad_with, reverse
from graphc.ops.spread import astype, broadcast_to
from graphc.ops.updates import update
from graphc.types import Shape

OUTSIDE = ("raise", "clip", "drop", "fill")
Pair = Callable[[Node, Node], Node]


class At:
    """The parts of a node: `x.at[key]` takes every key that `x[key]` takes, and boolean nodes."""

    __slots__ = ("_node",)

    def __init__(self, node: Node) -> None:
        self._node = node

    def __getitem__(self, key: Any) -> Part:
        return Part(self._node, key)


class Part:
    """One part of a node, to be replaced or updated in a copy of it.

    Where one place is selected several times, every value counts (of `set` the last). mode says what happens to integers and integer
    arrays out of range, after negative ones were counted from the end: "raise" IndexOutOfRange, "clip" takes the nearest one inside,
    "drop" leaves such a value out; "fill" is another word for it, of `get` for the `fill_value` that then stands in the result.
    A boolean node as a key takes values that are one for all of its True elements.
    """

    __slots__ = ("_key", "_node")

    def __init__(self, node: Node, key: Any) -> None:
        self._node, self._key = node, key

    def get(self, *, mode: str = "raise", fill_value: ArrayLike | None = None) -> Node:
        """`x[key]`. fill_value: nan for floats, the lowest of signed integers, the highest of unsigned ones, True, as in JAX."""
        x = self._node
        if mode == "raise":
            return x[self._key]
        s = select(x, self._key, "clip" if _mode(mode, x) == "clip" else "fill")
        if not s.indices:
            return x[self._key]
        y, indices = base(x, s), s.indices
        if s.inside is not None:
            y, indices = _with_room(y, s)
        taken = gather(y, *indices, axes=s.axes, batch=s.batch)
        if s.inside is not None:
            fill = _missing(x.dtype) if fill_value is None else astype(asarray(fill_value), x.dtype)
            rest = tuple([*s.inside.shape, *[1] * (taken.ndim - s.inside.ndim)])
            taken = FUNCTIONS["where"](reshape(s.inside, rest), taken, fill)
        return reshape(permute(taken, placed(s, taken.ndim)), s.result)

    def set(self, value: ArrayLike, *, mode: str = "raise") -> Node:
        """The whole array with this part replaced by `value`, which is broadcast to it; of several values for one place the last counts."""
        return self._updated("set", value, mode, lambda old, new: new)

    def add(self, value: ArrayLike, *, mode: str = "raise") -> Node:
        """The whole array with `value`, broadcast to this part, added to it; of several values for one place all count."""
        return self._updated("add", value, mode, FUNCTIONS["add"])

    def subtract(self, value: ArrayLike, *, mode: str = "raise") -> Node:
        """The whole array with `value`, broadcast to this part, subtracted from it; of several values for one place all count."""
        if self._node.dtype == bool_:
            fail(DTypeError, "at[...].subtract: bool has no difference", self._node, hint="cast it with .astype")
        return self._updated("subtract", value, mode, FUNCTIONS["subtract"])

    def multiply(self, value: ArrayLike, *, mode: str = "raise") -> Node:
        """The whole array with this part multiplied by `value`, broadcast to it; of several values for one place all count.

        Its derivatives are right with zeros. Where one place may be selected several times they need the places sorted, and a product at
        one of them that is infinite or nan makes those at others nan.
        """
        return self._updated("multiply", value, mode, FUNCTIONS["multiply"])

    def divide(self, value: ArrayLike, *, mode: str = "raise") -> Node:
        """The whole array of floats with this part divided by `value`, broadcast to it: by the product of the values for one place."""
        self._floats("divide")
        return self._updated("divide", value, mode, FUNCTIONS["divide"])

    def power(self, value: ArrayLike, *, mode: str = "raise") -> Node:
        """The whole array with this part raised to `value`, broadcast to it: to the product of the values for one place."""
        return self._updated("power", value, mode, FUNCTIONS["power"])

    def min(self, value: ArrayLike, *, mode: str = "raise") -> Node:
        """The whole array with this part and `value`, broadcast to it, the smaller of both; nan wins, ties share the derivative."""
        return self._updated("min", value, mode, FUNCTIONS["minimum"])

    def max(self, value: ArrayLike, *, mode: str = "raise") -> Node:
        """The whole array with this part and `value`, broadcast to it, the larger of both; nan wins, ties share the derivative."""
        return self._updated("max", value, mode, FUNCTIONS["maximum"])

    # -- what they share ----------------------------------------------------------------------------------------------
    def _floats(self, what: str) -> None:
        if self._node.dtype.kind != "f":
            fail(DTypeError, f"at[...].{what}: the result of a division is no {self._node.dtype}", self._node, hint="cast it with .astype")

    def _updated(self, what: str, value: ArrayLike, mode: str, combine: Pair) -> Node:
        """`what` done to this part; `combine` does it to one old and one new array."""
        x = self._node
        if has_mask(self._key):
            return FUNCTIONS["update_masked"](x, self._key, value, combine, what)  # type: ignore[no-any-return]
        chosen = {"raise": "raise", "clip": "clip"}.get(_mode(mode, x), "fill")
        s = select(x, self._key, chosen)
        part = _fitted(value, x, s, what)
        if what == "subtract":
            what, part, combine = "add", -part, FUNCTIONS["add"]
        if s.indices and what == "add" and s.inside is None:
            return _added(x, part, s)
        if s.indices:
            part = _scattered(base(x, s), part, s, what, combine)
        elif what == "add":
            return x + _spread(part, x, s)
        elif what != "set":
            part = combine(base(x, s), part)
        if part.shape == x.shape and not _moves(s):
            return part
        inside = _spread(broadcast_to(asarray(True), s.kept), x, s)
        return FUNCTIONS["where"](inside, _spread(part, x, s), x)  # type: ignore[no-any-return]


def at(x: ArrayLike) -> At:
    """`at(x)[key].set(value)`, `at(x)[key].add(value)`; the same as the attribute `x.at`."""
    return At(asarray(x))


def _mode(mode: str, x: Node) -> str:
    if not isinstance(mode, str) or mode not in OUTSIDE:
        fail(ArgumentError, f"at: mode is one of {', '.join(map(repr, OUTSIDE))}, got {mode!r:.60}", x)
    return mode


def _added(x: Node, part: Node, s: Selection) -> Node:
    if s.kept == x.shape and not _moves(s):
        return scatter(x, part, *s.indices, axes=s.axes, batch=s.batch, mode="add")
    return x + _spread(scatter(zeros(s.kept, x.dtype), part, *s.indices, axes=s.axes, batch=s.batch, mode="add"), x, s)


def _scattered(whole: Node, part: Node, s: Selection, what: str, combine: Pair) -> Node:
    """What an integer array selects of `whole`, updated."""
    indices, kept = s.indices, whole.shape
    if s.inside is not None:
        whole, indices = _with_room(whole, s)
    if what in ("set", "add"):
        done = scatter(whole, part, *indices, axes=s.axes, batch=s.batch, mode=what)
    elif distinct(indices, s.batch):
        old = gather(whole, *indices, axes=s.axes, batch=s.batch)
        done = scatter(whole, combine(old, part), *indices, axes=s.axes, batch=s.batch, mode="set")
    elif what in ("multiply", "min", "max"):
        done = update(whole, part, *indices, axes=s.axes, batch=s.batch, mode=what)
    else:
        ones = broadcast_to(number(1, part.dtype), whole.shape)
        done = combine(whole, update(ones, part, *indices, axes=s.axes, batch=s.batch, mode="multiply"))
    return cut(done, (0,) * len(kept), kept)


def _with_room(whole: Node, s: Selection) -> tuple[Node, tuple[Node, ...]]:
    """The array with one place more along each axis that is selected from, and the indices with that place for all that lie outside."""
    assert s.inside is not None
    after = tuple([int(k in s.axes) for k in range(whole.ndim)])
    moved = [_or_else(s.inside, i, whole.shape[a]) for i, a in zip(s.indices, s.axes)]
    return pad_with(whole, number(0, whole.dtype), (0,) * whole.ndim, after), tuple(moved)


def _or_else(inside: Node, index: Node, n: Size) -> Node:
    if inside.op.name == index.op.name == "constant" and isinstance(n, int):  # constant places stay what they are
        return constant(np.where(inside.params[0].array, index.params[0].array, n), index.dtype)
    return FUNCTIONS["where"](inside, index, asarray(n))  # type: ignore[no-any-return]


def _missing(dtype: np.dtype) -> Node:
    if dtype.kind in "fb":
        return number(float("nan") if dtype.kind == "f" else True, dtype)
    info = np.iinfo(dtype)
    return number(int(info.min if dtype.kind == "i" else info.max), dtype)


def _fitted(value: ArrayLike, x: Node, s: Selection, what: str) -> Node:
    """`value` in the dtype of x and the shape in which the selection gathers, or slices."""
    node = fitted(value, x, what)
    if node.ndim > len(s.result):
        fail(ShapeError, f"at[...].{what}: a value of {node.ndim} axes for a part of {len(s.result)}", x, node)
    part = broadcast_to(node, s.result)
    if not s.indices:
        return reshape(part, s.kept)
    where = s.indices[0].shape
    rest = tuple([n for k, n in enumerate(s.kept) if k >= s.batch and k not in s.axes])
    part = reshape(part, (*rest[: s.place], *where, *rest[s.place :]))
    order = placed(s, part.ndim)
    return permute(part, tuple([order.index(k) for k in range(part.ndim)]))


def fitted(value: ArrayLike, x: Node, what: str) -> Node:
    """`value` in the dtype of x. Raises DTypeError where it does not fit."""
    weak = isinstance(value, (int, float, Dim)) and not isinstance(value, (bool, np.generic))
    node = asarray(value, x.dtype) if weak else asarray(value)
    if not np.can_cast(node.dtype, x.dtype, "same_kind"):
        fail(DTypeError, f"at[...].{what}: {node.dtype} does not fit into {x.dtype}", x, node, hint="cast one of them with .astype")
    return astype(node, x.dtype)


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
