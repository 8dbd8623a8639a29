"""spec/000-001.md: A39 to A45 by `gx.nn`: batches of any size, numerical care, normalisations, weight decay, dropout, adversarial."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import graphc as gx
from tests.spec.kit import close, run

nn = gx.nn
Digits = tuple[np.ndarray, np.ndarray]


def model(p: Any, x: Any) -> Any:
    return nn.dense(p[1], gx.relu(nn.dense(p[0], x)))


def fresh(seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return [nn.init.dense(rng, 64, 32, weight=nn.init.he_normal), nn.init.dense(rng, 32, 10)]


# -- A39 ---------------------------------------------------------------------------------------------------------------------
def test_A39_a_growing_minibatch_is_one_compilation(digits: Digits) -> None:
    """One function from 16 to 256 examples a step; the loss over all falls as the batch grows."""
    images, labels = digits
    p = gx.shared(fresh())
    x, y = gx.tensor("x", ("n", 64)), gx.tensor("y", ("n",), "int64")
    loss = nn.cross_entropy(model(p, x), y)
    step = gx.function([x, y], loss, updates=(p, gx.tree.map(lambda w, g: w - 0.3 * g, p, gx.grad(loss, p))))
    whole = gx.function([x, y], loss)
    compiled, losses, rng = step.llvm, [float(whole(images, labels))], np.random.default_rng(0)
    for size in (16, 32, 64, 128, 256):
        for rows in np.array_split(rng.permutation(len(images)), len(images) // size)[:40]:
            step(images[rows], labels[rows])
        losses.append(float(whole(images, labels)))
    assert step.llvm is compiled or step.llvm == compiled
    assert losses[-1] < 0.2 * losses[0]


# -- A40 ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_A40_extremes(dtype: str) -> None:
    """Every activation and loss of scores at +-1e4, and a net of 20 layers with weights that saturate: finite, with finite gradients."""
    x = gx.tensor("x", (7,), dtype)
    at = np.array([-1e4, -100, -1, 0, 1, 100, 1e4], dtype)
    functions = [
        gx.sigmoid, gx.tanh, gx.softplus, gx.log_sigmoid, nn.gelu, nn.silu, nn.mish, nn.elu, nn.selu, nn.softsign, gx.softmax,
        gx.log_softmax,
    ]  # fmt: skip
    losses = [nn.cross_entropy(x, 0), nn.binary_cross_entropy(x, 1.0), nn.hinge(x, 1.0), nn.heteroscedastic_nll(0.0, x, 1.0)]
    values = [f(x) for f in functions]
    rows = [*values, *losses, *[gx.grad(gx.sum(v), x) for v in (*values, *losses)]]
    for k, got in enumerate(run(rows, {x: at})):
        assert np.isfinite(got).all(), k
    deep = x
    for k in range(20):
        p = nn.init.dense(k, 7, 7, weight=nn.init.orthogonal, dtype=dtype)
        deep = nn.layer_norm(None, gx.tanh(nn.dense({**p, "weight": p["weight"] * 4.0}, deep)))
    value, slope = run([gx.sum(deep**2), gx.grad(gx.sum(deep[:3]), x)], {x: at})
    assert np.isfinite(value)
    assert np.isfinite(slope).all()


# -- A41, A42 ----------------------------------------------------------------------------------------------------------------
def test_A41_batch_normalisation() -> None:
    """scale 1, bias 0: mean 0, variance v / (epsilon + v); a gradient that goes through the normalised values alone sums to 0."""
    rng = np.random.default_rng(0)
    Z, G = rng.normal(size=(20, 3)) * [0.01, 1, 100] + 5, rng.normal(size=(20, 3))
    z = gx.tensor("z", ("n", 3))
    out, _ = nn.batch_norm(nn.init.batch_norm(3), nn.init.batch_norm_state(3), z, True, epsilon=1e-3)
    value, slope = run([out, gx.grad(gx.sum(gx.sin(out) * G), z)], {z: Z})
    close(value.mean(0), np.zeros(3), atol=1e-12)
    close(value.var(0), Z.var(0) / (1e-3 + Z.var(0)), rtol=1e-9)
    close(slope.sum(0), np.zeros(3), atol=1e-11)


def test_A41_with_and_without_on_digits(digits: Digits) -> None:
    """Five narrow layers with weights that are too large: with normalisation they learn; the predicting graph serves one example."""
    images, labels = digits[0][:600], digits[1][:600]
    rng = np.random.default_rng(0)
    sizes = [64, *[16] * 4, 10]
    init = {
        "layers": [nn.init.dense(rng, n, m, weight=partial(nn.init.normal, scale=2.0)) for n, m in pairwise(sizes[:-1])]
        + [nn.init.dense(rng, 16, 10)],
        "norms": [nn.init.batch_norm(m) for m in sizes[1:-1]],
    }
    finals = {}
    for normalised in (True, False):
        p, state = gx.shared(init), gx.shared([nn.init.batch_norm_state(m) for m in sizes[1:-1]])
        x, y = gx.tensor("x", ("n", 64)), gx.tensor("y", ("n",), "int64")

        def net(x: Any, training: bool, p: Any = p, state: Any = state, normalised: bool = normalised) -> tuple[Any, list[Any]]:
            after = []
            for layer, norm, have in zip(p["layers"], p["norms"], state):
                x, new = nn.batch_norm(norm, have, nn.dense(layer, x), training) if normalised else (nn.dense(layer, x), have)
                x, after = gx.tanh(x), [*after, new]
            return nn.dense(p["layers"][-1], x), after

        scores, after = net(x, True)
        loss = nn.cross_entropy(scores, y)
        g = gx.grad(loss, p, disconnected="zero")
        step = gx.function([x, y], loss, updates=((p, state), (gx.tree.map(lambda w, g: w - 0.3 * g, p, g), after)))
        finals[normalised] = [float(step(images, labels)) for _ in range(80)][-1]
        if normalised:
            predict = gx.function([x], net(x, False)[0])
            close(predict(images[:1])[0], predict(images[:9])[0], rtol=1e-9)
            assert np.mean(predict(images).argmax(1) == labels) > 0.6
    assert finals[True] < 0.7 * finals[False]


def test_A42_layer_group_and_spectral_norm() -> None:
    """By the axes that they average; the spectral norm makes the largest singular value 1, from turn to turn of training."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2, 6, 3, 4)) * 3 + 1
    layer, group = nn.layer_norm(None, X, (1, 2, 3), 0.0).eval(), nn.group_norm(None, X, 3, epsilon=0.0).eval().reshape(2, 3, 2, 3, 4)
    close([layer.mean((1, 2, 3)), layer.var((1, 2, 3))], [np.zeros(2), np.ones(2)], atol=1e-12)
    close([group.mean((2, 3, 4)), group.var((2, 3, 4))], [np.zeros((2, 3)), np.ones((2, 3))], atol=1e-12)
    W = rng.normal(size=(8, 5))
    state = gx.shared(nn.init.spectral_norm_state(0, W))
    made, after = nn.spectral_norm(W, state)
    turn = gx.function([], made, updates=(state, after))
    for _ in range(60):
        last = turn()
    close(np.linalg.svd(last)[1][0], 1.0, rtol=1e-6)


# -- A43 ---------------------------------------------------------------------------------------------------------------------
def test_A43_weight_decay() -> None:
    """The gradient of lambda times the sum of squares is 2 lambda W, that of -log of the prior; lambda = 0 is none."""
    p = gx.shared(fresh())
    x, y, rate = gx.tensor("x", ("n", 64)), gx.tensor("y", ("n",), "int64"), gx.scalar("rate")
    loss = nn.cross_entropy(model(p, x), y)
    penalty = sum(gx.sum(layer["weight"] ** 2) for layer in p)
    both = gx.grad(loss + rate * penalty, p)
    f = gx.function([x, y, rate], [both, gx.grad(loss, p)])
    X, Y = np.random.default_rng(0).normal(size=(5, 64)), np.arange(5)
    for value in (0.0, 1e-4, 0.3):
        decayed, plain = f(X, Y, value)
        for k, layer in enumerate(gx.get_values(p)):
            close(decayed[k]["weight"], plain[k]["weight"] + 2 * value * layer["weight"], rtol=1e-12, atol=1e-16)
            close(decayed[k]["bias"], plain[k]["bias"], rtol=1e-12, atol=1e-16)


# -- A44 ---------------------------------------------------------------------------------------------------------------------
def test_A44_dropout_on_digits(digits: Digits) -> None:
    """Hidden units kept with 0.5, inputs with 0.8: it trains, and the predicting graph, with weights scaled, has no random node."""
    images, labels = digits[0][:1000], digits[1][:1000]
    rng, p = gx.random.default_rng(0), gx.shared(fresh())
    x, y = gx.tensor("x", ("n", 64)), gx.tensor("y", ("n",), "int64")

    def net(x: Any, training: bool) -> Any:
        h = gx.relu(nn.dense(p[0], nn.dropout(rng, x, 0.2, training, rescale="test")))
        return nn.dense(p[1], nn.dropout(rng, h, 0.5, training, rescale="test"))

    loss = nn.cross_entropy(net(x, True), y)
    step = gx.function([x, y], loss, updates=(p, gx.tree.map(lambda w, g: w - 0.5 * g, p, gx.grad(loss, p))))
    for _ in range(150):
        step(images, labels)
    predict = gx.function([x], net(x, False))
    assert "random" not in predict.graph
    found = predict(digits[0][1000:])
    assert np.mean(found.argmax(1) == digits[1][1000:]) > 0.85
    scaled = [nn.scale_weights(layer, rate) for layer, rate in zip(gx.get_values(p), (0.2, 0.5))]
    close(model(scaled, digits[0][1000:]).eval(), found, rtol=1e-9, atol=1e-12)


def test_A44_mean_over_masks_is_the_full_net() -> None:
    """Of a linear net: outputs are 0 or a / p, and the mean over draws tends to the net without dropout."""
    W, a = np.random.default_rng(0).normal(size=(8, 2)), np.arange(1.0, 9)
    kept = nn.dropout(gx.random.default_rng(1), gx.broadcast_to(gx.asarray(a), (20000, 8)), 0.2)
    units, outputs = gx.function([], [kept, kept @ W])()
    close(np.unique(units), np.r_[0, a / 0.8], rtol=1e-12)
    assert np.abs(outputs.mean(0) - a @ W).max() < 5 * outputs.std(0).max() / np.sqrt(20000)


# -- A45 ---------------------------------------------------------------------------------------------------------------------
def test_A45_adversarial_examples(digits: Digits) -> None:
    """A step along the sign of the gradient by the input raises the loss and flips digits; the weights are frozen."""
    images, labels = digits[0][:500], digits[1][:500]
    p = gx.shared(fresh())
    x, y, size = gx.tensor("x", ("n", 64)), gx.tensor("y", ("n",), "int64"), gx.scalar("size")
    loss = nn.cross_entropy(model(p, x), y)
    step = gx.function([x, y], loss, updates=(p, gx.tree.map(lambda w, g: w - 0.5 * g, p, gx.grad(loss, p))))
    for _ in range(100):
        step(images, labels)
    moved = gx.clip(x + size * gx.sign(gx.grad(loss, x)), 0, 1)
    before = gx.get_values(p)
    attack = gx.function([x, y, size], [gx.argmax(model(p, moved), axis=1), nn.cross_entropy(model(p, moved), y, reduction="none")])
    right, losses = zip(*[(np.mean(guess == labels), each) for guess, each in (attack(images, labels, s) for s in (0.0, 0.02, 0.1, 0.2))])
    assert right[0] > 0.9
    assert right[0] >= right[1] > right[2] > right[3]
    assert right[3] < 0.5
    assert np.mean(losses[1] > losses[0]) > 0.95
    close(gx.get_values(p), before, rtol=0)
