"""The gradient of the mean of a cost of discrete draws, estimated from the draws."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.dtypes import is_float
from graphc.errors import DTypeError, fail
from graphc.ir import Node, rebuild, toposort
from graphc.ops.compare import stop_gradient
from graphc.ops.registry import ArrayLike, asarray
from graphc.region import with_bodies


def score_function(cost: ArrayLike, log_prob: ArrayLike) -> Node:
    """The cost, with the derivative d cost + cost d log_prob: an unbiased estimate of the derivative of E[cost] by one draw. REINFORCE.

    cost: best one for each draw or example, `reduction="none"` of a loss: the mean of a batch as one cost for all its draws is unbiased as
    well, but far noisier. log_prob: the logarithm of the probability of the draws that the cost was computed from; it broadcasts with the
    cost. In both the discrete draws are taken as given, so that neither needs `stop_gradient`. A baseline, what does not depend on the draw
    of its element, is subtracted from the cost and lowers the variance; where it depends on parameters, pass it through `stop_gradient`.
    The derivative is of order 1: one of it is no estimate of the second derivative.

        b = gx.random.bernoulli(key, p, (1000,))
        loss = gx.mean(gx.random.score_function(f(b), gx.where(b, gx.log(p), gx.log(1 - p))))
        gx.grad(loss, p)

    Williams (1992), Simple statistical gradient-following algorithms. Raises DTypeError (no floats), ShapeError.
    """
    values, logs = asarray(cost), asarray(log_prob)
    for name, node in (("cost", values), ("log_prob", logs)):
        if not is_float(node.dtype):
            fail(DTypeError, f"score_function: {name} is {node.dtype}, not float", node, hint="cast it with .astype")
    value, score = _as_given([values, logs])
    return value + stop_gradient(value) * (score - stop_gradient(score))


def _as_given(roots: Sequence[Node]) -> list[Node]:
    """The roots with every discrete draw taken as a constant, in bodies too."""
    given = with_bodies(roots, lambda r: r.with_outputs(_as_given(r.outputs)))
    new: dict[Node, Node] = {}
    for node in toposort(given):
        kept = rebuild(node, tuple([new[i] for i in node.inputs]))
        new[node] = stop_gradient(kept) if node.op.traits.jumps else kept
    return [new[root] for root in given]


__all__ = ["score_function"]
