"""The interpreter: binding of sizes, checks of every result, state, multiple outputs, long chains."""

from __future__ import annotations

import time

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.interp import eval, evaluate
from graphc.ir import Op, make
from graphc.types import tensor_type


def test_values_in_order_of_outputs() -> None:
    x, y = gx.tensor("x", ("n",)), gx.tensor("y", ("n",))
    results = evaluate([x + y, x, x - y, x + y], {x: np.array([1.0, 2.0]), y: np.array([3.0, 4.0])})
    assert [r.tolist() for r in results] == [[4, 6], [1, 2], [-2, -2], [4, 6]]


def test_results_are_fresh() -> None:
    data = np.arange(3.0)
    x = gx.tensor("x", (3,))
    constant = gx.asarray(np.ones(3))
    spread = gx.broadcast_to(x, (2, 3))
    first, second, third, fourth = evaluate([x, constant, spread, x], {x: data})
    first += 1
    second += 1
    third[0] += 1
    assert data.tolist() == fourth.tolist() == [0, 1, 2] and third[1].tolist() == [0, 1, 2]
    assert evaluate([constant], {})[0].tolist() == [1, 1, 1]


def test_zero_dimensional_results_are_arrays() -> None:
    x = gx.tensor("x", (3,))
    for expr in (gx.sum(x), gx.sum(x) * 2 > 1, gx.asarray(2.0)):
        (got,) = evaluate([expr], {x: [1, 2, 3]})
        assert isinstance(got, np.ndarray) and got.shape == ()


def test_no_warnings(recwarn: pytest.WarningsRecorder) -> None:
    x = gx.tensor("x", (2,))
    evaluate([gx.log(x), 1 / x, gx.exp(1e3 + x), gx.astype(x * np.inf, "int32"), gx.asarray(np.int8(100)) * np.int8(100)], {x: np.zeros(2)})
    assert not recwarn.list


# -- sizes ------------------------------------------------------------------------------------------------------------
def test_sizes_come_from_shapes() -> None:
    n, m = gx.dim("n"), gx.dim("m")
    x, y = gx.tensor("x", (n + 1, 2 * m)), gx.tensor("y", (n * m,))
    got = evaluate([gx.asarray(n), gx.reshape(y, (m, n)), x * (n * 10 + m)], {x: np.ones((4, 4)), y: np.arange(6.0)})
    assert got[0] == 3 and got[0].dtype == np.int64 and got[1].shape == (2, 3) and (got[2] == 32).all()


def test_sizes_may_be_given() -> None:
    n = gx.dim("n")
    assert evaluate([gx.arange(n)], {n: 3})[0].tolist() == [0, 1, 2]
    assert eval(n * 2, {n: 3}) == 6
    assert evaluate([gx.asarray(n)], {2 * n: 6})[0] == 3
    assert evaluate([gx.asarray(n)], {}, {dims.as_symbol(n): 4})[0] == 4


@pytest.mark.parametrize(
    ("shape", "given", "message"),
    [
        ((3,), (4,), r"the size of axis 0 is 4, not 3 \(x: f64\[3\], test_interp.py:"),
        (("n", "n"), (2, 3), r"the size of axis 1 is 3, so n would be 3; it is 2 \(x: f64\[n, n\]"),
        ((2 * gx.dim("n"),), (3,), "the size of axis 0 is 3: no integer n >= 0 makes 2"),
        ((gx.dim("n") + 2,), (1,), "the size of axis 0 is 1: no integer n >= 0"),
        (("n", gx.dim("n") * gx.dim("n")), (2, 5), r"the size of axis 1 is 5, not n\*\*2 = 4"),
        (("n",), (2, 2), r"a value of shape \(2, 2\) for 1 dimensions"),
        (("n",), (), r"a value of shape \(\) for 1 dimensions"),
    ],
)
def test_wrong_shapes(shape: tuple[object, ...], given: tuple[int, ...], message: str) -> None:
    x = gx.tensor("x", shape)
    with pytest.raises(ShapeError, match=message):
        evaluate([x], {x: np.zeros(given)})


def test_disagreeing_arguments_are_both_named() -> None:
    x, y = gx.tensor("x", ("n",)), gx.tensor("y", ("n",))
    with pytest.raises(ShapeError, match=r"so n would be 3; it is 2 \(y: .*, x: "):
        evaluate([x * y], {x: np.zeros(2), y: np.zeros(3)})
    with pytest.raises(ShapeError, match="so n would be 3; it is 2"):
        evaluate([y], {gx.dim("n"): 2, y: np.zeros(3)})


def test_size_without_a_value() -> None:
    with pytest.raises(ShapeError, match=r"the size n has no value .*hint: give a value"):
        evaluate([gx.asarray(gx.dim("n"))], {})


def test_sizes_assumed_equal_are_checked_and_a_symbolic_one_is_no_wildcard() -> None:
    x, y = gx.tensor("x", ("n",)), gx.tensor("y", ("m",))
    expr = x + y
    assert evaluate([expr], {x: np.ones(2), y: np.ones(2)})[0].tolist() == [2, 2]
    for n, m in ((2, 3), (1, 3), (3, 1)):
        with pytest.raises(ShapeError, match="add: shapes"):
            evaluate([expr], {x: np.ones(n), y: np.ones(m)})


# -- what is given ----------------------------------------------------------------------------------------------------
def test_casting_of_what_is_given() -> None:
    x, k = gx.tensor("x", (2,), "float32"), gx.tensor("k", (), "int8")
    assert evaluate([x], {x: np.array([1, 2], "int16")})[0].dtype == np.float32
    assert evaluate([x], {x: [1.5, 2]})[0].dtype == np.float32
    assert evaluate([x, k], {x: np.zeros(2, ">f4"), k: 3})[0].dtype == np.float32
    for node, value in ((x, np.ones(2)), (x, np.ones(2, complex)), (x, ["a", "b"]), (k, 1.5), (k, np.int64(1)), (k, 300), (x, [None, 1])):
        with pytest.raises(DTypeError):
            evaluate([node], {node: value})


def test_missing_and_foreign_values() -> None:
    x = gx.tensor("x", (2,))
    with pytest.raises(ArgumentError, match=r"a variable without a value \(x: f64\[2\], test_interp.py"):
        evaluate([x + 1], {})
    with pytest.raises(ArgumentError, match="neither a node nor a size"):
        evaluate([x], {"x": np.zeros(2)})


def test_any_node_may_be_given() -> None:
    x = gx.tensor("x", (2,))
    y = gx.exp(x)
    assert evaluate([y * 2], {y: np.array([1.0, 2.0])})[0].tolist() == [2, 4]
    assert evaluate([y, x], {y: np.array([1.0, 2.0]), x: np.zeros(2)})[0].tolist() == [1, 2]


def test_shared_state_has_its_current_value() -> None:
    w = gx.shared(np.array([1.0, 2.0]), "w", shape=("n",))
    x = gx.tensor("x", ("n",))
    assert eval(w * x, {x: [3, 4]}).tolist() == [3, 8]
    w.set_value(np.array([5.0, 6.0, 7.0]))
    assert eval(w * 1).tolist() == [5, 6, 7]
    assert eval(w * 2, {w: [1.0]}).tolist() == [2]
    with pytest.raises(ShapeError):
        eval(w * x, {x: [3, 4]})


# -- eval of trees ------------------------------------------------------------------------------------------------------
def test_eval_keeps_structure() -> None:
    x = gx.tensor("x", (2,))
    got = eval({"a": x + 1, "b": (x, None, [7])}, {x: [1, 2]})
    assert got["a"].tolist() == [2, 3] and got["b"][0].tolist() == [1, 2] and got["b"][1:] == (None, [7])
    assert (x * 2).eval({x: [1, 2]}).tolist() == [2, 4]


# -- checks of references -------------------------------------------------------------------------------------------------
def _op(ref: object, result: object) -> Op:
    return Op(name="planted", arity=1, params=(), doc="", type_rule=lambda x: result, ref=ref)  # type: ignore[arg-type]


def test_wrong_references_are_caught() -> None:
    x = gx.tensor("x", (2,))
    f64 = tensor_type(np.dtype("float64"), (2,))
    with pytest.raises(DTypeError, match="planted: the reference gave float32"):
        evaluate([make(_op(lambda v: v.astype("float32"), f64), (x,))], {x: [1, 2]})
    with pytest.raises(ShapeError, match=r"planted: the reference gave shape \(1,\)"):
        evaluate([make(_op(lambda v: v[:1], f64), (x,))], {x: [1, 2]})
    with pytest.raises(ArgumentError, match="planted has no reference"):
        evaluate([make(_op(None, f64), (x,))], {x: [1, 2]})


def test_several_outputs() -> None:
    x = gx.tensor("x", (2,))
    f64 = tensor_type(np.dtype("float64"), (2,))
    pair = make(_op(lambda v: (v + 1, v * 2), (f64, f64)), (x,))
    first = make(Op(name="first", arity=1, params=(), doc="", type_rule=lambda p: p[0], ref=lambda p: p[0]), (pair,))
    assert evaluate([first], {x: [1, 2]})[0].tolist() == [2, 3]


# -- long graphs ------------------------------------------------------------------------------------------------------------
def test_long_chain_without_recursion() -> None:
    x = gx.tensor("x", ("n",))
    expr = x
    for k in range(100_000):
        expr = gx.negative(expr) if k % 2 else gx.relu(expr)
    start = time.perf_counter()
    evaluate([expr], {x: np.ones(2)})
    assert time.perf_counter() - start < 30  # about 1 s; quadratic behaviour would take minutes


def test_values_are_freed_after_their_last_use() -> None:
    live: list[object] = []
    most = 0

    class Counted(np.ndarray):
        def __del__(self) -> None:
            live.pop()

    def step(v: np.ndarray) -> np.ndarray:
        nonlocal most
        live.append(None)
        most = max(most, len(live))
        return (np.asarray(v) + 1).view(Counted)

    x = gx.tensor("x", (2,))
    op = Op(name="step", arity=1, params=(), doc="", type_rule=lambda t: t, ref=step)
    expr = x
    for _ in range(50):
        expr = make(op, (expr,))
    assert evaluate([expr], {x: np.zeros(2)})[0].tolist() == [50, 50]
    assert most <= 3
