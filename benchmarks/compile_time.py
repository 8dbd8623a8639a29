"""Where the compiler's time goes, phase by phase: `python -m benchmarks.compile_time [ROW..] [--rounds N]`.

Microseconds a node of the graph as declared, gradient included, for each phase; the best of some rounds in one process, without
the object cache. "warm" is the link of an object that is there already. One core, nothing else running: see README.md.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import graphc as gx
from benchmarks.families.compiling import distinct_chain, distinct_results, long_chain
from benchmarks.families.network import LEAVES, arguments, relu_loss
from benchmarks.families.small import INPUTS, scalar_graph
from benchmarks.peers.graphc import GraphcOps, training_step
from benchmarks.row import Row, normal
from benchmarks.worker import Clock
from graphc.codegen import jit
from graphc.codegen.compile import write_module
from graphc.codegen.strategy.product_scratch import scratch_of
from graphc.codegen.target import host
from graphc.ir import Graph, Node
from graphc.options import Options
from graphc.passes import pipeline
from graphc.verify.graph import size_assumptions

BUILDING = (
    "build",
    "grad",
    "checks",
    "simplify",
    "fuse",
    "assemble",
    "memory",
)  # all after `assemble` is memory; what the goal of 30 us a node is about
PHASES = (*BUILDING, "text", "LLVM", "warm")


class Declared(NamedTuple):
    """A workload before optimisation: inputs, results, updates of state."""

    inputs: list[Node]
    outputs: list[Node]
    updates: list[tuple[Node, Node]]


def gradient_of(function: Callable[..., Any], data: np.ndarray, times: dict[str, float]) -> Declared:
    """The sum of function(x), and its gradient."""
    clock = Clock()
    x = gx.tensor("x", data.shape, data.dtype)
    value = function(GraphcOps(), x)
    loss = gx.sum(value) if value.ndim else value
    times["build"] = clock.seconds()
    clock = Clock()
    g = gx.grad(loss, x)
    times["grad"] = clock.seconds()
    return Declared([x], [loss, g], [])


def plain(function: Callable[..., Any], data: np.ndarray, times: dict[str, float]) -> Declared:
    """function(x) by itself."""
    clock = Clock()
    x = gx.tensor("x", data.shape, data.dtype)
    outputs = gx.tree.leaves(function(GraphcOps(), x))
    times["build"], times["grad"] = clock.seconds(), 0.0
    return Declared([x], outputs, [])


def chain_of_tanh(xp: Any, x: Any) -> Any:
    """25,000 operations; 100,000 with their gradient."""
    for _ in range(25_000):
        x = xp.tanh(x)
    return x


def adam(times: dict[str, float]) -> Declared:
    row = Row("compile/mlp-adam", relu_loss, lambda: arguments(64, "f32"), wrt=LEAVES)
    _, rest, loss, updates = training_step(row, row.data(), times)
    return Declared(rest, [loss], updates)


ROWS: dict[str, Callable[[dict[str, float]], Declared]] = {
    "scalar-graph-2000": lambda times: gradient_of(scalar_graph, normal("x", INPUTS, dtype="f64"), times),
    "scalar-graph-27000": lambda times: gradient_of(lambda xp, x: scalar_graph(xp, x, 27_000), normal("x", INPUTS, dtype="f64"), times),
    "tanh-25000-0d": lambda times: gradient_of(chain_of_tanh, np.zeros(()), times),
    "tanh-25000-vector": lambda times: gradient_of(chain_of_tanh, np.zeros(1000, "f4"), times),
    "chain-10000": lambda times: gradient_of(long_chain, normal("x", 1000, dtype="f32"), times),
    "distinct-10000-chain": lambda times: plain(distinct_chain, normal("x", 1000, dtype="f32"), times),
    "distinct-10000-results": lambda times: plain(distinct_results, normal("x", 1000, dtype="f32"), times),
    "mlp-adam": adam,
}


def compiled(declare: Callable[[dict[str, float]], Declared]) -> tuple[int, dict[str, float], dict[str, int]]:
    """Nodes, seconds of each phase, and what came out: kernels, launches, lines of LLVM text, bytes of code."""
    times: dict[str, float] = {}

    def timed(phase: str, function: Callable[[], Any]) -> Any:
        clock = Clock()
        result = function()
        times[phase] = times.get(phase, 0.0) + clock.seconds()
        return result

    inputs, outputs, updates = declare(times)
    graph = Graph(tuple(inputs), (*outputs, *[v for _, v in updates]))
    gc.disable()  # as `function` does
    log = pipeline.Log()
    checks = timed("checks", lambda: size_assumptions(graph.outputs))
    best = timed("simplify", lambda: pipeline.optimise(graph, "default", log))
    new = [(s, v) for (s, _), v in zip(updates, best.outputs[len(outputs) :], strict=True)]
    options = Options(target=host())
    made = pipeline.Stage(best, tuple(new), tuple(checks), options, partial(scratch_of, options=options))
    for row in pipeline.PROGRAM:
        made = timed(row.name if row.name in BUILDING else "memory", partial(row.run, made))
    program = made.steps
    text = timed("text", lambda: write_module(program, options))
    code = timed("LLVM", lambda: jit.compile_module(text, host()))
    timed("warm", lambda: jit.load(code))
    gc.enable()
    facts = {"kernels": len(program.kernels()), "launches": len(program.steps), "lines": text.count("\n"), "bytes": len(code)}
    return len(graph.order), times, facts


def measure(name: str, rounds: int) -> tuple[int, dict[str, float], dict[str, int]]:
    """The best time of each phase."""
    best: dict[str, float] = {}
    for _ in range(rounds):
        gc.collect()
        nodes, times, made = compiled(ROWS[name])
        for phase, seconds in times.items():
            best[phase] = min(seconds, best.get(phase, seconds))
    return nodes, best, made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", help=f"of {', '.join(ROWS)}; all")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"| us a node | nodes | {' | '.join(PHASES)} | build to memory | all, s | LLVM lines | kernels |")
    print("|---" * (len(PHASES) + 6) + "|")
    for name in options.rows or ROWS:
        nodes, best, made = measure(name, options.rounds)
        cells = [f"{1e6 * best[p] / nodes:.1f}" for p in PHASES]
        building = 1e6 * sum(best[p] for p in BUILDING) / nodes
        last = f"{building:.1f} | {sum(best.values()):.2f} | {made['lines']} | {made['kernels']}"
        print(f"| {name} | {nodes} | {' | '.join(cells)} | {last} |", flush=True)


if __name__ == "__main__":
    main()
