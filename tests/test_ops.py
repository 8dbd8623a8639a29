"""Every elementwise op of the registry: dtypes, values, derivatives to order 3, emitted bodies. A new row is tested without a word here."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest

import graphc  # noqa: F401  # fills the registry
from graphc import scalars
from graphc.derivatives.forward import push_forward
from graphc.derivatives.grad import pull_back
from graphc.dtypes import SHORT, as_dtype
from graphc.errors import DTypeError, GraphcError, ShapeError
from graphc.interp import evaluate
from graphc.ir import Node, Op
from graphc.ops import elementwise as ew
from graphc.ops.registry import OPS, asarray, tensor
from graphc.ops.rows import DTYPE_RULES, PUBLIC, apply
from graphc.ops.spread import broadcast_to
from tests import oracle

# the rows of the package, not those that another test has declared
ROWS = [op for op in OPS.values() if op.row is not None and op.row.emit.__module__.startswith("graphc.")]
FLOAT_ROWS = [op for op in ROWS if "f" in op.row.kinds]
SMOOTH = [op for op in ROWS if op.vjp is not None]
DTYPES = list(SHORT)
every_row = pytest.mark.parametrize("op", ROWS, ids=repr)
# each row with each dtype in which it computes
COMPUTED = [(op, d) for op in ROWS for d in DTYPES if DTYPE_RULES[op.row.dtype](d)[0] is d and d.kind in op.row.kinds]
every_dtype = pytest.mark.parametrize(("op", "dtype"), COMPUTED, ids=[f"{op}-{d}" for op, d in COMPUTED])
SPECIALS = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, -7.25, 1e-300, -1e300, math.inf, -math.inf, math.nan, 5e-324]
NARROW = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, -7.25, 1e-30, -1e30, math.inf, -math.inf, math.nan, 1e-45]


# -- what is sampled --------------------------------------------------------------------------------------------------
def domains(op: Op) -> list[tuple[float, float]]:
    domain = op.row.domain
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
        if op.row.dtype == "float" and len(set(dtypes)) > 1 and got != wanted:
            # NumPy looks for the narrowest loop that takes each, graphc promotes first: never narrower than NumPy
            assert got == np.float64 and wanted == np.float32, dtypes
        else:
            assert got == wanted, f"{op}{[d.name for d in dtypes]}: {got}, NumPy {wanted}"


@pytest.mark.parametrize("op", [op for op in ROWS if op.arity == 2], ids=repr)
def test_python_numbers_are_weak(op: Op) -> None:
    for dtype, number in itertools.product(DTYPES, (2, 2.5, True)):
        wanted = oracle.numpy_dtype(op.name, [np.ones(2, dtype), number])
        got = admitted(op, [tensor("x", (2,), dtype), number])
        if op.row.dtype == "float" and got != wanted:
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
    body = op.row.emit(scalars, *[scalars.arg(k, dtype) for k in range(op.arity)])
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
    body = OPS["power"].row.emit(scalars, scalars.arg(0, dtype), scalars.const(exponent, dtype))
    wanted = reference(OPS["power"], [x, np.full_like(x, exponent)])
    np.testing.assert_allclose(oracle.run_scalar(body, [x]), wanted, rtol=4 * np.finfo(dtype).eps if dtype.kind == "f" else 0)


@every_row
def test_shapes(op: Op) -> None:
    dtype = as_dtype("float64" if "f" in op.row.kinds else "int64")
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
        got = value(PUBLIC[op.name](row, column), [row, column], [a[:3], b[:4, None]])
        np.testing.assert_array_equal(got, reference(op, [a[:3], b[:4, None]]))
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
    for length in range(1, 4):
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


@pytest.mark.parametrize("op", [op for op in SMOOTH if op.traits.keeps_zeros], ids=repr)
def test_unit_rules_map_zero_to_zero(op: Op) -> None:
    arrays = crossed(op, np.dtype("float64"))
    nodes = inputs_of(arrays)
    parts = op.vjp(broadcast_to(asarray(0.0), nodes[0].shape), apply(op, nodes), *nodes)
    for got in evaluate(list(parts), dict(zip(nodes, arrays))):
        assert not got.any()


@pytest.mark.parametrize("op", [op for op in SMOOTH if op.traits.masks is not None], ids=repr)
def test_masked_cotangents_are_zero(op: Op) -> None:
    arrays = crossed(op, np.dtype("float64"))
    nodes = inputs_of(arrays)
    out = apply(op, nodes)
    parts, masks = op.vjp(ones(out), out, *nodes), op.traits.masks(out, *nodes)
    results = evaluate([*parts, *masks], dict(zip(nodes, arrays)))
    for part, mask in zip(results[: op.arity], results[op.arity :]):
        assert mask.dtype == bool and not part[~mask].any()


@pytest.mark.parametrize("op", SMOOTH, ids=repr)
def test_forward_mode(op: Op) -> None:
    arrays = samples(op, np.dtype("float64"), count=4)
    nodes = inputs_of(arrays)
    tangents = [tensor(f"t{k}", x.shape) for k, x in enumerate(nodes)]
    expr = apply(op, nodes)
    (pushed,) = push_forward([expr], dict(zip(nodes, tangents)))
    directions = np.random.default_rng(7).normal(size=(op.arity, 4))
    parts = evaluate([derived(expr, x) for x in nodes], dict(zip(nodes, arrays)))
    got = value(ew.zeros_as(expr) if pushed is None else pushed, nodes + tangents, arrays + list(directions))
    np.testing.assert_allclose(got, sum(p * t for p, t in zip(parts, directions)), rtol=1e-13)


SATURATING = ("sigmoid", "softplus", "log_sigmoid", "tanh", "erf", "erfc", "exp", "expm1", "exp2", "arctan", "arcsinh", "sin", "cos")


@pytest.mark.parametrize("name", SATURATING)
def test_derivatives_are_finite_where_the_function_is(name: str) -> None:
    """To order 3 far out and near 0, also where an intermediate value over- or underflows."""
    data = np.array([-1e200, -1000.0, -30.0, -1e-300, 0.0, 1e-300, 30.0, 1000.0, 1e200])
    if name in ("exp", "expm1", "exp2"):
        data = data[data < 100]
    x = tensor("x", data.shape)
    expr = apply(OPS[name], [x])
    for order in (1, 2, 3):
        expr = derived(expr, x)
        got = value(expr, [x], [data])
        assert np.isfinite(got).all()
        moderate = np.abs(data) <= 1000  # beyond it the differences of the oracle vanish
        wanted = [oracle.derivative(name, (v,), (order,)) for v in data[moderate].tolist()]
        np.testing.assert_allclose(got[moderate], wanted, rtol=1e-10, atol=1e-15)


def test_comparisons_and_bits_are_not_differentiable() -> None:
    assert {op.name for op in ROWS if op.vjp is None and "f" in op.row.kinds} == {
        "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "logical_and", "logical_or", "logical_xor", "logical_not",
        "isnan", "isinf", "isfinite",
    }  # fmt: skip
