"""Kernels of scalar code by hand: what their verifiers refuse, what is proved of their addresses, how they read as text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc import scalars as sc
from graphc.codegen.loops.check_loops import check_loops
from graphc.codegen.loops.fma import fuse_multiply_add
from graphc.codegen.loops.loopir import Block, Choose, Repeat, Store, format_loops
from graphc.codegen.loops.lower import lower
from graphc.codegen.loops.prove_addresses import unproved
from graphc.codegen.runtime.estimate import kernel_work
from graphc.codegen.target import host
from graphc.costs import Limits
from graphc.dtypes import bool_, float32, float64, int64
from graphc.errors import CompileError
from graphc.passes.fusion.fold_scalars import Folder
from graphc.passes.fusion.scalar_loops import scalar_code
from graphc.program import Choice, Kernel, Operand, Put, ScalarCode, Turns, format_kernel, loop_index
from graphc.scalars import Scalar
from graphc.verify.kernel import verify_kernel

N = dims.dim("n")
J, J1 = loop_index(0, "j"), loop_index(1, "j")
X = sc.load(0, (sc.index(J),), float64)
T0, T1 = sc.local(0, (), float64), sc.local(1, (), float64)
LOOP = Turns(J, N, None, (0,), (sc.load(1, (), float64),), ScalarCode((), (Put(2, (sc.index(J),), T0),)), (T0 * X,))
OPERANDS = (Operand(float64, (N,)), Operand(float64, ()), Operand(float64, (N,), True), Operand(float64, (), True))
CODE = ScalarCode((LOOP,), (Put(3, (), T0),))


def kernel(code: ScalarCode = CODE, operands: tuple[Operand, ...] = OPERANDS) -> Kernel:
    return Kernel((), (), operands, "scalar", code=code)


def refused(made: Kernel, *words: str) -> None:
    with pytest.raises(CompileError) as error:
        verify_kernel(made)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_good_one_passes_and_reads_well() -> None:
    verify_kernel(kernel())
    assert format_kernel(kernel(), "k0").splitlines() == [
        "scalar k0(b0: f64[n], b1: f64[], b2: f64[n]!, b3: f64[]!)",
        "  t0: f64 = b1[]",
        "  for j0 in n:",
        "    b2[j0] = t0",
        "    next t0 = (t0 * b0[j0])",
        "  b3[] = t0",
    ]
    loops = lower(kernel(), host())
    check_loops(loops, kernel())
    assert unproved(loops, kernel()) == []
    assert format_loops(loops).splitlines()[1] == "for j0 in n (serial):"
    assert dict(kernel_work(kernel())).keys() == {1, N}


def with_loop(**changes: object) -> Kernel:
    return kernel(replace(CODE, steps=(replace(LOOP, **changes),)))  # type: ignore[arg-type]


def bare(**changes: object) -> Turns:
    """The loop without a store."""
    return replace(LOOP, body=ScalarCode(), after=(sc.const(1.0, float64),), **changes)  # type: ignore[arg-type]


def storing(slot: int, at: dims.Size, value: Scalar) -> Kernel:
    return with_loop(body=ScalarCode((), (Put(slot, (sc.index(at),), value),)))


FAULTS: dict[str, tuple[Callable[[], Kernel], str]] = {
    "no code": (lambda: replace(kernel(), code=None), "without scalar code"),
    "code of another kind": (lambda: replace(kernel(), kind="loops"), "with scalar code"),
    "axes beside it": (lambda: replace(kernel(), axes=(gx.program.Axis(loop_index(0), N),)), "neither axes nor stages"),
    "no end": (lambda: with_loop(extent=None), "has no end"),
    "no index of its own": (lambda: with_loop(index=N), "no index of its own"),
    "an index twice": (lambda: with_loop(body=ScalarCode((bare(carries=(5,)),))), "no index of its own"),
    "a carry of another dtype": (lambda: with_loop(after=((T0 * X).cast(float32),)), "goes in as float64 and comes out as float32"),
    "a value too few": (lambda: with_loop(after=()), "1 carries begin as 1 values and go on as 0"),
    "a condition that is none": (lambda: with_loop(condition=T0), "the condition is float64"),
    "several turns of what asks": (lambda: with_loop(condition=T0 > 0.0, unroll=2), "2 turns at once"),
    "a local before its loop": (lambda: with_loop(initial=(T0,)), "t0 is not defined here"),
    "a local that nobody defines": (lambda: with_loop(after=(T1,)), "t1 is not defined here"),
    "a local of another dtype": (lambda: with_loop(after=(sc.local(0, (), float32).cast(float64),)), "t0 is float64, read as float32"),
    "a local twice": (lambda: kernel(replace(CODE, steps=(LOOP, bare(index=J1)))), "t0 is defined twice"),
    "a load beyond the end": (lambda: with_loop(after=(T0 * sc.load(0, (sc.index(J + 1),), float64),)), "leaves the axis of size n"),
    "a load outside of the loop": (lambda: with_loop(initial=(X,)), "j0 is not bound here"),
    "a store beyond the end": (lambda: storing(2, J - 1, T0), "out of place"),
    "a store that stays": (lambda: storing(2, 0, T0), "all turns of j0 store to one element of b2"),
    "a store to no operand": (lambda: storing(7, J, T0), "b7, which is no operand"),
    "a store of another dtype": (lambda: storing(2, J, T0.cast(float32)), "float32 is stored to b2"),
    "a store to what is read": (lambda: storing(0, J, T0), "b0 is loaded and stored"),
    "a mark of what is not written": (lambda: with_loop(body=ScalarCode()), "b2 is marked written"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_loops_are_found(fault: str) -> None:
    make, word = FAULTS[fault]
    refused(make(), word)


def chosen(**changes: object) -> Kernel:
    branches = ((ScalarCode(), (T0 + 1.0,)), (ScalarCode(), (T0 * T0,)))
    choice = replace(Choice(sc.index(J), branches, (1,)), **changes)  # type: ignore[arg-type]
    return with_loop(body=ScalarCode((choice,), LOOP.body.puts), after=(T1 * X,))


def test_faults_of_branches_are_found() -> None:
    verify_kernel(chosen())
    check_loops(lower(chosen(), host()), chosen())
    refused(chosen(chosen=T0), "chosen by float64")
    refused(chosen(branches=()), "0 branches")
    refused(chosen(branches=((ScalarCode(), (T0,)), (ScalarCode(), ()))), "different values")
    refused(chosen(branches=((ScalarCode(), (T0,)), (ScalarCode(), (T0 > 0.0,)))), "different values")
    refused(chosen(branches=((ScalarCode((), LOOP.body.puts), (T0,)),)), "a branch stores")
    refused(chosen(results=(0,)), "t0 is defined twice")
    refused(chosen(branches=((ScalarCode(), (T1,)),)), "t1 is not defined here")


# -- as loops -----------------------------------------------------------------------------------------------------------
def repeated(**changes: object) -> Block:
    (loop, last) = lower(kernel(), host()).body
    return Block((replace(loop, **changes), last))  # type: ignore[type-var]


LOOP_FAULTS: dict[str, tuple[Callable[[], Block], str]] = {
    "no end": (lambda: repeated(extent=None), "without an end"),
    "an index that is none": (lambda: repeated(index=N), "no index of its own"),
    "no turns at once": (lambda: repeated(unroll=0), "0 turns at once"),
    "an extent of another loop": (lambda: repeated(extent=J1 + 1), "j1 is not bound here"),
    "another dtype": (lambda: repeated(carries=((0, sc.const(0.0, float64), T0 > 1.0),)), "goes in as float64 and comes out as bool"),
    "a local before": (lambda: repeated(carries=((0, T0, T0),)), "t0 is read where it is not defined"),
    "a condition that is none": (lambda: repeated(condition=T0), "the condition is float64"),
    "a load as it was": (lambda: repeated(carries=((0, sc.const(0.0, float64), X),)), "load has no meaning"),
    "a store beyond": (lambda: repeated(body=Block((Store(2, None, J + 1, T0),))), "leaves b2"),
    "a body that reads what comes later": (lambda: repeated(body=Block((Store(2, None, J, T1),))), "t1 is read where it is not defined"),
    "an index after the loop": (lambda: Block((*repeated().body, Store(2, None, J, T0))), "j0 is not bound here"),
    "branches of nothing": (lambda: Block((*repeated().body, Choose(sc.const(0, int64), (), ()))), "0 branches"),
    "a branch chosen by a float": (lambda: Block((*repeated().body, Choose(T0, ((Block(()), (T0,)),), (1,)))), "chosen by float64"),
    "a result twice": (lambda: Block((*repeated().body, Choose(sc.const(0, int64), ((Block(()), (T0,)),), (0,)))), "t0 is defined twice"),
}  # fmt: skip


@pytest.mark.parametrize("fault", LOOP_FAULTS)
def test_faults_of_lowered_loops_are_found(fault: str) -> None:
    make, word = LOOP_FAULTS[fault]
    with pytest.raises(CompileError, match=word.replace("(", r"\(")):
        check_loops(make(), kernel())


def test_addresses_that_are_not_proved_are_listed() -> None:
    beyond = repeated(body=Block((Store(2, None, J + 1, T0),)))
    assert [u.slot for u in unproved(beyond, kernel())] == [2]
    endless = repeated(extent=None, condition=T0 > 0.0)
    assert {u.slot for u in unproved(endless, kernel())} == {0, 2}
    data = repeated(carries=((0, sc.const(0.0, float64), sc.scalar("fetch", (sc.index(J),), float64, (0, 0, True, False))),))
    assert [u.dynamic for u in unproved(data, kernel())] == [True]


# -- pieces -------------------------------------------------------------------------------------------------------------
def test_folding() -> None:
    (j,) = dims.symbols(J)
    fold = Folder({j: N}).folded
    x = sc.arg(0, float64)
    index: Callable[[object], Scalar] = lambda size: sc.index(size)  # type: ignore[arg-type]
    assert fold(sc.select(index(J) < index(N), x, 0.0)) is x
    assert fold(sc.select(index(J) < 0, 0.0, x)) is x
    assert fold(index(J) > 0).op == "gt"  # true or not, by the turn
    assert fold(index(J + 1) > 0) is sc.const(True, bool_)
    assert fold(index(J1) < 0).op == "lt"  # a loop of which nothing is known
    assert fold(sc.const(200, np.dtype("uint8")) + 100) is sc.const(44, np.dtype("uint8"))
    assert fold(sc.select(x > 0.0, x, x)) is x
    assert fold(x * 0.0).op == "mul"  # floats are left alone: x may be nan


def test_an_index_that_may_leave_an_axis_needs_a_check() -> None:
    x, k, c = gx.tensor("x", ("n",)), gx.tensor("k", (), "int64"), gx.tensor("c")
    inside, _ = gx.scan(lambda s, _: (s + x[gx.turn_index()], None), c, None, length=x.shape[0])
    assert scalar_code(inside.inputs[0], Limits()) is not None
    beyond, _ = gx.scan(lambda s, _: (s + x[gx.turn_index() + 1], None), c, None, length=x.shape[0])
    assert scalar_code(beyond.inputs[0], Limits()) is None
    by_data, _ = gx.scan(lambda s, _: (s + x[k + gx.turn_index()], None), c, None, length=x.shape[0])
    assert scalar_code(by_data.inputs[0], Limits()) is None


def test_too_much_for_registers() -> None:
    c = gx.tensor("c", (8,))
    last, _ = gx.scan(lambda s, _: (s * s * 0.5 + 1.0, None), c, None, length=9)
    node = last.inputs[0]
    assert scalar_code(node, Limits(carried=8)) is not None
    assert scalar_code(node, Limits(carried=7)) is None
    assert scalar_code(node, Limits(turn=10)) is None


@pytest.mark.parametrize(("size", "scalar"), [(1, True), (4, True), (8, False), (64, False)])
def test_vectors_of_functions_are_worth_steps(size: int, scalar: bool) -> None:
    """Measured with 64-byte vectors, ns a turn as scalars and as steps: 27 and 34 of tanh of 4 f64, 50 and 31 of 8, 764 and 69 of 64."""
    c = gx.tensor("c", (size,))
    last, _ = gx.scan(lambda s, _: (gx.tanh(s * 0.9), None), c, None, length=9)
    assert (scalar_code(last.inputs[0], Limits(turn=10000)) is not None) is scalar


def test_a_loop_without_an_end_inside_another_is_left_to_steps() -> None:
    """A call can be left between the turns of the outermost loop alone."""
    c = gx.tensor("c")
    halved = lambda s, most: gx.while_loop(lambda v: v > 1.0, lambda v: v * 0.5, s, max_steps=most)
    for most, scalar in ((None, False), (100, True)):
        last, _ = gx.scan(lambda s, _, most=most: (halved(s + 3.0, most), None), c, None, length=9)
        assert (scalar_code(last.inputs[0], Limits()) is not None) is scalar
    alone = halved(c, None)
    assert scalar_code(alone.inputs[0], Limits()) is not None
    branch = gx.cond(c > 0.0, lambda v: halved(v, None), lambda v: gx.sin(gx.exp(v)), c)
    assert scalar_code(branch.inputs[0], Limits()) is None


def _first(code: ScalarCode) -> Turns:
    (step,) = code.steps
    assert isinstance(step, Turns)
    return step


def test_products_and_sums_are_fused() -> None:
    made = kernel(replace(CODE, steps=(replace(LOOP, after=(T0 * X + 1.0,)),)))
    fused = fuse_multiply_add(made)
    assert fused.code is not None and [x.op for x in _first(fused.code).after] == ["fma"]
    verify_kernel(fused)


def test_unused_repeat_is_a_statement() -> None:
    """`walk` and the text know the statements of recurrences."""
    block = lower(chosen(), host())
    assert any(isinstance(s, Repeat) for s in gx.codegen.loops.loopir.walk(block))
    assert "branch 1 of [j0]:" in format_loops(block)
