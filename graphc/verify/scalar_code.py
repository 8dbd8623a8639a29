"""The invariants of scalar code: locals defined once and before they are read, carries that keep their dtype, stores that move."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from graphc import dims
from graphc.dims import Size, Symbol
from graphc.dtypes import bool_, int64
from graphc.program import Choice, Put, ScalarCode, Turns
from graphc.records import dataclass
from graphc.scalars import Scalar, order
from graphc.verify.scalar import scalar_fault, show, unbound

LOAD_FAULT = Callable[[Scalar, Mapping[Symbol, Size]], str]


@dataclass(frozen=True)
class Around:
    """What is known at a place: the locals so far, and the loops around with their extents."""

    locals: dict[int, np.dtype]
    loops: Mapping[Symbol, Size | None]

    @property
    def bound(self) -> dict[Symbol, Size]:
        return {s: extent for s, extent in self.loops.items() if extent is not None}


def code_fault(code: ScalarCode, load_fault: LOAD_FAULT, put_fault: Callable[[Put, Mapping[Symbol, Size]], str]) -> str:
    """What is wrong with the code, "" where nothing is. `load_fault` and `put_fault` look at operands, inside loops of these extents."""
    return _Walk(load_fault, put_fault).code(code, Around({}, {}))


class _Walk:
    def __init__(self, load_fault: LOAD_FAULT, put_fault: Callable[[Put, Mapping[Symbol, Size]], str]) -> None:
        self.load_fault, self.put_fault = load_fault, put_fault
        self.defined: set[int] = set()

    def code(self, code: ScalarCode, around: Around) -> str:
        for step in code.steps:
            fault = self.turns(step, around) if isinstance(step, Turns) else self.choice(step, around)
            if fault:
                return fault
        return next(filter(None, (self.put(p, around) for p in code.puts)), "")

    def turns(self, step: Turns, around: Around) -> str:
        symbol = dims.as_symbol(step.index)
        if symbol is None or symbol.kind != "axis" or symbol in around.loops:
            return f"a loop over {step.index}, which is no index of its own"
        if step.extent is not None and unbound(step.extent, {}):
            return f"a loop over {step.extent}, which is no size"
        if step.extent is None and step.condition is None:
            return f"the loop over {step.index} has no end"
        if step.unroll < 1 or (step.unroll > 1 and step.condition is not None):
            return f"the loop over {step.index} takes {step.unroll} turns at once"
        if not len(step.carries) == len(step.initial) == len(step.after):
            return f"{len(step.carries)} carries begin as {len(step.initial)} values and go on as {len(step.after)}"
        fault = self.values(step.initial, around)
        if fault:
            return fault
        dtypes = dict(zip(step.carries, [x.dtype for x in step.initial]))
        if step.condition is not None and step.condition.dtype != bool_:
            return f"the condition is {step.condition.dtype}"
        within = Around({**around.locals, **dtypes}, {**around.loops, symbol: step.extent})
        fault = self.define(step.carries) or self.values(() if step.condition is None else (step.condition,), within)
        fault = fault or self.code(step.body, within) or self.values(step.after, within)
        if fault:
            return fault
        for name, x in zip(step.carries, step.after):
            if x.dtype != dtypes[name]:
                return f"t{name} goes in as {dtypes[name]} and comes out as {x.dtype}"
        around.locals.update(dtypes)
        if step.count is not None:
            around.locals[step.count] = int64
            return self.define((step.count,))
        return ""

    def choice(self, step: Choice, around: Around) -> str:
        fault = self.values((step.chosen,), around)
        if fault or step.chosen.dtype != int64 or not step.branches:
            return fault or f"one of {len(step.branches)} branches is chosen by {step.chosen.dtype}"
        kinds = [[x.dtype for x in values] for _, values in step.branches]
        if any(len(k) != len(step.results) or k != kinds[0] for k in kinds):
            return "branches give different values"
        for code, values in step.branches:
            within = Around(dict(around.locals), around.loops)
            fault = self.code(code, within) or self.values(values, within)
            if fault:
                return fault
            if code.stored:
                return "a branch stores, so that what it does not store is left open"
        around.locals.update(zip(step.results, kinds[0]))
        return self.define(step.results)

    def define(self, names: Sequence[int]) -> str:
        for name in names:
            if name in self.defined:
                return f"t{name} is defined twice"
            self.defined.add(name)
        return ""

    def put(self, p: Put, around: Around) -> str:
        moving = {s for i in p.at if i.op == "index" for s in dims.symbols(i.param)}
        still = [s.name for s in around.loops if s not in moving]
        if still:
            return f"all turns of {still[0]} store to one element of b{p.slot}"
        return self.values((p.value, *p.at), around) or self.put_fault(p, around.bound)

    def values(self, roots: Sequence[Scalar], around: Around) -> str:
        """What is wrong with Scalars that are computed at a place."""
        for s in order(roots):
            fault = scalar_fault(s)
            if not fault and s.op == "index":
                loose = unbound(s.param, dict.fromkeys(around.loops, 0))
                fault = f"the loop index {loose[0]} is not bound here" if loose else ""
            elif not fault and s.op == "local":
                known = around.locals.get(s.param)
                if known is None or known != s.dtype or s.args:  # NumPy takes None for float64
                    fault = f"t{s.param} is {known or 'not defined here'}, read as {s.dtype} with {len(s.args)} indices"
            elif not fault and s.op == "load":
                fault = self.load_fault(s, around.bound)
            elif not fault and s.op in ("fetch", "arg"):
                fault = f"{s.op} has no meaning in a kernel"
            if fault:
                return f"{fault}, in {show(s)}"
        return ""
