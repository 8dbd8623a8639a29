"""Gates that remember: both textbooks' LSTMs and the GRU, beside a plain recurrent net, on a long lag.

    python examples/gallery/gated.py

Russell and Norvig write z = tanh(c) o, Leskovec et al. s = tanh(c o): two different functions. Each is checked at gates that are all open
or all shut. Then four nets read 60 characters of real text, and at the end have to say whether the very first was a vowel, another
letter, space or anything else: what a gate keeps, a plain net has forgotten. (Russell and Norvig 22.6.2, Leskovec et al. 13.5.3,
Goodfellow et al. 8.4)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import stage
from data import text

import graphc as gx

HIDDEN, LAG, CLASSES = 24, 60, 4
Cell = Callable[[Any, Any, Any], Any]  # (parameters, state (z, c), input) -> state


def gates(p: Any, z: Any, x: Any, count: int) -> list[Any]:
    """All gates by one product: x U + z W + b, cut into `count` parts."""
    a = x @ p["U"] + z @ p["W"] + p["b"]
    return [a[..., k * HIDDEN : (k + 1) * HIDDEN] for k in range(count)]


def lstm(p: Any, state: Any, x: Any) -> Any:
    """c' = c f + i tanh(u), z = tanh(c') o."""
    z, c = state
    f, i, o, u = gates(p, z, x, 4)
    c = c * gx.sigmoid(f) + gx.sigmoid(i) * gx.tanh(u)
    return gx.tanh(c) * gx.sigmoid(o), c


def lstm_of_leskovec(p: Any, state: Any, x: Any) -> Any:
    """c' = c f + h i, s = tanh(c' o)."""
    s, c = state
    f, i, o, h = gates(p, s, x, 4)
    c = c * gx.sigmoid(f) + gx.tanh(h) * gx.sigmoid(i)
    return gx.tanh(c * gx.sigmoid(o)), c


def gru(p: Any, state: Any, x: Any) -> Any:
    """z' = (1 - r) z + r tanh(u), where u has seen the state through a gate: a single state."""
    z, c = state
    r, reset = (gx.sigmoid(a) for a in gates(p, z, x, 2))
    u = x @ p["U"][:, 2 * HIDDEN :] + (reset * z) @ p["W"][:, 2 * HIDDEN :] + p["b"][2 * HIDDEN :]
    return (1 - r) * z + r * gx.tanh(u), c


def plain(p: Any, state: Any, x: Any) -> Any:
    """z' = tanh(x U + z W + b)."""
    return gx.tanh(gates(p, state[0], x, 1)[0]), state[1]


CELLS: dict[str, tuple[Cell, int]] = {"LSTM": (lstm, 4), "LSTM of LRU": (lstm_of_leskovec, 4), "GRU": (gru, 3), "plain": (plain, 1)}


def initial(inputs: int, parts: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Orthogonal recurrent weights; the first gate, which forgets, begins open, the GRU's begins shut, for it is the other way round."""
    rng = np.random.default_rng(seed)
    square = [np.linalg.qr(rng.normal(size=(HIDDEN, HIDDEN)))[0] for _ in range(parts)]
    bias = np.zeros(parts * HIDDEN)
    bias[:HIDDEN] = {4: 3.0, 3: -3.0, 1: 0.0}[parts]
    p = {"U": rng.normal(size=(inputs, parts * HIDDEN)) / 2, "W": np.concatenate(square, 1), "b": bias}
    return p | {"V": rng.normal(size=(HIDDEN, CLASSES)) / 5}


def open_and_shut() -> dict[str, float]:
    """Shut in and open to the past, a cell is copied exactly; open in and shut to the past, both say tanh(tanh(..)) of their input."""
    rng, n = np.random.default_rng(1), HIDDEN
    p, x, z, c = initial(5, 4), rng.normal(size=5), rng.normal(size=n), rng.normal(size=n)
    p["U"][:, : 3 * n], p["W"][:, : 3 * n] = 0, 0
    states = gx.asarray(z), gx.asarray(c)
    p["b"] = np.concatenate([np.full(n, 800.0), np.full(2 * n, -800.0), np.zeros(n)])
    for cell in (lstm, lstm_of_leskovec):
        kept, silent = cell(p, states, x)[1].eval(), cell(p, states, x)[0].eval()
        assert (kept == c).all() and not silent.any()
    p["b"] = np.concatenate([np.full(n, -800.0), np.full(2 * n, 800.0), np.zeros(n)])
    inner = np.tanh(x @ p["U"][:, 3 * n :] + z @ p["W"][:, 3 * n :])
    for cell in (lstm, lstm_of_leskovec):
        np.testing.assert_allclose(cell(p, states, x)[0].eval(), np.tanh(inner), rtol=1e-14)
    half = 0.5 * np.ones(n)  # with gates half open the two differ
    p["b"][:] = 0
    one, other = (cell(p, (half, half), x)[0].eval() for cell in (lstm, lstm_of_leskovec))
    return {"the two LSTMs differ by": float(np.abs(one - other).max())}


@functools.cache
def classes() -> np.ndarray:
    """Of each character of the text: vowel 0, another letter 1, space 2, anything else 3."""
    return np.array([0 if c in "aeiou" else 1 if c.isalpha() else 2 if c.isspace() else 3 for c in text()])


def task(count: int, lag: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(steps, examples, 5): the classes of characters from random places on, one-hot, the first one marked; and what the first one was."""
    starts = np.concatenate([rng.choice(np.flatnonzero(classes()[:-lag] == k), count // CLASSES) for k in range(CLASSES)])
    read = classes()[starts + np.arange(lag)[:, None]]
    marked = np.zeros((lag, len(starts), 1))
    marked[0] = 1
    return np.concatenate([np.eye(CLASSES)[read], marked], axis=2), read[0]


def train(name: str, lag: int, steps: int) -> float:
    """The share of right answers on new pieces of text after so many steps of Adam with clipped gradients."""
    cell, parts = CELLS[name]
    params, rng = gx.shared(initial(CLASSES + 1, parts)), np.random.default_rng(2)
    x, y = gx.tensor("x", ("t", "n", CLASSES + 1)), gx.tensor("y", ("n",), "int64")
    silent = gx.zeros((x.shape[1], HIDDEN))
    (z, _), _ = gx.scan(lambda state, row: (cell(params, state, row), None), (silent, silent), x)
    scores = z @ params["V"]
    loss = gx.nn.cross_entropy(scores, y)
    optimiser = gx.optim.chain(gx.optim.clip_by_global_norm(1.0), gx.optim.adam(0.01))
    step = gx.function([x, y], loss, updates=optimiser.updates(loss, params))
    for _ in range(steps):
        step(*task(64, lag, rng))
    read, wanted = task(400, lag, rng)
    return float(np.mean(gx.argmax(scores, axis=1).eval({x: read}) == wanted))


def main(short: bool = False) -> dict[str, float]:
    """The identities, then what each net remembers; when short, what the first one does over a lag of 8."""
    found = open_and_shut()
    print(f"the two LSTMs with half-open gates differ by {found['the two LSTMs differ by']:.3f}")
    assert found["the two LSTMs differ by"] > 0.01
    for name in ["LSTM"] if short else CELLS:
        found[name] = train(name, 8 if short else LAG, 100 if short else 500)
        print(f"{name:12} {found[name]:7.2%} right, by chance {1 / CLASSES:.0%}")
    assert found["LSTM"] > (0.7 if short else 0.95)
    assert short or min(found["GRU"], found["LSTM of LRU"]) > 0.9 > 0.6 > found["plain"]
    return found


if __name__ == "__main__":
    stage.run(main)
