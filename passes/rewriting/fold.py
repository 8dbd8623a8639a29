"""Computing at build time what depends on constants only."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.dims import Dim
from graphc.errors import GraphcError
from graphc.ir import Node
from graphc.ops.registry import CONSTANT, constant
from graphc.ops.spread import BROADCAST
from graphc.passes.rewriting.match import params
from graphc.passes.rewriting.rule import AnyRule, Local

MAX_ELEMENTS = 4096  # a longer result is folded only where it is no longer than what it is computed from


def fold_constants(node: Node) -> Node | None:
    """f(constants) -> constant, by the NumPy meaning of f."""
    op = node.op
    if op is BROADCAST or op.ref is None or op.regions or op.traits.stops:
        return None  # a broadcast number stays one: it costs nothing, and rules see it
    available = 0
    for i in node.inputs:
        if i.op is not CONSTANT:
            return None
        available += params(i)[0].array.size
    size = node.size
    if not isinstance(size, int) or size > max(MAX_ELEMENTS, available) or any(map(_symbolic, (*node.shape, *node.params))):
        return None
    try:
        with np.errstate(all="ignore"):
            value = op.ref(*[params(i)[0].array for i in node.inputs], **node.attrs)
    except GraphcError:
        return None  # such as an index out of range: an error of the call, not of the build
    return constant(np.asarray(value), node.dtype) if np.shape(value) == node.shape else None


def _symbolic(param: Any) -> bool:
    return isinstance(param, Dim) or (isinstance(param, tuple) and any(map(_symbolic, param)))


FOLD: tuple[AnyRule, ...] = (Local("fold", None, fold_constants, inputs=("constant",)),)
