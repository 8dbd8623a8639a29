"""The invariants of a `Program`: what code generation takes for granted. A CompileError names the step, the kernel and the user's lines.

Buffers match the variables and constants they stand for; kernels are well typed, bound and in range; what is read was written;
nothing is written before the commit point that a failure would have to undo; what lives at the same time lies in different bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc import dims
from graphc.dims import Dim
from graphc.dtypes import SHORT, bool_, int64
from graphc.program import PLANNED, Below, Branch, Buffer, Check, HostCall, Kernel, Launch, Loop, Program, Step, walk
from graphc.verify.fault import array_text, broken
from graphc.verify.flow import verify_flow
from graphc.verify.kernel import verify_kernel
from graphc.verify.scalar import unbound
from graphc.verify.storage import verify_storage

ROLES = ("input", "shared", "constant", "output", *PLANNED)


def verify_program(program: Program) -> None:
    """Raise CompileError unless `program` keeps every invariant."""
    _buffers(program)
    good: set[Kernel] = set()
    alone = _inside_parallel(program)
    for k, step in enumerate(program.numbered):
        for number in (*step.own, *(b for b, _ in step.placed)):
            if not 0 <= number < len(program.buffers):
                broken(f"names %{number}, which is no buffer", None, k, step)
        match step:
            case Launch():
                if step.kernel not in good:
                    verify_kernel(step.kernel)
                    good.add(step.kernel)
                _launch(program, k, step, k in alone)
            case Check():
                _check(program, k, step)
            case HostCall():
                _host_call(program, k, step)
            case Loop():
                _loop(program, k, step)
            case Branch():
                _branch(program, k, step)
    verify_flow(program)
    for role in PLANNED:
        verify_storage(program, role)


# -- buffers --------------------------------------------------------------------------------------------------------
def _buffers(program: Program) -> None:
    owners: dict[str, Sequence[object]] = {
        "input": program.inputs, "shared": program.shared, "constant": program.constants, "output": program.outputs,
    }  # fmt: skip
    for k, b in enumerate(program.buffers):
        name = f"buffer %{k}"
        if b.role not in ROLES:
            broken(f"{name} has the unknown role {b.role!r}")
        if b.dtype not in SHORT:
            broken(f"{name} has the unsupported dtype {b.dtype}")
        if any(unbound(s, {}) for s in b.shape):
            broken(f"{name} has a loop index in its shape ({dims.format_shape(b.shape)})")
        if b.alias is not None:
            _alias(program, k, b)
        elif b.role not in PLANNED:
            if not 0 <= b.index < len(owners[b.role]):
                broken(f"{name} is {b.role} {b.index}, of {len(owners[b.role])}")
            owner = owners[b.role][b.index]
            if b.role in ("input", "shared", "constant") and (owner.dtype != b.dtype or tuple(owner.shape) != b.shape):  # type: ignore[attr-defined]
                broken(f"{name} is {array_text(b.dtype, b.shape)}, but {b.role} {b.index} is {array_text(owner.dtype, owner.shape)}")  # type: ignore[attr-defined]
    if len(set(program.outputs)) != len(program.outputs):
        broken(f"two outputs are one buffer: {program.outputs}")
    for k, number in enumerate(program.outputs):
        known = 0 <= number < len(program.buffers)
        if not known or program.buffers[number].role != "output" or program.buffers[number].index != k:
            broken(f"output {k} is not a buffer of its own: %{number}")
    if len(set(program.shared)) != len(program.shared) or len(set(program.inputs)) != len(program.inputs):
        broken("a variable is listed twice")


def _alias(program: Program, k: int, b: Buffer) -> None:
    seen = {k}
    root = b
    while root.alias is not None:
        if not 0 <= root.alias < len(program.buffers) or root.alias in seen:
            broken(f"buffer %{k} is an alias of no buffer: %{b.alias}")
        seen.add(root.alias)
        root = program.buffers[root.alias]
    part = k in program.viewed  # `verify_flow` sees whether it lies inside
    same = part or dims.equal(dims.product(b.shape), dims.product(root.shape)) is not False
    if b.dtype != root.dtype or b.role != root.role or not same:
        broken(f"buffer %{k}, {b.role} {array_text(b.dtype, b.shape)}, is an alias of {root.role} {array_text(root.dtype, root.shape)}")


def _inside_parallel(program: Program) -> set[int]:
    """The numbers of the steps in turns of parallel loops."""
    found: set[int] = set()
    for k, step in enumerate(program.numbered):
        if isinstance(step, Loop) and step.parallel:
            found |= {k + 1 + n for n, _ in enumerate(walk(step.steps))}
    return found


# -- steps ----------------------------------------------------------------------------------------------------------
def _launch(program: Program, k: int, step: Launch, alone: bool) -> None:
    """`alone`: in turns that threads share, so that one thread runs it."""
    operands = step.kernel.operands
    if len(step.buffers) != len(operands):
        broken(f"{len(step.buffers)} buffers for {len(operands)} operands", step.kernel, k, step)
    for slot, (number, operand) in enumerate(zip(step.buffers, operands)):
        if not 0 <= number < len(program.buffers):
            broken(f"operand b{slot} is %{number}, which is no buffer", step.kernel, k, step)
        b = program.buffers[number]
        same = b.shape == operand.shape or dims.equal(dims.product(b.shape), dims.product(operand.shape)) is not False
        if b.dtype != operand.dtype or not same:
            wanted, have = array_text(operand.dtype, operand.shape), array_text(b.dtype, b.shape)
            broken(f"operand b{slot} is {wanted}, but %{number} is {have}", step.kernel, k, step)
        if operand.written and b.role in ("input", "constant"):
            broken(f"writes %{number}, which is {b.role} {b.index}", step.kernel, k, step)
    pieces = step.kernel.pieces
    if len(step.scratch) != len(pieces):
        broken(f"{len(step.scratch)} buffers for {len(pieces)} pieces of scratch", step.kernel, k, step)
    for at, (number, (dtype, count)) in enumerate(zip(step.scratch, pieces)):
        b = program.buffers[number]
        role = "scratch" if alone or at < len(step.kernel.scratch) else "arena"
        if b.role != role or b.dtype != dtype or b.alias is not None or dims.equal(dims.product(b.shape), count) is False:
            wanted = array_text(dtype, (count,))
            broken(f"scratch of {wanted} is {b.role} {array_text(b.dtype, b.shape)}, %{number}", step.kernel, k, step)


def _check(program: Program, k: int, step: Check) -> None:
    fault, indices = program.buffers[step.buffer], program.buffers[step.indices]
    if fault.dtype != int64 or fault.shape:
        broken(f"the fault %{step.buffer} is {array_text(fault.dtype, fault.shape)}, not one i64", None, k, step)
    if indices.dtype.kind not in "iu":
        broken(f"the indices %{step.indices} are {indices.dtype}", None, k, step)


def _host_call(program: Program, k: int, step: HostCall) -> None:
    if not callable(step.function):
        broken(f"calls {step.function!r:.40}, which cannot be called", None, k, step)
    for b in (*step.arguments, *step.results):
        if program.buffers[b].role == "scratch":
            broken(f"hands over %{b}, which is scratch", None, k, step)
    for b in step.results:
        if program.buffers[b].role not in ("arena", "output"):
            broken(f"writes %{b}, which is {program.buffers[b].role} {program.buffers[b].index}", None, k, step)
    if len({program.roots[b] for b in step.results}) != len(step.results):
        broken("gives two results to one array", None, k, step)


def _loop(program: Program, k: int, step: Loop) -> None:
    named = [step.counter, *(length for length, _ in step.lengths)]
    for what, given in zip(["counts by", *["has the length" for _ in step.lengths]], named):
        symbol = dims.as_symbol(given)
        if symbol is None or symbol.kind != "size":
            broken(f"{what} {given}, which is no symbol", None, k, step)
        if any(symbol in dims.symbols(size) for v in (*program.inputs, *program.shared) for size in v.shape):
            broken(f"{what} {given}, which is a size of an argument", None, k, step)
        if named.count(given) > 1 or any(symbol in other.bound for other in walk(step.steps)):
            broken(f"{what} {given} inside a loop that does", None, k, step)
        if any(symbol in dims.symbols(size) for _, size in step.lengths) and given != step.counter:
            broken(f"has lengths that follow from {given}, another length", None, k, step)
    if step.parallel and (step.extent is None or step.condition is not None or step.carried):
        broken("has turns at the same time, but one waits for the other", None, k, step)
    if step.parallel and any(other.can_fail for other in step.steps):
        broken("has turns at the same time, of which one could fail", None, k, step)
    if step.extent is None and step.condition is None:
        broken("never ends", None, k, step)
    if step.condition is not None:
        _is_truth(program, step.condition, k, step)
    carried = [b for pair in step.carried for b in pair]
    if len(set(carried)) != len(carried):
        broken(f"carries a buffer twice: {step.carried}", None, k, step)
    for old, new in step.carried:
        a, b = program.buffers[old], program.buffers[new]
        if a.role != "arena" or b.role != "arena" or a.alias is not None or b.alias is not None:
            broken(f"carries %{new} to %{old}, which are not both arrays of their own in the arena", None, k, step)
        if a.dtype != b.dtype or a.shape != b.shape:
            broken(f"carries {array_text(b.dtype, b.shape)} to {array_text(a.dtype, a.shape)}", None, k, step)


def _branch(program: Program, k: int, step: Branch) -> None:
    if isinstance(step.predicate, int):
        _is_truth(program, step.predicate, k, step)
        return
    if not isinstance(step.predicate, Below):
        broken(f"asks {step.predicate!r:.40}, which is neither a buffer nor a comparison of sizes", None, k, step)
    for size in (step.predicate.size, step.predicate.limit):
        if type(size) is not int and not isinstance(size, Dim):
            broken(f"compares {size!r:.40}, which is no size", None, k, step)
    if loose := sorted(s.name for s in step.symbols - {*program.counters} if s.kind != "size"):
        broken(f"compares {step.predicate}, but {loose[0]} is no size of a call", None, k, step)


def _is_truth(program: Program, buffer: int, k: int, step: Step) -> None:
    b = program.buffers[buffer]
    if b.dtype != bool_ or dims.product(b.shape) != 1:
        broken(f"asks %{buffer}, which is {array_text(b.dtype, b.shape)}, not one boolean", None, k, step)
