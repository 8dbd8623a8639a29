"""Runs a compiled program: binds sizes, checks arrays, keeps the arena, makes fresh outputs, turns status into errors.

This is the ctypes path; it serves everywhere.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from graphc import dims
from graphc.codegen import jit
from graphc.codegen import object_cache as cache
from graphc.codegen.compile import write_module
from graphc.codegen.entry import cpython
from graphc.codegen.entry.context import CALLABLE, FAULT, Context
from graphc.codegen.entry.entry import EntryEmitter
from graphc.codegen.entry.fits import FEW_ARRAYS, arrays_of, misfit
from graphc.codegen.entry.loops import TAKE
from graphc.codegen.entry.loops import symbols as loop_symbols
from graphc.codegen.entry.many import ManyEmitter
from graphc.codegen.entry.numbers import symbols as number_symbols
from graphc.codegen.entry.results import symbols as entry_symbols
from graphc.codegen.frame import FINISHED, frame_of, replaced_state
from graphc.codegen.loops.loopir import format_loops
from graphc.codegen.runtime import signals
from graphc.codegen.runtime.binding import Binding, not_negative, size_values
from graphc.codegen.runtime.canaries import Canaries
from graphc.codegen.runtime.parallel_loops import arena_bytes, threads_for
from graphc.codegen.runtime.pool import symbols as pool_symbols
from graphc.codegen.runtime.pool_text import RUN
from graphc.codegen.runtime.stops import Stops
from graphc.codegen.strategy.product_scratch import lowered
from graphc.codegen.target import host
from graphc.dims import Dim, Size, Symbol
from graphc.errors import ShapeError, fail
from graphc.ir import Node
from graphc.options import Options, default_options
from graphc.program import Layout, Program

ALIGNMENT = 64
ARENA_LIMIT = 1 << 46  # bytes; beyond it a size was nonsense
FIRST_ARENA = 4096  # bytes: so that a small function takes the native path from its first call on
_PLANS = 16  # size bindings remembered


class Executable:
    """A program as native code. Re-entrant: a second call at the same time gets an arena of its own."""

    def __init__(
        self,
        program: Program,
        options: Options | None = None,
        given: Sequence[Dim] = (),
        layout: Layout | None = None,
        assuming: Callable[[Size, Size], Node | None] = lambda a, b: None,
    ) -> None:
        options = options or default_options()
        self.target = options.target or host()
        self.program = program
        self.threads = threads_for(program, options.threads, self.target)
        self.arena = arena_bytes(program, self.threads)
        self.frame = frame_of(program)
        self.symbols = self.frame.symbols
        self.stops = Stops(program, self.frame)
        self.replaced = replaced_state(program)
        self.variables = (*program.inputs, *program.shared)
        checks = [*program.size_checks, *not_negative(program)]
        values = size_values(program) if self.symbols else ()
        self.binding = Binding(self.variables, self.symbols, checks, given, values, assuming)
        self.constants = [np.ascontiguousarray(c) for c in program.constants]
        self.constant_addresses = [c.ctypes.data for c in self.constants]
        self.context: Context | None = None
        entry = None
        symbols: dict[str, int] = {}
        objects: list[object] = []
        self.guarded = options.canaries
        self.detour = "canaries are looked at in Python" if self.guarded else misfit(program, self.binding, layout)
        """Why calls go through Python and ctypes; empty if there is an entry."""
        if layout is not None and not self.detour:
            emitter = EntryEmitter if arrays_of(program) <= FEW_ARRAYS else ManyEmitter
            entry = partial(emitter, program=program, binding=self.binding, layout=layout, objects=objects, arena_bytes=self.arena)
        self.text = write_module(program, options, entry, self.threads)
        if entry is not None:
            self.context = Context([s.cell for s in program.shared], self.constant_addresses, objects)  # type: ignore[attr-defined]
            symbols = {**cpython.addresses(), **entry_symbols(), "context": self.context.address}
            for dtype in {v.dtype for v in program.inputs if v.ndim == 0}:
                symbols |= number_symbols(dtype)
        if f"@{TAKE}(" in self.text:
            symbols |= loop_symbols()
        if f"@{RUN}(" in self.text:
            symbols |= pool_symbols()
        if f"@{signals.CLOCK}(" in self.text:
            symbols |= signals.symbols()
        self.code = jit.load(cache.compiled(self.text, self.target), symbols)
        self.run = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(self.code.address("run"))
        self.outputs = [program.buffers[b] for b in program.outputs]
        self.spare: list[np.ndarray] = []
        self.plans: dict[tuple[int, ...], _Plan] = {}
        if self.context is not None and self.arena != 0:
            self.context.give(aligned_block(FIRST_ARENA))

    def __call__(self, inputs: Sequence[np.ndarray], shared: Sequence[np.ndarray], given: Sequence[int] = ()) -> list[np.ndarray]:
        """Run on C-contiguous, aligned arrays of the right dtypes; state arrays are updated in place. `given`: sizes passed as such."""
        replaced = [shared[k] for k in self.replaced]
        # an argument may be (a view of) the state itself; its elements are read after some of them have been replaced
        apart = [a.copy() if any(np.may_share_memory(a, s) for s in replaced) else a for a in inputs]
        arrays = [*apart, *shared]
        plan = self._plan(arrays, given)
        guard = Canaries(self.program, self.threads.most) if self.guarded else None
        made = np.empty if guard is None else guard.result
        outputs = [made(shape, b.dtype) for shape, b in zip(plan.shapes, self.outputs, strict=True)]
        addresses = [a.ctypes.data for a in arrays] + self.constant_addresses + [o.ctypes.data for o in outputs]
        arena = self._arena(plan.arena) if guard is None else guard.arena(plan.arena)
        try:
            slots = (ctypes.c_void_p * (len(addresses) + 1))(*addresses, arena.ctypes.data)
            words = (ctypes.c_int64 * self.frame.words)(*plan.sizes)
            status = self.run(slots, words, FINISHED)
            while status != FINISHED:
                self.stops.attend(status, words, [*arrays, *self.constants, *outputs], arena)
                status = self.run(slots, words, status)
            if guard is not None:
                guard.check(arena, dict(zip(self.symbols, plan.sizes, strict=True)))
        finally:
            if guard is None:
                self._give(arena)
        return outputs

    def fault(self, address: int) -> None:
        """Raise what a check of the entry's run found; `address`: of the words of that run."""
        words = (ctypes.c_int64 * self.frame.words).from_address(address)
        self.stops.fault(words[self.frame.words - 1], words)

    def entry(self, slow: object, fault: object) -> int:
        """The address of the emitted entry; 0 if there is none.

        It calls `slow` as a method with what it does not take, and `fault` with the address of its words where a check has failed.
        """
        if self.context is None:
            return 0
        if self.context.words[CALLABLE] == 0:
            self.context.objects += [slow, fault]
            self.context.words[CALLABLE], self.context.words[FAULT] = id(slow), id(fault)
        return self.code.address("entry")

    def output_shapes(self, inputs: Sequence[np.ndarray], shared: Sequence[np.ndarray], given: Sequence[int] = ()) -> list[tuple[int, ...]]:
        """The shapes that a call with these arrays would return."""
        return list(self._plan([*inputs, *shared], given).shapes)

    def loops(self) -> str:
        """The loops of every kernel as text."""
        return "\n".join(f"{name}:\n{format_loops(lowered(kernel, self.target), 1)}" for kernel, name in self.program.kernels().items())

    def assembly(self) -> str:
        """The machine code as assembly."""
        return jit.assembly(self.text, self.target)

    def arena_bytes(self, env: dict[Symbol, int]) -> int:
        """The size of the arena for these sizes."""
        return dims.evaluate(self.arena, env)

    def _plan(self, arrays: Sequence[np.ndarray], given: Sequence[int]) -> _Plan:
        sizes = self.binding.sizes(arrays, given)
        found = self.plans.get(sizes)
        if found is not None:
            return found
        env = dict(zip(self.symbols, sizes, strict=True))
        shapes = []
        for b in self.outputs:
            shape = tuple([dims.evaluate(s, env) for s in b.shape])
            if any(s < 0 for s in shape):
                fail(ShapeError, f"an output of shape ({dims.format_shape(b.shape)}) has a negative size: {shape}")
            shapes.append(shape)
        arena = self.arena_bytes(env)
        if arena > ARENA_LIMIT:
            raise MemoryError(f"the intermediate values need {arena} bytes")
        plan = _Plan(tuple(shapes), arena, sizes)
        if len(self.plans) >= _PLANS:
            self.plans = {}
        self.plans[sizes] = plan
        return plan

    def _give(self, arena: np.ndarray) -> None:
        """Keep an arena for calls to come."""
        rest = arena if self.context is None or self.arena == 0 else self.context.give(arena)
        if rest is not None:
            self.spare.append(rest)

    def _arena(self, nbytes: int) -> np.ndarray:
        """An aligned block that nobody else uses: the entry's, a spare one that is large enough, or a new one."""
        arena = None if self.context is None or self.arena == 0 else self.context.take()
        while arena is None or arena.nbytes < nbytes:
            try:
                arena = self.spare.pop()  # in one step, so that no two calls get the same
            except IndexError:
                return aligned_block(nbytes)
        return arena


def aligned_block(nbytes: int) -> np.ndarray:
    """That many bytes, at least one, at a multiple of `ALIGNMENT`."""
    raw = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + max(nbytes, 1)]


class _Plan(NamedTuple):
    """What a binding of the sizes determines."""

    shapes: tuple[tuple[int, ...], ...]
    arena: int
    sizes: tuple[int, ...]


__all__ = ["Executable"]
