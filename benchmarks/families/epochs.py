"""A whole epoch on the digits: minibatches in a given order through loss, gradient and Adam, as one call or as a loop in Python."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.row import DTYPES, Arrays, Row, normal

SIZES = (64, 64, 10)
BATCH = 32
WEIGHTS = sum(n * m for n, m in pairwise(SIZES))
DIGITS = Path(__file__).parents[2] / "examples" / "data" / "digits.npz"


def loss(xp: Any, w1: Any, b1: Any, w2: Any, b2: Any, x: Any, y: Any) -> Any:
    return xp.cross_entropy(xp.relu(x @ w1 + b1) @ w2 + b2, y)


@cache
def _digits() -> Arrays:
    with np.load(DIGITS) as data:
        return data["images"].reshape(-1, SIZES[0]) / 16, data["labels"].astype("int64")


def data(dtype: str) -> Arrays:
    """Parameters, all images and labels, and the rows of each minibatch: [turns, BATCH]."""
    x, y = _digits()
    turns = len(x) // BATCH
    order = np.random.default_rng(0).permutation(len(x))[: turns * BATCH].reshape(turns, BATCH)
    leaves = [a for n, m in pairwise(SIZES) for a in (normal(f"w{n}", n, m, dtype=dtype, scale=(2 / n) ** 0.5), np.zeros(m, DTYPES[dtype]))]
    return (*leaves, x.astype(DTYPES[dtype]), y, order)


def rows() -> Iterator[Row]:
    """Three products a layer but for the first layer's gradient of x; Adam reads four arrays and writes three, all in cache."""
    for dtype, width in (("f32", 4), ("f64", 8)):
        turns = len(_digits()[0]) // BATCH
        common = {
            "data": lambda dtype=dtype: data(dtype),
            "wrt": 4,
            "flops": turns * (2 * BATCH * (3 * WEIGHTS - SIZES[0] * SIZES[1]) + 25 * WEIGHTS),
            "nbytes": width * turns * BATCH * SIZES[0],
            "tolerance": 1e-3 if dtype == "f32" else 1e-8,
        }
        yield Row(f"epochs/digits-one-call/{dtype}/{BATCH}", loss, want="epoch", **common)
        yield Row(f"epochs/digits-loop/{dtype}/{BATCH}", loss, want="epoch_loop", **common)
