"""Rewriting a graph to its normal form under a table of rules.

Nodes are taken inputs first, so a rule sees inputs that are normal already, and only a node whose inputs changed is
looked at again. Every node is looked at once: time is linear in what the graph holds and the rules make. The rules
that can match at all are found by the op of a node and the ops of its inputs, and tried in the order of the table.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import field
from typing import NoReturn, Protocol

from graphc.errors import CompileError, fail
from graphc.ir import Node, Site, make, origin, rebuild
from graphc.ops.registry import CONSTANT
from graphc.ops.spread import BROADCAST
from graphc.passes.rewriting.match import token
from graphc.passes.rewriting.rule import AnyRule, Glance, Rule
from graphc.records import dataclass
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


_ITSELF = (None, ())  # of a node that is its own normal form, and always was: no rule fires on it


class Table:
    """Rules in the order in which they are tried, found by a glance at a node."""

    def __init__(
        self, rules: Iterable[AnyRule], floats: Sequence[str] = ("exact", "stable", "reassoc"), after: Table | None = None
    ) -> None:
        """after: the table whose normal forms the nodes remember; one that is its own normal form is offered only what `after` lacks."""
        self.rules = tuple([r for r in rules if r.floats in floats])
        self._late = self if after is None else Table([r for r in self.rules if r not in after.rules], floats)
        rooted = [(r, r.root) for r in self.rules]
        self._of = {name: tuple([r for r, root in rooted if root in (name, None)]) for name in dict.fromkeys([x for _, x in rooted])}
        self._everywhere = self._of.get(None, ())
        self._literals = frozenset([token(i) for r in self.rules if isinstance(r, Rule) for i in r.before.inputs])
        self._found: dict[tuple[object, ...], tuple[AnyRule, ...]] = {}

    def candidates(self, node: Node) -> tuple[AnyRule, ...]:
        """The rules that may match `node`."""
        table = self._late if node.normal is _ITSELF else self
        rules = table._of.get(node.op.name, table._everywhere)
        if not rules or not node.inputs:
            return ()
        if isinstance(node.type, tuple):  # rules on every op are written for one array
            return tuple([r for r in rules if r.root is not None])
        return rules if len(node.inputs) > MAX_ARITY else table._at_a_glance(node, rules)

    def _at_a_glance(self, node: Node, rules: tuple[AnyRule, ...]) -> tuple[AnyRule, ...]:
        """Those of the rules that may match what a look at a node and its inputs shows."""
        inputs = node.inputs
        first = inputs[0].type
        kind = first.dtype.kind if isinstance(first, TensorType) else ""
        glance = [(i.op, self._token(i)) if i.op is CONSTANT or i.op is BROADCAST else i.op for i in inputs]
        key = (node.op, kind, inputs[0] is inputs[-1], *glance)
        found = self._found.get(key)
        if found is None:
            tokens = [look[1] if isinstance(look, tuple) else look.name for look in glance]
            seen = Glance(kind, inputs[0] is inputs[-1], tuple([i.op.name for i in inputs]), tuple(tokens))
            found = self._found[key] = tuple([r for r in rules if r.accepts(seen)])
        return found

    def _token(self, node: Node) -> str:
        seen = token(node)
        return seen if seen in self._literals or not seen.startswith("constant") else "constant"


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
    return _Rewriting(table, log, memo, frozenset(avoid), twins).run(roots)


class _Rewriting:
    """One walk: what is known so far."""

    def __init__(self, table: Table, log: Fired | None, memo: bool, avoid: frozenset[Node], twins: bool) -> None:
        self.table, self.log, self.memo, self.avoid, self.twins = table, log, memo, avoid, twins
        self.normal: dict[Node, Node] = {}
        self.learned: dict[Node, Node] = {}
        self.pending: dict[Node, Node] = {}  # node -> what it was rewritten to, whose normal form is not known yet
        self.notes: dict[Node, list[Note]] = {}
        self.reported: set[Node] = set()
        self.commuted: dict[tuple[object, ...], Node] = {}
        self.bodies: dict[Region, Region] = {}

    def run(self, roots: Sequence[Node]) -> list[Node]:
        """The normal forms of `roots`."""
        normal, pending, memo = self.normal, self.pending, self.memo
        path: list[Node] = []
        waiting = [iter(roots)]  # of each node of the path the inputs that have not been looked at
        while waiting:
            for i in waiting[-1]:
                if i not in normal and not (memo and self._recalled(i)):
                    if not i.inputs and not i.op.regions:
                        normal[i] = i  # no rule matches it
                        if memo:
                            self.learned[i] = i
                        continue
                    path.append(i)
                    waiting.append(iter(i.inputs))
                    break
            else:
                waiting.pop()
                if not path:
                    break
                node = path[-1]
                form = self._resolved(node) if node in pending else self._step(node)
                if form is None:  # that of what the node was rewritten to
                    waiting.append(iter((pending[node],)))
                    if len(pending) > MAX_PENDING:
                        _not_terminating(node, self.log)
                    continue
                normal[node] = form
                if memo:
                    self.learned[node] = form
                path.pop()
        if memo:
            _remember(self.learned, self.notes)
        return [normal[r] for r in roots]

    def _recalled(self, node: Node) -> bool:
        """Whether the node remembers its normal form."""
        if node.normal is None:
            return False
        form, _ = node.normal
        self.normal[node] = node if form is None else form
        if self.log is not None:
            _replay(node, self.log, self.reported)
        return True

    def _resolved(self, node: Node) -> Node:
        """The normal form of a node that was rewritten."""
        made = self.pending.pop(node)
        if made not in self.normal:
            _not_terminating(node, self.log)
        return self.normal[made]

    def _step(self, node: Node) -> Node | None:
        """The normal form of a node whose inputs are known; None where that is that of what it is on their normal forms, or by a rule."""
        normal = self.normal
        made = node
        for i in node.inputs:
            if normal[i] is not i:
                made = rebuild(node, tuple([normal[i] for i in node.inputs]))
                break
        else:
            if node.op.regions:
                made = self._in_bodies(node)
        if made is node and (rules := self.table.candidates(node)):
            made = self._fire(node, rules)
        if made is not node and made not in self.avoid:
            self.pending[node] = made
            return None
        return self._first_of_twins(node) if self.twins and node.op.commutative else node

    def _fire(self, node: Node, rules: Sequence[AnyRule]) -> Node:
        """What the first rule that matches makes of the node, itself where none does.

        Noted under the outermost node that is being rewritten: the caller holds that one, the steps between are forgotten.
        """
        with origin(node.site):
            for rule in rules:
                made = rule.apply(node)
                if made is not None and made is not node:
                    self.notes.setdefault(next(iter(self.pending), node), []).append((rule.name, node.site))
                    if self.log is not None:
                        _note(self.log, rule.name, node.site)
                    return made
        return node

    def _in_bodies(self, node: Node) -> Node:
        """`node` with its bodies in normal form; itself where they are. What is in normal form is not looked at again."""

        def normal(region: Region) -> Region:
            if region not in self.bodies:
                inner = _Rewriting(self.table, self.log, self.memo, self.avoid, self.twins)
                found = region.with_outputs(inner.run(region.outputs))
                self.bodies[region] = self.bodies[found] = found
            return self.bodies[region]

        params = map_regions(node, normal)
        if params == node.params:
            return node
        with origin(node.site):
            return make(node.op, node.inputs, params)

    def _first_of_twins(self, node: Node) -> Node:
        """The node of this op that was met first with these inputs in any order."""
        return self.commuted.setdefault((node.op, *sorted(map(id, node.inputs))), node)


def _remember(learned: Mapping[Node, Node], notes: Mapping[Node, Sequence[Note]]) -> None:
    for node, form in learned.items():
        node.normal = _ITSELF if form is node and node not in notes else (None if form is node else form, notes.get(node, ()))


def _not_terminating(node: Node, log: Fired | None) -> NoReturn:
    names = list(log.fired)[-4:] if log is not None else []
    fail(CompileError, "rules undo each other" + (f", among them {', '.join(names)}" if names else ""), node)
