"""The cost of a call: NumPy arrays in, NumPy arrays out, next to no work. CasADi's calls read and write fixed buffers, unchecked.

In the rows `-out` graphc and NumPy write into arrays of the caller's, too.
"""

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


def three_arguments_into(x: Any, y: Any, z: Any, out: Any) -> Any:
    np.multiply(x, y, out=out)
    return np.add(out, z, out=out)


def three_outputs_into(x: Any, out: Any) -> Any:
    return np.add(x, 1, out=out[0]), np.multiply(x, 2, out=out[1]), np.subtract(x, 3, out=out[2])


def rows() -> Iterator[Row]:
    """Bound by nothing but the call, so there is no limit beside them."""
    ten = lambda *names: lambda: tuple(normal(n, 10, dtype="f64") for n in names)
    yield Row("call/scalar/f64", increment, lambda: (np.array(0.5),), want="call", by_hand={"numba": lambda x: x + 1})
    yield Row("call/10/f64", increment, ten("x"), want="call", by_hand={"numba": lambda x: x + 1})
    yield Row("call/3-arguments/f64", three_arguments, ten("x", "y", "z"), want="call", by_hand={"numba": lambda x, y, z: x * y + z})
    yield Row("call/3-outputs/f64", three_outputs, ten("x"), want="call", by_hand={"numba": lambda x: (x + 1, x * 2, x - 3)})
    into = {"want": "call_out", "only": ("graphc", "numpy", "casadi", "casadi-c")}
    yield Row("call/10-out/f64", increment, ten("x"), by_hand={"numpy": lambda x, out: np.add(x, 1, out=out)}, **into)
    yield Row("call/3-arguments-out/f64", three_arguments, ten("x", "y", "z"), by_hand={"numpy": three_arguments_into}, **into)
    yield Row("call/3-outputs-out/f64", three_outputs, ten("x"), by_hand={"numpy": three_outputs_into}, **into)
