"""A long chain: y <- sin(1.01 y + 0.1), 200 deep, gradient of the sum; what is saved and what is recomputed decides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.row import FLOPS, Row, normal

DEPTH, N = 200, 1_000_000


def deep(xp: Any, y: Any) -> Any:
    for _ in range(DEPTH):
        y = xp.sin(1.01 * y + 0.1)
    return y


def gradient(y: np.ndarray) -> np.ndarray:
    """In blocks that stay in the cache, as a careful user would."""
    g = np.ones_like(y)
    for first in range(0, len(y), 4096):
        part, saved = y[first : first + 4096], []
        for _ in range(DEPTH):
            part = 1.01 * part + 0.1
            saved.append(part)
            part = np.sin(part)
        for s in reversed(saved):
            g[first : first + 4096] *= 1.01 * np.cos(s)
    return g


def rows() -> Iterator[Row]:
    slow = {"pytensor": "compiles for minutes"}
    flops = N * DEPTH * (2 * FLOPS["f32"]["sin"] + 4)
    data = lambda: (normal("y", N, dtype="f32"),)
    common = {"want": "gradient", "by_hand": {"numpy": gradient}, "skip": slow, "tolerance": 5e-3}
    yield Row(f"deep/gradient/f32/{DEPTH}x1e6", deep, data, flops=flops, nbytes=8 * N, **common)
