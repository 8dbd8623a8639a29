"""Every op natively, at the values, sizes and layouts where kernels go wrong.

nan, infinities, signed zeros, subnormals, the ends of integers; nothing, one element, one lane less and more than a vector, several
vectors and a tail; contiguous, strided and straight-line code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.codegen.target import host
from graphc.interp import evaluate
from graphc.ops.cumulate import recur
from graphc.ops.registry import OPS
from graphc.ops.rows import PUBLIC
from tests import special_incomplete, special_zeta
from tests.ulp import REFERENCES

FLOATS = ("float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES = (*FLOATS, *INTEGERS, "bool")
ROWS = [name for name, op in OPS.items() if op.row is not None]
OF_SEVERAL = ("get", "divmod", "modf", "frexp", "extreme", "sort", "search")  # compiled by tests/test_several.py, test_sorting.py
CONVOLUTIONS = ("convolve", "window", "fold")  # compiled by tests/test_convolve.py, test_nn_convolution.py, test_pooling.py
UPDATED = ("update", "assume")  # compiled by tests/test_updates.py, test_linalg_rules.py
SEEN: set[str] = set()  # ops that some test of this file compiled; `--dist loadfile` keeps a file in one process


# -- values -----------------------------------------------------------------------------------------------------------
@cache
def edges(dtype: str) -> np.ndarray:
    """What a kernel of this dtype may stumble over."""
    if dtype == "bool":
        return np.array([False, True])
    if dtype in FLOATS:
        info = np.finfo(dtype)
        some = [
            0.0,
            info.smallest_subnormal,
            3 * info.smallest_subnormal,
            info.tiny,
            info.eps,
            0.1,
            0.5,
            1 - info.epsneg,
            1.0,
            1 + info.eps,
            1.5,
            2.0,
            3.0,
            7.5,
            20.0,
            100.0,
            1e5,
            info.max,
            np.inf,
        ]
        return np.array([np.nan, *some, *[-v for v in some]], dtype)
    info = np.iinfo(dtype)
    some = [
        info.min,
        info.min + 1,
        -100,
        -7,
        -2,
        -1,
        0,
        1,
        2,
        3,
        7,
        8,
        info.bits - 1,
        info.bits,
        info.bits + 1,
        100,
        info.max - 1,
        info.max,
    ]
    return np.array(sorted({v for v in some if info.min <= v <= info.max}), dtype)


def pairs(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Every pair of edge values."""
    a = edges(dtype)
    return np.repeat(a, len(a)), np.tile(a, len(a))


def sizes(dtype: str) -> list[int]:
    """Around the number of lanes."""
    lanes = host().vector_bytes // max(np.dtype(dtype).itemsize, 4 if dtype in FLOATS else 1)
    return [0, 1, 2, lanes - 1, lanes, lanes + 1, 3 * lanes + 5]


def draw(dtype: str, shape: Sequence[int], seed: int = 0) -> np.ndarray:
    """Small values, exact under addition and multiplication of a few of them, with some repeated."""
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.random(tuple(shape)) < 0.5
    low = 0 if dtype.startswith("u") else -4
    return (rng.integers(low, 5, tuple(shape)) / (2 if dtype in FLOATS else 1)).astype(dtype)


# -- comparison ---------------------------------------------------------------------------------------------------------
def agree(name: str, got: np.ndarray, want: np.ndarray, ulps: float, operands: Sequence[np.ndarray] = ()) -> None:
    """Equal, with signed zeros, nan and infinities in their places; floats up to `ulps` units in the last place."""
    assert got.dtype == want.dtype and got.shape == want.shape, f"{name}: {got.dtype}{got.shape}, expected {want.dtype}{want.shape}"
    if got.dtype.kind != "f":
        fine = got == want
    else:
        a, b = got.astype("longdouble"), want.astype("longdouble")
        with np.errstate(all="ignore"):
            size, cancels = np.abs(want), name.endswith("logaddexp2")
            if cancels:  # a maximum and a logarithm
                size = np.maximum(size, np.nan_to_num(np.maximum(*map(np.abs, operands[:2])).astype(want.dtype)))
            unit = np.spacing(size).astype("longdouble")
            fine = (a == b) | (np.isnan(a) & np.isnan(b)) | (np.abs(a - b) <= ulps * unit)
            fine &= (np.signbit(got) == np.signbit(want)) | np.isnan(want) | (cancels & (got != want))
    if not fine.all():
        at = tuple(int(i) for i in np.argwhere(~fine)[0])
        given = [o[at] if o.shape == got.shape else o.shape for o in operands]
        raise AssertionError(f"{name}{given}: {got[at]!r}, expected {want[at]!r}; {int((~fine).sum())} of {fine.size} wrong")


ULPS = {"float32": 4.0, "float64": 4.0}  # of transcendentals, against NumPy's, which is itself off by up to 2


def row_outputs(operands: Sequence[gx.Node]) -> Iterator[tuple[str, gx.Node]]:
    """Every row that takes the dtype of the operands; of those that turn integers into floats first, a few."""
    for name in ROWS:
        try:
            out = PUBLIC[name](*operands[: OPS[name].arity])
        except gx.DTypeError:
            continue
        if out.dtype.kind != "f" or operands[0].dtype.kind == "f" or name in ("exp", "divide"):
            yield name, out


def structural_rows(a: gx.Node, b: gx.Node) -> Iterator[tuple[str, gx.Node]]:
    """The elementwise ops that are no rows."""
    yield "select", gx.where(a < b, a, b)
    yield "stop_gradient", gx.stop_gradient(a)
    if a.dtype.kind == "f":
        yield "ldexp", gx.ldexp(a, (b * 3).astype("int64"))
        yield "sinc", gx.sinc(a)
    for dtype in DTYPES:
        if dtype != a.dtype:
            yield "cast", a.astype(dtype)


class Compiled:
    """A function of some outputs beside its interpretation."""

    def __init__(self, inputs: Sequence[gx.Node], named: Sequence[tuple[str, gx.Node]]) -> None:
        self.inputs, self.names, self.outputs = list(inputs), [n for n, _ in named], [o for _, o in named]
        self.f = gx.function(self.inputs, self.outputs, mode="none")
        SEEN.update(self.names)

    def check(self, *values: np.ndarray, what: str = "") -> None:
        with np.errstate(all="ignore"):
            want = evaluate(self.outputs, dict(zip(self.inputs, values)))
        for name, got, wanted in zip(self.names, self.f(*values), want):
            agree(f"{what}{name}", got, wanted, self.room(name), values)

    def room(self, name: str) -> float:
        if name in REFERENCES and REFERENCES[name].scale is not None:
            return 64.0  # near a zero, where test_mathlib measures by |x f'(x)|
        return 0.0 if name not in OPS or not OPS[name].costly or name in EXACT else ULPS.get("float32", 0.0)


EXACT = {"divide", "floor_divide", "mod", "reciprocal", "sqrt"}  # one rounding, or none


# -- elementwise ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "bool"])
def test_rows_of_known_sizes(dtype: str) -> None:
    """Sizes below a vector, of several vectors, and of several vectors and a tail, all known when the code is made."""
    a, b = pairs(dtype)
    for n in (3, sizes(dtype)[-1]) if dtype in FLOATS else (sizes(dtype)[-1], 128):
        x, y, z = (gx.vector(name, n, dtype) for name in "xyz")
        compiled = Compiled([x, y, z], [*row_outputs((x, y, z)), *structural_rows(x, y)])
        for start in range(0, max(len(a), n), max(n, len(a) // 12)):
            compiled.check(*[np.resize(np.roll(v, -start), n) for v in (a, b, np.roll(a, 3))], what=f"size {n}: ")


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_vectorised(dtype: str) -> None:
    x, y, z = (gx.vector(name, "n", dtype) for name in "xyz")
    compiled = Compiled([x, y, z], [*row_outputs((x, y, z)), *structural_rows(x, y)])
    a, b = pairs(dtype)
    third = np.roll(a, 3)
    compiled.check(a, b, third)
    for n in sizes(dtype):
        for start in (0, len(a) // 2):
            compiled.check(a[start : start + n], b[start : start + n], third[start : start + n], what=f"size {n}: ") if start + n <= len(
                a
            ) else None


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8"])
def test_rows_straight_line(dtype: str) -> None:
    x, y, z = (gx.scalar(name, dtype) for name in "xyz")
    compiled = Compiled([x, y, z], [*row_outputs((x, y, z)), *structural_rows(x, y)])
    a, b = pairs(dtype)
    chosen = np.random.default_rng(0).permutation(len(a))[:80]
    for k in chosen:
        compiled.check(np.array(a[k]), np.array(b[k]), np.array(a[-k]))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "uint64"])
@pytest.mark.parametrize("known", [True, False])
def test_rows_strided_and_broadcast(dtype: str, known: bool) -> None:
    """Operands read across their rows, along them, reversed, and as one element for all."""
    lanes = sizes(dtype)[4]
    n, m = (lanes + 1, 3) if known else ("n", "m")
    x, y, u, v = gx.tensor("x", (n, m), dtype), gx.tensor("y", (m, n), dtype), gx.tensor("u", (m,), dtype), gx.tensor("v", (n, 1), dtype)
    names = ("add", "multiply", "maximum", "less", "floor_divide", "abs", *(("exp", "tanh") if dtype in FLOATS else ()))
    operands = {
        "across": (x, y.T),
        "row": (x, u),
        "column": (v, x),
        "both": (v, u),
        "reversed": (x[::-1], x[:, ::-1]),
        "apart": (x[::2, 1:], x[::2, 1:]),
    }
    named = [(name, PUBLIC[name](*pair[: OPS[name].arity])) for name in names for pair in operands.values()]
    compiled = Compiled([x, y, u, v], named)
    e = edges(dtype)
    for rows, columns in [(lanes + 1, 3)] if known else [(lanes + 1, 3), (1, 1), (3, lanes - 1), (2, 3 * lanes + 5), (5, lanes)]:
        value = lambda *shape: np.resize(np.roll(e, len(shape)), shape)
        compiled.check(value(rows, columns), value(columns, rows), value(columns), value(rows, 1), what=f"{rows} x {columns}: ")


# -- reductions ---------------------------------------------------------------------------------------------------------------
def reductions(x: gx.Node) -> Iterator[tuple[str, gx.Node]]:
    for axis in (0, 1, None):
        yield "reduce", gx.any(x != 0, axis=axis)
        yield "reduce", gx.all(x != 0, axis=axis)
        yield "reduce", gx.max(x, axis=axis)
        yield "reduce", gx.min(x, axis=axis, keepdims=True)
        yield "arg_reduce", gx.argmax(x, axis=axis)
        yield "arg_reduce", gx.argmin(x, axis=axis)
        if x.dtype != bool:
            yield "reduce", gx.sum(x, axis=axis, dtype=x.dtype)
            yield "reduce", gx.prod(x, axis=axis, dtype=x.dtype)
        yield "reduce", gx.sum(x, axis=axis)


def running(x: gx.Node) -> Iterator[tuple[str, gx.Node]]:
    for axis in (0, 1):
        if x.dtype != bool:
            yield "cumulate", gx.cumsum(x, axis=axis)
            yield "cumulate", gx.cumprod(x[:, :5], axis=axis)
        if x.dtype.kind == "f":
            for exclusive in (False, True):
                yield "recur", recur(x * 0.5, x, axis, exclusive, not exclusive)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int64", "uint8", "uint32", "bool"])
def test_reductions(dtype: str) -> None:
    lanes = sizes(dtype)[4]
    x = gx.matrix("x", ("n", "m"), dtype)
    compiled = Compiled([x], list(reductions(x)))
    for shape in [(1, 1), (1, lanes), (lanes, 1), (3, lanes - 1), (lanes + 1, 5), (2, 3 * lanes + 5), (3 * lanes + 5, 2), (4, 4 * lanes)]:
        ones = draw(dtype, shape) if dtype not in FLOATS else np.sign(draw(dtype, shape)) + 0.0  # products stay exact
        compiled.check(ones.astype(dtype), what=f"{shape}: ")
    fixed = gx.matrix("fixed", (5, lanes + 1), dtype)
    Compiled([fixed], list(reductions(fixed))).check(np.sign(draw(dtype, (5, lanes + 1)).astype("float64")).astype(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "uint64"])
def test_running_reductions(dtype: str) -> None:
    lanes = sizes(dtype)[4]
    x = gx.matrix("x", ("n", "m"), dtype)
    compiled = Compiled([x], list(running(x)))
    for shape in [(0, 5), (1, 5), (1, lanes), (lanes, 5), (3, lanes - 1), (lanes + 1, 5), (2, 3 * lanes + 5)]:
        if shape[1] >= 5:
            compiled.check(np.sign(draw(dtype, shape).astype("float64")).astype(dtype), what=f"{shape}: ")


@pytest.mark.parametrize("dtype", FLOATS)
def test_extremes_of_special_values(dtype: str) -> None:
    x = gx.matrix("x", ("n", "m"), dtype)
    f = Compiled(
        [x],
        [
            ("reduce", gx.max(x, axis=1)),
            ("reduce", gx.min(x, axis=1)),
            ("arg_reduce", gx.argmax(x, axis=1)),
            ("arg_reduce", gx.argmin(x, axis=1)),
            ("reduce", gx.max(x, axis=0)),
            ("arg_reduce", gx.argmin(x, axis=0)),
            ("arg_reduce", gx.argmax(x, axis=0)),
        ],
    )
    lanes = sizes(dtype)[4]
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0]
    rng = np.random.default_rng(0)
    for n, m in [(40, 3), (7, lanes + 1), (5, 3 * lanes + 5)]:
        value = rng.choice(special, (n, m), p=[0.04, 0.1, 0.1, 0.3, 0.3, 0.16]).astype(dtype) + 0.0  # + 0: which zero wins is open
        f.check(value, what=f"{n} x {m}: ")


def test_empty_reductions() -> None:
    x = gx.matrix("x", ("n", "m"))
    f = Compiled(
        [x],
        [("reduce", r(x, axis=a)) for r in (gx.sum, gx.prod, gx.mean) for a in (0, 1, None)]
        + [("reduce", r(x > 0, axis=a)) for r in (gx.any, gx.all) for a in (0, 1, None)],
    )
    for shape in [(0, 3), (3, 0), (0, 0)]:
        f.check(np.zeros(shape))
    for reduction in (gx.max, gx.min, gx.argmax, gx.argmin):
        g = gx.function([x], reduction(x, axis=0))
        assert g(np.zeros((3, 0))).size == 0
        with pytest.raises(gx.ShapeError, match=r"the size n = x.shape\[0\] = 0 must be at least 1"):
            g(np.zeros((0, 3)))


# -- movement -------------------------------------------------------------------------------------------------------------------
def movements(x: gx.Node, i: gx.Node, j: gx.Node) -> Iterator[tuple[str, gx.Node]]:
    """x is a matrix of at least 5 x 5, i a vector of indices of rows, j one index per element of the first column."""
    n, m = x.shape
    yield "transpose", x.T
    yield "reshape", gx.ravel(x)
    yield "reshape", gx.ravel(x.T)
    yield "reshape", gx.reshape(x[:, None, :], (1, n, m, 1))
    yield "broadcast", gx.broadcast_to(x[:, None, :], (n, 3, m))
    yield "broadcast", gx.broadcast_to(x[0], (2, m))
    for key in [
        (slice(1, None), slice(None, -1)),
        (slice(None, None, 2), slice(None, None, 3)),
        (slice(None, None, -1), slice(-2, 0, -2)),
        (2, slice(None)),
        (slice(None), -1),
        (slice(1, 4), slice(0, 0)),
    ]:
        yield "slice", x[key]
    yield "reverse", gx.flip(x)
    yield "reverse", gx.flip(x, 1)
    zero = np.zeros((), x.dtype)
    yield "pad", gx.pad(x, ((1, 2), (3, 0)), constant_values=zero)
    yield "pad", gx.pad(x, ((0, 0), (2, 1)), constant_values=zero + zero.dtype.type(1))
    yield "concat", gx.concatenate([x, x[1:3], x], axis=0)
    yield "concat", gx.concatenate([x[:, :1], x, x[:, ::-1]], axis=1)
    yield "concat", gx.stack([x, x], axis=1)
    yield "diagonal", gx.diagonal(x[:5, :5], offset=1)
    yield "diagonal", gx.diag(x[0])
    yield "select", gx.tril(x, 1)
    yield "gather", x[i]
    yield "gather", x[:, i[:2]]
    yield "gather", x[i, i]
    yield "gather", gx.take_along_axis(x, j[:, None], axis=1)
    yield "gather", gx.take(x, i, axis=0, mode="clip")
    yield "scatter", x.at[i].set(x[0])
    yield "scatter", x.at[:, i[:2]].set(zero)
    if x.dtype != bool:
        yield "scatter", x.at[i].add(x[1])
        yield "scatter", x.at[i, i].add(x[0, 0])
    yield "reshape", gx.roll(x, 2, axis=1)
    yield "reshape", gx.repeat(x, 2, axis=0)
    yield "reshape", gx.tile(x, (2, 1))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int64", "uint16", "bool"])
@pytest.mark.parametrize("known", [True, False])
def test_movement(dtype: str, known: bool) -> None:
    lanes = sizes(dtype)[4]
    shapes = [(lanes + 1, 7)] if known else [(5, 5), (lanes + 1, 7), (6, 2 * lanes + 5), (3 * lanes + 5, 5)]
    if dtype in ("int8", "bool") and known:
        shapes = [(9, 7)]
    n, m = shapes[0] if known else ("n", "m")
    x, i, j = gx.tensor("x", (n, m), dtype), gx.tensor("i", (4 if known else "k",), "int64"), gx.tensor("j", (n,), "int32")
    named = [("gather" if name == "gather" else name, o) for name, o in movements(x, i, j)]
    compiled = Compiled([x, i, j], named)
    for rows, columns in shapes:
        value = np.resize(edges(dtype), (rows, columns))
        if dtype in FLOATS:
            value = np.nan_to_num(value, nan=3.0, posinf=5.0, neginf=-5.0) % 7  # sums of a scatter stay exact enough
            value = np.round(value).astype(dtype)
        compiled.check(value, np.array([1, 4, -1, 1]), (np.arange(rows) % 5 - 2).astype("int32"), what=f"{rows} x {columns}: ")


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "int64"])
def test_products(dtype: str) -> None:
    """Small integers, so that every order of adding gives the same."""
    a, b, v, t = (
        gx.matrix("a", ("n", "k"), dtype),
        gx.matrix("b", ("k", "m"), dtype),
        gx.vector("v", "k", dtype),
        gx.tensor("t", (3, "n", "k"), dtype),
    )
    named = [
        ("contract", o)
        for o in (
            a @ b,
            a @ v,
            v @ b,
            v @ v,
            gx.outer(v, v),
            b.T @ a.T,
            t @ b,
            gx.einsum("bnk,bmk->bnm", t, t),
            gx.tensordot(a, t, ([0, 1], [1, 2])),
        )
    ]
    compiled = Compiled([a, b, v, t], named)
    lanes = sizes(dtype)[4]
    for n, k, m in [
        (1, 1, 1),
        (2, 3, 4),
        (5, lanes, lanes + 1),
        (lanes + 1, 5, 3),
        (17, 19, 2 * lanes + 5),
        (4, 0, 3),
        (0, 3, 2),
        (3, 2, 0),
        (65, 7, 33),
    ]:
        compiled.check(
            draw(dtype, (n, k)), draw(dtype, (k, m), 1), draw(dtype, (k,), 2), draw(dtype, (3, n, k), 3), what=f"{n} x {k} x {m}: "
        )


def test_sizes_and_counters() -> None:
    n = gx.dim("n")
    x = gx.tensor("x", (n,), "float32")
    named = [
        ("iota", gx.arange(n)),
        ("iota", gx.arange(n, dtype="uint8")),
        ("iota", gx.arange(n).astype("float32") * x),
        ("size", gx.asarray(n)),
        ("size", x * n),
        ("iota", gx.eye(n)),
        ("iota", gx.tri(n, n + 2, 1)),
        ("iota", gx.arange(3) + n),
        ("size", gx.asarray(n * n // 3 % 5)),
        ("iota", gx.linspace(0.0, 1.0, 5) * n),
    ]
    f = Compiled([x], named)
    for k in (0, 1, 7, 16, 17, 300):
        f.check(draw("float32", (k,)), what=f"size {k}: ")


@pytest.mark.parametrize("dtype", FLOATS)
def test_rows_in_fused_kernels_are_the_same(dtype: str) -> None:
    """With the passes on: chains, rows and columns of softmax and layer norm, at every size."""
    x = gx.matrix("x", ("n", "m"), dtype)
    centred = x - gx.mean(x, axis=1, keepdims=True)
    named = [
        ("exp", gx.softmax(x, axis=1)),
        ("exp", gx.softmax(x, axis=0)),
        ("exp", gx.log_softmax(x, axis=1)),
        ("exp", gx.logsumexp(x, axis=0)),
        ("exp", centred / gx.sqrt(gx.mean(centred * centred, axis=1, keepdims=True) + 1e-3)),
        ("exp", gx.tanh(x) * gx.exp(-x * x) + gx.log1p(x * x)),
        ("exp", gx.std(x, axis=0)),
        ("exp", gx.norm(x, axis=1)),
    ]
    f = gx.function([x], [o for _, o in named])
    lanes = sizes(dtype)[4]
    for shape in [(1, 1), (2, lanes - 1), (3, lanes), (lanes + 1, lanes + 1), (5, 3 * lanes + 5), (3 * lanes + 5, 2)]:
        value = np.random.default_rng(1).normal(size=shape).astype(dtype)
        tolerance = 1e-5 if dtype == "float32" else 1e-13
        for got, want in zip(f(value), evaluate([o for _, o in named], {x: value})):
            np.testing.assert_allclose(got, want, rtol=tolerance * 3, atol=tolerance)


def test_every_op_was_compiled(request: pytest.FixtureRequest) -> None:
    if len(request.session.items) < 40:
        pytest.skip("only when the whole file runs")
    with_bodies = {name for name, op in OPS.items() if op.regions}  # tests/test_loops_native.py
    host = {name for name, op in OPS.items() if op.traits.kernel == "host"}  # tests/test_callbacks_native.py, test_linalg.py, test_fft.py
    of_factors = {"log_abs_det", "product_of_pivots", "cofactors"}  # tests/test_linalg.py
    ordered = {name for name, op in OPS.items() if op.params == ("n",) and op.elementwise}  # tests/test_special_orders.py
    elsewhere = (
        {"input", "shared", "constant", "bound", "derived", *OF_SEVERAL, *CONVOLUTIONS, *UPDATED}
        | with_bodies
        | host
        | of_factors
        | ordered
        | set(special_incomplete.EXACT)  # tests/test_incomplete.py
        | set(special_zeta.EXACT)  # tests/test_zeta.py
        | {"random_word32", "random_word64", "discrete_draw", "first_derivative"}  # tests/random
    )
    missing = set(OPS) - SEEN - elsewhere
    assert not missing, f"no kernel test compiles {sorted(missing)}"


def test_the_comparison_notices() -> None:
    zeros: Callable[..., Any] = lambda *v: np.array(v, "float32")
    for got, want in [
        (zeros(0.0), zeros(-0.0)),
        (zeros(1.0), zeros(np.nan)),
        (zeros(np.inf), zeros(-np.inf)),
        (zeros(1.0), np.ones(1)),
        (zeros(1.0), zeros(1.0000005)),
    ]:
        with pytest.raises(AssertionError):
            agree("planted", got, want, 2.0)
    agree("planted", zeros(1.0), zeros(1.0000001), 2.0)
