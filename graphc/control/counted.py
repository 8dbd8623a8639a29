"""Loops whose number of turns is known before they run, as scans: `map` and `fori_loop`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc import dims
from graphc.control.scan import loop_over
from graphc.control.tracing import called, turn_index
from graphc.control.while_loop import loop_while
from graphc.dims import Dim
from graphc.errors import DTypeError, ShapeError, fail
from graphc.ir import Node
from graphc.ops.registry import asarray
from graphc.tree import Tree
from graphc.types import whole_number


def map(f: Callable[..., Any], xs: Tree) -> Tree:
    """ys with ys[t] = f(xs[t]), one row after the other: JAX's `lax.map`. `vmap` computes all rows at once, which is faster.

    f takes a tree of rows as xs is one of arrays. Raises as `scan` does.
    """
    called("map", f)
    return loop_over("map", lambda _, x: (None, f(x)), None, xs)[1]


def fori_loop(lower: Any, upper: Any, body: Callable[[Any, Any], Any], init: Tree) -> Tree:
    """val = init; for i in lower..upper: val = body(i, val); JAX's `lax.fori_loop`.

    Bounds that are ints or sizes make a scan, which has derivatives of both modes; a bound that is a node makes a while loop, which
    has those of forward mode. i is a 0-d int64. Raises as `scan` does.
    """
    called("fori_loop", body)
    if isinstance(lower, Node) or isinstance(upper, Node):
        first, last = _bound(lower, "lower"), _bound(upper, "upper")
        return loop_while("fori_loop", lambda v: v[0] < last, lambda v: (v[0] + 1, body(v[0], v[1])), (first, init))[1]
    begin, end = (b if isinstance(b, Dim) else whole_number(b, "fori_loop: a bound") for b in (lower, upper))

    def turn(value: Any, _: Any) -> tuple[Any, None]:
        return body(turn_index() + begin, value), None

    return loop_over("fori_loop", turn, init, None, dims.maximum(end - begin, 0))[0]


def _bound(value: Any, name: str) -> Node:
    """A bound of a loop as an int64."""
    bound = asarray(value)
    if bound.ndim or bound.dtype.kind not in "iu":
        fail(ShapeError if bound.ndim else DTypeError, f"fori_loop: {name} is {bound.tensor}, not one integer", bound)
    return bound.astype("int64")
