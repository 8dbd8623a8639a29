"""Chains, clipping, weight decay, masks, projections and averages; schedules; what is refused, and how."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx

o, s = gx.optim, gx.optim.schedules
P = {"W": np.array([[3.0, -1.0], [0.5, 2.0]]), "b": np.array([1.0, -2.0])}
G = {"W": np.array([[2.0, -4.0], [0.0, 5.0]]), "b": np.array([-6.0, 0.5])}


def stepped(opt: gx.optim.Optimizer, g: Any = G, p: Any = P) -> Any:
    """The parameters after one update."""
    return opt.update(g, opt.init(p), p)[0]


def moved(*stages: gx.optim.Optimizer, g: Any = G, p: Any = P) -> Any:
    """What the stages make of the gradients: minus the step of descent with rate 1 behind them."""
    return gx.tree.map(lambda a, b: a - b, p, stepped(o.chain(*stages, o.sgd(1.0)), g, p))


def close(found: Any, wanted: Any, rtol: float = 1e-14) -> None:
    assert gx.tree.structure(found) == gx.tree.structure(wanted)
    for a, b in zip(gx.tree.leaves(found), gx.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-15)


def test_clipping() -> None:
    """Row S4: by value, by the norm of each leaf, by the norm of all; below the limit, and at 0, nothing changes."""
    norm = math.sqrt(sum(float(np.sum(g**2)) for g in G.values()))
    np.testing.assert_allclose(o.global_norm(G).eval(), norm, rtol=1e-15)
    close(moved(o.clip_by_value(2.0)), {k: np.clip(g, -2, 2) for k, g in G.items()})
    close(moved(o.clip_by_norm(3.0)), {k: g * min(1, 3 / np.linalg.norm(g)) for k, g in G.items()})
    close(moved(o.clip_by_global_norm(3.0)), {k: g * 3 / norm for k, g in G.items()})
    close(moved(o.clip_by_global_norm(lambda k: 3.0 + k)), {k: g * 3 / norm for k, g in G.items()})
    zeros = gx.tree.map(np.zeros_like, G)
    for stage in (o.clip_by_norm(norm), o.clip_by_global_norm(norm + 1e-9)):
        close(moved(stage), G)
        close(moved(stage, g=zeros), zeros)
    close(moved(o.clip_by_global_norm(0.0)), zeros)
    close(moved(o.clip_by_global_norm(0.0), g=zeros), zeros)


def test_clipping_of_large_and_broken_gradients() -> None:
    """Squares of float32 do not overflow; nan and inf are kept, or make every gradient 0."""
    big = {"x": np.array([3e30, -4e30], "float32")}
    start = {"x": np.zeros(2, "float32")}
    np.testing.assert_allclose(moved(o.clip_by_global_norm(1.0), g=big, p=start)["x"], [0.6, -0.8], rtol=1e-6)
    for wrong in (np.nan, np.inf, -np.inf):
        g = {"W": G["W"], "b": np.array([wrong, 1.0])}
        kept = moved(o.clip_by_global_norm(1.0), g=g)
        assert np.isnan(kept["b"][0]) and not np.any(kept["W"][np.isfinite(kept["W"])])
        close(moved(o.clip_by_global_norm(1.0, nonfinite="zero"), g=g), gx.tree.map(np.zeros_like, G))
        assert np.isfinite(moved(o.clip_by_value(1.0), g=g)["b"][0]) != np.isnan(wrong)
        by_leaf = moved(o.clip_by_norm(1.0, nonfinite="zero"), g=g)
        close(by_leaf["b"], np.zeros(2))
        close(by_leaf["W"], G["W"] / np.linalg.norm(G["W"]))


def test_steps_left_out() -> None:
    """`apply_if_finite`: parameters, moments and the count stay as they are, bit for bit."""
    opt = o.apply_if_finite(o.adam(0.1))
    p, state = opt.update(G, opt.init(P), P)
    q, after = opt.update({"W": G["W"], "b": np.array([1.0, np.nan])}, state, p)
    assert all(map(np.array_equal, gx.tree.leaves((q, after["inner"])), gx.tree.leaves((p, state["inner"]))))
    assert int(after["skipped"]) == 1 and int(after["inner"]["count"]) == 1
    close(opt.update(G, after, q)[0], o.adam(0.1).update(G, state["inner"], p)[0])


def test_weight_decay() -> None:
    """Row M13: a prior around a centre adds decay (p - c); AdamW's decay is not seen by its moments; both for parts of a tree."""
    centre = gx.tree.map(lambda a: a - 0.25, P)
    close(moved(o.add_decayed_weights(0.1)), gx.tree.map(lambda g, p: g + 0.1 * p, G, P))
    close(moved(o.add_decayed_weights(0.1, centre)), gx.tree.map(lambda g: g + 0.1 * 0.25, G))
    matrices = o.masked(o.add_decayed_weights(0.1), {"W": True, "b": False})
    close(moved(matrices), {"W": G["W"] + 0.1 * P["W"], "b": G["b"]})
    for around in (centre, {"W": centre["W"]}):  # what is masked needs no centre
        part = o.masked(o.add_decayed_weights(0.1, around), {"W": True, "b": False})
        close(moved(part), {"W": G["W"] + 0.1 * 0.25, "b": G["b"]})
    plain, decayed = stepped(o.adam(0.01)), stepped(o.adamw(0.01, weight_decay=0.5))
    close(decayed, gx.tree.map(lambda a, p: a - 0.01 * 0.5 * p, plain, P))


def test_parts_of_a_tree() -> None:
    """Row I10: what is frozen keeps every bit, has no slot, and its loss may not even depend on it."""
    params = {"trunk": {"W": P["W"]}, "head": {"W": P["W"] + 1, "b": P["b"]}}
    for opt in (
        o.freeze(o.nesterov(0.1), {"trunk": True, "head": False}),
        o.freeze(o.nesterov(0.1), lambda path: path.startswith("['trunk']")),
        o.masked(o.nesterov(0.1), {"trunk": {"W": False}, "head": True}),
    ):
        p = gx.shared(params, "p")
        pairs = opt.updates(gx.sum(p["head"]["W"] ** 2) + gx.sum(p["head"]["b"] ** 2), p)
        assert len(pairs) == 4 and all(a is not p["trunk"]["W"] for a, _ in pairs)
        gx.function([], None, updates=pairs)()
        close(gx.get_values(p), {"trunk": params["trunk"], "head": gx.tree.map(lambda a: 0.8 * a, params["head"])})
    inner = o.chain(o.masked(o.add_decayed_weights(1.0), lambda path: path.endswith("['b']")), o.clip_by_global_norm(1e9), o.sgd(1.0))
    zeros = gx.tree.map(np.zeros_like, params)
    found = stepped(o.freeze(inner, {"trunk": True, "head": False}), zeros, params)
    close(found, {"trunk": params["trunk"], "head": {"W": params["head"]["W"], "b": 0 * P["b"]}})


def test_frozen_gradients_are_no_part_of_the_norm() -> None:
    p = gx.shared({"a": np.array([1e6]), "b": np.array([1.0])}, "p")
    opt = o.chain(o.clip_by_global_norm(1.0), o.freeze(o.sgd(1.0), {"a": True, "b": False}))
    gx.function([], None, updates=opt.updates(gx.sum(p["a"] ** 2) + 0.25 * gx.sum(p["b"] ** 2), p))()
    close(gx.get_values(p), {"a": np.array([1e6]), "b": np.array([0.5])})


def test_projection() -> None:
    """Columns no longer than 1 after every step."""
    longest = lambda w: w / gx.maximum(1.0, gx.sqrt(gx.sum(w**2, axis=0)))
    new = stepped(o.chain(o.sgd(0.1), o.masked(o.project(longest), {"W": True, "b": False})))
    free = stepped(o.sgd(0.1))
    close(new, {"W": free["W"] / np.maximum(1, np.linalg.norm(free["W"], axis=0)), "b": free["b"]})
    assert np.all(np.linalg.norm(new["W"], axis=0) <= 1 + 1e-15)


def test_averages() -> None:
    """Row O14: the mean of all iterates, and the exponential average, of the trajectory as it was."""
    for decay in (None, 0.8):
        opt = o.chain(o.sgd(0.1), o.polyak(decay))
        p = gx.shared(P, "p")
        pairs = opt.updates(gx.sum(p["W"] ** 2) + gx.sum(p["b"] ** 4), p)
        step = gx.function([], None, updates=pairs)
        seen, average = [], P
        for _ in range(6):
            step()
            seen.append(gx.get_values(p))
            average = gx.tree.map(lambda a, x: 0.8 * a + 0.2 * x, average, seen[-1])
        wanted = average if decay else gx.tree.map(lambda *xs: sum(xs) / len(xs), *seen)
        close(gx.get_values(pairs.state[1]["average"]), wanted)


SCHEDULES: dict[str, tuple[Any, Callable[[int], float]]] = {
    "constant": (s.constant(0.3), lambda k: 0.3),
    "linear": (s.linear(0.1, 0.5, 8), lambda k: 0.1 + 0.4 * min(k / 8, 1)),
    "exponential": (s.exponential(0.1, 0.5, 4), lambda k: 0.1 * 0.5 ** (k / 4)),
    "staircase": (s.exponential(0.1, 0.5, 4, staircase=True), lambda k: 0.1 * 0.5 ** (k // 4)),
    "inverse time": (s.inverse_time(0.1, 0.5, 2), lambda k: 0.1 / (1 + 0.5 * k / 2)),
    "cosine": (s.cosine(0.2, 10, 0.02), lambda k: 0.02 + 0.18 * (1 + math.cos(math.pi * min(k / 10, 1))) / 2),
    "piecewise": (s.piecewise([1.0, 0.5, 0.1], [3, 9]), lambda k: 1.0 if k < 3 else 0.5 if k < 9 else 0.1),
    "warmup": (s.warmup(4, s.linear(0.5, 0.1, 8)), lambda k: 0.5 * (k + 1) / 5 if k < 4 else 0.5 - 0.4 * min((k - 4) / 8, 1)),
    "join": (s.join([0.1, s.linear(1, 0, 5), 0.3], [2, 6]), lambda k: 0.1 if k < 2 else 1 - min((k - 2) / 5, 1) if k < 6 else 0.3),
}  # fmt: skip


def test_schedules() -> None:
    k = gx.scalar("k", "int64")
    f = gx.function([k], {name: schedule(k) for name, (schedule, _) in SCHEDULES.items()})
    for step in (0, 1, 2, 3, 4, 5, 8, 9, 10, 13, 1000):
        for name, value in f(step).items():
            assert float(value) == pytest.approx(SCHEDULES[name][1](step), rel=1e-14), (name, step)
    decay = s.linear(0.1, 0.001, 200)  # row O2
    assert [float(decay(n).eval()) for n in (0, 50, 100, 200, 300)] == pytest.approx([0.1, 0.07525, 0.0505, 0.001, 0.001], rel=1e-14)


REFUSED: dict[str, tuple[Callable[[], Any], type[gx.GraphcError], str]] = {
    "negative rate": (lambda: o.sgd(-0.1), gx.ArgumentError, r"sgd: the rate is -0.1"),
    "nan": (lambda: o.adam(math.nan), gx.ArgumentError, r"adam: the rate is nan"),
    "text": (lambda: o.adam("fast"), gx.ArgumentError, r"the rate is a number, got 'fast'"),
    "a vector of rates": (lambda: o.sgd(gx.vector("r", 3)), gx.ShapeError, "the rate is one number"),
    "momentum of 1": (lambda: o.momentum(0.1, 1.0), gx.ArgumentError, "momentum is 1.0; hint: a finite number from 0 and below 1"),
    "b2 of 1": (lambda: o.adam(b2=1.0), gx.ArgumentError, "b2 is 1.0"),
    "clip below 0": (lambda: o.clip_by_global_norm(-1.0), gx.ArgumentError, "the limit is -1.0"),
    "nonfinite": (lambda: o.clip_by_norm(1.0, nonfinite="drop"), gx.ArgumentError, "nonfinite='drop'; hint: one of 'keep', 'zero'"),
    "no steps": (lambda: s.cosine(0.1, 0), gx.ArgumentError, "cosine steps is 0"),
    "boundaries": (lambda: s.piecewise([1, 2, 3], [5, 5]), gx.ArgumentError, r"boundaries \[5, 5\] do not rise"),
    "values": (lambda: s.piecewise([1, 2], [5, 6]), gx.ArgumentError, "2 parts and 2 boundaries"),
    "a negative rate of a schedule": (
        lambda: stepped(o.sgd(lambda k: -0.1)), gx.ArgumentError, "sgd: what the schedule gives is -0.1",
    ),
    "no number": (lambda: stepped(o.sgd(lambda k: None)), gx.ArgumentError, "what the schedule gives is a number, got None"),
    "part of a centre": (
        lambda: moved(o.add_decayed_weights(0.1, {"W": P["W"]})), gx.ArgumentError, r"centre has no leaf for params\['b'\]",
    ),
    "order": (lambda: o.chain(o.sgd(0.1), o.clip_by_value(1.0)), gx.ArgumentError, "sgd, clip_by_value is no order of stages"),
    "two steps": (lambda: o.chain(o.sgd(0.1), o.sgd(0.1)), gx.ArgumentError, "no order"),
    "no stage": (lambda: o.chain(0.1), gx.ArgumentError, "0.1 is no stage"),
    "no step": (lambda: stepped(o.clip_by_value(1.0)), gx.ArgumentError, "clip_by_value changes gradients, and makes no step"),
    "missing gradient": (lambda: stepped(o.sgd(0.1), {"W": G["W"]}), gx.ArgumentError, r"grads is not such a tree .*keys \['W', 'b'\]"),
    "shape of one": (lambda: stepped(o.sgd(0.1), {**G, "b": np.zeros(3)}), gx.ShapeError, r"grads\['b'\] has shape 3, where 2 is needed"),
    "dtype of one": (
        lambda: stepped(o.sgd(0.1), G, gx.tree.map(np.float32, P)), gx.DTypeError, r"grads\['W'\] is float64, where float32 is needed",
    ),
    "text in the tree": (lambda: o.adam().init({"W": P["W"], "name": "net"}), gx.ArgumentError, r"params\['name'\] is a str"),
    "integers": (lambda: o.adam().init({"n": np.arange(3)}), gx.DTypeError, r"params\['n'\] is int64"),
    "another state": (lambda: o.adam().update(G, o.sgd(0.1).init(P), P), gx.ArgumentError, "adam.update: state is not such a tree"),
    "the state of another model": (
        lambda: o.momentum(0.1).update(G, o.momentum(0.1).init({"W": P["W"], "b": P["W"]}), P), gx.ShapeError,
        r"state\['velocity'\]\['b'\] has shape 2, 2",
    ),
    "arrays": (lambda: o.sgd(0.1).updates(gx.scalar("x"), P), gx.ArgumentError, r"params\['W'\] is a ndarray, not a shared variable"),
    "not in the loss": (
        lambda: (lambda p: o.sgd(0.1).updates(gx.sum(p["W"]), p))(gx.shared(P, "p")), gx.DisconnectedError, r"wrt\['b'\]",
    ),
    "a short mask": (lambda: stepped(o.freeze(o.sgd(0.1), {"W": True})), gx.ArgumentError, r"the mask says nothing of params\['b'\]"),
    "no mask": (lambda: stepped(o.masked(o.sgd(0.1), {"W": 1, "b": True})), gx.ArgumentError, r"the mask is 1 at \['W'\]"),
    "another shape": (lambda: stepped(o.chain(o.sgd(0.1), o.project(gx.sum))), gx.ShapeError, r"gives params\['W'\] another shape"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    make, kind, text = REFUSED[name]
    with pytest.raises(kind, match=text):
        make()


def test_one_variable_twice() -> None:
    w = gx.shared(np.ones(2), "w")
    with pytest.raises(gx.ArgumentError, match=r"params\[1\] stands in the tree twice"):
        o.sgd(0.1).updates(gx.sum(w), [w, w])
