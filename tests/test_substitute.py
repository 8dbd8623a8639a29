"""`substitute`: nodes and sizes replaced at once; also what `givens` and inlining do."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx


def test_nodes() -> None:
    x, y, z = gx.scalar("x"), gx.scalar("y"), gx.scalar("z")
    e = x * y + gx.exp(x * y)
    assert gx.substitute(e, {x: y, y: x}) is gx.substitute(e, {y: x, x: y}) is y * x + gx.exp(y * x)  # at once
    assert gx.substitute(e, {x * y: z}) is z + gx.exp(z)
    assert gx.substitute(e, {x: x * 2}) is (x * 2) * y + gx.exp((x * 2) * y)  # a replacement is not entered
    assert gx.substitute(e, {z: x}) is e and gx.substitute(e, {}) is e
    assert gx.substitute(x, {x: z}) is z
    got = gx.substitute({"a": (e, [x]), "n": None}, {x: z})
    assert got["a"][1][0] is z and got["a"][0] is z * y + gx.exp(z * y) and got["n"] is None
    assert gx.substitute(e, {x: 2.0, y: 3}).eval() == pytest.approx(6 + np.exp(6))
    v = gx.vector("v", 2)
    assert gx.substitute(gx.sum(v * x), {v: np.array([1.0, 2.0])}).eval({x: 2.0}) == 6
    assert gx.substitute([x, 2, np.ones(2)], {x: y})[0] is y


def test_sizes_follow_the_replacement() -> None:
    x, u = gx.matrix("x", ("n", 4)), gx.matrix("u", ("m", 4))
    n, m = gx.dim("n"), gx.dim("m")
    e = [gx.zeros(n), gx.mean(x, axis=0), gx.asarray(n), x.reshape(n * 4), gx.broadcast_to(gx.scalar("s"), (n, 2))]
    got = gx.substitute(e, {x: u})
    assert [g.shape for g in got] == [(m,), (4,), (), (4 * m,), (m, 2)]
    assert got[2] is gx.asarray(m)
    fixed = gx.substitute(e[:4], {x: np.ones((3, 4))})
    assert [g.shape for g in fixed] == [(3,), (4,), (), (12,)] and fixed[2].eval() == 3
    odd = gx.vector("odd", 2 * n + 1)
    assert gx.substitute(gx.asarray(n), {odd: np.zeros(7)}).eval() == 3
    assert gx.substitute(gx.asarray(n), {odd: gx.vector("w", 2 * m + 3)}) is gx.asarray(m + 1)
    assert gx.substitute(gx.sum(odd), {odd: gx.vector("w", m)}).shape == ()  # no size is known to solve it


def test_sizes_alone() -> None:
    n, m = gx.dim("n"), gx.dim("m")
    assert gx.substitute(gx.arange(n), {n: m + 1}).shape == (m + 1,)
    assert gx.substitute(gx.arange(n), {n: 4}).eval().tolist() == [0, 1, 2, 3]
    assert gx.substitute([gx.asarray(n), gx.asarray(m)], {n: m, m: n})[0] is gx.asarray(m)
    assert gx.substitute(gx.asarray(n), {n: "k"}) is gx.asarray(gx.dim("k"))
    for wrong, kind in [({n: -1}, gx.ShapeError), ({n: 1.5}, gx.ShapeError), ({n + 1: 3}, gx.ArgumentError), ({"x": 3}, gx.ArgumentError)]:
        with pytest.raises(kind):
            gx.substitute(gx.arange(n), wrong)


def test_variables_that_are_not_replaced_stay() -> None:
    x, y, u = gx.vector("x", "n"), gx.vector("y", "n"), gx.vector("u", "m")
    s = gx.shared(np.ones(3), "s", shape=("n",))
    e = gx.substitute(x * y * s, {x: u})
    f = gx.function([u, y], e)
    assert f([1, 2, 3], [1, 1, 2]).tolist() == [1, 2, 6]
    s.set_value(np.ones(2))
    with pytest.raises(gx.ShapeError):
        f([1, 2, 3], [1, 1, 2])
    with pytest.raises(gx.ShapeError, match=r"must be"):
        f([1, 2], [1, 1, 2])


def test_what_does_not_fit() -> None:
    x = gx.matrix("x", ("n", 3), "float32")
    e = gx.sum(x)
    for new, kind, text in [
        (
            gx.matrix("y", ("n", 3)),
            gx.DTypeError,
            r"substitute: the replacement is float64, the original float32 \(x: .*, y: .*\); hint: cast it with .astype\('float32'\)",
        ),
        (gx.vector("y", 3, "float32"), gx.ShapeError, "the replacement has another rank"),
        (gx.matrix("y", ("n", 4), "float32"), gx.ShapeError, "axis 1 of the replacement has size 4, expected 3"),
        (np.zeros((2, 2), "float32"), gx.ShapeError, "axis 1 of the replacement has size 2, expected 3"),
        (1.0, gx.ShapeError, "another rank"),
        ("a", gx.ArgumentError, "cannot make a symbolic array of str"),
    ]:
        with pytest.raises(kind, match=text):
            gx.substitute(e, {x: new})
    a, b = gx.vector("a", "n"), gx.vector("b", "n")
    with pytest.raises(gx.ShapeError, match="axis 0 of the replacement has size 4, expected 3"):
        gx.substitute([gx.sum(a), gx.sum(b)], {a: np.zeros(3), b: np.zeros(4)})
    with pytest.raises(gx.ShapeError):
        gx.substitute(gx.sum(a), {a: np.zeros(3), gx.dim("n"): 4})
