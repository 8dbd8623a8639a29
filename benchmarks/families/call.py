"""The cost of a call: NumPy arrays in, NumPy arrays out, next to no work. CasADi's calls read and write fixed buffers, unchecked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.row import Row, normal


def increment(xp: Any, x: Any) -> Any:
    return x + 1


def three_arguments(xp: Any, x: Any, y: Any, z: Any) -> Any:
    return x * y + z


def three_outputs(xp: Any, x: Any) -> Any:
    return x + 1, x * 2, x - 3


def rows() -> Iterator[Row]:
    """Bound by nothing but the call, so there is no limit beside them."""
    ten = lambda *names: lambda: tuple(normal(n, 10, dtype="f64") for n in names)
    yield Row("call/scalar/f64", increment, lambda: (np.array(0.5),), want="call", by_hand={"numba": lambda x: x + 1})
    yield Row("call/10/f64", increment, ten("x"), want="call", by_hand={"numba": lambda x: x + 1})
    yield Row("call/3-arguments/f64", three_arguments, ten("x", "y", "z"), want="call", by_hand={"numba": lambda x, y, z: x * y + z})
    yield Row("call/3-outputs/f64", three_outputs, ten("x"), want="call", by_hand={"numba": lambda x: (x + 1, x * 2, x - 3)})
