"""The NumPy evaluator: for each node in order, apply its function. The oracle of everything that compiles.

    evaluate([x * 2 + n], {x: np.ones(3)})  ->  [array of shape (3,)]

Sizes are bound by the arrays given; every result is checked against the type of its node, so that a wrong type rule or a wrong
reference does not go unseen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc import dims, tree
from graphc.dims import Dim, Size, Symbol
from graphc.dtypes import int64
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node, Type, toposort
from graphc.ops.registry import DIM, INPUT, SHARED, asarray
from graphc.types import TensorType, tensor_type

Value = Any  # an array, or a tuple of arrays for a node of several outputs
Sizes = Mapping[Symbol, int]


def evaluate(outputs: Sequence[Node], env: Mapping[Node, Any], sizes: Sizes | None = None) -> list[np.ndarray]:
    """The values of `outputs`, fresh arrays, with the values of `env` for its nodes and the current values of shared ones.

    Sizes come from the shapes of those values, and from `sizes`. Raises ArgumentError for a variable without a value, ShapeError and
    DTypeError where a value or a result does not fit.
    """
    order = toposort(outputs, stop=env)
    values: dict[Node, Value] = {node: _given(node, value) for node, value in env.items()}
    for node in order:
        if node.op is SHARED and node not in values:
            values[node] = _given(node, _state(node))
    known = _bind(values, sizes or {})
    concrete = _Types(known)
    remaining = _count_uses(order, outputs)
    with np.errstate(all="ignore"):
        for node in order:
            if node not in values:
                values[node] = _apply(node, [values[i] for i in node.inputs], concrete)
            for i in () if node in env else node.inputs:
                remaining[i] -= 1
                if not remaining[i]:
                    del values[i]
    return [np.array(values[node]) for node in outputs]


def eval(exprs: Any, givens: Mapping[Any, Any] | None = None) -> Any:
    """The values of a node, or of a tree of nodes, with `givens` = {variable: array}; a size may be given as {Dim: int}.

    Shared variables have their current value. Leaves that are not nodes stay as they are. Raises ArgumentError, ShapeError, DTypeError.
    """
    env: dict[Node, Any] = {}
    sizes: dict[Symbol, int] = {}
    for key, value in (givens or {}).items():
        symbol = dims.as_symbol(key) if isinstance(key, Dim) else None
        if symbol is not None:
            sizes[symbol] = int(value)
        elif isinstance(key, Node):
            env[key] = value
        else:
            fail(ArgumentError, f"eval: the keys of givens are nodes and sizes, got {key!r}")
    leaves, structure = tree.flatten(exprs)
    nodes = [asarray(leaf) if isinstance(leaf, Dim) else leaf for leaf in leaves]
    results = iter(evaluate([n for n in nodes if isinstance(n, Node)], env, sizes))
    return tree.unflatten(structure, [next(results) if isinstance(n, Node) else n for n in nodes])


# -- what is given ----------------------------------------------------------------------------------------------------
def _given(node: Node, value: Any) -> Value:
    """`value` as an array of the node's dtype and rank; Python numbers and lists are weak, arrays cast by NumPy's "safe"."""
    if isinstance(node.type, tuple):
        return tuple(np.asarray(v) for v in value)
    array = np.asarray(value)
    strong = hasattr(value, "dtype")
    if array.dtype != node.dtype:
        if array.dtype.kind not in "fiub" or (array.size and not np.can_cast(array.dtype, node.dtype, "safe" if strong else "same_kind")):
            fail(
                DTypeError,
                f"a value of {array.dtype} for a variable of {node.dtype}",
                node,
                hint=f"cast it with .astype({node.dtype.name!r})",
            )
        array = array.astype(node.dtype)
    if array.ndim != node.ndim:
        fail(ShapeError, f"a value of shape {array.shape} for a variable of {node.ndim} dimensions", node)
    return array


def _state(node: Node) -> Any:
    get_value = getattr(node, "get_value", None)
    if get_value is None:
        fail(ArgumentError, "a shared variable without a value", node)
    return get_value()


def _bind(values: Mapping[Node, Value], given: Sizes) -> dict[Symbol, int]:
    """The symbols of the sizes of all values, which have to agree."""
    known: dict[Symbol, int] = dict(given)
    owner: dict[Symbol, Node] = {}
    later: list[tuple[Node, int, Size, int]] = []
    for node, value in values.items():
        shape = () if isinstance(node.type, tuple) else node.shape
        for axis, (size, actual) in enumerate(zip(shape, np.shape(value) if shape else ())):
            if isinstance(size, int):
                if size != actual:
                    fail(ShapeError, f"axis {axis} has size {actual}, not {size}: a value of shape {value.shape}", node)
                continue
            try:
                solved = dims.solve(size, actual)
            except ValueError as reason:
                fail(ShapeError, f"axis {axis} has size {actual}: {reason}", node)
            if solved is None:
                later.append((node, axis, size, actual))
            elif known.setdefault(solved[0], solved[1]) != solved[1]:
                symbol, n = solved
                others = [owner[symbol]] if symbol in owner else []
                fail(ShapeError, f"axis {axis} has size {actual}, so {symbol.name} would be {n}; it is {known[symbol]}", node, *others)
            else:
                owner.setdefault(solved[0], node)
    for node, axis, size, actual in later:
        if all(s in known for s in dims.symbols(size)) and dims.evaluate(size, known) != actual:
            fail(ShapeError, f"axis {axis} has size {actual}, not {size} = {dims.evaluate(size, known)}", node)
    return known


# -- one node -----------------------------------------------------------------------------------------------------------
class _Types:
    """Types and parameters with numbers for sizes. Types are interned, so each is worked out once."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self._known: dict[TensorType, TensorType] = {}

    def size(self, node: Node, size: Size) -> int:
        try:
            return dims.evaluate(size, self.sizes)
        except KeyError:
            unbound = min(s.name for s in dims.symbols(size) if s not in self.sizes)
            fail(
                ShapeError,
                f"the size {unbound} has no value",
                node,
                hint="give a value for a variable that has this size, or the size itself",
            )

    def tensor(self, node: Node, symbolic: TensorType) -> TensorType:
        found = self._known.get(symbolic)
        if found is None:
            found = self._known[symbolic] = tensor_type(symbolic.dtype, tuple(self.size(node, s) for s in symbolic.shape))
        return found

    def type(self, node: Node, symbolic: Type) -> Type:
        if isinstance(symbolic, tuple):
            return tuple(self.tensor(node, t) for t in symbolic)
        return self.tensor(node, symbolic)

    def param(self, node: Node, param: Any) -> Any:
        if isinstance(param, Dim):
            return self.size(node, param)
        return tuple([self.param(node, p) for p in param]) if type(param) is tuple else param


def _apply(node: Node, inputs: Sequence[Value], concrete: _Types) -> Value:
    op = node.op
    params = {name: concrete.param(node, p) for name, p in zip(op.params, node.params)} if node.params else {}
    if op is DIM:
        return np.array(params["dim"], int64)
    if op is INPUT:
        fail(ArgumentError, "a variable without a value", node, hint="give it one: eval({variable: array})")
    if op.ref is None:
        fail(ArgumentError, f"{op.name} has no reference function", node)
    expected = concrete.type(node, node.type)
    # symbolic sizes that were taken to be equal without proof are compared here, by the type rule on numbers
    if concrete.sizes and inputs:
        ruled = op.type_rule(*[concrete.type(i, i.type) for i in node.inputs], **params)
        if ruled is not expected and ruled != expected:
            fail(ShapeError, f"{op.name}: {ruled} at these sizes, declared {expected}", node)
    result = op.ref(*inputs, **params)
    if isinstance(expected, tuple):
        return tuple(_checked(node, r, t) for r, t in zip(result, expected, strict=True))
    return _checked(node, result, expected)


def _checked(node: Node, result: Any, expected: TensorType) -> np.ndarray:
    array = result if type(result) is np.ndarray else np.asarray(result)
    if array.dtype != expected.dtype:
        fail(DTypeError, f"{node.op.name}: the reference gave {array.dtype}, the type rule {expected}", node)
    if array.shape != expected.shape:
        fail(ShapeError, f"{node.op.name}: the reference gave shape {array.shape}, the type rule {expected}", node)
    return array


def _count_uses(order: Iterable[Node], outputs: Sequence[Node]) -> dict[Node, int]:
    remaining = {node: 0 for node in order}
    for node in order:
        for i in node.inputs:
            if i in remaining:
                remaining[i] += 1
    for node in outputs:
        remaining[node] += 1
    return remaining
