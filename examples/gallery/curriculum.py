"""A curriculum: parity of long strings of bits, which a recurrent net learns only if it meets short ones first.

    python examples/gallery/curriculum.py

The net reads a bit at a turn and says at the end whether it has seen an odd number of ones. A single wrong step anywhere flips the
answer, so that on long strings alone there is no slope to follow. A curriculum makes strings longer as the net masters them. That alone
does not help: the net forgets the short ones. The stochastic curriculum draws the length of each minibatch up to the present one. One
function, compiled once, trains on all lengths.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import stage

import graphc as gx

HIDDEN, BATCH = 8, 64


def score(p: Any, bits: gx.Node) -> gx.Node:
    """The log of the odds that a column of bits[turn, string] is odd."""

    def turn(h: gx.Node, bit: gx.Node) -> Any:
        return gx.tanh(h @ p["W"] + bit[:, None] * p["u"] + p["b"]), None

    h, _ = gx.scan(turn, gx.zeros((bits.shape[1], HIDDEN)), bits)
    return h @ p["v"] + p["c"]


def net(seed: int, rate: float = 0.01) -> tuple[Any, gx.Function, gx.Function]:
    """(parameters, a step on bits and weights of examples, the share of right answers)."""
    rng = np.random.default_rng(seed)
    initial = {
        "W": np.linalg.qr(rng.normal(size=(HIDDEN, HIDDEN)))[0], "u": rng.normal(size=HIDDEN), "b": 0.1 * rng.normal(size=HIDDEN),
        "v": rng.normal(size=HIDDEN), "c": np.array(0.0),
    }  # fmt: skip
    p = gx.shared(initial, "p")
    bits, weights = gx.matrix("bits", ("turns", "strings")), gx.vector("weights", "strings")
    odd = gx.sum(bits, axis=0) % 2
    z = score(p, bits)
    loss = gx.sum(weights * (gx.softplus(z) - odd * z)) / gx.sum(weights)
    opt = gx.optim.chain(gx.optim.clip_by_global_norm(1.0), gx.optim.adam(rate))
    right = gx.mean((z > 0) == (odd > 0.5), dtype="float64")
    return p, gx.function([bits, weights], [loss, right], updates=opt.updates(loss, p)), gx.function([bits], right)


def trained(kind: str, steps: int, longest: int, seed: int = 2) -> tuple[float, float]:
    """(the share of strings of the greatest length that are right, the length that the curriculum has come to)."""
    _, step, right = net(seed)
    rng = np.random.default_rng(seed + 100)
    length, mean = (longest, 0.5) if kind == "none" else (2, 0.5)
    ones = np.ones(BATCH)
    for _ in range(steps):
        n = int(rng.integers(2, length + 1)) if kind == "stochastic" else length
        share = float(step(rng.integers(0, 2, (n, BATCH)).astype(float), ones)[1])
        mean = 0.9 * mean + 0.1 * share
        if kind != "none" and mean > 0.97 and length < longest:
            length, mean = length + 1, 0.75
    return float(right(rng.integers(0, 2, (longest, 2000)).astype(float))), length


def weights_of_one(seed: int = 1) -> float:
    """How far the weighted cost with weights of 1 is from the plain mean: a curriculum by weights ends where training without one is."""
    p, step, _ = net(seed)
    bits = np.random.default_rng(2).integers(0, 2, (5, BATCH)).astype(float)
    z = gx.function([b := gx.matrix("bits", ("turns", "strings"))], score(p, b))(bits)
    odd = bits.sum(0) % 2
    return abs(float(step(bits, np.ones(BATCH))[0]) - float(np.mean(np.logaddexp(0, z) - odd * z)))


def main(short: bool = False) -> dict[str, float]:
    """Right answers on strings of the greatest length, without and with a curriculum."""
    steps, longest = (4000, 12) if short else (10_000, 24)
    figures = {"weights": weights_of_one()}
    assert figures["weights"] < 1e-14
    for kind in ("none", "deterministic", "stochastic"):
        if kind == "deterministic" and short:
            continue
        figures[kind], length = trained(kind, steps, longest)
        print(f"curriculum: {kind:13s} {figures[kind]:.1%} of strings of {longest} bits are right, after lengths up to {length}")
    assert figures["none"] < 0.6 and figures.get("deterministic", 0.5) < 0.6  # "no improvement over the baseline", found others as well
    assert figures["stochastic"] > 0.95
    return figures


if __name__ == "__main__":
    stage.run(main)
