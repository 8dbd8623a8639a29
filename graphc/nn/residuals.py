"""What all losses begin and end with: a residual whose shapes agree, and the reduction of many losses to one."""

from __future__ import annotations

from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.nn.parameters import together
from graphc.ops.reductions import mean
from graphc.ops.reductions import sum as total
from graphc.ops.registry import ArrayLike
from graphc.types import broadcast_shapes

REDUCTIONS = ("mean", "sum", "none")


def reduced(what: str, values: Node, reduction: str) -> Node:
    """The mean of all values, their sum, or the values."""
    if reduction not in REDUCTIONS:
        fail(ArgumentError, f"{what}: reduction is 'mean', 'sum' or 'none', got {reduction!r}", values)
    return values if reduction == "none" else mean(values) if reduction == "mean" else total(values)


def residual(what: str, prediction: ArrayLike, target: ArrayLike) -> Node:
    """prediction - target, as `paired`."""
    a, b = paired(what, prediction, target)
    return a - b


def paired(what: str, prediction: ArrayLike, target: ArrayLike) -> tuple[Node, Node]:
    """Prediction and target as floats, of which one may be a number or have axes of size 1.

    (n,) against (n, 1) is ShapeError: broadcast, it would compare all pairs, the commonest of silent mistakes.
    """
    a, b = together(what, prediction, target)
    hint = "to broadcast these would compare every prediction with every target; reshape one of them"
    if a.ndim and b.ndim and a.ndim != b.ndim:
        fail(ShapeError, f"{what}: the prediction has {a.ndim} axes, the target {b.ndim}", a, b, hint=hint)
    broadcast_shapes([a.shape, b.shape], what, [a, b])
    if any(n == 1 != m for n, m in zip(a.shape, b.shape)) and any(m == 1 != n for n, m in zip(a.shape, b.shape)):
        fail(ShapeError, f"{what}: prediction and target differ in shape", a, b, hint=hint)
    return a, b
