"""A state-space model of the Nile by the Kalman filter: its likelihood maximised through scan and solves.

    python examples/kalman.py

    x' = A x + w,  y = H x + v,    w, v normal with covariances Q, R

The filter is one `scan` over the years: predict, compare, correct by the gain P H' S^-1 (a solve, no inverse). The likelihood is the sum
of what each comparison says, and the graph differentiates through all of it. The model is the local level of Durbin and Koopman
(Time Series Analysis by State Space Methods, chapter 2): A = H = 1, whose published estimates are R = 15099 and Q = 1469.1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from gaussian_process import load_nile

import graphc as gx

LOG_2PI = gx.asarray(np.log(2 * np.pi))
DIFFUSE = 1e7  # variance of the first level, of which nothing is known


class Filtered(NamedTuple):
    """The log likelihood, and the estimate of the state after each observation."""

    likelihood: Any
    states: Any


def kalman(y: Any, a: Any, h: Any, q: Any, r: Any, mean: Any, spread: Any) -> Filtered:
    """Filter y: (n, k) with matrices a: (m, m), h: (k, m), q: (m, m), r: (k, k), from a first state of this mean and covariance."""

    def turn(carry: Any, seen: Any) -> Any:
        x, p = carry
        error, s = seen - h @ x, h @ p @ h.T + r
        gain = gx.linalg.solve(gx.assume(s, "positive_definite"), h @ p).T
        surprise = error @ gx.linalg.solve(gx.assume(s, "positive_definite"), error) + gx.linalg.slogdet(s)[1]
        x, p = x + gain @ error, p - gain @ h @ p
        return (a @ x, a @ p @ a.T + q), (surprise, x)

    _, (surprises, states) = gx.scan(turn, (mean, spread), y)
    return Filtered(-0.5 * (gx.sum(surprises) + LOG_2PI * (y.shape[0] * y.shape[1])), states)


def by_hand(y: np.ndarray, a: np.ndarray, h: np.ndarray, q: np.ndarray, r: np.ndarray, x: np.ndarray, p: np.ndarray) -> float:
    """The same likelihood in NumPy, written out."""
    total = 0.0
    for seen in y:
        error, s = seen - h @ x, h @ p @ h.T + r
        total -= 0.5 * (error @ np.linalg.inv(s) @ error + np.log(np.linalg.det(s)) + len(error) * np.log(2 * np.pi))
        gain = p @ h.T @ np.linalg.inv(s)
        x, p = x + gain @ error, p - gain @ h @ p
        x, p = a @ x, a @ p @ a.T + q
    return float(total)


def build() -> Any:
    """(y, log variances) -> (likelihood, gradient, Hessian, states) of the local level."""
    y, logs = gx.tensor("y", ("n", 1)), gx.vector("logs", 2)
    one = gx.asarray(np.eye(1))
    variances = gx.exp(logs)
    found = kalman(y, one, one, variances[0] * one, variances[1] * one, gx.zeros(1), DIFFUSE * one)
    slopes = gx.grad(found.likelihood, logs), gx.hessian(found.likelihood, logs)
    return gx.function([y, logs], [found.likelihood, *slopes, found.states])


def fit(f: Any, y: np.ndarray, start: tuple[float, float] = (5e3, 5e3), most: int = 50) -> tuple[np.ndarray, float]:
    """(variances (Q, R), likelihood) by Newton steps uphill, halved until it rises."""
    logs = np.log(start)
    for _ in range(most):
        value, slope, hessian, _ = f(y, logs)
        if np.abs(slope).max() < 1e-8:
            break
        w, v = np.linalg.eigh(hessian)
        step = v @ ((v.T @ slope) / np.maximum(np.abs(w), 1e-3))
        step *= min(1.0, 1.0 / np.abs(step).max())
        while f(y, logs + step)[0] < value and np.abs(step).max() > 1e-12:
            step /= 2
        logs = logs + step
    return np.exp(logs), float(value)


def main() -> tuple[np.ndarray, float]:
    """Fit the local level to the Nile and print what comes out."""
    years, flow = load_nile()
    f = build()
    (q, r), likelihood = fit(f, flow[:, None])
    states = f(flow[:, None], np.log([q, r]))[3]
    one = np.eye(1)
    twin = by_hand(flow[:, None], one, one, q * one, r * one, np.zeros(1), DIFFUSE * one)
    print(f"variance of a year {r:.1f}, of the step from year to year {q:.1f}")
    print(f"log likelihood {likelihood:.6f}, by hand {twin:.6f}")
    print(f"level in {years[0]:.0f}: {states[0, 0]:.0f}, in {years[-1]:.0f}: {states[-1, 0]:.0f}")
    return np.array([q, r]), likelihood


if __name__ == "__main__":
    main()
