"""Minimisers beside SciPy's: `python -m benchmarks.optimisers [PROBLEM ..] [--rounds N] [--markdown]`.

Rosenbrock's function of 2, 10 and 100 variables, logistic regression (fives among the digits), and a net on the digits. For each method:
the minimum, iterations, evaluations and time of `gx.optim.minimize`, of SciPy's method of that name given graphc's compiled cost, gradient
and Hessian-vector product, and of SciPy given what a user of NumPy writes by hand. A time is the least of the rounds, in which the three
take turns; a compiled function's first call is not counted. One thread: set OMP_NUM_THREADS=1 and OPENBLAS_NUM_THREADS=1 for SciPy.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.optimize
import scipy.special

import graphc as gx

DATA = Path(__file__).parents[1] / "examples" / "data" / "digits.npz"
THEIRS = {
    "polak_ribiere": "CG", "bfgs": "BFGS", "l_bfgs": "L-BFGS-B", "newton_cg": "Newton-CG", "trust_region": "trust-ncg",
    "newton": "trust-exact",
}  # fmt: skip
MANY = 500  # variables: no whole Hessian or inverse beyond


class Problem(NamedTuple):
    """A cost as a graph, its value and gradient in NumPy, where to begin, and the norm of the gradient to end at."""

    name: str
    graph: Callable[[Any], Any]
    numpy: Callable[[np.ndarray], tuple[float, np.ndarray]]
    start: np.ndarray
    tol: float


def rosenbrock(n: int) -> Problem:
    """sum of 100 (x_(k+1) - x_k^2)^2 + (1 - x_k)^2"""

    def by_hand(x: np.ndarray) -> tuple[float, np.ndarray]:
        a, b = x[1:] - x[:-1] ** 2, 1 - x[:-1]
        g = np.zeros_like(x)
        g[:-1] = -400 * a * x[:-1] - 2 * b
        g[1:] += 200 * a
        return float(100 * a @ a + b @ b), g

    graph = lambda x: gx.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
    return Problem(f"rosenbrock-{n}", graph, by_hand, np.tile([-1.2, 1.0], n // 2), 1e-7)


def digits() -> tuple[np.ndarray, np.ndarray]:
    with np.load(DATA) as data:
        return data["images"].reshape(-1, 64) / 16.0, data["labels"].astype(np.int64)


def logistic() -> Problem:
    """Fives among the digits, with a bias and a penalty."""
    images, labels = digits()
    x, y = np.c_[images, np.ones(len(images))], (labels == 5) * 1.0

    def by_hand(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ w
        g = x.T @ (scipy.special.expit(z) - y) / len(y) + 2e-3 * w
        return float(np.mean(np.logaddexp(0, z) - y * z) + 1e-3 * w @ w), g

    graph = lambda w: gx.mean(gx.softplus(x @ w) - y * (x @ w)) + 1e-3 * gx.dot(w, w)
    return Problem("logistic", graph, by_hand, np.zeros(65), 1e-7)


def digits_net(hidden: int = 16) -> Problem:
    """tanh and softmax on 600 digits, with a penalty."""
    images, labels = (a[:600] for a in digits())
    one_hot = np.eye(10)[labels]
    rng = np.random.default_rng(0)
    start, unravel = gx.tree.ravel([rng.normal(size=(64, hidden)) / 8, np.zeros(hidden), rng.normal(size=(hidden, 10)) / 4, np.zeros(10)])

    def graph(w: Any) -> Any:
        a, b, c, d = unravel(w)
        return -gx.mean(gx.sum(one_hot * gx.log_softmax(gx.tanh(images @ a + b) @ c + d), axis=1)) + 1e-3 * gx.dot(w, w)

    def by_hand(w: np.ndarray) -> tuple[float, np.ndarray]:
        a, b, c, d = unravel(w)
        h = np.tanh(images @ a + b)
        z = h @ c + d
        logs = z - scipy.special.logsumexp(z, axis=1, keepdims=True)
        dz = (np.exp(logs) - one_hot) / len(images)
        dh = (dz @ c.T) * (1 - h * h)
        gradient = np.concatenate([v.ravel() for v in (images.T @ dh, dh.sum(0), h.T @ dz, dz.sum(0))]) + 2e-3 * w
        return float(-np.sum(one_hot * logs) / len(images) + 1e-3 * w @ w), gradient

    return Problem("digits-net", graph, by_hand, start, 1e-4)


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "rosenbrock-2": lambda: rosenbrock(2), "rosenbrock-10": lambda: rosenbrock(10), "rosenbrock-100": lambda: rosenbrock(100),
    "logistic": logistic, "digits-net": digits_net,
}  # fmt: skip


class Outcome(NamedTuple):
    """What one minimiser reached, and its least time in seconds."""

    fun: float
    iterations: int
    evaluations: int
    seconds: float
    success: bool


def scipys(problem: Problem, name: str, slope: Callable[..., Any], more: dict[str, Any]) -> Callable[[], Any]:
    """SciPy's method of this name, to the same norm of the gradient where it can be told so."""
    options: dict[str, Any] = {"maxiter": 5000}
    match name:
        case "Newton-CG":
            options["xtol"] = 1e-9
        case "L-BFGS-B":
            options |= {"gtol": problem.tol / 2, "ftol": 0.0, "maxcor": 10, "maxfun": 100_000}  # the largest element, not the norm
        case "BFGS" | "CG":
            options |= {"gtol": problem.tol, "norm": 2}
        case _:
            options["gtol"] = problem.tol
    wanted = {"trust-exact": "hess", "Newton-CG": "hessp", "trust-ncg": "hessp"}.get(name)
    curved = {wanted: more[wanted]} if wanted in more else {}
    return lambda: scipy.optimize.minimize(slope, problem.start, jac=True, method=name, options=options, **curved)


def measured(problem: Problem, method: str, rounds: int) -> tuple[float, list[Outcome | None]]:
    """Seconds to compile, and the outcomes: graphc, SciPy with graphc's functions, SciPy with NumPy's (None where it needs a Hessian)."""
    x, v = gx.vector("x", len(problem.start)), gx.vector("v", len(problem.start))
    cost = problem.graph(x)
    begin = time.perf_counter()
    whole = gx.function([x], gx.optim.minimize(problem.graph, x, method, tol=problem.tol, max_iterations=5000))
    compiled = time.perf_counter() - begin
    more = {"hessp": gx.function([x, v], gx.hvp(cost, x, v))}
    if method == "newton":
        more["hess"] = gx.function([x], gx.hessian(cost, x))
    second = THEIRS[method] in ("Newton-CG", "trust-ncg", "trust-exact")
    runs: list[Callable[[], Any] | None] = [
        lambda: whole(problem.start),
        scipys(problem, THEIRS[method], gx.function([x], gx.value_and_grad(cost, x)), more),
        None if second else scipys(problem, THEIRS[method], problem.numpy, {}),
    ]
    best: list[Outcome | None] = [None] * 3
    for _ in range(rounds):
        for k, run in enumerate(runs):
            if run is not None:
                got, seconds = least_of(run)
                counts = (int(got.iterations), int(got.evaluations)) if k == 0 else (got.nit, got.nfev)
                before = best[k]
                best[k] = Outcome(float(got.fun), *counts, min(seconds, before.seconds if before else seconds), bool(got.success))
    return compiled, best


def least_of(run: Callable[[], Any], slice_: float = 0.02) -> tuple[Any, float]:
    """What it gives, and the least time of the runs that fit in a slice of so many seconds; at least two, of which one warms up."""
    got = run()
    least, end = np.inf, time.perf_counter() + slice_
    while least == np.inf or time.perf_counter() < end:
        begin = time.perf_counter()
        run()
        least = min(least, time.perf_counter() - begin)
    return got, float(least)


HEAD = (
    "problem",
    "method",
    "compile",
    "minimum",
    "turns",
    "evals",
    "time",
    "SciPy: minimum",
    "turns",
    "evals",
    "its functions by graphc",
    "by NumPy",
)


def rows(names: list[str], rounds: int) -> Iterator[tuple[str, ...]]:
    for name in names:
        problem = PROBLEMS[name]()
        for method in THEIRS:
            if len(problem.start) > MANY and method in ("bfgs", "newton"):
                continue
            compiled, (ours, with_ours, with_numpy) = measured(problem, method, rounds)
            assert ours is not None and with_ours is not None
            minimum = lambda o: f"{o.fun:.6g}{'' if o.success else ' (not converged)'}"
            ratio = lambda o, ours=ours: "" if o is None else f"{_time(o.seconds)} ({o.seconds / ours.seconds:.3g} x)"
            mine = (minimum(ours), str(ours.iterations), str(ours.evaluations), _time(ours.seconds))
            theirs = (minimum(with_ours), str(with_ours.iterations), str(with_ours.evaluations), ratio(with_ours), ratio(with_numpy))
            yield (name, f"{method} / {THEIRS[method]}", _time(compiled), *mine, *theirs)


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} us" if seconds < 1e-3 else f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.optimisers", description="Minimisers beside SciPy's.")
    parser.add_argument("problems", nargs="*", choices=[[], *PROBLEMS], help="all if left out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    gx.set_num_threads(1)
    gx.cache.enabled = False  # compile times are cold
    line = (
        "| {} |".format(" | ".join(["{}"] * len(HEAD)))
        if arguments.markdown
        else "{:15}{:28}{:9}{:32}{:>6}{:>7}{:>9}  {:32}{:>6}{:>7}  {:24}{}"
    )
    print(line.format(*HEAD))
    if arguments.markdown:
        print("|---" * len(HEAD) + "|")
    for row in rows(arguments.problems or list(PROBLEMS), arguments.rounds):
        print(line.format(*row), flush=True)


if __name__ == "__main__":
    main()
