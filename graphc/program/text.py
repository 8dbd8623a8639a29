"""Kernels and programs as text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from graphc import dims
from graphc.dtypes import SHORT
from graphc.program.kernel import RANKED, SIGNS, Kernel
from graphc.program.program import PLANNED, Program
from graphc.program.scalar_code import ScalarCode, Turns
from graphc.program.steps import Below, Branch, Check, HostCall, Launch, Loop, Step
from graphc.scalars import format_index, format_scalar


def format_kernel(kernel: Kernel, name: str = "kernel") -> str:
    """The kernel as text: one line a stage."""
    operands = ", ".join(
        f"b{k}: {SHORT[o.dtype]}[{dims.format_shape(o.shape)}]{'!' if o.written else ''}" for k, o in enumerate(kernel.operands)
    )
    lines = [f"{kernel.kind} {name}({operands})"]
    lines += [f"  scratch {SHORT[dtype]}[{count}]" for dtype, count in kernel.scratch]
    lines += [f"  shared {SHORT[dtype]}[{count}]" for dtype, count in kernel.shared]
    lines += [f"  for {a.index} in {a.extent}" for a in kernel.axes]
    for k, stage in enumerate(kernel.stages):
        over = "".join(f" {a.index}:{a.extent}" for a in stage.axes)
        reduced = f"{stage.combine}[{', '.join(f'{a.index}:{a.extent}' for a in stage.reduce)}] " if stage.combine else ""
        if stage.combine in RANKED and stage.factor is not None:
            reduced += f"number {format_index(stage.factor)} of "
        where = "".join(f" -> b{s.slot}[{', '.join(format_index(i) for i in s.at)}]{SIGNS.get(s.mode, '')}" for s in stage.stores)
        scan = f"{stage.scan} scan " if stage.scan else ""
        lines.append(f"    t{k}: {SHORT[stage.dtype]}{over} = {scan}{reduced}{format_scalar(stage.body)}{where}")
    if kernel.code is not None:
        lines += _code(kernel.code, "  ")
    if (r := kernel.routine) is not None:
        lines.append(f"  {r.name}({', '.join(map(str, (*r.params, *r.sizes)))}) for each of {r.batch}")
    return "\n".join(lines)


def _code(code: ScalarCode, pad: str) -> list[str]:
    """Scalar code, a line for each thing that it does."""
    lines: list[str] = []
    for step in code.steps:
        if isinstance(step, Turns):
            lines += [f"{pad}t{k}: {SHORT[x.dtype]} = {format_scalar(x)}" for k, x in zip(step.carries, step.initial)]
            lines.append(f"{pad}for {turns_of(step)}:")
            lines += _code(step.body, pad + "  ")
            lines += [f"{pad}  next t{k} = {format_scalar(x)}" for k, x in zip(step.carries, step.after)]
            lines += [f"{pad}t{step.count} = turns"] * (step.count is not None)
            continue
        for k, (inside, values) in enumerate(step.branches):
            lines.append(f"{pad}branch {k} of {format_scalar(step.chosen)}:")
            lines += _code(inside, pad + "  ")
            lines += [f"{pad}  t{n}: {SHORT[x.dtype]} = {format_scalar(x)}" for n, x in zip(step.results, values)]
    lines += [f"{pad}b{p.slot}[{', '.join(map(format_index, p.at))}] = {format_scalar(p.value)}" for p in code.puts]
    return lines


def turns_of(step: Turns) -> str:
    """`j0 in n while t3 < 1.0, 4 at once`."""
    among = "" if step.extent is None else f" in {step.extent}"
    until = "" if step.condition is None else f" while {format_scalar(step.condition)}"
    return f"{step.index}{among}{until}" + (f", {step.unroll} at once" if step.unroll > 1 else "")


def format_program(program: Program) -> str:
    """The program as text: buffers, then steps; each kernel printed where it is first launched."""
    lines = []
    used = {b for step in program.numbered for name in step.own for b in (name, program.roots[name])}
    for k, b in enumerate(program.buffers):
        if b.role in PLANNED and k not in used:
            continue  # it became rows of a run
        where = f"= %{b.alias}" if b.alias is not None else (f"{b.role} + {b.offset}" if b.role in PLANNED else f"{b.role} {b.index}")
        where = f"in %{b.alias}" if k in program.viewed else where
        lines.append(f"%{k}: {SHORT[b.dtype]}[{dims.format_shape(b.shape)}] {where}")
    writer = _Steps(program)
    writer.write(program.steps[: program.commit], "")
    if program.commit < len(program.steps):
        writer.lines.append("-- commit")
    writer.write(program.steps[program.commit :], "")
    return "\n".join([*lines, *writer.lines, f"return {', '.join(f'%{b}' for b in program.outputs)}"])


class _Steps:
    """Writes lists of steps, those inside others further in."""

    def __init__(self, program: Program) -> None:
        self.names, self.shown, self.lines = program.kernels(), set[Kernel](), list[str]()

    def write(self, steps: Sequence[Step], indent: str) -> None:
        """The steps of a list; views that stand together in one line."""
        for placed, together in groupby(steps, lambda step: bool(step.placed)):
            if placed:
                self.lines.append(indent + "place " + ", ".join(f"%{b} at {offset}" for step in together for b, offset in step.placed))
            else:
                for step in together:
                    self.step(step, indent)

    def step(self, step: Step, indent: str) -> None:
        def line(text: str) -> None:
            self.lines.append(indent + text)

        match step:
            case Launch():
                line(f"{self.names[step.kernel]}({_listed(step.own)})")
                self.kernel(step.kernel, indent)
            case Check():
                ends = " from either end" if step.wraps else ""
                line(f"check %{step.buffer} (indices %{step.indices} into {step.axis_size}{ends})")
            case HostCall():
                name = getattr(step.function, "__name__", type(step.function).__name__)
                line(
                    f"{_listed(step.results)} = call {name}({_listed(step.arguments)})"
                    if step.results
                    else f"call {name}({_listed(step.arguments)})"
                )
            case Loop():
                among = "" if step.extent is None else f" in {step.extent}"
                until = "" if step.condition is None else f" while %{step.condition}"
                lengths = "".join(f", {length} = {size}" for length, size in step.lengths)
                line(f"{'parallel ' if step.parallel else ''}for {step.counter}{among}{until}{lengths}:")
                self.write(step.steps, indent + "  ")
                for old, new in step.carried:
                    line(f"  carry %{new} -> %{old}")
            case Branch():
                line(f"if {_condition(step.predicate)}:")
                self.write(step.then, indent + "  ")
                if step.otherwise:
                    line("else:")
                    self.write(step.otherwise, indent + "  ")

    def kernel(self, kernel: Kernel, indent: str) -> None:
        """The text of a kernel, the first time it is met."""
        if kernel not in self.shown:
            self.shown.add(kernel)
            self.lines += [f"{indent}  {line}" for line in format_kernel(kernel, self.names[kernel]).splitlines()]


def _condition(predicate: int | Below) -> str:
    return f"%{predicate}" if isinstance(predicate, int) else str(predicate)


def _listed(buffers: Sequence[int]) -> str:
    return ", ".join(f"%{b}" for b in buffers)
