"""The gradient checker: what is right passes at every order, what is wrong is named."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import graphc as gx
from graphc.derivatives.check_grad import check_grad
from graphc.ops.registry import OPS
from graphc.ops.rows import PUBLIC, elementwise

RNG = np.random.default_rng(13)


@pytest.fixture
def planted() -> Iterator[None]:
    """Rows whose rules are wrong in one way each."""
    before = set(OPS)
    emit = lambda s, x: x
    elementwise("wrong_factor", 1, "sin", ref=np.sin, vjp=lambda g, out, x: (1.001 * g * gx.cos(x),), emit=emit)
    elementwise("wrong_at_large", 1, "x**2", ref=np.square, vjp=lambda g, out, x: (gx.where(x > 1.5, 2 * g, 2 * g * x),), emit=emit)
    elementwise("wrong_second", 1, "sin", ref=np.sin, vjp=lambda g, out, x: (g * PUBLIC["wrong_cos"](x),), emit=emit)
    elementwise("wrong_cos", 1, "cos", ref=np.cos, vjp=lambda g, out, x: (g * gx.sin(x),), emit=emit)
    elementwise("wrong_mix", 1, "x", ref=lambda x: x, vjp=lambda g, out, x: (gx.flip(g),), emit=emit)
    yield
    for name in set(OPS) - before:
        del OPS[name]
        del PUBLIC[name]


def test_a_network_passes_at_three_orders() -> None:
    x, p = gx.tensor("x", ("b", 5)), {"W": gx.tensor("W", (5, 7)), "b": gx.tensor("b", 7)}
    logits = gx.tanh(x @ p["W"] + p["b"])
    cost = -gx.mean(gx.log(gx.softmax(logits))[:, 0])
    at = {x: RNG.normal(size=(4, 5)), p["W"]: RNG.normal(size=(5, 7)), p["b"]: RNG.normal(size=7)}
    worst = check_grad(cost, p, at, order=3)
    assert 0 <= worst < 1e-5
    assert check_grad({"logits": logits, "cost": cost}, [p, x], at, seed=3) < 1e-6


def test_float32_graphs_are_checked_in_float64() -> None:
    x = gx.tensor("x", 40, "float32")
    y = gx.sum(gx.exp(x * 0.5) + np.float32(2.0) * gx.sin(x).astype("float32"))
    assert check_grad(y, x, {x: RNG.normal(size=40).astype("float32")}, order=2) < 1e-6


def test_interior_nodes_and_integer_inputs() -> None:
    x, i = gx.tensor("x", 6), gx.tensor("i", 3, "int64")
    h = gx.sin(x)
    assert check_grad(gx.take(h * h * x, i), [h, x], {x: RNG.normal(size=6), i: np.array([1, 1, 4])}) < 1e-6


@pytest.mark.parametrize("size", [(3,), (50,), (40, 30)])
def test_a_wrong_factor_is_caught(planted: None, size: tuple[int, ...]) -> None:
    p = {"u": gx.tensor("u", size), "w": gx.tensor("w", size)}
    cost = gx.sum(gx.sin(p["u"]) * PUBLIC["wrong_factor"](p["w"]))
    at = {p["u"]: RNG.normal(size=size), p["w"]: RNG.normal(size=size)}
    with pytest.raises(
        gx.NumericError, match=r"the gradient is wrong at wrt\['w'\]\[\d+(, \d+)?\]: symbolic .*, central difference .*relative error 0.001"
    ):
        check_grad(cost, p, at)
    assert check_grad(cost, p["u"], at) < 1e-6


def test_the_entry_that_is_wrong_is_named(planted: None) -> None:
    x = gx.tensor("x", (8, 8))
    at = RNG.uniform(-1, 1, (8, 8))
    at[5, 2] = 3.0
    with pytest.raises(gx.NumericError, match=r"wrong at wrt\[5, 2\]: symbolic -?[\d.]+, central difference -?[\d.]+"):
        check_grad(PUBLIC["wrong_at_large"](x), x, {x: at})


def test_a_wrong_second_derivative_needs_order_2(planted: None) -> None:
    x = gx.tensor("x", 4)
    at = {x: RNG.uniform(0.5, 1, 4)}
    assert check_grad(PUBLIC["wrong_second"](x), x, at) < 1e-6
    with pytest.raises(gx.NumericError, match="the derivative of order 2 is wrong at wrt"):
        check_grad(PUBLIC["wrong_second"](x), x, at, order=2)


def test_modes_that_differ_are_caught(planted: None) -> None:
    """A rule that is no diagonal gives a jvp that is not the transpose of its vjp; here both are symmetric, and the value is wrong."""
    x = gx.tensor("x", 4)
    with pytest.raises(gx.NumericError):
        check_grad(PUBLIC["wrong_mix"](x), x, {x: RNG.normal(size=4)})


def test_a_wrong_jvp_is_caught() -> None:
    from graphc.ir import make
    from graphc.ops.registry import structural

    op = structural(
        "wrong_jvp",
        1,
        "x**2",
        type_rule=lambda x: x,
        ref=np.square,
        vjp=lambda g, out, x: (2 * g * x,),
        jvp=lambda out, i, t: 3 * t[0] * i[0],
    )
    try:
        x = gx.tensor("x", 4)
        with pytest.raises(gx.NumericError, match="the two modes differ on the gradient along a random direction of wrt"):
            check_grad(make(op, (x,)), x, {x: RNG.normal(size=4)})
    finally:
        del OPS["wrong_jvp"]


def test_arguments() -> None:
    x = gx.tensor("x", 2)
    with pytest.raises(gx.ArgumentError, match="order=0"):
        check_grad(x, x, {x: [1.0, 2.0]}, order=0)
    with pytest.raises(gx.NotDifferentiableError, match="wrt is int64"):
        check_grad(x, gx.tensor("k", 2, "int64"), {x: [1.0, 2.0]})
    assert check_grad(gx.exp(x), x, {x: [0.1, 2]}, eps=1e-4, rtol=1e-6) < 1e-6
    empty = gx.tensor("e", 0)
    assert check_grad(gx.sum(empty), empty, {empty: np.zeros(0)}) == 0.0


def test_the_step_follows_the_entry_that_moves() -> None:
    """Beside an entry of 1 one of 1e8 is moved by as much more: rounding would hide that its derivative is wrong by a hundredth."""
    x = gx.tensor("x", 2)
    squares = gx.sum(gx.square(x))
    for at in ([1e8, 1.0], [1.0, 1e8]):
        with pytest.raises(gx.NumericError, match=rf"wrong at wrt\[{at.index(1e8)}\]"):
            check_grad(squares + 0.01 * gx.stop_gradient(squares), x, {x: np.array(at)})
        assert check_grad(squares, x, {x: np.array(at)}) < 1e-6


def test_the_worst_error_is_returned() -> None:
    x = gx.tensor("x", 3)
    y = gx.sum(gx.sin(x))
    assert 0.005 < check_grad(y + 0.01 * gx.stop_gradient(y), x, {x: np.array([0.3, 0.1, 0.7])}, rtol=0.1) < 0.02
