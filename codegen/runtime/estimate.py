"""Estimated time of kernels, from their sizes: whether threads pay, whether the GIL is worth releasing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from graphc import dims
from graphc import scalars as sc
from graphc.codegen.loops.address import size_scalar
from graphc.codegen.strategy.loops import FEW
from graphc.costs import MULTIPLY_ADD_NS, SEARCH_NS, SORT_NS, serial_nanoseconds
from graphc.dims import Dim, Size, Symbol
from graphc.dtypes import float64
from graphc.program import RANKED, Axis, Branch, Kernel, Launch, Loop, Program, Step, places_read
from graphc.scalars import Scalar

ROUTINE_NS = 0.1  # of an operation of a factorisation in lanes
Work = dict[Size, float]
"""ns, as a sum of weight times size."""
Known = tuple[tuple[Symbol, Size], ...]
"""What sizes that loops bind come to."""


def _points(axes: Sequence[Axis]) -> Size:
    """Turns of nested loops. Chunks of c turns, of the length min(c, n - c*i), are as long as the loop of n turns that they cut up."""
    extents = {a.index: a.extent for a in axes}
    for axis in axes:
        for chunk in [a for a in axes if dims.symbols(a.index) <= dims.symbols(axis.extent)]:
            whole = _cut_up(axis.extent, chunk.index)
            if whole is not None:
                extents[axis.index], extents[chunk.index] = whole, 1
    size = dims.product(list(extents.values()))
    return dims.substitute(size, {s: 0 for s in dims.symbols(size) if s.kind == "axis"})  # any others are as long as the first


def _chunks(size: Size, each: float) -> Work:
    """Of ceil(n / c), the chunks of a grid: n/c and one. The entry, which asks this of every call, then has no term of its own for it."""
    atoms = size.terms[0][0] if isinstance(size, Dim) and len(size.terms) == 1 else ()
    call = atoms[0][0] if len(atoms) == 1 else None
    if isinstance(call, dims.Call) and call.fn == "floordiv" and isinstance(step := call.args[1], int) and step >= FEW:
        whole = call.args[0] - (step - 1)
        if size == dims.floordiv(whole + (step - 1), step):
            return {whole: each / step, 1: each}
    return {size: each}


def _cut_up(extent: Size, chunk: Dim) -> Size | None:
    """n, of an extent min(c, n - c*chunk)."""
    symbol, atoms = dims.as_symbol(chunk), extent.terms[0][0] if isinstance(extent, Dim) and len(extent.terms) == 1 else ()
    call = atoms[0][0] if len(atoms) == 1 else None
    if symbol is None or not isinstance(call, dims.Call) or call.fn != "min" or extent != dims.minimum(*call.args):
        return None
    for step, rest in (call.args, call.args[::-1]):
        split = dims.affine(rest, symbol)
        if split is not None and split[0] == -step:
            return split[1]
    return None


def kernel_work(kernel: Kernel) -> Work:
    """What one launch takes on one thread."""
    total: Work = {}
    for stage, each in zip(kernel.stages, kernel.nanoseconds, strict=True):
        size = _points((*kernel.axes, *stage.axes, *stage.reduce))
        if kernel.kind == "contract" and stage.reduce:
            each = MULTIPLY_ADD_NS
        elif kernel.kind == "search" and stage.reduce:
            size, each = _points(kernel.axes), SEARCH_NS
        elif stage.combine in RANKED and stage.factor is not None:  # the row is put in order once for all places
            along, _ = places_read(stage.factor, kernel.axes)
            size, each = _points((*[a for a in kernel.axes if a is not along], *stage.reduce)), SORT_NS + each
        _add(total, _chunks(size, each))
    if kernel.routine is not None:
        _add(total, {kernel.routine.batch * kernel.routine.operations: ROUTINE_NS})
    for loops, values in () if kernel.code is None else kernel.code.by_loops():
        # a loop that asks a condition is taken to end soon: where it does not, the call is left, and goes on as a long one
        known = [loop.extent for loop in loops if loop.condition is None and loop.extent is not None]
        size = dims.product(known)
        total[size] = total.get(size, 0.0) + serial_nanoseconds(values)
    return total


def work(program: Program) -> Work:
    """What one run takes on one thread; of a branch, for each size what the dearer list takes."""
    return steps_work(program.steps)


def steps_work(steps: Sequence[Step], inside: Known = (), turns: Size = 1) -> Work:
    """What so many turns of these steps take, where so much is `inside` of the sizes that loops around bind.

    A counter is as far as it goes, a length that of the first turn, which is no shorter than any other; a loop without an end counts
    as one turn.
    """
    total: Work = {}
    launched: Counter[Kernel] = Counter()
    for step in steps:
        match step:
            case Launch():
                launched[step.kernel] += 1
            case Loop(extent=extent):
                (counter,) = dims.symbols(step.counter)
                most = 1 if extent is None else dims.substitute(extent, dict(inside))
                first = {**dict(inside), counter: 0}
                lengths = [(s, dims.substitute(size, first)) for length, size in step.lengths for s in dims.symbols(length)]
                _add(total, steps_work(step.steps, (*inside, (counter, most), *lengths), turns * most))
            case Branch():
                first_list, second = [steps_work(steps, inside, turns) for steps in step.inner]
                _add(total, {size: max(first_list.get(size, 0.0), second.get(size, 0.0)) for size in first_list | second})
    for kernel, count in launched.items():
        for size, each in kernel_work(kernel).items():
            _add(total, {turns * dims.substitute(size, dict(inside)): count * each})
    return total


def _add(total: Work, more: Work) -> None:
    for size, each in more.items():
        total[size] = total.get(size, 0.0) + each


def static_work(work: Work) -> float:
    """The part that does not depend on sizes known only at the call."""
    return sum(weight * size for size, weight in work.items() if isinstance(size, int))


def in_double(work: Work) -> Scalar:
    """The work as a float64, computed as one throughout: it cannot wrap. A constant where all sizes are known."""
    total = sc.const(static_work(work), float64)
    for size, weight in work.items():
        if not isinstance(size, int):
            total = total + _size_in_double(size) * weight
    return total


def _size_in_double(size: Size) -> Scalar:
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
