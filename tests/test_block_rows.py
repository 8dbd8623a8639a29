"""Runs by rows, and those beside arrays that have some axes alone: bit for bit what they give without, and what must stay out of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import scalars as sc
from graphc.costs import Limits
from graphc.dtypes import float64
from graphc.ir import Node
from graphc.options import Options, default_options, set_default_options
from graphc.passes.storage import cache_blocks as blocking
from graphc.passes.storage.block_forms import Form, element_form, row_form
from graphc.program import Axis, Kernel, Launch, Loop, Operand, Stage, Store, loop_index, loop_length
from tests.stages import assembled

Made = tuple[gx.Function, gx.Function]
Both = Callable[..., Made]


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Both:
    """A function with kernels of few members in blocks of few rows, between canaries, and the same without blocks."""
    monkeypatch.setattr("graphc.passes.fusion.fuse.limits", lambda _: Limits(functions=2, loop=12))
    for name in ("SMALLEST", "LARGEST"):
        monkeypatch.setattr(blocking, name, 64)
    monkeypatch.setattr("graphc.passes.pipeline.block", lambda program, cache: blocking.block(program, cache // 256))

    def make(inputs: Sequence[Node], outputs: Any, threads: int = 1, **more: Any) -> Made:
        before = default_options()
        try:
            set_default_options(Options(verify=True, canaries=True))
            blocks = gx.function(inputs, outputs, threads=threads, **more)
        finally:
            set_default_options(before)
        with monkeypatch.context() as patch:
            patch.setattr("graphc.passes.pipeline.block", lambda program, cache: program)
            return blocks, gx.function(inputs, outputs, threads=threads, **more)

    return make


def runs(f: gx.Function) -> list[Loop]:
    assert f._program is not None
    return [s for s in f._program.steps if isinstance(s, Loop) and s.parallel]


def same(made: Made, *arguments: Any) -> list[np.ndarray]:
    """Both functions give the same bits."""
    got, wanted = (gx.tree.flatten(f(*arguments))[0] for f in made)
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(a, b)
    return got


def data(*shape: int, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def layers(x: Node, depth: int) -> Node:
    """Softmaxes, means of rows and biases in turn."""
    bias = gx.asarray(np.linspace(-1, 1, int(x.shape[-1])).astype(x.dtype))
    for _ in range(depth):
        x = gx.sin(x * 1.5 + bias)
        x = x - gx.mean(x, axis=-1, keepdims=True) + gx.softmax(x, axis=-1)
    return x


@pytest.mark.parametrize(("shape", "dtype"), [(("n", 33), "float32"), (("n", 2, 5), "float64"), ((301, 16), "float64")])
def test_gradient_of_row_reductions_in_blocks(both: Both, shape: tuple[Any, ...], dtype: str) -> None:
    """Softmaxes, centred rows and biases: one run forth and back, with rows of blocks instead of arrays."""
    x = gx.tensor("x", shape, dtype)
    value = layers(x, 4)
    made = both([x], [gx.sum(value, axis=-1), gx.grad(gx.sum(value * value), x)])
    assert [len(runs(f)) for f in made] == [1, 0]
    sizes = (0, 1, 7, 64, 301) if shape[0] == "n" else (301,)
    for n in sizes:
        same(made, data(n, *shape[1:], dtype=dtype))
    memory = [f.memory(n=100_000) if shape[0] == "n" else f.memory() for f in made]
    assert memory[0]["arena"] < (memory[1]["arena"] / 100 if shape[0] == "n" else memory[1]["arena"])


def test_rows_on_threads(both: Both) -> None:
    x = gx.tensor("x", ("n", 24))
    value = layers(x, 3)
    alone, together = (both([x], gx.grad(gx.sum(value * value), x), threads=k) for k in (1, 3))
    X = data(2001, 24)
    np.testing.assert_array_equal(same(alone, X)[0], same(together, X)[0])


@pytest.mark.parametrize(("shape", "wanted"), [((100, 40), 1), (("n", 40), 1), ((63, 40), 0), ((63, 16), 1), ((100, 130), 0)])
def test_long_rows_if_there_are_many(both: Both, shape: tuple[Any, ...], wanted: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn of a run is a row at the least, which is enough for a thread; few of them are left to what
    threads share otherwise, where the run needs whole ones."""
    for name, value in (("SHORT_ROW", 16), ("LONGEST_ROW", 128)):
        monkeypatch.setattr(blocking, name, value)
    x, b = gx.tensor("x", shape), gx.tensor("b", shape[1:])
    y = x
    for _ in range(6):
        y = gx.sin(y * 1.5 + b - gx.mean(y, axis=-1, keepdims=True))
    made = both([x, b], gx.grad(gx.sum(y), x))
    assert [len(runs(f)) for f in made] == [wanted, 0]
    same(made, data(100 if shape[0] == "n" else int(shape[0]), int(shape[1])), data(int(shape[1]), seed=1))


def test_against_numpy(both: Both) -> None:
    x = gx.tensor("x", ("n", 20))
    f, _ = both([x], layers(x, 3))
    X = data(150, 20)
    want = X
    for _ in range(3):
        want = np.sin(want * 1.5 + np.linspace(-1, 1, 20))
        e = np.exp(want - want.mean(axis=1, keepdims=True))
        want = want - want.mean(axis=1, keepdims=True) + e / e.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(f(X), want, rtol=1e-12, atol=1e-13)


def farthest(y: Node, x: Node) -> Node:
    """For each row of x the largest product of its first element with any element of y."""
    return gx.max(y[None, :, :] * x[:, :1, None], axis=(1, 2))[:, None]


def test_what_meets_all_rows_waits_for_them(both: Both) -> None:
    """Sums down the columns, other rows, products and the transpose need all of a value: a run ends before them."""
    n = 33
    x, i = gx.tensor("x", (n, n)), gx.tensor("i", (n,), "int64")
    first = layers(x, 2)
    others = [
        farthest(first, x),
        gx.sum(first, axis=0),
        gx.max(first),
        first[i],
        first[::-1],
        first.T,
        first @ first,
        gx.cumsum(first, axis=0),
        gx.roll(first, 1, 0),
    ]
    last = [layers(gx.sin(first + other), 2) for other in others]
    made = both([x, i], [gx.sum(v, axis=1) for v in last])
    assert len(runs(made[0])) > 1
    for seed in range(2):
        same(made, data(n, n, seed=seed), np.random.default_rng(seed).integers(0, n, n))


def test_a_run_ends_before_what_meets_all_that_it_makes(both: Both) -> None:
    """The kernel of `farthest` goes row by row through x, and through all of what a run before it has made."""
    x = gx.tensor("x", (33, 33))
    first = layers(x, 2)
    made = both([x], layers(gx.sin(first + farthest(first, x)), 2))
    assert len(runs(made[0])) == 2
    same(made, data(33, 33))


def test_a_whole_array_that_is_replaced_later(both: Both) -> None:
    """w is read by columns, by rows and reversed, and replaced in its place by what is computed along its rows."""
    start = data(70, 8)
    states = [gx.shared(start, "w") for _ in range(2)]
    x = gx.tensor("x", (70, 8))
    results = []
    for k, w in enumerate(states):
        value = layers(w + x, 2)
        seen = layers(x * w[::-1] + gx.sum(w, axis=0), 2) + farthest(w, x)
        f = both([x], [seen, gx.softmax(w, axis=1)], updates={w: w - 0.1 * value})[k]
        results.append([*(out for seed in range(3) for out in f(data(70, 8, seed=seed))), w.get_value()])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_positions_and_gathers(both: Both) -> None:
    """Elements chosen inside a row may stand in a run; what computes with the number of its row may not."""
    x, k = gx.tensor("x", ("n", 9)), gx.tensor("k", ("n", 9), "int64")
    value = layers(x, 2)
    picked = layers(gx.take_along_axis(value, k, axis=1), 2)
    rows = gx.arange(gx.dim("n")).astype("float64")[:, None]
    ramp = layers(picked * gx.sin(rows), 2)
    under = gx.where(gx.arange(9)[None, :] <= gx.arange(gx.dim("n"))[:, None], ramp, 0.0)
    made = both([x, k], layers(under, 2))
    for n in (1, 65, 200):
        same(made, data(n, 9), np.random.default_rng(n).integers(0, 9, (n, 9)))
    with pytest.raises(gx.IndexOutOfRange):
        made[0](data(5, 9), np.full((5, 9), 9))


def test_in_the_body_of_a_loop(both: Both) -> None:
    x, t = gx.tensor("x", ("n", 12)), gx.tensor("t", ("T",))
    last, _ = gx.scan(lambda c, a: (layers(c, 2) * a, None), x, t)
    made = both([x, t], gx.grad(gx.sum(last * last), x))
    for n, turns in ((1, 2), (70, 3), (200, 0)):
        same(made, data(n, 12), data(turns))


# -- beside arrays that have some of the axes alone ---------------------------------------------------------------------
def beside(xp: Any, x: Any, others: Sequence[Any], steps: int = 4) -> tuple[Any, Any]:
    """A chain with what is added and multiplied in turn, and its derivative by each element of x."""
    slope = xp.ones_like(x)
    for k in range(steps):
        inner, factor = x * 0.9 + others[k % len(others)], others[(k + 1) % len(others)]
        x, slope = xp.sin(inner) * factor, slope * xp.cos(inner) * 0.9 * factor
    return x, slope


def spread_once(made: Made, count: int) -> bool:
    """Whether the first function is one run that spreads so many arrays, each once."""
    (run,) = runs(made[0])
    return sum(len(s.kernel.axes) > 1 for s in run.steps if isinstance(s, Launch)) == count


ALONE: dict[str, tuple[tuple[Any, ...], list[tuple[Any, ...]], list[tuple[int, ...]]]] = {  # shape, shapes of the others, sizes
    "vector": (("n",), [(1,), ()], [(0,), (1,), (63,), (64,), (65,), (300,)]),
    "row": (("n", "m"), [("m",)], [(0, 5), (5, 0), (1, 1), (1, 300), (70, 1), (30, 7), (5, 63), (5, 64), (5, 65), (3, 200), (2, 128)]),
    "column": (("n", "m"), [("n", 1)], [(0, 5), (5, 0), (1, 1), (1, 300), (70, 1), (30, 7), (5, 65), (3, 200)]),
    "both": (("n", "m"), [("m",), ("n", 1), ()], [(1, 1), (30, 7), (3, 200), (200, 3), (33, 33)]),
    "equal": (("n", "n"), [("n",), ("n", 1)], [(0, 0), (1, 1), (8, 8), (70, 70)]),
    "long rows": ((7, "m"), [("m",), (7, 1)], [(7, 1), (7, 500)]),
    "few known": ((3, 130), [(130,), (3, 1)], [(3, 130)]),
    "one of three": (("a", "b", "c"), [("b", 1)], [(0, 2, 3), (2, 0, 3), (2, 3, 0), (3, 5, 7), (2, 100, 3), (2, 3, 100), (70, 1, 1)]),
    "pairs of three": (("a", "b", "c"), [("b", "c"), ("a", 1, "c"), ("a", "b", 1)], [(3, 5, 7), (2, 100, 3), (2, 3, 100), (4, 4, 4)]),
    "each of three": (("a", 5, "c"), [("c",), (5, 1), ("a", 1, 1)], [(3, 5, 7), (1, 5, 1), (40, 5, 2), (2, 5, 90)]),
}


@pytest.mark.parametrize("name", ALONE)
def test_what_has_some_axes_alone_is_spread_in_blocks(both: Both, name: str) -> None:
    """Values and gradients on one thread and several, of arrays that lie side by side or not, for blocks of several rows and of parts."""
    shape, alone, sizes = ALONE[name]
    dtype = "float32" if name in ("row", "pairs of three") else "float64"
    x = gx.tensor("x", shape, dtype)
    others = [gx.tensor(f"b{k}", s, dtype) for k, s in enumerate(alone)]
    y, _ = beside(gx, x, others)
    several = [both([x, *others], [y, gx.grad(gx.sum(y), x)], threads=k) for k in (1, 2)[: 2 if name in ("row", "both") else 1]]
    assert all(spread_once(made, 0 if name == "vector" else len([s for s in alone if s])) for made in several)
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-12}
    for size in sizes:
        named = dict(zip(shape, size, strict=True))
        arrays = [data(*[named.get(s, s) for s in v], dtype=dtype, seed=k) for k, v in enumerate((shape, *alone))]
        for made in several:
            for strided in (False, True):
                given = [np.repeat(a, 2, axis=-1)[..., ::2] if strided and a.ndim else a for a in arrays]
                for got, wanted in zip(same(made, *given), beside(np, arrays[0], arrays[1:]), strict=True):
                    np.testing.assert_allclose(got, wanted, **close)


def test_spread_values_of_several_types_in_a_loop(both: Both) -> None:
    """A row of bools, one of integers and one that changes from turn to turn; two runs of one number of elements with other sides."""
    x, keep, k, t = (
        gx.tensor("x", ("n", "m")),
        gx.tensor("keep", ("m",), "bool"),
        gx.tensor("k", ("m",), "int32"),
        gx.tensor("t", ("T", "n")),
    )

    def turn(xp: Any, c: Any, a: Any) -> Any:
        for _ in range(3):
            c = xp.where(keep if xp is gx else K, xp.sin(c + k if xp is gx else c + N), c) * a[:, None]
        sizes, c = c.shape, c.reshape((c.shape[1], c.shape[0]))
        for _ in range(6):
            c = xp.sin(c * 1.5 + a)
        return c.reshape(sizes)

    last, _ = gx.scan(lambda c, a: (turn(gx, c, a), None), x, t)
    made = both([x, keep, k, t], last)
    assert made[0].program.count("parallel") > 1
    for n, m, turns in ((1, 1, 2), (9, 33, 3), (40, 5, 1), (5, 5, 0)):
        X, K, N, T = data(n, m), data(m, seed=1) > 0, np.arange(m, dtype="int32"), data(turns, n, seed=2)
        want = X
        for a in T:
            want = turn(np, want, a)
        np.testing.assert_allclose(same(made, X, K, N, T)[0], want, rtol=1e-11, atol=1e-12)


def test_what_is_spread_is_ready_before_and_stays(both: Both) -> None:
    """A bias that comes from what a run makes ends that run; one that is state is replaced behind it."""
    n = 33
    start = data(n, seed=3)
    x, bias = gx.tensor("x", (n, n)), [gx.shared(start, "w") for _ in range(2)]
    results = []
    for k, w in enumerate(bias):
        first, _ = beside(gx, x, [w])
        last, _ = beside(gx, first, [first[3], w[:, None] * w, gx.sum(first, axis=0)])
        f = both([x], [gx.sum(last, axis=1), last], updates={w: gx.sin(w) + last[0]})[k]
        results.append([*(out for seed in range(3) for out in f(data(n, n, seed=seed))), w.get_value()])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)
    w, X = start, data(n, n)
    first = beside(np, X, [w])[0]
    np.testing.assert_allclose(results[0][1], beside(np, first, [first[3], w[:, None] * w, first.sum(axis=0)])[0], rtol=1e-10, atol=1e-11)


def test_a_run_beside_a_bias_needs_a_few_blocks() -> None:
    """120 sines with a bias and their gradient, whatever the rows are: nothing but rows of a block."""
    for shape in (("n", "m"), (40, 100_000)):
        x, b = gx.tensor("x", shape, "float32"), gx.tensor("b", shape[1:], "float32")
        y = x
        for _ in range(40):
            y = gx.sin(y * 0.9 + b)
        f = gx.function([x, b], gx.grad(gx.sum(y), x), threads=1)
        memory = f.memory(**({"n": 40, "m": 100_000} if shape[0] == "n" else {}))
        assert memory["arena"] < 1 << 20


# -- kernels by hand ----------------------------------------------------------------------------------------------------
ROW, PLACE, REDUCED = loop_index(0), loop_index(1), loop_index(0, "r")
N = gx.dim("n")
L = loop_length(0)


def kernel_of(stages: Sequence[Stage], operands: Sequence[Operand], extent: Any = N, inner: Any = 5) -> Kernel:
    return Kernel((Axis(ROW, extent), Axis(PLACE, inner)), tuple(stages), tuple(operands))


def formed(stages: Sequence[Stage], operands: Sequence[Operand]) -> Form | None:
    return row_form(kernel_of(stages, operands), loop_length(0))


def stored(body: sc.Scalar, at: tuple[Any, ...] = (ROW, PLACE), mode: str = "set") -> Stage:
    return Stage((), body, float64, stores=(Store(1, tuple(map(sc.index, at)), mode),))


OUT = Operand(float64, (N, 5), True)


def test_forms_of_kernels() -> None:
    load = lambda *at: sc.load(0, tuple(map(sc.index, at)), float64)
    row, column, square = Operand(float64, (N, 5)), Operand(float64, (5, N)), Operand(float64, (N, N))
    bias, single = Operand(float64, (5,)), Operand(float64, (1, N, 5))
    good = {
        "own": ([stored(load(ROW, PLACE))], (row, OUT), (True, True)),
        "bias": ([stored(load(PLACE))], (bias, OUT), (False, True)),
        "literal one": ([stored(load(0, ROW, PLACE))], (single, OUT), (True, True)),
        "one row": ([stored(load(3, PLACE))], (row, OUT), (False, True)),
        "inside": ([stored(load(ROW, 4 - PLACE))], (row, OUT), (True, True)),
    }
    for name, (stages, operands, along) in good.items():
        form = formed(stages, operands)
        assert form is not None and form.along == along and form.total == N and form.widest == 5, name
    bad = {
        "shifted": ([stored(load(ROW + 1, PLACE))], (row, OUT)),
        "reversed": ([stored(load(N - 1 - ROW, PLACE))], (row, OUT)),
        "transposed": ([stored(load(PLACE, ROW))], (column, OUT)),
        "diagonal": ([stored(load(ROW, ROW))], (square, OUT)),
        "two ways": ([stored(load(ROW, PLACE) + load(0, PLACE))], (row, OUT)),
        "position": ([stored(sc.index(ROW).cast(float64))], (row, OUT)),
        "other count": ([stored(load(ROW, PLACE))], (Operand(float64, (N + 1, 5)), OUT)),
        "added": ([stored(load(ROW, PLACE), mode="add")], (row, OUT)),
        "no number": ([stored(load(ROW, 0), (ROW, PLACE))], (square, OUT)),
    }
    for name, (stages, operands) in bad.items():
        assert formed(stages, operands) is None, name
    triangle = Stage((Axis(REDUCED, ROW + 1),), load(ROW, REDUCED), float64)
    assert formed([triangle, stored(load(ROW, PLACE))], (row, OUT)) is None


def test_elements_that_are_no_others() -> None:
    """In square arrays every index fits every axis: it says which of them an array has."""
    load = lambda *at: sc.load(0, tuple([sc.index(i) for i in at]), float64)
    vector, square, out = Operand(float64, (N,)), Operand(float64, (N, N)), Operand(float64, (N, N), True)
    axes = {"row": load(PLACE), "column": load(ROW), "own": load(ROW, PLACE), "one": load(3)}
    for name, body in axes.items():
        form = element_form(kernel_of([stored(body)], (square if name == "own" else vector, out), N, N), L)
        assert form is not None and form.along == (name == "own", True) and bool(form.sides) == (name in ("row", "column")), name
        assert form.spread[:1] == {"row": ((1,),), "column": ((0,),)}.get(name, ()), name
    bad = [load(ROW) + load(PLACE), load(ROW + 1), load(3) + load(ROW)]
    assert all(element_form(kernel_of([stored(body)], (vector, out), N, N), L) is None for body in bad)
    bad = [load(PLACE, ROW), load(ROW, ROW), load(3, PLACE), load(ROW, PLACE) + load(PLACE, ROW)]
    assert all(element_form(kernel_of([stored(body)], (square, out), N, N), L) is None for body in bad)
    assert element_form(kernel_of([stored(load(ROW), (ROW,))], (vector, replace(vector, written=True)), N, N), L) is None


def test_a_part_of_what_a_run_writes_is_not_spread_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a bias is the first row of what an earlier kernel writes, these two are not in one run."""
    monkeypatch.setattr("graphc.passes.fusion.fuse.limits", lambda _: Limits(functions=2))
    x, bias = gx.tensor("x", ("n", 300)), gx.tensor("bias", (300,))
    y = x
    for _ in range(8):
        y = gx.sin(y * 0.9 + bias)
    program = assembled([x, bias], [y])
    steps = [s for s in program.steps if isinstance(s, Launch)]
    part = len(program.buffers)
    changed = [part if len(program.buffers[b].shape) == 1 else b for b in steps[-1].buffers]
    row = replace(program.buffers[steps[0].writes[0]], shape=(300,), alias=steps[0].writes[0])
    for last, members in ((steps[-1], len(steps)), (replace(steps[-1], buffers=tuple(changed)), len(steps) - 1)):
        made = replace(program, buffers=(*program.buffers, row), steps=(*program.steps[:-1], last))
        (run,) = [s for s in blocking.block(made, 1 << 16).steps if isinstance(s, Loop)]
        assert len([s for s in run.steps if isinstance(s, Launch)]) == 1 + members  # one spreads
