"""The stages of the compiler for one graph, each verified: what tests of programs and loops look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from graphc.codegen.loops.check_loops import check_loops
from graphc.codegen.loops.fma import fuse_multiply_add
from graphc.codegen.loops.loopir import Block, format_loops
from graphc.codegen.loops.lower import lower
from graphc.codegen.loops.prove_addresses import unproved
from graphc.codegen.strategy.product_scratch import scratch_of
from graphc.ir import Graph, Node
from graphc.options import Options
from graphc.passes.fusion.assemble import assemble
from graphc.passes.fusion.fuse import fuse
from graphc.passes.fusion.split_reductions import split_reductions
from graphc.passes.pipeline import Log, plan
from graphc.passes.storage.memory import plan_memory, update_in_place
from graphc.passes.storage.scalar_buffers import pack
from graphc.program import Program, format_program
from graphc.target import Target
from graphc.verify.graph import size_assumptions, verify
from graphc.verify.kernel import verify_kernel
from graphc.verify.program import verify_program

# a machine of the tests' own, so that golden files are the same everywhere
TARGET = Target(
    "x86_64-linux", "haswell", "", vector_bytes=32, has_fma=True, has_ldexp=False, has_round=True, has_gather=True, registers=16
)


def assembled(inputs: Sequence[Node], outputs: Sequence[Node], updates: Sequence[tuple[Node, Node]] = ()) -> Program:
    """The program before memory is planned."""
    graph = Graph(tuple(inputs), (*outputs, *(value for _, value in updates)))
    verify(graph)
    program = split_reductions(assemble(graph, updates, fuse(graph), size_assumptions(graph.outputs)))
    verify_program(program)
    return program


def planned(inputs: Sequence[Node], outputs: Sequence[Node], updates: Sequence[tuple[Node, Node]] = ()) -> Program:
    """The program as code is made of it; its loops are checked on the way."""
    program = plan_memory(pack(update_in_place(assembled(inputs, outputs, updates))))
    verify_program(program)
    loops_of(program)
    return program


def ready(graph: Graph, options: Options) -> Program:
    """The program that an `Executable` takes, not optimised and not in blocks; everything in it is verified."""
    return plan(graph, [], size_assumptions(graph.outputs), Log(), replace(options, target=None), partial(scratch_of, options=options))


def loops_of(program: Program) -> list[Block]:
    """The loops of each kernel, with and without fused multiply-adds; those without are returned."""
    result = []
    for kernel in program.kernels():
        fused = fuse_multiply_add(kernel)
        verify_kernel(fused)
        check_loops(lower(fused, TARGET), fused)
        result.append(lower(kernel, TARGET))
        assert not [u for u in unproved(result[-1], kernel) if not u.dynamic]
        check_loops(result[-1], kernel)
    return result


def text_of(program: Program) -> str:
    """The program, then the loops of each kernel."""
    loops = [f"loops of k{k}\n{format_loops(block, 1)}" for k, block in enumerate(loops_of(program))]
    return "\n\n".join([format_program(program), *loops])
