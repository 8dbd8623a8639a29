"""The door through which kernels get another code than loops over their points: products today, sorting or convolution next.

A strategy is one row of `graphc.codegen.strategy.table`. Whoever lowers, writes, shares or plans a kernel asks the row and
knows no strategy by name:

    lower      accepts(kernel), then plan(kernel with linear addresses, target): loops, a plan of its own, or None to decline
    memory     scratch(plan): the bytes that each thread needs besides the operands
               shared(plan): words and bytes that all threads have together
    threads    tasks(plan): how many tasks the plan is, which run on any thread, in any order unless ordered(plan)
    emission   write(emitter, plan): the code of the tasks from emitter.span(tasks)

    PRODUCT = Strategy("product", lambda kernel: kernel.kind == "contract", plan, write, tasks, scratch)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from graphc.dims import Size
from graphc.program import Kernel
from graphc.records import dataclass
from graphc.target import Target

if TYPE_CHECKING:
    from graphc.codegen.llvm.emit import Emitter
    from graphc.codegen.loops.address import Loaded


def no_code(emitter: Emitter, plan: Any) -> None:
    """Of a strategy whose plans are loops."""
    raise AssertionError(f"{emitter.name}: loops write themselves, not {plan}")


@dataclass(frozen=True)
class Strategy:
    """One way of running kernels. What a plan is, the strategy alone knows; its text is shown among the loops."""

    name: str
    accepts: Callable[[Kernel], bool]
    """Whether a kernel may be one for this strategy, by a look at it."""
    plan: Callable[[Loaded, Target], Any]
    """How it runs: a `Block` of loops, or a frozen plan that `tasks`, `scratch` and `write` understand; None declines."""
    write: Callable[[Emitter, Any], None] = no_code
    tasks: Callable[[Any], Size] = lambda plan: 1
    scratch: Callable[[Any], Size] = lambda plan: 0
    shared: Callable[[Any], tuple[Size, Size]] = lambda plan: (0, 0)
    """The words are 0 when the first task begins."""
    ordered: Callable[[Any], bool | Size] = lambda plan: False
    """Whether tasks wait for those before them, so that each must be taken by itself, in order: known now, or a size that is 1 if so."""
