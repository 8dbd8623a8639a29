"""Reductions over rows and columns, with the elementwise work around them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.row import FLOPS, Row, normal

SHAPES = ((64, 10), (1024, 1024), (256, 16_384))
TALL = ((1024, 1024), (100_000, 32))
LARGE = (4096, 1024)  # in no cache that a core has to itself


def softmax(xp: Any, x: Any) -> Any:
    return xp.softmax(x)


def logsumexp(xp: Any, x: Any) -> Any:
    return xp.logsumexp(x)


def softmax_of_columns(xp: Any, x: Any) -> Any:
    e = xp.exp(x - xp.max(x, 0, True))
    return e / xp.sum(e, 0, True)


def logsumexp_of_columns(xp: Any, x: Any) -> Any:
    m = xp.max(x, 0, True)
    return xp.log(xp.sum(xp.exp(x - m), 0, True)) + m


def layer_norm(xp: Any, x: Any, gain: Any, bias: Any) -> Any:
    return xp.layer_norm(x, gain, bias)


def mean_and_variance(xp: Any, x: Any) -> Any:
    return xp.mean_and_variance(x)


def softmax_loop(x: np.ndarray) -> np.ndarray:
    y = np.empty_like(x)
    for i in range(x.shape[0]):
        m = x[i].max()
        total = x.dtype.type(0)
        for j in range(x.shape[1]):
            y[i, j] = math.exp(x[i, j] - m)
            total += y[i, j]
        y[i] *= 1 / total
    return y


def mean_and_variance_loop(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    m, v = np.zeros(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype)
    for i in range(x.shape[0]):
        m += x[i]
    m /= x.shape[0]
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            v[j] += (x[i, j] - m[j]) ** 2
    return m, v / x.shape[0]


def rows() -> Iterator[Row]:
    for dtype, width in (("f32", 4), ("f64", 8)):
        exp, div = FLOPS[dtype]["exp"], FLOPS[dtype]["div"]
        for m, n in SHAPES:
            size, matrix = f"{dtype}/{m}x{n}", lambda m=m, n=n, dtype=dtype: (normal("x", m, n, dtype=dtype),)
            full = m * n * width
            by_hand = {"numba": softmax_loop}
            yield Row(f"reductions/softmax/{size}", softmax, matrix, flops=m * n * (exp + 4), nbytes=2 * full, by_hand=by_hand)
            yield Row(f"reductions/logsumexp/{size}", logsumexp, matrix, flops=m * n * (exp + 3), nbytes=full)
            affine = lambda m=m, n=n, dtype=dtype: tuple(normal(a, *s, dtype=dtype) for a, s in (("x", (m, n)), ("g", (n,)), ("b", (n,))))
            yield Row(f"reductions/layer-norm/{size}", layer_norm, affine, flops=m * n * 7 + m * div, nbytes=2 * full)
        for m, n in TALL:
            matrix = lambda m=m, n=n, dtype=dtype: (normal("x", m, n, dtype=dtype),)
            by_hand = {"numba": mean_and_variance_loop}
            name = f"reductions/mean-var-0/{dtype}/{m}x{n}"
            yield Row(name, mean_and_variance, matrix, flops=4 * m * n, nbytes=m * n * width, by_hand=by_hand)
        columns = lambda dtype=dtype: (normal("x", *LARGE, dtype=dtype),)
        elements, size = LARGE[0] * LARGE[1], f"{dtype}/{LARGE[0]}x{LARGE[1]}"
        yield Row(f"reductions/softmax-0/{size}", softmax_of_columns, columns, flops=elements * (exp + 4), nbytes=2 * elements * width)
        yield Row(f"reductions/logsumexp-0/{size}", logsumexp_of_columns, columns, flops=elements * (exp + 3), nbytes=elements * width)
