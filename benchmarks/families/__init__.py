"""The families of workloads, in the order of the table: each module has `rows()`."""

from __future__ import annotations

from benchmarks.families import (
    attention,
    call,
    chain,
    compiling,
    convolutions,
    deep,
    derivatives,
    epochs,
    loops,
    matrices,
    optimizers,
    ordering,
    products,
    random,
    reductions,
    run_time,
    small,
    special,
    training,
    whole,
)

FAMILIES = (
    call, chain, reductions, run_time, ordering, whole, products, convolutions, matrices, special, random, training, optimizers, epochs,
    derivatives, loops, attention, small, deep, compiling,
)  # fmt: skip
