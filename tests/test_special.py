"""graphc.special under SciPy's names: its ufuncs on nodes, what is refused, weights of logsumexp, conventions at the ends."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
import scipy.special

import graphc as gx
from graphc.interp import evaluate
from graphc.ops.registry import OPS
from graphc.ops.rows import PUBLIC
from tests.special_functions import SPECIAL

X, Y = gx.tensor("x", ("n",)), gx.tensor("y", ("n",))
OTHERS = ("erf", "erfc", "expit", "log_expit", "xlogy", "beta", "betaln", "binom")
UFUNCS = {n: f for n in gx.special.__all__ if (n in SPECIAL or n in OTHERS) and isinstance(f := getattr(scipy.special, n), np.ufunc)}


@pytest.mark.parametrize("name", UFUNCS)
def test_a_ufunc_of_scipy_on_a_node_is_ours(name: str) -> None:
    ufunc = UFUNCS[name]
    operands = [X, Y][: ufunc.nin]
    assert ufunc(*operands) is getattr(gx.special, name)(*operands)


def test_what_is_refused_says_its_full_name() -> None:
    with pytest.raises(gx.ArgumentError, match=r"scipy\.special\.obl_rad1 has no symbolic form"):
        scipy.special.obl_rad1(X, 1, 1, 1)
    with pytest.raises(gx.ArgumentError, match=r"scipy\.special\.erfcx: out= cannot be used"):
        scipy.special.erfcx(X, out=np.zeros(2))
    with pytest.raises(gx.ArgumentError, match=r"scipy\.special\.rel_entr\.accumulate"):
        scipy.special.rel_entr.accumulate(X)


def orders(f: object, n: int) -> list[gx.Node]:
    """f(x) and its derivatives."""
    found = [f(X)]
    for _ in range(n):
        found.append(gx.grad(gx.sum(found[-1]), X, disconnected="zero"))
    return found


ENDS = {  # name: x, then the value and its derivatives of orders 1 and 2 there
    "entr": [(0.0, 0.0, np.inf, -np.inf), (-1.0, -np.inf, np.nan, 1.0), (np.inf, -np.inf, -np.inf, 0.0)],
    "erfinv": [(1.0, np.inf, np.inf, np.inf), (-1.0, -np.inf, np.inf, -np.inf), (1.5, np.nan, np.nan, np.nan)],
    "erfcinv": [(0.0, np.inf, -np.inf, np.inf), (2.0, -np.inf, -np.inf, -np.inf), (-0.1, np.nan, np.nan, np.nan)],
    "ndtri": [(0.0, -np.inf, np.inf, -np.inf), (1.0, np.inf, np.inf, np.inf), (1.1, np.nan, np.nan, np.nan)],
    "logit": [(0.0, -np.inf, np.inf, -np.inf), (1.0, np.inf, np.inf, np.inf)],
    "ndtr": [(-np.inf, 0.0, 0.0, 0.0), (np.inf, 1.0, 0.0, 0.0)],
    "log_ndtr": [(-np.inf, -np.inf, np.inf, -1.0), (np.inf, 0.0, 0.0, 0.0)],
    "erfcx": [(-np.inf, np.inf, -np.inf, np.inf), (np.inf, 0.0, 0.0, 0.0)],
    "dawsn": [(np.inf, 0.0, 0.0, 0.0), (-np.inf, 0.0, 0.0, 0.0)],
    "erfi": [(np.inf, np.inf, np.inf, np.inf), (-np.inf, -np.inf, np.inf, -np.inf)],
}


def test_values_and_derivatives_at_the_ends() -> None:
    points = np.array(sorted({row[0] for rows in ENDS.values() for row in rows}))
    values = {n: orders(getattr(gx.special, n), 2) for n in ENDS}
    got = iter(gx.function([X], [v for each in values.values() for v in each])(points))
    for name, rows in ENDS.items():
        found = [next(got) for _ in range(3)]
        for x, *wanted in rows:
            at = points.tolist().index(x)
            np.testing.assert_array_equal([v[at] for v in found], wanted, err_msg=f"{name} at {x}")


# -- logsumexp, softmax ----------------------------------------------------------------------------------------------------
A = np.array([[1.0, -3.0, 900.0, 2.0], [0.5, -np.inf, 1.0, -2.0], [1.0, 2.0, -3.0, 0.0]])
B = np.array([[1.0, 2.0, 0.0, 0.5], [1.0, 3.0, 0.25, 2.0], [1.0, -1.0, 0.0, 0.5]])


@pytest.mark.parametrize("axis, keepdims", [(None, False), (0, False), (1, True), ((0, 1), True), (-1, False)])
def test_logsumexp_with_weights_is_scipys(axis: object, keepdims: bool) -> None:
    a, b = gx.tensor("a", ("m", "n")), gx.tensor("b", ("m", "n"))
    for rows in (slice(None, 2), slice(None)):
        wanted = scipy.special.logsumexp(A[rows], axis=axis, b=B[rows], keepdims=keepdims)
        got = gx.function([a, b], gx.special.logsumexp(a, axis=axis, b=b, keepdims=keepdims))(A[rows], B[rows])
        np.testing.assert_allclose(got, wanted, rtol=1e-14)
        pair = scipy.special.logsumexp(A[rows], axis=axis, b=B[rows], keepdims=keepdims, return_sign=True)
        signed = gx.function([a, b], list(gx.special.logsumexp(a, axis=axis, b=b, keepdims=keepdims, return_sign=True)))(A[rows], B[rows])
        for g, w in zip(signed, pair):
            np.testing.assert_allclose(g, w, rtol=1e-14)


def test_logsumexp_with_weights_has_exact_derivatives() -> None:
    """With respect to a weight that is 0 as well; orders 1 and 2 against closed forms."""
    a, b = gx.tensor("a", (4,)), gx.tensor("b", (4,))
    value = gx.special.logsumexp(a, b=b)
    da, db = gx.grad(value, a), gx.grad(value, b)
    x, w = np.array([1.0, 700.0, -3.0, 5.0]), np.array([2.0, 0.0, 1.0, 0.5])
    e = np.exp(x - 5)
    share = w * e / np.sum((w * e)[w > 0])
    share[1] = 0
    got = evaluate([da, db, gx.jacobian(da, a)], {a: x, b: w})
    np.testing.assert_allclose(got[0], share, rtol=1e-14)
    np.testing.assert_allclose(got[1], e / np.sum((w * e)[w > 0]), rtol=1e-13)
    np.testing.assert_allclose(got[2], np.diag(share) - np.outer(share, share), rtol=1e-13, atol=1e-16)


def test_softmax_takes_all_axes_by_default() -> None:
    a = gx.tensor("a", ("m", "n"))
    values = B
    for ours, theirs in ((gx.special.softmax, scipy.special.softmax), (gx.special.log_softmax, scipy.special.log_softmax)):
        for axis in (None, 0, (0, 1)):
            np.testing.assert_allclose(evaluate([ours(a, axis)], {a: values})[0], theirs(values, axis), rtol=1e-14)


def test_sizes_0_and_1() -> None:
    out = [getattr(gx.special, n)(*[X, Y][: f.nin]) for n, f in UFUNCS.items()]
    f = gx.function([X, Y], [*out, gx.special.logsumexp(X, b=Y)])
    for size in (0, 1):
        found = f(np.full(size, 0.3), np.full(size, 0.7))
        for name, got, ufunc in zip(UFUNCS, found, UFUNCS.values()):
            np.testing.assert_allclose(got, ufunc(*[np.full(size, 0.3), np.full(size, 0.7)][: ufunc.nin]), rtol=1e-13, err_msg=name)
    assert f(np.empty(0), np.empty(0))[-1] == -np.inf


# -- gamma -----------------------------------------------------------------------------------------------------------------------
def test_whole_numbers_are_exact() -> None:
    n, k = [a.ravel() for a in np.meshgrid(np.arange(0.0, 40), np.arange(-1.0, 9))]
    s = gx.special
    f = gx.function([X, Y], [s.binom(X, Y), s.comb(X, Y), s.comb(X, Y, repetition=True), s.factorial(X), s.gamma(X + 1)])
    binom, comb, multi, factorial, gamma = f(n, k)
    exact = [[float(math.comb(int(a), int(b))) if b >= 0 else 0.0 for a, b in zip(n, k)]]
    exact.append([float(math.comb(int(a + b - 1), int(b))) if b >= 0 and a + b >= 1 else 0.0 for a, b in zip(n, k)])
    np.testing.assert_array_equal(binom, exact[0])
    np.testing.assert_array_equal(comb, exact[0])
    np.testing.assert_array_equal(multi, exact[1])
    wanted = np.array([float(math.factorial(int(a))) for a in n])
    np.testing.assert_allclose(gamma, wanted, rtol=1e-15)
    small = wanted < 2.0**48
    np.testing.assert_array_equal(factorial[small], wanted[small])
    assert f(np.array([-1.0]), np.array([0.0]))[3][0] == 0


def test_beta_is_right_where_its_logarithms_are_large() -> None:
    rng = np.random.default_rng(0)
    a, b = (np.concatenate([rng.uniform(0.1, 9, 20), rng.uniform(1, 200, 20), 10.0 ** rng.uniform(-5, 10, 30)]) for _ in range(2))
    values = gx.function([X, Y], [gx.special.betaln(X, Y), gx.special.beta(X, Y), gx.grad(gx.sum(gx.special.betaln(X, Y)), X)])(a, b)
    with mp.workdps(50):
        for x, y, log, value, slope in zip(a, b, *values):
            p, q = mp.mpf(float(x)), mp.mpf(float(y))
            exact = mp.loggamma(p) + mp.loggamma(q) - mp.loggamma(p + q)
            assert abs(log - exact) <= 16 * 2**-52 * max(abs(exact), 1), (x, y)
            assert exact < -700 or abs(value / mp.exp(exact) - 1) <= 2**-52 * (16 + 8 * abs(exact)), (x, y)
            conditioned = abs(mp.digamma(p)) + abs(mp.digamma(p + q)) + 1
            assert abs(slope - (mp.digamma(p) - mp.digamma(p + q))) <= 64 * 2**-52 * conditioned, (x, y)


def test_multigammaln_is_scipys() -> None:
    x = np.array([1.6, 2.5, 30.0])
    for d in (1, 2, 4):
        inside = x > (d - 1) / 2
        got = gx.function([X], gx.special.multigammaln(X, d))(x)
        np.testing.assert_allclose(got[inside], scipy.special.multigammaln(x[inside], d), rtol=1e-14)
    with pytest.raises(gx.ArgumentError, match="a whole number > 0, not 0"):
        gx.special.multigammaln(X, 0)
    with pytest.raises(gx.ArgumentError, match="exact=True gives Python's integers"):
        gx.special.factorial(X, exact=True)


def test_what_functions_mean_raises_for_no_argument() -> None:
    """The interpreter and constant folding see arguments of every size: an overflow is an infinity, not an exception of Python's."""
    rng = np.random.default_rng(0)
    sizes = np.concatenate(
        [rng.uniform(-3, 3, 20), rng.uniform(0, 2, 20), rng.uniform(-300, 300, 20), np.log10([26.65, 26.7, 26.9, 710, 171.7])]
    )
    for name, op in OPS.items():
        if op.elementwise and name in PUBLIC and op.row is not None and "f" in op.row.kinds:
            values = [10.0 ** rng.permutation(sizes) * rng.choice([-1, 1], len(sizes)) for _ in range(op.arity or 1)]
            operands = [gx.tensor(f"x{k}", (len(sizes),)) for k in range(len(values))]
            with np.errstate(all="ignore"):
                evaluate([PUBLIC[name](*operands)], dict(zip(operands, values)))
