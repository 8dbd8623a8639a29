"""Special functions with a static order: native values against exact ones, the orders that are refused, and the limits of derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import scipy.special

import graphc as gx
from graphc.dtypes import float32, float64
from graphc.ir import make
from graphc.ops.registry import OPS
from tests import special_bessel as bessel
from tests import special_integrals as integrals
from tests.piecewise_bessel import i0e, k0e

EVEN, POSITIVE, WIDE = (0.1, 0.8, 3.3, 6.99, 7.01, 22.0, 300.0), (0.01, 0.3, 0.6, 1.7, 7.99, 8.01, 70.0), (-1e4, -3.0, -0.9, -0.2, 0.1, 0.4)
SIGNED = (*[-v for v in EVEN], *EVEN)
Exact = Callable[..., Any]


def _ive(n: int, x: Any) -> Any:
    return mp.exp(-abs(x)) * mp.besseli(n, x)


def _polygamma(n: int, x: Any) -> Any:
    """By the sum up to where zeta has its digits: its error is absolute"""
    if abs(x - mp.nint(x)) < mp.mpf(10) ** -9 and x < 0:
        return mp.nan
    with mp.workdps(60 + int(6 * n)):
        count = max(0, int(10 - x))
        total = mp.zeta(n + 1, x + count) + mp.fsum((x + k) ** -(n + 1) for k in range(count))
        return (-1) ** (n + 1) * mp.factorial(n) * total


# op: (orders, points, the exact function of an order and a number)
CASES: dict[str, tuple[tuple[int, ...], tuple[float, ...], Exact]] = {
    "iv": ((2, 3, 9, 36), SIGNED[:6] + SIGNED[7:13], mp.besseli), "ive": ((2, 5, 20), SIGNED, _ive),
    "jn": ((2, 3, 14, 60), SIGNED, lambda n, x: bessel.oscillating("j", n, x)),
    "i0e_slope": ((1, 2, 3, 4), SIGNED, lambda n, x: i0e(n)(abs(x))), "k0e_slope": ((1, 2, 3, 4), POSITIVE, lambda n, x: k0e(n)(x)),
    "expi_slope": ((0, 1, 3), (*SIGNED[:6], *POSITIVE), integrals.quotient_e),
    "sinc_slope": ((0, 1, 2, 5), SIGNED, lambda n, x: integrals._quotients(x, n + 1, 0)[n]),
    "cosc_slope": ((0, 1, 2, 5), SIGNED, lambda n, x: integrals._quotients(x, n + 1, 1)[n]),
    "ellipk_slope": ((1, 2, 3, 4), WIDE + (0.6, 0.99), lambda n, m: integrals.elliptic("k", n, m)),
    "ellipe_slope": ((1, 2, 3, 4), WIDE + (0.6, 0.99), lambda n, m: integrals.elliptic("e", n, m)),
    "lambertw_slope": ((1, 2, 3, 5), (-0.3, -0.1, 0.2, 1.2, 1.3, 40.0), lambda n, z: integrals.lambert_slopes(0, z)[n - 1]),
    "lambertw_lower_slope": ((1, 2, 3, 5), (-0.3, -0.1, -0.07, -1e-5), lambda n, z: integrals.lambert_slopes(-1, z)[n - 1]),
    "polygamma": ((1, 2, 7, 60), (0.02, 0.7, 1.5, 9.3, 400.0, 1e5, -0.3, -0.7, -1.45, -6.2, -30.9), _polygamma),
    "spence_slope": ((1, 2, 3, 4), (0.01, 0.24, 0.26, 0.99, 1.0, 1.7, 3.9, 4.1, 80.0), integrals.spence),
}  # fmt: skip


def test_every_op_with_an_order_is_here() -> None:
    assert {n for n, op in OPS.items() if op.params == ("n",) and op.elementwise} <= set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_values(name: str) -> None:
    """To 4 units of |f| + |x f'|, in both dtypes, the interpreter in double as well; of no and of one element."""
    orders, points, exact = CASES[name]
    for dtype in (float32, float64):
        x = gx.tensor("x", ("n",), dtype)
        at = np.array(points, dtype)
        made = [make(OPS[name], (x,), (n,)) for n in orders]
        f = gx.function([x], made)
        results = [(f(at), 6)] + ([(gx.function([x], made, mode="interpret")(at), 4)] if dtype == float64 else [])
        assert f(at[:0])[0].shape == (0,) and f(at[:1])[0] == results[0][0][0][0]
        with mp.workdps(50):
            for n, k in zip(orders, range(len(orders))):
                for i, v in enumerate(at.tolist()):
                    true = mp.mpf(exact(n, mp.mpf(v)))
                    h = mp.mpf(10) ** -15
                    moved = abs(mp.mpf(exact(n, mp.mpf(v) * (1 + h))) - true) / h
                    for got, room in results:
                        error = abs(mp.mpf(float(got[k][i])) - true)
                        allowed = room * float(np.finfo(dtype).eps) * (abs(true) + moved) + float(np.finfo(dtype).tiny)
                        top = float(np.finfo(dtype).max)
                        assert error <= allowed or abs(true) > top, f"{name}({n}, {v!r}) {dtype}: {got[k][i]!r}, not {mp.nstr(true, 17)}"


def test_orders_are_static_whole_numbers() -> None:
    x = gx.tensor("x", ("n",))
    assert (
        gx.special.jn(1, x) is gx.special.j1(x) and gx.special.iv(-1, x) is gx.special.i1(x) and gx.special.ive(0.0, x) is gx.special.i0e(x)
    )
    for wrong in (1.5, x, "2", None, True, 101, -101):
        with pytest.raises(gx.errors.ArgumentError, match="order"):
            gx.special.jn(wrong, x)
    for wrong in (1, -2, 0.5):
        with pytest.raises(gx.errors.ArgumentError):
            gx.special.lambertw(x, wrong)
    at = np.array([-2.5, 0.5])
    np.testing.assert_allclose(gx.function([x], gx.special.jn(-3, x))(at), -gx.function([x], gx.special.jn(3, x))(at))


def test_where_tables_end_a_derivative_is_refused() -> None:
    x = gx.tensor("x", ())
    for f, last in ((gx.special.i0e, 4), (gx.special.k1e, 3), (gx.special.ellipk, 4), (gx.special.ellipe, 4), (gx.special.spence, 4)):
        out = f(x)
        for _ in range(last):
            out = gx.grad(out, x)
        with pytest.raises(gx.errors.NotDifferentiableError, match="order"):
            gx.grad(out, x)


def test_graphs_with_an_order_are_written_and_pickled() -> None:
    import pickle

    x = gx.tensor("x", (3,))
    f = gx.function([x], gx.special.jn(4, x))
    at = np.array([0.1, 5.0, 50.0])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(f))(at), f(at))
    assert math.isclose(float(f(at)[1]), 0.3912323604586482, rel_tol=1e-14)


def test_polygamma_at_poles_and_ends_and_zeta() -> None:
    x = gx.tensor("x", ("n",))
    at = np.array([0.0, -0.0, -3.0, -1e16, np.inf, np.nan])
    for n, sign in ((1, 1.0), (2, -1.0)):
        for mode in (None, "interpret"):
            got = gx.function([x], gx.special.polygamma(n, x), mode=mode)(at)
            np.testing.assert_array_equal(got, [sign * np.inf] * 4 + [0.0, np.nan])
    points = np.array([0.3, 1.0, 7.5, -1.3])
    got = gx.function([x], [gx.special.zeta(s, x) for s in (2, 5)])(points)
    for s, values in zip((2, 5), got):
        true = [mp.zeta(s, p) if p > 0 else mp.zeta(s, p + 2) + p**-s + (p + 1) ** -s for p in points.tolist()]
        np.testing.assert_allclose(values, [float(v) for v in true], rtol=2e-15)
    for wrong in (0, 61, 1.5):
        with pytest.raises(gx.errors.ArgumentError):
            gx.special.polygamma(wrong, x)


def test_scipys_functions_of_a_node() -> None:
    x = gx.tensor("x", ("n",))
    pairs = [
        (scipy.special.jn(3, x), gx.special.jn(3, x)), (scipy.special.ive(2, x), gx.special.ive(2, x)),
        (scipy.special.lambertw(x, -1), gx.special.lambertw(x, -1)), (scipy.special.zeta(3, x), gx.special.zeta(3, x)),
        (scipy.special.sici(x)[1], gx.special.sici(x)[1]), (scipy.special.k1e(x), gx.special.k1e(x)),
    ]  # fmt: skip
    assert all(theirs is ours for theirs, ours in pairs)
