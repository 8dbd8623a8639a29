"""How long a program will take, roughly: what decides whether the GIL is released."""

from __future__ import annotations

from collections import Counter

from codegen.values import size_scalar
from graphc import dims
from graphc import scalar as sc
from graphc.dims import Size
from graphc.dtypes import float64
from graphc.program import Launch, Program
from graphc.scalar import Scalar

_OP_NS, _MATH_NS, _MAC_NS = 0.03, 0.7, 0.02  # an operation of a vector loop, a transcendental, a step of a product


def work(program: Program) -> dict[Size, float]:
    """Estimated ns, as a sum of weight times size."""
    total: dict[Size, float] = {}
    launches = Counter(step.kernel for step in program.steps if isinstance(step, Launch))
    for kernel, count in launches.items():
        for stage in kernel.stages:
            size = dims.product([a.extent for a in (*kernel.axes, *stage.axes, *stage.reduce)])
            body = sc.order((stage.body,))
            math = sum(s.op not in sc.FREE and s.op not in sc.LIGHT for s in body)
            each = _MAC_NS if kernel.kind == "contract" and stage.reduce else _OP_NS * len(body) + _MATH_NS * math
            total[size] = total.get(size, 0.0) + count * each
    return total


def total_work(program: Program) -> Scalar:
    """Estimated ns as a Scalar in doubles, which cannot wrap; a constant where all sizes are known."""
    listed = work(program)
    known = sum(size * weight for size, weight in listed.items() if isinstance(size, int))
    total = sc.const(known, float64)
    for size, weight in listed.items():
        if not isinstance(size, int):
            total = total + in_double(size) * weight
    return total


def in_double(size: Size) -> Scalar:
    """A size as a float64, computed as one throughout."""

    def leaf(s: Scalar) -> Scalar:
        return sc.const(s.param, float64) if s.op == "const" else s.cast(float64)

    new: dict[Scalar, Scalar] = {}
    for s in sc.order((size_scalar(size),)):
        args = [new[a] for a in s.args]
        if s.op == "floordiv":
            new[s] = sc.unary("floor", args[0] / args[1])
        elif s.op == "mod":
            new[s] = args[0] - sc.unary("floor", args[0] / args[1]) * args[1]
        else:
            new[s] = sc.scalar(s.op, tuple(args), float64) if args else leaf(s)
    return new[size_scalar(size)]
