"""Sequences of different lengths in one batch: masks, buckets, and one function for all; is a line of Python code or prose?

    python examples/gallery/variable_length.py

Lines of a real module, of 1 to 79 characters, are padded to the longest of their batch. What a net does after a line has ended does not
count, so whatever the padding holds, costs and gradients are those of each line alone. Batches of lines of like lengths (buckets) waste
fewer steps. (Goodfellow et al. 10, Leskovec et al. 13.5)
"""

from __future__ import annotations

import io
import tokenize
from typing import Any

import numpy as np
import stage
from data import text

import graphc as gx

HIDDEN, EMBEDDED, CHARACTERS = 32, 12, 128


def lines() -> tuple[list[np.ndarray], np.ndarray]:
    """(characters of each line without its indentation, 1 for prose): comments and texts between triple quotes are prose."""
    prose: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text()).readline):
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and token.string.startswith(('"""', "'''"))):
            prose.update(range(token.start[0], token.end[0] + 1))
    kept = [(line.strip(" #\"'"), number in prose) for number, line in enumerate(text().splitlines(), 1)]
    kept = [(line, label) for line, label in kept if len(line) > 0 and line.isascii()]
    return [np.frombuffer(line.encode(), "uint8").astype("int64") for line, _ in kept], np.array([label for _, label in kept], float)


def padded(some: list[np.ndarray], filling: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(steps, lines) filled up with a character, and the lengths."""
    sizes = np.array([len(line) for line in some])
    out = np.full((sizes.max(), len(some)), filling)
    for k, line in enumerate(some):
        out[: len(line), k] = line
    return out, sizes


def score(p: Any, x: Any, sizes: Any) -> Any:
    """The logit of prose for each line, from the mean of the states while it lasts."""
    read = gx.take(p["E"], x, axis=0) @ p["U"] + p["b"]

    def step(state: Any, read: Any) -> tuple[Any, Any]:
        h, total = state
        h = gx.tanh(read + h @ p["W"])
        return (h, total + gx.where((gx.turn_index() < sizes)[:, None], h, 0)), None

    silent = gx.zeros((x.shape[1], HIDDEN))
    (_, total), _ = gx.scan(step, (silent, silent), read)
    return (total / sizes[:, None]) @ p["v"]


def initial(seed: int = 0) -> dict[str, np.ndarray]:
    """Embedding, input, recurrent and output weights."""
    rng = np.random.default_rng(seed)
    p = {"E": rng.normal(size=(CHARACTERS, EMBEDDED)), "U": rng.normal(size=(EMBEDDED, HIDDEN)) / 4, "v": rng.normal(size=HIDDEN) / 6}
    return p | {"W": np.linalg.qr(rng.normal(size=(HIDDEN, HIDDEN)))[0] * 0.9, "b": np.zeros(HIDDEN)}


def main(short: bool = False) -> dict[str, float]:
    """The identity, then training by buckets and by mixed batches."""
    rows, labels = lines()
    rng = np.random.default_rng(1)
    order = rng.permutation(len(rows))
    held_out, train = order[: len(order) // 5], order[len(order) // 5 :]
    params = gx.shared(initial())
    x, sizes, y = gx.tensor("x", ("t", "n"), "int64"), gx.tensor("sizes", ("n",), "int64"), gx.vector("y", "n")
    logits = score(params, x, sizes)
    loss = gx.nn.binary_cross_entropy(logits, y, reduction="sum")
    rate, slopes = gx.scalar("rate"), gx.grad(loss, params)
    optimiser = gx.optim.chain(gx.optim.clip_by_global_norm(1.0), gx.optim.adam(rate))
    step = gx.function([x, sizes, y, rate], [loss, slopes], updates=optimiser.updates(loss / x.shape[1], params))

    some = train[:5]  # with rate 0 nothing is learnt, and each line alone goes through the same function
    cost, together = step(*padded([rows[k] for k in some], filling=ord("?")), labels[some], 0.0)
    alone = [step(*padded([rows[k]]), labels[[k]], 0.0) for k in some]
    np.testing.assert_allclose(cost, sum(c for c, _ in alone), rtol=1e-12)
    for name, slope in together.items():
        np.testing.assert_allclose(slope, sum(s[name] for _, s in alone), rtol=1e-9, atol=1e-12)

    by_length = train[np.argsort([len(rows[k]) for k in train], kind="stable")]
    steps_of = lambda batches: sum(max(len(rows[k]) for k in part) for part in batches)
    buckets = np.split(by_length, range(32, len(train), 32))
    mixed = np.split(train, range(32, len(train), 32))
    found = {"steps by buckets": steps_of(buckets), "steps of mixed batches": steps_of(mixed)}
    for _ in range(1 if short else 20):
        for k in rng.permutation(len(buckets)):
            step(*padded([rows[j] for j in buckets[k]]), labels[buckets[k]], 0.003)
    unseen, lengths = padded([rows[k] for k in held_out])
    found["right"] = float(np.mean((logits > 0).eval({x: unseen, sizes: lengths}) == (labels[held_out] > 0.5)))
    found["the commoner class"] = float(max(labels[held_out].mean(), 1 - labels[held_out].mean()))
    for name, value in found.items():
        print(f"{name:24} {value:.4g}")
    assert found["steps by buckets"] < found["steps of mixed batches"] / 1.5
    assert short or found["right"] > 0.8 > found["the commoner class"]
    return found


if __name__ == "__main__":
    stage.run(main)
