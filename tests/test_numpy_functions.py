"""NumPy's functions on nodes against NumPy itself: values, shapes and dtypes; floats, integers and bool; empty, single, coinciding sizes,
known and symbolic; nan, infinities and signed zeros. `np.f(node)` is what is called, so the protocol is tested as well.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.interp import evaluate
from graphc.ir import Node

Call = Callable[..., Any]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, np.inf, -np.inf, np.nan, 1e30, -1e-30]


def numbers(dtype: str, *shape: int, seed: int = 0) -> np.ndarray:
    """Small numbers, some of them equal; of floats no two."""
    rng = np.random.default_rng([seed, *shape])
    if dtype == "bool":
        return rng.random(shape) < 0.5
    low = 0 if dtype.startswith("u") else -6
    whole = rng.integers(low, 7, shape)
    return (whole + rng.random(shape)).astype(dtype) if dtype.startswith("f") else whole.astype(dtype)


def leaves(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


def check(f: Call, *arrays: np.ndarray, rtol: float | None = None, symbolic: bool = True) -> None:
    """f of nodes has the values, shapes and dtypes of f of arrays (float16, which has no form here, as float32)."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = leaves(f(*arrays))
        if any(np.asarray(w).dtype == np.float16 for w in wanted):
            wanted = leaves(f(*[a.astype("float32") if a.dtype.itemsize == 1 else a for a in arrays]))
    for unknown in (False, True) if symbolic else (False,):
        xs = [gx.tensor(f"x{k}", [f"n{n}" if unknown and n > 1 else n for n in a.shape], a.dtype) for k, a in enumerate(arrays)]
        made = leaves(f(*xs))
        assert len(made) == len(wanted)
        outputs = [m if isinstance(m, Node) else gx.asarray(m) for m in made]
        for got, want in zip(evaluate(outputs, dict(zip(xs, arrays))), wanted):
            want = np.asarray(want)
            assert got.dtype == want.dtype and got.shape == want.shape, f"{got.dtype}{got.shape}, NumPy {want.dtype}{want.shape}"
            room = rtol if rtol is not None else 0.0 if want.dtype.kind != "f" else 8 * float(np.finfo(want.dtype).eps)
            np.testing.assert_allclose(got, want, rtol=room, atol=room if rtol is not None else 0.0)


# -- elementwise --------------------------------------------------------------------------------------------------------
UNARY = (
    "absolute", "acos", "acosh", "asin", "asinh", "atan", "atanh", "cbrt", "conj", "conjugate", "deg2rad", "degrees", "fabs", "fix", "imag",
    "isneginf", "isposinf", "isreal", "iscomplex", "nan_to_num", "negative", "positive", "rad2deg", "radians", "real", "real_if_close",
    "rint", "signbit", "spacing", "angle", "bitwise_count", "bitwise_not", "bitwise_invert", "sinc",
)  # fmt: skip
BINARY = (
    "atan2", "copysign", "float_power", "fmax", "fmin", "fmod", "gcd", "heaviside", "hypot", "lcm", "logaddexp2", "nextafter", "pow",
    "remainder", "true_divide", "bitwise_left_shift", "bitwise_right_shift", "isclose",
)  # fmt: skip
DTYPES = ("float32", "float64", "int8", "int32", "int64", "uint8", "uint64", "bool")


def admitted(theirs: Call, *arrays: np.ndarray) -> bool:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return bool(theirs(*arrays) is not None)
        except (TypeError, ValueError):
            return False


@pytest.mark.parametrize("dtype", DTYPES)
def test_unary(dtype: str) -> None:
    a = numbers(dtype, 12)
    if dtype.startswith("f"):
        a = np.concatenate([a, np.array(SPECIAL, dtype)])
    elif dtype != "bool":
        a = np.concatenate([a, np.array([np.iinfo(dtype).min, np.iinfo(dtype).max], dtype)])
    for name in UNARY:
        theirs = getattr(np, name)
        if not admitted(theirs, a):
            x = gx.tensor("x", a.shape, dtype)
            with pytest.raises(gx.GraphcError):
                theirs(x)
            continue
        check(theirs, a, rtol=1e-15 * (1 if dtype != "float32" else 1e9) if name == "sinc" else None)


@pytest.mark.parametrize("dtype", DTYPES)
def test_binary(dtype: str) -> None:
    a, b = numbers(dtype, 5, 1), numbers(dtype, 6, seed=1)
    if dtype.startswith("f"):
        a, b = np.array(SPECIAL, dtype)[:, None], np.concatenate([b, np.array(SPECIAL, dtype)])
    if dtype.startswith("i"):  # the exponents and shifts NumPy refuses or leaves open
        a, b = a, np.abs(b)
    for name in BINARY:
        theirs = getattr(np, name)
        if not admitted(theirs, a, b):
            with pytest.raises(gx.GraphcError):
                theirs(gx.tensor("x", a.shape, dtype), gx.tensor("y", b.shape, dtype))
            continue
        check(theirs, a, b, symbolic=False)


def test_ldexp_and_numbers() -> None:
    a, n = np.array(SPECIAL), np.array([0, 1, -1, 40, -40, 1000, -1000, 2000, -2000, 5, -1074, 1023])
    check(np.ldexp, a, n)
    check(np.ldexp, a.astype("float32"), n.astype("int32"))
    check(np.ldexp, numbers("int8", 12), n.astype("int16"))
    check(lambda a: np.ldexp(a, 3), a)
    for name in ("hypot", "fmax", "fmin", "copysign", "heaviside", "nextafter", "fmod", "logaddexp2", "remainder"):
        theirs = getattr(np, name)
        check(lambda a, f=theirs: f(a, 2), a.astype("float32"))  # Python numbers are weak
        check(lambda a, f=theirs: f(2.5, a), a.astype("float32"))
    with pytest.raises(gx.DTypeError, match="ldexp: the exponents must be integers"):
        np.ldexp(gx.vector("x", 3), gx.vector("y", 3))


def test_comparisons_with_tolerance() -> None:
    a, b = np.array([1.0, 1 + 1e-6, np.inf, -np.inf, np.nan, 0.0, 1e-9]), np.array([1.0, 1.0, np.inf, np.inf, np.nan, 1e-9, 2.0])
    for more in ({}, {"equal_nan": True}, {"rtol": 1e-9}, {"atol": 0.0, "rtol": 0.0}):
        check(lambda a, b, m=more: np.isclose(a, b, **m), a, b)
        check(lambda a, b, m=more: np.allclose(a, b, **m), a, b)
        check(lambda a, b, m=more: np.isclose(a, b, **m), a.astype("float32"), b)
    check(np.allclose, a[:2], b[:2])
    check(np.array_equal, a, a)
    check(lambda a: np.array_equal(a, a, equal_nan=True), a)
    check(np.array_equal, a[:3], a[:2], symbolic=False)
    check(np.array_equal, a[:3], a[:3, None], symbolic=False)
    check(np.array_equiv, np.ones((2, 3)), np.ones(3))
    check(np.array_equiv, np.ones((2, 3)), np.ones(2), symbolic=False)
    check(lambda a, b: np.isin(a, b), numbers("int32", 3, 4), numbers("int32", 3, seed=1))
    check(lambda a, b: np.isin(a, b, invert=True), numbers("float64", 3), np.zeros((0,)))
    check(lambda a: np.nan_to_num(a, nan=1.0, posinf=2.0, neginf=-2.0), a)


# -- reductions ---------------------------------------------------------------------------------------------------------
def reductions() -> Iterator[tuple[str, Call]]:
    for axis in (None, 0, 1, (0, 1), -1):
        for name in ("sum", "prod", "max", "min", "any", "all", "mean", "var", "std", "ptp"):
            f = getattr(np, name)
            yield name, lambda x, f=f, axis=axis: f(x, axis=axis, keepdims=True)
        for name in ("nansum", "nanprod", "nanmax", "nanmin", "nanmean", "nanvar", "nanstd"):
            f = getattr(np, name)
            yield name, lambda x, f=f, axis=axis: f(x, axis=axis)
        yield "count_nonzero", lambda x, axis=axis: np.count_nonzero(x, axis=axis)
    for axis in (None, 0, 1):
        for name in ("nancumsum", "nancumprod"):
            f = getattr(np, name)
            yield name, lambda x, f=f, axis=axis: f(x, axis=axis)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "uint32", "bool"])
def test_reductions(dtype: str) -> None:
    a = numbers(dtype, 3, 4)
    if dtype.startswith("f"):
        a[0, 1] = a[1, :] = a[2, 3] = np.nan
    for _, f in reductions():
        try:
            f(a)
        except TypeError:
            continue
        check(f, a, rtol=4e-6 if dtype == "float32" else 1e-14 if dtype == "float64" else None)
        check(f, a[:1, :1], rtol=1e-6 if dtype == "float32" else 1e-14 if dtype == "float64" else None)


def test_where_and_initial() -> None:
    a = numbers("float64", 3, 3)
    mask = a > 0
    mask[1] = False
    for name in ("sum", "prod", "mean", "var", "std", "any", "all"):
        f = getattr(np, name)
        check(lambda a, m, f=f: f(a, axis=1, where=m), a, mask, rtol=1e-14)
        check(lambda a, m, f=f: f(a, where=m[:, 0][:, None]), a, mask, rtol=1e-14)
    for name in ("sum", "prod", "max", "min"):
        f = getattr(np, name)
        check(lambda a, m, f=f: f(a, axis=0, where=m, initial=2.5), a, mask, rtol=1e-14)
        check(lambda a, f=f: f(a, axis=(0, 1), initial=-2.0, keepdims=True), a, rtol=1e-14)
        check(lambda a, f=f: f(a, axis=0, initial=3), np.zeros((0, 3), "int64"))
        check(lambda a, f=f: f(a, initial=3), np.zeros((3, 0)))
    check(lambda a, m: np.nansum(a, axis=1, where=m, initial=1.0), a, mask, rtol=1e-14)
    check(lambda a, m: np.nanmean(a, axis=1, where=m), a, mask, rtol=1e-14)
    check(lambda a, m: np.nanmax(a, where=m, initial=-9.0), a, mask)
    check(lambda a, m: a.sum(axis=1, where=m), a, mask, rtol=1e-14)
    x = gx.matrix("x", (3, 3))
    with pytest.raises(gx.ArgumentError, match="max: `where` needs `initial`"):
        np.max(x, where=x > 0)
    with pytest.raises(gx.GraphcError):
        np.sum(x, where=gx.vector("m", 2, "bool"))


def test_positions_beside_nan() -> None:
    a = np.array([[np.nan, 2.0, 5.0, 5.0], [-np.inf, np.nan, -np.inf, np.nan], [np.inf, 1.0, np.nan, -np.inf]])
    for axis in (1, None):
        check(lambda a, axis=axis: np.nanargmax(a, axis=axis), a, symbolic=axis is not None)
        check(lambda a, axis=axis: np.nanargmin(a, axis=axis), a, symbolic=axis is not None)
    x = gx.matrix("x", (2, 2))
    nothing = np.full((2, 2), np.nan)
    for f in (gx.nanargmax, gx.nanargmin):
        np.testing.assert_array_equal(evaluate([f(x, axis=1)], {x: nothing})[0], [-1, -1])
    np.testing.assert_array_equal(evaluate([gx.nanargmax(x)], {x: np.array([[np.nan, -np.inf], [np.nan, np.nan]])})[0], 1)


# -- differences, averages ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool"])
def test_differences(dtype: str) -> None:
    a = numbers(dtype, 4, 3)
    for f in (
        lambda a: np.diff(a), lambda a: np.diff(a, axis=0), lambda a: np.diff(a, n=2, axis=0), lambda a: np.diff(a, 0),
        lambda a: np.diff(a, 3),
        lambda a: np.diff(a, prepend=a[:, :1]), lambda a: np.diff(a, axis=0, prepend=a[:1], append=a[:2]),
    ):  # fmt: skip
        check(f, a)
        check(f, a[:, :1] if dtype != "bool" else a)
    if dtype != "bool":
        check(np.ediff1d, a)
        check(lambda a: np.ediff1d(a, to_begin=[1, 2], to_end=3), a)
        check(np.ediff1d, a[0, :0])


def test_gradient() -> None:
    a, t, u = numbers("float64", 5, 4), np.cumsum(np.arange(1.0, 6) ** 1.5), np.cumsum([1.0, 0.5, 2.0, 0.25])
    for edge in (1, 2):
        check(lambda a, e=edge: np.gradient(a, edge_order=e), a, rtol=1e-13)
        check(lambda a, e=edge: np.gradient(a, 0.5, edge_order=e), a, rtol=1e-13)
        check(lambda a, e=edge: np.gradient(a, 0.5, 2, edge_order=e), a, rtol=1e-13)
        check(lambda a, t, e=edge: np.gradient(a, t, axis=0, edge_order=e), a, t, rtol=1e-13)
        check(lambda a, t, u, e=edge: np.gradient(a, t, u, edge_order=e), a, t, u, rtol=1e-13)
        check(lambda a, t, e=edge: np.gradient(a, 0.3, t, axis=(1, 0), edge_order=e), a, t, rtol=1e-13)
        check(lambda a, e=edge: np.gradient(a, edge_order=e), a[:3, 0].astype("float32"), rtol=1e-6)
        check(lambda a, e=edge: np.gradient(a, edge_order=e), a[:, 0].astype("int32"), rtol=1e-13)
    check(lambda a: np.gradient(a), a[:2, 0])
    x = gx.vector("x", 2)
    for wrong in (lambda: np.gradient(x, edge_order=2), lambda: np.gradient(x, gx.vector("t", 3)), lambda: np.gradient(x, 1.0, 2.0),
                  lambda: np.gradient(x, edge_order=3), lambda: np.gradient(gx.scalar("s"), axis=0),
                  lambda: gx.gradient(x, np.ones((2, 2)))):  # fmt: skip
        with pytest.raises(gx.GraphcError):
            wrong()
    y = gx.vector("y", "n")
    with pytest.raises(gx.ShapeError):
        gx.function([y], np.gradient(y, edge_order=2))(np.ones(2))


def test_integrals_and_angles() -> None:
    a, t = numbers("float64", 3, 4), np.cumsum([1.0, 0.5, 2.0, 0.25])
    check(np.trapezoid, a, rtol=1e-14)
    check(lambda a: np.trapezoid(a, dx=0.5, axis=0), a, rtol=1e-14)
    check(lambda a, t: np.trapezoid(a, t), a, t, rtol=1e-14)
    check(lambda a, b: np.trapezoid(a, b, axis=0), a, a * 2, rtol=1e-14)
    check(np.trapezoid, a[0, :1])
    check(np.trapezoid, a[0].astype("int32"))
    p = np.array([[0.0, 3.0, 6.5, 9.0, -3.0, np.pi - 3.0], [1.0, 1 + np.pi, 1.0, 8.0, 20.0, -20.0]])
    check(np.unwrap, p, rtol=1e-14)
    check(lambda p: np.unwrap(p, axis=0), p, rtol=1e-14)
    check(lambda p: np.unwrap(p, discont=4.0), p, rtol=1e-14)
    check(lambda p: np.unwrap(p, period=2.0), p, rtol=1e-13)
    check(lambda p: np.unwrap(p, period=4), np.array([0, 1, 2, -1, 0, 3, 9, -9]))
    check(lambda p: np.unwrap(p, period=5), np.array([0, 1, 2, -1, 0, 3, 9, -9]))


def test_averages() -> None:
    a, w, v = numbers("float64", 3, 4), np.array([0.5, 1.0, 2.0, 0.25]), numbers("float64", 3, 4, seed=2)
    for returned in (False, True):
        more = {"returned": returned}
        check(lambda a, m=more: np.average(a, **m), a, rtol=1e-14)
        check(lambda a, m=more: np.average(a, axis=1, **m), a, rtol=1e-14)
        check(lambda a, w, m=more: np.average(a, axis=1, weights=w, **m), a, w, rtol=1e-14)
        check(lambda a, v, m=more: np.average(a, weights=v, **m), a, v, rtol=1e-13)
        check(lambda a, v, m=more: np.average(a, axis=0, weights=v, keepdims=True, **m), a, v, rtol=1e-13)
    check(lambda a, v: np.average(a, axis=(1, 0), weights=v.T), a, v, rtol=1e-13)
    check(lambda a: np.average(a, axis=0, weights=np.array([1, 2, 3])), a.astype("int32"), rtol=1e-14)
    check(lambda a: np.average(a, axis=0, weights=np.array([1, 2, 3])), a.astype("float32"), rtol=1e-14)
    for more in ({}, {"bins": 4}, {"range": (-1, 2.5)}):
        check(lambda a, m=more: np.histogram_bin_edges(a, **m), a, rtol=1e-14)
    check(np.histogram_bin_edges, np.ones(3, "int32"))
    x = gx.matrix("x", (3, 4))
    for wrong in (lambda: np.average(x, weights=gx.vector("w", 4)), lambda: np.average(x, axis=0, weights=gx.vector("w", 4))):
        with pytest.raises(gx.ShapeError):
            wrong()


def test_covariances() -> None:
    a, b = numbers("float64", 3, 5), numbers("float64", 2, 5, seed=3)
    f, w = np.array([1, 2, 1, 3, 1]), np.array([0.5, 1.0, 2.0, 0.25, 1.5])
    for call in (
        lambda a, b: np.cov(a), lambda a, b: np.cov(a, b), lambda a, b: np.cov(a, rowvar=False), lambda a, b: np.cov(a, bias=True),
        lambda a, b: np.cov(a, ddof=2), lambda a, b: np.cov(a, fweights=f), lambda a, b: np.cov(a, aweights=w),
        lambda a, b: np.cov(a, fweights=f, aweights=w, ddof=0), lambda a, b: np.cov(a, fweights=f, aweights=w),
        lambda a, b: np.cov(a[0], b[1]),
        lambda a, b: np.corrcoef(a), lambda a, b: np.corrcoef(a, b), lambda a, b: np.corrcoef(a.T, rowvar=False), lambda a, b: np.cov(a[0]),
        lambda a, b: np.cov(a[0], ddof=7), lambda a, b: np.corrcoef(a[0]),
    ):  # fmt: skip
        check(call, a, b, rtol=1e-13)
        check(call, a.astype("float32"), b.astype("float32"), rtol=1e-13)


# -- arrangement --------------------------------------------------------------------------------------------------------
ARRANGED: list[Call] = [
    np.flipud, np.fliplr, np.rot90, lambda a: np.rot90(a, 2), lambda a: np.rot90(a, -1), lambda a: np.rot90(a, 5, (1, 0)),
    lambda a: np.rollaxis(a, 1), lambda a: np.rollaxis(a, 0, 2), lambda a: np.rollaxis(a, -1, -1), np.matrix_transpose,
    np.atleast_1d, np.atleast_2d, np.atleast_3d, lambda a: np.atleast_1d(a[0, 0]), lambda a: np.atleast_2d(a[0], a[0, 0]),
    lambda a: np.atleast_3d(a[0], a[0, 0], a), lambda a: np.dstack([a, a[::-1]]), lambda a: np.dstack([a[0], a[1]]),
    lambda a: np.block([[a, a[:, :1]], [a[:1], a[:1, :1]]]), lambda a: np.block([a[0], a[1]]), lambda a: np.block([[a], [a]]),
    lambda a: np.diagflat(a), lambda a: np.diagflat(a[0], 1), lambda a: np.hsplit(a, 2), lambda a: np.vsplit(a, [1]),
    lambda a: np.hsplit(a[0], 2), lambda a: np.dsplit(np.expand_dims(a, 0), 2), lambda a: np.unstack(a), lambda a: np.unstack(a, axis=1),
    lambda a: np.resize(a, (3, 5)), lambda a: np.resize(a, 5), lambda a: np.resize(a, (2, 0)), lambda a: np.copy(a), lambda a: a.copy(),
    lambda a: np.row_stack([a, a]) if hasattr(np, "row_stack") else np.vstack([a, a]),
    lambda a: np.apply_along_axis(lambda v: v.sum(), 0, a), lambda a: np.apply_along_axis(lambda v: v * v[0], 1, a),
    lambda a: np.apply_along_axis(lambda v: np.outer(v, v), 0, a), lambda a: np.apply_over_axes(np.sum, a, (0, 1)),
    lambda a: np.apply_over_axes(np.sum, a, 1), lambda a: a.real, lambda a: a.imag, lambda a: np.concat([a, a]),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", "bool"])
def test_arrangement(dtype: str) -> None:
    a = numbers(dtype, 2, 4)
    for f in ARRANGED:
        check(f, a, symbolic=False)


def test_arrangement_of_symbolic_sizes() -> None:
    a = numbers("float64", 2, 4)
    for f in (np.flipud, np.fliplr, np.rot90, lambda a: np.rot90(a, 3), np.atleast_3d, lambda a: np.dstack([a, a]), np.diagflat,
              lambda a: np.block([[a, a], [a, a]]), lambda a: np.resize(a, (3, 5)), lambda a: np.apply_along_axis(np.cumsum, 1, a),
              lambda a: np.hsplit(a, 2), lambda a: np.apply_over_axes(np.mean, a, (0, 1))):  # fmt: skip
        check(f, a, rtol=1e-14)
        check(f, a[:, :2])
    check(lambda a: np.resize(a, (2, 3)), np.zeros((0,)))


def test_vectors() -> None:
    a, b = numbers("float64", 4, 3), numbers("float64", 4, 3, seed=1)
    check(np.cross, a, b, symbolic=False)
    check(np.cross, a[0], b, symbolic=False)
    check(lambda a, b: np.cross(a.T, b.T, axis=0), a, b, symbolic=False)
    check(lambda a, b: np.cross(a, b.T, axisb=0, axisc=0), a, b, symbolic=False)
    check(np.cross, a.astype("int32"), b.astype("float32"), symbolic=False)
    if tuple(map(int, np.__version__.split(".")[:2])) < (2, 5):
        for left, right in ((2, 2), (2, 3), (3, 2)):
            check(np.cross, a[:, :left], b[:, :right], symbolic=False)
    m = numbers("float64", 4, 2, 3)
    check(np.vecdot, a, b, rtol=1e-14)
    check(lambda a, b: np.vecdot(a, b, axis=0), a, b, rtol=1e-14)
    if hasattr(np, "matvec"):
        check(np.matvec, m, a, rtol=1e-14)
        check(np.vecmat, m[:, :, 0], m, rtol=1e-14)


# -- polynomials, grids, windows ----------------------------------------------------------------------------------------
def test_polynomials() -> None:
    p, q, x = np.array([2.0, -1.0, 0.5, 3.0]), np.array([1.5, -2.0]), numbers("float64", 3, 2)
    check(np.polyval, p, x, symbolic=False)
    check(lambda x: np.polyval([2, 0, -1], x), x)
    check(lambda x: np.polyval([2, 0, -1], x), x.astype("int32"))
    for f in (np.polyadd, np.polysub, np.polymul, np.polydiv):
        check(f, p, q, symbolic=False, rtol=1e-14)
        check(f, q, p, symbolic=False, rtol=1e-14) if f is not np.polydiv else None
        check(f, p, p, symbolic=False, rtol=1e-14) if f in (np.polyadd, np.polymul) else None
    check(lambda p: np.polyder(p), p, symbolic=False)
    check(lambda p: np.polyder(p, 2), p.astype("int32"), symbolic=False)
    check(lambda p: np.polyder(p, 5), p, symbolic=False)
    check(lambda p: np.polyint(p), p, symbolic=False)
    check(lambda p: np.polyint(p, 2, k=[1.0, 2.0]), p, symbolic=False, rtol=1e-15)
    check(lambda p: np.polyint(p, 2, k=3.0), p.astype("int32"), symbolic=False, rtol=1e-15)
    check(np.poly, p, symbolic=False, rtol=1e-14)
    for dtype in ("float64", "float32", "int32", "bool"):
        check(np.vander, numbers(dtype, 4), rtol=1e-14)
        check(lambda v: np.vander(v, 3, increasing=True), numbers(dtype, 4), rtol=1e-14)
    check(lambda v: np.vander(v, 40), np.array([0.5, -1.1, 0.0]), rtol=1e-13)
    check(lambda v: np.vander(v, 0), np.array([0.5, -1.1, 0.0]), symbolic=False)
    t, y = np.linspace(-1, 2, 7), numbers("float64", 7, 2)
    check(lambda t, y: np.polyfit(t, y, 3), t, y, rtol=1e-12, symbolic=False)
    check(lambda t, y: np.polyfit(t, y[:, 0], 2, w=np.arange(1.0, 8)), t, y, rtol=1e-12, symbolic=False)
    with pytest.raises(gx.ShapeError, match="the number n of coefficients is symbolic"):
        np.polyval(gx.vector("p", "n"), 1.0)


def test_grids() -> None:
    value = lambda node: evaluate([node], {})[0]
    same = lambda got, want: np.testing.assert_allclose(value(got), want, rtol=1e-14, atol=1e-15)
    for more in ({}, {"endpoint": False}, {"num": 1}, {"num": 0}, {"dtype": "float32"}):
        np.testing.assert_allclose(value(gx.logspace(0.5, 2, **more)), np.logspace(0.5, 2, **more), rtol=1e-6 if "dtype" in more else 1e-13)
        np.testing.assert_allclose(
            value(gx.geomspace(0.5, 200, **more)), np.geomspace(0.5, 200, **more), rtol=1e-6 if "dtype" in more else 1e-13
        )
        np.testing.assert_allclose(
            value(gx.geomspace(-3, -200, **more)), np.geomspace(-3, -200, **more), rtol=1e-6 if "dtype" in more else 1e-13
        )
    same(gx.logspace(0, [1.0, 2.0], 4, base=2.0, axis=1), np.logspace(0, [1.0, 2.0], 4, base=2.0, axis=1))
    same(gx.geomspace([1.0, 8.0], [4.0, 1.0], 5), np.geomspace([1.0, 8.0], [4.0, 1.0], 5))
    assert value(gx.geomspace(1, 1000, 4))[-1] == 1000 and value(gx.geomspace(7, 1000, 4))[0] == 7
    same(gx.indices((2, 3)), np.indices((2, 3)))
    same(gx.indices((2, 3), dtype="float32"), np.indices((2, 3)))
    for got, want in zip(gx.indices((2, 3), sparse=True), np.indices((2, 3), sparse=True)):
        same(got, want)
    same(gx.fromfunction(lambda i, j: i * 10 + j, (2, 3)), np.fromfunction(lambda i, j: i * 10 + j, (2, 3)))
    np.testing.assert_allclose(value(gx.kaiser(7, 3.5)), np.kaiser(7, 3.5), rtol=1e-13)
    np.testing.assert_allclose(value(gx.kaiser(1, 3.5)), [1.0])
    for name in ("hanning", "hamming", "blackman", "bartlett"):
        for m in (0, 1, 2, 3, 8, 9):
            np.testing.assert_allclose(value(getattr(gx, name)(m)), getattr(np, name)(m), rtol=1e-13, atol=1e-16)
        x = gx.vector("x", "m")
        for m in (1, 2, 5):
            got = evaluate([getattr(gx, name)(x.shape[0]) * x], {x: np.ones(m)})[0]
            np.testing.assert_allclose(got, getattr(np, name)(m), rtol=1e-13, atol=1e-16)
    assert gx.broadcast_shapes((3, 1), (1, 4), 4) == (3, 4) and gx.broadcast_shapes((3, 1), ("n",)) == (3, gx.dim("n"))
    assert gx.empty((2, "n")).shape == (2, gx.dim("n")) and gx.empty_like(gx.vector("x", 3, "int8")).dtype == np.int8
    check(lambda a: np.empty_like(a) * 0, numbers("int16", 2, 3))


def test_choices() -> None:
    a = numbers("float64", 3, 3)
    check(lambda a: np.select([a > 2, a > 0], [a, a**2], -1.0), a, rtol=1e-15)
    check(lambda a: np.select([a > 2, a > 0], [1, 2]), a)
    check(lambda a: np.select([a > 2], [a[:, :1]], default=a), a, symbolic=False)
    check(lambda a: np.piecewise(a, [a < 0, a >= 2], [lambda v: -v, lambda v: v * v]), a)
    check(lambda a: np.piecewise(a, [a < 0, a < 2], [-1, lambda v, k: v + k, 9], 3.5), a)
    check(lambda a: np.piecewise(a, a < 0, [lambda v: -v, 5]), a[0])
    check(lambda a: np.piecewise(a, [a < 0], [2.7]), a.astype("int32"))
    x = gx.vector("x", 3)
    for wrong in (lambda: np.select([x], [x]), lambda: np.select([x > 0], []), lambda: np.piecewise(x, [x > 0], [])):
        with pytest.raises(gx.GraphcError):
            wrong()


def test_dtypes_and_numbers() -> None:
    x, i = gx.vector("x", 3, "float32"), gx.vector("i", 3, "int64")
    assert gx.result_type(x, 1.5) == np.result_type(x, 2) == np.float32 and np.result_type(x, i) == np.float64
    assert np.can_cast(x, "float64") and not gx.can_cast("float64", x) and gx.can_cast(x, "int8", "unsafe")
    assert gx.promote_types("int32", gx.float32) == np.float64 and gx.issubdtype(x.dtype, gx.floating) and gx.isdtype(i.dtype, "integral")
    assert gx.pi == np.pi and gx.e == np.e and gx.inf == np.inf and np.isnan(gx.nan) and gx.newaxis is None
    assert gx.euler_gamma == np.euler_gamma and x[gx.newaxis].shape == (1, 3)
    for name in ("bool", "int8", "uint16", "float32", "float64", "single", "double", "intp", "uint", "longlong", "ulonglong"):
        assert gx.zeros(2, getattr(gx, name)).dtype == np.dtype(getattr(np, name))
    assert gx.zeros(2, gx.float32).dtype == gx.float32
    assert gx.array([[x[0], 1.0], [2.0, x[1]]]).shape == (2, 2) and gx.array([1, 2], ndmin=2).shape == (1, 2)
    np.testing.assert_array_equal(evaluate([gx.array([[x[0], 1.0], [2.0, x[1]]])], {x: np.arange(3, dtype="float32")})[0], [[0, 1], [2, 1]])
    assert gx.array([x, x], dtype="float64").dtype == np.float64 and gx.ascontiguousarray(gx.scalar("s")).shape == (1,)
    assert x.itemsize == 4 and x.nbytes == 12 and gx.vector("y", "n").nbytes == 8 * gx.dim("n")
    assert not gx.iscomplexobj(x) and gx.isrealobj(x) and not np.iscomplexobj(x)
