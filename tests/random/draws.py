"""Many draws as one function, which the first test that draws compiles, and not every process that collects the tests."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import graphc as gx
from graphc.dims import Dim


def drawing(key: gx.Node, n: Dim, draws: Mapping[str, tuple[gx.Node, Any]]) -> Callable[[np.uint64, Any], dict[str, np.ndarray]]:
    """(key, n) -> every draw by its name; draws: name -> (the draw, what it is compared with)."""

    @functools.cache
    def compiled() -> gx.Function:
        return gx.function([key, n], {name: draw for name, (draw, _) in draws.items()})

    def draw(key: np.uint64, n: Any) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = compiled()(key, n)
        return found

    return draw
