"""Where values live: updates written straight into the state where that is safe, everything else in one planned arena."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import itemgetter

from graphc import dims
from graphc import scalar as sc
from graphc.dims import Size
from graphc.program import Buffer, Check, Kernel, Launch, Program, Step, root_of

Free = dict[Size, deque[tuple[int, int]]]  # size -> (when it became free, block), the oldest first

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


def update_in_place(program: Program) -> Program:
    """update in arena; copy to state at the end  ->  update in state, where no reader of the old value comes later."""
    return _update_in_place(_late_sinks(program))


def plan_memory(program: Program) -> Program:
    """Every buffer of the arena and every scratch row gets an offset; buffers that do not live at the same time share bytes when
    one is provably no larger than the other.
    """
    buffers, arena = _offsets(program, "arena")
    program = replace(program, buffers=buffers, arena=arena)
    buffers, scratch = _offsets(program, "scratch")
    return replace(program, buffers=buffers, scratch=scratch)


def reads_of(step: Launch) -> list[int]:
    """The buffers whose elements a kernel loads or adds to."""
    kernel = step.kernel
    loaded = {s.param[0] for s in kernel.parts if s.op == "load"}
    added = {store.slot for stage in kernel.stages for store in stage.stores if store.mode == "add"}
    return [b for k, b in enumerate(step.buffers) if k in loaded or k in added]


def _late_sinks(program: Program) -> Program:
    """Kernels whose results only the commit reads run as soon as the state they replace has been read, and every check has passed."""
    replaced = {
        root_of(program, b): root_of(program, step.writes()[0])
        for step in program.steps[program.commit :]
        if isinstance(step, Launch)
        for b in reads_of(step)
    }
    late: list[Launch] = []
    early: list[Step] = []
    needed: set[int] = set()
    for step in reversed(program.steps[: program.commit]):
        writes = {root_of(program, b) for b in step.writes()} if isinstance(step, Launch) else set()
        if isinstance(step, Launch) and writes and not writes & needed and writes & replaced.keys():
            late.append(step)
            continue
        early.append(step)
        if isinstance(step, Check):
            needed |= {root_of(program, step.buffer), root_of(program, step.indices)}
        else:
            needed |= {root_of(program, b) for b in reads_of(step)}
    return replace(program, steps=(*_merged(program, early[::-1], late[::-1], replaced), *program.steps[program.commit :]))


def _merged(program: Program, early: Sequence[Step], late: Sequence[Launch], replaced: Mapping[int, int]) -> list[Step]:
    """`early` with each step of `late` behind what it reads, the readers of the state it replaces, and the last check."""
    checked = max([k for k, s in enumerate(early) if isinstance(s, Check)], default=-1)
    written: dict[int, int] = {}  # storage -> the place behind which its last writer stands
    read: dict[int, int] = {}
    behind: dict[int, list[Step]] = {}
    for k, step in enumerate(early):
        if isinstance(step, Launch):
            written |= {root_of(program, b): k for b in step.writes()}
            read |= {root_of(program, b): k for b in reads_of(step)}
    for step in late:
        reads, writes = ([root_of(program, b) for b in buffers] for buffers in (reads_of(step), step.writes()))
        place = max([checked, *[written.get(b, -1) for b in reads], *[read.get(replaced.get(b, -1), -1) for b in writes]])
        written |= dict.fromkeys(writes, place)
        read |= {b: max(place, read.get(b, -1)) for b in reads}
        behind.setdefault(place, []).append(step)
    merged = [*behind.get(-1, [])]
    for k, step in enumerate(early):
        merged += [step, *behind.get(k, [])]
    return merged


def _update_in_place(program: Program) -> Program:
    steps = list(program.steps)
    last_check = max([k for k, s in enumerate(steps) if isinstance(s, Check)], default=-1)
    readers: dict[int, list[int]] = {}
    writer: dict[int, int] = {}
    for k, step in enumerate(steps):
        if isinstance(step, Launch):
            for b in reads_of(step):
                readers.setdefault(root_of(program, b), []).append(k)
            for b in step.writes():
                writer.setdefault(root_of(program, b), k)
    renamed: dict[int, int] = {}
    viewed = {b.alias for b in program.buffers}
    dropped: set[int] = set()
    first_write = len(steps)
    for k in range(program.commit, len(steps)):
        copy = steps[k]
        assert isinstance(copy, Launch)
        (target,) = copy.writes()
        sources = reads_of(copy)
        source = root_of(program, sources[0]) if sources else -1
        if source < 0 or program.buffers[source].role != "arena" or source in renamed or source in viewed:
            continue
        at = writer[source]
        later = [r for r in readers.get(target, []) if r >= at and r != k]
        launch = steps[at]
        assert isinstance(launch, Launch)
        if (
            at <= last_check
            or any(r > at for r in later)
            or (later and not _same_place(program, launch, source, target))
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


def _same_place(program: Program, launch: Launch, source: int, target: int) -> bool:
    """True when a kernel reads `target` only at the element it then writes of `source`: old and new may share bytes.

    That holds for values per point of the outer axes, also after a reduction: they are stored last.
    """
    kernel = launch.kernel
    if kernel.kind == "scatter" or any(stage.axes or stage.scan for stage in kernel.stages):
        return False
    stores = [store.at for stage in kernel.stages for store in stage.stores if launch.buffers[store.slot] == source]
    slots = {k for k, b in enumerate(launch.buffers) if root_of(program, b) == target}
    loads = [s for s in sc.order(kernel.scalars()) if s.op == "load" and s.param[0] in slots]
    return len(stores) == 1 and all(
        _same(s.args[: len(stores[0])], stores[0]) and kernel.operands[s.param[0]].shape == kernel.operands[_slot(kernel, stores[0])].shape
        for s in loads
    )


def _same(a: Sequence[object], b: Sequence[object]) -> bool:
    return len(a) == len(b) and all(x is y for x, y in zip(a, b, strict=True))


def _slot(kernel: Kernel, at: tuple[sc.Scalar, ...]) -> int:
    return next(store.slot for stage in kernel.stages for store in stage.stores if store.at is at)


def _offsets(program: Program, role: str) -> tuple[tuple[Buffer, ...], Size]:
    """The buffers with offsets for those of the role, and the bytes they take.

    By first fit over lifetimes; a symbolic size only reuses bytes of a provably equal or larger block.
    """
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for k, step in enumerate(program.steps):
        touched = step.buffers if isinstance(step, Launch) else (step.buffer, step.indices)
        for b in touched:
            root = root_of(program, b)
            first.setdefault(root, k)
            last[root] = k
    dying: dict[int, list[int]] = {}
    for root, k in last.items():
        dying.setdefault(k, []).append(root)
    sizes: list[Size] = []  # of each block
    needed: dict[tuple[object, ...], Size] = {}  # bytes by dtype and shape
    fits: dict[tuple[Size, Size], bool] = {}
    free: Free = {}
    freed = 0
    block: dict[int, int] = {}
    starting: dict[int, list[int]] = {}
    for root, k in first.items():
        starting.setdefault(k, []).append(root)
    for k in range(len(program.steps)):
        for root in starting.get(k, ()):
            buffer = program.buffers[root]
            if buffer.role == role:
                kind = (buffer.dtype, buffer.shape)
                if kind not in needed:
                    needed[kind] = _aligned(buffer)
                block[root] = _take(needed[kind], sizes, free, fits)
        for root in dying.get(k, ()):
            if root in block:
                free.setdefault(sizes[block[root]], deque()).append((freed, block[root]))
                freed += 1
    starts: list[Size] = []
    total: Size = 0
    for size in sizes:
        starts.append(total)
        total = total + size
    buffers = [
        replace(b, offset=starts[block[root_of(program, k)]]) if root_of(program, k) in block else b for k, b in enumerate(program.buffers)
    ]
    return tuple(buffers), total


def _aligned(buffer: Buffer) -> Size:
    return dims.floordiv(buffer.nbytes + (ALIGNMENT - 1), ALIGNMENT) * ALIGNMENT


def _take(size: Size, sizes: list[Size], free: Free, fits: dict[tuple[Size, Size], bool]) -> int:
    """A free block that is large enough (a block of known size may grow), the first that became free, or a new one.

    `fits` remembers comparisons. Time is linear in the number of different sizes, not of blocks.
    """
    fitting, growing = [], []
    for have, blocks in free.items():
        if not blocks:
            continue
        pair = (size, have)
        if pair not in fits:
            fits[pair] = size == have or dims.less_equal(size, have) is True
        if fits[pair]:
            fitting.append(blocks)
        elif isinstance(size, int) and isinstance(have, int):
            growing.append(blocks)
    if fitting or growing:
        _, taken = min(fitting or growing, key=itemgetter(0)).popleft()
        if not fitting:
            sizes[taken] = size
        return taken
    sizes.append(size)
    return len(sizes) - 1
