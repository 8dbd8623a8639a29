"""Golden text of programs and loops; what shares a kernel, what shares memory, and where state is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc.codegen.loops.loopir import For, walk
from graphc.ir import Node
from graphc.ops.registry import SHARED, variable
from graphc.program import Check, Launch, Program
from tests.stages import assembled, loops_of, planned, text_of
from tests.test_import import fresh

Golden = Callable[[str, str], None]
Case = tuple[Sequence[Node], Sequence[Node], Sequence[tuple[Node, Node]]]


def state(name: str, *shape: object, dtype: str = "float64") -> Node:
    return variable(SHARED, name, dtype, shape)


# -- golden texts -------------------------------------------------------------------------------------------------------
def chain() -> Case:
    x, b = gx.tensor("x", ("n", 64), "float32"), gx.tensor("b", (64,), "float32")
    y = gx.tanh(x * 2.0 + b)
    return [x, b], [y, y.sum(axis=1)], []


def softmax() -> Case:
    x = gx.tensor("x", ("n", 64), "float32")
    return [x], [gx.softmax(x)], []


def layer_norm() -> Case:
    x, scale = gx.tensor("x", ("n", 64), "float32"), gx.tensor("scale", (64,), "float32")
    mean = x.mean(axis=1, keepdims=True)
    variance = gx.square(x - mean).mean(axis=1, keepdims=True)
    return [x, scale], [(x - mean) / gx.sqrt(variance + 0.5) * scale], []


def dense() -> Case:
    x, w, b = gx.tensor("x", ("n", 64), "float32"), gx.tensor("w", (64, 16), "float32"), gx.tensor("b", (16,), "float32")
    return [x, w, b], [gx.relu(x @ w + b)], []


def scatter_add() -> Case:
    x, i, v = gx.tensor("x", ("n", 8)), gx.tensor("i", ("k",), "int64"), gx.tensor("v", ("k", 8))
    return [x, i, v], [x.at[i].add(v)], []


def cumsum() -> Case:
    x = gx.tensor("x", ("n", 16))
    return [x], [gx.cumsum(x, axis=1), gx.cumsum(x, axis=0)], []


def scalars() -> Case:
    x, y = gx.tensor("x"), gx.tensor("y")
    return [x, y], [gx.sin(x) * y + x, gx.where(x > y, x / y, 0.0)], []


def momentum() -> Case:
    w, v, x = state("w", 100), state("v", 100), gx.tensor("x", (100,))
    new = 0.9 * v + (w - x)
    return [x], [], [(v, new), (w, w - 0.1 * new)]


def columns() -> Case:
    x = gx.tensor("x", ("n", 16))
    return [x], [x.sum(axis=0), x.max(axis=1), gx.argmax(x)], []


def recurrence() -> Case:
    """Few turns are one kernel; a length that nobody knows is cut into stretches."""
    x, y, s = gx.tensor("x", ("n",)), gx.tensor("y", (3,)), gx.tensor("s")
    last, ys = gx.scan(lambda c, v: (gx.tanh(c) * v, c), s, x, reverse=True)
    few, _ = gx.scan(lambda c, v: (gx.where(v > c, v * c, 1.0 - c), None), s, y)
    return [x, y, s], [last, ys, few], []


CASES = [chain, softmax, layer_norm, dense, scatter_add, cumsum, scalars, momentum, columns, recurrence]


@pytest.mark.parametrize("case", CASES, ids=lambda f: f.__name__)
def test_golden(case: Callable[[], Case], golden: Golden) -> None:
    golden(f"program_{case.__name__}", text_of(planned(*case())))


def test_text_is_deterministic() -> None:
    code = "from tests.test_program import CASES, planned, text_of; print([text_of(planned(*case())) for case in CASES])"
    assert fresh(code, PYTHONHASHSEED="1") == fresh(code, PYTHONHASHSEED="2")


def test_text_does_not_depend_on_what_was_built_before() -> None:
    first = text_of(planned(*softmax()))
    layer_norm()
    assert text_of(planned(*softmax())) == first


# -- fusion -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("case", [chain, softmax, layer_norm, dense, scalars, momentum], ids=lambda f: f.__name__)
def test_one_kernel(case: Callable[[], Case]) -> None:
    program = planned(*case())
    assert len(program.steps) == len(program.kernels()) == 1


def test_equal_kernels_are_one() -> None:
    x, w = gx.tensor("x", ("n", 8)), [gx.tensor(f"w{k}", (8, 8)) for k in range(6)]
    y = x
    for v in w:
        y = gx.tanh(y @ v)
    program = planned([x, *w], [y])
    assert len(program.steps) == 6 and len(program.kernels()) == 1


def test_costly_values_are_computed_once() -> None:
    program = planned(*softmax())
    (kernel,) = program.kernels()
    assert repr(loops_of(program)).count("'exp'") <= 1
    assert sum(s.op == "exp" for stage in kernel.stages for s in {id(x): x for x in _scalars(stage.body)}.values()) == 1


def _scalars(root: object) -> list[object]:
    found, stack = [], [root]
    while stack:
        s = stack.pop()
        found.append(s)
        stack += s.args  # type: ignore[attr-defined]
    return found


# -- outputs ------------------------------------------------------------------------------------------------------------
def test_outputs_are_distinct_buffers() -> None:
    x = gx.tensor("x", ("n", 3))
    y = x * 2.0
    program = planned([x], [x, y, y, gx.reshape(y, (-1,)), gx.asarray(np.arange(3.0)), gx.asarray(1.0)])
    assert len(set(program.outputs)) == 6
    assert all(program.buffers[b].role == "output" for b in program.outputs)


@pytest.mark.parametrize("shape", [(1, 5), (1,), (5, 1)])
def test_reductions_over_one_element(shape: tuple[int, ...]) -> None:
    x = gx.tensor("x", shape)
    axis = shape.index(1)
    planned([x], [gx.argmax(x, axis=axis), gx.argmin(x, axis=axis), gx.any(x > 0, axis=axis), gx.sum(x, axis=axis), gx.max(x, axis=axis)])


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0,), ()])
def test_empty_and_single_arrays(shape: tuple[int, ...]) -> None:
    x = gx.tensor("x", shape)
    planned([x], [x + 1.0, gx.sum(x), gx.cumsum(x.ravel()), gx.exp(x).ravel() @ gx.exp(x).ravel()])


# -- memory -------------------------------------------------------------------------------------------------------------
def arena(program: Program, **sizes: int) -> int:
    return dims.evaluate(program.arena, {s: sizes[s.name] for s in dims.symbols(program.arena)})


def products(count: int, n: object = "n") -> Program:
    """x @ w @ w ... : each product needs the one before it, and no other."""
    x, w = gx.tensor("x", (n, 32)), gx.tensor("w", (32, 32))
    y = x
    for _ in range(count):
        y = y @ w
    return planned([x, w], [y])


@pytest.mark.parametrize("n", [100, "n"])
def test_buffers_are_reused(n: object) -> None:
    assert arena(products(10, n), n=100) == arena(products(3, n), n=100) == 2 * 100 * 32 * 8


def test_a_single_kernel_needs_no_arena() -> None:
    assert [arena(planned(*case()), n=10) for case in (chain, layer_norm, dense, scalars, momentum)] == [0] * 5


def test_static_blocks_grow() -> None:
    """A later, larger value takes the bytes of a dead smaller one, and some more."""
    x, w = gx.tensor("x", (10, 32)), [gx.tensor("w", (a, b)) for a, b in [(32, 8), (8, 16), (16, 64), (64, 2)]]
    y = x
    for v in w:
        y = y @ v
    program = planned([x, *w], [y])
    assert program.arena == 10 * (16 + 64) * 8


def test_unrelated_sizes_do_not_share() -> None:
    """Nobody knows whether m or n is larger."""
    x, w, v = gx.tensor("x", ("n", 8)), gx.tensor("w", (8, "m")), gx.tensor("v", ("m", 8))
    y = gx.exp(gx.exp(x @ x.T) @ x)
    z = gx.exp(gx.exp(v @ w) @ v)
    program = planned([x, w, v], [y.sum() + z.sum()])
    sizes = [(dict(n=1, m=50)), dict(n=50, m=1), dict(n=3, m=3)]
    assert all(arena(program, **s) >= 8 * max(s["n"] ** 2, s["m"] ** 2) for s in sizes)


# -- state --------------------------------------------------------------------------------------------------------------
def commits(program: Program) -> list[Launch]:
    return [s for s in program.steps[program.commit :] if isinstance(s, Launch)]


def test_pointwise_update_is_in_place() -> None:
    w, g = state("w", "n"), gx.tensor("g", ("n",))
    program = planned([g], [], [(w, w - 0.1 * g)])
    (launch,) = commits(program)
    assert program.arena == 0 and len(program.steps) == 1
    assert {program.buffers[b].role for b in launch.buffers} == {"shared", "input"}


def test_update_after_a_product_is_in_place() -> None:
    w, x, g = state("w", 8, 4), gx.tensor("x", ("n", 8)), gx.tensor("g", ("n", 4))
    program = planned([x, g], [], [(w, w - 0.1 * (x.T @ g))])
    assert program.arena == 0 and len(program.steps) == 1


def test_update_that_reads_other_elements_is_copied() -> None:
    w = state("w", "n")
    program = planned([], [], [(w, w[::-1] * 2.0)])
    assert len(program.steps) == 2 and program.commit == 1
    assert arena(program, n=8) == 64


def test_old_state_is_read_by_all() -> None:
    """Outputs and other updates see the values before the call."""
    a, b = state("a", 5), state("b", 5)
    program = planned([], [a * b, gx.sum(a)], [(a, a + b), (b, b - a)])
    assert program.commit <= len(program.steps) - 1


def test_states_are_exchanged() -> None:
    a, b, c = state("a", 5), state("b", 5), state("c", 5)
    planned([], [], [(a, b), (b, a)])
    planned([], [a], [(a, b), (b, c), (c, a)])
    planned([], [], [(a, b), (b, b + 1.0)])
    planned([], [], [(b, b + 1.0), (a, b)])


def test_update_to_itself_and_to_constants() -> None:
    a = state("a", 5)
    x = gx.tensor("x", (5,))
    for value in (a, x, gx.asarray(np.arange(5.0)), gx.broadcast_to(gx.asarray(0.0), (5,)), gx.reshape(gx.reshape(a, (5, 1)), (5,))):
        planned([x], [a + 1.0], [(a, value)])


def test_checks_come_before_state_is_written() -> None:
    w, x, i = state("w", 8), gx.tensor("x", (8,)), gx.tensor("i", ("k",), "int64")
    program = planned([x, i], [gx.sum(gx.take(x, i))], [(w, w + 1.0)])
    last = max(k for k, s in enumerate(program.steps) if isinstance(s, Check))
    assert last < program.commit <= len(program.steps) - 1


def test_memory_plan_keeps_what_was_assembled() -> None:
    for case in CASES:
        arguments = case()
        before, after = assembled(*arguments), planned(*arguments)
        assert before.outputs == after.outputs and before.inputs == after.inputs and before.shared == after.shared
        assert len(after.steps) <= len(before.steps)


# -- loops --------------------------------------------------------------------------------------------------------------
def test_contiguous_axes_become_one_loop() -> None:
    x = gx.tensor("x", ("n", 4, 5, 6))
    (block,) = loops_of(planned([x], [gx.sqrt(x) * 2.0]))
    assert [s.extent for s in walk(block) if isinstance(s, For)] == [120 * dims.dim("n")]


def test_lanes_run_along_rows_and_columns() -> None:
    x = gx.tensor("x", (80, 64), "float32")
    for axis in (0, 1):
        (block,) = loops_of(planned([x], [gx.sum(x, axis=axis)]))
        (columns,) = [s for s in walk(block) if isinstance(s, For) and s.extent == 64]
        assert columns.kind == "vector"
