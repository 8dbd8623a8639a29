"""Rewriting a graph to its normal form under a table of rules.

Nodes are taken inputs first, so a rule sees inputs that are normal already, and only a node whose inputs changed is
looked at again. Every node is looked at once: time is linear in what the graph holds and the rules make. The rules
that can match at all are found by the op of a node and the ops of its inputs, and tried in the order of the table.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from graphc.errors import CompileError, fail
from graphc.ir import Node, Site, make, origin, rebuild
from graphc.ops.registry import CONSTANT
from graphc.ops.spread import BROADCAST
from graphc.passes.rewriting.match import token
from graphc.passes.rewriting.rule import AnyRule, Glance, Rule
from graphc.region import Region, map_regions
from graphc.types import TensorType

MAX_ARITY = 3  # of elementwise ops; nodes with more inputs are offered every rule of their op
MAX_PENDING = 10_000  # rewrites of one node that wait for each other; a terminating table needs a few


class Fired(Protocol):
    """What a rewrite reports to: how often each rule fired, and at which lines of the user."""

    fired: dict[str, int]
    sites: dict[str, list[str]]


@dataclass
class Log:
    """The plain report of a rewrite."""

    fired: dict[str, int] = field(default_factory=dict)
    sites: dict[str, list[str]] = field(default_factory=dict)


Note = tuple[str, Site]  # a rule that fired, and where the user made what it fired on


def _note(log: Fired, rule: str, site: Site) -> None:
    log.fired[rule] = log.fired.get(rule, 0) + 1
    line = f"{os.path.basename(site[0])}:{site[1]}" if site else "?"
    lines = log.sites.setdefault(rule, [])
    if line not in lines:
        lines.append(line)


class Table:
    """Rules in the order in which they are tried, found by a glance at a node."""

    def __init__(self, rules: Iterable[AnyRule], floats: Sequence[str] = ("exact", "stable", "reassoc")) -> None:
        self.rules = tuple([r for r in rules if r.floats in floats])
        self._of = {r.root: tuple([s for s in self.rules if s.root in (r.root, None)]) for r in self.rules}
        self._everywhere = self._of.get(None, ())
        self._literals = frozenset([token(i) for r in self.rules if isinstance(r, Rule) for i in r.before.inputs])
        self._found: dict[tuple[object, ...], tuple[AnyRule, ...]] = {}

    def candidates(self, node: Node) -> tuple[AnyRule, ...]:
        """The rules that may match `node`."""
        inputs = node.inputs
        if not inputs:
            return ()
        if isinstance(node.type, tuple):  # rules on every op are written for one array
            return tuple([r for r in self._of.get(node.op.name, ()) if r.root is not None])
        if len(inputs) > MAX_ARITY:
            return self._of.get(node.op.name, self._everywhere)
        first = inputs[0].type
        kind = first.dtype.kind if isinstance(first, TensorType) else ""
        glance: list[object] = [node.op, kind, inputs[0] is inputs[-1]]
        for i in inputs:
            op = i.op
            glance.append(op)
            if op is CONSTANT or op is BROADCAST:
                glance.append(self._token(i))
        key = tuple(glance)
        found = self._found.get(key)
        if found is None:
            ops = [i.op.name for i in inputs]
            tokens = [self._token(i) if i.op is BROADCAST or i.op is CONSTANT else op for i, op in zip(inputs, ops)]
            seen = Glance(kind, inputs[0] is inputs[-1], tuple(ops), tuple(tokens))
            rules = self._of.get(node.op.name, self._everywhere)
            found = self._found[key] = tuple([r for r in rules if r.accepts(seen)])
        return found

    def _token(self, node: Node) -> str:
        seen = token(node)
        return seen if seen in self._literals or not seen.startswith("constant") else "constant"


_ITSELF = (None, ())  # of a node that is its own normal form


def _replay(node: Node, log: Fired, done: set[Node]) -> None:
    """Report what fired on `node` and on all it needs when the normal forms were found, where that is not `done`."""
    stack = [node]
    while stack:
        node = stack.pop()
        if node in done or node.normal is None:
            continue
        done.add(node)
        stack.extend(node.inputs)
        for rule, site in node.normal[1]:
            _note(log, rule, site)


def rewrite(
    roots: Sequence[Node],
    table: Table,
    log: Fired | None = None,
    *,
    memo: bool = False,
    avoid: Collection[Node] = (),
    twins: bool = False,
) -> list[Node]:
    """The normal forms of `roots`; no node of `avoid` is made.

    memo: every node remembers its normal form. It need not be worked out again, but is reported again. For one table only.
    twins: x * y and y * x become one, the one that is met first.
    """
    normal: dict[Node, Node] = {}
    learned: dict[Node, Node] = {}
    pending: dict[Node, Node] = {}  # node -> what it was rewritten to, whose normal form is not known yet
    notes: dict[Node, list[Note]] = {}
    reported: set[Node] = set()
    commuted: dict[tuple[object, ...], Node] = {}
    shunned = frozenset(avoid)
    bodies: dict[Region, Region] = {}
    stack = list(roots)[::-1]
    while stack:
        node = stack[-1]
        if node in normal:
            stack.pop()
            continue
        if node in pending:
            if pending[node] not in normal:
                _not_terminating(node, log)
            normal[node] = learned[node] = normal[pending.pop(node)]
            continue
        if memo and (known := node.normal) is not None:
            normal[node] = node if known[0] is None else known[0]
            if log is not None:
                _replay(node, log, reported)
            continue
        inputs, height = node.inputs, len(stack)
        for i in inputs[::-1]:
            if i not in normal:
                stack.append(i)
        if len(stack) > height:
            continue
        made = _on_normal_inputs(node, normal)
        if made is None and node.op.regions:
            made = _in_bodies(node, bodies, table, log, memo, avoid, twins)
        if made is None or made is node:
            made = _fired(node, table, notes, pending, log)
        if made is None or made is node or (shunned and made in shunned):
            if twins and node.op.commutative:
                node = commuted.setdefault((node.op, *sorted(map(id, node.inputs))), node)
            normal[stack[-1]] = learned[stack[-1]] = node
        else:
            pending[node] = made
            stack.append(made)
            if len(pending) > MAX_PENDING:
                _not_terminating(node, log)
    if memo:
        _remember(learned, notes)
    return [normal[r] for r in roots]


def _on_normal_inputs(node: Node, normal: Mapping[Node, Node]) -> Node | None:
    """The node on the normal forms of its inputs; None where these are its inputs."""
    for i in node.inputs:
        if normal[i] is not i:
            return rebuild(node, tuple([normal[i] for i in node.inputs]))
    return None


def _fired(node: Node, table: Table, notes: dict[Node, list[Note]], pending: Mapping[Node, Node], log: Fired | None) -> Node | None:
    """What the first rule that applies makes of the node.

    Noted under the outermost node that is being rewritten: the caller holds that one, the steps between are forgotten.
    """
    made: Node | None = None
    if rules := table.candidates(node):
        made, rule = _fire(node, rules)
        if made is not None:
            notes.setdefault(next(iter(pending), node), []).append((rule, node.site))
            if log is not None:
                _note(log, rule, node.site)
    return made


def _remember(learned: Mapping[Node, Node], notes: Mapping[Node, Sequence[Note]]) -> None:
    for node, form in learned.items():
        node.normal = _ITSELF if form is node and node not in notes else (None if form is node else form, notes.get(node, ()))


def _in_bodies(
    node: Node, known: dict[Region, Region], table: Table, log: Fired | None, memo: bool, avoid: Collection[Node], twins: bool
) -> Node:
    """`node` with its bodies in normal form; itself where they are. What is in normal form is not looked at again."""

    def normal(region: Region) -> Region:
        if region not in known:
            found = region.with_outputs(rewrite(region.outputs, table, log, memo=memo, avoid=avoid, twins=twins))
            known[region] = known[found] = found
        return known[region]

    params = map_regions(node, normal)
    if params == node.params:
        return node
    with origin(node.site):
        return make(node.op, node.inputs, params)


def _fire(node: Node, rules: Sequence[AnyRule]) -> tuple[Node | None, str]:
    """What the first rule that matches makes of a node, and the name of the rule."""
    with origin(node.site):
        for rule in rules:
            made = rule.apply(node)
            if made is not None and made is not node:
                return made, rule.name
    return None, ""


def _not_terminating(node: Node, log: Fired | None) -> NoReturn:
    names = list(log.fired)[-4:] if log is not None else []
    fail(CompileError, "rules undo each other" + (f", among them {', '.join(names)}" if names else ""), node)
