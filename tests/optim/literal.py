"""The methods of `gx.optim` written out in NumPy from their sources: each is a generator of iterates from a gradient and a point."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

Array = np.ndarray
Gradient = Callable[[Array], Array]


def sgd(gradient: Gradient, x: Array, rate: float = 0.1) -> Iterator[Array]:
    while True:
        x = x - rate * gradient(x)
        yield x


def momentum(gradient: Gradient, x: Array, rate: float = 0.1, a: float = 0.9) -> Iterator[Array]:
    v = np.zeros_like(x)
    while True:
        v = a * v - rate * gradient(x)
        x = x + v
        yield x


def nesterov(gradient: Gradient, x: Array, rate: float = 0.1, a: float = 0.9) -> Iterator[Array]:
    v = np.zeros_like(x)
    while True:
        v = a * v - rate * gradient(x + a * v)
        x = x + v
        yield x


def adagrad(gradient: Gradient, x: Array, rate: float = 0.1, delta: float = 1e-7) -> Iterator[Array]:
    r = np.zeros_like(x)
    while True:
        g = gradient(x)
        r = r + g * g
        x = x - rate / (delta + np.sqrt(r)) * g
        yield x


def rmsprop(gradient: Gradient, x: Array, rate: float = 0.01, rho: float = 0.9, delta: float = 1e-6) -> Iterator[Array]:
    r = np.zeros_like(x)
    while True:
        g = gradient(x)
        r = rho * r + (1 - rho) * g * g
        x = x - rate / np.sqrt(delta + r) * g
        yield x


def rmsprop_nesterov(gradient: Gradient, x: Array, rate: float = 0.01, rho: float = 0.9, a: float = 0.9) -> Iterator[Array]:
    r, v = np.zeros_like(x), np.zeros_like(x)
    while True:
        g = gradient(x + a * v)
        r = rho * r + (1 - rho) * g * g
        v = a * v - rate / np.sqrt(r) * g
        x = x + v
        yield x


def adadelta(gradient: Gradient, x: Array, rho: float = 0.9, delta: float = 1e-6) -> Iterator[Array]:
    r, s = np.zeros_like(x), np.zeros_like(x)
    while True:
        g = gradient(x)
        r = rho * r + (1 - rho) * g**2
        step = -np.sqrt(s + delta) / np.sqrt(r + delta) * g
        s = rho * s + (1 - rho) * step**2
        x = x + step
        yield x


def adam(
    gradient: Gradient, x: Array, rate: float = 0.001, outside: float = 1e-8, inside: float = 0.0, decay: float = 0.0, amsgrad: bool = False
) -> Iterator[Array]:
    s, r, top, t = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x), 0
    while True:
        g = gradient(x)
        t += 1
        s, r = 0.9 * s + 0.1 * g, 0.999 * r + 0.001 * g * g
        top = np.maximum(top, r) if amsgrad else r
        first, second = s / (1 - 0.9**t), top / (1 - 0.999**t)
        x = x - rate * (first / (np.sqrt(second + inside) + outside) + decay * x)
        yield x


def lion(gradient: Gradient, x: Array, rate: float = 0.01, b1: float = 0.9, b2: float = 0.99, decay: float = 0.1) -> Iterator[Array]:
    m = np.zeros_like(x)
    while True:
        g = gradient(x)
        x = x - rate * (np.sign(b1 * m + (1 - b1) * g) + decay * x)
        m = b2 * m + (1 - b2) * g
        yield x


def delta_bar_delta(gradient: Gradient, x: Array, rate: float = 0.1, up: float = 0.01, down: float = 0.1) -> Iterator[Array]:
    e, m = np.full_like(x, rate), np.zeros_like(x)
    while True:
        g = gradient(x)
        e = np.where(m * g > 0, e + up, np.where(m * g < 0, e - down * e, e))
        m = 0.3 * g + 0.7 * m
        x = x - e * g
        yield x
