"""What is known of a function of vector math, for `tests.ulp` and the tables of families beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import mpmath as mp
import numpy as np


@dataclass(frozen=True)
class Reference:
    """The exact function on finite numbers, NumPy's for the special ones, and where to look closely."""

    exact: Callable[..., mp.mpf]
    numpy: Callable[..., np.ndarray]
    ranges: tuple[tuple[float, float], ...]
    scale: Callable[..., mp.mpf] | None = None  # what the error is measured by, where f has zeros that no one can hit
    share: int = 1  # of the samples one in so many: for functions that take mpmath long


def numpy_of(exact: Callable[..., mp.mpf], odd: bool = False, limits: dict[float, float] | None = None) -> Callable[..., np.ndarray]:
    """The exact function over arrays; at infinity `limits`, or what it is at 1e300; nan of nan. `odd`: f(-0.0) is -0.0 if f(0) = 0."""

    def at(*row: float) -> float:
        if limits is not None and row[0] in limits:
            return limits[row[0]]
        value = _number(exact, tuple([max(min(v, 1e300), -1e300) for v in row]))
        if any(abs(v) == math.inf for v in row) and abs(value) < 1e-100:
            value = 0.0
        return math.copysign(value, row[0]) if odd and value == 0 else value

    def f(*arrays: np.ndarray) -> np.ndarray:
        found = [at(*row) for row in zip(*[a.astype(float).ravel().tolist() for a in arrays])]
        with np.errstate(over="ignore"):
            return np.array(found).astype(arrays[0].dtype).reshape(arrays[0].shape)

    return f


def _number(exact: Callable[..., mp.mpf], row: tuple[float, ...]) -> float:
    if any(v != v for v in row):
        return math.nan
    try:
        with np.errstate(all="ignore"):
            found = mp.mpf(exact(*map(mp.mpf, row)))
        return float(mp.sign(found)) * math.inf if abs(found) > 1e308 else float(found)
    except (ZeroDivisionError, ValueError):
        return math.nan
