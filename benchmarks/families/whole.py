"""Reductions of everything to one number, and to few columns: what threads share only as partial results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.row import FLOPS, Row, normal

SIZE = 10_000_000
NARROW = (1_250_000, 8)


def total(xp: Any, x: Any) -> Any:
    return xp.sum(x, None, False)


def squared_error(xp: Any, x: Any, y: Any) -> Any:
    d = x - y
    return xp.mean(d * d, None, False)


def normalised(xp: Any, x: Any) -> Any:
    return x / xp.sqrt(xp.sum(x * x, None, False))


def logsumexp(xp: Any, x: Any) -> Any:
    m = xp.max(x, None, False)
    return xp.log(xp.sum(xp.exp(x - m), None, False)) + m


def softmax(xp: Any, x: Any) -> Any:
    e = xp.exp(x - xp.max(x, None, False))
    return e / xp.sum(e, None, False)


def column_sums(xp: Any, x: Any) -> Any:
    return xp.sum(x, 0, False)


def rows() -> Iterator[Row]:
    for dtype, width in (("f32", 4), ("f64", 8)):
        exp, div = FLOPS[dtype]["exp"], FLOPS[dtype]["div"]
        vector = lambda dtype=dtype: (normal("x", SIZE, dtype=dtype),)
        pair = lambda dtype=dtype: (normal("x", SIZE, dtype=dtype), normal("y", SIZE, dtype=dtype))
        narrow = lambda dtype=dtype: (normal("x", *NARROW, dtype=dtype),)
        once, loose = width * SIZE, {"tolerance": 2e-3 if dtype == "f32" else 1e-9}  # a plain sum of 1e7 in f32 is no better
        yield Row(f"whole/sum/{dtype}/1e7", total, vector, flops=SIZE, nbytes=once, **loose)
        gradient = {"want": "value_and_gradient", "flops": 4 * SIZE, "nbytes": 3 * once}
        yield Row(f"whole/mse-gradient/{dtype}/1e7", squared_error, pair, **gradient, **loose)
        yield Row(f"whole/normalise/{dtype}/1e7", normalised, vector, flops=(2 + div) * SIZE, nbytes=3 * once, **loose)
        yield Row(f"whole/logsumexp/{dtype}/1e7", logsumexp, vector, flops=(exp + 3) * SIZE, nbytes=once, **loose)
        yield Row(f"whole/softmax/{dtype}/1e7", softmax, vector, flops=(exp + 4) * SIZE, nbytes=3 * once, **loose)
        yield Row(f"whole/column-sums/{dtype}/1250000x8", column_sums, narrow, flops=SIZE, nbytes=once, **loose)
