"""Teacher forcing, scheduled sampling, free running: a net that draws digits row by row.

    python examples/gallery/teacher_forcing.py [--plot drawn.png]

The next row of pixels follows from the row before, the label and the number of the row. In training the row before may be the true one
(teacher forcing: no step waits for another, so no loop is left), or the net's own (free running: a scan), or either, by a chance that
rises (scheduled sampling). When the net must live by its own rows, the net that has seen some of them in training draws better.
(Goodfellow et al. 10.2.1, figure 10.6)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import stage
from data import digits

import graphc as gx

HIDDEN, ROWS = 64, 8


def initial(seed: int = 0) -> dict[str, np.ndarray]:
    """Weights of the row before, of the label and the row's number, and of the output."""
    rng = np.random.default_rng(seed)
    p = {"R": rng.normal(size=(8, HIDDEN)) / 3, "U": rng.normal(size=(10 + ROWS, HIDDEN)) / 2, "V": rng.normal(size=(HIDDEN, 8)) / 8}
    return gx.tree.map(np.float32, p | {"b": np.zeros(HIDDEN), "c": np.zeros(8)})


def next_row(p: Any, before: Any, x: Any) -> Any:
    """Figure 10.4: the state depends on the last output and the input; pixels are in (0, 1)."""
    return gx.sigmoid(gx.tanh(before @ p["R"] + x @ p["U"] + p["b"]) @ p["V"] + p["c"])


def inputs_of(labels: Any) -> Any:
    """(7, n, 18): the label and the number of the row to draw, one-hot; the first row is given."""
    n = labels.shape[0]
    label = gx.broadcast_to(gx.one_hot(labels, 10, dtype="float32")[None], (ROWS - 1, n, 10))
    number = gx.broadcast_to(gx.eye(ROWS, dtype="float32")[1:, None], (ROWS - 1, n, ROWS))
    return gx.concatenate([label, number], axis=2)


def forced(p: Any, rows: Any, labels: Any) -> Any:
    """All rows at once from the true rows before them: a batched product."""
    return next_row(p, rows[:-1], inputs_of(labels))


def sampled(p: Any, rows: Any, labels: Any, chance: Any) -> Any:
    """Each example in each step is fed its own output with this chance, the true row otherwise: a coin is thrown in every turn."""
    rng = gx.random.default_rng(0)

    def step(own: Any, row: Any) -> tuple[Any, Any]:
        truth, x = row
        coin = rng.bernoulli(chance, size=labels.shape[0])
        out = next_row(p, gx.where(coin[:, None], own, truth), x)
        return out, out

    return gx.scan(step, rows[0], (rows[:-1], inputs_of(labels)))[1]


def train(scheduled: bool, steps: int) -> tuple[Any, gx.Function]:
    """(the parameters after training, the compiled step): the chance rises from 0 to 1 over the first half."""
    images, labels, _, _ = digits()
    data = images.reshape(-1, ROWS, 8).transpose(1, 0, 2)
    params, rng = gx.shared(initial()), np.random.default_rng(1)
    rows, y = gx.tensor("rows", (ROWS, "n", 8), "float32"), gx.tensor("y", ("n",), "int64")
    chance = gx.scalar("chance")
    drawn = sampled(params, rows, y, chance) if scheduled else forced(params, rows, y)
    loss = gx.mean((drawn - rows[1:]) ** 2)
    step = gx.function([rows, y, chance] if scheduled else [rows, y], loss, updates=gx.optim.adam(0.005).updates(loss, params))
    done = 0
    while done < steps:
        for part in stage.minibatches(rng, len(labels), 64):
            step(data[:, part], labels[part], *([min(1.0, 2 * done / steps)] if scheduled else []))
            done += 1
    return params, step


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """Errors of both nets on unseen digits, fed the truth and fed their own rows; when short, of the one with teacher forcing."""
    _, _, images, labels = digits()
    test = images.reshape(-1, ROWS, 8).transpose(1, 0, 2)
    p, chance = gx.like(initial(), "p"), gx.scalar("chance")
    rows, y = gx.tensor("rows", (ROWS, "n", 8), "float32"), gx.tensor("y", ("n",), "int64")
    one, other = forced(p, rows, y), sampled(p, rows, y, chance)
    both = gx.function([p, rows, y, chance], [one, other, *(gx.mean((drawn - rows[1:]) ** 2) for drawn in (one, other))])
    found, drawn = {}, {}
    for name in ["teacher forcing"] if short else ["teacher forcing", "scheduled sampling"]:
        params, step = train(name == "scheduled sampling", 60 if short else 1500)
        assert step.graph.count("= scan(") == (0 if name == "teacher forcing" else 2), "with a teacher no step waits for another"
        values = gx.get_values(params)
        at_once, in_a_loop, _, _ = both(values, test, labels, 0.0)
        np.testing.assert_allclose(at_once, in_a_loop, atol=1e-6)  # with chance 0 the loop is teacher forcing
        _, drawn[name], fed, free = both(values, test, labels, 1.0)
        print(f"{name:18} squared error {fed:.4f} fed the truth, {free:.4f} running free")
        found |= {f"{name}: fed the truth": float(fed), f"{name}: running free": float(free)}
        assert fed < free, "errors feed on errors"
    if not short:
        assert found["scheduled sampling: running free"] < 0.95 * found["teacher forcing: running free"]
    if plot:
        with stage.picture(plot, 3, 10, size=0.8) as axes:
            for line, pictures in zip(axes, (test, *(np.concatenate([test[:1], d]) for d in drawn.values()))):
                for ax, k in zip(line, range(10)):
                    ax.imshow(pictures[:, k], cmap="gray")
                    ax.set_axis_off()
    return found


if __name__ == "__main__":
    stage.run(main)
