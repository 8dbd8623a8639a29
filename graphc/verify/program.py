"""The invariants of a `Program`: what code generation takes for granted. A CompileError names the step, the kernel and the user's lines.

Buffers match the variables and constants they stand for; kernels are well typed, bound and in range; what is read was written;
nothing is written before the commit point that a failure would have to undo; what lives at the same time lies in different bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from graphc import dims
from graphc.dims import Size, Symbol
from graphc.dtypes import SHORT, int64
from graphc.errors import CompileError
from graphc.program import PLANNED, Buffer, Check, Kernel, Launch, Program, Step, root_of
from graphc.scalar import order
from graphc.verify.kernel import kernel_lines, still, values_of, verify_kernel
from graphc.verify.scalar import unbound

ROLES = ("input", "shared", "constant", "output", *PLANNED)


def verify_program(program: Program) -> None:
    """Raise CompileError unless `program` keeps every invariant."""
    _buffers(program)
    good: set[Kernel] = set()
    for k, step in enumerate(program.steps):
        if isinstance(step, Launch):
            if step.kernel not in good:
                verify_kernel(step.kernel)
                good.add(step.kernel)
            _launch(program, k, step)
        else:
            _check(program, k, step)
    _Flow(program).run()
    for role in PLANNED:
        _planned(program, role)


# -- buffers --------------------------------------------------------------------------------------------------------
def _buffers(program: Program) -> None:
    owners: dict[str, Sequence[object]] = {
        "input": program.inputs, "shared": program.shared, "constant": program.constants, "output": program.outputs,
    }  # fmt: skip
    for k, b in enumerate(program.buffers):
        name = f"buffer %{k}"
        if b.role not in ROLES:
            _broken(f"{name} has the unknown role {b.role!r}")
        if b.dtype not in SHORT:
            _broken(f"{name} has the unsupported dtype {b.dtype}")
        if any(unbound(s, {}) for s in b.shape):
            _broken(f"{name} has a loop index in its shape ({dims.format_shape(b.shape)})")
        if b.alias is not None:
            _alias(program, k, b)
        elif b.role not in PLANNED:
            if not 0 <= b.index < len(owners[b.role]):
                _broken(f"{name} is {b.role} {b.index}, of {len(owners[b.role])}")
            owner = owners[b.role][b.index]
            if b.role in ("input", "shared", "constant") and (owner.dtype != b.dtype or tuple(owner.shape) != b.shape):  # type: ignore[attr-defined]
                _broken(f"{name} is {_array(b.dtype, b.shape)}, but {b.role} {b.index} is {_array(owner.dtype, owner.shape)}")  # type: ignore[attr-defined]
    if len(set(program.outputs)) != len(program.outputs):
        _broken(f"two outputs are one buffer: {program.outputs}")
    for k, number in enumerate(program.outputs):
        known = 0 <= number < len(program.buffers)
        if not known or program.buffers[number].role != "output" or program.buffers[number].index != k:
            _broken(f"output {k} is not a buffer of its own: %{number}")
    if len(set(program.shared)) != len(program.shared) or len(set(program.inputs)) != len(program.inputs):
        _broken("a variable is listed twice")


def _alias(program: Program, k: int, b: Buffer) -> None:
    seen = {k}
    root = b
    while root.alias is not None:
        if not 0 <= root.alias < len(program.buffers) or root.alias in seen:
            _broken(f"buffer %{k} is an alias of no buffer: %{b.alias}")
        seen.add(root.alias)
        root = program.buffers[root.alias]
    same = dims.equal(dims.product(b.shape), dims.product(root.shape)) is not False
    if b.dtype != root.dtype or b.role != root.role or not same:
        _broken(f"buffer %{k}, {b.role} {_array(b.dtype, b.shape)}, is an alias of {root.role} {_array(root.dtype, root.shape)}")


# -- steps ----------------------------------------------------------------------------------------------------------
def _launch(program: Program, k: int, step: Launch) -> None:
    operands = step.kernel.operands
    if len(step.buffers) != len(operands):
        _broken(f"{len(step.buffers)} buffers for {len(operands)} operands", step.kernel, k, step)
    for slot, (number, operand) in enumerate(zip(step.buffers, operands)):
        if not 0 <= number < len(program.buffers):
            _broken(f"operand b{slot} is %{number}, which is no buffer", step.kernel, k, step)
        b = program.buffers[number]
        same = b.shape == operand.shape or dims.equal(dims.product(b.shape), dims.product(operand.shape)) is not False
        if b.dtype != operand.dtype or not same:
            wanted, have = _array(operand.dtype, operand.shape), _array(b.dtype, b.shape)
            _broken(f"operand b{slot} is {wanted}, but %{number} is {have}", step.kernel, k, step)
        if operand.written and b.role in ("input", "constant"):
            _broken(f"writes %{number}, which is {b.role} {b.index}", step.kernel, k, step)


def _check(program: Program, k: int, step: Check) -> None:
    for number in (step.buffer, step.indices):
        if not 0 <= number < len(program.buffers):
            _broken(f"checks %{number}, which is no buffer", None, k, step)
    fault, indices = program.buffers[step.buffer], program.buffers[step.indices]
    if fault.dtype != int64 or fault.shape:
        _broken(f"the fault %{step.buffer} is {_array(fault.dtype, fault.shape)}, not one i64", None, k, step)
    if indices.dtype.kind not in "iu":
        _broken(f"the indices %{step.indices} are {indices.dtype}", None, k, step)
    if k >= program.commit:
        _broken(f"a check after the commit point {program.commit} could fail when state is written", None, k, step)


class _Flow:
    """Follows what every buffer holds through the steps."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.written: set[int] = set()  # roots, arena and outputs
        self.replaced: set[int] = set()  # roots of state that holds its new value
        self.renewed: set[int] = set()  # the aliases under which a new value was written: what reads these means that one
        self.scratch: set[int] = set()  # roots of rows that a kernel fills anew for each of its outer points

    def run(self) -> None:
        program = self.program
        if not 0 <= program.commit <= len(program.steps):
            _broken(f"the commit point {program.commit} is no place among {len(program.steps)} steps")
        for k, step in enumerate(program.steps):
            if isinstance(step, Launch):
                self._launch(k, step)
            else:
                self._read(step.buffer, k, step)
                self._read(step.indices, k, step)
        for k, b in enumerate(program.outputs):
            if root_of(program, b) not in self.written:
                _broken(f"output {k}, %{b}, is never written")

    def _read(self, buffer: int, k: int, step: Step) -> None:
        root = root_of(self.program, buffer)
        kernel = step.kernel if isinstance(step, Launch) else None
        if self.program.buffers[root].role in (*PLANNED, "output") and root not in self.written:
            _broken(f"reads %{buffer} before it is written", kernel, k, step)
        if root in self.scratch:
            _broken(f"reads %{buffer}, of which only the last row is left", kernel, k, step)
        if root in self.replaced and buffer not in self.renewed:
            _broken(f"reads the state %{buffer} after it was replaced", kernel, k, step)

    def _launch(self, k: int, step: Launch) -> None:
        program, kernel = self.program, step.kernel
        roots = [root_of(program, b) for b in step.buffers]
        inside: set[int] = set()  # what this kernel has stored itself
        loaded: set[int] = set()
        slots = [range(len(step.buffers))] if kernel.blocks is None else [piece.slots for piece in kernel.blocks.pieces]
        for part, named in zip([part for part, _ in kernel.computed()], slots):
            self._values(part, named, roots, inside, loaded, k, step)
        for slot, operand in enumerate(kernel.operands):
            if operand.written:
                self._write(slot, loaded, roots, k, step)

    def _values(
        self, kernel: Kernel, slots: Sequence[int], roots: Sequence[int], inside: set[int], loaded: set[int], k: int, step: Launch
    ) -> None:
        """What the stages of `kernel` read and store; its operand s is slots[s] of the launch."""
        for stage in kernel.stages:
            for s in order((*values_of(stage), *(i for store in stage.stores for i in store.at))):
                if s.op == "load":
                    slot = slots[s.param[0]]
                    loaded.add(slot)
                    if roots[slot] not in inside:
                        self._read(step.buffers[slot], k, step)
            for store in stage.stores:
                if store.mode == "add" and roots[slots[store.slot]] not in inside:
                    self._read(step.buffers[slots[store.slot]], k, step)
                inside.add(roots[slots[store.slot]])

    def _write(self, slot: int, loaded: set[int], roots: list[int], k: int, step: Launch) -> None:
        program, kernel, root = self.program, step.kernel, roots[slot]
        if any(other != slot and o.written and roots[other] == root for other, o in enumerate(kernel.operands)):
            _broken(f"writes %{root} through two operands", kernel, k, step)
        twins = [other for other in loaded if other != slot and roots[other] == root]
        if twins and not _same_place(kernel, slot, twins):
            _broken(f"writes %{root} while it reads other elements of it", kernel, k, step)
        if program.buffers[root].role == "shared":
            if k < program.commit:
                _broken(f"writes the state %{root} before the commit point {program.commit}", kernel, k, step)
            if root in self.replaced:
                _broken(f"writes the state %{root} twice", kernel, k, step)
            self.replaced.add(root)
            self.renewed |= {step.buffers[slot]} - {root}
        else:
            self.written.add(root)
        if kernel.blocks is not None:
            rows = any(isinstance(at, int) for p in kernel.blocks.pieces for s, at in zip(p.slots, p.at) if s == slot)
            if rows is not (program.buffers[root].role == "scratch"):
                _broken(f"stores {'rows' if rows else 'arrays'} of all blocks to %{root}", kernel, k, step)
            if rows:
                self.scratch.add(root)
            return
        stores = [store for stage in kernel.stages for store in stage.stores if store.slot == slot]
        if program.buffers[root].role == "scratch":
            self.scratch.add(root)
        elif kernel.kind != "scatter" and any(still(store, kernel.axes) for store in stores):
            _broken(f"stores all points of an outer loop to one element of %{root}", kernel, k, step)


def _same_place(kernel: Kernel, slot: int, twins: Sequence[int]) -> bool:
    """Whether a kernel loads from `twins`, the same array as `slot`, only the element that it stores at the end of each outer point."""
    if kernel.blocks is not None:  # each piece is at one place in all arrays
        return True
    stages = [(stage, store) for stage in kernel.stages for store in stage.stores if store.slot == slot]
    if kernel.kind == "scatter" or len(stages) != 1 or stages[0][0].axes or stages[0][0].scan:
        return False
    at = stages[0][1].at
    loads = [s for s in order(kernel.scalars()) if s.op == "load" and s.param[0] in twins]
    same_shape = all(kernel.operands[t].shape == kernel.operands[slot].shape for t in twins)
    return same_shape and all(tuple(map(id, s.args[: len(at)])) == tuple(map(id, at)) for s in loads)


# -- the arena ------------------------------------------------------------------------------------------------------
def _planned(program: Program, role: str) -> None:
    """Every buffer of the role inside its region, aligned, and apart from the others that live at the same time.

    Offsets are compared for a few choices of the sizes: all static cases are exact, symbolic ones are sampled.
    """
    lives: dict[int, tuple[int, int]] = {}
    for k, step in enumerate(program.steps):
        for b in step.buffers if isinstance(step, Launch) else (step.buffer, step.indices):
            root = root_of(program, b)
            if program.buffers[root].role == role:
                lives[root] = (lives.get(root, (k, k))[0], k)
    placed = [b for b in lives if program.buffers[b].offset is not None]
    region = program.arena if role == "arena" else program.scratch
    if not placed and region == 0:
        return  # not planned yet
    for b in lives:
        offset = program.buffers[b].offset
        if offset is None:
            _broken(f"%{b} has no place in the {role}")
        if dims.mod(offset, program.buffers[b].dtype.itemsize) != 0:
            _broken(f"%{b} of {program.buffers[b].dtype} is not aligned at byte {offset}")
    for env in _samples(program):
        _apart(program, lives, role, region, env)


def _apart(program: Program, lives: dict[int, tuple[int, int]], role: str, region: Size, env: dict[Symbol, int]) -> None:
    at = " for " + ", ".join(f"{s.name}={v}" for s, v in env.items()) if env else ""
    total = dims.evaluate(region, env)
    spans = []
    for b, (first, last) in lives.items():
        buffer = program.buffers[b]
        start = dims.evaluate(0 if buffer.offset is None else buffer.offset, env)
        end = start + max(dims.evaluate(buffer.nbytes, env), 0)
        if start < 0 or end > total:
            _broken(f"%{b} takes the bytes {start} to {end} of {'an arena' if role == 'arena' else role} of {total}{at}")
        spans.append((start, end, first, last, b))
    live: list[tuple[int, int, int, int, int]] = []
    for span in sorted(spans, key=lambda s: s[2]):
        start, end, first, _, b = span
        live = [s for s in live if s[3] >= first]
        for other in live:
            if start < other[1] and other[0] < end:
                _broken(f"%{other[4]} and %{b} live at the same time, in steps up to {other[3]} and from {first}, and share bytes{at}")
        live.append(span)


def _samples(program: Program) -> list[dict[Symbol, int]]:
    found: set[Symbol] = set()
    for b in program.buffers:
        for s in (*b.shape, 0 if b.offset is None else b.offset):
            found |= dims.symbols(s)
    symbols = sorted(found | dims.symbols(program.arena) | dims.symbols(program.scratch))
    if not symbols:
        return [{}]
    n = len(symbols)
    rising = [3 + 7 * k for k in range(n)]
    choices = ([1] * n, [64] * n, rising, rising[::-1], [1000 if k % 2 else 2 for k in range(n)])
    return [dict(zip(symbols, values)) for values in choices]


# -- the message ----------------------------------------------------------------------------------------------------
def _array(dtype: object, shape: Sequence[Size]) -> str:
    return f"{SHORT.get(dtype, dtype)}[{dims.format_shape(tuple(shape))}]"  # type: ignore[call-overload]


def _broken(what: str, kernel: Kernel | None = None, k: int | None = None, step: Step | None = None) -> NoReturn:
    lines = [f"verify: {what}" if k is None else f"verify: step {k} {what}" if what[0].islower() else f"verify: {what}"]
    if isinstance(step, Launch):
        made = ", ".join(n.describe() for n in step.nodes[:4])
        lines.append(f"  step {k}: ({', '.join(f'%{b}' for b in step.buffers)}), for {made or 'no node'}")
    elif isinstance(step, Check):
        lines.append(f"  step {k}: check %{step.buffer} (indices %{step.indices}), for {step.node.describe()}")
    raise CompileError("\n".join([*lines, *(kernel_lines(kernel) if kernel is not None else ())]))
