"""`callback`: the user's own Python function in the graph, called with arrays whenever a compiled function comes to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc import tree
from graphc.control.called import zeros_for
from graphc.control.scan import scan_node
from graphc.control.tracing import INDEX, leaves_of, stand_in
from graphc.derivatives.user_trees import Leaves as Checked
from graphc.derivatives.user_trees import seeds_of
from graphc.dims import format_shape
from graphc.dtypes import is_float, refuse_complex
from graphc.errors import ArgumentError, DTypeError, NotDifferentiableError, ShapeError, fail
from graphc.ir import Node, make
from graphc.ops.outputs import outputs
from graphc.ops.registry import structural
from graphc.records import dataclass
from graphc.traits import Traits
from graphc.tree import Tree, TreeDef
from graphc.types import TensorType, as_shape, tensor_type

Values = Sequence["Node | None"]


@dataclass(frozen=True)
class Host:
    """A function of arrays, and the structures of what it takes and gives; `vjp` is its derivative, if it has one."""

    function: Callable[..., Any]
    vjp: Callable[..., Any] | None
    takes: TreeDef
    gives: TreeDef

    @property
    def name(self) -> str:
        return str(getattr(self.function, "__name__", "the function"))

    def __call__(self, *arrays: np.ndarray) -> list[Any]:
        """The results for arrays of its own, leaf by leaf."""
        found = self.function(*tree.unflatten(self.takes, [np.array(a) for a in arrays]))
        leaves, structure = tree.flatten(found)
        if structure != self.gives:
            what = f"callback: {self.name} returned another structure than out_types, {self.gives.difference(structure)}"
            fail(ArgumentError, what)
        return leaves


@dataclass(frozen=True)
class Called:
    """What a program calls: the function, with its results in the declared dtypes; their shapes are for whoever knows the sizes."""

    host: Host
    types: tuple[TensorType, ...]

    @property
    def __name__(self) -> str:
        return self.host.name

    def __call__(self, *arrays: np.ndarray) -> list[np.ndarray]:
        return [_declared(self.host, value, t.dtype) for value, t in zip(self.host(*arrays), self.types, strict=True)]


def _declared(host: Host, value: Any, dtype: np.dtype) -> np.ndarray:
    """A result as an array of the dtype that was declared. Raises DTypeError."""
    array = np.asarray(value)
    refuse_complex(array.dtype, f"callback: a result of {host.name}")
    if array.dtype != dtype and not (array.dtype.kind in "fiub" and np.can_cast(array.dtype, dtype, "same_kind")):
        fail(DTypeError, f"callback: {host.name} returned {array.dtype}, out_types says {dtype}")
    return np.asarray(array, dtype)


def checked(host: Host, results: Sequence[Any], wanted: Sequence[tuple[np.dtype, tuple[int, ...]]]) -> list[np.ndarray]:
    """The results as arrays of the dtypes and shapes that were declared. Raises DTypeError, ShapeError."""
    made = []
    for value, (dtype, shape) in zip(results, wanted, strict=True):
        array = _declared(host, value, dtype)
        if array.shape != tuple(shape):
            fail(ShapeError, f"callback: {host.name} returned shape ({format_shape(array.shape)}), out_types says ({format_shape(shape)})")
        made.append(array)
    return made


def _ref(*arrays: np.ndarray, host: Host, types: tuple[TensorType, ...]) -> list[np.ndarray]:
    return checked(host, host(*arrays), [(t.dtype, t.shape) for t in types])  # type: ignore[misc]


def _vjp(g: Values, out: Sequence[Node], *inputs: Node, host: Host, types: tuple[TensorType, ...]) -> list[Node | None]:
    if host.vjp is None:
        hint = "give callback a vjp=, or pass its arguments through gx.stop_gradient"
        fail(NotDifferentiableError, f"the callback {host.name} has no derivative", *inputs[:1], hint=hint)
    arguments = tuple(tree.unflatten(host.takes, list(inputs)))
    found = host.vjp(tree.unflatten(host.gives, zeros_for(g, out)), tree.unflatten(host.gives, list(out)), *arguments)
    if not isinstance(found, (tuple, list)) or len(found) != len(arguments):
        fail(ArgumentError, f"callback: the vjp of {host.name} must return a tuple of {len(arguments)} cotangents, one for each argument")
    paths = ["argument " + path for path in tree.paths(arguments)]
    seeds = seeds_of(f"vjp of {host.name}", "cotangents", tuple(found), Checked(list(inputs), paths, host.takes))
    return [s if is_float(x.dtype) else None for s, x in zip(seeds, inputs)]


def _batch(inputs: Sequence[Node], mapped: Sequence[bool], host: Host, types: tuple[TensorType, ...]) -> tuple[Node, ...]:
    """One call after the other, for each lane: the function knows nothing of lanes."""
    size = next(x.shape[0] for x, m in zip(inputs, mapped) if m)
    turn = stand_in(INDEX)
    rows = [stand_in(tensor_type(x.dtype, x.shape[1:])) if m else x for x, m in zip(inputs, mapped)]
    made = outputs(make(CALLBACK, tuple(rows), (host, types)))
    lanes = [r for r, m in zip(rows, mapped) if m]
    return scan_node(made, (turn, *lanes), [x for x, m in zip(inputs, mapped) if m], length=size, carries=0, sequences=len(lanes))


CALLBACK = structural(
    "callback", None, "What a function of Python gives for the arrays.", params=("host", "types"),
    type_rule=lambda *inputs, host, types: types, ref=_ref, vjp=_vjp, batch=_batch, traits=Traits(kernel="host"),
)  # fmt: skip


def callback(fn: Callable[..., Any], out_types: Tree, vjp: Callable[..., Any] | None = None) -> Callable[..., Tree]:
    """fn as a function of nodes: whenever a compiled call comes to it, fn is called with arrays, once for each use in the graph.

        solve = gx.callback(scipy_solve, lambda a, b: b)          one result of the dtype and shape of b
        x = solve(a, b)

    fn takes trees of arrays, its own copies, and returns arrays of `out_types`: a tree of nodes, arrays or anything with .dtype and
    .shape, or a function of the arguments that gives one. vjp(g, out, *arguments) -> a tuple of cotangents as nodes, None for zero, one
    for each argument; it may use callbacks. fn has no effects that count: a use that nothing needs is not called, and two uses with the
    same arguments are one. Its exceptions pass through the call, which leaves state as it was. It may call compiled functions, this one
    too. Raises ArgumentError; at the call DTypeError or ShapeError where a result is not what out_types says.
    """
    for what, f in (("fn", fn), ("vjp", vjp)):
        if f is not None and not callable(f):
            fail(ArgumentError, f"callback: {what} is {f!r:.60}, not a function")

    def used(*args: Any) -> Tree:
        given = leaves_of("callback", "argument", args)
        wanted = out_types(*tree.unflatten(given.structure, given.nodes)) if callable(out_types) else out_types
        leaves, gives = tree.flatten(wanted)
        types = []
        for leaf, path in zip(leaves, tree.paths(wanted)):
            if not hasattr(leaf, "dtype") or not hasattr(leaf, "shape"):
                hint = "a node, an array, or anything with .dtype and .shape"
                fail(ArgumentError, f"callback: out_types{path} is a {type(leaf).__name__}", hint=hint)
            refuse_complex(np.dtype(leaf.dtype), f"callback: out_types{path}")
            types.append(tensor_type(np.dtype(leaf.dtype), as_shape(leaf.shape)))
        host = Host(fn, vjp, given.structure, gives)
        return tree.unflatten(gives, outputs(make(CALLBACK, given.nodes, (host, tuple(types)))))

    used.__name__ = getattr(fn, "__name__", "callback")
    used.__doc__ = fn.__doc__
    return used
