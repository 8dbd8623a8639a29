"""Recurrent nets of threshold units that watch bits go by, and sigmoid-like ones that learn to.

    python examples/gallery/bit_detectors.py

A state of two bits, the last one and the one before, suffices to see 01, to see 111, to see two equal bits; one bit of state counts
parity, exactly and for ever. What a net learns from short sequences holds for longer ones, for it learns a step and not a length.
(Leskovec et al. 13.5, Goodfellow et al. 10.2)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import stage
from data import text

import graphc as gx

Detector = Callable[[Any, Any, Any], Any]


def step(z: Any) -> Any:
    """1 where z > 0, else 0."""
    return gx.astype(z > 0, "float64")


DETECTORS: dict[str, Detector] = {  # of this bit and the two units of the state: the bit before, and the one before that
    "01": lambda x, p1, p2: step(x - p1 - 0.5),
    "111": lambda x, p1, p2: step(x + p1 + p2 - 2.5),
    "equal": lambda x, p1, p2: step(x + p1 - 1.5) + step(-x - p1 + 0.5),
}
WANTED: dict[str, Callable[[np.ndarray], np.ndarray]] = {  # the same, said of a whole sequence
    "01": lambda b: b & ~np.roll(b, 1, 0),
    "111": lambda b: b & np.roll(b, 1, 0) & np.roll(b, 2, 0),
    "equal": lambda b: b == np.roll(b, 1, 0),
}


def by_thresholds(bits: np.ndarray) -> dict[str, float]:
    """The detectors and parity, of one long sequence."""
    x = gx.vector("x", "n")

    def turn(state: Any, x: Any) -> tuple[Any, Any]:
        s1, s2, parity = state
        said = {name: detect(x, s1, s2) for name, detect in DETECTORS.items()}
        parity = step(x + parity - 0.5) - step(x + parity - 1.5)
        return (step(x - 0.5), step(s1 - 0.5), parity), said | {"parity": parity}

    said = gx.function([x], gx.scan(turn, (0.0, 0.0, 0.0), x)[1])(bits.astype("float64"))
    for name, wanted in WANTED.items():
        np.testing.assert_array_equal(said[name][2:], wanted(bits)[2:])
    np.testing.assert_array_equal(said["parity"], np.cumsum(bits) % 2)
    return {f"{name} in {len(bits)} bits": float(said[name].sum()) for name in DETECTORS}


def learnt(steps: int, hidden: int = 12) -> dict[str, float]:
    """A tanh net sees 20 bits at a time; then all three of its outputs are right on sequences of 500."""
    rng = np.random.default_rng(0)
    p = {"U": rng.normal(size=(1, hidden)), "W": rng.normal(size=(hidden, hidden)) / 4, "V": rng.normal(size=(hidden, 3)) / 3}
    params = gx.shared(p | {"b": np.zeros(hidden), "c": np.zeros(3)})
    x, y = gx.tensor("x", ("t", "n")), gx.tensor("y", ("t", "n", 3))

    def turn(h: Any, x: Any) -> tuple[Any, Any]:
        h = gx.tanh(x[:, None] @ params["U"] + h @ params["W"] + params["b"])
        return h, h @ params["V"] + params["c"]

    scores = gx.scan(turn, gx.zeros((x.shape[1], hidden)), x)[1][2:]
    loss = gx.nn.binary_cross_entropy(scores, y[2:])
    train = gx.function([x, y], loss, updates=gx.optim.adam(0.02).updates(loss, params))

    def draw(length: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        bits = rng.random((length, count)) < 0.5
        return bits.astype("float64"), np.stack([wanted(bits) for wanted in WANTED.values()], -1).astype("float64")

    first = float(train(*draw(20, 32)))
    for _ in range(steps):
        last = float(train(*draw(20, 32)))
    longer, wanted = draw(500, 20)
    right = np.mean((scores > 0).eval({x: longer}) == (wanted[2:] > 0.5))
    return {"loss at first": first, "loss at last": last, "right on 500 bits": float(right)}


def main(short: bool = False) -> dict[str, float]:
    """Set by hand, then learnt; the long sequence is the bits of a real text."""
    bits = np.unpackbits(np.frombuffer(text().encode()[:5000], "uint8")).astype(bool)
    found = by_thresholds(bits) | learnt(150 if short else 600)
    for name, value in found.items():
        print(f"{name:22} {value:.6g}")
    assert found["right on 500 bits"] > (0.9 if short else 0.9999)
    return found


if __name__ == "__main__":
    stage.run(main)
