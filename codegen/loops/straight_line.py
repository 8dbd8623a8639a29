"""Straight-line code: independent calls of one math function become the lanes of one call.

    a = sin(x); b = sin(y + 1); c = cos(y + 1)     ->     (a, b), (_, c) = sin and cos of <x, y + 1>

The level of a value is the number of math functions on the longest way to it, so values of one level never need each
other. A function over eight lanes costs little more than over one, as its time is the latency of a polynomial; and what
is alive around a call is spilled once, not eight times. Every lane has the bits that a call of its own would give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

import numpy as np

from graphc import scalars as sc
from graphc.codegen.llvm.emit_scalar import llvm_type
from graphc.codegen.llvm.values import Value, Values
from graphc.codegen.mathlib import MATH
from graphc.records import dataclass
from graphc.scalars import Scalar

Args = tuple[Scalar, ...]
Calls = dict[Args, list[Scalar]]  # the functions wanted of each tuple of arguments


@dataclass
class Level:
    """Calls that are independent of each other, by their function and dtypes; then plain operations and finished stages, in order."""

    calls: dict[tuple[object, ...], Calls] = field(default_factory=dict)
    rest: list[Scalar | int] = field(default_factory=list)


def levels(bodies: Sequence[tuple[int, Scalar]]) -> list[Level]:
    """The Scalars of (stage, body) pairs; a stage's number comes when its body is known."""
    depth: dict[Scalar, int] = {}
    listed: set[Scalar] = set()
    finished: dict[int, int] = {}
    found = [Level()]
    for number, body in bodies:
        for s in sc.order((body,), listed):
            level = finished[s.param] if s.op == "local" else max([depth[a] for a in s.args], default=0)
            if s.op in MATH:
                level += 1
                if level == len(found):
                    found.append(Level())
                key = (sc.TOGETHER.get(s.op, s.op), *[a.dtype for a in s.args])
                found[level].calls.setdefault(key, {}).setdefault(s.args, []).append(s)
            else:
                found[level].rest.append(s)
            depth[s] = level
        finished[number] = depth[body]
        found[depth[body]].rest.append(number)
    return found


def write_values(e: Values, bodies: Sequence[tuple[int, Scalar]]) -> None:
    """The values of a kernel without loops, level by level."""
    body_of = dict(bodies)
    for level in levels(bodies):
        for calls in level.calls.values():
            listed = list(calls.values())
            width = e.target.vector_bytes // max([a.dtype.itemsize for a in listed[0][0].args])
            for k in range(0, len(listed), width):
                _call(e, listed[k : k + width])
        for s in level.rest:
            if isinstance(s, Scalar):
                e.put(s, e.compute(s, [e.value(a) for a in s.args]))
            else:
                e.put(("local", s), e.value(body_of[s]))


def _call(e: Values, wanted: list[list[Scalar]]) -> None:
    """One call; wanted[k] are the functions of the arguments in lane k."""
    lines = e.here.lines
    lanes = 1 << (len(wanted) - 1).bit_length()
    dtypes = tuple([a.dtype for a in wanted[0][0].args])
    names = tuple(sorted({s.op for calls in wanted for s in calls}))
    given = []
    for k, dtype in enumerate(dtypes):
        texts = [e.value(calls[0].args[k]).text for calls in wanted]
        texts += texts[:1] * (lanes - len(texts))  # a lane that nobody wants must not be slow
        given.append(_packed(e, texts, dtype))
    kind = llvm_type(dtypes[0], lanes)
    for name, whole in zip(names, e.unit.call_math(lines, names, dtypes, given, lanes), strict=True):
        lane: list[tuple[int, Scalar]] = [(k, s) for k, calls in enumerate(wanted) for s in calls if s.op == name]
        for k, s in lane:
            e.put(s, Value(whole if lanes == 1 else lines.emit(f"extractelement {kind} {whole}, i64 {k}"), 1, 0))


def _packed(e: Values, texts: list[str], dtype: np.dtype) -> str:
    """The values as lanes of a vector."""
    if len(texts) == 1:
        return texts[0]
    vector, element, made = llvm_type(dtype, len(texts)), llvm_type(dtype, 1), "poison"
    for k, text in enumerate(texts):
        made = e.here.lines.emit(f"insertelement {vector} {made}, {element} {text}, i64 {k}")
    return made
