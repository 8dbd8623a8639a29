"""The full tables, for a graph that is not differentiated any more."""

from __future__ import annotations

from graphc.ir import Graph
from graphc.passes.narrow import narrow
from graphc.passes.prepare import FORMS, PREPARE, prepare
from graphc.passes.rewriting.fold import FOLD
from graphc.passes.rewriting.rewrite import Fired, Table, rewrite
from graphc.passes.rewriting.roll import roll
from graphc.passes.rules import algebra, differences, identities, linalg, shapes, softmaxes
from graphc.passes.rules.algebra import ALGEBRA
from graphc.passes.rules.convolutions import CONVOLUTIONS
from graphc.passes.rules.joins import JOINS
from graphc.passes.rules.linalg import ASSUMED, LINALG
from graphc.passes.rules.shapes import SHAPES
from graphc.passes.rules.stability import STABILITY

LATE = (*algebra.LATE, *shapes.LATE, *linalg.LATE, *differences.LATE, *identities.LATE, *softmaxes.LATE)
SIMPLIFY = Table((*FOLD, *SHAPES, *JOINS, *ALGEBRA, *LATE, *ASSUMED, *STABILITY, *FORMS, *LINALG, *CONVOLUTIONS), after=PREPARE)


def simplify(graph: Graph, log: Fired | None = None) -> Graph:
    """The graph under all rules but the fast ones.

    First as `grad` prepares it: a forward graph then meets its own gradient in the same nodes.
    """
    rolled = roll(graph.with_outputs(prepare(graph.outputs, log=log)))
    simple = graph.with_outputs(rewrite(rolled.outputs, SIMPLIFY, log, twins=True))
    narrowed = narrow(simple)
    return simple if narrowed is simple else graph.with_outputs(rewrite(narrowed.outputs, SIMPLIFY, log, twins=True))
