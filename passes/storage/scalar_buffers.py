"""Values of rank 0 that pass between straight-line kernels lie side by side, in one buffer for each kernel that makes them.

    k0(%1, %2, %3, ..)        %1, %2, %3: f64[] in the arena
    k0(%9)                    %9: f64[3]

A kernel then takes a pointer to each kernel that it reads from, not one to each value: hundreds of arguments travel over the
stack, and LLVM spends half its time on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphc import scalars as sc
from graphc.program import Buffer, Kernel, Launch, Operand, Program, Stage, Step, Store, mapped
from graphc.scalars import Scalar

FEWEST = 4  # values; below that nothing is gained

Place = tuple[int, int | None]  # an operand of the new kernel, and the element of it; None: the whole
Known = dict[
    tuple[Kernel, tuple[Place, ...], tuple[object, ...]], Kernel
]  # (kernel, places, shapes of the vectors) -> the kernel rewritten


def pack(program: Program) -> Program:
    """The program with the rank 0 values that only straight-line kernels touch in vectors."""
    places = _places(program)
    if not places:
        return program
    buffers = list(program.buffers)
    home: dict[int, tuple[int, int]] = {}  # old buffer -> new buffer, position
    for group in places:
        buffers.append(Buffer(program.buffers[group[0]].dtype, (len(group),), "arena"))
        home |= {b: (len(buffers) - 1, k) for k, b in enumerate(group)}
    known: Known = {}
    steps = mapped(program.steps, lambda step: _moved(step, home, buffers, known))
    return replace(program, buffers=tuple(buffers), steps=steps)


def _places(program: Program) -> list[list[int]]:
    """The buffers that become one, in order."""
    kept = {b.alias for b in program.buffers}
    made: dict[int, int] = {}  # buffer -> the step that writes it
    straight: dict[Kernel, bool] = {}

    def launched(k: int, step: Launch) -> None:
        if step.kernel not in straight:
            straight[step.kernel] = _is_straight(step.kernel)
        for b, operand in zip(step.buffers, step.kernel.operands, strict=True):
            if not straight[step.kernel] or operand.shape or (operand.written and b in made):
                kept.add(b)
            elif operand.written:
                made[b] = k

    for k, step in enumerate(program.numbered):
        match step:
            case Launch():
                launched(k, step)
            case _:
                kept.update(step.own)
    groups: dict[tuple[int, object], list[int]] = {}
    for b, k in made.items():
        buffer = program.buffers[b]
        if b not in kept and buffer.role == "arena" and buffer.alias is None and buffer.shape == ():
            groups.setdefault((k, buffer.dtype), []).append(b)
    return [g for g in groups.values() if len(g) >= FEWEST]


def _is_straight(kernel: Kernel) -> bool:
    return kernel.kind == "loops" and not kernel.axes and not any(s.axes or s.reduce or s.scan for s in kernel.stages)


def _moved(step: Step, home: dict[int, tuple[int, int]], buffers: Sequence[Buffer], known: Known) -> Step:
    match step:
        case Launch() if any(b in home for b in step.buffers):
            return _with_vectors(step, home, buffers, known)
        case _:
            return step


def _with_vectors(step: Launch, home: dict[int, tuple[int, int]], buffers: Sequence[Buffer], known: Known) -> Launch:
    listed: list[int] = []
    slots: dict[int, int] = {}  # new buffer -> new slot, for the vectors
    places: list[Place] = []
    for b in step.buffers:
        if b not in home:
            places.append((len(listed), None))
            listed.append(b)
            continue
        vector, position = home[b]
        if vector not in slots:
            slots[vector] = len(listed)
            listed.append(vector)
        places.append((slots[vector], position))
    key = (step.kernel, tuple(places), tuple([buffers[b].shape for b in slots]))
    if key not in known:
        made = _rewritten(step.kernel, places, [buffers[b] for b in listed])
        known[key] = known.setdefault((made, (), ()), made)
    return replace(step, kernel=known[key], buffers=tuple(listed))


def _rewritten(kernel: Kernel, places: Sequence[Place], buffers: Sequence[Buffer]) -> Kernel:
    """The kernel with operand k at places[k]."""
    operands: list[Operand] = [Operand(b.dtype, b.shape) for b in buffers]
    for old, (slot, position) in zip(kernel.operands, places, strict=True):
        shape = old.shape if position is None else operands[slot].shape
        operands[slot] = Operand(old.dtype, shape, old.written or (position is not None and operands[slot].written))

    def leaf(s: Scalar, args: tuple[Scalar, ...]) -> Scalar | None:
        if s.op != "load":
            return None
        old, masked = s.param
        slot, position = places[old]
        at = args[:-1] if masked else args
        return sc.load(slot, at if position is None else (sc.index(position),), s.dtype, args[-1] if masked else None)

    moved = sc.replaced(kernel.parts, leaf)

    def stored(store: Store) -> Store:
        slot, position = places[store.slot]
        return Store(slot, tuple([moved[i] for i in store.at]) if position is None else (sc.index(position),), store.mode)

    stages: list[Stage] = [replace(s, body=moved[s.body], stores=tuple(map(stored, s.stores))) for s in kernel.stages]
    return Kernel(kernel.axes, tuple(stages), tuple(operands), kernel.kind)
