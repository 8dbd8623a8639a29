"""Some stages of a launch as a kernel of their own, so that their values can be computed once more, to the same bits.

    t0 = sum[r0] b1[i0, r0] * b2[r0, i1] -> b0[i0, i1]
    t1 = ndtr(t0) -> b3[i0, i1]                                 t0 = ndtr(b0[i0, i1])
    t2 = t0 * t1 -> b4[i0, i1]                     ->           t1 = b0[i0, i1] * t0

What is not taken out is read where it is stored. Elements alone are: the order of a sum may follow from all that its kernel does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from graphc import scalars as sc
from graphc.passes.fusion.stages import Slots
from graphc.program import Kernel, Launch
from graphc.records import dataclass
from graphc.scalars import Scalar


def homes_of(launch: Launch) -> dict[int, int]:
    """The stages that are stored in one whole array, element by element as they are computed, and its slot."""
    kernel = launch.kernel
    if kernel.kind not in ("loops", "contract") or kernel.code is not None:
        return {}
    once = Counter([store.slot for stage in kernel.stages for store in stage.stores] + [s.param[0] for s in kernel.parts if s.op == "load"])
    found: dict[int, int] = {}
    for k, stage in enumerate(kernel.stages):
        if len(stage.stores) != 1 or stage.scan:
            continue
        (store,) = stage.stores
        over = [(sc.index(a.index), a.extent) for a in (*kernel.axes, *stage.axes) if a.extent != 1]
        at = [(i, n) for i, n in zip(store.at, kernel.operands[store.slot].shape, strict=True) if n != 1]
        if once[store.slot] == 1 and store.mode == "set" and at == over:
            found[k] = store.slot
    return found


def closure_of(kernel: Kernel, stages: Iterable[int], stored: Collection[int]) -> list[int] | None:
    """These stages and those that they read but for what is stored; None where one is more than an element."""
    found: set[int] = set()
    waiting = list(stages)
    while waiting:
        k = waiting.pop()
        stage = kernel.stages[k]
        if stage.reduce or stage.combine or stage.scan or stage.factor is not None:
            return None
        if any(s.args != kernel.stages[s.param].own for s in sc.order((stage.body,)) if s.op == "local"):
            return None
        if k not in found:
            found.add(k)
            waiting += [j for j in stage.reads if j not in stored]
    whole = {kernel.stages[k].axes for k in stages}
    return sorted(found) if len(whole) == 1 and all(kernel.stages[k].axes in (*whole, ()) for k in found) else None


@dataclass(frozen=True)
class Taken:
    """Stages as a kernel of their own, without stores, its buffers, and what each Scalar has become."""

    kernel: Kernel
    buffers: list[int]
    new: Mapping[Scalar, Scalar]


def taken_out(launch: Launch, inside: Sequence[int]) -> Taken:
    """Some stages of a launch; others are read where they are stored."""
    kernel, slots = launch.kernel, Slots()
    number = {k: at for at, k in enumerate(inside)}
    new: dict[Scalar, Scalar] = {}

    def operand(slot: int) -> int:
        return slots.slot(launch.buffers[slot], kernel.operands[slot].dtype, kernel.operands[slot].shape)

    def leaf(s: Scalar, args: tuple[Scalar, ...]) -> Scalar | None:
        if s.op == "load":
            slot, masked = s.param
            return sc.load(operand(slot), args[:-1] if masked else args, s.dtype, args[-1] if masked else None)
        if s.op != "local":
            return None
        if s.param in number:
            return sc.local(number[s.param], (), s.dtype)
        store = kernel.stages[s.param].stores[0]
        return sc.load(operand(store.slot), store.at, s.dtype)

    stages = []
    for k in inside:
        stage = kernel.stages[k]
        stages.append(replace(stage, axes=(), body=sc.replace_leaves(stage.body, leaf, known=new), nest=0))
    axes = (*kernel.axes, *max([kernel.stages[k].axes for k in inside], key=len))
    return Taken(Kernel(axes, tuple([replace(s, stores=()) for s in stages]), tuple(slots.operands)), slots.buffers, new)


def same_roundings(before: Counter[Scalar], taken: Taken) -> bool:
    """Whether the same products become part of a sum, with one rounding: those that nothing else reads.

    before: how often the Scalars of the whole kernel are read (`uses_of`).
    """
    after = uses_of(taken.kernel)
    return all((before[s] == 1) == (after[n] == 1) for s, n in taken.new.items() if s.op == "mul")


def uses_of(kernel: Kernel) -> Counter[Scalar]:
    """How often each Scalar is read."""
    uses = Counter(stage.body for stage in kernel.stages)
    for s in kernel.parts:
        uses.update(s.args)
    return uses
