"""Patterns, and matching them against nodes.

    x, y = hole("x"), hole("y")                      any array
    m, i = hole("m", "bool"), hole("i", "int64")     any mask, any array of integers
    c = number("c")                                  one number, whatever array it fills
    v = vector("v")                                  any array, in a pattern that holds along any of its axes

A pattern is a graph over holes, built by the functions that users call: `log(1 + x)`. Over 0-d holes it stands for arrays
of any shape and dtype, elementwise. Over vectors it is *lifted*: their one axis stands for any set of axes of the matched
arrays, and what is 0-d in the pattern lacks these axes; `sum(v)` matches a sum over any axes, `v - sum(v)` one that is
repeated along them again. Operands of a commutative op match in either order, a literal matches any array filled with that
number, and a pattern matches through a broadcast: its holes then stand for the broadcast arrays.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from graphc import dims
from graphc.dims import Size
from graphc.dtypes import as_dtype
from graphc.frozen import Frozen
from graphc.ir import Node, Op, make
from graphc.ops.registry import CONSTANT, DIM
from graphc.ops.spread import BROADCAST, CAST, REDUCE
from graphc.types import Shape, as_shape, tensor_type

HOLE = Op("hole", 0, ("name", "kind", "dtype", "shape"), "Anything, in a rule.", lambda name, kind, dtype, shape: tensor_type(dtype, shape))
KINDS = {"float64": "iuf", "int64": "iu", "bool": "b"}  # dtype of a hole -> the kinds of dtype it matches
ALONG = dims.fresh("k")  # the size of every vector in a rule

Number = Any  # a NumPy scalar
Bindings = dict[str, Any]  # hole name -> node, or NumPy scalar for a `number`; "axes", "shape": what the vectors stand for


def hole(name: str, dtype: str = "float64") -> Node:
    """A hole for any array: of bools for dtype "bool", of integers for "int64", of numbers for "float64"."""
    return make(HOLE, (), (name, KINDS[dtype], as_dtype(dtype), ()))


def number(name: str) -> Node:
    """A hole for one number that fills an array of any shape; bound to the NumPy scalar."""
    return make(HOLE, (), (name, "number", as_dtype("float64"), ()))


def vector(name: str) -> Node:
    """A hole for any array, in a rule that holds along any of its axes."""
    return make(HOLE, (), (name, KINDS["float64"], as_dtype("float64"), as_shape(ALONG)))


def params(node: Node) -> Any:
    """The parameters of a node, whose types its op knows."""
    return node.params


# -- what a node is filled with ---------------------------------------------------------------------------------
def splat(node: Node) -> Number | None:
    """The number that fills the whole array, None where there is none."""
    while node.op is BROADCAST:
        node = node.inputs[0]
    if node.op is not CONSTANT:
        return None
    array = params(node)[0].array
    if array.size == 1:
        return array.reshape(())[()]
    if 0 < array.size <= 512:  # a longer constant of equal elements is rare, and looked at often
        first = array.reshape(-1)[:1]
        if array.tobytes() == first.tobytes() * array.size:
            return first[0]
    return None


def size_value(node: Node) -> Size | None:
    """The size that fills the array: an integer constant or a symbolic size, possibly cast to floats."""
    while node.op in (BROADCAST, CAST):
        node = node.inputs[0]
    if node.op is DIM:
        size: Size = params(node)[0]
        return size
    value = splat(node)
    return int(value) if value is not None and np.isfinite(value) and value == int(value) else None


def same_number(value: Number, literal: Number) -> bool:
    """Equal, 0.0 and -0.0 being different floats; integers have one 0."""
    return bool(value == literal) and (value != 0 or value.dtype.kind != "f" or bool(np.signbit(value) == np.signbit(literal)))


# -- matching ----------------------------------------------------------------------------------------------------
Through = tuple[tuple[Any, ...], "Through"] | None  # parameters of the broadcasts between the root and a node, innermost first
Goal = tuple[Node, Node, Any, Any] | None  # pattern, node, through, the goals after this one


def match(pattern: Node, node: Node) -> Bindings | None:
    """The bindings under which `pattern` is `node`; None where there are none."""
    return _solve((pattern, node, None, None), {})


def _solve(goal: Goal, bound: Bindings) -> Bindings | None:
    """Recursion is over the pattern, which is a few nodes, never over the graph."""
    while goal is not None:
        pattern, node, through, goal = goal
        op = pattern.op
        if op is HOLE:
            if not _bind(pattern, node, through, bound):
                return None
        elif op is CONSTANT:
            value = splat(node)
            if value is None or not same_number(value, params(pattern)[0].array[()]):
                return None
        elif op is DIM or (op is CAST and pattern.inputs[0].op is DIM):
            if "axes" not in bound or size_value(node) != size_of_axes(bound):
                return None
        elif op is BROADCAST:
            if node.op is not BROADCAST or through is not None or not _lift(bound, node.shape, _unnamed(node)) or _stretches(node):
                return None
            goal = (pattern.inputs[0], node.inputs[0], None, goal)
        elif node.op is BROADCAST:
            goal = (pattern, node.inputs[0], (params(node), through), goal)
        elif node.op is not op:
            return None
        elif op is REDUCE:
            combines = ("sup", "max") if params(pattern)[1] == "sup" else (params(pattern)[1],)  # a sup of what is never empty is a max
            if through is not None or params(node)[1] not in combines or not _lift(bound, node.inputs[0].shape, params(node)[0]):
                return None
            goal = (pattern.inputs[0], node.inputs[0], None, goal)
        else:
            if not op.elementwise and params(node) != params(pattern):
                return None
            if len(pattern.inputs) == 2:
                p, q = pattern.inputs
                a, b = node.inputs
                if op.commutative and a is not b:
                    if _may_match(p, a) and _may_match(q, b):
                        found = _solve((p, a, through, (q, b, through, goal)), dict(bound))
                        if found is not None:
                            return found
                    a, b = b, a
                if not (_may_match(p, a) and _may_match(q, b)):
                    return None
                goal = (p, a, through, (q, b, through, goal))
            else:
                for p, a in zip(reversed(pattern.inputs), reversed(node.inputs)):
                    goal = (p, a, through, goal)
    return bound


def _may_match(pattern: Node, node: Node) -> bool:
    """A glance at two ops, which spares most of the tries of a commutative op."""
    op, other = pattern.op, node.op
    if op is other or other is BROADCAST:
        return True
    if op is HOLE:
        return pattern.params[1] != "number" or other is CONSTANT
    return op is CAST or op is DIM or op is BROADCAST


def _bind(pattern: Node, node: Node, through: Through, bound: Bindings) -> bool:
    name, kind = params(pattern)[:2]
    if kind == "number":
        value = splat(node)
        if value is None:
            return False
        have: Number = bound.setdefault(str(name), value)
        return have is value or (have.dtype == value.dtype and have.tobytes() == value.tobytes())
    if node.tensor.dtype.kind not in kind:
        return False
    while through is not None:
        repeated, through = through
        node = make(BROADCAST, (node,), repeated)
    return bound.setdefault(str(name), node) is node


def _lift(bound: Bindings, shape: Shape, axes: tuple[int, ...]) -> bool:
    """Bind what the vectors of the rule stand for, or compare with what they are bound to."""
    if "axes" in bound:
        return bool(bound["axes"] == axes and bound["shape"] == shape)
    bound["axes"], bound["shape"] = axes, shape
    return True


def _unnamed(node: Node) -> tuple[int, ...]:
    """The axes that a broadcast adds."""
    return tuple([k for k in range(node.ndim) if k not in params(node)[1]])


def _stretches(node: Node) -> bool:
    """Whether a broadcast also stretches an axis of size 1."""
    (x,), (shape, axes) = node.inputs, params(node)
    return any(size == 1 and shape[a] != 1 for size, a in zip(x.shape, axes))


def size_of_axes(bound: Bindings) -> Size:
    """The number of elements along the axes that the vectors stand for."""
    return dims.product(bound["shape"][a] for a in bound["axes"])


# -- a glance at a node, which rules out most patterns ---------------------------------------------------------------
def token(node: Node) -> str:
    """The op of a node, below a broadcast; for a number, the number too."""
    if node.op is BROADCAST:
        node = node.inputs[0]
    if node.op is not CONSTANT:
        return node.op.name
    value: Frozen = params(node)[0]
    return _number_token(value) if value.array.size == 1 else _token_of(splat(node))


def _token_of(value: Number | None) -> str:
    return "constant" if value is None else f"constant {float(value)!r}"


@lru_cache(maxsize=1024)
def _number_token(value: Frozen) -> str:
    return _token_of(value.array.reshape(())[()])


def wanted(pattern: Node) -> str:
    """The token that a node must have to match; "" for any, "constant" for any number."""
    op = pattern.op
    if op is HOLE:
        return "constant" if params(pattern)[1] == "number" else ""
    if op is DIM or (op is CAST and pattern.inputs[0].op is DIM):
        return ""
    return token(pattern) if op is not BROADCAST else wanted(pattern.inputs[0])
