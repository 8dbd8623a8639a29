"""Word embeddings: words of a real text as points, near where they are used alike (skip-gram with negative samples).

    python examples/gallery/word_embeddings.py

A table holds a vector for each word; a second one a vector for each word as a neighbour. Their product should be large for words that stand
together in the text and small for words drawn at random (Mikolov et al. 2013; RN 22.8.2, GBC 12.4.2). Looking a row up is the product
with a one-hot vector, and its gradient a sum into rows: `same_as_one_hot` asserts both. The text is the source of Python's `random`; a
fifth of its paragraphs is kept back, and the points must tell true pairs of those from random ones. Training is one native call.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import data
import numpy as np
import stage

import graphc as gx

WINDOW, NEGATIVES = 3, 5


def pairs(words: list[list[str]], known: dict[str, int]) -> np.ndarray:
    """All (word, neighbour) within a window, as numbers: (n, 2)."""
    found = []
    for line in words:
        numbers = [known[w] for w in line if w in known]
        found += [(a, b) for i, a in enumerate(numbers) for b in numbers[max(0, i - WINDOW) : i] + numbers[i + 1 : i + 1 + WINDOW]]
    return np.array(found)


def corpus(size: int) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """The most frequent words, their frequencies, and the pairs of four fifths and of one fifth of the text's paragraphs."""
    parts = [re.findall(r"[a-z]{2,}", part.lower()) for part in data.text().split("\n\n")]
    counts = Counter(w for part in parts for w in part)
    words = [w for w, _ in counts.most_common(size)]
    known = {w: k for k, w in enumerate(words)}
    kept = [part for k, part in enumerate(parts) if k % 5]
    return words, np.array([counts[w] for w in words], float), pairs(kept, known), pairs(parts[::5], known)


def same_as_one_hot() -> float:
    """The largest difference between rows looked up and a product with one-hot vectors, of value and gradient."""
    rng = np.random.default_rng(0)
    E, ids, weights = gx.matrix("E", (7, 3)), np.array([4, 0, 4, 6]), rng.normal(size=(4, 3))
    looked_up = E[ids]
    multiplied = np.eye(7)[ids] @ E
    both = [[rows, gx.grad(gx.sum(gx.tanh(rows) * weights), E)] for rows in (looked_up, multiplied)]
    one, other = gx.function([E], both)(rng.normal(size=(7, 3)))
    return max(float(np.abs(a - b).max()) for a, b in zip(one, other))


def train(seen: np.ndarray, frequency: np.ndarray, width: int, steps: int, batch: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """Both tables after so many steps of Adam on minibatches of pairs and of words drawn by frequency^(3/4)."""
    n, rng = len(frequency), np.random.default_rng(0)
    p0 = gx.like({"word": (rng.normal(size=(n, width)) / 8).astype("float32"), "near": np.zeros((n, width), "float32")})
    key, opt = gx.random.key(0), gx.optim.adam(0.01)
    data_, logits = gx.asarray(seen), gx.asarray(0.75 * np.log(frequency))

    def step(k: gx.Node, carry: Any) -> Any:
        p, slots = carry
        one, two = gx.random.split(gx.random.fold_in(key, k))
        row = data_[gx.random.randint(one, (batch,), 0, len(seen))]
        drawn = gx.random.categorical(two, logits, shape=(batch, NEGATIVES))
        word = p["word"][row[:, 0]]
        true = gx.sum(word * p["near"][row[:, 1]], axis=1)
        false = gx.sum(word[:, None, :] * p["near"][drawn], axis=2)
        loss = gx.mean(gx.softplus(-true)) + gx.mean(gx.sum(gx.softplus(false), axis=1))
        return opt.update(gx.grad(loss, p), slots, p)

    initial = {"word": (rng.normal(size=(n, width)) / 8).astype("float32"), "near": np.zeros((n, width), "float32")}
    p = gx.function([p0], gx.fori_loop(0, steps, step, (p0, opt.init(p0)))[0])(initial)
    return p["word"], p["near"]


def told_apart(word: np.ndarray, near: np.ndarray, true: np.ndarray, frequency: np.ndarray) -> float:
    """How often a true pair scores higher than the same word with a neighbour drawn by frequency: 0.5 is chance."""
    rng = np.random.default_rng(1)
    other = rng.choice(len(frequency), size=len(true), p=frequency / frequency.sum())
    score = lambda a, b: np.sum(word[a] * near[b], axis=1)
    return float(np.mean(score(true[:, 0], true[:, 1]) > score(true[:, 0], other)))


def main(short: bool = False) -> dict[str, float]:
    """Train, tell pairs apart, and print who is near whom."""
    apart = same_as_one_hot()
    assert apart < 1e-15
    words, frequency, seen, kept = corpus(100 if short else 150)
    word, near = train(seen, frequency, 16, 400 if short else 1000)
    right, known = told_apart(word, near, kept, frequency), told_apart(word, near, seen, frequency)
    print(f"{len(words)} words, {len(seen)} pairs; of pairs kept back {right:.1%} are told from random ones, of those seen {known:.1%}")
    unit = word / np.linalg.norm(word, axis=1, keepdims=True)
    for name in ("distribution", "alpha", "random", "return"):
        k = words.index(name)
        order = np.argsort(-(unit @ unit[k]))[1:5]
        print(f"  {name}: {', '.join(words[j] for j in order)}")
    assert right > 0.6 and known > 0.7
    return {"words": float(len(words)), "told apart": right, "of those seen": known, "one-hot: difference": apart}


if __name__ == "__main__":
    stage.run(main)
