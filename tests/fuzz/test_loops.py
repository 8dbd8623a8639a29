"""Random nests of loops of every kind: what passes the check runs right."""

from __future__ import annotations

import numpy as np
import pytest

from graphc import scalars as sc
from graphc.codegen.loops.loopir import Accumulate, Alloc, Block, For, Store
from graphc.dtypes import float64
from graphc.program import Kernel, Operand, loop_index
from tests.fuzz.loops import N, Nest

I0, I1 = loop_index(0), loop_index(1)


@pytest.mark.parametrize("block", range(3))
def test_random_loops(block: int) -> None:
    ran = 0
    for seed in range(block * 24, block * 24 + 24):
        nest = Nest(seed)
        if nest.allowed():
            ran += 1
            fault = nest.fault()
            assert fault is None, f"seed {seed}: {fault}"
    assert ran >= 8


def check(loops: Block, *written: Operand) -> None:
    """A nest by hand, on the operands of random ones."""
    nest = Nest(0)
    nest.operands[3:], nest.dtype = written, np.dtype(float64)
    nest.operands[0], nest.operands[2] = Operand(float64, nest.operands[0].shape), Operand(float64, nest.operands[2].shape)
    nest.block, nest.kernel = loops, Kernel((), (), tuple(nest.operands))
    assert nest.allowed()
    assert nest.fault() is None


def fetch(at: object) -> sc.Scalar:
    return sc.scalar("fetch", (), float64, (0, at, False, False))


@pytest.mark.parametrize("kind", ["serial", "unroll"])
def test_what_depends_on_the_index_of_an_unrolled_loop_alone_is_computed_in_each_turn(kind: str) -> None:
    taps = For(I1, 3, kind, Block((Accumulate(0, "sum", fetch(I1) * fetch(I0 + I1)),)))
    body = Block((Alloc(0, float64, "sum"), taps, Store(3, None, I0, sc.local(0, (), float64))))
    check(Block((For(I0, N, "vector", body, 4),)), Operand(float64, (N,), True))


def test_an_update_outside_the_vector_loop_counts_once() -> None:
    lanes = For(I0, N, "vector", Block((Accumulate(0, "sum", fetch(I0)),)), 4)
    once = Accumulate(0, "sum", fetch(1))
    check(Block((Alloc(0, float64, "sum"), lanes, once, Store(3, None, 0, sc.local(0, (), float64)))), Operand(float64, (), True))


def test_one_name_in_two_blocks_is_two_accumulators() -> None:
    def total(kind: str, lanes: int, slot: int) -> For:
        inner = For(I1, 7, kind, Block((Accumulate(0, "sum", fetch(I0 + I1)),)), lanes)
        return For(I0, N, "serial", Block((Alloc(0, float64, "sum"), inner, Store(slot, None, I0, sc.local(0, (), float64)))))

    check(Block((total("vector", 4, 3), total("vector", 8, 4))), Operand(float64, (N,), True), Operand(float64, (N,), True))
