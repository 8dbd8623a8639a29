"""spec/003.md by `gx.nn`: I1 to I11 (initial parameters), M2, M5, M6, M12 (normalisation, heads, linear units), R3 to R5, R11, R14."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gx
from tests.spec.kit import close, run

nn, init = gx.nn, gx.nn.init
Digits = tuple[np.ndarray, np.ndarray]


def sgd(p: Any, loss: Any, rate: float) -> tuple[Any, Any]:
    return p, gx.tree.map(lambda w, g: w - rate * g, p, gx.grad(loss, p))


# -- I: initial parameters ---------------------------------------------------------------------------------------------------
def test_I1_equal_units_stay_equal(digits: Digits) -> None:
    """Two hidden units with the same weights are updated alike: the same bits after 50 steps."""
    start = [init.dense(0, 64, 6), init.dense(1, 6, 10)]
    start[0]["weight"][:, 1], start[1]["weight"][1] = start[0]["weight"][:, 0], start[1]["weight"][0]
    p = gx.shared(start)
    x, y = gx.tensor("x", ("n", 64)), gx.tensor("y", ("n",), "int64")
    loss = nn.cross_entropy(nn.dense(p[1], gx.tanh(nn.dense(p[0], x))), y)
    step = gx.function([x, y], loss, updates=sgd(p, loss, 0.5))
    for k in range(50):
        step(digits[0][20 * k : 20 * k + 20], digits[1][20 * k : 20 * k + 20])
    now = gx.get_values(p)
    np.testing.assert_array_equal(now[0]["weight"][:, 0], now[0]["weight"][:, 1])
    np.testing.assert_array_equal(now[1]["weight"][0], now[1]["weight"][1])
    assert np.abs(now[0]["weight"] - start[0]["weight"]).max() > 0.1


def test_I2_I3_variances() -> None:
    """U(-1/sqrt(m), 1/sqrt(m)) has variance 1 / (3 m), the normalised one 2 / (m + n)."""
    for w, variance in ((init.uniform(0, (400, 300)), 1 / 1200), (init.glorot_uniform(0, (400, 300)), 2 / 700)):
        assert abs(w.var() / variance - 1) < 0.02
        assert np.abs(w).max() <= np.sqrt(3 * variance)


def test_I3_a_linear_chain_keeps_its_variances() -> None:
    """Ten square layers: activations and gradients of the same size at every layer, to a third."""
    rng = np.random.default_rng(0)
    x, layers = gx.tensor("x", (256, 200)), [init.dense(rng, 200, 200) for _ in range(10)]
    outs = [x]
    for p in layers:
        outs.append(nn.dense(p, outs[-1]))
    sizes = run(
        [gx.std(v) for v in [*outs, *gx.grad(gx.sum(outs[-1] * rng.normal(size=(256, 200))), outs[:-1])]], {x: rng.normal(size=(256, 200))}
    )
    assert min(sizes) > 0.7 and max(sizes) < 1.4


def test_I4_orthogonal_steps_do_not_grow_with_depth() -> None:
    """Deep linear nets from orthogonal weights: as many steps for 4 layers as for 16, to a factor of two; Gaussian ones need many more."""
    target = np.linalg.qr(np.random.default_rng(5).normal(size=(6, 6)))[0]

    def steps(depth: int, draw: Any, most: int = 400) -> int:
        rng = np.random.default_rng(0)
        p = gx.shared([draw(rng, (6, 6)) for _ in range(depth)])
        made = p[0]
        for w in p[1:]:
            made = made @ w
        loss = gx.sum((made - target) ** 2)
        step = gx.function([], loss, updates=sgd(p, loss, 0.05 / depth))
        return next((k for k in range(most) if float(step()) < 0.5), most)

    shallow, deep = (steps(d, init.orthogonal) for d in (4, 16))
    assert deep <= 2 * shallow
    assert steps(16, lambda r, s: init.normal(r, s, scale=0.5 / np.sqrt(6))) == 400


def test_I5_a_thousand_layers() -> None:
    """tanh with orthogonal weights and a gain above 1: forward and backward norms after 1000 layers, as one scan over the weights."""
    rng = np.random.default_rng(0)
    W = np.stack([init.orthogonal(rng, (16, 16), gain=1.05) for _ in range(1000)])
    w, x = gx.tensor("w", W.shape), gx.tensor("x", (16,))
    out, _ = gx.scan(lambda h, w: (gx.tanh(h @ w), None), x, w)
    value, slope = run([out, gx.grad(gx.sum(out * out), x)], {w: W, x: rng.normal(size=16)})
    assert 0.1 < np.linalg.norm(value) < 10
    assert 1e-12 < np.linalg.norm(slope) < 1e4


def test_I6_I7_I8(digits: Digits) -> None:
    """Exactly k non-zeros a unit; deviation 1 of each layer; biases with which the first loss is the entropy of the labels."""
    np.testing.assert_array_equal((init.sparse(0, (64, 50), nonzeros=15) != 0).sum(0), 15)
    images, labels = digits
    p = [init.dense(0, 64, 40, bias=0.1), init.dense(1, 40, 20, bias=0.1)]

    def outputs(p: Any, x: Any) -> list[Any]:
        first = nn.dense(p[0], x)
        return [first, nn.dense(p[1], gx.relu(first))]

    scaled = init.rescale(p, p, outputs, images)
    for out in outputs(scaled, images):
        close(out.eval().std(), 1.0, rtol=1e-9)
    skewed = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:40], np.flatnonzero(labels == 2)[:10]])
    c = np.bincount(labels[skewed]) / len(skewed)
    out = init.dense(0, 64, 3, bias=init.bias_for(c, "softmax"), weight=lambda r, s, d: np.zeros(s))
    close(nn.cross_entropy(nn.dense(out, images[skewed]), labels[skewed]).eval(), -(c * np.log(c)).sum(), rtol=1e-12)
    assert float(init.bias_for(0.1, "relu")) == 0.1
    close(np.log1p(np.exp(init.bias_for(1.0, "softplus"))), 1.0)


def test_I9_linear_regression_with_a_precision(digits: Digits) -> None:
    """At the optimum the variance is the mean squared residual: of pixels of digits by others, the gradient there is 0."""
    X, t = digits[0][:300, 10:20], digits[0][:300, 28]
    A = np.c_[X, np.ones(300)]
    w = np.linalg.lstsq(A, t, rcond=None)[0]
    p = gx.like({"dense": {"weight": w[:10, None], "bias": w[10:]}, "raw": np.zeros(())})
    loss = nn.heteroscedastic_nll(nn.dense(p["dense"], X)[:, 0], p["raw"], t)
    beta = 1 / np.mean((A @ w - t) ** 2)
    g = gx.function([p], gx.grad(loss, p))({"dense": {"weight": w[:10, None], "bias": w[10:]}, "raw": init.bias_for(beta, "softplus")})
    for leaf in gx.tree.leaves(g):
        close(leaf, np.zeros(leaf.shape), atol=1e-11)


def test_I10_frozen_parameters_do_not_change(digits: Digits) -> None:
    """A trunk taken over and a new head: the gradient is of the head alone, the trunk has the same bits afterwards."""
    p = gx.shared({"trunk": init.dense(0, 64, 20), "head": init.dense(1, 20, 10)})
    before = gx.get_values(p)
    x, y = gx.tensor("x", ("n", 64)), gx.tensor("y", ("n",), "int64")
    loss = nn.cross_entropy(nn.dense(p["head"], gx.relu(nn.dense(p["trunk"], x))), y)
    step = gx.function([x, y], loss, updates=sgd(p["head"], loss, 0.3))
    losses = [float(step(*digits)) for _ in range(20)]
    after = gx.get_values(p)
    assert losses[-1] < 0.95 * losses[0]
    for key in ("weight", "bias"):
        assert after["trunk"][key].tobytes() == before["trunk"][key].tobytes()


def test_I11_one_function_for_every_trial_and_chaos() -> None:
    """The scale of recurrent weights as an input: two near trajectories meet for a small one and part for a large one."""
    p = gx.like(init.rnn(0, 2, 20))
    scale, x, h = gx.scalar("scale"), gx.tensor("x", ("t", 2)), gx.tensor("h", (20,))
    f = gx.function([p, scale, x, h], nn.rnn({**p, "recurrent": scale * p["recurrent"]}, x, h)[1])
    W, X, start = init.rnn(0, 2, 20), np.random.default_rng(0).normal(size=(100, 2)) * 0.1, np.random.default_rng(1).normal(size=20)
    gap = [np.linalg.norm(f(W, s, X, start) - f(W, s, X, start + 1e-8)) for s in (0.5, 4.0)]
    assert gap[0] < 1e-12
    assert gap[1] > 1e-3


# -- M2, M5, M6, M12 ---------------------------------------------------------------------------------------------------------
def test_M2_batch_normalisation_by_the_formulas() -> None:
    """delta 1e-8: d L / d H = (d - mean(d) - H' mean(d H')) / sigma, whose columns sum to 0; a bias before it has gradient 0; order 2."""
    rng = np.random.default_rng(0)
    H, D = rng.normal(size=(12, 4)), rng.normal(size=(12, 4))
    h, b = gx.tensor("h", ("m", 4)), gx.tensor("b", (4,))
    silent = init.batch_norm_state(4)
    out, after = nn.batch_norm(None, silent, h + b, True, epsilon=1e-8)
    normal, by_h, by_b, running = run([out, *gx.grad(gx.sum(out * D), [h, b]), after], {h: H, b: np.ones(4)})
    sigma = np.sqrt(1e-8 + H.var(0))
    want = (H - H.mean(0)) / sigma
    close(normal, want, rtol=1e-10, atol=1e-12)
    close(by_h, (D - D.mean(0) - want * (D * want).mean(0)) / sigma, rtol=1e-9, atol=1e-12)
    close([by_h.sum(0), by_b], [np.zeros(4)] * 2, atol=1e-11)
    close((want * by_h).sum(0), 1e-8 / sigma**3 * (want * D).sum(0), rtol=1e-5, atol=1e-12)
    close(running["mean"], 0.1 * (H.mean(0) + 1), rtol=1e-12)
    image = rng.normal(size=(3, 4, 5, 2))
    maps = nn.batch_norm(None, silent, image, True)[0].eval()
    close([maps.mean((0, 2, 3)), maps.var((0, 2, 3))], [np.zeros(4), np.ones(4)], atol=1e-4)
    v = rng.normal(size=(12, 4))
    g = lambda H: run(gx.grad(gx.sum(gx.sin(out) * D), h), {h: H, b: np.ones(4)})
    second = run(gx.hvp(gx.sum(gx.sin(out) * D), h, v), {h: H, b: np.ones(4)})
    close(second, (g(H + 1e-5 * v) - g(H - 1e-5 * v)) / 2e-5, rtol=1e-5, atol=1e-7)


def test_M5_auxiliary_heads_are_not_in_the_graph_that_predicts(digits: Digits) -> None:
    """A head at the middle and one at the end, a connection that skips: both train; the predicting function has the main head alone."""
    names = ("low", "high", "aux", "main")
    p = gx.shared(dict(zip(names, [init.dense(0, 64, 32), init.dense(1, 32, 32), init.dense(2, 32, 10), init.dense(3, 64, 10)])))
    x, y = gx.tensor("x", ("n", 64)), gx.tensor("y", ("n",), "int64")
    low = gx.relu(nn.dense(p["low"], x))
    high = gx.relu(nn.dense(p["high"], low))
    main, aux = nn.dense(p["main"], gx.concatenate([high, low], axis=1)), nn.dense(p["aux"], low)
    loss = nn.cross_entropy(main, y) + 0.3 * nn.cross_entropy(aux, y)
    step = gx.function([x, y], loss, updates=sgd(p, loss, 0.5))
    for _ in range(60):
        step(*digits)
    predict = gx.function([x], main)
    assert "aux" not in predict.graph
    assert "aux" in gx.function([x], [main, aux]).graph
    assert np.mean(predict(digits[0]).argmax(1) == digits[1]) > 0.85


def test_M6_more_linear_units() -> None:
    """relu'(0) = 0; the gradient of maxout goes to the winner alone; with weights (w, 0) and (w, -w) it is relu and |.| bit for bit."""
    x = gx.tensor("x", (5,))
    at = np.array([-2.0, -0.0, 0.0, 0.5, 3.0])
    close(run(gx.grad(gx.sum(gx.relu(x)), x), {x: at}), np.array([0, 0, 0, 1, 1]))
    w = np.random.default_rng(0).normal(size=(3, 4))
    X = np.random.default_rng(1).normal(size=(6, 3))
    pairs = lambda second: {"weight": np.stack([w, second], -1).reshape(3, 8)}
    a, b, plain = run([nn.maxout(nn.dense(pairs(second), X), 2) for second in (0 * w, -w)] + [gx.asarray(X) @ w], {})
    np.testing.assert_array_equal(a, np.maximum(plain, 0))
    np.testing.assert_array_equal(b, np.abs(plain))
    h = gx.tensor("h", (2, 6))
    H = np.random.default_rng(2).normal(size=(2, 6))
    slope = run(gx.grad(gx.sum(nn.maxout(h, 3)), h), {h: H}).reshape(2, 2, 3)
    np.testing.assert_array_equal(slope, H.reshape(2, 2, 3) == H.reshape(2, 2, 3).max(-1, keepdims=True))


def test_M12_whitening(digits: Digits) -> None:
    """The covariance of the output is I, where batch normalisation has only its diagonal; renormalised weights have norm 1."""
    H = digits[0][:400, 18:30]
    white, normal = nn.whiten(H).eval(), nn.batch_norm(None, init.batch_norm_state(12), H, True, epsilon=0.0)[0].eval()
    close(np.cov(white.T, bias=True), np.eye(12), atol=1e-10)
    close(np.diag(np.cov(normal.T, bias=True)), np.ones(12), rtol=1e-10)
    assert np.abs(np.cov(normal.T, bias=True) - np.eye(12)).max() > 0.3
    w, x = gx.shared(np.random.default_rng(0).normal(size=(12, 3))), gx.tensor("x", ("n", 12))
    loss = gx.mean(gx.tanh(x @ w) ** 2)
    moved = w - 0.1 * gx.grad(loss, w)
    step = gx.function([x], loss, updates={w: moved / gx.linalg.norm(moved, axis=0, keepdims=True)})
    for _ in range(3):
        step(white)
    close(np.linalg.norm(w.get_value(), axis=0), np.ones(3), rtol=1e-12)


# -- R: recurrent nets -------------------------------------------------------------------------------------------------------
def test_R3_R5_outputs_at_every_step_and_at_the_end() -> None:
    """Small weights: the loss of a sequence is tau log(classes); one score at the end keeps no outputs."""
    p = gx.like({"rnn": init.rnn(0, 7, 5), "out": init.dense(1, 5, 7)})
    small = gx.tree.map(lambda a: 1e-3 * a, {"rnn": init.rnn(0, 7, 5), "out": init.dense(1, 5, 7)})
    text = gx.tensor("text", ("t",), "int64")
    hs, h = nn.rnn(p["rnn"], gx.one_hot(text[:-1], 7))
    loss = nn.cross_entropy(nn.dense(p["out"], hs), text[1:], reduction="sum")
    T = np.random.default_rng(0).integers(0, 7, 30)
    close(gx.function([p, text], loss)(small, T), 29 * np.log(7), rtol=1e-3)
    last = gx.function([p, text], nn.dense(p["out"], h))
    assert last.memory(t=100_000)["arena"] < 100_000 * 8 * (5 + 7 + 1)  # what is read, and no states
    close(last(small, T), gx.function([p, text], nn.dense(p["out"], hs[-1]))(small, T), rtol=1e-12)


def test_R4_R11_teacher_forcing_and_lengths() -> None:
    """Outputs alone carried: with targets no loop. A minibatch of several lengths is every sequence by itself."""
    p, X = init.jordan_rnn(0, 3, 5, 2), np.random.default_rng(0).normal(size=(6, 3, 3))
    Y = np.random.default_rng(1).normal(size=(6, 3, 2))
    before = np.concatenate([np.zeros((1, 3, 2)), Y[:-1]])
    want = np.tanh(X @ p["weight"] + p["bias"] + before @ p["recurrent"]) @ p["out"]["weight"] + p["out"]["bias"]
    close(nn.jordan_rnn(p, X, Y).eval(), want)
    q, lengths = init.gru(0, 3, 4), np.array([6, 2, 0])
    hs, h = (v.eval() for v in nn.gru(q, X, lengths=lengths))
    for k, count in enumerate(lengths):
        if count:
            alone = nn.gru(q, X[:count, k])
            close(hs[:count, k], alone[0].eval())
            close(h[k], alone[1].eval())
        assert not hs[count:, k].any()


def test_R14_the_gate_that_forgets_begins_open() -> None:
    """With bias 1 a cell still holds most of what it had after a few turns, with bias -1 next to nothing."""
    X = np.random.default_rng(0).normal(size=(5, 4, 3)) * 0.1
    kept = []
    for bias in (1.0, -1.0):
        p = init.lstm(0, 3, 6, forget_bias=bias)
        c = np.ones((4, 6))
        kept.append(np.mean(nn.lstm(p, X, (np.zeros((4, 6)), c))[1][1].eval()))
    assert kept[0] > 10 * abs(kept[1])
    np.testing.assert_array_equal(init.lstm(0, 3, 6)["bias"][6:12], 1)
