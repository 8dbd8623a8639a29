"""a*b + c -> fma(a, b, c), chosen here and not by LLVM, so that results do not depend on its version."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from graphc import scalars as sc
from graphc.program import Kernel
from graphc.scalars import Scalar


def fuse_multiply_add(kernel: Kernel) -> Kernel:
    """Every float sum with a product that is used nowhere else becomes one rounding.

    Not where both addends are products: a*b + c*d would round its halves differently, and a*b - a*b must be 0.
    """
    roots = [stage.body for stage in kernel.stages] + ([] if kernel.code is None else list(kernel.code.scalars()))
    uses = Counter([*roots, *[a for s in kernel.parts for a in s.args]])
    new: dict[Scalar, Scalar] = {}
    for s in kernel.parts:
        args = tuple([new[a] for a in s.args]) if s.args else s.args
        made = s if args == s.args else sc.scalar(s.op, args, s.dtype, s.param)
        if (s.op == "add" or s.op == "sub") and s.dtype.kind == "f":
            a, b = s.args
            if a.op == "mul" and b.op != "mul" and uses[a] == 1:
                x, y = args[0].args
                made = sc.fma(x, y, args[1] if s.op == "add" else -args[1])
            elif b.op == "mul" and a.op != "mul" and uses[b] == 1:
                x, y = args[1].args
                made = sc.fma(x if s.op == "add" else -x, y, args[0])
        new[s] = made
    if all(new[root] is root for root in roots):
        return kernel
    code = None if kernel.code is None else kernel.code.mapped(new.__getitem__)
    stages = [stage if new[stage.body] is stage.body else replace(stage, body=new[stage.body]) for stage in kernel.stages]
    return replace(kernel, stages=tuple(stages), code=code)
