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


def numpy_of(exact: Callable[..., mp.mpf], odd: bool = False) -> Callable[..., np.ndarray]:
    """The exact function over arrays, limits at infinity by 1e300; nan of nan. `odd`: f(-0.0) is -0.0 if f(0) = 0."""

    def f(*arrays: np.ndarray) -> np.ndarray:
        rows = list(zip(*[np.clip(a.astype(float), -1e300, 1e300).ravel().tolist() for a in arrays]))
        return np.array([_signed(_number(exact, row), row[0], odd) for row in rows]).astype(arrays[0].dtype).reshape(arrays[0].shape)

    return f


def _signed(value: float, x: float, odd: bool) -> float:
    return math.copysign(value, x) if odd and value == 0 else 0.0 if abs(value) < 1e-140 else value


def _number(exact: Callable[..., mp.mpf], row: tuple[float, ...]) -> float:
    if any(v != v for v in row):
        return math.nan
    try:
        with np.errstate(all="ignore"):
            found = mp.mpf(exact(*map(mp.mpf, row)))
        return float(mp.sign(found)) * math.inf if abs(found) > 1e308 else float(found)
    except (ZeroDivisionError, ValueError):
        return math.nan
