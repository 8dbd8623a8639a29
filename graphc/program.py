"""`Program`: what the passes hand to code generation. Plain data: buffers, and an ordered list of steps.

A kernel is outer axes and ordered stages; one stage is one value: a body in the scalar language over loop axes,
perhaps combined over reduced axes, perhaps stored. Values that pass between stages of a kernel are `local`s. A
kernel names its operands by slot and knows nothing of buffers, so equal kernels are equal values and compile once.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from graphc import dims
from graphc.dims import Dim, Size, Symbol
from graphc.dtypes import SHORT
from graphc.ir import Node
from graphc.scalar import Scalar, format_index, format_scalar, order
from graphc.tree import TreeDef

NEUTRAL_COMBINES = ("sum", "prod", "max", "min", "any", "all", "argmax", "argmin")


@dataclass(frozen=True)
class Axis:
    """A loop: its index symbol and its extent."""

    index: Dim
    extent: Size


_INDEX: dict[str, list[Dim]] = {"i": [], "r": []}


def loop_index(position: int, kind: str = "i") -> Dim:
    """The process-wide index symbol of an axis position, so that equal kernels are equal: `i0, i1, ...`, reduced `r0, ...`."""
    pool = _INDEX[kind]
    while len(pool) <= position:
        pool.append(dims.axis(f"{kind}{len(pool)}"))
    return pool[position]


@dataclass(frozen=True)
class Store:
    """Where a stage's value goes: an operand slot and one index per axis of it. mode: "set" | "add"."""

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
    factor: Scalar | None = None  # combine "recur": value = factor * value + body


@dataclass(frozen=True)
class Operand:
    """An array argument of a kernel: contiguous, of this dtype and shape."""

    dtype: np.dtype
    shape: tuple[Size, ...]
    written: bool = False


BLOCK = dims.fresh("block")  # the elements that a kernel inside a block runs over: bound by the kernel around it, not by a call


@dataclass(frozen=True)
class Piece:
    """A kernel that runs on each block in turn: its operand k is operand slots[k] of the kernel around it, from element at[k] on."""

    kernel: Kernel
    slots: tuple[int, ...]
    at: tuple[Size, ...]


@dataclass(frozen=True)
class Blocks:
    """for block in 0..ceil(total / size): every piece in order, over min(size, total - size * block) elements."""

    total: Size
    size: int
    pieces: tuple[Piece, ...]

    @property
    def axis(self) -> Axis:
        return Axis(loop_index(0), dims.floordiv(self.total + (self.size - 1), self.size))

    @property
    def length(self) -> Size:
        return dims.minimum(self.size, self.total - self.size * loop_index(0))


@dataclass(frozen=True)
class Kernel:
    """for every point of `axes`: every stage in order. kind names the strategy: "loops" | "contract" | "scatter" | "blocks"."""

    axes: tuple[Axis, ...]
    stages: tuple[Stage, ...]
    operands: tuple[Operand, ...]
    kind: str = "loops"
    blocks: Blocks | None = None  # kind "blocks", which has no stages of its own
    room: bool = False  # the last operand is scratch for what code generation wants to keep beside: no stage reads or writes it

    def scalars(self) -> Iterator[Scalar]:
        for stage in self.stages:
            yield stage.body
            if stage.factor is not None:
                yield stage.factor
            for store in stage.stores:
                yield from store.at

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.axes, self.stages, self.operands, self.kind, self.blocks, self.room))

    @cached_property
    def parts(self) -> list[Scalar]:
        """Every Scalar of the kernel, arguments before users."""
        return order(self.scalars())

    def sizes(self) -> tuple[Symbol, ...]:
        """The size symbols the code needs as arguments, in a fixed order."""
        return self._sizes

    @cached_property
    def _sizes(self) -> tuple[Symbol, ...]:
        found: set[Symbol] = set()
        for s in self.parts:
            if s.op == "index":
                found |= dims.symbols(s.param)
        for extent in [a.extent for a in self.all_axes()] + [s for o in self.operands for s in o.shape]:
            found |= dims.symbols(extent)
        for piece in () if self.blocks is None else self.blocks.pieces:
            found |= {*piece.kernel.sizes()} - dims.symbols(BLOCK)
        return tuple(sorted(s for s in found if s.kind == "size"))

    def computed(self) -> list[tuple[Kernel, dict[Symbol, Size]]]:
        """The kernels that hold the stages: itself, or those of its blocks with what `BLOCK` is in all blocks together."""
        if self.blocks is None:
            return [(self, {})]
        total = dict.fromkeys(dims.symbols(BLOCK), self.blocks.total)
        return [(piece.kernel, total) for piece in self.blocks.pieces]

    def all_axes(self) -> list[Axis]:
        return [*self.axes, *(a for s in self.stages for a in (*s.axes, *s.reduce))]


@dataclass(frozen=True)
class Buffer:
    """Storage of one value, C-contiguous.

    role: "input" | "shared" | "constant" | "output" | "arena" | "scratch". `index` is the position among the buffers of
    that role that the caller passes; an arena buffer lies at `offset` bytes. Scratch is what one kernel fills anew at each
    of its outer points: every thread has its own, behind the arena. An alias has the storage of another buffer.
    """

    dtype: np.dtype
    shape: tuple[Size, ...]
    role: str
    index: int = 0
    offset: Size | None = None
    alias: int | None = None

    @property
    def nbytes(self) -> Size:
        return dims.product(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class Launch:
    """Run a kernel on buffers, one per operand. `nodes` are what it computes, for messages and profiles."""

    kernel: Kernel
    buffers: tuple[int, ...]
    nodes: tuple[Node, ...] = ()

    def writes(self) -> list[int]:
        """The buffers that the kernel stores to."""
        return [b for b, o in zip(self.buffers, self.kernel.operands, strict=True) if o.written]


@dataclass(frozen=True)
class Check:
    """Stop with an error unless the i64 in `buffer` is `NO_FAULT`: it is the first faulty position of `indices`."""

    buffer: int
    indices: int
    node: Node
    axis_size: Size


@dataclass(frozen=True, eq=False)
class Layout:
    """How a function is called: the names and structures of its parameters, values for those left out, the structure of its results.

    Names and keys of dicts are interned strings.
    """

    names: tuple[str, ...]
    inputs: tuple[TreeDef, ...]
    outputs: TreeDef
    defaults: Mapping[str, np.ndarray]


PLANNED = ("arena", "scratch")  # the roles of buffers that get an offset
NO_FAULT = np.iinfo(np.int64).max
Step = Launch | Check


@dataclass(frozen=True)
class Program:
    """Steps over buffers. Everything that can fail comes before `commit`; no step before it writes to state or outputs' owners.

    size_checks are pairs of sizes the graph took to be equal; they are compared when the function is called.
    """

    buffers: tuple[Buffer, ...]
    steps: tuple[Step, ...]
    inputs: tuple[Node, ...]
    shared: tuple[Node, ...]
    constants: tuple[np.ndarray, ...]
    outputs: tuple[int, ...]  # the buffer of each output
    arena: Size = 0
    scratch: Size = 0  # bytes of scratch for each thread
    commit: int = 0  # steps[commit:] may write to state
    size_checks: tuple[tuple[Size, Size], ...] = ()

    def kernels(self) -> dict[Kernel, str]:
        """Every different kernel once, with a stable name; those inside blocks before the kernel around them."""
        named: dict[Kernel, str] = {}
        for step in self.steps:
            if isinstance(step, Launch) and step.kernel not in named:
                for piece in () if step.kernel.blocks is None else step.kernel.blocks.pieces:
                    named.setdefault(piece.kernel, f"k{len(named)}")
                named[step.kernel] = f"k{len(named)}"
        return named


def root_of(program: Program, buffer: int) -> int:
    """The buffer whose storage this one has."""
    while (alias := program.buffers[buffer].alias) is not None:
        buffer = alias
    return buffer


def format_kernel(kernel: Kernel, name: str = "kernel", names: Mapping[Kernel, str] | None = None) -> str:
    """The kernel as text: one line a stage."""
    operands = ", ".join(
        f"b{k}: {SHORT[o.dtype]}[{dims.format_shape(o.shape)}]{'!' if o.written else ''}" for k, o in enumerate(kernel.operands)
    )
    lines = [f"{kernel.kind} {name}({operands})"]
    lines += [f"  for {a.index} in {a.extent}" for a in kernel.axes]
    if kernel.blocks is not None:
        lines[-1] += f": {BLOCK} = {kernel.blocks.length}"
        for piece in kernel.blocks.pieces:
            places = [f"b{slot}" + (f" + {at}" if at != 0 else "") for slot, at in zip(piece.slots, piece.at, strict=True)]
            lines.append(f"    {(names or {}).get(piece.kernel, 'piece')}({', '.join(places)})")
    for k, stage in enumerate(kernel.stages):
        over = "".join(f" {a.index}:{a.extent}" for a in stage.axes)
        reduced = f"{stage.combine}[{', '.join(f'{a.index}:{a.extent}' for a in stage.reduce)}] " if stage.combine else ""
        where = "".join(f" -> b{s.slot}[{', '.join(format_index(i) for i in s.at)}]{'+=' if s.mode == 'add' else ''}" for s in stage.stores)
        scan = f"{stage.scan} scan " if stage.scan else ""
        lines.append(f"    t{k}: {SHORT[stage.dtype]}{over} = {scan}{reduced}{format_scalar(stage.body)}{where}")
    return "\n".join(lines)


def format_program(program: Program) -> str:
    """The program as text: buffers, then steps; each kernel printed where it is first launched."""
    lines = []
    used = {b for step in program.steps for b in (step.buffers if isinstance(step, Launch) else (step.buffer, step.indices))}
    for k, b in enumerate(program.buffers):
        if b.role in PLANNED and k not in used:
            continue  # it became rows of a run
        where = f"= %{b.alias}" if b.alias is not None else (f"{b.role} + {b.offset}" if b.role in PLANNED else f"{b.role} {b.index}")
        lines.append(f"%{k}: {SHORT[b.dtype]}[{dims.format_shape(b.shape)}] {where}")
    names, shown = program.kernels(), set[Hashable]()
    for k, step in enumerate(program.steps):
        if k == program.commit:
            lines.append("-- commit")
        if isinstance(step, Check):
            lines.append(f"check %{step.buffer} (indices %{step.indices} into {step.axis_size})")
            continue
        lines.append(f"{names[step.kernel]}({', '.join(f'%{b}' for b in step.buffers)})")
        if step.kernel not in shown:
            shown.add(step.kernel)
            inside = [kernel for kernel, _ in step.kernel.computed() if kernel not in shown and kernel is not step.kernel]
            for kernel in [step.kernel, *dict.fromkeys(inside)]:
                shown.add(kernel)
                lines += ["  " + line for line in format_kernel(kernel, names[kernel], names).splitlines()]
    lines.append(f"return {', '.join(f'%{b}' for b in program.outputs)}")
    return "\n".join(lines)
