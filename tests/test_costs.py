"""The one table of costs: complete, consistent with the rows of the ops, and true of what mathlib writes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import graphc as gx
import graphc.ops
from graphc import dims
from graphc import scalars as sc
from graphc.codegen.llvm.emit_scalar import PRIMITIVES
from graphc.codegen.mathlib import MATH as FUNCTIONS
from graphc.codegen.mathlib import expand
from graphc.codegen.runtime.estimate import Work, in_double, kernel_work, static_work
from graphc.codegen.strategy.loops import abreast, column_tile, is_few
from graphc.codegen.target import named
from graphc.costs import COSTS, MATH, MULTIPLY_ADD_NS, Kind, cost, instructions, is_dear, limits, nanoseconds
from graphc.dtypes import float32, float64
from graphc.operators import FUNCTIONS as FUNCTIONS_OF_NODES
from graphc.ops.registry import tensor
from graphc.program import Axis, Branch, Kernel, Operand, Stage, Store, launches, loop_index
from tests.loop_eval import run_scalar
from tests.stages import assembled
from tests.test_contract_kernels import program

OWN_OF_MATHLIB = {"ldexp", "rare", "detour", "summed", "outlined"}  # only expansions hold them
X = sc.arg(0, float64)


def test_every_primitive_has_a_line_and_no_function_has() -> None:
    assert sorted(PRIMITIVES - OWN_OF_MATHLIB - set(COSTS)) == []
    assert sorted(set(COSTS) & set(FUNCTIONS)) == []


def test_kinds_are_in_order() -> None:
    lines = sorted({*COSTS.values(), MATH}, key=lambda c: c.kind)
    assert [c.kind for c in lines] == list(Kind)
    for a, b in pairwise(lines):
        assert a.uops <= b.uops and a.latency <= b.latency and a.ns <= b.ns


@pytest.mark.parametrize("dtype", [float32, float64])
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions_are_expanded_to_no_less_than_the_table_says(name: str, dtype: np.dtype) -> None:
    args = [sc.arg(k, dtype) for k in range(FUNCTIONS[name].arity)]
    body = expand(sc.math(name, *args), named("x86-64-v4"))
    if (name, dtype) != ("hypot", float32):  # in double: two products, a sum and a square root, dear by itself
        assert instructions([body]) >= MATH.uops
    else:
        assert instructions([body]) < MATH.uops and any(s.op == "sqrt" for s in sc.order((body,)))


def test_what_is_shared_counts_once() -> None:
    x = X * X
    assert instructions([x + x]) == 3  # the argument, the product, the sum
    assert instructions([x, x + x]) == 3
    assert nanoseconds(sc.math("exp", X)) == pytest.approx(MATH.ns + cost(X).ns)


def test_dear_is_what_should_not_be_computed_twice() -> None:
    assert [is_dear(s) for s in (X, X + X, sc.fma(X, X, X), X / X, sc.sqrt(X), sc.math("exp", X))] == [False] * 3 + [True] * 3


def test_limits_come_from_the_registers() -> None:
    assert limits(None) == limits(named("x86-64-v4"))
    for name, registers, columns in (("x86-64", 16, 2), ("x86-64-v3", 16, 4), ("x86-64-v4", 32, 8), ("aarch64", 32, 2)):
        found = limits(named(name))
        assert (found.loop, found.columns) == (registers * 3 // 2, columns)


@pytest.mark.parametrize("name", ["x86-64", "x86-64-v3", "x86-64-v4", "aarch64"])
@pytest.mark.parametrize("reductions", [1, 2, 3, 5])
def test_accumulators_of_columns_take_half_the_registers(name: str, reductions: int) -> None:
    target = named(name)
    lanes = target.lanes(float32)
    for extent in (1, 7, 64, 1000, 1024):
        tile = column_tile([[X, X * X]], extent, lanes, reductions, target)
        assert reductions * tile.rows * (tile.lanes // lanes) <= max(target.registers // 2, reductions)


@pytest.mark.parametrize("name", ["x86-64", "x86-64-v3", "x86-64-v4", "aarch64"])
def test_chains_run_abreast_and_what_does_not_wait_alone(name: str) -> None:
    """A chain of 64 multiply-adds waits for itself; 64 chains of one have enough to do meanwhile. A short axis has no room for either."""
    target, chain = named(name), X
    for _ in range(64):
        chain = sc.fma(chain, X, X)
    lanes = target.lanes(float64)
    assert abreast([chain], 1000, lanes, target) > 1 == abreast([chain], lanes, lanes, target)
    assert abreast([chain], 2 * lanes, lanes, target) == 2
    assert abreast([sc.fma(sc.arg(k, float64), X, X) for k in range(64)], 1000, lanes, target) == 1
    split = [chain, sc.fma(sc.local(0, (), float64), X, X)]  # the second body waits for the first
    assert abreast(split, 1000, lanes, target) == abreast([chain], 1000, lanes, target)


def test_estimates_ask_the_table() -> None:
    x = tensor("x", (1000,))
    (kernel,) = program((x,), (x + 1.0,)).kernels()
    (work,) = kernel_work(kernel).items()
    assert work == (1000, pytest.approx(nanoseconds(kernel.stages[0].body)))


@pytest.mark.parametrize("columns", [(), (8,)])
def test_chunks_are_as_long_as_the_loop_they_cut_up(columns: tuple[int, ...]) -> None:
    """A grid of chunks counts as the whole kernel beside it: what is done does not depend on how it is shared."""
    n = dims.dim("n")
    x = gx.tensor("x", (n, *columns))
    (branch,) = assembled([x], [gx.sum(x * x, axis=0)]).steps
    assert isinstance(branch, Branch)
    (whole,), (chunks, *_) = ([s.kernel for s in launches(steps)] for steps in branch.inner)
    ((size, each),) = kernel_work(whole).items()
    assert size == (8 * n if columns else n)
    assert kernel_work(chunks) == {size: pytest.approx(each)}


def test_the_number_of_chunks_has_no_term_of_its_own() -> None:
    """ceil(n / c) counts as n/c and one where c is large; what only resembles it, as it is."""
    n = dims.dim("n")
    for size, want in (
        (dims.floordiv(n + 4095, 4096), {n: 1 / 4096, 1: 1.0}),
        (dims.floordiv(n * n + 4097, 4096), {n * n + 2: 1 / 4096, 1: 1.0}),
        (dims.floordiv(n + 3, 4), {dims.floordiv(n + 3, 4): 1.0}),
        (2 * dims.floordiv(n + 4095, 4096), {2 * dims.floordiv(n + 4095, 4096): 1.0}),
        (dims.mod(n, 4096), {dims.mod(n, 4096): 1.0}),
    ):
        stage = Stage((), sc.const(1.0, float64), float64, stores=(Store(0, (sc.index(loop_index(0)),)),))
        made = kernel_work(Kernel((Axis(loop_index(0), size),), (stage,), (Operand(float64, (size,), True),)))
        each = nanoseconds(stage.body)
        assert made == {part: pytest.approx(weight * each) for part, weight in want.items()}


def test_lengths_that_are_no_chunks_count_as_the_first() -> None:
    """min(c, n - d*i) with another d, and a length that only resembles one."""
    n, i, r = dims.dim("n"), loop_index(0), loop_index(0, "r")
    four = dims.minimum(4, n)
    for length, want in ((dims.minimum(4, n - 3 * i), four), (n - i, n), (2 * dims.minimum(4, n - 4 * i), 2 * four)):
        stage = Stage((), sc.const(1.0, float64), float64, (Axis(r, length),), "sum", (Store(0, (sc.index(i),)),))
        kernel = Kernel((Axis(i, n),), (stage,), (Operand(float64, (n,), True),))
        assert list(kernel_work(kernel)) == [n * want]


def test_work_in_double_is_the_work_for_any_sizes() -> None:
    """Divisions and remainders of sizes among them; and products far beyond int64."""
    n, m = dims.dim("n"), dims.dim("m")
    sizes: Work = {
        5: 2.0,
        n: 3.0,
        n * m * m: 0.5,
        dims.floordiv(n + 7, 4): 100.0,
        dims.mod(n + 2 * m, 5): 10.0,
        dims.minimum(n, m) - 1: 7.0,
    }
    assert static_work(sizes) == 10.0 and static_work({3: 1.5, 4: 2.0, n: 9.0}) == 12.5
    assert run_scalar(in_double({3: 1.5, 4: 2.0}), [], {}) == 12.5
    for rows, columns in ((0, 1), (1, 1), (3, 5), (10, 4), (1023, 77), (3_000_000_000, 3_000_000_000)):
        env = {dims.as_symbol(n): rows, dims.as_symbol(m): columns}
        want = sum(weight * dims.evaluate(size, env) for size, weight in sizes.items())
        assert run_scalar(in_double(sizes), [], env) == pytest.approx(want, rel=1e-12)


def test_reductions_cost_their_body_and_products_a_multiply_add() -> None:
    x, y = tensor("x", (60, 50)), tensor("y", (50, 70))
    (product,) = program((x, y), (FUNCTIONS_OF_NODES["matmul"](x, y),)).kernels()
    assert product.kind == "contract"
    assert kernel_work(product) == {60 * 50 * 70: pytest.approx(MULTIPLY_ADD_NS)}
    (total,) = program((x,), (FUNCTIONS_OF_NODES["sum"](FUNCTIONS_OF_NODES["sin"](x), axis=1),)).kernels()
    assert total.stages[-1].reduce and sum(kernel_work(total).values()) >= MATH.ns > MULTIPLY_ADD_NS


def test_which_sizes_count_long_parts() -> None:
    """Those of a grid, at least 1 of them or not: 4096 elements each, say. Not what is doubled, squared, or of two factors."""
    n, m = dims.dim("n"), dims.dim("m")
    parts = dims.floordiv(n, 4096)
    few = [parts, dims.maximum(1, parts)]
    many = [1, 7, n, 2 * parts, parts + 1, parts * parts, parts * m, n * m, dims.floordiv(n, 2), dims.maximum(2, parts), dims.maximum(1, n)]
    many += [dims.floordiv(n, m), dims.minimum(1, parts), dims.mod(n, 4096), -parts]
    assert [is_few(s) for s in few] == [True] * len(few) and [is_few(s) for s in many] == [False] * len(many)
