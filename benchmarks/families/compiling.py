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


def long_stack(xp: Any, x: Any) -> Any:
    """5,000 scalar expressions side by side."""
    return xp.stack([x[k] * x[k + 1] for k in range(5000)])


def long_concatenate(xp: Any, x: Any) -> Any:
    """5,000 pieces of two elements, each squared."""
    return xp.concatenate([x[k : k + 2] ** 2 for k in range(5000)])


FUNCTIONS = ("tanh", "exp", "sin", "sigmoid", "log1p", "erf")


def _distinct(xp: Any, x: Any, first: int) -> Any:
    """100 elementwise operations that no others equal: 50 functions in turn, each of a sum or product with a constant of its own."""
    for k in range(first, first + 50):
        name, c = FUNCTIONS[k % 6], 0.3 + 1e-4 * k
        x = x * c if k % 3 else c - x
        x = xp.sigmoid(x) if name == "sigmoid" else getattr(xp, name)(x)
    return x


def distinct_chain(xp: Any, x: Any) -> Any:
    """10,000 distinct elementwise operations, each on the one before."""
    for k in range(0, 5000, 50):
        x = _distinct(xp, x, k)
    return x


def distinct_results(xp: Any, x: Any) -> Any:
    """As many, as 100 results of one argument."""
    return tuple([_distinct(xp, x, k) for k in range(0, 5000, 50)])


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
    joined = {"want": "cold", "only": ("graphc",)}
    for name, join in (("stack", long_stack), ("concatenate", long_concatenate)):
        yield Row(f"compile/cold-{name}-5000/f64", join, lambda: (normal("x", 5001, dtype="f64"),), **joined)
    for name, expressions in (("chain", distinct_chain), ("results", distinct_results)):
        yield Row(f"compile/cold-10000-{name}/f32", expressions, lambda: (normal("x", 1000, dtype="f32"),), wrt=0, **joined)
    only = {"want": "nodes", "only": ("graphc",), "unit": "s/node"}
    yield Row("compile/us-a-node/f32/mlp-adam", relu_loss, **step, **only)
    yield Row("compile/us-a-node/f64/scalar-graph", scalar_graph, lambda: (np.tanh(normal("x", INPUTS, dtype="f64")),), **only)
    yield Row("compile/us-a-node/f32/chain-10000", long_chain, lambda: (normal("x", 1000, dtype="f32"),), **only)
