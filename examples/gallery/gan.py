"""A generative adversarial network: one net draws points, another tells them from real ones, and each learns from the other.

    python examples/gallery/gan.py [--plot points.png]

The points are the petals of 150 irises, length and width, two clusters. Two functions are compiled over two sets of parameters: the
discriminator's step lowers its loss on real and drawn points; the generator's raises log D of what it draws, with the gradient through D
into the generator alone. Where both rest the discriminator cannot do better than guess: outputs 1/2, loss log 4.
(Russell and Norvig 22.7.1)
"""

from __future__ import annotations

import numpy as np
import stage
from data import iris, standardised

import graphc as gx

NOISE, UNITS, SAME = 4, 32, float(np.log(4))


def net(seed: int, n: int, m: int):
    """Parameters of n-32-32-m."""
    rng = np.random.default_rng(seed)
    return [gx.nn.init.dense(rng, *sizes, dtype="float32") for sizes in ((n, UNITS), (UNITS, UNITS), (UNITS, m))]


def through(p, x):
    """Two layers of leaky rectifiers and a linear one."""
    for layer in p[:-1]:
        x = gx.nn.leaky_relu(gx.nn.dense(layer, x), 0.2)
    return gx.nn.dense(p[-1], x)


def log_odds(d, x):
    """Of a point being real, by the discriminator."""
    return through(d, x)[:, 0]


def discriminator_loss(d, real, drawn):
    """-E log D(real) - E log(1 - D(drawn)); log 4 of a discriminator that says 1/2 to all."""
    return gx.mean(gx.special.softplus(-log_odds(d, real))) + gx.mean(gx.special.softplus(log_odds(d, drawn)))


def build(rate: float):
    """State of both, the two steps (batch -> loss), and a function that draws."""
    g, d = gx.shared(net(0, NOISE, 2)), gx.shared(net(1, 2, 1))
    rng = gx.random.default_rng(0)
    real = gx.tensor("real", ("n", 2), "float32")
    draw = lambda n: through(g, rng.standard_normal((n, NOISE), dtype="float32"))
    opt = gx.optim.adam(rate, b1=0.5)
    loss = discriminator_loss(d, real, gx.stop_gradient(draw(real.shape[0])))
    learn_d = gx.function([real], loss, updates=opt.updates(loss, d))
    fooled = gx.mean(gx.special.softplus(-log_odds(d, draw(64))))
    learn_g = gx.function([], fooled, updates=opt.updates(fooled, g))
    return (g, d), learn_d, learn_g, gx.function([], draw(2000))


def equilibrium() -> float:
    """Drawn points that are the real ones, and a discriminator that says 1/2: loss log 4, and a gradient of 0 by its output."""
    d = net(1, 2, 1)
    d[-1] = {key: np.zeros_like(value) for key, value in d[-1].items()}
    p, x = gx.like(d), gx.tensor("x", ("n", 2), "float32")
    loss = discriminator_loss(p, x, x)
    value, slopes = gx.function([p, x], [loss, gx.grad(loss, p)])(d, np.float32([[1, 2], [0, -1]]))
    assert all(not leaf.any() for leaf in gx.tree.leaves(slopes))
    return float(value)


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """The equilibrium; then learn, and compare drawn petals with real ones."""
    same = equilibrium()
    print(f"at rest: loss {same:.6f}, log 4 = {SAME:.6f}")
    assert abs(same - SAME) < 1e-6
    petals = standardised(iris()[0][:, 2:]).astype("float32")
    state, learn_d, learn_g, draw = build(2e-3)
    before = [gx.get_values(part) for part in state]
    learn_g()
    moved = [any((a != b).any() for a, b in zip(gx.tree.leaves(x), gx.tree.leaves(gx.get_values(y)))) for x, y in zip(before, state)]
    assert moved == [True, False]  # the gradient passes through D and ends in the generator

    rng = np.random.default_rng(2)
    losses = []
    for _ in range(1500 if short else 6000):
        losses.append(float(learn_d(petals[rng.integers(0, 150, 64)])))
        learn_g()
    drawn, last = draw(), float(np.mean(losses[-200:]))
    far = float(np.abs(np.cov(drawn.T) - np.cov(petals.T)).max())
    share = lambda x: float(np.mean(x[:, 0] < -0.6))  # of the small species
    print(f"loss {last:.3f}; small petals: {share(drawn):.1%} of drawn, {share(petals):.1%} of real; covariances differ by {far:.2f}")
    assert abs(last - SAME) < 0.2 and abs(share(drawn) - 1 / 3) < 0.15 and far < 0.4
    if plot:
        with stage.picture(plot, size=5) as ax:
            ax.scatter(*drawn.T, s=3, alpha=0.4, label="drawn")
            ax.scatter(*petals.T, s=9, label="petals of irises")
            ax.legend()
    return {"same": same, "loss": last, "small": share(drawn), "far": far}


if __name__ == "__main__":
    stage.run(main)
