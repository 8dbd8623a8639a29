"""Small static graphs of scalars: a dense Hessian of the Rosenbrock function, a random graph of 2000 operations with its gradient."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.row import Row, normal

OPERATIONS, INPUTS, DIMENSION = 2000, 10, 50
RECENT = 40  # operands come from the latest so many values


def rosenbrock(xp: Any, x: Any) -> Any:
    a, b = x[:-1], x[1:]
    return xp.sum(100.0 * (b - a * a) * (b - a * a) + (1.0 - a) * (1.0 - a))


def rosenbrock_hessian(x: np.ndarray) -> np.ndarray:
    h = np.zeros((len(x), len(x)))
    i = np.arange(len(x) - 1)
    h[i, i] = 1200 * x[:-1] ** 2 - 400 * x[1:] + 2
    h[i + 1, i + 1] += 200
    h[i, i + 1] = h[i + 1, i] = -400 * x[:-1]
    return h


def rosenbrock_hessian_loop(x: np.ndarray) -> np.ndarray:
    h = np.zeros((x.size, x.size))
    for i in range(x.size - 1):
        h[i, i] += 1200 * x[i] * x[i] - 400 * x[i + 1] + 2
        h[i + 1, i + 1] += 200
        h[i, i + 1] = h[i + 1, i] = -400 * x[i]
    return h


def scalar_graph(xp: Any, x: Any, operations: int = OPERATIONS) -> Any:
    """About 2000 operations on 10 inputs; every value stays in [-1, 1], and what nothing uses enters the final sum."""
    rng = random.Random(4)
    values = xp.parts(x)
    used = [True] * len(values)
    count = 0
    while count < operations:
        i, j = (rng.randrange(max(0, len(values) - RECENT), len(values)) for _ in range(2))
        a, b = values[i], values[j]
        kind = rng.randrange(6)
        if kind == 0:
            value, cost = a * b, 1
        elif kind == 1:
            value, cost = 0.5 * (a + b), 2
        elif kind == 2:
            value, cost = xp.sin(a + b), 2
        elif kind == 3:
            value, cost = xp.cos(a - b), 2
        elif kind == 4:
            value, cost = xp.exp(-(a * a)) * b, 4
        else:
            value, cost = a / (2.0 + b * b), 3
        used[i] = used[j] = True
        values.append(value)
        used.append(False)
        count += cost
    total = values[-1]
    for v, u in zip(values[:-1], used[:-1], strict=True):
        if not u:
            total = total + v
    return total


def rows() -> Iterator[Row]:
    point = lambda n: lambda: (np.tanh(normal("x", n, dtype="f64")),)
    slow = dict.fromkeys(("jax", "pytensor", "torch.compile"), "compiles for over 300 s")
    by_hand = {"numpy": rosenbrock_hessian, "numba": rosenbrock_hessian_loop}
    size = DIMENSION * DIMENSION * 8
    yield Row(f"small/rosenbrock-hessian/f64/{DIMENSION}", rosenbrock, point(DIMENSION), want="hessian", by_hand=by_hand, nbytes=size)
    yield Row(f"small/scalar-graph/f64/{OPERATIONS}", scalar_graph, point(INPUTS), want="value_and_gradient", skip=slow)
