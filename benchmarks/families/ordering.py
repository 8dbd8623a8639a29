"""Rows in order and what goes by position: sort, argsort, topk, median, searchsorted, cumsum, take, scatter-add, bincount."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.row import DTYPES, Row, normal

LONG, WHO = 1_000_000, ("graphc", "graphc-1", "graphc-before", "numpy", "jax", "torch")
SHAPES = ((LONG,), (1000,), (1000, 1000), (20_000, 50), (100_000, 8))
FEW = 100


def distinct(*shape: int, dtype: str) -> np.ndarray:
    """A shuffled grid: no two elements are equal, so all orders of them are one."""
    n = int(np.prod(shape))
    return ((np.random.default_rng(n).permutation(n) - n / 3) / n).reshape(shape).astype(DTYPES[dtype])


def indices(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, n, n)


def ordered(name: str, axis: int) -> Any:
    return lambda xp, x: getattr(xp, name)(x, axis)


def first(xp: Any, x: Any) -> Any:
    return xp.topk(x, FEW)


def middle(xp: Any, x: Any) -> Any:
    return xp.median(x)


def running(xp: Any, x: Any) -> Any:
    return xp.cumsum(x, 0)


def taken(xp: Any, x: Any, i: Any) -> Any:
    return xp.take(x, i)


def added(xp: Any, x: Any, i: Any, u: Any) -> Any:
    return xp.scatter_add(x, i, u)


def found(xp: Any, x: Any, v: Any) -> Any:
    return xp.searchsorted(x, v)


def rows() -> Iterator[Row]:
    for dtype, width in (("f32", 4), ("f64", 8)):
        for shape in SHAPES:
            data = lambda shape=shape, dtype=dtype: (distinct(*shape, dtype=dtype),)
            n, size = int(np.prod(shape)), "x".join(map(str, shape))
            for axis in range(len(shape)) if shape == (1000, 1000) else (len(shape) - 1,):
                for name, out in (("sort", width), ("argsort", 8)):
                    what = name if len(shape) == 1 else f"{name}-{axis}"
                    yield Row(f"ordering/{what}/{dtype}/{size}", ordered(name, axis), data, nbytes=n * (width + out), only=WHO)
        vector = lambda dtype=dtype: (distinct(LONG, dtype=dtype),)
        picked = lambda dtype=dtype: (normal("x", LONG, dtype=dtype), indices(LONG))
        update = lambda dtype=dtype: (normal("x", LONG, dtype=dtype), indices(LONG), normal("u", LONG, dtype=dtype))
        search = lambda dtype=dtype: (np.sort(distinct(LONG, dtype=dtype)), normal("v", LONG, dtype=dtype))
        loose = 2e-3 if dtype == "f32" else 1e-9
        for name, function, data, moved in (
            ("topk-100", first, vector, width),
            ("median", middle, vector, width),
            ("cumsum", running, lambda dtype=dtype: (normal("x", LONG, dtype=dtype),), 2 * width),
            ("take", taken, picked, 2 * width + 8),
            ("scatter-add", added, update, 3 * width + 8),
            ("searchsorted", found, search, 2 * width + 8),
        ):
            yield Row(f"ordering/{name}/{dtype}/{LONG}", function, data, nbytes=LONG * moved, tolerance=loose, only=WHO)
