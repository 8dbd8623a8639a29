"""Architecture search: fifty nets compiled, trained and compared; and a choice among layers that is itself differentiated (DARTS).

    python examples/gallery/architecture_search.py

`search` draws depth, widths and activation at random (RN 22.5.2): each net is another program, and the time to compile it, training loop
included, is printed beside what it reaches. `darts` relaxes the choice: a layer is the mixture of four activations by a softmax over alpha,
and alpha descends the loss on other data after one step of the weights (Liu, Simonyan and Yang 2019). The gradient through that step
holds a second derivative, a product with the Hessian: exact here, and equal to the difference quotient of their equation 8.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

import data
import numpy as np
import stage

import graphc as gx

ACTIVATIONS = {"tanh": gx.tanh, "relu": gx.relu, "sigmoid": gx.sigmoid, "none": lambda x: x}


def drawn(rng: np.random.Generator) -> tuple[list[int], str]:
    """A random architecture: widths of one to three hidden layers, and their activation."""
    return [int(w) for w in rng.choice([8, 16, 32, 64], size=rng.integers(1, 4))], str(rng.choice(list(ACTIVATIONS)))


def train(widths: list[int], activation: str, steps: int, size: int) -> tuple[float, float, float]:
    """Seconds to compile, seconds to train, and accuracy on digits that were not trained on. Training is one native call."""
    images, labels, others, right = data.digits()
    sizes = [64, *widths, 10]
    initial = [stage.dense(np.random.default_rng(0), n, m) for n, m in itertools.pairwise(sizes)]

    def scores(p: Any, x: Any) -> gx.Node:
        for layer in p[:-1]:
            x = ACTIVATIONS[activation](x @ layer["W"] + layer["b"])
        return x @ p[-1]["W"] + p[-1]["b"]

    opt, p0 = gx.optim.adam(0.01), gx.like(initial)
    x, y = gx.asarray(images[:size]), gx.asarray(labels[:size])
    descend = lambda k, state: opt.update(gx.grad(gx.nn.cross_entropy(scores(state[0], x), y), state[0]), state[1], state[0])
    trained = gx.fori_loop(0, steps, descend, (p0, opt.init(p0)))[0]
    begin = time.perf_counter()
    f = gx.function([p0], gx.mean(gx.argmax(scores(trained, gx.asarray(others)), axis=1) == right))
    compiled = time.perf_counter()
    accuracy = float(f(initial))
    return compiled - begin, time.perf_counter() - compiled, accuracy


def search(count: int, steps: int, size: int) -> dict[str, float]:
    """The best of so many random architectures; all compile times."""
    rng, found = np.random.default_rng(0), []
    seen = set()
    while len(found) < count:
        widths, activation = drawn(rng)
        if (*widths, activation) in seen:
            continue
        seen.add((*widths, activation))
        compiled, trained, accuracy = train(widths, activation, steps, size)
        found.append((accuracy, compiled))
        print(
            f"  {'-'.join(map(str, widths)):10} {activation:8} compiled in {compiled:5.2f} s, trained in {trained:6.3f} s: {accuracy:.1%}"
        )
    scores, times = np.array(found).T
    return {
        "nets": len(seen),
        "best": scores.max(),
        "median": np.median(scores),
        "slowest compile": times.max(),
        "all compiles": times.sum(),
    }


def mixed(w: dict[str, Any], alpha: Any, x: Any) -> gx.Node:
    """A layer that is a mixture of the four activations, and a linear one on it."""
    h = x @ w["W"] + w["b"]
    return sum(gx.softmax(alpha)[k] * f(h) for k, f in enumerate(ACTIVATIONS.values())) @ w["V"]


def darts(steps: int, size: int, rate: float = 0.5) -> dict[str, float]:
    """Weights and choice in turn; what is left of each activation, and how far the exact gradient is from the difference quotient."""
    images, labels, _, _ = data.digits("float64")
    rng = np.random.default_rng(0)
    w = gx.like({"W": rng.normal(size=(64, 16)) / 8, "b": np.zeros(16), "V": rng.normal(size=(16, 10)) / 4})
    alpha = gx.vector("alpha", 4)
    loss = lambda w, alpha, part: gx.nn.cross_entropy(mixed(w, alpha, images[part]), labels[part])
    inner, outer = slice(0, size), slice(size, 2 * size)

    slope = gx.grad(loss(w, alpha, inner), w)
    after = gx.tree.map(lambda p, g: p - rate * g, w, slope)
    exact = gx.grad(loss(after, alpha, outer), alpha)  # through the step: d/d alpha of grad_w, times grad of the outer loss

    there = gx.tree.map(gx.stop_gradient, after)
    direct, v = gx.grad(loss(there, alpha, outer), (alpha, there))
    eps = 1e-6
    moved = [gx.grad(loss(gx.tree.map(lambda p, d, s=s: p + s * eps * gx.stop_gradient(d), w, v), alpha, inner), alpha) for s in (1, -1)]
    quotient = direct - rate * (moved[0] - moved[1]) / (2 * eps)

    step = gx.function([w, alpha], [after, alpha - 2.0 * exact, loss(w, alpha, outer), exact, quotient, direct])
    values = {"W": rng.normal(size=(64, 16)) / 8, "b": np.zeros(16), "V": rng.normal(size=(16, 10)) / 4}
    choice, first, error = np.zeros(4), None, 0.0
    for _ in range(steps):
        values, choice, cost, one, other, plain = step(values, choice)
        first = cost if first is None else first
        error = max(error, np.abs(one - other).max() / np.abs(one).max())
    shares = np.exp(choice) / np.exp(choice).sum()
    assert error < 1e-4 and np.abs(one - plain).max() > 1e-3 * np.abs(one).max(), "the second-order term is there, and right"
    return {"error": error, "first loss": float(first), "last loss": float(cost)} | dict(zip(ACTIVATIONS, map(float, shares)))


def main(short: bool = False) -> dict[str, float]:
    """Two nets in the short run, fifty in the whole one; then the mixture."""
    found = search(2, 60, 300) if short else search(50, 150, 1437)
    print(f"{found['nets']} nets, the best right on {found['best']:.1%}, the median on {found['median']:.1%}; ", end="")
    print(f"compiled in {found['all compiles']:.1f} s, the slowest in {found['slowest compile']:.2f} s")
    assert found["best"] > (0.6 if short else 0.95)
    choice = darts(10 if short else 300, 100 if short else 600)
    print("DARTS: " + ", ".join(f"{name} {choice[name]:.2f}" for name in ACTIVATIONS), end="; ")
    print(f"loss {choice['first loss']:.3f} -> {choice['last loss']:.3f}; exact gradient and quotient differ by {choice['error']:.0e}")
    assert choice["last loss"] < choice["first loss"]
    return found | {f"DARTS: {name}": value for name, value in choice.items()}


if __name__ == "__main__":
    stage.run(main)
