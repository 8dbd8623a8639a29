"""In which order the members of a cluster become stages.

    y = (x - mean(x)) / std(x), by rows        mean's sum        nest 0, inside
                                               mean              nest 0, after
                                               std's sum         nest 1, inside
                                               std               nest 1, after
                                               y                 nest 2, inside

Inner values and reductions stand inside a nest of the inner loops; a value per outer point stands before the first nest, or
after the nest whose reductions it reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from graphc.costs import COMPUTED_AGAIN, is_dear
from graphc.passes.fusion.cluster import Member

Reads = Sequence[Sequence[int]]  # of each member the earlier members that it reads


class Phase(IntEnum):
    """Where in a nest."""

    BEFORE = 0
    INSIDE = 1
    AFTER = 2


class Place(NamedTuple):
    """A nest, and where in it. Places compare as tuples do: nest by nest, before < inside < after."""

    nest: int
    phase: Phase

    @property
    def next_nest(self) -> Place:
        """Inside the first nest that may read what is complete here."""
        return Place(self.nest + (self.phase is not Phase.BEFORE), Phase.INSIDE)

    @property
    def number(self) -> int:
        """`Stage.nest`: what stands after a nest counts to the next one, whose loops may read it."""
        return self.nest + (self.phase is Phase.AFTER)


def places(members: Sequence[Member], reads: Reads, depth: int) -> list[Place]:
    """Where each member stands: as early as what it reads allows; an inner value that nobody stores in the nest that reads it."""
    result: list[Place] = []
    for k, member in enumerate(members):
        inner = len(member.shape) > depth or member.rows
        place = Place(0, Phase.INSIDE if inner else Phase.BEFORE)
        for r in reads[k]:
            place = max(place, _behind(members[r], result[r], inner, depth))
        result.append(place)
    readers: list[list[int]] = [[] for _ in members]
    for k, earlier in enumerate(reads):
        for r in earlier:
            readers[r].append(k)
    for k in range(len(members) - 1, -1, -1):
        if len(members[k].shape) > depth and not members[k].combine and readers[k]:
            result[k] = max(result[k], min(result[r] for r in readers[k]))
    return result


def _behind(read: Member, place: Place, inner: bool, depth: int) -> Place:
    """The first place from which a member, inner or not, can read one that stands at `place`."""
    if inner:
        return place.next_nest if len(read.shape) == depth else place
    return Place(place.nest, Phase.AFTER) if read.rows else place


def costly(members: Sequence[Member], reads: Reads, depth: int) -> list[bool]:
    """Whether computing a member anew, with what it reads from inner values, repeats a transcendental or much work."""
    result: list[bool] = []
    weight: list[int] = []
    for k, member in enumerate(members):
        body = member.parts
        inner = [r for r in reads[k] if len(members[r].shape) > depth]
        work = len(body) + sum(weight[r] for r in inner)
        weight.append(work)
        again = not (member.node.op.costly or any(map(is_dear, body)) or any(result[r] for r in inner) or work > COMPUTED_AGAIN)
        result.append(member.scan is not None or not again)  # a scan has no value but in its own loop
    return result
