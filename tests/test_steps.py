"""Programs with loops, branches, views and calls of Python, built by hand: planned, verified, printed and run."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc import scalars as sc
from graphc.codegen.frame import frame_of
from graphc.codegen.runtime.estimate import work
from graphc.codegen.runtime.executable import Executable
from graphc.codegen.runtime.stops import Stops
from graphc.dims import Size
from graphc.dtypes import bool_, float64, int64
from graphc.errors import CompileError, DTypeError, IndexOutOfRange, ShapeError
from graphc.ir import Node
from graphc.ops.registry import SHARED, variable
from graphc.options import Options
from graphc.passes.storage.memory import plan_memory
from graphc.program import (
    NO_FAULT,
    Axis,
    Branch,
    Buffer,
    Check,
    HostCall,
    Kernel,
    Launch,
    Loop,
    Operand,
    Program,
    Stage,
    Step,
    Store,
    View,
    copy_kernel,
    format_program,
    lifetimes,
    loop_counter,
    loop_index,
    loop_length,
    walk,
)
from graphc.scalars import Scalar
from graphc.user.cost import count_cost
from graphc.verify.program import verify_program

OUTER, INNER = loop_counter(0), loop_counter(1)
Golden = Callable[[str, str], None]


def pointwise(body: Callable[..., Scalar], count: int, size: Size = 1, dtype: np.dtype = float64, result: np.dtype | None = None) -> Kernel:
    """out[i] = body(a[i], b[i], ..): the operands are the arguments, then the result."""
    at = (sc.index(loop_index(0)),)
    value = body(*[sc.load(k, at, dtype) for k in range(count)])
    stage = Stage((), value, result or dtype, stores=(Store(count, at),))
    operands = tuple([Operand(dtype, (size,)) for _ in range(count)]) + (Operand(result or dtype, (size,), True),)
    return Kernel((Axis(loop_index(0), size),), (stage,), operands)


def number(value: float, dtype: np.dtype = float64) -> Kernel:
    """out[0] = value."""
    return pointwise(lambda: sc.const(dtype.type(value), dtype), 0, dtype=dtype)


def program(
    buffers: Sequence[Buffer], steps: Sequence[Step], inputs: Sequence[Node] = (), shared: Sequence[Node] = (), **more: Any
) -> Program:
    outputs = tuple([k for k, b in enumerate(buffers) if b.role == "output" and b.alias is None])
    given = {"commit": len(steps), **more}
    return Program(tuple(buffers), tuple(steps), tuple(inputs), tuple(shared), (), outputs, **given)


def ready(made: Program) -> Program:
    verify_program(made)
    planned = plan_memory(made)
    verify_program(planned)
    return planned


def run(made: Program, arrays: Sequence[np.ndarray] = (), state: Sequence[np.ndarray] = ()) -> list[np.ndarray]:
    return Executable(ready(made), Options(verify=True))(list(arrays), list(state))


def one(role: str, index: int = 0, dtype: np.dtype = float64, **more: Any) -> Buffer:
    return Buffer(dtype, (1,), role, index, **more)


ADD = pointwise(lambda a, b: a + b, 2)
DOUBLE = pointwise(lambda a: a * 2.0, 1)
MOVE = copy_kernel(float64, (1,))


# -- loops --------------------------------------------------------------------------------------------------------------
def fibonacci(extent: Size, inputs: Sequence[Node] = ()) -> Program:
    """a, b = b, a + b: two values that both are read after the new ones are written, so the pairs change places."""
    buffers = [one("arena"), one("arena"), one("arena"), one("arena"), one("output")]
    buffers += [Buffer(x.dtype, x.shape, "input", k) for k, x in enumerate(inputs)]
    a, b, next_a, next_b, out = range(5)
    loop = Loop(OUTER, extent, (Launch(MOVE, (b, next_a)), Launch(ADD, (a, b, next_b))), ((a, next_a), (b, next_b)))
    return program(buffers, [Launch(number(0.0), (a,)), Launch(number(1.0), (b,)), loop, Launch(MOVE, (a, out))], inputs)


@pytest.mark.parametrize(("turns", "want"), [(0, 0), (1, 1), (2, 1), (3, 2), (10, 55), (11, 89)])
def test_a_loop_carries_values(turns: int, want: float) -> None:
    assert run(fibonacci(turns))[0] == want


def test_a_loop_of_a_size_known_at_the_call() -> None:
    x = gx.tensor("x", ("n",))
    made = Executable(ready(fibonacci(gx.dim("n"), [x])), Options(verify=True))
    for turns, want in ((0, 0), (1, 1), (12, 144), (7, 13)):
        assert made([np.zeros(turns)], [])[0] == want


def test_pairs_share_bytes_or_change_places() -> None:
    planned = ready(fibonacci(5))
    (loop,) = [s for s in planned.numbered if isinstance(s, Loop)]
    assert planned.swapped(loop) == ((0, 2),)  # a is read where b's next value is made; b only there, at its own element
    together = planned.buffers[1].offset == planned.buffers[3].offset
    assert together and planned.buffers[0].offset != planned.buffers[2].offset


def test_what_is_carried_in_place_must_not_be_read_again() -> None:
    made = fibonacci(5)
    planned = plan_memory(made)
    home = replace(planned.buffers[2], offset=planned.buffers[0].offset)
    with pytest.raises(CompileError, match="after what is carried to it was written in its place"):
        verify_program(replace(planned, buffers=(*planned.buffers[:2], home, *planned.buffers[3:])))


def test_what_is_carried_keeps_its_bytes_to_the_end_of_the_turn() -> None:
    """a doubles, and the old value is read after the new one was written: what the turn computes in between lies elsewhere."""
    buffers = [one("arena"), one("arena"), one("arena"), one("output"), one("output", 1)]
    a, new, seven, out, last = range(5)
    turn = (Launch(DOUBLE, (a, new)), Launch(number(7.0), (seven,)), Launch(ADD, (a, seven, last)))
    made = program(buffers, [Launch(number(1.0), (a,)), Loop(OUTER, 3, turn, ((a, new),)), Launch(MOVE, (a, out))])
    planned = ready(made)
    assert len({planned.buffers[b].offset for b in (a, new, seven)}) == 3
    assert [float(r[0]) for r in run(made)] == [8.0, 4.0 + 7.0]


def test_a_pair_is_not_shared_where_the_old_value_is_read_elsewhere() -> None:
    """y = y reversed, three times: the old array is read in the launch that writes the new one, at other elements."""
    x = gx.tensor("x", (5,))
    five = Buffer(float64, (5,), "arena")
    at = (sc.index(loop_index(0)),)
    turned = Stage((), sc.load(0, (sc.index(4 - loop_index(0)),), float64), float64, stores=(Store(1, at),))
    turn = Kernel((Axis(loop_index(0), 5),), (turned,), (Operand(float64, (5,)), Operand(float64, (5,), True)))
    move = copy_kernel(float64, (5,))
    buffers = [Buffer(float64, (5,), "input"), five, five, Buffer(float64, (5,), "output")]
    steps = [Launch(move, (0, 1)), Loop(OUTER, 3, (Launch(turn, (1, 2)),), ((1, 2),)), Launch(move, (1, 3))]
    made = program(buffers, steps, [x])
    planned = ready(made)
    assert planned.buffers[1].offset != planned.buffers[2].offset
    np.testing.assert_array_equal(run(made, [np.arange(5.0)])[0], np.arange(5.0)[::-1])
    shared = replace(planned.buffers[2], offset=planned.buffers[1].offset)
    with pytest.raises(CompileError, match="while it reads other elements of it"):
        verify_program(replace(planned, buffers=(*planned.buffers[:2], shared, planned.buffers[3])))


def test_the_work_of_loops_is_that_of_all_their_turns() -> None:
    """Three launches of one kernel: once, in 7 turns, and in at most 7 times n of two loops; a loop without an end is one turn."""
    n, x = gx.dim("n"), gx.tensor("x", ("n",))
    buffers = [Buffer(float64, (n,), "input"), one("arena"), one("arena"), one("output"), one("arena", dtype=bool_)]
    launch = Launch(DOUBLE, (1, 2))
    nested = Loop(OUTER, 7, (launch, Loop(INNER, n, (launch,))))
    made = program(buffers, [launch, nested, Loop(OUTER, None, (launch,), condition=4)], [x])
    (each,) = work(program(buffers, [launch], [x])).items()
    assert each[0] == 1 and each[1] > 0
    assert work(made) == {1: pytest.approx(2 * each[1]), 7: pytest.approx(each[1]), 7 * n: pytest.approx(each[1])}


def test_a_while_loop() -> None:
    """x doubles until it is 1000 or more; never where it is so from the start."""
    below = pointwise(lambda a: a < 1000.0, 1, result=bool_)
    x = gx.tensor("x", (1,))
    buffers = [one("input"), one("arena"), one("arena"), one("arena", dtype=bool_), one("output")]
    loop = Loop(OUTER, None, (Launch(DOUBLE, (1, 2)), Launch(below, (2, 3))), ((1, 2),), condition=3)
    steps = [Launch(MOVE, (0, 1)), Launch(below, (1, 3)), loop, Launch(MOVE, (1, 4))]
    executable = Executable(ready(program(buffers, steps, [x])), Options(verify=True))
    for start, want in ((1.0, 1024.0), (3.0, 1536.0), (5000.0, 5000.0)):
        assert executable([np.array([start])], [])[0] == want
    limited = replace(loop, extent=4)
    assert run(program(buffers, [*steps[:2], limited, steps[3]], [x]), [np.array([1.0])])[0] == 16


def test_views_move_with_the_loops() -> None:
    """y[i, j] = x[j, i] + i + 10 * j, an element a turn of two loops."""
    n, m = gx.dim("n"), gx.dim("m")
    x = gx.tensor("x", (n, m))
    counters = sc.index(OUTER).cast(float64) + sc.index(INNER).cast(float64) * 10.0
    kernel = pointwise(lambda a: a + counters, 1)
    buffers = [Buffer(float64, (n, m), "input"), Buffer(float64, (m, n), "output")]
    buffers += [Buffer(float64, (1,), "input", alias=0), Buffer(float64, (1,), "output", alias=1)]
    inner = (View(2, INNER * m + OUTER), View(3, OUTER * n + INNER), Launch(kernel, (2, 3)))
    made = ready(program(buffers, [Loop(OUTER, m, (Loop(INNER, n, inner),))], [x]))
    executable = Executable(made, Options(verify=True, fma=False))
    for rows, columns in ((3, 4), (1, 1), (0, 2), (2, 0), (5, 5)):
        X = np.random.default_rng(0).normal(size=(rows, columns))
        want = X.T + (np.arange(columns)[:, None] + 10.0 * np.arange(rows))
        np.testing.assert_array_equal(executable([X], [])[0], want)


def test_the_inner_extent_may_follow_the_outer_counter() -> None:
    """1 + 2 + .. + n, one at a time: the inner loop is as long as the outer counter says."""
    n = gx.dim("n")
    x = gx.tensor("x", (n,))
    buffers = [Buffer(float64, (n,), "input"), one("arena"), one("arena"), one("output")]
    inner = Loop(INNER, OUTER + 1, (Launch(pointwise(lambda a: a + 1.0, 1), (1, 2)),), ((1, 2),))
    steps = [Launch(number(0.0), (1,)), Loop(OUTER, n, (inner,)), Launch(MOVE, (1, 3))]
    made = ready(program(buffers, steps, [x]))
    executable = Executable(made, Options(verify=True))
    for size in (0, 1, 2, 9):
        assert executable([np.zeros(size)], [])[0] == size * (size + 1) / 2
    assert count_cost(made, {next(iter(dims.symbols(n))): 9})["kernels"] == 2 + 45


# -- branches -----------------------------------------------------------------------------------------------------------
def test_one_branch_runs() -> None:
    positive = pointwise(lambda a: a > 0.0, 1, result=bool_)
    called: list[str] = []
    x = gx.tensor("x", (1,))
    buffers = [one("input"), one("arena", dtype=bool_), one("arena"), one("output")]
    then = (HostCall(lambda: called.append("then")), Launch(DOUBLE, (0, 2)))
    otherwise = (HostCall(lambda: called.append("otherwise")), Launch(pointwise(lambda a: -a, 1), (0, 2)))
    steps = [Launch(positive, (0, 1)), Branch(1, then, otherwise), Launch(MOVE, (2, 3))]
    executable = Executable(ready(program(buffers, steps, [x])), Options(verify=True))
    assert executable([np.array([3.0])], [])[0] == 6 and called == ["then"]
    assert executable([np.array([-3.0])], [])[0] == 3 and called == ["then", "otherwise"]


# -- calls of Python ------------------------------------------------------------------------------------------------------
def with_state(function: Callable[..., Any], dtype: np.dtype = int64) -> tuple[Program, list[Node]]:
    """s <- s + f(x), after a check of indices i into an axis of size 3."""
    at = sc.index(loop_index(0, "r"))
    outside = sc.load(0, (at,), dtype)
    bad = sc.select((outside < 0) | (outside >= 3), at, sc.const(NO_FAULT, int64))
    first = Stage((), bad, int64, (Axis(loop_index(0, "r"), 4),), "min", (Store(1, ()),))
    fault = Kernel((), (first,), (Operand(dtype, (4,)), Operand(int64, (), True)))
    x, i, s = gx.tensor("x", (1,)), gx.tensor("i", (4,), dtype), variable(SHARED, "s", "float64", (1,))
    buffers = [one("input"), Buffer(dtype, (4,), "input", 1), one("shared"), one("arena"), Buffer(int64, (), "arena"), one("arena")]
    steps: list[Step] = [HostCall(function, (0,), (3,)), Launch(fault, (1, 4)), Check(4, 1, gx.take(gx.tensor("t", (3,)), i), 3)]
    steps += [Launch(ADD, (2, 3, 5)), Launch(MOVE, (5, 2))]
    return program(buffers, steps, [x, i], [s], commit=4), [x, i, s]


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"])
def test_a_check_tells_the_index_of_its_dtype(dtype: str) -> None:
    """Also where it is negative: it has had the size added, which is taken off again."""
    made, _ = with_state(lambda a: a, np.dtype(dtype))
    executable = Executable(ready(made), Options(verify=True))
    bad, shown = (-5, -8) if dtype.startswith("i") else (200, 200)
    with pytest.raises(IndexOutOfRange, match=rf"index {shown} at position \(2,\) is out of range for axis 0 of size 3"):
        executable([np.array([5.0]), np.array([0, 1, bad, 0], dtype)], [np.array([1.0])])


def test_a_callback_is_called_once_also_when_a_later_check_fails() -> None:
    seen: list[np.ndarray] = []

    def twice(a: np.ndarray) -> np.ndarray:
        seen.append(a)
        return a * 2

    made, _ = with_state(twice)
    executable = Executable(ready(made), Options(verify=True))
    state = np.array([1.0])
    executable([np.array([5.0]), np.array([0, 1, 2, 0])], [state])
    assert state == 11 and len(seen) == 1
    with pytest.raises(IndexOutOfRange, match=r"index 7 at position \(2,\) is out of range for axis 0 of size 3"):
        executable([np.array([5.0]), np.array([0, 1, 7, 9])], [state])
    assert state == 11 and len(seen) == 2
    with pytest.raises(IndexOutOfRange, match=r"index -4 at position \(0,\)"):
        executable([np.array([5.0]), np.array([-1, 1, 7, 9])], [state])


def test_an_exception_passes_through_and_leaves_state_as_it_was() -> None:
    class Ours(Exception):
        pass

    def fails(a: np.ndarray) -> np.ndarray:
        raise Ours("no")

    made, _ = with_state(fails)
    executable = Executable(ready(made), Options(verify=True))
    state = np.array([1.0])
    for _ in range(3):
        with pytest.raises(Ours, match="no"):
            executable([np.array([5.0]), np.zeros(4, "int64")], [state])
        assert state == 1
    assert len(executable.spare) <= 1  # the arena came back each time


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (lambda a: np.ones((2,)), ShapeError, "has shape"),
        (lambda a: np.ones((1,), "float32"), DTypeError, "is float32"),
        (lambda a: None, ShapeError, "gave 0 results"),
        (lambda a: (a, a), ShapeError, "gave 2 results"),
    ],
)
def test_what_a_callback_gives_is_checked(answer: Callable[..., Any], error: type[Exception], message: str) -> None:
    made, _ = with_state(answer)
    state = np.array([1.0])
    with pytest.raises(error, match=message):
        run(made, [np.array([5.0]), np.zeros(4, "int64")], [state])
    assert state == 1


def test_a_callback_may_call_the_same_function() -> None:
    depth: list[float] = []

    def again(a: np.ndarray) -> np.ndarray:
        if a[0] > 0:
            depth.append(a[0])
            inner = np.array([0.0])
            executable([a - 1, np.zeros(4, "int64")], [inner])
            return inner + 1
        return a * 0

    made, _ = with_state(again)
    executable = Executable(ready(made), Options(verify=True))
    state = np.array([0.0])
    executable([np.array([3.0]), np.zeros(4, "int64")], [state])
    assert depth == [3, 2, 1] and state == 3


def test_a_callback_may_keep_and_change_what_it_gets() -> None:
    kept: list[np.ndarray] = []

    def changes(a: np.ndarray) -> np.ndarray:
        kept.append(a)
        a += 100
        return a

    made, _ = with_state(changes)
    x, state = np.array([5.0]), np.array([0.0])
    run(made, [x, np.zeros(4, "int64")], [state])
    assert x == 5 and state == 105 and kept[0] == 105


def all_together(log: list[tuple[float, ...]]) -> Program:
    """For each row i of x, while the running total is below 100, call Python with the row's sum; only where it is positive."""
    n = gx.dim("n")
    x = gx.tensor("x", (n, 2))
    two = (Axis(loop_index(0, "r"), 2),)
    value = sc.load(0, (sc.index(loop_index(0, "r")),), float64)
    total = Kernel(
        (), (Stage((), value, float64, two, "sum", (Store(1, (sc.index(0),)),)),), (Operand(float64, (2,)), Operand(float64, (1,), True))
    )
    positive, below = pointwise(lambda a: a > 0.0, 1, result=bool_), pointwise(lambda a: a < 100.0, 1, result=bool_)

    def told(i: np.ndarray, a: np.ndarray) -> np.ndarray:
        log.append((float(i[0]), float(a[0])))
        return a

    turn = pointwise(lambda: sc.index(OUTER).cast(float64), 0)
    buffers = [
        Buffer(float64, (n, 2), "input"), Buffer(float64, (2,), "input", alias=0), one("arena"), one("arena", dtype=bool_),
        one("arena"), one("arena"), one("arena", dtype=bool_), one("arena"), one("output"), one("arena"),
    ]  # fmt: skip
    _, row, sums, sign, old, new, going, answer, out, counted = range(10)
    branch = Branch(sign, (Launch(turn, (counted,)), HostCall(told, (counted, sums), (answer,))), (Launch(number(0.0), (answer,)),))
    body = (
        View(row, OUTER * 2),
        Launch(total, (row, sums)),
        Launch(positive, (sums, sign)),
        branch,
        Launch(ADD, (old, answer, new)),
        Launch(below, (new, going)),
    )
    loop = Loop(OUTER, n, tuple(body), ((old, new),), condition=going)
    start: list[Step] = [Launch(number(0.0), (old,)), Launch(below, (old, going))]
    return program(buffers, [*start, loop, Launch(MOVE, (old, out))], [x])


def test_a_loop_a_branch_and_a_call_of_python(golden: Golden) -> None:
    log: list[tuple[float, ...]] = []
    made = ready(all_together(log))
    golden("steps", format_program(made))
    executable = Executable(made, Options(verify=True))
    X = np.array([[1.0, 2.0], [-5.0, 1.0], [40.0, 3.0], [60.0, 1.0], [7.0, 7.0]])
    assert executable([X], [])[0] == 3 + 43 + 61
    assert log == [(0, 3), (2, 43), (3, 61)]
    assert executable([X[:0]], [])[0] == 0 and len(log) == 3


def test_carried_arrays_that_change_places_are_right_inside_calls() -> None:
    """The call of Python sees the value of this turn, whichever of the two places it has."""
    seen: list[float] = []
    made = fibonacci(6)
    (loop,) = [s for s in made.steps if isinstance(s, Loop)]
    told = replace(loop, steps=(HostCall(lambda a: seen.append(float(a[0])), (0,)), *loop.steps))
    run(replace(made, steps=(*made.steps[:2], told, made.steps[3])))
    assert seen == [0, 1, 1, 2, 3, 5]


def test_a_call_of_python_gets_parts_and_other_shapes_of_arrays() -> None:
    """Three turns: all of x as a matrix, two elements of it, and two elements of y, from the last on, to be filled."""
    x, seen = gx.tensor("x", (6,)), []

    def told(whole: np.ndarray, part: np.ndarray) -> np.ndarray:
        seen.append((whole, part))
        return part * 10.0

    buffers = [Buffer(float64, (6,), "input"), Buffer(float64, (2, 3), "input", alias=0), Buffer(float64, (2,), "input", alias=0)]
    buffers += [Buffer(float64, (6,), "output"), Buffer(float64, (2,), "output", alias=3)]
    body = (View(2, OUTER * 2), View(4, 4 - OUTER * 2), HostCall(told, (1, 2), (4,)))
    X = np.random.default_rng(1).normal(size=6)
    (got,) = run(program(buffers, [Loop(OUTER, 3, body)], [x]), [X])
    np.testing.assert_array_equal(got, X.reshape(3, 2)[::-1].reshape(6) * 10.0)
    for turn, (whole, part) in enumerate(seen):
        np.testing.assert_array_equal(whole, X.reshape(2, 3))
        np.testing.assert_array_equal(part, X[2 * turn : 2 * turn + 2])
    assert len(seen) == 3


@pytest.mark.parametrize("size", [1, 2, 5])
def test_parts_that_begin_at_any_element(size: int) -> None:
    """Element 1 is the first that differs from the array itself; no loop around tells the compiler where."""
    x, place = gx.tensor("x", (size,)), Buffer(float64, (1,), "input", alias=0)
    for at in range(size):
        buffers = [Buffer(float64, (size,), "input"), place, Buffer(float64, (1,), "output")]
        move = copy_kernel(float64, (1,))
        (got,) = run(program(buffers, [View(1, at), Launch(move, (1, 2))], [x]), [np.arange(size) + 5.0])
        assert got.tolist() == [at + 5.0]


@pytest.mark.parametrize("status", [-7, -2, 1, 5, 6, 100])  # none of these five steps but 0 is a call, none but 2 a check
def test_a_status_that_no_step_gives_is_an_error_of_the_compiler(status: int) -> None:
    made, _ = with_state(lambda a: a)
    planned = ready(made)
    assert [type(s) for s in planned.numbered] == [HostCall, Launch, Check, Launch, Launch]
    frame = frame_of(planned)
    words = (ctypes.c_int64 * frame.words)()
    for stop in (Stops(planned, frame).fault, lambda n, w: Stops(planned, frame).attend(n, w, [], np.zeros(0, "uint8"))):
        with pytest.raises(CompileError, match=f"the native code stopped with an unknown status {status}"):
            stop(status, words)


def test_the_frame_has_every_size_wherever_it_is_named() -> None:
    """Each of six sizes is named at one place only; the counters of loops lie behind the sizes, what a check found behind these."""
    names = ["arena", "extent", "given", "offset", "scratch", "shape"]
    arena, extent, given, offset, scratch, shape = map(gx.dim, names)
    x = gx.tensor("x", (given,))
    buffers = (Buffer(float64, (2, shape), "arena", offset=offset),)
    loops = (Loop(OUTER, extent, (Loop(INNER, OUTER + 1, ()),)),)
    frame = frame_of(Program(buffers, loops, (x,), (), (), (), arena=arena, scratch=scratch))
    assert [s.name for s in frame.symbols] == names
    assert frame.counters == tuple([s for counter in (OUTER, INNER) for s in dims.symbols(counter)])
    assert [frame.place[s] for s in (*frame.symbols, *frame.counters)] == list(range(8)) and frame.found == 8


# -- lifetimes ------------------------------------------------------------------------------------------------------------
def test_what_a_loop_reads_lives_through_it() -> None:
    """%0 is read early in each turn: what is written later in a turn must not take its bytes."""
    buffers = [one("arena") for _ in range(5)] + [one("output")]
    body = (Launch(ADD, (0, 1, 2)), Launch(DOUBLE, (2, 3)), Launch(DOUBLE, (3, 4)))
    steps = [Launch(number(1.0), (0,)), Launch(number(0.0), (1,)), Loop(OUTER, 4, body, ((1, 4),)), Launch(MOVE, (1, 5))]
    made = program(buffers, steps)
    lives = lifetimes(made)
    (start, end) = next((k, k + 3) for k, s in enumerate(made.numbered) if isinstance(s, Loop))
    assert lives[0] == (0, end) and lives[1] == (1, end + 1) and lives[4] == (start, end)
    assert lives[2] == (start + 1, start + 2) and lives[3] == (start + 2, start + 3)
    want = 0.0
    for _ in range(4):
        want = (1 + want) * 4
    assert run(made)[0] == want


def test_walk_numbers_steps_before_those_inside() -> None:
    made = all_together([])
    assert [type(s).__name__ for s in walk(made.steps)] == [type(s).__name__ for s in made.numbered]
    assert [type(s).__name__ for s in made.numbered[2:10]] == ["Loop", "View", "Launch", "Launch", "Branch", "Launch", "HostCall", "Launch"]


# -- what the verifier refuses ---------------------------------------------------------------------------------------------
def broken(message: str, buffers: Sequence[Buffer], *steps: Step, **more: Any) -> None:
    with pytest.raises(CompileError, match=message):
        verify_program(program(buffers, steps, **more))


@pytest.mark.parametrize("within", [lambda *steps: Loop(OUTER, 2, steps), lambda *steps: Branch(3, steps, steps)])
def test_a_view_is_forgotten_at_the_end_of_its_list(within: Callable[..., Step]) -> None:
    x, decided = gx.tensor("x", (4,)), gx.tensor("p", (1,), "bool")
    buffers = [Buffer(float64, (4,), "input"), Buffer(float64, (1,), "input", alias=0), one("output"), one("input", 1, bool_)]
    use = Launch(MOVE, (1, 2))
    verify_program(program(buffers, [within(View(1, 3), use)], [x, decided]))
    broken("uses %1 before it is placed", buffers, within(View(1, 3), use), use, inputs=[x, decided])


def test_the_verifier_refuses() -> None:
    a, out, truth = one("arena"), one("output"), one("arena", dtype=bool_)
    start = Launch(number(0.0), (0,))
    body = (Launch(DOUBLE, (0, 1)),)
    broken("never ends", [a, a, out], start, Loop(OUTER, None, body))
    broken("does not write|which its steps do not write", [a, a, out], start, Launch(DOUBLE, (0, 1)), Loop(OUTER, 2, (), ((0, 1),)))
    broken("reads %1 before it is written", [a, a, out], start, Loop(OUTER, 2, (Launch(ADD, (0, 1, 1)),)))
    broken("reads %1 before it is written", [a, a, out], start, Loop(OUTER, gx.dim("n"), body), Launch(MOVE, (1, 2)))
    broken("carries a buffer twice", [a, a, out], start, Loop(OUTER, 2, body, ((0, 1), (0, 1))))
    names = Launch(pointwise(lambda: sc.index(OUTER).cast(float64), 0), (2,))
    broken("names the counter turn0 of a loop that is not around it", [a, a, out], start, Loop(OUTER, 2, body), names)
    verify_program(program([a, a, out], [start, Loop(OUTER, 2, (*body, names))]))
    broken("inside a loop that does", [a, a, out], start, Loop(OUTER, 2, (Loop(OUTER, 2, body),)))
    broken("not one boolean", [a, a, out], start, Branch(0, body))
    decided = Launch(number(1.0, bool_), (2,))
    broken("reads %1 before it is written", [a, a, truth, out], start, decided, Branch(2, body), Launch(MOVE, (1, 3)))
    broken("after the commit point 1", [a, a, out], start, HostCall(abs, (0,), (1,)), commit=1)
    broken("after the commit point 1", [a, a, out], start, Loop(OUTER, 2, (HostCall(abs, (0,), (1,)),)), commit=1)
    wide, part = Buffer(float64, (6,), "output"), Buffer(float64, (2,), "output", alias=1)
    fill = Launch(copy_kernel(float64, (2,)), (0, 2))
    two = Buffer(float64, (2,), "arena")
    zeros = Launch(pointwise(lambda: sc.const(0.0, float64), 0, 2), (0,))
    broken("at element 6, of 0 to 4", [two, wide, part], zeros, Loop(OUTER, 4, (View(2, OUTER * 2), fill)))
    broken("before it is placed", [two, wide, part], zeros, Loop(OUTER, 3, (fill, View(2, OUTER * 2))))
    broken("output 0, %1, is never written", [two, wide, part], zeros, Loop(OUTER, 3, (View(2, OUTER * 2),)))
    verify_program(program([two, wide, part], [zeros, Loop(OUTER, 3, (View(2, OUTER * 2), fill))]))


def test_the_entry_hands_over_what_a_check_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in native code never runs the program on the Python path."""
    x, i = gx.tensor("x", ("n",)), gx.tensor("i", ("k",), "int64")
    f = gx.function([x, i], gx.take(x, i) * 2)
    f(np.arange(3.0), np.array([0, 2]))

    def never(*args: object) -> None:
        raise AssertionError("the program was run again")

    monkeypatch.setattr(Executable, "__call__", never)
    for k in range(3):
        with pytest.raises(gx.IndexOutOfRange, match=rf"index {5 + k} at position \(1,\) is out of range for axis 0 of size 3"):
            f(np.arange(3.0), np.array([0, 5 + k]))
    np.testing.assert_array_equal(f(np.arange(3.0), np.array([-1])), [4.0])


# -- parallel loops --------------------------------------------------------------------------------------------------------
LENGTH = loop_length(0)


def in_chunks(size: int, more: Sequence[Step] = (), dtype: np.dtype = float64) -> Program:
    """y = (2 x + 1) * x in chunks of `size` elements, with 2 x + 1 in a row of scratch."""
    n = gx.dim("n")
    x = gx.tensor("x", (n,), dtype)
    row, part = Buffer(dtype, (size,), "scratch"), Buffer(dtype, (LENGTH,), "input", alias=0)
    buffers = [Buffer(dtype, (n,), "input"), Buffer(dtype, (n,), "output"), row]
    buffers += [part, replace(part, role="output", alias=1), replace(part, role="scratch", alias=2)]
    first = Launch(pointwise(lambda a: a * 2.0 + 1.0, 1, LENGTH, dtype), (3, 5))
    second = Launch(pointwise(lambda a, b: a * b, 2, LENGTH, dtype), (5, 3, 4))
    body = (View(3, OUTER * size), View(4, OUTER * size), View(5, 0), first, second, *more)
    chunks = dims.floordiv(n + (size - 1), size)
    length = ((LENGTH, dims.minimum(size, n - OUTER * size)),)
    return program(buffers, [Loop(OUTER, chunks, body, parallel=True, lengths=length)], [x])


@pytest.mark.parametrize("threads", [1, 3])
def test_a_parallel_loop_of_chunks(threads: int) -> None:
    made = ready(in_chunks(64))
    executable = Executable(made, Options(verify=True, threads=threads))
    for size in (0, 1, 63, 64, 65, 128, 1000, 200_001):
        X = np.random.default_rng(size).normal(size=size)
        np.testing.assert_allclose(executable([X], [])[0], (2 * X + 1) * X, rtol=1e-15)


def test_a_parallel_loop_reads_well() -> None:
    text = format_program(ready(in_chunks(64)))
    assert "parallel for turn0 in (n + 63)//64, length0 = min(n - 64*turn0, 64):" in text and "%2: f64[64] scratch + 0" in text
    assert "  place %3 at 64*turn0, %4 at 64*turn0, %5 at 0" in text


def test_the_work_and_the_cost_of_chunks() -> None:
    """Work counts whole chunks; costs are exact, and a parallel loop counts as one kernel."""
    made = in_chunks(64)
    n = gx.dim("n")
    (symbol,) = dims.symbols(n)
    whole = dims.floordiv(n + 63, 64) * dims.minimum(64, n)
    assert list(work(made)) == [whole] and dims.evaluate(whole, {symbol: 1000}) == 1024


def test_a_branch_and_a_loop_inside_a_parallel_loop() -> None:
    """Each turn: where x[i] > 0, y[i] = 2 x[i], else 0, decided by a boolean that each thread has for itself."""
    n = gx.dim("n")
    x = gx.tensor("x", (n,))
    buffers = [Buffer(float64, (n,), "input"), Buffer(float64, (n,), "output"), one("scratch", dtype=bool_)]
    buffers += [one("input", alias=0), one("output", alias=1)]
    positive = pointwise(lambda a: a > 0.0, 1, result=bool_)
    branch = Branch(2, (Launch(DOUBLE, (3, 4)),), (Launch(number(0.0), (4,)),))
    loop = Loop(OUTER, n, (View(3, OUTER), View(4, OUTER), Launch(positive, (3, 2)), branch), parallel=True)
    made = ready(program(buffers, [loop], [x]))
    X = np.random.default_rng(0).normal(size=100_000)
    for threads in (1, 4):
        (got,) = Executable(made, Options(verify=True, threads=threads))([X], [])
        np.testing.assert_array_equal(got, np.where(X > 0, 2 * X, 0))


def test_a_parallel_loop_updates_state_and_stands_behind_the_commit() -> None:
    n = 1000
    s = variable(SHARED, "s", "float64", (n,))
    buffers = [Buffer(float64, (n,), "shared"), Buffer(float64, (10,), "shared", alias=0)]
    loop = Loop(OUTER, 100, (View(1, OUTER * 10), Launch(pointwise(lambda a: a * 2.0, 1, 10), (1, 1))), parallel=True)
    kernel = pointwise(lambda a: a * 2.0, 1, 10)
    new = Buffer(float64, (n,), "shared", alias=0)
    body = (View(1, OUTER * 10), View(3, OUTER * 10), Launch(kernel, (1, 3)))
    loop = Loop(OUTER, 100, body, parallel=True)
    made = program([*buffers, new, replace(buffers[1], alias=2)], [loop], [], [s], commit=0)
    state = np.arange(n, dtype="float64")
    run(made, [], [state])
    np.testing.assert_array_equal(state, 2.0 * np.arange(n))
    with pytest.raises(CompileError, match="before the commit point"):
        verify_program(replace(made, commit=1))


def test_the_verifier_refuses_turns_that_meet() -> None:
    made = in_chunks(64)
    (loop,) = made.steps
    assert isinstance(loop, Loop)

    def refused(message: str, change: Loop, buffers: Sequence[Buffer] = made.buffers) -> None:
        with pytest.raises(CompileError, match=message):
            verify_program(replace(made, steps=(change,), buffers=tuple(buffers)))

    views, launched = loop.steps[:3], loop.steps[3:]
    refused("parts of %1 that overlap", replace(loop, steps=(View(3, OUTER * 63), View(4, OUTER * 63), *views[2:], *launched)))
    refused("each must touch one part of its own", replace(loop, steps=(views[0], View(4, 0), *views[2:], *launched)))
    refused("one waits for the other", replace(loop, extent=None))
    inner = Loop(INNER, 2, ())
    refused("of which one could fail", replace(loop, steps=(*loop.steps, inner)))
    refused("has the length n, which is a size of an argument", replace(loop, lengths=((gx.dim("n"), 64),)))
    with pytest.raises(CompileError, match="uses %6, which is as long as a loop says that is not around it"):
        late = HostCall(lambda: np.zeros(1), (), (6,))
        verify_program(replace(made, steps=(loop, late), buffers=(*made.buffers, Buffer(float64, (LENGTH,), "arena")), commit=2))
    refused("reads %5 before it is written", replace(loop, steps=(*views, launched[1], launched[0])))
    arena = [replace(b, role="arena") if b.role == "scratch" else b for b in made.buffers]
    refused("each must touch one part of its own", loop, arena)
    whole = Launch(copy_kernel(float64, (gx.dim("n"),)), (0, 1))
    refused("each must touch one part of its own", replace(loop, steps=(*loop.steps, whole)))


@pytest.mark.parametrize(("size", "turns"), [(10, 1), (15, 1), (20, 2), (21, 3), (25, 3), (30, 3), (99, 10)])
def test_the_last_turn_may_not_reach_into_the_one_before(size: int, turns: int) -> None:
    """Parts of ten elements, of which the last is moved to the end of the array."""
    buffers = [Buffer(float64, (size,), "output"), Buffer(float64, (10,), "output", alias=0)]
    fill = Launch(pointwise(lambda: sc.const(1.0, float64), 0, 10), (1,))
    start = OUTER * 10 if size == 10 * turns else dims.minimum(OUTER * 10, size - 10)
    made = program(buffers, [Loop(OUTER, turns, (View(1, start), fill), parallel=True)], [])
    if size == 10 * turns or turns == 1:
        verify_program(made)
    else:
        with pytest.raises(CompileError, match="parts of %0 that overlap"):
            verify_program(made)


def test_arrays_of_turns_at_the_same_time_lie_apart() -> None:
    """In each turn one is dead before the other is written; but another turn may be further behind."""
    n = gx.dim("n")
    x = gx.tensor("x", (n,))
    whole, part = Buffer(float64, (n,), "arena"), one("arena")
    buffers = [Buffer(float64, (n,), "input"), whole, whole, Buffer(float64, (n,), "output"), Buffer(float64, (n,), "output", 1)]
    buffers += [one("input", alias=0), replace(part, alias=1), replace(part, alias=2), one("output", alias=3), one("output", 1, alias=4)]
    body = (
        *[View(b, OUTER) for b in range(5, 10)],
        Launch(DOUBLE, (5, 6)), Launch(DOUBLE, (6, 8)), Launch(ADD, (5, 5, 7)), Launch(ADD, (7, 5, 9)),
    )  # fmt: skip
    made = program(buffers, [Loop(OUTER, n, body, parallel=True)], [x])
    planned = ready(made)
    assert [str(b.offset) for b in planned.buffers[1:3]] == ["0", "64*((8*n + 63)//64)"]
    for threads in (1, 3):
        X = np.random.default_rng(threads).normal(size=50_000)
        first, second = Executable(planned, Options(verify=True, threads=threads))([X], [])
        np.testing.assert_array_equal(first, 4 * X)
        np.testing.assert_allclose(second, 3 * X, rtol=1e-15)
    shared = replace(planned.buffers[2], offset=planned.buffers[1].offset)
    with pytest.raises(CompileError, match="live at the same time"):
        verify_program(replace(planned, buffers=(*planned.buffers[:2], shared, *planned.buffers[3:])))


def test_a_loop_that_may_be_left_stands_before_the_commit() -> None:
    """State is replaced when no handler of signals can end the call any more: by the last value of the carry, after the loop."""
    s = variable(SHARED, "s", "float64", (1,))
    buffers = [one("shared"), one("arena"), one("arena")]
    loop = Loop(OUTER, 5, (Launch(DOUBLE, (1, 2)),), ((1, 2),))
    steps = [Launch(MOVE, (0, 1)), loop, Launch(MOVE, (1, 0))]
    made = program(buffers, steps, [], [s], commit=2)
    state = np.array([3.0])
    run(made, [], [state])
    assert state == 96
    with pytest.raises(CompileError, match="step 1 could fail after the commit point 1"):
        verify_program(replace(made, commit=1))
    inside = Loop(OUTER, 5, (Launch(DOUBLE, (1, 2)), Launch(MOVE, (2, 0))), ((1, 2),))
    with pytest.raises(CompileError, match="writes the state %0 in a loop"):
        verify_program(replace(made, steps=(steps[0], inside, steps[2])))
