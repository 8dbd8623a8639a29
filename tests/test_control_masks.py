"""What is not taken has no derivative, however infinite: 0 through the turns of a loop, into branches and out of them, not 0 * inf."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.interp import evaluate
from graphc.ir import Node
from tests.twins import UNROLLED

X = np.array([0.0, 0.25, 0.0, 4.0])  # sqrt has an infinite derivative at 0
ON = X > 0


def behind(L: Any, x: Any) -> Any:
    """The rows of the loop are selected behind it."""
    _, ys = L.scan(lambda c, v: (c, gx.sqrt(v) * c), 1.0, x)
    return gx.where(x > 0, ys, 0)


def before(L: Any, x: Any) -> Any:
    """What the loop selects from is computed before it."""
    return L.scan(lambda c, r: (c + gx.where(r["x"] > 0, r["s"], 1.0) ** 2, c), 0.0, {"x": x, "s": gx.sqrt(x)})


def across(L: Any, x: Any) -> Any:
    """A turn computes what a later one does not take."""
    return L.scan(lambda c, v: (gx.sqrt(v), gx.where(c > 0, c * 3, v)), gx.sqrt(x[0]), x)[1]


def across_back(L: Any, x: Any) -> Any:
    return L.scan(lambda c, v: (gx.sqrt(v), gx.where(c > 0, c * 3, v)), gx.sqrt(x[0]), x, reverse=True)[1]


def captured(L: Any, x: Any) -> Any:
    """An operand that no turn takes everywhere."""
    s = gx.sqrt(x)
    return L.scan(lambda c, v: (c * 0.5 + gx.where(x > 0, s * v, 0), None), gx.ones(4), x)[0]


def last(L: Any, x: Any) -> Any:
    """The last carry is selected from; the mask goes through all turns."""
    c, _ = L.scan(lambda c, v: (c * gx.cos(v), None), gx.sqrt(x), x)
    return gx.where(x > 0, c, 0)


def other_branch(L: Any, x: Any) -> Any:
    """A branch that does not run has an operand all to itself."""
    s = gx.sqrt(x[0])
    return L.cond(x[1] > 3, lambda: s * x[1], lambda: x[1] ** 2)


def branch_in_loop(L: Any, x: Any) -> Any:
    s = gx.sqrt(x)
    return L.scan(lambda c, r: (L.cond(r[0] > 0, lambda v: c + v, lambda v: c, r[1]), c), 0.0, (x, s))


def replaced(L: Any, x: Any) -> Any:
    """The last carry, all of which counts, but nothing before the turn that replaces it; by a branch and by a selection."""
    either = lambda c, v: L.cond(v > 3, lambda a: v * v, lambda a: a * v, c)
    step = lambda c, v: ((either(c[0], v), gx.where(v > 3, v * v, c[1] * v)), None)
    return L.scan(step, (gx.sqrt(x[0]), gx.sqrt(x[2])), x)[0]


def masked_branch(L: Any, x: Any) -> Any:
    """The mask goes into the branch."""
    y = L.cond(x[1] > 0, lambda v: gx.sqrt(v) * 2, lambda v: v, x)
    return gx.where(x > 0, y, 0)


def both_branches(L: Any, x: Any) -> Any:
    """Whichever branch runs, it takes what the other one takes, and not all of it."""
    return L.cond(x[3] > 3, lambda v: gx.where(x > 0, v * v, 0), lambda v: gx.where(x > 0, v, 1), gx.sqrt(x))


def nested(L: Any, x: Any) -> Any:
    def outer(c: Any, v: Any) -> Any:
        return L.scan(lambda d, u: (d + gx.where(u["x"] > 0, u["s"], 0) * v, d), c, {"x": x, "s": gx.sqrt(x)})

    _, ys = L.scan(outer, 0.0, x)
    return ys


def bounded(L: Any, x: Any) -> Any:
    """A while loop over values of which some are never taken."""
    s = gx.sqrt(x)
    return L.while_loop(lambda v: gx.sum(v) < 9, lambda v: v + gx.where(x > 0, s, 1.0), x, max_steps=4)


PROGRAMS = [
    behind,
    before,
    across,
    across_back,
    captured,
    last,
    other_branch,
    branch_in_loop,
    replaced,
    masked_branch,
    both_branches,
    nested,
    bounded,
]


def derivatives(L: Any, program: Any, x: Node) -> list[Node]:
    cost = gx.asarray(0.0)
    for k, leaf in enumerate(gx.tree.leaves(program(L, x))):
        cost = cost + gx.sum(leaf * (k + 1.5))
    first = gx.grad(cost, x)
    return [cost, first, gx.grad(gx.sum(gx.sin(first)), x)]


@pytest.mark.parametrize("program", PROGRAMS)
def test_finite_as_unrolled(program: Any) -> None:
    x = gx.tensor("x", (4,))
    ours, theirs = (evaluate(derivatives(L, program, x), {x: X}) for L in (gx, UNROLLED))
    for order, (a, b) in enumerate(zip(ours, theirs)):
        assert np.all(np.isfinite(b)), "the unrolled twin itself is to be finite"
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12, err_msg=f"order {order}")
