"""A variational autoencoder of digits: a decoder of Gaussian codes, and an encoder that guesses the codes of a picture.

    python examples/gallery/vae.py [--plot digits.png]

Learning raises a bound on the log-likelihood, log P(x) - D(Q(z) || P(z | x)). The expectation over Q is one draw z = mean + deviation e;
the gradient goes through it (`gx.random`); the divergence from the prior is in closed form (`gx.stats`). On the linear Gaussian model
of ppca.py, with the exact posterior as Q, the bound is the log-likelihood itself. (Russell and Norvig 22.7.1, equation 22.17)
"""

from __future__ import annotations

import numpy as np
import stage
from data import digits

import graphc as gx

CODES, UNITS = 8, 128
PRIOR = gx.stats.norm(0.0, 1.0)


def initial(seed: int = 0):
    """Parameters of 64-128-(8, 8) and 8-128-64."""
    rng = np.random.default_rng(seed)
    sizes = {"in": (64, UNITS), "mean": (UNITS, CODES), "spread": (UNITS, CODES), "code": (CODES, UNITS), "out": (UNITS, 64)}
    return {name: gx.nn.init.dense(rng, *size, dtype="float32") for name, size in sizes.items()}


def encode(p, x):
    """Mean and standard deviation of the codes of pictures."""
    h = gx.tanh(gx.nn.dense(p["in"], x))
    return gx.nn.dense(p["mean"], h), gx.exp(gx.nn.dense(p["spread"], h))


def decode(p, z):
    """The log-odds of ink in every pixel."""
    return gx.nn.dense(p["out"], gx.tanh(gx.nn.dense(p["code"], z)))


def log_picture(p, x, z):
    """log P(x | z) of pixels that are ink with these odds; a grey pixel counts in part."""
    odds = decode(p, z)
    return gx.sum(x * odds - gx.special.softplus(odds), axis=-1)


def parts(p, x, noise):
    """E log P(x | z) by one draw, and the divergence of the codes from the prior; their difference is the bound."""
    mean, deviation = encode(p, x)
    divergence = gx.sum(gx.stats.kl_divergence(gx.stats.norm(mean, deviation), PRIOR), axis=-1)
    return log_picture(p, x, mean + deviation * noise), divergence


def log_likelihood(p, x, draws: int, rng):
    """log P(x) by importance sampling with Q: log of the mean of P(x, z) / Q(z) over draws z; at least the bound, on average."""
    mean, deviation = encode(p, x)
    z = mean + deviation * rng.standard_normal((draws, *mean.shape), dtype="float32")
    q = gx.stats.norm.logpdf(z, mean, deviation)
    weights = log_picture(p, x, z) + gx.sum(PRIOR.logpdf(z) - q, axis=-1)
    return gx.special.logsumexp(weights, axis=0) - np.log(draws).astype("float32")


def exact_case() -> float:
    """x = W z + noise: the bound with the posterior as Q, all expectations exact, less log P(x). The largest difference."""
    rng = np.random.default_rng(0)
    W, x, s = rng.normal(size=(5, 2)), rng.normal(size=(20, 5)), 0.3
    precision = np.eye(2) + W.T @ W / s
    cov = np.linalg.inv(precision)
    mean = x @ W @ cov / s
    likelihood = gx.stats.multivariate_normal.logpdf(x, mean @ W.T, s) - np.trace(W @ cov @ W.T) / (2 * s)
    normal = gx.stats.multivariate_normal
    divergence = gx.stack([gx.stats.kl_divergence(normal(m, cov), normal(np.zeros(2), np.eye(2))) for m in mean])
    gap = likelihood - divergence - normal.logpdf(x, cov=W @ W.T + s * np.eye(5))
    return float(gx.max(gx.abs(gap)).eval())


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """The exact case; then learn digits, bound the likelihood of test pictures from below, and draw new digits."""
    gap = exact_case()
    print(f"linear model, exact posterior: the bound is the log-likelihood but for {gap:.0e}")
    assert gap < 1e-12
    images, _, tests, _ = digits()
    rng, p, x = gx.random.default_rng(0), gx.shared(initial()), gx.tensor("x", ("n", 64), "float32")
    fits, divergence = parts(p, x, rng.standard_normal((x.shape[0], CODES), dtype="float32"))
    bound = gx.mean(fits - divergence)
    step = gx.function([x], bound, updates=gx.optim.adam(2e-3).updates(-bound, p))
    bounds = stage.epochs(step, (images,), 20 if short else 150)
    assert bounds[-1] > bounds[0]
    measured = gx.function([x], [bound, gx.mean(divergence), gx.min(divergence), gx.mean(log_likelihood(p, x, 20 if short else 200, rng))])
    test, mean, least, likelihood = map(float, measured(tests))
    mean_ink = np.clip(images.mean(0), 1e-3, 1 - 1e-3)
    alone = float(np.mean(tests @ np.log(mean_ink) + (1 - tests) @ np.log(1 - mean_ink)))
    print(f"test pictures: bound {test:.2f}, log-likelihood {likelihood:.2f}, of independent pixels {alone:.2f}; divergence {mean:.2f}")
    assert least >= 0 and test < likelihood and test > alone + (1 if short else 2.5)
    if plot:
        new = gx.function([], gx.sigmoid(decode(p, rng.standard_normal((40, CODES), dtype="float32"))))()
        with stage.picture(plot, 4, 10, 1.0) as axes:
            for ax, picture in zip(axes.ravel(), new):
                ax.imshow(picture.reshape(8, 8), cmap="gray_r")
                ax.axis("off")
    return {"gap": gap, "bound": test, "likelihood": likelihood, "alone": alone, "divergence": mean}


if __name__ == "__main__":
    stage.run(main)
