"""The graph: `Op`, `Node` (immutable, interned), `Graph`; order and users.

A node is an op applied to nodes, with hashable parameters. Nodes are hash-consed: building the same expression
twice gives the same object, so equality is `is`, common subexpressions merge by construction, and dead code is
what no output reaches. Nothing here recurses over a graph.
"""

from __future__ import annotations

import copy
import itertools
import os
import sys
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import field
from functools import cached_property
from operator import is_
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from graphc.dims import Dim, Size, Symbol
from graphc.dims import substitute as substitute_size
from graphc.errors import ArgumentError, fail
from graphc.intern import InternTable
from graphc.operators import Operators
from graphc.records import dataclass
from graphc.traits import PLAIN, Row, Traits
from graphc.types import TensorType, tensor_type

if TYPE_CHECKING:
    from graphc.loopform import LoopForm

Type = TensorType | tuple[TensorType, ...]
Site = tuple[str, int] | None
Normal = tuple["Node | None", Sequence[tuple[str, Site]]] | None
"""A normal form, None for the node itself; the rules that made it, and where."""
Kinds = frozenset["Op"]
"""The ops that a graph is made of, elementwise ones, inputs and constants aside."""


@dataclass(frozen=True, eq=False, repr=False)
class Op:
    """Everything the compiler knows of one operation; stated once, in `graphc/ops`.

    type_rule(*input_types, **params) -> Type      raises ShapeError or DTypeError
    ref(*arrays, **params) -> array                the NumPy meaning; what the interpreter runs
    vjp(g, out, *inputs, **params) -> cotangents   one per input, None where it is no function of it
    jvp(out, inputs, tangents, **params) -> tangent; a tangent that is None is zero. None: derived, see graphc.derivatives.forward
    batch(inputs, mapped, **params) -> node        the op with a mapped leading axis on the inputs where mapped[k]
    linear_in: the inputs in which the op is linear when the others are held
    regions: the parameters that are bodies: a `Region` each, or a tuple of them, see graphc.region
    loop(node) -> LoopForm                         how one element is computed; None: lowered by codegen itself, or never

    Where the type is a tuple of k, everything comes k at a time: `ref` returns k arrays, `g` and `out` are k nodes (None in g: no
    cotangent arrives), tangents, lanes and loop forms are tuples of k. See graphc.ops.outputs.
    """

    name: str
    arity: int | None
    params: tuple[str, ...]
    doc: str
    type_rule: Callable[..., Type]
    ref: Callable[..., Any] | None = None
    vjp: Callable[..., Sequence[Node | None]] | None = None
    jvp: Callable[..., Node | Sequence[Node | None] | None] | None = None
    batch: Callable[..., Node | Sequence[Node]] | None = None
    linear_in: tuple[int, ...] = ()
    regions: tuple[str, ...] = ()
    loop: Callable[[Node], LoopForm | tuple[LoopForm, ...]] | None = None
    elementwise: bool = False
    commutative: bool = False
    costly: bool = False  # a transcendental, a division, a root: never computed twice
    traits: Traits = PLAIN
    row: Row | None = None  # of ops of the elementwise table
    kinds: Kinds = field(init=False)  # what a node of it is made of by itself

    def __post_init__(self) -> None:
        common = self.elementwise or self.traits.leaf in ("input", "constant")
        object.__setattr__(self, "kinds", frozenset(() if common else (self,)))

    def __repr__(self) -> str:
        return self.name

    def __deepcopy__(self, memo: object) -> Op:
        return self

    def __call__(self, *inputs: Node, **params: Hashable) -> Node:
        return make(self, inputs, tuple(params[p] for p in self.params))


class Node(Operators):
    """One value of the graph: `op` applied to `inputs` with `params`, of a `type`. Made by `make`, never directly."""

    __slots__ = ("__weakref__", "inputs", "kinds", "normal", "op", "params", "serial", "site", "type")
    op: Op
    inputs: tuple[Node, ...]
    params: tuple[Any, ...]  # hashable; the op knows their types
    type: Type
    site: Site
    serial: int  # creation order: inputs are always older than their users
    kinds: Kinds  # of the node and all that it needs: whoever looks for an op need not walk a graph that has none
    normal: Normal  # what `graphc.passes.prepare` has found out, or None: no part of the node's identity, gone with the node

    @property
    def tensor(self) -> TensorType:
        """The type of a single-output node."""
        return self.type if isinstance(self.type, TensorType) else _several(self)

    # the next three are read most: past `tensor`, at half the price
    @property
    def shape(self) -> tuple[Size, ...]:
        try:
            return self.type.shape  # type: ignore[union-attr]
        except AttributeError:
            _several(self)

    @property
    def dtype(self) -> np.dtype:
        try:
            return self.type.dtype  # type: ignore[union-attr]
        except AttributeError:
            _several(self)

    @property
    def ndim(self) -> int:
        try:
            return len(self.type.shape)  # type: ignore[union-attr]
        except AttributeError:
            _several(self)

    @property
    def size(self) -> Size:
        return self.tensor.size

    @property
    def name(self) -> str | None:
        """The name a variable was declared with, None for other nodes."""
        return str(self.params[0]) if self.op.traits.variable else None

    @property
    def attrs(self) -> dict[str, Any]:
        """The parameters by name."""
        return dict(zip(self.op.params, self.params, strict=True)) if self.params else {}

    def describe(self) -> str:
        """`name: type, file:line`, as errors show a node."""
        known = self.site is not None and self.op.traits.leaf != "constant"  # one constant serves every place that writes it
        where = f", {os.path.basename(self.site[0])}:{self.site[1]}" if self.site and known else ""
        return f"{self.name or self.op.name}: {self.type}{where}"

    def __copy__(self) -> Node:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Node:
        """The same expression of copies of the state that it reads; itself where it reads none, as nodes do not change."""
        state: dict[Node, Node] = {n: copy.deepcopy(n, memo) for n in toposort([self]) if n.op.traits.leaf == "shared"}
        return replace([self], state)[0] if state else self

    def __repr__(self) -> str:
        shown = ", ".join(i.name or i.op.name for i in self.inputs[:4]) + (", ..." if len(self.inputs) > 4 else "")
        return f"<{self.name}: {self.type}>" if self.name else f"<{self.op.name}({shown}): {self.type}>"


def _several(node: Node) -> NoReturn:
    """Refuse to take a node of several outputs for an array: what does not know tuples raises here, and skips nothing."""
    hint = "take one of them: a, b = graphc.ops.outputs.outputs(node)"
    fail(ArgumentError, f"{node.op.name} gives {len(node.type)} arrays, and one is asked for", node, hint=hint)  # type: ignore[arg-type]


_NODES: InternTable[Node] = InternTable()
_entry = _NODES.entry
_serials = itertools.count()
_new = object.__new__
_HOUSE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_HOME = tuple(os.path.join(_HOUSE, package) + os.sep for package in ("graphc", "passes", "codegen")) + ("<",)
_inside: dict[str, bool] = {}
_origin: ContextVar[Site] = ContextVar("origin", default=None)


def make(op: Op, inputs: tuple[Node, ...], params: tuple[Hashable, ...] = (), cls: type[Node] = Node) -> Node:
    """The one node `op(*inputs, **params)`; its type comes from the op's type rule."""
    key = (op, *map(id, inputs), *map(_bits, params)) if params else (op, *map(id, inputs))
    entry = _entry(key)
    if entry is not None and (found := entry()) is not None:
        return found  # type: ignore[no-any-return]
    types = [i.type for i in inputs]
    try:
        type = op.type_rule(*types, **dict(zip(op.params, params, strict=True))) if params else op.type_rule(*types)
    except AttributeError:  # of a tuple, which has neither shape nor dtype
        _refuse_tuples(inputs)
        raise
    if type.__class__ is tuple:  # rules of several outputs need not look into a type
        _refuse_tuples(inputs)
    made = _new(cls)
    made.op, made.inputs, made.params, made.type, made.site, made.serial = op, inputs, params, type, call_site(), next(_serials)
    kinds = op.kinds or (inputs[0].kinds if inputs else NO_KINDS)
    for i in inputs:
        if i.kinds is not kinds:
            kinds = _united(kinds, i.kinds)
    made.kinds, made.normal = kinds, None
    return _NODES.add(key, made)


NO_KINDS: Kinds = frozenset()
_UNIONS: dict[tuple[Kinds, Kinds], Kinds] = {}
_KINDS: dict[Kinds, Kinds] = {}


def _united(a: Kinds, b: Kinds) -> Kinds:
    """The ops of both. Equal sets are one object, so that most nodes find theirs by `is`; there are not many."""
    found = _UNIONS.get((a, b))
    if found is None:
        found = a
        for known in (a, b, a | b):
            found = _KINDS.setdefault(known, known)
        _UNIONS[a, b] = found
    return found


def kinds_of(roots: Iterable[Node]) -> Kinds:
    """The ops that a graph is made of, elementwise ones, inputs and constants aside."""
    return NO_KINDS.union(*[r.kinds for r in roots])


def _refuse_tuples(inputs: Iterable[Node]) -> None:
    """ArgumentError for an input of several outputs, which only `get` reads."""
    for i in inputs:
        if isinstance(i.type, tuple):
            _several(i)


def _bits(value: Hashable) -> Hashable:
    """`value` such that 1, 1.0, True, 0.0 and -0.0 are all different keys and nan equals itself."""
    kind = type(value)
    if kind is tuple:
        return tuple([_bits(v) for v in value])  # type: ignore[attr-defined]
    if isinstance(value, float):  # np.float64 is one too
        return (kind, float(value).hex())
    return (kind, value)


def call_site() -> Site:
    """File and line of the nearest frame outside graphc, or the ambient origin that a rewrite or `grad` has set."""
    ambient = _origin.get()
    if ambient is not None:
        return ambient
    frame = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        inside = _inside.get(file)
        if inside is None:
            inside = _inside[file] = file.startswith(_HOME)
        if not inside:
            return (file, frame.f_lineno)
        frame = frame.f_back  # type: ignore[assignment]
    return None


class origin:
    """`with origin(site)`: nodes made inside point at `site`: what is derived points at the user's line it derives from."""

    __slots__ = ("site", "token")

    def __init__(self, site: Site) -> None:
        self.site = site

    def __enter__(self) -> None:
        self.token = _origin.set(self.site)

    def __exit__(self, *_: object) -> None:
        _origin.reset(self.token)


def toposort(roots: Iterable[Node], stop: Iterable[Node] = ()) -> list[Node]:
    """Every node that `roots` need, inputs before users, in a deterministic order; the inputs of `stop` are not entered."""
    done: set[Node] = set()
    held = set(stop)
    order: list[Node] = []
    path: list[Node] = []
    waiting = [iter(roots)]  # of each node of the path the inputs that have not been looked at
    while waiting:
        for i in waiting[-1]:
            if i not in done:
                path.append(i)
                waiting.append(iter(() if i in held else i.inputs))
                break
        else:
            waiting.pop()
            if path:
                done.add(path[-1])
                order.append(path.pop())
    return order


def users(order: Sequence[Node]) -> dict[Node, list[Node]]:
    """For each node of `order` the nodes that read it, once per arc, in order."""
    result: dict[Node, list[Node]] = {node: [] for node in order}
    for node in order:
        for i in node.inputs:
            result[i].append(node)
    return result


def rebuild(node: Node, inputs: tuple[Node, ...]) -> Node:
    """`node` with other inputs; the node itself when they are the same. It has the site of `node`."""
    if len(inputs) == len(node.inputs) and all(map(is_, node.inputs, inputs)):
        return node
    op, params = node.op, node.params
    if [i.type for i in node.inputs] != [i.type for i in inputs]:
        with origin(node.site):
            return make(op, inputs, params)
    # inputs of the same types: the type rule would say the same
    key = (op, *map(id, inputs), *map(_bits, params)) if params else (op, *map(id, inputs))
    entry = _entry(key)
    if entry is not None and (found := entry()) is not None:
        return found  # type: ignore[no-any-return]
    made = _new(Node)
    made.op, made.inputs, made.params, made.type, made.site, made.serial = op, inputs, params, node.type, node.site, next(_serials)
    kinds = op.kinds or (inputs[0].kinds if inputs else NO_KINDS)
    for i in inputs:
        if i.kinds is not kinds:
            kinds = _united(kinds, i.kinds)
    made.kinds, made.normal = kinds, None
    return _NODES.add(key, made)


class Sized:
    """A parameter that holds sizes of its own, see `graphc.region.Region`."""

    __slots__ = ()

    def with_sizes(self, sizes: Mapping[Symbol, Size]) -> Any:
        raise NotImplementedError


def replace(roots: Sequence[Node], mapping: Mapping[Node, Node], sizes: Mapping[Symbol, Size] | None = None) -> list[Node]:
    """The roots with nodes, and symbols in parameters, replaced simultaneously: replacements are not entered.

    A variable is replaced as a whole or stays what it is, its sizes included. Bodies are closed: only sizes are replaced in them.
    """
    new: dict[Node, Node] = dict(mapping)
    for node in toposort(roots, stop=mapping):
        if node in new:
            continue
        params = tuple(map_sizes(p, sizes) for p in node.params) if sizes and not node.op.traits.variable else node.params
        inputs = tuple([new[i] for i in node.inputs])
        if params == node.params:
            new[node] = rebuild(node, inputs)
        else:
            with origin(node.site):
                new[node] = make(node.op, inputs, params)
    return [new[r] for r in roots]


def map_sizes(param: Any, sizes: Mapping[Symbol, Size]) -> Any:
    """A parameter with the symbols of its sizes replaced."""
    if isinstance(param, Dim):
        return substitute_size(param, sizes)
    if isinstance(param, tuple):
        return tuple(map_sizes(p, sizes) for p in param)
    return param.with_sizes(sizes) if isinstance(param, Sized) else param


@dataclass(frozen=True, eq=False)
class Graph:
    """Outputs over inputs: what passes map to another such. `inputs` are variables in the order of the caller."""

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]

    @cached_property
    def order(self) -> list[Node]:
        """Every node, inputs before users. Not to be changed."""
        return toposort(self.outputs)

    @cached_property
    def kinds(self) -> Kinds:
        """The ops that it is made of, elementwise ones, inputs and constants aside: without a walk."""
        return kinds_of(self.outputs)

    def with_outputs(self, outputs: Sequence[Node]) -> Graph:
        """Other outputs of the same inputs; itself where they are the same."""
        if len(outputs) == len(self.outputs) and all(map(is_, outputs, self.outputs)):
            return self
        return Graph(self.inputs, tuple(outputs))


__all__ = [
    "Graph",
    "Node",
    "Op",
    "Site",
    "Type",
    "call_site",
    "kinds_of",
    "make",
    "map_sizes",
    "origin",
    "rebuild",
    "replace",
    "tensor_type",
    "toposort",
    "users",
]
