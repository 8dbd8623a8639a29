"""Checks a derivative rule against itself: each order against central differences of the order below, forward against reverse."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphc.derivatives.forward import push_forward
from graphc.derivatives.grad import pull_back
from graphc.interp import evaluate
from graphc.ir import Node
from graphc.ops.registry import constant, tensor
from graphc.ops.spread import reduce

STEP = 1e-5


def dot(a: Node, b: Node) -> Node:
    """sum(a * b), 0-d."""
    return reduce(a * b, tuple(range(a.ndim)), "sum")


def gradient(cost: Node, wrt: Sequence[Node]) -> list[Node | None]:
    """The cotangents of `wrt` for a 0-d cost, None where it does not depend on them."""
    found = pull_back([(cost, constant(np.ones((), cost.dtype)))], set(wrt))
    return [found.get(x) for x in wrt]


def check_derivatives(f: Callable[..., Node], *arrays: object, orders: int = 3, tolerance: float = 1e-6, seed: int = 0) -> None:
    """f at f64 `arrays`: u^T J v by reverse mode, by forward mode and by differences, then the same of that number, `orders` times."""
    rng = np.random.default_rng(seed)
    values = [np.asarray(a, np.float64) for a in arrays]
    xs = [tensor(f"x{k}", v.shape) for k, v in enumerate(values)]
    out = f(*xs)
    cost = dot(out, constant(rng.normal(size=out.shape)))
    for order in range(1, orders + 1):
        vs = [rng.normal(size=v.shape) for v in values]
        parts = [dot(g, constant(v)) for g, v in zip(gradient(cost, xs), vs) if g is not None]
        (tangent,) = push_forward([cost], dict(zip(xs, map(constant, vs))))
        if not parts:
            assert tangent is None or abs(evaluate([tangent], dict(zip(xs, values)))[0]) < tolerance
            return
        slope = parts[0]
        for part in parts[1:]:
            slope = slope + part
        below = [evaluate([cost], {x: a + s * STEP * v for x, a, v in zip(xs, values, vs)})[0] for s in (1, -1)]
        expected = (below[0] - below[1]) / (2 * STEP)
        found = evaluate([slope] if tangent is None else [slope, tangent], dict(zip(xs, values)))
        scale = tolerance * (1 + abs(expected) + max(abs(b) for b in below))
        assert abs(found[0] - expected) < scale, f"order {order}, reverse: {found[0]}, by differences {expected}"
        assert abs((found[1] if tangent is not None else 0) - found[0]) < 1e-3 * scale + 1e-9, (
            f"order {order}: forward {found[1:]}, reverse {found[0]}"
        )
        cost = slope
