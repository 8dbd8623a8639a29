"""Translation without a dictionary: two adversarial networks learn opposite maps between two heaps of points, of which no pair is known.

    python examples/gallery/translation.py [--plot maps.png]

One heap is the petals of 75 irises, the other those of 75 different ones, turned by a right angle. What one map makes must pass for a point
of the other heap, and the way there and back must lead home. The discriminators pay for the square of their slope at real points, a
gradient inside their cost, without which the two sides chase each other for ever. (Russell and Norvig 22.7.1)
"""

from __future__ import annotations

import numpy as np
import stage
from data import iris, standardised

import graphc as gx

UNITS, PENALTY, HOME, RATE = 32, 0.1, 10, 4e-3
TURN = np.float32([[0, 1], [-1, 0]])  # nobody tells the networks: (length, width) -> (-width, length)


def heaps() -> tuple[np.ndarray, np.ndarray]:
    """Petals, and other petals turned: both (75, 2)."""
    petals = standardised(iris()[0][:, 2:]).astype("float32")
    return petals[::2], petals[1::2] @ TURN


def judge(seed: int):
    """Parameters of a discriminator 2-32-32-1."""
    rng = np.random.default_rng(seed)
    return [gx.nn.init.dense(rng, *sizes, dtype="float32") for sizes in ((2, UNITS), (UNITS, UNITS), (UNITS, 1))]


def log_odds(p, x):
    """Of a point being real."""
    for layer in p[:-1]:
        x = gx.nn.leaky_relu(gx.nn.dense(layer, x), 0.2)
    return gx.nn.dense(p[-1], x)


def passes(p, x):
    """The cost of points that should be taken as real."""
    return gx.mean(gx.special.softplus(-log_odds(p, x)))


def catches(p, real, made):
    """The cost of a discriminator: real points should be known, made ones found out, and its slope at real ones be small."""
    slope = gx.grad(gx.sum(log_odds(p, real)), real)
    told_apart = passes(p, real) + gx.mean(gx.special.softplus(log_odds(p, gx.stop_gradient(made))))
    return told_apart + PENALTY * gx.mean(gx.sum(slope**2, axis=1))


def build():
    """The maps, state; a step of the discriminators and one of the maps: batches of both heaps -> cost."""
    straight = {"weight": np.eye(2, dtype="float32"), "bias": np.zeros(2, "float32")}
    maps, judges = gx.shared({"there": straight, "back": straight}), gx.shared({"here": judge(0), "there": judge(1)})
    x, y = gx.tensor("x", ("n", 2), "float32"), gx.tensor("y", ("n", 2), "float32")
    there, back = gx.nn.dense(maps["there"], x), gx.nn.dense(maps["back"], y)
    caught = catches(judges["there"], y, there) + catches(judges["here"], x, back)
    home = gx.mean((gx.nn.dense(maps["back"], there) - x) ** 2) + gx.mean((gx.nn.dense(maps["there"], back) - y) ** 2)
    passed = passes(judges["there"], there) + passes(judges["here"], back) + HOME * home
    learn = lambda cost, p: gx.function([x, y], cost, updates=gx.optim.adam(RATE, b1=0.5).updates(cost, p))
    return maps, learn(caught, judges), learn(passed, maps)


def apply(layer: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """A map on arrays."""
    return x @ layer["weight"] + layer["bias"]


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """Learn; then compare with the turn that was kept secret."""
    x, y = heaps()
    maps, learn_judges, learn_maps = build()
    rng = np.random.default_rng(0)
    batch = lambda heap: heap[rng.integers(0, len(heap), 64)]
    for _ in range(1000 if short else 4000):
        learn_judges(batch(x), batch(y))
        learn_maps(batch(x), batch(y))
    found = gx.get_values(maps)
    distance = lambda a, b: float(np.mean(np.linalg.norm(a - b, axis=1)))
    wrong, home = distance(apply(found["there"], x), x @ TURN), distance(apply(found["back"], apply(found["there"], x)), x)
    before = distance(x, x @ TURN)
    print(f"from the secret turn: {before:.2f} before, {wrong:.3f} after; there and back, from home {home:.3f}")
    assert wrong < (0.25 if short else 0.12) * before and home < 0.1 * before
    if plot:
        with stage.picture(plot, size=5) as ax:
            for points, label in ((x, "here"), (y, "there"), (apply(found["there"], x), "translated")):
                ax.scatter(*points.T, s=9, label=label)
            ax.legend()
    return {"before": before, "wrong": wrong, "home": home}


if __name__ == "__main__":
    stage.run(main)
