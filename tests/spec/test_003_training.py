"""Rows of 003 on training: stochastic gradients and their rates (O1 to O4), layers trained one after another (M3, I10)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx

Data = tuple[np.ndarray, np.ndarray]


def softmax_regression(opt: gx.optim.Optimizer) -> gx.Function:
    p = gx.shared({"W": np.zeros((64, 10)), "b": np.zeros(10)}, "p")
    x, y = gx.tensor("x", ("n", 64)), gx.vector("y", "n", dtype="int64")
    loss = -gx.mean(gx.take_along_axis(gx.log_softmax(x @ p["W"] + p["b"]), y[:, None], axis=1))
    return gx.function([x, y], loss, updates=opt.updates(loss, p))


def test_O1_O3_any_size_of_minibatch_and_no_more_work_for_more_data(digits: Data) -> None:
    """Batches that double are calls of one function, at a cost that grows with the batch and not with the data; the loss falls."""
    images, labels = digits
    step = softmax_regression(gx.optim.sgd(0.5))
    entry, text = step._executable, step.program
    work = [step.cost(n=n)["operations"] for n in (100, 200, 300)]
    assert work[2] - work[1] == work[1] - work[0] > 0
    losses = []
    for epoch in range(4):
        losses.append(gx.fit(step, (images, labels), 1, batch_size=16 << epoch, seed=epoch).history["loss"][0])
    assert losses == sorted(losses, reverse=True) and losses[-1] < 0.3
    assert step._executable is entry and step.program == text


@pytest.mark.parametrize("strong", [True, False])
def test_O4_rates_of_the_excess_error(strong: bool) -> None:
    """Descent with noisy gradients, 4000 runs at once: O(1 / k) where the cost is strongly convex, O(1 / sqrt(k)) where it is |t|."""
    lanes, turns = 4000, 1024
    noise = gx.random.normal(gx.random.key(1), (turns, lanes))
    opt = gx.optim.sgd((lambda k: 1 / (k + 1.0)) if strong else (lambda k: 0.5 / gx.sqrt(k + 1.0)))
    t = gx.ones(lanes)

    def step(carry: Any, z: gx.Node) -> Any:
        t, state = carry
        slope = (t if strong else gx.sign(t)) - z
        t, state = opt.update(slope, state, t)
        return (t, state), gx.mean(t**2 / 2 if strong else gx.abs(t))

    excess = gx.function([], gx.scan(step, (t, opt.init(t)), noise)[1])()
    k = np.array([64, 1024])
    slope = np.log(excess[1023] / excess[63]) / np.log(1024 / 64)
    assert slope == pytest.approx(-1.0 if strong else -0.5, abs=0.07)
    if strong:  # with this rate t is the mean of the noise so far: its variance is 1 / k
        np.testing.assert_allclose(excess[k - 1], 0.5 / k, rtol=0.1)


def test_M3_I10_stages(digits: Data) -> None:
    """The lower layer keeps every bit while the upper one learns; together they begin with the very cost that the stage ended with."""
    images, labels = digits[0][:500], digits[1][:500]
    rng = np.random.default_rng(0)
    draw = lambda n, m: {"W": rng.normal(size=(n, m)) / np.sqrt(n), "b": np.zeros(m)}
    p = gx.shared({"lower": draw(64, 20), "upper": draw(84, 20), "out": draw(20, 10)}, "p")
    x, y = gx.tensor("x", ("n", 64)), gx.vector("y", "n", dtype="int64")
    layer = lambda q, h: h @ q["W"] + q["b"]
    seen = gx.concatenate([x, gx.tanh(layer(p["lower"], x))], axis=1)  # the raw input besides the stage below
    z = layer(p["out"], gx.tanh(layer(p["upper"], seen)))
    loss = -gx.mean(gx.take_along_axis(gx.log_softmax(z), y[:, None], axis=1))
    stage = gx.function([x, y], loss, updates=gx.optim.freeze(gx.optim.adam(0.01), lambda at: "lower" in at).updates(loss, p))
    joint = gx.function([x, y], loss, updates=gx.optim.adam(0.01).updates(loss, p))
    before = gx.get_values(p)
    costs = [float(stage(images, labels)) for _ in range(30)]
    after = gx.get_values(p)
    assert all(before["lower"][k].tobytes() == after["lower"][k].tobytes() for k in "Wb")
    assert not np.array_equal(before["upper"]["W"], after["upper"]["W"]) and costs[-1] < costs[0] / 3
    x0 = gx.function([x, y], loss, mode="interpret")(images, labels)
    first, second = (float(joint(images, labels)) for _ in range(2))
    assert first == pytest.approx(float(x0), rel=1e-12) and second < first < costs[-1]
    assert not np.array_equal(gx.get_values(p)["lower"]["W"], after["lower"]["W"])
