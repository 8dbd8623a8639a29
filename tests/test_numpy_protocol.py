"""NumPy's functions, ufuncs, operators and methods on nodes build nodes; what would need a value raises."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError
from graphc.interp import evaluate
from graphc.ir import Node
from graphc.operators import FUNCTIONS, NUMPY_FUNCTIONS, Operators
from tests.ops_cases import arrays, same

X, Y = arrays([(3, 4)])[0] / 50, arrays([(3, 4)], seed=1)[0] / 50
I = np.arange(12).reshape(3, 4) - 5  # noqa: E741


def check(f: Callable[..., Any], *values: Any, rtol: float = 1e-12) -> None:
    """f on nodes has the value of f on arrays, and is made of nodes."""
    nodes = [gx.tensor("x", v.shape, v.dtype) if isinstance(v, np.ndarray) else v for v in values]
    env = {n: v for n, v in zip(nodes, values) if isinstance(n, Node)}
    result, expected = f(*nodes), f(*values)
    listed = zip(result, expected) if isinstance(expected, (list, tuple)) else [(result, expected)]
    for got, want in listed:
        assert isinstance(got, Node)
        same(evaluate([got], env)[0], want, rtol)


@pytest.mark.parametrize(
    "f",
    [getattr(operator, name) for name in ["add", "sub", "mul", "truediv", "floordiv", "mod", "lt", "le", "gt", "ge", "eq", "ne"]],
)
def test_operators(f: Callable[..., Any]) -> None:
    check(f, X, Y)
    check(f, X, 2)
    check(f, 0.5, X)
    check(f, I, 3)
    x = gx.tensor("x", (3, 4))
    for left, right in [(x, Y), (Y, x), (np.float64(1.5), x), (x, np.int32(2)), (x, [1.0, 2, 3, 4])]:
        got = f(left, right)
        assert isinstance(got, Node)
        want = f(*[X if v is x else np.asarray(v) for v in (left, right)])
        same(evaluate([got], {x: X})[0], want, 1e-12)


def test_more_operators() -> None:
    check(lambda x: -x, X)
    check(lambda x: +x, X)
    check(abs, X)
    check(lambda x: abs(x) ** 1.5, X)
    check(lambda x: 2.0**x, X)
    check(lambda i: ~i & 6 | i ^ 3, I)
    check(lambda i: (i << 2) + (i >> 1), I)
    check(lambda b, c: ~b | (b & c) ^ c, X > 0, Y > 0)
    check(lambda x, y: x @ y.T, X, Y)
    check(lambda x: np.ones((2, 3)) @ x, X)
    check(lambda x: x[0], X)
    check(lambda x: list(x), X)


def test_augmented_assignment_rebinds() -> None:
    x = y = gx.tensor("x", (3,))
    y += 1
    assert y is not x and y.op.name == "add"


METHOD_CALLS: dict[str, Callable[[Any], Any]] = {
    "sum": lambda x: x.sum(axis=0, keepdims=True),
    "prod": lambda x: x.prod(1),
    "mean": lambda x: x.mean((0, 1)),
    "var": lambda x: x.var(ddof=1),
    "std": lambda x: x.std(0),
    "max": lambda x: x.max(-1),
    "min": lambda x: x.min(),
    "argmax": lambda x: x.argmax(1),
    "argmin": lambda x: x.argmin(),
    "any": lambda x: (x > 1).any(0),
    "all": lambda x: (x > -9).all(),
    "cumsum": lambda x: x.cumsum(1),
    "cumprod": lambda x: x.cumprod(0),
    "conj": lambda x: x.conj(),
    "conjugate": lambda x: x.conjugate(),
    "copy": lambda x: x.copy(),
    "dot": lambda x: x.dot(x.T),
    "ravel": lambda x: x.ravel(),
    "flatten": lambda x: x.flatten(),
    "squeeze": lambda x: x[:, :1].squeeze(1),
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "repeat": lambda x: x.repeat(2, axis=1),
    "take": lambda x: x.take([1, 0], axis=1),
    "clip": lambda x: x.clip(-1, 1),
    "round": lambda x: x.round(1),
    "diagonal": lambda x: x.diagonal(1),
    "trace": lambda x: x.trace(),
}
OTHER_CALLS: list[Callable[[Any], Any]] = [
    lambda x: x.T,
    lambda x: x.mT,
    lambda x: x.astype("float32"),
    lambda x: x.reshape(4, 3),
    lambda x: x.reshape((2, -1)),
    lambda x: x.reshape(-1),
    lambda x: x.transpose(),
    lambda x: x.transpose(1, 0),
    lambda x: x.transpose((1, 0)),
]


def same_but_for_self(method: Callable[..., Any], function: Callable[..., Any]) -> bool:
    """Whether a method takes what the function takes after its first operand, with the same defaults."""
    mine, theirs = (list(inspect.signature(f).parameters.values())[1:] for f in (method, function))
    return [(p.kind, p.default) for p in mine] == [(p.kind, p.default) for p in theirs] and [p.name for p in mine if p.name != "other"] == [
        p.name for p, q in zip(theirs, mine) if q.name != "other"
    ]


METHODS = [name for name, method in vars(Operators).items() if (method.__doc__ or "") == f"As `graphc.{name}`."]


def test_methods() -> None:
    assert set(METHOD_CALLS) == set(METHODS)
    for name, call in METHOD_CALLS.items():
        assert same_but_for_self(getattr(Operators, name), FUNCTIONS[name]), name
        check(call, X)
    for call in OTHER_CALLS:
        check(call, X)


def test_every_operator_and_method_is_bound() -> None:
    import re

    from graphc import operators

    names = set(re.findall(r'(?:_call|_binary)\("(\w+)"', inspect.getsource(operators)))
    assert names - set(FUNCTIONS) - {"eval"} == set()
    for name in gx.__all__:
        assert hasattr(gx, name)


NUMPY_CALLS: list[Callable[..., Any]] = [
    lambda x, y: np.add(x, y),
    lambda x, y: np.maximum(x, y),
    lambda x, y: np.arctan2(x, y),
    lambda x, y: np.logaddexp(x, y),
    lambda x, y: np.tanh(x),
    lambda x, y: np.abs(x),
    lambda x, y: np.exp(x),
    lambda x, y: np.log1p(np.square(x)),
    lambda x, y: np.isnan(x),
    lambda x, y: np.sign(x),
    lambda x, y: np.where(x > 0, x, y),
    lambda x, y: np.where(x > 0, x, 0),
    lambda x, y: np.clip(x, -1, 1),
    lambda x, y: np.round(x, 1),
    lambda x, y: np.floor(x),
    lambda x, y: np.sum(x, axis=0),
    lambda x, y: np.prod(x),
    lambda x, y: np.mean(x, axis=1, keepdims=True),
    lambda x, y: np.var(x, ddof=1),
    lambda x, y: np.std(x, 0),
    lambda x, y: np.max(x, -1),
    lambda x, y: np.amin(x),
    lambda x, y: np.argmax(x, axis=1),
    lambda x, y: np.any(x > 1),
    lambda x, y: np.all(x > -9, 0),
    lambda x, y: np.cumsum(x, 1),
    lambda x, y: np.linalg.norm(x),
    lambda x, y: np.linalg.norm(x, axis=1),
    lambda x, y: np.count_nonzero(x > 0),
    lambda x, y: np.matmul(x, y.T),
    lambda x, y: np.dot(x, y.T),
    lambda x, y: np.outer(x[0], y[1]),
    lambda x, y: np.tensordot(x, y, 2),
    lambda x, y: np.einsum("ij,kj->ik", x, y),
    lambda x, y: np.inner(x, y),
    lambda x, y: np.vdot(x, y),
    lambda x, y: np.trace(x),
    lambda x, y: np.diag(x),
    lambda x, y: np.diagonal(x, 1),
    lambda x, y: np.tril(x),
    lambda x, y: np.triu(y, 1),
    lambda x, y: np.reshape(x, (4, 3)),
    lambda x, y: np.ravel(x),
    lambda x, y: np.transpose(x),
    lambda x, y: np.permute_dims(x, (1, 0)),
    lambda x, y: np.matrix_transpose(x),
    lambda x, y: np.swapaxes(x, 0, 1),
    lambda x, y: np.moveaxis(x, 0, 1),
    lambda x, y: np.expand_dims(x, 0),
    lambda x, y: np.squeeze(x[:1]),
    lambda x, y: np.broadcast_to(x, (2, 3, 4)),
    lambda x, y: np.concatenate([x, Y]),
    lambda x, y: np.concat((x, y), axis=1),
    lambda x, y: np.stack([x, y], axis=-1),
    lambda x, y: np.vstack([x, y]),
    lambda x, y: np.hstack([x, y]),
    lambda x, y: np.column_stack([x, y]),
    lambda x, y: np.split(x, 2, axis=1),
    lambda x, y: np.array_split(x, 3, axis=1),
    lambda x, y: np.pad(x, ((1, 0), (0, 2))),
    lambda x, y: np.flip(x, 0),
    lambda x, y: np.tile(x, (2, 1)),
    lambda x, y: np.repeat(x, 2, axis=0),
    lambda x, y: np.roll(x, 1, axis=1),
    lambda x, y: np.take(x, [0, 2], axis=1),
    lambda x, y: np.meshgrid(x[0], y[0]),
    lambda x, y: np.take_along_axis(x, I[:, :1] % 4, axis=1),
    lambda x, y: np.zeros_like(x),
    lambda x, y: np.ones_like(x, dtype="int8"),
    lambda x, y: np.full_like(x, 3),
    lambda x, y: np.linspace(x[0], y[0], 5),
    lambda x, y: np.broadcast_arrays(x, y[:1]),
    lambda x, y: np.copy(x),
    lambda x, y: np.astype(x, np.dtype("float32")),
    lambda x, y: np.around(x),
]


@pytest.mark.parametrize("call", NUMPY_CALLS)
def test_numpy_functions(call: Callable[..., Any]) -> None:
    check(call, X, Y)


def test_questions_of_shape() -> None:
    x = gx.tensor("x", ("n", 4))
    assert np.shape(x) == x.shape and np.ndim(x) == 2 and np.size(x) == 4 * gx.dim("n")


def test_one_meaning() -> None:
    """Every public function that NumPy has too is what NumPy's function does with a node."""
    missing = []
    for name in gx.__all__:
        theirs, ours = getattr(np, name, None), getattr(gx, name)
        if (isinstance(theirs, np.ufunc) or hasattr(theirs, "__wrapped__")) and NUMPY_FUNCTIONS.get(theirs) is not ours:
            missing.append(name)
    assert missing == ["save", "where"]  # of trees of arrays, no function of nodes; of one argument NumPy's is nonzero


def test_what_needs_a_value_raises() -> None:
    x = gx.tensor("x", (3,))
    where = r"\(x: f64\[3\], test_numpy_protocol.py:\d+\)"
    for build, text in [
        (
            lambda: np.asarray(x),
            rf"np.asarray of a symbolic value {where}; hint: a node has no values; compile it with gx.function or use node.eval",
        ),
        (lambda: np.array([x, x]), "np.asarray of a symbolic value .*"),
        (lambda: bool(x > 0), "the truth value of a symbolic value .*"),
        (lambda: float(x), r"float\(\) of a symbolic value .*"),
        (lambda: np.ones(3)[x], ".*use as an index.*|.*np.asarray.*"),
        (lambda: x in [gx.tensor("y", (3,))], "the truth value of a symbolic value .*"),
        (
            lambda: x.__setitem__(0, 1),
            r"item assignment of a symbolic value .*; hint: nodes are immutable: use y = x.at\[index\].set\(value\) or",
        ),
        (lambda: np.subtract.reduce(x), "np.subtract.reduce has no symbolic form .*; hint: gx.sum, gx.prod, gx.max"),
        (lambda: np.add.at(x, 0, 1), "np.add.at has no symbolic form .*; hint: x.at.index..add.value., .multiply, .min and .max"),
        (
            lambda: np.add(x, 1, out=np.ones(3)),
            "np.add: out= cannot be used with symbolic values .*; hint: the result is a new node: leave `out` away; x.at",
        ),
        (lambda: np.add(x, 1, where=[True]), "np.add: where cannot be used with symbolic values .*; hint: gx.where.mask, result"),
        (
            lambda: np.stack([x], casting="no"),
            "np.stack: casting cannot be used with symbolic values .*; hint: the keywords of",
        ),
        (lambda: np.sort_complex(x), "np.sort_complex has no symbolic form .*; hint: its results are complex: keep real"),
        (lambda: np.linalg.eig(x), "np.linalg.eig has no symbolic form .*; hint: its results are complex: .*; gx.linalg.eigh for"),
        (
            lambda: x + np.array([None, 1, 2]),
            "an array of objects cannot be a constant; hint: gx.stack builds an array from a list of nodes",
        ),
        (lambda: gx.asarray([x, 1]), "a list that holds nodes is not an array; hint: use gx.stack"),
    ]:
        with pytest.raises((ArgumentError, gx.DTypeError), match=f"^{text}"):
            build()
