"""spec/003.md: R1 to R13 and O6: recurrent nets, their gradients through time, generation, and motion with drag, as loops in the graph."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.integrate
from scipy.signal import lfilter

import graphc as gx
from graphc import tree
from graphc.ir import Node, toposort
from tests.spec.kit import both, close, difference, optimised, run

RNG = np.random.default_rng(10)
N, D, C = 5, 4, 6  # hidden units, inputs, classes
VALUES = {
    "U": RNG.normal(size=(D, N)) * 0.5, "W": RNG.normal(size=(N, N)) * 0.5, "V": RNG.normal(size=(N, C)) * 0.5,
    "b": RNG.normal(size=N) * 0.1, "c": RNG.normal(size=C) * 0.1,
}  # fmt: skip
P = gx.like(VALUES, "p")
ENV = {p: VALUES[name] for name, p in P.items()}
XS, YS = gx.tensor("xs", ("t", D)), gx.tensor("ys", ("t",), "int64")


def text() -> np.ndarray:
    """Real text, a file of the standard library, as numbers of characters, the rare ones as one."""
    raw = Path(json.__file__).read_text()
    known = sorted(set(raw), key=lambda ch: (-raw.count(ch), ch))[: C - 1]
    return np.array([known.index(ch) if ch in known else C - 1 for ch in raw])


TEXT = text()


def example(length: int, seed: int = 0) -> dict[Node, np.ndarray]:
    """A piece of the text: inputs are a fixed random code of each character, targets the next one."""
    codes = np.random.default_rng(3).normal(size=(C, D))
    begin = 40 + 97 * seed
    piece = TEXT[begin : begin + length + 1]
    return {XS: codes[piece[:-1]], YS: piece[1:], **ENV}


def hidden(p: Any, h: Any, x: Any) -> Any:
    """Equations 10.8 and 10.9."""
    return gx.tanh(x @ p["U"] + h @ p["W"] + p["b"])


def net(p: Any, xs: Node) -> tuple[Node, Node]:
    """(the last state, all states)"""
    return gx.scan(lambda h, x: (hidden(p, h, x),) * 2, gx.zeros(N), xs)


def cost_of(p: Any, hs: Node, ys: Node) -> Node:
    """The sum over time of -log p(y), equations 10.10 to 10.14."""
    logp = gx.log_softmax(hs @ p["V"] + p["c"], axis=-1)
    return -gx.sum(gx.take_along_axis(logp, ys[:, None], axis=1))


def states(xs: np.ndarray, v: Any = VALUES) -> list[np.ndarray]:
    h, found = np.zeros(N), []
    for x in xs:
        h = np.tanh(x @ v["U"] + h @ v["W"] + v["b"])
        found.append(h)
    return found


def numpy_cost(xs: np.ndarray, ys: np.ndarray, v: Any = VALUES) -> float:
    total = 0.0
    for h, y in zip(states(xs, v), ys):
        o = h @ v["V"] + v["c"]
        total -= o[y] - np.log(np.exp(o).sum())
    return total


# -- R1, R2: dynamical systems, unfolded ------------------------------------------------------------
@pytest.mark.parametrize("turns", [0, 1, 2, 6])
def test_R1_scan_is_its_unfolding(turns: int) -> None:
    """The definition applied so often: s(3) = f(f(s(1))); forward and gradient."""
    s, w = gx.tensor("s", (N,)), gx.tensor("w", (N, N))
    f = lambda s: gx.tanh(w @ s)
    unfolded = s
    for _ in range(turns):
        unfolded = f(unfolded)
    cost = lambda last: gx.sum(last * last)
    looped = gx.fori_loop(0, turns, lambda i, s: f(s), s)
    pairs = [[last, *gx.grad(cost(last), [s, w], disconnected="zero")] for last in (looped, unfolded)]
    a, b = both(pairs, {s: VALUES["b"] * 9, w: VALUES["W"]})
    close(a, b)


def test_R1_the_number_of_turns_is_known_at_the_call() -> None:
    s, t = gx.tensor("s", (N,)), gx.tensor("w", (N, N))
    last, _ = gx.scan(lambda s, _: (gx.tanh(t @ s), None), s, length="turns")
    f = gx.function([s, t, gx.dim("turns")], last)
    state = VALUES["b"] * 9
    for turns in range(4):
        np.testing.assert_allclose(f(VALUES["b"] * 9, VALUES["W"], turns), state, rtol=1e-13)
        state = np.tanh(VALUES["W"] @ state)


def test_R2_driven_by_a_sequence() -> None:
    """A first-order filter of a series, with shared parameters: scipy.signal.lfilter by another name."""
    x, a, b = gx.tensor("x", ("n",)), gx.scalar("a"), gx.scalar("b")
    _, ys = gx.scan(lambda s, x: (a * s + b * x,) * 2, 0.0, x)
    series = np.cumsum(RNG.normal(size=200))

    found = both([ys, gx.grad(gx.sum(ys**2), [a, b])], {x: series, a: 0.9, b: 0.2})
    np.testing.assert_allclose(found[0], lfilter([0.2], [1, -0.9], series), rtol=1e-11)
    by_hand = lambda v: np.sum(lfilter([v[1]], [1, -v[0]], series) ** 2)
    np.testing.assert_allclose(found[1], difference(by_hand, np.array([0.9, 0.2])), rtol=1e-5)


# -- R3, R5, R6, R7: recurrent nets and their gradients ----------------------------------------------
@pytest.mark.parametrize("length", [1, 2, 9])
def test_R3_output_at_every_step(length: int) -> None:
    env = example(length)
    _, hs = net(P, XS)
    found = both([hs, cost_of(P, hs, YS)], env)
    close(found, [np.array(states(env[XS])), numpy_cost(env[XS], env[YS])])
    small = {**env, **{p: v * 1e-3 for p, v in ENV.items()}}
    np.testing.assert_allclose(run(cost_of(P, hs, YS), small), length * np.log(C), rtol=1e-3)


def test_R5_output_at_the_end_alone_keeps_no_states() -> None:
    """Digits by rows would read the last state: forward, nothing of the others is stored."""
    env = example(7)
    last, _ = net(P, XS)
    logits = last @ P["V"] + P["c"]
    close(both(logits, env), states(env[XS])[-1] @ VALUES["V"] + VALUES["c"])
    graph = optimised(list(env), logits)
    (loop,) = [n for n in toposort(graph.outputs) if n.op.name == "scan"]
    assert len(loop.type) == loop.attrs["carries"], "the loop gives no rows"


def test_R6_back_propagation_through_time() -> None:
    """Equations 10.17 to 10.21 in the order that is right, and the gradients of the parameters, against `grad`."""
    env = example(6)
    xs, ys = env[XS], env[YS]
    _, hs = net(P, XS)
    cost = cost_of(P, hs, YS)
    found = run(gx.grad(cost, P), env)
    hidden_states = [np.zeros(N), *states(xs)]
    g = {name: np.zeros_like(v) for name, v in VALUES.items()}
    later = np.zeros(N)
    for t in reversed(range(6)):
        h, before = hidden_states[t + 1], hidden_states[t]
        o = h @ VALUES["V"] + VALUES["c"]
        do = np.exp(o) / np.exp(o).sum() - np.eye(C)[ys[t]]  # 10.18
        dh = VALUES["V"] @ do + later  # 10.19, 10.20
        g["V"] += np.outer(h, do)
        g["c"] += do
        dz = (1 - h**2) * dh
        g["W"] += np.outer(before, dz)
        g["U"] += np.outer(xs[t], dz)
        g["b"] += dz
        later = VALUES["W"] @ dz  # 10.21: W^T diag(1 - h^2) dh
    close([found[name] for name in g], list(g.values()), rtol=1e-11)
    for name in VALUES:
        numbers = difference(lambda v, name=name: numpy_cost(xs, ys, {**VALUES, name: v}), VALUES[name])
        np.testing.assert_allclose(found[name], numbers, rtol=1e-5, atol=1e-7)


def test_R6_the_gradient_is_a_loop_from_the_other_end() -> None:
    _, hs = net(P, XS)
    graph = optimised([XS, YS, *P.values()], tree.leaves(gx.grad(cost_of(P, hs, YS), P)))
    loops = [n for n in toposort(graph.outputs) if n.op.name == "scan"]
    assert [n.attrs["reverse"] for n in loops] == [False, True]


def test_R7_second_order() -> None:
    """A Hessian-vector product through two loops: symmetric, and the difference of gradients."""
    env = example(5)
    _, hs = net(P, XS)
    cost = cost_of(P, hs, YS)
    u, v = ({name: RNG.normal(size=a.shape) for name, a in VALUES.items()} for _ in range(2))
    along = sum(gx.sum(g * u[name]) for name, g in gx.grad(cost, P).items())
    hu, hv, reverse = both([gx.hvp(cost, P, u), gx.hvp(cost, P, v), gx.grad(along, P)], env)
    dot = lambda a, b: sum(float((a[n] * b[n]).sum()) for n in VALUES)
    np.testing.assert_allclose(dot(hu, v), dot(hv, u), rtol=1e-11)
    close(reverse, hu, rtol=1e-9, atol=1e-12)
    gradient = gx.function(list(env), gx.grad(cost, P))
    moved = [gradient(*{**env, **{P[n]: VALUES[n] + s * 1e-6 * u[n] for n in VALUES}}.values()) for s in (1, -1)]
    for name in VALUES:
        np.testing.assert_allclose(hu[name], (moved[0][name] - moved[1][name]) / 2e-6, rtol=1e-5, atol=1e-6)


# -- R4, R8, R9, R10: outputs fed back --------------------------------------------------------------
def from_output(p: Any, o: Any, x: Any) -> Any:
    """The net of figure 10.4: the state depends on the last output alone."""
    return gx.softmax(gx.tanh(x @ p["U"] + o @ p["R"] + p["b"]) @ p["V"] + p["c"], axis=-1)


PR = {**P, "R": gx.tensor("R", (C, N))}
R = RNG.normal(size=(C, N)) * 0.5


def test_R4_R8_teacher_forcing_needs_no_loop() -> None:
    """Fed with targets, the steps do not depend on one another: a map, of which nothing is a loop. Fed with outputs, it is one."""
    env: dict[Node, Any] = {**example(6), PR["R"]: R}
    targets = gx.one_hot(YS, C)
    fed = gx.concatenate([gx.zeros((1, C)), targets[:-1]])
    _, forced = gx.scan(lambda _, row: (None, from_output(PR, row[0], row[1])), None, (fed, XS))
    _, free = gx.scan(lambda o, x: (from_output(PR, o, x),) * 2, gx.zeros(C), XS)
    batched = from_output(PR, fed, XS)
    one, two, three = both([forced, batched, free], env)
    close(one, two)
    o = np.zeros(C)
    for t, x in enumerate(env[XS]):
        z = np.exp(np.tanh(x @ VALUES["U"] + o @ R + VALUES["b"]) @ VALUES["V"] + VALUES["c"])
        o = z / z.sum()
        np.testing.assert_allclose(three[t], o, rtol=1e-12)
    read = {name: p for name, p in PR.items() if name != "W"}
    close(*both([gx.grad(gx.sum(y**2), read) for y in (forced, batched)], env), rtol=1e-10, atol=1e-14)


def test_R8_the_chain_rule_of_probabilities() -> None:
    """Equation 10.16: log p(y1, y2) is log p(y2 | y1) + log p(y1): a cost of two steps is the sum of those of one."""
    env = example(2)
    _, hs = net(P, XS)
    whole = run(cost_of(P, hs, YS), env)
    steps = [-(o := h @ VALUES["V"] + VALUES["c"])[y] + np.log(np.exp(o).sum()) for h, y in zip(states(env[XS]), env[YS])]
    np.testing.assert_allclose(whole, sum(steps), rtol=1e-13)


def test_R9_free_running_until_a_stop() -> None:
    """The likeliest character is fed back, until one that stops or 30 steps."""
    codes = np.random.default_rng(3).normal(size=(C, D))
    stop, table = 2, gx.asarray(codes)

    def step(value: Any) -> Any:
        h, ch, out = value
        h = hidden(P, h, table[ch])
        ch = gx.argmax(h @ P["V"] + P["c"])
        return h, ch, out.at[gx.turn_index()].set(ch)

    first = gx.scalar("first", "int64")
    _, last, out = gx.while_loop(lambda v: v[1] != stop, step, (gx.zeros(N), first, gx.full(30, -1)), max_steps=30)
    for begin in range(C):
        h, ch, found = np.zeros(N), begin, []
        while ch != stop and len(found) < 30:
            h = np.tanh(codes[ch] @ VALUES["U"] + h @ VALUES["W"] + VALUES["b"])
            ch = int(np.argmax(h @ VALUES["V"] + VALUES["c"]))
            found.append(ch)
        end, sequence = both([last, out], {first: begin, **ENV})
        assert end == ch
        np.testing.assert_array_equal(sequence, found + [-1] * (30 - len(found)))


@pytest.mark.parametrize("chance", [0.0, 0.4, 1.0])
def test_R10_scheduled_sampling(chance: float) -> None:
    """In each step the target or the output is fed back, by given uniform numbers: 0 is teacher forcing exactly, 1 is free running."""
    env: dict[Node, Any] = {**example(8), PR["R"]: R}
    draws, p = gx.tensor("u", ("t",)), gx.scalar("p")
    targets = gx.one_hot(YS, C)

    def step(o: Any, row: Any) -> Any:
        out = from_output(PR, o, row[0])
        return gx.where(row[2] < p, out, row[1]), out

    _, outs = gx.scan(step, gx.zeros(C), (XS, targets, draws))
    uniform = RNG.uniform(size=8)
    found = both(outs, {**env, draws: uniform, p: chance})
    fed, expected = np.zeros(C), []
    for x, y, u in zip(env[XS], env[YS], uniform):
        z = np.exp(np.tanh(x @ VALUES["U"] + fed @ R + VALUES["b"]) @ VALUES["V"] + VALUES["c"])
        expected.append(z / z.sum())
        fed = expected[-1] if u < chance else np.eye(C)[y]
    close(found, np.array(expected))


# -- R11, R12, R13 ----------------------------------------------------------------------------------
def test_R11_sentences_of_different_lengths() -> None:
    """Padded and masked, the cost and its gradient are those of each sentence alone."""
    lengths = [3, 7, 1, 5]
    each = [example(n, seed) for seed, n in enumerate(lengths)]
    xs, ys = gx.tensor("xs", ("t", "b", D)), gx.tensor("ys", ("t", "b"), "int64")
    sizes = gx.tensor("sizes", ("b",), "int64")

    def step(carry: Any, row: Any) -> Any:
        h, total = carry
        x, y = row
        on = gx.turn_index() < sizes
        new = hidden(P, h, x)
        logp = gx.log_softmax(new @ P["V"] + P["c"], axis=-1)
        cost = -gx.take_along_axis(logp, y[:, None], axis=1)[:, 0]
        return (gx.where(on[:, None], new, h), total + gx.sum(gx.where(on, cost, 0.0))), None

    (last, cost), _ = gx.scan(step, (gx.zeros((xs.shape[1], N)), 0.0), (xs, ys))
    longest = max(lengths)
    wide = np.full((longest, 4, D), 1e3)  # what is masked may hold any number
    labels = np.zeros((longest, 4), np.int64)
    for k, one in enumerate(each):
        wide[: lengths[k], k], labels[: lengths[k], k] = one[XS], one[YS]
    env = {xs: wide, ys: labels, sizes: np.array(lengths), **ENV}
    found = both([last, cost, gx.grad(cost, P)], env)
    _, hs = net(P, XS)
    alone = [run([hs[-1], cost_of(P, hs, YS), gx.grad(cost_of(P, hs, YS), P)], one) for one in each]
    close(found[0], np.stack([a[0] for a in alone]))
    close(found[1], sum(a[1] for a in alone))
    for name in VALUES:
        np.testing.assert_allclose(found[2][name], sum(a[2][name] for a in alone), rtol=1e-11, atol=1e-13)


def test_R12_backwards_in_time_and_in_two_dimensions() -> None:
    """A reversed scan is a scan of the reversed rows; a net over a picture is a scan of scans."""
    env = example(6)
    _, back = gx.scan(lambda h, x: (hidden(P, h, x),) * 2, gx.zeros(N), XS, reverse=True)
    close(both(back, env), np.array(states(env[XS][::-1]))[::-1])
    picture = gx.tensor("picture", ("r", "c"))
    a = gx.scalar("a")

    def row(above: Any, pixels: Any) -> Any:
        _, here = gx.scan(lambda left, pair: (gx.tanh(pair[0] + a * left + a * pair[1]),) * 2, 0.0, (pixels, above))
        return here, here

    _, map2d = gx.scan(row, gx.zeros(picture.shape[1]), picture)
    image = RNG.normal(size=(4, 5))

    def by_hand(weight: Any) -> np.ndarray:
        h = np.zeros((5, 6))
        for i in range(4):
            for j in range(5):
                h[i + 1, j + 1] = np.tanh(image[i, j] + weight * h[i + 1, j] + weight * h[i, j + 1])
        return h[1:, 1:]

    found = both([map2d, gx.grad(gx.sum(map2d**2), a)], {picture: image, a: 0.7})
    close(found[0], by_hand(0.7))
    np.testing.assert_allclose(found[1], difference(lambda v: np.sum(by_hand(v[0]) ** 2), [0.7])[0], rtol=1e-7)


def test_R13_an_automaton_is_exact() -> None:
    """Parity by threshold units, of sequences far longer than any that it was written for."""
    bits = gx.tensor("bits", ("n",), "int64")

    def step(p: Any, b: Any) -> Any:
        x, before = b.astype("float64"), p
        one = (x + before > 0.5).astype("float64")
        two = (x + before > 1.5).astype("float64")
        return one - two, one - two

    last, every = gx.scan(step, 0.0, bits)
    for n in (1, 2, 3, 1000, 20_000):
        sequence = RNG.integers(0, 2, n)
        end, path = run([last, every], {bits: sequence})
        np.testing.assert_array_equal(path, np.cumsum(sequence) % 2)
        assert end == sequence.sum() % 2


# -- O6: motion with drag ---------------------------------------------------------------------------
DRAGS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "viscous": (lambda v: -v, lambda t: np.exp(-t)),
    "turbulent": (lambda v: -v * gx.abs(v), lambda t: 1 / (t + 1)),
    "dry": (lambda v: -gx.sign(v), lambda t: np.maximum(1 - t, 0)),
}


@pytest.mark.parametrize("drag", DRAGS)
def test_O6_drag(drag: str) -> None:
    """Euler's steps of position and velocity from v = 1 towards the closed forms; distances log t, bounded, and at rest."""
    force, exact = DRAGS[drag]
    h = gx.scalar("h")

    def step(state: Any, _: Any) -> Any:
        x, v = state
        new = v + h * force(v)
        if drag == "dry":
            new = gx.where(new * v < 0, 0.0, new)  # friction stops a body, and does not push it back
        return (x + h * v, new), (x, v)

    (x, v), (path, speed) = gx.scan(step, (0.0, 1.0), length="n")
    f = gx.function([h, gx.dim("n")], [x, v, path, speed])
    errors = []
    for n in (500, 1000):
        _, _, _, speeds = f(4 / n, n)
        errors.append(np.abs(speeds - exact(np.arange(n) * 4 / n)).max())
    assert errors[1] < 0.6 * errors[0] + 1e-12 and errors[1] < 0.01
    far = [f(0.01, n)[0] for n in (400, 40_000)]
    if drag == "turbulent":
        np.testing.assert_allclose(far[1] - far[0], np.log(401 / 5), rtol=0.02)
    else:
        assert far[1] <= 1.01 and far[1] - far[0] < 0.02
    if drag == "dry":
        assert f(0.01, 40_000)[1] == 0


def test_O6_puck_against_solve_ivp() -> None:
    """A puck in a bowl with turbulent drag, two carried states, by Runge and Kutta, and how its end depends on its start."""
    x0, v0 = gx.tensor("x", (2,)), gx.tensor("v", (2,))
    slope = lambda x, v: (v, -x - 0.3 * v * gx.sqrt(gx.sum(v * v)))
    h, turns = 0.01, 300

    def step(state: Any, _: Any) -> Any:
        x, v = state
        k1 = slope(x, v)
        k2 = slope(x + h / 2 * k1[0], v + h / 2 * k1[1])
        k3 = slope(x + h / 2 * k2[0], v + h / 2 * k2[1])
        k4 = slope(x + h * k3[0], v + h * k3[1])
        move = lambda k: h / 6 * (k1[k] + 2 * k2[k] + 2 * k3[k] + k4[k])
        return (x + move(0), v + move(1)), None

    (x, v), _ = gx.scan(step, (x0, v0), length=turns)
    begin = np.array([1.0, 0.5, -0.3, 0.8])

    def solved(s: np.ndarray) -> np.ndarray:
        rhs = lambda _, s: np.concatenate([s[2:], -s[:2] - 0.3 * s[2:] * np.hypot(*s[2:])])
        return scipy.integrate.solve_ivp(rhs, (0, h * turns), s, method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]

    found = both([x, v, gx.jacobian([x, v], [x0, v0])], {x0: begin[:2], v0: begin[2:]}, rtol=1e-9)
    np.testing.assert_allclose(np.concatenate(found[:2]), solved(begin), rtol=1e-7)
    np.testing.assert_allclose(np.block(found[2]), difference(solved, begin, 1e-4), rtol=1e-4, atol=1e-6)
