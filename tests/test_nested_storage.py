"""What plans storage and sharing enters the bodies of loops and branches: blocks, grids, vectors of scalars, updates in place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import scalars as sc
from graphc.dtypes import bool_, float64
from graphc.passes.fusion.chunks import CHUNK
from graphc.passes.storage.memory import plan_memory
from graphc.passes.storage.scalar_buffers import pack
from graphc.program import Branch, Buffer, Kernel, Launch, Loop, Operand, Program, Stage, Store, copy_kernel, launches, loop_counter, walk
from graphc.verify.program import verify_program
from tests.test_steps import ADD, DOUBLE, MOVE, one, pointwise, program, run

OUTER = loop_counter(0)


def program_of(f: gx.Function) -> Program:
    assert f._program is not None
    return f._program


def scan_of(f: gx.Function) -> Loop:
    """The one loop of a function that is no block."""
    (loop,) = [step for step in program_of(f).steps if isinstance(step, Loop) and not step.parallel]
    return loop


def deep(xp: Any, y: Any, steps: int = 40) -> Any:
    for _ in range(steps):
        y = xp.sin(1.01 * y + 0.1)
    return y


@pytest.mark.parametrize("threads", [1, 3])
def test_long_chains_in_the_body_of_a_loop_run_in_blocks(threads: int) -> None:
    x, t = gx.tensor("x", ("n",)), gx.tensor("t", ("T",))
    last, _ = gx.scan(lambda c, a: (deep(gx, c) + a, None), x, t)
    f = gx.function([x, t], gx.grad(gx.sum(last), x), threads=threads)
    (block,) = [step for step in walk(scan_of(gx.function([x, t], last)).steps) if isinstance(step, Loop)]
    assert block.parallel
    for n, turns in ((1, 2), (300, 0), (5000, 3), (9001, 1)):
        X, T = np.random.default_rng(n).normal(size=n), np.random.default_rng(turns).normal(size=turns)
        z = X + 1e-30j
        for a in T:
            z = deep(np, z) + a
        np.testing.assert_allclose(f(X, T), z.imag / 1e-30, rtol=1e-9, atol=1e-12)


def test_reductions_in_the_body_of_a_loop_are_grids() -> None:
    """c <- c - 0.1 * sum(x * c), ten times: the sum over much is cut into chunks, the same for any number of threads."""
    n = 200_001
    x = gx.tensor("x", (n,))
    c = gx.tensor("c", (n,))
    last, _ = gx.scan(lambda c, _: (c - 1e-6 * gx.sum(x * c), None), c, None, length=10)
    made = [gx.function([x, c], last, threads=k) for k in (1, 2, 4)]
    reducing = [s.kernel for s in launches(scan_of(made[0]).steps) if any(stage.reduce for stage in s.kernel.stages)]
    assert [-(-n // CHUNK)] in [[a.extent for a in kernel.axes] for kernel in reducing]
    X, C = np.random.default_rng(0).normal(size=(2, n))
    want = C
    for _ in range(10):
        want = want - 1e-6 * (X * want).sum()
    results = [f(X, C) for f in made]
    np.testing.assert_allclose(results[0], want, rtol=1e-12)
    assert (results[0] == results[1]).all() and (results[0] == results[2]).all()


def test_scalars_between_kernels_of_a_body_lie_side_by_side() -> None:
    """Many values of rank 0 pass from one straight-line kernel of a turn to the next: as one vector."""
    buffers = [one("arena"), one("arena"), one("output"), *[Buffer(float64, (), "arena") for _ in range(6)]]
    a, new, out, *values = range(9)
    zero = (sc.index(0),)
    old = sc.load(0, zero, float64)
    scalar = Operand(float64, (), True)
    first = Kernel(
        (),
        tuple([Stage((), old * float(k + 1), float64, stores=(Store(k + 1, ()),)) for k in range(6)]),
        (Operand(float64, (1,)), *[scalar] * 6),
    )
    total = sc.load(0, (), float64)
    for k in range(1, 6):
        total = total + sc.load(k, (), float64)
    second = Kernel((), (Stage((), total, float64, stores=(Store(6, zero),)),), (*[Operand(float64, ())] * 6, Operand(float64, (1,), True)))
    loop = Loop(OUTER, 3, (Launch(first, (a, *values)), Launch(second, (*values, new))), ((a, new),))
    start = Launch(pointwise(lambda: sc.const(1.0, float64), 0), (a,))
    made = program(buffers, [start, loop, Launch(MOVE, (a, out))])
    packed = pack(made)
    verify_program(packed)
    (inner,) = [step for step in packed.steps if isinstance(step, Loop)]
    assert [len(step.own) for step in inner.steps] == [2, 2]
    assert run(packed)[0] == run(made)[0] == 21**3


@pytest.mark.parametrize("both", [True, False])
def test_a_carry_is_updated_in_place_by_the_branches_of_a_turn(both: bool) -> None:
    """Where each list writes the new value where it reads the old one; not where one of them reads that once more."""
    x, p = gx.tensor("x", (1,)), gx.tensor("p", (1,), "bool")
    buffers = [one("input"), one("input", 1, bool_), one("arena"), one("arena"), one("output"), one("arena")]
    double = (Launch(DOUBLE, (2, 3)),)
    other = (Launch(pointwise(lambda a: a + 1.0, 1), (2, 3)),) if both else (Launch(MOVE, (2, 3)), Launch(ADD, (2, 3, 5)))
    loop = Loop(OUTER, 5, (Branch(1, double, other),), ((2, 3),))
    made = program(buffers, [Launch(copy_kernel(float64, (1,)), (0, 2)), loop, Launch(MOVE, (2, 4))], [x, p])
    verify_program(made)
    planned = plan_memory(made)
    verify_program(planned)
    assert (planned.buffers[2].offset == planned.buffers[3].offset) is both
    assert run(made, [np.array([3.0]), np.array([True])])[0] == 96
    assert run(made, [np.array([3.0]), np.array([False])])[0] == (8 if both else 3)


def test_the_memory_of_a_body_is_planned_once() -> None:
    """However many turns: the values of one, used again by the next, and those that it carries."""
    x, t = gx.tensor("x", (64, 64)), gx.tensor("t", ("T", 64, 64))

    def body(c: gx.Node, a: gx.Node) -> tuple[gx.Node, None]:
        for _ in range(6):
            c = gx.tanh(c @ a)
        return c, None

    last, _ = gx.scan(body, x, t)
    f = gx.function([x, t], last)
    arena = {f.memory(T=turns)["arena"] for turns in (1, 10, 1000)}
    assert len(arena) == 1 and arena.pop() <= 6 * 64 * 64 * 8 + (1 << 18)
    X, T = np.random.default_rng(1).normal(size=(64, 64)), np.random.default_rng(2).normal(size=(3, 64, 64)) / 8
    want = X
    for a in T:
        for _ in range(6):
            want = np.tanh(want @ a)
    np.testing.assert_allclose(f(X, T), want, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n", [0, 1, 4097])
def test_blocks_and_grids_inside_the_branches_of_a_scan(n: int) -> None:
    x, turns = gx.tensor("x", ("n",)), 4

    def body(c: gx.Node, k: gx.Node) -> tuple[gx.Node, gx.Node]:
        c = gx.cond(k % 2 == 0, lambda a: deep(gx, a, 30) - gx.sum(a) * 1e-3, lambda a: a * 0.5 + gx.sum(gx.abs(a)) * 1e-3, c)
        return c, gx.sum(c)

    last, sums = gx.scan(body, x, gx.arange(turns))
    f = gx.function([x], [last, sums])
    X = np.random.default_rng(3).normal(size=n)
    want, totals = X, []
    for k in range(turns):
        want = deep(np, want, 30) - want.sum() * 1e-3 if k % 2 == 0 else want * 0.5 + np.abs(want).sum() * 1e-3
        totals.append(want.sum())
    got, got_sums = f(X)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(got_sums, totals, rtol=1e-9, atol=1e-9)
