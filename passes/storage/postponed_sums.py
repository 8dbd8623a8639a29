"""A sum that stands between two halves of a run lets the second half go first.

    k1(%8, %0, %9): for i0 in n: t0 = sin(%8); t1 = cos(t0) -> %9; t2 = sum[i0] sin(t0) -> %0        k1(%8, %9, %1): .. t0 -> %1 .. t1 -> %9
    k2(%9, ..)                                                                                 ->     k2(%9, ..)
                                                                                                      k3(%1, %0): t0 = sum[i0] sin(%1) -> %0

A kernel that sums all elements of what it also stores must be over before its sum is known, and so ends a run in cache blocks
(`graphc.passes.storage.cache_blocks`): the value of a deep chain, asked for together with its gradient, would have everything that the
way back reads lie in memory as whole arrays. What the sum is made of is stored instead, one array, and summed behind the run. This
follows from the steps alone, not from a cache: the order in which a sum is taken may depend on the kernel that it stands in.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from graphc import dims
from graphc import scalars as sc
from graphc.dims import Size
from graphc.passes.fusion.chunks import Nest, nests_of
from graphc.passes.fusion.stages import Slots
from graphc.program import Buffer, Kernel, Launch, Loop, Program, Stage, Step, Store, point
from graphc.scalars import Scalar

NEAR = 64  # steps behind a sum in which readers of earlier arrays are looked for
ENOUGH = 2  # arrays that need not lie in memory, for each one that is stored for a sum: it is written and read once more


def postpone_sums(program: Program) -> Program:
    """The program whose runs go on behind a sum that they do not read."""
    if not any(isinstance(s, Launch) and _sums_and_stores(s.kernel) for s in program.numbered):
        return program
    buffers = list(program.buffers)
    steps: list[Step] = []
    commit = program.commit
    for k, made in enumerate(_listed(program, buffers, program.steps)):
        steps += made
        commit += len(made) - 1 if k < program.commit else 0
    return replace(program, buffers=tuple(buffers), steps=tuple(steps), commit=commit)


def _listed(program: Program, buffers: list[Buffer], steps: Sequence[Step]) -> list[tuple[Step, ...]]:
    """What becomes of each step of a list."""
    made: list[tuple[Step, ...]] = []
    earlier: set[int] = set()  # the storages that launches have written so far
    for k, step in enumerate(steps):
        match step:
            case Launch():
                nest = _sums_and_stores(step.kernel)
                apart = nest is not None and _pays(program, step, nest, earlier, steps[k + 1 : k + 1 + NEAR])
                made.append(_parted(buffers, step, nest) if nest is not None and apart else (step,))
                earlier |= {program.roots[b] for b in step.writes}
            case Loop(parallel=True):
                made.append((step,))
            case _:
                made.append((step.holding(*[[s for part in _listed(program, buffers, inner) for s in part] for inner in step.inner]),))
    return made


def _sums_and_stores(kernel: Kernel) -> Nest | None:
    """The nest of a kernel that has but one, with reductions and elements that are stored, none of which reads a value of no nest."""
    if kernel.axes or not any(s.axes and s.stores for s in kernel.stages) or (parts := nests_of(kernel)) is None:
        return None
    over = [nest for nest in parts if nest.over]
    stages = [kernel.stages[k] for k in over[0].stages]
    whole = len(over) == 1 and all(store.mode == "set" for s in stages for store in s.stores) and not any(s.scan for s in stages)
    inside = {k for k in over[0].stages if kernel.stages[k].axes}
    return over[0] if whole and all(k in inside for s in stages if s.axes for k in s.reads) else None


def _pays(program: Program, launch: Launch, nest: Nest, earlier: Collection[int], later: Sequence[Step]) -> bool:
    """Whether the steps behind read enough arrays of those before, without reading what is summed."""
    roots, stages, size = program.roots, launch.kernel.stages, dims.product([a.extent for a in nest.over])
    summed = {store.slot for j, s in enumerate(stages) if not (j in nest.stages and s.axes) for store in s.stores}
    waiting = {roots[b] for slot, b in enumerate(launch.buffers) if slot in summed}
    crossing: set[int] = set()
    for step in later:
        reads = {roots[b] for b in step.reads}
        if isinstance(step, Launch) and waiting.isdisjoint(reads):
            arrays = [r for r in reads if r in earlier and program.buffers[r].role == "arena"]
            crossing |= {r for r in arrays if dims.product(program.buffers[r].shape) == size}
        else:
            waiting |= {roots[b] for b in step.writes}
    return len(crossing) >= ENOUGH * (1 + len(_wanted(launch.kernel, nest)))


def _wanted(kernel: Kernel, nest: Nest) -> list[int]:
    """The stages of elements that the reductions read."""
    return sorted({j for k in nest.stages if kernel.stages[k].reduce for j in kernel.stages[k].reads if kernel.stages[j].axes})


def _parted(buffers: list[Buffer], launch: Launch, nest: Nest) -> tuple[Step, ...]:
    """The elements, with what the reductions read of them stored, and then the reductions."""
    kernel, shape = launch.kernel, tuple([a.extent for a in nest.over])
    own = point(nest.over)
    home: dict[int, int] = {}
    for k in _wanted(kernel, nest):
        buffers.append(Buffer(kernel.stages[k].dtype, shape, "arena"))
        home[k] = len(buffers) - 1
    elements, sums = _Draft(launch), _Draft(launch)
    inside = [k for k in nest.stages if kernel.stages[k].axes]
    for k in _needed(kernel, inside, home):
        stage = kernel.stages[k]
        elements.add(k, replace(stage, axes=(), nest=0), {})
        if k in home:
            elements.stores(Store(elements.slots.slot(home[k], stage.dtype, shape, True), own))
    for k, stage in enumerate(kernel.stages):
        if k not in inside:
            kept = {j: (home[j], shape) for j in home}
            sums.add(k, stage, kept)
    return elements.launch(nest), sums.launch(None)


def _needed(kernel: Kernel, inside: Sequence[int], stored: Collection[int]) -> list[int]:
    """The stages of elements that are stored, and those that they read."""
    found: set[int] = set()
    for k in reversed(inside):
        if k in found or k in stored or kernel.stages[k].stores:
            found |= {k, *kernel.stages[k].reads}
    return sorted(found)


class _Draft:
    """Some of the stages of a launch as one of their own."""

    def __init__(self, launch: Launch) -> None:
        self.of, self.slots = launch, Slots()
        self.stages: list[Stage] = []
        self.number: dict[int, int] = {}

    def add(self, k: int, stage: Stage, kept: dict[int, tuple[int, tuple[Size, ...]]]) -> None:
        """Stage k, which reads those that are `kept` in arrays from there."""

        def leaf(s: Scalar, args: tuple[Scalar, ...]) -> Scalar | None:
            if s.op == "load":
                slot, masked = s.param
                return sc.load(self.slot(slot), args[:-1] if masked else args, s.dtype, args[-1] if masked else None)
            if s.op != "local":
                return None
            if s.param in kept:
                buffer, shape = kept[s.param]
                return sc.load(self.slots.slot(buffer, s.dtype, shape), args, s.dtype)
            return sc.local(self.number[s.param], (), s.dtype)

        stores = [Store(self.slot(store.slot, True), tuple([sc.replace_leaves(i, leaf) for i in store.at])) for store in stage.stores]
        self.number[k] = len(self.stages)
        self.stages.append(replace(stage, body=sc.replace_leaves(stage.body, leaf), stores=tuple(stores)))

    def stores(self, store: Store) -> None:
        """The last stage is stored there, too."""
        self.stages[-1] = replace(self.stages[-1], stores=(*self.stages[-1].stores, store))

    def slot(self, k: int, written: bool = False) -> int:
        """The operand that is operand k of the launch."""
        operand = self.of.kernel.operands[k]
        return self.slots.slot(self.of.buffers[k], operand.dtype, operand.shape, written)

    def launch(self, nest: Nest | None) -> Launch:
        axes = () if nest is None else nest.over
        return Launch(Kernel(axes, tuple(self.stages), tuple(self.slots.operands)), tuple(self.slots.buffers), self.of.nodes)
