"""Every address of a kernel lies inside its operand: proved from the loops' extents and the masks of the accesses.

    for i0 in n: for i1 in 4:  b0[4*i0 + i1] of 4*n elements       0 <= 4*i0 + i1, and at i0 = n - 1, i1 = 3 it is 4*n - 1: proved
    for i0 in n:  b0[i0 - 2] if i0 >= 2                             the mask says i0 - 2 >= 0: proved
    for i0 in n:  b0[b1[i0]]                                        not proved: it depends on what b1 holds

What is not proved is listed: tests run it at small sizes, element by element, or with canaries behind the operands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from graphc import dims
from graphc.codegen.loops.loopir import Accumulate, Block, Choose, For, If, Let, Repeat, Statement, Store, format_loops
from graphc.dims import Dim, Size, Symbol
from graphc.program import Kernel
from graphc.records import dataclass
from graphc.scalars import Scalar, order

Facts = tuple[Size, ...]  # each is >= 0


@dataclass(frozen=True)
class Unproved:
    """An access that may lie outside: its statement, its operand, and whether the address depends on values in memory."""

    statement: Statement
    slot: int
    offset: Size
    dynamic: bool

    def __str__(self) -> str:
        what = "an address that depends on values" if self.dynamic else f"the offset {self.offset}"
        return f"{what} into b{self.slot}, in {format_loops(self.statement).splitlines()[0].strip()}"


def unproved(block: Block, kernel: Kernel) -> list[Unproved]:
    """The accesses of the loops that are not proved to stay inside their operands; micro-kernels plan their own."""
    return list(_statements(block, kernel, {}, ()))


def _statements(statement: Statement, kernel: Kernel, axes: Mapping[Symbol, Size], facts: Facts) -> Iterator[Unproved]:
    match statement:
        case Block(body):
            for s in body:
                yield from _statements(s, kernel, axes, facts)
        case For(index, extent, _, body):
            symbol = dims.as_symbol(index)
            assert symbol is not None
            taken = (*[index - low for low in statement.low], *[high - 1 - index for high in statement.high])
            yield from _statements(body, kernel, {**axes, symbol: extent}, (*facts, *taken))
        case If(condition, body):
            yield from _values((condition,), statement, kernel, axes, facts)
            yield from _statements(body, kernel, axes, (*facts, *facts_of(condition)))
        case Repeat(index, extent, condition, carries, body):
            symbol = dims.as_symbol(index)
            assert symbol is not None
            yield from _values(tuple([initial for _, initial, _ in carries]), statement, kernel, axes, facts)
            inside = axes if extent is None else {**axes, symbol: extent}  # nothing is known of an index without an end
            turned = [after for _, _, after in carries] + ([] if condition is None else [condition])
            yield from _values(tuple(turned), statement, kernel, inside, facts)
            yield from _statements(body, kernel, inside, facts)
        case Choose(chosen, branches):
            yield from _values((chosen, *(x for _, values in branches for x in values)), statement, kernel, axes, facts)
            for body, _ in branches:
                yield from _statements(body, kernel, axes, facts)
        case Let(_, value) | Accumulate(_, _, value, None):
            yield from _values((value,), statement, kernel, axes, facts)
        case Accumulate(_, _, value, other):
            assert other is not None
            yield from _values((value, other), statement, kernel, axes, facts)
        case Store(slot, dynamic, static, value, _):
            yield from _values((value,) if dynamic is None else (value, dynamic), statement, kernel, axes, facts)
            if dynamic is not None or not _inside(static, dims.product(kernel.operands[slot].shape), axes, facts):
                yield Unproved(statement, slot, static, dynamic is not None)


def _values(roots: tuple[Scalar, ...], s: Statement, kernel: Kernel, axes: Mapping[Symbol, Size], facts: Facts) -> Iterator[Unproved]:
    for x in order(roots):
        if x.op == "fetch":
            slot, static, dynamic, masked = x.param
            known = (*facts, *facts_of(x.args[-1])) if masked else facts
            if dynamic or not _inside(static, dims.product(kernel.operands[slot].shape), axes, known):
                yield Unproved(s, slot, static, dynamic)


# -- proofs ---------------------------------------------------------------------------------------------------------
def facts_of(condition: Scalar) -> list[Size]:
    """What holds where a condition does, as sizes that are >= 0: those of its comparisons of indices that are all needed."""
    if condition.op == "and":
        return [fact for part in condition.args for fact in facts_of(part)]
    if condition.op not in ("lt", "le", "gt", "ge", "eq") or any(
        a.op not in ("index", "const") or a.dtype.kind != "i" for a in condition.args
    ):
        return []
    a, b = (x.param for x in condition.args)
    forms: dict[str, list[Size]] = {"lt": [b - a - 1], "le": [b - a], "gt": [a - b - 1], "ge": [a - b], "eq": [a - b, b - a]}
    return forms[condition.op]


def _inside(offset: Size, size: Size, axes: Mapping[Symbol, Size], facts: Facts) -> bool:
    """0 <= offset < size wherever the loops are and the facts hold; nothing is read where a loop has no turn."""
    if any(dims.less_equal(extent, 0) is True for extent in axes.values()):
        return True
    return _holds(offset, axes, facts) and _holds(size - 1 - offset, axes, facts)


def _holds(goal: Size, axes: Mapping[Symbol, Size], facts: Facts) -> bool:
    """goal >= 0: by itself, or because goal - k * fact is, for some fact and what it is multiplied by in the goal."""
    if _least(goal, axes):
        return True
    return any(_least(goal - factor * fact, axes) for fact in facts for factor in _factors(goal, fact))


def _factors(goal: Size, fact: Size) -> Iterator[Size]:
    """What the fact may be multiplied by, >= 0, so that a part of it and of the goal cancel: 4 for 4*(i0//2) + i1 and i0//2 - 2."""
    if not isinstance(goal, Dim) or not isinstance(fact, Dim):
        return
    for symbol in dims.symbols(fact) & dims.symbols(goal):
        have, gives = dims.affine(goal, symbol), dims.affine(fact, symbol)
        factor = None if have is None or gives is None else dims.divide(have[0], gives[0])
        if factor is not None and dims.less_equal(0, factor) is True:
            yield factor
    terms = dict(goal.terms)
    for monomial, coefficient in fact.terms:
        if monomial and monomial in terms and terms[monomial] % coefficient == 0 and terms[monomial] // coefficient > 0:
            yield terms[monomial] // coefficient


def _least(goal: Size, axes: Mapping[Symbol, Size]) -> bool:
    """Whether goal >= 0 at the turn of each loop, innermost first, at which it is least; extents are at least 1 there."""
    if dims.less_equal(0, goal) is True:
        return True
    for symbol in [axis for axis in list(axes)[::-1] if axis in dims.symbols(goal)]:
        split = dims.affine(goal, symbol)
        if split is None:
            continue
        falling = dims.less_equal(split[0], 0) is True
        if not falling and dims.less_equal(0, split[0]) is not True:
            return False
        goal = dims.substitute(goal, {symbol: axes[symbol] - 1 if falling else 0})
        if dims.less_equal(0, goal) is True:
            return True
    # the loops run: sizes that are factors of their extents are not 0
    extents = [size for extent in axes.values() if (size := dims.as_symbol(extent)) is not None]
    return dims.less_equal(0, dims.substitute(goal, {size: dims.of_symbol(size) + 1 for size in extents})) is True
