"""A rule: two expressions, a name, an optional condition, its float honesty.

Rule("log1p", log(1 + x), log1p(x), floats="stable")
Rule("log-sum-exp", log(sum(exp(v))), logsumexp(v), where=unshifted, floats="stable")
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import field
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from graphc.dims import Dim
from graphc.errors import ArgumentError, fail
from graphc.ir import Node, toposort
from graphc.ops.compare import SELECT
from graphc.ops.compare import where as choose
from graphc.ops.registry import CONSTANT, DIM, asarray, constant
from graphc.ops.rows import PUBLIC
from graphc.ops.spread import BROADCAST, CAST, REDUCE, broadcast, reduce
from graphc.passes.rewriting.match import HOLE, Bindings, match, params, size_of_axes, wanted
from graphc.records import dataclass

HONESTY = ("exact", "reassoc", "stable", "fast")


class Glance(NamedTuple):
    """What a table sees of a node before it tries rules."""

    kind: str  # of the dtype of the first input
    alike: bool  # whether the first input is the last
    ops: tuple[str, ...]  # of the inputs
    tokens: tuple[str, ...]  # of the inputs, see graphc.passes.rewriting.match.token


@dataclass(frozen=True, eq=False)
class Rule:
    """before -> after, two expressions over holes, where an optional condition on what they are bound to holds.

    after may also be a function of the bound holes (and `axes`, `shape` of lifted rules), which returns None to decline.
    floats: exact (same bits, also for -0, inf, nan, subnormals), reassoc (rounds in another order),
    stable (at least as accurate, and right where `before` overflows or cancels), fast (off by default).
    dearer: of a rule whose `after` takes more instructions than `before`, what that is for.
    """

    name: str
    before: Node
    after: Node | int | float | bool | Callable[..., Any]
    where: Callable[..., bool] | None = None
    floats: str = "exact"
    dearer: str = ""
    holds: Callable[[Bindings], bool] = field(init=False)
    build: Callable[[Bindings], Any] = field(init=False)

    def __post_init__(self) -> None:
        if self.floats not in HONESTY:
            fail(ArgumentError, f"rule {self.name!r}: floats={self.floats!r}", hint="one of " + ", ".join(HONESTY))
        object.__setattr__(self, "holds", _by_name(self.where or (lambda: True)))
        object.__setattr__(self, "build", template(self.after))

    @property
    def root(self) -> str:
        return self.before.op.name

    def accepts(self, seen: Glance) -> bool:
        """Whether a node that looks like this can match at all."""
        inputs, commutative = self.before.inputs, self.before.op.commutative
        if len(inputs) != len(seen.tokens) or (len(inputs) == 2 and inputs[0] is inputs[1] and not seen.alike):
            return False
        if any(i.op is HOLE and params(i)[1] != "number" and seen.kind not in params(i)[1] for i in inputs[: 1 + commutative]):
            return False
        orders = (seen.tokens, seen.tokens[::-1]) if commutative else (seen.tokens,)
        return any(all(_fits(wanted(i), t) for i, t in zip(inputs, order)) for order in orders)

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
    root: the name of the op, None for every op; inputs: the names of ops, one of which an input must be, () for any;
    only: the names of ops, one of which every input must be, () for any; dearer: as for a `Rule`.
    """

    name: str
    root: str | None
    function: Callable[[Node], Node | None]
    floats: str = "exact"
    inputs: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    dearer: str = ""

    def accepts(self, seen: Glance) -> bool:
        """Whether a node that looks like this can match at all."""
        return (not self.inputs or not set(self.inputs).isdisjoint(seen.ops)) and (not self.only or set(self.only).issuperset(seen.ops))

    def apply(self, node: Node) -> Node | None:
        made = self.function(node)
        return made if made is not None and made.type is node.type else None


AnyRule = Rule | Local


def _fits(want: str, token: str) -> bool:
    return want in ("", token) or (want == "constant" and token.startswith("constant"))


def _by_name(function: Callable[..., Any]) -> Callable[[Bindings], Any]:
    """`function` applied to the bindings that its parameters name."""
    if type(function) is FunctionType and not hasattr(function, "__wrapped__"):
        code = function.__code__  # as the signature says, in a hundredth of the time: some 300 rules are imported
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    else:
        names = tuple(inspect.signature(function).parameters)
    return lambda bound: function(*[bound[n] for n in names])


def fit_to(made: Any, node: Node) -> Node | None:
    """`made`, a node or a number, in the type of `node`: numbers are cast and spread; None for a node of another type."""
    if not isinstance(made, Node):
        value = asarray(made, node.dtype) if isinstance(made, Dim) else constant(np.asarray(made, node.dtype))
        return broadcast(value, node.shape, ())
    return made if made.type is node.type else None


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
        return lambda bound, values: size_of_axes(bound)
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
