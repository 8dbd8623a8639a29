"""Loops whose number of turns is known before they run, as scans: `map` and `fori_loop`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc import dims
from graphc.control.scan import scan
from graphc.control.tracing import same_shape, turn_index
from graphc.control.while_loop import while_loop
from graphc.dims import Dim
from graphc.ir import Node
from graphc.ops.registry import asarray
from graphc.tree import Tree
from graphc.types import whole_number


def map(f: Callable[..., Any], xs: Tree) -> Tree:
    """ys with ys[t] = f(xs[t]), one row after the other: JAX's `lax.map`. `vmap` computes all rows at once, which is faster.

    f takes a tree of rows as xs is one of arrays. Raises as `scan` does.
    """
    return scan(lambda _, x: (None, f(x)), None, xs)[1]


def fori_loop(lower: Any, upper: Any, body: Callable[[Any, Any], Any], init: Tree) -> Tree:
    """val = init; for i in lower..upper: val = body(i, val); JAX's `lax.fori_loop`.

    Bounds that are ints or sizes make a scan, which has derivatives of both modes; a bound that is a node makes a while loop, which
    has those of forward mode. i is a 0-d int64. Raises as `scan` does.
    """
    if isinstance(lower, Node) or isinstance(upper, Node):
        first, last = asarray(lower).astype("int64"), asarray(upper).astype("int64")
        for bound, name in ((first, "lower"), (last, "upper")):
            same_shape(f"fori_loop: {name} has {bound.ndim} dimensions, and must have none", bound.shape, (), bound)
        return while_loop(lambda v: v[0] < last, lambda v: (v[0] + 1, body(v[0], v[1])), (first, init))[1]
    begin, end = (b if isinstance(b, Dim) else whole_number(b, "fori_loop: a bound") for b in (lower, upper))

    def turn(value: Any, _: Any) -> tuple[Any, None]:
        return body(turn_index() + begin, value), None

    return scan(turn, init, length=dims.maximum(end - begin, 0))[0]
