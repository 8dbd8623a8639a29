"""spec/000-001.md: A1 to A13 and B1 to B8, how the compiler works: graphs, their gradients, shapes, batches."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import numpy as np
import pytest
import scipy.special

import graphc as gx
from graphc.ir import Node, toposort
from tests.spec.kit import both, close, cross_entropy, exponentials, net, nodes, ops, ops_of, optimised, run, weights

# -- A1 to A5: the net of two inputs, two hidden units and one output, every unit with a weight 0 from a dummy input 1
WIRES = ("03", "13", "23", "04", "14", "24", "05", "35", "45")


def by_units() -> tuple[dict[str, Node], Node, Node, Node, dict[str, Node]]:
    """(weights, x1, x2, output, values of the units), all scalars; `in` before and `a` after the sigmoid."""
    w = {k: gx.scalar(f"w{k}") for k in WIRES}
    x1, x2 = gx.scalar("x1"), gx.scalar("x2")
    unit = {}
    for j in ("3", "4"):
        unit["in" + j] = w["0" + j] + w["1" + j] * x1 + w["2" + j] * x2
        unit["a" + j] = gx.sigmoid(unit["in" + j])
    unit["in5"] = w["05"] + w["35"] * unit["a3"] + w["45"] * unit["a4"]
    return w, x1, x2, gx.sigmoid(unit["in5"]), unit


def unit_values(w: dict[str, Node], x1: Node, x2: Node) -> dict[Node, float]:
    rng = np.random.default_rng(0)
    return {**{v: float(rng.normal()) for v in w.values()}, x1: 0.8, x2: -1.3}


def test_A1_units_and_matrices_are_one_function() -> None:
    w, x1, x2, out, _ = by_units()
    at, y = unit_values(w, x1, x2), 0.25
    loss, gradient = both(gx.value_and_grad((y - out) ** 2, w), at)
    W1, W2, x = gx.tensor("W1", (2, 3)), gx.tensor("W2", (3,)), gx.tensor("x", (2,))
    h = gx.concatenate([gx.ones((1,)), gx.sigmoid(W1 @ gx.concatenate([gx.ones((1,)), x]))])
    cost = (y - gx.sigmoid(W2 @ h)) ** 2
    V = {k: at[v] for k, v in w.items()}
    matrices = {
        W1: np.array([[V["03"], V["13"], V["23"]], [V["04"], V["14"], V["24"]]]),
        W2: np.array([V["05"], V["35"], V["45"]]),
        x: np.array([0.8, -1.3]),
    }
    value, (g1, g2) = both(gx.value_and_grad(cost, [W1, W2]), matrices)
    close(value, loss)
    close([np.ravel(g1), g2], [np.array([gradient[k] for k in WIRES[:6]]), np.array([gradient[k] for k in WIRES[6:]])])


def test_A2_gradients_by_the_chain_rule() -> None:
    """Two of the nine by the chain rule in words, as graphs beside `grad`."""
    w, x1, x2, out, unit = by_units()
    y = gx.scalar("y")
    slope = lambda v: gx.sigmoid(v) * (1 - gx.sigmoid(v))
    common = -2 * (y - out) * slope(unit["in5"])
    expected = [common * unit["a3"], common * w["35"] * slope(unit["in3"]) * x1]
    found = gx.grad((y - out) ** 2, [w["35"], w["13"]])
    values = both([found, expected], {**unit_values(w, x1, x2), y: 0.9})
    close(values[0], values[1], rtol=5e-16)
    assert len(gx.tree.leaves(gx.grad((y - out) ** 2, w))) == 9


def test_A2_exclusive_or_is_learned() -> None:
    X, Y = np.array(list(itertools.product([0.0, 1.0], repeat=2))), np.array([0.0, 1, 1, 0])
    p = gx.shared(weights([2, 4, 1], seed=3), "p")
    x, y = gx.tensor("x", (4, 2)), gx.tensor("y", (4,))
    out = gx.sigmoid(net(p, x)[:, 0])
    cost = gx.mean((y - out) ** 2)
    step = gx.function([x, y], [cost, out], updates=(p, gx.tree.map(lambda w, g: w - 4.0 * g, p, gx.grad(cost, p))))
    losses = [float(step(X, Y)[0]) for _ in range(1500)]
    assert losses[0] > 0.2 and losses[-1] < 1e-3
    np.testing.assert_array_equal(step(X, Y)[1] > 0.5, Y > 0.5)


def test_A3_messages_of_a_diamond() -> None:
    f, g = gx.scalar("f"), gx.scalar("g")
    h = f * g
    cost = gx.sin(h) * gx.exp(h)
    hj, hk = gx.scalar("hj"), gx.scalar("hk")  # h as its two users see it
    apart = gx.sin(hj) * gx.exp(hk)
    at = {f: 0.7, g: -1.2}
    dh, df, dg = run(gx.grad(cost, [h, f, g]), at)
    dj, dk = run(gx.grad(apart, [hj, hk]), {hj: -0.84, hk: -0.84})
    close([dh, df, dg], [dj + dk, dh * -1.2, dh * 0.7], rtol=1e-15)


def test_A4_a_shared_weight_sums_over_its_places() -> None:
    W, x = gx.tensor("W", (3, 3)), gx.tensor("x", (5, 3))
    copies = [gx.tensor(f"W{t}", (3, 3)) for t in range(5)]

    def recurrent(matrices: list[Node]) -> Node:
        s = gx.zeros((3,))
        for t, M in enumerate(matrices):
            s = gx.tanh(M @ s + x[t])
        return gx.sum(s * s)

    rng = np.random.default_rng(1)
    V, X = rng.normal(size=(3, 3)), rng.normal(size=(5, 3))
    shared = run(gx.grad(recurrent([W] * 5), W), {W: V, x: X})
    apart = run(gx.grad(recurrent(copies), copies), {**dict.fromkeys(copies, V), x: X})
    close(shared, sum(apart), rtol=1e-13)
    assert np.abs(apart[0]).max() == 0 and np.abs(apart[1]).max() > 0  # the first meets a state of zeros


def test_A5_gradients_are_graphs() -> None:
    w, x1, x2, out, _ = by_units()
    leaves = list(w.values())
    gradient = gx.grad((0.25 - out) ** 2, leaves)
    v = np.linspace(-1, 1, 9)
    product = gx.grad(sum((float(a) * g for a, g in zip(v, gradient)), start=gx.asarray(0.0)), leaves)
    at = unit_values(w, x1, x2)
    found = np.array(both(product, at))
    f = gx.function(list(at), gradient)
    e = 1e-5
    ends = [np.array(f(*[a + s * e * d for a, d in zip(list(at.values())[:9], v)], at[x1], at[x2])) for s in (1, -1)]
    np.testing.assert_allclose(found, (ends[0] - ends[1]) / (2 * e), rtol=1e-7, atol=1e-10)


# -- A6 to A8: cost, memory, shapes ----------------------------------------------------------------
@pytest.mark.parametrize("size", [100, 1000, 10_000])
def test_A6_backward_is_as_long_as_forward(size: int) -> None:
    x = gx.scalar("x")
    chain, square = x, x
    for _ in range(size):
        chain, square = gx.tanh(chain), square * square
    for u in (chain, square):  # the second has 2**size paths
        assert nodes(gx.grad(u, x)) <= 5 * nodes(u)


def test_A7_memory_is_planned(measured: Callable[..., None]) -> None:
    """Inference through 100 layers keeps two activations; training, where all are needed, one per layer, or two, see R21."""
    measured(crossing=1.0)  # products read in place: what they copy elsewhere is no activation
    layers = weights([32] * 101)
    x, p = gx.tensor("x", ("n", 32)), gx.shared(layers, "p")
    out = net(p, x)
    activation = 1000 * 32 * 8
    forward = gx.function([x], out)
    assert forward.memory(n=1000)["arena"] <= 2 * activation
    unplanned = re.findall(r"^%\d+: f64\[n, 32\] arena", forward.program, re.MULTILINE)
    assert len(unplanned) == 99  # one each without a plan
    for f, kept in ((gx.relu, 1), (gx.tanh, 2)):
        cost = gx.mean(net(p, x, f) ** 2)
        step = gx.function([x], cost, updates=(p, gx.tree.map(lambda w, g: w - 0.1 * g, p, gx.grad(cost, p))))
        assert 99 * kept * activation <= step.memory(n=1000)["arena"] <= 1.1 * 101 * kept * activation


def test_A8_shapes_are_known_while_building() -> None:
    """A layer of 96 kernels of 5 x 5 x 3 at stride 2 over 64 images of 256 x 256, as a product with patches: sizes, bytes, operations."""
    images = gx.tensor("images", (256, 256, 3, 64), "float32")
    patches = gx.tensor("patches", (128, 128, 64, 75), "float32")
    kernels = gx.tensor("kernels", (75, 96), "float32")
    maps = gx.transpose(patches @ kernels, (0, 1, 3, 2))
    assert maps.shape == (128, 128, 96, 64)
    mebibytes = lambda node: node.size * node.dtype.itemsize / 2**20
    assert (mebibytes(images), mebibytes(maps), mebibytes(patches)) == (48, 384, 300)
    f = gx.function([patches, kernels], patches @ kernels)
    assert f.cost()["operations"] == 2 * 7_549_747_200
    with pytest.raises(gx.ShapeError, match="75"):
        kernels @ patches
    with pytest.raises(gx.ShapeError):
        images + patches


# -- A9 to A13 -------------------------------------------------------------------------------------
def test_A9_one_compilation_for_every_batch(digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = digits
    layers = weights([64, 12, 10])
    x, y, p = gx.tensor("x", ("m", 64)), gx.tensor("y", ("m",), "int64"), gx.like(layers, "p")
    total = cross_entropy(net(p, x), y) * gx.dim("m")
    f = gx.function([x, y, p], gx.value_and_grad(total, p))
    for m in (1, 16, 64, 1797):
        value, gradient = f(images[:m], labels[:m], layers)
        h = np.tanh(images[:m] @ layers[0][0] + layers[0][1])
        logits = h @ layers[1][0] + layers[1][1]
        error = scipy.special.softmax(logits, axis=1) - np.eye(10)[labels[:m]]
        close(value, -scipy.special.log_softmax(logits, axis=1)[np.arange(m), labels[:m]].sum(), rtol=1e-11)
        close(gradient[1], (h.T @ error, error.sum(axis=0)), rtol=1e-9, atol=1e-10)
    each = [f(images[k : k + 1], labels[k : k + 1], layers)[1] for k in range(16)]
    close(f(images[:16], labels[:16], layers)[1], gx.tree.map(lambda *g: sum(g), *each), rtol=1e-11, atol=1e-13)


def test_A10_parts_built_apart_join(digits: tuple[np.ndarray, np.ndarray]) -> None:
    images = digits[0][:9]
    x, code = gx.tensor("x", ("n", 64)), gx.tensor("code", ("k", 5))
    (W, b), (V, c) = weights([64, 5, 10])
    encoder = gx.function([x], gx.tanh(x @ gx.asarray(W) + b))
    classifier = gx.function([code], [gx.softmax(code @ gx.asarray(V) + c), gx.sum(code, axis=1)])
    joined = gx.function([x], classifier(encoder(x)))
    replaced = gx.function([x], gx.substitute(gx.softmax(code @ gx.asarray(V) + c), {code: gx.tanh(x @ gx.asarray(W) + b)}))
    by_hand = classifier(encoder(images))
    close(joined(images), by_hand, rtol=1e-13)
    close(replaced(images), by_hand[0], rtol=1e-13)


def test_A11_many_structures_in_a_row(digits: tuple[np.ndarray, np.ndarray]) -> None:
    """A search over structures: every one trains; one built a second time gives the same code, which a cache can key on."""
    images, labels = digits[0][:128], digits[1][:128]

    def build(hidden: tuple[int, ...], f: object) -> gx.Function:
        p = gx.shared(weights([64, *hidden, 10]), "p")
        x, y = gx.tensor("x", ("n", 64)), gx.tensor("y", ("n",), "int64")
        cost = cross_entropy(net(p, x, f), y)  # type: ignore[arg-type]
        return gx.function([x, y], cost, updates=(p, gx.tree.map(lambda w, g: w - 0.5 * g, p, gx.grad(cost, p))))

    for hidden, f in [((8,), gx.tanh), ((16, 8), gx.relu), ((8, 8, 8), gx.sigmoid), ((4,), gx.softplus)]:
        step = build(hidden, f)
        losses = [float(step(images, labels)) for _ in range(40)]
        assert losses[-1] < losses[0]
    assert build((8,), gx.tanh).llvm == build((8,), gx.tanh).llvm


def test_A12_code_is_vectorised_and_fused() -> None:
    a, b, x = (gx.tensor(k, ("n",), "float32") for k in "abx")
    y = gx.tanh(a * x + b) * gx.exp(-x * x) + gx.log1p(x * x)
    f = gx.function([a, b, x], y)
    cost = f.cost(n=1000)
    assert cost["kernels"] == 1 and cost["bytes"] == 4 * 1000 * 4  # three arrays in, one out; f.memory has nothing between
    assert f.memory(n=1000)["arena"] == 0
    assert re.search(r"<\d+ x float>", f.llvm)
    assert re.search(r"\bv?(mul|add|fmadd\d*|sub)ps\b", f.asm)
    A, B, X = np.random.default_rng(2).normal(size=(3, 1003)).astype("float32")
    wide = [v.astype(float) for v in (A, B, X)]
    exact = np.tanh(wide[0] * wide[2] + wide[1]) * np.exp(-(wide[2] ** 2)) + np.log1p(wide[2] ** 2)
    np.testing.assert_allclose(f(A, B, X), exact, rtol=2e-6, atol=2e-7)


def test_A13_a_bias_is_the_weight_of_a_dummy_input(digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = digits[0][:200], digits[1][:200] / 9.0
    x, y, w, b, v = gx.tensor("x", ("n", 64)), gx.tensor("y", ("n",)), gx.tensor("w", (64,)), gx.scalar("b"), gx.tensor("v", (65,))
    apart = gx.mean((gx.sigmoid(x @ w + b) - y) ** 2)
    dummy = gx.concatenate([gx.ones((x.shape[0], 1)), x], axis=1)
    joined = gx.mean((gx.sigmoid(dummy @ v) - y) ** 2)
    rng = np.random.default_rng(3)
    W, B = rng.normal(size=64) / 8, 0.3
    first = both(gx.value_and_grad(apart, [b, w]), {x: images, y: labels, w: W, b: B})
    second = both(gx.value_and_grad(joined, v), {x: images, y: labels, v: np.r_[B, W]})
    close(first[0], second[0], rtol=1e-13)
    close(np.r_[first[1][0], first[1][1]], second[1], rtol=1e-11, atol=1e-14)


# -- B1 to B8 --------------------------------------------------------------------------------------
def dense() -> tuple[Node, Node, Node, Node, dict[str, Node]]:
    """(x, W, b, loss, interior values) of u = W x, v = u + b, y = sigmoid(v), mean squared error against a constant"""
    x, W, b = gx.tensor("x", (4,)), gx.tensor("W", (3, 4)), gx.tensor("b", (3,))
    u = W @ x
    v = u + b
    y = gx.sigmoid(v)
    return x, W, b, gx.mean((y - np.array([0.0, 1.0, 0.5])) ** 2), {"u": u, "v": v, "y": y}


def dense_values(x: Node, W: Node, b: Node) -> dict[Node, np.ndarray]:
    rng = np.random.default_rng(4)
    return {n: rng.normal(size=n.shape) for n in (x, W, b)}


def test_B1_operands_have_an_order() -> None:
    x, W, b, loss, _ = dense()
    at = dense_values(x, W, b)
    y = scipy.special.expit(at[W] @ at[x] + at[b])
    close(both(loss, at), np.mean((y - [0, 1, 0.5]) ** 2))
    with pytest.raises(gx.ShapeError, match=r"4.*3"):
        x @ W
    composite = gx.function([x, W, b], gx.sigmoid(W @ x + b))  # an operator may be an expression of its inputs
    again = gx.function([x, W, b], composite(x, W, b) * 2)
    close(again(*[at[n] for n in (x, W, b)]), 2 * y)


def test_B2_gradient_nodes_join_the_graph() -> None:
    x, W, b, loss, inner = dense()
    gradient = gx.grad(loss, [W, b])
    assert inner["y"] in set(toposort(gradient)) and inner["v"] in set(toposort(gradient))
    f = gx.function([x, W, b], [inner["y"], gradient])
    assert exponentials(gx.function([v := gx.tensor("v", ("n",))], [gx.sigmoid(v), gx.vjp(gx.sigmoid(v), v, v)])) == 1
    assert ops_of(f)["exp"] == 0


def test_B3_chain_rule_for_vectors() -> None:
    x = gx.tensor("x", (4,))
    A, B = np.random.default_rng(5).normal(size=(2, 3, 4))
    u, v = gx.tanh(gx.asarray(A) @ x), gx.sin(gx.asarray(B) @ x)
    z = gx.sum(gx.exp(u * v))
    parts = [gx.jacobian(u, x), gx.jacobian(v, x), gx.grad(z, u), gx.grad(z, v), gx.grad(z, x)]
    Ju, Jv, gu, gv, g = both(parts, {x: np.array([0.3, -0.5, 1.0, 0.1])})
    close(g, Ju.T @ gu + Jv.T @ gv, rtol=1e-12)


def test_B4_gradient_of_a_dense_layer() -> None:
    x, W, b, loss, inner = dense()
    g = gx.grad(loss, {"y": inner["y"], "v": inner["v"], "u": inner["u"], "b": b, "W": W})
    at = dense_values(x, W, b)
    found, y = both([g, inner["y"]], at)
    close(found["v"], y * (1 - y) * found["y"], rtol=1e-13)
    close([found["b"], found["u"]], [found["v"], found["v"]], rtol=0)
    close(found["W"], np.outer(found["u"], at[x]), rtol=1e-14)
    graph = optimised([x, W, b], gx.grad(loss, [W, b]))
    assert not any(n.shape == (3, 3) for n in graph.order)


def test_B5_jacobians_of_softmax_and_sigmoid() -> None:
    a = gx.tensor("a", (5,))
    at = np.array([0.5, -1.0, 2.0, 0.0, 3.0])
    J, S = both([gx.jacobian(gx.softmax(a), a), gx.jacobian(gx.sigmoid(a), a)], {a: at})
    q, s = scipy.special.softmax(at), scipy.special.expit(at)
    close(J, np.diag(q) - np.outer(q, q), rtol=1e-12, atol=1e-17)
    close(S, np.diag(s * (1 - s)), rtol=1e-13)


def test_B6_a_tensor_of_weights_and_its_matrix(digits: tuple[np.ndarray, np.ndarray]) -> None:
    """Nodes (i, j), pixels (k, l): 4 x 4 x 8 x 8 weights, and the same as 16 x 64."""
    W, image = gx.tensor("W", (4, 4, 8, 8)), gx.tensor("image", (8, 8))
    M, flat = gx.tensor("M", (16, 64)), gx.tensor("flat", (64,))
    V, X = np.random.default_rng(6).normal(size=(4, 4, 8, 8)), digits[0][3].reshape(8, 8)
    spelled = [
        gx.tensordot(W, image, axes=2),
        gx.einsum("ijkl,kl->ij", W, image),
        gx.reshape(gx.reshape(W, (16, 64)) @ gx.ravel(image), (4, 4)),
    ]
    h = (V.reshape(16, 64) @ X.ravel()).reshape(4, 4)
    close(both(spelled, {W: V, image: X}), [h] * 3, rtol=1e-12)
    expected = run(gx.grad(gx.sum(gx.tanh(M @ flat)), M), {M: V.reshape(16, 64), flat: X.ravel()})
    for out in spelled:
        close(run(gx.grad(gx.sum(gx.tanh(out)), W), {W: V, image: X}), expected.reshape(V.shape), rtol=1e-12, atol=1e-15)


def test_B7_a_product_beside_its_loops() -> None:
    a, b = gx.tensor("a", (4, 3)), gx.tensor("b", (3, 2))
    loops = gx.stack(
        [gx.stack([sum((a[i, k] * b[k, j] for k in range(1, 3)), start=a[i, 0] * b[0, j]) for j in range(2)]) for i in range(4)]
    )
    rng = np.random.default_rng(7)
    at = {a: rng.normal(size=(4, 3)), b: rng.normal(size=(3, 2))}
    close(both([a @ b, loops], at), [at[a] @ at[b]] * 2, rtol=1e-14)
    one = gx.function([a, b], a @ b)
    assert nodes(a @ b) * 10 < nodes(loops)  # what is compiled of them is as short: loops that are written out are rolled up again
    assert one.cost()["operations"] == 4 * 3 * 2 * 2


def test_B8_loss_and_gradients_from_one_function(digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = digits[0][:6], digits[1][:6]
    layers = weights([64, 5, 10])
    x, y, p = gx.tensor("x", ("n", 64)), gx.tensor("y", ("n",), "int64"), gx.like(layers, "p")
    f = gx.function([x, y, p], gx.value_and_grad(cross_entropy(net(p, x), y), p))
    each = [f(images[k : k + 1], labels[k : k + 1], layers) for k in range(6)]
    close(f(images, labels, layers), gx.tree.map(lambda *v: np.mean(v, axis=0), *each), rtol=1e-11, atol=1e-14)
    shared = ops(optimised([x, y, *gx.tree.leaves(p)], gx.value_and_grad(cross_entropy(net(p, x), y), p)))
    alone = ops(optimised([x, y, *gx.tree.leaves(p)], cross_entropy(net(p, x), y)))
    assert shared["tanh"] == alone["tanh"] == 1 and shared["exp"] == 1
