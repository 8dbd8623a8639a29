"""The NumPy evaluator: for each node in order, apply its function. The oracle of everything that compiles.

    evaluate([x * 2 + n], {x: np.ones(3)})  ->  [array of shape (3,)]

Sizes are bound by the arrays given; every result is checked against the type of its node, so that a wrong type rule or a wrong
reference does not go unseen.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from graphc import dims, tree
from graphc.dims import Dim, Size, Symbol
from graphc.dtypes import refuse_complex
from graphc.errors import ArgumentError, DTypeError, ShapeError, compose, fail
from graphc.ir import Node, Type, map_sizes, toposort
from graphc.operators import FUNCTIONS
from graphc.ops.derived import settled
from graphc.ops.host import refuse
from graphc.ops.outputs import listed
from graphc.ops.registry import DIM, INPUT, SHARED, asarray
from graphc.region import Region
from graphc.types import TensorType, tensor_type, too_large

Value = Any  # an array, or a tuple of arrays for a node of several outputs
Sizes = Mapping[Symbol, int]


def evaluate(outputs: Sequence[Node], env: Mapping[Any, Any], sizes: Sizes | None = None) -> list[np.ndarray]:
    """The values of `outputs`, fresh arrays, with `env` = {node: array, size: int}; other shared variables have their current value.

    Symbolic sizes are bound by the shapes of these arrays, and by `sizes`. Raises ArgumentError for a variable without a value,
    ShapeError and DTypeError where a value or a result does not fit.
    """
    if not isinstance(env, Mapping):
        fail(ArgumentError, f"eval: the values are a dict {{variable: array}}, got {type(env).__name__}")
    given = {key: value for key, value in env.items() if isinstance(key, Node)}
    outputs = settled(outputs, given)
    order = toposort(outputs, stop=given)
    values, bound = _begun(order, env, sizes or {})
    concrete = _Types(bound)
    remaining = _count_uses(order, outputs)
    with np.errstate(all="ignore"):
        for node in order:
            if node not in values:
                values[node] = _apply(node, [values[i] for i in node.inputs], concrete)
            for i in () if node in given else node.inputs:
                remaining[i] -= 1
                if not remaining[i]:
                    del values[i]
    return [np.array(values[node], node.dtype) for node in outputs]


def eval(exprs: Any, givens: Mapping[Any, Any] | None = None) -> Any:
    """The values of a node, or of a tree of nodes, with `givens` = {variable: array, size: int}.

    Shared variables have their current value. Leaves that are not nodes stay as they are. Raises ArgumentError, ShapeError, DTypeError.
    """
    leaves, structure = tree.flatten(exprs)
    nodes = [asarray(leaf) if isinstance(leaf, Dim) else leaf for leaf in leaves]
    results = iter(evaluate([n for n in nodes if isinstance(n, Node)], givens or {}))
    return tree.unflatten(structure, [next(results) if isinstance(n, Node) else n for n in nodes])


FUNCTIONS["eval"] = eval


def sizes_of(env: Mapping[Any, Any], order: Iterable[Node]) -> dict[Symbol, int]:
    """The symbols of the sizes that the values given, and the state that the nodes of `order` read, bind. Raises as `evaluate`."""
    return _begun(order, env, {})[1]


# -- what is given ----------------------------------------------------------------------------------------------------
def _begun(order: Iterable[Node], env: Mapping[Any, Any], sizes: Sizes) -> tuple[dict[Node, Value], dict[Symbol, int]]:
    """What is known before the first op: the variables, and the symbols of their sizes."""
    values: dict[Node, Value] = {node: _given(node, value) for node, value in env.items() if isinstance(node, Node)}
    for node in order:
        if node.op is SHARED and node not in values:
            values[node] = _given(node, _state(node))
    return values, _bind(values, {key: value for key, value in env.items() if not isinstance(key, Node)}, sizes)


def _given(node: Node, value: Any) -> Value:
    """`value` as an array of the node's dtype and rank; Python numbers and lists are weak, arrays cast by NumPy's "safe"."""
    array, dtype = np.asarray(value), node.dtype
    if array.dtype != dtype:
        casting: Literal["safe", "same_kind"] = "safe" if hasattr(value, "dtype") else "same_kind"
        refuse_complex(array.dtype, "eval", node)
        if array.dtype.kind not in "fiub" or (array.size and not np.can_cast(array.dtype, dtype, casting)):
            fail(DTypeError, f"a value of {array.dtype} for {dtype}", node, hint=f"cast it with .astype({dtype.name!r})")
        try:
            array = np.asarray(value, dtype)
        except OverflowError:
            fail(DTypeError, f"the value is out of range for {dtype}", node)
    if array.ndim != node.ndim:
        fail(ShapeError, f"a value of shape {array.shape} for {node.ndim} dimensions", node)
    return array


def _state(node: Node) -> Any:
    get_value = getattr(node, "get_value", None)
    if get_value is None:
        fail(ArgumentError, "a shared variable without a value", node)
    return get_value()


def _bind(values: Mapping[Node, Value], given: Mapping[Any, Any], sizes: Sizes) -> dict[Symbol, int]:
    """The symbols of the sizes of all values, which have to agree."""
    known = dict(sizes)
    owner: dict[Symbol, Node] = {}
    later: list[tuple[Size, int, str, tuple[Node, ...]]] = []

    def bind(size: Size, actual: int, where: str, *owners: Node) -> None:
        try:
            solved = dims.solve(size, actual) if isinstance(size, Dim) else None
        except ValueError as reason:
            fail(ShapeError, f"{where} is {actual}: {reason}", *owners)
        if solved is None:
            later.append((size, actual, where, owners))
        elif known.setdefault(solved[0], solved[1]) != solved[1]:
            symbol, n = solved
            others = [owner[symbol]] if symbol in owner else []
            fail(ShapeError, f"{where} is {actual}, so {symbol.name} would be {n}; it is {known[symbol]}", *owners, *others)
        elif owners:
            owner.setdefault(solved[0], owners[0])

    for key, value in given.items():
        if not isinstance(key, Dim):
            fail(ArgumentError, f"a value is given for {key!r}, which is neither a node nor a size")
        bind(key, operator.index(value), f"the size {key}")
    for node, value in values.items():
        if node.op is DIM:
            bind(node.params[0], int(value), "the size", node)
        for axis, size in enumerate(node.shape):
            bind(size, value.shape[axis], f"the size of axis {axis}", node)
    for size, actual, where, owners in later:
        if isinstance(size, int) or all(s in known for s in dims.symbols(size)):
            wanted = dims.evaluate(size, known)
            if wanted != actual:
                formula = f"{size}" if isinstance(size, int) else f"{size} = {wanted}"
                fail(ShapeError, f"{where} is {actual}, not {formula}", *owners)
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
            hint = "give a value for a variable that has this size, or for the size itself"
            fail(ShapeError, f"the size {unbound} has no value", node, hint=hint)

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
        """A parameter as type rules take it; sizes of bodies are numbers too."""
        if isinstance(param, Dim):
            return self.size(node, param)
        if isinstance(param, Region):
            return map_sizes(param, self.sizes) if self.sizes else param
        return tuple([self.param(node, p) for p in param]) if type(param) is tuple else param

    def body(self, param: Any) -> Any:
        """A body as reference functions take it."""
        return tuple([self.body(p) for p in param]) if isinstance(param, tuple) else Body(param, self.sizes)


class Body:
    """A region as a function of arrays that returns a list of arrays of `types`."""

    def __init__(self, region: Region, sizes: Sizes) -> None:
        self.region, self.sizes = region, sizes
        self.types = [o.tensor for o in region.outputs]

    def __call__(self, *arrays: Any) -> list[np.ndarray]:
        return evaluate(self.region.outputs, dict(zip(self.region.inputs, arrays, strict=True)), self.sizes)


def _apply(node: Node, inputs: Sequence[Value], concrete: _Types) -> Value:
    op = node.op
    if op is INPUT:
        fail(ArgumentError, "a variable without a value", node, hint="give it one: eval({variable: array})")
    params = {name: concrete.param(node, p) for name, p in zip(op.params, node.params)} if node.params else {}
    if op is DIM:
        info, value = np.iinfo(node.dtype), params["dim"]
        if not info.min <= value <= min(info.max, dims.MAX_INT64):
            too_large(node.params[0], value, node.dtype)
        return np.array(value, node.dtype)
    if op.ref is None:
        fail(ArgumentError, f"{op.name} has no reference function", node)
    expected = concrete.type(node, node.type)
    # symbolic sizes that were taken to be equal without proof are compared here, by the type rule on numbers
    if concrete.sizes and inputs:
        try:
            ruled = op.type_rule(*[concrete.type(i, i.type) for i in node.inputs], **params)
        except ShapeError as error:
            raise ShapeError(compose(str(error), node, *node.inputs)) from None
        if ruled is not expected and ruled != expected:
            fail(ShapeError, f"{op.name}: {ruled} at these sizes, declared {expected}", node)
    if op.regions:
        params |= {name: concrete.body(params[name]) for name in op.regions}
    result = op.ref(*inputs, **params)
    if isinstance(expected, tuple):
        refuse(node, result)
        return tuple([_checked(node, r, t) for r, t in zip(listed(result, node, "reference", len(expected), "output"), expected)])
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
