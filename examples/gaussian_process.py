"""A Gaussian process for the flow of the Nile: hyper-parameters by Newton's method on the exact marginal likelihood.

    python examples/gaussian_process.py            [--plot nile.png]     the plot takes matplotlib: pip install "graphc[examples]"

    y = level + f(t) + noise,   f a process with covariance s^2 exp(-(t - t')^2 / (2 l^2)),   noise of standard deviation r

The likelihood of y integrates f out: with K = s^2 exp(..) + r^2 and its Cholesky factor L, its negative logarithm is
|L^-1 y|^2 / 2 + sum(log(diagonal(L))) + n log(2 pi) / 2. Gradient and Hessian in (log s, log l, log r) are nodes of the same graph, in
which all of them share one factorisation; so Newton's method needs no line of derivation.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import graphc as gx

DATA = Path(__file__).parent / "data" / "nile.csv"
HALF_LOG = gx.asarray(0.5 * np.log(2 * np.pi))
STARTS = np.log([[150.0, 30.0, 120.0], [100.0, 10.0, 100.0]])  # s, l in years, r: the likelihood has two maxima, as often


def load_nile() -> tuple[np.ndarray, np.ndarray]:
    """(years, the flow at Aswan in 10^8 cubic metres), 1871 to 1970."""
    table = np.loadtxt(DATA, delimiter=",", skiprows=1)
    return table[:, 0], table[:, 1]


def covariance(t: Any, other: Any, parameters: Any) -> gx.Node:
    """s^2 exp(-(t - t')^2 / (2 l^2)) of two sets of times."""
    apart = (t[:, None] - other[None, :]) * gx.exp(-parameters[1])
    return gx.exp(2 * parameters[0] - 0.5 * apart**2)


class Process(NamedTuple):
    """The compiled functions of a process."""

    newton: Any  # (t, y, parameters) -> (negative log likelihood, gradient, Hessian)
    predict: Any  # (t, y, at, parameters) -> (mean, standard deviation) of f


def build() -> Process:
    """For any number of years: the size is known only at the call."""
    t, y, at, parameters = gx.vector("t", "n"), gx.vector("y", "n"), gx.vector("at", "m"), gx.vector("parameters", 3)
    noise = gx.exp(2 * parameters[2])
    lower = gx.linalg.cholesky(covariance(t, t, parameters) + noise * gx.eye(t.shape[0]))
    white = gx.linalg.solve_triangular(lower, y, lower=True)
    surprise = 0.5 * gx.sum(white**2) + gx.sum(gx.log(gx.diagonal(lower))) + HALF_LOG * t.shape[0]
    newton = gx.function([t, y, parameters], [surprise, gx.grad(surprise, parameters), gx.hessian(surprise, parameters)])
    between = covariance(t, at, parameters)
    explained = gx.linalg.solve_triangular(lower, between, lower=True)
    mean = between.T @ gx.linalg.cho_solve((lower, True), y)
    variance = gx.exp(2 * parameters[0]) - gx.sum(explained**2, axis=0)
    return Process(newton, gx.function([t, y, at, parameters], [mean, gx.sqrt(gx.maximum(variance, 0.0))]))


def fit(process: Process, t: np.ndarray, y: np.ndarray, start: np.ndarray, most: int = 50) -> tuple[np.ndarray, list[float]]:
    """(parameters, the negative log likelihood at each step) by Newton steps, downhill where it curves down, halved until it falls."""
    parameters, values = np.array(start), []
    for _ in range(most):
        value, slope, hessian = process.newton(t, y, parameters)
        values.append(float(value))
        if np.abs(slope).max() < 1e-8:
            break
        w, v = np.linalg.eigh(hessian)
        step = -v @ ((v.T @ slope) / np.maximum(np.abs(w), 1e-3))
        step *= min(1.0, 1.0 / np.abs(step).max())
        while process.newton(t, y, parameters + step)[0] > value and np.abs(step).max() > 1e-12:
            step /= 2
        parameters = parameters + step
    return parameters, values


def plotter() -> Any:
    """matplotlib's functions that draw: the one thing here beyond what graphc itself needs, loaded where a plot is asked for."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        raise SystemExit('--plot draws with matplotlib, which is not there: pip install "graphc[examples]"') from None
    matplotlib.use("Agg")  # a file needs no screen
    return importlib.import_module("matplotlib.pyplot")


def main(arguments: list[str] | None = None) -> tuple[np.ndarray, list[float]]:
    """Fit, print, and plot if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--plot", help="a file for the picture")
    plot = parser.parse_args(arguments).plot
    plt = plotter() if plot else None
    years, flow = load_nile()
    level = flow.mean()
    process = build()
    found = []
    for start in STARTS:
        found.append(fit(process, years, flow - level, start))
        for k, value in enumerate(found[-1][1]):
            print(f"step {k:2d}   -log likelihood {value:.6f}")
        s, length, r = np.exp(found[-1][0])
        print(f"the level varies by {s:.0f} within some {length:.1f} years; the years by {r:.0f}")
    parameters, values = min(found, key=lambda fitted: fitted[1][-1])
    at = np.linspace(years[0], years[-1] + 15, 231)
    mean, deviation = process.predict(years, flow - level, at, parameters)
    print(f"expected in {at[-1]:.0f}: {level + mean[-1]:.0f} +- {deviation[-1]:.0f}")
    if plt is not None:
        plt.plot(years, flow, ".", at, level + mean)
        plt.fill_between(at, level + mean - 2 * deviation, level + mean + 2 * deviation, alpha=0.3)
        plt.xlabel("year")
        plt.ylabel("flow")
        plt.savefig(plot)
    return parameters, values


if __name__ == "__main__":
    main()
