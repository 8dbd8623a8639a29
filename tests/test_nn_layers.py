"""`gx.nn` layers over dicts and normalisations against NumPy; two graphs of one batch norm; folding; what a wrong dict or size says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, IndexOutOfRange, LinAlgError, ShapeError
from tests.derivatives import check_derivatives

RNG = np.random.default_rng(3)
nn = gx.nn


def test_dense_embedding_rbf_and_convolutions() -> None:
    p = {
        "dense": nn.init.dense(1, 4, 3, bias=[1.0, 2, 3]), "embedding": nn.init.embedding(2, 6, 4),
        "conv": nn.init.conv(3, 2, 3, (2, 2), bias=0.5), "transpose": nn.init.conv_transpose(4, 2, 3, (2, 2)),
        "rbf": {"centres": RNG.normal(size=(5, 4)), "width": np.arange(1.0, 6)},
    }  # fmt: skip
    q = gx.like(p, "p")
    ids, image = gx.tensor("ids", ("n", "m"), "int64"), gx.tensor("image", ("b", 2, "h", "w"))
    x = nn.embedding(q["embedding"], ids)
    outs = [
        nn.dense(q["dense"], x),
        nn.rbf(q["rbf"], x),
        nn.conv_layer(q["conv"], image, 2, 1),
        nn.conv_transpose_layer(q["transpose"], image, 2),
    ]
    f = gx.function([q, ids, image], outs)
    for n in (3, 1, 0):
        K, X = RNG.integers(-6, 6, (n, 2)), RNG.normal(size=(n, 2, 5, 4))
        dense, rbf, conv, transposed = f(p, K, X)
        rows = p["embedding"]["weight"][K]
        np.testing.assert_allclose(dense, rows @ p["dense"]["weight"] + [1, 2, 3], rtol=1e-13)
        gaps = rows[..., None, :] - p["rbf"]["centres"]
        np.testing.assert_allclose(rbf, np.exp(-(gaps**2).sum(-1) / p["rbf"]["width"] ** 2), rtol=1e-13)
        want = nn.conv2d(X, p["conv"]["weight"], p["conv"]["bias"], 2, 1).eval()
        np.testing.assert_allclose(conv, want, rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(
            transposed, nn.conv_transpose2d(X, p["transpose"]["weight"], np.zeros(3), 2).eval(), rtol=1e-13, atol=1e-13
        )
    with pytest.raises(IndexOutOfRange):
        f(p, np.full((3, 2), 6), RNG.normal(size=(3, 2, 5, 4)))
    assert nn.dense(nn.init.dense(0, 2, 1, bias=None, dtype="float32"), np.ones((3, 2), "uint8")).dtype == np.float32
    check_derivatives(
        lambda c, w, v: nn.rbf({"centres": c, "width": w}, v), p["rbf"]["centres"], p["rbf"]["width"], rows[:1, :1].reshape(-1, 4)
    )


def normal(x: np.ndarray, axes: tuple[int, ...], epsilon: float) -> np.ndarray:
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


def test_layer_group_and_rms_norm() -> None:
    x = gx.tensor("x", ("n", 6, "h", 3))
    p = {"scale": RNG.normal(size=6), "bias": RNG.normal(size=6)}
    wide = {"scale": RNG.normal(size=(6, 3))}
    outs = [
        nn.layer_norm(p, x, axis=1), nn.layer_norm(None, x, axis=(1, 3), epsilon=0.5), nn.layer_norm(wide, x, axis=(-1, 1)),
        nn.rms_norm({"scale": p["scale"]}, x, 1), nn.group_norm(p, x, 2), nn.group_norm(p, x, 6),
        nn.group_norm(None, gx.moveaxis(x, 1, -1), 3, -1),
    ]  # fmt: skip
    f = gx.function([x], outs)
    lie = lambda v: v[:, None, None]
    for n, h in ((2, 4), (1, 1)):
        X = RNG.normal(size=(n, 6, h, 3)) * 3 + 1
        two, three, six = [normal(X.reshape(n, k, 6 // k, h, 3), (2, 3, 4), 1e-5).reshape(X.shape) for k in (2, 3, 6)]
        wants = [
            normal(X, (1,), 1e-5) * lie(p["scale"]) + lie(p["bias"]), normal(X, (1, 3), 0.5),
            normal(X, (1, 3), 1e-5) * wide["scale"][:, None], X / np.sqrt((X**2).mean(1, keepdims=True) + 1e-5) * lie(p["scale"]),
            two * lie(p["scale"]) + lie(p["bias"]),
            six * lie(p["scale"]) + lie(p["bias"]), np.moveaxis(three, 1, -1),
        ]  # fmt: skip
        for got, want in zip(f(X), wants, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-11)
    X = RNG.normal(size=(2, 4))
    check_derivatives(lambda v, s, b: nn.layer_norm({"scale": s, "bias": b}, v), X, RNG.normal(size=4), RNG.normal(size=4))
    check_derivatives(lambda v, s: nn.rms_norm({"scale": s}, nn.group_norm(None, v, 2)), X, RNG.normal(size=4), orders=2)


def test_batch_norm_trains_and_predicts() -> None:
    """One dict, two graphs: statistics go over as updates; the gradient by the input is that of the textbook and sums to 0."""
    p, state = gx.shared(nn.init.batch_norm(3)), gx.shared(nn.init.batch_norm_state(3))
    gx.set_values(p, {"scale": np.array([1.0, 2, 0.5]), "bias": np.array([0.0, 1, -1])})
    x = gx.tensor("x", ("n", 3, "w"))
    y, after = nn.batch_norm(p, state, x, training=True, momentum=0.75, epsilon=1e-3)
    G = RNG.normal(size=(5, 3, 2))
    g = gx.tensor("g", ("n", 3, "w"))
    step = gx.function([x, g], [y, gx.grad(gx.sum(y * g), x)], updates=(state, after))
    predict = gx.function([x], nn.batch_norm(p, state, x, training=False, epsilon=1e-3)[0])
    X = RNG.normal(size=(5, 3, 2)) * 2 + 3
    mean, variance = X.mean((0, 2)), X.var((0, 2))
    got, slope = step(X, G)
    scale, bias = (gx.get_values(p)[k][:, None] for k in ("scale", "bias"))
    np.testing.assert_allclose(got, normal(X, (0, 2), 1e-3) * scale + bias, rtol=1e-12)
    d, h = G * scale, normal(X, (0, 2), 1e-3)
    m = lambda v: v.mean((0, 2), keepdims=True)
    np.testing.assert_allclose(slope, (d - m(d) - h * m(d * h)) / np.sqrt(variance + 1e-3)[:, None], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(slope.sum((0, 2)), 0, atol=1e-13)
    running = gx.get_values(state)
    np.testing.assert_allclose(running["mean"], 0.25 * mean, rtol=1e-13)
    np.testing.assert_allclose(running["variance"], 0.75 + 0.25 * variance, rtol=1e-13)
    one = X[:1]
    want = (one - running["mean"][:, None]) / np.sqrt(running["variance"] + 1e-3)[:, None] * scale + bias
    np.testing.assert_allclose(predict(one), want, rtol=1e-12)
    state32 = nn.init.batch_norm_state(3, dtype="float32")
    assert nn.batch_norm(None, state32, X, True)[1]["mean"].dtype == np.float32
    check_derivatives(
        lambda v, s: nn.batch_norm({"scale": s}, nn.init.batch_norm_state(3), v, True, -1)[0], RNG.normal(size=(4, 3)), np.ones(3)
    )


def test_batch_norm_folds_into_the_layer_before() -> None:
    norm = {"scale": RNG.normal(size=3), "bias": RNG.normal(size=3)}
    state = {"mean": RNG.normal(size=3), "variance": RNG.uniform(0.5, 2, 3)}
    X, image = RNG.normal(size=(4, 5)), RNG.normal(size=(2, 2, 4, 4))
    p, q = nn.init.dense(0, 5, 3, bias=[1.0, -1, 2]), nn.init.conv(0, 2, 3, (3, 3), bias=None)
    for used in (norm, {"scale": norm["scale"]}, None):
        folded, both = nn.fold_batch_norm(p, used, state), nn.fold_batch_norm(q, used, state)
        assert all(type(v) is np.ndarray for v in [*folded.values(), *both.values()])
        np.testing.assert_allclose(
            nn.dense(folded, X).eval(), nn.batch_norm(used, state, nn.dense(p, X), False)[0].eval(), rtol=1e-12, atol=1e-12
        )
        got, want = nn.conv_layer(both, image), nn.batch_norm(used, state, nn.conv_layer(q, image), False)[0]
        np.testing.assert_allclose(got.eval(), want.eval(), rtol=1e-12, atol=1e-12)
    last = {**q, "weight": q["weight"].transpose(2, 3, 1, 0)}
    turned = nn.fold_batch_norm(last, norm, state, axis=-1)
    np.testing.assert_allclose(turned["weight"].transpose(3, 2, 0, 1), nn.fold_batch_norm(q, norm, state)["weight"], rtol=1e-15)
    assert isinstance(nn.fold_batch_norm(gx.like(p), norm, state)["weight"], gx.Node)


def test_spectral_norm_finds_the_largest_singular_value() -> None:
    W = RNG.normal(size=(3, 4, 5)) + 2
    state = nn.init.spectral_norm_state(0, W)
    w, s = gx.like(W, "w"), gx.like(state, "s")
    out, after = nn.spectral_norm(w, s, iterations=12)
    held, same = nn.spectral_norm(w, s, training=False)
    assert same["u"] is not after["u"]
    f = gx.function([w, s], [out, after, held])
    sigma = np.linalg.svd(W.reshape(12, 5))[1][0]
    got, now, _ = f(W, state)
    np.testing.assert_allclose(got, W / sigma, rtol=1e-9)
    np.testing.assert_allclose(f(W, now)[2], W / sigma, rtol=1e-9)
    u, _, v = np.linalg.svd(W.reshape(12, 5))
    G = RNG.normal(size=W.shape)
    slope = gx.function([w, s], gx.grad(gx.sum(held * G), w))(W, now)
    np.testing.assert_allclose(slope, G / sigma - (G * W).sum() / sigma**2 * np.outer(u[:, 0], v[0]).reshape(W.shape), rtol=1e-7, atol=1e-9)


def test_whitening() -> None:
    X = RNG.normal(size=(20, 3)) @ RNG.normal(size=(3, 3)) + 5
    x = gx.tensor("x", ("n", 3))
    f = gx.function([x], nn.whiten(x))
    Y = f(X)
    np.testing.assert_allclose(np.cov(Y.T, bias=True), np.eye(3), atol=1e-11)
    np.testing.assert_allclose(Y.mean(0), 0, atol=1e-13)
    check_derivatives(nn.whiten, X[:5], orders=2, tolerance=1e-5)
    with pytest.raises(LinAlgError):
        f(np.ones((4, 3)))
    assert np.isfinite(nn.whiten(np.ones((4, 3)), 0.1).eval()).all()


LAYERS: dict[str, Any] = {
    "dense": lambda p: nn.dense(p, np.ones((2, 3))),
    "embedding": lambda p: nn.embedding(p, [0]),
    "conv_layer": lambda p: nn.conv_layer(p, np.ones((1, 1, 4, 4))),
    "conv_transpose_layer": lambda p: nn.conv_transpose_layer(p, np.ones((1, 1, 4, 4))),
    "rbf": lambda p: nn.rbf(p, np.ones((2, 3))),
    "layer_norm": lambda p: nn.layer_norm(p, np.ones((2, 3))),
    "batch_norm_state": lambda p: nn.batch_norm(None, p, np.ones((2, 3)), True),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_wrong_dict_names_the_layer_and_the_key(name: str) -> None:
    hint = f"gx.nn.init.{name.removesuffix('_layer')} makes them"
    key = {"rbf": "centres", "layer_norm": "scale", "batch_norm_state": "mean"}.get(name, "weight")
    with pytest.raises(ArgumentError, match=f"{name}: the parameters have no '{key}'; they have 'w', 'b'; hint: {hint}"):
        LAYERS[name]({"w": np.ones((3, 2)), "b": np.ones(2)})
    with pytest.raises(ArgumentError, match=f"{name}: the parameters are a dict, not list"):
        LAYERS[name]([1.0])
    with pytest.raises(ArgumentError, match=f"{name}: '{key}' is a dict of 'weight', not an array"):
        LAYERS[name]({key: {"weight": 1.0}})
    with pytest.raises(DTypeError, match=f"{name}: '{key}' must be floats"):
        LAYERS[name]({key: np.ones((3, 2), int)})
    assert callable(getattr(nn.init, name.removesuffix("_layer")))


def test_wrong_sizes_say_both() -> None:
    p = nn.init.dense(0, 3, 2)
    with pytest.raises(ShapeError, match="dense: features of the input and rows of 'weight' differ: 4 and 3"):
        nn.dense(p, np.ones((5, 4)))
    with pytest.raises(ShapeError, match="the input is one number"):
        nn.dense(p, 1.0)
    with pytest.raises(ShapeError, match="dense: elements of 'bias' and columns of 'weight' differ: 3 and 2"):
        nn.dense({**p, "bias": np.ones(3)}, np.ones((5, 3)))
    with pytest.raises(ShapeError, match="dense: 'weight' has 1 axes, not 2"):
        nn.dense({"weight": np.ones(3)}, np.ones((5, 3)))
    with pytest.raises(ShapeError, match=r"layer_norm: 'scale' should have the shape \(4,\)"):
        nn.layer_norm({"scale": np.ones(3)}, np.ones((5, 4)))
    with pytest.raises(ShapeError, match="batch_norm: channels of the input and elements of 'mean' differ: 4 and 3"):
        nn.batch_norm(None, nn.init.batch_norm_state(3), np.ones((5, 4)), True)
    with pytest.raises(ShapeError, match="group_norm: 4 channels do not make 3 groups"):
        nn.group_norm(None, np.ones((5, 4)), 3)
    with pytest.raises(ShapeError, match="spectral_norm: rows of the weight and elements of 'u' differ: 5 and 4"):
        nn.spectral_norm(np.ones((5, 4)), {"u": np.ones(4)})
    with pytest.raises(ShapeError, match="fold_batch_norm: outputs of the layer and channels differ: 2 and 3"):
        nn.fold_batch_norm(p, None, nn.init.batch_norm_state(3))
