"""What is done where native code stops before its end: a failed check becomes an error, a host call is made, signals are seen to."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping, Sequence

import numpy as np

from graphc import dims
from graphc.codegen.frame import Frame, slot_of
from graphc.codegen.placing import placings
from graphc.dims import Symbol
from graphc.errors import CompileError, DTypeError, IndexOutOfRange, LinAlgError, ShapeError, compose, fail
from graphc.ops.host import refusal, refuse, refused_text
from graphc.ops.ranges import selected_from
from graphc.program import Check, HostCall, Loop, Program, Step

Words = ctypes.Array[ctypes.c_int64]


class Stops:
    """The stops of one program. `frame` says what the words of a call mean."""

    def __init__(self, program: Program, frame: Frame) -> None:
        self.program, self.frame = program, frame
        self.placings = placings(program)
        self.places = frame.place
        self.slots = [None if b.role == "arena" or b.alias is not None else slot_of(program, b) for b in program.buffers]

    def attend(self, status: int, words: Words, arrays: Sequence[np.ndarray], arena: np.ndarray) -> None:
        """Make the host call of this number, or raise what the check of this number found. At a loop Python has seen to signals by now."""
        match self.step(status):
            case HostCall() as step:
                self.call(status, step, self.known(words), arrays, arena)
            case Loop(parallel=False):
                pass
            case _:
                self.fault(status, words)

    def step(self, status: int) -> Step | None:
        """The step of this number, if there is one."""
        return self.program.numbered[status] if 0 <= status < len(self.program.numbered) else None

    def fault(self, status: int, words: Words) -> None:
        """Raise what the check of this number found: nothing is run again, the words of the call say it all."""
        match self.step(status):
            case Check() as check:
                pass
            case _:
                fail(CompileError, f"the native code stopped with an unknown status {status}")
        env = self.known(words)
        position, value = words[self.frame.found], words[self.frame.found + 1]
        shape = tuple([dims.evaluate(s, env) for s in self.program.buffers[check.indices].shape])
        at = tuple(int(i) for i in np.unravel_index(position, shape)) if shape else ()
        if refusal(check.node) is not None:
            raise LinAlgError(refused_text(check.node, at))
        size = dims.evaluate(check.axis_size, env)
        shown = value if check.wraps or value >= 0 else value - size  # the graph has added the size to negative indices
        x, axis = selected_from(check.node.inputs[0], check.axis)
        raise IndexOutOfRange(compose(f"index {shown} at position {at} is out of range for axis {axis} of size {size}", x, check.node))

    def known(self, words: Words) -> dict[Symbol, int]:
        """The sizes, and the turns that loops are at."""
        return {s: words[k] for s, k in self.places.items()}

    def call(self, number: int, step: HostCall, env: Mapping[Symbol, int], arrays: Sequence[np.ndarray], arena: np.ndarray) -> None:
        """Call Python with copies, and put its results where they belong."""

        def view(buffer: int) -> np.ndarray:
            return self.view(number, buffer, env, arrays, arena)

        answer = step.function(*[view(b).copy() for b in step.arguments], *[dims.evaluate(s, env) for s in step.sizes])
        several = isinstance(answer, (tuple, list))
        results = list(answer) if several else [] if answer is None else [answer]
        if len(results) != len(step.results):
            fail(ShapeError, f"a call of Python gave {len(results)} results, where {len(step.results)} are due", *step.made)
        for node in step.made:
            refuse(node, results)
        checked = [(view(b), np.asarray(value)) for b, value in zip(step.results, results, strict=True)]
        for k, (target, value) in enumerate(checked):
            if value.shape != target.shape:
                fail(ShapeError, f"result {k} of a call of Python has shape {value.shape}, where {target.shape} is due", *step.made)
            if value.dtype != target.dtype:
                fail(DTypeError, f"result {k} of a call of Python is {value.dtype}, where {target.dtype} is due", *step.made)
        for target, value in checked:
            target[...] = value

    def view(self, number: int, buffer: int, env: Mapping[Symbol, int], arrays: Sequence[np.ndarray], arena: np.ndarray) -> np.ndarray:
        """The array that a buffer is at step `number`."""
        program, placing = self.program, self.placings[number]
        b = program.buffers[buffer]
        shape = tuple([dims.evaluate(s, env) for s in b.shape])
        count = math.prod(shape)
        if b.alias is not None:
            start = dims.evaluate(placing.views.get(buffer, 0), env)
            return self.view(number, b.alias, env, arrays, arena).reshape(-1)[start : start + count].reshape(shape)
        slot = self.slots[buffer]
        if slot is not None:
            return arrays[slot].reshape(shape)
        if buffer in placing.swaps:
            partner, counter = placing.swaps[buffer]
            b = program.buffers[partner] if dims.evaluate(counter, env) % 2 else b
        start = dims.evaluate(0 if b.offset is None else b.offset, env)
        return arena[start : start + count * b.dtype.itemsize].view(b.dtype).reshape(shape)
