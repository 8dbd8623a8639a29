"""Derivatives of NumPy's functions to order 3, at the places where they are asked for most: 0, nan, ties, branches that are not taken.

The rows have theirs in test_ops and test_tails; here are `sinc`, whose orders are one op, and the functions that are made of several.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import graphc as gx
from graphc.derivatives.check_grad import check_grad
from graphc.interp import evaluate
from graphc.ir import Node
from graphc.ops.sinc import SINC, make
from tests.test_numpy_functions import numbers

ORDERS = (0, 1, 2, 3, 8)


# -- sinc -------------------------------------------------------------------------------------------------------------------
def exact_sinc(x: Any, order: int) -> Any:
    """By its power series near 0, and by x s_k = pi**(k-1) sin(pi x + k pi/2) - k s_(k-1), in many digits."""
    if abs(x) < 3:
        u = mp.pi * x
        terms = ((-1) ** ((m + order) // 2) * u**m / (mp.factorial(m) * (m + order + 1)) for m in range(order % 2, 80, 2))
        return mp.pi**order * mp.fsum(terms)
    value = mp.sinpi(x) / (mp.pi * x)
    for k in range(1, order + 1):
        turned = (mp.sinpi(x), mp.cospi(x), -mp.sinpi(x), -mp.cospi(x))[k % 4]
        value = (mp.pi ** (k - 1) * turned - k * value) / x
    return value


def sinc_points(dtype: str) -> np.ndarray:
    tiny = np.finfo(dtype).smallest_subnormal
    sizes = [0.0, tiny, 1e-30, 1e-8, 1e-3, 0.1, 0.3, 0.47, 0.4775, 0.48, 0.5, 0.55, 0.6, 0.8, 0.97, 1.0, 1.3, 1.5, 1.97, 2.0, 2.5, 2.8, 3.1,
             17.25, 1e3 + 0.3, 12345.5, 1e6, 2.0**23 + 1, 1e15, 1e30]  # fmt: skip
    return np.array([*sizes, *[-s for s in sizes], *np.linspace(-4, 4, 61)], dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sinc_and_its_derivatives(dtype: str) -> None:
    """Four units for the value, as compiled; each order a few more, measured by the value and by what a rounding of x makes of it."""
    x, at = gx.vector("x", "n", dtype), sinc_points(dtype)
    outputs = [make(SINC, (x,), (k,)) for k in ORDERS]
    eps, tiny = float(np.finfo(dtype).eps), float(np.finfo(dtype).tiny)
    compiled, interpreted = gx.function([x], outputs)(at), evaluate(outputs, {x: at})
    with mp.workdps(50):
        for k, v in enumerate(map(float, at)):
            true = {order: exact_sinc(mp.mpf(v), order) for order in {*ORDERS, *[n + 1 for n in ORDERS]}}
            for n, order in enumerate(ORDERS):
                moved = abs(v * true[order + 1])
                room = 4 * eps * abs(true[0]) / 2 if order == 0 else 4 * 2**order * eps * (abs(true[order]) + moved)
                for got in (compiled[n][k], interpreted[n][k]):
                    off = abs(mp.mpf(float(got)) - true[order])
                    # the last term: what the digits of the exact value leave of a zero
                    assert off <= room + 2 * tiny + 1e-45 * (order == 0), f"order {order} at {v!r}: {got!r}, not {mp.nstr(true[order], 17)}"


def test_grad_of_sinc_is_its_next_order() -> None:
    x = gx.scalar("x")
    orders: list[Node] = [gx.sinc(x)]
    for _ in range(6):
        orders.append(gx.grad(orders[-1], x))
    got = evaluate(orders, {x: np.array(0.0)})
    np.testing.assert_allclose(got, [1, 0, -(np.pi**2) / 3, 0, np.pi**4 / 5, 0, -(np.pi**6) / 7], rtol=1e-14)
    assert evaluate([gx.sinc(x)], {x: np.array(7.0)})[0] == 0  # exactly


# -- rows at their singular points ------------------------------------------------------------------------------------------
def derivatives(f: Callable[..., Node], *at: float, order: int = 3, dtype: str = "float64") -> list[float]:
    """All partial derivatives up to an order."""
    xs = [gx.scalar(f"x{k}", dtype) for k in range(len(at))]
    level, found = [f(*xs)], []
    for _ in range(order):
        level = [gx.grad(e, x, disconnected="zero") for e in level for x in xs]
        found += level
    with np.errstate(all="ignore"):
        return [float(v) for v in evaluate(found, {x: np.array(a, dtype) for x, a in zip(xs, at)})]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_finite_where_the_function_is(dtype: str) -> None:
    for f, at in [
        (gx.hypot, (0.0, 0.0)), (gx.hypot, (0.0, 1.0)), (gx.hypot, (1e30, -1e30)), (gx.sinc, (0.0,)), (gx.copysign, (0.0, -1.0)),
        (gx.heaviside, (0.0, 0.5)), (gx.heaviside, (1.0, 0.5)), (gx.fmax, (np.nan, 1.0)), (gx.fmin, (1.0, np.nan)), (gx.fmod, (7.0, 2.0)),
        (gx.logaddexp2, (3.0, 3.0)), (gx.logaddexp2, (-np.inf, -np.inf)), (gx.nan_to_num, (np.nan,)), (gx.nan_to_num, (np.inf,)),
        (gx.nextafter, (0.0, 1.0)), (gx.spacing, (1.0,)), (lambda x: gx.ldexp(x, 3), (0.0,)), (lambda x: gx.std(gx.stack([x, x])), (1.0,)),
        (lambda x: gx.nanstd(gx.stack([x, x * np.nan])), (1.0,)), (lambda x: gx.float_power(x, 2), (0.0,)),
    ]:  # fmt: skip
        got = derivatives(f, *at, dtype=dtype)
        assert np.isfinite(got).all(), (f, at, got)
    assert derivatives(gx.hypot, 0.0, 0.0, dtype=dtype) == [0.0] * 14
    assert derivatives(gx.hypot, 3.0, 4.0, order=1, dtype=dtype) == pytest.approx([0.6, 0.8], rel=1e-6)
    assert derivatives(gx.hypot, np.inf, 4.0, order=1, dtype=dtype) == [1.0, 0.0]
    assert derivatives(gx.cbrt, 0.0, order=1, dtype=dtype) == [np.inf] and derivatives(gx.cbrt, 0.0, order=2, dtype=dtype)[1] == -np.inf
    assert derivatives(gx.cbrt, -8.0, order=1, dtype=dtype) == pytest.approx([1 / 12], rel=1e-6)
    assert derivatives(gx.fmax, 2.0, 2.0, order=1, dtype=dtype) == [0.5, 0.5]
    assert derivatives(gx.fmax, np.nan, 2.0, order=1, dtype=dtype) == [0.0, 1.0]
    assert derivatives(gx.fmod, -7.5, 2.0, order=1, dtype=dtype) == [1.0, 3.0]
    assert derivatives(gx.copysign, -3.0, 1.0, order=1, dtype=dtype) == [-1.0, 0.0]
    assert derivatives(gx.heaviside, 0.0, 0.5, order=1, dtype=dtype) == [0.0, 1.0]
    assert derivatives(gx.nan_to_num, np.inf, order=1, dtype=dtype) == [0.0]
    assert derivatives(lambda x: gx.ldexp(x, -3), 5.0, order=2, dtype=dtype) == [0.125, 0.0]


def test_what_is_not_taken_has_no_influence() -> None:
    x = gx.vector("x", 3)
    at = np.array([-1.0, 0.0, 4.0])
    for f in (
        lambda x: gx.select([x > 0], [gx.sqrt(x)], 0.0),
        lambda x: gx.piecewise(x, [x > 0], [gx.sqrt, 0.0]),
        lambda x: gx.piecewise(x, [x <= 0, x > 0], [lambda v: 0 * v, gx.log]),
    ):
        got, second = x, None
        for _ in range(2):
            got = gx.grad(gx.sum(f(x) if second is None else got), x)
            second = got
        assert np.isfinite(evaluate([got], {x: at})[0]).all() and (evaluate([got], {x: at})[0][:2] == 0).all()
    masked = gx.sum(gx.sqrt(x), where=x > 0) + gx.max(gx.sqrt(x), where=x > 0, initial=-1.0) + gx.nansum(gx.log(x - 0.5))
    got = evaluate([gx.grad(masked, x)], {x: at})[0]
    np.testing.assert_allclose(got, [0, 0, 0.5 + 1 / 3.5])


def test_derivatives_beside_nan() -> None:
    """What is nan has derivative 0, and does not disturb the others."""
    x, at = gx.matrix("x", (2, 3)), np.array([[1.0, np.nan, 3.0], [np.nan, -2.0, 5.0]])
    known = ~np.isnan(at)
    clean = gx.vector("c", 4)
    for ours, plain in [(gx.nansum, gx.sum), (gx.nanprod, gx.prod), (gx.nanmean, gx.mean), (gx.nanvar, gx.var), (gx.nanstd, gx.std),
                        (gx.nanmax, gx.max), (gx.nanmin, gx.min)]:  # fmt: skip
        got = evaluate([gx.grad(ours(x), x)], {x: at})[0]
        want = evaluate([gx.grad(plain(clean), clean)], {clean: at[known]})[0]
        np.testing.assert_allclose(got[known], want, rtol=1e-14)
        assert (got[~known] == 0).all()


# -- functions that are made of several ---------------------------------------------------------------------------------------
V, W, M = numbers("float64", 5) + 0.05, numbers("float64", 5, seed=1), numbers("float64", 3, 4)
T = np.cumsum([0.3, 1.0, 0.5, 2.0, 0.25])
CASES: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = {
    "diff": (lambda v: gx.diff(v, 2, prepend=v[:1]) ** 2, (V,)),
    "ediff1d": (lambda m: gx.ediff1d(m, to_begin=m[0, 0]) ** 2, (M,)),
    "gradient": (lambda v, t: gx.gradient(v, t, edge_order=2) ** 2, (V, T)),
    "gradient of even samples": (lambda m: sum(g**2 for g in gx.gradient(m, 0.5, 2.0)), (M,)),
    "trapezoid": (lambda v, t: gx.trapezoid(v**2, t), (V, T)),
    "unwrap": (lambda v: gx.unwrap(v * 2) ** 2, (V,)),
    "cross": (lambda a, b: gx.cross(a, b) * gx.cross(b, a * a), (V[:3], W[:3])),
    "average": (lambda m, w: gx.average(m, axis=0, weights=w**2), (M, W[:3])),
    "cov": (lambda m: gx.cov(m), (M,)),
    "cov with weights": (lambda m, w: gx.cov(m, aweights=gx.exp(w), ddof=1), (M, W[:4] / 9)),
    "corrcoef": (lambda m: gx.corrcoef(m)[0, 1:], (M,)),
    "ptp": (lambda m: gx.ptp(m, axis=1) ** 2, (M,)),
    "polyval": (lambda p, x: gx.polyval(p, x), (V[:4], W[:3])),
    "polydiv": (lambda p, q: sum(gx.sum(r**2) for r in gx.polydiv(p, q)), (V, np.array([2.0, 1.0, -0.5]))),
    "polymul": (lambda p, q: gx.polyint(gx.polymul(p, q), 1, k=p[0]) + gx.polyder(gx.polyint(gx.polymul(q, p), 2)), (V[:3], W[:2])),
    "poly": (lambda z: gx.poly(z), (V[:3],)),
    "vander": (lambda v: gx.vander(v, 3), (V,)),
    "logspace": (lambda a, b: gx.logspace(a, b, 4, base=2.0), (V[:2], W[:2])),
    "geomspace": (lambda a, b: gx.geomspace(a, b, 4), (np.abs(V[:2]) + 0.5, np.abs(W[:2]) + 1)),
    "select": (lambda v, w: gx.select([v > 1, v < -1], [v**2, w**3], v * w), (V, W)),
    "piecewise": (lambda v: gx.piecewise(v, [v < 0, v > 3], [lambda u: u**2, gx.sin, lambda u: u**3]), (V,)),
    "fmax": (lambda v, w: gx.fmax(v, w) * gx.fmin(v, w**2), (V, W)),
    "float_power": (lambda v: gx.float_power(gx.abs(v), 2.5), (V,)),
    "angles": (lambda v: gx.sin(gx.deg2rad(v * 20)) + gx.cos(gx.rad2deg(v / 20)), (V,)),
    "where=": (lambda m: gx.std(m, axis=1, where=m > -3) + gx.prod(m, axis=1, where=m < 5, initial=2.0), (M,)),
    "nancumprod": (lambda v: gx.nancumprod(v) * gx.nancumsum(v), (V,)),
    "block": (lambda m: gx.block([[m, m[:, :1] ** 2], [m[:1], m[:1, :1]]]) ** 2, (M,)),
    "resize": (lambda v: gx.resize(v, (3, 4)) ** 2, (V,)),
    "rot90": (lambda m: gx.rot90(m) * gx.rot90(m.T, 2, (1, 0)), (M,)),
    "apply_along_axis": (lambda m: gx.apply_along_axis(lambda v: gx.outer(v, v), 0, m), (M[:2, :2],)),
    "vecdot": (lambda m: gx.vecdot(m, m**2), (M,)),
    "hanning": (lambda v: gx.hanning(5) * v**2, (V,)),
    "nan_to_num": (lambda v: gx.nan_to_num(v) * v**2, (V,)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_to_order_three(name: str) -> None:
    f, arrays = CASES[name]
    xs = [gx.tensor(f"x{k}", a.shape) for k, a in enumerate(arrays)]
    check_grad(f(*xs), xs, dict(zip(xs, arrays)), order=3, rtol=2e-6)


# -- as compiled --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_compiled_with_their_gradients(dtype: str) -> None:
    """One function of them all, symbolic sizes, for sizes that coincide and inputs that are not contiguous, beside the interpreter."""
    v, w, m = gx.vector("v", "n", dtype), gx.vector("w", "n", dtype), gx.matrix("m", ("k", "n"), dtype)
    out = [
        gx.diff(v), gx.gradient(v), gx.gradient(v, gx.cumsum(gx.abs(w) + 1)), gx.trapezoid(v, w), gx.unwrap(v), gx.average(m, 1, w**2 + 1),
        gx.cov(m), gx.cov(m, v), gx.ptp(m, 0), gx.vander(v, 3), gx.polyval([1.0, -2.0, 0.5], v), gx.select([v > 1], [w], v),
        gx.piecewise(v, [v > 0], [gx.sqrt, lambda u: u * u]), gx.fmax(v, w), gx.heaviside(v, w), gx.isclose(v, w, 0.5), gx.allclose(v, w),
        gx.nansum(gx.sqrt(m), 1), gx.nanmax(gx.sqrt(m)), gx.nanargmax(gx.sqrt(m), axis=1), gx.sum(m, 0, where=m > 0, initial=1),
        gx.max(m, 0, where=m > 0, initial=0), gx.std(m, 1, where=m < 4), gx.block([[m, m[:, ::-1]], [m * 2, m]]), gx.rot90(m),
        gx.resize(m, (3, "n")),
        gx.dstack([m, m]), gx.apply_along_axis(gx.cumsum, 0, m), gx.isin(gx.round(v), gx.round(w)), gx.vecdot(m, v),
        gx.geomspace(1.0, 8.0, "n"),
        gx.blackman("n") * v, gx.indices((2, "n")), gx.nan_to_num(v / w), gx.hypot(v, w), gx.sinc(v),
        gx.lcm(v.astype("int32"), w.astype("int32")),
    ]  # fmt: skip
    out = out if dtype == "float64" else out[::2]
    loss = gx.sum(gx.gradient(v, gx.cumsum(gx.abs(w) + 1)) ** 2) + gx.sum(gx.corrcoef(m) + gx.cov(m, v)[0, 0]) + gx.nanmean(gx.sqrt(m)) ** 2
    loss = loss + gx.sum(gx.hypot(v, w)) + gx.sum(gx.sinc(v) * w) + gx.trapezoid(v, w) + gx.sum(gx.piecewise(v, [v > 0], [gx.sqrt, 0.0]))
    out = [*out, *gx.grad(loss, [v, w, m])] if dtype == "float64" else out
    f = gx.function([v, w, m], out)
    for k, n in ((2, 3), (3, 3), (3, 8), (4, 33)):
        a, b, c = (numbers(dtype, 2 * s, seed=i)[::2] for i, s in enumerate((n, n, k * n)))
        values = (a[::-1], b, np.ascontiguousarray(c).reshape(n, k).T)
        with np.errstate(all="ignore"):
            wanted = evaluate(out, dict(zip((v, w, m), values)))
        for j, (got, want) in enumerate(zip(f(*values), wanted)):
            np.testing.assert_allclose(got, want, rtol=2e-4 if dtype == "float32" else 1e-10, atol=2e-4 if dtype == "float32" else 1e-10,
                                       err_msg=f"output {j} of sizes {k}, {n}")  # fmt: skip
