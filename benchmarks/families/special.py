"""Special functions of a million numbers, over the arguments where they are used; the normal distribution and gelu with derivatives."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmarks.row import DTYPES, Row, normal

LONG, WHO = 1_000_000, ("graphc", "graphc-1", "graphc-before", "scipy", "jax", "torch")
FUNCTIONS = {  # SciPy's names; from where to where
    "erf": (-3, 3), "erfc": (-3, 9), "erfcx": (-3, 20), "erfinv": (-1, 1), "dawsn": (-10, 10), "ndtr": (-9, 6), "ndtri": (0, 1),
    "log_ndtr": (-30, 6), "expit": (-20, 20), "logit": (0, 1), "entr": (0, 3), "gammaln": (0.1, 40), "gamma": (-5, 30),
    "digamma": (0.1, 40), "i0": (-20, 20), "i0e": (-40, 40), "i1": (-20, 20), "j0": (-40, 40), "j1": (-40, 40), "y0": (0.1, 40),
    "k0": (0.1, 20), "k1": (0.1, 20), "exp1": (0.1, 20), "expi": (-10, 20), "lambertw": (-0.3, 20), "ellipk": (-3, 1), "ellipe": (-3, 1),
    "spence": (0, 5),
}  # fmt: skip


SIZES, USERS = (100_000, 1_000_000), ("graphc", "graphc-1", "graphc-before", "jax", "torch", "torch.compile")
NORMAL = {"ndtr": lambda xp, x: xp.special("ndtr")(x), "gelu": lambda xp, x: xp.gelu(x), "gelu-by-tanh": lambda xp, x: xp.gelu_by_tanh(x)}


def value(name: str, xp: Any, x: Any) -> Any:
    return xp.special(name)(x)


def uniform(name: str, low: float, high: float, dtype: str) -> tuple[np.ndarray]:
    """Between two numbers, a 10,000th of the distance off the ends, where some functions are infinite."""
    gap = 1e-4 * (high - low)
    return (np.random.default_rng(zlib.crc32(name.encode())).uniform(low + gap, high - gap, LONG).astype(DTYPES[dtype]),)


def inputs(n: int, dtype: str) -> tuple[np.ndarray]:
    return (normal("x", n, dtype=dtype),)


def rows() -> Iterator[Row]:
    for dtype, width in (("f32", 4), ("f64", 8)):
        for name, (low, high) in FUNCTIONS.items():
            yield Row(
                f"special/{name}/{dtype}/{LONG}", partial(value, name), partial(uniform, name, low, high, dtype), nbytes=2 * width * LONG,
                tolerance=1e-3 if dtype == "f32" else 1e-7, only=WHO,
            )  # fmt: skip
        for name, function in NORMAL.items():
            for n in SIZES:
                common: dict[str, Any] = {"data": partial(inputs, n, dtype), "nbytes": 2 * width * n, "tolerance": 1e-5, "only": USERS}
                yield Row(f"normal/{name}/{dtype}/{n}", function, **common)
                yield Row(f"normal/{name}-gradient/{dtype}/{n}", function, want="gradient", **common)
