"""Loop IR to LLVM text: one function per kernel, written by an emitter that is put together from parts.

    values         scalars and sizes, each in the outermost loop in which it has a meaning     graphc.codegen.llvm.values
    memory         loads and stores                                                            graphc.codegen.llvm.access
    accumulators   registers that loops carry                                                  graphc.codegen.llvm.accumulate
    loops          counted, unrolled, over lanes                                               graphc.codegen.llvm.loops
    recurrences    loops that carry values from turn to turn, and branches between scalars     graphc.codegen.llvm.recurrence

A strategy gets the emitter and writes its kernel with these parts, see `graphc.codegen.strategy.door`.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc import dims
from graphc.codegen.llvm.access import Memory
from graphc.codegen.llvm.accumulate import Accumulators
from graphc.codegen.llvm.fill import Fill, write_fill
from graphc.codegen.llvm.llvm_text import Function
from graphc.codegen.llvm.loops import Loops
from graphc.codegen.llvm.module import Unit
from graphc.codegen.llvm.recurrence import Recurrences
from graphc.codegen.llvm.values import Value, Values
from graphc.codegen.loops.loopir import Accumulate, Alloc, Block, Call, Choose, For, If, Let, Repeat, Statement, Store, values_of, walk
from graphc.codegen.loops.straight_line import write_values
from graphc.codegen.strategy.door import Strategy
from graphc.dims import Dim, Size, Symbol
from graphc.errors import CompileError, fail
from graphc.program import Kernel

LO, HI = (dims.axis(x) for x in ("lo", "hi"))  # the part of the parallel loop that a call of the kernel runs


class Emitter:
    """Writes one kernel function; if it is `shared` among threads, it takes the range of the parallel loop to run.

    `numbers`: axes that are arguments of a function which is only a part of a kernel.
    """

    def __init__(self, unit: Unit, kernel: Kernel, name: str, body: Block, shared: bool = False, numbers: Sequence[Dim] = ()) -> None:
        self.unit, self.module, self.target = unit, unit.module, unit.target
        self.kernel, self.name, self.body, self.shared = kernel, name, body, shared
        kinds = {type(s) for s in walk(body)}
        self.values = Values(unit, name, kernel.sizes(), outline=not kinds & {For, Repeat}, serial=Repeat in kinds)
        self.memory = Memory(self.values, kernel)
        self.accumulators = Accumulators(self.values)
        self.loops = Loops(self.values, self.accumulators, self.statement, (LO, HI) if shared else None)
        self.recurrences = Recurrences(self.values, self.statement)
        self.numbers = [symbol_of(x) for x in numbers]
        outermost = self.values.scopes[0].axis
        for index in (LO, HI) if shared else ():
            symbol = symbol_of(index)
            outermost[symbol] = Value(f"%{symbol.name}", 1, 0)
        for symbol in self.numbers:
            outermost[symbol] = Value(f"%x.{symbol.name}", 1, 0)

    def function(self) -> Function:
        """The whole function."""
        v = self.values
        if self.unit.called:
            v.bring_together([[x for s in block.body for x in values_of(s)] for block in walk(self.body) if isinstance(block, Block)])
        if v.outline:
            write_values(v, [(s.name, s.value) for s in self.body.body if isinstance(s, Let)])
        self.statement(self.body, self.body)
        v.entry.line("ret void")
        return Function(self.name, tuple(self.parameters()), v.entry.lines, self.unit.kernel_attributes)

    def parameters(self) -> list[str]:
        """The addresses of operands and scratch, the sizes, the range."""
        arrays = [f"ptr %b{k}" for k in range(len(self.kernel.operands) + len(self.kernel.pieces))]
        words = [f"i64 %n{k}" for k in range(len(self.kernel.sizes()))] + ["i64 %lo", "i64 %hi"] * self.shared
        return arrays + words + [f"i64 %x.{s.name}" for s in self.numbers]

    def span(self, extent: Size) -> tuple[Size, Size]:
        """Where a parallel loop of this extent, or a strategy with as many tasks, starts and ends."""
        return (LO, HI) if self.shared else (0, extent)

    def statement(self, s: Statement, around: Block) -> None:
        """One statement, of the function or loop whose body is `around`, where the emitter is."""
        match s:
            case Block(body):
                for inner in body:
                    self.statement(inner, around)
            case Let(name, value):
                self.values.here.memo["local", name] = self.values.value(value)
            case Store(slot, dynamic, static, value, mode):
                self.memory.store(slot, dynamic, static, value, mode)
            case Alloc():
                self.accumulators.new_register(s, around)
            case Accumulate(name, _, value, other):
                self.accumulators.accumulate(name, value, other, 0)
            case For():
                self.loops.loop(s)
            case Repeat():
                self.recurrences.repeat(s)
            case Choose():
                self.recurrences.choose(s)
            case Call(_, plan, Strategy(write=write)):
                write(self, plan)
            case Call("fill", Fill() as fill):
                write_fill(self.values, fill)
            case Call():
                fail(CompileError, f"{s.name} has no emission in kernel {self.name}")
            case If():
                fail(CompileError, "If has no emission yet")


def symbol_of(index: Dim) -> Symbol:
    """The symbol that an axis is."""
    symbol = dims.as_symbol(index)
    assert symbol is not None
    return symbol
