"""graphc.special under SciPy's names: its ufuncs on nodes, what is refused, weights of logsumexp, conventions at the ends."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special

import graphc as gx
from graphc.interp import evaluate

X, Y = gx.tensor("x", ("n",)), gx.tensor("y", ("n",))
UFUNCS = {n: f for n in gx.special.__all__ if isinstance(f := getattr(scipy.special, n), np.ufunc)}


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
