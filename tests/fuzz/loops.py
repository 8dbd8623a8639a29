"""Random nests of loops, of every kind: native code against an evaluation turn by turn, or refused by `check_loops`.

for i0 in n (vector 4 x 2, parallel):        what is known of a nest: its axes, its locals, the accumulators it may update
  t1: f64 = neutral(sum)
  for i1 in 3 (unroll):
    t1 = sum(t1, b0[i1 + 2*i0])
  b2[i0] = (t1 + t0)
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from graphc import dims
from graphc import scalars as sc
from graphc.codegen import jit
from graphc.codegen.llvm.emit import Emitter
from graphc.codegen.llvm.module import Unit
from graphc.codegen.loops.check_loops import check_loops
from graphc.codegen.loops.loopir import Accumulate, Alloc, Block, For, Let, Statement, Store, format_loops
from graphc.codegen.target import host
from graphc.dims import Size, Symbol
from graphc.dtypes import int64
from graphc.errors import CompileError
from graphc.program import Kernel, Operand, loop_index
from graphc.scalars import Scalar
from tests.loop_eval import run_loops

N, M = dims.dim("n"), dims.dim("m")
READ = 256  # elements of the operands that are read, enough for every offset drawn
EXTENTS: tuple[Size, ...] = (0, 1, 2, 3, 5, 8, 9, N, N, M, N + 1)
DTYPES = tuple(map(np.dtype, ("float64", "float32", "int64", "int32")))


@dataclass(frozen=True)
class _Around:
    """What a statement finds around it."""

    loops: tuple[For, ...] = ()
    locals: tuple[int, ...] = ()
    open: tuple[tuple[int, str], ...] = ()  # accumulators, with their combine

    @property
    def in_vector(self) -> bool:
        return any(loop.kind == "vector" for loop in self.loops)


@dataclass
class Nest:
    """A random block, the kernel it is for, and the arrays."""

    seed: int
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.dtype = DTYPES[self.rng.integers(len(DTYPES))]
        # b0 is read, b1 holds indices, b2 binds the sizes; every store has an operand of its own
        self.operands = [Operand(self.dtype, (READ,)), Operand(int64, (READ,)), Operand(self.dtype, (N, M))]
        self.names = 0
        self.budget = 14
        self.block = Block(tuple(self.statements(_Around())))
        self.kernel = Kernel((), (), tuple(self.operands))

    def pick(self, *choices: object) -> object:
        return choices[self.rng.integers(len(choices))]

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def name(self) -> int:
        self.names += 1
        return self.names

    # -- statements -------------------------------------------------------------------------------------------------
    def statements(self, around: _Around) -> list[Statement]:
        """A list; every local is known from where it is defined, an accumulator mostly once its loops are over."""
        result: list[Statement] = []
        for _ in range(int(self.rng.integers(1, 5))):
            self.budget -= 1
            draw = self.rng.random()
            if draw < 0.2 or self.budget < 0:
                name = self.name()
                result.append(Let(name, self.value(around)))
                around = replace(around, locals=(*around.locals, name))
            elif draw < 0.4 and around.open:
                result.append(self.update(around))
            elif draw < 0.6 and len(around.loops) < 3:
                around = self.reduction(result, around)
            elif draw < 0.8 and len(around.loops) < 3:
                result.append(self.loop(around))
            else:
                result.append(self.store(around))
        return [*result, self.store(around)]

    def loop(self, around: _Around, update: bool = False) -> For:
        index = loop_index(len(around.loops))
        kind = str(self.pick("serial", "serial", "unroll", "vector"))
        if kind == "vector" and around.in_vector:
            kind = "serial"
        extent: Size = EXTENTS[self.rng.integers(len(EXTENTS))]
        if kind == "unroll":
            extent = int(self.rng.integers(0, 5))
        loop = For(index, extent, kind, Block(()))
        if kind == "serial":
            loop = replace(loop, unroll=int(self.rng.integers(1, 4)))
        if kind == "vector":
            lanes = int(self.rng.choice([2, 4, 8]))
            loop = replace(loop, lanes=lanes, unroll=int(self.rng.integers(1, 3)), masked=self.chance(0.3))
            loop = replace(loop, tail=lanes // 2 if self.chance(0.2) and lanes > 2 else 0)
        if not around.loops and not around.open and kind != "unroll":
            loop = replace(loop, parallel=self.chance(0.2))
        inside = replace(around, loops=(*around.loops, loop))
        body = self.statements(inside)
        if update and around.open:
            body.insert(int(self.rng.integers(0, len(body) + 1)), self.update(replace(inside, open=around.open[-1:])))
        return replace(loop, body=Block(tuple(body)))

    def reduction(self, result: list[Statement], around: _Around) -> _Around:
        """An accumulator, the loops that update it; and its value is known."""
        combine, name = str(self.pick("sum", "sum", "max", "min", "prod", "argmax", "argmin", "recur")), self.name()
        dtype = int64 if combine.startswith("arg") else self.dtype
        running = combine == "recur" and self.chance(0.5)
        result.append(Alloc(name, dtype, combine, running))
        open_ = replace(around, open=(*around.open, (name, combine)))
        if self.chance(0.1):
            result.append(self.update(open_))
        for _ in range(1 + self.chance(0.2)):
            result.append(self.loop(open_, update=True))
        if dtype != self.dtype:
            cast = self.name()
            result.append(Let(cast, sc.local(name, (), dtype).cast(self.dtype)))
            name = cast
        return replace(around, locals=(*around.locals, name))

    def update(self, around: _Around) -> Accumulate:
        name, combine = around.open[self.rng.integers(len(around.open))]
        other = None
        if combine.startswith("arg"):
            position: Size = 0
            for loop in around.loops:
                position = position * loop.extent + loop.index
            other = sc.index(position)
        if combine == "recur":
            other = sc.const(int(self.rng.integers(-1, 2)), self.dtype)
        return Accumulate(name, combine, self.value(around), other)

    def store(self, around: _Around) -> Store:
        """To an operand of its own, at a place of its own for each turn."""
        place: Size = 0
        size: Size = 1
        for loop in around.loops:
            place, size = place * loop.extent + loop.index, size * loop.extent
        self.operands.append(Operand(self.dtype, (size,), True))
        in_a_row = not around.in_vector or around.loops[-1].kind == "vector"
        mode = "add" if in_a_row and self.chance(0.3) else "set"
        return Store(len(self.operands) - 1, None, place, self.value(around), mode)

    # -- values -----------------------------------------------------------------------------------------------------
    def value(self, around: _Around, depth: int = 2) -> Scalar:
        draw = self.rng.random()
        if draw < 0.25 and around.locals:
            return sc.local(around.locals[self.rng.integers(len(around.locals))], (), self.dtype)
        sums = [name for name, combine in around.open if not combine.startswith("arg")]
        if 0.25 <= draw < 0.26 and sums:  # inside their loops: refused, if it is not a running one
            return sc.local(sums[-1], (), self.dtype)
        if draw < 0.3:
            return sc.index(self.place(around)).cast(self.dtype)
        if draw < 0.65 or depth == 0:
            return self.fetch(around)
        a, b = self.value(around, depth - 1), self.value(around, depth - 1)
        return {0: a + b, 1: a - b, 2: sc.select(a > b, a, b * sc.const(2, self.dtype))}[int(self.rng.integers(3))]

    def fetch(self, around: _Around) -> Scalar:
        place = self.place(around)
        if self.chance(0.2):
            at = sc.scalar("fetch", (), int64, (1, place, False, False))
            return sc.scalar("fetch", (at,), self.dtype, (0, self.place(around), True, False))
        if len(self.operands) > 3 and not around.in_vector and self.chance(0.05):  # what may have been stored, or will be
            slot = int(self.rng.integers(3, len(self.operands)))
            mask = sc.index(place) < sc.index(self.operands[slot].shape[0])
            return sc.scalar("fetch", (mask,), self.dtype, (slot, place, False, True))
        if self.chance(0.2):
            mask = sc.index(self.place(around)) < sc.const(4, int64)
            return sc.scalar("fetch", (mask,), self.dtype, (0, place, False, True))
        return sc.scalar("fetch", (), self.dtype, (0, place, False, False))

    def place(self, around: _Around) -> Size:
        place: Size = int(self.rng.integers(0, 3))
        for loop in around.loops:
            place = place + int(self.rng.choice([0, 1, 1, 2, 3])) * loop.index
        return place + N if self.chance(0.1) else place

    # -- runs -------------------------------------------------------------------------------------------------------
    def arrays(self, env: Mapping[Symbol, int]) -> list[np.ndarray]:
        """Small whole numbers, whose sums are exact in any order; indices below 20."""
        rng = np.random.default_rng(self.seed)
        shapes = [[dims.evaluate(s, env) for s in o.shape] for o in self.operands]
        found = [rng.integers(-3, 4, int(np.prod(shape))).astype(o.dtype) for o, shape in zip(self.operands, shapes, strict=True)]
        found[1] = rng.integers(0, 20, READ)
        return found

    def allowed(self) -> bool:
        """Whether the loops pass their check."""
        try:
            check_loops(self.block, self.kernel)
        except CompileError:
            return False
        return True

    def native(self) -> tuple[object, bool]:
        """The function, and whether it takes the range of a parallel loop."""
        shared = len(self.block.body) == 1 and isinstance(self.block.body[0], For) and self.block.body[0].parallel
        unit = Unit(host(), fma=False)
        unit.module.add(replace(Emitter(unit, self.kernel, "k", self.block, shared).function(), linkage=""))
        self.code = jit.load(jit.compile_module(unit.module.text(), host(), verify=True))
        words = len(self.operands) * [ctypes.c_void_p] + [ctypes.c_int64] * (len(self.kernel.sizes()) + 2 * shared)
        return ctypes.CFUNCTYPE(None, *words)(self.code.address("k")), shared

    def fault(self, sizes: tuple[tuple[int, int], ...] = ((1, 2), (5, 3), (9, 4), (0, 1))) -> str | None:
        """What native code does otherwise than the turns one by one; None if nothing."""
        call, shared = self.native()
        for n, m in sizes:
            env = dict(zip([s for size in (N, M) for s in dims.symbols(size)], (n, m), strict=True))
            wanted, got = self.arrays(env), self.arrays(env)
            run_loops(self.block, wanted, env)
            words = [a.ctypes.data for a in got] + [env[s] for s in self.kernel.sizes()]
            if shared:
                extent = dims.evaluate(self.block.body[0].extent, env)  # type: ignore[union-attr]
                for low, high in ((0, extent // 2), (extent // 2, extent)):
                    call(*words, low, high)  # type: ignore[operator]
            else:
                call(*words)  # type: ignore[operator]
            for k, (a, b) in enumerate(zip(wanted, got, strict=True)):
                if not np.array_equal(a, b, equal_nan=True):
                    return f"b{k} is {b}, due {a}, for n={n}, m={m}\n{format_loops(self.block)}"
        return None
