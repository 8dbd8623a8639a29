"""spec/002-004.md as far as its rows ask for loops: R29 to R33, R44 to R50: modes, swell, and iterations inside of the graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir import Node, toposort
from graphc.region import everywhere
from tests.spec.kit import both, close, difference, optimised, run
from tests.spec.test_002_004_gradient import f2, f2_values
from tests.spec.test_002_004_higher import small_net

RNG = np.random.default_rng(46)


def logistic(a: Any, x: Any, turns: int | None = None) -> tuple[Node, Node]:
    """x <- a x (1 - x), and all that it was."""
    return gx.scan(lambda x, _: (a * x * (1 - x), x), x, length=turns)


# -- R29 to R31: modes, symbols, swell ----------------------------------------------------------------
def test_R29_both_modes_and_their_mixtures_agree() -> None:
    """Of the logistic map in chaos, whose derivative is the product of a (1 - 2 x) by hand."""
    a, x = gx.scalar("a"), gx.scalar("x")
    last, _ = logistic(a, x, 12)
    env = {a: 3.9, x: 0.3}
    orbit = [0.3]
    for _ in range(11):
        orbit.append(3.9 * orbit[-1] * (1 - orbit[-1]))
    slope = np.prod([3.9 * (1 - 2 * v) for v in orbit])
    one, two = gx.scalar("one"), gx.jvp(last, x, 1.0)
    first = [gx.grad(last, x), two, gx.vjp(last, x, one)]
    second = [gx.grad(gx.grad(last, x), x), gx.jvp(gx.grad(last, x), x, 1.0), gx.grad(two, x), gx.jvp(two, x, 1.0), gx.hessian(last, x)]
    third = [gx.grad(second[0], x), gx.jvp(second[3], x, 1.0), gx.grad(second[3], x), gx.jvp(second[0], x, 1.0)]
    found = both([first, second, third], {**env, one: 1.0}, rtol=1e-9)
    np.testing.assert_allclose(found[0], slope, rtol=1e-12)
    for order in found[1:]:
        np.testing.assert_allclose(order, order[0], rtol=1e-10)
    from_below = gx.function([x, a], [gx.grad(last, x), second[0]])
    for k in (1, 2):
        numbers = [from_below(0.3 + s * 1e-7, 3.9)[k - 1] for s in (1, -1)]
        np.testing.assert_allclose(found[k][0], (numbers[0] - numbers[1]) / 2e-7, rtol=1e-4)


def test_R29_the_mode_with_fewer_seeds_is_taken() -> None:
    """A Jacobian of few inputs goes with the loop, one of few outputs against it."""
    for d, m in ((2, 30), (30, 2)):
        x, w = gx.tensor("x", (d,)), gx.asarray(RNG.normal(size=(m, d)))
        last, _ = gx.scan(lambda s, _, w=w, x=x: (gx.tanh(s + w @ x), None), gx.zeros(m), length=5)
        found = gx.jacobian(last, x)
        loops = [n for n in toposort([found]) if n.op.name == "scan"]
        assert any(n.attrs["reverse"] for n in loops) == (m < d)
        modes = both(
            [found, gx.jacobian(last, x, mode="forward"), gx.jacobian(last, x, mode="reverse")], {x: np.linspace(-1, 1, d)}, rtol=1e-10
        )
        close(modes[1], modes[2], rtol=1e-10, atol=1e-14)
        close(modes[0], modes[1], rtol=1e-10, atol=1e-14)


def test_R30_gradients_of_loops_are_symbols() -> None:
    """No data and no length is needed; the result can be printed, substituted into, and used."""
    a, x = gx.scalar("a"), gx.scalar("x")
    last, _ = gx.scan(lambda v, _: (a * v * (1 - v), None), x, length="turns")
    g = gx.grad(last, a)
    assert "scan" in str(g) and "turns" in str(g)
    other = gx.substitute(g, {gx.dim("turns"): 3, x: gx.asarray(0.25)})
    np.testing.assert_allclose(run(other, {a: 2.0}), run(gx.grad(logistic(a, gx.asarray(0.25), 3)[0], a), {a: 2.0}), rtol=1e-13)


def test_R31_no_swell_in_loops() -> None:
    """Nodes of the graph and of all bodies after the passes, for derivatives of order 1 to 4 of a loop of tanh: recorded."""
    counts = []
    x = gx.scalar("x")
    d, _ = gx.scan(lambda s, _: (gx.tanh(s), None), x, length=20)
    for _ in range(4):
        d = gx.grad(d, x)
        counts.append(len(list(everywhere(optimised([x], d).outputs))))
    assert counts[0] < 40 and all(b < 3.5 * a for a, b in zip(counts, counts[1:])), counts  # noqa: RUF007


# -- R32, R33: loops and branches are ops with rules -----------------------------------------------------
def sqrt_by_newton(x: Any) -> Any:
    return gx.while_loop(lambda v: gx.max(gx.abs(v * v - x)) > 1e-12, lambda v: (v + x / v) / 2, x + 1.0, max_steps=60)


def bubbles(x: Any) -> Any:
    """Sorting by neighbours that change places, in a loop of loops: moves, and a derivative that is a permutation."""

    def swap(j: Any, v: Any) -> Any:
        a, b = gx.take(v, j), gx.take(v, j + 1)
        return gx.cond(a > b, lambda v: v.at[j].set(b).at[j + 1].set(a), lambda v: v, v)

    n = int(x.shape[0])
    return gx.fori_loop(0, n, lambda i, v: gx.fori_loop(0, n - 1, swap, v), x)


def collatz(x: Any) -> Any:
    """A branch in a loop whose number of turns depends on the value."""
    even = lambda v: v / 2
    odd = lambda v: 3 * v + 0.5 * gx.sin(v)
    return gx.while_loop(lambda v: gx.sum(v) < 50, lambda v: gx.cond(v[0] > 4, even, odd, v), x, max_steps=30)


PROGRAMS = {"newton": (sqrt_by_newton, np.sqrt), "sort": (bubbles, np.sort), "branches": (collatz, None)}


@pytest.mark.parametrize("name", PROGRAMS)
def test_R32_differences(name: str) -> None:
    f, exact = PROGRAMS[name]
    x = gx.tensor("x", (3,))
    point = np.array([2.3, 0.7, 5.9])
    y = f(x)
    value, J = both([y, gx.jacobian(y, x)], {x: point}, rtol=1e-10)
    g = gx.function([x], y)
    if exact is not None:
        np.testing.assert_allclose(value, exact(point), rtol=1e-12)
    np.testing.assert_allclose(J, difference(g, point), rtol=1e-6, atol=1e-8)
    assert gx.check_grad(gx.sum(y**3), x, {x: point}, order=3) < 1e-4


def test_R33_the_rule_of_a_loop_builds_no_jacobian() -> None:
    """Nothing of n x n is in the gradient of an elementwise loop over a vector of n."""
    n = 10_000
    x = gx.tensor("x", (n,))
    last, _ = gx.scan(lambda s, _: (gx.tanh(s) * s, None), x, length=4)
    g = optimised([x], gx.grad(gx.sum(last), x))
    for node in everywhere(g.outputs):
        for t in node.type if isinstance(node.type, tuple) else (node.type,):
            assert isinstance(t.size, int) and t.size <= 4 * n


# -- R46: iterations in the graph -------------------------------------------------------------------------
def conjugate_gradients(product: Any, b: Node, tolerance: float, most: int) -> tuple[Node, Node]:
    """(x with H x = b, whether all curvature seen was positive) by a while loop: it ends at the tolerance, or at negative curvature."""

    def step(v: dict[str, Node]) -> dict[str, Node]:
        Hd = product(v["d"])
        rr, curvature = gx.dot(v["r"], v["r"]), gx.dot(v["d"], Hd)
        a = gx.where(curvature > 0, rr / curvature, 0.0)
        r = v["r"] - a * Hd
        return {"x": v["x"] + a * v["d"], "r": r, "d": r + gx.dot(r, r) / rr * v["d"], "good": curvature > 0}

    goes_on = lambda v: (gx.dot(v["r"], v["r"]) > tolerance) & v["good"]
    end = gx.while_loop(goes_on, step, {"x": gx.zeros_like(b), "r": b, "d": b, "good": gx.asarray(True)}, max_steps=most)
    return end["x"], end["good"]


def test_R46_newton_with_conjugate_gradients_in_one_graph() -> None:
    theta, x, cost = small_net()
    cost = cost + 8.0 * gx.sum(theta**2)  # positive definite
    g = gx.grad(cost, theta)
    step, good = conjugate_gradients(lambda d: gx.hvp(cost, theta, d), -g, 1e-26, 80)
    at = {theta: RNG.normal(size=theta.shape), x: RNG.normal(size=(7, 3))}
    found, positive, H, slope = both([step, good, gx.hessian(cost, theta), g], at, rtol=1e-7)
    assert positive
    close(found, np.linalg.solve(H, -slope), rtol=1e-8)


def test_R46_negative_curvature_in_the_graph() -> None:
    p, x, cost = f2()
    theta = gx.tensor("theta", (9,))
    flat = gx.substitute(cost, {p["W"]: gx.reshape(theta[:4], (2, 2)), p["V"]: theta[4:6], p["b"]: theta[6], p["c"]: theta[7:]})
    values = f2_values(p, x)
    at = {theta: np.concatenate([np.ravel(values[p[k]]) for k in ("W", "V", "b", "c")]), x: values[x]}
    g = gx.grad(flat, theta)
    plain, damped = (conjugate_gradients(lambda d, k=k: gx.hvp(flat, theta, d) + k * d, -g, 1e-24, 40) for k in (0.0, 4.0))
    (_, seen), (step, good), H, slope = both([plain, damped, gx.hessian(flat, theta), g], at, rtol=1e-7)
    assert not seen and good
    close(step, np.linalg.solve(H + 4 * np.eye(9), -slope), rtol=1e-8)


def test_R46_lanczos_and_power_iteration_in_the_graph() -> None:
    """Both ends of the spectrum from the tridiagonal matrix of a scan with full orthogonalisation; the top one by a while loop too."""
    theta, x, cost = small_net()
    n = 26
    H = lambda d: gx.hvp(cost, theta, d)

    def step(state: Any, _: Any) -> Any:
        basis, v = state
        w = H(v)
        alpha = gx.dot(v, w)
        k = gx.turn_index()
        basis = basis.at[k].set(v)
        w = w - basis.T @ (basis @ w)
        w = w - basis.T @ (basis @ w)
        beta = gx.norm(w)
        return (basis, w / gx.maximum(beta, 1e-300)), (alpha, beta)

    start = RNG.normal(size=n)
    _, (alphas, betas) = gx.scan(step, (gx.zeros((n, n)), gx.asarray(start / np.linalg.norm(start))), length=18)
    top = gx.while_loop(
        lambda v: gx.abs(v["now"] - v["before"]) > 1e-13 * gx.abs(v["now"]),
        lambda v: {"v": H(v["v"]) / gx.norm(H(v["v"])), "before": v["now"], "now": gx.dot(v["v"], H(v["v"]))},
        {"v": gx.asarray(np.ones(n) / n**0.5), "before": gx.asarray(0.0), "now": gx.asarray(1.0)},
        max_steps=5000,
    )
    at = {theta: RNG.normal(size=theta.shape), x: RNG.normal(size=(9, 3))}
    a, b, largest, dense = run([alphas, betas, top["now"], gx.hessian(cost, theta)], at)
    T = np.diag(a) + np.diag(b[:-1], 1) + np.diag(b[:-1], -1)
    values = np.linalg.eigvalsh(dense)
    np.testing.assert_allclose(np.linalg.eigvalsh(T)[[0, -1]], values[[0, -1]], rtol=1e-6)
    np.testing.assert_allclose(abs(largest), np.abs(values).max(), rtol=1e-5)


# -- R44, R45, R47 to R50: derivatives of derivatives, with loops -----------------------------------------
def test_R44_R48_a_gradient_inside_of_a_cost_inside_of_a_loop() -> None:
    """Descent on a penalised cost, unrolled in a scan; the result by the rate of descent, in three orders of nesting."""
    w0, rate = gx.tensor("w", (3,)), gx.scalar("rate")
    data = RNG.normal(size=(6, 3))
    inner = lambda w: gx.mean(gx.tanh(data @ w) ** 2) + gx.sum(w**4) / 7

    def penalised(w: Node) -> Node:
        g = gx.grad(inner(w), w)
        return inner(w) + 0.1 * gx.dot(g, g)

    last, _ = gx.scan(lambda w, _: (w - rate * gx.grad(penalised(w), w), None), w0, length=4)
    end = inner(last)
    point = {w0: np.array([0.4, -0.3, 0.8]), rate: 0.1}
    slow, fast = both([gx.grad(end, rate), gx.jvp(end, rate, 1.0)], point, rtol=1e-9)
    np.testing.assert_allclose(slow, fast, rtol=1e-11)
    f = gx.function([w0, rate], end)
    np.testing.assert_allclose(slow, (f(point[w0], 0.1 + 1e-6) - f(point[w0], 0.1 - 1e-6)) / 2e-6, rtol=1e-6)


def test_R45_R47_products_through_loops() -> None:
    """Hv of a recurrent cost: nothing of n x n; by grad of (grad . v), forward over reverse, the dense Hessian."""
    w, v = gx.tensor("w", (6, 6)), gx.tensor("v", (6, 6))
    last, _ = gx.scan(lambda h, _: (gx.tanh(w @ h + 0.3), None), gx.zeros(6), length=15)
    cost = gx.sum(last**2)
    twice, forward = gx.grad(gx.sum(gx.grad(cost, w) * v), w), gx.hvp(cost, w, v)
    for node in everywhere(optimised([w, v], [twice, forward]).outputs):
        for t in node.type if isinstance(node.type, tuple) else (node.type,):
            assert isinstance(t.size, int) and t.size <= 15 * 36
    at = {w: RNG.normal(size=(6, 6)) * 0.4, v: RNG.normal(size=(6, 6))}
    a, b, H = both([twice, forward, gx.hessian(cost, w)], at, rtol=1e-9)
    close(a, b, rtol=1e-9, atol=1e-13)
    close(a, np.einsum("ijkl,kl", H, at[v]), rtol=1e-9, atol=1e-13)


def test_R49_v_from_an_iteration_in_the_graph() -> None:
    """v solves A v = c by conjugate gradients: held constant, grad of grad f . v is A v; forgotten, the solution's own derivative adds."""
    n = 4
    M = RNG.normal(size=(n, n))
    A = M @ M.T + n * np.eye(n)
    x = gx.tensor("x", (n,))
    f = gx.dot(x, A @ x) / 2
    g = gx.grad(f, x)
    v, _ = conjugate_gradients(lambda d: A @ d, g, 1e-26, 30)  # v = x
    held = gx.grad(gx.dot(g, gx.stop_gradient(v)), x)
    forgotten = gx.grad(gx.dot(g, v), x)
    point = RNG.normal(size=n)
    a, b, iterate = both([held, forgotten, v], {x: point}, rtol=1e-8)
    np.testing.assert_allclose(iterate, point, rtol=1e-9)
    np.testing.assert_allclose(a, A @ point, rtol=1e-9)
    np.testing.assert_allclose(b, 2 * A @ point, rtol=1e-7)


def test_R50_a_hessian_as_a_loop_of_products() -> None:
    theta, x, cost = small_net()
    rows = gx.map(lambda e: gx.hvp(cost, theta, e), gx.eye(26))
    at = {theta: RNG.normal(size=theta.shape), x: RNG.normal(size=(5, 3))}
    looped, dense = both([rows, gx.hessian(cost, theta)], at, rtol=1e-10)
    close(looped, dense, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(looped, looped.T, rtol=1e-10, atol=1e-14)
