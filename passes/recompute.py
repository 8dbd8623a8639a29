"""Save or recompute: which arrays of the first half of a program the second half reads, and which it computes again.

    z = x @ w; p = ndtr(z); a = z * p     ->      z, p, a as before, but only z is kept
    ..                                            ..
    dw = a.T @ g                                  p', a' = ndtr(z), z * p'        the stages of the first kernel that are not the product
    dx = (g @ w.T) * (p + ..)                     dw = a'.T @ g, ..

The halves meet where most bytes are alive. Every array that is ready there may be kept, or computed again from others, just before the
first step that wants it: a minimum cut, for each part of the net that shares nothing with others (`graphc.passes.cuts`; parts of more
than `LARGEST` arrays are decided array by array). Room is as dear as it can be while the program takes no more than `SLOWER` of its time
longer, by estimate. What only results are made of is made as soon as it can be (`graphc.passes.storage.early_outputs`). Stages of single
elements alone are computed again, no products, reductions, or steps with steps inside.

Results have the same bits with and without, so that this may depend on a cache's size: the kernels of the program are left as they are,
and what is computed again has the same stages over the same operands (`graphc.passes.storage.taken_out`). Sizes that only the call knows
count as a few hundred. The idea of computing again is that of Chen, Xu, Zhang, Guestrin (2016), "Training deep nets with sublinear memory
cost".
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from graphc import dims
from graphc.costs import MULTIPLY_ADD_NS, nanoseconds
from graphc.passes.cuts import minimum_cut
from graphc.passes.storage.alive import alive, bytes_of, count
from graphc.passes.storage.early_outputs import early_outputs
from graphc.passes.storage.taken_out import Taken, closure_of, homes_of, same_roundings, taken_out, uses_of
from graphc.program import Kernel, Launch, Program, Step, Store, launches
from graphc.records import dataclass
from graphc.scalars import Scalar

ROOM = 8  # second caches: what is alive at once and takes less stays near enough
SLOWER = 0.03  # of the estimated time; nets of products of 512 and 1024 take 0.9 of that longer
WORTH = 0.9  # of what was alive at once: with more left than that, steps stay in their order
PRICES = (0.05, 0.1, 0.2, 0.4, 0.8)  # ns for a byte that is kept
BYTE_NS = 0.03  # to write or read one
LARGEST = 1000  # arrays of one network
NEAR = 16  # steps: what these want of the same kernel is computed together


def recompute(program: Program, cache: int) -> Program:
    """The program whose second half reads less of the first; itself where all that is alive at once is little beside `cache` bytes."""
    if sum([count(b.nbytes) for b in program.buffers if b.role == "arena" and b.alias is None]) < ROOM * cache:
        return program
    _, most = alive(program)
    if most < ROOM * cache:
        return program
    made = early_outputs(program)
    halves = _Halves(made)
    if again := halves.chosen():
        made = _Rebuilt(halves, again).program()
    return made if alive(made)[1] <= WORTH * most else program


_Place = tuple[int, int]


@dataclass(frozen=True)
class _Made:
    """An array as one stage of a launch leaves it: `step` and `stage`, the arrays that computing it again reads, and ns that takes."""

    step: int
    stage: int
    reads: tuple[int, ...]
    ns: float


class _Halves:
    """A program, the place where most is alive, and what may be computed again behind it. Arrays go by their roots."""

    def __init__(self, program: Program) -> None:
        self.program, self.roots = program, program.roots
        self.writers: dict[int, list[int]] = {}
        self.readers: dict[int, list[int]] = {}
        for k, step in enumerate(program.steps):
            for found, touched in ((self.writers, step.writes), (self.readers, step.reads)):
                for r in {self.roots[b] for b in touched}:
                    found.setdefault(r, []).append(k)
        self.uses: dict[Kernel, Counter[Scalar]] = {}
        self.stored: dict[int, dict[int, int]] = {}
        self.peak, _ = alive(program)

    def bytes(self, root: int) -> int:
        return bytes_of(self.program, root)

    @cached_property
    def moving(self) -> set[int]:
        """What lies in different places at different times, or is touched by steps inside others."""
        placed = {self.roots[b] for b in self.program.viewed}
        inner = {
            self.roots[b] for step in self.program.steps if not isinstance(step, Launch) for b in (*step.own, *step.reads, *step.writes)
        }
        return placed | inner

    def wanted(self) -> list[int]:
        """The arrays of the first half that the second reads."""
        arena = [(r, steps[0]) for r, steps in self.writers.items() if self.program.buffers[r].role == "arena"]
        return [r for r, first in arena if first <= self.peak < self.readers.get(r, [-1])[-1]]

    def made(self, root: int) -> _Made | None:
        """How an array is computed again; None where it must be kept."""
        steps = self.writers.get(root, [])
        buffer = self.program.buffers[root]
        if len(steps) != 1 or steps[0] > self.peak or buffer.role != "arena" or root in self.moving:
            return None
        launch, homes = self.launch(steps[0]), self.homes(steps[0])
        stage = next((k for k, slot in homes.items() if self.roots[launch.buffers[slot]] == root), None)
        inside = None if stage is None else closure_of(launch.kernel, [stage], set(homes) - {stage})
        if stage is None or inside is None:
            return None
        taken = taken_out(launch, inside)
        if not self.alike(launch.kernel, taken) or not all(map(self._stays, taken.buffers)):
            return None
        reads = {self.roots[b] for b in taken.buffers}
        if any(self.program.buffers[r].role == "scratch" for r in reads):
            return None
        points = count(dims.product([a.extent for a in (*launch.kernel.axes, *launch.kernel.stages[stage].axes)]))
        ns = points * sum([nanoseconds(launch.kernel.stages[k].body) for k in inside]) + 2 * BYTE_NS * self.bytes(root)
        return _Made(steps[0], stage, tuple(sorted(reads)), ns)

    def launch(self, step: int) -> Launch:
        """A step that makes what may be computed again."""
        found = self.program.steps[step]
        assert isinstance(found, Launch)
        return found

    def homes(self, step: int) -> dict[int, int]:
        if step not in self.stored:
            self.stored[step] = homes_of(self.launch(step))
        return self.stored[step]

    def alike(self, kernel: Kernel, taken: Taken) -> bool:
        """Whether stages of a kernel come to the same bits by themselves."""
        if kernel not in self.uses:
            self.uses[kernel] = uses_of(kernel)
        return same_roundings(self.uses[kernel], taken)

    def _stays(self, buffer: int | None) -> bool:
        """Whether a buffer lies in one place all the time."""
        while buffer is not None and buffer not in self.program.viewed:
            buffer = self.program.buffers[buffer].alias
        return buffer is None

    # -- what is computed again -----------------------------------------------------------------------------------
    def chosen(self) -> dict[int, _Made]:
        """The arrays that are computed again: what is cheap everywhere, then dearer ones, part after part, while there is time left."""
        wanted = self.wanted()
        known = self._known(wanted)
        groups = _groups([r for r in wanted if known[r] is not None], known)
        left = SLOWER * sum([_time(launch.kernel) for launch in launches(self.program.steps)])
        again: list[dict[int, _Made]] = [{} for _ in groups]
        for price in PRICES:
            for k, group in enumerate(groups):
                found = self._cheapest(group, known, wanted, price)
                more = _sum(found) - _sum(again[k])
                if more <= left:
                    left -= more
                    again[k] = found
        return {r: made for found in again for r, made in found.items()}

    def _known(self, wanted: Sequence[int]) -> dict[int, _Made | None]:
        """How the wanted arrays, and those that they are made of, are computed again."""
        known: dict[int, _Made | None] = {}
        waiting = list(wanted)
        while waiting:
            r = waiting.pop()
            if r not in known:
                known[r] = made = self.made(r)
                waiting += () if made is None else made.reads
        return known

    def _free(self, root: int, wanted: Collection[int], known: Mapping[int, _Made | None]) -> bool:
        """Whether an array is there anyway: an argument, an output, or one of the wanted that cannot be computed again."""
        return self.program.buffers[root].role != "arena" or (root in wanted and known[root] is None)

    def _cheapest(self, group: Sequence[int], known: Mapping[int, _Made | None], wanted: Collection[int], price: float) -> dict[int, _Made]:
        """Of arrays that are made of each other, those that are computed again.

        source -> in(v)     the time to compute v again; without bound where it must not be
        in(v)  -> out(v)    the price of its bytes
        out(u) -> in(v)     v is made of u: without bound
        out(v) -> sink      the second half reads v: without bound
        """
        if len(group) > LARGEST:
            return self._one_by_one(group, known, wanted, price)
        arcs: list[tuple[object, object, float]] = []
        for v in group:
            if self._free(v, wanted, known):
                continue
            made = known[v]
            arcs += [("source", (v, 0), math.inf if made is None else made.ns), ((v, 0), (v, 1), price * self.bytes(v))]
            arcs += [((u, 1), (v, 0), math.inf) for u in (() if made is None else made.reads) if not self._free(u, wanted, known)]
            arcs += [((v, 1), "sink", math.inf)] if v in wanted else []
        reached = minimum_cut(arcs, "source", "sink")
        return {
            v: m for v in group if (m := known[v]) is not None and (v, 0) not in reached and self._asked(v, group, known, wanted, reached)
        }

    def _asked(
        self, v: int, group: Sequence[int], known: Mapping[int, _Made | None], wanted: Collection[int], reached: Collection[object]
    ) -> bool:
        """Whether somebody reads what would be computed again: the second half, or what is computed again itself."""
        return v in wanted or any((m := known[u]) is not None and v in m.reads and (u, 0) not in reached for u in group)

    def _one_by_one(
        self, group: Sequence[int], known: Mapping[int, _Made | None], wanted: Collection[int], price: float
    ) -> dict[int, _Made]:
        """Of many arrays those that are cheaper than their bytes to compute again from what is kept."""
        again: dict[int, _Made] = {}
        for v in sorted(group, key=lambda v: self.writers.get(v, [-1])[0]):
            made = known[v]
            kept = made is not None and all(self._free(u, wanted, known) or (u in wanted and u not in again) for u in made.reads)
            if made is not None and v in wanted and kept and made.ns < price * self.bytes(v):
                again[v] = made
        return again


class _Rebuilt:
    """A program whose second half computes some arrays again, each just before it is wanted for the first time."""

    def __init__(self, halves: _Halves, again: Mapping[int, _Made]) -> None:
        self.halves, self.again, self.old = halves, again, halves.program
        self.buffers = list(self.old.buffers)
        self.home: dict[int, int] = {}  # root -> the buffer that has it once more
        self.wanted = set(halves.wanted())

    def program(self) -> Program:
        """The program; the old one where something is overwritten before it would be read again."""
        steps: list[Step] = []
        commit = self.old.commit
        for at, step in enumerate(self.old.steps):
            if at > self.halves.peak:
                added = self._ahead(at)
                if added is None:
                    return self.old
                steps += added
                commit += len(added) if at < self.old.commit else 0
                step = self._reading(step)
            steps.append(step)
        return replace(self.old, buffers=tuple(self.buffers), steps=tuple(steps), commit=commit)

    def _ahead(self, at: int) -> list[Launch] | None:
        """What is computed again for a step, and with it what steps near behind want of the same launches."""
        wanted = self._with_reads(self._missing(self.old.steps[at]))
        if not wanted:
            return []
        origins = {self.again[r].step for r in wanted}
        for step in self.old.steps[at + 1 : at + 1 + NEAR]:
            wanted |= self._with_reads({r for r in self._missing(step) if self.again[r].step in origins})
        kinds: dict[_Place, list[int]] = {}  # rows before their elements
        for r in sorted(wanted, key=lambda r: self._place(r)):
            kinds.setdefault(self._place(r), []).append(r)
        found: list[Launch] = []
        for place, targets in kinds.items():
            read = {u for r in wanted if self._place(r) != place for u in self.again[r].reads}
            launch = self._again(targets, read, at)
            if launch is None:
                return None
            found.append(launch)
        return found

    def _missing(self, step: Step) -> set[int]:
        """The arrays that a step reads and that have to be computed again for it."""
        return {r for b in step.reads if (r := self.halves.roots[b]) in self.again and r not in self.home}

    def _place(self, root: int) -> _Place:
        """The launch that made an array, and how many loops of their own its elements have there."""
        made = self.again[root]
        return made.step, len(self.halves.launch(made.step).kernel.stages[made.stage].axes)

    def _with_reads(self, wanted: set[int]) -> set[int]:
        """These arrays and all of those to be computed again that they are made of."""
        found: set[int] = set()
        waiting = list(wanted)
        while waiting:
            r = waiting.pop()
            if r not in found:
                found.add(r)
                waiting += [u for u in self.again[r].reads if u in self.again and u not in self.home]
        return found

    def _again(self, wanted: Sequence[int], read: Collection[int], at: int) -> Launch | None:
        """The stages of a launch that make the wanted arrays once more, before step `at`; None where not all that they read is there.

        read: what others of what is computed again read of these.
        """
        origin = self.again[wanted[0]].step
        launch, homes = self.halves.launch(origin), self.halves.homes(origin)
        targets = {self.again[r].stage: r for r in wanted}
        inside = closure_of(launch.kernel, targets, homes.keys() - targets.keys())
        if inside is None or not self.halves.alike(launch.kernel, taken := taken_out(launch, inside)):
            return None
        if not all(self.halves.roots[b] in self.home or self._is_there(self.halves.roots[b], origin, at) for b in taken.buffers):
            return None
        stages, operands, buffers = list(taken.kernel.stages), list(taken.kernel.operands), [self._now(b) for b in taken.buffers]
        for k, r in targets.items():
            if r in self.wanted or r in read:
                store = launch.kernel.stages[k].stores[0]
                stages[inside.index(k)] = replace(stages[inside.index(k)], stores=(Store(len(operands), store.at),))
                operands.append(launch.kernel.operands[store.slot])
                self.buffers.append(self.old.buffers[r])
                self.home[r] = len(self.buffers) - 1
                buffers.append(self.home[r])
        return Launch(replace(taken.kernel, stages=tuple(stages), operands=tuple(operands)), tuple(buffers), launch.nodes)

    def _is_there(self, root: int, origin: int, at: int) -> bool:
        """Whether an array still holds what step `origin` read or made; that may itself replace what is not in the arena."""
        first = origin + 1 if self.old.buffers[root].role == "arena" else origin
        return not any(first <= w < at for w in self.halves.writers.get(root, ()))

    def _reading(self, step: Step) -> Step:
        """A step of the second half, which reads what is computed again from there."""
        return replace(step, buffers=tuple(map(self._now, step.buffers))) if isinstance(step, Launch) else step

    def _now(self, buffer: int) -> int:
        """Where the value of a buffer is from here on."""
        home = self.home.get(self.halves.roots[buffer])
        if home is None or buffer == self.halves.roots[buffer]:
            return buffer if home is None else home
        self.buffers.append(replace(self.buffers[buffer], alias=home))
        return len(self.buffers) - 1


def _groups(wanted: Sequence[int], known: Mapping[int, _Made | None]) -> list[list[int]]:
    """The arrays in parts none of which reads what is made in another; leaves may be in several."""
    parent = {r: r for r in known}

    def root(r: int) -> int:
        while parent[r] != r:
            parent[r] = r = parent[parent[r]]
        return r

    for r, made in known.items():
        for u in () if made is None else made.reads:
            parent[root(u)] = root(r)
    groups: dict[int, list[int]] = {}
    for r in known:
        groups.setdefault(root(r), []).append(r)
    inside = {root(r) for r in wanted}
    return [group for at, group in groups.items() if at in inside]


def _sum(again: Mapping[int, _Made]) -> float:
    """ns that it takes to compute arrays again."""
    return sum([made.ns for made in again.values()])


def _time(kernel: Kernel) -> float:
    """ns that a kernel takes, by estimate."""
    found = 0.0
    for stage in kernel.stages:
        points = count(dims.product([a.extent for a in (*kernel.axes, *stage.axes, *stage.reduce)]))
        found += points * (MULTIPLY_ADD_NS if kernel.kind == "contract" and stage.reduce else nanoseconds(stage.body))
    return found
