"""Scalar code: loops with their carries in registers, as they stand in the kernel; only addresses become linear.

A recurrence is serial, on one thread. What does not change from turn to turn is written outside of the loop, see `llvm.values`.
"""

from __future__ import annotations

from graphc.codegen.loops.address import Loaded
from graphc.codegen.loops.loopir import Block, Choose, Repeat, Statement, Store
from graphc.codegen.strategy.door import Strategy
from graphc.program import Choice, Put, ScalarCode, Turns
from graphc.target import Target


def _plan(kernel: Loaded, target: Target) -> Block:
    assert kernel.code is not None
    return _block(kernel.code)


def _block(code: ScalarCode) -> Block:
    return Block((*map(_step, code.steps), *map(_store, code.puts)))


def _step(step: Turns | Choice) -> Statement:
    if isinstance(step, Choice):
        return Choose(step.chosen, tuple([(_block(code), values) for code, values in step.branches]), step.results)
    carries = tuple(zip(step.carries, step.initial, step.after, strict=True))
    return Repeat(step.index, step.extent, step.condition, carries, _block(step.body), step.count, step.unroll)


def _store(put: Put) -> Store:
    (offset,) = put.at
    if offset.op in ("const", "index"):
        return Store(put.slot, None, offset.param, put.value)
    return Store(put.slot, offset, 0, put.value)


SCALAR = Strategy("scalar", lambda kernel: kernel.kind == "scalar", _plan)
