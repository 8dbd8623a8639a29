"""Three ways to wire a recurrent net, and back-propagation through time by hand.

    python examples/gallery/rnn.py

Hidden to hidden with an output at every step, and output to hidden alone, predict the next character of a real text; the third wiring
reads real digits row by row and speaks once, at the end. Gradients are written out as equations 10.17 to 10.21 have them, and equal those
of `grad`. (Goodfellow et al. 10.2, figures 10.3 to 10.5)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import stage
from data import digits, text

import graphc as gx

HIDDEN, LENGTH = 48, 24


def characters() -> tuple[np.ndarray, int]:
    """(the text as numbers in windows of LENGTH + 1, how many characters there are)."""
    known = sorted(set(text()))
    numbers = np.array([known.index(c) for c in text()])
    starts = np.arange(0, len(numbers) - LENGTH, LENGTH)
    return np.stack([numbers[s : s + LENGTH + 1] for s in starts]), len(known)


def initial(inputs: int, outputs: int, back: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Input to hidden U, back into hidden W, hidden to output V, and the biases b, c."""
    rng = np.random.default_rng(seed)
    p = {"U": rng.normal(size=(inputs, HIDDEN)), "W": rng.normal(size=(back, HIDDEN)), "V": rng.normal(size=(HIDDEN, outputs))}
    p = {name: value / np.sqrt(len(value)) * 0.5 for name, value in p.items()}
    return gx.tree.map(np.float32, p | {"b": np.zeros(HIDDEN), "c": np.zeros(outputs)})


def hidden_to_hidden(p: Any, xs: Any, h: Any) -> Any:
    """Figure 10.3, equations 10.8 to 10.10: scores at every step; xs is (steps, examples, inputs)."""

    def step(h: Any, x: Any) -> tuple[Any, Any]:
        h = gx.tanh(p["b"] + h @ p["W"] + x @ p["U"])
        return h, h

    _, hs = gx.scan(step, h, xs)
    return hs @ p["V"] + p["c"]


def output_to_hidden(p: Any, xs: Any, o: Any) -> Any:
    """Figure 10.4: all that a step knows of the past is what the step before has said."""

    def step(o: Any, x: Any) -> tuple[Any, Any]:
        o = gx.tanh(p["b"] + gx.softmax(o, axis=-1) @ p["W"] + x @ p["U"]) @ p["V"] + p["c"]
        return o, o

    return gx.scan(step, o, xs)[1]


def output_at_the_end(p: Any, xs: Any, h: Any) -> Any:
    """Figure 10.5: one row of scores for the whole sequence; no other state is kept."""
    h, _ = gx.scan(lambda h, x: (gx.tanh(p["b"] + h @ p["W"] + x @ p["U"]), None), h, xs)
    return h @ p["V"] + p["c"]


def by_hand() -> dict[str, float]:
    """Equations 10.18 to 10.21, in the order that is right: W' diag(1 - h^2) grad. A second scan, from the end, equals `grad`."""
    rng = np.random.default_rng(1)
    p = gx.like(gx.tree.map(np.float64, initial(5, 6, HIDDEN)), "p")
    x, y = gx.tensor("x", ("t", 5)), gx.tensor("y", ("t",), "int64")
    _, hs = gx.scan(lambda h, x: (gx.tanh(p["b"] + h @ p["W"] + x @ p["U"]),) * 2, gx.zeros(HIDDEN), x)
    scores = hs @ p["V"] + p["c"]
    for_o = gx.softmax(scores, axis=-1) - gx.one_hot(y, 6, dtype="float64")  # 10.18

    def back(later: Any, row: Any) -> tuple[Any, Any]:
        h, for_o = row
        for_a = (1 - h * h) * (p["V"] @ for_o + later)  # 10.19, 10.20
        return p["W"] @ for_a, for_a  # 10.21

    _, for_a = gx.scan(back, gx.zeros(HIDDEN), (hs, for_o), reverse=True)
    before = gx.concatenate([gx.zeros((1, HIDDEN)), hs[:-1]])
    written = {"U": x.T @ for_a, "W": before.T @ for_a, "V": hs.T @ for_o, "b": gx.sum(for_a, axis=0), "c": gx.sum(for_o, axis=0)}
    given = gx.grad(gx.nn.cross_entropy(scores, y, reduction="sum"), p)
    differences = {name: gx.max(gx.abs(written[name] - given[name])) for name in written}
    f = gx.function([p, x, y], differences, mode="interpret")  # for one call compiling does not pay
    values = gx.tree.map(np.float64, initial(5, 6, HIDDEN))
    worst = max(float(d) for d in f(values, rng.normal(size=(9, 5)), rng.integers(6, size=9)).values())
    assert worst < 1e-13
    return {"by hand - grad": worst}


def train(name: str, steps: int) -> tuple[float, float]:
    """(cost at the start, cost of the last steps) of a wiring, in nats a decision."""
    rng = np.random.default_rng(2)
    if name == "output at the end":
        images, labels, _, _ = digits()
        rows, answers = images.reshape(-1, 8, 8).transpose(1, 0, 2), labels
        p, net, y = initial(8, 10, HIDDEN), output_at_the_end, gx.tensor("y", ("n",), "int64")
        x, silent = gx.tensor("x", (8, "n", 8), "float32"), HIDDEN
    else:
        windows, count = characters()
        rows, answers = np.eye(count, dtype="float32")[windows[:, :-1].T], windows[:, 1:].T
        net, back = (hidden_to_hidden, HIDDEN) if name == "hidden to hidden" else (output_to_hidden, count)
        p, y = initial(count, count, back), gx.tensor("y", (LENGTH, "n"), "int64")
        x, silent = gx.tensor("x", (LENGTH, "n", count), "float32"), back
    params = gx.shared(p)
    loss = gx.nn.cross_entropy(net(params, x, gx.zeros((x.shape[1], silent), "float32")), y)
    step = gx.function([x, y], loss, updates=gx.optim.adam(0.005).updates(loss, params))
    costs = []
    while len(costs) < steps:
        for part in stage.minibatches(rng, rows.shape[1], 64):
            costs.append(float(step(rows[:, part], answers[..., part])))
    return costs[0], float(np.mean(costs[-20:]))


def main(short: bool = False) -> dict[str, float]:
    """The gradient by hand, then the wirings trained; when short, the third one for two epochs."""
    found = by_hand()
    classes = {"hidden to hidden": characters()[1], "output to hidden": characters()[1], "output at the end": 10}
    for name in ["output at the end"] if short else classes:
        first, last = train(name, 40 if short else 1200)
        print(f"{name:18} {first:.3f} -> {last:.3f} nats; before learning, log {classes[name]} = {np.log(classes[name]):.3f}")
        assert abs(first - np.log(classes[name])) < 0.3 and last < first / (1.2 if short else 1.7)
        found[name] = last
    assert short or found["hidden to hidden"] < found["output to hidden"], "the output is a poor memory"
    return found


if __name__ == "__main__":
    stage.run(main)
