"""Outputs that say how sure they are: Gaussians of one precision, of a precision that depends on the input, and of full covariance.

    python examples/gallery/gaussian_outputs.py --plot stopping.png

    -log N(y | mean, 1 / beta) = (beta (y - mean)^2 - log beta + log 2 pi) / 2

By its precision beta a Gaussian needs neither a division nor a square root. The data: in how many feet cars of the 1920s came to rest,
which varies the more the faster they were; and length and width of the petals of an iris, given those of its sepals.
"""

from __future__ import annotations

import data
import numpy as np
import stage

import graphc as gx

LOG_2PI = float(np.log(2 * np.pi))


def nll(y, mean, precision):
    """The mean of -log N(y | mean, 1 / precision)."""
    return 0.5 * gx.mean(precision * (y - mean) ** 2 - gx.log(precision) + LOG_2PI)


def constant(p, x):
    """A line, and one precision for all."""
    return p["a"] + p["b"] * x, gx.softplus(p["s"])


def heteroscedastic(p, x):
    """A line, and a precision that depends on x as well; softplus keeps it positive."""
    return p["a"] + p["b"] * x, gx.softplus(p["s"] + p["t"] * x)


def full(p, x):
    """Means (n, 2), and the lower triangular B of Sigma = B B' with a positive diagonal."""
    off = gx.stack([gx.zeros(()), p["below"]])
    B = gx.stack([gx.stack([gx.exp(p["diagonal"][0]), off[0]]), gx.stack([off[1], gx.exp(p["diagonal"][1])])])
    return x @ p["W"] + p["b"], B


def full_nll(p, x, y):
    """The mean of -log N(y | mean, B B'): a triangular solve, and the logarithm of the determinant from the diagonal."""
    mean, B = full(p, x)
    z = gx.linalg.solve_triangular(B, (y - mean).T, lower=True)
    return 0.5 * gx.mean(gx.sum(z**2, axis=0)) + gx.sum(p["diagonal"]) + LOG_2PI


def value(expression) -> float:
    """The value of an expression without inputs."""
    return float(gx.function([], expression)())


def cars(steps: int):
    """Both nets of one output on the cars: parameters and negative log likelihoods."""
    table = data.table("stopping")
    x, y = (table["speed"] - 15) / 10, table["distance"] / 10
    found = {}
    for net, start in ((constant, dict.fromkeys("abs", 1.0)), (heteroscedastic, dict.fromkeys("abst", 1.0))):
        p = stage.minimise(lambda p, net=net: nll(y, *net(p, x)), start, steps, 0.02)
        found[net.__name__] = p, value(nll(y, *net(p, gx.asarray(x))))
    return x, y, found


def irises(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The covariance that descent finds for the petals given the sepals, and that of the residuals of least squares."""
    flowers, species = data.iris()
    x, y = data.standardised(flowers[species == 1][:, :2]), data.standardised(flowers[species == 1][:, 2:])
    start = {"W": np.zeros((2, 2)), "b": np.zeros(2), "diagonal": np.zeros(2), "below": 0.0}
    p = stage.minimise(lambda p: full_nll(p, x, y), start, steps, 0.02)
    B = np.array([[np.exp(p["diagonal"][0]), 0], [p["below"], np.exp(p["diagonal"][1])]])
    A = np.c_[x, np.ones(len(x))]
    residual = y - A @ np.linalg.lstsq(A, y, rcond=None)[0]
    return B @ B.T, residual.T @ residual / len(y)


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """Fit all three; compare with what maximum likelihood says in closed form."""
    steps = 2000 if short else 5000
    x, y, found = cars(steps)
    (p, one), (q, varying) = found["constant"], found["heteroscedastic"]
    residual = y - np.polyval(np.polyfit(x, y, 1), x)
    variance = 1 / np.log1p(np.exp(p["s"]))
    print(f"one precision: variance {variance:.4f}, mean squared residual {np.mean(residual**2):.4f}; -log likelihood a car {one:.4f}")
    print(f"precision by speed: -log likelihood a car {varying:.4f}; slope of its score {q['t']:.3f}")
    assert abs(variance / np.mean(residual**2) - 1) < 1e-3 and varying < one - 0.05 and q["t"] < 0
    covariance, sample = irises(steps)
    print(f"petals given sepals: covariance {np.round(covariance, 4).tolist()}, of the residuals {np.round(sample, 4).tolist()}")
    np.testing.assert_allclose(covariance, sample, atol=2e-3)

    w = gx.vector("w", 2)
    t, h = gx.vector("t", "n"), gx.tensor("h", ("n", 2))
    squares, gaussian = gx.grad(gx.mean((t - h @ w) ** 2), w), gx.grad(nll(t, h @ w, 4.0), w)  # a fixed variance of 1/4
    a, b = gx.function([w, h, t], [squares, gaussian])(np.ones(2), np.c_[x, x**2], y)
    np.testing.assert_allclose(b, a * 4 / 2, rtol=1e-12)
    print("with a fixed variance the gradient is that of the squared error over twice the variance")
    if plot:
        grid = np.linspace(-1.2, 1.2, 100)
        with stage.picture(plot) as ax:
            ax.plot(x, y, ".", color="black")
            centre, width = q["a"] + q["b"] * grid, 2 / np.sqrt(np.log1p(np.exp(q["s"] + q["t"] * grid)))
            ax.fill_between(grid, centre - width, centre + width, alpha=0.3)
            ax.plot(grid, centre)
    return {"one": one, "varying": varying, "variance": variance, "residual": np.mean(residual**2), "correlation": covariance[0, 1]}


if __name__ == "__main__":
    stage.run(main)
