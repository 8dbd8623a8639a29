"""Every invariant of loops, broken once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc import scalars as sc
from graphc.codegen.loops.check_loops import check_loops
from graphc.codegen.loops.loopir import Accumulate, Alloc, Block, Call, For, If, Let, Statement, Store, format_loops
from graphc.codegen.loops.lower import lower
from graphc.dims import Dim, Size
from graphc.dtypes import bool_, float32, float64, int32, int64
from graphc.errors import CompileError
from graphc.ops.derived import settled
from graphc.program import Axis, Kernel, Operand, Stage, loop_index
from graphc.program import Store as ProgramStore
from graphc.scalars import Scalar
from tests.stages import TARGET, planned

N = dims.dim("n")
I0, I1 = loop_index(0), loop_index(1)
KERNEL = Kernel((), (), (Operand(float64, (N, 4)), Operand(float64, (N,), True), Operand(int64, (N,))))


def fetch(slot: int, at: Size, dtype: object = float64, *args: Scalar, dynamic: bool = False, masked: bool = False) -> Scalar:
    return sc.scalar("fetch", args, dtype, (slot, at, dynamic, masked))  # type: ignore[arg-type]


def loop(index: Dim, extent: Size, *body: Statement, kind: str = "serial", lanes: int = 1, unroll: int = 1, parallel: bool = False) -> For:
    return For(index, extent, kind, Block(body), lanes, unroll, parallel)


def local(name: int, dtype: object = float64) -> Scalar:
    return sc.local(name, (), dtype)  # type: ignore[arg-type]


X = fetch(0, 4 * I0 + I1)
SUM = [Alloc(0, float64, "sum"), loop(I1, 4, Accumulate(0, "sum", X), kind="vector", lanes=4)]
ROWS = loop(I0, N, *SUM, Let(1, local(0) * 2.0), If(local(1) > 0.0, Block((Store(1, None, I0, local(1)),))))
ARG = [Alloc(0, int64, "argmax"), loop(I1, 4, Accumulate(0, "argmax", X, sc.index(I1)))]
RECUR = [Alloc(0, float64, "recur"), loop(I1, 4, Accumulate(0, "recur", X, X * 0.5))]


@pytest.mark.parametrize(
    "body",
    [
        [],
        [ROWS],
        [ROWS, ROWS],
        [loop(I0, N, *ARG, Store(1, None, I0, local(0, int64).cast(float64)))],
        [loop(I0, N, *RECUR)],
        [loop(I0, N, loop(I1, I0 + 1, Let(0, fetch(1, I0))))],
        [loop(I0, N, Store(1, fetch(2, I0, int64), 0, fetch(0, I0 - 1, float64, sc.index(I0) > 0, masked=True)), parallel=True)],
        [loop(I0, 3, Store(1, None, I0, fetch(0, 0, float64, fetch(2, I0, int64), dynamic=True), "add"), kind="unroll")],
        [loop(I0, N, Let(0, fetch(1, I0)), Store(1, None, I0, local(0) + fetch(1, I0)))],
        [Alloc(0, float64, "sum"), loop(I0, N, Accumulate(0, "sum", fetch(1, I0)), kind="vector", lanes=4), Let(1, local(0) + local(0))],
        [Alloc(0, float64, "sum", True), loop(I0, N, Accumulate(0, "sum", fetch(1, I0)), Let(1, local(0)), kind="vector", lanes=4)],
        [Call("gemm", 3)],
    ],
)
def test_good(body: list[Statement]) -> None:
    check_loops(Block(tuple(body)), KERNEL)


LEAST = Accumulate(0, "argmin", fetch(1, I0), sc.index(I0))


PLUS, OLD = Accumulate(0, "sum", fetch(1, I0)), Let(0, fetch(1, I0))
TIMES, NOW, RUNS = Accumulate(0, "prod", fetch(1, I0)), Let(1, local(0)), Alloc(0, float64, "sum", True)
FOUR = loop(I0, N, PLUS, Let(2, local(0)), kind="vector", lanes=4)
MIXED = Accumulate(0, "recur", fetch(2, I0, int64), fetch(1, I0))
RECUR_STEP = Accumulate(0, "recur", fetch(0, I1), fetch(0, I1))
ADD = Store(1, None, 4 * I0 + I1, sc.const(1.0, float64), "add")


def inside(*body: Statement) -> list[Statement]:
    return [loop(I0, N, *body)]


@pytest.mark.parametrize(
    ("match", "body"),
    [
        ("a loop over n, which is no loop index", [loop(N, 4)]),
        ("the loop index i0 is bound already", inside(loop(I0, 4))),
        ("the extent has the loop index i1", inside(loop(I1, I1))),
        ("unknown kind 'zigzag'", [loop(I0, N, kind="zigzag")]),
        ("not the outermost one", [loop(I0, N, loop(I1, 4, parallel=True))]),
        ("a serial loop of 4 lanes", [loop(I0, N, lanes=4)]),
        ("a vector loop of 0 lanes", [loop(I0, N, kind="vector", lanes=0)]),
        ("a vector loop inside another", [loop(I0, N, loop(I1, 4, kind="vector", lanes=4), kind="vector", lanes=4)]),
        ("the lanes along i0 have loops of different lengths", [loop(I0, N, loop(I1, I0 + 1), kind="vector", lanes=4)]),
        ("the condition is float64", inside(If(fetch(1, I0), Block(())))),
        ("t0 is defined twice", inside(Let(0, fetch(1, I0)), Let(0, fetch(1, I0)))),
        ("t0 is defined twice", inside(Let(0, fetch(1, I0)), Alloc(0, float64, "sum"))),
        ("'median' has no neutral element", [Alloc(0, float64, "median")]),
        ("t0 is read where it is not defined", [Let(1, local(0))]),
        ("t0 is read where it is not defined", inside(loop(I1, 4, Let(0, X)), Store(1, None, I0, local(0)))),
        ("t0 is one float64, read as float32", inside(Let(0, fetch(1, I0)), Let(1, local(0, float32)))),
        ("read as float64 with 1 indices", inside(Let(0, fetch(1, I0)), Let(1, sc.local(0, (sc.index(I0),), float64)))),
        ("the loop index i1 is not bound here", inside(Let(0, sc.index(I1)))),
        ("the loop index i1 is not bound here", inside(Let(0, fetch(0, 4 * I0 + I1)))),
        ("the loop index i0 is not bound here", [loop(I0, N), Store(1, None, I0, sc.const(1.0, float64))]),
        ("there is no operand b9", inside(Let(0, fetch(9, I0)))),
        ("a fetch of b0 with 0 arguments", inside(Let(0, fetch(0, I0, masked=True)))),
        ("b0 holds float64, not float32", inside(Let(0, fetch(0, I0, float32)))),
        ("the offset into b0 is int32", inside(Let(0, fetch(0, 0, float64, sc.const(1, int32), dynamic=True)))),
        ("the offset 4\\*i0 \\+ 4 leaves b0 of 4\\*n f64", inside(Let(0, fetch(0, 4 * I0 + 4)))),
        ("the offset i0 - 1 leaves b1 of n f64", inside(Store(1, None, I0 - 1, sc.const(1.0, float64)))),
        ("load has no meaning in loops", inside(Let(0, sc.load(1, (sc.index(I0),), float64)))),
        ("arg has no meaning in loops", [Let(0, sc.arg(0, float64))]),
        ("add of different dtypes", [Let(0, sc.scalar("add", (sc.const(1, float32), sc.const(1, float64)), float64))]),
        ("no accumulator t0 is allocated", inside(Accumulate(0, "sum", fetch(1, I0)))),
        ("no accumulator t0 is allocated", inside(Let(0, fetch(1, I0)), Accumulate(0, "sum", fetch(1, I0)))),
        ("t0 was allocated for sum", [Alloc(0, float64, "sum"), *inside(Accumulate(0, "max", fetch(1, I0)))]),
        ("t0 holds float64, the value is int64", [Alloc(0, float64, "sum"), *inside(Accumulate(0, "sum", fetch(2, I0, int64)))]),
        ("argmax goes without a second value", [Alloc(0, int64, "argmax"), *inside(Accumulate(0, "argmax", fetch(1, I0)))]),
        ("sum goes with a second value", [Alloc(0, float64, "sum"), *inside(Accumulate(0, "sum", fetch(1, I0), fetch(1, I0)))]),
        ("t0 holds float64, the value is int64", [Alloc(0, float64, "argmin"), *inside(LEAST)]),
        ("unknown mode 'divide'", inside(Store(1, None, I0, fetch(1, I0), "divide"))),
        ("b0 is no operand that is written", inside(Store(0, None, I0, fetch(1, I0)))),
        ("b7 is no operand that is written", inside(Store(7, None, I0, fetch(1, I0)))),
        ("b1 holds float64, the value is bool", inside(Store(1, None, I0, sc.const(True, bool_)))),
        ("all of n turns at once", [loop(I0, N, kind="unroll")]),
        ("adds to places .* that are not in a row", [loop(I0, 3, loop(I1, 4, ADD), kind="vector", lanes=4)]),
        ("t0 takes its steps in order, not 8 of i1 at once", [RECUR[0], loop(I1, 4, RECUR_STEP, kind="vector", lanes=4, unroll=2)]),
        ("t0 takes its steps in order, not 2 of i1 at once", [RECUR[0], loop(I1, 4, RECUR_STEP, unroll=2)]),
        ("t1 is to be given beside t0, which has no position", [Alloc(0, float64, "sum", False, (1, float64))]),
        ("t0 is defined twice", [Alloc(0, int64, "argmin", False, (0, float64))]),
        ("t1 is defined twice", [Let(1, sc.const(0.0, float64)), Alloc(0, int64, "argmin", False, (1, float64))]),
        ("t1 holds int32, the value is float64", [Alloc(0, int64, "argmin", False, (1, int32)), *inside(LEAST)]),
        ("t1 is read inside a loop", [Alloc(0, int64, "argmin", False, (1, float64)), *inside(LEAST, Let(2, local(1)))]),
        ("t1 is one float64, read as int64", [Alloc(0, int64, "argmin", False, (1, float64)), *inside(LEAST), Let(2, local(1, int64))]),
        ("t0 takes its steps in order, not 4 of i0 at once", [Alloc(0, float64, "prod", True), loop(I0, N, TIMES, kind="vector", lanes=4)]),
        ("t0 is read before the lanes are taken in", [RUNS, loop(I0, N, NOW, PLUS, kind="vector", lanes=4)]),
        ("t0 is read before the lanes are taken in", [RUNS, FOUR, loop(I0, N, NOW, PLUS, kind="vector", lanes=4)]),
        ("t0 takes its steps in order, not 2 of i0 at once", [Alloc(0, float64, "sum", True), loop(I0, N, PLUS, unroll=2)]),
        ("t0 is updated by the turns of a parallel loop", [SUM[0], loop(I0, N, PLUS, parallel=True)]),
        ("t0 is updated over different numbers of lanes", [SUM[0], *[loop(I0, N, PLUS, kind="vector", lanes=k) for k in (4, 8)]]),
        ("t0 is updated over different numbers of lanes", [SUM[0], For(I0, N, "vector", Block((PLUS,)), 4, tail=2)]),
        ("t0 is read inside a loop that updates it", [SUM[0], *inside(PLUS, Let(1, local(0)))]),
        ("t0 is read again after it was changed", [SUM[0], *inside(PLUS), Let(1, local(0)), *inside(PLUS), Let(2, local(0))]),
        ("b1 is read again after it was changed", inside(OLD, Store(1, None, I0, local(0)), Let(1, fetch(1, I0)))),
        ("b1 is read again after it was changed", [Let(0, fetch(1, 0)), *inside(Let(1, fetch(1, 0)), Store(1, None, I0, local(1)))]),
        ("str is no statement", ["x = 1"]),
        ("a unroll loop of 1 lanes, 2 times unrolled", [loop(I0, N, kind="unroll", unroll=2)]),
        ("a serial loop of 1 lanes, 0 times unrolled", [loop(I0, N, unroll=0)]),
        ("there is no operand b3", inside(Let(0, fetch(3, I0)))),
        ("there is no operand b-1", inside(Let(0, fetch(-1, I0)))),
        ("b3 is no operand that is written", inside(Store(3, None, I0, fetch(1, I0)))),
        ("b-2 is no operand that is written", inside(Store(-2, None, I0, fetch(1, I0)))),
        ("a fetch of b0 with 1 arguments, dynamic=False, masked=True", inside(Let(0, fetch(0, I0, float64, sc.index(I0), masked=True)))),
        ("a fetch of b0 with 2 arguments, dynamic=True", inside(Let(0, fetch(0, I0, float64, sc.index(I0), sc.index(I0), dynamic=True)))),
        ("the offset into b1 is int32", inside(Store(1, sc.const(1, int32), 0, fetch(1, I0)))),
        ("t0 is read where it is not defined", inside(If(fetch(1, I0) > 0.0, Block((Let(0, fetch(1, I0)),))), Let(1, local(0)))),
        ("t0 is read where it is not defined", inside(If(local(0) > 0.0, Block(())))),
        ("t0 is read where it is not defined", [Alloc(1, float64, "recur"), *inside(Accumulate(1, "recur", fetch(1, I0), local(0)))]),
        ("t0 is read where it is not defined", inside(Store(1, local(0, int64), 0, fetch(1, I0)))),
        ("recur goes without a second value", [Alloc(0, float64, "recur"), *inside(Accumulate(0, "recur", fetch(1, I0)))]),
        ("t0 holds float64", [Alloc(0, float64, "recur"), *inside(Accumulate(0, "recur", fetch(1, I0), fetch(2, I0, int64)))]),
        ("t0 holds float64, the value is int64", [Alloc(0, float64, "recur"), *inside(MIXED)]),
        ("t0 holds int32", [Alloc(0, int32, "argmin"), *inside(Accumulate(0, "argmin", fetch(1, I0), sc.const(0, int32)))]),
    ],
)  # fmt: skip
def test_broken(match: str, body: list[Statement]) -> None:
    with pytest.raises(CompileError, match=match):
        check_loops(Block(tuple(body)), KERNEL)


def test_message() -> None:
    with pytest.raises(CompileError) as caught:
        check_loops(Block((loop(I0, N, loop(I1, 4, Let(3, local(2) + 1.0))),)), KERNEL)
    assert str(caught.value).splitlines() == [
        "loops: t2 is read where it is not defined",
        "  > t3: f64 = (t2 + 1.0)",
        "  in  for i1 in 4 (serial)",
        "  in  for i0 in n (serial)",
    ]


TEXT = """\
for i0 in n (vector 4 x 2 masked, tail 2, parallel):
  t0: f64 = running neutral(sum)
  t2: f64 = neutral(recur)
  for i1 in 4 (serial x 2):
    t0 = sum(t0, b0[4*i0 + i1])
    b1[i0] += t0
  if (t0 > 0.0):
    t1: f64 = (t0 * 2.0)
    b1[b2[i0] + i1] = t1
for i0 in 3 (vector 4 x 1):
  gemm(3)"""


def test_text() -> None:
    """Each kind of statement, and everything that is said only where it is not as usual."""
    updates = For(I1, 4, "serial", Block((Accumulate(0, "sum", X), Store(1, None, I0, local(0), "add"))), unroll=2)
    guarded = If(local(0) > 0.0, Block((Let(1, local(0) * 2.0), Store(1, fetch(2, I0, int64), I1, local(1)))))
    registers = (Alloc(0, float64, "sum", True), Alloc(2, float64, "recur"))
    first = For(I0, N, "vector", Block((*registers, updates, guarded)), 4, 2, True, True, 2)
    plain = For(I0, 3, "vector", Block((Call("gemm", 3),)), 4, tail=4)
    assert format_loops(Block((first, plain))) == TEXT


# -- stages and points ----------------------------------------------------------------------------------------------
STORED = (ProgramStore(1, (sc.index(I0),)),)
ROW_SUM = Stage((), sc.load(0, (sc.index(I0), sc.index(I1)), float64), float64, (Axis(I1, 4),), "sum", STORED)
SUMS = Kernel((Axis(I0, N),), (ROW_SUM,), KERNEL.operands)


def row_sums(rows: Size, columns: Size) -> Block:
    return Block((loop(I0, rows, Alloc(0, float64, "sum"), loop(I1, columns, Accumulate(0, "sum", fetch(0, 0)))),))


@pytest.mark.parametrize(("rows", "columns"), [(N, 4), (2 * N, 2)])
def test_every_point_is_computed_once(rows: Size, columns: int) -> None:
    check_loops(row_sums(rows, columns), SUMS)


@pytest.mark.parametrize(("rows", "columns"), [(N, 3), (N - 1, 4), (N, N), (1, 4)])
def test_points_that_are_missing_or_too_many(rows: Size, columns: Size) -> None:
    with pytest.raises(CompileError, match=r"t0 is computed .* times, but has 4\*n points"):
        check_loops(row_sums(rows, columns), SUMS)


def test_axes_of_one_name_and_different_extents_stay_apart() -> None:
    """The gradient of take: a copy over (10, 4) beside updates over (3, 4, 4) once became one loop of 40, which left the updates."""
    w = gx.tensor("w", (10, 4))
    (kernel,) = planned([w], settled([gx.grad(gx.sum(gx.take(w, np.zeros((3, 4), int), axis=0)), w)])).kernels()
    copy, updates = lower(kernel, TARGET).body
    assert isinstance(updates, For) and updates.extent == 12
    with pytest.raises(CompileError, match=r"the offset i1 leaves b1 of 12 i64\n.*\n.*i2 in 4.*\n.*i1 in 40"):
        check_loops(Block((copy, replace(updates, extent=40))), kernel)
