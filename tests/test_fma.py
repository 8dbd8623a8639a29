"""Which sums become fused multiply-adds: every decision is seen in the kernel and in the bits of the results."""

from __future__ import annotations

import numpy as np

import graphc as gx
from graphc import scalars as sc
from graphc.codegen.loops.fma import fuse_multiply_add
from graphc.dtypes import float64
from graphc.program import Axis, Kernel, Operand, Stage, Store, loop_index
from graphc.scalars import Scalar, order

I0 = loop_index(0)
A, B, C, D = (sc.load(k, (sc.index(I0),), float64) for k in range(4))


def fused(*bodies: Scalar) -> int:
    """The multiply-adds of a kernel with a stage for each body."""
    operands = [Operand(float64, (8,)) for _ in range(4)] + [Operand(float64, (8,), True) for _ in bodies]
    stages = [Stage((), body, float64, stores=(Store(4 + k, (sc.index(I0),)),)) for k, body in enumerate(bodies)]
    kernel = fuse_multiply_add(Kernel((Axis(I0, 8),), tuple(stages), tuple(operands)))
    return sum(s.op == "fma" for s in order([stage.body for stage in kernel.stages]))


def test_which_sums_are_fused() -> None:
    product = A * B
    assert fused(product + C) == fused(C + product) == fused(product - C) == fused(C - product) == 1
    assert fused(product + C, A - D) == 1
    assert fused(product + C * D) == fused(product - product) == fused(A + C) == 0
    assert fused(sc.unary("sqrt", product + C) + A * D) == 2


def test_a_product_that_is_used_twice_is_rounded_once() -> None:
    product = A * B
    assert fused((product + C) / product) == 0
    assert fused((product + C) / (product - D)) == 0
    assert fused(product + C, product) == 0
    assert fused(product + C, product + D) == 0
    assert fused(product * product + C) == 1  # the square is used once


def test_the_bits_of_a_product_used_twice() -> None:
    x, y, z = (gx.vector(name, 100) for name in "xyz")
    rng = np.random.default_rng(0)
    X, Y, Z = (rng.normal(size=100) for _ in range(3))
    got = gx.function([x, y, z], [x * y + z, x * y])(X, Y, Z)
    np.testing.assert_array_equal(got[0], X * Y + Z)
    np.testing.assert_array_equal(got[1], X * Y)
    alone = gx.function([x, y, z], x * y + z)(X, Y, Z)
    assert (alone != X * Y + Z).any()  # one rounding, where the target has the instruction or not
