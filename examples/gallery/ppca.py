"""Probabilistic principal components: a Gaussian over pictures of digits whose covariance is W W' + s I, by maximum likelihood.

    python examples/gallery/ppca.py

W is 64 x 10; the likelihood goes through a Cholesky factor and a triangular solve, and so does its gradient. L-BFGS, as one native call
from random numbers, arrives at the optimum that is known in closed form: s is the mean of the eigenvalues that W leaves out. The model
then scores pictures (a scrambled digit is improbable) and draws new ones. (Russell and Norvig 22.7.1)
"""

from __future__ import annotations

import numpy as np
import stage
from data import digits

import graphc as gx

CODES = 10


def pictures() -> np.ndarray:
    """All 1797 digits, pixels 0 to 16, less their mean."""
    train, _, test, _ = digits("float64")
    rows = np.concatenate([train, test]) * 16
    return rows - rows.mean(0)


def covariance(p):
    """W W' + s I; s is given by its logarithm."""
    return p["W"] @ p["W"].T + gx.exp(p["log s"]) * gx.eye(64)


def log_likelihood(p, x):
    """log N(x; 0, W W' + s I) of every row."""
    return gx.stats.multivariate_normal.logpdf(x, cov=covariance(p))


def log_likelihood_of_all(p, root, n: int):
    """The sum of log_likelihood over n rows x with root' root = x' x: all that the sum depends on are 64 rows, not 1797."""
    factor = gx.linalg.cholesky(covariance(p))
    spread = gx.sum(gx.linalg.solve_triangular(factor, root.T, lower=True) ** 2)
    return -n * (gx.sum(gx.log(gx.diagonal(factor))) + 32 * np.log(2 * np.pi)) - spread / 2


def closed_form(x: np.ndarray) -> tuple[float, float]:
    """s and the log-likelihood of the optimum, from the eigenvalues of the covariance."""
    values = np.linalg.eigvalsh(x.T @ x / len(x))[::-1]
    s = values[CODES:].mean()
    log_det = np.sum(np.log(values[:CODES])) + (64 - CODES) * np.log(s)
    return float(s), float(-len(x) / 2 * (64 * np.log(2 * np.pi) + log_det + 64))


def fit(x: np.ndarray):
    """The parameters of most likelihood, and the result of the search."""
    rng = np.random.default_rng(0)
    root = np.linalg.qr(x, "r")
    start = {"W": rng.normal(size=(64, CODES)), "log s": np.array(2.0)}
    cost = lambda p: -log_likelihood_of_all(p, root, len(x)) / len(x)
    found = gx.function([], gx.optim.minimize(cost, start, method="l_bfgs", tol=1e-7))()
    return found.x, found


def main(short: bool = False) -> dict[str, float]:
    """Fit, compare with the closed form, score scrambled digits, draw new ones."""
    x = pictures()
    p, found = fit(x)
    v, like = gx.tensor("v", ("n", 64)), gx.like(p)
    score = gx.function([v, like], log_likelihood(like, v))
    total, s = float(score(x, p).sum()), float(np.exp(p["log s"]))
    exact_s, exact = closed_form(x)
    print(f"{found.iterations} steps of L-BFGS: s = {s:.6f}, log-likelihood {total:.3f}; closed form {exact_s:.6f}, {exact:.3f}")
    assert abs(s - exact_s) < 1e-5 and abs(total - exact) < 1e-3

    scrambled = np.random.default_rng(1).permuted(x, axis=1)
    ordinary = float(np.mean(score(x, p) > score(scrambled, p)))
    print(f"a digit is more probable than the same pixels scrambled in {ordinary:.2%} of the pairs")
    assert ordinary > 0.99

    rng = gx.random.default_rng(2)
    n = 20_000
    draws = rng.standard_normal((n, CODES)) @ like["W"].T + gx.exp(0.5 * like["log s"]) * rng.standard_normal((n, 64))
    drawn = gx.function([like], [draws.T @ draws / n, covariance(like)])(p)
    apart = float(np.linalg.norm(drawn[0] - drawn[1]) / np.linalg.norm(drawn[1]))
    print(f"the covariance of {n} draws is the model's but for {apart:.1%}")
    assert apart < 0.03
    return {"s": s, "log-likelihood": total, "ordinary": ordinary, "apart": apart}


if __name__ == "__main__":
    stage.run(main)
