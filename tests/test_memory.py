"""The memory plan under stress: random updates that overwrite what others read, in place and in any order; values packed side by side."""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc.costs import Limits
from graphc.dims import Size
from graphc.ir import Node
from graphc.passes.storage import memory
from graphc.passes.storage.largest_first import largest_first, most_alive
from graphc.passes.storage.memory import Fits, Free, _take, plan_memory, update_in_place
from graphc.passes.storage.scalar_buffers import pack
from graphc.program import Launch, format_program
from graphc.verify.program import verify_program
from tests.stages import assembled, planned

Golden = Callable[[str, str], None]


# -- updates ------------------------------------------------------------------------------------------------------------
def random_value(rng: random.Random, pool: Sequence[Node], x: Node, index: Node) -> Node:
    """A value of the shape of the states (n, 4), which reads some of them in some way."""
    a, b = rng.choice(pool), rng.choice(pool)
    return rng.choice(
        [
            lambda: a,
            lambda: b[::-1],
            lambda: a + b * 0.5,
            lambda: gx.roll(a, 1, axis=1),
            lambda: a - gx.sum(b) * 0.01,
            lambda: a * 0.5 + gx.mean(b, axis=0),
            lambda: gx.softmax(a, axis=1) + b * 0.25,
            lambda: gx.cumsum(a, axis=rng.randrange(2)) * 0.1,
            lambda: (a @ (b.T @ b)) * 0.01,
            lambda: a[index],
            lambda: a.at[index].add(b * 0.1),
            lambda: gx.where(a > b, a, x),
            lambda: a.reshape(gx.dim("n") * 4).reshape(gx.dim("n"), 4),
            lambda: gx.concatenate([b[:, 2:], a[:, :2]], axis=1),
            lambda: gx.tanh(a) + gx.max(b, axis=1, keepdims=True),
            lambda: x,
            lambda: gx.broadcast_to(gx.sum(a, axis=0), (gx.dim("n"), 4)) * 0.05,
        ]
    )()


@pytest.mark.parametrize("seed", range(40))
def test_random_updates(seed: int) -> None:
    """Native code and the interpreter take the same three steps; the outputs show old state, a step that fails changes nothing."""
    rng = random.Random(seed)
    known = rng.random() < 0.3
    rows = 5
    x, index = gx.tensor("x", ("n", 4)), gx.tensor("i", ("n",), "int64")
    start = [np.random.default_rng(k).normal(size=(rows, 4)) for k in range(4)]
    results = {}
    for mode in ("interpret", "default", "none"):
        rng = random.Random(seed)
        states = [gx.shared(v, f"s{k}", shape=None if known else ("n", 4)) for k, v in enumerate(start)]
        pool: list[Node] = [*states, x]
        if known:
            pool = [s + x * 0 for s in states]  # sizes of the states are ints; x has the symbol
        for _ in range(rng.randrange(4)):
            pool.append(random_value(rng, pool, x, index))
        chosen = rng.sample(states, rng.randrange(1, 5))
        updates = [(s, random_value(rng, pool, x, index)) for s in chosen]
        outputs = [random_value(rng, pool, x, index) for _ in range(rng.randrange(3))] + list(states)
        f = gx.function([x, index], outputs, updates=updates, mode=mode)
        seen = []
        for step in range(3):
            X = np.random.default_rng(100 + step).normal(size=(rows, 4))
            seen += f(X, np.random.default_rng(step).integers(-rows, rows, rows))
            if f.mode != "interpret" and any("gather" in line or "scatter" in line for line in f.graph.splitlines()):
                before = gx.get_values(states)
                try:
                    f(X, np.full(rows, rows + 3))
                except gx.IndexOutOfRange:
                    for s, old in zip(states, before):
                        np.testing.assert_array_equal(s.get_value(), old)
                else:  # what is indexed was not needed
                    gx.set_values(states, before)
        results[mode] = [*seen, *gx.get_values(states)]
    for mode in ("default", "none"):
        for got, want in zip(results[mode], results["interpret"]):
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9, err_msg=mode)


def test_seed_106_rows_that_are_all_the_same() -> None:
    """An index that selects among equal rows is not read by any kernel, but checked."""
    i, v = gx.tensor("i", ("n",), "int64"), gx.vector("v", 3)
    f = gx.function([i, v], gx.broadcast_to(v, (gx.dim("n"), 3))[i])
    assert f([0, 1], [1, 2, 3]).tolist() == [[1, 2, 3], [1, 2, 3]]
    with pytest.raises(gx.IndexOutOfRange, match="index 2 at position"):
        f([0, 2], [1, 2, 3])


def test_one_state_read_by_many_while_it_is_replaced() -> None:
    s = gx.shared(np.arange(6.0), "s")
    others = [gx.shared(np.zeros(6), f"t{k}") for k in range(5)]
    f = gx.function([], [gx.sum(s), s[::-1]], updates=[(s, s * 2 + 1), *[(t, t + gx.roll(s, k) + s) for k, t in enumerate(others)]])
    value, sums = np.arange(6.0), [np.zeros(6) for _ in others]
    for _ in range(3):
        got = f()
        np.testing.assert_array_equal(got[1], value[::-1])
        sums = [t + np.roll(value, k) + value for k, t in enumerate(sums)]
        value = value * 2 + 1
        for t, want in zip(others, sums):
            np.testing.assert_array_equal(t.get_value(), want)
        np.testing.assert_array_equal(s.get_value(), value)


# -- packing ------------------------------------------------------------------------------------------------------------
def scalars(count: int) -> tuple[list[Node], list[Node]]:
    """Straight-line code of more than one kernel, many values of which are read by later ones."""
    xs = [gx.scalar(f"x{k}") for k in range(3)]
    values = list(xs)
    for k in range(count):
        values.append(gx.tanh(values[-1] * xs[k % 3]) + values[k // 2] * 0.5)
    return xs, [sum(values[::2], values[1])]


def test_values_between_straight_line_kernels_are_packed(monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    monkeypatch.setattr("graphc.passes.fusion.fuse.limits", lambda _: Limits(straight=8))
    xs, outputs = scalars(10)
    golden("memory_pack", format_program(planned(xs, outputs)))


def test_few_arguments_for_many_values() -> None:
    xs, outputs = scalars(600)
    before, program = assembled(xs, outputs), planned(xs, outputs)
    most = lambda p: max(len(s.buffers) for s in p.steps if isinstance(s, Launch))
    assert most(before) > 60 and most(program) < 30
    f = gx.function(xs, outputs)
    x = [0.3, -0.7, 0.9]
    values = list(x)
    for k in range(600):
        values.append(np.tanh(values[-1] * x[k % 3]) + values[k // 2] * 0.5)
    np.testing.assert_allclose(f(*x)[0], sum(values[::2], values[1]), rtol=1e-11)


def test_what_is_not_packed() -> None:
    """Values that loops, checks, outputs or state need keep their own buffer."""
    x, i = gx.vector("x", "n"), gx.scalar("i", "int64")
    s = gx.shared(0.0, "s")
    parts = [gx.sum(x * k) for k in range(1, 9)]
    scaled = [gx.tanh(p) * 2 for p in parts]
    f = gx.function([x, i], [x * v for v in scaled] + [x[i + k] for k in range(3)] + scaled, updates={s: s + sum(scaled, s)})
    X = np.array([0.1, 0.2, -0.05])
    got = f(X, -3)
    want = [np.tanh(np.sum(X * k)) * 2 for k in range(1, 9)]
    for k in range(8):
        np.testing.assert_allclose(got[k], X * want[k], rtol=1e-12)
        np.testing.assert_allclose(got[11 + k], want[k], rtol=1e-12)
    np.testing.assert_array_equal([got[8], got[9], got[10]], X)
    assert s.get_value() == pytest.approx(sum(want))
    with pytest.raises(gx.IndexOutOfRange):
        f(X, 1)
    assert s.get_value() == pytest.approx(sum(want))


def test_free_blocks_are_taken_as_by_first_fit() -> None:
    """Blocks by size give what one list of free blocks gave, searched from its front."""
    n = gx.dim("n")
    choices = [64, 128, 192, 64 * n, 128 * n, 64 * n + 64]
    for seed in range(40):
        rng = random.Random(seed)
        sizes: list[Size] = []
        listed: list[Size] = []
        free: Free = {}
        plain: list[int] = []
        live: list[int] = []
        for k in range(60):
            if live and rng.random() < 0.5:
                block = live.pop(rng.randrange(len(live)))
                free.setdefault(sizes[block], deque()).append((k, block))
                plain.append(block)
                continue
            size = rng.choice(choices)
            live.append(_take(size, sizes, free, Fits()))
            assert live[-1] == _first_fit(size, listed, plain) and sizes == listed


def _first_fit(size: Size, sizes: list[Size], free: list[int]) -> int:
    for k, block in enumerate(free):
        if dims.less_equal(size, sizes[block]) is True:
            return free.pop(k)
    for k, block in enumerate(free):
        if isinstance(size, int) and isinstance(sizes[block], int):
            sizes[block] = size
            return free.pop(k)
    sizes.append(size)
    return len(sizes) - 1


def test_the_largest_first_is_a_plan() -> None:
    """What lives at the same time lies apart, and no more is taken than up to the end of the last; never less than must live at once."""
    rng = random.Random(3)
    for count in (0, 1, 2, 12, 60):
        for _ in range(8):
            begins = [rng.randrange(20) for _ in range(count)]
            spans = [(first, first + rng.randrange(8), 64 * rng.randrange(6)) for first in begins]
            starts, total = largest_first(spans)
            living = [[k for k, (first, last, _) in enumerate(spans) if first <= step <= last] for step in range(28)]
            assert most_alive(spans) == max(sum(spans[k][2] for k in alive) for alive in living) <= total
            assert total == max([a + s for a, (_, _, s) in zip(starts, spans)], default=0) and min(starts, default=0) >= 0
            for alive in living:
                parts = sorted((starts[k], starts[k] + spans[k][2]) for k in alive if spans[k][2])
                assert all(a[1] <= b[0] for a, b in itertools.pairwise(parts))


def test_an_arena_is_never_larger_than_by_first_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a network that is trained, a product of its Hessian, attention and a loop; the first two waste by first fit."""
    rng = np.random.default_rng(0)
    x = gx.tensor("x", (64, 40))
    sizes = (40, 96, 48, 10)
    w = [gx.shared(rng.normal(size=s) * 0.1, f"w{k}") for k, s in enumerate(itertools.pairwise(sizes))]
    h: Node = x
    for part in w:
        h = gx.tanh(h @ part)
    loss = gx.sum(h * h)
    gradient = gx.grad(loss, w)
    adam = [(part, part - 0.1 * g / (gx.sqrt(gx.mean(g * g)) + 1)) for part, g in zip(w, gradient)]
    v = [gx.tensor(f"v{k}", part.shape) for k, part in enumerate(w)]
    q = gx.tensor("q", (3, 20, 8))
    attention = gx.softmax(q @ gx.swapaxes(q, 1, 2), axis=-1) @ q
    t = gx.tensor("t", (5,))
    last, _ = gx.scan(lambda c, a: (gx.tanh(c @ w[0][:, :40]) + a, None), x, t)
    programs = {
        "training": assembled([x], [loss], adam),
        "hessian": assembled([x, *v], gx.hvp(loss, w, v)),
        "attention": assembled([q], [gx.grad(gx.sum(attention * attention), q)]),
        "loop": assembled([x, t], [last]),
    }
    made = {name: plan_memory(pack(update_in_place(p))) for name, p in programs.items()}
    monkeypatch.setattr(memory, "MOST_SORTED", -1)
    for name, program in made.items():
        verify_program(program)
        plain = plan_memory(pack(update_in_place(programs[name]))).arena
        assert isinstance(program.arena, int) and isinstance(plain, int)
        assert program.arena < plain if name == "hessian" else program.arena <= plain, name


# -- faults that were planted once and survived -----------------------------------------------------------------------
def test_a_failed_check_of_the_new_state_itself_changes_nothing() -> None:
    """s <- s + 1 where x is indexed by s + 1: the new value is made before the check, so not where the old one is."""
    x = gx.tensor("x", ("n",))
    s = gx.shared(np.array([0, 1, 2]), "s")
    f = gx.function([x], gx.take(x, s + 1), updates={s: s + 1})
    np.testing.assert_array_equal(f(np.arange(4.0)), [1, 2, 3])
    for call in range(3):
        with pytest.raises(gx.IndexOutOfRange):
            f(np.arange(4.0))
        np.testing.assert_array_equal(s.get_value(), [1, 2, 3], err_msg=f"call {call}")
    with pytest.raises(gx.IndexOutOfRange):
        f([0.0, 1.0, 2.0, 3.0])  # by the Python path
    np.testing.assert_array_equal(s.get_value(), [1, 2, 3])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("k", [5, 256, 257, 600])
@pytest.mark.parametrize("beside", [False, True])
def test_a_product_that_updates_in_place_sums_in_several_blocks(dtype: str, k: int, beside: bool) -> None:
    """W -= r * (X @ Y): where k takes several blocks, the sums of the first ones must not wait in W, which is still read.

    `beside`: r is a row, which is read as well, but from somewhere else.
    """
    rng = np.random.default_rng(k)
    x, y = rng.normal(size=(9, k)).astype(dtype), rng.normal(size=(k, 33)).astype(dtype)
    start, row = rng.normal(size=(9, 33)).astype(dtype), rng.normal(size=33).astype(dtype)
    rate = row if beside else np.asarray(0.1, dtype)
    for shapes in (((9, k), (k, 33)), (("m", "k"), ("k", "n"))):
        a, b = gx.tensor("a", shapes[0], dtype), gx.tensor("b", shapes[1], dtype)
        w = gx.shared(start, "w", shape=None if isinstance(shapes[0][0], int) else ("m", "n"))
        f = gx.function([a, b], [], updates={w: w - (gx.asarray(row) if beside else 0.1) * (a @ b)})
        f(x, y)
        want = start - rate * (x.astype("f8") @ y)
        np.testing.assert_allclose(w.get_value(), want, rtol=0, atol=(1e-5 if dtype == "float32" else 1e-13) * k)


def test_an_argument_that_is_one_of_several_states() -> None:
    """Its elements are read after some of them have been replaced, whatever the other states are."""
    s, t = gx.shared(np.arange(600.0), "s"), gx.shared(np.ones(6), "t")
    a = gx.tensor("a", (600,))
    f = gx.function([a], [], updates={s: s + a[::-1], t: t * 2}, threads=1)
    f(s.value)
    np.testing.assert_array_equal(s.get_value(), np.full(600, 599.0))
    np.testing.assert_array_equal(t.get_value(), np.full(6, 2.0))
