"""Discrete draws: their frequencies, and that no derivative goes through one unseen, in loops and branches neither."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import graphc as gx

R = gx.random
_w, _v = gx.scalar("w"), gx.vector("v", "n")
_k = R.key(4)


def _scan(draw: Callable[[], gx.Node], *, outside: bool) -> gx.Node:
    """Draws of type bool leave a loop, or go into its carry as floats."""
    if outside:
        return gx.sum(gx.scan(lambda c, _: (c, draw()), 0.0, length=3)[1].astype("float64"))
    return gx.scan(lambda c, _: (c + draw().astype("float64"), None), 0.0, length=3)[0]


def _while(draw: Callable[[], gx.Node]) -> gx.Node:
    """The draw decides how many turns there are."""
    return gx.while_loop(lambda s: s[1] | (s[0] < 0.5), lambda s: (s[0] + 1.0, draw()), (gx.asarray(0.0), gx.asarray(True)), 9)[0]


PATHS: dict[str, Callable[[Callable[[], gx.Node]], gx.Node]] = {
    "cast": lambda d: d().astype("float64"),
    "choice": lambda d: gx.where(d(), 2.0, 1.0) * _w,
    "index": lambda d: gx.asarray([1.0, 2.0])[d().astype("int64")],
    "second draw": lambda d: R.bernoulli(_k, gx.where(d(), 0.2, 0.3)).astype("float64"),
    "scan, rows": lambda d: _scan(d, outside=True),
    "scan, carry": lambda d: _scan(d, outside=False),
    "while": _while,
    "cond": lambda d: gx.cond(d(), lambda: 1.0, lambda: 2.0),
    "in a branch": lambda d: gx.cond(_w > 0, lambda: d().astype("float64"), lambda: gx.asarray(1.0)),
    "checkpoint": lambda d: gx.checkpoint(lambda: d().astype("float64"))(),
    "vmap": lambda d: gx.sum(gx.vmap(lambda x: d().astype("float64") * x)(_v)),
    "round": lambda d: gx.sum(gx.cumsum(d().astype("int32")[None])).astype("float64"),
}


@pytest.mark.parametrize("name", PATHS)
def test_a_derivative_through_a_draw_raises(name: str) -> None:
    """By whatever path, in both modes; and through stop_gradient, or by what the draw does not depend on, it does not."""
    path = PATHS[name]
    through = path(lambda: R.bernoulli(_k, gx.sigmoid(_w))) + _w
    for build in (lambda c: gx.grad(c, _w), lambda c: gx.jvp(c, _w, 1.0), lambda c: gx.hessian(c, _w), lambda c: gx.jacobian(c, _w)):
        with pytest.raises(gx.NotDifferentiableError, match="score_function"):
            build(through)
    if name == "second draw":  # it depends on the first one as given
        return
    held = path(lambda: gx.stop_gradient(R.bernoulli(_k, gx.sigmoid(_w)))) + _w
    apart = path(lambda: R.bernoulli(_k, 0.5)) + _w
    for cost in (held, apart):
        gx.grad(cost, _w), gx.jvp(cost, _w, 1.0)


def test_an_estimator_of_ones_own_passes() -> None:
    """Straight through: the derivative that a custom_vjp states is the user's business."""

    @gx.custom_vjp
    def drawn(p: gx.Node) -> gx.Node:
        return R.bernoulli(_k, p).astype("float64")

    drawn.defvjp(lambda p: (R.bernoulli(_k, p).astype("float64"), None), lambda _, g: (g,))
    assert gx.function([_w], gx.grad(3 * drawn(_w), _w))(0.5) == 3.0


def test_known_cotangents_end_the_path() -> None:
    p = gx.sigmoid(_w)
    b = R.bernoulli(_k, p, (4,))
    g = gx.grad(None, _w, known_cotangents={p: gx.sum(b.astype("float64"))})
    f = gx.function([_w], [g, b])
    got, drawn = f(0.3)
    s = 1 / (1 + np.exp(-0.3))
    np.testing.assert_allclose(got, drawn.sum() * s * (1 - s))


def test_frequencies() -> None:
    n = 40_000
    p, logits = (
        np.array([0.0, 0.1, 0.5, 1.0]),
        np.log([[0.1, 0.2, 0.7, 0.0], [0.25, 0.25, 0.25, 0.25]], where=[[1, 1, 1, 0], [1] * 4], out=np.full((2, 4), -np.inf)),
    )
    b, c, c32 = gx.function(
        [], [R.bernoulli(_k, p, (n, 4)), R.categorical(_k, logits, shape=(n, 2)), R.categorical(_k, logits.astype("f"), shape=(n, 2))]
    )()
    assert b.dtype == bool and c.dtype == np.int64
    np.testing.assert_allclose(b.mean(0), p, atol=5 * 0.5 / np.sqrt(n))
    assert not b[:, 0].any() and b[:, 3].all()
    for draws in (c, c32):
        for column, row in zip(draws.T, np.exp(logits)):
            np.testing.assert_allclose(np.bincount(column, minlength=4) / n, row, atol=5 * 0.5 / np.sqrt(n))
    assert not (c[:, 0] == 3).any()


def test_axes_and_shapes() -> None:
    x = gx.tensor("x", (3, "n"))
    assert R.categorical(_k, x, axis=0).shape == (gx.dim("n"),)
    assert R.categorical(_k, x, shape=(5, 3)).shape == (5, 3)
    assert R.bernoulli(_k, x).shape == x.shape and R.bernoulli(_k).shape == ()
    with pytest.raises(gx.ShapeError):
        R.categorical(_k, x, shape=(5,))
    with pytest.raises(gx.ShapeError):
        R.bernoulli(_k, x, (2, 2))
    with pytest.raises(gx.ArgumentError, match=r"from 0 to 1, and is 1\.5"):
        R.bernoulli(_k, [0.5, 1.5])
    with pytest.raises(gx.ArgumentError, match="logits"):
        R.categorical(_k, [0.0, np.nan])


def test_permutations() -> None:
    x = gx.tensor("x", ("n", 2))
    f = gx.function(
        [x],
        [R.permutation(_k, x), R.permutation(_k, x, 0, True), R.permutation(_k, x.shape[0]), gx.grad(gx.sum(R.permutation(_k, x) ** 2), x)],
    )
    for n in (0, 1, 50):
        X = np.arange(2.0 * n).reshape(n, 2)
        rows, cells, order, slope = f(X)
        np.testing.assert_array_equal(rows, X[order])
        np.testing.assert_array_equal(np.sort(order), np.arange(n))
        np.testing.assert_array_equal(np.sort(cells, 0), X)
        np.testing.assert_array_equal(slope, 2 * X)
    assert (order != np.arange(50)).any() and (np.diff(cells, axis=1) != 1).any()
    several = [R.permutation(_k, n) for n in (0, 1, 7, 1000)]
    of_any_size = gx.function([m := gx.dim("m")], R.permutation(_k, m))
    for found in gx.function([], several)():
        np.testing.assert_array_equal(found, of_any_size(len(found)))  # one order, however it is found
    keys = R.split(R.key(1), 6000)
    orders = gx.vmap(lambda k: R.permutation(k, 3))(keys).eval()
    counts = np.bincount(orders @ [9, 3, 1])
    np.testing.assert_allclose(counts[counts > 0] / 6000, 1 / 6, atol=5 * np.sqrt(5 / 36 / 6000))
    assert (counts > 0).sum() == 6


def test_the_score_function_estimator() -> None:
    """Unbiased with a pathwise part in the cost too, in a loop as well; the value is the cost; the draws need no stop_gradient."""
    n = 4000
    p = gx.sigmoid(_w)
    b = R.bernoulli(_k, p, (n,))
    cost = gx.where(b, 3.0, 1.0) * gx.sin(_w) + _w
    log_prob = gx.where(b, gx.log(p), gx.log(1 - p))
    each = R.score_function(cost, log_prob)

    def turn(total: gx.Node, t: gx.Node) -> tuple[gx.Node, gx.Node]:
        d = R.bernoulli(R.fold_in(_k, t), p, (n,))
        return total + gx.where(d, gx.log(p), gx.log(1 - p)), d

    scores, drawn = gx.scan(turn, gx.zeros(n), gx.arange(2))
    both = R.score_function((drawn[0] & drawn[1]).astype("float64"), scores)
    made = [each, cost, gx.jvp(each, _w, 1.0), gx.grad(gx.mean(each), _w), gx.jvp(both, _w, 1.0), gx.grad(gx.mean(both), _w)]
    got, wanted, slopes, slope, pairs, pair = gx.function([_w], made, mode="interpret")(0.4)
    np.testing.assert_array_equal(got, wanted)
    np.testing.assert_allclose([slopes.mean(), pairs.mean()], [slope, pair], rtol=1e-10)
    s = 1 / (1 + np.exp(-0.4))
    exact = (3 * s + 1 - s) * np.cos(0.4) + 1 + 2 * s * (1 - s) * np.sin(0.4)  # of E = (1 + 2 s) sin(w) + w
    assert abs(slope - exact) < 4 * slopes.std() / np.sqrt(n)
    assert abs(pair - 2 * s * s * (1 - s)) < 4 * pairs.std() / np.sqrt(n)  # of E = s**2
    with pytest.raises(gx.DTypeError, match="log_prob"):
        R.score_function(cost, b)
