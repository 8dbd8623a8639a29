"""Every elementwise op of the registry: dtypes, values, derivatives to order 3, emitted bodies. A new row is tested without a word here."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Sequence

import numpy as np
import pytest

import graphc  # noqa: F401  # fills the registry
from graphc import scalar
from graphc.dtypes import SHORT, as_dtype
from graphc.errors import DTypeError, GraphcError, ShapeError
from graphc.grad import pull_back
from graphc.interp import evaluate
from graphc.ir import Node, Op
from graphc.ops import elementwise as ew
from graphc.ops.registry import OPS, asarray, tensor
from graphc.ops.rows import DTYPE_RULES, PUBLIC, apply
from graphc.ops.spread import astype, broadcast_to
from tests import oracle

ROWS = [op for op in OPS.values() if op.elementwise and "domain" in op.facts]
FLOAT_ROWS = [op for op in ROWS if "f" in op.facts["kinds"]]
SMOOTH = [op for op in ROWS if op.vjp is not None]
DTYPES = list(SHORT)
every_row = pytest.mark.parametrize("op", ROWS, ids=repr)
# each row with each dtype in which it computes
COMPUTED = [(op, d) for op in ROWS for d in DTYPES if DTYPE_RULES[op.facts["dtype"]](d)[0] is d and d.kind in op.facts["kinds"]]
every_dtype = pytest.mark.parametrize(("op", "dtype"), COMPUTED, ids=[f"{op}-{d}" for op, d in COMPUTED])
SPECIALS = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, -7.25, 1e-300, -1e300, math.inf, -math.inf, math.nan, 5e-324]
NARROW = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, -7.25, 1e-30, -1e30, math.inf, -math.inf, math.nan, 1e-45]


# -- what is sampled --------------------------------------------------------------------------------------------------
def domains(op: Op) -> list[tuple[float, float]]:
    domain = op.facts["domain"]
    return [domain] * op.arity if isinstance(domain[0], (int, float)) else list(domain)


def samples(op: Op, dtype: np.dtype, count: int = 12, seed: int = 0) -> list[np.ndarray]:
    """Arguments within the op's domain; for integers the extremes too."""
    random = np.random.default_rng([seed, *op.name.encode()])
    if dtype.kind == "f":
        return [random.uniform(*d, count).astype(dtype) for d in domains(op)]
    if dtype.kind == "b":
        return [random.integers(0, 2, count).astype(dtype) for _ in range(op.arity)]
    info = np.iinfo(dtype)
    edges = [info.min, info.max, 0, 1, info.max if dtype.kind == "u" else -1, 2, 3, 7, info.max // 3, 64, 100]
    rows = list(itertools.product(edges, repeat=op.arity))[:2000]
    return [np.array(column, dtype) for column in zip(*rows)]


def crossed(op: Op, dtype: np.dtype) -> list[np.ndarray]:
    """All combinations of the special values of floats."""
    grid = SPECIALS if dtype == np.float64 else NARROW
    rows = list(itertools.product(grid, repeat=op.arity))
    return [np.array(column, dtype) for column in zip(*rows)]


def reference(op: Op, arrays: Sequence[np.ndarray]) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.asarray(op.ref(*arrays))


def inputs_of(arrays: Sequence[np.ndarray]) -> list[Node]:
    return [tensor(f"x{k}", a.shape, a.dtype) for k, a in enumerate(arrays)]


def value(expr: Node, nodes: Sequence[Node], arrays: Sequence[np.ndarray]) -> np.ndarray:
    return evaluate([expr], dict(zip(nodes, arrays)))[0]


def ones(x: Node) -> Node:
    return broadcast_to(asarray(1.0, x.dtype), x.shape)


def derived(expr: Node, wrt: Node) -> Node:
    """The sum of expr's derivatives by one variable, of the rules as they are written."""
    found = pull_back([(expr, ones(expr))], {wrt})
    return found[wrt] if wrt in found else broadcast_to(asarray(0.0, wrt.dtype), wrt.shape)


def close(got: object, wanted: object, dtype: np.dtype, ulps: float = 8) -> None:
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(got, wanted, rtol=ulps * eps, atol=float(np.finfo(dtype).smallest_subnormal) * 2)


# -- dtypes -----------------------------------------------------------------------------------------------------------
def admitted(op: Op, arguments: Sequence[object]) -> np.dtype | None:
    try:
        return apply(op, arguments).dtype  # type: ignore[arg-type]
    except DTypeError:
        return None


@every_row
def test_dtypes_are_numpys(op: Op) -> None:
    oracle.numpy_function(op.name)
    for dtypes in itertools.product(DTYPES, repeat=min(op.arity, 2)):
        dtypes = (*dtypes, *dtypes[1:] * (op.arity - 2))
        wanted = oracle.numpy_dtype(op.name, [np.ones(2, d) for d in dtypes])
        got = admitted(op, [tensor("x", (2,), d) for d in dtypes])
        if op.facts["dtype"] == "float" and len(set(dtypes)) > 1 and got != wanted:
            # NumPy looks for the narrowest loop that takes each, graphc promotes first: never narrower than NumPy
            assert got == np.float64 and wanted == np.float32, dtypes
        else:
            assert got == wanted, f"{op}{[d.name for d in dtypes]}: {got}, NumPy {wanted}"


@pytest.mark.parametrize("op", [op for op in ROWS if op.arity == 2], ids=repr)
def test_python_numbers_are_weak(op: Op) -> None:
    for dtype, number in itertools.product(DTYPES, (2, 2.5, True)):
        wanted = oracle.numpy_dtype(op.name, [np.ones(2, dtype), number])
        got = admitted(op, [tensor("x", (2,), dtype), number])
        if op.facts["dtype"] == "float" and got != wanted:
            assert got == np.float64 and wanted == np.float32
        else:
            assert got == wanted, f"{op}({dtype.name}, {number}): {got}, NumPy {wanted}"


# -- values -----------------------------------------------------------------------------------------------------------
@every_dtype
def test_reference_is_right(op: Op, dtype: np.dtype) -> None:
    arrays = samples(op, dtype)
    got = reference(op, arrays)
    assert got.dtype == op.type_rule(*[tensor("x", (2,), dtype).type] * op.arity).dtype
    exact = oracle.values(op.name, arrays)
    if got.dtype.kind == "f":
        close(got, np.array([float(v) for v in exact]).astype(dtype), dtype)
    elif got.dtype.kind == "b":
        np.testing.assert_array_equal(got, [bool(v) for v in exact])
    else:
        modulus = 1 << dtype.itemsize * 8
        np.testing.assert_array_equal(got, np.array([int(v) % modulus for v in exact], f"u{dtype.itemsize}").view(dtype))


@pytest.mark.parametrize("op", FLOAT_ROWS, ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_special_values_are_numpys(op: Op, dtype: str) -> None:
    arrays = crossed(op, np.dtype(dtype))
    with np.errstate(all="ignore"):
        wanted = np.asarray(oracle.numpy_function(op.name)(*arrays))
    got = reference(op, arrays)
    if got.dtype.kind == "b":
        np.testing.assert_array_equal(got, wanted)
        return
    close(got, wanted, got.dtype)
    signed = (wanted == 0) & (op.name not in ("maximum", "minimum", "clip", "relu"))  # of 0 and -0 either is an extreme
    np.testing.assert_array_equal(np.signbit(got[signed]), np.signbit(wanted[signed]))


@every_dtype
def test_body_says_what_the_reference_says(op: Op, dtype: np.dtype) -> None:
    body = op.facts["emit"](scalar, *[scalar.arg(k, dtype) for k in range(op.arity)])
    for arrays in [samples(op, dtype)] + ([crossed(op, dtype)] if dtype.kind == "f" else []):
        got, wanted = oracle.run_scalar(body, arrays), reference(op, arrays)
        assert got.dtype == wanted.dtype
        if wanted.dtype.kind == "f":
            close(got, wanted, dtype)
        else:
            np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d.kind != "b"], ids=lambda d: d.name)
@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 5, 13, -1, -2])
def test_body_of_a_constant_power(dtype: np.dtype, exponent: int) -> None:
    if dtype.kind == "u" and exponent < 0:
        pytest.skip("no such exponent")
    x = np.array([0, 1, 2, 3, 5, 100] + ([-1, -2, -3, -128] if dtype.kind != "u" else []), dtype)
    body = OPS["power"].facts["emit"](scalar, scalar.arg(0, dtype), scalar.const(exponent, dtype))
    wanted = reference(OPS["power"], [x, np.full_like(x, exponent)])
    np.testing.assert_allclose(oracle.run_scalar(body, [x]), wanted, rtol=4 * np.finfo(dtype).eps if dtype.kind == "f" else 0)


@every_row
def test_shapes(op: Op) -> None:
    dtype = as_dtype("float64" if "f" in op.facts["kinds"] else "int64")
    symbolic = [tensor(f"x{k}", ("n", 3), dtype) for k in range(op.arity)]
    expr = PUBLIC[op.name](*symbolic)
    assert expr.op is op and expr.shape == symbolic[0].shape
    for n in (0, 1, 5):
        arrays = [np.resize(a, (n, 3)) for a in samples(op, dtype)]
        np.testing.assert_array_equal(value(expr, symbolic, arrays), reference(op, arrays))
    scalars = [tensor("x", (), dtype) for _ in range(op.arity)]
    got = value(PUBLIC[op.name](*scalars), scalars, [a[0] for a in samples(op, dtype)])
    assert isinstance(got, np.ndarray) and got.shape == ()
    if op.arity == 2:
        row, column = tensor("row", (3,), dtype), tensor("column", ("n", 1), dtype)
        a, b = samples(op, dtype)
        np.testing.assert_array_equal(value(PUBLIC[op.name](row, column), [row, column], [a[:3], b[:4, None]]), reference(op, [a[:3], b[:4, None]]))
        with pytest.raises(ShapeError, match=op.name):
            PUBLIC[op.name](row, tensor("other", (4,), dtype))


@every_row
def test_wrong_number_of_arguments(op: Op) -> None:
    with pytest.raises((GraphcError, TypeError)):
        PUBLIC[op.name](*[1.0] * (op.arity + 3))


# -- derivatives ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("op", SMOOTH, ids=repr)
def test_derivatives_to_order_three(op: Op) -> None:
    """Every sequence of up to three partial derivatives against mpmath: what the rules say of each other's results too."""
    arrays = samples(op, np.dtype("float64"), count=3)
    nodes = inputs_of(arrays)
    exprs = {(): apply(op, nodes)}
    for length in (1, 2, 3):
        for path in itertools.product(range(op.arity), repeat=length):
            exprs[path] = derived(exprs[path[:-1]], nodes[path[-1]])
    del exprs[()]
    results = dict(zip(exprs, evaluate(list(exprs.values()), dict(zip(nodes, arrays)))))
    known: dict[tuple[int, ...], list[float]] = {}
    for path, got in results.items():
        orders = tuple(path.count(k) for k in range(op.arity))
        if orders not in known:
            known[orders] = [oracle.derivative(op.name, point, orders) for point in zip(*[a.tolist() for a in arrays])]
        np.testing.assert_allclose(got, known[orders], rtol=1e-11, atol=1e-13, err_msg=f"{op}, derivative by {path}")


@pytest.mark.parametrize("op", SMOOTH, ids=repr)
def test_derivatives_in_single_precision(op: Op) -> None:
    arrays = samples(op, np.dtype("float32"), count=4)
    nodes = inputs_of(arrays)
    for k, x in enumerate(nodes):
        got = value(derived(apply(op, nodes), x), nodes, arrays)
        orders = [int(j == k) for j in range(op.arity)]
        wanted = [oracle.derivative(op.name, point, orders) for point in zip(*[a.tolist() for a in arrays])]
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("op", SMOOTH, ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cotangents_have_the_types_of_inputs(op: Op, dtype: str) -> None:
    nodes = [tensor(f"x{k}", ("n", 3), dtype) for k in range(op.arity)]
    out = apply(op, nodes)
    parts = op.vjp(tensor("g", ("n", 3), dtype), out, *nodes)
    assert len(parts) == op.arity
    assert all(p is not None and p.type is x.type for p, x in zip(parts, nodes))


@pytest.mark.parametrize("op", [op for op in SMOOTH if op.facts.get("unit")], ids=repr)
def test_unit_rules_map_zero_to_zero(op: Op) -> None:
    arrays = crossed(op, np.dtype("float64"))
    nodes = inputs_of(arrays)
    parts = op.vjp(broadcast_to(asarray(0.0), nodes[0].shape), apply(op, nodes), *nodes)
    for got in evaluate(list(parts), dict(zip(nodes, arrays))):
        assert not got.any()


@pytest.mark.parametrize("op", [op for op in SMOOTH if "masks" in op.facts], ids=repr)
def test_masked_cotangents_are_zero(op: Op) -> None:
    arrays = crossed(op, np.dtype("float64"))
    nodes = inputs_of(arrays)
    out = apply(op, nodes)
    parts, masks = op.vjp(ones(out), out, *nodes), op.facts["masks"](out, *nodes)
    results = evaluate([*parts, *masks], dict(zip(nodes, arrays)))
    for part, mask in zip(results[: op.arity], results[op.arity :]):
        assert mask.dtype == bool and not part[~mask].any()


def test_comparisons_and_bits_are_not_differentiable() -> None:
    assert {op.name for op in ROWS if op.vjp is None and "f" in op.facts["kinds"]} == {
        "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "logical_and", "logical_or", "logical_xor", "logical_not",
        "isnan", "isinf", "isfinite",
    }  # fmt: skip


INF, NAN = math.inf, math.nan
KINKS = [
    # op, arguments, its derivative by each (None: not stated)
    ("relu", (0.0,), (0.0,)), ("relu", (-0.0,), (0.0,)), ("abs", (0.0,), (0.0,)), ("abs", (-0.0,), (0.0,)), ("sign", (0.0,), (0.0,)),
    ("round", (0.5,), (0.0,)), ("round", (1.5,), (0.0,)), ("floor", (1.0,), (0.0,)), ("ceil", (1.0,), (0.0,)), ("trunc", (-1.0,), (0.0,)),
    ("floor_divide", (4.0, 2.0), (0.0, 0.0)), ("mod", (4.0, 2.0), (1.0, -2.0)),
    ("maximum", (1.0, 1.0), (0.5, 0.5)), ("minimum", (1.0, 1.0), (0.5, 0.5)), ("maximum", (0.0, -0.0), (0.5, 0.5)),
    ("maximum", (INF, INF), (0.5, 0.5)), ("maximum", (2.0, 1.0), (1.0, 0.0)), ("minimum", (2.0, 1.0), (0.0, 1.0)),
    ("clip", (-1.0, -1.0, 1.0), (1.0, 0.0, 0.0)), ("clip", (1.0, -1.0, 1.0), (1.0, 0.0, 0.0)), ("clip", (2.0, -1.0, 1.0), (0.0, 0.0, 1.0)),
    ("clip", (-2.0, -1.0, 1.0), (0.0, 1.0, 0.0)), ("clip", (0.0, 1.0, -1.0), (0.0, 0.0, 1.0)), ("clip", (-2.0, 1.0, -1.0), (0.0, 0.0, 1.0)),
    ("sqrt", (0.0,), (INF,)), ("log", (0.0,), (INF,)), ("log2", (0.0,), (INF,)), ("log10", (0.0,), (INF,)), ("log1p", (-1.0,), (INF,)),
    ("rsqrt", (0.0,), (-INF,)), ("reciprocal", (0.0,), (-INF,)), ("arccos", (1.0,), (-INF,)), ("arccos", (-1.0,), (-INF,)),
    ("arcsin", (1.0,), (INF,)), ("arccosh", (1.0,), (INF,)), ("arctanh", (1.0,), (INF,)),
    ("power", (0.0, 0.0), (0.0, 0.0)), ("power", (5e-324, 0.0), (0.0, None)), ("power", (NAN, 0.0), (0.0, None)), ("power", (INF, 0.0), (0.0, None)),
    ("power", (0.0, 0.5), (INF, 0.0)), ("power", (0.0, 1.0), (1.0, 0.0)), ("power", (0.0, 2.0), (0.0, 0.0)), ("power", (0.0, 2.5), (0.0, 0.0)),
    ("power", (-2.0, 3.0), (12.0, None)), ("power", (-2.0, 0.0), (0.0, None)), ("power", (-2.0, -1.0), (-0.25, None)),
    ("xlogy", (0.0, 0.0), (-INF, 0.0)), ("xlogy", (0.0, 2.0), (math.log(2.0), 0.0)), ("xlogy", (2.0, 0.0), (-INF, INF)),
    ("logaddexp", (-INF, -INF), (0.5, 0.5)), ("logaddexp", (INF, INF), (0.5, 0.5)), ("logaddexp", (-INF, 1.0), (0.0, 1.0)),
    ("logaddexp", (1000.0, 0.0), (1.0, 0.0)), ("logaddexp", (0.0, 1000.0), (0.0, 1.0)),
    ("softplus", (-1000.0,), (0.0,)), ("softplus", (1000.0,), (1.0,)), ("log_sigmoid", (-1000.0,), (1.0,)), ("log_sigmoid", (1000.0,), (0.0,)),
    ("sigmoid", (-1000.0,), (0.0,)), ("sigmoid", (1000.0,), (0.0,)), ("tanh", (1000.0,), (0.0,)), ("tanh", (INF,), (0.0,)), ("exp", (-INF,), (0.0,)),
    ("expm1", (-40.0,), (math.exp(-40.0),)), ("divide", (1e200, 1e200), (1e-200, -1e-200)), ("divide", (1e-200, 1e-200), (1e200, -1e200)),
    ("arctan2", (1e200, 1e200), (5e-201, -5e-201)), ("arctan2", (1e-200, 1e-200), (5e199, -5e199)), ("arctan2", (0.0, -1.0), (-1.0, 0.0)),
    ("arctan2", (1.0, 0.0), (0.0, -1.0)), ("erf", (INF,), (0.0,)), ("erfc", (INF,), (0.0,)), ("arctan", (INF,), (0.0,)), ("square", (0.0,), (0.0,)),
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
    assert stopped.op.facts["stop"] and not value(stopped.op.vjp(ones(x), stopped, x)[0], [x], [np.arange(3.0)]).any()


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
        body = scalar.arg(0, x.dtype).cast(as_dtype(dtype))
        assert oracle.run_scalar(body, [data]).tolist() == wanted
    assert value(astype(x, "bool"), [x], [np.array([0.0, -0.0, np.nan, 1, 2, 3, 0.1, 0])]).tolist() == [False, False, True, True, True, True, True, False]


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
