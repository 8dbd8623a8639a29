"""Every invariant of programs and of kernels, broken once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc import scalars as sc
from graphc.dtypes import bool_, float32, float64, int32, int64
from graphc.errors import CompileError
from graphc.ir import origin
from graphc.ops.registry import SHARED, variable
from graphc.program import Axis, Buffer, Check, Kernel, Launch, Operand, Program, Stage, Store, loop_index
from graphc.scalars import Scalar
from graphc.verify.kernel import verify_kernel
from graphc.verify.program import verify_program
from graphc.verify.scalar import outside, reach, scalar_fault

N, K = dims.dim("n"), dims.dim("k")
I0, I1, R0 = loop_index(0), loop_index(1), loop_index(0, "r")
ROWS, COLUMNS, REDUCED = Axis(I0, N), Axis(I1, 4), Axis(R0, 4)


def load(slot: int, *at: dims.Size, dtype: np.dtype = float64) -> Scalar:
    return sc.load(slot, tuple(sc.index(i) for i in at), dtype)


def put(slot: int, *at: dims.Size, mode: str = "set") -> tuple[Store, ...]:
    return (Store(slot, tuple(sc.index(i) for i in at), mode),)


# for i0 in n: t0 = sum over r0 of b0[i0, r0]; t1 over i1 = b0[i0, i1] - t0 -> b1; t2 = t0 * 2 -> b2
KERNEL = Kernel(
    (ROWS,),
    (
        Stage((), load(0, I0, R0), float64, (REDUCED,), "sum"),
        Stage((COLUMNS,), load(0, I0, I1) - sc.local(0, (), float64), float64, stores=put(1, I0, I1)),
        Stage((), sc.local(0, (), float64) * 2.0, float64, stores=put(2, I0)),
    ),
    (Operand(float64, (N, 4)), Operand(float64, (N, 4), True), Operand(float64, (N,), True)),
)
COPY = Kernel((ROWS,), (Stage((), load(0, I0), float64, stores=put(1, I0)),), (Operand(float64, (N,)), Operand(float64, (N,), True)))
ADD = Kernel((ROWS,), (Stage((), load(0, I0) + load(2, I0), float64, stores=put(1, I0)),), (*COPY.operands, Operand(float64, (N,))))
LEAST = Stage((), load(0, R0, dtype=int64), int64, (Axis(R0, K),), "min", put(1))
FAULT = Kernel((), (LEAST,), (Operand(int64, (K,)), Operand(int64, (), True)))

X, INDICES, STATE = gx.tensor("x", (N, 4)), gx.tensor("i", (K,), "int64"), variable(SHARED, "s", float64, (N,))
PROGRAM = Program(
    buffers=(
        Buffer(float64, (N, 4), "input", 0),
        Buffer(int64, (K,), "input", 1),
        Buffer(float64, (N,), "shared", 0),
        Buffer(float64, (N, 4), "output", 0),
        Buffer(float64, (N,), "output", 1),
        Buffer(int64, (), "arena", offset=0),
        Buffer(float64, (N,), "arena", offset=64),
        Buffer(float64, (1, N), "arena", offset=64, alias=6),
    ),
    steps=(
        Launch(FAULT, (1, 5), (X,)),
        Check(5, 1, X, N),
        Launch(KERNEL, (0, 3, 6), (X,)),
        Launch(COPY, (7, 4), (X,)),
        Launch(ADD, (2, 2, 6), (X,)),
    ),
    inputs=(X, INDICES), shared=(STATE,), constants=(), outputs=(3, 4), arena=64 + 64 * ((8 * N + 63) // 64), commit=4,
)  # fmt: skip


def test_good() -> None:
    verify_program(PROGRAM)
    for kernel in (KERNEL, COPY, ADD, FAULT):
        verify_kernel(kernel)


# -- scalars ------------------------------------------------------------------------------------------------------------
X64, X32, I64, B = (sc.arg(k, d) for k, d in enumerate((float64, float32, int64, bool_)))
GOOD = [
    X64 + 1.0, X64 < 2.0, sc.select(B, X64, 1.0), I64 // 3, I64 << 2, ~B, B & B, -I64, abs(X32), sc.fma(X64, X64, X64),
    sc.math("tanh", X32),
    I64.cast(float32), I64.bitcast(float64), sc.lookup((1.0,), I64, float64), sc.index(N + I0), sc.const(-0.0, float64),
    sc.const(True, bool_),
]  # fmt: skip
BAD = [
    (sc.scalar("add", (X64, X32), float64), "add of different dtypes: float64, float32"),
    (sc.scalar("add", (X64,), float64), "add takes 2 arguments, not 1"),
    (sc.scalar("add", (X64, X64), float32), "add of float64, float64 is float64, not float32"),
    (sc.scalar("lt", (X64, X64), float64), "is bool, not float64"),
    (sc.scalar("select", (X64, X64, X64), float64), "select chooses by a bool, not by float64"),
    (sc.scalar("select", (B, X64, X32), float64), "select of different dtypes"),
    (sc.scalar("floordiv", (X64, X64), float64), "floordiv is not defined for float64"),
    (sc.scalar("and", (X64, X64), float64), "and is not defined"),
    (sc.scalar("sqrt", (I64,), int64), "sqrt is not defined for int64"),
    (sc.scalar("tanh", (), float64), "tanh takes one or more arguments, not 0"),
    (sc.scalar("tanh", (X32,), float64), "tanh of float32 is float32, not float64"),
    (sc.scalar("bitcast", (X32,), int64), "bitcast of float32 to int64"),
    (sc.scalar("lookup", (X64,), float64, (1.0,)), "lookup is a float of a table at an integer"),
    (sc.scalar("const", (), float64, 1.0), "a float constant is its 64 bits"),
    (sc.scalar("const", (), bool_, 2), "a bool constant is a bool"),
    (sc.scalar("const", (), np.dtype("int8"), 128), "128 is no int8"),
    (sc.scalar("index", (), int32, N), "an index is an i64"),
    (sc.scalar("index", (), int64, 3), "an index is an i64"),
]


def test_scalars() -> None:
    assert [scalar_fault(s) for s in GOOD] == [""] * len(GOOD)


@pytest.mark.parametrize(("s", "match"), BAD, ids=[m for _, m in BAD])
def test_broken_scalars(s: Scalar, match: str) -> None:
    assert match in scalar_fault(s)


def test_reach_of_indices() -> None:
    i, j = dims.as_symbol(I0), dims.as_symbol(I1)
    assert i is not None and j is not None
    axes = {i: N, j: 4}
    assert reach(I0, axes) == (0, N - 1) and reach(2 * I1 + 1, axes) == (1, 7) and reach(3 - I1, axes) == (0, 3)
    assert reach(4 * I0 + I1, axes) == (0, 4 * N - 1) and reach(N * I1 + I0, axes) == (0, 4 * N - 1) and reach(I1 // 2, axes) is None
    assert not outside(4 * I0 + I1, 4 * N, axes) and outside(4 * I0 + I1 + 1, 4 * N, axes)
    assert outside(I1 - 1, 4, axes) and outside(5, 5, {}) and not outside(N, N + 1, {}) and outside(N, N, {})
    assert not outside(I0, K, axes), "what depends on the sizes is no provable fault"
    assert not outside(I1 + 9, 4, {j: 0}), "a loop that never runs"


# -- kernels ------------------------------------------------------------------------------------------------------------
def stage(k: int, **changed: Any) -> Callable[[], Kernel]:
    return lambda: replace(KERNEL, stages=(*KERNEL.stages[:k], replace(KERNEL.stages[k], **changed), *KERNEL.stages[k + 1 :]))


def operand(k: int, **changed: Any) -> Callable[[], Kernel]:
    return lambda: replace(KERNEL, operands=(*KERNEL.operands[:k], replace(KERNEL.operands[k], **changed), *KERNEL.operands[k + 1 :]))


LOCAL, AT_I1 = sc.local(0, (), float64), sc.local(1, (sc.index(I1),), float64)
SCAN = Stage((), load(0, I0, R0), float64, (REDUCED,), "sum", put(1, I0, R0), "inclusive")
KERNELS: list[tuple[str, Callable[[], Kernel]]] = [
    ("unknown kind 'spiral'", lambda: replace(KERNEL, kind="spiral")),
    ("runs over n, which is no loop index", lambda: replace(KERNEL, axes=(Axis(N, 3),))),
    ("runs over 2\\*i0, which is no loop index", lambda: replace(KERNEL, axes=(Axis(2 * I0, 3),))),
    ("stage t1 binds the loop index i0 twice", stage(1, axes=(ROWS,))),
    ("runs i1 over i2 \\+ 1, which is no size", stage(1, axes=(Axis(I1, loop_index(2) + 1),))),
    ("has 1 reduced axes, and combine=None", stage(0, combine=None)),
    ("has 0 reduced axes, and combine=sum", stage(0, reduce=())),
    ("combines by 'median'", stage(0, combine="median")),
    ("combines by recur, without a factor", stage(0, combine="recur")),
    ("combines by sum, with a factor", stage(0, factor=LOCAL)),
    ("is a recurrence of float64 and float64, scan=None", stage(0, combine="recur", factor=load(0, I0, R0))),
    ("is a recurrence of float32 and float64, scan=inclusive", stage(0, combine="recur", scan="inclusive", factor=sc.const(1.0, float32))),
    ("is a 'backward' scan", stage(0, scan="backward")),
    ("combines float64 by any", stage(0, combine="any")),
    ("t0 is float64, but its value is int64", stage(0, combine="argmax")),
    ("t2 is float64, but its value is bool", stage(2, body=LOCAL < 1.0)),
    ("add of different dtypes", stage(2, body=sc.scalar("add", (LOCAL, sc.const(1, float32)), float64))),
    ("the loop index r0 is not bound here", stage(2, body=LOCAL * sc.index(R0).cast(float64))),
    ("the loop index r0 is not bound here", stage(0, stores=put(2, R0))),
    ("there is no operand b7", stage(0, body=load(7, I0, R0))),
    ("the mask is float64", stage(0, body=sc.load(0, (sc.index(I0), sc.index(R0)), float64, sc.const(1.0, float64)))),
    ("b0 holds float64, not float32", stage(0, body=load(0, I0, R0, dtype=float32), dtype=float32)),
    ("b0 has 2 axes, indexed with 1", stage(0, body=load(0, R0))),
    ("b0 is indexed by bool", stage(0, body=sc.load(0, (sc.index(I0), sc.const(True, bool_)), float64))),
    ("the index r0 \\+ 1 of b0 leaves the axis of size 4", stage(0, body=load(0, I0, R0 + 1))),
    ("the index i0 \\+ 1 of b0 leaves the axis of size n", stage(0, body=load(0, I0 + 1, R0))),
    ("the index 4 of b0 leaves the axis of size 4", stage(0, body=load(0, I0, 4))),
    ("t2 is no earlier stage", stage(1, body=sc.local(2, (), float64))),
    ("t1 is no earlier stage", stage(1, body=sc.local(1, (sc.index(I1),), float64))),
    ("t0 is float64, not int64", stage(2, body=sc.local(0, (), int64), dtype=int64)),
    ("t1 has 1 axes, read with 0 indices", stage(2, body=sc.local(1, (), float64))),
    ("t1 is read at another element", stage(2, body=sc.local(1, (sc.index(I0),), float64))),
    ("t1 is read at another element", stage(2, body=AT_I1, reduce=(Axis(I1, 3),), combine="sum")),
    ("t1 is of nest 0, after one of nest 2", stage(0, nest=2)),
    ("t1 has an element for each turn of nest 0, read in nest 1", stage(2, body=AT_I1, reduce=(COLUMNS,), combine="sum", nest=1)),
    ("t0 has 1 axes, read with 0 indices", lambda: replace(KERNEL, stages=(SCAN, *KERNEL.stages[1:]))),
    ("fetch has no meaning in a kernel", stage(2, body=sc.scalar("fetch", (), float64, (0, 0, False, False)))),
    ("arg has no meaning in a kernel", stage(2, body=X64)),
    ("stores to b9, which is no operand", stage(2, stores=put(9, I0))),
    ("unknown mode 'divide'", stage(2, stores=put(2, I0, mode="divide"))),
    ("stores bool to b2, which holds float64", stage(2, body=LOCAL < 1.0, dtype=bool_)),
    ("stores out of place: b2 has 1 axes", stage(2, stores=put(2, I0, 0))),
    ("stores out of place: the index -1", stage(2, stores=put(2, -1))),
    ("stores all points of the loop i1 to one element of b1", stage(1, stores=put(1, I0, 0))),
    ("b2 is marked written, but no stage stores", stage(2, stores=())),
    ("b1 is marked read-only, but a stage stores", operand(1, written=False)),
    ("b3 is neither read nor written", lambda: replace(KERNEL, operands=(*KERNEL.operands, Operand(float64, ())))),
]


@pytest.mark.parametrize(("match", "make"), KERNELS, ids=[m for m, _ in KERNELS])
def test_broken_kernels(match: str, make: Callable[[], Kernel]) -> None:
    with pytest.raises(CompileError, match=match):
        verify_kernel(make())


def test_a_recurrence_is_a_scan_with_a_factor_of_its_dtype() -> None:
    recur = replace(SCAN, combine="recur", factor=load(0, I0, R0))
    rows = tuple([Operand(float64, (N, 4), written) for written in (False, True)])
    verify_kernel(replace(KERNEL, stages=(recur,), operands=rows))


def test_masked_loads_may_leave() -> None:
    body = sc.load(0, (sc.index(I0), sc.index(R0 + 1)), float64, sc.index(R0) < 3)
    verify_kernel(stage(0, body=body)())


# -- programs -----------------------------------------------------------------------------------------------------------
def buffer(k: int, **changed: Any) -> Callable[[], Program]:
    return lambda: replace(PROGRAM, buffers=(*PROGRAM.buffers[:k], replace(PROGRAM.buffers[k], **changed), *PROGRAM.buffers[k + 1 :]))


def step(k: int, *new: Launch | Check, commit: int = 4) -> Callable[[], Program]:
    return lambda: replace(PROGRAM, steps=(*PROGRAM.steps[:k], *new, *PROGRAM.steps[k + 1 :]), commit=commit)


AGAIN = replace(ADD.stages[0], stores=put(3, I0))
TWICE = replace(ADD, stages=(*ADD.stages, AGAIN), operands=(*ADD.operands, Operand(float64, (N,), True)))
BACKWARDS = Kernel((ROWS,), (Stage((), load(0, N - 1 - I0), float64, stores=put(1, I0)),), COPY.operands)
ONE = Kernel((ROWS,), (Stage((), load(0, I0), float64, stores=put(1, 0)),), COPY.operands)
FOUR = Operand(float64, (4,))
ROW = Kernel(
    (ROWS,), (Stage((COLUMNS,), load(0, I0, I1), float64, stores=put(1, I1)),), (Operand(float64, (N, 4)), replace(FOUR, written=True))
)
READ_ROW = Kernel((COLUMNS,), (Stage((), load(0, I1), float64, stores=put(1, I1)),), (FOUR, replace(FOUR, written=True)))
PROGRAMS: list[tuple[str, Callable[[], Program]]] = [
    ("%0 has the unknown role 'heap'", buffer(0, role="heap")),
    ("%5 has the unsupported dtype complex128", buffer(5, dtype=np.dtype(complex))),
    ("%6 has a loop index in its shape", buffer(6, shape=(I0,))),
    ("%1 is input 2, of 2", buffer(1, index=2)),
    ("%0 is f64\\[n, 5\\], but input 0 is f64\\[n, 4\\]", buffer(0, shape=(N, 5))),
    ("%2 is f32\\[n\\], but shared 0 is f64\\[n\\]", buffer(2, dtype=float32)),
    ("%7 is an alias of no buffer: %9", buffer(7, alias=9)),
    ("%7 is an alias of no buffer: %7", buffer(7, alias=7)),
    ("is an alias of arena f64\\[n\\]", buffer(7, shape=(N + 1,))),
    ("two outputs are one buffer", lambda: replace(PROGRAM, outputs=(3, 3))),
    ("output 0 is not a buffer of its own: %0", lambda: replace(PROGRAM, outputs=(0, 4))),
    ("output 0 is not a buffer of its own: %4", lambda: replace(PROGRAM, outputs=(4, 3))),
    ("a variable is listed twice", lambda: replace(PROGRAM, inputs=(X, INDICES, X))),
    ("2 buffers for 3 operands", step(2, Launch(KERNEL, (0, 3)))),
    ("names %9, which is no buffer", step(2, Launch(KERNEL, (0, 3, 9)))),
    ("operand b0 is f64\\[n\\], but %1 is i64\\[k\\]", step(3, Launch(COPY, (1, 4)))),
    ("operand b0 is f64\\[n\\], but %8 is f64\\[n \\+ 1\\]",
     lambda: replace(step(3, Launch(COPY, (8, 4)))(), buffers=(*PROGRAM.buffers, Buffer(float64, (N + 1,), "arena", offset=0)))),
    ("writes %0, which is input 0", step(2, Launch(KERNEL, (0, 0, 6)))),
    ("names %9, which is no buffer", step(1, Check(9, 1, X, N))),
    ("the fault %4 is f64\\[n\\], not one i64", step(1, Check(4, 1, X, N))),
    ("the indices %0 are float64", step(1, Check(5, 0, X, N))),
    ("could fail after the commit point 1", lambda: replace(PROGRAM, commit=1)),
    ("commit point 9 is no place among 5 steps", lambda: replace(PROGRAM, commit=9)),
    ("reads %7 before it is written", step(2)),
    ("reads %5 before it is written", step(0)),
    ("output 1, %4, is never written", lambda: replace(PROGRAM, steps=PROGRAM.steps[:3], commit=3)),
    ("writes the state %2 before the commit point 5", lambda: replace(PROGRAM, commit=5)),
    ("reads the state %2 after it was replaced", lambda: replace(PROGRAM, steps=(*PROGRAM.steps, Launch(COPY, (2, 4))))),
    ("writes the state %2 twice", lambda: replace(PROGRAM, steps=(*PROGRAM.steps, Launch(COPY, (6, 2))))),
    ("writes %2 while it reads other elements of it", step(4, Launch(BACKWARDS, (2, 2)))),
    ("writes %2 through two operands", step(4, Launch(TWICE, (2, 2, 6, 2)))),
    ("stores all points of an outer loop to one element of %4", step(3, Launch(ONE, (7, 4)))),
    ("of which only the last row is left",
     lambda: replace(PROGRAM, buffers=(*PROGRAM.buffers, *[Buffer(float64, (4,), r, offset=0) for r in ("scratch", "arena")]),
                     steps=(Launch(ROW, (0, 8)), Launch(READ_ROW, (8, 9)), *PROGRAM.steps), commit=6)),
    ("%6 has no place in the arena", buffer(6, offset=None)),
    ("%6 of float64 is not aligned at byte 4", buffer(6, offset=4)),
    ("of an arena of 64", lambda: replace(PROGRAM, arena=64)),
    ("%8 takes the bytes 0 to 32 of scratch of 16",
     lambda: replace(PROGRAM, buffers=(*PROGRAM.buffers, Buffer(float64, (4,), "scratch", offset=0)),
                     steps=(Launch(ROW, (0, 8)), *PROGRAM.steps), commit=5, scratch=16)),
    ("%5 and %6 live at the same time, in steps up to 2 and from 1, and share bytes",
     lambda: replace(buffer(6, offset=0)(), steps=(PROGRAM.steps[0], PROGRAM.steps[2], PROGRAM.steps[1], *PROGRAM.steps[3:]))),
    ("%6 and %8 live at the same time",
     lambda: replace(PROGRAM, buffers=(*PROGRAM.buffers, Buffer(float64, (N,), "arena", offset=64)),
                     steps=(*PROGRAM.steps[:3], Launch(COPY, (7, 8)), *PROGRAM.steps[3:]), commit=5)),
    ("%6 and %8 live at the same time",
     lambda: replace(PROGRAM, buffers=(*PROGRAM.buffers, Buffer(float64, (N,), "arena", offset=8 * N)), arena=8 * N + 8 * N + 64,
                     steps=(*PROGRAM.steps[:3], Launch(COPY, (7, 8)), *PROGRAM.steps[3:]), commit=5)),
]  # fmt: skip


@pytest.mark.parametrize(("match", "make"), PROGRAMS, ids=[m for m, _ in PROGRAMS])
def test_broken_programs(match: str, make: Callable[[], Program]) -> None:
    with pytest.raises(CompileError, match=match):
        verify_program(make())


def numbers() -> list[tuple[str, Callable[[int], Program]]]:
    """(what it is, the program with another number there) for every number in it that names a buffer or a place in a list."""
    found: list[tuple[str, Callable[[int], Program]]] = []
    for k, b in enumerate(PROGRAM.buffers):
        if b.alias is not None:
            found.append((f"alias of %{k}", lambda n, k=k: buffer(k, alias=n)()))  # type: ignore[misc]
        if b.role in ("input", "shared", "output"):
            found.append((f"index of %{k}", lambda n, k=k: buffer(k, index=n)()))  # type: ignore[misc]
    for k, old in enumerate(PROGRAM.steps):
        names = ("buffers",) if isinstance(old, Launch) else ("buffer", "indices")
        for name in names:
            value = getattr(old, name)
            for slot in range(len(value)) if isinstance(value, tuple) else [None]:
                found.append((f"{name} {slot} of step {k}", lambda n, k=k, name=name, slot=slot: renumbered(k, name, slot, n)))  # type: ignore[misc]
    for k in range(2):
        found.append((f"output {k}", lambda n, k=k: replace(PROGRAM, outputs=(n, 4) if k == 0 else (3, n))))  # type: ignore[misc]
    return found


def renumbered(k: int, name: str, slot: int | None, number: int) -> Program:
    value = getattr(PROGRAM.steps[k], name)
    changed = number if slot is None else tuple(number if j == slot else b for j, b in enumerate(value))
    return step(k, replace(PROGRAM.steps[k], **{name: changed}))()


@pytest.mark.parametrize(("what", "make"), numbers(), ids=[what for what, _ in numbers()])
def test_numbers_beyond_the_bounds_are_refused(what: str, make: Callable[[int], Program]) -> None:
    """By the verifier's own error, one beyond each end and far from it."""
    for number in (-1, -len(PROGRAM.buffers), len(PROGRAM.buffers), len(PROGRAM.buffers) + 9):
        with pytest.raises(CompileError):
            verify_program(make(number))


def test_the_commit_point_is_a_place_among_the_steps() -> None:
    copies = replace(PROGRAM, steps=(Launch(KERNEL, (0, 3, 6)), Launch(COPY, (7, 4)), Launch(ADD, (2, 2, 6))))
    for commit in (0, 1, 2):
        verify_program(replace(copies, commit=commit))
    for commit, message in ((-1, "no place among 3 steps"), (3, "before the commit point 3"), (4, "no place among 3 steps")):
        with pytest.raises(CompileError, match=message):
            verify_program(replace(copies, commit=commit))


# what is read of an array in the launch that replaces it: the element stored at the end of each outer point, and nothing else
def in_place(stages: Sequence[Stage], shape: tuple[dims.Size, ...]) -> Program:
    return replacing(Kernel((ROWS,), tuple(stages), (Operand(float64, shape), Operand(float64, shape, True))))


def replacing(kernel: Kernel) -> Program:
    """The one step of this program reads the state and writes it."""
    shape = kernel.operands[0].shape
    buffers = (Buffer(float64, shape, "shared", 0),)
    return Program(buffers, (Launch(kernel, (0, 0)),), (), (variable(SHARED, "v", float64, shape),), (), (), commit=0)


POINT = Stage((), load(0, I0), float64, stores=put(1, I0))
REFUSED = [
    ((Stage((COLUMNS,), load(0, I0, I1), float64, stores=put(1, I0, I1)),), (N, 4)),
    ((POINT, POINT), (N,)),
    ((Stage((), load(0, I0, R0), float64, (REDUCED,), "sum", put(1, I0, R0), "inclusive"),), (N, 4)),
    ((Stage((), load(0, N - 1 - I0), float64, stores=put(1, I0)),), (N,)),
]


def test_in_place() -> None:
    verify_program(in_place([POINT], (N,)))
    verify_program(in_place([replace(POINT, body=load(0, I0) * 2.0)], (N,)))


@pytest.mark.parametrize(("stages", "shape"), REFUSED, ids=["loops of its own", "two stores", "a scan", "backwards"])
def test_not_in_place(stages: Sequence[Stage], shape: tuple[dims.Size, ...]) -> None:
    with pytest.raises(CompileError, match="writes %0 while it reads other elements of it"):
        verify_program(in_place(stages, shape))


# without outer axes one nest begins when those before are over: what they read may lie anywhere
TOTAL = Stage((), load(0, R0), float64, (REDUCED,), "sum")
SCALED = Stage((COLUMNS,), load(0, I1) * sc.local(0, (), float64), float64, stores=put(1, I1))


def nested(*stages: Stage, kind: str = "loops", axes: tuple[Axis, ...] = ()) -> Program:
    return replacing(Kernel(axes, stages, (Operand(float64, (4,)), Operand(float64, (4,), True)), kind))


def test_nests_in_place() -> None:
    verify_program(nested(TOTAL, SCALED))
    verify_program(nested(replace(TOTAL, body=load(0, 3 - R0)), Stage((), load(0, 2), float64), SCALED))
    verify_program(nested(TOTAL, SCALED, Stage((COLUMNS,), sc.local(1, (sc.index(I1),), float64) + 1.0, float64)))


@pytest.mark.parametrize(
    "made",
    [
        nested(TOTAL, replace(SCALED, body=load(0, 3 - I1) * sc.local(0, (), float64))),
        nested(TOTAL, SCALED, replace(TOTAL, nest=1)),
        nested(TOTAL, SCALED, Stage((COLUMNS,), load(0, 0), float64)),
        nested(TOTAL, SCALED, Stage((), load(0, 0), float64)),
        nested(TOTAL, SCALED, kind="contract"),
        nested(TOTAL, SCALED, SCALED),
        nested(replace(TOTAL, scan="inclusive"), replace(SCALED, body=load(0, I1))),
    ],
    ids=["backwards", "read again", "another element beside", "another element behind", "not loops", "two stores", "a scan before"],
)
def test_nests_not_in_place(made: Program) -> None:
    with pytest.raises(CompileError, match="writes %0 while it reads other elements of it"):
        verify_program(made)


def with_scratch(role: str = "scratch", **changed: Any) -> Program:
    """The program with a kernel that has a piece of scratch of its own, four numbers."""
    kernel = replace(COPY, scratch=((float64, 4),))
    piece = Buffer(**{"dtype": float64, "shape": (4,), "role": role, "index": 0, "offset": 0, **changed})
    launch = Launch(kernel, (7, 4), (), (len(PROGRAM.buffers),))
    return replace(step(3, launch)(), buffers=(*PROGRAM.buffers, piece), scratch=64)


def test_scratch_of_a_kernel() -> None:
    verify_program(with_scratch())
    verify_program(with_scratch(shape=(2, 2)))
    wrong = [
        with_scratch(dtype=int64),
        with_scratch(shape=(5,)),
        with_scratch(role="arena"),
        with_scratch(role="arena", alias=6, shape=(N,)),
    ]
    for made in wrong:
        with pytest.raises(CompileError, match="scratch of f64\\[4\\] is"):
            verify_program(made)
    with pytest.raises(CompileError, match="1 buffers for 0 pieces of scratch"):
        verify_program(step(3, Launch(COPY, (7, 4), (), (5,)))())


def test_disjoint_lives_may_share_bytes() -> None:
    verify_program(replace(buffer(6, offset=0)(), arena=PROGRAM.arena))


def test_message(golden: Callable[[str, str], None]) -> None:
    with origin(("train.py", 12)):
        node = gx.tensor("v", (N,))
    with pytest.raises(CompileError) as caught:
        verify_program(step(4, Launch(BACKWARDS, (2, 2), (node,)))())
    golden("error_verify_program", str(caught.value))
