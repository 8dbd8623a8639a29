"""What a rule makes is no dearer than what it takes, or the rule says why."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from graphc import scalars as sc
from graphc.codegen.mathlib import expand
from graphc.codegen.target import named
from graphc.dtypes import float32, float64
from graphc.ir import Node, toposort
from graphc.passes.rewriting.rule import Glance, Local, Rule
from graphc.scalars import Scalar
from tests.test_rules import EVERY, EXAMPLES, NUMBERS, both, fill, holes, lifted

TARGET = named("x86-64-v4")
DEAR = {"div": 8, "sqrt": 8, "summed": 100}  # in instructions of other kinds, about what a processor starts meanwhile
ENOUGH, SLIGHT = 1.25, 6  # what counts as dearer: a quarter more, and more than a few instructions


def written(root: Node) -> Scalar | None:
    """The expression as one body of a kernel, in primitives; None where it is more than elementwise."""
    found: dict[Node, Scalar] = {}
    for node in toposort([root]):
        args = [found[i] for i in node.inputs]
        if node.op.name == "input":
            found[node] = sc.arg(len(found), node.dtype)
        elif node.op.name == "constant" and node.ndim == 0:
            found[node] = sc.const(node.params[0].array.item(), node.dtype)  # type: ignore[union-attr]
        elif node.op.name == "broadcast" and not node.inputs[0].ndim:
            found[node] = args[0]
        elif node.op.elementwise and node.op.row is not None:
            found[node] = node.op.row.emit(sc, *args)
        elif node.op.name == "select":
            found[node] = sc.select(*args)
        else:
            return None
    return expand(found[root], TARGET)


def cost(root: Scalar) -> int:
    """Instructions, of what is rarely called none."""
    body = [s for s in sc.order((root,)) if s.op not in ("const", "arg")]
    return sum(DEAR.get(s.op, 1) + (cost(s.param) if s.op in ("outlined", "detour") else 0) for s in body)


def pairs(rule: Rule | Local, dtype: np.dtype) -> Iterator[tuple[Node, Node]]:
    """(before, after), for every number that the rule takes, or of the example of a rule on parameters."""
    if isinstance(rule, Rule):
        for bound, _ in fill(rule, dtype, lambda h: [1], NUMBERS):
            made = both(rule, bound)
            if made is not None:
                yield made
        return
    for node in toposort([EXAMPLES[rule.name]()]):
        glance = Glance("", False, tuple([i.op.name for i in node.inputs]), ())
        if rule.root in (node.op.name, None) and rule.accepts(glance) and (after := rule.apply(node)) is not None:
            yield node, after


def dearest(rule: Rule | Local, dtype: np.dtype) -> tuple[int, int] | None:
    """The costs of both sides where the second is the most above the first; None where a side is more than elementwise."""
    worst: tuple[int, int] | None = None
    for sides in pairs(rule, dtype):
        was, now = (written(side) for side in sides)
        if was is None or now is None:
            return None
        found = cost(was), cost(now)
        worst = found if worst is None or found[1] - found[0] > worst[1] - worst[0] else worst
    return worst


def dearer(rule: Rule | Local) -> list[tuple[int, int]]:
    """The costs for the types where the rule makes an expression dearer."""
    found = [c for d in (float32, float64) if (c := dearest(rule, d)) is not None]
    return [(was, now) for was, now in found if now > ENOUGH * was + SLIGHT]


COUNTED = [rule for rule in EVERY if isinstance(rule, Local) or not (lifted(rule) or {h.params[1] for h in holes(rule)} & {"b", "iu"})]


@pytest.mark.parametrize("rule", [pytest.param(r, id=r.name) for r in COUNTED])
def test_a_dearer_side_says_what_it_is_for(rule: Rule | Local) -> None:
    """And nothing is said of what is not dearer."""
    assert bool(dearer(rule)) == bool(rule.dearer), f"{dearer(rule)}: {rule.dearer!r}"
