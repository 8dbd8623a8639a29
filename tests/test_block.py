"""Runs of elementwise kernels in blocks: right for every size, with rows instead of arrays, and cut where they do not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc import scalars as sc
from graphc.costs import Limits
from graphc.dtypes import float64, int64
from graphc.errors import CompileError
from graphc.ir import Graph, Node
from graphc.passes.fusion.assemble import assemble
from graphc.passes.fusion.fuse import fuse
from graphc.passes.storage import cache_blocks as blocking
from graphc.passes.storage.block_forms import element_form
from graphc.passes.storage.postponed_sums import postpone_sums
from graphc.program import Axis, Kernel, Launch, Loop, Operand, Program, Stage, Step, Store, View, format_program, loop_index, loop_length
from graphc.verify.program import verify_program
from tests.stages import TARGET, assembled, text_of

SIZES = (0, 1, 7, 255, 256, 257, 1000, 4096, 4097, 9001)
STEPS = 40  # more transcendentals than one loop takes


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 64 elements, so that small arrays have many."""
    monkeypatch.setattr(blocking, "SMALLEST", 64)
    monkeypatch.setattr(blocking, "LARGEST", 64)


def data(n: int, dtype: str, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(n).astype(dtype)


def chain(xp: Any, y: Any, steps: int = STEPS) -> Any:
    for _ in range(steps):
        y = xp.sin(1.01 * y + 0.1)
    return y


def slope(y: np.ndarray, steps: int = STEPS) -> np.ndarray:
    """The derivative of each element of the chain."""
    y, g = y.astype(np.float64), np.ones(y.shape)
    for _ in range(steps):
        u = 1.01 * y + 0.1
        y, g = np.sin(u), g * 1.01 * np.cos(u)
    return g


def close(got: np.ndarray, wanted: np.ndarray, steps: int = STEPS) -> None:
    assert got.shape == wanted.shape
    tolerance = 4 * steps * np.finfo(got.dtype).eps
    np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance * np.abs(wanted).max(initial=1))


def runs(program: Program) -> list[Loop]:
    return [s for s in program.steps if isinstance(s, Loop) and s.parallel]


def run_of(f: gx.Function) -> Loop:
    """The one run that the program of a function is."""
    assert f._program is not None and len(f._program.steps) == 1
    (run,) = runs(f._program)
    return run


def block_of(run: Loop) -> int:
    """The elements of a block, but for the last."""
    ((_, length),) = run.lengths
    return dims.evaluate(length, run.at(0, dict.fromkeys(dims.symbols(length), 10**9)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradient_of_a_chain_of_any_length(dtype: str) -> None:
    y = gx.tensor("y", ("n",), dtype)
    value = chain(gx, y)
    f = gx.function([y], [value, gx.grad(gx.sum(value), y)])
    run_of(f)
    for n in SIZES:
        x = data(n, dtype)
        got, gradient = f(x)
        close(got, chain(np, x.astype(np.float64)))
        close(gradient, slope(x))


def test_gradient_of_a_chain_of_known_length_needs_rows_and_no_arrays() -> None:
    n = 20_011
    y = gx.tensor("y", (n,), "float32")
    f = gx.function([y], gx.grad(gx.sum(chain(gx, y)), y), threads=1)
    size = block_of(run_of(f))
    assert size % 64 == 0
    memory = f.memory()
    assert memory["largest"] == 4 * size + blocking.LINE and memory["arena"] < 41 * memory["largest"]
    close(f(data(n, "float32")), slope(data(n, "float32")))


def test_blocks_run_on_any_number_of_threads_with_rows_of_their_own() -> None:
    y = gx.tensor("y", ("n",), "float32")
    x = data(100_003, "float32")
    value = chain(gx, y)
    alone, together = (gx.function([y], [value, gx.grad(gx.sum(value), y)], threads=k) for k in (1, 3))
    assert together.memory(n=len(x))["arena"] == 3 * alone.memory(n=len(x))["arena"] > 0
    for wanted, got in zip(alone(x), together(x), strict=True):
        assert (wanted == got).all()
    close(alone(x)[1], slope(x))


def test_runs_are_not_taken_into_runs() -> None:
    """The pass, run once more, finds nothing to do."""
    y = gx.tensor("y", ("n",))
    slopes = gx.grad(gx.sum(chain(gx, y)), y)
    again = y * gx.sum(slopes)  # of the same length, and later than the sum
    program = blocking.block(assembled([y], [slopes, gx.grad(gx.sum(chain(gx, again)), again)]), TARGET.l2 // 2)
    assert len(runs(program)) > 1
    assert format_program(blocking.block(program, TARGET.l2 // 2)) == format_program(program)


def test_what_fits_one_block_stays_as_it_is() -> None:
    y = gx.tensor("y", (1000,), "float32")
    f = gx.function([y], gx.grad(gx.sum(chain(gx, y)), y))
    assert f._program is not None and not runs(f._program)
    close(f(data(1000, "float32")), slope(data(1000, "float32")))


def test_sine_and_cosine_are_computed_together_and_once() -> None:
    y = gx.tensor("y", ("n",), "float32")
    f = gx.function([y], gx.grad(gx.sum(chain(gx, y)), y))
    n = 100_000
    assert f.cost(n=n)["transcendental"] == n * (2 * STEPS - 1)  # the last sine is nobody's


def test_values_of_a_run_that_are_used_outside_of_it_too() -> None:
    y = gx.tensor("y", ("n",), "float64")
    first = chain(gx, y, 20)
    middle = first - gx.mean(first)
    last = chain(gx, middle, 20)
    f = gx.function([y], {"first": first, "last": last, "sum": gx.sum(last * first), "cut": last[::2], "mean": gx.mean(middle * last)})
    for n in (1, 7, 256, 4097):
        x = data(n, "float64")
        a = chain(np, x, 20)
        m = a - a.mean()
        b = chain(np, m, 20)
        got = f(x)
        close(got["first"], a)
        close(got["last"], b)
        close(got["cut"], b[::2])
        np.testing.assert_allclose(got["sum"], (a * b).sum(), rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(got["mean"], (m * b).mean(), rtol=1e-10, atol=1e-10)


def test_an_input_and_a_first_value_read_late() -> None:
    x, y, s = gx.tensor("x", ("n",), "float32"), gx.tensor("y", ("n",), "float32"), gx.scalar("s", "float32")
    first = gx.sin(y * s)
    value = chain(gx, first) * x + first * s
    f = gx.function([x, y, s], value)
    run_of(f)
    for n in SIZES:
        a, b = data(n, "float32", 1), data(n, "float32", 2)
        begin = np.sin(b.astype(np.float64) * 0.75)
        close(f(a, b, 0.75), chain(np, begin) * a + begin * 0.75)


def test_rows_of_several_types(small: None) -> None:
    x = gx.tensor("x", ("n",), "float32")
    positive, wide = x > 0, gx.exp(x.astype("float64"))
    y = chain(gx, x)
    z = gx.where(positive, chain(gx, y.astype("float64"), 20) + wide, y)
    f = gx.function([x], [z, gx.exp(y).astype("int32")])
    run_of(f)
    for n in SIZES:
        a = data(n, "float32")
        u = chain(np, a.astype(np.float64))
        got, whole = f(a)
        wanted = np.where(a > 0, chain(np, u, 20) + np.exp(a.astype(np.float64)), u)
        np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=2e-5)
        assert whole.dtype == np.int32 and (whole == np.exp(u).astype(np.int32)).all()


@pytest.mark.parametrize("shape", [("n", 33), (33, "n"), ("n", "m"), ("n", 1, 33), (70, 33)])
def test_arrays_of_several_axes_are_taken_flat(shape: tuple[Any, ...], small: None) -> None:
    y = gx.tensor("y", shape, "float64")
    f = gx.function([y], gx.grad(gx.sum(chain(gx, y)), y))
    run_of(f)
    for n, m in ((1, 5), (9, 40), (0, 3)):
        x = data(1, "float64") + np.ones([{"n": n, "m": m}.get(s, s) for s in shape])
        x += np.arange(x.size).reshape(x.shape) * 0.001
        close(f(x), slope(x))


def test_state_is_updated_inside_a_run(small: None) -> None:
    """w, its velocity and a copy of the old w: in place where that is safe, and read before they are replaced."""
    n = 1000
    w0, v0 = data(n, "float64", 1), data(n, "float64", 2)
    w, v, old = gx.shared(w0, "w"), gx.shared(v0, "v"), gx.shared(np.zeros(n), "old")
    x = gx.tensor("x", (n,), "float64")
    g = gx.grad(gx.sum(chain(gx, w) * x), w)
    velocity = 0.9 * v - 0.1 * g
    f = gx.function([x], gx.sum(chain(gx, velocity, 20)), updates={w: w + velocity, v: velocity, old: w})
    assert f._program is not None and runs(f._program)
    for step in range(3):
        a = data(n, "float64", 10 + step)
        v0 = 0.9 * v0 - 0.1 * slope(w0) * a
        np.testing.assert_allclose(f(a), chain(np, v0, 20).sum(), rtol=1e-11)
        close(old.get_value(), w0)
        w0 = w0 + v0
        close(w.get_value(), w0)
        close(v.get_value(), v0)


def test_states_that_change_places(small: None) -> None:
    n = 500
    a0, b0 = data(n, "float64", 1), data(n, "float64", 2)
    a, b = gx.shared(a0, "a"), gx.shared(b0, "b")
    f = gx.function([], updates={a: chain(gx, b), b: chain(gx, a)})
    for _ in range(2):
        f()
        a0, b0 = chain(np, b0), chain(np, a0)
        close(a.get_value(), a0)
        close(b.get_value(), b0)


def test_other_kernels_between_the_launches_of_a_run(small: None) -> None:
    """A reduction, a gather with its check, and values of another shape: what needs them is not moved before them."""
    x, i = gx.tensor("x", ("n",), "float64"), gx.tensor("i", ("n",), "int64")
    t = gx.tensor("t", ("m",), "float64")
    y = chain(gx, x)
    other = chain(gx, t)
    gathered = y[i]
    z = chain(gx, y * gathered + gx.sum(other))
    f = gx.function([x, i, t], [z, other])
    for n, m in ((1, 1), (64, 200), (333, 64)):
        a, b = data(n, "float64"), data(m, "float64", 3)
        at = np.random.default_rng(4).integers(0, n, n)
        u, v = chain(np, a), chain(np, b)
        got, second = f(a, at, b)
        close(second, v)
        close(got, chain(np, u * u[at] + v.sum()))
    with pytest.raises(IndexError):
        f(a, at + n, b)


def test_special_values_pass_through(small: None) -> None:
    y = gx.tensor("y", ("n",), "float32")
    f = gx.function([y], gx.grad(gx.sum(chain(gx, y)), y))
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, 5000.0, -1e-40] * 11, np.float32)
    with np.errstate(invalid="ignore"):
        wanted = slope(x)
    assert (np.isnan(f(x)) == np.isnan(wanted)).all()
    near = np.abs(x) < 10
    close(f(x)[near], wanted[near])


def test_a_run_whose_rows_do_not_fit_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    y = gx.tensor("y", ("n",), "float64")
    graph = [y], [gx.grad(gx.sum(chain(gx, y, 100)), y)]
    monkeypatch.setattr(blocking, "ROOM", 1)
    program = blocking.block(assembled(*graph), 60 * 8 * blocking.SMALLEST)
    verify_program(program)
    made = runs(program)
    assert len(made) >= 2
    for run in made:
        assert block_of(run) >= blocking.SMALLEST
        touched = {program.roots[b] for step in run.steps for b in step.own}
        rows = sum(b.dtype.itemsize * int(b.shape[0]) for b in map(program.buffers.__getitem__, touched) if b.role == "scratch")
        assert 0 < rows <= 60 * 8 * (blocking.SMALLEST + blocking.LINE)
    host = gx.function([y], graph[1][0])
    monkeypatch.setattr(blocking, "block", lambda program, cache: program)
    x = data(3000, "float64")
    close(host(x), slope(x, 100), 100)


def test_kernels_that_share_no_value_stay_apart() -> None:
    x, y = gx.tensor("x", ("n",), "float32"), gx.tensor("y", ("n",), "float32")
    f = gx.function([x, y], [gx.sum(gx.exp(x)[None, :] * gx.sin(y)[:, None], axis=0), gx.log(x)])
    assert f._program is not None and not runs(f._program)


def test_text_of_a_run(golden: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphc.passes.fusion.fuse.limits", lambda _: Limits(functions=2))
    y, s = gx.tensor("y", ("n", 3), "float32"), gx.scalar("s", "float32")
    golden("block", text_of(blocking.block(assembled([y, s], [gx.grad(gx.sum(chain(gx, y * s, 3)), y)]), TARGET.l2 // 2)))


# -- the verifier -----------------------------------------------------------------------------------------------------
def _broken() -> Iterator[tuple[str, Callable[[list[Step]], list[Step]], str]]:
    def moved(steps: list[Step], which: int, offset: Any) -> list[Step]:
        """With the view of another place in the loop."""
        return [replace(s, offset=offset(s.offset)) if k == which and isinstance(s, View) else s for k, s in enumerate(steps)]

    def last_view(steps: list[Step]) -> int:
        return max(k for k, s in enumerate(steps) if isinstance(s, View))

    yield (
        "order",
        lambda s: [*(v for v in s if isinstance(v, View)), *[v for v in s if isinstance(v, Launch)][::-1]],
        "before it is written",
    )
    yield "row", lambda s: moved(s, 0, lambda at: at + 17), "places %"
    yield "array", lambda s: moved(s, last_view(s), lambda at: at + 1), "places %|touch one part"
    yield "overlap", lambda s: moved(s, last_view(s), lambda at: at - at // 64), "overlap|touch one part|places %"
    yield "whole", lambda s: moved(s, last_view(s), lambda at: 0), "must touch one part of its own"
    yield "placed", lambda s: [v for k, v in enumerate(s) if k != last_view(s)], "must touch one part of its own"


@pytest.mark.parametrize(("change", "message"), [c[1:] for c in _broken()], ids=[c[0] for c in _broken()])
def test_broken_blocks_are_found(change: Callable[[list[Step]], list[Step]], message: str) -> None:
    y = gx.tensor("y", ("n",), "float32")
    program = blocking.block(assembled([y], [gx.grad(gx.sum(chain(gx, y)), y)]), TARGET.l2 // 2)
    verify_program(program)
    (run,) = runs(program)
    with pytest.raises(CompileError, match=message):
        verify_program(replace(program, steps=(replace(run, steps=tuple(change(list(run.steps)))),)))


def test_a_run_does_not_draw_a_write_to_state_before_a_check() -> None:
    """The indices come from the middle of a run: the check stands behind all of it, and the product that updates W behind the check."""
    n = 20000
    i, x, z = gx.tensor("i", (n,), "int64"), gx.tensor("x", (n,)), gx.tensor("z", (10,))
    a, b = gx.tensor("a", (5, 7)), gx.tensor("b", (7, 5))
    w = gx.shared(np.ones((5, 5)), "w")
    y = x
    for k in range(60):
        y = gx.sin(y) + x
        if k == 30:
            j = gx.floor(y * 0).astype("int64") + i
    f = gx.function([i, x, z, a, b], [gx.take(z, j[:50]), y], updates={w: w - 0.1 * (a @ b)})
    steps = [line for line in f.program.splitlines() if line.startswith(("parallel", "check", "--", "  contract"))]
    assert [s.split()[0] for s in steps] == ["parallel", "check", "--", "contract"]
    arrays = np.zeros(n), np.ones(10), np.ones((5, 7)), np.ones((7, 5))
    f(np.zeros(n, "int64"), *arrays)
    np.testing.assert_allclose(w.get_value(), np.full((5, 5), 0.3))
    with pytest.raises(gx.IndexOutOfRange):
        f(np.full(n, 10), *arrays)
    np.testing.assert_allclose(w.get_value(), np.full((5, 5), 0.3))


def test_a_kernel_that_also_combines_is_no_run() -> None:
    """out[i] = b[i] * sum over r of a[0]: what the sum reads is one element of all blocks, but it is a loop of its own."""
    i, r = loop_index(0), loop_index(0, "r")
    here, axis = (sc.index(i),), Axis(i, 1000)
    times = Stage((), sc.load(1, here, float64), float64, stores=(Store(2, here),))
    sums = Stage((), sc.load(0, (sc.const(0, int64),), float64), float64, (Axis(r, 3),), "sum")
    operands = (Operand(float64, (1,)), Operand(float64, (1000,)), Operand(float64, (1000,), True))
    assert element_form(Kernel((axis,), (times,), operands), loop_length(0)) is not None
    product = replace(times, body=times.body * sc.local(0, (), float64))
    assert element_form(Kernel((axis,), (sums, product), operands), loop_length(0)) is None


# -- sums between the halves of a run ---------------------------------------------------------------------------------
def valued(loss: Callable[[Node, Node], Node], shape: Any, dtype: str, steps: int = STEPS) -> gx.Function:
    """Of a chain the losses and the gradient of the first."""
    x, t = gx.tensor("x", shape, dtype), gx.tensor("t", shape, dtype)
    y = chain(gx, x, steps)
    first, *others = loss(y, t)
    return gx.function([x, t], [first, *others, gx.grad(first, x)])


LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "sum": lambda y, t: [y.sum()],
    "squares": lambda y, t: [((y - t) ** 2).mean()],
    "two": lambda y, t: [(y * t).sum(), y.max()],
    "two of one": lambda y, t: [y.sum(), (y * y).sum()],
}


@pytest.mark.parametrize(("loss", "dtype"), list(zip(LOSSES, ("float32", "float64") * 2, strict=True)))
def test_value_and_gradient_of_a_chain_in_one_run(loss: str, dtype: str) -> None:
    """The sum, which the way back does not read, is taken behind the run, of one array that is stored for it."""
    f = valued(LOSSES[loss], ("n",), dtype)
    assert f._program is not None and sum(isinstance(s, Launch) and s.kernel.axes != () for s in f._program.steps) == 0
    (run,) = runs(f._program)
    assert f._program.steps[0] is run
    for n in SIZES[1:]:
        x, t = data(n, dtype), data(n, dtype, seed=1)
        *values, g = f(x, t)
        y = chain(np, x.astype(np.float64))
        wanted = LOSSES[loss](y, t)
        np.testing.assert_allclose(values, wanted, rtol=1e-4 if dtype == "float32" else 1e-12, atol=1e-5 if dtype == "float32" else 1e-12)
        factor = {"sum": 1, "two of one": 1, "two": t, "squares": 2 * (y - t) / n}[loss]
        close(g, slope(x) * factor, 2 * STEPS)


def test_a_chain_a_thousand_deep_with_value_and_gradient_needs_two_arrays() -> None:
    """y <- sin(1.01 y + 0.1): all that is saved for the way back are rows of one block; one array is stored for the sum."""
    n = 1_000_000
    f = valued(LOSSES["sum"], ("n",), "float32", 1000)
    assert f.memory(n=n)["arena"] < 2 * 4 * n
    x = data(300, "float32")
    value, g = f(x, x)
    np.testing.assert_allclose(value, chain(np, x.astype(np.float64), 1000).sum(), rtol=1e-4)
    close(g, slope(x, 1000), 1000)


def test_a_sum_that_the_way_back_reads_stays_where_it_is() -> None:
    x = gx.tensor("x", ("n",), "float64")
    s = chain(gx, x).sum()
    graph = Graph((x,), (s * s, gx.grad(s * s, x)))
    before = assemble(graph, (), fuse(graph), ())
    assert postpone_sums(before) == before
    x0 = data(300, "float64")
    close(gx.function([x], graph.outputs[1])(x0), slope(x0) * 2 * chain(np, x0).sum())


def test_a_sum_of_a_short_chain_stays_in_its_kernel() -> None:
    x = gx.tensor("x", (1 << 20,), "float32")
    s = chain(gx, x, 3).sum()
    graph = Graph((x,), (s, gx.grad(s, x)))
    before = assemble(graph, (), fuse(graph), ())
    assert len(before.steps) == 1 and postpone_sums(before) == before
