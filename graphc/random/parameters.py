"""What draws take besides a key, checked: dtypes, shapes, and parameters whose values are known when the graph is built."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphc.dtypes import as_dtype, float64, is_float, promote, to_float
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.rows import weak_dtype
from graphc.ops.shape import in_dtype, known_shape
from graphc.ops.spread import broadcast_to
from graphc.types import Shape, broadcast_shapes

Wanted = tuple[str, Callable[[np.ndarray], np.ndarray]]  # in words, and as a test of every element

POSITIVE: Wanted = ("greater than 0", lambda v: v > 0)
NOT_NEGATIVE: Wanted = ("0 or more", lambda v: v >= 0)
PROBABILITY: Wanted = ("from 0 to 1", lambda v: (v >= 0) & (v <= 1))


def float_dtype(what: str, dtype: object, *parameters: ArrayLike) -> np.dtype:
    """The dtype of a draw: as asked, else that of the parameters that are arrays, else float64. DTypeError where it is no float."""
    if dtype is not None:
        wanted = as_dtype(dtype)
        if not is_float(wanted):
            fail(DTypeError, f"{what}: the dtype is float32 or float64, not {wanted}")
        return wanted
    known = [d for p in parameters if isinstance(d := weak_dtype(p, what), np.dtype)]
    return to_float(promote(*known)) if known else float64


def known_value(x: ArrayLike) -> np.ndarray | None:
    """The value of a number, an array or a constant; None where only a call knows it."""
    node = asarray(x)
    while node.op.traits.moves == "view" and len(node.inputs) == 1:
        node = node.inputs[0]  # the same elements, or some of them more often
    return np.asarray(node.params[0].array) if node.op.traits.leaf == "constant" else None


def parameter(what: str, name: str, value: ArrayLike, dtype: np.dtype, wanted: Wanted | None = None) -> Node:
    """A parameter as a node of `dtype`; ArgumentError where its value is known and is not as `wanted`."""
    if isinstance(value, (list, tuple)):
        value = np.asarray(value)
    known = known_value(value) if wanted is not None else None
    if wanted is not None and known is not None and not np.all(wanted[1](known)):
        text, test = wanted
        bad = known[~test(known)].ravel()[0]
        fail(ArgumentError, f"{what}: {name} must be {text}, and is {bad}", *([value] if isinstance(value, Node) else []))
    return in_dtype(value, dtype)


def shape_of(what: str, shape: object, parameters: Sequence[Node]) -> Shape:
    """The shape of a draw: as asked, else what the parameters broadcast to. ShapeError where they do not broadcast to it."""
    common = broadcast_shapes([p.shape for p in parameters], what, parameters)
    if shape is None:
        return common
    wanted = known_shape(shape, what)
    for p in parameters:
        broadcast_to(p, wanted)  # raises
    return wanted


def probabilities(what: str, name: str, p: ArrayLike, dtype: np.dtype) -> Node:
    """Probabilities along the last axis; ArgumentError where they are known and are none, or do not sum to 1 up to rounding."""
    node = parameter(what, name, p, dtype, PROBABILITY)
    if not node.ndim:
        fail(ShapeError, f"{what}: {name} needs an axis of probabilities", node)
    known = known_value(p if not isinstance(p, (list, tuple)) else np.asarray(p))
    if known is not None and known.size:
        sums = known.sum(-1, dtype=np.float64)
        digits = np.finfo(known.dtype if known.dtype.kind == "f" else np.float64).eps
        wrong = np.abs(sums - 1) > np.sqrt(digits)
        if np.any(wrong):
            fail(ArgumentError, f"{what}: the probabilities {name} must sum to 1, and sum to {sums[wrong].ravel()[0]:.9g}")
    return node
