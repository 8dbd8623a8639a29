"""spec/002-004.md, R44 to R50: derivatives of derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse.linalg

import graphc as gx
from graphc.ir import Node
from tests.spec.kit import both, bytes_of, close, cross_entropy, difference, net, nodes, ops_of, optimised, run, weights
from tests.spec.test_002_004_gradient import f2, f2_values


def small_net() -> tuple[Node, Node, Node]:
    """(parameters as one vector, inputs, cost) of a 3-4-2 net."""
    theta, x = gx.tensor("theta", (3 * 4 + 4 + 4 * 2 + 2,)), gx.tensor("x", ("n", 3))
    W, b, V, c = gx.reshape(theta[:12], (3, 4)), theta[12:16], gx.reshape(theta[16:24], (4, 2)), theta[24:]
    return theta, x, gx.mean((gx.tanh(x @ W + b) @ V + c) ** 2)


# -- R44 -------------------------------------------------------------------------------------------
def test_R44_gradients_are_graphs_before_and_after_optimisation() -> None:
    x, W = gx.tensor("x", (4, 3)), gx.tensor("W", (3, 3))
    y = gx.softmax(gx.tanh(x @ W))
    cost = -gx.mean(gx.log(y[:, 0])) + gx.mean(gx.sqrt(1 + gx.sum(y * y, axis=1)))
    first = gx.grad(cost, W)
    (simple,) = optimised([x, W], first).outputs
    assert simple is not first
    at = {x: np.random.default_rng(0).normal(size=(4, 3)), W: np.random.default_rng(1).normal(size=(3, 3))}
    v = np.random.default_rng(2).normal(size=(3, 3))
    of_plain, of_simple = both([gx.grad(gx.sum(g * v), W) for g in (first, simple)], at)
    close(of_plain, of_simple, rtol=1e-11, atol=1e-15)
    assert gx.check_grad(gx.sum(simple * v), W, at) < 1e-6


# -- R45 -------------------------------------------------------------------------------------------
def test_R45_hessian_products_in_linear_memory() -> None:
    """79,510 parameters: the Hessian would be 50 GB. What a product allocates beside its inputs and outputs is less than the outputs."""
    layers = weights([784, 100, 10])
    x, y, p = gx.tensor("x", ("n", 784)), gx.tensor("y", ("n",), "int64"), gx.like(layers, "p")
    cost, v = cross_entropy(net(p, x), y), gx.like(layers, "v")
    product = gx.function([x, y, p, v], gx.hvp(cost, p, v))
    size, used = bytes_of(layers), product.memory(n=16)
    assert size == 79_510 * 8
    assert used["outputs"] == size
    assert used["arena"] < 2 * size and used["largest"] <= 784 * 100 * 8
    rng = np.random.default_rng(3)
    X, Y = rng.normal(size=(16, 784)), rng.integers(0, 10, 16)
    u, w = (gx.tree.map(lambda a, s=s: np.random.default_rng(s).normal(size=a.shape), layers) for s in (4, 5))
    Hu, Hw = product(X, Y, layers, u), product(X, Y, layers, w)
    dot = lambda a, b: sum(np.vdot(s, t) for s, t in zip(gx.tree.leaves(a), gx.tree.leaves(b)))
    np.testing.assert_allclose(dot(u, Hw), dot(w, Hu), rtol=1e-9)  # symmetric
    gradient = gx.function([x, y, p], gx.grad(cost, p))
    e = 1e-5
    ends = [gradient(X, Y, gx.tree.map(lambda a, d, s=s: a + s * e * d, layers, u)) for s in (1, -1)]
    close(Hu, gx.tree.map(lambda a, b: (a - b) / (2 * e), *ends), rtol=1e-5, atol=3e-6)


# -- R46 -------------------------------------------------------------------------------------------
def conjugate_gradients(H, b: np.ndarray, steps: int) -> tuple[np.ndarray, float]:  # type: ignore[no-untyped-def]
    """(x with H x = b as far as curvature is positive, the smallest curvature seen)"""
    x, r = np.zeros_like(b), b.copy()
    d, smallest = r.copy(), np.inf
    for _ in range(steps):
        Hd = H(d)
        curvature = d @ Hd / (d @ d)
        smallest = min(smallest, curvature)
        if curvature <= 0 or r @ r < 1e-30:
            break
        a = r @ r / (d @ Hd)
        x, new = x + a * d, r - a * Hd
        d = new + (new @ new) / (r @ r) * d
        r = new
    return x, float(smallest)


def test_R46_newton_step_by_products_equals_the_dense_solve() -> None:
    theta, x, cost = small_net()
    cost = cost + 2.0 * gx.sum(theta**2)  # positive definite
    v = gx.tensor("v", theta.shape)
    gradient, product, dense = (gx.function([theta, x, *more], out) for more, out in [
        ([], gx.grad(cost, theta)), ([v], gx.hvp(cost, theta, v)), ([], gx.hessian(cost, theta))])  # fmt: skip
    rng = np.random.default_rng(6)
    t, X = rng.normal(size=theta.shape), rng.normal(size=(7, 3))
    H, g = dense(t, X), gradient(t, X)
    assert np.linalg.eigvalsh(H)[0] > 0
    step, _ = conjugate_gradients(lambda d: product(t, X, d), -g, 60)
    close(step, np.linalg.solve(H, -g), rtol=1e-8)


def test_R46_lanczos_finds_both_ends_of_the_spectrum() -> None:
    theta, x, cost = small_net()
    v = gx.tensor("v", theta.shape)
    product, dense = gx.function([theta, x, v], gx.hvp(cost, theta, v)), gx.function([theta, x], gx.hessian(cost, theta))
    rng = np.random.default_rng(7)
    t, X = rng.normal(size=theta.shape), rng.normal(size=(9, 3))
    operator = scipy.sparse.linalg.LinearOperator((26, 26), matvec=lambda d: product(t, X, d), dtype=float)
    found = scipy.sparse.linalg.eigsh(operator, k=2, which="BE", v0=np.ones(26), return_eigenvectors=False)
    np.testing.assert_allclose(np.sort(found), np.linalg.eigvalsh(dense(t, X))[[0, -1]], rtol=1e-8)


def test_R46_negative_curvature_is_seen_and_damped() -> None:
    p, x, cost = f2()
    theta = gx.tensor("theta", (9,))
    flat = gx.substitute(cost, {p["W"]: gx.reshape(theta[:4], (2, 2)), p["V"]: theta[4:6], p["b"]: theta[6], p["c"]: theta[7:]})
    v = gx.tensor("v", (9,))
    values = f2_values(p, x)
    at, X = np.concatenate([np.ravel(values[p[k]]) for k in ("W", "V", "b", "c")]), values[x]
    product, gradient = gx.function([theta, x, v], gx.hvp(flat, theta, v)), gx.function([theta, x], gx.grad(flat, theta))
    g = gradient(at, X)
    _, smallest = conjugate_gradients(lambda d: product(at, X, d), -g, 20)
    assert smallest < 0  # eigenvalues from -3.67 to 4.30: plain conjugate gradients must stop
    step, smallest = conjugate_gradients(lambda d: product(at, X, d) + 4 * d, -g, 30)
    assert smallest > 0
    H = gx.function([theta, x], gx.hessian(flat, theta))(at, X)
    close(step, np.linalg.solve(H + 4 * np.eye(9), -g), rtol=1e-8)
    assert g @ step < 0


# -- R47 -------------------------------------------------------------------------------------------
def test_R47_products_three_ways() -> None:
    """grad of (grad f . v), forward over reverse, the dense Hessian, differences of the gradient."""
    theta, x, cost = small_net()
    v = gx.tensor("v", theta.shape)
    rng = np.random.default_rng(8)
    at = {theta: rng.normal(size=theta.shape), x: rng.normal(size=(5, 3)), v: rng.normal(size=theta.shape)}
    g = gx.grad(cost, theta)
    twice, forward, H = both([gx.grad(gx.dot(g, v), theta), gx.hvp(cost, theta, v), gx.hessian(cost, theta) + 0 * v], at)
    close(twice, forward, rtol=1e-10, atol=1e-14)
    close(twice, H @ at[v], rtol=1e-10, atol=1e-13)
    f = gx.function([theta, x], g)
    e = 1e-6
    close(twice, (f(at[theta] + e * at[v], at[x]) - f(at[theta] - e * at[v], at[x])) / (2 * e), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("width", [32, 512])
def test_R47_a_product_costs_a_few_gradients(width: int) -> None:
    layers = [(gx.tensor(f"W{k}", (width, width)), gx.tensor(f"b{k}", (width,))) for k in range(3)]
    x = gx.tensor("x", ("n", width))
    v = gx.tree.map(lambda p: gx.tensor("v" + p.name, p.shape), layers)
    cost = gx.mean(net(layers, x) ** 2)
    gradient = gx.function([x, layers], gx.grad(cost, layers)).cost(n=64)
    product = gx.function([x, layers, v], gx.hvp(cost, layers, v)).cost(n=64)
    assert product["operations"] <= 3.5 * gradient["operations"]  # counted; seconds: benchmarks


# -- R48 -------------------------------------------------------------------------------------------
def test_R48_a_gradient_inside_the_cost() -> None:
    """|d f / d x|**2 is part of the cost: values, gradient (two nested), Hessian-vector product (three), and training on it."""
    rng = np.random.default_rng(9)
    x, t, p = gx.tensor("x", ("n", 3)), gx.tensor("t", ("n",)), gx.like(weights([3, 6, 1]), "p")
    out = net(p, x)[:, 0]
    penalty = gx.mean(gx.sum(gx.grad(gx.sum(out), x) ** 2, axis=1))
    cost = gx.mean((out - t) ** 2) + 0.3 * penalty
    values, X, T = weights([3, 6, 1]), rng.normal(size=(8, 3)), rng.normal(size=8)
    W, b = values[0]
    h = np.tanh(X @ W + b)
    slope = ((1 - h * h) * values[1][0][:, 0]) @ W.T
    close(run(penalty, {x: X, **dict(zip(gx.tree.leaves(p), gx.tree.leaves(values)))}), np.mean((slope**2).sum(1)))
    at = {x: X, t: T, **dict(zip(gx.tree.leaves(p), gx.tree.leaves(values)))}
    leaves = gx.tree.leaves(p)[:3]
    assert gx.check_grad(cost, leaves, at, order=2, rtol=1e-4) < 1e-4
    state = gx.shared(values, "state")
    held = gx.substitute([cost, gx.grad(cost, leaves)], dict(zip(gx.tree.leaves(p), gx.tree.leaves(state))))
    step = gx.function([x, t], held[0], updates={s: s - 0.1 * g for s, g in zip(gx.tree.leaves(state), held[1])})
    losses = [float(step(X, T)) for _ in range(50)]
    assert losses[-1] < 0.7 * losses[0] and max(np.diff(losses)) < 1e-3


def test_R48_products_of_the_penalised_cost() -> None:
    theta, x, cost = small_net()
    inner = gx.grad(gx.sum(gx.tanh(x @ gx.reshape(theta[:12], (3, 4)))), x)
    total = cost + gx.mean(inner**2)
    v = gx.tensor("v", theta.shape)
    f = gx.function([theta, x], gx.grad(total, theta))
    rng = np.random.default_rng(10)
    t, X, d = rng.normal(size=theta.shape), rng.normal(size=(4, 3)), rng.normal(size=theta.shape)
    product = run(gx.hvp(total, theta, v), {theta: t, x: X, v: d})
    close(product, (f(t + 1e-6 * d, X) - f(t - 1e-6 * d, X)) / 2e-6, rtol=1e-6, atol=1e-8)


# -- R49 -------------------------------------------------------------------------------------------
def quadratic() -> tuple[Node, np.ndarray, np.ndarray, Node]:
    rng = np.random.default_rng(11)
    A = rng.normal(size=(4, 4))
    A = A @ A.T + np.eye(4)
    x = gx.tensor("x", (4,))
    return x, A, rng.normal(size=4), 0.5 * gx.dot(x, gx.asarray(A) @ x)


def test_R49_the_factor_two_of_a_forgotten_constant() -> None:
    x, A, at, f = quadratic()
    v = gx.grad(f, x)
    g = gx.grad(f, x)
    held = gx.grad(gx.dot(g, gx.stop_gradient(v)), x)
    listed = gx.grad(gx.dot(gx.asarray(A) @ x, v + 0.0), x, consider_constant=[v + 0.0])
    forgotten = gx.grad(gx.dot(g, v), x)
    right = A @ A @ at
    close(both([held, listed, forgotten], {x: at}), [right, right, 2 * right], rtol=1e-12)


def test_R49_stop_gradient_costs_nothing_and_is_zero() -> None:
    x = gx.tensor("x", ("n",))
    y = gx.stop_gradient(gx.tanh(x)) * x
    f = gx.function([x], [y, gx.grad(gx.sum(y), x)])
    assert not ops_of(f)["stop_gradient"] and f.cost(n=9)["kernels"] == 1
    at = np.linspace(-1, 1, 9)
    close(list(f(at)), [np.tanh(at) * at, np.tanh(at)], rtol=2e-15)
    still = gx.stop_gradient(x * x)
    zero, forward = both([gx.grad(gx.sum(still), x), gx.jvp(still, x, gx.ones_like(x))], {x: at})  # defined, not "disconnected"
    close([zero, forward], [np.zeros(9), np.zeros(9)], rtol=0)
    (ready,) = gx.grad.__globals__["prepared"]([y], {x})
    assert "stop_gradient" in {n.op.name for n in gx.ir.toposort([ready])}  # it survives what comes before grad


def test_R49_a_conjugate_gradient_iterate_in_the_graph() -> None:
    """v from two steps of conjugate gradients written out in the graph, held constant: d (g . v) / dx is A v."""
    x, A, at, f = quadratic()
    matrix, g = gx.asarray(A), gx.grad(f, x)
    v, r = gx.zeros_like(x), g
    d = r
    for _ in range(2):
        Ad = matrix @ d
        a = gx.dot(r, r) / gx.dot(d, Ad)
        v, new = v + a * d, r - a * Ad
        d, r = new + gx.dot(new, new) / gx.dot(r, r) * d, new
    held = gx.grad(gx.dot(g, gx.stop_gradient(v)), x)
    through = gx.grad(gx.dot(g, v), x)
    iterate, found, other = both([v, held, through], {x: at}, rtol=1e-9)
    close(found, A @ iterate, rtol=1e-10)
    assert np.abs(other - found).max() > 0.1 * np.abs(found).max()


# -- R50 -------------------------------------------------------------------------------------------
def test_R50_hessian_by_products_over_the_unit_vectors() -> None:
    theta, x, cost = small_net()
    rows = gx.vmap(lambda e: gx.hvp(cost, theta, e))(gx.eye(26))
    rng = np.random.default_rng(12)
    at = {theta: rng.normal(size=26), x: rng.normal(size=(6, 3))}
    H, mapped = both([gx.hessian(cost, theta), rows], at)
    close(mapped, H, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(H, H.T, rtol=1e-11, atol=1e-14)
    f = gx.function([theta, x], gx.grad(cost, theta))
    close(H, difference(lambda t: f(t, at[x]), at[theta]), rtol=1e-6, atol=1e-8)
    assert nodes(gx.hessian(cost, theta)) < 400  # one batch, not 26 copies of the product


def test_R50_hessian_of_a_closed_form() -> None:
    x = gx.tensor("x", (3,))
    at = np.array([0.5, -1.5, 2.0])
    f = x[0] ** 2 * x[1] + gx.sin(x[1] * x[2]) + gx.exp(x[0])
    a, b, c = at
    s, k = np.sin(b * c), np.cos(b * c)
    exact = np.array([[2 * b + np.exp(a), 2 * a, 0], [2 * a, -c * c * s, k - b * c * s], [0, k - b * c * s, -b * b * s]])
    close(both(gx.hessian(f, x), {x: at}), exact, rtol=1e-13, atol=1e-15)
