"""Drawn convolutions: rank, layout, groups, strides, dilations, paddings, dtype, which sizes are known, and what is done to the result.

One seed is one compiled function of the result, both gradients and a gradient of a gradient, called at two sizes where some are open, and
compared with the interpreter, which takes slices. `python -m tests.fuzz.convolution 500` runs as many; the tests run a few.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gx
from graphc.interp import evaluate
from graphc.ir import Node

SIZES = (1, 2, 3, 3, 4, 5, 8, 17)
AFTER: tuple[Callable[[Node], Node], ...] = (lambda y: y, lambda y: gx.maximum(y, 0), lambda y: gx.tanh(y) * y, lambda y: gx.sum(y, axis=0))


class Drawn:
    """One convolution: a graph, and arrays for it at several sizes."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = np.random.default_rng(seed)
        pick = lambda values: values[int(rng.integers(len(values)))]
        self.rank = pick((1, 2, 2, 2, 3))
        self.groups = pick((1, 1, 1, 2, 3))
        self.inward, self.outward = (pick((1, 2, 3, 9, 9, 40)) for _ in range(2))
        self.first = bool(rng.integers(2))
        self.kernel = tuple(pick((1, 2, 3, 3, 5)) for _ in range(self.rank))
        self.args: dict[str, Any] = {
            "stride": tuple(pick((1, 1, 2, 3)) for _ in self.kernel),
            "dilation": tuple(pick((1, 1, 1, 2)) for _ in self.kernel),
            "groups": self.groups,
            "flip": pick((False, False, True)),
        }
        reach = [d * (k - 1) for d, k in zip(self.args["dilation"], self.kernel)]
        pads = tuple((int(rng.integers(r + 1)), int(rng.integers(r + 2))) for r in reach)
        self.args["padding"] = pick(("valid", "same", "full", pads, pads))
        self.dtype = pick(("float32", "float32", "float64", "int32"))
        self.least = [r + 1 for r in reach]
        self.bias, self.after = bool(rng.integers(2)), pick(AFTER)
        self.open = [bool(rng.integers(3) == 0) for _ in range(self.rank + 1)]  # batch, space
        self.base = [pick(SIZES), *[n + pick(SIZES) for n in self.least]]

    def arrays(self, again: bool) -> list[np.ndarray]:
        """Image, weight and bias; other open sizes the second time."""
        sizes = [n + 1 + k if again and is_open else n for k, (n, is_open) in enumerate(zip(self.base, self.open))]
        channels, outward = self.inward * self.groups, self.outward * self.groups
        image = (sizes[0], channels, *sizes[1:]) if self.first else (sizes[0], *sizes[1:], channels)
        weight = (outward, self.inward, *self.kernel) if self.first else (*self.kernel, self.inward, outward)
        shapes = [image, weight, (outward,)]
        return [(self.rng.normal(size=s) * 3).astype(self.dtype) for s in shapes]

    def nodes(self) -> tuple[list[Node], list[Node]]:
        """The variables, and the values to compare."""
        arrays = self.arrays(False)
        where = [0, *(range(2, self.rank + 2) if self.first else range(1, self.rank + 1))]
        shape: list[Any] = list(arrays[0].shape)
        for axis, is_open in zip(where, self.open):
            shape[axis] = f"n{axis}" if is_open else shape[axis]
        x, w, b = (gx.tensor(n, s, self.dtype) for n, s in zip("xwb", (tuple(shape), arrays[1].shape, arrays[2].shape)))
        layout = "NC" if self.first else "N.C"
        layout = layout.replace(".", "DHW"[-self.rank :]) if "." in layout else layout + "DHW"[-self.rank :]
        y = self.after(gx.nn.conv(x, w, b if self.bias else None, layout=layout, **self.args))
        if self.dtype == "int32":
            return [x, w, b], [y]
        first = gx.grad(gx.sum(y * y) / 7, [x, w])
        second = gx.grad(gx.sum(first[1] * first[1]) / 11, x, disconnected="zero")
        return [x, w, b], [y, *first, second]


def check(seed: int) -> None:
    """Native code and the interpreter give the same, at both sizes."""
    drawn = Drawn(seed)
    variables, values = drawn.nodes()
    f = gx.function(variables, values, mode="verify")
    for again in (False, True)[: 1 + any(drawn.open)]:
        arrays = drawn.arrays(again)
        expected = evaluate(values, dict(zip(variables, arrays)))
        for got, want in zip(f(*arrays), expected, strict=True):
            assert got.shape == want.shape and got.dtype == want.dtype
            scale = float(np.max(np.abs(want), initial=1))
            bound = {"float32": 3e-4, "float64": 1e-11}.get(want.dtype.name, 0)
            assert np.all(np.abs(got - want) <= bound * scale), (seed, float(np.max(np.abs(got - want))), scale)


if __name__ == "__main__":
    for number in range(int(sys.argv[2]) if len(sys.argv) > 2 else 0, int(sys.argv[1])):
        try:
            check(number)
        except Exception as error:
            print(f"seed {number}: {type(error).__name__}: {error!s:.300}")
    print("done")
