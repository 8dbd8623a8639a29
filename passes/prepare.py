"""The form in which a graph is differentiated: exact and stable rules only, so that no derivative overflows or cancels."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from graphc.ir import Node, make, replace
from graphc.ops.derived import settled
from graphc.ops.registry import INPUT, SHARED
from graphc.passes.loops.simplify_loops import simplify_loops
from graphc.passes.rewriting.fold import FOLD
from graphc.passes.rewriting.rewrite import Fired, Table, rewrite
from graphc.passes.rules.algebra import ALGEBRA
from graphc.passes.rules.differences import DIFFERENCES
from graphc.passes.rules.exponentials import EXPONENTIALS
from graphc.passes.rules.identities import IDENTITIES, TAILS
from graphc.passes.rules.joins import JOINS
from graphc.passes.rules.linalg import ASSUMED, LINALG
from graphc.passes.rules.logarithms import LOGARITHMS
from graphc.passes.rules.powers import POWERS
from graphc.passes.rules.removable import REMOVABLE
from graphc.passes.rules.shapes import SHAPES
from graphc.passes.rules.stability import ORIGIN, STABILITY
from graphc.types import TensorType

FORMS = (*IDENTITIES, *POWERS, *EXPONENTIALS, *LOGARITHMS)  # mechanisms, where no formula of STABILITY stands
GUARDED = (*TAILS, *DIFFERENCES, *REMOVABLE, *ORIGIN)  # what they guard by a choice, the rules for after `grad` may see through
PREPARE = Table((*FOLD, *SHAPES, *JOINS, *ALGEBRA, *ASSUMED, *STABILITY, *FORMS, *GUARDED, *LINALG), floats=("exact", "stable"))


def prepare(outputs: Sequence[Node], keep: Collection[Node] = (), log: Fired | None = None) -> list[Node]:
    """The outputs under the exact and the stable rules. No rule looks into a node of `keep`, replaces one, or makes one.

    Rules that change a derivative at a kink are not among them.
    """
    outputs = settled(outputs, keep)
    interior = [node for node in keep if node.op is not INPUT and node.op is not SHARED and isinstance(node.type, TensorType)]
    if not interior:
        return _normal(outputs, (), log)
    hidden = {node: make(INPUT, (), ("held", -1 - k, node.dtype, node.shape)) for k, node in enumerate(interior)}
    prepared = _normal(replace(outputs, hidden), interior, log)
    return replace(prepared, {leaf: node for node, leaf in hidden.items()})


def _normal(outputs: Sequence[Node], avoid: Collection[Node], log: Fired | None) -> list[Node]:
    """The normal forms of the outputs, and of their loops: what leaves a loop meets what is outside of it."""
    made = rewrite(outputs, PREPARE, log, memo=not avoid, avoid=avoid)
    simpler = simplify_loops(made)
    if all(a is b for a, b in zip(made, simpler)):
        return made
    return simplify_loops(rewrite(simpler, PREPARE, log, memo=not avoid, avoid=avoid))
