"""spec/000-001.md: A14 to A19 and B14 to B20, activations."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import scipy.optimize
import scipy.special

import graphc as gx
from graphc.ir import Node
from tests.spec.kit import both, close, cross_entropy, exponentials, net, ops, ops_of, optimised, run, weights

GRID = np.r_[np.linspace(-800, 800, 41), -40.0, -17.0, -1e-8, -0.0, 1e-8, 0.5, 17.0, 40.0, 89.0, 710.0]
F64_ULP, F32_ULP = 2.2e-16, 1.2e-7


def on_grid(
    f: Callable[[Node], Node], exact: Callable[[np.ndarray], np.ndarray], ulps: float = 6, dtypes: tuple[str, ...] = ("float64", "float32")
) -> None:
    """A formula on a grid that goes far beyond where exponentials overflow, in both precisions."""
    for dtype in dtypes:
        x = gx.tensor("x", ("n",), dtype)
        at = GRID.astype(dtype)
        got = run(f(x), {x: at})
        with np.errstate(all="ignore"):
            want = exact(at.astype(float))
        tiny = np.finfo(dtype).tiny
        allowed = ulps * np.finfo(dtype).eps * np.abs(want) + tiny
        bad = ~(np.abs(got.astype(float) - want) <= allowed) & ~((got == want) | (np.abs(want) > np.finfo(dtype).max))
        assert not bad.any(), (dtype, at[bad], got[bad], want[bad])


# -- A14 to A18, B14 to B17: activations -----------------------------------------------------------
SIGMOIDS = {
    "1 / (1 + exp(-x))": lambda x: 1 / (1 + gx.exp(-x)),
    "exp(x) / (1 + exp(x))": lambda x: gx.exp(x) / (1 + gx.exp(x)),
    "1 - sigmoid(-x)": lambda x: 1 - gx.sigmoid(-x),
}


@pytest.mark.parametrize("name", SIGMOIDS)
def test_A14_B14_sigmoid(name: str) -> None:
    f = SIGMOIDS[name]
    on_grid(f, scipy.special.expit)
    on_grid(lambda x: gx.grad(gx.sum(f(x)), x), lambda v: scipy.special.expit(v) * scipy.special.expit(-v), ulps=12)
    x = gx.tensor("x", ("n",))
    assert ops(optimised([x], f(x)))["sigmoid"] == 1
    assert exponentials(gx.function([x], f(x))) == 1
    assert float(run(f(x), {x: np.zeros(1)})[0]) == 0.5


def test_A14_logistic_regression(digits: tuple[np.ndarray, np.ndarray]) -> None:
    """Threes against eights: the loss of a real problem, minimised with compiled value and gradient, equals SciPy's own minimum."""
    images, labels = digits
    chosen = np.isin(labels, (3, 8))
    X, Y = images[chosen], (labels[chosen] == 8) * 1.0
    w, x, y = gx.tensor("w", (64,)), gx.tensor("x", ("n", 64)), gx.tensor("y", ("n",))
    p = 1 / (1 + gx.exp(-(x @ w)))
    cost = gx.mean(-y * gx.log(p) - (1 - y) * gx.log(1 - p)) + 1e-3 * gx.sum(w * w)
    f = gx.function([w, x, y], gx.value_and_grad(cost, w))
    ours = scipy.optimize.minimize(lambda v: f(v, X, Y), np.zeros(64), jac=True, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-9})
    theirs = scipy.optimize.minimize(
        lambda v: np.mean(np.logaddexp(0, X @ v) - Y * (X @ v)) + 1e-3 * v @ v, np.zeros(64), method="L-BFGS-B",
        jac=lambda v: X.T @ (scipy.special.expit(X @ v) - Y) / len(Y) + 2e-3 * v, options={"ftol": 1e-14, "gtol": 1e-9},
    )  # fmt: skip
    np.testing.assert_allclose(ours.fun, theirs.fun, rtol=1e-10)
    assert np.mean((X @ ours.x > 0) == (Y > 0)) > 0.97
    assert np.isfinite(f(ours.x * 1e4, X, Y)[0])  # where p is 0 or 1


def test_A15_relu_of_relu() -> None:
    x = gx.tensor("x", ("n",))
    twice = gx.relu(gx.relu(x))
    at = np.array([-1.0, -0.0, 0.0, 2.0, np.nan, np.inf])
    close(both(twice, {x: at}), np.maximum(at, 0), rtol=0)
    close(both(gx.grad(gx.sum(twice), x), {x: at[:4]}), np.array([0.0, 0, 0, 1]), rtol=0)
    assert ops(optimised([x], twice))["relu"] == 1


def test_A15_relu_net_on_digits(digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = digits
    p = gx.shared(weights([64, 32, 10], seed=2), "p")
    x, y = gx.tensor("x", ("n", 64)), gx.tensor("y", ("n",), "int64")
    logits = net(p, x, lambda v: gx.maximum(0, v))
    cost = cross_entropy(logits, y)
    step = gx.function([x, y], cost, updates=(p, gx.tree.map(lambda w, g: w - 0.5 * g, p, gx.grad(cost, p))))
    for _ in range(150):
        step(images[:1400], labels[:1400])
    guess = gx.function([x], gx.argmax(logits, axis=1))
    assert np.mean(guess(images[1400:]) == labels[1400:]) > 0.88


def test_A16_softplus() -> None:
    on_grid(lambda x: gx.log(1 + gx.exp(x)), lambda v: np.logaddexp(0, v))
    on_grid(lambda x: gx.grad(gx.sum(gx.log(1 + gx.exp(x))), x), scipy.special.expit)
    x = gx.tensor("x", ("n",))
    slope = ops(optimised([x], gx.grad(gx.sum(gx.log(1 + gx.exp(x))), x)))
    assert slope == {"input": 1, "sigmoid": 1}  # literally one node
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.isinf(np.log(1 + np.exp(np.float32(89)))) and np.log(1 + np.exp(np.float32(-17))) == 0  # what it replaces


TANHS = {
    "ratio of two": lambda x: (gx.exp(x) - gx.exp(-x)) / (gx.exp(x) + gx.exp(-x)),
    "ratio of one": lambda x: (gx.exp(2 * x) - 1) / (gx.exp(2 * x) + 1),
    "by sigmoid": lambda x: 2 * gx.sigmoid(2 * x) - 1,
}


@pytest.mark.parametrize("name", TANHS)
def test_A17_B15_tanh(name: str) -> None:
    on_grid(TANHS[name], np.tanh)
    x = gx.tensor("x", ("n",))
    f = gx.function([x], [TANHS[name](x), gx.grad(gx.sum(TANHS[name](x)), x)])
    found = ops_of(f)
    assert found["tanh"] == 1 and found["exp"] == found["sigmoid"] == 0
    at = np.linspace(-20, 20, 81)
    y, slope = f(at)
    assert (np.abs(y) <= 1).all()
    close(slope, 1 - np.tanh(at) ** 2, atol=1e-15)


@pytest.mark.parametrize("f", [gx.sigmoid, gx.tanh, gx.relu, gx.softplus], ids=lambda f: f.__name__)
def test_A18_activations_are_monotone(f: Callable[[Node], Node]) -> None:
    x = gx.tensor("x", ("n",))
    slope = run(gx.grad(gx.sum(f(x)), x), {x: np.linspace(-50, 50, 2001)})
    assert (slope >= 0).all() and (slope <= 1).all() and slope.max() > 0.2


def test_A19_one_hidden_layer_approximates_a_curve(digits: tuple[np.ndarray, np.ndarray]) -> None:
    """The 64 pixels of a digit in a row, as a function on [0, 1]: more units, less error."""
    curve, place = digits[0][11], np.linspace(-1, 1, 64)[:, None]
    errors = {}
    for width in (4, 40):
        theta, x, t = gx.tensor("theta", (3 * width + 1,)), gx.tensor("x", (64, 1)), gx.tensor("t", (64,))
        hidden = gx.tanh(x * theta[:width] + theta[width : 2 * width])
        cost = gx.mean((hidden @ theta[2 * width : 3 * width] + theta[3 * width] - t) ** 2)
        f = gx.function([theta, x, t], gx.value_and_grad(cost, theta))
        rng = np.random.default_rng(0)
        centres = np.linspace(-1, 1, width)
        start = np.r_[np.full(width, 2.0 * width), -2.0 * width * centres, rng.normal(size=width) / width, 0.0]
        found = scipy.optimize.minimize(lambda v, f=f: f(v, place, curve), start, jac=True, method="L-BFGS-B", options={"maxiter": 300})
        errors[width] = found.fun
    assert errors[40] < errors[4] < np.var(curve)
    assert errors[40] < 0.1 * np.var(curve)


def test_B16_softmax_is_shifted() -> None:
    x, c = gx.tensor("x", ("n",)), gx.scalar("c")
    naive = gx.exp(x) / gx.sum(gx.exp(x))
    f = gx.function([x], [naive, gx.softmax(x)])
    for at in ([1000.0, 0], [-1000.0, -1001, -999], [0.0] * 7, [-745.0, 710, 3]):
        close(list(f(np.array(at))), [scipy.special.softmax(at)] * 2, rtol=1e-15)
        assert abs(f(np.array(at))[0].sum() - 1) < 1e-15
    moved = gx.function([x, c], gx.exp(x + c) / gx.sum(gx.exp(x + c)))
    at = np.array([0.5, -2.0, 3.0])
    for shift in (0.0, 7.5, -800.0, 800.0):
        close(moved(at, shift), scipy.special.softmax(at), rtol=5e-13)


def test_B17_relu_needs_no_exponential() -> None:
    x = gx.tensor("x", ("n",), "float32")
    f = gx.function([x], [gx.relu(x), gx.grad(gx.sum(gx.relu(x) ** 2), x)])
    assert f.cost(n=10)["transcendental"] == 0 and f.cost(n=10)["kernels"] == 1
    assert exponentials(f) == 0
    at = np.array([-1.0, 0.0, 2.0], "float32")
    close(run(gx.grad(gx.sum(gx.relu(x)), x), {x: at}), np.array([0.0, 0, 1], "float32"), rtol=0)  # at the kink: 0


# -- B18 to B20: variants --------------------------------------------------------------------------
def test_B18_leaky_and_learned_slopes() -> None:
    rng = np.random.default_rng(1)
    x, a, g = gx.tensor("x", (9, 4)), gx.tensor("a", (4,)), gx.tensor("g", (9, 4))
    at = {x: rng.normal(size=(9, 4)), a: np.full(4, 0.01), g: rng.normal(size=(9, 4))}
    spelled = {"select": gx.where(x > 0, x, a * x), "sum": gx.maximum(x, 0) + a * gx.minimum(x, 0)}
    for y in spelled.values():
        value, (of_x, of_a) = both([y, gx.vjp(y, [x, a], g)], at)
        close(value, np.where(at[x] > 0, at[x], 0.01 * at[x]))
        close(of_x, np.where(at[x] > 0, 1, 0.01) * at[g])
        close(of_a, (np.minimum(at[x], 0) * at[g]).sum(axis=0))


def elu(x: Node, a: float = 1.0) -> Node:
    return gx.where(x > 0, x, a * (gx.exp(x) - 1))


def test_B19_no_nan_from_the_branch_not_taken() -> None:
    on_grid(lambda x: elu(x, 1.0), lambda v: np.where(v > 0, v, np.expm1(np.minimum(v, 0))))
    x = gx.tensor("x", ("n",))
    y = elu(x, 1.5)
    first = gx.grad(gx.sum(y), x)
    second = gx.grad(gx.sum(first), x)
    at = np.array([1000.0, 710.0, 1.0, -1e-8, -1.0, -1000.0])
    value, d1, d2 = both([y, first, second], {x: at})
    below = 1.5 * np.exp(np.minimum(at, 0))
    close(value, np.where(at > 0, at, 1.5 * np.expm1(np.minimum(at, 0))), rtol=1e-15)
    close(d1, np.where(at > 0, 1, below), rtol=1e-15)  # below 0: f + a
    close(d2, np.where(at > 0, 0, below), rtol=1e-15)


def test_B20_dead_and_saturated_units_have_gradient_zero() -> None:
    x, W = gx.tensor("x", (6, 3)), gx.tensor("W", (3, 4))
    X = np.abs(np.random.default_rng(2).normal(size=(6, 3)))
    dead = both(gx.grad(gx.sum(gx.relu(x @ W - 1)), W), {x: X, W: -np.ones((3, 4))})
    assert (dead == 0).all() and not np.signbit(dead).any()
    saturated = both(gx.grad(gx.sum(gx.sigmoid(x @ W)), W), {x: X + 1, W: np.full((3, 4), 300.0)})
    assert np.isfinite(saturated).all() and (saturated < 1e-100).all()
