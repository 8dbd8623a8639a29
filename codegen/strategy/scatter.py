"""Scatters: loops that copy the array, unless it is updated in place, then write or add the updates where the indices say."""

from __future__ import annotations

from graphc import dims
from graphc import scalars as sc
from graphc.codegen.llvm import fill
from graphc.codegen.loops.address import Loaded
from graphc.codegen.loops.loopir import Block, Call, For, Let, Statement, Store
from graphc.codegen.strategy.door import Strategy
from graphc.codegen.strategy.loops import lanes_of
from graphc.dims import Size
from graphc.program import Axis
from graphc.scalars import Scalar
from graphc.target import Target

UNROLL_DIAGONAL = 64  # elements stored at known places far apart: a load and a store each, where a loop has five instructions


def _plan(kernel: Loaded, target: Target) -> Block:
    """Of each stage one point after the other, as equal indices meet in order; lanes where the points lie side by side, as in a copy."""
    lanes = lanes_of([s.dtype for s in sc.order([stage.body for stage in kernel.stages])], target)
    result: list[Statement] = []
    for k, stage in enumerate(kernel.stages):
        ((slot, dynamic, static, mode),) = kernel.stores[k]
        axes = list(stage.axes)
        if k == 0 and mode == "set" and len(axes) == 1 and fill.suits(stage.body, axes[0].extent, target) and static == axes[0].index:
            result.append(Call("fill", fill.Fill(slot, int(axes[0].extent), stage.body)))
            continue
        body = Block((Let(k, stage.body), Store(slot, dynamic, static, sc.local(k, (), stage.dtype), mode)))
        last = axes[-1] if axes else None
        if last is not None and _apart(dynamic, static, last):
            axes.pop()
            body = Block((For(last.index, last.extent, "vector", body, lanes, 1),))
        elif last is not None and dynamic is None and isinstance(last.extent, int) and last.extent <= UNROLL_DIAGONAL:
            axes.pop()
            body = Block((For(last.index, last.extent, "unroll", body),))
        for axis in reversed(axes):
            body = Block((For(axis.index, axis.extent, "serial", body),))
        result += body.body
    return Block(tuple(result))


def _apart(dynamic: Scalar | None, static: Size, axis: Axis) -> bool:
    """True when different points along the axis write different, neighbouring elements."""
    symbol = dims.as_symbol(axis.index)
    assert symbol is not None
    if dynamic is not None:
        for s in sc.order((dynamic,)):
            if s.op == "index" and symbol in dims.symbols(s.param):
                return False
            if s.op == "fetch" and symbol in dims.symbols(s.param[1]):
                return False
    split = dims.affine(static, symbol)
    return split is not None and split[0] == 1


SCATTER = Strategy("scatter", lambda kernel: kernel.kind == "scatter", _plan)
