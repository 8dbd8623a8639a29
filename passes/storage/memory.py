"""Where values live: updates written straight into the state where that is safe, everything else in one planned arena."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter

from graphc import dims
from graphc.dims import Size
from graphc.passes.storage.largest_first import largest_first, most_alive
from graphc.program import Branch, Buffer, Launch, Program, Step, lifetimes, stores_where_it_loads

Free = dict[Size, deque[tuple[int, int]]]  # size -> (when it became free, block), the oldest first

GAP = 4096  # bytes between what lies apart: a copy that goes wrong misses by a tile or two
MOST_SORTED = 400  # values placed by their sizes, some 20 us each
WORTHWHILE = 32  # first fit may waste one part in so many
ALIGNMENT = 64  # bytes: a cache line, and the widest vector


def update_in_place(program: Program) -> Program:
    """update in arena; copy to state at the end  ->  update in state, where no reader of the old value comes later."""
    return _update_in_place(_late_sinks(program))


def plan_memory(program: Program, apart: bool = False) -> Program:
    """Every buffer of the arena and every scratch row gets an offset; buffers that do not live at the same time share bytes when
    one is provably no larger than the other. With `apart` nothing shares, and a gap follows each: whoever writes too far is found out.
    """
    buffers, arena = _offsets(program, "arena", apart)
    program = replace(program, buffers=buffers, arena=arena)
    buffers, scratch = _offsets(program, "scratch", apart)
    return replace(program, buffers=buffers, scratch=scratch)


def _late_sinks(program: Program) -> Program:
    """Kernels whose results only the commit reads run as soon as the state they replace has been read, and all that can fail is past."""
    roots = program.roots
    replaced = {roots[b]: roots[step.writes[0]] for step in program.steps[program.commit :] if step.writes for b in step.reads}
    late: list[Step] = []
    early: list[Step] = []
    needed: set[int] = set()
    for step in reversed(program.steps[: program.commit]):
        writes = {roots[b] for b in step.writes}
        moved = any(b in program.viewed for b in step.own)
        if not step.can_fail and not moved and writes and not writes & needed and writes & replaced.keys():
            late.append(step)
            continue
        early.append(step)
        needed |= {roots[b] for b in step.reads}
    return replace(program, steps=(*_merged(program, early[::-1], late[::-1], replaced), *program.steps[program.commit :]))


def _merged(program: Program, early: Sequence[Step], late: Sequence[Step], replaced: Mapping[int, int]) -> list[Step]:
    """`early` with each step of `late` behind what it reads, the readers of the state it replaces, and the last that can fail."""
    checked = _last_failure(early)
    roots = program.roots
    written: dict[int, int] = {}  # storage -> the place behind which its last writer stands
    read: dict[int, int] = {}
    behind: dict[int, list[Step]] = {}
    for k, step in enumerate(early):
        written |= {roots[b]: k for b in step.writes}
        read |= {roots[b]: k for b in step.reads}
    for step in late:
        reads, writes = ([roots[b] for b in buffers] for buffers in (step.reads, step.writes))
        place = max([checked, *[written.get(b, -1) for b in reads], *[read.get(replaced.get(b, -1), -1) for b in writes]])
        written |= dict.fromkeys(writes, place)
        read |= {b: max(place, read.get(b, -1)) for b in reads}
        behind.setdefault(place, []).append(step)
    merged = [*behind.get(-1, [])]
    for k, step in enumerate(early):
        merged += [step, *behind.get(k, [])]
    return merged


def _last_failure(steps: Sequence[Step]) -> int:
    return max([k for k, step in enumerate(steps) if step.can_fail], default=-1)


def _update_in_place(program: Program) -> Program:
    steps, roots = program.steps, program.roots
    last_failure = _last_failure(steps)
    readers: dict[int, list[int]] = {}
    writers: dict[int, list[int]] = {}
    for k, step in enumerate(steps):
        for b in step.reads:
            readers.setdefault(roots[b], []).append(k)
        for b in step.writes:
            if k not in writers.setdefault(roots[b], []):
                writers[roots[b]].append(k)
    renamed: dict[int, int] = {}
    viewed = {b.alias for b in program.buffers}
    dropped: set[int] = set()
    first_write = len(steps)
    for k in range(program.commit, len(steps)):
        targets, sources = steps[k].writes, steps[k].reads
        source = roots[sources[0]] if len(sources) == 1 == len(targets) else -1
        if source < 0 or program.buffers[source].role != "arena" or source in renamed or source in viewed:
            continue
        (target,), (at, *others) = targets, writers[source]
        later = [r for r in readers.get(target, []) if r >= at and r != k]
        if (
            others
            or at <= last_failure
            or any(r > at for r in later)
            or (later and not _same_place(program, steps[at], source, target))
            or program.buffers[source].shape != program.buffers[target].shape
        ):
            continue
        renamed[source] = target
        dropped.add(k)
        first_write = min(first_write, at)
    kept = [s for k, s in enumerate(steps) if k not in dropped]
    buffers = list(program.buffers)
    for source, target in renamed.items():  # a name of its own for the new value: who reads `target` means the old one
        buffers[source] = replace(buffers[target], alias=target)
    return replace(program, buffers=tuple(buffers), steps=tuple(kept), commit=min(first_write, program.commit))


def _same_place(program: Program, step: Step, source: int, target: int) -> bool:
    """True when a kernel reads `target` only at the element it then writes of `source`: old and new may share bytes.

    That holds for values per point of the outer axes, also after a reduction: they are stored last. What one loop nest after the
    other does may be read anywhere in those before the one that stores. Of a branch both lists must be so.
    """
    match step:
        case Branch():
            return all(_all_in_place(program, inside, source, target) for inside in step.inner)
        case Launch():
            slots = {k for k, b in enumerate(step.buffers) if program.roots[b] == target}
            stored = {k for k, b in enumerate(step.buffers) if b == source}
            return stores_where_it_loads(step.kernel, stored, slots)
        case _:
            return False


def _all_in_place(program: Program, steps: Sequence[Step], source: int, target: int) -> bool:
    """Whether one step of a list writes `source`, where it reads `target`, and none behind reads that."""
    writers = [k for k, step in enumerate(steps) if any(program.roots[b] == source for b in step.writes)]
    readers = [k for k, step in enumerate(steps) if any(program.roots[b] == target for b in step.reads)]
    if len(writers) != 1 or any(k > writers[0] for k in readers):
        return False
    return writers[0] not in readers or _same_place(program, steps[writers[0]], source, target)


def _offsets(program: Program, role: str, apart: bool = False) -> tuple[tuple[Buffer, ...], Size]:
    """The buffers with offsets for those of the role, and the bytes they take.

    By first fit over lifetimes; a symbolic size only reuses bytes of a provably equal or larger block. Where all sizes are known and
    that wastes something, the largest first, if that is less.
    """
    together = _carried_in_place(program) if role == "arena" else {}
    lives: dict[int, tuple[int, int]] = {}
    for root, (first, last) in lifetimes(program).items():
        home = together.get(root, root)
        start, end = lives.get(home, (first, last))
        lives[home] = min(start, first), max(end, last)
    starting: dict[int, list[int]] = {}
    dying: dict[int, list[int]] = {}
    for root, (first, last) in lives.items():
        starting.setdefault(first, []).append(root)
        dying.setdefault(last, []).append(root)
    sizes: list[Size] = []  # of each block
    needed: dict[tuple[object, ...], Size] = {}  # bytes by dtype and shape
    fits = Fits()
    free: Free = {}
    freed = 0
    block: dict[int, int] = {}
    for k in range(len(program.numbered)):
        for root in starting.get(k, ()):
            buffer = program.buffers[root]
            if buffer.role == role:
                kind = (buffer.dtype, buffer.shape)
                if kind not in needed:
                    needed[kind] = _aligned(buffer)
                block[root] = len(sizes) if apart else _take(needed[kind], sizes, free, fits)
                if apart:
                    sizes.append(needed[kind] + GAP)
        for root in dying.get(k, ()):
            if root in block:
                free.setdefault(sizes[block[root]], deque()).append((freed, block[root]))
                freed += 1
    starts: list[Size] = []
    total: Size = 0
    for size in sizes:
        starts.append(total)
        total = total + size
    at = {root: starts[k] for root, k in block.items()}
    if not apart:
        at, total = _smaller(
            {root: (*lives[root], needed[program.buffers[root].dtype, program.buffers[root].shape]) for root in block}, at, total
        )
    homes = [together.get(root, root) for root in program.roots]
    buffers = [replace(b, offset=at[h]) if h in at else b for b, h in zip(program.buffers, homes, strict=True)]
    return tuple(buffers), total


def _smaller(spans: Mapping[int, tuple[int, int, Size]], at: dict[int, Size], total: Size) -> tuple[dict[int, Size], Size]:
    """Offsets by root and their bytes: these, or those of the largest first where it takes less."""
    known = [(first, last, size) for first, last, size in spans.values() if isinstance(size, int)]
    if not isinstance(total, int) or len(known) < len(spans) or len(spans) > MOST_SORTED:
        return at, total
    if total - most_alive(known) <= total // WORTHWHILE:
        return at, total
    starts, least = largest_first(known)
    return (dict(zip(spans, starts)), least) if least < total else (at, total)


def _carried_in_place(program: Program) -> dict[int, int]:
    """new -> old for the pairs that loops carry in the same bytes: nobody reads the old value after the new one is written."""
    found: dict[int, int] = {}
    for loop in program.loops:
        for old, new in loop.carried:
            if program.buffers[old].shape == program.buffers[new].shape and _all_in_place(program, loop.steps, new, old):
                found[new] = old
    return found


def _aligned(buffer: Buffer) -> Size:
    return dims.floordiv(buffer.nbytes + (ALIGNMENT - 1), ALIGNMENT) * ALIGNMENT


def _take(size: Size, sizes: list[Size], free: Free, fits: Fits) -> int:
    """A free block that is large enough (a block of known size may grow), the first that became free, or a new one.

    Time is linear in the number of different sizes, not of blocks.
    """
    waiting = sorted([(blocks[0][0], have) for have, blocks in free.items() if blocks], key=itemgetter(0))
    for _, have in waiting:
        if fits.known(size, have):
            return free[have].popleft()[1]
    growing = [have for _, have in waiting if isinstance(size, int) and isinstance(have, int)]
    if growing:
        _, taken = free[growing[0]].popleft()
        sizes[taken] = size
        return taken
    sizes.append(size)
    return len(sizes) - 1


class Fits:
    """Which sizes are provably no larger than which. A proof takes long; where an example contradicts none is sought."""

    def __init__(self) -> None:
        self.decided: dict[tuple[Size, Size], bool] = {}
        self.values: dict[Size, tuple[int, ...]] = {}

    def known(self, size: Size, have: Size) -> bool:
        pair = (size, have)
        if pair not in self.decided:
            contradicted = any(a > b for a, b in zip(self.examples(size), self.examples(have), strict=True))
            least = None if contradicted else dims.lower_bound(have - size)
            self.decided[pair] = least is not None and least >= 0
        return self.decided[pair]

    def examples(self, size: Size) -> tuple[int, ...]:
        """The size for some values of its symbols, among them one that is large and one that is small for each."""
        if size not in self.values:
            self.values[size] = tuple([dims.evaluate(size, {s: value(s) for s in dims.symbols(size)}) for value in _EXAMPLES])
        return self.values[size]


_EXAMPLES: tuple[Callable[[dims.Symbol], int], ...] = (
    lambda s: 101,
    lambda s: 100_003,
    lambda s: (101, 100_003)[sum(s.key.encode()) % 2],
)
