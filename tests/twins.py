"""Loops and branches without loops and branches: the twin of a program, unrolled and selected, of ops that have tests of their own.

A program is a function of a language `L`, which is `graphc` or `UNROLLED`; both spell `scan`, `while_loop`, `cond`, `switch` alike.
`check(program, arrays)` compares the two in value and in derivatives of orders 1 to 3, forward, reverse and mixed, and in lanes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

import graphc as gx
from graphc import tree
from graphc.interp import evaluate
from graphc.ir import Node
from graphc.ops.registry import asarray

Program = Callable[..., Any]
_turns: list[Any] = []


def _scan(f: Callable[..., Any], init: Any, xs: Any = None, length: int | None = None, reverse: bool = False, **_: Any) -> Any:
    """The turns one after the other, in the graph."""
    leaves, structure = tree.flatten(xs)
    rows = [asarray(x) for x in leaves]
    turns = length if length is not None else int(rows[0].shape[0])
    carry, found = tree.map(asarray, init), {}
    for t in reversed(range(turns)) if reverse else range(turns):
        _turns.append(asarray(t))
        carry, found[t] = f(carry, tree.unflatten(structure, [x[t] for x in rows]))
        _turns.pop()
    ys = [found[t] for t in range(turns)]
    if not ys:  # a turn that is not there says what its row would be
        _turns.append(asarray(0))
        row = tree.map(asarray, f(carry, tree.unflatten(structure, [gx.zeros(x.shape[1:], x.dtype) for x in rows]))[1])
        _turns.pop()
        return carry, tree.map(lambda y: gx.zeros((0, *y.shape), y.dtype), row)
    stacked = [gx.stack(column) for column in zip(*[[asarray(v) for v in tree.leaves(y)] for y in ys])]
    return carry, tree.unflatten(tree.structure(ys[0]), stacked)


def _while_loop(cond_fun: Callable[..., Any], body_fun: Callable[..., Any], init: Any, max_steps: int | None = None, bound: int = 8) -> Any:
    """max_steps turns, or enough of them, each of which may leave the value as it is."""
    value, runs = tree.map(asarray, init), asarray(True)
    for t in range(bound if max_steps is None else max_steps):
        _turns.append(asarray(t))
        runs = runs & cond_fun(value)
        value = tree.map(lambda a, b, r=runs: gx.where(r, a, b), body_fun(value), value)
        _turns.pop()
    return value


def _switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    chosen = gx.clip(index, 0, len(branches) - 1)
    result = branches[0](*operands)
    for k, branch in enumerate(branches[1:], 1):
        result = tree.map(lambda a, b, k=k: gx.where(chosen == k, a, b), branch(*operands), result)
    return result


UNROLLED = SimpleNamespace(
    scan=_scan,
    while_loop=_while_loop,
    switch=_switch,
    cond=lambda pred, yes, no, *operands: _switch(asarray(pred).astype("int64"), [no, yes], *operands),
    fori_loop=lambda lower, upper, body, init: _scan(lambda v, _: (body(_turns[-1] + lower, v), None), init, None, upper - lower)[0],
    map=lambda f, xs: _scan(lambda _, x: (None, f(x)), None, xs)[1],
    turn_index=lambda: _turns[-1],
)


def total(result: Any) -> Node:
    """One number of a tree of results, in which every element counts differently."""
    parts = [asarray(leaf) for leaf in tree.leaves(result)]
    cost = asarray(0.0)
    for k, part in enumerate(parts):
        if part.dtype.kind == "f":
            weights = np.cos(np.arange(int(np.prod(part.shape, dtype=int)))).reshape([int(s) for s in part.shape]) + 0.1 * k
            cost = cost + gx.sum(part.astype("float64") * weights)
    return cost


def values(outputs: Sequence[Node], env: Mapping[Node, np.ndarray], native: bool = True, room: float = 1e-11) -> list[np.ndarray]:
    """By the interpreter; and natively the same, where there is native code for all of it."""
    found = evaluate(outputs, env)
    if native:
        with contextlib.suppress(gx.CompileError):
            compiled = gx.function(list(env), list(outputs))
            for ours, theirs in zip(compiled(*env.values()), found):
                np.testing.assert_allclose(ours, theirs, rtol=room, atol=room, err_msg="native code and interpreter")
    return found


def check(
    program: Program, *arrays: Any, orders: int = 3, reverse: bool = True, lanes: bool = True, rtol: float = 1e-9, native: bool = True
) -> None:
    """The program against its twin."""
    data = [np.asarray(a) for a in arrays]
    xs = [gx.tensor(f"x{k}", a.shape, a.dtype) for k, a in enumerate(data)]
    env = dict(zip(xs, data))
    ours, theirs = program(gx, *xs), program(UNROLLED, *xs)
    assert tree.structure(ours) == tree.structure(theirs)
    pairs = list(zip(map(asarray, tree.leaves(ours)), map(asarray, tree.leaves(theirs))))
    compare(pairs, env, rtol, "value", native)
    wrt = [x for x in xs if x.dtype.kind == "f"]
    costs = (total(ours), total(theirs))
    for order in range(1, orders + 1):
        vs = [np.random.default_rng(order).normal(size=x.shape) for x in wrt]
        forward = [gx.jvp(c, wrt, vs) for c in costs]
        compare([(forward[0], forward[1])], env, rtol, f"jvp of order {order}", native and order == 1)
        if reverse:
            back = [gx.grad(c, wrt, disconnected="zero") for c in costs]
            compare(list(zip(*back)), env, rtol, f"gradient of order {order}", native and order == 1)
            costs = tuple(total([gx.sin(g) for g in gs]) + f for gs, f in zip(back, forward))  # type: ignore[assignment]
        else:
            costs = (forward[0], forward[1])
    if lanes:
        check_lanes(program, data, rtol)


def check_lanes(program: Program, data: Sequence[np.ndarray], rtol: float) -> None:
    """vmap over the first float argument alone, and over all of them."""
    n = 3
    scale = np.linspace(0.5, 1.25, n)
    wide = [np.stack([a * s if a.dtype.kind == "f" else a for s in scale]) for a in data]
    first = next(k for k, a in enumerate(data) if a.dtype.kind == "f")
    for axes in ([0 if k == first else None for k in range(len(data))], [0] * len(data)):
        given = [w if m == 0 else a for m, w, a in zip(axes, wide, data)]
        xs = [gx.tensor(f"x{k}", a.shape, a.dtype) for k, a in enumerate(given)]
        mapped = gx.vmap(lambda *args: total(program(gx, *args)), tuple(axes))(*xs)
        (found,) = evaluate([mapped], dict(zip(xs, given)))
        ones = [gx.tensor("x", a.shape, a.dtype) for a in data]
        cost = total(program(gx, *ones))
        each = [evaluate([cost], {x: g[j] if m == 0 else g for x, m, g in zip(ones, axes, given)})[0] for j in range(n)]
        np.testing.assert_allclose(found, each, rtol=rtol, atol=rtol, err_msg=f"lanes {axes}")


def compare(pairs: Sequence[tuple[Node, Node]], env: Mapping[Node, np.ndarray], rtol: float, what: str, native: bool) -> None:
    ours = values([a for a, _ in pairs], env, native, rtol / 100)
    theirs = evaluate([b for _, b in pairs], env)
    for k, (a, b) in enumerate(zip(ours, theirs)):
        assert a.dtype == b.dtype, f"{what} {k}: {a.dtype} and {b.dtype}"
        scale = np.max(np.abs(b), initial=1.0, where=np.isfinite(b)) if b.dtype.kind == "f" else 1.0
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * scale, err_msg=f"{what} {k}")
