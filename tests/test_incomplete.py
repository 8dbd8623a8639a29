"""The incomplete gamma functions: values over the whole range, in both tails, first derivatives, what is refused, SciPy's ends."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import scipy.special

import graphc as gx
from tests import special_incomplete as exact

A, X = gx.tensor("a", ("n",)), gx.tensor("x", ("n",))
ENDS = (0.0, 5e-324, 0.31, 1.0, 30.0, np.inf, np.nan, -1.0)


def _derivatives(a: gx.Node, x: gx.Node) -> list[gx.Node]:
    """gammainc, gammaincc, by a, by x, by x twice, by a and x in both orders"""
    lower = gx.special.gammainc(a, x)
    by_a, by_x = gx.grad(gx.sum(lower), [a, x])
    mixed = [gx.grad(gx.sum(by_a), x), gx.grad(gx.sum(by_x), a)]
    return [lower, gx.special.gammaincc(a, x), by_a, by_x, gx.grad(gx.sum(by_x), x), *mixed]


@cache
def compiled(dtype: str = "float64") -> gx.Function:
    a, x = gx.tensor("a", ("n",), dtype), gx.tensor("x", ("n",), dtype)
    return gx.function([a, x], _derivatives(a, x))


def points() -> list[tuple[float, float]]:
    """Parameters of many sizes; arguments around the median, in both tails, near 0, and where one method ends and another begins"""
    found = [(a, a + d * a**0.5) for a in (0.4, 1.0, 3.9, 4.1, 11.9, 12.1, 40.0, 300.0, 1e5, 1e10, 1e15) for d in (-6.0, -0.1, 0.0, 5.0)]
    found += [(a, x) for a in (1e-30, 1e-4, 0.2, 0.9, 7.0, 12.5, 150.0) for x in (1e-30, 1e-3, 0.29, 0.31, 1.0, 8.0, 60.0, 500.0)]
    return [(a, x) for a, x in found if x > 0]


def _exact(a: float, x: float) -> list[Any]:
    p, z = mp.mpf(a), mp.mpf(x)
    lower, upper, slope = exact.lower_upper_slope(p, z)
    density, score = exact.density(p, z), exact.log_less_digamma(p, z)
    return [lower, upper, slope, density, density * ((p - 1) / z - 1), density * score, density * score]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_derivatives(dtype: str) -> None:
    kind = np.dtype(dtype)
    a, x = np.array(points(), kind).T
    got = compiled(dtype)(a, x)
    faults = []
    with mp.workprec(200):
        for i, (p, z) in enumerate(zip(a.tolist(), x.tolist())):
            true = _exact(p, z)
            cancels = [0, 0, 0, 0, abs(true[3]) * (1 + p / z), *[abs(true[3]) * (1 + abs(mp.log(z)) * (p < 4))] * 2]
            for k, (g, t) in enumerate(zip(got, true)):
                least = float(np.finfo(kind).smallest_subnormal) * (1 + abs(t / (true[3] or 1)))  # of a product with a density that small
                room = float(np.finfo(kind).eps) * (5 * abs(t) + 2 * cancels[k]) + least
                assert g.dtype == kind
                if abs(t) < np.finfo(kind).max and not abs(mp.mpf(float(g[i])) - t) <= room:
                    faults.append(f"{k} of {p!r}, {z!r}: {g[i]!r}, not {mp.nstr(t, 17)}")
    assert not faults, "\n".join(faults)


def test_ends_are_scipys() -> None:
    """But for subnormal parameters, where SciPy's gammainc is 0 and not 1 - gammaincc."""
    a, x = np.array(list(itertools.product(ENDS, ENDS))).T
    lower, upper, *others = compiled()(a, x)
    wanted = scipy.special.gammainc(np.where(a == 5e-324, 1e-300, a), x), scipy.special.gammaincc(a, x)
    np.testing.assert_allclose(lower, wanted[0], rtol=1e-13, atol=5e-324)
    np.testing.assert_allclose(upper, wanted[1], rtol=1e-13, atol=5e-324)
    interpreted = gx.function([A, X], _derivatives(A, X), mode="interpret")(a, x)
    for k, (g, w) in enumerate(zip([lower, upper, *others], interpreted)):
        np.testing.assert_allclose(g, w, rtol=1e-13, atol=1e-320, err_msg=str(k))


def test_scipys_functions_of_nodes_and_numbers() -> None:
    assert scipy.special.gammainc(A, X) is gx.special.gammainc(A, X) and scipy.special.gammaincc(A, X) is gx.special.gammaincc(A, X)
    f = gx.tensor("f", (3, 1), "float32")
    assert gx.special.gammainc(f, 2.0).dtype == np.float32 and gx.special.gammainc(f, X).dtype == np.float64
    got = gx.function([f, X], gx.special.gammainc(f, X))
    row = np.array([0.5, 2.0])
    np.testing.assert_allclose(got(np.ones((3, 1), np.float32), row), np.tile(scipy.special.gammainc(1.0, row), (3, 1)), rtol=1e-15)
    for size in (0, 1):
        assert compiled()(np.full(size, 2.0), np.full(size, 1.5))[0].shape == (size,)
    with pytest.raises(gx.ShapeError):
        gx.special.gammainc(gx.tensor("p", (2,)), gx.tensor("q", (3,)))


@pytest.mark.parametrize("f", [gx.special.gammainc, gx.special.gammaincc])
def test_the_second_derivative_by_the_parameter_is_refused(f: Any) -> None:
    a, x = gx.tensor("a", ()), gx.tensor("x", ())
    first = gx.grad(f(a, x), a)
    with pytest.raises(gx.NotDifferentiableError, match="gammaincc: derivatives by a exist up to order 1"):
        gx.grad(first, a)
    with pytest.raises(gx.NotDifferentiableError, match="by a"):
        gx.jvp(first, [a], [gx.tensor("t", ())])
    assert np.isfinite(gx.function([a, x], gx.grad(gx.grad(first, x), x))(2.5, 1.5))  # by the argument there are more


# -- beta -----------------------------------------------------------------------------------------------------------------------------
B = gx.tensor("b", ("n",))


@cache
def compiled_beta(dtype: str = "float64", mode: str | None = None) -> gx.Function:
    """betainc, by a, by b, by x, and by x of these"""
    a, b, x = (gx.tensor(name, ("n",), dtype) for name in "abx")
    value = gx.special.betainc(a, b, x)
    first = gx.grad(gx.sum(value), [a, b, x])
    return gx.function([a, b, x], [value, *first, *[gx.grad(gx.sum(f), x) for f in first]], mode=mode)


def beta_points() -> list[tuple[float, float, float]]:
    sizes = (2e-3, 0.4, 1.0, 3.9, 4.1, 13.0, 90.0, 900.0)
    found = [(a, b, a / (a + b) * f) for a, b in itertools.product(sizes, sizes) for f in (0.3, 0.97)]
    found += [(a, b, 1 - b / (a + b) * f) for a, b in itertools.product(sizes[1:], sizes[1:]) for f in (0.5,)]
    return [(a, b, x) for k, (a, b, x) in enumerate(found) if 1e-9 < x < 1 - 1e-9 and k % 3 == 0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_beta_and_derivatives(dtype: str) -> None:
    kind = np.dtype(dtype)
    a, b, x = np.array(beta_points(), kind).T
    got, faults = compiled_beta(dtype)(a, b, x), []
    eps, tiny = float(np.finfo(kind).eps), float(np.finfo(kind).tiny)
    for i, (p, q, z) in enumerate(zip(a.tolist(), b.tolist(), x.tolist())):
        if i % 3 and dtype == "float32":
            continue
        with mp.workprec(220):
            p, q, z = mp.mpf(p), mp.mpf(q), mp.mpf(z)
            value, by_a, by_b, density = exact.beta(p, q, z)
            both = mp.digamma(p + q)
            scores = mp.log(z) - mp.digamma(p) + both, mp.log(1 - z) - mp.digamma(q) + both, (p - 1) / z - (q - 1) / (1 - z)
            true = [value, by_a, by_b, density, *[density * s for s in scores]]
            sizes = [abs(mp.log(z)) + 8 + 1 / p, abs(mp.log(1 - z)) + 8 + 1 / q, (p + 1) / z + (q + 1) / (1 - z)]
            beyond = eps * (z * (p + q) > p)  # there it is 1 less the other side
            small = 8 * eps * (min(p, q) < 0.1)  # a derivative by the other parameter is small as that one, the parts of it are not
            room = [beyond, small * (1 - value), small * value, 0, *[4 * eps * density * s for s in sizes]]
            for k, (g, t) in enumerate(zip(got, true)):
                assert g.dtype == kind
                if not abs(mp.mpf(float(g[i])) - t) <= 8 * eps * abs(t) + room[k] + tiny * (1 + abs(t / (density or 1))):
                    faults.append(f"{k} of {p}, {q}, {z}: {g[i]!r}, not {mp.nstr(t, 17)}")
    assert not faults, "\n".join(faults[:20])


def test_beta_at_the_ends() -> None:
    ends = (0.0, 1e-3, 1.0, 2.5, np.inf, np.nan, -1.0)
    a, b, x = np.array(list(itertools.product(ends, ends, (0.0, 0.25, 1.0, np.nan, -0.5, 1.5)))).T
    got = compiled_beta()(a, b, x)
    np.testing.assert_allclose(got[0], scipy.special.betainc(a, b, x), rtol=1e-13)
    for k, (g, w) in enumerate(zip(got[:4], compiled_beta(mode="interpret")(a, b, x))):
        np.testing.assert_allclose(g, w, rtol=2e-13, atol=1e-300, err_msg=str(k))


def test_beta_is_symmetric_for_large_parameters() -> None:
    """Far beyond mpmath: I_x(a, a) = 1/2 at 1/2, and I_x(a, b) + I_(1-x)(b, a) = 1; derivatives by a and b change places."""
    a = np.array([1e5, 1e8, 1e12, 1e5, 1e9])
    b = np.array([1e5, 1e8, 1e12, 3e5, 1e4])
    x = np.array([0.5, 0.5, 0.5, 0.25, 0.99999])
    one, other = compiled_beta()(a, b, x), compiled_beta()(b, a, 1 - x)
    np.testing.assert_allclose(one[0][:3], 0.5, rtol=1e-15)
    np.testing.assert_allclose(one[0] + other[0], 1.0, rtol=1e-11)
    np.testing.assert_allclose(one[1][:3], -other[2][:3], rtol=1e-14)
    assert scipy.special.betainc(A, B, X) is gx.special.betainc(A, B, X)


def test_second_derivatives_of_beta_are_refused() -> None:
    a, b, x = (gx.tensor(name, ()) for name in "abx")
    by_a, by_b = gx.grad(gx.special.betainc(a, b, x), [a, b])
    for out, wrt in ((by_a, a), (by_a, b), (by_b, a), (by_b, b)):
        with pytest.raises(gx.NotDifferentiableError, match="betainc: derivatives by a and b exist up to order 1"):
            gx.grad(out, wrt)


def test_beta_of_large_arguments() -> None:
    """Within 5 units, where e**betaln had up to 240, and exact derivatives; gamma itself has overflowed in some."""
    a = np.array([3.0, 50.0, 1e-5, 200.0, 12.0, 900.0, 3.999, 2.0, 1e-300])
    b = np.array([30.0, 40.0, 50.0, 250.0, 13.5, 2.5, 1e7, 1e100, 26.0])
    value = gx.special.beta(A, B)
    for p, q in ((a, b), (b, a)):
        got, by_a = gx.function([A, B], [value, gx.grad(gx.sum(value), A)])(p, q)
        with mp.workprec(900):
            for i, (x, y) in enumerate(zip(map(mp.mpf, p.tolist()), map(mp.mpf, q.tolist()))):
                true = exact.beta_large(x, y)
                assert abs(got[i] - true) <= 5 * np.spacing(float(true)), (x, y)
                slope, room = true * (mp.digamma(x) - mp.digamma(x + y)), true * (1 + abs(mp.log(x + y)))
                assert abs(by_a[i] - slope) <= 4e-16 * (4 * abs(slope) + 4 * room) or abs(slope) > 1e308, (x, y)
