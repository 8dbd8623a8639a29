"""Recurrences: carries of a few numbers, whose time is the latency of a turn, and an LSTM, whose products are small."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.row import Row, normal

STEPS = 100_000
SIGMA, RHO, BETA, H = 10.0, 28.0, 8.0 / 3.0, 1e-4  # ten units of time: in a hundred, chaos makes 1e20 of a rounding
DECAY = 0.9


# -- the Lorenz system by Runge and Kutta -----------------------------------------------------------------------------
def lorenz(xp: Any, start: Any) -> Any:
    def slope(v: Any) -> Any:
        x, y, z = v
        return SIGMA * (y - x), x * (RHO - z) - y, x * y - BETA * z

    def along(v: Any, k: Any, h: float) -> Any:
        return tuple([a + h * b for a, b in zip(v, k, strict=True)])

    def step(v: Any, _: Any) -> Any:
        k1 = slope(v)
        k2 = slope(along(v, k1, H / 2))
        k3 = slope(along(v, k2, H / 2))
        k4 = slope(along(v, k3, H))
        return tuple([a + H / 6 * (p + 2 * q + 2 * r + s) for a, p, q, r, s in zip(v, k1, k2, k3, k4, strict=True)]), None

    return xp.stack(xp.scan(step, tuple(xp.parts(start)), None, STEPS)[0])


def lorenz_loop(start: np.ndarray) -> np.ndarray:
    x, y, z = start[0], start[1], start[2]
    for _ in range(STEPS):
        a1, b1, c1 = SIGMA * (y - x), x * (RHO - z) - y, x * y - BETA * z
        u, v, w = x + H / 2 * a1, y + H / 2 * b1, z + H / 2 * c1
        a2, b2, c2 = SIGMA * (v - u), u * (RHO - w) - v, u * v - BETA * w
        u, v, w = x + H / 2 * a2, y + H / 2 * b2, z + H / 2 * c2
        a3, b3, c3 = SIGMA * (v - u), u * (RHO - w) - v, u * v - BETA * w
        u, v, w = x + H * a3, y + H * b3, z + H * c3
        a4, b4, c4 = SIGMA * (v - u), u * (RHO - w) - v, u * v - BETA * w
        x += H / 6 * (a1 + 2 * a2 + 2 * a3 + a4)
        y += H / 6 * (b1 + 2 * b2 + 2 * b3 + b4)
        z += H / 6 * (c1 + 2 * c2 + 2 * c3 + c4)
    return np.array([x, y, z])


# -- one number -------------------------------------------------------------------------------------------------------
def filtered(xp: Any, x: Any) -> Any:
    return xp.scan(lambda s, v: (DECAY * s + v, None), xp.zero(x), x)[0]


def filtered_loop(x: np.ndarray) -> float:
    s = 0.0
    for v in x:
        s = DECAY * s + v
    return s


def squashed(xp: Any, x: Any) -> Any:
    return xp.scan(lambda s, v: (xp.tanh(DECAY * s + v), None), xp.zero(x), x)[0]


def squashed_loop(x: np.ndarray) -> float:
    s = 0.0
    for v in x:
        s = math.tanh(DECAY * s + v)
    return s


def squashed_gradient_loop(x: np.ndarray) -> np.ndarray:
    slopes = np.empty(x.size)
    s = 0.0
    for k in range(x.size):
        s = math.tanh(DECAY * s + x[k])
        slopes[k] = 1.0 - s * s
    g = 1.0
    for k in range(x.size - 1, -1, -1):
        g *= slopes[k]
        slopes[k] = g
        g *= DECAY
    return slopes


def powers(xp: Any, m: Any) -> Any:
    return xp.scan(lambda p, _: (p @ m, None), m, None, STEPS // 10)[0]


def powers_loop(m: np.ndarray) -> np.ndarray:
    p = m.copy()
    new = np.empty((3, 3))
    for _ in range(STEPS // 10):
        for i in range(3):
            for j in range(3):
                new[i, j] = p[i, 0] * m[0, j] + p[i, 1] * m[1, j] + p[i, 2] * m[2, j]
        p, new = new, p
    return p


def mean(xp: Any, a: Any, b: Any) -> Any:
    """The arithmetic-geometric mean: some five turns."""
    return xp.while_loop(lambda v: abs(v[0] - v[1]) > 1e-15 * v[0], lambda v: ((v[0] + v[1]) * 0.5, xp.sqrt(v[0] * v[1])), (a, b))[0]


def mean_loop(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a[()], b[()]
    while abs(a - b) > 1e-15 * a:
        a, b = (a + b) * 0.5, math.sqrt(a * b)
    return a


# -- LSTM -------------------------------------------------------------------------------------------------------------
TIME, BATCH, WIDTH, HIDDEN = 100, 16, 64, 128


def lstm(xp: Any, w: Any, u: Any, b: Any, x: Any) -> Any:
    return xp.lstm(w, u, b, x)


def lstm_loss(xp: Any, w: Any, u: Any, b: Any, x: Any) -> Any:
    h = xp.lstm(w, u, b, x)
    return xp.sum(h * h)


def lstm_data() -> tuple[np.ndarray, ...]:
    sizes = {"w": (WIDTH, 4 * HIDDEN), "u": (HIDDEN, 4 * HIDDEN), "b": (4 * HIDDEN,)}
    weights = [normal(name, *size, dtype="f32", scale=0.1) for name, size in sizes.items()]
    return (*weights, normal("x", TIME, BATCH, WIDTH, dtype="f32"))


def rows() -> Iterator[Row]:
    """What a turn waits for is the limit of most, which no count of operations tells."""
    loops = {"only": ("graphc", "graphc-before", "jax", "numba")}
    series = lambda: (normal("series", STEPS, dtype="f64"),)
    yield Row(f"loops/lorenz/f64/{STEPS}", lorenz, lambda: (np.ones(3),), by_hand={"numba": lorenz_loop}, tolerance=1e-7, **loops)
    yield Row(f"loops/filter/f64/{STEPS}", filtered, series, by_hand={"numba": filtered_loop}, nbytes=8 * STEPS, **loops)
    yield Row(f"loops/tanh/f64/{STEPS}", squashed, series, by_hand={"numba": squashed_loop}, nbytes=8 * STEPS, **loops)
    hand = {"numba": squashed_gradient_loop}
    yield Row(f"loops/tanh-gradient/f64/{STEPS}", squashed, series, want="gradient", by_hand=hand, nbytes=16 * STEPS, **loops)
    turn = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
    yield Row(f"loops/3x3/f64/{STEPS // 10}", powers, lambda: (turn,), by_hand={"numba": powers_loop}, **loops)
    numbers = lambda: (np.array(24.0), np.array(6.0))
    yield Row("loops/mean/f64", mean, numbers, want="call", by_hand={"numba": mean_loop}, **loops)
    peers = {"only": ("graphc", "graphc-before", "jax", "torch")}
    forward = 2 * TIME * BATCH * 4 * HIDDEN * (WIDTH + HIDDEN)
    yield Row(f"loops/lstm/f32/{TIME}", lstm, lstm_data, flops=forward, **peers)
    yield Row(f"loops/lstm-gradient/f32/{TIME}", lstm_loss, lstm_data, want="gradient", wrt=3, flops=3 * forward, tolerance=1e-3, **peers)
