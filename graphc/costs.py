"""What the ops of the scalar language cost, in one table, and the limits that fusion draws from it and from the processor.

    kind        for example            uops   latency   ns
    NOTHING     const, index, local       0         0   0.0     known, or written where it is used
    FREE        load, select, and         1         0   0.03    moves bits: never worth a store
    LIGHT       add, mul, fma, max        1         4   0.03    one instruction, two of which start in a cycle
    SLOW        div, sqrt, floor          1         4   0.73    an instruction or a few; never computed twice for nothing
    MATH        exp, tanh, erf            20       45   0.73    a function of graphc.codegen.mathlib

uops and latency (cycles from arguments to result) are of one vector; ns are of one element of a long array, the time by which
it is decided whether threads pay. Fusion, the choice of loops, estimates and `Function.cost` all ask this table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum

from graphc.records import dataclass
from graphc.scalars import COMPARISONS, Scalar, order
from graphc.target import Target


class Kind(IntEnum):
    """How dear an op is; each kind costs at least what the one before it does."""

    NOTHING = 0
    FREE = 1
    LIGHT = 2
    SLOW = 3
    MATH = 4


@dataclass(frozen=True)
class Cost:
    """One line of the table above."""

    kind: Kind
    uops: int
    latency: int
    ns: float


_LINES = {
    Kind.NOTHING: (Cost(Kind.NOTHING, 0, 0, 0.0), ("const", "index", "local")),
    Kind.FREE: (
        Cost(Kind.FREE, 1, 0, 0.03),
        ("load", "fetch", "arg", "lookup", "cast", "bitcast", "select", "and", "or", "xor", "not", *COMPARISONS),
    ),
    Kind.LIGHT: (Cost(Kind.LIGHT, 1, 4, 0.03), ("add", "sub", "mul", "neg", "abs", "min", "max", "fma")),
    Kind.SLOW: (
        Cost(Kind.SLOW, 1, 4, 0.73),
        ("div", "sqrt", "copysign", "floor", "ceil", "trunc", "rint", "floordiv", "mod", "shl", "lshr", "ashr"),
    ),
}
COSTS: dict[str, Cost] = {op: line for line, ops in _LINES.values() for op in ops}
MATH = Cost(Kind.MATH, 20, 45, 0.73)  # of a function at the least; it keeps the ports busy by itself
_CHEAP = frozenset(op for op, line in COSTS.items() if line.kind < Kind.SLOW)
SORT_NS = 8.0  # of an element of a row that is put in order
SEARCH_NS = 40.0  # of a place that is looked up
MULTIPLY_ADD_NS = 0.02  # a step of a product, whose operands are used many times


def cost(s: Scalar) -> Cost:
    """The line of an op."""
    return COSTS.get(s.op, MATH)


def kind(s: Scalar) -> Kind:
    return cost(s).kind


def instructions(bodies: Iterable[Scalar]) -> int:
    """Instructions of a turn that computes them all, what they share once."""
    return sum(cost(s).uops for s in order(bodies))


def nanoseconds(body: Scalar) -> float:
    """The time that one element takes."""
    return sum(cost(s).ns for s in order((body,)))


CYCLE_NS = 0.3
UOP_NS = 0.12  # of an instruction among many of one turn
SERIAL_MATH = 2  # times the least latency and instructions of a function: what a turn of a recurrence waits for on average
STEP_NS = 8.0  # of a turn of steps with one short kernel; measured 5 to 8 for sums of 2 to 32 elements
KERNEL_NS = 26.0  # of each kernel more in it: a turn of W @ c for 3 to 8 elements takes 34
LONG_STRETCH = 1 << 20  # ns: scalar code that may take longer stops so often, for the user may have interrupted it


def serial_nanoseconds(bodies: Sequence[Scalar]) -> float:
    """The time of a turn that the next one waits for: the longest way from what it reads to what it gives, or all its instructions."""
    return max(serial_latency(bodies), UOP_NS * serial_instructions(bodies))


def serial_latency(bodies: Iterable[Scalar]) -> float:
    """ns of the longest way."""
    at: dict[Scalar, int] = {}
    for s in order(bodies):
        at[s] = cost(s).latency * _times(s) + max([at[a] for a in s.args], default=0)
    return CYCLE_NS * max(at.values(), default=0)


def serial_instructions(bodies: Iterable[Scalar]) -> int:
    """Instructions of a turn of a recurrence."""
    return sum(cost(s).uops * _times(s) for s in order(bodies))


def _times(s: Scalar) -> int:
    return SERIAL_MATH if kind(s) == Kind.MATH else 1


def is_dear(s: Scalar) -> bool:
    """Whether an op should not be computed twice."""
    return s.op not in _CHEAP


ONE_BODY = 64  # Scalars; larger bodies are kept apart, so that building them stays linear
COMPUTED_AGAIN = 24  # Scalars of a body with what it reads: to compute more once more costs more than a row of scratch


@dataclass(frozen=True)
class Limits:
    """How far fusion goes on one processor."""

    inline_ops: int = 8
    """What is cheaper to recompute than to store and load. Gradient of batch norm 1024 x 1024, f64: 14 ms, with 4 operations 21 ms."""
    inline_loads: int = 1
    inline_depth: int = 24
    column_ops: int = 16
    """What is computed in the column reductions that alone read it."""
    straight: int = 200
    """Members of a kernel without loops: functions of some 1000 instructions. With 100 a call and compiling take 5 and 10 % longer, for
    what crosses through memory; with 300 LLVM's time begins to be super-linear."""
    loop: int = 48
    """Members of a kernel with loops: about what the vector registers hold without spilling."""
    functions: int = 16
    """Functions of mathlib inlined in one loop body, 40 to 100 instructions each."""
    columns: int = 8
    """Fewer columns leave vectors along them half empty."""
    carried: int = 64
    """Scalars that a loop keeps from turn to turn: two for each register, half of them then lie in the first cache."""
    turn: int = 800
    """Instructions of a turn of scalar code, some 0.1 us."""
    vector_bytes: int = 64
    """Of what a turn as steps would use."""


def limits(target: Target | None) -> Limits:
    """The limits for a processor; without one those of 32 registers of 64 bytes."""
    if target is None:
        return Limits()
    return Limits(
        loop=target.registers + target.registers // 2,
        columns=max(target.vector_bytes // 8, 2),
        carried=2 * target.registers,
        vector_bytes=target.vector_bytes,
    )
