"""Kernels that differ in one size alone are one function, which is told the size.

    sum[i0:n] x[i0, i1]              ->   k0(.., n)
    sum[i0:ceil(n/64)] p[i0, i1]     ->   k0(.., ceil(n/64))

So the sum of few rows and that of the partial results of many are the same code, with all that is done with the sum. A kernel is told
sizes as they are; here one becomes the symbol in it, where nothing else of the kernel tells the two apart.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from graphc import dims
from graphc import scalars as sc
from graphc.codegen.loops.loopir import Block, format_loops
from graphc.dims import Call, Dim, Size, Symbol
from graphc.program import Axis, Kernel, Stage, Store, loop_index
from graphc.records import dataclass
from graphc.scalars import Scalar


@dataclass(frozen=True)
class Callee:
    """The function that a kernel is, and what it is called with where the kernel is launched."""

    name: str
    kernel: Kernel
    """That it is written from."""
    operands: tuple[int, ...]
    """Those of the launch, in the order of its arguments."""
    sizes: tuple[Size, ...]
    """What its sizes are."""


def callees(
    bodies: Mapping[Kernel, Kernel], loops: Mapping[Kernel, Block], names: Mapping[Kernel, str], apart: Collection[Kernel]
) -> dict[Kernel, Callee]:
    """The function of each kernel, given as which kernel and which loops it is written; those `apart` have their own.

    How a loop is written may depend on what its size is: alike are only kernels whose loops are the same, and so are the bits.
    """
    found = {kernel: _own(names[kernel], body) for kernel, body in bodies.items()}
    open_ = {kernel: body for kernel, body in bodies.items() if kernel not in apart and body.kind == "loops" and not body.pieces}
    sized = {kernel: only for kernel, body in open_.items() if (only := _only_size(body)) is not None}
    forms = {_form(kernel) for kernel in sized}
    plain = {kernel: _plain(body, sized.get(kernel)) for kernel, body in open_.items() if _form(kernel) in forms}
    first = {made.kernel: kernel for kernel, made in reversed(plain.items()) if made.only is None}
    for kernel, made in plain.items():
        other = first.get(made.kernel, kernel)
        if made.only is not None and other != kernel and made.text(loops[kernel]) == plain[other].text(loops[other]):
            function, place = found[other], {slot: k for k, slot in enumerate(plain[other].order)}
            operands = tuple([made.order[place[slot]] for slot in function.operands])
            sizes = tuple([made.only.size if s == dims.of_symbol(made.only.symbol) else s for s in function.sizes])
            found[kernel] = replace(function, operands=operands, sizes=sizes)
    return found


def _own(name: str, kernel: Kernel) -> Callee:
    count = len(kernel.operands) + len(kernel.pieces)
    return Callee(name, kernel, tuple(range(count)), tuple([dims.of_symbol(s) for s in kernel.sizes()]))


def _form(kernel: Kernel) -> tuple[int, ...]:
    """What kernels that are alike have in common."""
    return len(kernel.axes), len(kernel.stages), len(kernel.operands)


@dataclass(frozen=True)
class _Plain:
    """A kernel with operands and loops in the order of their first use, and a symbol in place of the only size there is."""

    kernel: Kernel
    order: tuple[int, ...]
    """What its operands were."""
    turns: Mapping[Symbol, Size]
    """The index symbols, and what they have become."""
    only: _Only | None

    def text(self, loops: Block) -> str:
        """How the loops of the kernel read in these names."""
        text = format_loops(loops)
        if self.only is not None:
            text = text.replace(str(self.only.size), str(self.only.symbol))
        new = {f"b{old}": f"b{k}" for k, old in enumerate(self.order)} | {str(old): str(index) for old, index in self.turns.items()}
        return re.sub(r"\b[a-z]\d+\b", lambda name: new.get(name[0], name[0]), text)


def _plain(kernel: Kernel, only: _Only | None) -> _Plain:
    used = dict.fromkeys(slot for stage in kernel.stages for slot in _slots(stage))
    order = (*used, *[k for k in range(len(kernel.operands)) if k not in used])
    place = {old: new for new, old in enumerate(order)}
    indices = dict.fromkeys(symbol for a in kernel.all_axes() for symbol in dims.symbols(a.index))
    turns: dict[Symbol, Size] = {symbol: loop_index(k) for k, symbol in enumerate(indices)}
    known: dict[Scalar, Scalar] = {}

    def leaf(s: Scalar, args: tuple[Scalar, ...]) -> Scalar | None:
        if s.op != "load":
            return None
        slot, masked = s.param
        return sc.load(place[slot], args[:-1] if masked else args, s.dtype, args[-1] if masked else None)

    def moved(s: Scalar) -> Scalar:
        return sc.replace_leaves(s, leaf, turns, known)

    def size(s: Size) -> Size:
        return dims.substitute(s if only is None else only.replaced(s), turns)

    def axes(listed: Sequence[Axis]) -> tuple[Axis, ...]:
        return tuple([Axis(_index(a.index, turns), size(a.extent)) for a in listed])

    def stage(s: Stage) -> Stage:
        stores = tuple([Store(place[store.slot], tuple([moved(i) for i in store.at]), store.mode) for store in s.stores])
        factor = None if s.factor is None else moved(s.factor)
        return replace(s, axes=axes(s.axes), reduce=axes(s.reduce), body=moved(s.body), stores=stores, factor=factor)

    operands = [replace(o, shape=tuple([size(s) for s in o.shape])) for o in [kernel.operands[k] for k in order]]
    made = replace(kernel, axes=axes(kernel.axes), stages=tuple([stage(s) for s in kernel.stages]), operands=tuple(operands))
    return _Plain(made, order, turns, only)


@dataclass(frozen=True)
class _Only:
    """The only size in a kernel, a `Call` such as ceil(n/64), and the symbol in it."""

    call: Call
    symbol: Symbol
    size: Dim

    def replaced(self, size: Size) -> Size:
        """`size` with the symbol in place of the call."""
        if isinstance(size, int):
            return size
        total: Size = 0
        for monomial, factor in size.terms:
            atoms = [self.symbol if atom == self.call else atom for atom, power in monomial for _ in range(power)]
            total = total + factor * dims.product([dims.of_symbol(a) for a in atoms if isinstance(a, Symbol)])
        return total


def _only_size(kernel: Kernel) -> _Only | None:
    """The only size of the kernel's axes and operands, where it stands in no index and is no symbol itself."""
    if any(s.op == "index" and any(x.kind == "size" for x in dims.symbols(s.param)) for s in kernel.parts):
        return None
    sizes = [a.extent for a in kernel.all_axes()] + [n for o in kernel.operands for n in o.shape]
    known = [size for size in sizes if isinstance(size, Dim)]
    atoms = {atom for size in known for monomial, _ in size.terms for atom, _ in monomial}
    if len(atoms) != 1 or not isinstance(call := next(iter(atoms)), Call) or len(call.symbols) != 1:
        return None
    (symbol,) = call.symbols
    alone = next((size for size in known if size.terms == ((((call, 1),), 1),)), None)
    return _Only(call, symbol, alone) if alone is not None and symbol.kind == "size" and _not_negative(alone) else None


def _index(index: Dim, turns: Mapping[Symbol, Size]) -> Dim:
    found = dims.substitute(index, turns)
    assert isinstance(found, Dim)
    return found


def _not_negative(size: Size) -> bool:
    low = dims.lower_bound(size)
    return low is not None and low >= 0


def _slots(stage: Stage) -> list[int]:
    """The operands that a stage uses, in the order of its body and stores."""
    roots = [stage.body, *([] if stage.factor is None else [stage.factor]), *[i for s in stage.stores for i in s.at]]
    return [s.param[0] for s in sc.order(roots) if s.op == "load"] + [s.slot for s in stage.stores]
