"""Vectors whose size only the call tells, short and long: one compiled function serves both, and must be slow for neither."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.families.whole import normalised, softmax, total
from benchmarks.row import FLOPS, Row, normal

SIZES = (10, 1000, 100_000)


def position(xp: Any, x: Any) -> Any:
    return xp.argmax(x, 0)


def running(xp: Any, x: Any) -> Any:
    return xp.cumsum(x, 0)


def rows() -> Iterator[Row]:
    for dtype, width in (("f32", 4), ("f64", 8)):
        exp, div = FLOPS[dtype]["exp"], FLOPS[dtype]["div"]
        # what is computed, its operations for each element, and how often the vector moves at least
        for name, function, each, moved in (
            ("sum", total, 1, 1),
            ("argmax", position, 1, 1),
            ("cumsum", running, 1, 2),
            ("normalise", normalised, 2 + div, 2),
            ("softmax", softmax, exp + 4, 2),
        ):
            for size in SIZES:
                vector = lambda size=size, dtype=dtype: (normal("x", size, dtype=dtype),)
                counted = {"flops": each * size, "nbytes": moved * width * size, "tolerance": 2e-3 if dtype == "f32" else 1e-9}
                yield Row(f"run-time/{name}/{dtype}/{size}", function, vector, shapes=(("n",),), **counted)
