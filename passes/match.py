"""Rules as pairs of expressions, and matching them against nodes.

    x, y = hole("x"), hole("y")              any array
    m, i = hole("m", "bool"), hole("i", "int64")    any mask, any integer array
    c = number("c")                          one number, whatever array it fills
    v = vector("v")                          any array along the axes that the rule reduces

    Rule("log1p", log(1 + x), log1p(x), floats="stable")
    Rule("log-sum-exp", log(sum(exp(v))), logsumexp(v), floats="stable")

Both sides are graphs built by the functions that users call. A side over 0-d holes holds elementwise for arrays of any
shape and dtype. A side over vectors is *lifted*: the one axis of the vectors stands for any set of axes of the matched
arrays, and what is 0-d in the rule lacks these axes; `sum(v)` matches a sum over any axes, `v - sum(v)` one that is
broadcast back along them. Operands of a commutative op match in either order; a literal matches any array filled with
that number; a pattern matches through a broadcast, its holes then stand for the broadcast arrays.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphc import dims
from graphc.dims import Dim, Size
from graphc.dtypes import as_dtype
from graphc.errors import ArgumentError, fail
from graphc.ir import Node, Op, make, toposort
from graphc.ops.compare import SELECT
from graphc.ops.compare import where as choose
from graphc.ops.registry import CONSTANT, DIM, asarray, constant
from graphc.ops.rows import PUBLIC
from graphc.ops.spread import BROADCAST, CAST, REDUCE, broadcast, reduce
from graphc.types import Shape, as_shape, tensor_type

HONESTY = ("exact", "reassoc", "stable", "fast")
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


@dataclass(frozen=True, eq=False)
class Rule:
    """before -> after, two expressions over holes, where an optional condition on what they are bound to holds.

    after may also be a function of the bound holes (and `axes`, `shape` of lifted rules), which returns None to decline.
    floats: exact (same bits, also for -0, inf, nan, subnormals), reassoc (rounds in another order),
    stable (at least as accurate, and right where `before` overflows or cancels), fast (off by default).
    """

    name: str
    before: Node
    after: Node | int | float | bool | Callable[..., Any]
    where: Callable[..., bool] | None = None
    floats: str = "exact"
    heads: tuple[str | None, ...] = field(init=False)
    holds: Callable[[Bindings], bool] = field(init=False)
    build: Callable[[Bindings], Any] = field(init=False)

    def __post_init__(self) -> None:
        if self.floats not in HONESTY:
            fail(ArgumentError, f"rule {self.name!r}: floats={self.floats!r}", hint="one of " + ", ".join(HONESTY))
        object.__setattr__(self, "heads", tuple([_wanted_head(i) for i in self.before.inputs]))
        object.__setattr__(self, "holds", _by_name(self.where or (lambda: True)))
        object.__setattr__(self, "build", template(self.after))

    @property
    def root(self) -> str:
        return self.before.op.name

    def accepts(self, ops: tuple[str, ...], heads: tuple[str, ...]) -> bool:
        """Whether inputs with these ops, and these heads, can match at all."""
        orders = (heads, heads[::-1]) if self.before.op.commutative else (heads,)
        same = len(heads) == len(self.heads)
        return same and any(all(w is None or w == h for w, h in zip(self.heads, order)) for order in orders)

    def apply(self, node: Node) -> Node | None:
        """What replaces `node`, None where the rule does not hold."""
        bound = match(self.before, node)
        if bound is None or not self.holds(bound):
            return None
        made = self.build(bound)
        return None if made is None else fit_to(made, node)


@dataclass(frozen=True, eq=False)
class Local:
    """A rule on parameters (axes, shapes, specs), which two expressions cannot state: a function of one node.

    The docstring of `function` says before -> after; it returns None where the rule does not hold.
    root: the name of the op, None for every op; inputs: the names of ops, one of which an input must be, () for any.
    """

    name: str
    root: str | None
    function: Callable[[Node], Node | None]
    floats: str = "exact"
    inputs: tuple[str, ...] = ()

    def accepts(self, ops: tuple[str, ...], heads: tuple[str, ...]) -> bool:
        """Whether inputs with these ops, and these heads, can match at all."""
        return not self.inputs or not set(self.inputs).isdisjoint(ops)

    def apply(self, node: Node) -> Node | None:
        made = self.function(node)
        return made if made is not None and made.type is node.type else None


AnyRule = Rule | Local


def _by_name(function: Callable[..., Any]) -> Callable[[Bindings], Any]:
    """`function` applied to the bindings that its parameters name."""
    names = tuple(inspect.signature(function).parameters)
    return lambda bound: function(*[bound[n] for n in names])


def params(node: Node) -> Any:
    """The parameters of a node, whose types its op knows."""
    return node.params


def fit_to(made: Any, node: Node) -> Node | None:
    """`made`, a node or a number, in the type of `node`: numbers are cast and spread; None for a node of another type."""
    if not isinstance(made, Node):
        value = asarray(made, node.dtype) if isinstance(made, Dim) else constant(np.asarray(made, node.dtype))
        return broadcast(value, node.shape, ())
    return made if made.type is node.type else None


# -- what a node is filled with ---------------------------------------------------------------------------------
def head(node: Node) -> str:
    """The name of the op, below a broadcast."""
    return node.inputs[0].op.name if node.op is BROADCAST else node.op.name


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
            if "axes" not in bound or size_value(node) != _count(bound):
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
            if through is not None or params(node)[1] != params(pattern)[1] or not _lift(bound, node.inputs[0].shape, params(node)[0]):
                return None
            goal = (pattern.inputs[0], node.inputs[0], None, goal)
        else:
            if not op.elementwise and params(node) != params(pattern):
                return None
            if len(pattern.inputs) == 2:
                p, q = pattern.inputs
                a, b = node.inputs
                if op.commutative and a is not b:
                    found = _solve((p, a, through, (q, b, through, goal)), dict(bound))
                    if found is not None:
                        return found
                    a, b = b, a
                goal = (p, a, through, (q, b, through, goal))
            else:
                for p, a in zip(reversed(pattern.inputs), reversed(node.inputs)):
                    goal = (p, a, through, goal)
    return bound


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


def _count(bound: Bindings) -> Size:
    return dims.product(bound["shape"][a] for a in bound["axes"])


def _wanted_head(pattern: Node) -> str | None:
    """The head an input must have to match, None for any."""
    op = pattern.op
    if op is HOLE:
        return "constant" if params(pattern)[1] == "number" else None
    if op is DIM or (op is CAST and pattern.inputs[0].op is DIM):
        return None
    return _wanted_head(pattern.inputs[0]) if op is BROADCAST else op.name


# -- building ----------------------------------------------------------------------------------------------------
Step = Callable[[Bindings, list[Any]], Any]


def template(after: Any) -> Callable[[Bindings], Any]:
    """A function that builds `after` over what the holes are bound to, by the public functions."""
    if not isinstance(after, Node):
        return _by_name(after) if callable(after) else lambda bound: after
    order = toposort([after])
    place = {node: k for k, node in enumerate(order)}
    steps = [_step(node, [place[i] for i in node.inputs]) for node in order]

    def build(bound: Bindings) -> Any:
        values: list[Any] = []
        for step in steps:
            values.append(step(bound, values))
        return values[-1]

    return build


def _step(node: Node, args: list[int]) -> Step:
    op, given = node.op, params(node)
    if op is HOLE:
        return lambda bound, values: bound[given[0]]
    if op is CONSTANT:
        literal = _weak(given[0].array.item())
        return lambda bound, values: literal
    if op is DIM:
        return lambda bound, values: _count(bound)
    if op is CAST:
        return lambda bound, values: values[args[0]]  # of a size: numbers and sizes are weak, and take the dtype of what they meet
    if op is REDUCE:
        return lambda bound, values: reduce(values[args[0]], bound["axes"], given[1])
    if op is BROADCAST:
        return lambda bound, values: _spread(values[args[0]], bound)
    function = choose if op is SELECT else PUBLIC[op.name]
    return lambda bound, values: function(*[values[k] for k in args])


def _weak(value: Any) -> Any:
    """A literal as the number that takes any dtype: whole floats but -0.0 as ints."""
    whole = isinstance(value, float) and abs(value) < 2**31 and value == int(value) and (value != 0 or not np.signbit(value))
    return int(value) if whole else value


def _spread(value: Any, bound: Mapping[str, Any]) -> Any:
    shape, axes = bound["shape"], bound["axes"]
    kept = tuple([k for k in range(len(shape)) if k not in axes])
    return broadcast(value, shape, kept) if isinstance(value, Node) else value
