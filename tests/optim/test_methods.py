"""Every method against the numbers of the requirements, against its source written out in NumPy, and as one pass over its state."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice

import numpy as np
import pytest

import graphc as gx
from tests.optim import literal

o = gx.optim

# J = x^2 from x = 1: iterates of rows O5, O7, O9 to O12, both places of Adam's epsilon
GOLDEN = {
    "O5 momentum": (o.momentum(0.1, 0.9), [0.8, 0.46, 0.062]),
    "O7 nesterov": (o.nesterov(0.1, 0.9), [0.8, 0.496, 0.17792]),
    "O9 adagrad": (o.adagrad(0.1), [0.9000000049999998, 0.8331035341186127, 0.780456190054499]),
    "O10 rmsprop": (o.rmsprop(0.01, 0.9), [0.9683772629267129, 0.9457880791718353, 0.9270531609690082]),
    "O11 rmsprop nesterov": (
        o.rmsprop(0.01, 0.9, eps=0.0, momentum=0.9, nesterov=True),
        [0.9683772233983162, 0.9176600790908768, 0.8540854245033728],
    ),
    "O12 adam, printed": (o.adam(eps=0.0, eps_root=1e-8), [0.99900000000125, 0.9980000262063333, 0.997000096053888]),
    "O12 adam, common": (o.adam(), [0.999000000005, 0.9980000262138343, 0.9970000960651408]),
}

METHODS: dict[str, tuple[gx.optim.Optimizer, Callable[..., object]]] = {
    "sgd": (o.sgd(0.1), literal.sgd),
    "momentum": (o.momentum(0.1), literal.momentum),
    "nesterov": (o.nesterov(0.1), literal.nesterov),
    "adagrad": (o.adagrad(0.1), literal.adagrad),
    "rmsprop": (o.rmsprop(0.01), literal.rmsprop),
    "rmsprop nesterov": (o.rmsprop(0.01, eps=0.0, momentum=0.9, nesterov=True), literal.rmsprop_nesterov),
    "adadelta": (o.adadelta(), literal.adadelta),
    "adam": (o.adam(0.01), partial(literal.adam, rate=0.01)),
    "amsgrad": (o.adam(0.01, amsgrad=True), partial(literal.adam, rate=0.01, amsgrad=True)),
    "adamw": (o.adamw(0.01, weight_decay=0.1), partial(literal.adam, rate=0.01, decay=0.1)),
    "lion": (o.lion(0.01, weight_decay=0.1), literal.lion),
    "delta bar delta": (o.delta_bar_delta(0.1), literal.delta_bar_delta),
}

# a convex function of a tree: 4 numbers in a matrix, 3 in a vector
SCALES = np.array([[0.5, 2.0], [1.0, 3.0]])
START = {"W": np.array([[1.0, -0.7], [0.4, 2.0]]), "b": np.array([0.3, -1.5, 0.9])}
FLAT = np.concatenate([START["W"].ravel(), START["b"]])


def cost(p: dict[str, gx.Node]) -> gx.Node:
    return 0.5 * gx.sum(SCALES * p["W"] ** 2) + gx.sum(gx.log(gx.cosh(p["b"])))


def slope(x: np.ndarray) -> np.ndarray:
    return np.concatenate([SCALES.ravel() * x[:4], np.tanh(x[4:])])


def flat(p: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([np.ravel(p["W"]), np.ravel(p["b"])])


def trained(opt: gx.optim.Optimizer, start: dict[str, np.ndarray], steps: int) -> list[np.ndarray]:
    p = gx.shared(start, "p")
    step = gx.function([], None, updates=opt.updates(cost(p), p))
    return [(step(), flat(gx.get_values(p)))[1] for _ in range(steps)]


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_iterates(name: str) -> None:
    opt, wanted = GOLDEN[name]
    for dtype, tolerance in (("float64", 1e-12), ("float32", 1e-7)):  # 1e-7: three roundings of numbers near 1
        x = gx.shared(np.asarray(1, dtype), "x")
        step = gx.function([], None, updates=opt.updates(x**2, x))
        found = [(step(), float(x.get_value()))[1] for _ in wanted]
        np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", METHODS)
def test_written_out(name: str) -> None:
    """12 steps on a tree: `updates`, compiled, in float64 and float32; `update` of arrays, at the points ahead for Nesterov's methods."""
    opt, method = METHODS[name]
    wanted = np.array(list(islice(method(slope, FLAT), 12)))
    np.testing.assert_allclose(trained(opt, START, 12), wanted, rtol=1e-12)
    narrow = {k: v.astype("float32") for k, v in START.items()}
    np.testing.assert_allclose(trained(opt, narrow, 12), wanted, rtol=2e-5, atol=2e-6)

    p, state = START, opt.init(START)
    for k in range(12):
        x = flat(p)
        g = slope(x)
        p, state = opt.update({"W": g[:4].reshape(2, 2), "b": g[4:]}, state, p)
        if "nesterov" in name:  # x + a v, where the next gradient is taken, from the iterate and the step that led to it
            before = wanted[k - 1] if k else FLAT
            np.testing.assert_allclose(flat(p), wanted[k] + 0.9 * (wanted[k] - before), rtol=1e-12, atol=1e-15)
        else:
            np.testing.assert_allclose(flat(p), wanted[k], rtol=1e-12)
    assert gx.tree.structure(state) == gx.tree.structure(opt.init(START))
    assert all(isinstance(leaf, np.ndarray) for leaf in gx.tree.leaves((p, state)))


# arrays that one update reads and writes: gradient and parameters, and its slots, each once
TRAFFIC = {
    "sgd": 3, "momentum": 5, "adagrad": 5, "rmsprop": 5, "adadelta": 7, "adam": 7, "amsgrad": 9, "adamw": 7, "lion": 5,
    "delta bar delta": 7, "nesterov": 5, "rmsprop nesterov": 7,
}  # fmt: skip


@pytest.mark.parametrize("name", TRAFFIC)
def test_one_pass(name: str) -> None:
    """One kernel a leaf, in place, that reads and writes every array once; Adam's two scalars are a kernel of their own."""
    step = _of_two_leaves(METHODS[name][0])
    arrays = SIZE * 8 * TRAFFIC[name]
    assert arrays <= step.cost()["bytes"] <= arrays + 200  # and the scalars
    assert step.cost()["kernels"] == 2 + (TRAFFIC[name] >= 7 and name.startswith(("adam", "ams")))
    assert step.memory()["arena"] <= 200  # no array besides the state


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_clipping_is_one_more_pass(name: str) -> None:
    """The norm of all reads the gradients once, and nothing is stored for it but a few partial sums."""
    plain = METHODS[name][0]
    clipped = _of_two_leaves(o.chain(o.clip_by_global_norm(1.0, nonfinite="zero"), plain))
    arrays = SIZE * 8 * (TRAFFIC[name] + 1)
    assert arrays <= clipped.cost()["bytes"] <= arrays + 4000
    assert clipped.memory()["arena"] <= 4000


SIZE = 3000 * 90


def _of_two_leaves(opt: gx.optim.Optimizer) -> gx.Function:
    p = gx.shared({"W": np.zeros((3000, 40)), "V": np.zeros((3000, 50))}, "p")
    g = gx.like(gx.get_values(p), "g")
    return gx.function([g], None, updates=opt.updates(g, p))


def test_rates() -> None:
    """A number, a node, state and a schedule; the schedule sees 0, 1, 2, ..."""
    g = {"w": np.array([2.0, -1.0])}
    seen = lambda k: 0.1 / (1.0 + k)
    rate = gx.shared(np.array(0.1), "rate")
    x = gx.scalar("r")
    settings = ((0.1, [0.1] * 3, []), (rate, [0.1, 0.05, 0.05], []), (x, [0.1] * 3, [0.1]), (seen, [0.1, 0.05, 0.1 / 3], []))
    for setting, rates, given in settings:
        p = gx.shared({"w": np.zeros(2)}, "p")
        inputs = [x] if given else []
        step = gx.function(inputs, None, updates=o.sgd(setting).updates(g, p))
        total = 0.0
        for r in rates:
            rate.set_value(np.array(r))
            step(*given)
            total += r
            np.testing.assert_allclose(p["w"].get_value(), -total * g["w"], rtol=1e-15)
    rate.set_value(np.array(0.1))
    p, state = {"w": np.ones(2)}, o.adam(seen).init({"w": np.ones(2)})
    for _ in range(3):
        p, state = o.adam(seen).update(g, state, p)
    np.testing.assert_allclose(p["w"], 1 - (0.1 + 0.05 + 0.1 / 3) * np.sign(g["w"]), rtol=1e-8)


def test_momentum_grows_to_the_terminal_step() -> None:
    """Row O5: along a constant gradient the step grows to rate g / (1 - a); with a = 0.9 ten times that without."""
    p, opt = {"x": np.zeros(2)}, o.momentum(0.01, 0.9)
    state = opt.init(p)
    for _ in range(300):
        before, (p, state) = p, opt.update({"x": np.array([3.0, -3.0])}, state, p)
    np.testing.assert_allclose(p["x"] - before["x"], [-0.3, 0.3], rtol=1e-12)


def test_gradients_of_zero() -> None:
    """Row E2: where all gradients were 0 nothing moves, also without an epsilon: no 0 / 0."""
    for opt in (o.rmsprop(0.1, eps=0.0, nesterov=True), o.rmsprop(0.1, eps=0.0), o.adagrad(0.1, eps=0.0), o.adam(eps=0.0), o.adadelta()):
        p, state = {"x": np.ones(2)}, opt.init({"x": np.ones(2)})
        for _ in range(2):
            p, state = opt.update({"x": np.array([0.0, 1.0])}, state, p)
        assert p["x"][0] == 1 and p["x"][1] < 1 and np.isfinite(p["x"]).all()


def test_sizes() -> None:
    """0, 1 and symbolic sizes, 0-d parameters; a slot beside a parameter of a symbolic size follows it."""
    p = {"none": np.zeros((0, 3)), "one": np.ones((1, 1)), "number": np.array(2.0)}
    opt = o.adam(0.1)
    new, state = opt.update(p, opt.init(p), p)
    assert new["none"].shape == (0, 3) and new["number"].shape == () and state["mean"]["one"].shape == (1, 1)
    np.testing.assert_allclose([new["one"][0, 0], new["number"]], [0.9, 1.9], rtol=1e-8)
    w = gx.shared(np.ones(4), "w", shape=("n",))
    pairs = opt.updates(gx.sum(w**2), w)
    step = gx.function([], None, updates=pairs)
    step()
    assert pairs.state["mean"].shape == w.shape
    for s in (w, pairs.state["mean"], pairs.state["square"]):
        s.set_value(np.ones(2))
    step()
    assert w.get_value().shape == (2,)


def test_inside_a_loop() -> None:
    """`init` and `update` of nodes: a whole descent in one scan is the same as call by call."""
    opt = o.chain(o.clip_by_global_norm(2.0), o.adam(0.05))
    start = gx.like(START, "start")

    def turn(carry: tuple[object, object], _: None) -> tuple[tuple[object, object], gx.Node]:
        p, state = carry
        new, after = opt.update(gx.grad(cost(p), p), state, p)
        return (new, after), cost(p)

    (last, _), costs = gx.scan(turn, (start, opt.init(start)), length=20)
    found, listed = gx.function([start], (last, costs))(START)
    np.testing.assert_allclose(flat(found), trained(opt, START, 20)[-1], rtol=1e-12)
    assert np.all(np.diff(listed) < 0)
