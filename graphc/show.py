"""An expression as mathematics, for people: what `print(node)` shows. `printer` has the text with one line a node, for the machine's sake.

    a = x @ w + b                       # f32[n, 10]
    mean(log(sum(exp(a), axis=1)))      # f32[]
      b: f32[10], state
      x: f32[n, 64]
      ...

Nodes that are used more than once, and what would make a line too long, have a line and a letter of their own. Of a large graph the
nodes nearest to the result are shown; nothing here recurses.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from graphc.ir import Node, toposort
from graphc.notation import ATOM, Piece, kind, leaf, mean, mean_of, stretched, written
from graphc.operators import FUNCTIONS
from graphc.ops.spread import BROADCAST
from graphc.printer import node_names

WIDTH = 96  # characters of a line
SHORT = 8  # characters up to which a text is repeated rather than given a letter
MOST_NODES = 160
MOST_VARIABLES = 16


def show(*outputs: Node) -> str:
    """The text of one or several expressions. A variable is one line, `x: f32[n, 64]`."""
    order = toposort(outputs)
    near = _nearest(outputs, MOST_NODES) if len(order) > MOST_NODES else set(order)
    shown = [n for n in order if n in near]
    variables = [n for n in shown if n.op.traits.variable]
    text = _Text(shown, outputs)
    results = [] if len(outputs) == 1 and outputs[0].op.traits.variable else [(text.pieces[o].text, o) for o in outputs]
    lines = [*text.lines, *results]
    column = max((len(line) for line, _ in lines if len(line) <= WIDTH // 2), default=0)
    rows = [f"{line:<{column}}    # {kind(node)}" for line, node in lines]
    indent = "  " if lines else ""
    rows += sorted(f"{indent}{text.pieces[v].text}: {kind(v)}" for v in variables[:MOST_VARIABLES])
    if len(variables) > MOST_VARIABLES:
        rows.append(f"  ... and {len(variables) - MOST_VARIABLES:,} more variables")
    if len(order) > len(shown):
        rows.append(f"  ... and {len(order) - len(shown):,} more nodes")
    return "\n".join(rows)


def _nearest(outputs: Sequence[Node], most: int) -> set[Node]:
    """The nodes that the fewest steps lead to."""
    found = dict.fromkeys(outputs)
    for node in (queue := list(found)):  # grows as it is read
        for i in node.inputs:
            if len(found) < most and i not in found:
                found[i] = None
                queue.append(i)
    return set(found)


class _Text:
    """The pieces of nodes in order, and the lines of those that have a letter."""

    def __init__(self, order: Sequence[Node], outputs: Sequence[Node]) -> None:
        names = node_names([n for n in order if n.op.traits.variable])
        self.pieces: dict[Node, Piece] = {n: Piece(name) for n, name in names.items()}
        self.lines: list[tuple[str, Node]] = []
        self.letters = _letters({p.text for p in self.pieces.values()})
        self.waiting: dict[Node, Piece] = {}  # long enough to deserve a letter if it makes a line too long
        uses = _uses(order, outputs)
        for node in order:
            if node not in self.pieces:
                self.pieces[node] = simple = leaf(node) or self._composed(node)
                if uses[node] > 1 and len(simple.text) > SHORT and node.op is not BROADCAST and leaf(node) is None:
                    self._name(node)

    def _composed(self, node: Node) -> Piece:
        """The text of a node; the longest operands get letters until it fits a line."""
        while True:
            piece = self._written(node)
            long = [i for i in node.inputs if self._core(i) in self.waiting]
            if len(piece.text) <= WIDTH or not long:
                break
            self._name(self._core(max(long, key=lambda i: len(self.pieces[i].text))))
        for i in node.inputs:
            self.waiting.pop(self._core(i), None)
        if len(piece.text) > 2 * SHORT:
            self.waiting[node] = piece
        return piece if len(piece.text) <= 2 * WIDTH else Piece(piece.text[: 2 * WIDTH - 3] + "...")

    def _core(self, node: Node) -> Node:
        """What a broadcast shows."""
        while node.op is BROADCAST and node.inputs[0] in self.pieces:
            node = node.inputs[0]
        return node

    def _name(self, node: Node) -> None:
        self.waiting.pop(node, None)
        letter = next(self.letters)
        self.lines.append((f"{letter} = {self.pieces[node].text}", node))
        self.pieces[node] = Piece(letter)

    def _written(self, node: Node) -> Piece:
        total = mean_of(node)
        if total is not None and self.pieces.get(total, Piece("")).text.startswith("sum("):
            return mean(total, self._piece(total.inputs[0]))
        several = node.op.elementwise and len(node.inputs) > 1
        return written(node, [self._stretched(i) if several and i.op is BROADCAST else self._piece(i) for i in node.inputs])

    def _piece(self, node: Node) -> Piece:
        if node.op is BROADCAST and node in self.pieces and node.inputs[0] in self.pieces:
            return written(node, [self._piece(node.inputs[0])])  # its operand may have got a letter since
        return self.pieces.get(node, Piece("..."))

    def _stretched(self, node: Node) -> Piece:
        return stretched(node, self._piece(node.inputs[0])) if node.inputs[0] in self.pieces else Piece("...", ATOM)


def _uses(order: Sequence[Node], outputs: Sequence[Node]) -> dict[Node, int]:
    """How often the text of a node is read. A broadcast is read through: each of its uses is one of its operand."""
    uses = dict.fromkeys(order, 0)
    for node in outputs:
        uses[node] += 1
    for node in reversed(order):
        for i in node.inputs:
            if i in uses:
                uses[i] += uses[node] if node.op is BROADCAST else 1
    return uses


def _letters(taken: set[str]) -> Iterator[str]:
    """a, b, .., z, a1, b1, .., but for the names of variables."""
    for k in itertools.count():
        for letter in "abcdefghijklmnopqrstuvwxyz":
            name = letter + (str(k) if k else "")
            if name not in taken:
                yield name


FUNCTIONS["show"] = show

__all__ = ["show"]
