"""`Kernel`: what one launch computes.

A kernel is outer axes and ordered stages; one stage is one value: a body in the scalar language over loop axes,
perhaps combined over reduced axes, perhaps stored. Values that pass between stages of a kernel are `local`s. A
kernel names its operands by slot and knows nothing of buffers, so equal kernels are equal values and compile once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import cached_property

import numpy as np

from graphc import dims
from graphc import scalars as sc
from graphc.costs import nanoseconds
from graphc.dims import Dim, Size, Symbol
from graphc.loopform import Routine
from graphc.program.scalar_code import ScalarCode, Turns
from graphc.records import dataclass
from graphc.scalars import Scalar, order

NEUTRAL_COMBINES = ("sum", "prod", "max", "min", "any", "all", "argmax", "argmin")
DOWN = ("largest", "arglargest")  # the order is descending
RANKED = ("smallest", "argsmallest", *DOWN)  # of kind "sort" alone: the element in place `factor` of the stable order, or its position
POSITIONS = ("argmax", "argmin", "argsmallest", "arglargest")


@dataclass(frozen=True)
class Axis:
    """A loop: its index symbol and its extent."""

    index: Dim
    extent: Size


_INDEX: dict[str, list[Dim]] = {"i": [], "r": [], "j": []}


def loop_index(position: int, kind: str = "i") -> Dim:
    """The process-wide index symbol of an axis position, so that equal kernels are equal: `i0, i1, ...`, reduced `r0, ...`,
    turns of scalar code `j0, ...`.
    """
    pool = _INDEX[kind]
    while len(pool) <= position:
        pool.append(dims.axis(f"{kind}{len(pool)}"))
    return pool[position]


# stores that update what is there -> how they combine it with the value
UPDATES = {"add": "sum", "multiply": "prod", "min": "min", "max": "max"}
SIGNS = {"add": "+=", "multiply": "*=", "min": "min=", "max": "max="}  # as they are shown


@dataclass(frozen=True)
class Store:
    """Where a stage's value goes: an operand slot and one index per axis of it. mode: "set", or one of `UPDATES`."""

    slot: int
    at: tuple[Scalar, ...]
    mode: str = "set"


@dataclass(frozen=True)
class Stage:
    """value[axes] = combine over reduce of body; without `combine` just the body, at every point of the kernel's axes.

    A local is read as `local(k, index per axis of stage k)`. With `scan` every partial result of the one reduced
    axis is stored (before the element is taken in, when `exclusive`).
    """

    axes: tuple[Axis, ...]
    body: Scalar
    dtype: np.dtype
    reduce: tuple[Axis, ...] = ()
    combine: str | None = None
    stores: tuple[Store, ...] = ()
    scan: str | None = None  # None | "inclusive" | "exclusive"
    nest: int = 0  # stages over inner axes share a loop nest only within a number; later nests read what earlier ones reduced
    factor: Scalar | None = None  # combine "recur": value = factor * value + body; ranked ones: the place in the order

    @property
    def reads(self) -> set[int]:
        """The stages that its body reads."""
        return {s.param for s in order((self.body,)) if s.op == "local"}

    @property
    def own(self) -> tuple[Scalar, ...]:
        """The index at which it is read in its own loops."""
        return point(self.axes)


def point(axes: Sequence[Axis]) -> tuple[Scalar, ...]:
    """The index that loops over these axes are at."""
    return tuple([sc.index(a.index) for a in axes])


def nests(stages: Sequence[Stage]) -> list[tuple[int, ...]]:
    """The stages that share a loop nest, in order: neighbours over the same inner axes, unless one reads what another reduces.

    Those without inner axes, values that are computed once per outer point, are groups of their own.
    """
    found: list[tuple[int, ...]] = []
    for k, stage in enumerate(stages):
        over, last = (*stage.axes, *stage.reduce), found[-1] if found else ()
        first = stages[last[0]] if last else stage
        results = {j for j in last if stages[j].reduce and not stages[j].scan}
        apart = over and (stage.nest != first.nest or any(s.op == "local" and s.param in results for s in order((stage.body,))))
        if last and over == (*first.axes, *first.reduce) and not apart:
            found[-1] = (*last, k)
        else:
            found.append((k,))
    return found


def _scalars_of(stages: Sequence[Stage]) -> Iterator[Scalar]:
    """What the stages compute, and where they store it."""
    for stage in stages:
        yield stage.body
        if stage.factor is not None:
            yield stage.factor
        for store in stage.stores:
            yield from store.at


@dataclass(frozen=True)
class Operand:
    """An array argument of a kernel: contiguous, of this dtype and shape."""

    dtype: np.dtype
    shape: tuple[Size, ...]
    written: bool = False


@dataclass(frozen=True)
class Kernel:
    """for every point of `axes`: every stage in order.

    kind names the strategy: "loops" | "contract" | "scatter" | "scalar" | "sort" | "matrices".
    """

    axes: tuple[Axis, ...]
    stages: tuple[Stage, ...]
    operands: tuple[Operand, ...]
    kind: str = "loops"
    scratch: tuple[tuple[np.dtype, Size], ...] = ()  # dtype and elements of what code generation keeps beside: no stage names it
    shared: tuple[tuple[np.dtype, Size], ...] = ()  # what is kept beside for all threads together: words, which are 0 at first, and bytes
    code: ScalarCode | None = None  # kind "scalar", which has neither axes nor stages
    routine: Routine | None = None  # kind "matrices", which has neither; it reads all that it does not write

    def scalars(self) -> Iterator[Scalar]:
        yield from _scalars_of(self.stages)
        if self.code is not None:
            yield from self.code.scalars()

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.axes, self.stages, self.operands, self.kind, self.pieces, self.code, self.routine))

    @property
    def pieces(self) -> tuple[tuple[np.dtype, Size], ...]:
        """All that code generation keeps beside: each thread's own, then what they share."""
        return (*self.scratch, *self.shared)

    @cached_property
    def parts(self) -> list[Scalar]:
        """Every Scalar of the kernel, arguments before users."""
        return order(self.scalars())

    @cached_property
    def nanoseconds(self) -> tuple[float, ...]:
        """The time that one element of each stage takes."""
        return tuple([nanoseconds(stage.body) for stage in self.stages])

    @cached_property
    def loaded(self) -> frozenset[int]:
        """The operands whose elements it loads, updates, or keeps where it writes to others."""
        if self.routine is not None:
            return frozenset(k for k, o in enumerate(self.operands) if not o.written)
        read = {store.slot for stage in self.stages for store in stage.stores if store.mode in UPDATES}
        return frozenset({s.param[0] for s in self.parts if s.op == "load"} | read | self.updated)

    @cached_property
    def updated(self) -> frozenset[int]:
        """The operands of which a scatter writes some elements, and begins with what they hold."""
        if self.kind != "scatter":
            return frozenset()
        first, filled = self.stages[0], set[int]()
        for store in first.stores:
            along = [(i, n) for i, n in zip(store.at, self.operands[store.slot].shape, strict=True) if n != 1]
            if along == [(sc.index(a.index), a.extent) for a in first.axes]:
                filled.add(store.slot)
        return frozenset(k for k, o in enumerate(self.operands) if o.written and k not in filled)

    def sizes(self) -> tuple[Symbol, ...]:
        """The size symbols the code needs as arguments, in a fixed order."""
        return self._sizes

    @cached_property
    def _sizes(self) -> tuple[Symbol, ...]:
        found: set[Symbol] = set()
        for s in self.parts:
            if s.op == "index":
                found |= dims.symbols(s.param)
        for extent in [a.extent for a in self.all_axes()] + [s for o in self.operands for s in o.shape] + [n for _, n in self.pieces]:
            found |= dims.symbols(extent)
        for step in () if self.code is None else self.code.walk():
            if isinstance(step, Turns) and step.extent is not None:
                found |= dims.symbols(step.extent)
        return tuple(sorted(s for s in found if s.kind == "size"))

    def all_axes(self) -> list[Axis]:
        return [*self.axes, *(a for s in self.stages for a in (*s.axes, *s.reduce))]


def copy_kernel(dtype: np.dtype, shape: tuple[Size, ...]) -> Kernel:
    """The kernel that copies its first operand to its second."""
    from_to = Operand(dtype, shape), Operand(dtype, shape, True)
    at = tuple([sc.index(loop_index(p)) for p in range(len(shape))])
    stage = Stage((), sc.load(0, at, dtype), dtype, stores=(Store(1, at),))
    return Kernel(tuple([Axis(loop_index(p), s) for p, s in enumerate(shape)]), (stage,), from_to)


def stores_where_it_loads(kernel: Kernel, stored: Collection[int], loaded: Collection[int]) -> bool:
    """Whether the operands `loaded` may be the array that the kernel stores to as `stored`: none is read after its new value is there.

    Values per outer point are stored at its end: all loads must be of the same element. Without outer axes a nest begins when those
    before it are over: what they load may lie anywhere; what comes behind the store, in its nest or in later ones, finds the new value.
    """
    places = [(k, store) for k, stage in enumerate(kernel.stages) for store in stage.stores if store.slot in stored]
    inner = any(stage.axes for stage in kernel.stages)
    nested = inner and (kernel.axes or kernel.kind != "loops")
    if len(places) != 1 or kernel.kind == "scatter" or nested or any(stage.scan for stage in kernel.stages):
        return False
    ((last, store),) = places
    after = order(_scalars_of(kernel.stages[last + 1 :])) if inner else []
    if any(s.op == "load" and s.param[0] in loaded for s in after):
        return False
    first = 0
    if kernel.stages[last].axes:  # the stages before the nest are over when something is stored
        first = next(g for g in nests(kernel.stages) if last in g)[0]
    behind = kernel.parts if first == 0 else order(_scalars_of(kernel.stages[first:]))
    loads = [s for s in behind if s.op == "load" and s.param[0] in loaded]
    shape = kernel.operands[store.slot].shape
    at = [id(i) for i in store.at]
    return all(kernel.operands[s.param[0]].shape == shape and [id(i) for i in s.args[: len(at)]] == at for s in loads)


def places_read(rank: Scalar, axes: Sequence[Axis]) -> tuple[Axis | None, Size]:
    """The axis along which places of an order are read, None for a single one, and the first of them."""
    place: Size = rank.param
    along = next((a for a in axes if dims.symbols(a.index) <= dims.symbols(place)), None)
    return along, place if along is None else place - along.index
