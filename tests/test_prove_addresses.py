"""Addresses are proved to lie inside operands; what is not proved is run at small sizes."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc import scalars as sc
from graphc.codegen.loops.loopir import Block, For, If, Let, Statement, Store
from graphc.codegen.loops.lower import lower
from graphc.codegen.loops.prove_addresses import _holds, unproved
from graphc.dims import Dim, Size
from graphc.dtypes import bool_, float64, int64
from graphc.errors import GraphcError
from graphc.ops.derived import settled
from graphc.program import Kernel, Operand, loop_index
from graphc.scalars import Scalar
from tests.fuzz.compare import Case
from tests.loop_eval import outside_addresses
from tests.stages import TARGET, planned

N, M = dims.dim("n"), dims.dim("m")
I0, I1 = loop_index(0), loop_index(1)
KERNEL = Kernel((), (), (Operand(float64, (N, 4)), Operand(float64, (N,), True), Operand(int64, (N,)), Operand(float64, (M, N))))


def fetch(slot: int, at: Size, *args: Scalar, dynamic: bool = False, masked: bool = False) -> Scalar:
    return sc.scalar("fetch", args, KERNEL.operands[slot].dtype, (slot, at, dynamic, masked))


def loop(index: Dim, extent: Size, *body: Statement) -> For:
    return For(index, extent, "serial", Block(body))


def read(slot: int, at: Size, *args: Scalar, dynamic: bool = False, masked: bool = False) -> Let:
    return Let(0, fetch(slot, at, *args, dynamic=dynamic, masked=masked))


GRID = dims.floordiv(N + 15, 16)
CHUNK = dims.minimum(16, N - 16 * I0)
GOOD: list[Statement] = [
    loop(I0, N, loop(I1, 4, read(0, 4 * I0 + I1))),
    loop(I0, N, read(1, N - 1 - I0)),
    loop(I0, M, loop(I1, N, read(3, N * I0 + I1))),
    loop(I0, N, loop(I1, M, read(3, N * I1 + I0))),
    loop(I0, GRID, loop(I1, CHUNK, read(1, 16 * I0 + I1))),
    loop(I0, GRID, loop(I1, CHUNK, read(1, N - 1 - (16 * I0 + I1)))),
    loop(I0, N + 2, read(1, I0 - 2, sc.index(I0) >= 2, masked=True)),
    loop(I0, N + 2, loop(I1, 4, read(0, 4 * (I0 - 2) + I1, sc.index(I0) >= 2, masked=True))),
    loop(I0, N + 5, If((sc.index(I0) >= 2) & (sc.index(I0) < sc.index(N + 2)), Block((Store(1, None, I0 - 2, sc.const(0.0, float64)),)))),
    loop(I0, N, read(0, 4 * dims.floordiv(I0, 2) + 3, sc.index(dims.floordiv(I0, 2)) < 1, masked=True)),
    loop(I0, 0, read(1, I0 + 99)),
    loop(I0, N + 2, read(1, I0 - 2, sc.index(I0) > 1, masked=True)),
    loop(I0, N, read(1, I0 + 1, sc.index(I0 + 1) <= sc.index(N - 1), masked=True)),
    loop(I0, N, read(1, 2 * I0, sc.scalar("eq", (sc.index(I0), sc.const(0, int64)), bool_), masked=True)),
    loop(I0, N, read(1, 2 * I0, sc.scalar("eq", (sc.const(0, int64), sc.index(I0)), bool_), masked=True)),
    loop(I0, N, Let(0, fetch(1, I0)), Store(1, None, N - 1 - I0, fetch(0, 4 * I0 + 3))),
]
BAD: list[Statement] = [
    loop(I0, N, loop(I1, 4, read(0, 4 * I0 + I1 + 1))),
    loop(I0, N, loop(I1, 5, read(0, 4 * I0 + I1))),
    loop(I0, N, read(1, I0 - 1)),
    loop(I0, N, read(1, N - I0)),
    loop(I0, M, loop(I1, N, read(3, M * I0 + I1))),
    loop(I0, GRID, loop(I1, 16, read(1, 16 * I0 + I1))),
    loop(I0, GRID, loop(I1, CHUNK, read(1, 16 * I0 + I1 + 1))),
    loop(I0, N + 2, read(1, I0 - 2, sc.index(I0) >= 1, masked=True)),
    loop(I0, N + 2, read(1, I0 - 2, (sc.index(I0) >= 2) | (sc.index(I0) < 1), masked=True)),
    loop(I0, N + 2, read(1, I0 - 2, sc.index(I0) > 0, masked=True)),
    loop(I0, N, read(1, I0 + 1, sc.index(I0 + 1) <= sc.index(N), masked=True)),
    loop(I0, N, read(1, 2 * I0, sc.scalar("ne", (sc.index(I0), sc.const(0, int64)), bool_), masked=True)),
    loop(I0, N, Store(1, None, N - I0, fetch(0, 4 * I0 + 3))),
    loop(I0, N, Store(1, None, I0, fetch(0, 4 * I0 + 4))),
    loop(I0, N, If(fetch(1, I0 + 1) > 0.0, Block(()))),
    loop(I0, N + 3, If((sc.index(I0) >= 2), Block((Store(1, None, I0 - 2, sc.const(0.0, float64)),)))),
]


@pytest.mark.parametrize("body", GOOD)
def test_proved(body: Statement) -> None:
    assert not unproved(Block((body,)), KERNEL)
    for n, m in itertools.product((0, 1, 2, 16, 33), (0, 1, 3)):
        assert not outside_addresses(Block((body,)), KERNEL, sizes(n, m))


@pytest.mark.parametrize("body", BAD)
def test_not_proved_and_wrong_at_some_size(body: Statement) -> None:
    (found,) = unproved(Block((body,)), KERNEL)
    assert not found.dynamic and "b" in str(found)
    assert any(outside_addresses(Block((body,)), KERNEL, sizes(n, m)) for n, m in itertools.product((1, 2, 17), (1, 2, 3)))


def sizes(n: int, m: int) -> dict[dims.Symbol, int]:
    return {symbol: value for size, value in ((N, n), (M, m)) for symbol in dims.symbols(size)}


def test_what_depends_on_values_is_said() -> None:
    body = Block((loop(I0, N, Store(1, fetch(2, I0), 0, sc.const(0.0, float64))),))
    (found,) = unproved(body, KERNEL)
    assert found.dynamic and str(found) == "an address that depends on values into b1, in b1[b2[i0] + 0] = 0.0"


def test_a_mask_made_of_values_proves_nothing() -> None:
    for mask in (fetch(2, I0) >= 2, fetch(1, I0) >= 2.0, (fetch(2, I0) >= 2) & (sc.index(I0) >= 1)):
        (found,) = unproved(Block((loop(I0, N + 2, read(1, I0 - 2, mask, masked=True)),)), KERNEL)[-1:]
        assert found.slot == 1 and found.offset == I0 - 2 and not found.dynamic


def test_the_loops_that_once_merged_too_far() -> None:
    w = gx.tensor("w", (10, 4))
    (kernel,) = planned([w], settled([gx.grad(gx.sum(gx.take(w, np.zeros((3, 4), int), axis=0)), w)])).kernels()
    copy, updates = lower(kernel, TARGET).body
    assert isinstance(updates, For)
    assert [u.dynamic for u in unproved(Block((copy, updates)), kernel)] == [True]
    wrong = For(updates.index, 40, updates.kind, updates.body, updates.lanes)
    assert {u.slot for u in unproved(Block((copy, wrong)), kernel) if not u.dynamic} == {1}
    assert outside_addresses(Block((copy, wrong)), kernel, {})


@pytest.mark.parametrize("block", range(4))
def test_kernels_of_random_graphs(block: int) -> None:
    """Every address of their loops that does not depend on values is proved, in both modes; the interpretation agrees."""
    for seed in range(5000 + 5 * block, 5005 + 5 * block):
        case = Case(seed)
        try:
            outputs = case.outputs()
            functions = [gx.function(case.inputs, outputs, mode=mode) for mode in ("none", "default")] if outputs else []
        except GraphcError:
            continue
        for kernel in {k: None for f in functions for k in f._program.kernels()}:  # type: ignore[union-attr]
            loops = lower(kernel, TARGET)
            assert not [str(u) for u in unproved(loops, kernel) if not u.dynamic], f"seed {seed}"
            assert not outside_addresses(loops, kernel, dict.fromkeys(kernel.sizes(), 3)), f"seed {seed}"


def mixed(rng: random.Random, terms: Sequence[Size]) -> Size:
    return sum((rng.choice((-4, -2, -1, 1, 1, 2, 3)) * rng.choice(terms) for _ in range(rng.randint(1, 3))), 0)


@pytest.mark.parametrize("block", range(6))
def test_what_is_concluded_from_facts_is_true(block: int) -> None:
    """Random goals, facts and loops: where goal >= 0 is concluded it holds at all small sizes and turns that satisfy the facts."""
    n, m, i, j = dims.dim("n"), dims.dim("m"), loop_index(0), loop_index(1)
    symbols = [dims.as_symbol(s) for s in (n, m, i, j)]
    concluded = 0
    for seed in range(block * 150, block * 150 + 150):
        rng = random.Random(seed)
        terms = [1, n, m, i, j, 4 * i, n * i, m * j, n * j, i // 2, i * j, j // 3]
        axes = {symbols[2]: rng.choice((3, n, m, n + 1)), symbols[3]: rng.choice((2, m, i + 1, n - i))}
        facts = tuple([mixed(rng, terms) for _ in range(rng.randint(0, 2))])
        goal = (
            mixed(rng, terms)
            if rng.random() < 0.3
            else sum((rng.choice((1, 1, 2, n)) * f for f in facts), rng.choice((0, -1, i, n - 1 - i, m - j)))
        )
        if not _holds(goal, axes, facts):
            continue
        concluded += 1
        for sizes in itertools.product(range(4), repeat=2):
            env = dict(zip(symbols, sizes))
            for x in range(dims.evaluate(axes[symbols[2]], env)):
                env[symbols[2]] = x
                for y in range(dims.evaluate(axes[symbols[3]], env)):
                    env[symbols[3]] = y
                    if all(dims.evaluate(f, env) >= 0 for f in facts):
                        assert dims.evaluate(goal, env) >= 0, (seed, goal, facts, axes, env)
    assert concluded > 15
