"""Sequence to sequence: one net reads a word, another writes it backwards.

    python examples/gallery/sequence_to_sequence.py

The encoder's last state is all that the decoder gets. In training the decoder reads the right letters, one step late; afterwards its own.
It learns from random words and a part of the words of a real text, and is tried on the others, which it has never seen: a word counts if
every letter and the stop are right. (Russell and Norvig 22.8.2)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import stage
from data import text

import graphc as gx

LETTERS, STOP, LONGEST, HIDDEN = 28, 27, 5, 96  # 0 is padding and the decoder's first input, 1 to 26 are letters


def words() -> np.ndarray:
    """The different words of the text with 2 to LONGEST letters as rows of numbers, padded with 0."""
    found = sorted({w for w in re.findall("[a-z]+", text().lower()) if 2 <= len(w) <= LONGEST})
    return np.array([[ord(c) - 96 for c in w.ljust(LONGEST, chr(96))] for w in found])


def backwards(rows: np.ndarray) -> np.ndarray:
    """(n, LONGEST + 1): the letters of each word from the end, the stop, padding."""
    out = np.zeros((len(rows), LONGEST + 1), "int64")
    for row, target in zip(rows, out):
        letters = row[row > 0]
        target[: len(letters) + 1] = [*letters[::-1], STOP]
    return out


def initial(seed: int = 0) -> dict[str, dict[str, np.ndarray]]:
    """A gated unit each for reading and for writing, and the scores of letters."""
    rng = np.random.default_rng(seed)

    def unit() -> dict[str, np.ndarray]:
        square = np.concatenate([np.linalg.qr(rng.normal(size=(HIDDEN, HIDDEN)))[0] for _ in range(3)], 1)
        return gx.tree.map(np.float32, {"E": rng.normal(size=(LETTERS, 3 * HIDDEN)) / 2, "W": square, "b": np.zeros(3 * HIDDEN)})

    return {"read": unit(), "write": unit(), "say": {"V": (rng.normal(size=(HIDDEN, LETTERS)) / 10).astype("float32")}}


def gru(p: Any, h: Any, letter: Any) -> Any:
    """One step of a gated recurrent unit on a row of letters, whose one-hot products are rows of E."""
    x, s = gx.take(p["E"], letter, axis=0) + p["b"], h @ p["W"]
    part = lambda a, k: a[:, k * HIDDEN : (k + 1) * HIDDEN]
    keep, reset = (gx.sigmoid(part(x, k) + part(s, k)) for k in range(2))
    return keep * h + (1 - keep) * gx.tanh(part(x, 2) + reset * part(s, 2))


def read(p: Any, word: Any) -> Any:
    """The state after the last letter of each word: padding does not count."""

    def step(h: Any, letter: Any) -> tuple[Any, Any]:
        return gx.where((letter > 0)[:, None], gru(p["read"], h, letter), h), None

    return gx.scan(step, gx.zeros((word.shape[0], HIDDEN), "float32"), word.T)[0]


def write_taught(p: Any, h: Any, target: Any) -> Any:
    """Scores (steps, n, letters): each step reads the right letter of the step before."""
    before = gx.concatenate([gx.zeros((1, target.shape[0]), "int64"), target.T[:-1]])

    def step(h: Any, letter: Any) -> tuple[Any, Any]:
        h = gru(p["write"], h, letter)
        return h, h

    return gx.scan(step, h, before)[1] @ p["say"]["V"]


def write_alone(p: Any, h: Any) -> Any:
    """Letters (n, steps): each step reads the likeliest letter of the step before; after a stop comes padding."""

    def step(state: Any, _: Any) -> tuple[Any, Any]:
        h, letter, ended = state
        h = gru(p["write"], h, letter)
        letter = gx.where(ended, 0, gx.argmax(h @ p["say"]["V"], axis=1))
        return (h, letter, ended | (letter == STOP)), letter

    n = h.shape[0]
    return gx.scan(step, (h, gx.zeros(n, "int64"), gx.zeros(n, "bool")), length=LONGEST + 1)[1].T


def build() -> tuple[gx.Function, Callable[[np.ndarray], np.ndarray]]:
    """(a step of training; words -> what the net writes)."""
    p, rate = gx.shared(initial()), gx.scalar("rate", "float32")
    word, target = gx.tensor("word", ("n", LONGEST), "int64"), gx.tensor("target", ("n", LONGEST + 1), "int64")
    h = read(p, word)
    counts = (target.T > 0).astype("float32")
    loss = gx.sum(counts * gx.nn.cross_entropy(write_taught(p, h, target), target.T, reduction="none")) / gx.sum(counts)
    optimiser = gx.optim.chain(gx.optim.clip_by_global_norm(1.0), gx.optim.adam(rate))
    step, letters = gx.function([word, target, rate], loss, updates=optimiser.updates(loss, p)), write_alone(p, h)
    return step, lambda words: letters.eval({word: words})


def main(short: bool = False) -> dict[str, float]:
    """Train on random and real words, then write the held-out ones backwards."""
    rng = np.random.default_rng(1)
    step, write = build()
    known = words()[rng.permutation(len(words()))]
    held_out, known = known[:100], known[100:]
    losses, steps = [], 30 if short else 2500
    for k in range(steps):
        drawn = rng.integers(1, 27, (96, LONGEST)) * (np.arange(LONGEST) < rng.integers(2, LONGEST + 1, (96, 1)))
        batch = np.concatenate([drawn, known[rng.integers(len(known), size=32)]])
        losses.append(float(step(batch, backwards(batch), 0.004 * min(1.0, 2 * (1 - k / steps)))))
    written = write(held_out)
    right = float(np.mean((written == backwards(held_out)).all(axis=1)))
    spell = lambda row: "".join(chr(96 + c) for c in row if 0 < c < STOP)
    print(", ".join(f"{spell(w)} {spell(b)}" for w, b in zip(held_out[:8], written)))
    print(f"loss {losses[0]:.3f} -> {losses[-1]:.4f}; {right:.0%} of {len(held_out)} unseen words are right to the last letter")
    assert losses[-1] < 0.9 * losses[0] and (short or right > 0.9)
    return {"first loss": losses[0], "last loss": losses[-1], "right": right}


if __name__ == "__main__":
    stage.run(main)
