"""spec/003.md: M1, O5, O7, N1 and S1: one update's higher-order effects, momentum, the quadratic model, saddle points."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import scipy.special

import graphc as gx
from graphc.ir import Node
from tests.spec.kit import both, close, run


# -- M1: the product of a chain of weights ---------------------------------------------------------
def updated(w: Node, x: Node, step: Node) -> tuple[Node, Node, Node]:
    """(x w1 .. wl, its gradient by w, the product after one step along minus that gradient)"""
    y = x * gx.prod(w)
    g = gx.grad(y, w)
    return y, g, x * gx.prod(w - step * g)


def test_M1_numbers() -> None:
    w, x, step = gx.tensor("w", ("l",)), gx.scalar("x"), gx.scalar("step")
    f = gx.function([w, x, step], updated(w, x, step))
    weights = np.array([2.0, 3.0, 0.5, 4.0])
    y, g, after = f(weights, 1.0, 0.1 / 637)
    close([y, g, g @ g, after], [np.asarray(12.0), np.array([6.0, 4, 24, 3]), np.float64(637), np.asarray(11.900074287065253)], rtol=1e-14)
    np.testing.assert_allclose(y - 0.1, 11.9, rtol=1e-15)  # the first-order prediction
    twos = np.full(10, 2.0)
    for rate, real, linear in [(1e-3, 53.214417438148864, -1597.44), (1e-2, 87406.94, -25190.4)]:
        y, g, after = f(twos, 1.0, rate)
        assert g @ g == 2621440
        np.testing.assert_allclose(y - rate * (g @ g), linear, rtol=1e-12)
        np.testing.assert_allclose(after, real, rtol=1e-13 if rate == 1e-3 else 1e-7)


def test_M1_taylor_terms_by_repeated_gradients() -> None:
    """All l orders together are the real change; the second is a sum over pairs of step**2 g_i g_j times the other weights."""
    w, step = gx.tensor("w", (4,)), gx.scalar("step")
    held = gx.stop_gradient(gx.grad(gx.prod(w), w))
    along = gx.prod(w - step * held)
    terms, d = [along], along
    for k in range(1, 6):
        d = gx.grad(d, step, disconnected="zero")
        terms.append(d / float(scipy.special.factorial(k)))
    V, rate = np.array([2.0, 3.0, 0.5, 4.0]), 0.1 / 637
    at_zero = [float(t) for t in run(terms, {w: V, step: 0.0})]
    g = np.array([6.0, 4, 24, 3])
    pairs = sum(g[i] * g[j] * np.prod(np.delete(V, [i, j])) for i, j in itertools.combinations(range(4), 2))
    np.testing.assert_allclose(at_zero[:3], [12.0, -637.0, pairs], rtol=1e-13)
    assert at_zero[5] == 0
    series = sum(t * rate**k for k, t in enumerate(at_zero))
    np.testing.assert_allclose(series, 11.900074287065253, rtol=1e-14)


def test_M1_products_with_zeros() -> None:
    w = gx.tensor("w", (4,))
    g = gx.grad(gx.prod(w), w)
    cases = {(2.0, 0, 3, 4): [0, 24, 0, 0], (2.0, 0, 0, 4): [0, 0, 0, 0], (1.0, 2, 3, 4): [24, 12, 8, 6]}
    f = gx.function([w], [g, gx.hessian(gx.prod(w), w)])
    for values, expected in cases.items():
        first, second = f(np.array(values))
        close(first, np.array(expected, float), rtol=0)
        v = np.array(values)
        exact = [[0 if i == j else np.prod(np.delete(v, [i, j])) for j in range(4)] for i in range(4)]
        close(second, np.array(exact, float), rtol=1e-15)


# -- O5, O7: momentum ------------------------------------------------------------------------------
def trained(
    cost: Callable[[Node], Node], start: object, rate: float, momentum: float, nesterov: bool
) -> tuple[gx.Function, gx.Shared, gx.Shared]:
    """A step of v <- momentum v - rate g, x <- x + v, with g taken at x, or at x + momentum v."""
    x, v = gx.shared(np.array(start, float), "x"), gx.shared(np.zeros(np.shape(start)), "v")
    J = cost(x)
    g = gx.grad(J, x)
    if nesterov:
        g = gx.substitute(g, {x: x + momentum * v})
    new = momentum * v - rate * g
    return gx.function([], J, updates={v: new, x: x + new}), x, v


@pytest.mark.parametrize(("nesterov", "expected"), [(False, [0.8, 0.46, 0.062]), (True, [0.8, 0.496, 0.17792])])
def test_O5_O7_on_a_parabola(nesterov: bool, expected: list[float]) -> None:
    step, x, _ = trained(lambda x: x * x, 1.0, 0.1, 0.9, nesterov)
    found = []
    for _ in range(3):
        step()
        found.append(float(x.get_value()))
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_O5_terminal_speed() -> None:
    """Under a constant gradient of 3 the speed tends to rate |g| / (1 - momentum): ten times what it is without momentum."""
    step, _, v = trained(lambda x: 3 * x, 1.0, 0.01, 0.9, nesterov=False)
    step()
    np.testing.assert_allclose(v.get_value(), -0.03, rtol=1e-14)
    for _ in range(400):
        step()
    np.testing.assert_allclose(v.get_value(), -0.3, rtol=1e-14)


def test_O7_the_point_by_givens_equals_the_point_by_substitution() -> None:
    x, v = gx.tensor("x", (3,)), gx.tensor("v", (3,))
    J = gx.sum(gx.sin(x) * x * x)
    g = gx.grad(J, x)
    at = [np.array([0.5, -1.0, 2.0]), np.array([0.1, 0.2, -0.3])]
    ahead = x + 0.9 * v
    given = gx.function([x, v], g, givens={x: ahead})(*at)
    replaced = gx.function([x, v], gx.substitute(g, {x: ahead}))(*at)
    interior = gx.function([x, v], gx.grad(gx.substitute(J, {x: ahead}), ahead))(*at)  # by an interior node
    z = at[0] + 0.9 * at[1]
    for found in (given, replaced, interior):
        close(found, np.cos(z) * z * z + 2 * z * np.sin(z), rtol=1e-13)


@pytest.mark.parametrize("nesterov", [False, True])
def test_O5_O7_a_narrow_valley(nesterov: bool) -> None:
    """Along the flat direction of a quadratic of condition 100, momentum is far ahead of plain descent; the trace equals NumPy's."""
    H = np.diag([1.0, 100.0])
    step, x, _ = trained(lambda z: 0.5 * gx.dot(z, gx.asarray(H) @ z), [10.0, 1.0], 0.01, 0.9, nesterov)
    plain, slow, _ = trained(lambda z: 0.5 * gx.dot(z, gx.asarray(H) @ z), [10.0, 1.0], 0.01, 0.0, nesterov)
    a, speed = np.array([10.0, 1.0]), np.zeros(2)
    for _ in range(100):
        step()
        plain()
        speed = 0.9 * speed - 0.01 * H @ (a + 0.9 * speed if nesterov else a)
        a = a + speed
        close(x.get_value(), a, rtol=1e-9, atol=1e-13)
    cost = lambda z: 0.5 * z @ H @ z
    assert cost(x.get_value()) < 0.02 * cost(slow.get_value())


# -- N1: the second-order model --------------------------------------------------------------------
def test_N1_error_of_the_quadratic_model_is_cubic(digits: tuple[np.ndarray, np.ndarray]) -> None:
    """Logistic regression of fives on the real digits, from any point in any direction: halving the step, an eighth of the error."""
    images, labels = digits[0][:300], (digits[1][:300] == 5) * 1.0
    w, d, x, y = gx.tensor("w", (64,)), gx.tensor("d", (64,)), gx.tensor("x", ("n", 64)), gx.tensor("y", ("n",))
    J = gx.mean(gx.log(1 + gx.exp(x @ w)) - y * (x @ w))
    model = J + gx.dot(gx.grad(J, w), d) + 0.5 * gx.dot(d, gx.hvp(J, w, d))
    f = gx.function([w, d, x, y], [gx.substitute(J, {w: w + d}), model])
    rng = np.random.default_rng(0)
    for _ in range(3):
        point, direction = rng.normal(size=64) / 4, rng.normal(size=64)
        errors = []
        for k in range(6):
            real, predicted = f(point, direction * 0.1 * 0.5**k, images, labels)
            errors.append(abs(float(real - predicted)))
        slope = np.polyfit(np.arange(6), np.log2(errors), 1)[0]
        assert -3.3 < slope < -2.7, (slope, errors)
        exact = np.mean(np.logaddexp(0, images @ (point + direction * 0.1)) - labels * (images @ (point + direction * 0.1)))
        np.testing.assert_allclose(f(point, direction * 0.1, images, labels)[0], exact, rtol=1e-12)


# -- S1: saddle points -----------------------------------------------------------------------------
def test_S1_numbers() -> None:
    p = gx.tensor("p", (2,))
    J = 0.5 * (1 - p[0] * p[1]) ** 2
    f = gx.function([p], [gx.grad(J, p), gx.hessian(J, p)])
    g, H = f(np.zeros(2))
    close([g, H], [np.zeros(2), np.array([[0.0, -1], [-1, 0]])], rtol=0)
    close(np.linalg.eigvalsh(H), np.array([-1.0, 1]), rtol=1e-15)
    g, H = f(np.full(2, 0.1))
    close([g, H], [np.full(2, -0.099), np.array([[0.01, -0.98], [-0.98, 0.01]])], rtol=1e-13)
    close(np.linalg.eigvalsh(H), np.array([-0.97, 0.99]), rtol=1e-13)


def test_S1_a_linear_autoencoder_has_no_bad_minimum(digits: tuple[np.ndarray, np.ndarray]) -> None:
    """Every choice of two principal directions of the digits is a critical point; only that of the two largest has no way down."""
    X = digits[0] - digits[0].mean(axis=0)
    scales, axes = np.linalg.eigh(X.T @ X / len(X))
    X = X @ axes[:, ::-1][:, :6]  # six dimensions of largest variance, so that the Hessian is 24 by 24
    W, V, x = gx.tensor("W", (6, 2)), gx.tensor("V", (2, 6)), gx.tensor("x", ("n", 6))
    J = gx.mean(gx.sum((x @ W @ V - x) ** 2, axis=1))
    f = gx.function([W, V, x], [J, gx.grad(J, [W, V]), gx.hessian(J, [W, V], flat=True)])
    costs = {}
    for pair in itertools.combinations(range(6), 2):
        E = np.eye(6)[:, pair]
        cost, gradient, H = f(E, E.T, X)
        assert max(np.abs(g).max() for g in gradient) < 1e-10
        costs[pair] = float(cost)
        lowest = np.linalg.eigvalsh(H)[0]
        assert (lowest > -1e-10) if pair == (0, 1) else (lowest < -0.01), (pair, lowest)
    assert min(costs, key=costs.__getitem__) == (0, 1)
    np.testing.assert_allclose(costs[0, 1], scales[::-1][2:6].sum(), rtol=1e-10)
    zero = both([gx.grad(J, [W, V]), gx.hessian(J, [W, V], flat=True)], {W: np.zeros((6, 2)), V: np.zeros((2, 6)), x: X})
    assert all((g == 0).all() for g in zero[0])
    eigenvalues = np.linalg.eigvalsh(zero[1])
    close(eigenvalues, -eigenvalues[::-1], rtol=1e-9, atol=1e-12)  # at the origin as many ways down as up
