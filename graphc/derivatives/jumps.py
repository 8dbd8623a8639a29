"""Discrete draws on the way of a derivative: an error, for what `grad` would find is 0 almost everywhere and not what is meant.

A value *moves* where it has a derivative by one of the sources, and *jumps* where it depends on one through a discrete draw, by whatever
ops lie between, integers and choices included; `stop_gradient` ends both. A result that jumps has no derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from graphc.errors import NotDifferentiableError, fail
from graphc.ir import Node, toposort
from graphc.ops.outputs import GET
from graphc.records import dataclass
from graphc.region import Region, everywhere, regions_of

Status = tuple[bool, "Node | None"]  # whether it moves, and the draw by which it jumps
STILL: Status = (False, None)


def refuse_jumps(roots: Sequence[Node], sources: Collection[Node], passes: Callable[[Node], bool], cut: Collection[Node] = ()) -> None:
    """NotDifferentiableError if one of the roots depends on one of the sources through a discrete draw.

    `passes`: whether a derivative passes through a node; nothing passes through those of `cut`.
    """
    if not any([node.op.traits.jumps for node in everywhere(roots)]):
        return
    known: dict[Node, Status] = {node: (True, None) for node in sources} | {node: STILL for node in cut}
    for _, draw in _Walk(passes).statuses(roots, known):
        if draw is not None:
            hint = "gx.random.score_function(cost, log_prob) gives the gradient of its mean; gx.stop_gradient(draw) takes the draw as given"
            fail(NotDifferentiableError, "a discrete draw has no derivative by the parameters of its distribution", draw, hint=hint)


@dataclass(frozen=True)
class _Walk:
    passes: Callable[[Node], bool]

    def statuses(self, roots: Sequence[Node], known: Mapping[Node, Status]) -> list[Status]:
        """Of each root, where the nodes of `known` are as it says."""
        found = dict(known)
        several: dict[Node, list[Status]] = {}
        for node in toposort(roots, stop=known):
            if node in found:
                continue
            if node.op is GET:
                found[node] = several[node.inputs[0]][node.params[0]]
                continue
            given = [found.get(i, STILL) for i in node.inputs]
            if node.op.regions and not node.op.traits.stated:
                made = self.of_bodies(node, given)
            else:
                made = [self.through(node, given)] * (len(node.type) if isinstance(node.type, tuple) else 1)
            if isinstance(node.type, tuple):
                several[node] = made
            else:
                found[node] = made[0]
        return [found.get(root, STILL) for root in roots]

    def through(self, node: Node, given: Sequence[Status]) -> Status:
        """What an op without bodies makes of its operands."""
        if node.op.traits.stops:
            return STILL
        moves, draw = _merged(given)
        if node.op.traits.jumps:
            return False, node if draw is None and moves else draw
        return moves and self.passes(node), draw

    def of_bodies(self, node: Node, given: Sequence[Status]) -> list[Status]:
        """Of each output of an op with bodies what it is in one of them; in a loop, after any number of turns."""
        named = regions_of(node)
        bodies = [region for name, region in named if name != "condition"]
        carries: int = node.attrs.get("carries", 0)
        now = list(given)
        while True:
            made = [_merged(column) for column in zip(*[self.of_body(region, now) for region in bodies])]
            after = [_merged(pair) for pair in zip(now[:carries], made)]
            if [_kind(s) for s in after] == [_kind(s) for s in now[:carries]]:
                break
            now[:carries] = after
        # what decides which branch is taken, or how many turns there are
        deciding = [s for name, region in named if name == "condition" for s in self.of_body(region, now)]
        deciding += given[: max(len(given) - len(bodies[0].inputs), 0)]
        chosen = _merged(deciding)[1]
        count = len(node.type) if isinstance(node.type, tuple) else 1
        made += [STILL] * (count - len(made))
        return [(moves, chosen if draw is None else draw) for moves, draw in made]

    def of_body(self, region: Region, given: Sequence[Status]) -> list[Status]:
        """The operands are the last inputs of a body: before them a loop has the turn, and before the operands a branch its number."""
        count = len(region.inputs)
        inputs = [*[STILL] * (count - len(given)), *given[len(given) - count if len(given) > count else 0 :]]
        return self.statuses(region.outputs, dict(zip(region.inputs, inputs)))


def _merged(statuses: Sequence[Status]) -> Status:
    """Of what depends on them all."""
    return any([moves for moves, _ in statuses]), next((draw for _, draw in statuses if draw is not None), None)


def _kind(status: Status) -> tuple[bool, bool]:
    return status[0], status[1] is not None
