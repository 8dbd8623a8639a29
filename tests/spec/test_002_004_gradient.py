"""spec/002-004.md: the fixtures F1, F2, F4, F5, and R1 to R9, what a gradient is."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special

import graphc as gx
from graphc.ir import Node
from tests.spec.kit import (
    Layers,
    both,
    bytes_of,
    close,
    cross_entropy,
    difference,
    net,
    ops,
    optimised,
    run,
    weights,
)  # fmt: skip

# -- F1: u3 = exp(u1 + u2) with u2 = u1**2 ---------------------------------------------------------
U1 = 0.5
F1_ORDERS = [2.1170000166126747, 4.2340000332253493, 12.702000099676048, 42.340000332253493, 160.89200126256327, 660.50400518315450]


def test_F1_orders_0_to_5() -> None:
    u1 = gx.scalar("u1")
    derivatives = [gx.exp(u1 + u1 * u1)]
    for _ in range(5):
        derivatives.append(gx.grad(derivatives[-1], u1))
    close(both(derivatives, {u1: U1}), [np.asarray(v) for v in F1_ORDERS], rtol=1e-14)


def test_F1_direct_derivative() -> None:
    u1 = gx.scalar("u1")
    u2 = u1 * u1
    u3 = gx.exp(u1 + u2)
    direct = gx.grad(u3, u1, consider_constant=[u2])
    of_u2 = gx.grad(u3, u2)
    close(run([direct, of_u2], {u1: U1}), [np.asarray(2.1170000166126747)] * 2, rtol=1e-15)


# -- F2: the regression example with two hidden units ----------------------------------------------
F2 = {"W": [[1.0, -1.0], [0.5, 2.0]], "V": [1.0, -2.0], "b": 0.3, "c": [0.0, 0.1]}
F2_X, F2_Y, F2_DECAY = np.array([1.0, 2.0]), 1.0, 0.01
F2_COST = 5.9261683129666767
F2_GRADIENT = {
    "W": np.array([[-0.92812368191831557, -1.9162473638366311], [0.10502615898075247, 0.23005231796150494]]),
    "V": np.array([-1.2769188921838358, -4.8143192766312573]),
    "b": np.array(-4.8223099497923925),
    "c": np.array([-0.94812368191831557, 0.095026158980752472]),
}
F2_PRODUCT = {  # H times a vector of ones
    "W": np.array([[-1.5141566476173156, -3.0483132952346312], [-0.51696969703473686, -1.0539393940694737]]),
    "V": np.array([-2.1768032866904723, 5.7041318366168810]),
    "b": np.array(5.9332304888339372),
    "c": np.array([-1.5341566476173156, -0.53696969703473686]),
}


def f2() -> tuple[dict[str, Node], Node, Node]:
    """(parameters, x, cost)"""
    p = {k: gx.tensor(k, np.shape(v)) for k, v in F2.items()}
    x = gx.tensor("x", (2,))
    f = p["b"] + p["V"] @ gx.sigmoid(p["c"] + p["W"] @ x)
    return p, x, F2_DECAY * (gx.sum(p["W"] ** 2) + gx.sum(p["V"] ** 2)) + (f - F2_Y) ** 2


def f2_values(p: dict[str, Node], x: Node) -> dict[Node, np.ndarray]:
    return {**{p[k]: np.array(v) for k, v in F2.items()}, x: F2_X}


def test_F2_cost_and_gradient() -> None:
    p, x, cost = f2()
    value, gradient = both(gx.value_and_grad(cost, p), f2_values(p, x))
    close(value, np.asarray(F2_COST), rtol=1e-14)
    close(gradient, F2_GRADIENT, rtol=1e-13)


def test_F2_hessian_times_ones() -> None:
    p, x, cost = f2()
    ones = {k: np.ones(np.shape(v)) for k, v in F2.items()}
    close(both(gx.hvp(cost, p, ones), f2_values(p, x)), F2_PRODUCT, rtol=1e-12)


def test_F2_eigenvalues() -> None:
    p, x, cost = f2()
    order = {k: p[k] for k in ("W", "V", "b", "c")}
    H = both(gx.hessian(cost, order, flat=True), f2_values(p, x))
    assert H.shape == (9, 9)
    eigenvalues = np.linalg.eigvalsh(H)
    np.testing.assert_allclose(eigenvalues[[0, -1]], [-3.67245386, 4.29625478], atol=1e-8)


# -- F4: the ladder u <- sin(u) cos(u), 2**k paths after k rungs -----------------------------------
@pytest.mark.parametrize(
    ("rungs", "value", "slope"), [(50, 0.116956973922223, 0.00988565350570325), (1000, 0.0272964857550925, 0.000124363811358476)]
)
def test_F4_ladder(rungs: int, value: float, slope: float) -> None:
    start = gx.scalar("u")
    u = start
    for _ in range(rungs):
        u = gx.sin(u) * gx.cos(u)
    close(run([u, gx.grad(u, start)], {start: 0.5}), [np.asarray(value), np.asarray(slope)], rtol=2e-14)


# -- F5: softmax, its two losses -------------------------------------------------------------------
def f5(a: Node, label: int) -> tuple[Node, Node, Node]:
    """(p, negative log likelihood, squared error)"""
    p = gx.softmax(a)
    target = gx.one_hot(label, a.shape[0], dtype="float64")
    return p, -gx.log(p[label]), gx.sum((p - target) ** 2)


def test_F5_softmax_and_losses() -> None:
    a = gx.tensor("a", (4,))
    p, nll, squared = f5(a, 1)
    got = both([p, nll, gx.grad(nll, a), gx.grad(squared, a)], {a: np.array([1.0, 2, 3, 4])})
    close(got[0], np.array([0.03205860328008499, 0.08714431874203257, 0.2368828180899101, 0.6439142598879724]), rtol=1e-14)
    close(got[1], np.asarray(2.4401896985611953), rtol=1e-14)
    close(got[2], np.array([0.03205860328, -0.91285568126, 0.23688281809, 0.64391425989]), rtol=1e-10)
    close(got[3], np.array([-0.02309232539, -0.22745927167, -0.07359181331, 0.32414341036]), rtol=1e-9)


def test_F5_saturated() -> None:
    a = gx.tensor("a", (3,))
    _, nll, squared = f5(a, 1)
    wrong = both([gx.grad(nll, a)[1], gx.grad(squared, a)[1]], {a: np.array([20.0, 0, 0])}, rtol=1e-10)
    np.testing.assert_allclose(wrong[0], -0.9999999979, atol=1e-10)
    np.testing.assert_allclose(wrong[1], -8.24e-9, rtol=1e-3)


# -- R1 to R9 --------------------------------------------------------------------------------------
def test_R1_shape_and_dtype_of_what_one_differentiates_by() -> None:
    W, x = gx.tensor("W", (3, 2), "float32"), gx.tensor("x", (2,), "float32")
    hidden = gx.tanh(W @ x)
    cost = gx.sum(hidden * hidden)
    found = gx.grad(cost, [W, x, hidden])  # a parameter, an input, an interior node
    for g, node in zip(found, [W, x, hidden]):
        assert (g.shape, g.dtype) == (node.shape, node.dtype)
    values = run(found, {W: np.ones((3, 2), "float32"), x: np.array([0.5, -0.25], "float32")})
    h = np.tanh(0.25)
    close(values[2], np.full(3, 2 * h, "float32"), rtol=1e-6)
    close(values[1], np.full(2, 3 * 2 * h * (1 - h * h), "float32"), rtol=1e-6)
    with pytest.raises(gx.ShapeError, match=r"\(3\)"):
        gx.grad(hidden, W)


def test_R1_saliency_of_a_real_digit(digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = digits
    layers = weights([64, 16, 10])
    x, y = gx.tensor("x", (64,)), gx.tensor("y", (), "int64")

    def loss(v: np.ndarray) -> float:
        logits = net(layers, v, np.tanh)
        return float(scipy.special.logsumexp(logits) - logits[labels[7]])

    cost = cross_entropy(net(layers, x)[None, :], y[None])
    saliency = both(gx.grad(cost, x), {x: images[7], y: labels[7]})
    np.testing.assert_allclose(saliency, difference(loss, images[7]), rtol=1e-6, atol=1e-9)


def test_R2_no_meaningless_gradients() -> None:
    x, label, flag = gx.tensor("x", (4,)), gx.tensor("label", (), "int64"), gx.tensor("flag", (4,), "bool")
    cost = gx.take(gx.where(flag, x, -x), label)
    for leaf in (label, flag):
        with pytest.raises(gx.NotDifferentiableError, match=str(leaf.dtype)):
            gx.grad(cost, leaf)
    with pytest.raises(gx.NotDifferentiableError):
        gx.grad(gx.sum(label), x)  # a cost that is an integer
    assert gx.grad(cost, x).shape == (4,)


@pytest.mark.parametrize("depth", [2, 8, 64])
@pytest.mark.parametrize("width", [32, 256, 2048])
def test_R3_cost_of_products(depth: int, width: int) -> None:
    """Multiplications of value and gradient over those of the value: at most 3, at every depth and width."""
    x = gx.tensor("x", ("n", width))
    layers = [(gx.tensor(f"W{k}", (width, width)), gx.tensor(f"b{k}", (width,))) for k in range(depth)]
    cost = gx.mean(net(layers, x) ** 2)
    inputs = [x, *[p for layer in layers for p in layer]]
    forward = ops(optimised(inputs, cost))["contract"]
    whole = ops(optimised(inputs, gx.value_and_grad(cost, layers)))["contract"]  # all products here have one size
    assert forward == depth
    assert whole == 3 * depth - 1


def test_R3_cost_of_elementwise() -> None:
    """Counted operations of value and gradient over those of the value stay below 6, whatever the length of the chain or the array."""
    ratios = []
    for length in (2, 16, 64):
        x = gx.tensor("x", ("n",))
        u = x
        for k in range(length):
            u = gx.tanh(u * 1.5 + 0.1) if k % 2 else gx.exp(-u * u)
        cost = gx.sum(u)
        f, g = gx.function([x], cost), gx.function([x], [cost, gx.grad(cost, x)])
        ratios += [g.cost(n=n)["operations"] / f.cost(n=n)["operations"] for n in (100, 100_000)]
    assert max(ratios) <= 6, ratios
    assert max(ratios) < 2 * min(ratios), ratios


def test_R4_products_with_the_jacobian() -> None:
    x, u, v = gx.tensor("x", (3,)), gx.tensor("u", (5,)), gx.tensor("v", (3,))
    rng = np.random.default_rng(0)
    A, at = rng.normal(size=(5, 3)), {x: rng.normal(size=3), u: rng.normal(size=5), v: rng.normal(size=3)}
    y = gx.tanh(gx.asarray(A) @ x) * gx.sum(gx.exp(x))
    J, Jv, uJ = both([gx.jacobian(y, x), gx.jvp(y, x, v), gx.vjp(y, x, u)], at)
    assert J.shape == (5, 3)
    np.testing.assert_allclose(at[u] @ Jv, uJ @ at[v], rtol=1e-12)
    close(Jv, J @ at[v])
    close(J, difference(lambda z: np.tanh(A @ z) * np.exp(z).sum(), at[x]), rtol=1e-8)


@pytest.mark.parametrize("n", [1, 2, 50])
def test_R5_paths_are_summed(n: int) -> None:
    """z = sum_i sin(i x) y_i with y_i = x**2 + i: dz/dx is the sum over i of two paths each."""
    x = gx.tensor("x", ("m",))
    at = np.linspace(-1, 1, 7)
    terms = [gx.sin(i * x) * (x * x + i) for i in range(1, n + 1)]
    z = terms[0]
    for t in terms[1:]:
        z = z + t
    f = gx.function([x], gx.grad(gx.sum(z), x))
    expected = sum(i * np.cos(i * at) * (at * at + i) + np.sin(i * at) * 2 * at for i in range(1, n + 1))
    np.testing.assert_allclose(f(at), expected, rtol=1e-12, atol=1e-12 * n * n)
    if n <= 2:
        assert f.cost(m=7)["kernels"] == 1


def test_R5_many_contributions_are_one_loop() -> None:
    x = gx.tensor("x", ("m",))
    z = x * 1.0
    for i in range(1, 51):
        z = z + (x * x) * i
    f = gx.function([x], gx.grad(gx.sum(z), x))
    assert f.cost(m=8)["kernels"] == 1
    np.testing.assert_allclose(f(np.arange(3.0)), 1 + 2 * 1275 * np.arange(3.0))


def test_R6_minibatch() -> None:
    layers = weights([5, 4, 3])
    p = gx.like(layers, "p")
    x, t = gx.tensor("x", ("m", 5)), gx.tensor("t", ("m", 3))
    cost = gx.mean(gx.sum((net(p, x) - t) ** 2, axis=1))
    f = gx.function([x, t, p], gx.grad(cost, p))
    code = f.llvm
    rng = np.random.default_rng(1)
    for m in (1, 7, 128):
        X, T = rng.normal(size=(m, 5)), rng.normal(size=(m, 3))
        whole = f(X, T, layers)
        each = [f(X[k : k + 1], T[k : k + 1], layers) for k in range(m)]
        mean = gx.tree.map(lambda *g: np.mean(g, axis=0), *each)
        close(whole, mean, rtol=1e-11, atol=1e-14)
        assert whole[0][1].shape == (4,)  # of a bias: summed over the batch
    assert f.llvm is code or f.llvm == code


# R7: back-propagation by hand for a(k) = W h(k-1) + b, h(k) = f(a(k)), cost = |h(l) - t|^2 / 2 + decay |W|^2
ACTIVATIONS = {
    "tanh": (gx.tanh, np.tanh, lambda a: 1 - np.tanh(a) ** 2),
    "sigmoid": (gx.sigmoid, scipy.special.expit, lambda a: scipy.special.expit(a) * scipy.special.expit(-a)),
    "relu": (gx.relu, lambda a: np.maximum(a, 0), lambda a: (a > 0) * 1.0),
    "leaky": (
        lambda a: gx.maximum(a, 0) + 0.01 * gx.minimum(a, 0),
        lambda a: np.where(a > 0, a, 0.01 * a),
        lambda a: np.where(a > 0, 1, 0.01),
    ),
    "softplus": (lambda a: gx.log(1 + gx.exp(a)), lambda a: np.logaddexp(0, a), scipy.special.expit),
    "hard tanh": (lambda a: gx.maximum(-1, gx.minimum(1, a)), lambda a: np.clip(a, -1, 1), lambda a: (np.abs(a) < 1) * 1.0),
    "abs": (gx.abs, np.abs, np.sign),
    "abs of tanh": (lambda a: gx.abs(gx.tanh(a)), lambda a: abs(np.tanh(a)), lambda a: np.sign(a) * (1 - np.tanh(a) ** 2)),
}


def by_hand(layers: Layers, x: np.ndarray, t: np.ndarray, decay: float, name: str) -> Layers:
    """Forward, then g <- g * f'(a), dW = h' g + decay, db = sum g, g <- g W', from the last layer to the first."""
    _, f, slope = ACTIVATIONS[name]
    h, a = [x], []
    for W, b in layers:
        a.append(h[-1] @ W + b)
        h.append(f(a[-1]))
    g = (h[-1] - t) / len(x)
    gradients = []
    for k in reversed(range(len(layers))):
        g = g * slope(a[k])
        gradients.append((h[k].T @ g + 2 * decay * layers[k][0], g.sum(axis=0)))
        g = g @ layers[k][0].T
    return gradients[::-1]


@pytest.mark.parametrize(("depth", "name"), list(enumerate(ACTIVATIONS, start=1)))
def test_R7_equals_back_propagation_by_hand(depth: int, name: str) -> None:
    rng = np.random.default_rng(depth)
    layers = weights([6] * (depth + 1), seed=depth)
    X, T = rng.normal(size=(9, 6)), rng.normal(size=(9, 6))
    x, t, p = gx.tensor("x", ("n", 6)), gx.tensor("t", ("n", 6)), gx.like(layers, "p")
    for activation in ACTIVATIONS if depth == 8 else [name]:
        f = ACTIVATIONS[activation][0]
        h = x
        for W, b in p:
            h = f(h @ W + b)
        cost = gx.mean(gx.sum((h - t) ** 2, axis=1)) / 2 + 0.01 * sum([gx.sum(W * W) for W, _ in p], start=gx.asarray(0.0))
        gradient = gx.grad(cost, p)
        F = gx.function([x, t, p], gradient, mode=None if activation == name else "interpret")
        close(F(X, T, layers), by_hand(layers, X, T, 0.01, activation), rtol=1e-12, atol=1e-14)
    products = ops(optimised([x, t, *gx.tree.leaves(p)], [cost, gradient]))["contract"]
    assert products == 3 * depth - 1


def test_R8_update_in_the_call_equals_update_outside() -> None:
    """The rate is a power of two, so that rate * gradient is exact and one rounding or two make no difference."""
    layers = weights([8, 8, 4])
    rng = np.random.default_rng(2)
    X, T = rng.normal(size=(16, 8)), rng.normal(size=(16, 4))
    x, t, p = gx.tensor("x", ("n", 8)), gx.tensor("t", ("n", 4)), gx.shared(layers, "p")
    cost = gx.mean((net(p, x) - t) ** 2)
    g = gx.grad(cost, p)
    gradients = gx.function([x, t], [cost, g])
    step = gx.function([x, t], cost, updates=(p, gx.tree.map(lambda w, d: w - 0.25 * d, p, g)))
    for _ in range(3):
        before = gx.get_values(p)
        loss, outside = gradients(X, T)
        assert step(X, T) == loss
        for now, w, d in zip(gx.tree.leaves(gx.get_values(p)), gx.tree.leaves(before), gx.tree.leaves(outside)):
            assert (now == w - 0.25 * d).all()


def test_R8_gradient_buffers_die_at_their_update() -> None:
    """Twelve weight matrices of 128 x 128 and a batch of 2: all gradients at once would be 12 matrices; the arena holds less than two."""
    layers = weights([128] * 13)
    x, p = gx.tensor("x", ("n", 128)), gx.shared(layers, "p")
    cost = gx.mean(net(p, x) ** 2)
    step = gx.function([x], cost, updates=(p, gx.tree.map(lambda w, d: w - 0.1 * d, p, gx.grad(cost, p))))
    assert step.memory(n=2)["arena"] < 2 * 128 * 128 * 8
    assert bytes_of(layers) > 12 * 128 * 128 * 8


def test_R9_only_the_forward_lines_change() -> None:
    """A skip connection, tied weights, a shared trunk with two heads: the same `grad` and the same check serve."""
    x, W, V = gx.tensor("x", (5, 4)), gx.tensor("W", (4, 4)), gx.tensor("V", (4, 4))
    at = {n: np.random.default_rng(3).normal(size=n.shape) for n in (x, W, V)}
    h = gx.tanh(x @ W)
    nets = {
        "skip": gx.tanh(gx.concatenate([h, x], axis=1) @ gx.concatenate([V, W], axis=0)),
        "tied": gx.tanh(h @ W) @ W.T,
        "trunk": gx.stack([gx.sin(h @ V), gx.tanh(h @ V.T)]),
    }
    for out in nets.values():
        cost = gx.mean(out**2)
        wrt = [n for n in (W, V) if n in set(gx.ir.toposort([cost]))]
        assert gx.check_grad(cost, wrt, at) < 1e-6
