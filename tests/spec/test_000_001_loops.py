"""spec/000-001.md: A49 to A52 and B40 to B46: recurrent nets of both textbooks, their gradients, LSTM and GRU, detectors of bits."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir import Node
from graphc.region import everywhere
from tests.spec.kit import both, close, difference, optimised, run

RNG = np.random.default_rng(49)
CLASSES, H = 7, 4  # the last class is that of all other characters
RAW = Path(json.__file__).read_text()
KNOWN = sorted(set(RAW), key=lambda ch: (-RAW.count(ch), ch))[: CLASSES - 1]
TEXT = np.array([KNOWN.index(ch) if ch in KNOWN else CLASSES - 1 for ch in RAW])


def weights(**shapes: tuple[int, ...]) -> tuple[dict[str, Node], dict[Node, np.ndarray]]:
    """(variables by name, values for them)"""
    p = {name: gx.tensor(name, shape) for name, shape in shapes.items()}
    return p, {node: RNG.normal(size=node.shape) * 0.4 for node in p.values()}


def onehot(ids: np.ndarray) -> np.ndarray:
    return np.eye(CLASSES)[ids]


def unrolled(f: Any, carry: Any, xs: Node, turns: int) -> tuple[Any, Node]:
    ys = []
    for t in range(turns):
        carry, y = f(carry, xs[t])
        ys.append(y)
    return carry, gx.stack(ys)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


# -- A49, A50, A51: recurrent nets, back-propagation through time -------------------------------------
def test_A49_a_scan_is_its_static_unrolling() -> None:
    """A character model: values and gradients of both forms, the second one without a loop."""
    p, env = weights(Wx=(CLASSES, H), Wz=(H, H), Wy=(H, CLASSES))
    xs = gx.tensor("xs", (6, CLASSES))
    f = lambda z, x: (gx.tanh(x @ p["Wx"] + z @ p["Wz"]),) * 2
    costs = []
    for loop in (lambda: gx.scan(f, gx.zeros(H), xs), lambda: unrolled(f, gx.zeros(H), xs, 6)):
        _, zs = loop()
        costs.append(-gx.mean(gx.sum(gx.log_softmax(zs[:-1] @ p["Wy"], axis=-1) * xs[1:], axis=-1)))
    found = both([[c, gx.grad(c, p)] for c in costs], {xs: onehot(TEXT[100:106]), **env})
    close(found[0], found[1], rtol=1e-11, atol=1e-14)


def test_A49_parity_of_all_sequences_of_bits() -> None:
    bits = gx.tensor("bits", ("n",), "int64")
    last, _ = gx.scan(lambda p, b: (p ^ b, None), gx.asarray(0), bits)
    f = gx.function([bits], last)
    wide = gx.tensor("wide", ("m", 6), "int64")
    every = (np.arange(64)[:, None] >> np.arange(6)) & 1
    parity = gx.vmap(lambda row: gx.scan(lambda p, b: (p ^ b, None), gx.asarray(0), row)[0])(wide)
    np.testing.assert_array_equal(run(parity, {wide: every}), every.sum(1) % 2)
    assert [int(f(row)) for row in every] == list(every.sum(1) % 2)


def test_A50_the_recursion_of_the_derivative_as_a_scan_of_its_own() -> None:
    """dz_t/dw = g'(in_t) (z_(t-1) + w dz_(t-1)/dw), by its own loop, by both modes, and once more."""
    xs, w, u = gx.tensor("xs", ("t",)), gx.scalar("w"), gx.scalar("u")
    z, _ = gx.scan(lambda z, x: (gx.tanh(u * x + w * z), None), 0.0, xs)

    def own(state: Any, x: Any) -> Any:
        z, dz = state
        new = gx.tanh(u * x + w * z)
        return (new, (1 - new * new) * (z + w * dz)), None

    (_, dz), _ = gx.scan(own, (0.0, 0.0), xs)
    env = {xs: RNG.normal(size=20), w: 0.8, u: 0.5}
    first = [dz, gx.grad(z, w), gx.jvp(z, w, 1.0)]
    second = [gx.grad(dz, w), gx.grad(gx.grad(z, w), w), gx.jvp(gx.grad(z, w), w, 1.0)]
    a, b = both([first, second], env, rtol=1e-11)
    np.testing.assert_allclose(a, a[0], rtol=1e-12)
    np.testing.assert_allclose(b, b[0], rtol=1e-11)

    def by_hand(v: np.ndarray) -> float:
        s = 0.0
        for x in env[xs]:
            s = np.tanh(0.5 * x + v * s)
        return s

    np.testing.assert_allclose(a[0], np.imag(by_hand(0.8 + 1e-30j)) / 1e-30, rtol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_A50_work_is_linear_in_the_length(order: int) -> None:
    """The graph of a derivative is the same for every length; only its loops turn more often."""
    sizes = []
    for length in (5, 500):
        xs, w = gx.tensor("xs", (length,)), gx.scalar("w")
        d, _ = gx.scan(lambda z, x, w=w: (gx.tanh(x + w * z), None), 0.0, xs)
        for _ in range(order):
            d = gx.grad(d, w)
        sizes.append(len(list(everywhere(optimised([xs, w], d).outputs))))
    assert sizes[0] == sizes[1] < 60 * 4 ** (order - 1)


@pytest.mark.parametrize("w", [0.5, 1.0, 1.5])
def test_A51_vanishing_and_exploding(w: float) -> None:
    """Linear: the derivative is exactly w^T. Of a matrix: its growth is the largest eigenvalue, by power iteration in a scan."""
    z, v = gx.scalar("z"), gx.scalar("w")
    last, _ = gx.scan(lambda z, _: (v * z, None), z, length="t")
    f = gx.function([z, v, gx.dim("t")], gx.grad(last, z))
    for turns in (0, 1, 30):
        assert f(2.0, w, turns) == pytest.approx(w**turns, rel=1e-13)
    A = RNG.normal(size=(H, H))
    A = (A + A.T) * w / 2
    a, start = gx.tensor("A", (H, H)), gx.tensor("start", (H,))
    x, _ = gx.scan(lambda x, _: (a @ x / gx.norm(a @ x), None), start, length=400)
    np.testing.assert_allclose(abs(run(x @ a @ x, {a: A, start: np.ones(H)})), np.abs(np.linalg.eigvalsh(A)).max(), rtol=1e-6)
    back = gx.jacobian(gx.fori_loop(0, 12, lambda i, s: a @ s, start), start)
    np.testing.assert_allclose(run(back, {a: A, start: np.ones(H)}), np.linalg.matrix_power(A, 12), rtol=1e-10)


# -- A52, B44, B45: gates -------------------------------------------------------------------------------
GATES = ("f", "i", "o", "c")


def lstm(p: dict[str, Node], state: Any, x: Node, other: bool = False, extra: dict[str, Any] | None = None) -> Any:
    """A52; other: the output form of B44, tanh(c o). `extra`: gates that are fixed."""
    z, c = state
    a = {k: x @ p[f"W{k}"] + z @ p[f"U{k}"] + p[f"b{k}"] for k in GATES}
    f, i, o = (gx.sigmoid(a[k]) if extra is None or k not in extra else extra[k] for k in "fio")
    c = c * f + i * gx.tanh(a["c"])
    z = gx.tanh(c * o) if other else gx.tanh(c) * o
    return (z, c), z


def lstm_weights() -> tuple[dict[str, Node], dict[Node, np.ndarray]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for k in GATES:
        shapes |= {f"W{k}": (CLASSES, H), f"U{k}": (H, H), f"b{k}": (H,)}
    return weights(**shapes)


@pytest.mark.parametrize("other", [False, True])
def test_A52_B44_lstm(other: bool) -> None:
    p, env = lstm_weights()
    xs = gx.tensor("xs", ("t", CLASSES))
    (_, c), zs = gx.scan(lambda s, x: lstm(p, s, x, other), (gx.zeros(H), gx.zeros(H)), xs)
    data = onehot(TEXT[200:209])
    names = {name: env[node] for name, node in p.items()}

    def by_hand(v: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        h, cell, hs = np.zeros(H), np.zeros(H), []
        for x in data:
            a = {k: x @ v[f"W{k}"] + h @ v[f"U{k}"] + v[f"b{k}"] for k in GATES}
            cell = cell * sigmoid(a["f"]) + sigmoid(a["i"]) * np.tanh(a["c"])
            h = np.tanh(cell * sigmoid(a["o"])) if other else np.tanh(cell) * sigmoid(a["o"])
            hs.append(h)
        return np.array(hs), cell

    cost = gx.sum(zs * zs) + gx.sum(c)
    hs, cell, g = both([zs, c, gx.grad(cost, p)], {xs: data, **env}, rtol=1e-11)
    close([hs, cell], list(by_hand(names)))
    for name in ("Wf", "Ui", "bo", "Uc"):
        value = lambda v, name=name: (lambda r: np.sum(r[0] ** 2) + r[1].sum())(by_hand({**names, name: v}))
        np.testing.assert_allclose(g[name], difference(value, names[name]), rtol=1e-5, atol=1e-8)


def test_A52_an_open_gate_copies_exactly() -> None:
    """f = 1 and i = 0: the cell is copied, and so is its gradient, over a thousand turns."""
    p, env = lstm_weights()
    c0, xs = gx.tensor("c", (H,)), gx.tensor("xs", ("t", CLASSES))
    (_, c), _ = gx.scan(lambda s, x: lstm(p, s, x, extra={"f": 1.0, "i": 0.0}), (gx.zeros(H), c0), xs)
    start = RNG.normal(size=H)
    last, g = run([c, gx.jacobian(c, c0)], {c0: start, xs: onehot(TEXT[:1000]), **env})
    np.testing.assert_array_equal(last, start)
    np.testing.assert_array_equal(g, np.eye(H))


def test_B44_an_extra_tanh() -> None:
    """f = 0, i = o = 1: s_t = tanh(tanh(W s + U x + b)) exactly; the cell may grow by 1 a turn."""
    p, env = lstm_weights()
    xs = gx.tensor("xs", ("t", CLASSES))
    fixed = {"f": 0.0, "i": 1.0, "o": 1.0}
    _, zs = gx.scan(lambda s, x: lstm(p, s, x, True, fixed), (gx.zeros(H), gx.zeros(H)), xs)
    _, twice = gx.scan(lambda s, x: (gx.tanh(gx.tanh(x @ p["Wc"] + s @ p["Uc"] + p["bc"])),) * 2, gx.zeros(H), xs)
    a, b = both([zs, twice], {xs: onehot(TEXT[50:60]), **env})
    np.testing.assert_array_equal(a, b)
    grown, _ = gx.scan(lambda c, _: (c * 0.999 + 0.999 * 0.999, None), 0.0, length=5)
    np.testing.assert_allclose(run(grown, {}), 4.98, atol=0.005)


def test_B45_gru_has_fewer_parameters() -> None:
    shapes: dict[str, tuple[int, ...]] = {}
    for k in "zrh":
        shapes |= {f"W{k}": (CLASSES, H), f"U{k}": (H, H), f"b{k}": (H,)}
    p, env = weights(**shapes)
    xs = gx.tensor("xs", ("t", CLASSES))

    def gru(s: Any, x: Any) -> Any:
        z, r = (gx.sigmoid(x @ p[f"W{k}"] + s @ p[f"U{k}"] + p[f"b{k}"]) for k in "zr")
        new = gx.tanh(x @ p["Wh"] + (r * s) @ p["Uh"] + p["bh"])
        s = (1 - z) * s + z * new
        return s, s

    _, ys = gx.scan(gru, gx.zeros(H), xs)
    data, names = onehot(TEXT[300:306]), {name: env[node] for name, node in p.items()}
    s, want = np.zeros(H), []
    for x in data:
        z, r = (sigmoid(x @ names[f"W{k}"] + s @ names[f"U{k}"] + names[f"b{k}"]) for k in "zr")
        s = (1 - z) * s + z * np.tanh(x @ names["Wh"] + (r * s) @ names["Uh"] + names["bh"])
        want.append(s)
    close(both(ys, {xs: data, **env}), np.array(want))
    assert gx.check_grad(gx.sum(ys**2), p, {xs: data, **env}, order=2) < 1e-5
    assert sum(v.size for v in env.values()) == 3 * sum(v.size for v in lstm_weights()[1].values()) // 4


# -- B40 to B43: word predictors, lengths, gradients, clipping --------------------------------------------
def predictor() -> tuple[dict[str, Node], dict[Node, np.ndarray]]:
    return weights(U=(H, CLASSES), W=(H, H), b=(H,), V=(CLASSES, H), c=(CLASSES,))


def states_of(p: dict[str, Node], xs: Node) -> tuple[Node, Node]:
    """s_t = tanh(U x_t + W s_(t-1) + b), s_0 = 0."""
    return gx.scan(lambda s, x: (gx.tanh(p["U"] @ x + p["W"] @ s + p["b"]),) * 2, gx.zeros(H), xs)


def test_B40_a_predictor_of_the_next_character() -> None:
    p, env = predictor()
    xs = gx.tensor("xs", ("t", CLASSES))
    last, states = states_of(p, xs)
    outputs = gx.softmax(states @ p["V"].T + p["c"], axis=-1)
    end = gx.softmax(p["V"] @ last + p["c"])
    data = onehot(TEXT[:12])
    every, final = both([outputs, end], {xs: data, **env})
    s = np.zeros(H)
    for t, x in enumerate(data):
        s = np.tanh(env[p["U"]] @ x + env[p["W"]] @ s + env[p["b"]])
        y = np.exp(env[p["V"]] @ s + env[p["c"]])
        np.testing.assert_allclose(every[t], y / y.sum(), rtol=1e-12)
    np.testing.assert_allclose(final, every[-1], rtol=1e-13)


def test_B41_padded_and_bucketed() -> None:
    """Padded and masked, by a vmap of the loop of one sentence, as each sentence alone; one compiled function serves all buckets."""
    p, env = predictor()
    lines = sorted((line for line in RAW.splitlines() if 4 <= len(line) <= 16), key=len)[:6]
    sentences = [onehot(np.array([KNOWN.index(ch) if ch in KNOWN else CLASSES - 1 for ch in line])) for line in lines]

    def last_state(xs: Node, n: Node) -> Node:
        def step(s: Any, x: Any) -> Any:
            new = gx.tanh(p["U"] @ x + p["W"] @ s + p["b"])
            return gx.where(gx.turn_index() < n, new, s), None

        return gx.scan(step, gx.zeros(H), xs)[0]

    xs, n = gx.tensor("xs", ("m", "t", CLASSES)), gx.tensor("n", ("m",), "int64")
    last, cell = gx.vmap(last_state)(xs, n), {name: p[name] for name in ("U", "W", "b")}
    f = gx.function([xs, n, *p.values()], [last, gx.grad(gx.sum(last**2), cell)])
    one = gx.tensor("one", ("t", CLASSES))
    single = gx.function([one, *p.values()], [states_of(p, one)[0], gx.grad(gx.sum(states_of(p, one)[0] ** 2), cell)])
    for bucket in (sentences, sentences[:2], sentences[3:]):
        longest = max(map(len, bucket))
        padded = np.stack([np.pad(s, ((0, longest - len(s)), (0, 0)), constant_values=0.3) for s in bucket])
        found, g = f(padded, np.array(list(map(len, bucket))), *env.values())
        alone = [single(s, *env.values()) for s in bucket]
        np.testing.assert_allclose(found, np.stack([a[0] for a in alone]), rtol=1e-12)
        for name in ("U", "W", "b"):
            np.testing.assert_allclose(g[name], sum(a[1][name] for a in alone), rtol=1e-10, atol=1e-14)


def test_B42_gradients_by_the_formulas() -> None:
    """de_t/ds_t = V^T (y_t - target); de/dV = sum of (y - target) s^T; de/dW by the corrected forward recursion 13.7."""
    p, env = predictor()
    xs = gx.tensor("xs", ("t", CLASSES))
    _, states = states_of(p, xs[:-1])
    cost = -gx.sum(gx.log_softmax(states @ p["V"].T + p["c"], axis=-1) * xs[1:])
    data = onehot(TEXT[400:407])
    g, through = both([gx.grad(cost, p), gx.grad(cost, states)], {xs: data, **env})
    v = {name: env[node] for name, node in p.items()}
    s, S, dW, dU, dV, dS = np.zeros(H), [], np.zeros((H, H)), np.zeros((H, CLASSES)), np.zeros((CLASSES, H)), []
    R, Q = np.zeros((H, H, H)), np.zeros((H, H, CLASSES))  # ds/dW, ds/dU
    for x, target in itertools.pairwise(data):
        before, s = s, np.tanh(v["U"] @ x + v["W"] @ s + v["b"])
        slope = (1 - s * s)[:, None, None]
        R = slope * (np.einsum("ij,k->ijk", np.eye(H), before) + np.einsum("ia,ajk->ijk", v["W"], R))
        Q = slope * (np.einsum("ij,k->ijk", np.eye(H), x) + np.einsum("ia,ajk->ijk", v["W"], Q))
        y = np.exp(v["V"] @ s + v["c"])
        e = y / y.sum() - target
        dS.append(v["V"].T @ e)
        dW += np.einsum("i,ijk->jk", dS[-1], R)
        dU += np.einsum("i,ijk->jk", dS[-1], Q)
        dV += np.outer(e, s)
        S.append(s)
    np.testing.assert_allclose(through, dS, rtol=1e-11, atol=1e-14)
    for name, want in (("W", dW), ("U", dU), ("V", dV)):
        np.testing.assert_allclose(g[name], want, rtol=1e-10, atol=1e-13)


def test_B43_slopes_below_one_and_clipping() -> None:
    """a_ii = 1 - s^2 < 1; the gradient of a long product explodes, and is clipped to a range, or to a norm, in each turn of the descent."""
    p, env = predictor()
    z = gx.tensor("z", (H,))
    one = gx.tanh(p["W"] @ z + p["b"])
    slopes = run(gx.jacobian(one, z), {z: RNG.normal(size=H), **env}) @ np.linalg.inv(env[p["W"]])
    assert np.all(np.diag(slopes) < 1) and np.allclose(slopes, np.diag(np.diag(slopes)))
    w, turns = gx.tensor("w", (2, 2)), 60
    last = gx.fori_loop(0, turns, lambda i, s: gx.relu(w @ s), gx.ones(2))
    g = gx.grad(gx.sum(last), w)
    value = np.array([[1.3, 0.2], [0.1, 1.1]])
    exploded, ranged, normed = both([g, gx.clip(g, -1, 1), g * gx.minimum(1.0, 5.0 / gx.norm(g))], {w: value}, rtol=1e-10)
    assert np.abs(exploded).min() > 1e6
    np.testing.assert_array_equal(ranged, np.sign(exploded))
    np.testing.assert_allclose(np.linalg.norm(normed), 5, rtol=1e-12)

    def step(w: Any, _: Any) -> Any:
        loss = gx.sum(gx.fori_loop(0, 8, lambda i, s: gx.relu(w @ s), gx.ones(2)) ** 2)
        return w - 0.02 * gx.clip(gx.grad(loss, w), -1, 1), loss

    _, losses = gx.scan(step, w, length=40)
    found = run(losses, {w: value})
    assert np.all(np.isfinite(found)) and found[-1] < 1e-2 * found[0]


# -- B46: detectors of bits --------------------------------------------------------------------------------
def test_B46_detectors() -> None:
    """Threshold units with a state p: two in a row, a 1 that comes after two, a change; on 200 random bits."""
    bits = gx.tensor("bits", ("t",))
    unit = lambda v: (v > 0).astype("float64")

    def step(state: Any, x: Any) -> Any:
        p1, p2 = state
        a = unit(x - p1 - 0.5)  # a 1 after a 0
        b = unit(x + p1 + p2 - 2.5)  # the third 1 in a row
        c = unit(x + p1 - 1.5) + unit(-x - p1 + 0.5)  # as the bit before
        return (unit(x - 0.5), unit(p1 - 0.5)), (a, b, c)

    _, found = gx.scan(step, (0.0, 0.0), bits)
    data = RNG.integers(0, 2, 200)
    a, b, c = both(found, {bits: data.astype(float)})
    p1, p2 = np.concatenate([[0], data[:-1]]), np.concatenate([[0, 0], data[:-2]])
    np.testing.assert_array_equal(a, (data == 1) & (p1 == 0))
    np.testing.assert_array_equal(b, (data == 1) & (p1 == 1) & (p2 == 1))
    np.testing.assert_array_equal(c, data == p1)
    whole = gx.tensor("whole", ("t",), "int64")
    state, marks = gx.scan(lambda s, x: ((x == 1, s[0]), (x == 1) & s[0] & s[1]), (False, False), whole)
    np.testing.assert_array_equal(run(marks, {whole: data}), b.astype(bool))
    assert state[0].dtype == bool
