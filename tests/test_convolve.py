"""The structural ops behind convolution and pooling: `convolve`, `window` and `fold`; NumPy's convolve and correlate."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.signal

import graphc as gx
from graphc.derivatives.grad import pull_back
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.interp import evaluate
from graphc.ir import Node
from graphc.ops.convolve import CONVOLVE, Relation, convolution
from graphc.ops.registry import number
from graphc.ops.windows import Sliding, fold, window
from tests.derivatives import check_derivatives
from tests.ops_cases import check_loops

MODES = ("full", "same", "valid")


def slid(x: Node, w: Node, r: Relation, places: int) -> Node:
    """out[n, f, i] = sum over c, p of x[n, c, y] w[f, c, p]."""
    return convolution(x, w, ((0, 1, 2), (5, 1, 4), (0, 5, 3)), [r], ((3, places),))


RELATIONS = [  # of an axis of 6, 3 taps, and as many places as fit
    (Relation(2, 3, 4, 1, 1, 0), 4), (Relation(2, 3, 4, 1, 1, 1), 6), (Relation(2, 3, 4, 2, 1, 1), 3), (Relation(2, 3, 4, 3, 2, 2), 2),
    (Relation(2, 3, 4, 1, -1, -2), 4), (Relation(2, 3, 4, 2, -1, 0), 4), (Relation(2, 3, 4, 5, 1, 0), 1), (Relation(2, 3, 4, 1, 4, 4), 5),
]  # fmt: skip


@pytest.mark.parametrize(("relation", "places"), RELATIONS)
def test_the_three_roles_are_one_op(relation: Relation, places: int) -> None:
    """Forward and both gradients are `convolve` nodes whose loops, reference, and sum over all products agree."""
    rng = np.random.default_rng(1)
    X, W = rng.normal(size=(2, 3, 6)), rng.normal(size=(4, 3, 3))
    G = rng.normal(size=(2, 4, places))
    x, w, g = (gx.tensor(n, v.shape) for n, v in (("x", X), ("w", W), ("g", G)))
    out = slid(x, w, relation, places)
    gradients = gx.vjp(out, [x, w], g)
    made = pull_back([(out, g)], {x, w})
    assert made[x].op is made[w].op is CONVOLVE
    env = {x: X, w: W, g: G}
    expected = [np.zeros(out.shape), np.zeros(X.shape), np.zeros(W.shape)]
    for i, p in itertools.product(range(places), range(3)):
        y = relation.stride * i + relation.dilation * p - int(relation.pad)
        if 0 <= y < 6:
            expected[0][:, :, i] += X[:, :, y] @ W[:, :, p].T
            expected[1][:, :, y] += G[:, :, i] @ W[:, :, p]
            expected[2][:, :, p] += G[:, :, i].T @ X[:, :, y]
    native = gx.function([x, w, g], [out, *gradients])(X, W, G)
    for node, want, got in zip((out, *gradients), expected, native, strict=True):
        np.testing.assert_allclose(evaluate([node], env)[0], want, atol=1e-13)
        np.testing.assert_allclose(got, want, atol=1e-13)


def test_derivatives_of_every_role() -> None:
    rng = np.random.default_rng(2)
    relation = Relation(2, 3, 4, 2, 1, 1)
    check_derivatives(lambda x, w: slid(x, w, relation, 3), rng.normal(size=(1, 2, 6)), rng.normal(size=(2, 2, 3)))
    x, w = gx.tensor("x", (1, 2, 6)), gx.tensor("w", (2, 2, 3))
    cost = gx.sum(gx.tanh(slid(x, w, relation, 3)) ** 2)
    gx.check_grad(gx.sum(gx.grad(cost, w) ** 2), [x, w], {x: rng.normal(size=x.shape), w: rng.normal(size=w.shape)}, order=2)


def test_integers_wrap_and_sizes_may_be_zero() -> None:
    x, w = gx.tensor("x", (0, 2, 6), "int32"), gx.tensor("w", (3, 2, 3), "int32")
    out = slid(x, w, RELATIONS[0][0], 4)
    assert gx.function([x, w], out)(np.zeros((0, 2, 6), "int32"), np.ones((3, 2, 3), "int32")).shape == (0, 3, 4)
    x, w = gx.tensor("x", ("n", 0, 6)), gx.tensor("w", (3, 0, 3))
    f = gx.function([x, w], slid(x, w, RELATIONS[1][0], 6))
    np.testing.assert_array_equal(f(np.zeros((2, 0, 6)), np.zeros((3, 0, 3))), np.zeros((2, 3, 6)))
    v = gx.tensor("v", ("n",), "int32")
    big = np.full(4, 2**30, "int32")
    np.testing.assert_array_equal(gx.function([v], gx.convolve(v, v))(big), np.convolve(big, big))


def test_a_spec_that_is_none() -> None:
    x, w = gx.tensor("x", (2, 3, 6)), gx.tensor("w", (4, 3, 3))
    good = ((0, 1, 2), (5, 1, 4), (0, 5, 3)), [Relation(2, 3, 4, 1, 1, 0)], ((3, 4),)
    assert convolution(x, w, *good).shape == (2, 4, 4)
    for spec, relations, extents, message in [
        (((0, 1, 1), good[0][1], good[0][2]), *good[1:], "twice"),
        (((0, 1, 2), (5, 1, 4), (0, 5)), good[1], (), "does not couple"),
        (((0, 1, 3), (5, 1, 4), (0, 5, 2)), [Relation(2, 3, 4, 0, 1, 0)], ((2, 4),), "at least 1"),
        (((0, 6, 2), (5, 1, 4), (0, 5, 3)), *good[1:], "one array only"),
        (good[0], good[1], (), "no operand has"),
        (good[0], [*good[1], Relation(2, 6, 7, 1, 1, 0)], good[2], "two relations"),
    ]:
        with pytest.raises(ShapeError, match=message):
            convolution(x, w, spec, relations, extents)
    with pytest.raises(DTypeError):
        convolution(x, w.astype("float32"), *good)


# -- windows --------------------------------------------------------------------------------------------------------------
SLIDINGS = [
    [Sliding(1, 3, 2)], [Sliding(1, 2, 2, stride=2)], [Sliding(1, 4, 3, stride=1, pad=1)], [Sliding(1, 3, 3, stride=2, dilation=2, pad=2)],
    [Sliding(0, 2, 2, stride=3, pad=1), Sliding(1, 2, 3, stride=2, pad=1)], [Sliding(1, 2, 1, stride=3)],
]  # fmt: skip


@pytest.mark.parametrize("slidings", SLIDINGS)
def test_window_and_fold_are_each_others_transpose(slidings: list[Sliding]) -> None:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(3, 4, 2))
    x = gx.tensor("x", X.shape)
    seen = window(x, number(0, x.dtype), slidings)
    G = rng.normal(size=seen.shape)
    g = gx.tensor("g", G.shape)
    back = fold(g, slidings, tuple(x.shape[s.axis] for s in slidings))
    assert pull_back([(seen, g)], {x})[x] is back
    assert pull_back([(back, x)], {g})[g] is seen
    filled = window(x, number(-np.inf, x.dtype), slidings)
    f = gx.function([x, g], [seen, back, filled])
    for got, want in zip(f(X, G), evaluate([seen, back, filled], {x: X, g: G}), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-14)
    found = f(X, G)
    np.testing.assert_allclose(np.vdot(found[0], G), np.vdot(X, found[1]), rtol=1e-12)
    np.testing.assert_array_equal(np.isinf(found[2]), evaluate([window(gx.ones(x.shape), number(0, x.dtype), slidings)], {})[0] == 0)
    check_loops([seen, back, filled], {x: X, g: G})
    check_derivatives(lambda x, v: gx.sin(window(x, v, slidings)), X, np.array(0.3), orders=2)


# -- NumPy's names --------------------------------------------------------------------------------------------------------
def test_convolve_and_correlate_as_numpy() -> None:
    """Any two lengths, by one compiled function a mode; both ends of the middle."""
    rng = np.random.default_rng(4)
    x, y = gx.tensor("x", ("n",)), gx.tensor("y", ("m",))
    for mode in MODES:
        f = gx.function([x, y], [gx.convolve(x, y, mode), gx.correlate(x, y, mode)])
        for n, m in [*itertools.product(range(1, 6), repeat=2), (70, 9), (8, 33)]:
            a, v = rng.normal(size=n), rng.normal(size=m)
            for got, want in zip(f(a, v), (np.convolve(a, v, mode), np.correlate(a, v, mode)), strict=True):
                np.testing.assert_allclose(got, want, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_convolve_keeps_dtypes(dtype: str) -> None:
    a, v = (np.arange(5) % 3).astype(dtype), np.array([1, 0, 1]).astype(dtype)
    x, y = gx.tensor("x", (5,), dtype), gx.tensor("y", (3,), dtype)
    (got,) = evaluate([np.convolve(x, y, "same")], {x: a, y: v})  # type: ignore[list-item]
    want = np.convolve(a, v, "same")
    np.testing.assert_array_equal(got, want)
    assert got.dtype == want.dtype and np.correlate(x, y).shape == (3,)


def test_correlate_as_scipy_and_its_derivatives() -> None:
    rng = np.random.default_rng(5)
    a, v = rng.normal(size=7), rng.normal(size=4)
    x, y = gx.asarray(a), gx.asarray(v)
    np.testing.assert_allclose(gx.correlate(x, y, "full").eval(), scipy.signal.correlate(a, v), rtol=1e-12)
    for mode in MODES:
        check_derivatives(lambda x, y, m=mode: gx.convolve(x, y, m) * gx.correlate(x, y, m), a, v)


def test_convolve_refuses() -> None:
    x = gx.tensor("x", (3, 3))
    with pytest.raises(ShapeError, match="1-d"):
        gx.convolve(x, x)
    with pytest.raises(ShapeError, match="empty"):
        gx.convolve(gx.tensor("e", (0,)), [1.0])
    with pytest.raises(ArgumentError, match="'half' is none of"):
        gx.correlate([1.0], [2.0], "half")
