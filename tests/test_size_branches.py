"""Branches that sizes decide: built by hand, planned, verified, counted, printed and run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc import scalars as sc
from graphc.codegen.runtime.binding import size_values
from graphc.codegen.runtime.estimate import kernel_work, work
from graphc.codegen.runtime.executable import Executable
from graphc.dims import Size
from graphc.dtypes import float64
from graphc.errors import CompileError
from graphc.options import Options
from graphc.passes.storage.memory import plan_memory
from graphc.program import (
    Axis,
    Below,
    Branch,
    Buffer,
    Kernel,
    Launch,
    Loop,
    Operand,
    Program,
    Stage,
    Step,
    Store,
    format_program,
    loop_counter,
    loop_index,
)
from graphc.user.cost import count_cost
from graphc.verify.program import verify_program

Golden = Callable[[str, str], None]
OUTER = loop_counter(0)


def scaled(size: Size, factor: float) -> Kernel:
    """out[i] = factor * a[i]."""
    at = (sc.index(loop_index(0)),)
    stage = Stage((), sc.load(0, at, float64) * factor, float64, stores=(Store(1, at),))
    return Kernel((Axis(loop_index(0), size),), (stage,), (Operand(float64, (size,)), Operand(float64, (size,), True)))


def choosing(below: Below, **more: Any) -> Program:
    """y = 2 * x where the sizes say so, else 12 * x, by way of two arrays of which the other branch needs none."""
    n = gx.dim("n")
    x = gx.tensor("x", (n,))
    buffers = [Buffer(float64, (n,), role) for role in ("input", "output", "arena", "arena")]
    long = (Launch(scaled(n, 2.0), (0, 2)), Launch(scaled(n, 3.0), (2, 3)), Launch(scaled(n, 2.0), (3, 1)))
    return program(buffers, [Branch(below, (Launch(scaled(n, 2.0), (0, 1)),), long)], inputs=(x,), **more)


def program(buffers: Sequence[Buffer], steps: Sequence[Step], **more: Any) -> Program:
    given: dict[str, Any] = {"inputs": (), "shared": (), "constants": (), "outputs": (1,), "commit": len(steps), **more}
    return Program(tuple(buffers), tuple(steps), **given)


def ready(made: Program) -> Executable:
    verify_program(made)
    planned = plan_memory(made)
    verify_program(planned)
    return Executable(planned, Options(verify=True))


@pytest.mark.parametrize("limit", [0, 1, 7])
def test_one_list_runs_below_and_the_other_from_the_limit_on(limit: int) -> None:
    made = ready(choosing(Below(gx.dim("n"), limit)))
    for n in {0, 1, 2, limit - 1, limit, limit + 1, 40} - {-1}:
        x = np.arange(n, dtype=float)
        np.testing.assert_array_equal(made([x], [])[0], x * (2 if n < limit else 12))


@pytest.mark.parametrize(
    ("size", "limit", "holds"),
    [
        (dims.floordiv(gx.dim("n") * gx.dim("n") + 3, 2), 20, lambda n: (n * n + 3) // 2 < 20),
        (10, gx.dim("n"), lambda n: n > 10),
        (gx.dim("n") - 5, dims.maximum(0, 7 - gx.dim("n")), lambda n: n - 5 < max(0, 7 - n)),
        (3, 4, lambda n: True),
        (4, 4, lambda n: False),
    ],
)
def test_both_sides_are_any_sizes(size: Size, limit: Size, holds: Callable[[int], bool]) -> None:
    made = ready(choosing(Below(size, limit)))
    for n in range(14):
        x = np.arange(n, dtype=float)
        np.testing.assert_array_equal(made([x], [])[0], x * (2 if holds(n) else 12))


def test_a_branch_inside_a_loop_asks_its_counter() -> None:
    """x: (4,) -> 2 * x or 12 * x, by the turn: three of nine turns are below 3, and the last one counts."""
    n = gx.dim("n")
    x = gx.tensor("x", (n,))
    buffers = [Buffer(float64, (n,), role) for role in ("input", "output", "arena", "arena")]
    start = Launch(scaled(n, 1.0), (0, 2))
    turn = Branch(Below(OUTER, n - 2), (Launch(scaled(n, 2.0), (2, 3)),), (Launch(scaled(n, -1.0), (2, 3)),))
    steps = [start, Loop(OUTER, n, (turn,), ((2, 3),)), Launch(scaled(n, 1.0), (2, 1))]
    made = program(buffers, steps, inputs=(x,))
    executable = ready(made)
    for size in range(7):
        X = np.arange(size, dtype=float) + 1
        short = max(size - 2, 0)
        np.testing.assert_array_equal(executable([X], [])[0], X * 2.0**short * (-1.0) ** (size - short))
    assert count_cost(made, {next(iter(dims.symbols(n))): 5})["operations"] == (1 + 5 + 1) * 5
    assert size_values(made) == [n - 2]  # what is checked to fit an int64: sizes, no counters


def test_the_text(golden: Golden) -> None:
    golden("size_branches", format_program(plan_memory(choosing(Below(gx.dim("n") * 3, 100)))))


def test_cost_counts_the_list_that_runs() -> None:
    n = gx.dim("n")
    made = choosing(Below(n, 50))
    (symbol,) = dims.symbols(n)
    counts = {size: count_cost(made, {symbol: size}) for size in (49, 50)}
    assert [(counts[k]["kernels"], counts[k]["operations"]) for k in (49, 50)] == [(1, 49), (3, 150)]


def test_the_estimate_takes_the_dearer_list() -> None:
    n = gx.dim("n")
    ((_, each),) = kernel_work(scaled(n, 2.0)).items()
    assert work(choosing(Below(n, 50))) == {n: pytest.approx(3 * each)}


def test_lists_that_never_both_run_share_bytes() -> None:
    n = gx.dim("n")
    x = gx.tensor("x", (n,))
    buffers = [Buffer(float64, (n,), role) for role in ("input", "output", "arena", "arena")]
    first, second = ((Launch(scaled(n, 2.0), (0, k)), Launch(scaled(n, 3.0), (k, 1))) for k in (2, 3))
    planned = plan_memory(program(buffers, [Branch(Below(n, 4), first, second)], inputs=(x,)))
    assert planned.buffers[2].offset == planned.buffers[3].offset == 0


@pytest.mark.parametrize("k", [0, 1])
def test_what_only_one_list_writes_is_not_read_behind(k: int) -> None:
    made = choosing(Below(gx.dim("n"), 4))
    (branch,) = made.steps
    assert isinstance(branch, Branch)
    lists = [branch.then, branch.otherwise]
    lists[k] = ()
    with pytest.raises(CompileError, match="output 0, %1, is never written"):
        verify_program(replace(made, steps=(Branch(branch.predicate, *lists),)))


@pytest.mark.parametrize(
    ("below", "message"),
    [
        (Below(loop_index(0), 4), r"compares i0 < 4, but i0 is no size of a call"),
        (Below(OUTER, 4), r"names the counter turn0 of a loop that is not around it"),
        (Below("n", 4), "compares 'n', which is no size"),
        (Below(gx.dim("n"), 4.0), "compares 4.0, which is no size"),
        (Below(True, 4), "compares True, which is no size"),
        ("n < 4", "asks 'n < 4', which is neither a buffer nor a comparison of sizes"),
        (None, "asks None, which is neither a buffer nor a comparison of sizes"),
        (17, "names %17, which is no buffer"),
        (0, "asks %0, which is f64"),
    ],
)
def test_the_verifier_refuses(below: Any, message: str) -> None:
    made = choosing(below)
    if "counter" in message:
        made = replace(made, steps=(Loop(OUTER, 0, ()), *made.steps), commit=2)
    with pytest.raises(CompileError, match=message):
        verify_program(made)
