"""Loops and branches against their unrolled twins: values, derivatives of orders 1 to 3 in both modes, lanes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.control.scan import SCAN
from graphc.control.switch import SWITCH
from graphc.interp import evaluate
from graphc.ir import Graph, toposort
from graphc.ops.contract import CONTRACT
from graphc.passes.simplify import simplify
from graphc.region import everywhere
from tests.twins import UNROLLED, check, total, values

RNG = np.random.default_rng(5)
W = RNG.normal(size=(3, 3)) * 0.6
XS = RNG.normal(size=(4, 3))
H = RNG.normal(size=3)


# -- scans ----------------------------------------------------------------------------------------------------------------
def rnn(L: Any, h: Any, xs: Any, w: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = gx.tanh(w @ h + x)
        return h, gx.sum(h * h)

    return L.scan(step, h, xs)


def two_carries(L: Any, h: Any, xs: Any, w: Any) -> Any:
    """The second carry reaches the result through the first, two turns late; the third is never read."""

    def step(c: Any, x: Any) -> Any:
        return {"a": gx.sin(c["a"]) + c["b"], "b": c["c"] * x, "c": gx.cos(w @ x), "d": c["d"] * 2 + c["a"]}, None

    return L.scan(step, {"a": h, "b": h * 2, "c": gx.zeros(3), "d": h}, xs)[0]["a"]


def reversed_rows(L: Any, h: Any, xs: Any) -> Any:
    return L.scan(lambda c, x: (c * gx.exp(-x) + x, c * x), h, xs, reverse=True)


def counted(L: Any, h: Any, w: Any) -> Any:
    """The turn, integer and boolean carries."""

    def step(c: Any, _: Any) -> Any:
        k, even, v = c
        v = gx.where(even, v * L.turn_index(), v / (k + 1)) + gx.sin(v) @ w
        return (k + 2, ~even, v), (v[0], k)

    return L.scan(step, (1, True, h), None, 4)


def constants(L: Any, h: Any, xs: Any) -> Any:
    """A carry that is replaced by a row, one that stays, ys that do not depend on the carry, and a captured result."""
    return L.scan(lambda c, x: ((x, c[1], h * x), (gx.exp(x), h)), (h, h, gx.ones(3)), xs)


def nested(L: Any, h: Any, xs: Any, w: Any) -> Any:
    """A scan in a scan, which captures the carry, the row and the turn of the outer one."""

    def outer(c: Any, x: Any) -> Any:
        t = L.turn_index()
        inner = lambda d, y: (gx.tanh(w @ d + c * y * (t + 1)), d * x)
        d, ys = L.scan(inner, c + x, xs[:2], reverse=True)
        return d, gx.sum(ys, axis=0)

    return L.scan(outer, h, xs)


def rows_of_rows(L: Any, h: Any, xs: Any) -> Any:
    """map, fori_loop, and a scan over what another has given."""
    ys = L.map(lambda x: gx.tanh(x * h) * x[0], xs)
    back = L.scan(lambda c, y: (c * y + 1, c), h, {"y": ys}["y"], reverse=True)[1]
    return L.fori_loop(1, 4, lambda i, v: v * gx.cos(v * i), gx.sum(back, axis=0))


# -- branches and while loops ----------------------------------------------------------------------------------------------
def branches(L: Any, h: Any, w: Any) -> Any:
    a = L.cond(h[0] < 0.5, lambda v: {"p": gx.sin(v) @ w, "q": v[0]}, lambda v: {"p": v**3, "q": gx.sum(w) * v[1]}, h)
    b = L.switch(gx.astype(gx.floor(h[1] * 3), "int64"), [lambda v: v, lambda v: v * v * h, lambda v: gx.exp(v) @ w], a["p"])
    return a, b


def newton(L: Any, h: Any) -> Any:
    """A root by a while loop with an end."""
    target = gx.abs(h) + 1
    return L.while_loop(lambda v: gx.max(gx.abs(v * v - target)) > 1e-3, lambda v: (v + target / v) / 2, target, max_steps=6)


def branch_in_scan(L: Any, h: Any, xs: Any, w: Any) -> Any:
    def step(c: Any, x: Any) -> Any:
        c = L.cond(gx.sum(c) > 0, lambda c, x: gx.tanh(w @ c) + x, lambda c, x: c * c - x * h, c, x)
        return c, c[0] * x

    return L.scan(step, h, xs)


def while_in_branch_in_scan(L: Any, h: Any, xs: Any) -> Any:
    def step(c: Any, x: Any) -> Any:
        grow = lambda c: L.while_loop(lambda v: gx.sum(v * v) < 4, lambda v: v * 1.5 + x, c, 4)
        c = L.cond(c[0] < x[0], grow, lambda c: gx.sin(c) + x, c)
        return c, gx.sum(c)

    return L.scan(step, h, xs)


def scan_in_while(L: Any, h: Any, xs: Any) -> Any:
    """With a carry that only counts, and the rows of a scan inside summed."""
    body = lambda v: (v[0] + 1, L.scan(lambda c, x: (c * 0.5 + x, c * x), v[1], xs)[1][-1])
    return L.while_loop(lambda v: v[0] < 3, body, (0, h), max_steps=5)[1]


PROGRAMS = {
    "rnn": (rnn, (H, XS, W)),
    "two_carries": (two_carries, (H, XS, W)),
    "reversed_rows": (reversed_rows, (H, XS)),
    "counted": (counted, (H, W)),
    "constants": (constants, (H, XS)),
    "nested": (nested, (H, XS[:2], W)),
    "rows_of_rows": (rows_of_rows, (H, XS[:3])),
    "branches": (branches, (np.array([0.3, 0.4, -1.0]), W)),
    "other branches": (branches, (np.array([0.7, 0.9, -1.0]), W)),
    "newton": (newton, (H,)),
    "branch_in_scan": (branch_in_scan, (H, XS, W)),
    "while_in_branch_in_scan": (while_in_branch_in_scan, (H, XS)),
    "scan_in_while": (scan_in_while, (H, XS[:2])),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_equals_its_twin(name: str) -> None:
    program, arrays = PROGRAMS[name]
    check(program, *arrays)


@pytest.mark.parametrize("length", [1, 2])
def test_short_loops(length: int) -> None:
    for name in ("rnn", "reversed_rows", "constants", "branch_in_scan"):
        program, (h, xs, *rest) = PROGRAMS[name]
        check(program, h, xs[:length], *rest, orders=2, lanes=False)


def again(L: Any, h: Any, xs: Any, w: Any) -> Any:
    """`gx.checkpoint` in a loop, and a loop in it, in a loop."""
    kept = gx.checkpoint if L is gx else lambda f: f
    cell = kept(lambda h, x: gx.tanh(w @ h + x) * gx.exp(-h))
    inner = kept(lambda h: L.scan(lambda c, x: (cell(c, x), c), h, xs)[0])
    return L.while_loop(lambda v: gx.sum(v * v) < 5, lambda v: inner(v) + v * 1.2, h, max_steps=3)


def mixed(L: Any, h: Any, xs: Any) -> Any:
    """Carries of two dtypes that feed each other."""

    def step(c: Any, x: Any) -> Any:
        a, b = c
        return (a * 0.5 + gx.sin(x).astype("float32"), b + a.astype("float64") * b), b * x

    return L.scan(step, (h.astype("float32"), h), xs)


def test_dtypes_and_recomputation() -> None:
    check(again, H, XS[:2], W, orders=2)
    check(mixed, H, XS, orders=2, rtol=1e-4)
    check(rnn, H.astype("float32"), XS.astype("float32"), W.astype("float32"), orders=2, rtol=2e-3, lanes=False)


@pytest.mark.parametrize("checkpoint", [None, "sqrt", "full", 0])
def test_lanes_of_derivatives_and_derivatives_of_lanes(checkpoint: Any) -> None:
    hs, xs, w = gx.tensor("hs", (5, 3)), gx.tensor("xs", (4, 3)), gx.tensor("w", (3, 3))
    env = {hs: np.linspace(-1, 1, 15).reshape(5, 3), xs: XS, w: W}

    def numbers(L: Any) -> list[np.ndarray]:
        def cost(h: Any) -> Any:
            last, ys = L.scan(lambda h, x: (gx.tanh(w @ h + x), gx.sum(h * x)), h, xs, checkpoint=checkpoint)
            return gx.sum(last) + gx.sum(ys * ys)

        slopes = gx.vmap(lambda h: gx.grad(cost(h), h))(hs)
        twice = gx.vmap(gx.vmap(lambda a, h: cost(a * h), (0, None)), (None, 0))(gx.asarray([1.0, 2.0]), hs)
        return evaluate([slopes, gx.vmap(lambda h: gx.hessian(cost(h), h))(hs), twice, gx.grad(gx.sum(slopes**2), w)], env)

    for ours, theirs in zip(numbers(gx), numbers(UNROLLED)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_lanes_end_each_in_its_own_turn() -> None:
    """Of a while loop whose condition asks the turn: a lane that has ended does not begin again."""
    xs, ks = gx.tensor("xs", (3,)), gx.tensor("ks", (3,), "int64")
    ends = gx.vmap(lambda x, k: gx.while_loop(lambda v: gx.turn_index() != k, lambda v: v + gx.turn_index() * 1.0, x))(xs, ks)
    (found,) = values([ends], {xs: np.zeros(3), ks: np.array([0, 2, 4])})
    np.testing.assert_array_equal(found, [0, 1, 6])


@pytest.mark.parametrize("size", [3, "k"])
def test_the_cheapest_cut_is_kept(size: int | str) -> None:
    """Of a square of a sum of two products its root alone, for each turn: not both products; sizes that are not known change nothing."""
    h, w, v = gx.tensor("h", (size,)), gx.tensor("w", (size, size)), gx.tensor("v", (size, size))

    def step(c: Any, _: Any) -> Any:
        s = w @ c + v @ (c * c)
        return s * s, None

    slope = gx.grad(gx.sum(gx.scan(step, h, None, 5)[0]), h)
    forward, back = [node for node in toposort([slope]) if node.op is SCAN]
    assert [len(node.type) - node.attrs["carries"] for node in (forward, back)] == [2, 0]  # the carry and the sum
    assert sum(node.op is CONTRACT for node in toposort(back.attrs["body"].outputs)) == 4  # for c, c * c, w and v: neither product again


def test_a_product_is_kept_and_not_computed_again() -> None:
    h, w = gx.tensor("h", (3,)), gx.tensor("w", (3, 3))
    slope = gx.grad(gx.sum(gx.scan(lambda c, _: ((w @ c) ** 2, None), h, None, 5)[0]), h)
    forward, back = [node for node in toposort([slope]) if node.op is SCAN]
    assert len(forward.type) == 3  # the last carry; of each turn the carry, for the cotangent of w, and the product
    assert sum(node.op is CONTRACT for node in toposort(back.attrs["body"].outputs)) == 2  # for the carry and for w


def test_a_branch_gives_no_masks_that_nobody_reads() -> None:
    a, b = gx.tensor("a", (3,)), gx.tensor("b", (3,))
    chosen = gx.cond(a[0] > 0, lambda a, b: a * b, lambda a, b: a, a, b)
    (switch,) = [node for node in toposort(gx.grad(gx.sum(chosen), [a, b])) if node.op is SWITCH]
    assert len(switch.type) == 2


def test_no_swell() -> None:
    """Nodes of all bodies of the gradient of a gated net, and the loops they are in, by order: each costs a few times the one before."""
    p = {name: gx.tensor(name, (3, 3)) for name in "ifoc"}

    def step(state: Any, x: Any) -> Any:
        h, c = state
        i, f, o = (gx.sigmoid(p[k] @ h + x) for k in "ifo")
        c = f * c + i * gx.tanh(p["c"] @ h + x)
        h = o * gx.tanh(c)
        return (h, c), h

    cost = gx.sum(gx.scan(step, (gx.zeros(3), gx.zeros(3)), gx.asarray(XS))[1] ** 2)
    counts = []
    for _ in range(3):
        gradient = gx.tree.leaves(gx.grad(cost, p))
        nodes = list(everywhere(simplify(Graph(tuple(p.values()), tuple(gradient))).outputs))
        counts.append((len(nodes), sum(node.op.name == "scan" for node in nodes)))
        cost = total([gx.sin(g) for g in gradient])
    assert [loops for _, loops in counts] == [2, 4, 8]
    assert counts[0][0] < 160 and all(b < 4 * a for (a, _), (b, _) in zip(counts, counts[1:])), counts  # noqa: RUF007
