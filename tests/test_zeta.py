"""The zeta functions as ops: values, derivatives by q, poles and ends, what is refused, SciPy's ufuncs of nodes."""

from __future__ import annotations

import itertools

import mpmath as mp
import numpy as np
import pytest
import scipy.special

import graphc as gx
from tests import special_zeta as exact

S, Q = gx.tensor("s", ("n",)), gx.tensor("q", ("n",))


def _orders(s: gx.Node, q: gx.Node) -> list[gx.Node]:
    """zeta(s), zeta(s, q), and its derivatives by q of orders 1 to 3"""
    found = [gx.special.zeta(s), gx.special.zeta(s, q)]
    for _ in range(3):
        found.append(gx.grad(gx.sum(found[-1]), q))
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_derivatives(dtype: str) -> None:
    s, q = gx.tensor("s", ("n",), dtype), gx.tensor("q", ("n",), dtype)
    f, eps = gx.function([s, q], _orders(s, q)), float(np.finfo(dtype).eps)
    at = np.array(list(itertools.product((1.001, 1.7, 2.0, 4.5, 20.0), (0.03, 0.9, 1.0, 7.5, 3e4))) + [(2.0, -1.25), (3.0, -7.4)], dtype)
    got = f(*at.T)
    with mp.workprec(220):
        for i, (x, y) in enumerate(at.tolist()):
            assert abs(got[0][i] - mp.zeta(x)) <= 4 * eps * mp.zeta(x)
            for n, g in enumerate(got[1:]):
                factor = mp.rf(mp.mpf(x), n) * (-1) ** n
                true, size = (factor * v for v in exact.parts(mp.mpf(x) + n, mp.mpf(y)))
                room = 3 if n == 0 else 5 + abs(mp.log(abs(y))) * (x + n)  # the order x + n is rounded
                allowed = room * eps * abs(size) + (1 + abs(factor)) * float(np.finfo(dtype).tiny)
                assert g.dtype == dtype and (abs(g[i] - true) <= allowed or abs(true) > np.finfo(dtype).max), (x, y, n)
    for size in (0, 1):
        assert all(g.shape == (size,) for g in f(at[:size, 0], at[:size, 1]))


def test_poles_and_ends() -> None:
    """As SciPy, but of an infinite order for q > 1, where SciPy has nan and the limit is 0."""
    ends = np.array([0.0, -1.0, -2.0, 1.0, 0.5, 2.0, 3.0, 2.5, 60.0, 1e5, np.inf, -np.inf, np.nan])
    of = np.array([0.0, -0.0, -1.0, -1.5, -30.25, 0.5, 1.0, 1.5, 1e308, 1e-310, np.inf, -np.inf, np.nan])
    s, q = np.array(list(itertools.product(ends, of))).T
    native, interpreted = (gx.function([S, Q], _orders(S, Q)[:3], mode=mode)(s, q) for mode in (None, "interpret"))
    for g, w in zip(native, interpreted):
        np.testing.assert_allclose(g, w, rtol=3e-15, atol=1e-320)
    with np.errstate(all="ignore"):
        wanted = np.where((s == np.inf) & (q > 1), 0.0, scipy.special.zeta(s, q))
    steep = (s == 1e5) & (np.abs(q) > 1) & (q < 0)  # there SciPy's sum stops at its first term
    np.testing.assert_allclose(native[1][~steep], wanted[~steep], rtol=1e-13, atol=1e-320)
    np.testing.assert_allclose(native[0], scipy.special.zeta(s), rtol=1e-14)
    assert (native[0][s == -2] == 0).all()
    assert np.isnan(native[2][s < 1]).all()  # as the value is


def test_large_orders_of_large_arguments() -> None:
    """Where each of the terms counts, and the rounding of q + k, beyond a power of two, would show s times."""
    rng = np.random.default_rng(5)
    q = 2.0 ** rng.integers(3, 14, 60) - rng.uniform(0, 1, 60)
    s = np.minimum(q * rng.uniform(0.05, 4, 60), 690 / np.log(q)) + 1
    got = gx.function([S, Q], gx.special.zeta(S, Q))(s, q)
    with mp.workprec(220):
        for value, *at in zip(got.tolist(), s.tolist(), q.tolist()):
            true = exact.hurwitz(*map(mp.mpf, at))
            assert abs(value - true) <= 3 * np.spacing(float(true)), at


def test_derivatives_by_the_order_are_refused() -> None:
    s, q = gx.tensor("s", ()), gx.tensor("q", ())
    for out in (gx.special.zeta(s), gx.special.zeta(s, q), gx.grad(gx.special.zeta(s, q), q)):
        with pytest.raises(gx.NotDifferentiableError, match="zeta: derivatives by x"):
            gx.grad(out, s)
        with pytest.raises(gx.NotDifferentiableError, match="zeta: derivatives by x"):
            gx.jvp(out, [s], [gx.tensor("t", ())])


def test_scipys_functions_of_nodes_and_numbers() -> None:
    assert scipy.special.zeta(S) is gx.special.zeta(S) and scipy.special.zeta(S, Q) is gx.special.zeta(S, Q)
    assert gx.special.zeta(gx.tensor("f", (3,), "float32"), 2.0).dtype == np.float32
    at = np.array([0.4, 2.0])
    for order in (2, 2.5, 70):
        np.testing.assert_allclose(gx.function([Q], scipy.special.zeta(order, Q))(at), scipy.special.zeta(order, at), rtol=1e-14)
    with pytest.raises(gx.ShapeError):
        gx.special.zeta(gx.tensor("p", (2,)), gx.tensor("q", (3,)))
    with pytest.raises(gx.errors.ArgumentError, match=r"np\.asarray of a symbolic value"):
        scipy.special.polygamma(2, Q)  # SciPy makes arrays of its arguments first
