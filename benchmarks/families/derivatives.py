"""Loss, gradient and Hessian-vector product of the network with tanh layers, batch 64."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.families.network import LEAVES, SIZES, WEIGHTS, arguments, tanh_by_hand, tanh_loss
from benchmarks.row import Row

BATCH = 64


def gradient_by_hand(*args: np.ndarray) -> list[np.ndarray]:
    return tanh_by_hand(*args)[1]


def rows() -> Iterator[Row]:
    """Products: one a layer forward, two more backward; the HVP needs eight a layer, since the gradient itself is not asked for.

    The first layer has no gradient or direction of its input: one backward, three in all for the HVP.
    """
    first = SIZES[0] * SIZES[1]
    forward = 2 * BATCH * WEIGHTS
    backward = 2 * BATCH * (3 * WEIGHTS - first)
    second = 2 * BATCH * (8 * WEIGHTS - 5 * first)
    for dtype, width in (("f32", 4), ("f64", 8)):
        inputs = width * (WEIGHTS + BATCH * SIZES[0])
        data = lambda dtype=dtype: arguments(BATCH, dtype)
        with_directions = lambda dtype=dtype: arguments(BATCH, dtype, directions=True)
        yield Row(f"derivatives/loss/{dtype}/64", tanh_loss, data, flops=forward, nbytes=inputs)
        common = {"function": tanh_loss, "wrt": LEAVES}
        yield Row(
            f"derivatives/gradient/{dtype}/64",
            data=data,
            want="gradient",
            flops=backward,
            nbytes=inputs + width * WEIGHTS,
            by_hand={"numpy": gradient_by_hand},
            **common,
        )
        nbytes = inputs + 2 * width * WEIGHTS
        yield Row(f"derivatives/hvp/{dtype}/64", data=with_directions, want="hvp", flops=second, nbytes=nbytes, **common)
