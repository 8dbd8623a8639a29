"""Fused elementwise work: y = tanh(1.1 x + 0.3) exp(-x x) + log1p(x x), and the gradient of its sum."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.row import FLOPS, Row, normal

SIZES = {"1e3": 1000, "1e5": 100_000, "1e7": 10_000_000}


def chain(xp: Any, x: Any) -> Any:
    return xp.tanh(1.1 * x + 0.3) * xp.exp(-x * x) + xp.log1p(x * x)


def chain_loop(x: np.ndarray) -> np.ndarray:
    y = np.empty_like(x)
    for i in range(x.size):
        s = x[i] * x[i]
        y[i] = math.tanh(x.dtype.type(1.1) * x[i] + x.dtype.type(0.3)) * math.exp(-s) + math.log1p(s)
    return y


def gradient(x: np.ndarray) -> np.ndarray:
    t, s = np.tanh(1.1 * x + 0.3), x * x
    return (1.1 * (1 - t * t) - 2 * x * t) * np.exp(-s) + 2 * x / (1 + s)


def gradient_loop(x: np.ndarray) -> np.ndarray:
    y = np.empty_like(x)
    for i in range(x.size):
        s = x[i] * x[i]
        t = math.tanh(1.1 * x[i] + 0.3)
        y[i] = (1.1 * (1 - t * t) - 2 * x[i] * t) * math.exp(-s) + 2 * x[i] / (1 + s)
    return y


def rows() -> Iterator[Row]:
    """n elements in, n out; NumPy in, NumPy out for NumPy's users, arrays of their own for the others."""
    for dtype, width in (("f32", 4), ("f64", 8)):
        cost = FLOPS[dtype]
        for size, n in SIZES.items():
            data = lambda n=n, dtype=dtype: (normal("x", n, dtype=dtype),)
            common = {"data": data, "nbytes": 2 * n * width, "tolerance": 2e-6 if dtype == "f32" else 1e-14}
            forward = n * (cost["tanh"] + cost["exp"] + cost["log1p"] + 5)
            backward = n * (cost["tanh"] + cost["exp"] + cost["div"] + 10)
            yield Row(f"chain/value/{dtype}/{size}", chain, flops=forward, by_hand={"numba": chain_loop}, **common)
            by_hand = {"numpy": gradient, "numba": gradient_loop}
            yield Row(f"chain/gradient/{dtype}/{size}", chain, want="gradient", flops=backward, by_hand=by_hand, **common)
    n = SIZES["1e5"]
    common = {"data": lambda: (normal("x", n, dtype="f32"),), "nbytes": 2 * n * 4, "shapes": (("n",),)}
    yield Row("chain/any-n/f32/1e5", chain, flops=n * 89, **common)
