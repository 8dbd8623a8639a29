"""Which kernels run on several threads, and how their parallel loop is cut.

    for i in 0..total: ...   ->   pool.run(task, arguments, total, grain, threads)

A chunk is a whole number of turns of the loop, so every element is computed by the same instructions whatever the
chunks are: the bits of the result do not depend on the number of threads.
"""

from __future__ import annotations

from graphc import dims
from graphc.codegen.frame import Frame
from graphc.codegen.llvm.llvm_text import Function
from graphc.codegen.llvm.module import Unit
from graphc.codegen.loops.loopir import Block, Call, For
from graphc.codegen.runtime.estimate import Work, in_double, kernel_work, static_work, steps_work, work
from graphc.codegen.strategy.door import Strategy
from graphc.dims import Size, Symbol
from graphc.program import Kernel, Loop, Program
from graphc.records import dataclass
from graphc.scalars import Scalar
from graphc.target import Target
from graphc.threads import available, get_num_threads

CHUNKS = 4  # for each thread: one that is held up takes fewer, the others more


@dataclass(frozen=True)
class Threads:
    """`most`: for how many threads there is scratch memory. `fixed`: the user asked for them; otherwise the process's limit holds, too.

    `worth`: ns of work, below which a kernel runs on the caller alone.
    """

    most: int
    fixed: bool
    worth: float


ONE_THREAD = Threads(1, True, 0.0)


def threads_for(program: Program, asked: int | None, target: Target) -> Threads:
    """The threads of a function: as many as asked for, or as this process may use; one if the program is certain to be short."""
    worth = target.measured.threads
    if _never_worth(work(program), worth):
        return ONE_THREAD
    return Threads(max(available(), get_num_threads()), False, worth) if asked is None else Threads(asked, True, worth)


def _never_worth(work: Work, worth: float) -> bool:
    """Whether it is certain now that the work is too short for threads."""
    return all(isinstance(size, int) for size in work) and static_work(work) < worth


def arena_bytes(program: Program, threads: Threads) -> Size:
    """The arena with the scratch of every thread behind it."""
    return program.arena + threads.most * program.scratch


@dataclass(frozen=True)
class Team:
    """A kernel's parallel loop: 0..total in chunks of `grain`; `threads` as `runtime.pool` takes it, `worth` as in `Threads`."""

    total: Size
    grain: Size
    threads: int
    work: Work
    worth: float

    @property
    def symbols(self) -> frozenset[Symbol]:
        """The sizes that `pays` asks for."""
        return frozenset().union(*map(dims.symbols, self.work))

    def pays(self) -> Scalar | None:
        """The condition under which there is work enough; None if there always is."""
        return None if static_work(self.work) >= self.worth else in_double(self.work) >= self.worth


def team_of(kernel: Kernel, loops: Block, threads: Threads) -> Team | None:
    """How the kernel is shared among threads; None if it cannot be, or if it is certain that this never pays."""
    if threads.most < 2 or len(loops.body) != 1:
        return None
    (outermost,) = loops.body
    one_by_one: bool | Size = False
    match outermost:
        case For(parallel=True):
            total, step = outermost.extent, outermost.step
        case Call(params=plan, strategy=Strategy(tasks=tasks, ordered=ordered)):
            total, step, one_by_one = tasks(plan), 1, ordered(plan)
        case _:
            return None
    return _team(kernel_work(kernel), total, step, threads, one_by_one)


def team_of_turns(loop: Loop, threads: Threads) -> Team | None:
    """How the turns of a parallel loop are shared among threads, in the same way."""
    return None if threads.most < 2 or loop.extent is None else _team(steps_work((loop,)), loop.extent, 1, threads)


def _team(work: Work, total: Size, step: int, threads: Threads, one_by_one: bool | Size = False) -> Team | None:
    """`one_by_one`: 1 where each turn is a chunk."""
    if _never_worth(work, threads.worth) or (isinstance(total, int) and total <= step):
        return None
    turns = CHUNKS * threads.most * step
    grain = dims.floordiv(total + (turns - 1), turns) * step
    if one_by_one is not False:
        grain = grain + (step - grain) * int(one_by_one) if isinstance(one_by_one, bool) else grain + (step - grain) * one_by_one
    return Team(total, grain, threads.most if threads.fixed else -threads.most, work, threads.worth)


def write_turns_task(unit: Unit, name: str, frame: Frame) -> str:
    """The name of task(context, lo, hi, worker), which runs turns of a parallel loop with a frame of the thread's own.

    The context holds the slots, the frame of the call, and how far apart the threads' scratch is.
    """
    lines = []
    for k, (what, kind) in enumerate((("slots", "ptr"), ("sizes", "ptr"), ("apart", "i64"))):
        lines += [f"%p{k} = getelementptr i64, ptr %context, i64 {k}", f"%{what} = load {kind}, ptr %p{k}, align 8"]
    lines.append(f"%frame = alloca [{frame.words} x i64], align 8")
    for k in range(frame.found):
        lines += [f"%f{k} = getelementptr i64, ptr %sizes, i64 {k}", f"%v{k} = load i64, ptr %f{k}, align 8"]
        lines += [f"%t{k} = getelementptr i64, ptr %frame, i64 {k}", f"store i64 %v{k}, ptr %t{k}, align 8"]
    lines += [
        "%own = mul i64 %worker, %apart",
        f"%mine = getelementptr i64, ptr %frame, i64 {frame.own}",
        "store i64 %own, ptr %mine, align 8",
    ]
    lines += [f"call void @{name}(ptr %slots, ptr %frame, i64 %lo, i64 %hi)", "ret void"]
    params = ("ptr %context", "i64 %lo", "i64 %hi", "i64 %worker")
    unit.module.add(Function(f"{name}.task", params, [f"  {line}" for line in lines]))
    return f"{name}.task"


def write_task(unit: Unit, kernel: Kernel, name: str, scratch: tuple[int, ...]) -> str:
    """The name of task(context, lo, hi, worker), which calls the kernel with what the context holds.

    The last word of the context is how far apart the threads' copies of the operands `scratch` are.
    """
    symbol = f"{name}.task" + "".join(f".{k}" for k in scratch)
    if symbol in unit.module.functions:
        return symbol
    kinds = ["ptr"] * (len(kernel.operands) + len(kernel.pieces)) + ["i64"] * len(kernel.sizes())
    lines = []
    for k, kind in enumerate([*kinds, "i64"]):
        lines += [f"%p{k} = getelementptr i64, ptr %context, i64 {k}", f"%a{k} = load {kind}, ptr %p{k}, align 8"]
    lines.append(f"%own = mul i64 %worker, %a{len(kinds)}")
    args = []
    for k, kind in enumerate(kinds):
        if k in scratch:
            lines.append(f"%s{k} = getelementptr i8, ptr %a{k}, i64 %own")
        args.append(f"{kind} %{'s' if k in scratch else 'a'}{k}")
    lines += [f"call void @{name}({', '.join([*args, 'i64 %lo', 'i64 %hi'])})", "ret void"]
    params = ("ptr %context", "i64 %lo", "i64 %hi", "i64 %worker")
    unit.module.add(Function(symbol, params, [f"  {line}" for line in lines], unit.kernel_attributes))
    return symbol
