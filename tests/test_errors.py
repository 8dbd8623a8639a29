"""The text of the errors that users meet: what, the operands with where they were made, a hint. tests/golden/errors_*.txt is the spec."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import (
    ArgumentError,
    CompileError,
    ConvergenceError,
    DisconnectedError,
    DTypeError,
    FileError,
    GraphcError,
    IndexOutOfRange,
    LinAlgError,
    NotDifferentiableError,
    NumericError,
    ShapeError,
    StateInUseError,
    compose,
    fail,
)
from graphc.ir import origin
from graphc.user.function import function, substitute
from graphc.user.state import shared

Golden = Callable[[str, str], None]
Cases = dict[str, Callable[[], Any]]

with origin(("train.py", 9)):
    X = gx.tensor("x", ("b", "n"), "float32")
    W = gx.tensor("w", (784, 128), "float32")
    V = gx.tensor("v", (3,))
    S = gx.tensor("s")
    I = gx.tensor("i", ("k",), "int64")  # noqa: E741
with origin(("train.py", 14)):
    Y = gx.tanh(X)
    STATE = shared(np.zeros(3), "state")


def told(make: Callable[[], Any]) -> str:
    """`ShapeError: text` of what `make` raises, with derived nodes on line 20 of train.py."""
    with origin(("train.py", 20)), pytest.raises(GraphcError) as caught:
        make()
    return f"{type(caught.value).__name__}: {caught.value}"


def text(cases: Cases) -> str:
    return "\n\n".join(f"{title}\n  {told(make)}" for title, make in cases.items())


def assign(x: Any) -> None:
    x[0] = 1.0


VALUES: Cases = {
    "if x: ...": lambda: bool(Y),
    "while x > 0: ...": lambda: bool(S > 0),
    "0 < x < 1": lambda: 0 < S < 1,
    "x and y": lambda: S and V,
    "float(x)": lambda: float(S),
    "int(x)": lambda: int(S),
    "complex(x)": lambda: complex(S),
    "range(x)": lambda: range(I[0]),
    "len(x)": lambda: len(X),
    "for row in x: ...": lambda: list(X),
    "for c in 0-d: ...": lambda: list(S),
    "a, b = x": lambda: (lambda a, b: a)(*X),
    "3.0 in x": lambda: 3.0 in V,
    "x[0] = 1.0": lambda: assign(V),
    "np.asarray(x)": lambda: np.asarray(V),
    "np.array([x, y])": lambda: np.array([S, S]),
    "gx.asarray([x, y])": lambda: gx.asarray([S, S]),
    "np.linalg.eig(x)": lambda: np.linalg.eig(W),
    "np.add.reduceat(x, i)": lambda: np.add.reduceat(V, [0, 2]),
    "np.add.at(x, i, y)": lambda: np.add.at(V, [0, 2], 1.0),
    "x + None": lambda: V + None,
    "x + 'a'": lambda: V + "a",
    "x + 1j": lambda: V + 1j,
    "x + masked array": lambda: V + np.ma.masked_array([1.0, 2, 3], [True, False, False]),
    "x + array of objects": lambda: V + np.array([None, 1, "a"]),
}

SHAPES: Cases = {
    "x @ w": lambda: gx.tensor("a", ("m", 64)) @ W,
    "x @ 0-d": lambda: X @ S,
    "x + y": lambda: W + gx.tensor("u", (127,), "float32"),
    "n and n + 1": lambda: X + gx.tensor("u", (gx.dim("b"), gx.dim("n") + 1), "float32"),
    "sum(axis=2)": lambda: gx.sum(X, axis=2),
    "sum(axis=(0, 0))": lambda: gx.sum(X, axis=(0, 0)),
    "sum(axis=1.5)": lambda: gx.sum(X, axis=1.5),
    "reshape": lambda: W.reshape(100, 1000),
    "reshape(-1, -1)": lambda: W.reshape(-1, -1),
    "transpose": lambda: gx.transpose(W, (0, 0)),
    "broadcast_to": lambda: gx.broadcast_to(V, (3, 4)),
    "concatenate": lambda: gx.concatenate([W, gx.tensor("u", (3, 127), "float32")]),
    "stack": lambda: gx.stack([W, V.astype("float32")]),
    "squeeze": lambda: gx.squeeze(W, axis=0),
    "einsum": lambda: gx.einsum("ij,jk->ik", W, W),
    "max of nothing": lambda: gx.max(gx.tensor("e", (0, 3)), axis=0),
    "index out of range": lambda: V[3],
    "too many indices": lambda: V[0, 0],
    "index by a float": lambda: V[1.0],
    "where": lambda: gx.where(V > 0, W, W),
    "at.set": lambda: W.at[0].set(V),
    "tensor(shape=-1)": lambda: gx.tensor("x", (-1,)),
    "tensor(shape=1.5)": lambda: gx.tensor("x", (1.5,)),
    "matrix of three sizes": lambda: gx.matrix("x", (1, 2, 3)),
}

DTYPES: Cases = {
    "float16": lambda: gx.tensor("x", (3,), "float16"),
    "complex": lambda: gx.tensor("x", (3,), complex),
    "no dtype": lambda: gx.tensor("x", (3,), "flaot32"),
    "strings": lambda: gx.asarray(np.array(["a"])),
    "300 as int8": lambda: gx.tensor("i", (3,), "int8") + 300,
    "-1 as uint8": lambda: gx.tensor("i", (3,), "uint8") + -1,
    "~float": lambda: ~V,
    "float << float": lambda: V << V,
    "-bool": lambda: -(V > 0),
    "take by floats": lambda: gx.take(V, V),
    "arity": lambda: gx.tanh(V, V),
    "variable without a name": lambda: gx.tensor("", (3,)),
}

DERIVATIVES: Cases = {
    "grad of an array": lambda: gx.grad(Y, X),
    "grad of integers": lambda: gx.grad(gx.sum(I), I),
    "grad by integers": lambda: gx.grad(gx.sum(V), I),
    "disconnected": lambda: gx.grad(gx.sum(V), [V, W]),
    "grad of a function": lambda: gx.grad(lambda x: x, V),
    "cotangent of another shape": lambda: gx.vjp(Y, X, gx.tensor("u", (3,), "float32")),
}


@functools.cache
def step() -> Any:
    u = gx.tensor("u", ("b",), "float32")
    return function([X, V, u], [gx.sum(Y) + gx.sum(V), u], name="step", defaults={u: [1.0]})


FUNCTIONS: Cases = {
    "a variable not listed": lambda: function([V], gx.sum(X @ W)),
    "listed twice": lambda: function([V, V], V),
    "two of one name": lambda: function([V, gx.tensor("v")], V),
    "an inner node as input": lambda: function([Y], gx.sum(Y)),
    "a number as input": lambda: function([3.0], V),
    "inputs not a list": lambda: function(V, V),
    "unknown mode": lambda: function([V], V, mode="fast"),
    "unknown casting": lambda: function([V], V, casting="never"),
    "update of a variable": lambda: function([V], V, updates={V: V + 1.0}),
    "update of another dtype": lambda: function([X], [], updates={STATE: V.astype("float32")}),
    "update of another shape": lambda: function([S], [], updates={STATE: S}),
    "update twice": lambda: function([], [], updates=[(STATE, STATE + 1.0), (STATE, STATE)]),
    "default of a stranger": lambda: function([V], V, defaults={"w": 1.0}),
    "substitute another dtype": lambda: substitute(Y, {X: W.astype("float64")}),
    "substitute another rank": lambda: substitute(Y, {X: V.astype("float32")}),
    "too many arguments": lambda: step()(1, 2, 3, 4),
    "an unknown keyword": lambda: step()(np.zeros((1, 2), "f4"), np.zeros(3), y=3),
    "a missing argument": lambda: step()(np.zeros((1, 2), "f4")),
    "given twice": lambda: step()(np.zeros((1, 2), "f4"), np.zeros(3), x=3),
    "wrong rank": lambda: step()(np.zeros(3, "f4"), np.zeros(3)),
    "wrong size": lambda: step()(np.zeros((1, 2), "f4"), np.zeros(4)),
    "disagreeing sizes": lambda: step()(np.zeros((2, 2), "f4"), np.zeros(3)),
    "f64 for f32": lambda: step()(np.zeros((1, 2)), np.zeros(3)),
    "no array": lambda: step()("abc", np.zeros(3)),
    "array of objects": lambda: step()(np.array([[None, 1]]), np.zeros(3)),
    "masked array": lambda: step()(np.ma.masked_array(np.zeros((1, 2), "f4"), True), np.zeros(3)),
}


def call(inputs: list[Any], outputs: Any, *shapes: tuple[int, ...], **options: Any) -> Any:
    return function(inputs, outputs, **options)(*[np.zeros(shape, x.dtype) for x, shape in zip(inputs, shapes, strict=True)])


def traced(f: Callable[..., Any], *args: Any) -> Any:
    return gx.jit(f)(*args)


with origin(("train.py", 9)):
    A, B, C = gx.matrix("a"), gx.matrix("b"), gx.tensor("c", ("n", "k"))
    D, E = gx.tensor("d", (gx.dim("n") + 1,)), gx.tensor("e", (2 * gx.dim("k"),))
    P = gx.shared({"W": np.zeros((3, 2)), "b": np.zeros(2)}, "p")
with origin(("train.py", 12)):
    PREDICTED = A @ P["W"] + P["b"]
PARAMS = {"W": np.zeros((3, 2)), "layers": [{"b": np.zeros(2)}]}

CALLS: Cases = {
    "unnamed sizes": lambda: call([A, B], A + B, (2, 3), (4, 3)),
    "unnamed sizes, product": lambda: call([A, B], A @ B, (2, 3), (4, 3)),
    "named sizes": lambda: call([X, C], X.T @ C.astype("float32"), (2, 3), (4, 5)),
    "one symbol, two arrays": lambda: call([C, D], [C, D], (2, 3), (2,)),
    "n + 1 where n is 2": lambda: call([C, D], C.sum(axis=1) + D[1:], (2, 3), (4,)),
    "2 * k where it is odd": lambda: call([E], E, (3,)),
    "a number": lambda: call([A, V], A + V, (2, 4), (3,)),
    "another number": lambda: call([V], V, (4,)),
    "state": lambda: call([A], PREDICTED, (5, 4)),
    "a target against a prediction": lambda: call([A, C], PREDICTED - C, (5, 3), (4, 2)),
    "an array too short": lambda: call([A], A[5:], (2, 3)),
    "reshape": lambda: call([A, B], gx.reshape(A, B.shape), (2, 3), (4, 3)),
    "concatenate": lambda: call([A, B], gx.concatenate([A, B]), (2, 3), (4, 5)),
    "where": lambda: call([A, B], gx.where(A > 0, A, B), (2, 3), (2, 4)),
    "a new state of another size": lambda: call([A], [], (4, 2), updates={P["W"]: A}),
    "interpreted": lambda: call([A, B], A + B, (2, 3), (4, 3), mode="interpret"),
    "jit: arrays": lambda: traced(lambda x, y: x + y, np.zeros((2, 3)), np.zeros((4, 3))),
    "jit: leaves": lambda: traced(lambda params, x: x @ params["W"] + params["layers"][0]["b"], PARAMS, np.zeros((5, 4))),
    "jit: a guard": lambda: traced(lambda x: x if x.shape[0] == 3 else -x, np.zeros(3)),
    "jit: another guard": lambda: traced(lambda x, y: x if x.shape == y.shape else y, np.zeros(3), np.zeros(3)),
    "jit: no array": lambda: traced(lambda x: x, object()),
    "a guard": lambda: C if C.shape[0] < C.shape[1] else C.T,
    "a size as a number": lambda: int(C.shape[0]),
    "range(size)": lambda: range(C.shape[0]),
    "a name that is none": lambda: gx.dim("x;"),
}


def test_no_invented_symbol_is_in_a_text() -> None:
    """A size that the user gave no name is written as the user would: a.shape[0]."""
    assert re.search(r"\b_\w", text(CALLS)) is None


@pytest.mark.parametrize(
    ("name", "cases"),
    [("values", VALUES), ("shapes", SHAPES), ("dtypes", DTYPES), ("derivatives", DERIVATIVES), ("functions", FUNCTIONS), ("calls", CALLS)],
)
def test_golden(name: str, cases: Cases, golden: Golden) -> None:
    golden(f"errors_{name}", text(cases))


def test_classes_are_pythons_too() -> None:
    """`except ValueError` catches what NumPy would raise a ValueError for."""
    parents = {
        ShapeError: ValueError, DTypeError: TypeError, ArgumentError: TypeError, IndexOutOfRange: IndexError,
        NotDifferentiableError: TypeError, DisconnectedError: ValueError,
        NumericError: FloatingPointError, LinAlgError: np.linalg.LinAlgError, ConvergenceError: RuntimeError, StateInUseError: RuntimeError,
        CompileError: RuntimeError, FileError: OSError,
    }  # fmt: skip
    assert all(issubclass(ours, GraphcError) and issubclass(ours, theirs) for ours, theirs in parents.items())


def test_composition() -> None:
    assert compose("no") == "no"
    assert compose("no", 3, V) == "no (3, v: f64[3], train.py:9)"
    assert compose("no", V, hint="try") == "no (v: f64[3], train.py:9); hint: try"
    with pytest.raises(ShapeError, match=r"^no$"):
        fail(ShapeError, "no")


def test_errors_are_one_line() -> None:
    for cases in (VALUES, SHAPES, DTYPES, DERIVATIVES, FUNCTIONS, CALLS):
        for title, make in cases.items():
            assert "\n" not in told(make), title


def test_errors_leave_nothing_behind() -> None:
    """A construction that fails makes no node that a later one would find."""
    for _ in range(2):
        with pytest.raises(ShapeError):
            gx.tensor("a", ("m", 64)) @ W
    with contextlib.suppress(GraphcError):
        gx.sum(X, axis=7)
    assert gx.sum(X, axis=1).shape == (X.shape[0],)


def test_the_users_own_line_is_named() -> None:
    x = gx.tensor("x", (3,))
    y = gx.exp(x)
    with pytest.raises(ShapeError, match=r"exp: f64\[3\], test_errors.py:\d+"):
        y + np.zeros(4)
