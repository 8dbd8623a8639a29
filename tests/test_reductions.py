"""Reductions against NumPy and SciPy: values, dtypes, axes, odd values, derivatives to order 3, batch rules, loops, errors."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
from numpy.testing import assert_allclose, assert_array_equal

from graphc import dims
from graphc.derivatives.batch import batch
from graphc.derivatives.grad import pull_back
from graphc.errors import ArgumentError, ShapeError
from graphc.interp import evaluate
from graphc.ir import Node, toposort
from graphc.ops import cumulate as cu
from graphc.ops import reductions as gx
from graphc.ops.elementwise import sqrt, where
from graphc.ops.registry import OPS, tensor
from graphc.ops.spread import reduce
from tests.derivatives import check_derivatives, dot, gradient
from tests.loop_eval import run_loop

RNG = np.random.default_rng(1)
X = RNG.normal(size=(2, 3, 4))
DTYPES = ["bool", "int8", "int32", "int64", "uint8", "uint32", "uint64", "float32", "float64"]
NUMPY = {name: getattr(np, name) for name in gx.__all__ if hasattr(np, name)}
MOMENTS = ("sum", "prod", "mean", "var", "std")
TRUTH = ("any", "all", "count_nonzero")
inf, nan = np.inf, np.nan


def value(f, *arrays, **options):
    """f of variables with these values."""
    given = [np.asarray(a) for a in arrays]
    nodes = [tensor(f"x{k}", a.shape, a.dtype) for k, a in enumerate(given)]
    return evaluate([f(*nodes, **options)], dict(zip(nodes, given)))[0]


def same(ours: np.ndarray, theirs: object, rtol: float = 1e-12) -> None:
    theirs = np.asarray(theirs)
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    assert_allclose(ours, theirs, rtol=1e-5 if theirs.dtype == np.float32 else rtol, atol=0)


def samples(dtype: str, shape=(2, 3, 4)) -> np.ndarray:
    if dtype == "bool":
        return RNG.random(shape) < 0.6
    low = 0 if dtype.startswith("u") else -5
    return RNG.integers(low, 6, shape).astype(dtype) + (RNG.random(shape).astype(dtype) if "float" in dtype else 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted({*MOMENTS, *TRUTH, "max", "min", "argmax", "argmin", "cumsum", "cumprod"}))
def test_dtypes_are_those_of_numpy(name: str, dtype: str) -> None:
    x = samples(dtype)
    same(value(getattr(gx, name), x, axis=1), NUMPY[name](x, axis=1))


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (-1, 0), (1,), (0, 1, 2), ()])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", [*MOMENTS, *TRUTH, "max", "min"])
def test_axes(name: str, axis, keepdims: bool) -> None:
    same(value(getattr(gx, name), X, axis=axis, keepdims=keepdims), NUMPY[name](X, axis=axis, keepdims=keepdims))


@pytest.mark.parametrize("axis", [None, 0, -1])
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_positions(name: str, axis) -> None:
    x = np.array([[3.0, 1, 3, 1], [0, nan, 2, nan], [5, 5, 0, 0]])
    for keepdims in (False, True):
        assert_array_equal(value(getattr(gx, name), x, axis=axis, keepdims=keepdims), NUMPY[name](x, axis=axis, keepdims=keepdims))
    several = value(getattr(gx, name), X, axis=(0, 2))
    assert_array_equal(several, NUMPY[name](X.transpose(1, 0, 2).reshape(3, 8), axis=1))


def test_scalars_and_size_one() -> None:
    for name in [*MOMENTS, *TRUTH, "max", "min", "argmax", "logsumexp", "norm"]:
        theirs = scipy.special.logsumexp if name == "logsumexp" else NUMPY.get(name, lambda x: np.abs(x))
        assert_allclose(value(getattr(gx, name), np.float64(-2.5)), theirs(np.float64(-2.5)))
        if name != "norm":
            assert_allclose(value(getattr(gx, name), np.full((1, 1), 3.0)), theirs(np.full((1, 1), 3.0)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("shape,axis", [((0,), None), ((0, 3), 0), ((3, 0), 0), ((3, 0), 1)])
def test_empty(shape, axis) -> None:
    x = np.zeros(shape)
    for name in [*MOMENTS, *TRUTH, "cumsum", "cumprod"]:
        same(value(getattr(gx, name), x, axis=axis), NUMPY[name](x, axis=axis))
    empty = 0 in (shape if axis is None else (shape[axis],))
    assert_array_equal(value(gx.logsumexp, x, axis=axis), np.full(np.sum(x, axis=axis).shape, -inf))
    for name in ("max", "min", "argmax", "argmin"):
        if empty:
            with pytest.raises(ShapeError, match=f"{name}: nothing to take it of"):
                value(getattr(gx, name), x, axis=axis)
        else:
            same(value(getattr(gx, name), x, axis=axis), NUMPY[name](x, axis=axis))
    assert value(gx.softmax, x, axis=axis).shape == value(gx.log_softmax, x, axis=axis).shape == shape


def test_symbolic_sizes() -> None:
    x = tensor("x", ("n", 4, "m"), "float32")
    at = {x: RNG.normal(size=(5, 4, 3)).astype(np.float32)}
    a = at[x]
    for axis in (None, 0, (0, 2), 2):
        for name in (*MOMENTS, "max", "min", "any", "argmax"):
            if not (isinstance(axis, tuple) and name == "argmax"):
                same(evaluate([getattr(gx, name)(x, axis=axis)], at)[0], NUMPY[name](a, axis=axis), 1e-5)
        same(evaluate([gx.var(x, axis=axis, ddof=1)], at)[0], np.var(a, axis=axis, ddof=1))
        same(evaluate([gx.logsumexp(x, axis=axis, keepdims=True)], at)[0], scipy.special.logsumexp(a, axis=axis, keepdims=True))
        same(evaluate([gx.softmax(x, axis=axis)], at)[0], scipy.special.softmax(a, axis=axis))
    assert gx.mean(x, axis=0).shape == (4, dims.dim("m"))
    assert gx.mean(x).dtype == np.float32
    assert np.isnan(evaluate([gx.mean(x)], {x: np.zeros((0, 4, 3), np.float32)})[0])


def test_dtype_argument() -> None:
    x = np.array([100, 100, 100], np.int8)
    same(value(gx.sum, x, dtype="int8"), np.sum(x, dtype=np.int8))
    same(value(gx.sum, x, dtype="float32"), np.sum(x, dtype=np.float32))
    same(value(gx.prod, x, dtype="float64"), np.prod(x, dtype=np.float64))
    same(value(gx.mean, x, dtype="float32"), np.mean(x, dtype=np.float32))
    same(value(gx.cumsum, x, dtype="int16"), np.cumsum(x, dtype=np.int16))


def test_variance_is_two_pass() -> None:
    x = 1e8 + np.arange(10.0)
    assert_allclose(value(gx.var, x), 8.25, rtol=1e-14)
    for ddof in (0, 1, 2.5):
        same(value(gx.var, X, axis=1, ddof=ddof), np.var(X, axis=1, ddof=ddof))
        same(value(gx.std, X, ddof=ddof), np.std(X, ddof=ddof))
    with np.errstate(all="ignore"):
        assert np.isnan(value(gx.var, np.array([2.0]), ddof=1)) and np.isinf(value(gx.var, np.array([0.0, 2.0]), ddof=3))


@pytest.mark.filterwarnings("ignore")
def test_nan_and_infinities() -> None:
    x = np.array([[1.0, nan, 2], [inf, 0, -inf], [-inf, -inf, -inf], [inf, 1, 2], [-1, -2, -3]])
    for name in ("sum", "prod", "max", "min", "mean"):
        assert_array_equal(value(getattr(gx, name), x, axis=1), NUMPY[name](x, axis=1))
    for name in ("any", "all"):
        assert_array_equal(value(getattr(gx, name), np.array([nan, 0.0, -0.0]).reshape(3, 1), axis=1), [True, False, False])


# -- exponentials -------------------------------------------------------------------------------------------------
SCORES = [[1.0, 2, 3, 4], [1000, 0, -1000, 999], [-inf, 0, 1, -inf], [-inf] * 4, [inf, 0, 1, 2], [nan, 1, 2, 3], [-1e300, 1e300, 0, 0]]


def test_softmax_family_against_scipy() -> None:
    x = np.array(SCORES)
    for name in ("softmax", "log_softmax"):
        for axis in (0, -1, None, (0, 1)):
            assert_allclose(value(getattr(gx, name), x[:2], axis=axis), getattr(scipy.special, name)(x[:2], axis=axis), rtol=1e-14)
        with np.errstate(all="ignore"):
            expected = getattr(scipy.special, name)(x, axis=1)
        expected[4] = nan  # SciPy's log_softmax keeps -inf beside an inf
        assert_allclose(value(getattr(gx, name), x), expected, rtol=1e-14)
    assert_allclose(value(gx.logsumexp, x, axis=1), [4.440189698561196, 1000.3132616875182, 1.3132616875182228, -inf, inf, nan, 1e300])
    assert value(gx.softmax, np.arange(3, dtype=np.int64)).dtype == np.float64
    assert value(gx.logsumexp, np.arange(3, dtype=np.float32)).dtype == np.float32


def test_softmax_of_the_book() -> None:
    """Inputs 5, 2, 0, -2 and the cross-entropy at class 0, to all digits."""
    expected = [0.9456829079093094, 0.04708277959040117, 0.006371961311433950, 0.000862351188855651]
    assert_allclose(value(gx.softmax, [5.0, 2, 0, -2]), expected, rtol=1e-14)
    assert_allclose(value(gx.logsumexp, [5.0, 2, 0, -2]), 5.05584795860469, rtol=1e-14)


@pytest.mark.parametrize("name", ["logsumexp", "softmax", "log_softmax"])
def test_derivatives_of_exponentials(name: str) -> None:
    for axis in (None, 0, -1):
        check_derivatives(lambda x, axis=axis: getattr(gx, name)(x, axis=axis), X[0], tolerance=1e-5)


def test_logsumexp_of_nothing_has_derivative_zero() -> None:
    x = tensor("x", (4, 3))
    y = np.array([[-inf] * 3, [0.0, -inf, 1], [800, 801, -800], [0, 0, 0]])
    (g,) = gradient(gx.sum(gx.logsumexp(x, axis=1)[1:]) + gx.logsumexp(x[0]), [x])
    (h,) = gradient(dot(g, g), [x])
    first, second = evaluate([g, h], {x: y})
    assert_allclose(first, np.vstack([np.zeros(3), scipy.special.softmax(y[1:], axis=1)]))
    assert np.isfinite(second).all() and not second[0].any()


def test_derivative_of_log_softmax_at_large_scores() -> None:
    x = tensor("x", (4,))
    (g,) = gradient(-gx.log_softmax(x)[1], [x])
    found = evaluate([g], {x: np.array([1.0, 2, 3, 4])})[0]
    assert_allclose(found, [0.03205860328008499, -0.9128556812574, 0.2368828180899101, 0.6439142598879724], rtol=1e-10)
    assert_allclose(evaluate([g], {x: np.array([1000.0, -1000, 0, 0])})[0], [1, -1, 0, 0])


# -- derivatives --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("axis", [None, 0, (0, 2), -1])
@pytest.mark.parametrize("name", ["sum", "prod", "mean", "var", "std", "max", "min"])
def test_derivatives(name: str, axis) -> None:
    check_derivatives(lambda x: getattr(gx, name)(x, axis=axis), X[:, :2, :3], tolerance=1e-5)
    check_derivatives(lambda x: gx.sum(x * getattr(gx, name)(x, axis=axis, keepdims=True)), X[:, :2, :3], orders=2, tolerance=1e-5)


@pytest.mark.parametrize("zeros", [0, 1, 2, 3, 5])
def test_prod_with_zeros(zeros: int) -> None:
    x = np.array([1.5, -2.0, 0.7, 3.0, -0.4])
    x[:zeros] = 0
    check_derivatives(gx.prod, x)
    check_derivatives(gx.cumprod, x)
    check_derivatives(lambda v: gx.prod(v, axis=(0, 2)), np.array([x, x + (x == 0), x, x]).reshape(2, 2, 5), orders=2)
    v = tensor("v", (5,))
    (g,) = gradient(gx.prod(v), [v])
    expected = [np.prod(np.delete(x, k)) for k in range(5)]
    assert_allclose(evaluate([g], {v: x})[0], expected, rtol=1e-14)
    rows = [gradient(g[k], [v])[0] for k in range(5)]
    hessian = np.array(evaluate(rows, {v: x}))
    assert_allclose(hessian, [[0 if i == j else np.prod(np.delete(x, [i, j])) for j in range(5)] for i in range(5)], rtol=1e-14)


def test_ties_share_the_derivative() -> None:
    x = tensor("x", (4,))
    for f in (gx.max, gx.min, lambda v: gx.norm(v, inf)):
        (g,) = gradient(f(x), [x])
        assert_array_equal(evaluate([g], {x: np.array([2.0, 2, 2, 2])})[0], [0.25] * 4)
    (g,) = gradient(gx.max(x), [x])
    assert_array_equal(evaluate([g], {x: np.array([1.0, 3, 3, 2])})[0], [0, 0.5, 0.5, 0])


# -- norms --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("ord", [None, 1, 2, 3, 0.5, -1, -2.5, inf, -inf, 0])
def test_vector_norms(ord) -> None:
    same(value(gx.norm, X[0, 0], ord=ord), np.linalg.norm(X[0, 0], ord))
    same(value(gx.norm, X, ord=ord, axis=1, keepdims=True), np.linalg.norm(X, ord, 1, True))


@pytest.mark.parametrize("ord", [None, "fro", 1, -1, inf, -inf])
def test_matrix_norms(ord) -> None:
    same(value(gx.norm, X[0], ord=ord), np.linalg.norm(X[0], ord))
    for axis in ((0, 1), (2, 0), (-1, 1)):
        same(value(gx.norm, X, ord=ord, axis=axis), np.linalg.norm(X, ord, axis))
        same(value(gx.norm, X, ord=ord, axis=axis, keepdims=True), np.linalg.norm(X, ord, axis, True))


def test_norm_of_everything_and_errors() -> None:
    same(value(gx.norm, X), np.linalg.norm(X))
    same(value(gx.norm, np.arange(3, dtype=np.int8)), np.linalg.norm(np.arange(3)))
    with pytest.raises(ShapeError, match="without axis needs a vector or a matrix"):
        value(gx.norm, X, ord=1)
    with pytest.raises(ArgumentError, match="needs singular values"):
        value(gx.norm, X[0], ord=2)
    with pytest.raises(ArgumentError, match="is no norm over 1 axes"):
        value(gx.norm, X[0, 0], ord="fro")


@pytest.mark.parametrize("ord", [None, 1, 2, 3, 1.5, inf])
def test_norm_derivatives(ord) -> None:
    check_derivatives(lambda x: gx.norm(x, ord), X[0, 0], tolerance=1e-5)
    check_derivatives(lambda x: gx.norm(x, ord, axis=1), X[0], orders=2, tolerance=1e-5)
    x = tensor("x", (3,))
    costs = [gx.norm(x, ord)]
    for _ in range(3):  # 0 at the origin at every order
        (g,) = gradient(costs[-1], [x])
        if g is None:  # piecewise linear
            break
        costs.append(dot(g, tensor("v", (3,))))
        env = {node: np.array([1.0, -2.0, 0.5]) for node in variables(costs[-1])} | {x: np.zeros(3)}
        assert evaluate([costs[-1]], env)[0] == 0


def test_the_derivative_of_log_softmax_has_one_exponential() -> None:
    x, g = tensor("x", ("n", 10), "float32"), tensor("g", ("n", 10), "float32")
    ops = [n.op.name for n in toposort([pull_back([(gx.log_softmax(x), g)], {x})[x]])]
    assert (ops.count("exp"), ops.count("log"), ops.count("reduce")) == (1, 0, 3)


def test_an_element_that_is_not_the_extreme_gets_exactly_zero() -> None:
    """Also where the derivative behind it is infinite: the cotangent of max carries a mask."""
    x = tensor("x", (3,))
    for f in (lambda v: gx.max(sqrt(v)), lambda v: gx.sum(cu.cumulate(sqrt(v), 0, "max", True)[:1]), lambda v: -gx.min(-sqrt(v))):
        (g,) = gradient(f(x), [x])
        assert_array_equal(evaluate([g], {x: np.array([0.0, 1, 4])})[0], [0, 0, 0.25])


def variables(root: Node) -> list[Node]:
    return [n for n in toposort([root]) if n.op.name == "input"]


def test_std_of_equal_elements_has_derivative_zero() -> None:
    x = tensor("x", (3,))
    (g,) = gradient(gx.std(x), [x])
    (h,) = gradient(dot(g, g + x), [x])
    assert_array_equal(evaluate([g, h], {x: np.full(3, 7.0)}), np.zeros((2, 3)))


# -- running ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
def test_running(name: str, axis) -> None:
    same(value(getattr(gx, name), X, axis=axis), NUMPY[name](X, axis=axis))
    check_derivatives(lambda x: getattr(gx, name)(x, axis=axis), X[:, :2, :3])


def running(x: np.ndarray, combine: str, reverse: bool, exclusive: bool) -> np.ndarray:
    """The definition, along axis 0."""
    f, start = {"sum": (np.sum, 0.0), "prod": (np.prod, 1.0), "max": (np.max, -inf)}[combine]
    rows = x[::-1] if reverse else x
    parts = [rows[: k if exclusive else k + 1] for k in range(len(rows))]
    out = np.array([f(p, axis=0) if len(p) else np.full(x.shape[1:], start) for p in parts])
    return out[::-1] if reverse else out


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("combine", ["sum", "prod", "max"])
def test_cumulate(combine: str, reverse: bool, exclusive: bool) -> None:
    x = RNG.normal(size=(5, 2))
    assert_allclose(value(lambda v: cu.cumulate(v, 0, combine, reverse, exclusive), x), running(x, combine, reverse, exclusive))
    # the first place of an exclusive maximum is -inf, which no difference survives
    weight = np.ones((5, 1))
    weight[-1 if reverse else 0] = 0 if combine == "max" and exclusive else 1
    keep = weight != 0
    check_derivatives(lambda v: where(keep, cu.cumulate(v, 0, combine, reverse, exclusive), 0.0), x)


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_recur(reverse: bool, exclusive: bool) -> None:
    a, b = RNG.normal(size=(2, 5, 3))
    a[2], b[1] = 0, 0
    rows, expected = list(zip(a, b))[:: -1 if reverse else 1], []
    state = np.zeros(3)
    for p, q in rows:
        before, state = state, p * state + q
        expected.append(before if exclusive else state)
    assert_allclose(value(lambda p, q: cu.recur(p, q, 0, reverse, exclusive), a, b), expected[:: -1 if reverse else 1])
    check_derivatives(lambda p, q: cu.recur(p, q, 0, reverse, exclusive), a, b)
    check_derivatives(lambda p: cu.recur(p, p * p, 0, reverse, exclusive), a, orders=2)


def test_running_maximum_splits_ties() -> None:
    x = tensor("x", (6,))
    (g,) = gradient(dot(cu.cumulate(x, 0, "max"), gx.asarray(np.arange(1.0, 7))), [x])
    # outputs 1 1 3 3 3 4 with cotangents 1..6: the 2 of place 1 splits over places 0 and 1, the 5 of place 4 over 2 and 4
    assert_array_equal(evaluate([g], {x: np.array([1.0, 1, 3, 2, 3, 4])})[0], [1 + 1, 1, 3 + 4 + 2.5, 0, 2.5, 6])


# -- batch rules and loops ----------------------------------------------------------------------------------------
PRIMITIVES = [
    *[lambda x, c=c: reduce(x, (0, 2), c) for c in ("sum", "prod", "max", "min")],
    *[lambda x, c=c: reduce(x > 0, (1,), c) for c in ("any", "all")],
    *[lambda x, c=c: cu.arg_reduce(x, (0, 2), c) for c in ("argmax", "argmin")],
    *[lambda x, c=c: cu.cumulate(x, 1, c, True, True) for c in ("sum", "prod", "max")],
    lambda x: cu.recur(x, x + 1, 1),
    lambda x: cu.recur(x, gx.asarray(X), 1, True),
    lambda x: cu.recur(gx.asarray(X), x, 0),
]


@pytest.mark.parametrize("k", range(len(PRIMITIVES)))
def test_batch_rules(k: int) -> None:
    x, xs = tensor("x", (2, 3, 4)), tensor("xs", ("lanes", 2, 3, 4))
    lanes = RNG.normal(size=(3, 2, 3, 4))
    out = PRIMITIVES[k](x)
    ((batched, mapped),) = batch([out], {x: xs}, dims.dim("lanes"))
    assert mapped
    assert_allclose(evaluate([batched], {xs: lanes})[0], [evaluate([out], {x: lane})[0] for lane in lanes])


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_loops(dtype: str) -> None:
    x = tensor("x", ("n", 3, 2), dtype)
    values = RNG.integers(-3, 4, (2, 3, 2)).astype(dtype)
    values[0, 1, 0] = values[0, 2, 1] = values.max()
    sizes = {dims.as_symbol(dims.dim("n")): 2}
    for axes in ((0,), (0, 2), (0, 1, 2), (1,)):
        for combine in ("sum", "prod", "max", "min", "argmax", "argmin"):
            node = cu.arg_reduce(x, axes, combine) if combine.startswith("arg") else reduce(x, axes, combine)
            assert_allclose(run_loop(node, [values], sizes), evaluate([node], {x: values})[0])
    for name in ("sum", "prod"):
        assert_array_equal(run_loop(reduce(x, (0,), name), [values[:0]], {k: 0 for k in sizes}), np.full((3, 2), float(name == "prod")))


# -- errors -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", [*MOMENTS, *TRUTH, "max", "min", "argmax", "argmin", "logsumexp", "softmax", "log_softmax", "cumsum"])
def test_axis_errors_name_the_function_and_the_operand(name: str) -> None:
    x = tensor("x", ("n", 3), "int32")
    with pytest.raises(ShapeError, match=rf"^{name}: axis 2 is out of range for 2 dimensions \(x: i32\[n, 3\], test_reductions.py:\d+\)"):
        getattr(gx, name)(x, axis=2)


def test_every_primitive_here_states_its_rules() -> None:
    for name in ("arg_reduce", "cumulate", "recur", "contract"):
        op = OPS[name]
        assert op.ref and op.vjp and op.batch and op.doc
