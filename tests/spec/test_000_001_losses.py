"""spec/000-001.md: A20 to A26 and B21 to B26, inputs, outputs and losses."""

from __future__ import annotations

import numpy as np
import scipy.optimize
import scipy.special

import graphc as gx
from graphc.ir import Node
from tests.spec.kit import both, close, cross_entropy, difference, net, nodes, ops, ops_of, optimised, run, weights


# -- A20 to A22, B21 to B23: inputs and losses -----------------------------------------------------
def test_A20_inputs_of_all_kinds(digits: tuple[np.ndarray, np.ndarray]) -> None:
    flag, pixel, kind, income = (
        gx.tensor("f", ("n",), "bool"),
        gx.tensor("p", ("n", 2), "uint8"),
        gx.tensor("k", ("n",), "int64"),
        gx.tensor("i", ("n",)),
    )
    parts = [
        gx.where(flag, 1.0, -1.0)[:, None],
        pixel.astype("float64") / 255,
        gx.one_hot(kind, 3, dtype="float64"),
        gx.log(income)[:, None],
    ]
    row = gx.concatenate(parts, axis=1)
    found = both(
        row,
        {
            flag: np.array([True, False]),
            pixel: np.array([[0, 255], [51, 102]], "uint8"),
            kind: np.array([2, 0]),
            income: np.array([1.0, np.e]),
        },
    )
    close(found, np.array([[1, 0, 1, 0, 0, 1, 0], [-1, 0.2, 0.4, 1, 0, 0, 1]]), rtol=1e-15)


def test_A21_B21_squared_error(digits: tuple[np.ndarray, np.ndarray]) -> None:
    y, t = gx.tensor("y", ("n",)), gx.tensor("t", ("n",))
    loss = gx.mean((y - t) ** 2)
    root = gx.sqrt(loss)
    at = {y: digits[0][0], t: digits[0][1]}
    d = at[y] - at[t]
    found = both([loss, gx.grad(loss, y), root**2, gx.grad(gx.sum((t - y) ** 2), y)], at)
    close(found, [np.mean(d * d), 2 * d / 64, np.mean(d * d), 2 * d], rtol=1e-14)
    assert ops(optimised([y, t], [loss, gx.grad(loss, y)]))["sqrt"] == 0


def test_B21_no_root_that_is_squared_again() -> None:
    y, t = gx.tensor("y", ("n",)), gx.tensor("t", ("n",))
    assert ops(optimised([y, t], gx.sqrt(gx.mean((y - t) ** 2)) ** 2))["sqrt"] == 0


def entropy(p: Node) -> Node:
    return -gx.sum(gx.xlogy(p, p))


def crossed(p: Node, q: Node) -> Node:
    return -gx.sum(gx.xlogy(p, q))


def test_A22_B23_entropies() -> None:
    p, q = gx.tensor("p", (4,)), gx.tensor("q", (4,))
    bits = 1 / np.log(2)
    P, Q = np.array([0.5, 0.25, 0.125, 0.125]), np.full(4, 0.25)
    H, HPQ, HPP = both([entropy(p) * bits, crossed(p, q) * bits, crossed(p, p) * bits], {p: P, q: Q})
    close([H, HPQ, HPP], [np.asarray(1.75), np.asarray(2.0), np.asarray(1.75)], rtol=1e-15)
    kl = gx.sum(p * gx.log(p / q))
    close(both(kl * bits, {p: P, q: Q}), np.asarray(0.25), rtol=1e-14)
    close(both(kl, {p: P, q: P}), np.asarray(0.0), rtol=0)
    sure = both([entropy(p), crossed(p, q)], {p: np.array([0.0, 1, 0, 0]), q: Q})  # 0 log 0 is 0
    close(sure, [np.asarray(0.0), np.asarray(np.log(4.0))], rtol=1e-15)
    rng = np.random.default_rng(3)
    for _ in range(5):
        a, b = rng.dirichlet(np.ones(4), 2)
        assert float(crossed(p, q).eval({p: a, q: b})) >= float(entropy(p).eval({p: a}))


def test_A22_B23_the_models_entropy_has_no_gradient() -> None:
    """Cross-entropy and divergence differ by a constant of the data, so their gradients are one graph."""
    x, p = gx.tensor("x", ("n", 5)), gx.tensor("p", ("n", 5))
    log_q = gx.log(gx.softmax(x))
    ce = -gx.mean(gx.sum(p * log_q, axis=1))
    kl = gx.mean(gx.sum(p * gx.log(p) - p * log_q, axis=1))
    P, X = np.random.default_rng(4).dirichlet(np.ones(5), 6), np.random.default_rng(5).normal(size=(6, 5))
    a, b = both([gx.grad(ce, x), gx.grad(kl, x)], {x: X, p: P})
    close(a, b, rtol=1e-12, atol=1e-16)
    close(a, (scipy.special.softmax(X, axis=1) - P) / 6, rtol=1e-9, atol=1e-15)
    one, other = [gx.function([x, p], gx.grad(c, x)) for c in (ce, kl)]
    assert one.cost(n=8) == other.cost(n=8)
    assert ops_of(other)["log"] == 0


def test_A22_products_of_probabilities() -> None:
    logits, y = gx.tensor("l", ("n", 3)), gx.tensor("y", ("n",), "int64")
    p = gx.take_along_axis(gx.softmax(logits), y[:, None], axis=1)
    X, Y = np.random.default_rng(6).normal(size=(7, 3)), np.array([0, 2, 1, 1, 0, 2, 2])
    sums, products = both([-gx.sum(gx.log(p)), -gx.log(gx.prod(p))], {logits: X, y: Y})
    close([sums, products], [-scipy.special.log_softmax(X, axis=1)[np.arange(7), Y].sum()] * 2, rtol=1e-13)


# -- A23, B24: softmax -----------------------------------------------------------------------------
def test_A23_numbers() -> None:
    a = gx.tensor("a", (4,))
    p = gx.softmax(a)
    loss = -gx.log(p)[0]
    outputs = [p, gx.log(gx.sum(gx.exp(a))), loss, gx.grad(loss, a)]
    found = both(outputs, {a: np.array([5.0, 2, 0, -2])})
    close(found[0], np.array([0.9456829079093094, 0.04708277959040117, 0.006371961311433950, 0.000862351188855651]), rtol=1e-15)
    close([found[1], found[2]], [np.asarray(5.05584795860469), np.asarray(0.05584795860469)], rtol=1e-13)
    close(found[3], np.array([-0.05431709209069, 0.04708277959040, 0.00637196131143, 0.00086235118886]), rtol=1e-11)
    x = gx.tensor("x", ("n",))
    two = gx.softmax(gx.stack([x, gx.zeros_like(x)], axis=1))[:, 0]
    at = np.linspace(-30, 30, 13)
    close(both(two, {x: at}), scipy.special.expit(at), rtol=1e-14)


def test_B24_the_gradient_of_softmax_cross_entropy_collapses() -> None:
    """q - p: one exponential a logit, no logarithm, no division by a probability; and finite at logits of a thousand."""
    x, p = gx.tensor("x", ("n", 10)), gx.tensor("p", ("n", 10))
    loss = gx.sum(-gx.sum(p * gx.log(gx.softmax(x)), axis=1))
    targets = np.eye(10)[[3, 0, 9]]
    X = np.zeros((3, 10))
    X[0, 3], X[1, 5], X[2, 9], X[2, 1] = 1000, 1000, -1000, 2.5
    value, slope = run(gx.value_and_grad(loss, x), {x: X, p: targets})  # node by node it would be 0 * -inf
    close(value, -(targets * scipy.special.log_softmax(X, axis=1)).sum(), rtol=1e-14)
    close(slope, scipy.special.softmax(X, axis=1) - targets, rtol=1e-14, atol=1e-16)
    y = gx.tensor("y", ("n",), "int64")
    f = gx.function([x, y], gx.grad(cross_entropy(x, y) * gx.dim("n"), x))
    assert ops_of(f)["exp"] == 1 and ops_of(f)["log"] == 0
    assert f.cost(n=50)["transcendental"] == 500
    close(f(X, np.array([3, 0, 9])), slope, rtol=1e-14, atol=1e-16)


# -- A24 to A26 ------------------------------------------------------------------------------------
def gaussian(mean: Node | float, sigma: Node | float, y: Node) -> Node:
    """-log N(y; mean, sigma**2), with the half in front of the logarithm"""
    return 0.5 * ((y - mean) / sigma) ** 2 + 0.5 * gx.log(2 * np.pi * gx.square(sigma))


def test_A24_a_linear_output_is_a_gaussian_mean() -> None:
    m, s, y = gx.tensor("m", ("n",)), gx.scalar("s"), gx.tensor("y", ("n",))
    at = {m: np.array([0.5, -1.0, 2.0]), s: 0.7, y: np.array([1.0, 1.0, -1.0])}
    nll, squared = gx.sum(gaussian(m, s, y)), gx.sum((y - m) ** 2)
    a, b, value = both([gx.grad(nll, m), gx.grad(squared, m), nll], at)
    close(a, b / (2 * 0.49), rtol=1e-14)
    close(value, 0.5 * (b @ b) / 4 / 0.49 + 1.5 * np.log(2 * np.pi * 0.49), rtol=1e-14)
    best = scipy.optimize.minimize_scalar(
        lambda v: float(nll.eval({**at, s: v})), bounds=(0.1, 5), method="bounded", options={"xatol": 1e-9}
    )
    np.testing.assert_allclose(best.x**2, np.mean((at[m] - at[y]) ** 2), rtol=1e-6)  # the variance that fits best


def mixture(out: Node, y: Node, k: int) -> Node:
    """-log density of y under k Gaussians whose weights, means and widths are one output vector of 3 k numbers."""
    logits, means, widths = out[..., :k], out[..., k : 2 * k], gx.log(1 + gx.exp(out[..., 2 * k :]))
    joint = gx.log(gx.softmax(logits)) - gaussian(means, widths, y[..., None])
    return -gx.log(gx.sum(gx.exp(joint), axis=-1))


def test_A25_mixture_density() -> None:
    out, y = gx.tensor("parameters", ("n", 3)), gx.tensor("y", ("n",))
    rng = np.random.default_rng(7)
    at = {out: rng.normal(size=(5, 3)), y: rng.normal(size=5)}
    single = gaussian(out[:, 1], gx.softplus(out[:, 2]), y)
    one, plain, g1, g2 = both([mixture(out, y, 1), single, gx.grad(gx.sum(mixture(out, y, 1)), out), gx.grad(gx.sum(single), out)], at)
    close([one, g1], [plain, g2], rtol=1e-11, atol=1e-14)
    wide = gx.tensor("wide", (9,))
    places = np.linspace(-40, 40, 20001)
    density = np.exp(-run(mixture(gx.broadcast_to(wide, (y.shape[0], 9)), y, 3), {wide: rng.normal(size=9), y: places}))
    np.testing.assert_allclose(np.trapezoid(density, places), 1.0, rtol=1e-9)


def test_A25_far_from_every_component() -> None:
    """At 100 widths from all means the densities are 0 in f64; the loss is right, and minus its gradient are the components' shares."""
    out, y = gx.tensor("parameters", (6,)), gx.scalar("y")
    logs = gx.log(gx.softmax(out[:2])) - gaussian(out[2:4], gx.exp(out[4:]), y)
    loss = -gx.log(gx.sum(gx.exp(logs)))
    at = {out: np.array([0.3, -0.2, 1.0, -1.0, 0.0, 0.1]), y: 100.0}
    value, shares = run([loss, gx.grad(loss, logs)], at)
    pi = scipy.special.log_softmax([0.3, -0.2])
    s = np.exp([0.0, 0.1])
    joint = pi - 0.5 * ((100 - np.array([1.0, -1])) / s) ** 2 - np.log(s) - 0.5 * np.log(2 * np.pi)
    close(value, -scipy.special.logsumexp(joint), rtol=1e-14)
    close(-shares, scipy.special.softmax(joint), rtol=1e-9)


def test_A25_mixture_net_learns_an_inverse_problem() -> None:
    """x = y + 0.3 sin(2 pi y) has three y for some x: three components do better than one."""
    rng = np.random.default_rng(8)
    Y = rng.uniform(size=300)
    X = (Y + 0.3 * np.sin(2 * np.pi * Y) + rng.uniform(-0.05, 0.05, 300))[:, None]
    found = {}
    for k in (1, 3):  # components
        layers = weights([1, 12, 3 * k], seed=4)
        layers[1][1][:] = np.r_[np.zeros(k), (np.arange(k) + 0.5) / k, np.full(k, -2.0)]  # components start apart
        flat, unravel = gx.tree.ravel(gx.like(layers, "p"))
        theta, x, y = gx.tensor("theta", flat.shape), gx.tensor("x", ("n", 1)), gx.tensor("y", ("n",))
        cost = gx.mean(mixture(net(unravel(theta), x), y, k))
        f = gx.function([theta, x, y], gx.value_and_grad(cost, theta))
        start, _ = gx.tree.ravel(layers)
        found[k] = scipy.optimize.minimize(lambda v, f=f: f(v, X, Y), start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).fun
    assert found[3] < found[1] - 0.3


def test_A26_gradients_vanish_through_sigmoids(digits: tuple[np.ndarray, np.ndarray]) -> None:
    """Through a layer the norm falls at least by |W| / 4; a residual net of the same depth keeps it."""
    images = digits[0][:10]
    layers = weights([64] + [16] * 30)
    x, p = gx.tensor("x", ("n", 64)), gx.like(layers, "p")
    h, states = x, []
    for W, b in p:
        h = gx.sigmoid(h @ W + b)
        states.append(h)
    last, first = both(
        gx.grad(gx.sum(h), [states[-1], states[0]]), {x: images, **dict(zip(gx.tree.leaves(p), gx.tree.leaves(layers)))}, rtol=1e-9
    )
    bound = np.prod([np.linalg.norm(W, 2) / 4 for W, _ in layers[1:]])
    assert 0 < np.linalg.norm(first) <= bound * np.linalg.norm(last) < 1e-5
    r = gx.sigmoid(x @ p[0][0])
    start = r
    for W, b in p[1:]:
        r = r + 0.1 * gx.sigmoid(r @ W + b)
    kept = run(gx.grad(gx.sum(r), start), {x: images, **dict(zip(gx.tree.leaves(p), gx.tree.leaves(layers)))})
    assert np.linalg.norm(kept) > 0.5 * np.sqrt(160)


# -- B22, B25, B26 ---------------------------------------------------------------------------------
def huber(z: Node, delta: float) -> Node:
    return gx.where(gx.abs(z) <= delta, z**2, 2 * delta * (gx.abs(z) - delta / 2))


def test_B22_huber() -> None:
    z, v = gx.tensor("z", ("n",)), gx.tensor("v", (3,))
    value, slope = both([huber(z, 1.0), gx.grad(gx.sum(huber(z, 1.0)), z)], {z: np.array([0.0, 0.5, 1.0, 2.0, -3.0])})
    close([value, slope], [np.array([0, 0.25, 1, 3, 5]), np.array([0.0, 1, 2, 2, -2])], rtol=1e-15)
    size = gx.sqrt(gx.sum(v**2))  # of a vector: finite at the origin, at every order
    loss = huber(size, 1.0)
    for at, expected in [
        (np.zeros(3), np.zeros(3)),
        (np.array([0.3, 0, 0.4]), np.array([0.6, 0, 0.8])),
        (np.array([3.0, 0, 4]), np.array([1.2, 0, 1.6])),
    ]:
        close(both(gx.grad(loss, v), {v: at}), expected, rtol=1e-14)
    assert np.isfinite(both(gx.hvp(loss, v, np.ones(3)), {v: np.zeros(3)})).all()


def test_B25_sparse_first_layer() -> None:
    """Two inputs, three hidden sigmoids of which one sees both, two softmax outputs: one output by one weight, beside differences."""
    W, V, x = gx.tensor("W", (2, 3)), gx.tensor("V", (3, 2)), gx.tensor("x", (2,))
    mask = np.array([[1.0, 1, 0], [0, 1, 1]])
    out = gx.softmax(gx.sigmoid(x @ (W * mask)) @ V)[0]
    rng = np.random.default_rng(9)
    at = {W: rng.normal(size=(2, 3)), V: rng.normal(size=(3, 2)), x: np.array([0.4, -0.9])}
    f = lambda M: scipy.special.softmax(scipy.special.expit(at[x] @ (M * mask)) @ at[V])[0]
    g = both(gx.grad(out, W), at)
    np.testing.assert_allclose(g, difference(f, at[W]), rtol=1e-7, atol=1e-12)
    assert g[0, 2] == g[1, 0] == 0


def test_B26_gradient_by_the_input() -> None:
    x, W1, W2, y = gx.tensor("x", (3,)), gx.tensor("W1", (4, 3)), gx.tensor("W2", (2, 4)), gx.tensor("y", (2,))
    mask = np.array([[1.0, 0, 1], [1, 1, 0], [0, 1, 1], [1, 1, 1]])
    z = gx.tanh((W1 * mask) @ x)
    loss = gx.sum((W2 @ z - y) ** 2)
    rng = np.random.default_rng(10)
    at = {n: rng.normal(size=n.shape) for n in (x, W1, W2, y)}
    g, J, of_W1 = both([gx.grad(loss, x), gx.jacobian(z, x), gx.grad(loss, W1)], at)
    M = at[W1] * mask
    h = np.tanh(M @ at[x])
    close(J, (1 - h * h)[:, None] * M, rtol=1e-13, atol=1e-16)
    close(g, M.T @ ((1 - h * h) * (at[W2].T @ (2 * (at[W2] @ h - at[y])))), rtol=1e-12)
    assert (of_W1[mask == 0] == 0).all()
    assert nodes(loss, gx.grad(loss, x)) < 40
