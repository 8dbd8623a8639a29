"""The form in which a graph is differentiated: exact and stable rules only, so that no derivative overflows or cancels."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from graphc.ir import Node, make, replace
from graphc.ops.derived import settled
from graphc.ops.registry import INPUT, SHARED
from graphc.passes.rewriting.fold import FOLD
from graphc.passes.rewriting.rewrite import Fired, Table, rewrite
from graphc.passes.rules.algebra import ALGEBRA
from graphc.passes.rules.joins import JOINS
from graphc.passes.rules.linalg import LINALG
from graphc.passes.rules.shapes import SHAPES
from graphc.passes.rules.stability import ORIGIN, STABILITY
from graphc.types import TensorType

PREPARE = Table((*FOLD, *SHAPES, *JOINS, *ALGEBRA, *STABILITY, *ORIGIN, *LINALG), floats=("exact", "stable"))


def prepare(outputs: Sequence[Node], keep: Collection[Node] = (), log: Fired | None = None) -> list[Node]:
    """The outputs under the exact and the stable rules. No rule looks into a node of `keep`, replaces one, or makes one.

    Rules that change a derivative at a kink are not among them.
    """
    outputs = settled(outputs, keep)
    interior = [node for node in keep if node.op is not INPUT and node.op is not SHARED and isinstance(node.type, TensorType)]
    if not interior:
        return rewrite(outputs, PREPARE, log, memo=True)
    hidden = {node: make(INPUT, (), ("held", -1 - k, node.dtype, node.shape)) for k, node in enumerate(interior)}
    prepared = rewrite(replace(outputs, hidden), PREPARE, log, avoid=interior)
    return replace(prepared, {leaf: node for node, leaf in hidden.items()})
