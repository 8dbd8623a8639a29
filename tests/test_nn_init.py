"""`gx.nn.init`: variances, orthonormality, non-zeros, biases, scales from data; NumPy arrays of the dtype asked for, from a generator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, NumericError, ShapeError

init = gx.nn.init


@pytest.mark.parametrize(
    ("name", "variance"),
    [("glorot_uniform", 2 / 500), ("glorot_normal", 2 / 500), ("he_uniform", 2 / 300), ("he_normal", 2 / 300), ("lecun_uniform", 1 / 300),
     ("lecun_normal", 1 / 300), ("uniform", 1 / 900)],
)  # fmt: skip
def test_variances(name: str, variance: float) -> None:
    """60,000 draws: the variance is within 3 %, five deviations of its own; uniform ones end where they should."""
    draw = getattr(init, name)
    w = draw(np.random.default_rng(0), (300, 200))
    assert w.dtype == np.float64
    assert abs(w.mean()) < 5 * (variance / w.size) ** 0.5
    assert abs(w.var() / variance - 1) < 0.03
    if "uniform" in name:
        assert 0.999 < np.abs(w).max() / np.sqrt(3 * variance) <= 1
        np.testing.assert_array_equal(draw(7, (3, 2), dtype="float32"), draw(7, (3, 2)).astype("float32"))
    if name.startswith("he"):
        kernel, turned = draw(0, (64, 30, 5, 2)), draw(0, (5, 2, 30, 64), layout="NHWC", gain=2.0)
        assert abs(kernel.var() / variance - 1) < 0.05
        assert abs(turned.var() / (4 * variance) - 1) < 0.05


def test_orthogonal_and_sparse() -> None:
    for shape in ((5, 3), (3, 5), (4, 4)):
        q = init.orthogonal(0, shape, gain=1.5) / 1.5
        np.testing.assert_allclose(q.T @ q if shape[0] >= shape[1] else q @ q.T, np.eye(min(shape)), atol=1e-14)
    first, last = init.orthogonal(1, (4, 3, 2, 2)).reshape(4, 12), init.orthogonal(1, (2, 2, 3, 4), layout="NHWC").reshape(12, 4)
    np.testing.assert_allclose(first @ first.T, np.eye(4), atol=1e-14)
    np.testing.assert_allclose(last.T @ last, np.eye(4), atol=1e-14)
    signs = [np.sign(init.orthogonal(k, (1, 1))[0, 0]) for k in range(64)]
    assert 16 < sum(s > 0 for s in signs) < 48  # QR alone gives one sign
    for k in (0, 3, 10):
        w = init.sparse(2, (10, 50), nonzeros=k, scale=2.0)
        np.testing.assert_array_equal((w != 0).sum(0), k)
    assert (np.count_nonzero(init.sparse(2, (10, 500), nonzeros=3), 1) > 100).all()  # every row is chosen


def test_biases() -> None:
    c = np.array([0.7, 0.2, 0.1])
    b = init.bias_for(c, "softmax")
    np.testing.assert_allclose(scipy.special.softmax(b), c, rtol=1e-14)
    loss = -(c * scipy.special.log_softmax(b)).sum()
    np.testing.assert_allclose(gx.nn.cross_entropy(np.broadcast_to(b, (10, 3)), np.repeat([0, 1, 2], [7, 2, 1])).eval(), loss, rtol=1e-14)
    forward: dict[str, Any] = {"softplus": lambda v: np.log1p(np.exp(v)), "sigmoid": scipy.special.expit, "tanh": np.tanh, "exp": np.exp}
    for name, f in forward.items():
        np.testing.assert_allclose(f(init.bias_for([0.1, 0.9], name)), [0.1, 0.9], rtol=1e-14)
    np.testing.assert_allclose(init.bias_for([1e-20, 1e4], "softplus"), [np.log(1e-20), 1e4], rtol=1e-15)
    assert init.bias_for(0.1, "relu", "float32").dtype == np.float32
    p = init.lstm(0, 3, 5)
    np.testing.assert_array_equal(p["bias"], [0] * 5 + [1] * 5 + [0] * 10)
    np.testing.assert_allclose(p["recurrent"][:, 5:10] @ p["recurrent"][:, 5:10].T, np.eye(5), atol=1e-14)


def test_dicts_and_generators() -> None:
    rng = np.random.default_rng(0)
    assert not np.array_equal(init.dense(rng, 3, 3)["weight"], init.dense(rng, 3, 3)["weight"])
    shapes = lambda p: gx.tree.map(np.shape, p)
    assert shapes(init.conv(0, 4, 6, (3, 2), groups=2)) == {"weight": (6, 2, 3, 2), "bias": (6,)}
    assert shapes(init.conv(0, 4, 6, 3, layout="NHWC", bias=None)) == {"weight": (3, 4, 6)}
    assert shapes(init.conv_transpose(0, 4, 6, (3, 2), groups=2)) == {"weight": (4, 3, 3, 2), "bias": (6,)}
    assert shapes(init.gru(0, 2, 5)) == {"weight": (2, 15), "recurrent": (5, 15), "bias": (15,), "recurrent_bias": (15,)}
    wide = shapes(init.attention(0, 8, 2, memory_width=6))
    assert wide == {k: {"weight": (n, 8), "bias": (8,)} for k, n in {"query": 8, "key": 6, "value": 6, "out": 8}.items()}
    examples = np.arange(12.0).reshape(6, 2)
    centres = init.rbf(examples, 4, 0.5, rng=0)["centres"]
    assert len({tuple(row) for row in centres} & {tuple(row) for row in examples}) == 4
    for p in (init.lstm(0, 2, 3, dtype="float32"), init.attention(0, 4, 2, dtype="float32"), init.batch_norm_state(3, dtype="float32")):
        assert {leaf.dtype for leaf in gx.tree.leaves(p)} == {np.dtype("float32")}


def test_scales_from_data() -> None:
    """Twenty layers of relu, weights of any size: after one call a layer, every output has deviation 1 on the batch."""
    rng = np.random.default_rng(0)
    p = [init.dense(rng, 16, 16, weight=init.normal, bias=0.1) for _ in range(20)]
    X = rng.normal(size=(64, 16))

    def outputs(p: Any, x: Any) -> list[gx.Node]:
        made = []
        for layer in p:
            made.append(gx.nn.dense(layer, x))
            x = gx.relu(made[-1])
        return made

    q = init.rescale(p, p, outputs, X)
    for out in outputs(q, X)[::6]:
        np.testing.assert_allclose(out.eval().std(), 1, rtol=1e-9)
    assert p[0]["bias"][0] == 0.1
    with pytest.raises(NumericError, match="layer 0 has the deviation 0"):
        init.rescale(p, p, outputs, np.zeros((4, 16)))
    with pytest.raises(NumericError, match="after scaling, the output of layer 0"):
        init.rescale(p[:1], p[:1], lambda p, x: [gx.sigmoid(gx.nn.dense(p[0], x))], X * 1e4)
    with pytest.raises(ArgumentError, match="20 layers, but 1 outputs"):
        init.rescale(p, p, lambda p, x: [gx.nn.dense(p[0], x)], X)
    with pytest.raises(ArgumentError, match="the layers are dicts of the tree"):
        init.rescale(p, [dict(weight=np.eye(2))], outputs, X)


def test_refused() -> None:
    for wrong in (None, True, "seed", -1, gx.scalar("s")):
        with pytest.raises(ArgumentError, match="rng is a numpy Generator or a seed"):
            init.dense(wrong, 2, 2)
    with pytest.raises(ArgumentError, match="a size is a whole number"):
        init.dense(0, 2.0, 2)  # type: ignore[arg-type]
    with pytest.raises(DTypeError, match="weights are floats"):
        init.dense(0, 2, 2, dtype="int64")
    with pytest.raises(ShapeError, match="3 biases are wanted"):
        init.dense(0, 2, 3, bias=[1.0, 2.0])
    with pytest.raises(ShapeError, match="do not make 3 groups"):
        init.conv(0, 4, 6, (3, 3), groups=3)
    with pytest.raises(ArgumentError, match="layout"):
        init.he_normal(0, (2, 2, 3, 3), layout="NWHC")
    with pytest.raises(ShapeError, match="at least 2 axes"):
        init.he_normal(0, (3,))
    with pytest.raises(ArgumentError, match="cannot have 4 weights"):
        init.sparse(0, (3, 2), nonzeros=4)
    with pytest.raises(ShapeError, match="3 heads do not divide the width 8"):
        init.attention(0, 8, 3)
    for target, activation in ((1.0, "sigmoid"), (0.0, "softplus"), (-1.0, "relu"), ([0.5, 0.0], "softmax")):
        with pytest.raises(ArgumentError, match=f"{activation} never is"):
            init.bias_for(target, activation)
    with pytest.raises(ArgumentError, match="add up to"):
        init.bias_for([0.5, 0.4], "softmax")
    with pytest.raises(ArgumentError, match="no inverse of 'sine'"):
        init.bias_for(0.5, "sine")
