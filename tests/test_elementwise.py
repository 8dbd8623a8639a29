"""Derivatives at kinks and of powers, and the public functions that are more than their row: where, clip, round, astype, operators."""

from __future__ import annotations

import itertools
import math
import operator

import numpy as np
import pytest

import graphc as gx
from graphc import scalars
from graphc.dtypes import as_dtype
from graphc.errors import ShapeError
from graphc.interp import evaluate
from graphc.ops import elementwise as ew
from graphc.ops.registry import OPS, asarray, tensor
from graphc.ops.rows import apply
from graphc.ops.spread import astype, broadcast_to
from tests import oracle
from tests.test_ops import derived, ones, value

INF, NAN = math.inf, math.nan
KINKS = [
    # op, arguments, its derivative by each (None: not stated)
    ("relu", (0.0,), (0.0,)), ("relu", (-0.0,), (0.0,)), ("abs", (0.0,), (0.0,)), ("abs", (-0.0,), (0.0,)), ("sign", (0.0,), (0.0,)),
    ("round", (0.5,), (0.0,)), ("round", (1.5,), (0.0,)), ("floor", (1.0,), (0.0,)), ("ceil", (1.0,), (0.0,)), ("trunc", (-1.0,), (0.0,)),
    ("floor_divide", (4.0, 2.0), (0.0, 0.0)), ("mod", (4.0, 2.0), (1.0, -2.0)), ("maximum", (1.0, 1.0), (0.5, 0.5)),
    ("minimum", (1.0, 1.0), (0.5, 0.5)), ("maximum", (0.0, -0.0), (0.5, 0.5)), ("maximum", (INF, INF), (0.5, 0.5)),
    ("maximum", (2.0, 1.0), (1.0, 0.0)), ("minimum", (2.0, 1.0), (0.0, 1.0)), ("clip", (-1.0, -1.0, 1.0), (1.0, 0.0, 0.0)),
    ("clip", (1.0, -1.0, 1.0), (1.0, 0.0, 0.0)), ("clip", (2.0, -1.0, 1.0), (0.0, 0.0, 1.0)),
    ("clip", (-2.0, -1.0, 1.0), (0.0, 1.0, 0.0)), ("clip", (0.0, 1.0, -1.0), (0.0, 0.0, 1.0)),
    ("clip", (-2.0, 1.0, -1.0), (0.0, 0.0, 1.0)), ("sqrt", (0.0,), (INF,)), ("log", (0.0,), (INF,)), ("log2", (0.0,), (INF,)),
    ("log10", (0.0,), (INF,)), ("log1p", (-1.0,), (INF,)), ("rsqrt", (0.0,), (-INF,)), ("reciprocal", (0.0,), (-INF,)),
    ("arccos", (1.0,), (-INF,)), ("arccos", (-1.0,), (-INF,)), ("arcsin", (1.0,), (INF,)), ("arccosh", (1.0,), (INF,)),
    ("arctanh", (1.0,), (INF,)), ("power", (0.0, 0.0), (0.0, 0.0)), ("power", (5e-324, 0.0), (0.0, None)),
    ("power", (NAN, 0.0), (0.0, None)), ("power", (INF, 0.0), (0.0, None)), ("power", (0.0, 0.5), (INF, 0.0)),
    ("power", (0.0, 1.0), (1.0, 0.0)), ("power", (0.0, 2.0), (0.0, 0.0)), ("power", (0.0, 2.5), (0.0, 0.0)),
    ("power", (-2.0, 3.0), (12.0, None)), ("power", (-2.0, 0.0), (0.0, None)), ("power", (-2.0, -1.0), (-0.25, None)),
    ("xlogy", (0.0, 0.0), (-INF, 0.0)), ("xlogy", (0.0, 2.0), (math.log(2.0), 0.0)), ("xlogy", (2.0, 0.0), (-INF, INF)),
    ("logaddexp", (-INF, -INF), (0.5, 0.5)), ("logaddexp", (INF, INF), (0.5, 0.5)), ("logaddexp", (-INF, 1.0), (0.0, 1.0)),
    ("logaddexp", (1000.0, 0.0), (1.0, 0.0)), ("logaddexp", (0.0, 1000.0), (0.0, 1.0)), ("softplus", (-1000.0,), (0.0,)),
    ("softplus", (1000.0,), (1.0,)), ("log_sigmoid", (-1000.0,), (1.0,)), ("log_sigmoid", (1000.0,), (0.0,)),
    ("sigmoid", (-1000.0,), (0.0,)), ("sigmoid", (1000.0,), (0.0,)), ("tanh", (1000.0,), (0.0,)), ("tanh", (INF,), (0.0,)),
    ("exp", (-INF,), (0.0,)), ("expm1", (-40.0,), (math.exp(-40.0),)), ("divide", (1e200, 1e200), (1e-200, -1e-200)),
    ("divide", (1e-200, 1e-200), (1e200, -1e200)), ("arctan2", (1e200, 1e200), (5e-201, -5e-201)),
    ("arctan2", (1e-200, 1e-200), (5e199, -5e199)), ("arctan2", (0.0, -1.0), (-1.0, 0.0)), ("arctan2", (1.0, 0.0), (0.0, -1.0)),
    ("erf", (INF,), (0.0,)), ("erfc", (INF,), (0.0,)), ("arctan", (INF,), (0.0,)), ("square", (0.0,), (0.0,)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "point", "wanted"), KINKS)
def test_kinks(name: str, point: tuple[float, ...], wanted: tuple[float | None, ...]) -> None:
    nodes = [tensor(f"x{k}") for k in range(len(point))]
    expr = apply(OPS[name], nodes)
    got = evaluate([derived(expr, x) for x in nodes], dict(zip(nodes, map(np.float64, point))))
    for k, (a, b) in enumerate(zip(got, wanted)):
        if b is not None:
            np.testing.assert_allclose(a, b, rtol=1e-14, err_msg=f"by argument {k}")


def falling(y: float, k: int) -> float:
    return math.prod(y - j for j in range(k))


@pytest.mark.parametrize("x", [0.0, -1.5, 2.0])
@pytest.mark.parametrize("y", [0, 1, 2, 3, 4, 2.0, 3.0])
@pytest.mark.parametrize("spelling", ["weak", "array", "variable"])
def test_power_by_its_base(x: float, y: float, spelling: str) -> None:
    base, exponent = tensor("x", ("n",)), tensor("y", ("n",))
    expr = base ** {"weak": y, "array": np.float64(y), "variable": exponent}[spelling]
    for k in range(1, 4):
        expr = derived(expr, base)
        factor = falling(y, k)
        wanted = factor * x ** (y - k) if factor else 0.0
        np.testing.assert_allclose(value(expr, [base, exponent], [np.array([x]), np.array([float(y)])]), [wanted], rtol=1e-14)


def test_power_by_its_exponent_at_zero() -> None:
    y = tensor("y")
    for k, base in itertools.product(range(1, 4), (0.0, 2.0)):
        expr = asarray(base) ** y
        for _ in range(k):
            expr = derived(expr, y)
        wanted = 2.0**3 * math.log(2.0) ** k if base else 0.0
        np.testing.assert_allclose(value(expr, [y], [np.float64(3.0)]), wanted, rtol=1e-14)


def test_mixed_derivative_of_power_at_exponent_zero() -> None:
    """d/dx d/dy x**y at y = 0 is 1 / x, in either order."""
    x, y = tensor("x"), tensor("y")
    for first, second in ((x, y), (y, x)):
        expr = derived(derived(x**y, first), second)
        assert value(expr, [x, y], [np.float64(4.0), np.float64(0.0)]) == 0.25


def test_weak_exponent_keeps_single_precision() -> None:
    x = tensor("x", (3,), "float32")
    assert (x**2).dtype == np.float32 and derived(x**2, x).dtype == np.float32
    data = np.array([1.1, -2.7, 3.3], np.float32)
    np.testing.assert_array_equal(value(x**2, [x], [data]), data * data)
    np.testing.assert_array_equal(value(derived(x**2, x), [x], [data]), 2 * data)


def test_rule_of_a_constant_power_has_no_logarithm() -> None:
    x = tensor("x", (3,))
    g = tensor("g", (3,))
    for y in (0, 1, 2, 3, 0.5, -1, -2.5):
        expr = broadcast_to(asarray(y, x.dtype), x.shape)
        dx, dy = OPS["power"].vjp(g, ew.power(x, y), x, expr)
        assert dy is None and (dx is g) == (y == 1)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_branch_not_taken_has_no_derivative(order: int) -> None:
    x = tensor("x", (4,))
    data = np.array([0.0, -1.0, 1.0, 4.0])
    for safe, slope in [
        (ew.where(x > 0, ew.sqrt(x), 0.0), [0.5 * data[2:] ** -0.5, -0.25 * data[2:] ** -1.5, 0.375 * data[2:] ** -2.5]),
        (ew.where(x > 0, ew.log(x), x), [1 / data[2:], -(data[2:] ** -2.0), 2 * data[2:] ** -3.0]),
        (ew.where(x > 0, 1 / x, 0.0), [-(data[2:] ** -2.0), 2 * data[2:] ** -3.0, -6 * data[2:] ** -4.0]),
    ]:
        expr = safe
        for _ in range(order):
            expr = derived(expr, x)
        got = value(expr, [x], [data])
        np.testing.assert_allclose(got[2:], slope[order - 1], rtol=1e-13)
        assert np.isfinite(got[:2]).all()


# -- where, stop_gradient, clip, round, cast ----------------------------------------------------------------------------
def test_where_is_numpys() -> None:
    c, a, b = tensor("c", ("n", 1), "bool"), tensor("a", (3,), "float32"), tensor("b", ("n", 3), "int8")
    data = [np.array([[True], [False]]), np.array([1, 2, np.nan], "float32"), np.arange(6, dtype="int8").reshape(2, 3)]
    got, wanted = value(ew.where(c, a, b), [c, a, b], data), np.where(*data)
    assert got.dtype == wanted.dtype
    np.testing.assert_array_equal(got, wanted)
    assert ew.where(c, a, 0).dtype == np.float32 and ew.where(c, b, 2.0).dtype == np.float64 and ew.where(c, 1, 2).dtype == np.int64
    np.testing.assert_array_equal(value(ew.where(a, 1, 2), [a], [data[1]]), [1, 1, 1])
    with pytest.raises(ShapeError):
        ew.where(c, a, tensor("d", (4,)))


def test_where_has_masked_derivatives_of_order_three() -> None:
    c, a = tensor("c", (3,), "bool"), tensor("a", (3,))
    expr = ew.where(c, a * a * a, a)
    for wanted in ([12.0, 1.0, 27.0], [12.0, 0.0, 18.0], [6.0, 0.0, 6.0]):
        expr = derived(expr, a)
        np.testing.assert_array_equal(value(expr, [c, a], [np.array([True, False, True]), np.array([2.0, 5.0, 3.0])]), wanted)


def test_stop_gradient() -> None:
    x = tensor("x", (3,))
    assert value(derived(x * ew.stop_gradient(x), x), [x], [np.arange(3.0)]).tolist() == [0.0, 1.0, 2.0]
    stopped = ew.stop_gradient(x)
    assert stopped.op.traits.stops and not value(stopped.op.vjp(ones(x), stopped, x)[0], [x], [np.arange(3.0)]).any()


def test_clip_bounds() -> None:
    data = np.array([-5, -1, 0, 1, 5])
    for dtype, low, high in itertools.product(("float32", "int8", "int64"), (None, -1), (None, 1)):
        x, array = tensor("x", (5,), dtype), data.astype(dtype)
        got = value(ew.clip(x, low, high), [x], [array])
        assert got.dtype == array.dtype
        np.testing.assert_array_equal(got, np.clip(array, low, high) if (low, high) != (None, None) else array)
    x = tensor("x", (5,))
    np.testing.assert_array_equal(value(ew.clip(x, min=0.0), [x], [data * 1.0]), np.clip(data, 0, None))
    np.testing.assert_array_equal(value(derived(ew.clip(x, None, 1.0), x), [x], [data * 1.0]), [1, 1, 1, 1, 0])
    with pytest.raises(TypeError):
        ew.clip(x, 0.0, min=1.0)


def test_round_decimals() -> None:
    data = np.array([0.5, 1.5, 2.5, -0.5, 1.2345, -123.456, 15.0, 25.0])
    x, k = tensor("x", (8,)), tensor("k", (4,), "int32")
    for decimals in (-2, -1, 0, 1, 2, 3):
        np.testing.assert_array_equal(value(ew.round(x, decimals), [x], [data]), np.round(data, decimals))
        whole = np.array([15, 25, -149, 1234], "int32")
        got = value(ew.round(k, decimals), [k], [whole])
        assert got.dtype == np.int32
        np.testing.assert_array_equal(got, np.round(whole, decimals))


def test_cast_saturates() -> None:
    data = np.array([1.9, -1.9, np.nan, np.inf, -np.inf, 1e20, -1e20, 300.0])
    x = tensor("x", (8,))
    for dtype in ("int8", "uint8", "int32", "int64", "uint64"):
        info = np.iinfo(dtype)
        wanted = [0 if math.isnan(v) else max(info.min, min(info.max, v if math.isinf(v) else int(v))) for v in data.tolist()]
        assert value(astype(x, dtype), [x], [data]).tolist() == wanted
        body = scalars.arg(0, x.dtype).cast(as_dtype(dtype))
        assert oracle.run_scalar(body, [data]).tolist() == wanted
    flags = value(astype(x, "bool"), [x], [np.array([0.0, -0.0, np.nan, 1, 2, 3, 0.1, 0])])
    assert flags.tolist() == [False, False, True, True, True, True, True, False]


def test_operators() -> None:
    x, k = tensor("x", (4,)), tensor("k", (4,), "int16")
    data, whole = np.array([1.5, -2.5, 3.0, 7.0]), np.array([5, -3, 2, 7], "int16")
    for op in (operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow):
        np.testing.assert_allclose(value(op(x, 2), [x], [data]), op(data, 2))
        np.testing.assert_allclose(value(op(2.0, x), [x], [data]), op(2.0, data))
    for op in (operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift):
        np.testing.assert_array_equal(value(op(k, 2), [k], [whole]), op(whole, 2))
        np.testing.assert_array_equal(value(op(k, k), [k], [whole]), op(whole, whole))
    for op in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne):
        np.testing.assert_array_equal(value(op(x, 1.5), [x], [data]), op(data, 1.5))
    for op in (operator.neg, operator.abs, operator.invert):
        np.testing.assert_array_equal(value(op(k), [k], [whole]), op(whole))


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64"])
def test_a_negative_integer_power_of_an_integer(dtype: str) -> None:
    """NumPy raises; here 1 / x**n rounded towards 0, and 0 at 0, as the documentation of `power` says: by value and by number."""
    values = np.array([0, 1, -1, 2, -2, 7], dtype)
    with pytest.raises(ValueError, match="negative integer powers"):
        values**-1
    assert "unlike NumPy" in (gx.power.__doc__ or "")
    x, n = gx.tensor("x", (6,), dtype), gx.tensor("n", (), dtype)
    for power, expected in [(-1, [0, 1, -1, 0, 0, 0]), (-2, [0, 1, 1, 0, 0, 0])]:
        for out, given in [(x**power, [values]), (x**n, [values, np.array(power, dtype)])]:
            np.testing.assert_array_equal(gx.function([x, n][: len(given)], out)(*given), expected)


def test_lanes_run_along_memory_however_often_a_column_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stage of a long chain reads the element of its row again: that is one element, and no reason for lanes along the rows.

    In a kernel over whole rows: in blocks, the column would be spread over the rows first.
    """
    monkeypatch.setattr("graphc.passes.pipeline.block", lambda program, cache: program)
    x, c = gx.tensor("x", ("n", "m"), "float32"), gx.tensor("c", ("n", 1), "float32")
    y = x
    for _ in range(9):
        y = gx.tanh(y * 0.9 + 0.1) * c
        y = y + 0.01 * gx.sin(y)
    loops = gx.function([x, c], y).loops
    assert "for i1 in m (vector" in loops and "for i0 in n (vector" not in loops
