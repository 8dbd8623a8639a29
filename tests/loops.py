"""An evaluator of loop forms, element by element in plain Python: what a back end must compute."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from graphc import dims
from graphc.dims import Size, Symbol
from graphc.ir import Node
from graphc.scalar import Scalar, const_value, index, load, order

BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "floordiv": np.floor_divide, "mod": np.remainder,
    "min": np.minimum, "max": np.maximum, "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
}  # fmt: skip


def run_loop(node: Node, inputs: Sequence[np.ndarray], sizes: Mapping[Symbol, int] | None = None) -> np.ndarray:
    """The value of `node` by its loop form. A read outside its input, where its mask does not hide it, is an AssertionError."""
    assert node.op.loop is not None
    form = node.op.loop(node)
    assert form.combine is None, "only loops without a reduction"
    axes = tuple(dims.axis(f"i{k}") for k in range(node.ndim))
    symbols = [dims.as_symbol(a) for a in axes]

    def read(k: int, at: Sequence[Size | Scalar], mask: Scalar | None = None) -> Scalar:
        where = tuple(i if isinstance(i, Scalar) else index(i) for i in at)
        assert len(where) == node.inputs[k].ndim
        return load(k, where, node.inputs[k].dtype, mask)

    body = form.body(read, axes, ())
    assert body.dtype == node.dtype
    shape = [dims.evaluate(n, sizes or {}) for n in node.shape]
    out = np.empty(shape, node.dtype)
    for place in itertools.product(*map(range, shape)):
        out[place] = _value(body, inputs, {**(sizes or {}), **dict(zip(symbols, place))})
    return out


def _value(body: Scalar, inputs: Sequence[np.ndarray], env: Mapping[Symbol, int]) -> np.generic:
    values: dict[int, np.generic] = {}
    for s in order((body,)):
        args = [values[id(a)] for a in s.args]
        if s.op == "const":
            value = const_value(s)
        elif s.op == "index":
            value = dims.evaluate(s.param, env)
        elif s.op == "load":
            slot, masked = s.param
            value = _element(inputs[slot], args[:-1]) if masked and args[-1] else 0 if masked else _element(inputs[slot], args)
        elif s.op == "select":
            value = args[1] if args[0] else args[2]
        elif s.op == "cast":
            value = args[0]
        elif s.op == "not":
            value = ~args[0]
        else:
            value = BINARY[s.op](*args)
        values[id(s)] = s.dtype.type(value)
    return values[id(body)]


def _element(array: np.ndarray, place: Sequence[np.generic]) -> np.generic:
    assert all(0 <= i < n for i, n in zip(place, array.shape)), f"read at {place} of an array of {array.shape}"
    return array[tuple(int(i) for i in place)]
