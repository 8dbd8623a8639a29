"""What happens before the first result: import, cold compilation, a new batch size, time a node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.families.network import LEAVES, SHAPES, SIZES, arguments, relu_loss
from benchmarks.families.small import INPUTS, scalar_graph
from benchmarks.row import Row, normal


def long_chain(xp: Any, x: Any) -> Any:
    """10,000 operations."""
    for _ in range(2500):
        x = xp.tanh(0.9 * x + 0.1) * 1.01
    return x


def nothing(xp: Any) -> Any:
    return None


def rows() -> Iterator[Row]:
    any_batch = (*SHAPES, ("n", SIZES[0]), ("n",))
    step = {"data": lambda: arguments(64, "f32"), "wrt": LEAVES, "shapes": any_batch}
    yield Row("compile/import", nothing, tuple, want="import", skip={"numpy": "the others are measured beyond it"})
    yield Row("compile/cold-mlp-adam/f32/64", relu_loss, want="cold", skip={"numpy": "compiles nothing"}, **step)
    yield Row("compile/warm-link-mlp-adam/f32/64", relu_loss, want="warm", only=("graphc",), **step)
    new_size = lambda k=0: arguments(64 + 3 * k, "f32")
    yield Row("compile/new-batch-size/f32", relu_loss, new_size, want="resize", shapes=any_batch, tolerance=1e-3)
    only = {"want": "nodes", "only": ("graphc",), "unit": "s/node"}
    yield Row("compile/us-a-node/f32/mlp-adam", relu_loss, **step, **only)
    yield Row("compile/us-a-node/f64/scalar-graph", scalar_graph, lambda: (np.tanh(normal("x", INPUTS, dtype="f64")),), **only)
    yield Row("compile/us-a-node/f32/chain-10000", long_chain, lambda: (normal("x", 1000, dtype="f32"),), **only)
