"""Loops and branches of scalar code as one kernel: against the interpreter, against unrolled twins, and in every dtype."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc.costs import Limits
from graphc.ops.outputs import get
from graphc.passes.fusion.scalar_loops import scalar_code
from graphc.program import Loop, Turns, launches

FLOATS = ("float32", "float64")
EXTREMES = np.array([0.0, -0.0, 1.5, -2.0, np.inf, -np.inf, np.nan, 1e-310])


def compiled(inputs: Any, outputs: Any) -> Any:
    """The function, with every stage verified; loops and branches are kernels, or long ones stretches of a kernel."""
    f = gx.function(inputs, outputs, mode="verify")
    for step in f._native().program.steps:
        assert not step.inner or (isinstance(step, Loop) and [s.kernel.kind for s in launches(step.steps)] == ["scalar"])
    return f


def agree(inputs: Any, outputs: Any, *calls: tuple[Any, ...], exact: bool = False) -> Any:
    """Native code gives what the interpreter gives."""
    f, g = compiled(inputs, outputs), gx.function(inputs, outputs, mode="interpret")
    for values in calls:
        for have, want in zip(f(*values), g(*values), strict=True):
            assert have.dtype == want.dtype
            assert have.shape == want.shape
            tolerance = 0.0 if exact or have.dtype.kind != "f" else 3e-5 if have.dtype == np.float32 else 1e-12
            np.testing.assert_allclose(have, want, rtol=tolerance, atol=tolerance)
    return f


def vector(length: int, dtype: str = "float64") -> np.ndarray:
    return np.linspace(-1.0, 1.3, length).astype(dtype) if length else np.zeros(0, dtype)


# -- scans ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("unroll", [1, 3])
def test_scan_of_symbolic_length(dtype: str, reverse: bool, unroll: int) -> None:
    x, c = gx.tensor("x", ("n",), dtype), gx.tensor("c", (), dtype)
    last, ys = gx.scan(lambda s, t: (s * t + 0.5, s - t), c, x, reverse=reverse, unroll=unroll)
    f = agree([c, x], [last, ys], *[(np.array(0.3, dtype), vector(n, dtype)) for n in (0, 1, 2, 3, 4, 7, 100)])
    assert f(np.array(0.3, dtype), vector(0, dtype))[0] == np.array(0.3, dtype)


@pytest.mark.parametrize("length", [0, 1, 2, 5])
@pytest.mark.parametrize("unroll", [1, 2, 7])
def test_scan_of_static_length_equals_its_unrolled_twin(length: int, unroll: int) -> None:
    x, a, b = gx.tensor("x", (length,)), gx.tensor("a"), gx.tensor("b")
    (p, q), ys = gx.scan(lambda s, t: ((s[1], s[0] * t - s[1]), s[0]), (a, b), x, unroll=unroll)
    u, v, rows = a, b, []
    for t in range(length):
        rows.append(u)
        u, v = v, u * x[t] - v
    values = np.array(1.25), np.array(-0.5), vector(length)
    have = compiled([a, b, x], [p, q, ys])(*values)
    want = gx.function([a, b, x], [u, v, gx.stack(rows) if rows else gx.zeros((0,))])(*values)
    for h, w in zip(have, want, strict=True):
        np.testing.assert_allclose(h, w, rtol=1e-14)


def test_turn_index_counts_rows() -> None:
    x, c = gx.tensor("x", ("n",)), gx.tensor("c")
    for reverse in (False, True):
        last, ys = gx.scan(lambda s, t: (s + t * gx.turn_index(), gx.turn_index()), c, x, reverse=reverse)
        agree([c, x], [last, ys], *[(np.array(0.0), vector(n)) for n in (0, 1, 6)])


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8", "bool"])
def test_carries_of_whole_numbers_and_truth(dtype: str) -> None:
    x, c = gx.tensor("x", ("n",), dtype), gx.tensor("c", (), dtype)
    turn = (lambda s, t: (s ^ t, s & ~t)) if dtype == "bool" else (lambda s, t: (s * t + s, s - t))
    last, ys = gx.scan(turn, c, x)
    data = np.arange(40).astype(dtype)
    agree([c, x], [last, ys], *[(data[3], data[:n]) for n in (0, 1, 2, 40)], exact=True)


@pytest.mark.parametrize("dtype", FLOATS)
def test_extremes_pass_through(dtype: str) -> None:
    x, c = gx.tensor("x", ("n",), dtype), gx.tensor("c", (), dtype)
    last, ys = gx.scan(lambda s, t: (gx.maximum(s, t), gx.where(t > s, t, -s)), c, x)
    agree([c, x], [last, ys], *[(np.array(v, dtype), EXTREMES.astype(dtype)) for v in EXTREMES], exact=True)


def test_small_arrays_are_scalars() -> None:
    m, w, x = gx.tensor("m", (3, 3)), gx.tensor("w", (3, 3)), gx.tensor("x", ("n", 3))
    table = np.array([[0.0, 1.0, -1.0], [0.5, 0.25, 0.0], [1.0, 0.0, 2.0]])

    def turn(m: Any, row: Any) -> tuple[Any, Any]:
        mixed = gx.tanh(m @ w * 0.3 + table) + row
        parts = gx.concatenate([mixed[1:], mixed[:1]]).T
        return parts, (gx.sum(mixed, axis=0), gx.max(mixed), gx.argmax(mixed, axis=1), gx.stack([row[2], row[0]]))

    last, ys = gx.scan(turn, m, x)
    rng = np.random.default_rng(3)
    agree([m, w, x], [last, *ys], *[(rng.normal(size=(3, 3)), rng.normal(size=(3, 3)), rng.normal(size=(n, 3))) for n in (0, 1, 5)])


def test_several_sequences_and_captured_rows() -> None:
    x, y, c, k = gx.tensor("x", ("n",)), gx.tensor("y", ("n", 2), "float32"), gx.tensor("c"), gx.tensor("k", ("m",))
    last, ys = gx.scan(lambda s, t: (s + t["y"][1] * gx.exp(k[0]), (s, t["x"] > s)), c, {"x": x, "y": y})
    for n in (0, 1, 4):
        agree([c, x, y, k], [last, *ys], (np.array(0.1), vector(n), vector(2 * n, "float32").reshape(n, 2), vector(3)))


@pytest.mark.parametrize("name", ["exp", "sin", "cos", "log", "tanh", "erf", "expm1", "sqrt", "arctan"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_functions_in_turns(name: str, dtype: str) -> None:
    x, c = gx.tensor("x", ("n",), dtype), gx.tensor("c", (), dtype)
    f = getattr(gx, name)
    last, ys = gx.scan(lambda s, t: (0.5 * gx.tanh(f(abs(s) + t)) + 1, f(t) + f(t + 1)), c, x)
    far = np.array([0.5, 1e-5, 3.0, 80.0, 1e8, 0.0, np.inf, np.nan, 2.0], dtype)
    agree([c, x], [last, ys], (np.array(0.7, dtype), far), (np.array(0.7, dtype), far[:1]))


def test_what_nobody_reads_is_not_stored() -> None:
    x, c = gx.tensor("x", ("n",)), gx.tensor("c")
    last, _ = gx.scan(lambda s, t: (0.5 * s + t, s * t), c, x)
    f = compiled([c, x], [last])
    assert f.memory(n=1000)["arena"] == f.memory(n=1)["arena"]
    assert f(np.array(1.0), np.ones(10))[0] == 2.0 - 2.0**-10


# -- while loops --------------------------------------------------------------------------------------------------------
def test_arithmetic_geometric_mean() -> None:
    a, b = gx.tensor("a"), gx.tensor("b")
    ((x, y),) = [gx.while_loop(lambda v: abs(v[0] - v[1]) > 1e-15 * v[0], lambda v: ((v[0] + v[1]) / 2, gx.sqrt(v[0] * v[1])), (a, b))]
    f = agree([a, b], [x, y], (np.array(1.0), np.array(0.3)), (np.array(1.0), np.array(1.0)), (np.array(1.0), np.array(np.nan)))
    assert abs(f(np.array(24.0), np.array(6.0))[0] - 13.458171481725615) < 1e-14


@pytest.mark.parametrize("most", [None, 0, 1, 7, "n"])
def test_while_with_a_most(most: Any) -> None:
    x, k = gx.tensor("x", ("n",)), gx.tensor("k", (), "int64")
    steps = x.shape[0] if most == "n" else most
    i, total = gx.while_loop(lambda v: v[0] < k, lambda v: (v[0] + 1, v[1] * 1.5 + gx.turn_index()), (np.int64(0), 1.0), max_steps=steps)
    agree([x, k], [i, total], *[(vector(5), np.array(v)) for v in (-1, 0, 1, 4, 12)])


def test_condition_reads_a_row_only_where_there_is_one() -> None:
    x = gx.tensor("x", ("n",))
    (i,) = [gx.while_loop(lambda i: x[gx.turn_index()] < 1.0, lambda i: i + 1, np.int64(0), max_steps=x.shape[0])]
    f = gx.function([x], [i])
    for n in (0, 1, 3):
        assert f(np.zeros(n))[0] == n
    assert f(np.array([0.0, 2.0, 0.0]))[0] == 1


def test_positions_of_extremes_in_turns() -> None:
    """The first nan wins, else the first extreme."""
    x, c = gx.tensor("x", ("n", 3)), gx.tensor("c", (3,))
    last, ys = gx.scan(lambda s, t: (s * 0.5 + t, (gx.argmax(s + t), gx.argmin(t), gx.max(t), gx.prod(s))), c, x)
    nan, inf = np.nan, np.inf
    data = np.array([[1, 2, 2], [nan, 3, 1], [3, nan, nan], [1, nan, 5], [-inf, inf, 0], [0, 0, 0], [inf, inf, -inf]], float)
    agree([c, x], [last, *ys], (np.zeros(3), data), (np.ones(3), data[::-1].copy()), (np.zeros(3), data[4:]), exact=True)


def test_the_number_of_turns() -> None:
    k = gx.tensor("k", (), "int64")
    i = gx.while_loop(lambda v: v < k, lambda v: v + 2, np.int64(0))
    turns = get(i.inputs[0], 1)
    f = compiled([k], [turns])
    for n in (0, 1, 2, 7, 131072, 600_001, 2_097_152, 3_000_001):
        assert f(np.array(n))[0] == (n + 1) // 2


# -- nests and branches -------------------------------------------------------------------------------------------------
def test_loops_inside_loops() -> None:
    x, y, c = gx.tensor("x", ("n", "m")), gx.tensor("y", ("m",)), gx.tensor("c")

    def inner(s: Any, row: Any) -> Any:
        return gx.scan(lambda u, t: (0.7 * u + t[0] * t[1], None), s, (row, y))[0]

    def turn(s: Any, row: Any) -> tuple[Any, Any]:
        once = inner(s, row)
        halved = gx.while_loop(lambda v: abs(v) > 0.1, lambda v: v * 0.5, once, max_steps=60)
        return once + halved, (halved, s)

    last, ys = gx.scan(turn, c, x, reverse=True)
    rng = np.random.default_rng(0)
    sizes = [(0, 3), (2, 0), (1, 1), (3, 4)]
    agree([c, x, y], [last, *ys], *[(np.array(0.5), rng.normal(size=(n, m)), rng.normal(size=m)) for n, m in sizes])


@pytest.mark.parametrize("cheap", [True, False])
def test_branches_in_turns(cheap: bool) -> None:
    x, c = gx.tensor("x", ("n",)), gx.tensor("c")
    f: Callable[[Any], Any] = (lambda s: s + 1) if cheap else (lambda s: gx.sin(s) * gx.exp(-s * s) + gx.log(s * s + 1))

    def turn(s: Any, t: Any) -> tuple[Any, Any]:
        by_truth = gx.cond(s > t, lambda u: (f(u), u), lambda u: (u - t, -u), s)
        by_number = gx.switch(gx.turn_index() - 1, [lambda u: u, f, lambda u: u * 2], t)
        return 0.5 * by_truth[0], (by_truth[1], by_number)

    last, ys = gx.scan(turn, c, x)
    g = agree([c, x], [last, *ys], *[(np.array(0.2), vector(n)) for n in (0, 1, 2, 9)])
    assert ("branch" in g.loops) is not cheap


def test_a_branch_by_itself() -> None:
    x, i = gx.tensor("x"), gx.tensor("i", (), "int32")
    longer = lambda u: gx.while_loop(lambda v: v < 10.0, lambda v: 2 * v + 1, u, max_steps=40)
    (y,) = [gx.switch(i, [lambda u: gx.sin(u), longer, lambda u: gx.exp(gx.sin(u) * gx.log(u * u + 2))], x)]
    agree([i, x], [y], *[(np.int32(k), np.array(v)) for k in (-5, 0, 1, 2, 7) for v in (0.5, -0.25, 3.0)])


def test_turns_are_written_out_as_asked_within_reason() -> None:
    x = gx.tensor("x", ("n",))

    def unrolled(unroll: int) -> int:
        last, _ = gx.scan(lambda c, v: (gx.sin(c) * v + c, None), 0.0, x, unroll=unroll)
        code = scalar_code(last.inputs[0], Limits())
        assert code is not None
        (turns,) = [step for step in code.steps if isinstance(step, Turns)]
        return turns.unroll

    assert [unrolled(1), unrolled(2)] == [1, 2]
    assert 2 < unrolled(10**6) <= Limits().turn // 3


# -- what is left to steps ------------------------------------------------------------------------------------------------
def test_long_bodies_are_no_scalar_code() -> None:
    x, w = gx.tensor("x", (100,)), gx.tensor("w", (100, 100))
    last, _ = gx.scan(lambda s, _: (gx.tanh(w @ s), None), x, None, length=4)
    assert scalar_code(last.inputs[0], Limits()) is None
    n = gx.tensor("n", ("n",))
    last, _ = gx.scan(lambda s, _: (s * 2, None), n, None, length=4)
    assert scalar_code(last.inputs[0], Limits()) is None


# -- long ones --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("unroll", [1, 3])
def test_stretches_meet(reverse: bool, unroll: int) -> None:
    """Lengths around one and two stretches, of which a turn must neither be missing nor done twice."""
    x, c = gx.tensor("x", ("n", 2)), gx.tensor("c", (), "int64")
    (a, b), ys = gx.scan(
        lambda s, t: ((s[0] ^ gx.turn_index() * 5, gx.maximum(s[1], t[0])), (s[0], gx.stack([t[1], s[1]]))), (c, 0.25), x,
        reverse=reverse, unroll=unroll,
    )  # fmt: skip
    f = agree([c, x], [a, b, *ys])
    (loop,) = [step for step in f._native().program.steps if step.inner]
    n = dims.symbols(x.shape[0])
    size = dims.evaluate(loop.lengths[0][1], {s: 1 << 40 if s in n else 0 for s in dims.symbols(loop.lengths[0][1])})
    for count in (size - 1, size, size + 1, 2 * size, 2 * size + 5):
        data, order = np.random.default_rng(1).normal(size=(count, 2)), np.arange(count)[:: -1 if reverse else 1]
        u = np.bitwise_xor.accumulate(np.concatenate([[7], order * 5]))
        v = np.maximum.accumulate(np.concatenate([[0.25], data[order, 0]]))
        have = f(np.array(7), data)
        assert have[0] == u[-1] and have[1] == v[-1]
        np.testing.assert_array_equal(have[2][order], u[:-1])
        np.testing.assert_array_equal(have[3][order], np.stack([data[order, 1], v[:-1]], axis=1))


def test_while_of_many_stretches() -> None:
    k = gx.tensor("k", (), "int64")
    step = lambda v: (v[0] + 1, v[1] * 3 + gx.turn_index())
    i, h = gx.while_loop(lambda v: v[0] < k, step, (np.int64(0), np.int64(1)))
    j, _ = gx.while_loop(lambda v: v[0] < k, step, (np.int64(0), np.int64(1)), max_steps=1_500_001)
    f = compiled([k], [i, h])
    g = compiled([k], [j])
    for n in (0, 1, 65535, 65536, 131072, 1_048_576, 1_500_000, 1_500_001, 3_000_000):
        assert f(np.array(n))[0] == n
        assert g(np.array(n))[0] == min(n, 1_500_001)
    want = 1
    for t in range(200_000):
        want = (want * 3 + t) % (1 << 64)
    assert f(np.array(200_000))[1] == want - (1 << 64 if want >= 1 << 63 else 0)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers")
@pytest.mark.parametrize("endless", [True, False])
def test_a_long_loop_can_be_interrupted(endless: bool) -> None:
    """Within a moment, with state untouched and the function usable again."""
    state, k = gx.shared(1.0, "state"), gx.tensor("k")
    if endless:
        new = gx.while_loop(lambda s: s < k, lambda s: s * 0.5 + 0.5, state)
    else:
        new = gx.scan(lambda s, _: (s * 0.5 + k, None), state, None, length=10**11)[0]
    f = gx.function([k], new, updates={state: new})

    class Stop(Exception):
        pass

    def stop(*_: Any) -> None:
        raise Stop

    old = signal.signal(signal.SIGALRM, stop)
    try:
        for _ in range(2):
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            start = time.perf_counter()
            with pytest.raises(Stop):
                f(np.array(2.0))
            assert time.perf_counter() - start < 5.0  # some 0.12 s on a machine that does nothing else
            assert state.get_value() == 1.0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    if endless:
        assert f(np.array(0.5)) == 1.0
