"""spec/003.md: S1 to S9 and N1 to N10: saddle points, cost surfaces and second-order methods. (S1's numbers and N1 are in test_003.py.)"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.optimize

import graphc as gx
from graphc.ir import Node
from graphc.optim import krylov
from graphc.optim.directions import Move
from graphc.optim.problem import Point
from graphc.optim.quasi_newton import bfgs
from tests.spec.kit import close, net, nodes, run, weights

Data = tuple[np.ndarray, np.ndarray]


def saddle(p: Node) -> Node:
    """A linear autoencoder of one unit: a saddle at (0, 0), minima where a b = 1."""
    return 0.5 * (1 - p[0] * p[1]) ** 2


def positive(k: int, condition: float, seed: int = 0) -> np.ndarray:
    """A symmetric positive definite matrix."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(k, k)))
    return (q * np.geomspace(1, condition, k)) @ q.T


# -- S1 to S3, N3: steps near a saddle -------------------------------------------------------------
def test_S1_S2_N3_steps_at_a_saddle() -> None:
    p, alpha = gx.vector("p", 2), gx.scalar("alpha")
    J = saddle(p)
    one = lambda method, **options: gx.optim.minimize(saddle, p, method, max_iterations=1, line_search="full_step", **options).x
    damped = gx.linalg.solve(gx.hessian(J, p) + alpha * gx.eye(2), -gx.grad(J, p))
    eigenvalues = gx.linalg.eigvalsh(gx.hessian(J, p))
    whole = [gx.optim.minimize(saddle, p, method, line_search="full_step") for method in ("newton", "saddle_free_newton")]
    f = gx.function([p, alpha], [eigenvalues, one("newton"), one("saddle_free_newton"), one("newton", damping=2.0), damped, whole])
    at = np.full(2, 0.1)
    values, newton, free, regularised, step, (attracted, escaped) = f(at, 2.0)
    close(values, np.array([-0.97, 0.99]), rtol=1e-13)
    np.testing.assert_allclose(newton, -0.00206186, atol=5e-9)  # into the saddle
    np.testing.assert_allclose(free, 0.20206186, atol=5e-9)  # away from it
    np.testing.assert_allclose(regularised - 0.1, step, rtol=1e-12)
    for a, expected in [(2.0, 0.19223301), (1e3, 0.09909612), (1e6, 0.0990001)]:  # towards the gradient, 0.099
        np.testing.assert_allclose(a * f(at, a)[4], expected, rtol=1e-7)
    assert attracted.success and np.abs(attracted.x).max() < 1e-8
    assert escaped.success and escaped.x.prod() == pytest.approx(1, abs=1e-7)
    assert f(np.zeros(2), 2.0)[5][1].iterations == 0  # at the saddle itself the gradient says nothing


def test_S3_a_dead_net_has_no_gradient_and_says_so() -> None:
    """Rectifiers that no input excites: gradient and Hessian exactly 0, a damped solve gives 0, a minimisation ends at once."""
    w = gx.matrix("w", (3, 4))
    x = np.abs(np.random.default_rng(0).normal(size=(20, 3)))
    cost = lambda w: gx.mean((gx.sum(gx.relu(x @ w - 1.0), axis=1) - 1.0) ** 2)
    J = cost(w)
    g, H = gx.grad(J, w), gx.hessian(J, w, flat=True)
    step = gx.linalg.solve(H + 0.1 * gx.eye(12), gx.ravel(g))
    got = run([g, H, step, gx.optim.minimize(cost, w, "newton", line_search="full_step")], {w: np.full((3, 4), -1.0)})
    assert not got[0].any() and not got[1].any() and not got[2].any()
    assert got[3].success and got[3].iterations == 0 and got[3].grad_norm == 0


# -- S4, S5: products of many --------------------------------------------------------------------------
def test_S4_a_cliff_with_and_without_clipping() -> None:
    """(w^40 - 1)^2 from 1.1: the gradient at the cliff throws plain descent to where nothing is finite; clipped, it comes to 1."""
    w, limit = gx.scalar("w"), gx.scalar("limit")
    power = gx.fori_loop(0, 40, lambda _, v: v * w, gx.ones_like(w))
    g = gx.grad((power - 1) ** 2, w)
    clipped = gx.clip(g, -limit, limit)
    f = gx.function([w, limit], [g, w - 0.01 * clipped])
    assert f(1.1, 1.0)[0] > 1e5
    free = 1.1
    with np.errstate(all="ignore"):
        for _ in range(3):
            free = float(f(free, np.inf)[1])
    held = 1.1
    for _ in range(40):
        held = float(f(held, 1.0)[1])
    assert not abs(free) < 1e3 and abs(held - 1) < 0.03


def test_S5_powers_of_a_matrix(digits: Data) -> None:
    """x W^t by a scan is x V diag(lambda)^t V'; gradients scale alike; the power method and Lanczos find the first eigenpair."""
    W, x, t = gx.matrix("W", (4, 4)), gx.vector("x", 4), gx.dim("t")
    out = gx.scan(lambda h, _: (h @ W, None), x, None, t)[0]
    steps = gx.tensor("steps", (t,))
    f = gx.function([W, x, steps], [out, gx.grad(gx.sum(out), x)])
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))
    scales, start = np.array([1.1, 0.9, -0.5, 0.2]), np.random.default_rng(1).normal(size=4)
    for times in (1, 50):
        whole = (q * scales**times) @ q.T
        close(f((q * scales) @ q.T, start, np.zeros(times)), [start @ whole, whole.sum(1)], rtol=1e-12)
    value = f(np.diag(scales), np.ones(4), np.zeros(50))[0]
    np.testing.assert_allclose(value[:2], [117.39085287969579, 0.00515377520732012], rtol=1e-12)
    X = digits[0] - digits[0].mean(0)
    data = gx.matrix("data", ("n", 64))
    product = lambda v: data.T @ (data @ v) / len(X)
    pair, tridiagonal = run([krylov.power_iteration(product, np.ones(64)), krylov.lanczos(product, np.ones(64), 25).tridiagonal], {data: X})
    top = np.linalg.eigvalsh(X.T @ X / len(X))[-1]
    assert pair.status == krylov.Status.CONVERGED and float(pair.value) == pytest.approx(top, rel=1e-10)
    assert np.linalg.eigvalsh(tridiagonal)[-1] == pytest.approx(top, rel=1e-12)


# -- S6, S7: estimates, costs without a minimum --------------------------------------------------------
def test_S6_minibatches_are_unbiased(digits: Data) -> None:
    """The mean of the gradients of equal batches is that of the whole, by one function for any size; what is stopped adds nothing."""
    w, x, y = gx.vector("w", 64), gx.matrix("x", ("n", 64)), gx.vector("y", "n")
    J = gx.mean(gx.softplus(x @ w) - y * (x @ w))
    f = gx.function([w, x, y], [gx.grad(J, w), gx.grad(J + gx.stop_gradient(gx.sum(w**2)), w)])
    images, labels, at = digits[0][:1200], (digits[1][:1200] == 5) * 1.0, np.random.default_rng(0).normal(size=64)
    whole, stopped = f(at, images, labels)
    np.testing.assert_array_equal(whole, stopped)
    parts = [f(at, images[k::12], labels[k::12])[0] for k in range(12)]
    np.testing.assert_allclose(np.mean(parts, 0), whole, rtol=1e-11, atol=1e-15)


def test_S7_costs_without_a_minimum_stay_numbers() -> None:
    """Separable classes: the loss falls below 1e-12 and never to 0. A Gaussian's precision where the fit is perfect: it grows and grows."""
    x, y, k = gx.matrix("x", ("n", 2)), gx.vector("y", "n"), gx.scalar("k", "int64")
    loss = lambda w: gx.mean(gx.softplus(-y * (x @ w)))
    gaussian = lambda p: 0.5 * gx.mean(gx.exp(p["log beta"]) * (x[:, 0] - p["mean"] * x[:, 0]) ** 2 - p["log beta"])
    start = {"mean": 0.0, "log beta": 0.0}
    f = gx.function([x, y, k], [gx.optim.minimize(loss, np.zeros(2), "l_bfgs", tol=0.0, max_iterations=k),
                                gx.optim.minimize(gaussian, start, "steepest_descent", tol=0.0, max_iterations=k)])  # fmt: skip
    rng = np.random.default_rng(0)
    y_ = np.sign(rng.normal(size=40))
    x_ = rng.normal(size=(40, 2)) * 0.3 + 2 * y_[:, None]
    separated, fitted = f(x_, y_, 200)
    assert 0 < separated.fun < 1e-12 and np.isfinite(separated.x).all()
    early = f(x_, y_, 20)[1]
    assert abs(fitted.x["mean"] - 1) < 1e-2 and fitted.x["log beta"] > early.x["log beta"] > 1
    assert np.isfinite(fitted.fun) and fitted.fun < early.fun < 0


# -- S8, S9: looking at the surface ---------------------------------------------------------------------
def test_S8_S9_slices_of_the_surface_and_what_is_logged(digits: Data) -> None:
    """J(w + a d1 + b d2) over a grid by one call passes through the costs of both ends; J and |g| share what they have in common."""
    images, labels = digits[0][:200], digits[1][:200]
    sizes = [64, 8, 10]
    from_, to = (gx.tree.ravel(weights(sizes, seed))[0] for seed in (0, 1))
    unravel = gx.tree.ravel(weights(sizes))[1]
    w, d, a = gx.vector("w", len(from_)), gx.vector("d", len(from_)), gx.vector("a", "k")
    cost = lambda v: -gx.mean(gx.take_along_axis(gx.log_softmax(net(unravel(v), images)), labels[:, None], axis=1))
    J = cost(w)
    length = gx.sqrt(gx.sum(gx.grad(J, w) ** 2))
    slices = gx.vmap(lambda t: cost(w + t * d))(a)
    f = gx.function([w, d, a], [J, length, slices])
    steps = np.linspace(0, 1, 11)
    first, _, values = f(from_, to - from_, steps)
    np.testing.assert_allclose([values[0], values[-1]], [first, f(to, to, steps)[0]], rtol=1e-12)
    assert nodes(J, length) < nodes(J) + nodes(length)


# -- N2, N10: Newton ------------------------------------------------------------------------------------
def logistic(w: Node, x: Any, y: Any) -> Node:
    return gx.mean(gx.softplus(x @ w) - y * (x @ w)) + 0.01 * gx.sum(w**2)


def test_N2_newton(digits: Data) -> None:
    """One step solves a quadratic; logistic regression takes a handful, each with about twice the right digits; inv(H) g is a solve."""
    A, b = gx.matrix("A", (6, 6)), gx.vector("b", 6)
    quadratic = lambda v: 0.5 * gx.dot(v, A @ v) - gx.dot(b, v)
    spd, rhs = positive(6, 300.0), np.arange(6.0)
    found = run(gx.optim.minimize(quadratic, np.zeros(6), "newton", tol=1e-9), {A: spd, b: rhs})
    assert found.iterations == 1
    np.testing.assert_allclose(found.x, np.linalg.solve(spd, rhs), rtol=1e-11)
    x, y, k = gx.matrix("x", ("n", 64)), gx.vector("y", "n"), gx.scalar("k", "int64")
    images, labels = digits[0], (digits[1] == 5) * 1.0
    f = gx.function([x, y, k], gx.optim.minimize(lambda w: logistic(w, x, y), np.zeros(64), "newton", tol=1e-13, max_iterations=k))
    found = f(images, labels, 50)
    assert found.success and found.iterations <= 9
    sizes = [float(f(images, labels, int(found.iterations) - j).grad_norm) for j in (3, 2, 1)]
    assert sizes[1] < 30 * sizes[0] ** 2 + 1e-13 and sizes[2] < 30 * sizes[1] ** 2 + 1e-13, sizes
    value = lambda w: np.mean(np.logaddexp(0, images @ w) - labels * (images @ w)) + 0.01 * w @ w
    slope = lambda w: images.T @ (1 / (1 + np.exp(-images @ w)) - labels) / len(labels) + 0.02 * w
    theirs = scipy.optimize.minimize(value, np.zeros(64), jac=slope, method="L-BFGS-B", options={"gtol": 1e-9, "ftol": 0, "maxiter": 2000})
    assert float(found.fun) == pytest.approx(theirs.fun, rel=1e-12)
    assert np.linalg.norm(slope(found.x)) < 1e-12


def test_N10_products_with_the_hessian_of_a_convolution_and_a_recurrence() -> None:
    """Symmetric to 1e-12, and the differences of gradients."""
    rng = np.random.default_rng(0)
    p = {"c": rng.normal(size=(3, 1, 3, 3)), "u": rng.normal(size=(12, 4)) / 3, "w": rng.normal(size=(4, 4)) / 2}
    image = rng.normal(size=(2, 1, 6, 6))

    def cost(p: Any) -> Node:
        maps = gx.nn.max_pool2d(gx.tanh(gx.nn.conv2d(image, p["c"])), 2)  # (2, 3, 2, 2)
        h = gx.scan(lambda h, x: (gx.tanh(x @ p["u"] + h @ p["w"]), None), gx.zeros((2, 4)), gx.stack([gx.reshape(maps, (2, 12))] * 3))[0]
        return gx.sum(h**2)

    q, u, v = gx.like(p), gx.like(p), gx.like(p)
    J = cost(q)
    f = gx.function([q, u, v], [gx.grad(J, q), gx.hvp(J, q, u), gx.hvp(J, q, v)])
    draw = lambda: {k: rng.normal(size=a.shape) for k, a in p.items()}
    flat = lambda t: gx.tree.ravel(t)[0]
    a, b = draw(), draw()
    moved = lambda s: gx.tree.map(lambda x, d: x + s * d, p, a)
    _, ha, hb = f(p, a, b)
    np.testing.assert_allclose(flat(b) @ flat(ha), flat(a) @ flat(hb), rtol=1e-12)
    difference = (flat(f(moved(1e-5), a, b)[0]) - flat(f(moved(-1e-5), a, b)[0])) / 2e-5
    np.testing.assert_allclose(flat(ha), difference, rtol=1e-6, atol=1e-7)


# -- N4, N5, N7, N8: exact line searches on a quadratic -----------------------------------------------
@pytest.fixture(scope="module")
def quadratics() -> Callable[..., Any]:
    """k turns of each method with exact line searches on x.A x / 2 - b.x from 0."""
    A, b, k = gx.matrix("A", (8, 8)), gx.vector("b", 8), gx.scalar("k", "int64")
    cost = lambda v: 0.5 * gx.dot(v, A @ v) - gx.dot(b, v)
    names = {"steepest_descent": {}, "fletcher_reeves": {}, "polak_ribiere": {"reset": 5}, "bfgs": {}, "l_bfgs": {"history": 8}}
    return gx.function([A, b, k], {
        name: gx.optim.minimize(cost, gx.zeros(8), name, tol=0.0, max_iterations=k, line_search="exact", **options)
        for name, options in names.items()
    })  # fmt: skip


def test_N4_N5_N8_exact_searches(quadratics: Callable[..., Any]) -> None:
    A, b = positive(8, 262.0), np.random.default_rng(3).normal(size=8)
    made = [quadratics(A, b, k) for k in range(10)]
    path = {name: np.array([m[name].x for m in made]) for name in made[0]}
    for name, x in path.items():
        d, g = np.diff(x, axis=0), x @ A - b
        lengths = np.linalg.norm(d, axis=1)
        along = np.sum(g[1:] * d, axis=1) / np.maximum(lengths * np.linalg.norm(g[:-1], axis=1), 1e-300)
        assert np.abs(along[:5]).max() < 1e-9, name  # each search ended at the minimum of its line
        if name == "steepest_descent":
            turns = np.sum(d[1:] * d[:-1], axis=1) / (lengths[1:] * lengths[:-1])
            assert np.abs(turns).max() < 1e-9
            continue
        conjugacy = d[:5] @ A @ d[:5].T
        scale = np.sqrt(np.outer(np.diag(conjugacy), np.diag(conjugacy)))
        assert np.abs(np.triu(conjugacy / scale, 1)).max() < 1e-7, name
        if name == "polak_ribiere":  # which begins anew after five turns
            np.testing.assert_allclose(d[5] / lengths[5], -g[5] / np.linalg.norm(g[5]), rtol=1e-9)
        else:
            assert np.linalg.norm(g[8]) < 1e-6, name
    np.testing.assert_allclose(path["l_bfgs"][:8], path["fletcher_reeves"][:8], rtol=1e-6, atol=1e-9)  # the same directions


def test_N7_bfgs_learns_the_inverse_hessian() -> None:
    """Five exact searches on a quadratic of five variables: the gradient vanishes and M is the inverse of A."""
    A, b = positive(5, 30.0), np.random.default_rng(4).normal(size=5)
    method, x, m = bfgs(), gx.vector("x", 5), gx.matrix("m", (5, 5))
    g, first, length = A @ x - b, gx.scalar("first", "int64"), gx.scalar("length")
    d = -(m @ g)
    a = -gx.dot(g, d) / gx.dot(d, A @ d)
    after = x + a * d
    move = Move(Point(x, length, g), Point(after, length, A @ after - b), d, a, first)
    memory = method.memory(Point(x, length, g))._replace(inverse=m)
    f = gx.function([x, m, first, length], [after, method.learn(memory, move).inverse])
    at, inverse = np.zeros(5), np.eye(5)
    for turn in range(5):
        at, inverse = f(at, inverse, turn, 0.0)
    assert np.linalg.norm(A @ at - b) < 1e-12
    np.testing.assert_allclose(inverse, np.linalg.inv(A), rtol=1e-9, atol=1e-12)


def test_N8_l_bfgs_on_the_digits_net_in_linear_memory(digits: Data) -> None:
    """The net's weights by L-BFGS: a minimum as low as SciPy's, from which SciPy finds no further way down; nothing of n * n numbers."""
    images, labels = digits[0][:300], digits[1][:300]
    start, unravel = gx.tree.ravel(weights([64, 6, 10]))
    w = gx.vector("w", len(start))

    def cost(v: Any) -> Node:
        logits = net(unravel(v), images)
        return -gx.mean(gx.take_along_axis(gx.log_softmax(logits), labels[:, None], axis=1)) + 0.01 * gx.sum(v**2)

    f = gx.function([w], gx.optim.minimize(cost, w, "l_bfgs", tol=1e-4))
    slope = gx.function([w], gx.value_and_grad(cost(w), w))
    found = f(start)
    theirs = [
        scipy.optimize.minimize(slope, x, jac=True, method="L-BFGS-B", options={"gtol": 1e-6, "maxiter": 2000}) for x in (start, found.x)
    ]
    assert found.success and found.fun == pytest.approx(theirs[0].fun, rel=2e-2)
    assert found.fun == pytest.approx(theirs[1].fun, rel=1e-6)
    assert f.memory()["largest"] <= 8 * max(10 * len(start), images.size)
