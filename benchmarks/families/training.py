"""One training step of the network: loss, gradient, Adam on 235,146 parameters, all state kept by the peer."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.families.network import LEAVES, SHAPES, SIZES, WEIGHTS, arguments, relu_by_hand, relu_loss
from benchmarks.row import Row


def rows() -> Iterator[Row]:
    """Three products a layer but for the first layer's gradient of x; Adam reads four arrays and writes three."""
    for dtype, width in (("f32", 4), ("f64", 8)):
        for batch in (64, 512):
            common = {
                "data": lambda batch=batch, dtype=dtype: arguments(batch, dtype),
                "want": "step",
                "wrt": LEAVES,
                "flops": 2 * batch * (3 * WEIGHTS - SIZES[0] * SIZES[1]) + 25 * WEIGHTS,
                "nbytes": width * (7 * WEIGHTS + batch * SIZES[0]),
                "by_hand": {"numpy": relu_by_hand},
                "tolerance": 1e-4 if dtype == "f32" else 1e-8,
            }
            yield Row(f"training/mlp-adam/{dtype}/{batch}", relu_loss, **common)
            any_batch = (*SHAPES, ("n", SIZES[0]), ("n",))
            yield Row(f"training/mlp-adam-any-batch/{dtype}/{batch}", relu_loss, shapes=any_batch, **common)
