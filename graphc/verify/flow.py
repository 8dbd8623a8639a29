"""What every buffer holds, followed through the steps.

What is read was written; state is not read after it was replaced, and not replaced before all that can fail is past; a view is used
where it is placed, and lies inside; what a loop carries in the same bytes is not read after it was overwritten.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from graphc import dims
from graphc.dims import Size, Symbol
from graphc.program import PLANNED, UPDATES, Branch, Kernel, Launch, Loop, Program, Step, View, launches, stores_where_it_loads
from graphc.records import dataclass
from graphc.scalars import order
from graphc.verify.fault import broken
from graphc.verify.kernel import still, values_of
from graphc.verify.storage import samples


def verify_flow(program: Program) -> None:
    """Raise CompileError unless every step finds what it reads, and nothing is lost that a failure would need."""
    flow = _Flow(program)
    if not 0 <= program.commit <= len(program.steps):
        broken(f"the commit point {program.commit} is no place among {len(program.steps)} steps")
    for place, step in enumerate(program.steps):
        flow.committed = place >= program.commit
        if flow.committed and step.can_fail:
            broken(f"could fail after the commit point {program.commit}, when state is written", None, flow.number, step)
        flow.step(step)
    for k, b in enumerate(program.outputs):
        if program.roots[b] not in flow.written and 0 not in program.buffers[b].shape:
            broken(f"output {k}, %{b}, is never written")


@dataclass(frozen=True)
class Use:
    """What a turn touches of a storage: `count` elements from `offset` on."""

    root: int
    offset: Size
    count: Size
    written: bool


class _Flow:
    """What is known before the step `number`."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.number = 0
        self.committed = False
        self.samples = samples(program)
        self.known: set[tuple[object, ...]] = set()  # sizes, and the loops around, that were right
        self.rows = {r for r, b in enumerate(program.buffers) if b.role == "scratch"}
        self.loops: list[Loop] = []  # those around
        self.uses: list[list[Use]] = []  # in each parallel loop around
        self.written: set[int] = set()  # roots, arena and outputs
        self.parts: dict[int, set[Symbol]] = {}  # roots that turns of these loops write part by part
        self.replaced: set[int] = set()  # roots of state that holds its new value
        self.renewed: set[int] = set()  # the aliases under which a new value was written: what reads these means that one
        self.scratch: set[int] = set()  # roots of rows that a kernel fills anew for each of its outer points
        self.placed: dict[int, Size] = {}  # views in force: their offsets
        self.overwritten: set[int] = set()  # what is carried in the bytes of a value that has been written
        self.carried = {new: old for loop in program.loops for old, new in loop.carried if (old, new) not in program.swapped(loop)}
        if any(program.buffers[b].offset is None for pair in self.carried.items() for b in pair):
            self.carried = {}  # not planned yet

    def inner(self, steps: Sequence[Step]) -> None:
        """The steps of an inner list; a view is forgotten behind it."""
        placed = dict(self.placed)
        for step in steps:
            self.step(step)
        self.placed = placed

    def step(self, step: Step) -> None:
        k, self.number = self.number, self.number + 1
        loose = [s.name for s in step.symbols if s in self.program.counters and s not in self._counting(step)]
        if loose:
            broken(f"names the counter {loose[0]} of a loop that is not around it", None, k, step)
        match step:
            case Launch():
                self._launch(k, step)
            case View():
                self._view(k, step)
            case Loop():
                self._loop(k, step)
            case Branch():
                self._branch(k, step)
            case _:
                for b in step.own_reads:
                    self._read(b, k, step)
                self.written |= {self._use(b, k, step) for b in step.own_writes}

    def _counting(self, step: Step) -> set[Symbol]:
        return {s for around in (*self.loops, step) for s in around.bound}

    # -- loops and branches ---------------------------------------------------------------------------------------
    def _loop(self, k: int, step: Loop) -> None:
        before, overwritten = set(self.written), set(self.overwritten)
        if step.extent is not None and step.bound & dims.symbols(step.extent):
            broken(f"runs to {step.extent}, which its own turns change", None, k, step)
        for b in (*(old for old, _ in step.carried), *([step.condition] if step.condition is not None else [])):
            self._read(b, k, step)
        self.loops.append(step)
        if step.parallel:
            self._turns_apart(k, step)
        else:
            self.inner(step.steps)
        self.loops.pop()
        for b in (new for _, new in step.carried):
            if b not in self.written - before:
                broken(f"carries %{b}, which its steps do not write", None, k, step)
        self.overwritten = overwritten
        runs = isinstance(step.extent, int) and step.extent > 0 and step.condition is None
        self.written = (self.written if runs else before) - {new for _, new in step.carried}
        for root, counters in list(self.parts.items()):
            counters -= step.bound
            if not counters:
                self._is_written(root)
                del self.parts[root]

    def _turns_apart(self, k: int, step: Loop) -> None:
        """The steps of a parallel loop. What they write is scratch, filled anew by each turn, or a part that no other turn touches."""
        self.written -= self.rows
        self.uses.append([])
        self.inner(step.steps)
        used = self.uses.pop()
        self.written -= self.rows
        parts: dict[int, set[tuple[Size, Size]]] = {use.root: set() for use in used if use.written and use.root not in self.rows}
        for use in used:
            if use.root in parts:
                parts[use.root].add((use.offset, use.count))
        for root, ((offset, count), *others) in parts.items():
            if others or not dims.symbols(offset) & dims.symbols(step.counter):
                broken(f"writes %{root} in turns at the same time, of which each must touch one part of its own", None, k, step)
            if self._is_known("apart", offset, count):
                continue
            for env in (env for sample in self.samples for env in self._turns(sample, self.loops[:-1])):
                turns = 0 if step.extent is None else dims.evaluate(step.extent, env)
                for one, two in ((step.at(t, env), step.at(t + 1, env)) for t in {0, turns - 2} if 0 <= t < turns - 1):
                    if dims.evaluate(offset, one) + dims.evaluate(count, one) > dims.evaluate(offset, two):
                        broken(f"writes parts of %{root} that overlap in turns at the same time", None, k, step)

    def _branch(self, k: int, step: Branch) -> None:
        for b in step.own_reads:
            self._read(b, k, step)
        before = self.written, self.replaced, self.renewed, self.overwritten
        ends = []
        for inside in step.inner:
            self.written, self.replaced, self.renewed, self.overwritten = map(set, before)
            self.inner(inside)
            ends.append((self.written, self.replaced, self.renewed, self.overwritten))
        (w1, r1, n1, o1), (w2, r2, n2, o2) = ends
        self.written, self.replaced, self.renewed, self.overwritten = w1 & w2, r1 | r2, n1 & n2, o1 | o2

    def _view(self, k: int, step: View) -> None:
        b = self.program.buffers[step.buffer]
        if b.alias is None:
            broken(f"places %{step.buffer}, which is an alias of no buffer", None, k, step)
        self.placed[step.buffer] = step.offset
        inside = dims.product(self.program.buffers[b.alias].shape) - dims.product(b.shape)
        if self._is_known("inside", step.offset, inside):
            return
        for env in (env for sample in self.samples for env in self._turns(sample, self.loops)):
            offset, limit = dims.evaluate(step.offset, env), dims.evaluate(inside, env)
            if not 0 <= offset <= limit:
                broken(f"places %{step.buffer} at element {offset}, of 0 to {limit}", None, k, step)

    def _is_known(self, what: str, *sizes: Size) -> bool:
        """Whether these have been looked at for all turns of such loops before: the rows of runs are as many as they are alike."""
        key = (what, *sizes, *((loop.counter, loop.extent, loop.lengths) for loop in self.loops))
        known = key in self.known
        self.known.add(key)
        return known

    def _turns(self, env: dict[Symbol, int], loops: Sequence[Loop]) -> Iterator[dict[Symbol, int]]:
        """The sizes in the first and the last turn of each of these loops."""
        if not loops:
            yield env
            return
        extent = loops[0].extent
        last = 0 if extent is None else dims.evaluate(extent, env) - 1
        for turn in {0, last} if last >= 0 else ():
            yield from self._turns(loops[0].at(turn, env), loops[1:])

    # -- reading --------------------------------------------------------------------------------------------------
    def _moving(self, buffer: int) -> set[Symbol]:
        """The counters that move a buffer inside its storage."""
        return set(dims.symbols(self._offset(buffer)) & {*self.program.counters})

    def _offset(self, buffer: int) -> Size:
        """Where a buffer begins in its storage, in elements."""
        total: Size = 0
        at: int | None = buffer
        while at is not None:
            total = total + self.placed.get(at, 0)
            at = self.program.buffers[at].alias
        return total

    def _names(self, buffer: int) -> set[int]:
        """The buffer and what it is an alias of, but for the storage itself."""
        found: set[int] = set()
        while (alias := self.program.buffers[buffer].alias) is not None:
            found.add(buffer)
            buffer = alias
        return found

    def _use(self, buffer: int, k: int, step: Step) -> int:
        """The storage of a buffer, which is placed by now."""
        at: int | None = buffer
        while at is not None:
            if at in self.program.viewed and at not in self.placed:
                broken(f"uses %{buffer} before it is placed", None, k, step)
            at = self.program.buffers[at].alias
        loose = [s for size in self.program.buffers[buffer].shape for s in dims.symbols(size) if s in self.program.counters]
        if not self._counting(step).issuperset(loose):
            broken(f"uses %{buffer}, which is as long as a loop says that is not around it", None, k, step)
        return self.program.roots[buffer]

    def _seen(self, buffer: int, written: bool) -> None:
        """Tell the parallel loops around."""
        count = dims.product(self.program.buffers[buffer].shape)
        for uses in self.uses:
            uses.append(Use(self.program.roots[buffer], self._offset(buffer), count, written))

    def _read(self, buffer: int, k: int, step: Step) -> None:
        root = self._use(buffer, k, step)
        self._seen(buffer, False)
        kernel = None if step.inner else next((launch.kernel for launch in launches((step,))), None)
        part = root in self.parts and self._moving(buffer) >= self.parts[root]
        if self.program.buffers[root].role in (*PLANNED, "output") and root not in self.written and not part:
            broken(f"reads %{buffer} before it is written", kernel, k, step)
        if root in self.scratch:
            broken(f"reads %{buffer}, of which only the last row is left", kernel, k, step)
        if root in self.replaced and buffer not in self.renewed:
            broken(f"reads the state %{buffer} after it was replaced", kernel, k, step)
        if root in self.overwritten:
            broken(f"reads %{buffer} after what is carried to it was written in its place", kernel, k, step)

    def _is_written(self, root: int) -> None:
        """All of a buffer has its value now, perhaps in the bytes of what it is carried to."""
        self.written.add(root)
        if (old := self.carried.get(root)) is not None:
            self.overwritten.add(old)

    # -- launches -------------------------------------------------------------------------------------------------
    def _launch(self, k: int, step: Launch) -> None:
        kernel = step.kernel
        roots = [self._use(b, k, step) for b in step.buffers]
        inside: set[int] = set()  # what this kernel has stored itself
        loaded: set[int] = set()
        self._values(kernel, roots, inside, loaded, k, step)
        for slot, operand in enumerate(kernel.operands):
            if operand.written:
                self._write(slot, loaded, [self.carried.get(root, root) for root in roots], k, step)

    def _values(self, kernel: Kernel, roots: Sequence[int], inside: set[int], loaded: set[int], k: int, step: Launch) -> None:
        """What the stages, or the scalar code, of a launch read and store."""
        for slot in sorted(kernel.updated):
            self._read(step.buffers[slot], k, step)
        for s in () if kernel.code is None else kernel.parts:
            if s.op == "load":
                loaded.add(s.param[0])
                self._read(step.buffers[s.param[0]], k, step)
        for slot in sorted(kernel.loaded) if kernel.routine is not None else ():
            loaded.add(slot)
            self._read(step.buffers[slot], k, step)
        for stage in kernel.stages:
            for s in order((*values_of(stage), *(i for store in stage.stores for i in store.at))):
                if s.op == "load":
                    slot = s.param[0]
                    loaded.add(slot)
                    if roots[slot] not in inside:
                        self._read(step.buffers[slot], k, step)
            for store in stage.stores:
                if store.mode in UPDATES and roots[store.slot] not in inside:
                    self._read(step.buffers[store.slot], k, step)
                inside.add(roots[store.slot])

    def _write(self, slot: int, loaded: set[int], roots: list[int], k: int, step: Launch) -> None:
        program, kernel, root = self.program, step.kernel, roots[slot]
        if any(other != slot and o.written and roots[other] == root for other, o in enumerate(kernel.operands)):
            broken(f"writes %{root} through two operands", kernel, k, step)
        twins = [other for other in loaded if other != slot and roots[other] == root]
        self._seen(step.buffers[slot], True)
        places = {self._offset(step.buffers[other]) for other in (slot, *twins)}
        in_place = stores_where_it_loads(kernel, (slot,), twins)
        if twins and (len(places) > 1 or not in_place):
            broken(f"writes %{root} while it reads other elements of it", kernel, k, step)
        if program.buffers[root].role == "shared":
            if not all(loop.parallel for loop in self.loops):
                broken(f"writes the state %{root} in a loop, whose next turn might fail or read it", kernel, k, step)
            if not self.committed:
                broken(f"writes the state %{root} before the commit point {program.commit}", kernel, k, step)
            if root in self.replaced:
                broken(f"writes the state %{root} twice", kernel, k, step)
            self.replaced.add(root)
            self.renewed |= self._names(step.buffers[slot])
        elif moving := self._moving(step.buffers[slot]):
            if program.roots[step.buffers[slot]] not in self.written:
                self.parts.setdefault(program.roots[step.buffers[slot]], set()).update(moving)
        else:
            self._is_written(program.roots[step.buffers[slot]])
        stores = [store for stage in kernel.stages for store in stage.stores if store.slot == slot]
        once = any(still(store, kernel.axes) for store in stores)
        if program.buffers[root].role == "scratch":
            (self.scratch.discard if self.uses and not once else self.scratch.add)(root)  # in a turn it holds an array as any other
        elif kernel.kind != "scatter" and once:
            broken(f"stores all points of an outer loop to one element of %{root}", kernel, k, step)
