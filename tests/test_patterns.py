"""Patterns hold every entry that can be other than 0, and the numbers found by rows or colours are those of the dense way."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

import graphc as gx
from graphc.derivatives import matrices, patterns, stencils
from graphc.derivatives.colours import colours
from graphc.derivatives.forward import push_forward
from graphc.derivatives.grad import prepared, pull_back
from graphc.derivatives.patterns import Pattern, patterns_of
from graphc.errors import GraphcError
from graphc.ir import Node, Op, make
from graphc.ops.derived import DERIVED
from graphc.ops.indexing import gather
from graphc.ops.outputs import outputs
from graphc.ops.registry import INPUT, constant, variable
from tests.fuzz.graphs import build, make_inputs, make_steps, make_values


def bools(pattern: Pattern) -> np.ndarray:
    whole = np.zeros((pattern.size, pattern.n), bool)
    whole[pattern.elements, pattern.indices] = True
    return whole


def is_compressed(pattern: Pattern) -> bool:
    """Rows of rising lanes, one after the other."""
    rows = [pattern.indices[a:b] for a, b in zip(pattern.indptr[:-1], pattern.indptr[1:])]
    whole = pattern.indptr[0] == 0 and pattern.indptr[-1] == len(pattern.indices)
    return bool(whole and all((np.diff(r) > 0).all() and ((r >= 0) & (r < pattern.n)).all() for r in rows))


def forward(out: Node, x: Node) -> np.ndarray | None:
    """The pattern of d out / d x by forward mode: element x lane."""
    v = variable(INPUT, "v", x.dtype, x.shape)
    (pushed,) = push_forward(prepared([out], {x}), {x: v})
    found = None if pushed is None else patterns_of([pushed], v)
    if found is None:
        return None
    assert is_compressed(found[0])
    return bools(found[0])


def reverse(out: Node, x: Node) -> np.ndarray | None:
    """The pattern of the transposed matrix by reverse mode, transposed."""
    u = variable(INPUT, "u", out.dtype, out.shape)
    ready = prepared([out], {x})
    pulled = pull_back([(ready[0], u)], {x}).get(x)
    found = None if pulled is None else patterns_of([pulled], u)
    if found is None:
        return None
    assert is_compressed(found[0])
    return bools(found[0]).T


V = gx.vector("x", 6)
W = np.arange(18.0).reshape(6, 3)
near = np.eye(6, dtype=bool)[:5] | np.eye(6, k=1, dtype=bool)[:5]
CASES: dict[str, tuple[Callable[[Node], Node], np.ndarray]] = {
    "elementwise": (lambda x: gx.exp(x) * x, np.eye(6, dtype=bool)),
    "neighbours": (lambda x: x[1:] * gx.sin(x[:-1]), near),
    "choice": (lambda x: gx.where(x[1:] > x[:-1], x[1:], x[:-1]), near),
    "larger": (lambda x: gx.maximum(x[1:], x[:-1]), near),
    "join": (lambda x: gx.concatenate([x[3:], x[:3]]), np.roll(np.eye(6, dtype=bool), 3, axis=1)),
    "padded": (lambda x: gx.pad(x * x, (1, 0))[:6], np.eye(6, k=-1, dtype=bool)),
    "gather": (lambda x: gx.take(x, np.array([4, 4, 0])), np.eye(6, dtype=bool)[[4, 4, 0]]),
    "pairs": (lambda x: gx.sum(gx.reshape(x * x, (3, 2)), axis=1), np.repeat(np.eye(3, dtype=bool), 2, axis=1)),
    "running": (lambda x: gx.cumsum(x * x), np.ones((6, 6), bool)),
    "product": (lambda x: gx.matmul(gx.reshape(x, (2, 3)), np.ones((3, 1))), np.repeat(np.eye(2, dtype=bool), 3, axis=1)),
    "set": (lambda x: (x * x).at[np.array([1, 2])].set(x[4]), np.eye(6, dtype=bool)[[0, 4, 4, 3, 4, 5]]),
    "added": (lambda x: x.at[np.array([1])].add(x[4] * 2), np.eye(6, dtype=bool) | (np.arange(36).reshape(6, 6) == 10)),
    "of data": (lambda x: gx.take_along_axis(x, gx.argmax(x, keepdims=True), axis=0), np.ones((1, 6), bool)),
}


@pytest.mark.parametrize("name", CASES)
def test_patterns(name: str) -> None:
    f, want = CASES[name]
    for way in (forward, reverse):
        found = way(f(V), V)
        assert found is not None and found.shape == want.shape and (found | ~want).all(), way
        assert name in ("running", "of data", "choice", "larger") or (found == want).all(), way


def test_of_what_is_not_known_everything_depends_on_everything() -> None:
    """Nodes of several outputs, and ops without a rule here."""
    v = variable(INPUT, "v", "float64", (4,))
    pair = Op("pair of sums", 1, (), "", lambda x: (x, x), ref=lambda x: (x[::-1], x), traits=gx.ir.PLAIN)
    first, second = outputs(make(pair, (v[:2],)))
    found = patterns_of([first, second * 2, v], v)
    assert found is not None
    upper = np.array([[True, True, False, False]] * 2)
    assert (bools(found[0]) == upper).all() and (bools(found[1]) == upper).all() and (bools(found[2]) == np.eye(4)).all()
    line = Op("backwards", 1, (), "", lambda x: x, ref=lambda x: x[::-1])
    (found,) = patterns_of([make(line, (v[:2],))], v) or []
    assert (bools(found) == upper).all()


def test_what_a_derivative_remembers_is_not_read() -> None:
    v = variable(INPUT, "v", "float64", (4,))
    (found,) = patterns_of([make(DERIVED, (v * 2, gx.sum(v)))], v) or []
    assert (bools(found) == np.eye(4)).all()


@pytest.mark.parametrize("n", [0, 1, 2])
def test_small_sizes(n: int) -> None:
    v = variable(INPUT, "v", "float64", (n,))
    found = patterns_of([v * 2, gx.sum(v), gx.zeros((3,)), gx.reshape(v, (n, 1)) @ np.ones((1, 2))], v)
    assert found is not None and [p.size for p in found] == [n, 1, 3, 2 * n]
    assert [len(p.indices) for p in found] == [n, n, 0, 2 * n] and all(map(is_compressed, found))


def test_symbolic_sizes_have_no_pattern() -> None:
    v = variable(INPUT, "v", "float64", ("n",))
    assert patterns_of([v * 2], v) is None
    w = variable(INPUT, "w", "float64", (4,))
    assert patterns_of([gx.broadcast_to(w[0], (v.shape[0],))], w) is None


def test_large_patterns_are_not_made() -> None:
    v = variable(INPUT, "v", "float64", (2000,))
    assert patterns_of([gx.cumsum(v)], v) is None
    assert patterns_of([make(Op("backwards", 1, (), "", lambda x: x, ref=lambda x: x[::-1]), (v,))], v) is None
    assert patterns_of([gx.sum(v)], v, most=100) is None
    found = patterns_of([gx.sum(v), v * 2], v)
    assert found is not None and found[0].counts.tolist() == [2000] and colours(found, 1999) is None


def test_patterns_that_take_long_are_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """All patterns on the way count, not the last one alone."""
    v = variable(INPUT, "v", "float64", (10,))
    y = v
    for _ in range(7):
        y = gx.cumsum(y * 2)[::-1] * 1.0
    counted = 10 + 27 * 100  # the first product; from the running sum on, every element depends on all ten
    for most, made in ((counted, True), (counted - 1, False), (300, False)):
        monkeypatch.setattr(patterns, "MOST_WORK", most)
        assert (patterns_of([y], v) is not None) is made


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_an_index_out_of_range_is_an_error_at_the_call(mode: str) -> None:
    x = gx.vector("x", 9)
    wrong = gather(x * x, constant(np.arange(2, 11)), axes=(0,))
    f = gx.function([x], gx.jacobian(wrong, x, mode=mode))
    with pytest.raises(gx.IndexOutOfRange):
        f(np.ones(9))
    right = gx.function([x], gx.jacobian(gather(x * x, constant(np.arange(9)[::-1]), axes=(0,)), x, mode=mode))
    np.testing.assert_array_equal(right(np.arange(9.0)), np.diag(np.arange(0.0, 18, 2))[::-1])


def drawn(seed: int) -> tuple[list[Node], list[np.ndarray], list[Node]]:
    """Inputs of known sizes, their values, and some of the float nodes of a random graph over them."""
    rng = random.Random(seed)
    inputs = make_inputs(rng)
    while any(not isinstance(s, int) for x in inputs for s in x.shape):
        inputs = make_inputs(rng)
    steps = [s for s in make_steps(rng, 10) if s.builder != "stopped"]
    made = [n for n in build(inputs, steps) if n.dtype.kind == "f" and all(isinstance(s, int) for s in n.shape) and n.size <= 60]
    return inputs, make_values(inputs, seed, 2), made[-3:]


SEEDS = range(60)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_graphs_change_within_their_patterns(seed: int) -> None:
    """An element that changes where one element of x does, in numbers without any derivative, is in the pattern of both modes."""
    inputs, values, made = drawn(seed)
    for out in made:
        for x, value in zip(inputs, values):
            try:
                found = [p for p in (forward(out, x), reverse(out, x)) if p is not None] if x.dtype.kind == "f" else []
            except GraphcError:
                continue  # not differentiable
            if not found:
                continue
            env = dict(zip(inputs, values))
            with np.errstate(all="ignore"):
                before = np.asarray(out.eval(env))
            for j in range(value.size):
                moved = value.copy()
                moved.flat[j] += 1e-3
                with np.errstate(all="ignore"):
                    after = np.asarray(out.eval({**env, x: moved}))
                smooth = np.isfinite(before) & np.isfinite(after) & (abs(after - before) < 0.1)
                changed = (smooth & (abs(after - before) > 1e-4)).ravel()
                for pattern in found:
                    assert pattern[changed, j].all(), (out, x.name, j)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_graphs_have_the_dense_matrices(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, values, made = drawn(seed)
    x = inputs[0]
    for out in made:
        ways: dict[str, list[Node]] = {}
        for way, fewest, rows_of in (("dense", 9999, None), ("rows", 0, stencils.rows_of), ("colours", 0, lambda *_: None)):
            monkeypatch.setattr(matrices, "FEWEST", fewest)
            monkeypatch.setattr(matrices, "GAIN", 1)
            monkeypatch.setattr(stencils, "rows_of", rows_of or stencils.rows_of)
            try:
                both = [gx.jacobian(out, x, mode=mode) for mode in ("forward", "reverse")]
                ways[way] = [*both, gx.hessian(gx.sum(out), x)]
            except GraphcError:
                break  # not differentiable, or x is no part of it
            finally:
                monkeypatch.undo()
        given = dict(zip(inputs, values))
        with np.errstate(all="ignore"):
            numbers = {way: [np.asarray(n.eval(given)) for n in nodes] for way, nodes in ways.items() if len(ways) == 3}
        for way, arrays in numbers.items():
            for got, want in zip(arrays, numbers["dense"]):
                known = np.isfinite(want)  # the seeds of the dense way carry inf * 0 into entries that have none
                tolerance = 1e-8 if want.dtype == np.float64 else 2e-3
                np.testing.assert_allclose(got[known], want[known], rtol=tolerance, atol=tolerance, err_msg=way)
