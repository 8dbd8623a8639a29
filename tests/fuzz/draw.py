"""`Draw`: variables and their values while the arguments of one call are drawn."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

import graphc as gx
from graphc.ir import Node

SIZES = (1, 2, 2, 3, 3, 4)  # few, so that those of different arrays coincide


class Draw:
    """Variables and their values while the arguments of one call are drawn."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.values = np.random.default_rng(seed)
        self.nodes: list[Node] = []
        self.arrays: list[np.ndarray] = []
        self.dtype = self.rng.choice(("float64", "float64", "float32"))
        self.main: Node | None = None
        self.symbol = self.rng.random() < 0.25

    def variable(self, array: np.ndarray) -> Node:
        """A variable for an array; now and then of a size that only the call tells."""
        shape: list[Any] = list(array.shape)
        if self.symbol and shape and shape[0] > 1:
            shape[0] = f"n{shape[0]}"
        self.nodes.append(gx.tensor(f"x{len(self.nodes)}", tuple(shape), array.dtype))
        self.arrays.append(array)
        if self.main is None:
            self.main = self.nodes[-1]
        return self.nodes[-1]

    def known(self, node: Node) -> np.ndarray:
        return self.arrays[next(k for k, n in enumerate(self.nodes) if n is node)]

    def shape(self, low: int = 0, high: int = 3) -> tuple[int, ...]:
        return tuple(self.rng.choice(SIZES) for _ in range(self.rng.randint(low, high)))

    def floats(self, *shape: int) -> Node:
        return self.variable(self.values.standard_normal(shape).astype(self.dtype))

    def positive(self, *shape: int) -> Node:
        return self.variable(self.values.uniform(0.3, 2.5, shape).astype(self.dtype))

    def integers(self, low: int, high: int, *shape: int, dtype: str = "int64") -> Node:
        return self.variable(self.values.integers(low, high, shape).astype(dtype))

    def flags(self, *shape: int) -> Node:
        return self.variable(self.values.random(shape) < 0.5)

    def first(self) -> Node:
        """The operand that most functions have: floats of any rank, now and then integers, bools, equal elements, nan or inf, or none."""
        shape, choice = self.shape(), self.rng.randrange(12)
        if choice == 0:
            return self.integers(-3, 4, *shape, dtype=self.rng.choice(("int64", "int32", "int8", "uint8")))
        if choice == 1:
            return self.flags(*shape)
        if choice == 2:
            return self.variable(self.values.integers(-2, 3, shape).astype(self.dtype))
        if choice == 3:
            return self.variable(self.values.choice(np.array([1.5, np.nan, np.inf, -np.inf, 0.0, -0.0]), shape).astype(self.dtype))
        if choice == 4:
            return self.variable(np.zeros((0, *shape[1:]), self.dtype))
        return self.floats(*shape)

    def like(self) -> Node:
        """Another operand: of the shape of the first, or one that broadcasts against it."""
        assert self.main is not None
        shape = self.known(self.main).shape
        if self.rng.random() < 0.4 and shape:
            shape = tuple(1 if self.rng.random() < 0.3 else n for n in shape[self.rng.randrange(len(shape)) :])
        dtype = self.main.dtype if self.rng.random() < 0.8 else np.dtype("float64")
        if dtype.kind == "b":
            return self.flags(*shape)
        return (
            self.integers(-3, 4, *shape, dtype=dtype.name)
            if dtype.kind in "iu"
            else self.variable(self.values.standard_normal(shape).astype(dtype))
        )

    def axis(self) -> int:
        ndim = 1 if self.main is None or not self.main.ndim else self.main.ndim
        return self.rng.randrange(-ndim, ndim)

    def size(self, axis: int | None = None) -> int:
        """The size of the first operand along an axis, or of all of it."""
        assert self.main is not None
        array = self.known(self.main)
        return int(array.size if axis is None or not array.ndim else array.shape[axis % array.ndim])

    def matrix(self, kind: str = "square") -> Node:
        """A well conditioned one, perhaps of several."""
        n, lead = self.rng.choice((1, 2, 3, 4)), self.rng.choice(((), (), (2,), (1, 3)))
        m = self.rng.choice((1, 2, 3, 4)) if kind == "any" else n
        a = self.values.standard_normal((*lead, m, n))
        a = a @ np.swapaxes(a, -1, -2) + n * np.eye(n) if kind == "definite" else a + (3 * np.eye(n) if kind == "square" else 0)
        return self.variable(a.astype(self.dtype))
