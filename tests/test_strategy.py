"""The door of strategies: a way of running kernels that is added in one file, this one.

y[i, j] = x[j, i]   ->   squares of TILE x TILE through a small copy on the stack, each row of squares a task
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

import graphc.ops  # noqa: F401
from graphc import dims
from graphc.codegen.compile import write_module
from graphc.codegen.llvm.emit import Emitter
from graphc.codegen.llvm.emit_scalar import llvm_type
from graphc.codegen.loops.address import Loaded
from graphc.codegen.loops.loopir import Call, format_loops
from graphc.codegen.loops.lower import lower
from graphc.codegen.runtime.executable import Executable
from graphc.codegen.runtime.parallel_loops import Threads
from graphc.codegen.runtime.pool_text import RUN
from graphc.codegen.strategy.door import Strategy
from graphc.codegen.strategy.table import STRATEGIES
from graphc.codegen.target import host
from graphc.dims import Size
from graphc.operators import FUNCTIONS as F
from graphc.ops.registry import tensor
from graphc.options import Options
from graphc.program import Kernel
from graphc.target import Target
from tests.test_contract_kernels import program

TILE = 4
TASK, COLUMN, OUTER, INNER = (dims.axis(x) for x in ("task", "column", "outer", "inner"))


@dataclass(frozen=True)
class Turn:
    """m rows and n columns of the result; slots of the operand and the result."""

    dtype: np.dtype
    m: Size
    n: Size
    source: int
    target: int


def is_turn(kernel: Kernel) -> bool:
    """One stage that stores nothing but a load at another index."""
    return kernel.kind == "loops" and len(kernel.axes) == 2 and len(kernel.stages) == 1 and kernel.stages[0].body.op == "load"


def plan(kernel: Loaded, target: Target) -> Turn | None:
    (i, j), (stage,) = kernel.axes, kernel.stages
    if stage.axes or stage.reduce or stage.body.param[2] or stage.body.param[3] or len(kernel.stores[0]) != 1:
        return None
    ((slot, dynamic, to, mode),) = kernel.stores[0]
    same = dims.equal(to, i.index * j.extent + j.index) and dims.equal(stage.body.param[1], j.index * i.extent + i.index)
    if dynamic is not None or mode != "set" or not same:
        return None
    return Turn(stage.dtype, i.extent, j.extent, stage.body.param[0], slot)


def rows_of_squares(p: Turn) -> Size:
    return dims.floordiv(p.m + (TILE - 1), TILE)


def write(e: Emitter, p: Turn) -> None:
    kind = llvm_type(p.dtype, 1)
    square = e.values.entry.emit(f"alloca {kind}, i64 {TILE * TILE}, align 64")

    def element(slot: int, at: Size) -> str:
        return e.memory.address(slot, p.dtype, None, at).text

    def in_square(at: Size) -> str:
        return e.values.here.lines.emit(f"getelementptr {kind}, ptr {square}, i64 {e.values.size(at).text}")

    def move(source: str, target: str) -> None:
        value = e.values.here.lines.emit(f"load {kind}, ptr {source}, align {p.dtype.itemsize}")
        e.values.here.lines.line(f"store {kind} {value}, ptr {target}, align {p.dtype.itemsize}")

    def square_at() -> None:
        i, j = TASK * TILE, COLUMN * TILE
        rows, cols = dims.minimum(TILE, p.m - i), dims.minimum(TILE, p.n - j)
        for size in (rows, cols):
            e.values.size(size)

        def nest(outer: Size, inner: Size, body: Callable[[], None]) -> None:
            e.loops.each(OUTER, 0, outer, 1, lambda: e.loops.each(INNER, 0, inner, 1, body))

        nest(cols, rows, lambda: move(element(p.source, (j + OUTER) * p.m + i + INNER), in_square(OUTER * TILE + INNER)))
        nest(rows, cols, lambda: move(in_square(INNER * TILE + OUTER), element(p.target, (i + OUTER) * p.n + j + INNER)))

    columns = dims.floordiv(p.n + (TILE - 1), TILE)
    e.loops.each(TASK, *e.span(rows_of_squares(p)), 1, lambda: e.loops.each(COLUMN, 0, columns, 1, square_at))


TURN = Strategy("turn", is_turn, plan, write, rows_of_squares)


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STRATEGIES, TURN.name, TURN)


@pytest.mark.usefixtures("door")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("sizes", [(0, 3), (1, 1), (1, 7), (4, 4), (5, 9), (300, 700)])
def test_a_strategy_of_one_file_runs(sizes: tuple[int, int], known: bool, threads: int) -> None:
    x = np.random.default_rng(4).normal(size=sizes)
    a = tensor("a", sizes if known else ("n", "m"))
    made = program((a,), (F["transpose"](a),))
    (kernel,) = made.kernels()
    if 1 not in sizes or not known:  # an axis of one is no axis
        text = format_loops(lower(kernel, host()))
        assert text.startswith("turn(Turn("), text
    (got,) = Executable(made, Options(threads=threads))([x], [])
    np.testing.assert_array_equal(got, x.T)


@pytest.mark.usefixtures("door")
def test_its_tasks_are_shared() -> None:
    a = tensor("a", (1500, 1700))
    text = write_module(program((a,), (F["transpose"](a),)), Options(), threads=Threads(2, True, 2e4))
    (call,) = [line for line in text.split("\n") if f"@{RUN}(ptr @k0.task" in line]
    assert f"i64 {1700 // TILE}," in call


@pytest.mark.usefixtures("door")
def test_what_it_declines_stays_loops() -> None:
    a = tensor("a", (30, 40))
    for made in (F["transpose"](a) * 2.0, a[::2, ::2]):
        for kernel in program((a,), (made,)).kernels():
            assert not any(isinstance(s, Call) for s in lower(kernel, host()).body)


def test_scratch_and_tasks_have_defaults() -> None:
    bare = Strategy("bare", is_turn, plan)
    assert bare.tasks(None) == 1 and bare.scratch(None) == 0
