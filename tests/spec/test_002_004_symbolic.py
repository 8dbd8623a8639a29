"""spec/002-004.md, R25 to R35: exact, symbolic, in both modes, for any operation and rank."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import mpmath as mp
import numpy as np
import pytest
import scipy.special

import graphc as gx
from graphc.ir import Node
from graphc.ops.rows import elementwise
from tests.spec.kit import (
    both,
    close,
    cross_entropy,
    exponentials,
    net,
    optimised,
    run,
    weights,
)  # fmt: skip

# -- R25: exact to rounding, also where functions saturate -----------------------------------------
SCALARS: dict[str, tuple[Callable[[Node], Node], Callable[[mp.mpf], mp.mpf]]] = {
    "sigmoid": (lambda x: 1 / (1 + gx.exp(-x)), lambda x: 1 / (1 + mp.exp(-x))),
    "tanh": (gx.tanh, mp.tanh),
    "softplus": (lambda x: gx.log(1 + gx.exp(x)), lambda x: mp.log1p(mp.exp(x))),
    "log sigmoid": (lambda x: gx.log(gx.sigmoid(x)), lambda x: -mp.log1p(mp.exp(-x))),
    "exp(-x*x)": (lambda x: gx.exp(-x * x), lambda x: mp.exp(-x * x)),
    "x / (1 + |x|)": (lambda x: x / (1 + gx.abs(x)), lambda x: x / (1 + abs(x))),
    "log(1 + x*x)": (lambda x: gx.log(1 + x * x), lambda x: mp.log1p(x * x)),
    "sin(exp(x / 9))": (lambda x: gx.sin(gx.exp(x / 9)), lambda x: mp.sin(mp.exp(x / 9))),
    "arctan * erf": (lambda x: gx.arctan(x) * gx.erf(x), lambda x: mp.atan(x) * mp.erf(x)),
}
NEAR, FAR = [-1e-3, 1e-9], [-45.0, -30.0, 40.0]
MIDDLE = [-7.5, -1.0, 0.5, 2.25, 12.0]


def to_rounding(name: str, points: list[float]) -> None:
    """First and second derivatives beside 50 digits: 1e-13 of the value in f64, 1e-5 in f32, times the condition |x f''/f'|."""
    f, exact = SCALARS[name]
    for dtype, tolerance in (("float64", 1e-13), ("float32", 1e-5)):
        x = gx.tensor("x", ("n",), dtype)
        first = gx.grad(gx.sum(f(x)), x)
        at = np.array(points, dtype)
        got = run([first, gx.grad(gx.sum(first), x)], {x: at})
        with mp.workdps(50):
            for k, v in enumerate(at):
                d = [mp.diff(exact, mp.mpf(float(v)), n, h=mp.mpf(10) ** -12) for n in (1, 2, 3)]
                for order in (0, 1):
                    condition = max(1.0, float(abs(v * d[order + 1] / d[order])) if d[order] else 1.0)
                    allowed = tolerance * condition * float(abs(d[order])) + np.finfo(dtype).tiny
                    assert abs(float(got[order][k]) - float(d[order])) <= allowed, (dtype, order + 1, v, float(d[order]))


@pytest.mark.parametrize("name", SCALARS)
def test_R25_derivatives_to_rounding(name: str) -> None:
    to_rounding(name, MIDDLE)


@pytest.mark.parametrize("name", SCALARS)
def test_R25_derivatives_near_zero(name: str) -> None:
    to_rounding(name, NEAR)


@pytest.mark.parametrize("name", SCALARS)
def test_R25_derivatives_at_saturation(name: str) -> None:
    to_rounding(name, FAR)


# -- R26: all derivatives in one go ----------------------------------------------------------------
def test_R26_one_call_beside_one_call_a_parameter(digits: tuple[np.ndarray, np.ndarray]) -> None:
    sizes = [784, 100, 10]
    layers = weights(sizes, dtype="float32")
    assert sum(W.size + b.size for W, b in layers) == 79_510
    x, y, p = gx.tensor("x", ("n", 784), "float32"), gx.tensor("y", ("n",), "int64"), gx.like(layers, "p")
    cost = cross_entropy(net(p, x), y)
    forward, whole = gx.function([x, y, p], cost), gx.function([x, y, p], gx.value_and_grad(cost, p))
    n = 10
    assert whole.cost(n=n)["operations"] < 4 * forward.cost(n=n)["operations"]  # and not 79,511 times; seconds: benchmarks
    images = np.kron(digits[0][:n].reshape(n, 8, 8), np.ones((1, 4, 4)))[:, 2:30, 2:30].reshape(n, 784).astype("float32")
    value, gradient = whole(images, digits[1][:n], layers)
    close(value, forward(images, digits[1][:n], layers), rtol=1e-6)
    # of five parameters out of 79,510, by differences in f64
    wide = [(W.astype(float), b.astype(float)) for W, b in layers]

    def loss(params: list[tuple[np.ndarray, np.ndarray]]) -> float:
        logits = net(params, images.astype(float), np.tanh)
        return float(np.mean(scipy.special.logsumexp(logits, axis=1) - logits[np.arange(n), digits[1][:n]]))

    for layer, place in [(0, (300, 4)), (0, (401, 77)), (1, (5, 3)), (1, (99, 9))]:
        ends = []
        for side in (1e-4, -1e-4):
            moved = [(W.copy(), b) for W, b in wide]
            moved[layer][0][place] += side
            ends.append(loss(moved))
        np.testing.assert_allclose(gradient[layer][0][place], (ends[0] - ends[1]) / 2e-4, rtol=2e-3, atol=2e-7)


# -- R27, R28: numerical differentiation -----------------------------------------------------------
def test_R27_a_planted_wrong_rule_is_caught(own_rows: None) -> None:
    wrong = elementwise("sine_with_a_wrong_rule", 1, "sin(x)", ref=np.sin, vjp=lambda g, out, x: (1.0001 * g * gx.cos(x),),
                        emit=lambda s, x: s.math("sin", x))  # fmt: skip
    x, at = gx.tensor("x", (5,)), np.linspace(-1, 1, 5)
    assert gx.check_grad(gx.sin(x), x, {x: at}) < 1e-8
    with pytest.raises(gx.NumericError, match=r"wrt\[\d\]"):
        gx.check_grad(wrong(x), x, {x: at})


def test_R28_variance_of_random_perturbations() -> None:
    """The estimate (J(t + e z) - J(t)) / e * z_i for J = sum(t), over all signs z: mean 1, variance n - 1, exactly."""
    n = 10
    t, z = gx.tensor("t", (n,)), gx.tensor("z", ("m", n))
    step = 0.125
    J = gx.vmap(lambda d: gx.sum(t + step * d))(z)
    estimate = (J - gx.sum(t))[:, None] / step * z
    signs = np.array(list(itertools.product([-1.0, 1.0], repeat=n)))
    values = run(estimate, {t: np.arange(n) / 4.0, z: signs})
    np.testing.assert_array_equal(values.mean(axis=0), np.ones(n))
    np.testing.assert_array_equal(values.var(axis=0), np.full(n, n - 1.0))


# -- R29: forward and reverse ----------------------------------------------------------------------
@pytest.mark.parametrize(("inputs", "outputs", "better"), [(2, 2000, "forward"), (2000, 2, "reverse")])
def test_R29_the_mode_that_fits(inputs: int, outputs: int, better: str) -> None:
    x = gx.tensor("x", (inputs,))
    rng = np.random.default_rng(0)
    A = rng.normal(size=(outputs, inputs)) / inputs
    y = gx.tanh(gx.asarray(A) @ gx.sin(x))
    at = rng.normal(size=inputs)
    made = {mode: gx.function([x], gx.jacobian(y, x, mode=mode)) for mode in ("forward", "reverse")}
    chosen = gx.function([x], gx.jacobian(y, x))
    exact = (1 - np.tanh(A @ np.sin(at)) ** 2)[:, None] * A * np.cos(at)
    for f in (*made.values(), chosen):
        np.testing.assert_allclose(f(at), exact, rtol=1e-11, atol=1e-13)
    count = {mode: f.cost()["operations"] for mode, f in made.items()}
    worse = "forward" if better == "reverse" else "reverse"
    assert count[worse] >= 50 * count[better], count
    assert chosen.cost()["operations"] == count[better]


# -- R30, R31: expressions -------------------------------------------------------------------------
def test_R30_a_gradient_is_an_expression() -> None:
    x, w = gx.tensor("x", ("n", "k")), gx.tensor("w", ("k",))
    cost = gx.sum(gx.sigmoid(x @ w))
    gradient = gx.grad(cost, w)  # no data, no sizes, no execution
    assert isinstance(gradient, Node) and gradient.shape == w.shape
    text = gx.function([x, w], gradient).graph
    assert "sigmoid" in text and "f64[n, k]" in text
    v = gx.tensor("v", ("k",))
    again = gx.grad(gx.sum(gx.substitute(gradient, {w: 2 * v}) ** 2), v)  # replaced, used as a node, differentiated again
    X, V = np.array([[0.5, -1.0], [1.5, 0.25]]), np.array([0.3, -0.2])

    def g(u: np.ndarray) -> np.ndarray:
        s = scipy.special.expit(X @ u)
        return X.T @ (s * (1 - s))

    e = 1e-6
    expected = [(np.sum(g(2 * (V + d)) ** 2) - np.sum(g(2 * (V - d)) ** 2)) / (2 * e) for d in np.eye(2) * e]
    np.testing.assert_allclose(both(again, {x: X, v: V}), expected, rtol=1e-7)


def test_R31_no_swell_of_higher_derivatives() -> None:
    """The k-th derivative of L tanh has nodes linear in L, and some three times as many for each order; a table is in README.md."""
    table = {}
    for length in (5, 10, 20):
        x = gx.scalar("x")
        u = x
        for _ in range(length):
            u = gx.tanh(u)
        for k in range(1, 5):
            u = gx.grad(u, x)
            table[length, k] = len(optimised([x], u).order)
    for k in range(1, 5):
        growth = np.log2(table[20, k] / table[10, k])
        assert growth < 1.2, (k, growth, table)
    assert all(table[20, k + 1] < 3.5 * table[20, k] for k in range(1, 4)), table


# -- R32: more than arithmetic ---------------------------------------------------------------------
INDEX = np.array([3, 0, 3, 1])
OTHER = {
    "take": lambda x: gx.take(x, INDEX, axis=0),
    "take along": lambda x: gx.take_along_axis(x, np.array([[0], [2], [1], [1]]), axis=1),
    "scatter-add": lambda x: gx.zeros((5, 3)).at[INDEX].add(x) ** 2,
    "set": lambda x: (x * x).at[1].set(gx.sin(x[2])),
    "choice": lambda x: gx.where(x > 0, x * x * x, gx.sin(x)),
    "cumulated": lambda x: gx.cumprod(x, axis=0) + gx.cumsum(x * x, axis=1),
    "extremes": lambda x: gx.max(x, axis=0) * gx.min(x, axis=0),
    "slices": lambda x: x[::-2, 1:] * x[:2, :2],
}


@pytest.mark.parametrize("name", OTHER)
def test_R32_choice_and_movement_have_rules(name: str) -> None:
    x = gx.tensor("x", (4, 3))
    at = np.random.default_rng(5).permutation(12).reshape(4, 3) / 5.0 - 1.03
    y = OTHER[name](x)
    assert gx.check_grad(y, x, {x: at}, order=2) < 1e-5
    both([y, gx.grad(gx.sum(gx.sin(y)), x)], {x: at})


# -- R33 to R35: rules -----------------------------------------------------------------------------
def test_R33_no_jacobian_is_made() -> None:
    n = 1_000_000
    x, g = gx.tensor("x", ("n",)), gx.tensor("g", ("n",))
    values = np.linspace(-3, 3, n), np.cos(np.arange(n))
    t, p = np.tanh(values[0]), scipy.special.softmax(values[0])
    for y, expected in [(gx.tanh(x), values[1] * (1 - t * t)), (gx.softmax(x), p * (values[1] - values[1] @ p))]:
        f = gx.function([x, g], gx.vjp(y, x, g))
        assert f.memory(n=n)["arena"] <= 3 * n * 8 + 2**16  # and the sums of the chunks of n
        assert f.cost(n=n)["operations"] < 100 * n
        np.testing.assert_allclose(f(*values), expected, rtol=1e-9, atol=1e-20)


def test_R34_rules_use_the_result() -> None:
    """One exponential in value and gradient; the same numbers without the passes."""
    x = gx.tensor("x", ("n",))
    at = np.linspace(-6, 6, 101)
    for f, rtol in ((gx.exp, 2e-15), (gx.tanh, 2e-15), (gx.sigmoid, 1e-13)):  # the last: 1 - s is better with the passes
        y = f(x)
        outputs = [y, gx.grad(gx.sum(y * y), x)]
        fast, plain = gx.function([x], outputs), gx.function([x], outputs, mode="none")
        assert exponentials(fast) == 1
        for a, b in zip(fast(at), plain(at)):
            np.testing.assert_allclose(a, b, rtol=rtol)


def test_R35_any_rank() -> None:
    rng = np.random.default_rng(6)
    x, W = gx.tensor("x", (2, 3, 1, 4, 2)), gx.tensor("W", ("b", 4, 3))
    at = rng.normal(size=x.shape)
    y = gx.mean(gx.tanh(x) * gx.swapaxes(x, 0, 4), axis=(1, 3), keepdims=True)
    close(both(y, {x: at}), np.mean(np.tanh(at) * at.swapaxes(0, 4), axis=(1, 3), keepdims=True), rtol=1e-13)
    assert gx.check_grad(y, x, {x: at}, order=2) < 1e-5
    sequence, weight = gx.tensor("s", ("b", "t", 4)), rng.normal(size=(5, 4, 3))  # batch, time, features; a matrix per example
    S = rng.normal(size=(5, 7, 4))
    cost = gx.sum(gx.sin(sequence @ W))
    close(both(gx.grad(cost, [sequence, W]), {sequence: S, W: weight}),
          [np.cos(S @ weight) @ weight.swapaxes(1, 2), S.swapaxes(1, 2) @ np.cos(S @ weight)])  # fmt: skip
