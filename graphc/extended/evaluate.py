"""The evaluator in higher precision: as `graphc.interp`, with decimal floats where that has float32 or float64.

    values([gx.log(1 + gx.exp(x))], {x: np.array([-50.0])}, digits=60)  ->  1.92874984796391782...E-22

Elementwise ops are evaluated as their rows say in the scalar language, whose functions are those of `graphc.extended.table`; what
moves, adds, multiplies or loops by its own reference, on arrays of decimals. Anything else is evaluated in float64 and noted in
`Extended.rounded`, and so is what the scalar language says by the bits of a float.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np

from graphc import dims, scalars
from graphc.dims import Dim, Symbol
from graphc.extended.functions import NAN, ZERO
from graphc.extended.table import FAMILIES, FUNCTIONS, PAIRS
from graphc.ir import Node, toposort
from graphc.ops.outputs import listed
from graphc.ops.registry import DIM
from graphc.ops.spread import CAST
from graphc.region import Region
from graphc.scalars import Scalar
from graphc.types import TensorType

Value = Any  # an array, or a tuple of arrays for a node of several outputs; of decimals where its node has floats
KERNELS = ("contract", "scan", "scatter")  # whose references are sums and products
FARTHEST = 10**17  # exponents: nothing that floats begin with gets there


def context(digits: int) -> decimal.Context:
    """No traps: what has no value is nan, as for floats."""
    return decimal.Context(prec=digits, Emax=FARTHEST, Emin=-FARTHEST, traps=[], rounding=decimal.ROUND_HALF_EVEN)


# -- decimals and floats ----------------------------------------------------------------------------------------------------
def _decimal(x: Any) -> Decimal:
    return x if isinstance(x, Decimal) else Decimal(x) if isinstance(x, (int, float)) else Decimal(float(x))


_decimals = np.frompyfunc(_decimal, 1, 1)
_floats = np.frompyfunc(float, 1, 1)


def widen(array: Any) -> np.ndarray:
    """Floats as decimals; other arrays as they are."""
    found = np.asarray(array)
    if found.dtype.kind not in "fO":
        return found
    return _array(_decimals(found.astype(float) if found.dtype.kind == "f" else found), found.shape)


def narrow(array: np.ndarray, dtype: Any) -> np.ndarray:
    """Decimals as floats of `dtype`; other arrays as they are."""
    with np.errstate(all="ignore"):
        return _array(_floats(array), array.shape).astype(float).astype(dtype) if array.dtype.kind == "O" else array


def _array(value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """NumPy gives the element of an array of rank 0."""
    if isinstance(value, np.ndarray) and value.shape == shape:
        return value
    made: np.ndarray = np.empty(shape, object)
    made[...] = value
    return made


# -- the scalar language ------------------------------------------------------------------------------------------------------
def _extreme(first: Callable[[Any, Any], bool]) -> Callable[[Any, Any], Any]:
    return lambda a, b: NAN if a != a or b != b else a if first(a, b) else b


def _rounded(how: str) -> Callable[[Decimal], Decimal]:
    def to_integer(x: Decimal) -> Decimal:
        return x.to_integral_value(how).copy_sign(x) if x.is_finite() else x

    return to_integer


OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": lambda a, b: a / b,
    "neg": lambda a: a.copy_negate(), "abs": lambda a: a.copy_abs(), "sqrt": lambda a: a.sqrt() if a >= 0 else NAN,
    "fma": lambda a, b, c: a * b + c, "copysign": lambda a, b: a.copy_sign(b), "floor": _rounded(decimal.ROUND_FLOOR),
    "ceil": _rounded(decimal.ROUND_CEILING), "trunc": _rounded(decimal.ROUND_DOWN), "rint": _rounded(decimal.ROUND_HALF_EVEN),
    "min": _extreme(lambda a, b: a <= b), "max": _extreme(lambda a, b: a >= b), "eq": lambda a, b: a == b, "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b, "le": lambda a, b: a <= b, "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b,
    "select": lambda c, a, b: a if c else b, "and": lambda a, b: a & b, "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b,
    "not": lambda a: not a,
}  # fmt: skip
DECIMAL = {name: np.frompyfunc(f, f.__code__.co_argcount, 1) for name, f in OPERATIONS.items()}
DECIMAL |= {name: np.frompyfunc(FUNCTIONS[name], 2, 1) for name in PAIRS}
DECIMAL |= {name: np.frompyfunc(f, 1, 1) for name, f in FUNCTIONS.items() if name not in DECIMAL}


def _element(node: Node) -> Scalar | None:
    """One element of an op on float operands, as Scalars over `arg`; None where it is not made of known ones."""
    row, name = node.op.row, node.op.name  # without a row: a function of vector math of several operands
    if (row is None and name not in FUNCTIONS) or not any(i.dtype.kind == "f" for i in node.inputs):
        return None
    wide = [np.dtype("float64") if i.dtype.kind == "f" else i.dtype for i in node.inputs]
    args = [scalars.arg(k, dtype) for k, dtype in enumerate(wide)]
    made: Scalar = row.emit(scalars, *args) if row is not None else scalars.math(name, *args)
    known = all(s.op in DECIMAL or s.op in ("arg", "const") for s in scalars.order((made,)))
    return made if known and all(s.dtype.kind in "fb" for s in scalars.order((made,))) else None


def _computed(body: Scalar, inputs: Sequence[np.ndarray], node: Node) -> np.ndarray:
    values: dict[Scalar, Any] = {}
    for s in scalars.order((body,)):
        if s.op == "arg":
            values[s] = inputs[s.param]
        elif s.op == "const":
            values[s] = Decimal(scalars.const_value(s)) if s.dtype.kind == "f" else scalars.const_value(s)
        else:
            values[s] = DECIMAL[s.op](*[values[a] for a in s.args])
    found = _array(values[body], inputs[0].shape)
    return found.astype(node.dtype) if node.dtype.kind != "f" else found


def _integer(x: Decimal, low: int, high: int) -> int:
    """As casts of floats to integers have it: towards 0, saturating, nan to 0."""
    return 0 if x.is_nan() else int(max(min(x, Decimal(high)), Decimal(low)))


def _cast(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if x.dtype.kind != "O":
        return widen(x.astype(float) if x.dtype.kind == "b" else np.asarray(x, object)) if dtype.kind == "f" else x.astype(dtype)
    if dtype.kind == "f":
        return x
    if dtype.kind == "b":
        return np.asarray(x != ZERO, bool)
    info = np.iinfo(dtype)
    whole = np.frompyfunc(lambda v: _integer(v, int(info.min), int(info.max)), 1, 1)(x)
    return _array(whole, x.shape).astype(dtype)


# -- graphs -------------------------------------------------------------------------------------------------------------------
class Extended:
    """One evaluation: sizes, and the ops that were evaluated in float64 because nothing here knows them."""

    def __init__(self, sizes: Mapping[Symbol, int]) -> None:
        self.sizes, self.rounded = dict(sizes), set[str]()

    def values(self, outputs: Sequence[Node], env: Mapping[Node, Value]) -> dict[Node, Value]:
        """The value of each node that the outputs need, with the variables given."""
        found: dict[Node, Value] = dict(env)
        for node in toposort(outputs, stop=env):
            if node not in found:
                found[node] = self._apply(node, [found[i] for i in node.inputs])
        return found

    def _apply(self, node: Node, inputs: Sequence[Value]) -> Value:
        op = node.op
        if op is DIM:
            return np.asarray(dims.evaluate(node.params[0], self.sizes), node.dtype)
        if op is CAST:
            return _cast(inputs[0], node.dtype)
        family = FAMILIES.get(op.name)
        if family is not None:
            return _array(np.frompyfunc(family(node.params[0]), 1, 1)(inputs[0]), inputs[0].shape)
        body = None if isinstance(node.type, tuple) else _element(node) if op.elementwise else None
        if body is not None:
            return _computed(body, inputs, node)
        params = {name: self._param(p) for name, p in zip(op.params, node.params)}
        params |= {name: self._body(node.attrs[name]) for name in op.regions}
        traits = op.traits
        own = bool(traits.moves or traits.reduces or op.linear_in or op.regions or not inputs) or traits.kernel in KERNELS
        floats = [k for k, v in enumerate(inputs) if isinstance(v, np.ndarray) and v.dtype.kind == "O"]
        if not own and floats:
            self.rounded.add(op.name)
            inputs = [narrow(v, float) if k in floats else v for k, v in enumerate(inputs)]
        assert op.ref is not None
        result = op.ref(*inputs, **params)
        if isinstance(node.type, tuple):
            several = listed(result, node, "reference", len(node.type), "output")
            return tuple([_as(r, t) for r, t in zip(several, node.type)])
        return result if isinstance(result, tuple) else _as(result, node.tensor)

    def _param(self, param: Any) -> Any:
        if isinstance(param, Dim):
            return dims.evaluate(param, self.sizes)
        return tuple([self._param(p) for p in param]) if type(param) is tuple else param

    def _body(self, param: Any) -> Any:
        return tuple([self._body(p) for p in param]) if isinstance(param, tuple) else _Body(param, self)


class _Body:
    """A region as a function of arrays that returns a list of arrays, of types whose floats are decimals."""

    def __init__(self, region: Region, outer: Extended) -> None:
        self.region, self.outer = region, outer
        self.types = [self._type(o.tensor) for o in region.outputs]

    def _type(self, t: TensorType) -> SimpleNamespace:
        shape = tuple([dims.evaluate(s, self.outer.sizes) for s in t.shape])
        return SimpleNamespace(shape=shape, dtype=np.dtype(object) if t.dtype.kind == "f" else t.dtype)

    def __call__(self, *arrays: Any) -> list[np.ndarray]:
        given = [a if isinstance(a, np.ndarray) else _as(a, i.tensor) for a, i in zip(arrays, self.region.inputs, strict=True)]
        found = self.outer.values(self.region.outputs, dict(zip(self.region.inputs, given)))
        return [found[o] for o in self.region.outputs]


def _as(value: Any, type: TensorType) -> np.ndarray:
    """What a reference gave as an array of decimals where its type has floats."""
    if isinstance(value, Decimal):
        return _array(value, ())
    return widen(value) if type.dtype.kind == "f" else np.asarray(value, type.dtype)
